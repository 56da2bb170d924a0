"""How often an interval holds the truth, simulated for accuracy, AUC, Dice and differences, with and without groups.

    python benchmarks/interval_coverage.py             all cells, 2,000 repetitions: minutes on one core
    python benchmarks/interval_coverage.py --missing   only the cells that the committed results lack, added to them
    python benchmarks/interval_coverage.py --only AUC  only those of a measure, anew (--seeds 0 1 2: again with others)
    python benchmarks/interval_coverage.py --table     prints the table of the committed results as Markdown

Each cell calls the functions that `tinymed evaluate` and `tinymed compare` call.  Images of a group share a part of
what decides them: an intra-class correlation of .3 of the answers (accuracy: beta-binomial) or of the normal variable
behind scores and Dice.  Dice of a case is Beta with the mean asked for and a + b = 10, which near 1 has a long lower
tail.  In a difference the second method is worse by what DIFFERENCES says and shares half of the variance with the
first.  "ignoring" is the coverage of the same interval when the groups are not told to it.  Shares without groups have
finitely many outcomes: their coverage is summed as well ("exact"), and decides whether a cell keeps its level.
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
from scipy.special import gammaln, ndtr, ndtri, xlogy
from scipy.stats import beta, multivariate_normal

from tinymed.metrics import area_intervals, clusters
from tinymed.metrics.measures import Area, Mean, Share

RESULT = Path(__file__).resolve().parent / "results" / "interval_coverage.json"
IMAGES, GROUPS, TRUTHS = (30, 100, 600), (0, 10, 30, 100), (0.6, 0.9, 0.98)
CORRELATION, SHARED, SHAPE = 0.3, 0.5, 10.0
DIFFERENCES = {0.6: 0.5, 0.9: 0.85, 0.98: 0.96}  # truth of the first method -> of the second
LEVEL, TOLERANCE = 0.95, 0.015
NEGLIGIBLE = -25.0  # logarithm of a probability: 1e-11
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
        yield area_intervals.auc_interval_by_groups(labels, scores, place, warn=quiet)


def dice(rng: np.random.Generator, n: int, groups: int, truth: float) -> Iterator[Any]:
    """Yield the interval of a mean Dice."""
    values = dice_of(latent(rng, n, groups, 1)[0], truth)
    for place in (group_of(n, groups), None):
        yield clusters.mean_interval_by_groups(values, place, warn=quiet, bounds=(0, 1))


def accuracy_difference(rng: np.random.Generator, n: int, groups: int, truth: float) -> Iterator[Any]:
    """Yield the interval of the difference of two accuracies."""
    one, other = (z < ndtri(p) for z, p in zip(latent(rng, n, groups, 2), (truth, DIFFERENCES[truth]), strict=True))
    for place in (group_of(n, groups), None):
        yield Share(one).against(Share(other), place, warn=quiet).interval


def area_difference(rng: np.random.Generator, n: int, groups: int, truth: float) -> Iterator[Any]:
    """Yield the interval of the difference of two AUCs."""
    labels, normal = labels_of(n, groups, apart=False), latent(rng, n, groups, 2)
    pair = [scores_of(z, labels, auc) for z, auc in zip(normal, (truth, DIFFERENCES[truth]), strict=True)]
    for place in (group_of(n, groups), None):
        one, other = (Area([(labels * 1.0, scores)]) for scores in pair)
        yield one.against(other, place, warn=quiet).interval


def dice_difference(rng: np.random.Generator, n: int, groups: int, truth: float) -> Iterator[Any]:
    """Yield the interval of the difference of two mean Dice."""
    normal = latent(rng, n, groups, 2)
    pair = [dice_of(z, mean) for z, mean in zip(normal, (truth, DIFFERENCES[truth]), strict=True)]
    for place in (group_of(n, groups), None):
        yield Mean(pair[0]).against(Mean(pair[1]), place, warn=quiet).interval


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


def outcomes(n: int, shares: list[float]) -> Iterator[tuple[tuple[int, ...], float]]:
    """Yield (counts, probability) of n images that are of kinds with these shares or of none, but for unlikely ones."""
    left = 1 - sum(shares)
    for counts in itertools.product(range(n + 1), repeat=len(shares)):
        rest = n - sum(counts)
        if rest < 0:
            continue
        logs = gammaln(n + 1) - gammaln(rest + 1) + xlogy(rest, left)
        logs += sum(xlogy(k, share) - gammaln(k + 1) for k, share in zip(counts, shares, strict=True))
        if logs > NEGLIGIBLE:
            yield counts, float(np.exp(logs))


def exact(name: str, n: int, groups: int, truth: float) -> float | None:
    """Return the coverage of a share, or of a difference of two, as a sum over what can happen; None with groups.

    Groups of one image are none.
    """
    if groups not in (0, n) or "accuracy" not in name:
        return None
    held = 0.0
    if name == "accuracy":
        for (k,), likely in outcomes(n, [truth]):
            low, high = clusters.proportion_interval(np.arange(n) < k, warn=quiet)
            held += likely * (low - 1e-12 <= truth <= high + 1e-12)
        return held
    other, cuts = DIFFERENCES[truth], ndtri([truth, DIFFERENCES[truth]])
    both = multivariate_normal([0, 0], [[1, SHARED], [SHARED, 1]]).cdf(cuts)
    for (first, second), likely in outcomes(n, [truth - both, other - both]):
        alone = np.arange(n) < first, (np.arange(n) >= first) & (np.arange(n) < first + second)
        low, high = clusters.difference_interval(*map(clusters.mean_estimate, alone), floor=1 / n**2)
        held += likely * (low - 1e-12 <= truth - other <= high + 1e-12)
    return held


def required(row: dict[str, Any]) -> bool:
    """Say whether a cell must keep its level: at least 100 images, and no groups or at least 30."""
    return row["n"] >= 100 and (row["groups"] == 0 or row["groups"] >= 30)


def simulated(row: dict[str, Any]) -> float:
    """Return the coverage of a cell over all seeds that it was simulated with."""
    return float(np.mean([row["coverage"], *row.get("again", [])]))


def kept(row: dict[str, Any]) -> bool:
    """Say whether a cell keeps its level: exactly where that is known, else over all seeds."""
    return abs(row.get("exact", simulated(row)) - LEVEL) <= TOLERANCE + 1e-9


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
    text = f"{100 * simulated(row):.1f}" + ("*" if row["warned"] > 0.5 else "")
    text += f", exactly {100 * row['exact']:.1f}" if "exact" in row and required(row) else ""
    text = f"**{text}**" if required(row) and not kept(row) else text
    return f"{text} ({100 * row['ignoring']:.1f})" if "ignoring" in row else text


def main() -> None:
    """Simulate, or print what was."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repetitions", type=int, default=2000)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--missing", action="store_true")
    parser.add_argument("--only", nargs="+", choices=list(MEASURES), metavar="MEASURE")
    parser.add_argument("--table", action="store_true")
    given = parser.parse_args()
    if given.table:
        print(as_markdown(json.loads(RESULT.read_text())["cells"]))
        return
    rows = known_rows(given.repetitions, given.seeds) if given.missing or given.only else {}
    for place in cells():
        if place[0] not in given.only if given.only else place in rows:
            continue
        rows[place] = measured(place, given.repetitions, given.seeds)
        print(rows[place], flush=True)
        if given.missing or given.only:  # what is simulated stays, whenever this is stopped
            publish(rows, given.repetitions, given.seeds)
    publish(rows, given.repetitions, given.seeds)
    missed = [row for row in rows.values() if required(row) and not kept(row)]
    due = sum(map(required, rows.values()))
    print(f"{len(rows)} cells, {due} must keep 95 +- 1.5 %, {len(missed)} of them do not")


