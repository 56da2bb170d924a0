"""Intervals over groups: against SciPy, scikit-learn and formulas written anew; what groups change; coverage."""

import math
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import average_precision_score, roc_auc_score

from tinymed.metrics import area_intervals, clusters
from tinymed.metrics.classification import evaluate_scores
from tinymed.metrics.intervals import wilson_interval
from tinymed.metrics.measures import Area, Mean, Share, Weighted, intervals_by_groups
from tinymed.tasks.results.class_results import class_figures, class_text, weighted_precision
from tinymed.tasks.results.rows import Cases

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "benchmarks"))

import interval_coverage

RNG = np.random.default_rng(5)
SAID: list[str] = []


@pytest.mark.parametrize("freedom", [1, 2, 4.5, 29, 299, 301, 5000, math.inf])
@pytest.mark.parametrize("level", [0.5, 0.95, 0.999])
def test_student_quantile_is_scipys(freedom, level):
    wanted = stats.norm.ppf(0.5 + level / 2) if math.isinf(freedom) else stats.t.ppf(0.5 + level / 2, freedom)
    assert clusters.student_quantile(level, freedom) == pytest.approx(wanted, rel=1e-7)


def test_without_groups_a_share_has_wilsons_interval():
    right = RNG.random(57) < 0.8
    ends = clusters.proportion_interval(right, warn=SAID.append)
    np.testing.assert_allclose(ends, wilson_interval(int(right.sum()), 57), atol=1e-12)
    each = clusters.proportion_interval(right, np.arange(57), warn=SAID.append)
    np.testing.assert_allclose(each, ends, atol=1e-12)


def test_copies_of_patients_tell_nothing_new():
    """Every image of a patient is alike: the interval is about that of as many images as there are patients."""
    right = RNG.random(60) < 0.7
    copied, patient = np.repeat(right, 12), np.repeat(np.arange(60), 12)
    narrow = np.ptp(clusters.proportion_interval(copied))
    wide = np.ptp(clusters.proportion_interval(copied, patient, warn=SAID.append))
    alone = np.ptp(clusters.proportion_interval(right, warn=SAID.append))
    assert narrow < 0.5 * wide
    assert wide == pytest.approx(alone, rel=0.08)


def test_the_names_and_order_of_groups_do_not_matter():
    right, groups = RNG.random(90) < 0.8, RNG.integers(0, 30, 90)
    order = RNG.permutation(90)
    ends = clusters.proportion_interval(right, groups, warn=SAID.append)
    named = np.array([f"p{g}" for g in groups])
    np.testing.assert_allclose(clusters.proportion_interval(right[order], named[order], warn=SAID.append), ends)


def delong_variance(y, s):
    """DeLong's variance of an AUC, from its definition: all pairs."""
    wins = (s[y][:, None] > s[~y]) + 0.5 * (s[y][:, None] == s[~y])
    return wins.mean(axis=1).var(ddof=1) / y.sum() + wins.mean(axis=0).var(ddof=1) / (~y).sum()


