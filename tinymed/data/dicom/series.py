"""Slices to volumes: the files of a series, or the frames of one file, sorted by where they lie in the patient.

What makes no volume is refused, by name: several series in a folder, slices that lie nowhere or twice at one place,
different directions, sizes or spacings, missing slices, a tilted gantry.  The voxels are values after slope and
intercept (Hounsfield units of CT), those of MONOCHROME1 turned round.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ...errors import UserError
from ..walk import entries, hidden
from .files import Place, frame_count, is_dicom, of_frame, place_of, read
from .library import guarded
from .pixels import GREY, modality_values, value_range
from .privacy import hide
from .syntaxes import photometric, stored_values

ALIKE = 1e-3  # of directions and spacings: what rounding in headers comes to
UNEVEN = 0.01  # share of the distance between slices by which distances may differ
SIDEWAYS = 1.0  # pixels by which the last slice may lie beside the first
REMEMBERED = 512  # volumes whose geometry is kept


class Slice(NamedTuple):
    """One plane of a volume: its file and frame, and where it lies."""

    path: Path
    frame: int
    place: Place


@dataclass(frozen=True)
class Geometry:
    """A volume before its voxels are read.

    Attributes:
        slices: From the lowest to the highest along the normal of the planes.
        shape: Columns, rows, slices.
        affine: From the indices (column, row, slice) to millimetres to the right, to the front, to the head.
    """

    slices: tuple[Slice, ...]
    shape: tuple[int, int, int]
    affine: np.ndarray


def is_series(path: Path) -> bool:
    """Return whether a path is a volume in DICOM: a folder with DICOM files, or a file of frames that lie in space."""
    if path.is_dir():
        found = any(is_dicom(file) for file in entries(path) if not hidden(file.name) and file.is_file())
        if found:
            hide([path])
        return found
    return path.is_file() and is_dicom(path) and framed(str(path), path.stat().st_mtime_ns)


@lru_cache(1 << 14)
def framed(path: str, _: int) -> bool:
    """Return whether a file has several frames that lie in space; one that cannot be read has none."""
    try:
        found = read(Path(path), pixels=False)
        with guarded(Path(path), "its header"):
            return frame_count(found) > 1 and place_of(found, 0) is not None
    except UserError:
        return False


def series_files(path: Path) -> list[Path]:
    """Return the DICOM files of a volume: those in a folder, not below, or the file itself."""
    if not path.is_dir():
        return [path]
    return [file for file in entries(path) if not hidden(file.name) and file.is_file() and is_dicom(file)]


def geometry(path: Path) -> Geometry:
    """Return the slices of a volume in their order, its size and its affine, from the headers alone.

    Raises:
        UserError: It is no volume; names the file and says why.
    """
    files = series_files(path)
    if not files:
        raise UserError(f"{path}: holds no DICOM files; give the folder of one series")
    return remembered(str(path), tuple((str(file), file.stat().st_mtime_ns) for file in files))


@lru_cache(REMEMBERED)
def remembered(path: str, files: tuple[tuple[str, int], ...]) -> Geometry:
    """Return the geometry of files whose times of change are part of the question."""
    found, series, sizes = [], Counter[str](), dict[tuple[int, int], Path]()
    for file in (Path(name) for name, _ in files):
        header = read(file, pixels=False)
        with guarded(file, "its header"):
            series[str(header.get("SeriesInstanceUID"))] += 1
            sizes.setdefault((int(header.Columns), int(header.Rows)), file)
            places = [place_of(header, frame) for frame in range(frame_count(header))]
            if photometric(header) not in GREY:
                raise UserError(f"{file}: is in colours, and a volume is of grey slices")
        if None in places:
            raise UserError(
                f"{file}: its header does not say where it lies in space (ImagePositionPatient, "
                "ImageOrientationPatient, PixelSpacing), so it is no slice of a volume"
            )
        found += [Slice(file, frame, place) for frame, place in enumerate(places) if place is not None]
    if len(series) > 1:
        counts = " and ".join(str(n) for n in sorted(series.values(), reverse=True))
        raise UserError(f"{path}: holds {len(series)} series, of {counts} files; give each a folder of its own")
    if len(sizes) > 1:
        one, two = list(sizes.items())[:2]
        raise UserError(
            f"{two[1]}: has {by(two[0])} pixels, but {one[1]} {by(one[0])}; slices of a volume have one size"
        )
    check_alike(found)
    return arranged(found, next(iter(sizes)))


def by(size: Sequence[int]) -> str:
    """Return a size in words, such as 512 x 512."""
    return " x ".join(map(str, size))


def check_alike(found: Sequence[Slice]) -> None:
    """Raise UserError unless all slices have the directions and the spacing of the first, at right angles."""
    first = found[0].place
    rows, columns = np.array(first.rows), np.array(first.columns)
    lengths = np.abs(np.array([rows @ rows, columns @ columns]) - 1)
    if max(*lengths, abs(rows @ columns)) > 10 * ALIKE or min(first.spacing) <= 0:
        raise UserError(f"{found[0].path}: its directions are not at right angles, or its spacing is not above 0")
    for each in found[1:]:
        if np.abs(np.array(each.place.rows + each.place.columns) - np.array(first.rows + first.columns)).max() > ALIKE:
            raise UserError(
                f"{each.path}: lies in another direction than {found[0].path}: mixed orientations (a localiser among "
                "the slices?); give each a folder of its own"
            )
        if np.abs(np.array(each.place.spacing) / np.array(first.spacing) - 1).max() > ALIKE:
            raise UserError(f"{each.path}: has another spacing of pixels than {found[0].path}; resample one of them")


def arranged(found: Sequence[Slice], size: tuple[int, int]) -> Geometry:
    """Return slices sorted along their normal, evenly spaced; raise UserError where they are not."""
    first = found[0].place
    rows, columns = np.array(first.rows), np.array(first.columns)
    normal = np.cross(rows, columns)
    slices = sorted(found, key=lambda each: float(normal @ np.array(each.place.position)))
    places = np.array([each.place.position for each in slices])
    step = normal * thickness(slices[0])
    if len(slices) > 1:
        check_distances(slices, places @ normal)
        step = (places[-1] - places[0]) / (len(slices) - 1)
        beside = places - places[0] - np.outer((places - places[0]) @ normal, normal)
        if np.linalg.norm(beside, axis=1).max() > SIDEWAYS * min(first.spacing):
            raise UserError(
                f"{slices[-1].path}: the slices are shifted sideways against each other (a tilted gantry); resample "
                "them to planes at right angles"
            )
    affine = np.eye(4)
    affine[:3, 0], affine[:3, 1] = rows * first.spacing[1], columns * first.spacing[0]
    affine[:3, 2], affine[:3, 3] = step, places[0]
    affine[:2] *= -1  # DICOM counts to the left and to the back
    return Geometry(tuple(slices), (*size, len(slices)), affine)


def check_distances(slices: Sequence[Slice], along: np.ndarray) -> None:
    """Raise UserError unless neighbouring slices are equally far apart; along: their places on the normal."""
    steps = np.diff(along)
    usual = float(np.median(steps))
    twice = np.flatnonzero(steps <= UNEVEN * max(usual, ALIKE))
    if twice.size:
        one, two = slices[twice[0]], slices[twice[0] + 1]
        raise UserError(
            f"{two.path}: lies at the place of {one.path}: several volumes in one series (times, echoes, copies?); "
            "give each a folder of its own"
        )
    wrong = np.flatnonzero(np.abs(steps - usual) > UNEVEN * usual)
    if wrong.size:
        one, two, step = slices[wrong[0]], slices[wrong[0] + 1], float(steps[wrong[0]])
        what = "slices are missing" if step > usual else "slices are unevenly spaced"
        raise UserError(
            f"{two.path}: lies {step:.4g} mm above {one.path}, where the others lie {usual:.4g} mm apart: {what}; add "
            "them, or resample the volume"
        )


def thickness(each: Slice) -> float:
    """Return the thickness of a slice that is alone, by its header; 1 mm where it says nothing."""
    header = read(each.path, pixels=False)
    with guarded(each.path, "its header"):
        source = of_frame(header, "PixelMeasuresSequence", each.frame)
        value = float(source.get("SliceThickness") or 1.0)
        return value if 0 < value < 1e4 else 1.0


class Voxels:
    """The voxels of a volume as an array that is read when it is asked for, as nibabel takes one."""

    is_proxy = True

    def __init__(self, slices: Sequence[Slice], shape: tuple[int, int, int]):
        self.slices, self.shape = slices, shape
        self.dtype, self.ndim = np.dtype(np.float32), 3

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """Return the values float32 [columns, rows, slices]."""
        values = np.empty(self.shape, np.float32)
        header, opened = None, None
        for k, each in enumerate(self.slices):
            if header is None or opened != each.path:
                header, opened = read(each.path), each.path
            values[:, :, k] = slice_values(each, header, self.shape[0] * self.shape[1]).T
        return values if dtype is None else values.astype(dtype)

    def __getitem__(self, index: Any) -> np.ndarray:
        part: np.ndarray = np.asarray(self)[index]
        return part


def slice_values(each: Slice, header: Any, max_pixels: int) -> np.ndarray:
    """Return the values of a slice [rows, columns] after slope and intercept; raise UserError for what are none."""
    stored = stored_values(each.path, header, each.frame, max_pixels)
    with guarded(each.path, "its pixels"):
        values = modality_values(header, each.frame, stored.values)
        if stored.colours == "MONOCHROME1":
            values = sum(value_range(header, each.frame, stored.values)) - values
    if not np.isfinite(values).all():
        raise UserError(f"{each.path}: pixels that are not all finite numbers")
    return values