def measured(place: Place, repetitions: int, seeds: list[int]) -> dict[str, Any]:
    """Return a cell of the first seed, the coverage of the others where it must keep its level, and the exact one."""
    row = cell(*place, repetitions, seeds[0])
    if required(row) and seeds[1:]:
        row["again"] = [cell(*place, repetitions, seed)["coverage"] for seed in seeds[1:]]
    summed = exact(*place)
    return row if summed is None else row | {"exact": round(summed, 4)}


def known_rows(repetitions: int, seeds: list[int]) -> dict[Place, dict[str, Any]]:
    """Return the committed cells by their places.  Ends the program if they were simulated otherwise."""
    known = json.loads(RESULT.read_text())
    if (known["repetitions"], known["seeds"]) != (repetitions, seeds):
        raise SystemExit(f"{RESULT.name} has {known['repetitions']} repetitions of {known['seeds']}; ask for these")
    return {(row["measure"], row["n"], row["groups"], row["truth"]): row for row in known["cells"]}


def publish(rows: dict[Place, dict[str, Any]], repetitions: int, seeds: list[int]) -> None:
    """Write the cells that there are, in the order of `cells`."""
    listed = [rows[place] for place in cells() if place in rows]
    missed = sum(required(row) and not kept(row) for row in listed)
    head = {"machine": machine(), "repetitions": repetitions, "seeds": seeds, "level": LEVEL}
    save(RESULT, head | {"correlation": CORRELATION, "missed": missed, "cells": listed})


if __name__ == "__main__":
    main()
