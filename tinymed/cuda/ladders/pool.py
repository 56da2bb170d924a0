"""The ladder of max-pooling: csrc/ladders/max_pool_*.cu."""

from typing import Any

from ...dispatch import kernel, table
from ...ops.max_pool import winner_shapes
from .rung import Ladder, Rung, normal, own, widened


def argmax_shapes(x: Any, size: Any) -> list[Any]:
    """Return the outputs of a 2 x 2 pooling."""
    return winner_shapes(x, (2, 2), size)


@kernel(backend="csrc", image="y index x", out=argmax_shapes, flops=lambda x, size: x.size)
def max_pool_1_naive(y: Any, index: Any, x: Any, size: Any) -> None:
    """Neighbouring threads take neighbouring pixels."""


@kernel(backend="csrc", image="y index x", out=argmax_shapes, flops=lambda x, size: x.size)
def max_pool_2_coalesced(y: Any, index: Any, x: Any, size: Any) -> None:
    """Neighbouring threads take neighbouring channels."""


MAX_POOL = Ladder(
    (
        own("max_pool_1_naive"),
        own("max_pool_2_coalesced"),
        Rung("max_pool_2x2", "max_pool_2x2_kernelILi4E", "pool.cu", lambda *problem: problem, "max_pool_2x2"),
    ),
    lambda rng, n, c, h, w: (normal(rng, n, c, h, w), (h // 2, w // 2)),
    (1, 64, 16, 16),
    (128, 64, 64, 64),
    lambda x, size: table("numpy").max_pool2d_forward(widened(x), (2, 2), (2, 2), (0, 0), (1, 1), size),
)
