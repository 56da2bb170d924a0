"""The ladder of the scan, sums of all numbers up to each: csrc/ladders/scan_*.cu.

It is the ladder's alone: the engine's running_sum walks along each line with one thread, for arrays of many lines.
"""

from typing import Any

import numpy as np

from ...dispatch import kernel
from .rung import Ladder, normal, own, widened

STRETCH, SMALLEST = 1024, 256  # numbers whose sum the rungs leave: from rung 6 on, and before


def sums_work(x: Any) -> list[Any]:
    """Return the workspace of the levels' sums: at most one for 256 numbers on each level, and one a level more."""
    return [(x.size // (SMALLEST - 1) + 8,)]


def words_work(x: Any) -> list[Any]:
    """Return the workspace of a single pass: a counter, a word for each stretch and one for each 32 of them."""
    stretches = -(-x.size // STRETCH)
    return [((stretches + -(-stretches // 32) + 2,), np.uint64)]


in_levels = kernel(backend="csrc", out=lambda x: [x.shape], work=sums_work, flops=lambda x: x.size)
in_one_pass = kernel(backend="csrc", out=lambda x: [x.shape], work=words_work, flops=lambda x: x.size)


@in_levels
def scan_1_naive(y: Any, sums: Any, x: Any) -> None:
    """Walk along 256 numbers with one thread."""


@in_levels
def scan_2_hillis_steele(y: Any, sums: Any, x: Any) -> None:
    """Add the number 1, 2, 4, ... places before, in shared memory."""


@in_levels
def scan_3_blelloch(y: Any, sums: Any, x: Any) -> None:
    """Go up and down a tree."""


@in_levels
def scan_4_padded(y: Any, sums: Any, x: Any) -> None:
    """Leave a word after each 32."""


@in_levels
def scan_5_shuffle(y: Any, sums: Any, x: Any) -> None:
    """Scan the numbers of a warp by shuffles."""


@in_levels
def scan_6_float4(y: Any, sums: Any, x: Any) -> None:
    """Load and store four numbers at once."""


@in_levels
def scan_7_three_kernels(y: Any, sums: Any, x: Any) -> None:
    """Add up the stretches first, then scan once."""


@in_one_pass
def scan_8_chain(y: Any, words: Any, x: Any) -> None:
    """Wait for the block before, in one pass."""


@in_one_pass
def scan_9_look_back(y: Any, words: Any, x: Any) -> None:
    """Look back over a group of 32 blocks at once."""


SCAN = Ladder(
    (
        own("scan_1_naive"),
        own("scan_2_hillis_steele"),
        own("scan_3_blelloch"),
        own("scan_4_padded"),
        own("scan_5_shuffle"),
        own("scan_6_float4"),
        own("scan_7_three_kernels", "scan_7_three_kernels_cu.*scan_kernel"),
        own("scan_8_chain", "scan_8_chain_cu.*scan_kernel"),
        own("scan_9_look_back", "scan_9_look_back_cu.*scan_kernel"),
    ),
    lambda rng, n: (normal(rng, n),),
    (1 << 16,),
    (1 << 26,),
    lambda x: np.cumsum(widened(x)),
)
