"""How often an interval holds the truth, simulated for accuracy, AUC, Dice and differences, with and without groups.

    python benchmarks/interval_coverage.py             all cells, 2,000 repetitions: minutes on one core
    python benchmarks/interval_coverage.py --missing   only the cells that the committed results lack, added to them
    python benchmarks/interval_coverage.py --table     prints the table of the committed results as Markdown

Each cell calls the functions that `tinymed evaluate` and `tinymed compare` call.  Images of a group share a part of
what decides them: an intra-class correlation of .3 of the answers (accuracy: beta-binomial) or of the normal variable
behind scores and Dice.  Dice of a case is Beta with the mean asked for and a + b = 10, which near 1 has a long lower
tail.  In a difference the second method is worse by what DIFFERENCES says and shares half of the variance with the
first.  "ignoring" is the coverage of the same interval when the groups are not told to it.
"""

import argparse
import itertools
import json
from collections import Counter
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from peers import machine, save
from scipy.special import ndtr, ndtri
from scipy.stats import beta

from tinymed.metrics import clusters

RESULT = Path(__file__).resolve().parent / "results" / "interval_coverage.json"
IMAGES, GROUPS, TRUTHS = (30, 100, 600), (0, 10, 30, 100), (0.6, 0.9, 0.98)
CORRELATION, SHARED, SHAPE = 0.3, 0.5, 10.0
DIFFERENCES = {0.6: 0.5, 0.9: 0.85, 0.98: 0.96}  # truth of the first method -> of the second
LEVEL, TOLERANCE = 0.95, 0.015
Place = tuple[str, int, int, float]  # measure, images, groups, truth


def group_of(n: int, groups: int) -> np.ndarray | None:
    """Return the group of each image, groups as equal as can be; None without groups."""
    return np.arange(n) % groups if groups else None


def latent(rng: np.random.Generator, n: int, groups: int, methods: int) -> np.ndarray:
    """Return standard normal variables [methods, n], alike within groups and between methods."""
    count = groups or n
    place = np.arange(n) % count
    whole, own = (rng.normal(size=(methods + 1, size)) for size in (count, n))
    mixed = [np.sqrt(SHARED) * draw[:1] + np.sqrt(1 - SHARED) * draw[1:] for draw in (whole, own)]
    result: np.ndarray = np.sqrt(CORRELATION) * mixed[0][:, place] + np.sqrt(1 - CORRELATION) * mixed[1]
    return result


def right_answers(rng: np.random.Generator, n: int, groups: int, truth: float) -> np.ndarray:
    """Return which images are answered rightly: each group has a share of its own, drawn from a Beta."""
    place = group_of(n, groups)
    if place is None:
        return rng.random(n) < truth
    scale = (1 - CORRELATION) / CORRELATION
    return rng.random(n) < rng.beta(truth * scale, (1 - truth) * scale, groups)[place]


