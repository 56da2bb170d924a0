"""Arguments for launchers that work along lines, by index, on volumes and in batches: the second part of CASES."""

from collections.abc import Callable
from typing import Any

import numpy as np

from tinymed.cuda.tiles import FLOAT32
from tinymed.ops.space import slides


def lines(d: Any) -> Any:
    """An array [outer, n, inner] that has numbers."""
    return d.array(d.pick((2, 1, 7)), d.pick((5, 1, 33, 300)), d.pick((3, 1, 35)))


def with_each(d: Any, count: int = 1) -> tuple[Any, ...]:
    """Lines, and arrays of a number for each."""
    x = lines(d)
    return x, *(d.array(x.shape[0] * x.shape[2]) for _ in range(count))


def with_own_extreme(d: Any) -> tuple[Any, ...]:
    """(dy, x, y) of an extreme, which is met at least once in every line."""
    x, dy = with_each(d)
    return dy, x, x.max(1).reshape(-1)


def alike(d: Any, count: int) -> tuple[Any, ...]:
    """Lines of one shape."""
    x = lines(d)
    return x, *(d.array(*x.shape) for _ in range(count - 1))


def indexed(d: Any) -> tuple[Any, Any]:
    """Lines, and an index along them that may repeat, some from the end."""
    x = lines(d)
    return x, d.integers(d.pick((4, 1, 40, 300)), high=x.shape[1]) - d.pick((0, x.shape[1]))


def indexed_each(d: Any) -> tuple[Any, Any]:
    """Lines, and an index for each of them."""
    x = lines(d)
    return x, d.integers(x.shape[0], d.pick((4, 1, 40)), x.shape[2], high=x.shape[1])


def segments(d: Any) -> tuple[Any, ...]:
    """(x or nothing, sorted places, their order, source, shape, replace)."""
    x, index = indexed(d)
    index %= x.shape[1]
    order = np.argsort(index, kind="stable").astype(np.int64)
    source = d.array(x.shape[0], index.size, x.shape[2])
    return x if d.flag() else None, index[order], order, source, x.shape, d.flag()


def added_each(d: Any) -> tuple[Any, ...]:
    """(x, index, source, replace)."""
    x, index = indexed_each(d)
    return x, index, d.array(*index.shape), d.flag()


def border(d: Any, backward: bool) -> tuple[Any, ...]:
    """(lines, before, after, mode)."""
    x, mode = lines(d), d.pick((0, 1, 2))
    before, after = (d.pick((0, 1, 4)) for _ in range(2))
    before, after = (min(n, x.shape[1] - (mode == 0)) for n in (before, after))
    grown = d.array(x.shape[0], x.shape[1] + before + after, x.shape[2])
    return grown if backward else x, before, after, mode


def grouped(d: Any, backward: bool) -> tuple[Any, ...]:
    """Arguments of group normalisation of images and volumes."""
    groups, size = d.pick((1, 3, 4)), d.pick((1, 2, 9))
    c, space = groups * size, d.pick(((5,), (3, 4), (17, 16), (2, 3, 2)))
    x = d.array(d.pick((2, 1)), c, *space)
    if not backward:
        return x, d.maybe(c), d.maybe(c), groups, 1e-5
    return d.array(*x.shape), x, d.maybe(c), d.array(x.shape[0], groups, 1), d.array(x.shape[0], groups, 1)


def of_last_axes(d: Any, backward: bool) -> tuple[Any, ...]:
    """Arguments of layer normalisation."""
    outer, inner = d.pick(((3,), (2, 4), ())), d.pick(((5,), (300,), (4, 3)))
    x, axes = d.array(*outer, *inner), len(inner)
    if not backward:
        return x, d.maybe(*inner), d.maybe(*inner), axes, 1e-5
    kept = (*outer, *[1] * axes)
    return d.array(*x.shape), x, d.maybe(*inner), d.array(*kept), d.array(*kept), axes


