"""Classical classifiers: formulas by brute force, scikit-learn's parts, what chooses and what is left out, mistakes."""

import math
import sys
from pathlib import Path

import numpy as np
import pytest

import tinymed
from tinymed import baselines, models
from tinymed.baselines.elm import ELM
from tinymed.baselines.knn import KNN
from tinymed.baselines.pnn import PNN, neighbour_distance
from tinymed.baselines.svm import KernelSVM, LinearSVM
from tinymed.baselines.svr import SVR
from tinymed.baselines.trees import CART, Bagging, Boosting
from tinymed.errors import UserError

NAMES = baselines.available()


def blobs(classes=3, each=30, columns=4, seed=0, apart=2.5):
    """Rows of Gaussian clouds, and their class numbers, in mixed order."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(0, apart, (classes, columns))
    labels = rng.permutation(np.repeat(np.arange(classes), each))
    return centres[labels] + rng.normal(0, 1, (len(labels), columns)), labels


# ------------------------------------------------------------------------------------------------ every one of them


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("classes", [2, 3])
def test_each_learns_clouds_and_repeats_itself(name, classes):
    """Well above chance on new rows, the same bits twice, and one column for each class."""
    x, y = blobs(classes, apart=4)
    new, truth = blobs(classes, apart=4)
    new = new + np.random.default_rng(9).normal(0, 0.3, new.shape)
    first, second = (baselines.create(name).fit(x, y, classes).scores(new) for _ in range(2))
    assert first.shape == (len(new), classes)
    assert first.dtype == np.float64
    assert np.isfinite(first).all()
    np.testing.assert_array_equal(first, second)
    right = np.mean(first.argmax(1) == truth)
    assert right == pytest.approx(1 / classes) if name == "majority" else right > 0.9


@pytest.mark.parametrize("name", NAMES)
def test_the_order_of_new_rows_does_not_matter(name):
    x, y = blobs()
    new = blobs(seed=0)[0][::3]
    model = baselines.create(name).fit(x, y, 3)
    np.testing.assert_allclose(model.scores(new)[::-1], model.scores(new[::-1]), atol=1e-12)
    np.testing.assert_allclose(model.scores(new)[:1], model.scores(new[:1]), atol=1e-9)


@pytest.mark.parametrize("name", NAMES)
def test_each_refuses_rows_it_cannot_learn_from(name):
    x, y = blobs()
    with pytest.raises(UserError, match="nan or infinity"):
        baselines.create(name).fit(np.where(x == x.max(), np.nan, x), y, 3)
    with pytest.raises(UserError, match="no row of class number 3"):
        baselines.create(name).fit(x, y, 4)
    with pytest.raises(ValueError, match="labels"):
        baselines.create(name).fit(x, y[1:], 3)


@pytest.mark.parametrize("name", NAMES)
def test_the_grid_is_of_options_that_exist(name):
    known = baselines.entry(name)
    assert set(known.grid) <= set(known.options)
    assert known.source
    assert name not in models.available()
    for choice in known.candidates():
        baselines.create(name, **choice)


@pytest.mark.parametrize("name", [n for n in NAMES if baselines.entry(n).library])
def test_without_scikit_learn_the_extra_is_named(name, monkeypatch):
    for module in [m for m in sys.modules if m.partition(".")[0] == "sklearn"]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "sklearn", None)
    with pytest.raises(UserError, match=r"pip install 'tinymed\[baselines\]'"):
        baselines.create(name).fit(*blobs(), 3)


def test_the_others_need_nothing(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn", None)
    features, labels = blobs()
    for name in (n for n in NAMES if not baselines.entry(n).library):
        scores = baselines.create(name).fit(features, labels, 3).scores(features)
        assert (scores.shape, np.isfinite(scores).all()) == ((len(labels), 3), True), name


def test_a_classifier_is_one_file():
    """No name of a classifier stands in another file of the room than its own."""
    room = Path(tinymed.__file__).parent / "baselines"
    for name in NAMES:
        homes = [p.name for p in room.glob("*.py") if f'@register("{name}"' in p.read_text().replace("\n    ", "")]
        assert len(homes) == 1, name


def test_unknown_names_and_options_are_refused():
    with pytest.raises(UserError, match=r"baseline 'forest' is unknown; choose one of .*svm_linear"):
        baselines.create("forest")
    with pytest.raises(UserError, match="'knn' does not take neighbours; its options are k, metric"):
        baselines.create("knn", neighbours=3)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("pnn", {"sigma": 0.0}),
        ("pnn", {"factor": -1.0}),
        ("elm", {"hidden": 0}),
        ("elm", {"C": -1.0}),
        ("elm", {"activation": "step"}),
        ("knn", {"k": 0}),
        ("knn", {"metric": "hamming"}),
        ("svm", {"C": 0.0}),
        ("svm", {"gamma": 0.0}),
        ("svm_linear", {"C": float("inf")}),
        ("svr", {"epsilon": -0.1}),
        ("cart", {"criterion": "chance"}),
        ("cart", {"depth": 0}),
        ("bagging", {"columns": 0.0}),
        ("boosting", {"trees": 0}),
    ],
)
def test_options_out_of_range_are_refused(name, options):
    with pytest.raises(UserError, match=name):
        baselines.create(name, **options)


# ------------------------------------------------------------------------------------------------------- the formulas


class TestPNN:
    def test_by_the_formula_row_by_row(self):
        """Prior * loss * mean of exp(-||x - x_i||^2 / 2 sigma^2), summed one bump at a time."""
        x, y = blobs(3, 8)
        losses = (1.0, 2.0, 0.5)
        model = PNN(sigma=1.3, losses=losses).fit(x, y, 3)
        for new, found in zip(x[::5] + 0.4, model.scores(x[::5] + 0.4), strict=True):
            density = [
                np.mean(
                    [
                        math.exp(-sum((a - b) ** 2 for a, b in zip(new, row, strict=True)) / (2 * 1.3**2))
                        for row in x[y == c]
                    ]
                )
                for c in range(3)
            ]
            weighted = np.array([np.mean(y == c) * losses[c] * density[c] for c in range(3)])
            np.testing.assert_allclose(found, weighted / weighted.sum(), rtol=1e-9)

    def test_densities_are_scikit_learns(self):
        from sklearn import neighbors

        x, y = blobs(2, 20)
        model = PNN(sigma=0.8, priors=(0.5, 0.5)).fit(x, y, 2)
        new = x + 0.1
        logs = np.stack([neighbors.KernelDensity(bandwidth=0.8).fit(x[y == c]).score_samples(new) for c in (0, 1)], 1)
        found = model.scores(new)
        np.testing.assert_allclose(np.log(found[:, 0] / found[:, 1]), logs[:, 0] - logs[:, 1], atol=1e-8)

    def test_far_rows_and_rows_far_from_zero_keep_their_answer(self):
        """Densities underflow 1,000 widths away; a common shift by 1e6 changes nothing."""
        x, y = np.array([[0.0], [1.0]]), np.array([0, 1])
        np.testing.assert_array_equal(PNN(sigma=1e-3).fit(x, y, 2).scores([[50.0], [-50.0]]), [[0, 1], [1, 0]])
        rows, labels = blobs(2)
        here = PNN(sigma=1.0).fit(rows, labels, 2).scores(rows + 0.1)
        there = PNN(sigma=1.0).fit(rows + 1e6, labels, 2).scores(rows + 0.1 + 1e6)
        np.testing.assert_allclose(here, there, atol=1e-6)

    def test_the_width_by_brute_force(self):
        x, y = blobs(3, 7)
        nearest = [min(np.linalg.norm(x[i] - x[j]) for j in np.flatnonzero(y == y[i]) if j != i) for i in range(len(x))]
        assert neighbour_distance(x, y) == pytest.approx(np.mean(nearest))
        assert PNN(factor=0.5).fit(x, y, 3).width == pytest.approx(np.mean(nearest) / 2)
        assert neighbour_distance(np.zeros((3, 2)), np.array([0, 0, 1])) == 1

    def test_weights_that_do_not_fit_are_refused(self):
        with pytest.raises(UserError, match="priors are 3 positive numbers"):
            PNN(priors=(0.5, 0.5)).fit(*blobs(), 3)


class TestELM:
    def test_the_two_systems_agree_and_are_ridge_regression(self):
        """Fewer rows than units and more: the primal and the dual solution are scikit-learn's ridge."""
        linear_model = pytest.importorskip("sklearn.linear_model")
        x, y = blobs(3, 20)
        for hidden in (10, 200):
            model = ELM(hidden=hidden, C=3.0, seed=4).fit(x, y, 3)
            layer = model.layer(x)
            targets = np.where(np.eye(3)[y] > 0, 1, -1)
            ridge = linear_model.Ridge(alpha=1 / 3, fit_intercept=False, solver="cholesky").fit(layer, targets)
            np.testing.assert_allclose(model.beta, ridge.coef_.T, atol=1e-7)

    def test_without_c_it_is_the_pseudo_inverse(self):
        x, y = blobs(2, 6)
        model = ELM(hidden=40, C=None).fit(x, y, 2)
        np.testing.assert_allclose(model.scores(x), np.where(np.eye(2)[y] > 0, 1, -1), atol=1e-6)
        others = np.linalg.lstsq(model.layer(x), np.where(np.eye(2)[y] > 0, 1.0, -1.0), rcond=1e-15)[0]
        np.testing.assert_allclose(model.beta, others, atol=1e-6)

    @pytest.mark.parametrize(
        ("activation", "formula"),
        [("sigmoid", lambda s: 1 / (1 + np.exp(-s))), ("tanh", np.tanh), ("relu", lambda s: s * (s > 0))],
    )
    def test_the_layer_by_its_formula(self, activation, formula):
        x, y = blobs()
        model = ELM(hidden=7, activation=activation).fit(x, y, 3)
        np.testing.assert_allclose(model.layer(x), formula(x @ model.weight + model.bias), rtol=1e-9, atol=1e-12)

    def test_sums_keep_their_deviation_for_any_number_of_columns(self):
        for columns in (3, 300):
            x = np.random.default_rng(0).normal(size=(200, columns))
            model = ELM(hidden=500, scale=2.0).fit(x, np.arange(200) % 2, 2)
            assert (x @ model.weight).std() == pytest.approx(2, rel=0.15)

    def test_the_seed_decides_the_layer(self):
        x, y = blobs()
        one, other = (ELM(hidden=5, seed=s).fit(x, y, 3).weight for s in (0, 1))
        assert not np.allclose(one, other)


