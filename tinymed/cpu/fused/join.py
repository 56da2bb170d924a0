"""The gradient of one input of a concatenation, added to what else arrives there."""

import math
from typing import Any

from numba import prange

from ...dispatch import kernel
from ...program import define


def sample(draw: Any) -> dict[str, Any]:
    """Draw a window of some channels, and what is added."""
    n, c, h, w = shape = draw.choice(((2, 3, 4, 5), (1, 33, 2, 3), (3, 16, 1, 2)))
    step = c + draw.integer(0, 5)
    return {"x": draw.array(((n * h * w - 1) * step + c,)), "shape": shape, "pitch": step, "b": draw.array(shape)}


CHANNELS_ADD = tuple(
    define(
        "channels of a concatenation + add",
        f"a = take_channels(x, shape, pitch)\ny = add({terms})",
        "y = take_channels_add(x, shape, pitch, b)",
        backend="numba",
        when=lambda v: v["b"].shape == v["shape"],
        samples=sample,
    )
    for terms in ("a, b", "b, a")
)


@kernel(
    backend="numba",
    double="numba",
    rows="y b",
    out=lambda x, shape, *_: [shape],
    flops=lambda x, shape, *_: math.prod(shape),
)
def take_channels_add(y: Any, x: Any, shape: Any, pitch: Any, b: Any) -> None:
    """take_channels(x, shape, pitch) + b"""
    for i in prange(y.shape[0]):
        row, other, to = x[i * pitch : i * pitch + y.shape[1]], b[i], y[i]
        for c in range(row.size):
            to[c] = row[c] + other[c]
