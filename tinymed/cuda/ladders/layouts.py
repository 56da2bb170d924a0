"""The ladders of memory layouts, NCHW to NHWC and back: csrc/ladders/layouts_*.cu.

One set of rungs on three problems: many channels, the three colours of pictures, and those on the way back.
"""

from typing import Any

import numpy as np

from ...dispatch import kernel
from .rung import Ladder, Problem, Rung, normal, own, widened

laid_out = kernel(backend="csrc", out=lambda x: [(x.shape[0], x.shape[2], x.shape[1])], flops=lambda x: 0)


@laid_out
def layouts_1_naive(y: Any, x: Any) -> None:
    """Read a row apart."""


@laid_out
def layouts_2_tile(y: Any, x: Any) -> None:
    """Bring a tile through shared memory."""


@laid_out
def layouts_3_padded(y: Any, x: Any) -> None:
    """Leave a word after each row of the tile."""


@laid_out
def layouts_4_float4(y: Any, x: Any) -> None:
    """Load and store four neighbours at once."""


@laid_out
def layouts_5_swizzled(y: Any, x: Any) -> None:
    """Keep four neighbours together in a tile without padding."""


@laid_out
def layouts_6_few(y: Any, x: Any) -> None:
    """Take all of few channels, and the pixels of several images."""


def planes(rng: np.random.Generator, n: int, channels: int, size: int) -> Problem:
    """Return (x,), a batch of NCHW whose pixels are one axis."""
    return (normal(rng, n, channels, size),)


def pixels(rng: np.random.Generator, n: int, channels: int, size: int) -> Problem:
    """Return (x,), a batch of NHWC whose pixels are one axis."""
    return (normal(rng, n, size, channels),)


LAYOUTS = Ladder(
    (
        own("layouts_1_naive"),
        own("layouts_2_tile"),
        own("layouts_3_padded"),
        own("layouts_4_float4"),
        own("layouts_5_swizzled", "15swizzled_kernel"),
        own("layouts_6_few", "10few_kernelILb1E"),
        Rung("transpose", "16transpose_kernel", "transpose.cu", lambda x: (x,), "transpose"),
    ),
    planes,
    (4, 64, 14 * 14),
    (128, 64, 56 * 56),
    lambda x: widened(x).transpose(0, 2, 1),
)
LAYOUTS_RGB = LAYOUTS._replace(small=(4, 3, 50 * 50), large=(128, 3, 224 * 224))
LAYOUTS_RGB_BACK = LAYOUTS_RGB._replace(problem=pixels)