def test_auc_estimate_is_delongs():
    y, s = RNG.random(80) < 0.4, RNG.integers(0, 12, 80) / 3
    found = area_intervals.auc_estimate(y, s)
    assert found.value == pytest.approx(roc_auc_score(y, s))
    assert found.influence.sum() == pytest.approx(0, abs=1e-12)
    assert np.sum(found.influence**2) == pytest.approx(delong_variance(y, s))
    each = area_intervals.auc_estimate(y, s, np.arange(80) // 2)
    assert each.influence.shape == (40,)
    assert each.grouped


def test_the_variance_of_an_auc_is_unbiased_in_each_class_of_groups():
    """Groups are of one class each: the variance is that of the means of 5 groups and, added to it, of 10."""
    y, s, groups = np.arange(90) % 15 < 5, RNG.normal(size=90), np.arange(90) % 15
    s[y] += 1
    wins = (s[y][:, None] > s[~y]) + 0.5 * (s[y][:, None] == s[~y])
    own = [wins.mean(axis=1)[groups[y] == g].mean() for g in range(5)]
    others = [wins.mean(axis=0)[groups[~y] == g].mean() for g in range(5, 15)]
    wanted = np.var(own, ddof=1) / 5 + np.var(others, ddof=1) / 10
    assert area_intervals.auc_estimate(y, s, groups).variance == pytest.approx(wanted)


def test_the_end_of_a_high_auc_that_is_nearer_to_a_half_reaches_further():
    y = np.arange(100) < 50
    s = y * 1.0
    s[[0, 1]] = -1  # two of the positives are below every negative
    low, high = area_intervals.auc_interval_by_groups(y, s)
    estimate = area_intervals.auc_estimate(y, s)
    plain = area_intervals.logit_ends(estimate, 50, 0.95, estimate.freedom)
    assert low < plain[0] - 0.01
    assert high == plain[1]
    mirrored = area_intervals.auc_interval_by_groups(y, -s)
    np.testing.assert_allclose(mirrored, (1 - high, 1 - low), atol=1e-12)


def test_an_auc_of_one_keeps_an_interval():
    low, high = area_intervals.auc_interval_by_groups([0] * 20 + [1] * 20, np.arange(40), warn=SAID.append)
    assert 0.85 < low < 0.95
    assert high == 1


def test_scores_that_are_all_the_same_have_a_half_and_no_other_end():
    """They vary as little as an AUC of 1 does, and were given its interval."""
    y, groups = np.arange(120) % 2, RNG.integers(0, 40, 120)
    for g in (None, groups):
        assert area_intervals.auc_interval_by_groups(y, np.zeros(120), g, warn=SAID.append) == (0.5, 0.5)
    one, other = (area_intervals.auc_estimate(y, s, groups) for s in (np.arange(120.0), np.zeros(120)))
    low, high = area_intervals.auc_difference_interval(one, other, 40)
    assert low < one.value - 0.5 < high < 0.4


def test_a_mean_leans_against_its_skewness():
    values = 1 - RNG.gamma(0.5, 0.05, 200)
    low, high = clusters.mean_interval_by_groups(values, warn=SAID.append, bounds=(0, 1))
    assert values.mean() - low > high - values.mean()
    t = stats.t.interval(0.95, 199, values.mean(), stats.sem(values))
    np.testing.assert_allclose((low, high), t, atol=0.1 * (t[1] - t[0]))


def test_few_groups_are_warned_of():
    said: list[str] = []
    clusters.mean_interval_by_groups(RNG.random(200), np.arange(200) % 12, warn=said.append)
    assert "12 groups in 200 images" in said[0]
    said.clear()
    clusters.mean_interval_by_groups(RNG.random(200), np.arange(200) % 40, warn=said.append)
    assert said == []


def test_few_images_without_groups_are_warned_of():
    said: list[str] = []
    clusters.proportion_interval(RNG.random(99) < 0.9, warn=said.append)
    assert "99 images" in said[0]
    said.clear()
    clusters.proportion_interval(RNG.random(100) < 0.9, warn=said.append)
    assert said == []


@pytest.mark.parametrize(("n", "said"), [(60, 1), (100, 0)])
def test_an_evaluation_of_few_images_says_so(n, said):
    """What `train` and `evaluate` print as notes, of images without groups too, and once."""
    result, measures = {"n": n, "accuracy_interval": [0.8, 0.95], "warnings": []}, {"accuracy": Share(np.arange(n) > 5)}
    found = intervals_by_groups(result, measures, None)
    assert [f"{n} images" in note for note in found["warnings"]] == [True] * said
    assert intervals_by_groups(result | found, measures, None)["warnings"] == found["warnings"]


@pytest.mark.parametrize("groups", [None, np.arange(60) // 4])
def test_what_is_said_of_rough_intervals_is_printed_of_classes(groups):
    """The text of `train` and `evaluate` has it; remarks on the bootstrap's resamples stay out of it."""
    labels = np.arange(60) % 2
    scores = RNG.dirichlet(np.ones(2), 60)
    scores[np.arange(60), labels] += 1
    result = evaluate_scores(scores / 2, labels, ["clear", "ill"], "ill", 0)
    columns = {"path": range(60), "true": [["clear", "ill"][k] for k in labels]}
    columns |= {f"score {name}": scores[:, i] for i, name in enumerate(["clear", "ill"])}
    measures = class_figures(Cases(columns), ["clear", "ill"], "ill", 0)
    text = class_text(result | intervals_by_groups(result, measures, groups), "test")
    what = "60 images" if groups is None else "15 groups in 60 images"
    assert f"note: {what}: with fewer than 30 groups or 100 images an interval is rough" in text
    assert "bootstrap" not in text


@pytest.mark.parametrize("folds", [None, np.arange(200) % 2])
def test_weighted_average_precision_is_scikit_learns(folds):
    y, s = (RNG.random(200) < 0.3) * 1.0, RNG.integers(0, 20, 200) / 7
    weights = RNG.integers(0, 3, (3, 200)).astype(float)
    parts = [np.ones(200, bool)] if folds is None else [folds == f for f in (0, 1)]
    wanted = [np.mean([average_precision_score(y[p], s[p], sample_weight=w[p]) for p in parts]) for w in weights]
    np.testing.assert_allclose(weighted_precision(y, s, folds)(weights), wanted)


def test_areas_of_folds_are_averaged_and_not_mixed():
    """Scores of the second fold are shifted: ranked together they would part the folds, not the classes."""
    y, s, fold = np.array([0, 1] * 20) * 1.0, RNG.random(40), np.repeat([0, 1], 20)
    shifted = s + 10 * fold
    wanted = np.mean([roc_auc_score(y[fold == f], s[fold == f]) for f in (0, 1)])
    assert Area([(y, shifted)], fold).value() == pytest.approx(wanted)
    assert Area([(y, shifted)]).value() != pytest.approx(wanted)


class TestDifferences:
    def test_a_share_less_itself_is_nothing(self):
        right = RNG.random(100) < 0.9
        found = Share(right).against(Share(right), None, warn=SAID.append)
        assert found.value == 0
        assert found.interval[0] < 0 < found.interval[1]

    def test_pairs_are_kept_together(self):
        """Of methods that err on the same images the difference is known better than of strangers."""
        hard = RNG.normal(size=300)
        one, alike, stranger = hard < 1, hard < 0.95, RNG.normal(size=300) < 0.95
        narrow, wide = (np.ptp(Share(one).against(Share(o), None).interval) for o in (alike, stranger))
        assert narrow < 0.6 * wide

    def test_dice_is_a_paired_t_test(self):
        a, b = RNG.random(120), RNG.random(120)
        found = Mean(a).against(Mean(b), None)
        np.testing.assert_allclose(found.interval, stats.ttest_rel(a, b).confidence_interval(), atol=1e-10)

    def test_a_bootstrap_draws_whole_groups(self):
        values, groups = np.repeat(RNG.random(40), 10), np.repeat(np.arange(40), 10)
        measure = Weighted(lambda w: w @ values / w.sum(axis=1), np.ones(400, bool))
        wide, narrow = (np.ptp(measure.figure(g, warn=SAID.append).interval) for g in (groups, None))
        assert wide > 2 * narrow


def test_figures_of_a_list_are_those_of_scikit_learn():
    from sklearn import metrics as sk

    names = ["a", "b", "c"]
    labels, scores = RNG.integers(0, 3, 150), RNG.dirichlet(np.ones(3), 150)
    columns = {"path": range(150), "true": [names[k] for k in labels]}
    columns |= {f"score {name}": scores[:, i] for i, name in enumerate(names)}
    found = {name: m.value() for name, m in class_figures(Cases(columns), names, "b", 0).items()}
    guess, positive = scores.argmax(1), labels == 1
    assert found["accuracy"] == pytest.approx(sk.accuracy_score(labels, guess))
    assert found["balanced_accuracy"] == pytest.approx(sk.balanced_accuracy_score(labels, guess))
    assert found["kappa"] == pytest.approx(sk.cohen_kappa_score(labels, guess))
    assert found["sensitivity"] == pytest.approx(sk.recall_score(positive, guess == 1))
    assert found["precision"] == pytest.approx(sk.precision_score(positive, guess == 1))
    assert found["f1"] == pytest.approx(sk.f1_score(positive, guess == 1))
    assert found["auc"] == pytest.approx(sk.roc_auc_score(positive, scores[:, 1]))
    assert found["macro_auc"] == pytest.approx(sk.roc_auc_score(labels, scores, multi_class="ovr"))
    assert found["pr_auc"] == pytest.approx(sk.average_precision_score(positive, scores[:, 1]))


@pytest.mark.parametrize("name", interval_coverage.MEASURES)
def test_coverage_holds_in_a_small_simulation(name):
    """The benchmark's cell of 100 images of 30 groups, at .9: 95 %, give or take four standard errors of 200 draws."""
    row = interval_coverage.cell(name, 100, 30, 0.9, 200, seed=1)
    assert 0.89 < row["coverage"] <= 1


def test_the_exact_coverage_of_a_share_is_wilsons():
    k = np.arange(101)
    ends = np.array([wilson_interval(int(each), 100) for each in k])
    wanted = stats.binom.pmf(k, 100, 0.9)[(ends[:, 0] <= 0.9) & (ends[:, 1] >= 0.9)].sum()
    assert interval_coverage.exact("accuracy", 100, 0, 0.9) == pytest.approx(wanted, abs=1e-9)
    assert wanted == pytest.approx(0.9364, abs=1e-4)
    assert interval_coverage.exact("accuracy", 100, 30, 0.9) is None
    assert interval_coverage.exact("AUC", 100, 0, 0.9) is None


def test_the_exact_coverage_of_a_difference_is_what_a_simulation_comes_near():
    exact = interval_coverage.exact("difference of accuracy", 30, 0, 0.9)
    drawn = interval_coverage.cell("difference of accuracy", 30, 0, 0.9, 1500, seed=4)["coverage"]
    assert drawn == pytest.approx(exact, abs=4 * (exact * (1 - exact) / 1500) ** 0.5)


def test_published_coverage_is_of_cells_that_exist():
    import json

    rows = json.loads(interval_coverage.RESULT.read_text())["cells"]
    published = [(r["measure"], r["n"], r["groups"], r["truth"]) for r in rows]
    assert published == list(interval_coverage.cells())
    assert "| 600 | 30 |" in interval_coverage.as_markdown(rows)
