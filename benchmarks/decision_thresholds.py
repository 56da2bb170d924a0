"""What another threshold would do: answers of trained networks decided anew, on the folds of five sets.

    python benchmarks/decision_thresholds.py RUNS                   RUNS/<set>-steady are folders of `tinymed cv`
    python benchmarks/decision_thresholds.py RUNS --look STEADY     also the test part of chest_xray; noted in looks.csv

Nothing is trained.  Beside the largest score, which is what `tinymed` answers, stand two rules: the largest score over
the class's share of what the network was shown ("frequencies"; of two classes a threshold at the positive class's
share), and factors of the classes that give the best balanced accuracy on the fold's own validation part ("val"; of two
classes Youden's threshold, as `tinymed evaluate --threshold youden` chooses it).  "frequencies of the list" takes the
shares in the list where classes were drawn equally often.  The measure is balanced accuracy on the fold.  Intervals:
Student's t over folds, and for a set's pooled answers 2,000 bootstrap samples of its groups.  STEADY holds
<set>/predictions.csv of val and <set>-test.csv, see steady.py; no rule is chosen by a test part.
"""

import argparse
import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
from peers import machine, save
from steady import RESULTS, SETS, balanced_accuracy, interval, note, resamples

from tinymed.metrics.clusters import student_quantile
from tinymed.metrics.decisions import choose_threshold

RESULT = RESULTS / "decision_thresholds.json"
RULES = ("frequencies", "frequencies of the list", "val")
SWEEPS, SMALLEST, ROUNDING, MISSED = 4, 1e-12, 1e-9, "chest_xray"
Rows = list[dict[str, str]]


def table(path: Path) -> Rows:
    """Return the rows of a file with commas."""
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def logs(rows: Rows, classes: list[str]) -> np.ndarray:
    """Return the logarithms of the scores (n, classes)."""
    scores = np.array([[float(row[f"score {name}"]) for name in classes] for row in rows])
    result: np.ndarray = np.log(np.maximum(scores, SMALLEST))
    return result


def truth_of(rows: Rows, classes: list[str]) -> np.ndarray:
    """Return the class numbers (n,)."""
    return np.array([classes.index(row["true"]) for row in rows])


def for_frequencies(shares: np.ndarray) -> np.ndarray:
    """Return what is added to log scores so that the largest is that of score over share."""
    added: np.ndarray = -np.log(np.maximum(shares, SMALLEST))
    return added - added.mean()


def for_validation(scores: np.ndarray, truth: np.ndarray, positive: int) -> np.ndarray:
    """Return what is added to log scores (n, classes) so that their balanced accuracy is best, one class at a time.

    Of two classes it is Youden's threshold.  Of equally good numbers that nearest to 0 is taken.
    """
    count = scores.shape[1]
    added = np.zeros(count)
    if count == 2:
        at = choose_threshold(truth == positive, scores[:, positive] - scores[:, 1 - positive])
        added[positive] = ROUNDING - at  # who has the threshold itself is positive
        return added
    for _ in range(SWEEPS):
        for k in range(count):
            others = np.delete(np.arange(count), k)
            needed = np.sort((scores[:, others] + added[others]).max(axis=1) - scores[:, k])
            tried = np.concatenate([[0.0, added[k]], (needed[1:] + needed[:-1]) / 2])
            reached = []
            for value in tried:
                added[k] = value
                reached.append(balanced_accuracy(truth, (scores + added).argmax(axis=1)))
            best = np.flatnonzero(np.array(reached) >= max(reached) - 1e-12)
            added[k] = tried[best[np.abs(tried[best]).argmin()]]
    return added


def fold_rules(out: Path, fold: str, pooled: Rows, classes: list[str], positive: int) -> dict[str, np.ndarray]:
    """Return what each rule adds to the log scores of a fold's network, from its train and val parts alone."""
    val = table(out / fold / "predictions-val.csv")
    aside = {row["path"] for row in val}
    trained = truth_of([row for row in pooled if row["fold"] != fold and row["path"] not in aside], classes)
    listed = np.bincount(trained, minlength=len(classes)) / len(trained)
    config = json.loads((out / fold / "config.json").read_text())
    shown = np.full(len(classes), 1 / len(classes)) if config.get("sampling") == "balanced" else listed
    found = for_validation(logs(val, classes), truth_of(val, classes), positive)
    return dict(zip(RULES, (for_frequencies(shown), for_frequencies(listed), found), strict=True))


