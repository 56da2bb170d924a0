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
    """Compute means over pairs with intervals, and the gain over the images as they lie before the field.

    Args:
        rows: Of each pair "dice CLASS" and "before CLASS" of each class, "loss", "unlike", "unlike before", "folded"
            and "displacement".
        classes: The names of the labels, the background left out; none of images without masks.
        seed: Seed of the bootstrap over pairs.
        level: Confidence level.

    Returns:
        n, level, loss, folded, displacement; "unlike", how unlike the images are after the field, with
        `unlike_interval`; with classes dice with `dice_interval` and "classes": Dice of each; "floors": of "before" the
        same figures, and `unlike_gain` and `dice_gain`, what is better, with intervals; "warnings".
    """
    notes: list[str] = []
    result: dict[str, Any] = {"n": len(rows), "level": level}
    result |= {name: float(np.mean([row[name] for row in rows])) for name in ("loss", "folded", "displacement")}
    floor: dict[str, Any] = {}
    figures = {"unlike": [np.array([row[f"unlike{when}"] for row in rows]) for when in ("", " before")]}
    if classes:
        mean = [mean_over(rows, kind, classes) for kind in ("dice", FLOOR)]
        kept = np.isfinite(mean[0]) & np.isfinite(mean[1])
        if not kept.all():
            notes.append(f"dice: {int((~kept).sum())} of {len(rows)} pairs have none of the structures, left out")
        figures = {"dice": [values[kept] for values in mean]} | figures
        result["classes"] = {name: mean_of([row[f"dice {name}"] for row in rows]) for name in classes}
    for name, (after, before) in figures.items():
        columns = {name: after, "gain": after - before if name == "dice" else before - after}
        found = means_of(columns, seed=seed, level=level, resamples=1000, warn=notes.append)
        result |= {name: found[name][0], f"{name}_interval": found[name][1]}
        gain, around = found["gain"]
        floor |= {name: mean_of(before), f"{name}_gain": gain, f"{name}_gain_interval": around}
        if around is not None and not around[0] > 0:
            notes.append(f"{name}: not better than the floor {FLOOR!r}: the interval of the gain holds 0 or less")
    if not classes:
        notes.append("there are no masks: what is said is how unlike the images are and how much folds, no Dice")
    result["floors"] = {FLOOR: floor}
    return {name: to_json(value) for name, value in result.items()} | {"warnings": list(dict.fromkeys(notes))}


def pair_figures(rows: Sequence[Row], classes: Sequence[str]) -> np.ndarray:
    """Return what orders pairs: Dice, or without masks how unlike the images are."""
    return mean_over(rows, "dice", classes) if classes else np.array([row["unlike"] for row in rows])


def mean_over(rows: Sequence[Row], kind: str, classes: Sequence[str]) -> np.ndarray:
    """Return the mean over the classes of each pair, those left out that neither of its images has; nan without any."""
    return np.array([mean_of([row[f"{kind} {name}"] for name in classes]) for row in rows])


def mean_of(values: Any) -> float:
    """Return the mean of the numbers that are known; nan where there is none."""
    known = np.asarray(values, np.float64)
    known = known[np.isfinite(known)]
    return float(known.mean()) if known.size else float("nan")


def registered_text(result: dict[str, Any], title: str, beginning: str) -> str:
    """Return an evaluation as text; beginning: what lay together before the field."""
    floor = result["floors"][FLOOR]
    lines = [f"{title}: n = {result['n']} pairs, {100 * result['level']:g} % intervals of the mean"]
    for name, heading in (("dice", "Dice"), ("unlike", "unlikeness, by --loss")):
        if name not in result:
            continue
        cells = [
            ("", heading, ""),
            ("registered", number(result[name]), interval(result[f"{name}_interval"])),
            (f"floor: {beginning}", number(floor[name]), ""),
            ("gain", number(floor[f"{name}_gain"]), interval(floor[f"{name}_gain_interval"])),
        ]
        cells += [(k, number(v), "") for k, v in result["classes"].items()] if name == "dice" else []
        lines.append(table(cells))
    moved = (
        f"pixels move by {result['displacement']:.2f} pixels on average; {100 * result['folded']:.2f} % of space folds"
    )
    return "\n".join([*lines, moved, *(f"note: {note}" for note in result["warnings"])])


def registered_rows(details: Sequence[Row], classes: Sequence[str]) -> list[Row]:
    """Return what predictions.csv says of each pair."""
    means = {kind: mean_over(details, kind, classes) for kind in ("dice", FLOOR) if classes}
    return [
        {"path": row["path"], "moving": row["moving"]}
        | {kind: float(values[i]) for kind, values in means.items()}
        | {name: row[name] for name in row if name not in ("path", "moving")}
        for i, row in enumerate(details)
    ]


def registered_figures(cases: Cases) -> dict[str, Measure]:
    """Return the measures of a list of pairs."""
    found: dict[str, Measure] = {}
    if "dice" in cases:
        found["dice"] = Mean(cases.numbers("dice"), (0, 1))
    if "unlike" in cases:  # since runs know it
        found["unlike"] = Mean(cases.numbers("unlike"), lower_is_better=True)
    return found | {"folded": Mean(cases.numbers("folded"), (0, 1), lower_is_better=True)}
