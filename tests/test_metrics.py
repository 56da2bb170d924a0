"""Metrics against scikit-learn on 620 awkward sets, the evaluation's JSON, and every 0/0."""

import json
import math
import warnings
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import mannwhitneyu
from sklearn import metrics as sk

from tinymed.errors import UserError
from tinymed.metrics import classification as metrics
from tinymed.metrics import intervals
from tinymed.metrics.classification import Counts, UndefinedMetricWarning

TOLERANCE = {"rtol": 0, "atol": 1e-12}


def quiet(function: Callable, *args, **kwargs):
    """A scikit-learn answer without its warnings about undefined metrics."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return function(*args, **kwargs)


def random_set(seed: int) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Scores, labels and class names of one awkward set: ties, constants, missing classes, single samples."""
    rng = np.random.default_rng(seed)
    n, k = int(rng.integers(1, 60)), int(rng.integers(2, 6))
    labels = rng.integers(0, k, n)
    match seed % 4:
        case 0:
            labels[:] = labels[0]  # one class only
        case 1:
            labels %= max(1, k - 1)  # the last class is missing
    scores = rng.random((n, k))
    match seed % 5:
        case 0:
            scores = np.round(scores, 1) + 0.05  # many ties
        case 1:
            scores[:] = 0.5  # constant
        case 2:
            scores[np.arange(n), labels] += 2  # perfect
    return scores / scores.sum(axis=1, keepdims=True), labels, [f"class {i}" for i in range(k)]


@pytest.mark.parametrize("block", [0, *(pytest.param(b, marks=pytest.mark.full) for b in range(1, 8))])
def test_evaluation_equals_scikit_learn(block: int) -> None:
    """320 random sets in all, 40 of them in every run."""
    for seed in range(40 * block, 40 * block + 40):
        scores, labels, classes = random_set(seed)
        target = seed % len(classes)
        result = metrics.evaluate_scores(scores, labels, classes, classes[target], resamples=0)
        compare_whole(result, scores, labels)
        for k, name in enumerate(classes):
            compare_class(result["per_class"][name], scores, labels, k)
        for key in ("sensitivity", "auc", "tp", "f1_interval"):
            assert result[key] == result["per_class"][classes[target]][key]


def same(ours: float | None, theirs: float, what: str) -> None:
    if ours is None:
        assert math.isnan(theirs), what
    else:
        np.testing.assert_allclose(ours, theirs, err_msg=what, **TOLERANCE)


def compare_whole(result: dict, scores: np.ndarray, labels: np.ndarray) -> None:
    k = scores.shape[1]
    names, predicted = list(range(k)), scores.argmax(axis=1)
    assert result["confusion"] == sk.confusion_matrix(labels, predicted, labels=names).tolist()
    same(result["accuracy"], sk.accuracy_score(labels, predicted), "accuracy")
    same(result["balanced_accuracy"], quiet(sk.balanced_accuracy_score, labels, predicted), "balanced accuracy")
    for key, weights in (("kappa", None), ("quadratic_kappa", "quadratic")):
        theirs = quiet(sk.cohen_kappa_score, labels, predicted, labels=names, weights=weights)
        same(result[key], theirs, key)
    if k == 2:
        same(result["brier"], sk.brier_score_loss(labels == 1, scores[:, 1]), "brier")
        return
    same(result["brier"], float(np.mean(np.sum((scores - np.eye(k)[labels]) ** 2, axis=1))), "brier")
    for average in ("macro", "micro", "weighted"):
        options = {"labels": names, "average": average, "zero_division": np.nan}
        theirs = quiet(sk.precision_recall_fscore_support, labels, predicted, **options)
        for name, value in zip(("precision", "sensitivity", "f1"), theirs, strict=False):
            if average == "weighted" and result[average][name] is None:  # scikit-learn then forgets the weights
                rows = result["per_class"].values()
                assert not any(row["support"] for row in rows if row[name] is not None)
                assert any(f"weighted {name} leaves out" in w for w in result["warnings"])
                continue
            same(result[average][name], value, f"{average} {name}")
    if len(set(labels)) == k:
        same(result["macro"]["auc"], sk.roc_auc_score(labels, scores, multi_class="ovr"), "macro AUC")
        weighted = sk.roc_auc_score(labels, scores, multi_class="ovr", average="weighted")
        same(result["weighted"]["auc"], weighted, "weighted AUC")


