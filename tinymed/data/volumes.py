"""Volumes in NIfTI, DICOM or TIFF: read into one orientation, and label volumes written back into the file's own.

Arrays have the axes x, y, z from left to right, back to front, foot to head (RAS+), whatever the order in the file, so
that a network sees every patient the same way up; what is written has the order, affine and spacing of its image.
nibabel reads the format: `pip install "tinymed[medical]"`.  A DICOM series is a folder, or a file of several frames,
see `data/dicom/series.py`; a TIFF of several pages is a volume too, see `data/tiff.py`.
"""

import gzip
import logging
import math
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import UserAdvice, UserError
from .dicom.files import is_dicom
from .dicom.privacy import safe_name
from .dicom.series import Voxels, geometry, is_series
from .tiff import Pages, is_stack, stack_of

SUFFIXES = (".nii.gz", ".nii")
MAX_VOXELS = 1 << 28
GEOMETRY = ("pixdim", "form_code", "qfac", "quatern")  # of a header: what places voxels in space
DEFLATE = 1032  # bytes that a byte of a gzip file can stand for at most
MOST_LABEL = 2**31 - 1  # that the number of a class may be in a file
SAME = 1e-3  # of a voxel, and of a direction's cosine: what rounding in headers comes to
MILLIMETRES = {1: 1000.0, 3: 1e-3}  # in a unit of length of NIfTI, by its code; other files are in millimetres
TURNED = 0.1  # of a direction's cosine, and
STRETCHED = 0.01  # of a spacing: from where two places in one header are said to differ


def is_volume(path: Path, page: int | None = None) -> bool:
    """Return whether a file's name is that of a NIfTI volume, or a path holds a DICOM series or a TIFF of pages.

    page: Of files of several pages the one that is read, which makes them pictures; None: all.
    """
    return path.name.lower().endswith(SUFFIXES) or is_series(path) or (page is None and is_stack(path))


def stem(path: Path) -> str:
    """Return a file's name without its suffix, .nii.gz being one; a folder's whole name."""
    if path.is_dir():
        return path.name
    lower = path.name.lower()
    ending = next((s for s in SUFFIXES if lower.endswith(s)), path.suffix)
    return path.name[: len(path.name) - len(ending)] if ending else path.name


def case_name(path: Path) -> str:
    """Return what files that are made of an image are called after: its stem, of DICOM its number."""
    if path.is_dir():
        is_series(path)  # both notice DICOM, whose names are hidden from then on
    else:
        is_dicom(path)
    return safe_name(path, stem(path))


def nibabel() -> Any:
    """Return the library; raise a UserError that says how to get it."""
    try:
        import nibabel
    except ImportError:
        raise UserError('volumes need nibabel: pip install "tinymed[medical]"') from None
    if LISTENER not in nibabel.imageglobals.logger.filters:
        nibabel.imageglobals.logger.addFilter(LISTENER)
    return nibabel


class Listener(logging.Filter):
    """What nibabel logs of a header while this thread listens: it repairs headers and names no file."""

    def __init__(self) -> None:
        super().__init__()
        self.local = threading.local()

    def filter(self, record: logging.LogRecord) -> bool:
        """Take a message down instead of letting it through."""
        heard: list[str] | None = getattr(self.local, "heard", None)
        if heard is None:
            return True
        heard.append(record.getMessage())
        return False

    @contextmanager
    def listening(self) -> Iterator[list[str]]:
        """Give the list in which this thread's messages are taken down."""
        self.local.heard = []
        try:
            yield self.local.heard
        finally:
            self.local.heard = None


LISTENER = Listener()


@dataclass(frozen=True)
class Volume:
    """A volume in RAS+ orientation.

    Attributes:
        values: float32 [x, y, z, channels].
        spacing: Millimetres along x, y, z.
        origin: The file, so that `volume_bytes` can put an array back into its order.
    """

    values: np.ndarray
    spacing: tuple[float, float, float]
    origin: Any


