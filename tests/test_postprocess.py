"""What is done to masks after the network, beside SciPy, scikit-image and definitions by brute force."""

import json

import numpy as np
import pytest
from commands import invoke
from hypothesis import given, settings
from hypothesis import strategies as st
from masks import mask_tree, volume_tree
from PIL import Image

from tinymed import tasks
from tinymed.cli import main
from tinymed.data.components import components
from tinymed.data.contours import contours, dilate, mark_boundary
from tinymed.data.organs import keep_inside, nothing_outside
from tinymed.errors import UserError
from tinymed.metrics.instances import aggregated_jaccard, match_objects
from tinymed.postprocess.dense_crf import CrfSettings, dense_crf
from tinymed.postprocess.lattice import ExactFilter, LatticeFilter
from tinymed.postprocess.regions import (
    fill_holes,
    grow,
    grow_to_size,
    largest_components,
    region_growing,
    remove_small,
)
from tinymed.postprocess.steps import Refinement, parse_steps
from tinymed.postprocess.watershed import instances_of_classes, watershed

SHAPES = [(1,), (9,), (6, 7), (1, 5), (5, 4, 6), (0, 3)]
shapes_and_seeds = st.tuples(st.sampled_from(SHAPES), st.integers(0, 10**6))


def noise(shape, seed, share=0.6):
    return np.random.default_rng(seed).random(shape) < share


def smooth(shape, seed, sigma=2.0):
    ndimage = pytest.importorskip("scipy.ndimage")
    return ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=shape), sigma)


