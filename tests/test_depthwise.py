"""Depthwise convolution on the CPU against float64 NumPy: strips of every width, borders, phases of a stride.

Every array lies between guard bands of NaN and starts as NaN, as in test_cpu_microkernel.py.
"""

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st
from instruments import Conv, close, guarded, machine_code, normal

import tinymed.cpu.conv  # noqa: F401
from tinymed import dispatch
from tinymed.cpu.convolution import depthwise
from tinymed.cpu.simd import depthwise_strips, vectors

NONE, ONE, SAME = ((0, 0), (0, 0)), (1, 1), ((1, 1), (1, 1))
pair = lambda values: st.tuples(st.sampled_from(values), st.sampled_from(values))  # noqa: E731
few = settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))


@st.composite
def convolutions(draw):
    """(n, channels, (h, w), kernel, stride, padding, dilation)"""
    n, h, w = draw(st.integers(1, 2)), draw(st.integers(1, 7)), draw(st.integers(1, 40))
    c = draw(st.sampled_from([2, 15, 16, 17, 48, 64, 67, 130]))
    kernel = draw(st.sampled_from([(3, 3), (3, 3), (5, 5), (5, 5), (1, 1), (1, 3), (4, 5), (7, 7)]))
    stride, dilation = draw(pair([1, 1, 2, 3, 4])), draw(pair([1, 1, 1, 2, 3]))
    padding = draw(st.tuples(pair([0, 1, 2, 5]), pair([0, 1, 2, 9])))
    for size, k, d, p in zip((h, w), kernel, dilation, padding, strict=True):
        assume(size + sum(p) >= d * (k - 1) + 1)
    return n, c, (h, w), kernel, stride, padding, dilation


@few
@given(case=convolutions())
@example(case=(2, 512, (4, 21), (3, 3), ONE, SAME, ONE))  # pixels that meet in the first cache
@example(case=(1, 1024, (3, 12), (3, 3), ONE, SAME, (2, 2)))
@example(case=(1, 512, (3, 9), (5, 5), (1, 2), ((2, 2), (2, 2)), ONE))
@example(case=(1, 16, (7, 13), (3, 3), (2, 2), NONE, (2, 2)))  # phases that no tap reaches
@example(case=(1, 16, (5, 30), (5, 5), ONE, ((2, 2), (2, 2)), ONE))
@example(case=(1, 20, (9, 30), (3, 3), (3, 3), SAME, (3, 3)))  # taps as far apart as outputs
@example(case=(1, 33, (1, 1), (1, 1), ONE, ((2, 2), (2, 2)), ONE))  # more padding than filter
@example(case=(40, 16, (2, 9), (3, 3), ONE, SAME, ONE))  # several partial sums of the filter's gradient
def test_depthwise_convolution_and_its_gradients(case):
    n, c, size, kernel, *how = case
    how = [*how, c]
    rng, terms = np.random.default_rng(1), kernel[0] * kernel[1]
    x, weight, bias = normal(rng, n, c, *size), normal(rng, c, 1, *kernel), normal(rng, c)
    expected = Conv(x, weight, *how)
    numba = dispatch.table("numba")
    with guarded() as guards:
        dy = guards.place(normal(rng, n, c, *expected.out), "image")
        xs, ws, bs = guards.place(x, "image"), guards.place(weight, "filter"), guards.place(bias)
        close(numba.conv2d_forward(xs, ws, bs, *how), expected.forward(bias), terms)
        close(numba.conv2d_forward(xs, ws, None, *how), expected.forward(0 * bias), terms)
        dx, dw = expected.backward(dy)
        close(numba.conv2d_backward_input(dy, ws, x.shape, *how), dx, terms)
        close(numba.conv2d_backward_weight(dy, xs, weight.shape, *how), dw, n * expected.out[0] * expected.out[1])


def test_negative_padding_cuts_off():
    rng, numba = np.random.default_rng(0), dispatch.table("numba")
    x, w, how = normal(rng, 2, 20, 9, 14), normal(rng, 20, 1, 3, 3), (ONE, ONE, 20)
    whole, cut = ((0, 0), (0, 0)), ((-1, -2), (-3, 1))
    inner = np.pad(x[:, :, 1:-2, 3:], ((0, 0), (0, 0), (0, 0), (0, 1)))
    assert np.array_equal(
        numba.conv2d_forward(x, w, None, ONE, cut, *how[1:]), numba.conv2d_forward(inner, w, None, ONE, whole, *how[1:])
    )


