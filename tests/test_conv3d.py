"""Three-dimensional convolution and pooling on the microkernel, where the derived tests of the ops are too small."""

import math

import numpy as np
import pytest

from tinymed import dispatch, use_precision
from tinymed.cpu.convolution import choose
from tinymed.memory import canonical_order, inverse_order


def laid(a: np.ndarray, kind: str) -> np.ndarray:
    order = canonical_order(kind, a.ndim)
    return np.ascontiguousarray(a.transpose(order)).transpose(inverse_order(order))


def agree(ours: np.ndarray, true: np.ndarray) -> None:
    assert ours.shape == true.shape
    assert np.abs(ours - true).max() <= 2e-5 * np.abs(true).max()


# batch, input and output channels, space, kernel, stride, padding, dilation, groups: several panels of columns, several
# blocks of rows, several units of work for the weight, planes of the filter that reach into the padding
CASES = [
    (2, 33, 40, (5, 6, 7), (3, 3, 3), (1, 1, 1), ((1, 1), (1, 1), (1, 1)), (1, 1, 1), 1),
    (1, 3, 17, (20, 21, 22), (3, 1, 2), (1, 1, 1), ((0, 2), (0, 0), (1, 0)), (1, 1, 1), 1),
    (1, 70, 66, (4, 5, 3), (2, 2, 2), (2, 2, 2), ((0, 0), (0, 1), (0, 1)), (1, 1, 1), 1),
    (2, 36, 40, (4, 6, 2), (2, 2, 2), (2, 2, 2), ((0, 0), (0, 0), (0, 0)), (1, 1, 1), 1),
    (2, 36, 72, (5, 5, 5), (3, 3, 3), (2, 1, 3), ((2, 2), (1, 1), (1, 1)), (2, 1, 1), 2),
    (1, 8, 8, (3, 3, 3), (10, 10, 10), (8, 8, 8), ((5, 4), (5, 4), (5, 4)), (1, 1, 1), 1),
    (0, 2, 3, (4, 4, 4), (3, 3, 3), (1, 1, 1), ((1, 1), (1, 1), (1, 1)), (1, 1, 1), 1),
]