class TestRegions:
    @given(shapes_and_seeds, st.sampled_from([0.3, 0.6, 0.9]))
    def test_holes_are_scipys(self, case, share):
        ndimage = pytest.importorskip("scipy.ndimage")
        mask = noise(*case, share)
        want = ndimage.binary_fill_holes(mask) if mask.size else mask
        assert np.array_equal(fill_holes(mask), want)

    @given(shapes_and_seeds, st.integers(1, 6))
    def test_small_objects_and_holes_are_skimages(self, case, least):
        morphology = pytest.importorskip("skimage.morphology")
        mask = noise(*case)
        if mask.size:
            numbered = components(mask)
            sizes = np.bincount(numbered.ravel(), minlength=1)
            assert np.array_equal(remove_small(mask, least), mask & (sizes[numbered] >= least))
            want = morphology.remove_small_objects(mask, max_size=least - 1, connectivity=1)
            assert np.array_equal(remove_small(mask, least), want)
            filled = fill_holes(mask, least)
            assert not (filled & ~fill_holes(mask)).any()
            assert not (mask & ~filled).any()

    @given(shapes_and_seeds, st.integers(1, 3))
    def test_largest(self, case, count):
        ndimage = pytest.importorskip("scipy.ndimage")
        mask = noise(*case)
        numbered, n = ndimage.label(mask)
        sizes = np.bincount(numbered.ravel(), minlength=1)[1:]
        kept = largest_components(mask, count)
        assert kept.sum() == np.sort(sizes)[::-1][:count].sum()
        assert len(set(numbered[kept].tolist())) == min(count, n)
        assert not (kept & ~mask).any()

    @given(shapes_and_seeds)
    def test_growing_is_hysteresis(self, case):
        filters = pytest.importorskip("skimage.filters")
        values = np.random.default_rng(case[1]).random(case[0])
        if values.size:
            want = filters.apply_hysteresis_threshold(values, 0.4, 0.8)
            assert np.array_equal(grow(values > 0.8, values > 0.4), want)

    @given(st.integers(0, 99), st.floats(0, 2))
    def test_region_growing_is_skimages_flood(self, seed, tolerance):
        segmentation = pytest.importorskip("skimage.segmentation")
        image = smooth((14, 15), seed)
        place = np.random.default_rng(seed).integers(0, 14, 2)
        seeds = np.zeros(image.shape, bool)
        seeds[tuple(place)] = True
        want = segmentation.flood(image, tuple(place.tolist()), connectivity=1, tolerance=tolerance)
        assert np.array_equal(region_growing(image, seeds, tolerance), want)

    @pytest.mark.parametrize("space", [(9, 11), (6, 5, 7)])
    def test_grow_to_size_takes_the_cheapest_neighbour_every_time(self, space):
        """The same without a heap: all pixels beside the region are looked at for each that is taken."""
        image, seed, size = np.random.default_rng(0).normal(size=space), tuple(n // 2 for n in space), 25
        found = grow_to_size(image, seed, size, compact=0.7)
        around = image[tuple(slice(i - 1, i + 2) for i in seed)].mean()
        radius = np.sqrt(size / np.pi) if len(space) == 2 else (3 * size / 4 / np.pi) ** (1 / 3)
        taken = {seed}
        while len(taken) < size:
            beside = [
                p
                for p in np.ndindex(space)
                if p not in taken and any(np.abs(np.subtract(p, q)).sum() == 1 for q in taken)
            ]
            taken.add(
                min(
                    beside,
                    key=lambda p: (
                        abs(image[p] - around) / image.std() + 0.7 * np.linalg.norm(np.subtract(p, seed)) / radius
                    ),
                )
            )
        assert {tuple(map(int, p)) for p in np.argwhere(found)} == taken
        assert len(np.unique(components(found))) == 2

    def test_grow_to_size_finds_a_thing_of_one_grey_and_refuses_what_is_none(self):
        image = np.zeros((20, 20))
        image[5:12, 8:14] = 4
        assert np.array_equal(grow_to_size(image, (8, 10), 42, compact=0.1), image > 0)
        for seed, size in (((20, 0), 3), ((1, 1), 0), ((1, 1), 401), ((1,), 3)):
            with pytest.raises(ValueError, match="grow_to_size"):
                grow_to_size(image, seed, size)

    def test_region_growing_needs_a_seed(self):
        with pytest.raises(ValueError, match="at least one"):
            region_growing(np.zeros((3, 3)), np.zeros((3, 3), bool), 1.0)


class TestWatershed:
    @given(st.sampled_from([(30,), (17, 23), (7, 8, 9)]), st.integers(0, 10**6), st.booleans())
    def test_it_is_skimages(self, shape, seed, masked):
        segmentation = pytest.importorskip("skimage.segmentation")
        rng = np.random.default_rng(seed)
        height = rng.normal(size=shape)  # no two are equal
        mask = rng.random(shape) < 0.8 if masked else None
        markers = np.where(rng.random(shape) < 0.05, rng.integers(1, 9, shape), 0)
        want = segmentation.watershed(height, markers, connectivity=1, mask=mask)
        assert np.array_equal(watershed(height, markers, mask), want)

    def test_a_plateau_is_shared_by_age(self):
        markers = np.zeros((5, 9), int)
        markers[2, 0], markers[2, 8] = 1, 2
        found = watershed(np.zeros((5, 9)), markers)
        assert (found[:, :4] == 1).all()
        assert (found[:, 5:] == 2).all()

    def test_refusals(self):
        with pytest.raises(ValueError, match="shapes differ"):
            watershed(np.zeros((2, 3)), np.zeros((3, 2), int))
        with pytest.raises(ValueError, match="finite"):
            watershed(np.array([np.nan, 0.0]), np.array([1, 0]))

    def test_two_touching_discs_are_told_apart(self):
        y, x = np.mgrid[:40, :60]
        discs = [np.hypot(y - 20, x - c) < 12 for c in (20, 41)]
        mask = np.where(discs[0] | discs[1], 1, 0).astype(np.uint8)
        inside = np.minimum(np.hypot(y - 20, x - 20), np.hypot(y - 20, x - 41))
        scores = 1 / (1 + np.exp(inside - 9))
        found = instances_of_classes(scores, mask > 0)
        truth = np.where(discs[0], 1, np.where(discs[1], 2, 0))
        assert found.max() == 2
        assert aggregated_jaccard(truth, found) > 0.95
        assert aggregated_jaccard(truth, components(mask > 0)) < 0.6


def brute_force_aji(truth, prediction):
    """The definition, object by object, pixel by pixel."""
    true = [{tuple(p) for p in np.argwhere(truth == n)} for n in sorted(set(truth.ravel().tolist()) - {0})]
    found = [{tuple(p) for p in np.argwhere(prediction == n)} for n in sorted(set(prediction.ravel().tolist()) - {0})]
    common, union, used = 0, 0, set()
    for t in true:
        shares = [len(t & f) / len(t | f) for f in found]
        best = max(range(len(found)), key=lambda i: shares[i]) if found else None
        if best is None or shares[best] == 0:
            union += len(t)
        else:
            common, union = common + len(t & found[best]), union + len(t | found[best])
            used.add(best)
    union += sum(len(f) for i, f in enumerate(found) if i not in used)
    return common / union if union else 1.0


class TestObjects:
    @given(st.integers(0, 10**6), st.sampled_from([(12,), (5, 6), (3, 4, 3)]), st.integers(1, 5), st.integers(1, 5))
    def test_aji_is_its_definition(self, seed, shape, first, second):
        rng = np.random.default_rng(seed)
        truth, prediction = rng.integers(0, first, shape), rng.integers(0, second, shape) * 3
        assert aggregated_jaccard(truth, prediction) == pytest.approx(brute_force_aji(truth, prediction), rel=1e-12)

    @given(st.integers(0, 10**6))
    def test_it_lies_in_its_range(self, seed):
        rng = np.random.default_rng(seed)
        truth = components(rng.random((9, 9)) < 0.5)
        assert aggregated_jaccard(truth, truth) == 1
        assert aggregated_jaccard(truth, truth[:, ::-1].copy() * 7 % 64) <= 1
        assert aggregated_jaccard(truth, np.zeros_like(truth)) == (0 if truth.any() else 1)

    def test_refusals(self):
        with pytest.raises(ValueError, match="must be equal"):
            match_objects(np.zeros((2, 2), int), np.zeros((3, 2), int))
        with pytest.raises(ValueError, match="positive"):
            match_objects(np.array([-1]), np.array([0]))


class TestContours:
    @given(st.integers(0, 10**6), st.integers(1, 3), st.sampled_from([(9, 11), (6, 7, 5)]))
    def test_a_boundary_is_within_its_distance(self, seed, radius, shape):
        ndimage = pytest.importorskip("scipy.ndimage")
        mask = noise(shape, seed, 0.8).astype(np.uint8)
        distance = ndimage.distance_transform_edt(mask) if (mask == 0).any() else np.full(shape, np.inf)
        three = mark_boundary(mask, radius)
        assert np.array_equal(three == 2, (mask == 1) & (distance <= radius))
        assert np.array_equal(three > 0, mask > 0)
        assert np.array_equal(dilate(mask > 0, radius), ndimage.distance_transform_edt(mask == 0) <= radius)

    def test_contours_stand_on_both_sides_and_ignored_pixels_nowhere(self):
        numbers = np.array([0, 0, 0, 1, 1, 1, 255, 2, 2], np.uint8)
        assert contours(numbers, 2).tolist() == [0, 1, 1, 1, 1, 1, 255, 1, 0]
        assert contours(numbers, 1).tolist() == [0, 0, 1, 1, 0, 0, 255, 0, 0]
        assert contours(np.ones((4, 4), np.uint8), 1).sum() == 0


class TestFilters:
    @pytest.mark.parametrize("d", [1, 2, 3, 5])
    def test_the_exact_one_is_its_definition(self, d):
        rng = np.random.default_rng(0)
        f, v = rng.normal(size=(7, d)), rng.normal(size=(7, 2))
        want = [sum(np.exp(-((f[i] - f[j]) ** 2).sum() / 2) * v[j] for j in range(7)) for i in range(7)]
        np.testing.assert_allclose(ExactFilter(f)(v), want, rtol=1e-12)

    @pytest.mark.parametrize(("d", "error"), [(1, 0.003), (2, 0.01), (3, 0.015), (5, 0.05)])
    def test_the_lattice_is_near_it(self, d, error):
        rng = np.random.default_rng(d)
        f, v = rng.uniform(0, 4, (1500, d)), rng.uniform(0, 1, (1500, 2))
        exact, fast, ones = ExactFilter(f), LatticeFilter(f), np.ones((1500, 1))
        assert (fast.weights > -1e-12).all()
        np.testing.assert_allclose(fast.weights.sum(axis=1), 1, rtol=1e-12)
        assert np.abs(exact(v) / exact(ones) - fast(v) / fast(ones)).max() < error

    def test_its_weights_find_the_point_again(self):
        """Corners of the simplex, weighted, give the feature back: barycentric coordinates."""
        from tinymed.postprocess.lattice import elevate, enclosing_simplices

        for d in (1, 2, 4):
            points = elevate(np.random.default_rng(d).normal(size=(40, d)) * 3)
            np.testing.assert_allclose(points.sum(axis=1), 0, atol=1e-9)
            nearest, rank, weights = enclosing_simplices(points)
            corners = [nearest + k - (d + 1) * (rank > d - k) for k in range(d + 1)]
            again = sum(w[:, None] * c for w, c in zip(weights.T, corners, strict=True))
            np.testing.assert_allclose(again, points, atol=1e-9)

    def test_it_is_linear_and_the_same_again(self):
        rng = np.random.default_rng(3)
        f, v = rng.uniform(0, 3, (300, 3)), rng.normal(size=(300, 2))
        filtered = LatticeFilter(f)
        assert np.array_equal(filtered(v), LatticeFilter(f)(v))
        np.testing.assert_allclose(filtered(v[:, :1] + v[:, 1:]), filtered(v).sum(axis=1, keepdims=True), rtol=1e-9)


def noisy_case(shape, seed=0):
    """Two regions, their image with noise, and the unsure scores of a network."""
    rng = np.random.default_rng(seed)
    truth = smooth(shape, seed, 4 if len(shape) == 2 else 2) > 0
    image = (truth * 120 + 60 + rng.normal(size=shape) * 15)[..., None]
    p = np.clip(0.5 + 0.25 * (truth * 2 - 1) + rng.normal(size=shape) * 0.25, 0.02, 0.98)
    return truth, image, np.stack([1 - p, p]).astype(np.float32)


class TestField:
    def test_mean_field_is_its_formula(self):
        """Pixel by pixel, on an image of 4 x 5 with three classes."""
        rng = np.random.default_rng(1)
        image, scores = rng.uniform(0, 255, (4, 5, 3)), rng.dirichlet(np.ones(3), (4, 5)).transpose(2, 0, 1)
        s = CrfSettings(3.0, 2.0, 60.0, 1.5, 1.2, 3)
        places = [(y, x) for y in range(4) for x in range(5)]

        def pair(i, j, one):
            near = (i[0] - j[0]) ** 2 + (i[1] - j[1]) ** 2
            if not one:
                return np.exp(-near / 2 / s.reach**2)
            alike = ((image[i] - image[j]) ** 2).sum()
            return np.exp(-near / 2 / s.distance**2 - alike / 2 / s.contrast**2)

        kernels = [np.array([[pair(i, j, one) for j in places] for i in places]) for one in (True, False)]
        kernels = [k / np.sqrt(np.outer(k.sum(axis=0), k.sum(axis=0))) for k in kernels]
        p = np.array([scores[:, y, x] for y, x in places])
        q = p / p.sum(axis=1, keepdims=True)
        for _ in range(3):
            e = p * np.exp(s.appearance * kernels[0] @ q + s.smoothness * kernels[1] @ q)
            q = e / e.sum(axis=1, keepdims=True)
        found = dense_crf(scores, image, s, exact=True)
        np.testing.assert_allclose(found, q.T.reshape(3, 4, 5), rtol=1e-5)

    @pytest.mark.parametrize("shape", [(32, 30), (10, 11, 9)])
    def test_the_lattice_finds_what_the_exact_field_finds(self, shape):
        truth, image, scores = noisy_case(shape)
        s = CrfSettings(distance=10)
        exact, fast = dense_crf(scores, image, s, exact=True), dense_crf(scores, image, s)
        assert np.abs(exact - fast).max() < 0.1
        labels = [q.argmax(axis=0) for q in (scores, exact, fast)]
        assert (labels[1] == labels[2]).mean() > 0.995
        right = [(found == truth).mean() for found in labels]
        assert right[0] < 0.9
        assert min(right[1:]) > 0.98

    def test_without_weights_it_changes_nothing(self):
        _, image, scores = noisy_case((9, 8))
        found = dense_crf(scores, image, CrfSettings(appearance=0, smoothness=0))
        np.testing.assert_allclose(found, scores, rtol=1e-5)

    def test_spacing_stretches_space(self):
        _, image, scores = noisy_case((8, 9, 7))
        one = dense_crf(scores, image, CrfSettings(distance=4, reach=2), spacing=(2, 2, 2), exact=True)
        two = dense_crf(scores, image, CrfSettings(distance=2, reach=1), exact=True)
        np.testing.assert_allclose(one, two, rtol=1e-5)

    @given(st.floats(0, 50), st.floats(0.5, 99), st.integers(1, 9))
    def test_settings_are_their_text(self, weight, distance, steps):
        made = CrfSettings.parse(CrfSettings(weight, distance, steps=steps).text())
        assert made.text() == CrfSettings.parse(made.text()).text()
        assert made.steps == steps

    @pytest.mark.parametrize("text", ["w=x", "alpha=3", "w=-1", "d=0", "n=0", "w", "n=1.5"])
    def test_mistakes_are_named(self, text):
        with pytest.raises(UserError, match="crf"):
            CrfSettings.parse(text)


class TestSteps:
    def test_classes_do_not_take_each_others_pixels(self):
        scores = np.zeros((3, 5, 5))
        scores[0] = 0.3
        scores[1, 1:4, 1:4] = 0.5
        scores[1, 2, 2], scores[2, 2, 2] = 0.1, 0.9
        labels = Refinement(parse_steps("fill")).labels(scores)
        assert labels[2, 2] == 2
        assert (labels == 1).sum() == 8

    def test_order_matters(self):
        scores = np.zeros((2, 1, 9))
        scores[1] = [0.9, 0.4, 0.9, 0.9, 0.1, 0.9, 0.9, 0.4, 0.1]
        scores[0] = 1 - scores[1]
        one = Refinement(parse_steps("largest,grow=0.3")).labels(scores)
        two = Refinement(parse_steps("grow=0.3,largest")).labels(scores)
        assert one.tolist() == [[1, 1, 1, 1, 0, 0, 0, 0, 0]] == two.tolist()
        three = Refinement(parse_steps("largest=2,threshold=0.95")).labels(scores)
        assert not three.any()

    @pytest.mark.parametrize(
        "text", ["fil", "least", "largest=0", "threshold=2", "objects=3", "grow=x", "watershed=-1"]
    )
    def test_mistakes_are_named(self, text):
        with pytest.raises(UserError, match="--postprocess"):
            parse_steps(text)

    @settings(max_examples=20)
    @given(st.integers(0, 10**6))
    def test_text_is_what_was_written(self, seed):
        every = ["threshold=0.4", "grow=0.3", "largest", "largest=3", "least=20", "fill", "fill=9", "objects"]
        text = ",".join(np.random.default_rng(seed).permutation(every)[:3])
        assert Refinement(parse_steps(text)).text() == text


NETWORK = ["--model", "unet_bn", "--option", "base=4", "--option", "depth=2", "--backend", "numpy", "--workers", "0"]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run whose objects have a boundary, on 24 pictures.  Not to be changed."""
    root = tmp_path_factory.mktemp("post")
    data = mask_tree(root / "data", 24)
    arguments = ["--task", "segmentation", *NETWORK, "--size", "16", "--batch", "4", "--epochs", "10", "--lr", "0.01"]
    arguments += ["--data", str(data), "--labels", "0=ground,255=blob", "--boundary", "1"]
    assert main(["train", *arguments, "--out", str(root / "run")]) == 0
    return root / "run", data


class TestCommand:
    def test_a_boundary_is_learnt_and_measured_as_part_of_its_object(self, run):
        config = json.loads((run[0] / "config.json").read_text())
        assert config["data"]["classes"] == ["ground", "blob", "boundary"]
        metrics = json.loads((run[0] / "metrics.json").read_text())
        assert metrics["test"]["classes"] == ["ground", "blob"]
        assert metrics["test"]["per_class"]["blob"]["dice"] > 0.4

    def test_it_is_chosen_on_val_and_compared_in_pairs(self, run, capsys):
        code, text, err = invoke(capsys, "evaluate", run[0], "--postprocess", "auto", "--crf", "w=1,d=5,n=1", "--json")
        assert code == 0, err
        result = json.loads(text)
        found = result["refinement"]
        assert found["chosen_on"] == 4
        assert found["crf"] == "w=1,d=5,c=15,sw=3,sd=3,n=1"
        assert len(found["tried"]) == 8
        change = found["difference"]["dice"]
        assert change["difference"] == pytest.approx(result["dice"] - found["without"]["dice"])
        assert change["difference_interval"][0] <= change["difference"] <= change["difference_interval"][1]
        assert json.loads((run[0] / "refinement.json").read_text())["crf"] == found["crf"]

    def test_objects_are_told_apart_and_written(self, run, tmp_path, capsys):
        folder, data = run
        code, text, err = invoke(capsys, "evaluate", folder, "--postprocess", "watershed=0.6,least=4")
        assert code == 0, err
        assert "aggregated Jaccard index of objects" in text
        picture = sorted((data / "images").iterdir())[0]
        options = ["--out", tmp_path / "m", "--postprocess", "watershed=0.6", "--json", "--overlays"]
        code, text, err = invoke(capsys, "predict", folder, picture, *options)
        assert code == 0, err
        [row] = json.loads(text)
        with Image.open(row["object_file"]) as written:
            assert np.asarray(written).max() == row["objects"]
        with Image.open(row["mask"]) as written:
            assert set(np.unique(np.asarray(written)).tolist()) <= {0, 255}

    def test_predict_takes_what_was_chosen(self, run, tmp_path, capsys):
        folder, data = run
        picture = sorted((data / "images").iterdir())[0]
        invoke(capsys, "evaluate", folder, "--postprocess", "auto")
        code, _, err = invoke(capsys, "predict", folder, picture, "--out", tmp_path / "m", "--postprocess", "auto")
        assert code == 0, err
        code, _, err = invoke(capsys, "predict", folder, picture, "--out", tmp_path / "m", "--postprocess", "fil")
        assert code == 2
        assert "largest, largest=2" in err

    @pytest.mark.parametrize("task", [name for name in tasks.available() if name != "segmentation"])
    def test_other_tasks_refuse(self, task, tmp_path):
        other = tasks.find(task)
        with pytest.raises(UserError, match=f"they are of segmentations, this is {task}"):
            other.measure_refined(tmp_path, None, None, None, list, ("fill", None))
        with pytest.raises(UserError, match="they are of segmentations"):
            other.predict_refined(tmp_path, None, None, [], None, False, (None, "auto"))

    @pytest.mark.full
    def test_volumes(self, tmp_path, capsys):
        data, out = volume_tree(tmp_path / "data"), tmp_path / "run"
        arguments = ["--task", "segmentation", "--data", data, "--model", "unet3d", "--option", "base=2", "--option"]
        arguments += ["padding=same", "--backend", "numpy", "--epochs", 1, "--workers", 0, "--patch", "16"]
        code, _, err = invoke(capsys, "train", *arguments, "--out", out)
        assert code == 0, err
        code, text, err = invoke(capsys, "evaluate", out, "--postprocess", "largest,fill", "--crf", "n=1", "--json")
        assert code == 0, err
        assert json.loads(text)["refinement"]["postprocess"] == "largest,fill"


class TestCascade:
    """A second network that looks only inside the organ that a first one found (Christ et al. 2016)."""

    def test_outside_the_organ_an_image_says_nothing(self):
        image = np.arange(12, dtype=np.uint8).reshape(3, 4, 1)
        region = np.zeros((3, 4), bool)
        region[1, 1:3] = True
        seen = keep_inside(image, region)
        assert seen.dtype == np.uint8
        assert np.array_equal(seen[region], image[region])
        assert (seen[~region] == 5).all()
        scores = np.full((2, 3, 4), 0.5)
        assert (nothing_outside(scores, region)[1] == np.where(region, 0.5, 0)).all()
        assert (keep_inside(image, ~(region | ~region)) == 5).all()

    def test_two_runs_one_after_the_other(self, tmp_path, capsys):
        data = mask_tree(tmp_path / "data", 16)
        small = ["--task", "segmentation", *NETWORK, "--size", 16, "--batch", 4, "--epochs", 2, "--data", data]
        assert invoke(capsys, "train", *small, "--out", tmp_path / "organ")[0] == 0
        pictures = sorted((data / "images").iterdir())
        organs = tmp_path / "organs"
        code, _, err = invoke(capsys, "predict", tmp_path / "organ", *pictures, "--out", organs)
        assert code == 0, err
        code, _, err = invoke(capsys, "train", *small, "--inside", organs, "--out", tmp_path / "lesion")
        assert code == 0, err
        Image.fromarray(np.zeros((32, 40), np.uint8)).save(organs / f"{pictures[0].stem}.png")
        margin = invoke(capsys, "predict", tmp_path / "lesion", pictures[0], "--out", tmp_path / "m", "--json")
        [row] = json.loads(margin[1])
        assert row["pixels"]["foreground"] == 0  # without an organ there is nothing to find
        code, _, err = invoke(capsys, "evaluate", tmp_path / "lesion")
        assert code == 2
        assert "not those" in err  # masks of the organ are part of the run's data
        (organs / f"{pictures[1].stem}.png").unlink()
        code, _, err = invoke(capsys, "predict", tmp_path / "lesion", pictures[1], "--out", tmp_path / "m")
        assert code == 2
        assert "tinymed predict ORGAN_RUN" in err