# ------------------------------------------------------------------------------------------------ through scikit-learn


class TestKNN:
    def test_votes_and_ties_by_brute_force(self):
        """Equal votes go to the class whose inverse distances add up to more."""
        rng = np.random.default_rng(2)
        x, y = rng.normal(size=(40, 3)), rng.integers(0, 3, 40)
        model = KNN(k=4).fit(x, y, 3)
        new = rng.normal(size=(200, 3))
        ties = 0
        for row, scores in zip(new, model.scores(new), strict=True):
            distance = np.linalg.norm(x - row, axis=1)
            nearest = np.argsort(distance)[:4]
            votes = np.bincount(y[nearest], minlength=3)
            weight = np.bincount(y[nearest], 1 / distance[nearest], minlength=3)
            best = np.flatnonzero(votes == votes.max())
            ties += len(best) > 1
            assert scores.argmax() == best[weight[best].argmax()]
            assert scores.sum() == pytest.approx(1)
        assert ties > 10

    def test_fewer_rows_than_neighbours(self):
        assert KNN(k=9).fit(np.array([[0.0], [1.0]]), np.array([0, 1]), 2).scores([[0.1]]).argmax() == 0

    def test_a_training_row_is_its_own_neighbour(self):
        x, y = blobs()
        assert (KNN(k=2).fit(x, y, 3).scores(x).argmax(1) == y).all()


