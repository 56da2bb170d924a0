"""A rewrite around pooling that needs no kernel of its own; another is every backend's: tinymed/composites/pool.py."""

from ...program import define

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
