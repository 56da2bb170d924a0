"""Descriptors against scikit-image, binary codes, sources side by side, `tinymed features` and its mistakes."""

import itertools
import math

import numpy as np
import pytest

from tinymed import features
from tinymed.data import Dataset
from tinymed.errors import UserError
from tinymed.features import gist as gist_file
from tinymed.features.codes import BinaryCodes, energy, fit_machine, with_one
from tinymed.features.glcm import glcm
from tinymed.features.histograms import histogram
from tinymed.features.hog import hog
from tinymed.features.lbp import compare_circle, lbp, uniform
from tinymed.features.words import VisualWords

NAMES = features.available()


def noise(n=2, height=40, width=35, channels=1, seed=0):
    """Smooth pictures with some noise, float64 [n, height, width, channels] in 0...1."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    waves = np.sin(x / rng.uniform(3, 9, (n, 1, 1)) + rng.uniform(0, 6, (n, 1, 1))) * np.cos(y / 5)
    return np.clip(0.5 + 0.3 * waves[..., None] + rng.normal(0, 0.1, (n, height, width, channels)), 0, 1)


# ----------------------------------------------------------------------------------------------------- every descriptor


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("channels", [1, 3])
def test_each_describes_images_one_by_one(name, channels):
    """Finite rows, the same for an image alone and among others, and different for different images."""
    images = noise(4, channels=channels)
    rows = features.describe(name, images)
    assert rows.dtype == np.float64
    assert np.isfinite(rows).all()
    np.testing.assert_allclose(rows[2:3], features.describe(name, images[2:3]), atol=1e-12)
    assert len(np.unique(rows.round(9), axis=0)) == 4


@pytest.mark.parametrize("name", NAMES)
def test_flat_images_have_finite_rows(name):
    for value in (0.0, 0.3, 1.0):
        assert np.isfinite(features.describe(name, np.full((1, 32, 32, 3), value))).all()


@pytest.mark.parametrize("name", NAMES)
def test_the_smallest_image_is_served_and_a_smaller_one_refused(name):
    side = features.registry.registry[name].side
    assert features.describe(name, noise(1, side, side)).shape[1] > 0
    if side > 1:
        with pytest.raises(UserError, match=f"{name}: needs images of at least {side} pixels"):
            features.describe(name, noise(1, side - 1, side))


def test_unknown_descriptors_and_wrong_arrays_are_refused():
    with pytest.raises(UserError, match="'sift' is unknown; choose one of gist"):
        features.describe("sift", noise())
    with pytest.raises(UserError, match="'words' is learnt on a training part first"):
        features.describe("words", noise())
    with pytest.raises(ValueError, match="needs images"):
        features.describe("hog", noise()[0])


# ---------------------------------------------------------------------------------------------- against scikit-image


class TestAgainstScikitImage:
    @pytest.mark.parametrize(("height", "width"), [(40, 35), (16, 16), (64, 50)])
    @pytest.mark.parametrize("channels", [1, 3])
    def test_hog(self, height, width, channels):
        feature = pytest.importorskip("skimage.feature")
        images = noise(2, height, width, channels)
        for cell, block in ((8, 2), (5, 3)):
            for image, row in zip(images, hog(images, cell=cell, block=block), strict=True):
                axis = -1 if channels == 3 else None
                theirs = feature.hog(
                    image if channels == 3 else image[..., 0],
                    orientations=9,
                    pixels_per_cell=(cell, cell),
                    cells_per_block=(block, block),
                    block_norm="L2-Hys",
                    channel_axis=axis,
                )
                np.testing.assert_allclose(row, theirs, atol=1e-6)  # theirs sums in float32

    @pytest.mark.filterwarnings("ignore:Applying `local_binary_pattern` to floating-point")
    @pytest.mark.parametrize(("points", "radius"), [(8, 1.0), (16, 2.0), (12, 1.5)])
    def test_patterns(self, points, radius):
        feature = pytest.importorskip("skimage.feature")
        pictures = noise(2)[..., 0]
        brighter = compare_circle(pictures, points, radius)
        border = int(np.ceil(radius))
        inside = np.s_[border : -border or None, border : -border or None]
        codes = (brighter * 2 ** np.arange(points).reshape(-1, 1, 1, 1)).sum(0)
        for picture, plain, turned in zip(pictures, codes, uniform(brighter), strict=True):
            np.testing.assert_array_equal(plain, feature.local_binary_pattern(picture, points, radius)[inside])
            theirs = feature.local_binary_pattern(picture, points, radius, "uniform")[inside]
            np.testing.assert_array_equal(turned, theirs)

    def test_co_occurrence(self):
        feature = pytest.importorskip("skimage.feature")
        images = noise(2)
        rows = glcm(images, levels=16, distances=(1, 3)).reshape(2, 2, 4, 6)
        names = ("contrast", "dissimilarity", "homogeneity", "energy", "entropy", "correlation")
        for image, row in zip(images, rows, strict=True):
            level = np.clip((image[..., 0] * 16).astype(int), 0, 15).astype(np.uint8)
            angles = np.deg2rad([0, 45, 90, 135])
            matrix = feature.graycomatrix(level, [1, 3], angles, levels=16, symmetric=True, normed=True)
            for k, name in enumerate(names):
                np.testing.assert_allclose(row[:, :, k], feature.graycoprops(matrix, name), atol=1e-9, err_msg=name)

    def test_histogram_is_numpys(self):
        images = noise(2, channels=3)
        for image, row in zip(images, histogram(images, 16).reshape(2, 3, 16), strict=True):
            for channel in range(3):
                theirs = np.histogram(image[..., channel], 16, (0, 1))[0] / image[..., 0].size
                np.testing.assert_allclose(row[channel], theirs)


class TestAgainstDefinitions:
    def test_gist(self):
        """Fourier sums as matrices and one frequency after the other, parts pixel by pixel."""
        image, margin = noise(1, 20, 17)[0, ..., 0], gist_file.MARGIN
        x = np.pad(np.log(1 + 255 * image), margin, mode="symmetric")
        turn = [np.exp(-2j * np.pi * np.outer(np.arange(n), np.arange(n)) / n) for n in x.shape]
        there = lambda y: turn[0] @ y @ turn[1].T  # noqa: E731
        back = lambda y: turn[0].conj() @ y @ turn[1].conj().T / y.size  # noqa: E731
        cycles = [[k / n if k < n / 2 else k / n - 1 for k in range(n)] for n in x.shape]

        def filtered(y, passed):
            transfer = np.array([[passed(math.hypot(u, v), math.atan2(u, v)) for v in cycles[1]] for u in cycles[0]])
            return back(there(y) * transfer)

        cut = 4 / math.sqrt(math.log(2)) / max(x.shape)
        blur = lambda y: filtered(y, lambda f, t: math.exp(-((f / cut) ** 2))).real  # noqa: E731
        x = x - blur(x)
        x = x / (0.2 + np.sqrt(abs(blur(x * x))))
        even = np.pad(x[margin:-margin, margin:-margin], margin, mode="symmetric")
        expected = []
        for s, k in ((0, 0), (1, 3), (3, 7)):

            def passed(f, t, s=s, k=k):
                t = t + k * math.pi / 8
                t = t - 2 * math.pi * (t >= math.pi)
                return math.exp(-3.5 * (f / (0.3 / 1.85**s) - 1) ** 2 - 2 * math.pi * t * t)

            energy = abs(filtered(even, passed))[margin:-margin, margin:-margin]
            for i, j in itertools.product(range(4), repeat=2):
                inside = [(r, c) for r in range(20) for c in range(17) if (r * 4 // 20, c * 4 // 17) == (i, j)]
                expected.append(np.mean([energy[place] for place in inside]))
        found = features.describe("gist", image[None, ..., None]).reshape(4, 8, 16)
        np.testing.assert_allclose(np.concatenate([found[0, 0], found[1, 3], found[3, 7]]), expected, atol=1e-9)

    def test_words(self):
        """Patches pixel by pixel, the nearest word by its distance to every one."""
        images = noise(3, 27, 24)
        data = Dataset((255 * images).astype(np.uint8), [0, 1, 0], ["a", "b"])
        bag = VisualWords(words=12, seed=3).learn(data, 24, 1, workers=0)
        for image, row in zip(images, bag(images), strict=True):
            down, across = np.zeros((2, 27, 24))
            down[1:-1], across[:, 1:-1] = image[2:, :, 0] - image[:-2, :, 0], image[:, 2:, 0] - image[:, :-2, 0]
            word = np.zeros((3, 3), int)
            for i, j in itertools.product(range(3), repeat=2):
                patch = np.zeros((4, 4, 8))
                for r, c in itertools.product(range(16), repeat=2):
                    g = down[4 * i + r, 4 * j + c], across[4 * i + r, 4 * j + c]
                    patch[r // 4, c // 4, int(math.degrees(math.atan2(*g)) % 360 // 45)] += math.hypot(*g)
                v = patch.ravel() / np.sqrt((patch**2).sum() + 1e-10)
                v = np.minimum(v, 0.2)
                v = v / np.sqrt((v**2).sum() + 1e-10)
                word[i, j] = min(range(12), key=lambda k: ((v - bag.centres[k]) ** 2).sum())
            parts = [word, word[:1, :1], word[:1, 1:], word[1:, :1], word[1:, 1:]]
            expected = [np.mean(part == k) for part in parts for k in range(12)]
            np.testing.assert_allclose(row, expected, atol=1e-12)

    def test_a_dictionary_is_of_its_training_part_and_seed(self):
        data = Dataset((255 * noise(6, 32, 32)).astype(np.uint8), [0, 1] * 3, ["a", "b"])
        rows = [
            features.Sources(["words+histogram"]).learn(part, 32, 1, seed, 0).rows(data, 32, 1, 0)
            for part, seed in ((data, 0), (data, 0), (data, 1), (data.subset([0, 1]), 0))
        ]
        np.testing.assert_array_equal(rows[0], rows[1])
        assert all(row.shape != rows[0].shape or (row != rows[0]).any() for row in rows[2:])
        with pytest.raises(UserError, match="words: learnt on a training part first"):
            features.Sources(["words"]).rows(data, 32, 1)
        with pytest.raises(UserError, match="words: needs images of at least 16 pixels"):
            features.Sources(["words"]).learn(data, 12, 1)
        with pytest.raises(UserError, match="words: learnt on a training part first"):
            features.extract("words", data)


class TestWhatDescriptorsIgnore:
    def test_patterns_ignore_any_rising_curve_of_grey(self):
        image = noise(1)
        np.testing.assert_array_equal(
            lbp(np.round(image, 3), ((8, 1.0),)), lbp(0.1 + 0.5 * np.round(image, 3), ((8, 1.0),))
        )

    def test_a_flat_place_counts_as_bright_on_the_whole_circle(self):
        """Values that binary fractions cannot hold: rounding in the bilinear mean must not tell neighbours apart."""
        for value in (0.1, 0.3, 0.7):
            assert (uniform(compare_circle(np.full((1, 12, 12), value), 16, 2.0)) == 16).all()

    def test_uniform_codes_ignore_quarter_turns(self):
        image = noise(1, 33, 33)
        whole = [lbp(turned, ((8, 1.0),), grid=1) for turned in (image, np.rot90(image, axes=(1, 2)))]
        np.testing.assert_allclose(*whole, atol=1e-12)

    def test_hog_ignores_contrast(self):
        image = noise(1)
        np.testing.assert_allclose(hog(image), hog(image / 2), atol=1e-4)


# --------------------------------------------------------------------------------------------------------- binary codes


class TestBinaryCodes:
    @staticmethod
    def clouds(seed, each=60, classes=4, columns=12):
        rng = np.random.default_rng(0)
        centres = rng.normal(0, 1.1, (classes, columns))
        labels = np.repeat(np.arange(classes), each)
        return centres[labels] + np.random.default_rng(seed).normal(0, 1, (len(labels), columns)), labels

    def test_the_energy_never_rises_and_is_that_of_the_formula(self):
        x, y = self.clouds(1)
        learned = BinaryCodes(bits=24, turns=4, C=0.1).fit(x, y, 4)
        assert all(a >= b for a, b in zip(learned.energies, learned.energies[1:], strict=False))
        assert learned.energies[-1] < 0.3 * learned.energies[0]
        codes, signs = learned.encode(x).astype(float), np.where(np.eye(4)[y].T > 0, 1.0, -1.0)
        machines = np.random.default_rng(0).normal(size=(4, 25))
        total = 0.0
        for k in range(4):
            outputs = codes @ machines[k, :-1] + machines[k, -1]
            total += machines[k, :-1] @ machines[k, :-1] / 2 + 0.1 * sum(max(0, 1 - s) ** 2 for s in signs[k] * outputs)
        assert energy(machines, codes, signs, 0.1) == pytest.approx(total)

    def test_learned_bits_serve_new_rows_better_than_random_ones(self):
        """With 8 bits: a linear machine on the codes, of rows that were not learned from."""
        x, y = self.clouds(1)
        new, truth = self.clouds(2)
        right = {}
        for turns in (0, 4):
            learned = BinaryCodes(bits=8, turns=turns).fit(x, y, 4)
            codes = with_one(learned.encode(x).astype(float))
            machines = [fit_machine(codes, np.where(y == k, 1.0, -1.0), 0.1, np.zeros(9)) for k in range(4)]
            outputs = with_one(learned.encode(new).astype(float)) @ np.stack(machines).T
            right[turns] = np.mean(outputs.argmax(1) == truth)
        assert right[4] > right[0] + 0.05

    def test_first_bits_divide_the_rows_in_half(self):
        x, y = self.clouds(1)
        shares = BinaryCodes(bits=32, turns=0).fit(x, y, 4).encode(x).mean(0)
        assert np.abs(shares - 0.5).max() < 0.02

    def test_more_columns_than_rows(self):
        rng = np.random.default_rng(0)
        x, y = rng.normal(size=(20, 300)), np.arange(20) % 2
        codes = BinaryCodes(bits=10, turns=1).fit(x, y, 2).encode(x)
        assert codes.shape == (20, 10)
        assert set(np.unique(codes)) <= {0, 1}

    def test_the_machine_is_scikit_learns(self):
        svm = pytest.importorskip("sklearn.svm")
        rng = np.random.default_rng(0)
        x = rng.normal(size=(80, 5))
        y = np.where(x[:, 0] + 0.5 * rng.normal(size=80) > 0.2, 1.0, -1.0)
        v = fit_machine(with_one(x), y, 0.3, np.zeros(6))
        theirs = svm.LinearSVC(C=0.3, intercept_scaling=100, tol=1e-8, max_iter=10**5, dual=False).fit(x, y)
        np.testing.assert_allclose(v[:-1], theirs.coef_[0], atol=1e-3)
        assert v[-1] == pytest.approx(theirs.intercept_[0], abs=1e-3)

    def test_options_out_of_range_are_refused(self):
        for wrong in ({"bits": 0}, {"C": 0.0}, {"turns": -1}, {"components": 0}):
            with pytest.raises(UserError, match="binary codes"):
                BinaryCodes(**wrong)


# -------------------------------------------------------------------------------------------------------------- sources


class TestSources:
    @staticmethod
    def images():
        pixels = (255 * noise(5, 32, 32)).astype(np.uint8)
        return Dataset(pixels, [0, 1, 0, 1, 1], ["a", "b"])

    def test_columns_stand_in_the_order_of_the_sources(self):
        images = self.images()
        both = features.extract("lbp+histogram", images, 32, 1, workers=0)
        alone = [features.extract(name, images, 32, 1, workers=0) for name in ("lbp", "histogram")]
        np.testing.assert_array_equal(both, np.concatenate(alone, axis=1))
        np.testing.assert_array_equal(both, features.extract(["lbp", "histogram"], images, 32, 1, workers=0))

    def test_unit_length_is_of_each_source(self):
        rows = features.extract("lbp+histogram", self.images(), 32, 1, unit_length=True, workers=0)
        np.testing.assert_allclose(np.linalg.norm(rows[:, :448], axis=1), 1, rtol=1e-5)
        np.testing.assert_allclose(np.linalg.norm(rows[:, 448:], axis=1), 1, rtol=1e-5)

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("hog+", "one on each side"),
            ("", "name at least one"),
            ("nix", "neither a descriptor .* nor the folder of a run"),
            ("hog+hog", "named twice"),
        ],
    )
    def test_mistakes(self, text, message):
        with pytest.raises(UserError, match=message):
            features.Sources([text])