class TestSVM:
    def test_the_linear_machine_is_at_the_minimum_of_its_objective(self):
        """||w||^2 / 2 + b^2 / 2 + C sum of squared hinges: no small step lowers it."""
        x, y = blobs(2)
        model = LinearSVM(C=0.1).fit(x, y, 2)
        machine, sign = model.machines[0], np.where(y == 1, 1, -1)
        best = np.concatenate([machine.coef_[0], machine.intercept_])

        def objective(v):
            return v @ v / 2 + 0.1 * np.sum(np.maximum(0, 1 - sign * (x @ v[:-1] + v[-1])) ** 2)

        rng = np.random.default_rng(0)
        assert all(objective(best + 1e-2 * rng.normal(size=len(best))) > objective(best) for _ in range(50))

    def test_the_kernels_width_follows_the_rows(self):
        """Rows ten times as large give the same machine."""
        x, y = blobs(3)
        one, other = (KernelSVM().fit(f * x, y, 3).scores(f * x) for f in (1, 10))
        np.testing.assert_allclose(one, other, atol=1e-3)

    def test_platts_probabilities(self):
        x, y = blobs(2, apart=0.6, each=150)
        scores = LinearSVM(C=0.1, probabilities=True).fit(x, y, 2).scores(x)
        np.testing.assert_allclose(scores.sum(1), 1)
        high = scores[:, 1] > 0.5
        assert scores[high, 1].mean() == pytest.approx(y[high].mean(), abs=0.1)  # they are calibrated
        several = KernelSVM(probabilities=True).fit(*blobs(3), 3).scores(blobs(3)[0])
        assert 0 <= several.min() < several.max() <= 1

    def test_platt_needs_rows(self):
        with pytest.raises(UserError, match="three rows or more"):
            LinearSVM(probabilities=True).fit(np.array([[0.0], [1.0], [2.0]]), np.array([0, 1, 1]), 2)

    def test_regression_of_grades(self):
        rng = np.random.default_rng(0)
        grades = rng.integers(0, 4, 200)
        x = np.stack([grades + rng.normal(0, 0.2, 200), rng.normal(size=200)], 1)
        model = SVR(C=10).fit(x, grades, 4)
        assert np.abs(model.values(x) - grades).mean() < 0.25
        assert (model.scores(x).argmax(1) == np.clip(np.rint(model.values(x)), 0, 3)).all()