def compare_class(row: dict, scores: np.ndarray, labels: np.ndarray, k: int) -> None:
    truth, predicted = labels == k, scores.argmax(axis=1) == k
    column = metrics.class_scores(scores, k)
    tn, fp, fn, tp = sk.confusion_matrix(truth, predicted, labels=[False, True]).ravel().tolist()
    assert (row["tp"], row["fp"], row["fn"], row["tn"], row["support"]) == (tp, fp, fn, tn, tp + fn)
    theirs = {
        "sensitivity": quiet(sk.recall_score, truth, predicted, zero_division=np.nan),
        "specificity": quiet(sk.recall_score, ~truth, ~predicted, zero_division=np.nan),
        "precision": quiet(sk.precision_score, truth, predicted, zero_division=np.nan),
        "npv": quiet(sk.precision_score, ~truth, ~predicted, zero_division=np.nan),
        "f1": quiet(sk.f1_score, truth, predicted, zero_division=np.nan),
        "auc": quiet(sk.roc_auc_score, truth, column) if 0 < truth.sum() < truth.size else math.nan,
        "pr_auc": quiet(sk.average_precision_score, truth, column) if truth.any() else math.nan,
    }
    for name, value in theirs.items():
        same(row[name], value, name)


@given(
    st.integers(1, 40).flatmap(
        lambda n: st.tuples(
            st.lists(st.booleans(), min_size=n, max_size=n),
            st.lists(st.sampled_from([-1e300, -1.0, 0.0, 5e-324, 1.0]) | st.floats(-5, 5), min_size=n, max_size=n),
        )
    )
)
@settings(max_examples=300, deadline=None)
def test_curves_equal_scikit_learn(data: tuple[list[bool], list[float]]) -> None:
    labels, scores = np.array(data[0]), np.array(data[1])
    if labels.all() or not labels.any():
        with pytest.warns(UndefinedMetricWarning):
            assert math.isnan(metrics.roc_auc(labels, scores))
        return
    ours, theirs = metrics.roc_curve(labels, scores), sk.roc_curve(labels, scores, drop_intermediate=False)
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a, b, **TOLERANCE)
    ours, theirs = metrics.precision_recall_curve(labels, scores), sk.precision_recall_curve(labels, scores)
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a, b, **TOLERANCE)
    same(metrics.roc_auc(labels, scores), sk.roc_auc_score(labels, scores), "auc")
    same(metrics.average_precision(labels, scores), sk.average_precision_score(labels, scores), "pr_auc")
    u = mannwhitneyu(scores[labels], scores[~labels], method="asymptotic").statistic
    same(metrics.roc_auc(labels, scores), u / (labels.sum() * (~labels).sum()), "Mann-Whitney")


@pytest.mark.parametrize("weights", ["none", "linear", "quadratic"])
def test_kappa_equals_scikit_learn(weights: str) -> None:
    rng = np.random.default_rng(3)
    for _ in range(50):
        y, p = rng.integers(0, 5, (2, 40))
        theirs = sk.cohen_kappa_score(y, p, labels=range(5), weights=None if weights == "none" else weights)
        same(metrics.cohen_kappa(metrics.confusion_matrix(y, p, 5), weights), theirs, weights)


def test_whole_set_not_mean_of_batches() -> None:
    """The trap that these functions exist to avoid: batch means of F1 and AUC differ from the set's."""
    rng = np.random.default_rng(0)
    labels, scores = rng.random(400) < 0.1, rng.random(400)
    batches = [
        metrics.average_precision(y, s) for y, s in zip(labels.reshape(4, 100), scores.reshape(4, 100), strict=True)
    ]
    assert abs(np.mean(batches) - metrics.average_precision(labels, scores)) > 1e-3