@pytest.mark.parametrize(("n", "c", "o", "space", "kernel", "stride", "padding", "dilation", "groups"), CASES)
def test_convolution_is_the_references(n, c, o, space, kernel, stride, padding, dilation, groups, rng) -> None:
    x = laid(rng.normal(size=(n, c, *space)).astype(np.float32), "image")
    weight = laid(rng.normal(size=(o, c // groups, *kernel)).astype(np.float32), "filter")
    bias = rng.normal(size=o).astype(np.float32)
    ours, true = dispatch.table("numba"), dispatch.table("numpy")
    how = (stride, padding, dilation, groups)
    before = sum(dispatcher.fallback for name, dispatcher in ours.dispatchers.items() if name != "canonical")
    y = ours.conv3d_forward(x, weight, bias, *how)
    dy = laid(rng.normal(size=y.shape).astype(np.float32), "image")
    results = (
        y,
        ours.conv3d_backward_input(dy, weight, x.shape, *how),
        ours.conv3d_backward_weight(dy, x, weight.shape, *how),
    )
    assert sum(dispatcher.fallback for name, dispatcher in ours.dispatchers.items() if name != "canonical") == before
    if n:
        agree(results[0], true.conv3d_forward(x, weight, bias, *how))
        agree(results[1], true.conv3d_backward_input(dy, weight, x.shape, *how))
    agree(results[2], true.conv3d_backward_weight(dy, x, weight.shape, *how))


# batch, input and output channels, space, kernel, padding: sides that tiles hang over, planes of the filter that reach
# into the padding, channels that fill no vector, several panels
PLANES = [
    (2, 5, 7, (4, 9, 6), (3, 3, 3), ((1, 1), (1, 1), (1, 1))),
    (1, 16, 33, (3, 8, 7), (2, 3, 3), ((0, 0), (1, 0), (0, 1))),
    (2, 40, 3, (5, 6, 9), (3, 3, 3), ((2, 1), (1, 1), (2, 2))),
    (1, 3, 64, (2, 4, 4), (1, 3, 3), ((1, 0), (0, 1), (1, 1))),
]
FIVE = [
    (2, 5, 7, (4, 9, 6), (5, 5, 5), ((2, 2), (2, 2), (2, 2))),
    (1, 40, 33, (3, 8, 7), (2, 5, 5), ((0, 0), (1, 0), (3, 2))),
    (2, 33, 3, (6, 6, 9), (5, 5, 5), ((2, 1), (4, 3), (2, 2))),
    (1, 64, 64, (9, 13, 12), (5, 5, 5), ((2, 2), (2, 2), (2, 2))),
    (1, 3, 64, (2, 5, 5), (1, 5, 5), ((1, 0), (0, 1), (2, 2))),
]


@pytest.mark.parametrize(
    ("algorithm", "n", "c", "o", "space", "kernel", "padding"),
    [(algorithm, *case) for algorithm in ("winograd2", "winograd4") for case in PLANES]
    + [("winograd2", *case) for case in FIVE],
)
def test_winograd_in_the_planes_stays_within_its_bound(algorithm, n, c, o, space, kernel, padding, rng) -> None:
    """Against the sums in float64: the bounds that test_winograd.py has for images."""
    how = ((1, 1, 1), padding, (1, 1, 1), 1)
    x, weight, bias = (rng.normal(size=s) for s in ((n, c, *space), (o, c, *kernel), (o,)))
    ours, true = dispatch.table("numba"), dispatch.table("numpy")
    y = true.conv3d_forward(x, weight, bias, *how)
    dy = rng.normal(size=y.shape)
    expected = y, true.conv3d_backward_input(dy, weight, x.shape, *how)
    expected += (true.conv3d_backward_weight(dy, x, weight.shape, *how),)
    x, dy = (laid(a.astype(np.float32), "image") for a in (x, dy))
    weight, bias = laid(weight.astype(np.float32), "filter"), bias.astype(np.float32)
    five = kernel[-1] == 5
    served = ours.conv3d_winograd_five if five else ours.conv3d_winograd
    before = served.native
    with use_precision("tf32"), choose.use_algorithm(algorithm):
        found = (
            ours.conv3d_forward(x, weight, bias, *how),
            ours.conv3d_backward_input(dy, weight, x.shape, *how),
            ours.conv3d_backward_weight(dy, x, weight.shape, *how),
        )
    assert served.native == before + 2
    for a, b, least in zip(found, expected, (2e-5, 2e-5, 5e-5), strict=True):
        bound = least if algorithm == "winograd4" or five else 2e-6
        assert a.shape == b.shape
        assert np.abs(a - b).max() < bound * np.abs(b).max()


@pytest.mark.parametrize(("taps", "algorithm"), [(3, "winograd4"), (5, "winograd2")])
def test_exact_has_no_winograd_in_volumes(taps, algorithm) -> None:
    shapes = (1, 32, 32, 32, 32), (32, 32, taps, taps, taps), (1, 1, 1), ((1, 1),) * 3, (1, 1, 1)
    for direction in choose.DIRECTIONS:
        with use_precision("tf32"):
            assert choose.choose(direction, *shapes) == algorithm
        with use_precision("exact"):
            assert choose.choose(direction, *shapes) == "direct"


# channels, filters, space, kernel, stride, dilation: runs of channels that end within a vector, one to eight filters
HEADS = [
    (33, 3, (5, 6, 7), (3, 3, 3), (1, 1, 1), (1, 1, 1)),
    (64, 1, (3, 4, 5), (1, 1, 1), (1, 1, 1), (1, 1, 1)),
    (16, 5, (5, 6, 9), (2, 3, 5), (2, 1, 2), (2, 1, 1)),
    (70, 8, (6, 6, 6), (3, 3, 3), (1, 1, 1), (1, 2, 1)),
]


@pytest.mark.parametrize(("c", "o", "space", "kernel", "stride", "dilation"), HEADS)
@pytest.mark.parametrize("with_bias", [True, False])
def test_heads_of_few_filters_are_the_references(c, o, space, kernel, stride, dilation, with_bias, rng) -> None:
    how = (stride, ((1, 1), (0, 1), (1, 2)), dilation, 1)
    x, weight = rng.normal(size=(2, c, *space)), rng.normal(size=(o, c, *kernel))
    bias = rng.normal(size=o) if with_bias else None
    ours, true = dispatch.table("numba"), dispatch.table("numpy")
    y = true.conv3d_forward(x, weight, bias, *how)
    dy = rng.normal(size=y.shape)
    dw = true.conv3d_backward_weight(dy, x, weight.shape, *how)
    x, dy = (laid(a.astype(np.float32), "image") for a in (x, dy))
    weight, bias = laid(weight.astype(np.float32), "filter"), bias if bias is None else bias.astype(np.float32)
    before = ours.conv3d_few_filters.native
    with choose.use_algorithm("direct"):
        agree(ours.conv3d_forward(x, weight, bias, *how), y)
        agree(ours.conv3d_backward_weight(dy, x, weight.shape, *how), dw)
    assert ours.conv3d_few_filters.native == before + 1


@pytest.mark.parametrize(("algorithm", "taps"), [("direct", 3), ("winograd4", 3), ("winograd2", 5)])
def test_the_same_bits_for_any_number_of_threads(algorithm, taps, rng) -> None:
    numba = pytest.importorskip("numba")
    x = laid(rng.normal(size=(2, 5, 9, 40, 40)).astype(np.float32), "image")
    weight = laid(rng.normal(size=(6, 5, taps, taps, taps)).astype(np.float32), "filter")
    how = ((1, 1, 1), ((taps // 2,) * 2,) * 3, (1, 1, 1), 1)
    k, threads, seen = dispatch.table("numba"), numba.get_num_threads(), []
    try:
        for count in {1, min(2, numba.config.NUMBA_NUM_THREADS)}:
            numba.set_num_threads(count)
            with use_precision("tf32"), choose.use_algorithm(algorithm):
                y = k.conv3d_forward(x, weight, None, *how)
                dx = k.conv3d_backward_input(y, weight, x.shape, *how)
                edges = ((taps // 2 - 1, taps // 2),) * 3
                wide = k.conv3d_backward_input(y, weight, (2, 5, 18, 80, 80), (2, 2, 2), edges, *how[2:])
                seen.append([a.tobytes() for a in (y, dx, wide, k.conv3d_backward_weight(y, x, weight.shape, *how))])
    finally:
        numba.set_num_threads(threads)
    assert all(s == seen[0] for s in seen)


@pytest.mark.parametrize(
    ("kernel", "stride", "before", "space"),
    [
        ((2, 2, 2), (2, 2, 2), (0, 0, 0), (9, 8, 7)),
        ((3, 3, 3), (2, 1, 2), (1, 1, 0), (7, 6, 9)),
        ((7, 7, 6), (1, 2, 3), (3, 2, 1), (8, 7, 6)),  # more than 256 taps
    ],
)
def test_pooling_is_the_references(kernel, stride, before, space, rng) -> None:
    x = laid(rng.integers(0, 9, (2, 19, *space)).astype(np.float32), "image")  # many ties
    x.flat[3] = math.nan
    size = tuple((n + 2 * b - k) // s + 1 for n, b, k, s in zip(space, before, kernel, stride, strict=True))
    ours, true = dispatch.table("numba"), dispatch.table("numpy")
    how = (kernel, stride, before, (1, 1, 1))
    y, index = ours.max_pool3d_forward(x, *how, size)
    z, places = true.max_pool3d_forward(x, *how, size)
    np.testing.assert_array_equal(y, z)
    np.testing.assert_array_equal(index, places)
    assert index.dtype == (np.int32 if np.prod(kernel) > 256 else np.uint8)
    dy = rng.normal(size=y.shape).astype(np.float32)
    agree(ours.max_pool3d_backward(dy, index, x.shape, *how), true.max_pool3d_backward(dy, index, x.shape, *how))
