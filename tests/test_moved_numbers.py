"""Picking, adding up by number, selecting and padding: native on the CPU, and the same as the reference to the bit."""

import numpy as np
import pytest

import tinymed
from tinymed import dispatch

FLOATS = (np.float32, np.float64)


def both(name, *args):
    """Return what the CPU's kernel and what the reference makes; the first must not fall back."""
    table = dispatch.table("numba")
    kernel = getattr(table, name)
    before = kernel.fallback
    ours = kernel(*args)
    assert kernel.fallback == before, f"{name} fell back"
    return ours, getattr(dispatch.table("numpy"), name)(*args)


def awkward(rng, dtype, *shape):
    """Numbers with ties, both zeros, infinities and NaN."""
    x = rng.integers(-3, 4, shape).astype(dtype)
    for value in (np.nan, -0.0, np.inf, -np.inf):
        x[rng.random(shape) < 0.04] = value
    return x


@pytest.mark.parametrize("dtype", FLOATS)
def test_selection_is_what_sorting_gives(dtype):
    """Ties stay in order, 0 and -0 are equal, NaN is the largest: of any ranks, along any axis."""
    rng = np.random.default_rng(0)
    for trial in range(60):
        n = int(rng.integers(1, 70))
        x = awkward(rng, dtype, 3, n) if trial % 3 else rng.normal(size=(3, n)).astype(dtype)
        first = int(rng.integers(0, n))
        for axis, ranks in ((1, (first, int(rng.integers(1, n - first + 1)))), (0, (1, 2))):
            ours, true = both("argsort_part_forward", x, axis, bool(trial % 2), *ranks)
            assert np.array_equal(ours, true), (trial, axis, ranks)
            loop = dispatch.table("loops").argsort_part_forward(x, axis, bool(trial % 2), *ranks)
            assert np.array_equal(loop, true), (trial, axis, ranks)


def test_selection_of_one_long_line():
    x = np.random.default_rng(1).normal(size=200_000).astype(np.float32)
    for count in (100, 300):  # selected, and sorted
        ours, true = both("argsort_part_forward", x, 0, True, 100_000, count)
        assert np.array_equal(ours, true)
    assert tinymed.median(tinymed.tensor(x)).item() == np.sort(x)[99_999]


@pytest.mark.parametrize("dtype", FLOATS)
def test_gradients_of_picking_are_added_up_in_order(dtype):
    rng = np.random.default_rng(2)
    dy = rng.normal(size=(4, 50, 9)).astype(dtype)
    index = rng.integers(-6, 6, 50)
    for name, *args in (
        ("take_backward", dy, (4, 6, 9), (False, True, False), index),
        ("take_backward", dy[0], (6, 9), (True,), index),
        ("take_backward", dy[:, 0, 0], (6,), (True,), index[:4]),
        ("embedding_backward", dy[0], index % 6, 6),
        ("gather_backward", dy, index.reshape(1, -1, 1).repeat(4, 0).repeat(9, 2) % 6, 6, 1),
        ("gather_backward", dy, rng.integers(0, 5, dy.shape), 5, 2),
        ("pick_backward", dy[..., 0], rng.integers(0, 7, (4, 50)), 7, 2),
        ("scatter_flat", dy[None], rng.integers(0, 6, (1, *dy.shape)), (1, 4, 2, 3)),
    ):
        ours, true = both(name, *args)
        assert ours.dtype == dtype
        assert np.array_equal(ours, true), name


def test_an_index_that_nothing_has_gives_nan():
    """Forward refuses it; a backward that is called alone neither writes outside the array nor looks healthy."""
    table, dy = dispatch.table("numba"), np.ones((2, 3), np.float32)
    assert np.isnan(table.embedding_backward(dy, np.array([0, 9]), 4)).all()
    assert np.isnan(table.embedding_backward(dy, np.array([0, -9]), 4)).all()
    assert np.isnan(table.gather_backward(dy, np.full((2, 3), 5), 4, 1)).all()


@pytest.mark.parametrize("dtype", FLOATS)
def test_padding_of_any_axes(dtype):
    """One, two and more axes, neighbours in memory or not; borders wider than the array; widths that crop."""
    rng = np.random.default_rng(3)
    for trial in range(60):
        shape = tuple(rng.integers(1, 6, int(rng.integers(1, 5))))
        x = rng.normal(size=shape).astype(dtype).transpose(rng.permutation(len(shape)))
        crops = tuple((int(rng.integers(-(n // 2), 3)), int(rng.integers(-((n - 1) // 2), 3))) for n in x.shape)
        ours, true = both("pad_constant", x, tuple(w if rng.random() < 0.7 else (0, 0) for w in crops), 1.5)
        assert np.array_equal(ours, true), trial
        for mode in ("reflect", "replicate", "circular"):
            widths = tuple((int(rng.integers(0, 2 * n)), int(rng.integers(0, n))) for n in x.shape)
            widths = tuple(w if rng.random() < 0.7 else (0, 0) for w in widths)
            ours, true = both("pad_border", x, widths, mode)
            assert np.array_equal(ours, true), (trial, mode)
            ours, true = both("pad_border_backward", rng.normal(size=true.shape).astype(dtype), x.shape, widths, mode)
            assert np.allclose(ours, true, rtol=0, atol=100 * np.finfo(dtype).eps), (trial, mode)


@pytest.mark.parametrize("dtype", FLOATS)
def test_pairs_of_one_axis_are_pooled_where_they_lie(dtype):
    """The first of equals, and NaN above all; in C order without a conversion, in other orders as any window."""
    x = awkward(np.random.default_rng(4), dtype, 2, 5, 1, 12)
    how = ((1, 2), (1, 2), (0, 0), (1, 1))
    for a in (x, np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)):
        used = dispatch.table("numba").max_pairs.native
        ours, true = both("max_pool2d_forward", a, *how, (1, 6))
        assert np.array_equal(ours[0], true[0], equal_nan=True)
        assert np.array_equal(ours[1], true[1])
        dy = np.ones(true[0].shape, dtype)
        assert np.array_equal(*both("max_pool2d_backward", dy, ours[1], x.shape, *how))
        assert (dispatch.table("numba").max_pairs.native > used) == a.flags.c_contiguous


@pytest.mark.parametrize("dtype", FLOATS)
def test_any_axes_are_reversed_in_any_memory_order(dtype):
    rng = np.random.default_rng(5)
    for trial in range(40):
        x = rng.normal(size=rng.integers(1, 6, int(rng.integers(1, 5)))).astype(dtype)
        x = x.transpose(rng.permutation(x.ndim))
        axes = tuple(a for a in range(x.ndim) if rng.random() < 0.5) or (0,)
        assert np.array_equal(*both("flip_forward", x, axes)), trial