def open_image(path: Path) -> Any:
    """Return the nibabel image of a file, its voxels not read yet.

    Raises:
        UserError: Names the file: missing, damaged, more voxels than MAX_VOXELS, or than the file can hold.
    """
    nib = nibabel()
    if is_series(path):
        return check_voxels(path, series_image(path))
    if is_stack(path):
        return check_voxels(path, stack_image(path))
    if not path.is_file():
        raise UserError(f"{path}: no such file; correct the path or the list that names it")
    try:
        with LISTENER.listening() as heard:
            image = nib.load(path)
        affine = np.asarray(image.affine)
        turns = nib.orientations.io_orientation(affine)
    except Exception as error:  # a damaged header raises nearly anything
        raise UserError(f"{path}: not a readable NIfTI volume ({one_line(error)}); replace or remove it") from None
    if len(image.shape) not in (3, 4) or min(image.shape) < 1:
        raise UserError(f"{path}: a volume has the axes x, y, z and perhaps channels, this one has {image.shape}")
    check_voxels(path, image)
    if not np.isfinite(affine).all() or set(turns[:, 0].tolist()) != {0.0, 1.0, 2.0}:
        raise UserError(f"{path}: its header gives no directions in space ({affine[:3].tolist()}); convert it again")
    check_length(path, image)
    repaired = [text for text in heard if any(word in text for word in GEOMETRY)]
    if repaired:
        warnings.warn(UserAdvice(f"{path}: its header was repaired ({'; '.join(repaired)}); check it"), stacklevel=2)
    return image


def two_places(path: Path) -> str:
    """Return what a header says that places its voxels twice, with other directions or spacings; else nothing.

    Programs that prefer qform to sform see such a volume mirrored, turned or stretched.
    """
    image = open_image(path)
    if not isinstance(image, nibabel().Nifti1Pair):
        return ""
    one, two = image.get_sform(coded=True)[0], image.get_qform(coded=True)[0]
    if one is None or two is None:
        return ""
    sides = [np.linalg.norm(place[:3, :3], axis=0) for place in (one, two)]
    turn = np.abs(one[:3, :3] / sides[0] - two[:3, :3] / sides[1]).max()
    stretch = np.abs(sides[1] / sides[0] - 1).max()
    if turn <= TURNED and stretch <= STRETCHED:
        return ""
    return f"sform {placed(one)}; qform {placed(two)}"


def in_millimetres(image: Any) -> np.ndarray:
    """Return the affine of an opened volume in millimetres, whatever unit of length its header has."""
    header = getattr(image, "header", None)
    code = int(header["xyzt_units"]) % 8 if isinstance(header, nibabel().Nifti1Header) else 0
    affine: np.ndarray = np.array(image.affine, np.float64)
    affine[:3] *= MILLIMETRES.get(code, 1.0)
    return affine


def check_voxels(path: Path, image: Any) -> Any:
    """Return an opened volume; raise UserError for more voxels than MAX_VOXELS."""
    if np.prod(image.shape, dtype=np.int64) > MAX_VOXELS:
        raise UserError(f"{path}: {image.shape} voxels are more than the limit of {MAX_VOXELS:,}")
    return image


def series_image(path: Path) -> Any:
    """Return a DICOM series as an image of nibabel, its voxels not read yet."""
    found = geometry(path)
    return nibabel().Nifti1Image(Voxels(found.slices, found.shape), found.affine)


def stack_image(path: Path) -> Any:
    """Return a TIFF of several pages as an image of nibabel, its voxels not read yet."""
    stack = stack_of(path)
    image = nibabel().Nifti1Image(Pages(path, stack), np.diag([*stack.spacing, 1.0]))
    image.header.set_xyzt_units("mm")
    return image


def one_line(error: Exception) -> str:
    """Return what an error says, in one line."""
    return " ".join(str(error).split()) or type(error).__name__


def check_length(path: Path, image: Any) -> None:
    """Raise UserError where the header claims more bytes than the file holds, or could hold if compressed."""
    proxy = image.dataobj
    claimed = int(proxy.offset) + math.prod(image.shape) * np.dtype(proxy.dtype).itemsize
    held = path.stat().st_size
    most = held * DEFLATE + 1024 if path.name.lower().endswith(".gz") else held
    if claimed > most or int(proxy.offset) < 0:
        raise UserError(
            f"{path}: its voxels cannot be read: the header claims {claimed:,} bytes, the file has {held:,}; "
            "download or convert it again"
        )


def check_grids(first: Path, second: Path, what: str) -> None:
    """Raise UserError unless two volumes lie on the same voxels in space: size, direction, spacing, origin.

    Both are turned by their own headers when they are read, so headers that disagree would pair wrong voxels.

    Args:
        first: The image.
        second: Its mask, or another modality of it.
        what: What the second file is, such as "mask".
    """
    headers = [open_image(path) for path in (first, second)]
    (a, shape), (b, other) = (grid(header) for header in headers)
    if shape != other:
        return  # said with the sizes, where they are compared
    sides = [np.linalg.norm(m[:3, :3], axis=0) for m in (a, b)]
    off = {
        "direction": np.abs(a[:3, :3] / sides[0] - b[:3, :3] / sides[1]).max(),
        "spacing": (np.abs(sides[0] - sides[1]) / sides[0])[known_spacing(first, second)].max(initial=0),
        "origin": np.abs(np.linalg.solve(a[:3, :3], a[:3, 3] - b[:3, 3])).max(),
    }
    wrong = [name for name, error in off.items() if not error <= SAME]
    if wrong:
        one, two = (placement(header) for header in headers)
        if one[:3] != two[:3] and "direction" not in wrong:
            wrong.insert(0, "direction")
        raise UserError(
            f"{second}: the {what} lies elsewhere in space than its image {first}: they differ in "
            f"{' and '.join(wrong)} ({two}; the image {one}); give both the same affine, or resample the {what}"
        )