def test_an_infinite_or_missing_pixel_stays_where_it_is():
    """A pixel reaches its neighbours only, however many outputs a strip computes at once."""
    numba, x = dispatch.table("numba"), np.ones((1, 16, 5, 24), np.float32)
    x[0, :, 2, 9], x[0, :, 2, 20] = np.inf, np.nan
    y = numba.conv2d_forward(x, np.ones((16, 1, 3, 3), np.float32), None, ONE, SAME, ONE, 16)
    near = np.zeros((5, 24), bool)
    near[1:4, 8:11] = near[1:4, 19:22] = True
    assert np.array_equal(np.isfinite(y), np.broadcast_to(~near, y.shape))
    assert np.isinf(y[0, :, 2, 9]).all()
    assert np.isnan(y[0, :, 2, 20]).all()


@pytest.mark.parametrize(
    "shape",
    [
        vectors.Shape(6, 2, 8, True),
        vectors.Shape(4, 2, 4, False),
        vectors.Shape(4, 1, 4, True),
        vectors.SHAPE,
    ],
    ids=str,
)
@pytest.mark.parametrize(
    "variant",
    [depthwise_strips.Variant(8, 1, 3), depthwise_strips.Variant(4, 2), depthwise_strips.Variant(5, 2, 3)],
    ids=str,
)
def test_loops_of_every_instruction_set(shape, variant):
    """A row of pixels from two rows of x whose first and last columns are outside."""
    rng, c, taps, pixels = np.random.default_rng(0), 37, 3, 9
    x, w, dy = normal(rng, 2, pixels, c), normal(rng, 2, taps, c), normal(rng, pixels, c)
    padded = np.pad(x.astype(float), ((0, 0), (1, 1), (0, 0)))
    y, dw = dy.astype(float), np.zeros((2, taps, c))
    for r, s in np.ndindex(2, taps):
        dw[r, s] = (padded[r, s : s + pixels - pixels % variant.pixels] * y[: pixels - pixels % variant.pixels]).sum(0)
    expected = sum(padded[r, s : s + pixels] * w[r, s] for r, s in np.ndindex(2, taps))
    with guarded() as guards:
        x, w, dy, out, total = map(guards.place, (x, w, dy, 0 * dy, 0 * w))
        at = lambda a: a.ctypes.data  # noqa: E731
        common = c, at(x), pixels, -1, 1, 1, 4 * c, 2, 4 * c * pixels
        strides = taps, 4 * c * taps, 4 * c
        convolve = machine_code(depthwise_strips.PARAMETERS, depthwise_strips.convolve(variant, shape))
        convolve(0, -(-pixels // variant.pixels), pixels, *common, at(w), *strides, at(out), 4 * c, 0)
        close(out, expected, 6)
        correlate = machine_code(depthwise_strips.PARAMETERS, depthwise_strips.correlate(variant, shape))
        correlate(0, pixels // variant.pixels, pixels, *common, at(total), *strides, at(dy), 4 * c, 0)
        close(total, dw, pixels)


def test_axes_name_each_product_once():
    """Forward and backward list the same (input, tap, output)."""
    for before in (-1, 0, 2):
        for stride, dilation, taps in np.ndindex(5, 4, 6):
            if not (stride and dilation and taps):
                continue
            size, out = 13, max(0, (13 + before + 1 - dilation * (taps - 1) - 1) // stride + 1)
            forward, backward = set(), set()
            for m in range(out):
                forward |= products(depthwise.forward_axis(before, stride, dilation, taps), m, size, m, False)
            for i in range(size):
                axis = depthwise.backward_axis(i % stride, before, stride, dilation, taps)
                backward |= products(axis, i // stride, out, i, True)
            assert forward == backward


def products(axis, m, size, position, turn):
    """{(input, tap, output)} of one position."""
    start, count, tap = depthwise.taps_inside(axis, m, size)
    found = {(start + r * axis[2], tap + r * axis[5]) for r in range(count)}
    return {(position, t, p) if turn else (p, t, position) for p, t in found}
