"""Passes of mixed precision that round where they write: batch norm, its gradient and dropout's, in csrc/mixed.cu."""

from typing import Any

import numpy as np

from ..dispatch import kernel
from ..program import define


def maps(draw: Any) -> dict[str, Any]:
    """Draw images and their batch norm."""
    shape = draw.choice(((3, 4, 5, 6), (2, 33, 7, 3), (1, 1, 1, 1), (5, 7)))
    c = (shape[1],)
    arrays = {"x": draw.array(shape), "dy": draw.array(shape), "map": draw.array((3, *c)), "mean": draw.array(c)}
    return arrays | {"training": True}


def dropped(draw: Any) -> dict[str, Any]:
    """Draw a gradient of dropout and what it drew with."""
    dy, ticket = draw.array(draw.choice(((3, 4, 5, 6), (7, 33)))), draw.integers((5,), 0, 1 << 31).astype(np.uint32)
    return {"dy": dy, "ticket": ticket, "limit": 1 << 14, "scale": 2.0}


NORM_RELU = define(
    "batch norm, rounded, + relu",
    "n = batch_norm_apply(x, map)\nr = bf16_round(n)\ny = relu_forward(r)",
    "y = bf16_norm_relu(x, map)",
    backend="csrc",
    samples=maps,
)
NORM_ADD_RELU = tuple(
    define(
        "batch norm, rounded, + add, rounded, + relu",
        f"""
        n = batch_norm_apply(x, map)
        r = bf16_round(n)
        s = add_arrays({terms})
        t = bf16_round(s)
        y = relu_forward(t)
        """,
        "y = bf16_norm_add_relu(x, map, z)",
        backend="csrc",
        samples=lambda draw: (v := maps(draw)) | {"z": draw.array(v["x"].shape)},
    )
    for terms in ("r, z", "z, r")
)
ADD = define(
    "add, rounded",
    "s = add_arrays(a, b)\nt = bf16_round(s)",
    "t = bf16_add(a, b)",
    backend="csrc",
    samples=lambda draw: {"a": (v := maps(draw))["x"], "b": v["dy"]},
)
NORM = define(
    "batch norm, rounded",
    "n = batch_norm_apply(x, map)\nr = bf16_round(n)",
    "r = bf16_norm(x, map)",
    backend="csrc",
    samples=maps,
)
GRADIENT = define(
    "batch norm's gradient, rounded",
    "dx = batch_norm_apply_gradient(dy, x, mean, map, training)\nr = bf16_round(dx)",
    "r = bf16_norm_gradient(dy, x, mean, map, training)",
    backend="csrc",
    samples=maps,
)
DROPOUT_GRADIENT = define(
    "dropout's gradient, rounded",
    "dx = dropout_backward(dy, ticket, limit, scale)\nr = bf16_round(dx)",
    "r = bf16_dropout_backward(dy, ticket, limit, scale)",
    backend="csrc",
    samples=dropped,
)


@kernel(backend="csrc", rows="y x", out=lambda x, map: [x.shape], flops=lambda x, *_: 4 * x.size)
def bf16_norm(y: Any, x: Any, map: Any) -> None:
    """y = (x - map[0]) map[1] + map[2], rounded"""


@kernel(backend="csrc", rows="y x", out=lambda x, map: [x.shape], flops=lambda x, *_: 5 * x.size)
def bf16_norm_relu(y: Any, x: Any, map: Any) -> None:
    """y = max((x - map[0]) map[1] + map[2], 0), rounded"""


@kernel(backend="csrc", rows="y x z", out=lambda x, *_: [x.shape], flops=lambda x, *_: 6 * x.size)
def bf16_norm_add_relu(y: Any, x: Any, map: Any, z: Any) -> None:
    """y = max(bf16_norm(x, map) + z, 0), rounded"""


@kernel(backend="csrc", flat="y a b", out=lambda a, b: [a.shape], flops=lambda a, b: 2 * a.size)
def bf16_add(y: Any, a: Any, b: Any) -> None:
    """y = a + b, rounded"""


@kernel(backend="csrc", rows="dx dy x", out=lambda dy, *_: [dy.shape], flops=lambda dy, *_: 5 * dy.size)
def bf16_norm_gradient(dx: Any, dy: Any, x: Any, mean: Any, map: Any, training: Any) -> None:
    """dx = map[0] dy + map[1] (x - mean) + map[2], rounded"""


@kernel(backend="csrc", rows="dx dy", out=lambda dy, *_: [dy.shape], flops=lambda dy, *_: 2 * dy.size)
def bf16_dropout_backward(dx: Any, dy: Any, ticket: Any, limit: Any, scale: Any) -> None:
    """dx = scale dy where the bits that the ticket draws again are >= limit, else 0; rounded"""
