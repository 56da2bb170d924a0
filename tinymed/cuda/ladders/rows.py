"""The ladders of sums, softmax, transposes and histograms: csrc/ladders/reduction_*.cu and the others by name."""

from typing import Any

import numpy as np

from ...dispatch import kernel
from .rung import Ladder, Rung, normal, own, widened

BINS = 256

# ---------------------------------------------------------------------------------------------------- reduction


def left_work(x: Any) -> list[Any]:
    """Return the workspace of a sum in levels, a number for each block of each: at least 256 numbers go to a block."""
    return [(x.size // 128 + 8,)]


summed = kernel(backend="csrc", out=lambda x: [()], work=left_work, flops=lambda x: x.size)


@summed
def reduction_1_interleaved(y: Any, left: Any, x: Any) -> None:
    """Threads that are multiples of 2, 4, 8, ... add their neighbours."""


@summed
def reduction_2_strided(y: Any, left: Any, x: Any) -> None:
    """Neighbouring threads add."""


@summed
def reduction_3_sequential(y: Any, left: Any, x: Any) -> None:
    """Neighbouring threads add neighbouring words."""


@summed
def reduction_4_first_add(y: Any, left: Any, x: Any) -> None:
    """Add two numbers when they are loaded."""


@summed
def reduction_5_shuffle(y: Any, left: Any, x: Any) -> None:
    """Add the numbers of a warp by shuffles."""


@summed
def reduction_6_many(y: Any, left: Any, x: Any) -> None:
    """Add sixteen numbers a thread first."""


@summed
def reduction_7_float4(y: Any, left: Any, x: Any) -> None:
    """Load four numbers at once."""


REDUCTION = Ladder(
    (
        own("reduction_1_interleaved"),
        own("reduction_2_strided"),
        own("reduction_3_sequential"),
        own("reduction_4_first_add"),
        own("reduction_5_shuffle"),
        own("reduction_6_many"),
        own("reduction_7_float4"),
        Rung("sum_all", "part_kernelINS_3Add.*reduce_cu.*Load", "reduce.cu", lambda x: (x,), "sum_all"),
    ),
    lambda rng, n: (normal(rng, n),),
    (1 << 15,),
    (1 << 26,),
    lambda x: widened(x).sum(),
)

# ------------------------------------------------------------------------------------------------------ softmax

softened = kernel(backend="csrc", out=lambda x: [x.shape], flops=lambda x: 4 * x.size)


@softened
def softmax_1_naive(y: Any, x: Any) -> None:
    """Launch a thread for each row, in three passes."""


@softened
def softmax_2_blocks(y: Any, x: Any) -> None:
    """Launch a block for each row, in three passes."""


@softened
def softmax_3_online(y: Any, x: Any) -> None:
    """Find the largest and the sum in one pass."""


@softened
def softmax_4_warp(y: Any, x: Any) -> None:
    """Launch a warp for each row."""


def softmax_in_float64(x: Any) -> Any:
    """Return what the rungs compute."""
    raised = np.exp(widened(x) - x.max(1, keepdims=True, initial=-np.inf))
    return raised / raised.sum(1, keepdims=True)


SOFTMAX = Ladder(
    (
        own("softmax_1_naive"),
        own("softmax_2_blocks"),
        own("softmax_3_online"),
        own("softmax_4_warp"),
        Rung("softmax_rows", "softmax_cu.*14softmax_kernel", "softmax.cu", lambda x: (x,), "softmax_rows"),
    ),
    lambda rng, rows, columns: (normal(rng, rows, columns),),
    (256, 256),
    (65536, 1024),
    softmax_in_float64,
)

# ---------------------------------------------------------------------------------------------------- transpose

turned = kernel(backend="csrc", out=lambda x: [(x.shape[0], x.shape[2], x.shape[1])], flops=lambda x: 0)


@turned
def transpose_1_naive(y: Any, x: Any) -> None:
    """Neighbouring threads write a row apart."""


@turned
def transpose_2_shared(y: Any, x: Any) -> None:
    """Bring a tile through shared memory."""


@turned
def transpose_3_padded(y: Any, x: Any) -> None:
    """Leave a word after each row of the tile."""


@turned
def transpose_4_swizzled(y: Any, x: Any) -> None:
    """Permute the columns of the tile."""


TRANSPOSE = Ladder(
    (
        own("transpose_1_naive"),
        own("transpose_2_shared"),
        own("transpose_3_padded"),
        own("transpose_4_swizzled"),
        Rung("transpose", "16transpose_kernel", "transpose.cu", lambda x: (x,), "transpose"),
    ),
    lambda rng, rows, columns: (normal(rng, 1, rows, columns),),
    (128, 128),
    (8192, 8192),
    lambda x: widened(x).transpose(0, 2, 1),
)

# ---------------------------------------------------------------------------------------------------- histogram

counted = kernel(
    backend="csrc",
    out=lambda x: [((BINS,), np.int32)],
    flops=lambda x: x.size,
    when=lambda x: x.dtype == np.uint8,
)


@counted
def histogram_1_global(y: Any, x: Any) -> None:
    """Add to global memory at once."""


@counted
def histogram_2_shared(y: Any, x: Any) -> None:
    """Count in shared memory first."""


@counted
def histogram_3_copies(y: Any, x: Any) -> None:
    """Give each warp a copy of the counts."""


@counted
def histogram_4_words(y: Any, x: Any) -> None:
    """Load sixteen bytes at once."""


HISTOGRAM = Ladder(
    (
        own("histogram_1_global"),
        own("histogram_2_shared"),
        own("histogram_3_copies"),
        own("histogram_4_words"),
    ),
    lambda rng, n: (np.clip(rng.normal(128, 20, n), 0, BINS - 1).astype(np.uint8),),  # a picture's bytes lie close
    (1 << 15,),
    (1 << 26,),
    lambda x: np.bincount(x, minlength=BINS),
)
