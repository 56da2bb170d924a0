"""Climbing a score by differences: Newton's step of a quadratic, SciPy's maximum, saddles, and what never falls."""

import numpy as np
import pytest

from tinymed.errors import UserError
from tinymed.unsupervised.climb import climb, derivatives

UNITS = np.array([0.5, 0.1, 1.0])
TURN = np.array([[2.0, 0.6, 0.0], [0.6, 9.0, -1.0], [0.0, -1.0, 1.5]])
TOP = np.array([1.0, -0.3, 2.0])


def hill(x):
    """A quadratic with one maximum, at TOP."""
    y = x - TOP
    return -np.einsum("ni,ij,nj->n", y, TURN, y) / 2


def bumps(x):
    return np.cos(x[:, 0]) * np.cos(2 * x[:, 1]) * np.exp(-(x[:, 2] ** 2) / 8)


def test_derivatives_are_those_of_a_quadratic():
    x = np.random.default_rng(0).normal(size=(4, 3))
    slope, curve = derivatives(hill, x, hill(x), UNITS, second=True)
    np.testing.assert_allclose(slope, -(x - TOP) @ TURN * UNITS, atol=1e-12)
    np.testing.assert_allclose(curve, np.broadcast_to(-TURN * np.outer(UNITS, UNITS), (4, 3, 3)), atol=1e-12)


def test_newton_is_at_the_top_of_a_quadratic_after_one_step():
    start = np.random.default_rng(1).normal(size=(5, 3))
    found, score = climb(hill, start, UNITS, "newton", rounds=1, length=1e3)
    np.testing.assert_allclose(found, np.broadcast_to(TOP, (5, 3)), atol=1e-9)
    np.testing.assert_allclose(score, 0, atol=1e-12)
    assert (climb(hill, start, UNITS, "gradient", rounds=1)[1] < -1e-3).all()


def test_both_end_at_scipys_maximum():
    optimize = pytest.importorskip("scipy.optimize")
    start = np.array([[0.4, 0.2, -0.5], [-0.3, -0.3, 0.8]])
    for method, rounds, apart in (("newton", 12, 1e-4), ("gradient", 60, 0.05)):
        found, score = climb(bumps, start, np.full(3, 0.02), method, rounds, length=20.0)
        for x, s, at in zip(found, score, start, strict=True):
            theirs = optimize.minimize(lambda p: -bumps(p[None])[0], at, method="Nelder-Mead", tol=1e-10)
            np.testing.assert_allclose(x, theirs.x, atol=apart)
            assert s == pytest.approx(-theirs.fun, abs=1e-3)


def test_a_saddle_is_left_upwards_and_no_score_falls():
    """Where the score is curved upwards Newton's own step would go down."""
    valley = lambda x: x[:, 0] ** 2 - x[:, 1] ** 2  # noqa: E731
    start = np.array([[0.1, 1.0]])
    found, score = climb(valley, start, np.full(2, 0.01), "newton", rounds=6, length=50.0)
    assert found[0, 0] > 1
    assert abs(found[0, 1]) < 0.1
    rng = np.random.default_rng(2)
    rough = lambda x: np.sin(40 * x).sum(1)  # noqa: E731
    begin = rng.normal(size=(20, 3))
    for method in ("gradient", "newton"):
        assert (climb(rough, begin, UNITS, method)[1] >= rough(begin)).all()
    assert score[0] > valley(start)[0]


def test_other_methods_are_refused():
    with pytest.raises(UserError, match=r"gradient or newton; got .* 'simplex'"):
        climb(hill, np.zeros((1, 3)), UNITS, "simplex")
