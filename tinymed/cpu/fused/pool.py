"""Rewrites around pooling that need no kernel of their own.

Max-pooling passes a gradient to the pixel that was the maximum, whose value is the pooled one.  What depends on that
value alone can be done after pooling, on a quarter of the numbers, and the map before pooling need not live until
backward.
"""

from typing import Any

from ...program import define


def even_map(draw: Any) -> dict[str, Any]:
    """Draw a map of even sides and its pooled size."""
    n, c, h, w = draw.choice(((1, 3, 2, 2), (2, 5, 4, 6), (3, 16, 8, 2)))
    return {
        "x": draw.array((n, c, h, w), avoid=(0.0,), distinct=True),
        "size": (h // 2, w // 2),
        "dp": draw.array((n, c, h // 2, w // 2)),
        "shape": (n, c, h, w),
    }


RELU_AFTER_POOL = define(
    "relu's mask after pooling",
    """
    y = relu_forward(x)
    p, i = max_pool_2x2(y, size)
    dy = max_pool_2x2_backward(dp, i, shape)
    dx = relu_backward(dy, y)
""",
    """
    y = relu_forward(x)
    p, i = max_pool_2x2(y, size)
    dq = relu_backward(dp, p)
    dx = max_pool_2x2_backward(dq, i, shape)
""",
    backend="numba",
    samples=even_map,
)


BIAS_BEFORE_UNPOOL = define(
    "bias before unpooling",
    """
    du = max_pool_2x2_backward(dq, i, shape)
    dbias = channel_sum(du)
""",
    """
    du = max_pool_2x2_backward(dq, i, shape)
    dbias = channel_sum(dq)
""",
    backend="numba",
    samples=lambda draw: {
        "i": draw.integers((2, 3, 4, 5), 0, 3).astype("uint8"),
        "dq": draw.array((2, 3, 4, 5)),
        "shape": (2, 3, 8, 10),
    },
)