def labels_of(n: int, groups: int, apart: bool) -> np.ndarray:
    """Return the class of each image: half positive, in every group, or (apart) whole groups of one class."""
    if groups and not apart and n > groups:
        return (np.arange(n) // groups + np.arange(n) % groups) % 2 == 1
    return np.arange(n) % (groups or n) % 2 == 1


def dice_of(normal: np.ndarray, truth: float) -> np.ndarray:
    """Return the Dice of cases from normal variables."""
    values: np.ndarray = np.interp(ndtr(normal), *dice_quantiles(truth))
    return values


@cache
def dice_quantiles(truth: float) -> tuple[np.ndarray, np.ndarray]:
    """Return shares of cases and the Dice that they stay below."""
    share = np.linspace(0, 1, 4001)
    return share, beta.ppf(share, truth * SHAPE, (1 - truth) * SHAPE)


def scores_of(normal: np.ndarray, labels: np.ndarray, auc: float) -> np.ndarray:
    """Return scores whose AUC is this."""
    result: np.ndarray = normal + np.sqrt(2) * ndtri(auc) * labels
    return result


def accuracy(rng: np.random.Generator, n: int, groups: int, truth: float) -> Iterator[Any]:
    """Yield the interval of an accuracy, with the groups and without."""
    right = right_answers(rng, n, groups, truth)
    for place in (group_of(n, groups), None):
        yield clusters.proportion_interval(right, place, warn=quiet)


def area(rng: np.random.Generator, n: int, groups: int, truth: float, apart: bool = False) -> Iterator[Any]:
    """Yield the interval of an AUC; apart: groups are of one class each."""
    labels = labels_of(n, groups, apart)
    scores = scores_of(latent(rng, n, groups, 1)[0], labels, truth)
    for place in (group_of(n, groups), None):
        yield clusters.auc_interval_by_groups(labels, scores, place, warn=quiet)


def dice(rng: np.random.Generator, n: int, groups: int, truth: float) -> Iterator[Any]:
    """Yield the interval of a mean Dice."""
    values = dice_of(latent(rng, n, groups, 1)[0], truth)
    for place in (group_of(n, groups), None):
        yield clusters.mean_interval_by_groups(values, place, warn=quiet, bounds=(0, 1))


def accuracy_difference(rng: np.random.Generator, n: int, groups: int, truth: float) -> Iterator[Any]:
    """Yield the interval of the difference of two accuracies."""
    one, other = (z < ndtri(p) for z, p in zip(latent(rng, n, groups, 2), (truth, DIFFERENCES[truth]), strict=True))
    for place in (group_of(n, groups), None):
        pair = clusters.mean_estimate(one, place), clusters.mean_estimate(other, place)
        yield clusters.difference_interval(*pair, floor=1 / n**2)


def area_difference(rng: np.random.Generator, n: int, groups: int, truth: float) -> Iterator[Any]:
    """Yield the interval of the difference of two AUCs."""
    labels, normal = labels_of(n, groups, apart=False), latent(rng, n, groups, 2)
    pair = [scores_of(z, labels, auc) for z, auc in zip(normal, (truth, DIFFERENCES[truth]), strict=True)]
    for place in (group_of(n, groups), None):
        one, other = (clusters.auc_estimate(labels, scores, place) for scores in pair)
        units = n // 2 if place is None else min(groups, n // 2)
        yield clusters.auc_difference_interval(one, other, units)


def dice_difference(rng: np.random.Generator, n: int, groups: int, truth: float) -> Iterator[Any]:
    """Yield the interval of the difference of two mean Dice."""
    normal = latent(rng, n, groups, 2)
    pair = [dice_of(z, mean) for z, mean in zip(normal, (truth, DIFFERENCES[truth]), strict=True)]
    for place in (group_of(n, groups), None):
        yield clusters.difference_interval(*(clusters.mean_estimate(values, place) for values in pair))


def groups_apart(rng: np.random.Generator, n: int, groups: int, truth: float) -> Iterator[Any]:
    """Yield the interval of an AUC where no group holds both classes."""
    return area(rng, n, groups, truth, apart=True)


MEASURES: dict[str, Callable[..., Iterator[Any]]] = {
    "accuracy": accuracy,
    "AUC": area,
    "AUC, classes in groups apart": groups_apart,
    "Dice": dice,
    "difference of accuracy": accuracy_difference,
    "difference of AUC": area_difference,
    "difference of Dice": dice_difference,
}
warnings_seen: Counter[str] = Counter()


def quiet(message: str) -> None:
    """Count what an interval warns of."""
    warnings_seen[message.partition(":")[0][:20]] += 1


def cell(name: str, n: int, groups: int, truth: float, repetitions: int, seed: int) -> dict[str, Any]:
    """Return the coverage of one cell, how wide the interval is, and in how many repetitions it warned."""
    rng = np.random.default_rng([seed, list(MEASURES).index(name), n, groups, round(100 * truth)])
    wanted = truth - DIFFERENCES[truth] if name.startswith("difference") else truth
    held, widths, warned = np.zeros(2), np.zeros(2), 0
    for _ in range(repetitions):
        draws = MEASURES[name](rng, n, groups, truth)
        for which in (0, 1):
            before = warnings_seen.total()
            low, high = next(draws)
            warned += which == 0 and warnings_seen.total() > before
            held[which] += low - 1e-12 <= wanted <= high + 1e-12
            widths[which] += high - low
    share, width = held / repetitions, widths / repetitions
    row = {"measure": name, "n": n, "groups": groups, "truth": truth, "coverage": round(float(share[0]), 4)}
    row |= {"width": round(float(width[0]), 4), "warned": round(warned / repetitions, 3)}
    return row | ({"ignoring": round(float(share[1]), 4)} if groups else {})


def required(row: dict[str, Any]) -> bool:
    """Say whether a cell must keep its level: at least 100 images, and no groups or at least 30."""
    return row["n"] >= 100 and (row["groups"] == 0 or row["groups"] >= 30)


def kept(row: dict[str, Any]) -> bool:
    """Say whether a cell keeps its level."""
    return abs(row["coverage"] - LEVEL) <= TOLERANCE + 1e-9


def cells() -> Iterator[Place]:
    """Yield every cell; there are no more groups than images."""
    for name, n, groups, truth in itertools.product(MEASURES, IMAGES, GROUPS, TRUTHS):
        if groups <= n and not (groups == 0 and "apart" in name):
            yield name, n, groups, truth


def as_markdown(rows: list[dict[str, Any]]) -> str:
    """Return one table a measure: a row a number of images and groups; in brackets the coverage ignoring groups."""
    lines = []
    for name in MEASURES:
        lines += ["", f"**{name}**", "", "| images | groups | .6 | .9 | .98 |", "|---|---|---|---|---|"]
        mine = [row for row in rows if row["measure"] == name]
        for n, groups in dict.fromkeys((row["n"], row["groups"]) for row in mine):
            line = [shown(row) for row in mine if (row["n"], row["groups"]) == (n, groups)]
            lines.append(f"| {n} | {groups or 'none'} | {' | '.join(line)} |")
    return "\n".join(lines[1:])


def shown(row: dict[str, Any]) -> str:
    """Return a cell: bold where it must keep its level and does not, starred where the program warns."""
    text = f"{100 * row['coverage']:.1f}" + ("*" if row["warned"] > 0.5 else "")
    text = f"**{text}**" if required(row) and not kept(row) else text
    return f"{text} ({100 * row['ignoring']:.1f})" if "ignoring" in row else text


def main() -> None:
    """Simulate, or print what was."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repetitions", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--missing", action="store_true")
    parser.add_argument("--table", action="store_true")
    given = parser.parse_args()
    if given.table:
        print(as_markdown(json.loads(RESULT.read_text())["cells"]))
        return
    rows = known_rows(given.repetitions, given.seed) if given.missing else {}
    for place in cells():
        if place in rows:
            continue
        rows[place] = cell(*place, given.repetitions, given.seed)
        print(rows[place], flush=True)
        if given.missing:  # what is simulated stays, whenever this is stopped
            publish(rows, given.repetitions, given.seed)
    publish(rows, given.repetitions, given.seed)
    missed = [row for row in rows.values() if required(row) and not kept(row)]
    due = sum(map(required, rows.values()))
    print(f"{len(rows)} cells, {due} must keep 95 +- 1.5 %, {len(missed)} of them do not")


def known_rows(repetitions: int, seed: int) -> dict[Place, dict[str, Any]]:
    """Return the committed cells by their places.  Ends the program if they were simulated otherwise."""
    known = json.loads(RESULT.read_text())
    if (known["repetitions"], known["seed"]) != (repetitions, seed):
        raise SystemExit(f"{RESULT.name} has {known['repetitions']} repetitions of seed {known['seed']}; ask for these")
    return {(row["measure"], row["n"], row["groups"], row["truth"]): row for row in known["cells"]}


def publish(rows: dict[Place, dict[str, Any]], repetitions: int, seed: int) -> None:
    """Write the cells that there are, in the order of `cells`."""
    listed = [rows[place] for place in cells() if place in rows]
    missed = sum(required(row) and not kept(row) for row in listed)
    head = {"machine": machine(), "repetitions": repetitions, "seed": seed, "level": LEVEL}
    save(RESULT, head | {"correlation": CORRELATION, "missed": missed, "cells": listed})


if __name__ == "__main__":
    main()
