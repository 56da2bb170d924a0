"""Level sets beside scikit-image's, shapes beside SciPy's Procrustes, components beside NumPy's decomposition."""

import numpy as np
import pytest

from tinymed.data.principal import PrincipalComponents
from tinymed.errors import UserError
from tinymed.metrics.distance_transform import distance_transform
from tinymed.unsupervised import ShapeModel, align_shapes, chan_vese, evolve
from tinymed.unsupervised.shape_model import align_shape

RNG = np.random.default_rng(3)


def ball(shape, centre, radius):
    """True inside a disc or a ball."""
    grid = np.indices(shape)
    return sum((g - c) ** 2 for g, c in zip(grid, centre, strict=True)) < radius**2


def signed_distance(mask):
    """Distance to the other side, positive inside."""
    return distance_transform(~mask) - distance_transform(mask)


class TestLevelSet:
    @pytest.mark.parametrize("weights", [(0.25, 1.0, 1.0), (0.05, 2.0, 0.7)])
    def test_is_scikit_images(self, weights):
        """Theirs has no 1 / pi in delta, so a step of theirs is pi of ours."""
        oracle = pytest.importorskip("skimage.segmentation").chan_vese
        image = RNG.random((17, 23))
        image[4:11, 6:15] += 1.5
        image = (image - image.min()) / np.ptp(image)
        start = np.sin(np.arange(17))[:, None] * np.cos(np.arange(23) / 3)
        mu, inside, outside = weights
        more = {"tol": 0.0, "max_num_iter": 7, "dt": 0.4, "extended_output": True}
        _, theirs, _ = oracle(image, mu, inside, outside, init_level_set=start, **more)
        ours = chan_vese(image, start, mu, inside, outside, step=0.4 * np.pi, iterations=7, tolerance=0.0)
        np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-11)

    @pytest.mark.parametrize("shape", [(24, 20), (12, 14, 10)])
    def test_finds_what_is_bright_in_noise(self, shape):
        wanted = ball(shape, [s / 2 for s in shape], min(shape) / 3)
        image = wanted + np.random.default_rng(0).normal(0, 0.35, shape)
        start = ball(shape, [s / 2 - 1 for s in shape], min(shape) / 5)
        found = chan_vese(image, start, length=0.5, step=2.0) > 0
        assert 2 * (found & wanted).sum() / (found.sum() + wanted.sum()) > 0.95
        assert 3 * (found != wanted).sum() < ((image > 0.5) != wanted).sum()  # a threshold has the noise in it

    def test_a_longer_contour_costs_more(self):
        """One bright pixel stays where length weighs little, and goes where it weighs much."""
        image = np.zeros((15, 15))
        image[7, 7] = 1
        start = np.where(image > 0, 1.0, -1.0)
        assert (chan_vese(image, start, length=0.01) > 0).sum() == 1
        assert (chan_vese(image, start, length=1.0) > 0).sum() == 0

    def test_a_prior_holds_the_contour(self):
        """Half of a disc is dark: without the shape it is lost, with it kept."""
        disc = ball((30, 30), (15, 15), 9)
        image = disc * 1.0
        image[15:] = 0
        prior = np.clip(signed_distance(disc), -1, 1)
        free = chan_vese(image, disc, length=0.1, step=2.0) > 0
        held = chan_vese(image, disc, length=0.1, step=2.0, prior=prior, prior_weight=2.0) > 0
        overlap = [2 * (m & disc).sum() / (m.sum() + disc.sum()) for m in (free, held)]
        assert overlap[0] < 0.75
        assert overlap[1] > 0.97

    def test_a_large_step_is_stable(self):
        image = RNG.random((12, 12))
        phi = RNG.normal(size=(12, 12))
        for _ in range(50):
            phi = evolve(phi, image, length=1.0, step=100.0)
        assert np.isfinite(phi).all()
        assert np.abs(phi).max() < 1e3

    def test_what_does_not_fit_is_refused(self):
        with pytest.raises(UserError, match="one shape"):
            chan_vese(np.zeros((4, 4)), np.zeros((4, 5)))
        with pytest.raises(UserError, match="step above 0"):
            chan_vese(np.zeros((4, 4)), np.zeros((4, 4)), step=0)


def turned(shape, angle, scale, shift):
    """A shape of the plane, turned, scaled and moved."""
    c, s = np.cos(angle), np.sin(angle)
    return scale * shape @ np.array([[c, -s], [s, c]]) + shift


