"""Results of an auto-encoder: a table beside its floors, originals beside reconstructions, errors of every image."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ...metrics.measures import Mean, Measure
from ...metrics.reconstruction import peak_signal_to_noise
from ...report.samples import save_samples
from ...report.tables import interval, number, table
from .rows import Cases, Row, write_rows


def reconstruction_text(result: dict[str, Any], title: str) -> str:
    """Return an evaluation as text: the measures with intervals, and beneath them the floors."""
    units = "" if result["groups"] == result["n"] else f" of {result['groups']} files or patients"
    lines = [f"{title}: n = {result['n']}{units}, {100 * result['level']:g} % intervals"]
    lines.append(
        table(
            [
                ("mean squared error", number(result["mse"], 6), small_interval(result["mse_interval"])),
                ("PSNR (dB)", number(result["psnr"], 2), interval(result["psnr_interval"])),
            ]
        )
    )
    rows = [("floor", "MSE", "PSNR", "gain (dB)", "")]
    for name, floor in result["floors"].items():
        cells = (number(floor["mse"], 6), number(floor["psnr"], 2), number(floor["gain"], 2))
        rows.append((name, *cells, interval(floor["gain_interval"])))
    if len(rows) > 1:
        lines += ["", table(rows)]
    return "\n".join(lines + [f"note: {note}" for note in result["warnings"]])


def small_interval(bounds: Sequence[float] | None) -> str:
    """Return bounds of a small number as text."""
    return "" if bounds is None else f"[{bounds[0]:.6f}, {bounds[1]:.6f}]"


def save_reconstructions(
    folder: Path, names: Sequence[str], errors: dict[str, np.ndarray], psnr: np.ndarray, rows: Sequence[np.ndarray]
) -> None:
    """Write errors.csv and reconstructions.png.

    Args:
        folder: Where.
        names: Of the images.
        errors: Mean squared errors of each image, by method; the network's under "".
        psnr: The network's, of each image.
        rows: Of the picture: images from 0 to 1 each, an array a row.
    """
    table_rows = [
        {"path": name, "mse": float(errors[""][i]), "psnr": float(psnr[i])}
        | {f"mse of {method}": float(values[i]) for method, values in errors.items() if method}
        for i, name in enumerate(names)
    ]
    write_rows(folder / "errors.csv", table_rows)
    save_samples(rows, folder / "reconstructions.png")


def reconstructed_rows(names: Sequence[str], errors: np.ndarray) -> list[Row]:
    """Return what predictions.csv says of each image: the mean squared error of its reconstruction, and its PSNR."""
    ratios = peak_signal_to_noise(errors)
    return [{"path": n, "mse": float(e), "psnr": float(r)} for n, e, r in zip(names, errors, ratios, strict=True)]


def reconstructed_figures(cases: Cases) -> dict[str, Measure]:
    """Return the measures of a list of reconstructed images."""
    return {"mse": Mean(cases.numbers("mse"), (0, np.inf), lower_is_better=True), "psnr": Mean(cases.numbers("psnr"))}
