"""The ladders of the depthwise convolution, on large maps and on small ones: csrc/ladders/depthwise_*.cu."""

from typing import Any

import numpy as np

from ...dispatch import kernel, table
from .rung import Ladder, Problem, Rung, normal, own, widened

filtered = kernel(backend="csrc", out=lambda x, weight: [x.shape], flops=lambda x, weight: 18 * x.size)


@filtered
def depthwise_1_naive(y: Any, x: Any, weight: Any) -> None:
    """Launch a thread for each number."""


@filtered
def depthwise_2_shared(y: Any, x: Any, weight: Any) -> None:
    """Bring a tile with its halo into shared memory."""


@filtered
def depthwise_3_window(y: Any, x: Any, weight: Any) -> None:
    """Slide a window of registers down eight rows."""


@filtered
def depthwise_4_float4(y: Any, x: Any, weight: Any) -> None:
    """Load and store four neighbours at once, and ask the lanes beside for theirs."""


@filtered
def depthwise_5_run(y: Any, x: Any, weight: Any) -> None:
    """Take a run of numbers, of however many maps."""


def maps(rng: np.random.Generator, n: int, c: int, h: int, w: int) -> Problem:
    """(x, weight): a filter of 3 x 3 for each channel."""
    return normal(rng, n, c, h, w), normal(rng, c, 1, 3, 3)


def of_engine(x: Any, weight: Any) -> Problem:
    """As depthwise2d_forward takes it: no bias, steps of one, a zero around."""
    return x, weight, None, x.shape[2:], (1, 1), (1, 1), (1, 1)


def depthwise_in_float64(x: Any, weight: Any) -> Any:
    """Return what the rungs compute."""
    one = (1, 1)
    return table("numpy").conv2d_forward(widened(x), widened(weight), None, one, (one, one), one, x.shape[1])


DEPTHWISE = Ladder(
    (
        own("depthwise_1_naive"),
        own("depthwise_2_shared"),
        own("depthwise_3_window"),
        own("depthwise_4_float4"),
        own("depthwise_5_run"),
        Rung("depthwise2d_forward", "forward_kernelILi4E", "depthwise.cu", of_engine, "depthwise2d_forward"),
    ),
    maps,
    (1, 8, 64, 64),
    (128, 64, 64, 64),
    depthwise_in_float64,
)
DEPTHWISE_SMALL = DEPTHWISE._replace(small=(8, 64, 7, 7), large=(128, 1024, 7, 7))
