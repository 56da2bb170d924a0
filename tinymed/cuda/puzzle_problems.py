"""The launches that show the bugs of puzzles.toml: a kernel of the table and arguments at an awkward size."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from .ladders import LADDERS, normal
from .resample import bits

Random = np.random.Generator


class Problem(NamedTuple):
    """A kernel of the table, and its arguments."""

    kernel: str
    arguments: Callable[[Random], tuple[Any, ...]]


def rung(ladder: str, label: str, *sizes: Any) -> Problem:
    """Return a rung of a ladder, by its label, at these sizes."""
    chosen = LADDERS[ladder]
    one = next(r for r in chosen.rungs if r.label == label)
    return Problem(one.kernel, lambda rng: one.arguments(*chosen.problem(rng, *sizes)))


def spans(*ends: int) -> Any:
    """Parameters that follow one another in a buffer, each with a row of rates of its own."""
    starts = (0, *ends[:-1])
    return np.array([(i, a, b) for i, (a, b) in enumerate(zip(starts, ends, strict=True))], np.int64)


def state() -> Any:
    """Return a generator's."""
    return np.array([1, 2, 3, 4, 5], np.uint32)


def classes(rng: Random, n: int, c: int) -> Any:
    """Targets, of which one is ignored."""
    target = rng.integers(0, c, n)
    target[0] = -100
    return target


ONE = (1, 1), (1, 1), (1, 1)  # stride, before, dilation
PROBLEMS = {
    "matmul exact": rung("matmul", "matrix_product, exact 64x64", 67, 35, 40),
    "matmul tf32": rung("matmul", "matrix_product, tf32 128x64", 67, 35, 90),
    "matmul in parts": Problem(
        "matrix_product",
        lambda rng: (normal(rng, 7, 4099), normal(rng, 4099, 5), None, False, False, 0),
    ),
    "matmul naive": rung("matmul", "matmul_1_naive", 13, 21, 5),
    "matmul coalesced": rung("matmul", "matmul_2_coalesced", 13, 21, 5),
    "matmul shared": rung("matmul", "matmul_3_shared", 19, 35, 40),
    "matmul registers": rung("matmul", "matmul_5_registers", 67, 35, 40),
    "conv exact": rung("conv2d", "conv2d_gemm, exact 64x64", 1, 3, 7, 6, 5, 3, 1, 1),
    "conv naive": rung("conv2d", "conv2d_1_naive", 1, 3, 7, 6, 5, 3, 1, 1),
    "conv input naive": rung("conv2d_input", "conv2d_input_1_naive", 1, 3, 7, 6, 5, 3, 2, 1),
    "conv weight naive": rung("conv2d_weight", "conv2d_weight_1_naive", 1, 3, 7, 6, 5, 3, 1, 1),
    "max_pool naive": rung("max_pool", "max_pool_1_naive", 1, 3, 4, 4),
    "max_pool coalesced": rung("max_pool", "max_pool_2_coalesced", 1, 3, 4, 4),
    "moments blocks": rung("batch_norm", "batch_norm_2_blocks", 300, 3),
    "moments tiles": rung("batch_norm", "batch_norm_3_tiles", 37, 40),
    "moments": rung("batch_norm", "batch_norm_moments", 300, 40),
    "max_pool windows": Problem(
        "max_window", lambda rng: (normal(rng, 1, 2, 6, 5), (3, 3), (2, 2), (1, 1), (1, 1), (3, 3))
    ),
    "max_pool windows backward": Problem(
        "max_window_backward",
        lambda rng: (
            normal(rng, 1, 2, 3, 3),
            rng.integers(0, 9, (1, 2, 3, 3)).astype(np.uint8),
            (1, 2, 6, 5),
            (3, 3),
            (2, 2),
            (1, 1),
            (1, 1),
        ),
    ),
    "adaptive pool": Problem("adaptive_avg_pool2d_forward", lambda rng: (normal(rng, 1, 3, 7, 5), (3, 2))),
    "depthwise": Problem(
        "depthwise2d_forward",
        lambda rng: (normal(rng, 1, 3, 6, 5), normal(rng, 3, 1, 3, 3), None, (6, 5), *ONE),
    ),
    "depthwise weight": Problem(
        "depthwise2d_backward_weight",
        lambda rng: (normal(rng, 1, 3, 6, 5), normal(rng, 1, 3, 6, 5), (3, 1, 3, 3), *ONE),
    ),
    "sum of columns": Problem("sum_outer", lambda rng: (normal(rng, 300, 5),)),
    "sum of rows": Problem("sum_rows", lambda rng: (normal(rng, 11, 37),)),
    "sum": Problem("sum_all", lambda rng: (normal(rng, 9001),)),
    "softmax": Problem("softmax_rows", lambda rng: (normal(rng, 69, 10),)),
    "cross entropy": Problem(
        "cross_entropy_rows",
        lambda rng: (normal(rng, 70, 10), classes(rng, 70, 10), None, None, -100, 0.0, True),
    ),
    "transpose": Problem("transpose", lambda rng: (normal(rng, 2, 37, 41),)),
    "sgd": Problem(
        "sgd_flat",
        lambda rng: (normal(rng, 1100), normal(rng, 1100), normal(rng, 2, 4), spans(700, 1100)),
    ),
    "dropout": Problem("dropout_forward", lambda rng: (normal(rng, 1, 3, 5, 9), state(), 1 << 31, 2.0)),
    "bilinear": Problem("bilinear_resize", lambda rng: (normal(rng, 1, 3, 4, 5), (7, 9), bits((4 / 7, 5 / 9)), False)),
    "add channels": Problem("add_channels", lambda rng: (normal(rng, 2, 3, 5, 4), normal(rng, 3))),
}
