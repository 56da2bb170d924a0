"""Stored values to values with a meaning (Hounsfield units, ...), and these to what is to be seen of them.

A grey picture is shown, 0 black to 255 white, by the first of these that there is:

--window CENTRE,WIDTH    what lies below centre - width / 2 is black, above centre + width / 2 white
--white VALUE            0 is black, VALUE white
the file's own           the first table of its VOI LUT Sequence, else its first window, by its function
its range                from the smallest to the largest value that its stored bits can have

MONOCHROME1, where small values are bright, is turned round at the end.
"""

import math
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import UserError
from .files import of_frame
from .library import SKIP, guarded, pydicom
from .syntaxes import Stored, photometric, stored_values

WHITE = 255.0
GREY = ("MONOCHROME1", "MONOCHROME2")
COLOURS = ("RGB", "YBR_FULL", "PALETTE COLOR")
Window = tuple[float, float]


def modality_values(found: Any, frame: int, stored: np.ndarray) -> np.ndarray:
    """Return stored values after the Modality LUT, or slope and intercept: float64.  A header without has neither."""
    source = of_frame(found, "PixelValueTransformationSequence", frame)
    if source.get("ModalityLUTSequence"):
        applied: np.ndarray = pydicom().pixels.apply_modality_lut(stored, source)
        return applied.astype(np.float64)
    slope, intercept = rescale(found, frame)
    return stored.astype(np.float64) * slope + intercept


def rescale(found: Any, frame: int) -> tuple[float, float]:
    """Return (slope, intercept) of a frame; raise ValueError for what is no number."""
    source = of_frame(found, "PixelValueTransformationSequence", frame)
    slope, intercept = (source.get(name) for name in ("RescaleSlope", "RescaleIntercept"))
    slope, intercept = 1.0 if slope is None else float(slope), 0.0 if intercept is None else float(intercept)
    if not (math.isfinite(slope) and math.isfinite(intercept) and slope):
        raise ValueError("rescale slope")
    return slope, intercept


def plain_grey(found: Any, stored: Stored) -> bool:
    """Return whether a picture is 8-bit grey that its header changes in nothing."""
    names = ("ModalityLUTSequence", "VOILUTSequence", "WindowCenter", "RescaleSlope", "RescaleIntercept")
    changed = any(found.get(name) not in (None, "") for name in (*names, "SharedFunctionalGroupsSequence"))
    unsigned = int(found.get("PixelRepresentation") or 0) == 0 and stored.values.dtype.kind != "f"
    return not changed and unsigned and int(found.get("BitsStored") or 16) == 8 and stored.colours == "MONOCHROME2"


def shown_values(found: Any, frame: int, stored: np.ndarray, white: float | None, window: Window | None) -> np.ndarray:
    """Return a grey frame as it is to be seen: float64, 0 black to 255 white, by the rule of the module's docstring."""
    values = modality_values(found, frame, stored)
    if window is not None:
        return windowed(values, *window, "LINEAR_EXACT")
    if white is not None:
        return np.clip(values / white, 0, 1) * WHITE
    source = of_frame(found, "FrameVOILUTSequence", frame)
    if source.get("VOILUTSequence"):
        table: np.ndarray = pydicom().pixels.apply_voi(np.rint(values).astype(np.int64), source)
        bits = int(source.VOILUTSequence[0].LUTDescriptor[2])
        scaled: np.ndarray = table.astype(np.float64) * (WHITE / (2 ** min(max(bits, 1), 16) - 1))
        return scaled
    own = own_window(source)
    if own is not None:
        return windowed(values, *own, str(source.get("VOILUTFunction") or "LINEAR").upper())
    low, high = value_range(found, frame, stored)
    return np.clip((values - low) / (high - low), 0, 1) * WHITE


def own_window(source: Any) -> Window | None:
    """Return the first window of a header; None where it has none that is of use."""
    centre, width = (first_number(source.get(name)) for name in ("WindowCenter", "WindowWidth"))
    if centre is None or width is None or not (math.isfinite(centre) and math.isfinite(width)) or width <= 0:
        return None
    return centre, width


def first_number(value: Any) -> float | None:
    """Return the number of a field of one or several; None where there is none."""
    if value is None or value == "":
        return None
    return float(value if isinstance(value, str | int | float) else value[0])


