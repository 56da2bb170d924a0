"""Results of a restoration: a table, figures of every picture, examples side by side, restored pictures as files."""

import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ...data.image import MAX_16_BIT
from ...errors import UserError
from ...files import write_atomic
from ...metrics.measures import Mean, Measure
from ...report.plots import new_figure, write_png
from ...report.tables import interval, number, table
from .rows import Cases, Row

NAMES = {"psnr": "PSNR, dB", "ssim": "SSIM"}
SHOWN = 4  # pictures that are drawn, from the least to the best restored
Triple = tuple[np.ndarray, np.ndarray, np.ndarray]  # clean, noisy, restored [height, width, channels]


def restoration_text(result: dict[str, Any], title: str) -> str:
    """Return an evaluation as text: the measures with intervals, and the gain over the noisy picture."""
    lines = [f"{title}: n = {result['n']} pictures with {result['corruption']}, {100 * result['level']:g} % intervals"]
    rows: list[tuple[str, ...]] = [("", *(cell for text in NAMES.values() for cell in (text, "")))]
    rows.append(("restored", *(c for m in NAMES for c in (number(result[m]), interval(result[f"{m}_interval"])))))
    for name, floor in result["floors"].items():
        rows.append((f"floor: {name}", *(cell for m in NAMES for cell in (number(floor[m]), ""))))
        gains = ((number(floor[f"{m}_gain"]), interval(floor[f"{m}_gain_interval"])) for m in NAMES)
        rows.append((f"gain over {name}", *(cell for pair in gains for cell in pair)))
    return "\n".join([*lines, table(rows), *(f"note: {note}" for note in result["warnings"])])


def save_restored_examples(show: Callable[[int], Triple], psnr: Sequence[float], path: Path, title: str) -> None:
    """Draw clean, noisy and restored pictures and what was taken off, from the least restored to the best."""
    order = np.argsort(np.asarray(psnr), kind="stable")
    chosen = list(dict.fromkeys(order[np.rint(np.linspace(0, len(order) - 1, SHOWN)).astype(int)].tolist()))
    figure = new_figure(9.2, 2.5 * len(chosen) + 0.6)
    for axes, index in zip(figure.subplots(len(chosen), 4, squeeze=False), chosen, strict=True):
        clean, noisy, restored = show(index)
        difference = (noisy - restored).mean(axis=-1)
        most = float(np.abs(difference).max()) or 1.0
        pictures = [(f"noisy, restored to {psnr[index]:.2f} dB", noisy), ("restored", restored), ("clean", clean)]
        for place, (name, picture) in zip(axes, pictures, strict=False):
            place.imshow(picture if picture.shape[-1] == 3 else picture[..., 0], cmap="gray", vmin=0, vmax=1)
            place.set_title(name, fontsize=8)
        axes[3].imshow(difference, cmap="coolwarm", vmin=-most, vmax=most)
        axes[3].set_title("taken off", fontsize=8)
        for place in axes:
            place.axis("off")
    figure.suptitle(title)
    write_png(figure, path)


def write_restored(
    picture: np.ndarray, path: Path, deep: bool, white: float | None, window: tuple[float, float] | None = None
) -> Path:
    """Write a restored picture at the depth that its file had; return the file, which is whole or not there.

    8 bits become an 8-bit PNG, deeper integers a 16-bit PNG on their own scale, floating-point pixels a 32-bit TIFF.
    Through a window values keep the scale of the file too: what a PNG cannot hold, below 0 or no more than 255 levels,
    is a 32-bit TIFF.

    Args:
        picture: float32 [height, width, channels] in 0...1.
        path: Where, without a suffix.
        deep: Whether the picture was deeper than 8 bits.
        white: The value that was white in it; None: 65535.
        window: Instead of white, (centre, width) of what was black and white in it.

    Raises:
        UserError: A picture in colours is deeper than 8 bits, which a PNG of ours does not hold.
    """
    from PIL import Image

    flat = picture[..., 0] if picture.shape[-1] == 1 else picture
    low, top = 0.0, float(MAX_16_BIT) if white is None else white
    if window is not None:
        low, top = window[0] - window[1] / 2, window[0] + window[1] / 2
    whole = low >= 0 and 255 < top <= MAX_16_BIT
    if deep and flat.ndim == 3:
        raise UserError(f"{path.name}: a picture in colours deeper than 8 bits cannot be written; train with --grey")
    if not deep:
        made, kind = Image.fromarray(np.rint(255 * flat).astype(np.uint8)), "png"
    elif whole:
        made, kind = Image.fromarray(np.rint(low + (top - low) * flat).astype(np.uint16)), "png"
    else:
        made, kind = Image.fromarray((low + (top - low) * flat).astype(np.float32)), "tiff"
    buffer = io.BytesIO()
    made.save(buffer, kind)
    file = path.with_name(f"{path.name}.{kind}")
    write_atomic(file, [buffer.getvalue()])
    return file


def restored_rows(details: Sequence[Row]) -> list[Row]:
    """Return what predictions.csv says of each picture: how near the restored one and the noisy one are."""
    names = [name for name in details[0] if name.endswith(("_psnr", "_ssim"))]
    return [
        {"path": row["path"]} | {name.removeprefix("restored_").replace("_", " "): row[name] for name in names}
        for row in details
    ]


def restored_figures(cases: Cases) -> dict[str, Measure]:
    """Return the measures of a list of restored pictures."""
    return {"psnr": Mean(cases.numbers("psnr")), "ssim": Mean(cases.numbers("ssim"), (-1, 1))}
