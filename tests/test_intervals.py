"""Intervals: Wilson against SciPy, the bootstrap against its definition, coverage in simulation."""

import math
import time
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest
from sklearn import metrics as sk

from tinymed import random
from tinymed.metrics import classification as metrics
from tinymed.metrics import intervals
from tinymed.metrics.classification import UndefinedMetricWarning

TOLERANCE = {"rtol": 0, "atol": 1e-12}


@given(
    st.integers(0, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))),
    st.sampled_from([0.8, 0.95, 0.99]),
)
@settings(deadline=None)
def test_wilson_equals_scipy(data: tuple[int, int], level: float) -> None:
    k, n = data
    low, high = metrics.wilson_interval(k, n, level)
    if n == 0:
        assert math.isnan(low)
        assert math.isnan(high)
        return
    theirs = binomtest(k, n).proportion_ci(level, method="wilson")
    np.testing.assert_allclose((low, high), theirs, **TOLERANCE)


def test_wilson_by_hand() -> None:
    """8 of 10: centre (0.8 + z2/20) / (1 + z2/10), z2 = 3.841459; Newcombe 1998 tables 0.490 and 0.943."""
    z2 = 3.8414588206941227
    centre, half = (0.8 + z2 / 20) / (1 + z2 / 10), math.sqrt(z2 * (0.016 + z2 / 400)) / (1 + z2 / 10)
    np.testing.assert_allclose(metrics.wilson_interval(8, 10), (centre - half, centre + half), **TOLERANCE)
    np.testing.assert_allclose(metrics.wilson_interval(8, 10), (0.490, 0.943), atol=5e-4)
    assert metrics.wilson_interval(0, 10)[0] == 0.0
    assert metrics.wilson_interval(10, 10)[1] == 1.0
    with pytest.raises(ValueError, match="3 of 2"):
        metrics.wilson_interval(3, 2)
    with pytest.raises(ValueError, match="between 0 and 1"):
        metrics.wilson_interval(1, 2, level=95)


def test_resamples_are_philox_and_stay_in_their_class() -> None:
    words = intervals.draw_indices(37, 5, 3, seed=2**40 + 9)
    for r in range(3):
        np.testing.assert_array_equal(words[r], random.bits(37, 2**40 + 9, random.BOOTSTRAP, 5 + r))
    groups = np.array([2, 0, 0, 2, 2, 0, 2])
    drawn = np.concatenate(list(intervals.resample(groups, 200, seed=1)))
    assert drawn.shape == (200, 7)
    np.testing.assert_array_equal(np.sort(groups[drawn], axis=1), np.tile(np.sort(groups), (200, 1)))
    assert np.bincount(drawn.ravel(), minlength=7).min() > 150  # 200 expected each


def test_blocks_do_not_change_the_draw(monkeypatch: pytest.MonkeyPatch) -> None:
    groups = np.arange(50) % 3
    whole = np.concatenate(list(intervals.resample(groups, 40, seed=4)))
    monkeypatch.setattr(intervals, "BLOCK", 333)
    np.testing.assert_array_equal(whole, np.concatenate(list(intervals.resample(groups, 40, seed=4))))


def test_counted_statistics_equal_the_metric_of_each_resample() -> None:
    rng = np.random.default_rng(5)
    labels, scores = rng.random(60) < 0.3, np.round(rng.random(60), 1)
    block = next(intervals.resample(np.zeros(60, int), 50, seed=0))
    auc = intervals.resampled_auc(labels, scores)(block)
    area = intervals.resampled_average_precision(labels, scores)(block)
    for r, rows in enumerate(block):
        assert auc[r] == pytest.approx(sk.roc_auc_score(labels[rows], scores[rows]), abs=1e-12)
        assert area[r] == pytest.approx(sk.average_precision_score(labels[rows], scores[rows]), abs=1e-12)


def test_undefined_resamples_are_left_out_and_counted() -> None:
    labels, scores = np.array([1, 0, 0, 0]), np.array([0.9, 0.8, 0.95, 0.1])
    statistics = {"pr_auc": intervals.resampled_average_precision(labels, scores)}
    values = intervals.bootstrap_values(statistics, 4, resamples=200)["pr_auc"]
    missing = int(np.isnan(values).sum())
    assert 30 < missing < 100  # (3/4)^4 of 200 is 63
    with pytest.warns(UndefinedMetricWarning, match=f"pr_auc: undefined in {missing} of 200"):
        low, high = intervals.percentile_interval("pr_auc", values)
    assert 0 < low < high <= 1


def covered(experiment: Callable[[np.random.Generator, int], tuple[float, tuple[float, float]]], runs: int) -> float:
    """Share of repeated experiments whose interval holds the truth."""
    rng = np.random.default_rng(11)
    hits = 0
    for run in range(runs):
        truth, (low, high) = experiment(rng, run)
        hits += low <= truth <= high
    return hits / runs


def test_auc_interval_covers() -> None:
    """Two normals a distance 1 apart have AUC Phi(1/sqrt 2) = 0.7602."""

    def experiment(rng: np.random.Generator, run: int) -> tuple[float, tuple[float, float]]:
        labels = np.arange(120) < 50
        return 0.7602499389, metrics.auc_interval(labels, rng.normal(size=120) + labels, resamples=400, seed=run)

    assert 0.91 <= covered(experiment, 300) <= 0.985


def test_f1_and_balanced_accuracy_intervals_cover() -> None:
    def f1(rng: np.random.Generator, run: int) -> tuple[float, tuple[float, float]]:
        tp, fp, fn, _ = rng.multinomial(150, [0.25, 0.1, 0.05, 0.6])
        return 0.5 / 0.65, intervals.f1_interval(int(tp), int(fp), int(fn))

    def balanced(rng: np.random.Generator, run: int) -> tuple[float, tuple[float, float]]:
        hits = rng.binomial([30, 90], [0.9, 0.8])
        return 0.85, intervals.mean_interval(hits, [30, 90])

    assert 0.93 <= covered(f1, 1500) <= 0.97
    assert 0.93 <= covered(balanced, 1500) <= 0.975
    one = intervals.mean_interval([8, 0], [10, 0])
    np.testing.assert_allclose(one, metrics.wilson_interval(8, 10), **TOLERANCE)


def test_thousand_resamples_of_thousand_samples_are_quick() -> None:
    """CPU time, generously: about 0.03 s on the machine this was written on."""
    rng = np.random.default_rng(0)
    labels, scores = rng.integers(0, 2, 1000), rng.random(1000)
    start = time.process_time()
    metrics.auc_interval(labels, scores)
    assert time.process_time() - start < 1.0