def windowed(values: np.ndarray, centre: float, width: float, function: str) -> np.ndarray:
    """Return values through a window, 0 to 255.

    function: LINEAR, LINEAR_EXACT or SIGMOID, by the formulas of DICOM PS3.3, C.11.2.1.2 and C.11.2.1.3.
    """
    if function == "SIGMOID":
        steps = np.clip(-4 * (values - centre) / width, -700, 700)
        curved: np.ndarray = WHITE / (1 + np.exp(steps))
        return curved
    if function == "LINEAR":
        if width <= 1:
            return np.where(values > centre - 0.5, WHITE, 0.0)
        centre, width = centre - 0.5, width - 1
    straight: np.ndarray = np.clip((values - centre) / width + 0.5, 0, 1) * WHITE
    return straight


def value_range(found: Any, frame: int, stored: np.ndarray) -> Window:
    """Return the smallest and the largest value that stored bits can have, after the Modality LUT."""
    if stored.dtype.kind == "f":
        low, high = float(stored.min()), float(stored.max())
        return low, high if high > low else low + 1
    bits = int(found.BitsStored)
    signed = int(found.get("PixelRepresentation") or 0) == 1
    ends = np.array([-(1 << (bits - 1)), (1 << (bits - 1)) - 1] if signed else [0, (1 << bits) - 1])
    low, high = sorted(modality_values(found, frame, ends).tolist())
    return low, high if high > low else low + 1


def read_picture(
    path: Path, found: Any, frame: int, max_pixels: int, white: float | None, window: Window | None
) -> np.ndarray:
    """Return one frame of a file as a picture: [rows, columns, 1 or 3], 0 black to 255 white.

    uint8 where the file holds 8 bits that are shown as they are, else float32.

    Args:
        path: The file.
        found: What `files.read` returned of it.
        frame: Number of the frame, from 0.
        max_pixels: Limit on rows x columns.
        white: See the module's docstring.
        window: Centre and width, likewise.

    Raises:
        UserError: The file cannot be read, its colours are of an unknown kind, or values are not finite.
    """
    stored = stored_values(path, found, frame, max_pixels)
    with guarded(path, "its pixels"):
        if stored.colours in GREY and stored.values.ndim == 2:
            if plain_grey(found, stored) and window is None and white is None:
                return stored.values.astype(np.uint8)[:, :, None]
            values = shown_values(found, frame, stored.values, white, window)
            if not np.isfinite(values).all():
                raise UserError(f"{path}: pixels that are not all finite numbers", SKIP)
            values = WHITE - values if stored.colours == "MONOCHROME1" else values
            return values.astype(np.float32)[:, :, None]
        return coloured(path, found, stored)


def coloured(path: Path, found: Any, stored: Stored) -> np.ndarray:
    """Return a picture in colours as RGB, uint8 or, of more than 8 bits, float32 on the same scale."""
    if stored.colours not in COLOURS:
        raise UserError(
            f"{path}: its colours are {photometric(found)!r}, which are not read ({', '.join((*GREY, *COLOURS))} are)",
            SKIP,
        )
    if stored.colours == "PALETTE COLOR":
        return palette(found, stored.values)
    bits = int(found.BitsStored)
    if bits == 8:
        values = stored.values.astype(np.uint8)
        return from_ybr(values) if stored.colours == "YBR_FULL" else values
    if stored.colours != "RGB":
        raise UserError(f"{path}: {stored.colours} of {bits} bits is not read, of 8 bits it is", SKIP)
    deep: np.ndarray = (stored.values * (WHITE / (2**bits - 1))).astype(np.float32)
    return deep


def palette(found: Any, indices: np.ndarray) -> np.ndarray:
    """Return the colours that a palette gives; a table of 16 bits that repeats bytes is one of 8."""
    kind = np.uint16 if indices.max(initial=0) > 255 else np.uint8
    table: np.ndarray = pydicom().pixels.apply_color_lut(indices.astype(kind), found)[..., :3]
    if table.dtype == np.uint8:
        return table
    if not (table % 257).any():
        return (table // 257).astype(np.uint8)
    deep: np.ndarray = (table.astype(np.float64) * (WHITE / 65535)).astype(np.float32)
    return deep


def from_ybr(values: np.ndarray) -> np.ndarray:
    """Return red, green, blue of YBR_FULL, 8 bits (DICOM PS3.3, C.7.6.3.1.2: the inverse of its matrix)."""
    luma, blue, red = (values[..., c].astype(np.float64) - (0, 128, 128)[c] for c in range(3))
    mixed = [luma + 1.402 * red, luma - 0.344136 * blue - 0.714136 * red, luma + 1.772 * blue]
    return np.clip(np.rint(np.stack(mixed, axis=-1)), 0, 255).astype(np.uint8)
