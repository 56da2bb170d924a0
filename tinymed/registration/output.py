"""What a registration leaves behind: transform, warped image, figures and picture, each file whole or not there."""

import gzip
import io
from pathlib import Path
from typing import Any

import numpy as np

from ..data.volumes import nibabel, volume_bytes
from ..errors import UserError, printable
from ..files import write_atomic, write_json
from ..report.plots import new_figure, write_png
from .config import RegisterConfig
from .optimise import Registration
from .spaces import Image, Space
from .transforms import Dense, Rigid, warp

TRANSFORM, FIELD, PICTURE, REPORT = "transform.json", "field.nii.gz", "before_after.png", "registration.json"
SQUARES = 8  # a side of the chessboard


def new_folder(folder: Path) -> Path:
    """Make the folder of results.

    Raises:
        UserError: It holds something already, or is a file.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"{folder}: exists and is not an empty folder; give another --out")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def figures(found: Registration, fixed: Image, moving: Image, config: RegisterConfig) -> dict[str, Any]:
    """Return what there is to report: losses before and after, and what the map does to space."""
    length = np.linalg.norm(found.displacement, axis=-1)
    return {
        "fixed": printable(fixed.path),
        "moving": printable(moving.path),
        "fixed_size": list(fixed.space.size),
        "moving_size": list(moving.space.size),
        "metric": config.metric,
        "loss_before": found.before,
        "loss_after": found.after,
        "displacement_mean": float(length.mean()),
        "displacement_max": float(length.max()),
        "unit": unit(fixed),
        "jacobian_min": float(found.jacobian.min()),
        "jacobian_max": float(found.jacobian.max()),
        "folded": found.folded,
        "stages": [
            {"transform": s.transform, "size": list(s.size), "steps": len(s.losses), "last_loss": s.losses[-1]}
            for s in found.stages
        ],
        "config": config.model_dump(),
    }


def unit(image: Image) -> str:
    """Return the unit of the image's world."""
    return "pixel" if image.volume is None else "mm"


def save(found: Registration, fixed: Image, moving: Image, config: RegisterConfig, folder: Path) -> dict[str, Any]:
    """Write everything into a folder; return the report with the files' names.

    Raises:
        UserError: A field is to be written and nibabel is not installed.
    """
    report = figures(found, fixed, moving, config)
    files = {"transform": TRANSFORM, "warped": write_warped(found, fixed, moving, folder), "picture": PICTURE}
    base = found.transform.base if isinstance(found.transform, Dense) else found.transform
    write_json(
        folder / TRANSFORM,
        {
            "maps": "a point of the fixed image to the point of the moving image that belongs there",
            "axes": ["row", "column"] if fixed.volume is None else ["x (right)", "y (front)", "z (up)"],
            "unit": unit(fixed),
            "transform": "rigid" if config.transform == "rigid" else "affine",
            "matrix": base.world().tolist(),
            "field": FIELD if isinstance(found.transform, Dense) else None,
        },
    )
    if isinstance(found.transform, Dense):
        files["field"] = FIELD
        write_atomic(folder / FIELD, [field_bytes(found.displacement, fixed.space)])
    draw(found, fixed, moving, folder / PICTURE)
    report["files"] = files
    write_json(folder / REPORT, report)
    return report


def field_bytes(displacement: np.ndarray, space: Space) -> bytes:
    """Encode a displacement field as NIfTI: vectors in the world's unit and axes, on the fixed image's pixels.

    Args:
        displacement: [*size, axes], the affine part included.
        space: The fixed image's; a picture has one plane, its axes are row and column.
    """
    nib = nibabel()
    flat = displacement.reshape(*space.size, *[1] * (4 - space.rank), space.rank).astype(np.float32)
    affine = np.eye(4)
    affine[: space.rank, : space.rank] = space.affine[:-1, :-1]
    affine[: space.rank, 3] = space.affine[:-1, -1]
    image = nib.Nifti1Image(flat, affine)
    image.header.set_intent("vector", name="displacement RAS")
    if space.rank == 3:
        image.header.set_xyzt_units("mm")
    return gzip.compress(image.to_bytes(), 6, mtime=0)


def write_warped(found: Registration, fixed: Image, moving: Image, folder: Path) -> str:
    """Write the moving image on the fixed one's pixels; return the file's name."""
    if fixed.volume is not None:
        values = found.moved[..., 0] if found.moved.shape[-1] == 1 else found.moved
        write_atomic(folder / "warped.nii.gz", [volume_bytes(values, fixed.volume, compressed=True)])
        return "warped.nii.gz"
    from PIL import Image as Pictures

    pixels = np.clip(np.rint(found.moved), 0, 255).astype(np.uint8)
    content = io.BytesIO()
    Pictures.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels).save(content, "png")
    write_atomic(folder / "warped.png", [content.getvalue()])
    return "warped.png"


def draw(found: Registration, fixed: Image, moving: Image, path: Path) -> None:
    """Draw the fixed image, chessboards and differences before and after, and the map's change of volume.

    Before: the images as their headers lay them.  Of a volume the middle plane is shown, from the foot, front up.
    """
    before = Rigid(fixed.space, moving.space, np.zeros(fixed.space.rank))
    still, first, last = (
        plane(values)
        for values in (
            fixed.grey,
            *(warp(moving.grey[..., None], t, fixed.space.size)[..., 0] for t in (before, found.transform)),
        )
    )
    panels = [
        ("fixed", still, "gray", (0, 1)),
        ("before: chessboard", chessboard(still, first), "gray", (0, 1)),
        ("after: chessboard", chessboard(still, last), "gray", (0, 1)),
        ("volume after / before", plane(found.jacobian), "PuOr", (0, 2)),
        ("before: moving - fixed", first - still, "coolwarm", (-1, 1)),
        ("after: moving - fixed", last - still, "coolwarm", (-1, 1)),
    ]
    figure = new_figure(9, 6.2)
    sides = np.delete(fixed.space.spacing, 2)[::-1] if fixed.space.rank == 3 else fixed.space.spacing
    for axes, (title, values, colours, (low, high)) in zip(figure.subplots(2, 3).flat, panels, strict=True):
        shown = axes.imshow(values, cmap=colours, vmin=low, vmax=high, aspect=sides[0] / sides[1])
        axes.set_title(title, fontsize=9)
        axes.axis("off")
        if colours == "PuOr":
            figure.colorbar(shown, ax=axes, shrink=0.7)
    write_png(figure, path)


def plane(values: np.ndarray) -> np.ndarray:
    """Return a picture, or the middle plane of a volume as it is shown."""
    return values if values.ndim == 2 else values[:, ::-1, values.shape[2] // 2].T


def chessboard(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Return two pictures of one size in alternate squares."""
    rows, columns = np.ogrid[: one.shape[0], : one.shape[1]]
    side = max(1, min(one.shape) // SQUARES)
    return np.where((rows // side + columns // side) % 2 == 0, one, other)
