"""Results of a network that registers: the table, the list of pairs, a picture of one."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ...metrics.classification import to_json
from ...metrics.intervals import means_of
from ...metrics.measures import Mean, Measure
from ...report.tables import interval, number, table
from .rows import Cases, Row

FLOOR = "before"


def evaluate_pairs(rows: Sequence[Row], classes: Sequence[str], seed: int, level: float = 0.95) -> dict[str, Any]:
    """Compute means over pairs with intervals, and the gain over the images as their centres lie together.

    Args:
        rows: Of each pair "dice CLASS" and "before CLASS" of each class, "loss", "folded" and "displacement".
        classes: The names of the labels, the background left out.
        seed: Seed of the bootstrap over pairs.
        level: Confidence level.

    Returns:
        n, level, loss, dice with `dice_interval`, folded, displacement; "classes": Dice of each; "floors": of "before"
        its dice and `dice_gain` with `dice_gain_interval`; "warnings".
    """
    mean = {kind: mean_over(rows, kind, classes) for kind in ("dice", FLOOR)}
    notes: list[str] = []
    kept = np.isfinite(mean["dice"]) & np.isfinite(mean[FLOOR])
    if not kept.all():
        notes.append(f"dice: {int((~kept).sum())} of {len(rows)} pairs have none of the structures, left out")
        mean = {kind: values[kept] for kind, values in mean.items()}
    columns = {"dice": mean["dice"], "gain": mean["dice"] - mean[FLOOR]}
    found = means_of(columns, seed=seed, level=level, resamples=1000, warn=notes.append)
    gain, around = found["gain"]
    if around is not None and not around[0] > 0:
        notes.append(f"dice: not above the floor {FLOOR!r}: the interval of the gain holds 0 or less")
    floor = {"dice": mean_of(mean[FLOOR]), "dice_gain": gain, "dice_gain_interval": around}
    result: dict[str, Any] = {"n": len(rows), "level": level}
    result |= {name: float(np.mean([row[name] for row in rows])) for name in ("loss", "folded", "displacement")}
    result |= {"dice": found["dice"][0], "dice_interval": found["dice"][1]}
    result["classes"] = {name: mean_of([row[f"dice {name}"] for row in rows]) for name in classes}
    result["floors"] = {FLOOR: floor}
    return {name: to_json(value) for name, value in result.items()} | {"warnings": list(dict.fromkeys(notes))}


def mean_over(rows: Sequence[Row], kind: str, classes: Sequence[str]) -> np.ndarray:
    """Return the mean over the classes of each pair, those left out that neither of its images has; nan without any."""
    return np.array([mean_of([row[f"{kind} {name}"] for name in classes]) for row in rows])


def mean_of(values: Any) -> float:
    """Return the mean of the numbers that are known; nan where there is none."""
    known = np.asarray(values, np.float64)
    known = known[np.isfinite(known)]
    return float(known.mean()) if known.size else float("nan")


def registered_text(result: dict[str, Any], title: str) -> str:
    """Return an evaluation as text."""
    floor = result["floors"][FLOOR]
    lines = [f"{title}: n = {result['n']} pairs, {100 * result['level']:g} % intervals of the mean"]
    cells = [
        ("", "Dice", ""),
        ("registered", number(result["dice"]), interval(result["dice_interval"])),
        ("floor: centres together", number(floor["dice"]), ""),
        ("gain", number(floor["dice_gain"]), interval(floor["dice_gain_interval"])),
        *((name, number(value), "") for name, value in result["classes"].items()),
    ]
    lines.append(table(cells))
    moved = (
        f"pixels move by {result['displacement']:.2f} pixels on average; {100 * result['folded']:.2f} % of space folds"
    )
    return "\n".join([*lines, moved, *(f"note: {note}" for note in result["warnings"])])


def registered_rows(details: Sequence[Row], classes: Sequence[str]) -> list[Row]:
    """Return what predictions.csv says of each pair."""
    means = {kind: mean_over(details, kind, classes) for kind in ("dice", FLOOR)}
    return [
        {"path": row["path"], "moving": row["moving"]}
        | {kind: float(values[i]) for kind, values in means.items()}
        | {name: row[name] for name in row if name not in ("path", "moving")}
        for i, row in enumerate(details)
    ]


def registered_figures(cases: Cases) -> dict[str, Measure]:
    """Return the measures of a list of pairs."""
    return {"dice": Mean(cases.numbers("dice"), (0, 1)), "folded": Mean(cases.numbers("folded"), (0, 1))}