def known_spacing(*paths: Path) -> list[bool]:
    """Return of each axis whether all volumes say their spacing: TIFF need not."""
    unsaid = {axis for path in paths if is_stack(path) for axis in stack_of(path).unsaid}
    return [axis not in unsaid for axis in "xyz"]


def grid(image: Any) -> tuple[np.ndarray, tuple[int, ...]]:
    """Return (affine in millimetres, size) of an opened volume once it is turned to RAS+; no voxel is read."""
    nib = nibabel()
    turns = nib.orientations.io_orientation(image.affine)
    size = [0, 0, 0]
    for axis, to in enumerate(turns[:, 0].astype(int)):
        size[to] = int(image.shape[axis])
    affine: np.ndarray = in_millimetres(image) @ nib.orientations.inv_ornt_aff(turns, image.shape[:3])
    return affine, tuple(size)


def turned_place(image: Any, place: Sequence[int]) -> tuple[int, ...]:
    """Return the index in RAS+ of a voxel by its index in the file of an opened volume.

    Example:
        >>> import nibabel as nib
        >>> turned_place(nib.Nifti1Image(np.ones((2, 3, 4), np.float32), np.diag([-1.0, 1.0, 1.0, 1.0])), (0, 1, 3))
        (1, 1, 3)
    """
    turns = nibabel().orientations.io_orientation(image.affine).astype(int)
    found = [0, 0, 0]
    for at, side, (axis, direction) in zip(place, image.shape[:3], turns, strict=True):
        found[axis] = int(at if direction > 0 else side - 1 - at)
    return tuple(found)


def placement(image: Any) -> str:
    """Return where a volume lies, in short: its axes' directions, spacing and origin as they are in the file."""
    return placed(in_millimetres(image))


def placed(affine: np.ndarray) -> str:
    """Return an affine in words."""
    axes = "".join(code or "?" for code in nibabel().aff2axcodes(affine))
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    return f"{axes}, spacing {by_number(spacing)}, origin {by_number(affine[:3, 3])}"


def by_number(values: np.ndarray) -> str:
    """Return numbers in words, such as 1 x 1 x 2.5."""
    return " x ".join(f"{v:.4g}" for v in values)


def canonical(path: Path, image: Any) -> tuple[np.ndarray, tuple[float, float, float]]:
    """Return (voxels in RAS+ order, spacing along those axes); raise UserError for a damaged file."""
    nib = nibabel()
    try:
        with LISTENER.listening():  # said when the file was opened
            turned = nib.as_closest_canonical(image)
        values = np.asarray(turned.dataobj)
        spacing = tuple(float(s) for s in nib.affines.voxel_sizes(in_millimetres(turned)))
    except UserError:
        raise
    except Exception as error:
        raise UserError(
            f"{path}: its voxels cannot be read ({one_line(error)}); download or convert it again"
        ) from None
    if values.dtype.kind not in "iuf":
        raise UserError(f"{path}: voxels of type {values.dtype}; a voxel has one real number a channel: convert it")
    check_finite(path, values)
    return values, (spacing[0], spacing[1], spacing[2])


def check_finite(path: Path, values: np.ndarray) -> None:
    """Raise UserError for voxels that are no numbers, or too large for the arithmetic of a network."""
    if values.dtype.kind != "f":
        return
    broken = values.size - int(np.isfinite(values).sum())
    if broken:
        raise UserError(
            f"{path}: {broken:,} of {values.size:,} voxels are nan or infinite; replace them by a number, such as that "
            "of the air around, and save it again"
        )
    largest = float(np.abs(values).max(initial=0))
    if largest > float(np.finfo(np.float32).max):
        raise UserError(f"{path}: voxels up to {largest:g} are too large for 32 bits; divide them and save it again")


