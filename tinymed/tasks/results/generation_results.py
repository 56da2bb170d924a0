"""Results of a generator: a table beside trivial samplers and real pictures, a grid of drawn ones, their neighbours."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ...metrics.measures import Mean, Measure
from ...metrics.neighbours import Neighbours
from ...report.samples import save_samples
from ...report.tables import interval, table
from .rows import Cases, Row

COLUMNS, ROWS = 12, 8  # of the grid
SHOWN = 10  # pictures beside their neighbours


def generation_text(result: dict[str, Any], title: str) -> str:
    """Return an evaluation as text: distances with intervals, and whether pictures were learnt by heart."""
    lines = [f"{title}: {result['n']} pictures each, {100 * result['level']:g} % intervals"]
    rows = [("pictures", "Frechet distance", "the generator's is less by", "")]
    rows.append(("drawn", f"{result['frechet']:.4g}", "", ends(result["frechet_interval"])))
    for name, other in result["others"].items():
        rows.append((name, f"{other['frechet']:.4g}", f"{other['gain']:.4g}", ends(other["gain_interval"])))
    lines += [table(rows), ""]
    lines.append(
        f"nearest training picture: {result['nearest']:.4f} away from a drawn one, {result['held_out_nearest']:.4f} "
        "from a real one that was held out (medians)"
    )
    lines.append(
        f"suspected of being learnt by heart: {100 * result['suspect']:.1f} % {interval(result['suspect_interval'])} "
        "of the drawn ones (1 % by chance)"
    )
    return "\n".join(lines + [f"note: {note}" for note in result["warnings"]])


def ends(bounds: Sequence[float] | None) -> str:
    """Return an interval of a distance, whose unit is that of the features, as text."""
    return "" if bounds is None else f"[{bounds[0]:.4g}, {bounds[1]:.4g}]"


def save_drawn(folder: Path, drawn: np.ndarray, near: Neighbours, train: np.ndarray) -> None:
    """Write samples.png, a grid of drawn pictures, and neighbours.png: pictures above their nearest training ones.

    The first half of these are the nearest of all, the others are taken evenly.
    """
    kept = drawn[: COLUMNS * ROWS]
    save_samples([kept[i : i + COLUMNS] for i in range(0, len(kept), COLUMNS)], folder / "samples.png")
    order = np.argsort(near.distance, kind="stable")
    chosen = np.concatenate([order[: SHOWN // 2], order[np.linspace(0, len(order) - 1, SHOWN // 2).astype(np.int64)]])
    save_samples([drawn[chosen], train[near.index[chosen]]], folder / "neighbours.png")


def drawn_rows(near: Neighbours, names: Sequence[str]) -> list[Row]:
    """Return what predictions.csv says of each drawn picture: its nearest training picture, and how near it is."""
    return [
        {"path": f"drawn {i}", "nearest": names[int(j)], "distance": float(d), "held out nearer": float(share)}
        for i, (j, d, share) in enumerate(zip(near.index, near.distance, near.nearer, strict=True))
    ]


def drawn_figures(cases: Cases) -> dict[str, Measure]:
    """Return the measures of a list of drawn pictures."""
    return {"distance": Mean(cases.numbers("distance"), (0, np.inf))}
