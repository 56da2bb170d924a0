"""A pass that a convolution reads alone writes what it reads: padded, in bfloat16, two bytes a number.

Each row of an image is made in a buffer in cache, and rounded from there.
"""

from typing import Any

import numpy as np
from numba import get_thread_id, prange  # type: ignore[attr-defined]

from ...dispatch import kernel
from ...program import define
from ..compiler.jit import serial
from ..convolution.borders import grown
from ..convolution.winograd import threads
from ..norm import fill_map, fill_strip, strip_width
from ..simd.bf16_pack import bf16_bits
from ..simd.passes import pass_gradient
from ..simd.vectors import address
from .bf16 import pass_norm_relu
from .bf16_norm import pass_gradient as pass_masked_gradient
from .norm_relu import fill_strips


def maps(draw: Any) -> dict[str, Any]:
    """Draw images, their maps and what surrounds them."""
    shape = draw.choice(((3, 4, 5, 6), (2, 33, 7, 3), (1, 1, 1, 1), (2, 32, 16, 16)))
    c, edge = (shape[1],), draw.choice((0, 1, 2))
    return {
        "x": draw.array(shape),
        "g": draw.array(shape),
        "map": draw.array((3, *c)),
        "forward": draw.array((3, *c)),
        "mean": draw.array(c),
        "training": True,
        "padding": ((edge, edge), (edge, 0)),
    }


def takes(v: Any) -> bool:
    """Return whether these are images of which nothing is cut off, normalised by their own statistics."""
    return v["x"].ndim == 4 and v.get("training", True) and all(n >= 0 for pair in v["padding"] for n in pair)


NORM_RELU = define(
    "norm and relu, written for the product",
    "n = bf16_norm_relu(x, map)\ny = bf16_images(n, padding)",
    "y = bf16_norm_relu_images(x, map, padding)",
    backend="numba",
    when=takes,
    samples=maps,
)
GRADIENT = define(
    "the norm's gradient, written for the product",
    "dx = batch_norm_apply_gradient(g, x, mean, map, training)\ny = bf16_images(dx, padding)",
    "y = bf16_norm_gradient_images(g, x, mean, map, training, padding)",
    backend="numba",
    when=takes,
    samples=maps,
)
RELU_GRADIENT = define(
    "the gradient of norm and relu, written for the product",
    "dx = bf16_norm_relu_backward(g, x, forward, mean, map, training)\ny = bf16_images(dx, padding)",
    "y = bf16_norm_relu_backward_images(g, x, forward, mean, map, training, padding)",
    backend="numba",
    when=takes,
    samples=maps,
)


@serial
def blank(line: Any, left: Any, right: Any) -> None:
    """Write zeros into the first `left` and the last `right` numbers of a row."""
    line[:left] = 0
    line[line.size - right :] = 0


@serial
def blank_row(line: Any) -> None:
    """Write zeros into a row."""
    line[:] = 0


def images_out(x: Any, *rest: Any) -> list[Any]:
    """Return the shape of a padded image of bfloat16; the padding comes last."""
    return [(grown(x, rest[-1])[0], np.uint16)]


def images_work(rows: int) -> Any:
    """Return the rule of the scratch: strips of so many maps, and a row of an image for each thread."""

    def work(x: Any, *_: Any) -> list[Any]:
        c = x.shape[1]
        return [(rows, strip_width(c, x.size // max(1, c))), (threads(), c * x.shape[3])]

    return work


@kernel(backend="numba", image="y x", out=images_out, work=images_work(3))
def bf16_norm_relu_images(y: Any, strips: Any, buffers: Any, x: Any, map: Any, padding: Any) -> None:
    """y = max((x - map[0]) map[1] + map[2], 0), rounded, zeros around"""
    (top, _), (left, right) = padding
    n, h, w, c = x.shape
    high, wide, size = y.shape[1], strips.shape[1], w * c
    lines = y.reshape(n * high, y.shape[2] * c)
    rows = x.reshape(n * h, size)
    fill_map(strips, map)
    for t in prange(n * high):
        i, buffer = t % high - top, buffers[get_thread_id()]
        if 0 <= i < h:
            row = t // high * h + i
            pass_norm_relu(size, 0, wide, address(rows[row]), address(buffer), address(strips), 0, 0)
            blank(lines[t], left * c, right * c)
            bf16_bits(address(buffer), address(lines[t, left * c :]), size)
        else:
            blank_row(lines[t])


@kernel(backend="numba", image="y g x", out=images_out, work=images_work(4))
def bf16_norm_gradient_images(
    y: Any, strips: Any, buffers: Any, g: Any, x: Any, mean: Any, map: Any, training: Any, padding: Any
) -> None:
    """y = map[0] g + map[1] (x - mean) + map[2], rounded, zeros around"""
    (top, _), (left, right) = padding
    n, h, w, c = x.shape
    high, wide, size = y.shape[1], strips.shape[1], w * c
    lines = y.reshape(n * high, y.shape[2] * c)
    rows, gradients = x.reshape(n * h, size), g.reshape(n * h, size)
    fill_map(strips, map)
    fill_strip(strips[3], mean)
    for t in prange(n * high):
        i, buffer = t % high - top, buffers[get_thread_id()]
        if 0 <= i < h:
            row = t // high * h + i
            pass_gradient(
                size, 0, wide, address(gradients[row]), address(rows[row]), address(buffer), address(strips), 0, 0
            )
            blank(lines[t], left * c, right * c)
            bf16_bits(address(buffer), address(lines[t, left * c :]), size)
        else:
            blank_row(lines[t])


@kernel(backend="numba", image="y g x", out=images_out, work=images_work(7))
def bf16_norm_relu_backward_images(
    y: Any, strips: Any, buffers: Any, g: Any, x: Any, forward: Any, mean: Any, map: Any, training: Any, padding: Any
) -> None:
    """y = bf16_norm_relu_backward, rounded, zeros around"""
    (top, _), (left, right) = padding
    n, h, w, c = x.shape
    high, wide, size = y.shape[1], strips.shape[1], w * c
    lines = y.reshape(n * high, y.shape[2] * c)
    rows, gradients = x.reshape(n * h, size), g.reshape(n * h, size)
    fill_strips(strips, forward, map, mean)
    for t in prange(n * high):
        i, buffer = t % high - top, buffers[get_thread_id()]
        if 0 <= i < h:
            row = t // high * h + i
            pass_masked_gradient(
                size, 0, wide, address(gradients[row]), address(rows[row]), address(buffer), address(strips), 0, 0
            )
            blank(lines[t], left * c, right * c)
            bf16_bits(address(buffer), address(lines[t, left * c :]), size)
        else:
            blank_row(lines[t])