class TestTrees:
    def test_a_stump_splits_where_the_gini_impurity_is_least(self):
        rng = np.random.default_rng(1)
        x = rng.normal(size=(60, 2))
        y = (x[:, 1] + rng.normal(0, 0.7, 60) > 0.3).astype(int)

        def impurity(labels):
            p = np.bincount(labels, minlength=2) / len(labels)
            return len(labels) * (1 - p @ p)

        costs = {
            (column, i): impurity(y[order[:i]]) + impurity(y[order[i:]])
            for column in (0, 1)
            for order in [np.argsort(x[:, column])]
            for i in range(1, 60)
        }
        column, i = min(costs, key=costs.get)
        tree = CART(depth=1).fit(x, y, 2).model.tree_
        assert tree.feature[0] == column
        assert tree.threshold[0] == pytest.approx(np.sort(x[:, column])[i - 1 : i + 1].mean())

    def test_the_out_of_bag_error_is_that_of_new_rows(self):
        x, y = blobs(2, 150, apart=0.7)
        rng = np.random.default_rng(5)
        where = rng.permutation(300)
        model = Bagging(trees=60).fit(x[where[:200]], y[where[:200]], 2)
        error = np.mean(model.scores(x[where[200:]]).argmax(1) != y[where[200:]])
        assert model.out_of_bag_error == pytest.approx(error, abs=0.1)
        assert model.remarks() == [f"out-of-bag error {model.out_of_bag_error:.3f}"]

    def test_boosted_stumps_learn_what_a_stump_cannot(self):
        x = np.random.default_rng(0).uniform(-1, 1, (300, 2))
        y = ((x**2).sum(1) < 0.5).astype(int)
        stump = np.mean(CART(depth=1).fit(x, y, 2).scores(x).argmax(1) == y)
        boosted = np.mean(Boosting(trees=100).fit(x, y, 2).scores(x).argmax(1) == y)
        assert boosted > stump + 0.2


# ----------------------------------------------------------------------------------------------------- what is chosen


