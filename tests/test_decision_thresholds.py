"""The benchmark of other thresholds: what each rule adds, and that a fold's own images do not choose it."""

import csv
import json
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "benchmarks"))

import decision_thresholds as bench
from steady import balanced_accuracy

from tinymed.metrics.decisions import choose_threshold

RNG = np.random.default_rng(3)


def drawn(n, count, shift=0.0):
    """Classes and log scores that tell them apart in part; the last class is called too often by `shift`."""
    truth = np.arange(n) % count
    logits = RNG.normal(size=(n, count)) + 1.5 * np.eye(count)[truth]
    logits[:, -1] += shift
    return truth, logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))


def test_frequencies_of_two_classes_are_a_threshold_at_the_share_of_one():
    _, scores = drawn(200, 2)
    added = bench.for_frequencies(np.array([0.8, 0.2]))
    np.testing.assert_array_equal((scores + added).argmax(1), np.exp(scores[:, 1]) > 0.2)
    np.testing.assert_allclose(bench.for_frequencies(np.full(4, 0.25)), 0, atol=1e-12)


@pytest.mark.parametrize("positive", [0, 1])
def test_of_two_classes_val_is_youdens_threshold(positive):
    truth, scores = drawn(150, 2, 1.0)
    at = choose_threshold(truth == positive, np.exp(scores[:, positive]))
    answers = (scores + bench.for_validation(scores, truth, positive)).argmax(1)
    np.testing.assert_array_equal(answers == positive, np.exp(scores[:, positive]) >= at)


def test_of_several_classes_val_mends_one_that_is_called_too_often():
    truth, scores = drawn(400, 4, 2.0)
    added = bench.for_validation(scores, truth, 0)
    plain = balanced_accuracy(truth, scores.argmax(1))
    assert balanced_accuracy(truth, (scores + added).argmax(1)) > plain + 0.05
    assert added[-1] < added[:-1].min()


def write(path, rows):
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)


def test_a_fold_is_decided_without_its_own_images(tmp_path):
    """Other answers inside a fold change its score and not what the rules add there."""
    truth, scores = drawn(120, 2, 1.5)
    names, folds = ["ill", "well"], np.arange(120) // 2 % 3
    rows = [
        {"path": f"{i}.png", "group": "", "true": names[t]}
        | {f"score {name}": float(np.exp(s)) for name, s in zip(names, row, strict=True)}
        | {"fold": f"fold-{fold}"}
        for i, (t, row, fold) in enumerate(zip(truth, scores, folds, strict=True))
    ]
    for fold in range(3):
        (tmp_path / f"fold-{fold}").mkdir()
        config = {"data": {"classes": names}, "sampling": "balanced" if fold else None}
        (tmp_path / f"fold-{fold}" / "config.json").write_text(json.dumps(config))
        write(tmp_path / f"fold-{fold}" / "predictions-val.csv", [r for r in rows if r["fold"] != f"fold-{fold}"][::3])
    before = bench.fold_rules(tmp_path, "fold-0", rows, names, 0)
    for row in rows:
        if row["fold"] == "fold-0":
            row["true"] = "ill"
    for name, added in bench.fold_rules(tmp_path, "fold-0", rows, names, 0).items():
        np.testing.assert_array_equal(added, before[name])
    write(tmp_path / "predictions.csv", rows)
    result = bench.one(tmp_path, "ill")
    assert set(result["folds"]) == {"largest", *bench.RULES}
    assert len(result["folds"]["val"]) == 3


def test_each_set_counts_alike_over_folds():
    rows = {
        "a": {"folds": {"largest": [0.5, 0.5, 0.5], "val": [0.6, 0.6, 0.6]}},
        "b": {"folds": {"largest": [0.5, 0.5, 0.5], "val": [0.4, 0.5, 0.6]}},
    }
    found = bench.over_sets(rows, "val")
    assert found["mean"] == pytest.approx(0.05)
    half = 4.3027 * (0.01 / 3) ** 0.5 / 2  # Student's t of two degrees of freedom: only b varies
    assert found["interval"] == pytest.approx([0.05 - half, 0.05 + half], abs=1e-3)
