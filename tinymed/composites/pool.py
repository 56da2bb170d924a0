"""A rewrite around pooling that needs no kernel of its own, on every backend that pools by 2 x 2 windows.

Max-pooling passes a gradient to the pixel that was the maximum, whose value is the pooled one.  What depends on that
value alone can be done after pooling, on a quarter of the numbers, and the map before pooling need not live until
backward.
"""

from typing import Any

from ..program import pattern


def even_map(draw: Any) -> dict[str, Any]:
    """Draw a map of even sides and its pooled size."""
    n, c, h, w = draw.choice(((1, 3, 2, 2), (2, 5, 4, 6), (3, 16, 8, 2)))
    return {
        "x": draw.array((n, c, h, w), avoid=(0.0,), distinct=True),
        "size": (h // 2, w // 2),
        "dp": draw.array((n, c, h // 2, w // 2)),
        "shape": (n, c, h, w),
    }


def masked_map(draw: Any) -> dict[str, Any]:
    """Draw a pooled gradient, its argmax and the pooled map."""
    v = even_map(draw)
    p = draw.array(v["dp"].shape, avoid=(0.0,))
    return {"dp": v["dp"], "p": p, "i": draw.integers(p.shape, 0, 3).astype("uint8"), "shape": v["shape"]}


pattern(
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
    samples=even_map,
)
pattern(
    "rounded already",
    """
    r = bf16_round(dp)
    q = relu_backward(r, p)
    d = max_pool_2x2_backward(q, i, shape)
    e = bf16_round(d)
""",
    """
    r = bf16_round(dp)
    q = relu_backward(r, p)
    d = max_pool_2x2_backward(q, i, shape)
    e = max_pool_2x2_backward(q, i, shape)
""",
    samples=masked_map,
)