def read_volume(path: str | Path) -> Volume:
    """Read a NIfTI file, a DICOM series or a TIFF of several pages as float32 in RAS+ orientation.

    The axes x, y, z go from left to right, from back to front, from foot to head.

    Args:
        path: A .nii or .nii.gz file, a folder with the slices of a DICOM series, a DICOM file of several frames, or a
            TIFF of several pages, which has no orientation: its columns are x, its rows y, its pages z.

    Returns:
        A Volume: values float32 [x, y, z, channels], spacing in millimetres, origin.

    Raises:
        UserError: The file is missing, damaged, too large or not finite (names it), or nibabel is not installed.

    Example:
        >>> import nibabel as nib
        >>> nib.save(nib.Nifti1Image(np.ones((2, 3, 4), np.float32), np.diag([1.0, 1.0, 2.5, 1.0])), "scan.nii")
        >>> volume = read_volume("scan.nii")
        >>> volume.values.shape, volume.spacing
        ((2, 3, 4, 1), (1.0, 1.0, 2.5))
    """
    path = Path(path)
    image = open_image(path)
    values, spacing = canonical(path, image)
    values = values.astype(np.float32)
    return Volume(values if values.ndim == 4 else values[..., None], spacing, image)


def read_values(path: str | Path) -> tuple[np.ndarray, tuple[float, float, float]]:
    """Return a label volume as it is in the file [x, y, z], whole numbers as integers, and its spacing.

    Raises UserError for what is no volume, see `read_volume`, and for numbers that no class has.
    """
    path = Path(path)
    values, spacing = canonical(path, open_image(path))
    if values.ndim == 4 and values.shape[3] == 1:
        values = values[..., 0]
    if values.ndim != 3:
        raise UserError(f"{path}: a label volume has the axes x, y, z, this one has the shape {values.shape}")
    low, high = values.min(), values.max()
    if not -MOST_LABEL <= low <= high <= MOST_LABEL:
        raise UserError(
            f"{path}: label values from {low:g} to {high:g}, expected -{MOST_LABEL:,} to {MOST_LABEL:,}; is it a mask? "
            "Number its classes from 0 and save it again"
        )
    whole = np.rint(values)
    return (whole.astype(np.int32) if values.dtype.kind != "f" or (whole == values).all() else values), spacing


def as_stored(values: np.ndarray, like: Volume) -> np.ndarray:
    """Return an array in RAS+ in the order that another volume has in its file."""
    nib = nibabel()
    ours, theirs = nib.orientations.axcodes2ornt("RAS"), nib.orientations.io_orientation(like.origin.affine)
    turned = nib.orientations.apply_orientation(values, nib.orientations.ornt_transform(ours, theirs))
    return np.ascontiguousarray(turned)


def volume_bytes(values: np.ndarray, like: Volume, compressed: bool) -> bytes:
    """Encode an array in RAS+ as a NIfTI file with the order, affine and spacing of another.

    Args:
        values: [x, y, z].
        like: The volume whose order, affine and spacing the file takes.
        compressed: Compress by gzip, as for .nii.gz.

    Returns:
        The file's content; equal arrays give equal bytes.

    Raises:
        UserError: nibabel is not installed.

    Example:
        >>> import nibabel as nib
        >>> nib.save(nib.Nifti1Image(np.ones((2, 3, 4), np.float32), np.diag([-1.0, 1.0, 1.0, 1.0])), "scan.nii")
        >>> volume = read_volume("scan.nii")
        >>> content = volume_bytes(np.zeros((2, 3, 4), np.uint8), volume, compressed=False)
        >>> float(nib.Nifti1Image.from_bytes(content).affine[0, 0])
        -1.0
    """
    nib = nibabel()
    image = nib.Nifti1Image(as_stored(values, like), like.origin.affine)
    header = getattr(like.origin, "header", None)
    if isinstance(header, nib.Nifti1Header):
        image.header.set_xyzt_units(*header.get_xyzt_units())
        for code in ("sform", "qform"):
            getattr(image, f"set_{code}")(*getattr(like.origin, f"get_{code}")(coded=True))
    return packed(image, compressed)


def picture_bytes(values: np.ndarray, path: Path) -> bytes:
    """Return the mask of a picture [rows, columns] as .nii.gz of one slice, where DICOM says that it lies.

    Raises UserError where the picture has no place in space.
    """
    if not is_dicom(path):
        raise UserError(f"{path}: a picture has no place in space, which NIfTI needs; leave --masks out, or use png")
    image = series_image(path)
    return packed(nibabel().Nifti1Image(np.ascontiguousarray(values.T[:, :, None]), image.affine), True)


def packed(image: Any, compressed: bool) -> bytes:
    """Return the content of a NIfTI file."""
    content: bytes = image.to_bytes()
    return gzip.compress(content, 6, mtime=0) if compressed else content