def one(out: Path, positive: str) -> dict[str, Any]:
    """Decide a set's answers by each rule: balanced accuracy by fold, pooled, and the paired difference."""
    pooled = table(out / "predictions.csv")
    folds = sorted({row["fold"] for row in pooled})
    classes = json.loads((out / folds[0] / "config.json").read_text())["data"]["classes"]
    truth, scores = truth_of(pooled, classes), logs(pooled, classes)
    place = np.array([row["fold"] for row in pooled])
    answers = {"largest": scores.argmax(axis=1)} | {rule: np.empty(len(truth), int) for rule in RULES}
    by_fold: dict[str, list[float]] = {name: [] for name in answers}
    for fold in folds:
        inside = place == fold
        for rule, added in fold_rules(out, fold, pooled, classes, classes.index(positive)).items():
            answers[rule][inside] = (scores[inside] + added).argmax(axis=1)
        for name, found in answers.items():
            by_fold[name].append(round(balanced_accuracy(truth[inside], found[inside]), 4))
    drawn = resamples(np.array([row["group"] or row["path"] for row in pooled]))
    plain = [balanced_accuracy(truth[rows], answers["largest"][rows]) for rows in drawn]
    result: dict[str, Any] = {"n": len(truth), "folds": by_fold}
    for name, found in answers.items():
        own = [balanced_accuracy(truth[rows], found[rows]) for rows in drawn]
        value = balanced_accuracy(truth, found)
        result[name] = {"value": round(value, 4), "interval": interval(own)}
        if name != "largest":
            apart = np.array(by_fold[name]) - by_fold["largest"]
            ends = mean_interval_by_t(apart)
            result[name] |= {
                "difference": round(value - balanced_accuracy(truth, answers["largest"]), 4),
                "difference_interval": interval([a - b for a, b in zip(own, plain, strict=True)]),
                "over folds": {"mean": round(float(apart.mean()), 4), "interval": ends},
            }
    return result


def mean_interval_by_t(values: np.ndarray) -> list[float]:
    """Return Student's interval of a mean; of values that are all alike it has no width."""
    half = student_quantile(0.95, len(values) - 1) * float(values.std(ddof=1)) / np.sqrt(len(values))
    return [round(float(values.mean()) - half, 4), round(float(values.mean()) + half, 4)]


def over_sets(rows: dict[str, dict[str, Any]], rule: str) -> dict[str, Any]:
    """Return the mean difference over the folds of all sets, each set counting alike, with Student's interval."""
    apart = [np.array(row["folds"][rule]) - row["folds"]["largest"] for row in rows.values()]
    mean = float(np.mean([values.mean() for values in apart]))
    parts = np.array([values.var(ddof=1) / len(values) for values in apart]) / len(apart) ** 2
    freedom = parts.sum() ** 2 / max(float(np.sum(parts**2 / [len(v) - 1 for v in apart])), 1e-300)
    half = student_quantile(0.95, max(freedom, 1.0)) * float(np.sqrt(parts.sum())) if parts.sum() else 0.0
    return {"mean": round(mean, 4), "interval": [round(mean - half, 4), round(mean + half, 4)]}


def look(steady: Path) -> dict[str, Any]:
    """Decide the test part that the recipe missed by Youden's threshold of val, note the look, return both scores."""
    classes = json.loads((steady / MISSED / "config.json").read_text())["data"]["classes"]
    val, test = table(steady / MISSED / "predictions.csv"), table(steady / f"{MISSED}-test.csv")
    positive = classes.index(SETS[MISSED][0])
    added = for_validation(logs(val, classes), truth_of(val, classes), positive)
    truth, scores = truth_of(test, classes), logs(test, classes)
    drawn = resamples(np.array([row["group"] or row["path"] for row in test]))
    found: dict[str, Any] = {"n": len(truth), "threshold": round(float(1 / (1 + np.exp(added[positive]))), 4)}
    for name, answers in (("largest", scores.argmax(1)), ("val", (scores + added).argmax(1))):
        own = [balanced_accuracy(truth[rows], answers[rows]) for rows in drawn]
        rates = [float((answers[truth == k] == k).mean()) for k in (positive, 1 - positive)]
        found[name] = {"value": round(balanced_accuracy(truth, answers), 4), "interval": interval(own)}
        found[name] |= dict(zip(("sensitivity", "specificity"), np.round(rates, 4).tolist(), strict=True))
    note(MISSED, "a second look at the answers of the look above: what Youden's threshold of val would have given")
    return found


def as_markdown(result: dict[str, Any]) -> str:
    """Return the table of the page."""
    lines = ["| set | largest score | " + " | ".join(RULES) + " |", "|---|---|" + "---|" * len(RULES)]

    def shown(mean: float, ends: list[float]) -> str:
        return f"{mean:+.3f} ({ends[0]:+.3f} to {ends[1]:+.3f})"

    for name, row in result["rows"].items():
        told = [row[rule]["over folds"] for rule in RULES]
        cells = [name, f"{np.mean(row['folds']['largest']):.3f}", *(shown(t["mean"], t["interval"]) for t in told)]
        lines.append(f"| {' | '.join(cells)} |")
    told = [result["all"][rule] for rule in RULES]
    lines.append("| all, each set alike | | " + " | ".join(shown(t["mean"], t["interval"]) for t in told) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path)
    parser.add_argument("--look", type=Path, metavar="STEADY")
    o = parser.parse_args()
    before = json.loads(RESULT.read_text()) if RESULT.exists() else {}
    rows = {name: one(o.runs / f"{name}-steady", SETS[name][0]) for name in SETS}
    result = {"machine": machine(), "rows": rows, "all": {rule: over_sets(rows, rule) for rule in RULES}}
    test = look(o.look) if o.look else before.get("test")
    save(RESULT, result | ({"test": test} if test else {}))
    print(as_markdown(result))
    if test:
        print(json.dumps(test))


if __name__ == "__main__":
    main()
