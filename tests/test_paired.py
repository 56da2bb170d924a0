"""Differences of two classifiers on the same images: by their formulas, and how wide their intervals are."""

import numpy as np
import pytest

from tinymed.metrics.classification import evaluate_scores
from tinymed.metrics.paired_differences import paired_differences


def two(n=200, classes=2, seed=0, noise=0.3):
    """Labels, and scores of two classifiers that mostly agree."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, n)
    common = np.eye(classes)[labels] + rng.normal(0, 0.8, (n, classes))
    return labels, common + rng.normal(0, noise / 3, (n, classes)), common + rng.normal(0, noise, (n, classes))


@pytest.mark.parametrize("classes", [2, 4])
def test_differences_are_those_of_the_measures(classes):
    labels, one, other = two(classes=classes)
    found = paired_differences(one, other, labels)
    names = [f"c{i}" for i in range(classes)]
    first, second = (evaluate_scores(s, labels, names, "c1", resamples=0) for s in (one, other))
    for name in ("accuracy", "balanced_accuracy"):
        assert found[name] == pytest.approx(first[name] - second[name])
    auc = [r["auc"] if classes == 2 else r["macro"]["auc"] for r in (first, second)]
    assert found["auc"] == pytest.approx(auc[0] - auc[1])
    right = [s.argmax(1) == labels for s in (one, other)]
    assert found["better"] == np.sum(right[0] & ~right[1])
    assert found["worse"] == np.sum(right[1] & ~right[0])
    for name in ("accuracy", "balanced_accuracy", "auc"):
        low, high = found[f"{name}_interval"]
        assert low <= found[name] <= high


def test_exchanged_classifiers_turn_the_sign():
    labels, one, other = two()
    there, back = paired_differences(one, other, labels), paired_differences(other, one, labels)
    for name in ("accuracy", "balanced_accuracy", "auc"):
        assert there[name] == pytest.approx(-back[name])
        np.testing.assert_allclose(there[f"{name}_interval"], [-e for e in back[f"{name}_interval"][::-1]], atol=1e-12)


def test_the_interval_is_that_of_the_paired_variance():
    """As wide as the normal interval of the mean gain, and narrower than independent figures would have it."""
    labels, one, other = two(800)
    found = paired_differences(one, other, labels, resamples=2000)
    right = [(s.argmax(1) == labels).astype(float) for s in (one, other)]
    gain = right[0] - right[1]
    low, high = found["accuracy_interval"]
    assert high - low == pytest.approx(2 * 1.96 * gain.std() / np.sqrt(800), rel=0.1)
    assert high - low < 2 * 1.96 * np.sqrt(sum(r.var() for r in right) / 800)


def test_one_class_has_no_auc():
    found = paired_differences(np.eye(2), np.eye(2), [1, 1])
    assert (found["auc"], found["auc_interval"]) == (None, None)


def test_shapes_must_fit():
    with pytest.raises(ValueError, match="scores of one shape"):
        paired_differences(np.eye(2), np.eye(3), [0, 1])
