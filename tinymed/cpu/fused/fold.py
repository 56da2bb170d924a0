"""Batch norm that predicts, folded into the convolution before it.

With running statistics batch norm multiplies each channel by a number and adds a number, which the filters and the bias
can do as well.  The folded ones depend on weights alone, so a captured step computes them once; what is left is the
convolution.  Not in `exact`: the products are of other numbers, and round differently (by about 1e-7 of the largest).
A step with gradients needs what lies between the two, and keeps both.
"""

from typing import Any

from numba import prange

from ... import precision
from ...dispatch import kernel
from ...program import define
from ..convolution.filters import SLICE
from ..simd.partition import pieces
from ..simd.passes import above_zero, elementwise
from ..simd.vectors import ceil_div


def statistics(draw: Any, filters: int) -> dict[str, Any]:
    """Draw what batch norm takes beside its input."""
    names = ("running_mean", "scale", "shift")
    return {name: draw.array((filters,)) for name in names} | {
        "running_var": draw.array((filters,), low=0.5, high=2),
        "eps": 1e-3,
        "bias": draw.array((filters,)),
    }


def filters_and_images(draw: Any, taps: tuple[int, ...], space: int = 2) -> dict[str, Any]:
    """Draw images of a few sizes, filters and statistics."""
    n, c, k = draw.choice(((2, 3, 5), (1, 16, 33), (3, 8, 40)))
    sides = tuple(draw.choice((5, 7, 8)) for _ in range(space))
    return statistics(draw, k) | {"x": draw.array((n, c, *sides)), "w": draw.array((k, c, *taps))}


def direct_sample(draw: Any) -> dict[str, Any]:
    """Draw what pack_filter and conv_direct take."""
    v = filters_and_images(draw, draw.choice(((3, 3), (1, 1), (2, 3))))
    return v | {"shape": v["w"].shape, "stride": (1, 1), "dilation": (1, 1), "groups": 1}


def winograd_sample(draw: Any) -> dict[str, Any]:
    """Draw what winograd_filter and conv_winograd take."""
    v, edge = filters_and_images(draw, (3, 3)), draw.choice((0, 1))
    return v | {"m": draw.choice((2, 4)), "filters": v["w"].shape[0], "padding": ((edge, edge), (edge, edge))}


def volume_sample(draw: Any) -> dict[str, Any]:
    """Draw what pack_filter and conv3d_direct take: the filter's first two axes of space are one to the first."""
    v = filters_and_images(draw, (3, 3, 3), 3)
    flat = v["w"].reshape(*v["w"].shape[:2], 9, 3)
    return v | {"w": flat, "shape": v["w"].shape, "stride": (1,) * 3, "dilation": (1,) * 3, "groups": 1}


def depthwise_sample(draw: Any) -> dict[str, Any]:
    """Draw what depthwise_forward takes."""
    channels = draw.choice((3, 16, 33))
    v = statistics(draw, channels) | {"x": draw.array((2, channels, 7, 6)), "w": draw.array((channels, 1, 3, 3))}
    return v | {"stride": (1, 1), "padding": ((1, 1), (1, 1)), "dilation": (1, 1)}


MAP = "mean, rstd, map = batch_norm_map(running_mean, running_var, scale, shift, eps)"


def fold(convolution: str, sample: Any, prepared: str = "") -> Any:
    """Return the rewrite of a convolution and batch norm.

    convolution: its call, of filters `f` and of `bias`.  prepared: what makes `f` of the filters `w`, if not they
    themselves are read.
    """
    ready = f"f = {prepared}\n" if prepared else ""
    after = (f"g = {prepared}\n" if prepared else "").replace("(w", "(folded")
    read = convolution if prepared else convolution.replace("f, bias", "w, bias")
    folded = convolution.replace("f, bias", "g, start" if prepared else "folded, start")
    return define(
        "batch norm folded into the filters",
        f"{ready}y = {read}\n{MAP}\nn = batch_norm_apply(y, map)",
        f"{MAP}\nfolded, start = fold_norm_filter(w, bias, map)\n{after}n = {folded}",
        backend="numba",
        when=lambda v: precision.in_use() != "exact",
        samples=sample,
        predicting=True,
    )


FOLD = (
    fold("conv_winograd(x, f, bias, filters, padding)", winograd_sample, "winograd_filter(w, m)"),
    fold("conv_direct(x, f, bias, shape, stride, dilation, groups)", direct_sample, "pack_filter(w, groups)"),
    fold("conv3d_direct(x, f, bias, shape, stride, dilation, groups)", volume_sample, "pack_filter(w, groups)"),
    fold("depthwise_forward(x, f, bias, stride, padding, dilation)", depthwise_sample),
)


@kernel(
    backend="numba",
    double="numba",
    filter="folded w",
    out=lambda w, bias, map: [w.shape, (w.shape[0],)],
    flops=lambda w, *_: w.size,
)
def fold_norm_filter(folded: Any, start: Any, w: Any, bias: Any, map: Any) -> None:
    """folded = w map[1], start = (bias - map[0]) map[1] + map[2]: the filters and the bias of both together."""
    k = map.shape[1]
    rows = w.size // k
    given, made = w.reshape(rows, k), folded.reshape(rows, k)
    for t in prange(ceil_div(rows, SLICE)):
        for r in range(t * SLICE, min((t + 1) * SLICE, rows)):
            for o in range(k):
                made[r, o] = given[r, o] * map[1, o]
    for o in range(k):
        before = bias[o] if bias.size else map[0, o] * 0
        start[o] = (before - map[0, o]) * map[1, o] + map[2, o]


ADD_RELU = define(
    "add + relu",
    "s = add(a, b)\ny = relu_forward(s)",
    "y = add_relu(a, b)",
    backend="numba",
    when=lambda v: all(getattr(v[n], "shape", None) == v["s"].shape for n in "ab"),
    samples=lambda draw: (
        (shape := draw.choice(((2, 3, 4, 5), (1, 33, 2, 3), (5, 7)))) and {n: draw.array(shape) for n in "ab"}
    ),
)
positive_sum = elementwise("add_relu", "a b", lambda v, a, b: above_zero(v, v.b.fadd(a, b)))


@kernel(backend="numba", double="numba", flat="y a b", out=lambda a, b: [a.shape], flops=lambda a, b: 2 * a.size)
def add_relu(y: Any, a: Any, b: Any) -> None:
    """y = max(a + b, 0)"""
    for t in prange(pieces(y)):
        positive_sum(t, y, a, b)