def responses(d: Any, count: int) -> tuple[Any, ...]:
    """Images, and how local response normalisation treats them."""
    return *d.matrices(count), d.pick((5, 1, 2, 4)), 0.1, 0.75, 1.0


def volumes(d: Any, wide: bool, backward: bool) -> tuple[Any, ...]:
    """The arguments of a maximum over windows of volumes."""
    sides = (9, 8, 8) if wide else (d.pick((4, 1, 5)), d.pick((3, 6)), d.pick((5, 2)))
    x = d.array(d.pick((1, 2, 0)), d.pick((3, 1, 33)), *sides)
    kernel = (7, 7, 6) if wide else tuple(d.pick((2, 1, 3)) for _ in range(3))
    stride = tuple(d.pick((1, 2)) for _ in range(3))
    before = tuple(d.pick((0, n // 2)) for n in kernel)
    dilation = (1, 1, 1 if wide else d.pick((1, 2)))
    size = slides(x.shape[2:], kernel, stride, tuple((n, n) for n in before), dilation)
    size = tuple(max(n, 0) for n in size)
    if not backward:
        return x, kernel, stride, before, dilation, size
    dy, taps = d.array(*x.shape[:2], *size), int(np.prod(kernel))
    index = d.integers(*dy.shape, high=taps).astype(np.int32 if wide else np.uint8)
    return dy, index, x.shape, kernel, stride, before, dilation


def convolution(d: Any, kind: str) -> tuple[Any, ...]:
    """The arguments of a direction of convolution over three axes, in any tile."""
    groups, tile = d.pick((1, 2)), d.pick(range(len(FLOAT32)))
    channels, filters = groups * d.pick((3, 1, 4)), groups * d.pick((3, 1, 4, 17))
    x = d.array(d.pick((2, 1, 0)), channels, *(d.pick((4, 1, 5)) for _ in range(3)))
    weight = d.array(filters, channels // groups, *(d.pick((2, 1, 3)) for _ in range(3)))
    stride, dilation = (d.pick((1, 2)), 1, d.pick((1, 3))), (1, d.pick((1, 2)), 1)
    before = (d.pick((0, 1)), 1, 2)
    size = slides(x.shape[2:], weight.shape[2:], stride, tuple((n, n) for n in before), dilation)
    size = tuple(max(n, 0) for n in size)
    how, dy = (stride, before, dilation, groups, tile), d.array(x.shape[0], filters, *size)
    if kind == "forward":
        return x, weight, d.maybe(filters), size, *how
    return (dy, weight, x.shape, *how) if kind == "input" else (dy, x, weight.shape, *how)


def batches(d: Any) -> tuple[Any, ...]:
    """(a, b, ta, tb, tile): pairs of matrices, or one matrix for all of the others."""
    n = d.pick((3, 1, 2, 0))
    rows, columns, depth = d.pick((5, 1, 67)), d.pick((4, 1, 65)), d.pick((6, 1, 600, 0))
    ta, tb = d.pick(((False, False), (True, False), (False, True)))
    counts = d.pick(((n, n), (1, n), (n, 1)))
    a = d.array(counts[0], *((depth, rows) if ta else (rows, depth)))
    b = d.array(counts[1], *((columns, depth) if tb else (depth, columns)))
    return a, b, ta, tb, d.pick(range(len(FLOAT32)))


def chosen(d: Any, count: int) -> tuple[Any, ...]:
    """A condition and lines."""
    xs = d.lines(count)
    return d.rng.random(xs[0].size) < 0.5, *xs


CASES: dict[str, Callable[[Any], tuple[Any, ...]]] = {
    "largest_of_lines smallest_of_lines product_of_lines logsumexp_of_lines running_product": lambda d: (lines(d),),
    "place_of_extreme running_sum": lambda d: (lines(d), d.flag()),
    "variance_of_lines": lambda d: (lines(d), 3.0),
    "extreme_of_lines_backward": with_own_extreme,
    "logsumexp_of_lines_backward": lambda d: (lambda x, dy, y: (dy, x, y))(*with_each(d, 2)),
    "running_product_backward": lambda d: alike(d, 2),
    "take_lines": indexed,
    "take_each": indexed_each,
    "rank_places": lambda d: (lambda x, index: (index, x.shape[1]))(*indexed(d)),
    "join_places": lambda d: (d.integers(n := d.pick((7, 0, 300)), high=5), d.integers(n, high=9) - 9, 5, 9),
    "add_segments": segments,
    "add_each": added_each,
    "one_hot_forward": lambda d: (d.integers(*d.pick(((5,), (), (2, 3), (0,))), high=6), 6),
    "pad_lines": lambda d: border(d, backward=False),
    "pad_lines_backward": lambda d: border(d, backward=True),
    "group_norm_forward": lambda d: grouped(d, backward=False),
    "group_norm_backward": lambda d: grouped(d, backward=True),
    "layer_norm_forward": lambda d: of_last_axes(d, backward=False),
    "layer_norm_backward": lambda d: of_last_axes(d, backward=True),
    "local_response_norm_forward": lambda d: responses(d, 1),
    "local_response_norm_backward": lambda d: responses(d, 2),
    "max_volume": lambda d: volumes(d, wide=False, backward=False),
    "max_volume_wide": lambda d: volumes(d, wide=True, backward=False),
    "max_volume_backward": lambda d: volumes(d, wide=False, backward=True),
    "max_volume_wide_backward": lambda d: volumes(d, wide=True, backward=True),
    "conv3d_gemm": lambda d: convolution(d, "forward"),
    "conv3d_gemm_input": lambda d: convolution(d, "input"),
    "conv3d_gemm_weight": lambda d: convolution(d, "weight"),
    "batched_product": batches,
    "compare_arrays": lambda d: (*d.lines(2), d.pick(range(9))),
    "compare_number": lambda d: (*d.lines(), 0.5, d.pick(range(9))),
    "has_property": lambda d: (*d.lines(), d.pick(range(4))),
    "choose_arrays": lambda d: chosen(d, 2),
    "choose_or_number": lambda d: (*chosen(d, 1), 0.5, d.flag()),
    "larger_arrays smaller_arrays rsqrt_backward reciprocal_backward erf_backward hardsigmoid_backward "
    "gelu_tanh_backward": lambda d: d.lines(2),
    "larger_number smaller_number hardshrink_forward softshrink_forward softtanh_forward": lambda d: (*d.lines(), 0.5),
    "shrink_backward threshold_backward softtanh_backward": lambda d: (*d.lines(2), 0.5),
    "threshold_forward": lambda d: (*d.lines(), 0.5, 0.1),
    "huber_forward": lambda d: (*d.lines(2), 0.4),
    "huber_backward": lambda d: (*d.lines(3), 0.4),
    "larger_backward_arrays": lambda d: d.lines(3),
    "cast_to_bool cast_to_int cast_to_long expm1_forward log1p_forward sin_forward cos_forward erf_forward "
    "rsqrt_forward hardsigmoid_forward gelu_tanh_forward": lambda d: d.lines(),
    "cast_from_bool": lambda d: (d.lines()[0] < 0.5,),
    "cast_from_byte": lambda d: (d.integers(d.pick((7, 0, 300)), high=256).astype(np.uint8),),
    "cast_from_int": lambda d: (d.integers(d.pick((7, 0, 300))).astype(np.int32),),
    "cast_from_long": lambda d: (d.integers(d.pick((7, 0, 300))),),
    "gradient_norm": lambda d: (*d.lines(), d.pick((1.0, 2.0, 3.0, float("inf")))),
    "clip_coefficient": lambda d: (d.array(), 0.3),
    "scale_gradient": lambda d: (*d.lines(), d.array()),
}