def two_sigmoids() -> tuple[np.ndarray, np.ndarray]:
    scores = np.array([[0.875, 0.75], [0.25, 0.125], [0.25, 0.875], [0.125, 0.25], [0.625, 0.5]])
    return scores, np.array([0, 0, 1, 1, 1])


def test_two_sigmoids_are_ranked_by_their_difference() -> None:
    """The positive's own column would put the uninfected .75 above the infected .5 and .25."""
    scores, labels = two_sigmoids()
    result = metrics.evaluate_scores(scores, labels, ["uninfected", "infected"], "infected")
    assert result["confusion"] == [[2, 0], [1, 2]]
    assert result["auc"] == pytest.approx(5 / 6)  # eighths -1 -1 | 5 1 -1: four wins, two ties
    p = scores[:, 1] / scores.sum(axis=1)
    assert result["brier"] == pytest.approx(np.mean((p - labels) ** 2))


def test_positive_class_swaps_sensitivity_and_specificity() -> None:
    scores, labels = two_sigmoids()
    a = metrics.evaluate_scores(scores, labels, ["x", "y"], "x")
    b = metrics.evaluate_scores(scores, labels, ["x", "y"], "y")
    assert (a["sensitivity"], a["precision"]) == (b["specificity"], b["npv"]) == (1.0, 2 / 3)
    assert a["auc"] == b["auc"]
    assert a["accuracy"] == b["accuracy"] == 0.8
    assert a["positive"] == "x"


def test_evaluation_is_json_with_every_interval_around_its_value() -> None:
    rng = np.random.default_rng(1)
    for k in (2, 4):
        labels = rng.integers(0, k, 300)
        scores = rng.random((300, k)) + np.eye(k)[labels] * 0.4
        scores /= scores.sum(axis=1, keepdims=True)
        names = [f"c{i}" for i in range(k)]
        result = json.loads(json.dumps(metrics.evaluate_scores(scores, labels, names, "c1"), allow_nan=False))
        assert result["warnings"] == []
        places = [result, *result["per_class"].values(), *([result["macro"]] if k > 2 else [])]
        found = 0
        for place in places:
            for key in [key for key in place if key.endswith("_interval")]:
                low, high = place[key]
                assert low < place[key.removesuffix("_interval")] < high, key
                found += 1
        assert found == (12 + 2 * 7 if k == 2 else 12 + 4 * 7 + 4)


def test_same_seed_same_intervals() -> None:
    scores, labels, classes = random_set(3)
    first, again, other = (metrics.evaluate_scores(scores, labels, classes, classes[0], seed) for seed in (7, 7, 8))
    assert first == again
    assert first["auc_interval"] != other["auc_interval"]
    assert first["auc"] == other["auc"]


def test_auc_interval_resamples_inside_each_class() -> None:
    """With 2 positives in 60 every seventh simple resample would have none."""
    labels = (np.arange(60) < 2).astype(int)
    scores = np.random.default_rng(0).random((60, 2))
    result = metrics.evaluate_scores(scores, labels, ["a", "b"], "b", seed=5)
    assert result["auc_interval"] == list(metrics.auc_interval(labels, metrics.class_scores(scores, 1), seed=5))
    assert [w for w in result["warnings"] if "undefined" in w and "pr_auc" not in w] == []


def test_no_resamples_no_bootstrap_intervals() -> None:
    scores, labels = two_sigmoids()
    result = metrics.evaluate_scores(scores, labels, ["a", "b"], "b", resamples=0)
    assert result["auc_interval"] is None
    assert result["accuracy_interval"] is not None


