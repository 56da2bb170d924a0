"""Measures of predicted numbers and of grades, against scikit-learn, SciPy and their definitions."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinymed.errors import UserError
from tinymed.metrics.agreement import (
    bland_altman,
    concordance,
    evaluate_values,
    intraclass_correlation,
    mean_absolute_error,
    pearson,
    r2,
    root_mean_squared_error,
    student_quantile,
    within,
)
from tinymed.metrics.grades import DECISIONS, decide, evaluate_grades, ranked_probability_score

sklearn_metrics = pytest.importorskip("sklearn.metrics", reason="scikit-learn is the oracle: pip install '.[test]'")
stats = pytest.importorskip("scipy.stats", reason="SciPy is the oracle: pip install '.[test]'")


def pair(seed: int, n: int = 40) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    truth = rng.normal(10, 4, n)
    return truth, 1.5 + 0.8 * truth + rng.normal(0, 2, n)


class TestNumbers:
    @pytest.mark.parametrize("seed", range(5))
    def test_errors_and_correlation_are_the_libraries(self, seed):
        t, p = pair(seed)
        assert mean_absolute_error(t, p) == pytest.approx(sklearn_metrics.mean_absolute_error(t, p), rel=1e-12)
        assert root_mean_squared_error(t, p) == pytest.approx(
            sklearn_metrics.mean_squared_error(t, p) ** 0.5, rel=1e-12
        )
        assert r2(t, p) == pytest.approx(sklearn_metrics.r2_score(t, p), rel=1e-12)
        assert pearson(t, p) == pytest.approx(stats.pearsonr(t, p).statistic, rel=1e-12)

    @pytest.mark.parametrize("seed", range(5))
    def test_intraclass_correlation_is_of_the_two_way_analysis_of_variance(self, seed):
        """Sums of squares of the fitted linear models, not the closed form."""
        t, p = pair(seed, 12)
        n, y = t.size, np.concatenate([t, p])
        images, columns = np.tile(np.eye(n), (2, 1)), np.repeat(np.eye(2), n, axis=0)

        def left(*designs):
            x = np.concatenate([np.ones((2 * n, 1)), *designs], axis=1)
            fitted = x @ np.linalg.lstsq(x, y, rcond=None)[0]
            return float(((y - fitted) ** 2).sum())

        whole = left(images, columns)
        rows, between, error = left(columns) - whole, left(images) - whole, whole / (n - 1)
        mean_rows = rows / (n - 1)
        true = (mean_rows - error) / (mean_rows + error + 2 * (between - error) / n)
        assert intraclass_correlation(t, p) == pytest.approx(true, rel=1e-9)

    def test_concordance_is_lins_and_tells_a_bias(self):
        t, p = pair(0)
        true = 2 * np.cov(t, p, ddof=0)[0, 1] / (t.var() + p.var() + (t.mean() - p.mean()) ** 2)
        assert concordance(t, p) == pytest.approx(true, rel=1e-12)
        assert pearson(t, t + 5) == pytest.approx(1)
        assert concordance(t, t + 5) < 0.6
        assert intraclass_correlation(t, t + 5) < 0.7
        assert concordance(t, t) == pytest.approx(1) == intraclass_correlation(t, t)

    @given(st.integers(0, 1000), st.integers(2, 30))
    def test_agreement_is_at_most_correlation(self, seed, n):
        t, p = pair(seed, n)
        assert abs(concordance(t, p)) <= abs(pearson(t, p)) + 1e-12
        assert concordance(t, p) == pytest.approx(concordance(p, t))
        assert mean_absolute_error(t, p) <= root_mean_squared_error(t, p) + 1e-12

    @pytest.mark.parametrize("freedom", [1, 2, 3, 4, 7, 30, 101])
    @pytest.mark.parametrize("level", [0.5, 0.9, 0.95, 0.999])
    def test_students_quantile(self, freedom, level):
        assert student_quantile(level, freedom) == pytest.approx(stats.t.ppf(0.5 + level / 2, freedom), rel=1e-9)

    def test_limits_of_agreement(self):
        t, p = pair(3)
        found, d = bland_altman(t, p, level=0.9), p - t
        low, high = stats.t.interval(0.9, d.size - 1, d.mean(), stats.sem(d))
        assert found["bias_interval"] == pytest.approx((low, high), rel=1e-9)
        assert found["limits"] == pytest.approx(
            (d.mean() - 1.959964 * d.std(ddof=1), d.mean() + 1.959964 * d.std(ddof=1))
        )
        assert np.diff(found["upper_limit_interval"]) > np.diff(found["bias_interval"])

    def test_many_rows_at_once_are_each_row(self):
        t, p = np.random.default_rng(0).normal(size=(2, 7, 9))
        for measure in (mean_absolute_error, root_mean_squared_error, r2, pearson, concordance, intraclass_correlation):
            np.testing.assert_allclose(measure(t, p), [measure(a, b) for a, b in zip(t, p, strict=True)])

    def test_what_does_not_vary_is_not_defined_and_said(self):
        result = evaluate_values([2.0, 2.0, 2.0], [1.0, 1.0, 1.0], resamples=20)
        assert result["r2"] is None is result["pearson"]
        assert any("r2 is 0/0" in note for note in result["warnings"])
        assert result["mae"] == 1
        alone = evaluate_values([1.0], [1.0], resamples=20)
        assert alone["limits"] is None is alone["icc"]

    def test_a_whole_evaluation(self):
        t, p = pair(1, 60)
        floors = {"median": float(np.median(t)), "mean": float(t.mean())}
        result = evaluate_values(p, t, floors=floors, tolerances=(1.0,))
        for name in ("mae", "rmse", "median_error", "r2", "pearson", "ccc", "icc"):
            low, high = result[f"{name}_interval"]
            assert low < result[name] < high, name
        floor = result["floors"]["median"]
        assert floor["mae"] == pytest.approx(sklearn_metrics.mean_absolute_error(t, np.full_like(t, floor["value"])))
        assert floor["gain"] == pytest.approx(floor["mae"] - result["mae"])
        assert floor["gain_interval"][0] > 0
        assert result["within"]["1"]["share"] == np.mean(np.abs(p - t) <= 1)
        assert evaluate_values(p, t, floors=floors, tolerances=(1.0,)) == result
        assert evaluate_values(p, t, seed=1)["mae_interval"] != result["mae_interval"]

    def test_what_is_no_better_than_its_floor_is_said(self):
        t, _ = pair(4, 30)
        useless = np.random.default_rng(0).permutation(t)
        result = evaluate_values(useless, t, floors={"median": float(np.median(t))})
        assert any("not below that of the floor 'median'" in note for note in result["warnings"])
        p, y = graded(0, 30)
        result = evaluate_grades(p[::-1], y, TestGrades.NAMES, floors={"median": 1})
        assert any("not below that of the floor 'median'" in note for note in result["warnings"])
        assert not any("floor" in note for note in evaluate_grades(p, y, TestGrades.NAMES, floors={"x": 0})["warnings"])

    def test_the_bootstraps_interval_is_scipys(self):
        t, p = pair(2, 50)
        error = np.abs(p - t)
        other = stats.bootstrap((error,), np.mean, n_resamples=4000, method="percentile", rng=0).confidence_interval
        np.testing.assert_allclose(evaluate_values(p, t, resamples=4000)["mae_interval"], other, rtol=0.03)

    def test_tolerance_and_rounding(self):
        assert within([0.0, 0.0], [0.1 + 0.2, 0.31], 0.3).tolist() == [True, False]
        assert evaluate_values([1.4, 1.6], [1, 1], resamples=0)["exact"]["share"] == 0.5

    @pytest.mark.parametrize("values", [([1.0], [1.0, 2.0]), ([[1.0]], [1.0]), ([], [])])
    def test_shapes_that_do_not_fit(self, values):
        with pytest.raises(ValueError, match="of one shape"):
            evaluate_values(*values)

    def test_a_diverged_network_is_said(self):
        with pytest.raises(UserError, match=r"1 of 2 predictions are nan.*diverged"):
            evaluate_values([1.0, np.nan], [1.0, 2.0])


def graded(seed: int, n: int = 80, grades: int = 4) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities that know something of the labels."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, grades, n)
    logits = -0.7 * (np.arange(grades) - labels[:, None] + rng.normal(0, 1.2, (n, 1))) ** 2
    p = np.exp(logits)
    return p / p.sum(axis=1, keepdims=True), labels


class TestGrades:
    NAMES = ("none", "mild", "moderate", "severe")

    @pytest.mark.parametrize("decision", DECISIONS)
    def test_measures_are_the_libraries(self, decision):
        p, y = graded(0)
        found = decide(p, decision)
        result = evaluate_grades(p, y, self.NAMES, decision=decision, resamples=0)
        for weights in ("linear", "quadratic"):
            true = sklearn_metrics.cohen_kappa_score(y, found, weights=weights)
            assert result[f"{weights}_kappa"] == pytest.approx(true, rel=1e-12)
        assert result["accuracy"] == pytest.approx(sklearn_metrics.accuracy_score(y, found))
        assert result["within_1"] == np.mean(np.abs(found - y) <= 1)
        assert result["mae"] == pytest.approx(sklearn_metrics.mean_absolute_error(y, found))
        assert result["balanced_accuracy"] == pytest.approx(sklearn_metrics.balanced_accuracy_score(y, found))
        assert result["confusion"] == sklearn_metrics.confusion_matrix(y, found).tolist()
        for k in (1, 2, 3):
            row = result["at_least"][self.NAMES[k]]
            assert row["auc"] == pytest.approx(sklearn_metrics.roc_auc_score(y >= k, p[:, k:].sum(axis=1)))
            assert row["sensitivity"] == pytest.approx(sklearn_metrics.recall_score(y >= k, found >= k))

    def test_the_ranked_probability_score_is_its_definition(self):
        p, y = graded(1, 20)
        total = 0.0
        for row, label in zip(p, y, strict=True):
            total += sum((row[: k + 1].sum() - (label <= k)) ** 2 for k in range(3)) / 3
        assert ranked_probability_score(p, y) == pytest.approx(total / 20)
        assert ranked_probability_score(np.eye(4)[y], y) == 0

    @given(st.integers(0, 1000), st.integers(2, 6))
    def test_each_decision_is_best_at_what_it_is_for(self, seed, grades):
        """The median makes the expected error least, the mode its chance; the mean the squared error, to a grade."""
        p, _ = graded(seed, 10, grades)
        distance = np.abs(np.subtract.outer(np.arange(grades), np.arange(grades)))
        losses = {"median": p @ distance, "mode": p @ (distance > 0), "mean": p @ distance**2}
        for decision, loss in losses.items():
            chosen = np.take_along_axis(loss, decide(p, decision)[:, None], 1)[:, 0]
            np.testing.assert_allclose(chosen, loss.min(axis=1), atol=1e-12)

    def test_intervals_and_floors(self):
        p, y = graded(2)
        floors = {"most frequent": int(np.bincount(y).argmax())}
        result = evaluate_grades(p, y, self.NAMES, floors=floors)
        for name in ("accuracy", "within_1", "mae", "quadratic_kappa", "linear_kappa", "balanced_accuracy", "rps"):
            low, high = result[f"{name}_interval"]
            assert low < result[name] < high, name
        floor = result["floors"]["most frequent"]
        always = np.full_like(y, floors["most frequent"])
        assert (floor["accuracy"], floor["mae"]) == (np.mean(always == y), np.mean(np.abs(always - y)))
        assert floor["gain"] == pytest.approx(floor["mae"] - result["mae"])
        assert floor["gain_interval"][0] > 0

    def test_a_grade_without_images_and_one_that_all_have(self):
        result = evaluate_grades([[1.0, 0, 0], [0.8, 0.2, 0]], [0, 0], ["a", "b", "c"], resamples=20)
        assert result["quadratic_kappa"] is None is result["at_least"]["b"]["auc"]
        assert any("kappa is 0/0" in note for note in result["warnings"])

    @pytest.mark.parametrize(
        ("labels", "grades", "words"),
        [
            ([0, 3], ["a", "b", "c"], "integers from 0 to 2"),
            ([0], ["a", "b", "c"], "needs probabilities"),
            ([0, 1], ["a"], "two or more"),
        ],
    )
    def test_what_does_not_fit(self, labels, grades, words):
        with pytest.raises(ValueError, match=words):
            evaluate_grades(np.full((2, 3), 1 / 3), labels, grades)
        with pytest.raises(ValueError, match="median, mean, mode"):
            decide([[1.0]], "best")