class TestShapes:
    def test_alignment_is_scipys(self):
        procrustes = pytest.importorskip("scipy.spatial").procrustes
        a, b = RNG.normal(size=(2, 7, 2))
        if np.linalg.det((a - a.mean(0)).T @ (b - b.mean(0))) < 0:
            b[:, 0] *= -1  # SciPy's may mirror, ours may not
        onto, moved, disparity = procrustes(a, b)
        unit = (a - a.mean(0)) / np.linalg.norm(a - a.mean(0))
        ours, *_ = align_shape(b, unit)
        np.testing.assert_allclose(unit, onto, atol=1e-12)
        np.testing.assert_allclose(ours, moved, atol=1e-10)
        assert ((ours - unit) ** 2).sum() == pytest.approx(disparity)

    def test_a_mirror_image_is_another_shape(self):
        a = RNG.normal(size=(6, 3))
        moved, _, rotation, _ = align_shape(a * [-1, 1, 1], a)
        assert np.linalg.det(rotation) == pytest.approx(1)
        assert np.abs(moved - a).max() > 0.1

    def test_place_size_and_turn_are_taken_out(self):
        base = RNG.normal(size=(9, 2))
        shapes = [turned(base, *RNG.uniform(0.5, 3, 2), RNG.normal(size=2)) for _ in range(5)]
        aligned, mean = align_shapes(shapes)
        np.testing.assert_allclose(aligned, np.broadcast_to(mean, aligned.shape), atol=1e-8)
        assert (mean**2).sum() == pytest.approx(1)

    def family(self, count):
        """Ellipses in any place, whose two widths vary: one mode of shape."""
        t = np.linspace(0, 2 * np.pi, 24, endpoint=False)
        widths = RNG.normal(1.5, 0.2, count)
        shapes = [np.stack([w * np.cos(t), np.sin(t)], 1) for w in widths]
        return np.stack([turned(s, RNG.uniform(0, 6), RNG.uniform(1, 4), RNG.normal(size=2)) for s in shapes])

    def test_one_mode_explains_a_family_of_one(self):
        model = ShapeModel(self.family(40), share=0.98)
        assert len(model.variances) == 1
        new = self.family(1)[0]
        assert np.abs(model.fit_to(new) - new).max() < 0.02 * np.ptp(new)

    def test_a_point_that_was_mistaken_is_put_right(self):
        model, true = ShapeModel(self.family(40)), self.family(1)[0]
        wrong = true.copy()
        wrong[5] += 0.4 * np.ptp(true)
        put_right = model.fit_to(wrong)
        assert np.abs(put_right - true).max() < 0.35 * np.abs(wrong - true).max()

    def test_modes_stay_within_the_limit(self):
        model = ShapeModel(self.family(40))
        extreme = model.shape([9.0])
        np.testing.assert_allclose(
            align_shape(model.fit_to(extreme, limit=2.0), model.mean)[0],
            align_shape(model.shape([2.0]), model.mean)[0],
            atol=0.02,
        )

    def test_what_is_no_shape_is_refused(self):
        for wrong in (np.zeros((2, 5, 2)), np.zeros((2, 5)), np.full((2, 5, 2), np.nan)):
            with pytest.raises(UserError, match=r"align_shapes"):
                align_shapes(wrong)
        with pytest.raises(UserError, match="at least two shapes"):
            ShapeModel(RNG.normal(size=(1, 5, 2)))


@pytest.mark.parametrize("shape", [(30, 8), (8, 30)])
def test_components_are_the_singular_vectors(shape):
    rows = RNG.normal(size=shape) * np.arange(1, shape[1] + 1)
    found = PrincipalComponents(rows, 4)
    centred = rows - rows.mean(0)
    u, sizes, vt = np.linalg.svd(centred, full_matrices=False)
    np.testing.assert_allclose(found.variances, sizes[:4] ** 2 / (len(rows) - 1))
    np.testing.assert_allclose(np.abs(found.basis @ vt[:4].T), np.eye(4), atol=1e-9)
    best = rows.mean(0) + (u[:, :4] * sizes[:4]) @ vt[:4]
    np.testing.assert_allclose(found.decode(found.encode(rows)), best, atol=1e-9)
    assert len(PrincipalComponents(rows[:3], 10).basis) == 2  # three rows span two directions