def test_one_class_only_gives_null_and_says_why() -> None:
    result = metrics.evaluate_scores(np.array([[0.9, 0.1]] * 3), np.zeros(3, int), ["a", "b"], "b")
    for name in ("sensitivity", "precision", "f1", "auc", "pr_auc", "kappa"):
        assert (result[name], result[f"{name}_interval"]) == (None, None), name
    assert result["specificity"] == result["npv"] == result["accuracy"] == 1.0
    text = "\n".join(result["warnings"])
    for words in (
        "b: sensitivity is 0/0: no sample has this class",
        "b: precision is 0/0",
        "AUC needs both",
        "kappa",
    ):
        assert words in text
    json.dumps(result, allow_nan=False)


def test_perfect_auc_warns_that_its_interval_says_nothing() -> None:
    labels = np.arange(20) % 2
    result = metrics.evaluate_scores(np.eye(2)[labels], labels, ["a", "b"], "b")
    assert result["auc"] == 1
    assert result["auc_interval"] == [1.0, 1.0]
    assert any("auc: every bootstrap resample gives 1" in w for w in result["warnings"])
    assert result["sensitivity_interval"][0] < 0.75  # Wilson's does show it: 10 of 10


def test_logits_have_no_brier_score() -> None:
    result = metrics.evaluate_scores(np.array([[3.0, -2.0], [-1.0, 4.0]]), np.array([0, 1]), ["a", "b"], "b")
    assert result["brier"] is None
    assert any("brier" in w for w in result["warnings"])


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"positive": "c"}, UserError, "'c' is not one of the classes: a, b"),
        ({"scores": [[0.1, math.nan], [1, 0]]}, UserError, "1 of 2 samples have scores that are nan"),
        ({"scores": [[0.1, 0.2, 0.3]] * 2}, ValueError, r"scores \(n, 2\)"),
        ({"labels": [0, 2]}, ValueError, "from 0 to 1"),
        ({"labels": [0.0, 1.0]}, ValueError, "integers"),
        ({"labels": [], "scores": np.zeros((0, 2))}, ValueError, "n >= 1"),
        ({"classes": ["a", "a"]}, ValueError, "different class names"),
    ],
)
def test_wrong_input_is_refused(change: dict, error: type, words: str) -> None:
    arguments = {
        "scores": [[0.1, 0.9], [1, 0]],
        "labels": [1, 0],
        "classes": ["a", "b"],
        "positive": "b",
    } | change
    with pytest.raises(error, match=words):
        metrics.evaluate_scores(**arguments)


@pytest.mark.parametrize(
    ("name", "counts"),
    [
        ("sensitivity", Counts(tp=0, fp=3, fn=0, tn=4)),
        ("specificity", Counts(3, 0, 4, 0)),
        ("precision", Counts(0, 0, 3, 4)),
        ("npv", Counts(3, 4, 0, 0)),
        ("f1", Counts(0, 0, 0, 5)),
        ("accuracy", Counts(0, 0, 0, 0)),
    ],
)
def test_zero_by_zero_is_nan_with_a_warning(name: str, counts: Counts) -> None:
    with pytest.warns(UndefinedMetricWarning, match=f"{name} is 0/0"):
        assert math.isnan(metrics.rate(name, counts))
    assert all(map(math.isnan, metrics.rate_interval(name, counts)))


def test_whole_set_statistics_equal_the_metric_of_each_resample() -> None:
    scores, labels, classes = random_set(22)
    result = metrics.evaluate_scores(scores, labels, classes, classes[0], resamples=0)
    block = next(intervals.resample(np.zeros(labels.size, int), 40, seed=0))
    values = {k: f(block) for k, f in metrics.whole_statistics(result, scores, labels).items()}
    assert set(values) == {"kappa", "quadratic_kappa", "brier", "macro f1", "macro specificity"}
    for r, rows in enumerate(block):
        again = metrics.evaluate_scores(scores[rows], labels[rows], classes, classes[0], resamples=0)
        for key in ("kappa", "quadratic_kappa", "brier"):
            same(again[key], values[key][r], key)
        for key in ("f1", "specificity"):
            same(again["macro"][key], values[f"macro {key}"][r], f"macro {key}")