class TestSelection:
    def test_validation_rows_choose_the_best_and_the_plainest_of_equals(self):
        x, y = blobs(3, apart=0.8)
        val = blobs(3, apart=0.8, each=40)
        fitted = baselines.fit_best("knn", x, y, 3, val=val)
        assert fitted.chosen_on == "val"
        assert [t.options["k"] for t in fitted.tried] == list(baselines.entry("knn").grid["k"])
        best = max(t.balanced_accuracy for t in fitted.tried)
        first = next(t for t in sorted(fitted.tried, key=lambda t: -t.auc) if t.balanced_accuracy == best)
        assert fitted.options == first.options
        again = baselines.create("knn", **fitted.options).fit(baselines.Columns(x).apply(x), y, 3)
        np.testing.assert_allclose(fitted.scores(val[0]), again.scores(baselines.Columns(x).apply(val[0])))

    def test_inner_folds_see_each_row_once_and_keep_patients_whole(self, monkeypatch):
        from tinymed.baselines import selection

        seen = []
        original = selection.fit_one

        def watched(name, options, train, classes, scale):
            seen.append(set(train[0][:, 0]))
            return original(name, options, train, classes, scale)

        monkeypatch.setattr(selection, "fit_one", watched)
        x, y = blobs(2, 30)
        x[:, 0] = np.arange(60)
        patients = np.arange(60) // 3
        baselines.fit_best("knn", x, y, 2, groups=patients, folds=3)
        assert len(seen) == 6 * 3 + 1
        for inside in seen[:-1]:
            assert {int(i) // 3 for i in inside}.isdisjoint({i // 3 for i in range(60) if i not in inside})
        assert len(seen[-1]) == 60

    def test_nothing_of_a_left_out_row_is_used(self):
        """A label that is turned around changes no score of its own fold's rows."""
        x, y = blobs(2, 20, apart=1)
        scores, fitted = baselines.cross_validate("pnn", x, y, 2, folds=4, inner=3)
        assert len(fitted) == 4
        from tinymed.data.splits import k_fold

        outside = k_fold(y, 4, 0)[0][1]
        moved = x.copy()
        moved[outside[0]] = 100.0
        others, _ = baselines.cross_validate("pnn", moved, y, 2, folds=4, inner=3)
        np.testing.assert_array_equal(scores[outside[1:]], others[outside[1:]])

    def test_each_row_is_left_out_by_itself(self):
        """As scikit-learn's LeaveOneOut; of a patient all rows at once."""
        model_selection = pytest.importorskip("sklearn.model_selection")
        from sklearn import neighbors, pipeline, preprocessing

        x, y = blobs(2, 15, apart=1)
        scores, fitted = baselines.cross_validate("knn", x, y, 2, folds=None, inner=3, options={"k": 3})
        assert len(fitted) == 30
        other = pipeline.make_pipeline(preprocessing.StandardScaler(), neighbors.KNeighborsClassifier(3))
        expected = model_selection.cross_val_predict(other, x, y, cv=model_selection.LeaveOneOut())
        np.testing.assert_array_equal(scores.argmax(1), expected)
        patients = np.arange(30) // 3
        scores, fitted = baselines.cross_validate("knn", x, y, 2, folds=None, groups=patients, options={"k": 3})
        assert len(fitted) == 10
        groups = model_selection.LeaveOneGroupOut()
        expected = model_selection.cross_val_predict(other, x, y, cv=groups, groups=patients)
        np.testing.assert_array_equal(scores.argmax(1), expected)
        with pytest.raises(UserError, match="at least 2 images or groups, got 1"):
            baselines.cross_validate("knn", x, y, 2, folds=None, groups=np.zeros(30))

    def test_random_labels_give_chance(self):
        """Choosing and scaling inside the folds leave no way for labels to leak."""
        rng = np.random.default_rng(0)
        x, y = rng.normal(size=(120, 300)), np.arange(120) % 2
        scores, _ = baselines.cross_validate("svm_linear", x, y, 2, folds=5, inner=3)
        assert 0.3 < np.mean(scores.argmax(1) == y) < 0.7

    def test_fixed_options_are_not_chosen(self):
        x, y = blobs()
        fitted = baselines.fit_best("knn", x, y, 3, options={"k": 7})
        assert (fitted.options, fitted.tried, fitted.chosen_on) == ({"k": 7}, [], "")
        with pytest.raises(UserError, match="does not take trees"):
            baselines.fit_best("knn", x, y, 3, options={"trees": 3})

    def test_scales(self):
        x = np.array([[1.0, 5.0, 0.0], [3.0, 5.0, 1e-3], [5.0, 5.0, 2e-3]])
        columns, overall = baselines.Columns(x).apply(x), baselines.Overall(x).apply(x)
        np.testing.assert_allclose(columns.std(0), [1, 0, 1])
        assert np.sqrt(np.mean(overall**2)) == pytest.approx(1)
        assert overall[:, 2].std() < 1e-3 * overall[:, 0].std() * 1.01
        np.testing.assert_array_equal(baselines.Overall(np.ones((2, 2))).apply(np.ones((2, 2))), np.zeros((2, 2)))

    def test_the_seed_reaches_classifiers_that_draw(self):
        x, y = blobs()
        assert baselines.fit_best("elm", x, y, 3, seed=5, folds=3).options["seed"] == 5
        assert "seed" not in baselines.fit_best("pnn", x, y, 3, seed=5, folds=3).options
