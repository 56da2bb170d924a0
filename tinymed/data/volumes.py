"""NIfTI volumes: read into one orientation, and label volumes written back into the file's own.

Arrays have the axes x, y, z from left to right, back to front, foot to head (RAS+), whatever the order in the file, so
that a network sees every patient the same way up; what is written has the order, affine and spacing of its image.
nibabel reads the format: `pip install "tinymed[medical]"`.
"""

import gzip
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tinymed.errors import UserError

SUFFIXES = (".nii.gz", ".nii")
MAX_VOXELS = 1 << 28


def is_volume(path: Path) -> bool:
    """Whether a file's name is that of a NIfTI volume."""
    return path.name.lower().endswith(SUFFIXES)


def nibabel() -> Any:
    """The library, or a UserError that says how to get it."""
    try:
        import nibabel
    except ImportError:
        raise UserError('NIfTI volumes need nibabel: pip install "tinymed[medical]"') from None
    return nibabel


@dataclass(frozen=True)
class Volume:
    """values: float32 [x, y, z, channels], RAS+.  spacing: millimetres along x, y, z.  origin: the file, so that
    `volume_bytes` can put an array back into its order."""

    values: np.ndarray
    spacing: tuple[float, float, float]
    origin: Any


def opened(path: Path) -> Any:
    """The nibabel image of a file, its voxels not read yet.  Raises UserError naming the file."""
    nib = nibabel()
    if not path.is_file():
        raise UserError(f"{path}: no such file; correct the path or the list that names it")
    try:
        image = nib.load(path)
    except Exception as error:  # a damaged header raises nearly anything
        raise UserError(f"{path}: not a readable NIfTI volume ({error}); replace or remove it") from None
    if len(image.shape) not in (3, 4) or min(image.shape) < 1:
        raise UserError(f"{path}: a volume has the axes x, y, z and perhaps channels, this one has {image.shape}")
    if np.prod(image.shape, dtype=np.int64) > MAX_VOXELS:
        raise UserError(f"{path}: {image.shape} voxels are more than the limit of {MAX_VOXELS:,}")
    return image


def canonical(path: Path, image: Any) -> tuple[np.ndarray, tuple[float, float, float]]:
    """(voxels in RAS+ order, spacing along those axes).  Raises UserError for a damaged file or no finite value."""
    nib = nibabel()
    try:
        turned = nib.as_closest_canonical(image)
        values = np.asarray(turned.dataobj)
        spacing = tuple(float(s) for s in nib.affines.voxel_sizes(turned.affine))
    except Exception as error:
        raise UserError(f"{path}: its voxels cannot be read ({error}); download or convert it again") from None
    if values.dtype.kind not in "iuf" or (values.dtype.kind == "f" and not np.isfinite(values).all()):
        raise UserError(f"{path}: voxels of type {values.dtype} that are not all finite numbers")
    return values, (spacing[0], spacing[1], spacing[2])


def read_volume(path: str | Path) -> Volume:
    """A NIfTI file as float32.  Raises UserError naming the file: missing, damaged, too large, not finite."""
    path = Path(path)
    image = opened(path)
    values, spacing = canonical(path, image)
    values = values.astype(np.float32)
    return Volume(values if values.ndim == 4 else values[..., None], spacing, image)


def read_values(path: str | Path) -> tuple[np.ndarray, tuple[float, float, float]]:
    """(a label volume as it is in the file [x, y, z], spacing); whole numbers as integers where they are."""
    path = Path(path)
    values, spacing = canonical(path, opened(path))
    if values.ndim == 4 and values.shape[3] == 1:
        values = values[..., 0]
    if values.ndim != 3:
        raise UserError(f"{path}: a label volume has the axes x, y, z, this one has the shape {values.shape}")
    whole = np.rint(values)
    return (whole.astype(np.int32) if values.dtype.kind != "f" or (whole == values).all() else values), spacing


def volume_bytes(values: np.ndarray, like: Volume, compressed: bool) -> bytes:
    """A NIfTI file of an array [x, y, z] in RAS+, with order, affine and spacing of the file that `like` comes from."""
    nib = nibabel()
    ours, theirs = nib.orientations.axcodes2ornt("RAS"), nib.orientations.io_orientation(like.origin.affine)
    turned = nib.orientations.apply_orientation(values, nib.orientations.ornt_transform(ours, theirs))
    image = nib.Nifti1Image(np.ascontiguousarray(turned), like.origin.affine)
    header = getattr(like.origin, "header", None)
    if isinstance(header, nib.Nifti1Header):
        image.header.set_xyzt_units(*header.get_xyzt_units())
        for code in ("sform", "qform"):
            getattr(image, f"set_{code}")(*getattr(like.origin, f"get_{code}")(coded=True))
    content: bytes = image.to_bytes()
    return gzip.compress(content, 6, mtime=0) if compressed else content
