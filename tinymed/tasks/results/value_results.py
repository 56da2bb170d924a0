"""Results of a regression: a table, predicted against true, Bland and Altman's plot, predictions of every image."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ...metrics.measures import Mean, Measure, Weighted
from ...report.agreement import save_bland_altman, save_scatter
from ...report.tables import interval, number, table
from .rows import Cases, Row

NAMES = {
    "mae": "mean absolute error",
    "rmse": "root mean squared error",
    "median_error": "median absolute error",
    "r2": "R2",
    "pearson": "Pearson's correlation",
    "ccc": "concordance (Lin)",
    "icc": "intraclass correlation (2,1)",
    "bias": "bias (predicted - true)",
}


def value_text(result: dict[str, Any], title: str, unit: str) -> str:
    """Return an evaluation as text: the measures with intervals, and beside them the floors."""
    measured = f", in {unit}" if unit else ""
    lines = [f"{title}: n = {result['n']}{measured}, {100 * result['level']:g} % intervals"]
    rows = [(text, number(result[key]), interval(result.get(f"{key}_interval"))) for key, text in NAMES.items()]
    if result["limits"] is not None:
        rows.append(("limits of agreement", "", interval(result["limits"])))
    rows.append(("rounded value exact", *shown(result["exact"])))
    rows += [(f"within {tolerance}", *shown(share)) for tolerance, share in result["within"].items()]
    lines += [table(rows), "", floor_table(result["floors"])]
    return "\n".join(lines + [f"note: {note}" for note in result["warnings"]])


def shown(share: dict[str, Any]) -> tuple[str, str]:
    """Return a share and its interval as text."""
    return number(share["share"]), interval(share["interval"])


def floor_table(floors: dict[str, dict[str, Any]]) -> str:
    """Return what trivial methods reach, and what the network gains over them."""
    rows = [("floor: always train's", "value", "MAE", "RMSE", "gain in MAE", "")]
    for name, floor in floors.items():
        cells = (number(floor["value"]), number(floor["mae"]), number(floor["rmse"]), number(floor["gain"]))
        rows.append((name, *cells, interval(floor["gain_interval"])))
    return table(rows)


def save_value_results(
    folder: Path,
    truth: np.ndarray,
    predicted: np.ndarray,
    result: dict[str, Any],
    shown_name: str,
    title: str,
) -> None:
    """Write scatter.png and bland_altman.png."""
    save_scatter(truth, predicted, folder / "scatter.png", shown_name, title)
    save_bland_altman(truth, predicted, result, folder / "bland_altman.png", shown_name, title)


def value_rows(names: Sequence[str], truth: np.ndarray, predicted: np.ndarray) -> list[Row]:
    """Return what predictions.csv says of each image: its number, the answer, the error."""
    return [
        {"path": name, "true": float(t), "predicted": float(p), "error": float(p - t)}
        for name, t, p in zip(names, truth, predicted, strict=True)
    ]


def value_figures(cases: Cases, seed: int) -> dict[str, Measure]:
    """Return the measures of a list of numbers."""
    truth, predicted = cases.numbers("true"), cases.numbers("predicted")
    squares, everyone = (predicted - truth) ** 2, np.ones(truth.size, bool)

    def explained(weights: np.ndarray) -> np.ndarray:
        total = weights.sum(axis=1)
        spread = weights @ truth**2 - (weights @ truth) ** 2 / total
        share: np.ndarray = 1 - weights @ squares / np.where(spread > 0, spread, np.nan)
        return share

    def root(weights: np.ndarray) -> np.ndarray:
        mean: np.ndarray = np.sqrt(weights @ squares / weights.sum(axis=1))
        return mean

    return {
        "mae": Mean(np.abs(predicted - truth), (0, np.inf), lower_is_better=True),
        "rmse": Weighted(root, everyone, lower_is_better=True, seed=seed),
        "bias": Mean(predicted - truth),
        "r2": Weighted(explained, everyone, seed=seed),
    }
