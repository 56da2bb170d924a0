"""Batch normalisation and its neighbours in one pass, each kernel beside the pattern that brings it in."""

from typing import Any

import numpy as np

from ..dispatch import kernel
from ..ops.dropout import TICKET
from ..program import define
from .norm import channels_and_map, two_sums

SHAPES = ((3, 4, 5, 6), (2, 33, 7, 3), (1, 1, 1, 1), (4, 32, 9, 11), (5, 7))


def rows_like(draw: Any) -> dict[str, Any]:
    """x of some shape, a map and a mean for its channels: what the patterns' samples begin with."""
    shape = draw.choice(SHAPES)
    c = (shape[1],)
    return {
        "x": draw.array(shape),
        "map": draw.array((3, *c)),
        "mean": draw.array(c),
        "weight": draw.array(c),
        "rstd": draw.array(c, low=0.5, high=2),
        "training": True,
    }


NORM_RELU = define(
    "relu of batch norm",
    "n = batch_norm_apply(x, map)\ny = relu_forward(n)",
    "y = batch_norm_relu(x, map)",
    backend="csrc",
    samples=rows_like,
)


@kernel(backend="csrc", rows="y x", out=lambda x, map: [x.shape], flops=lambda x, *_: 4 * x.size)
def batch_norm_relu(y: Any, x: Any, map: Any) -> None:
    """y = max((x - map[0]) map[1] + map[2], 0)"""


NORM_ADD_RELU = tuple(
    define(
        "relu of batch norm and a sum",
        f"n = batch_norm_apply(x, map)\ns = add_arrays({sum})\ny = relu_forward(s)",
        "y = batch_norm_add_relu(x, map, z)",
        backend="csrc",
        samples=lambda draw: (v := rows_like(draw)) | {"z": draw.array(v["x"].shape)},
    )
    for sum in ("n, z", "z, n")
)


@kernel(backend="csrc", rows="y x z", out=lambda x, *_: [x.shape], flops=lambda x, *_: 5 * x.size)
def batch_norm_add_relu(y: Any, x: Any, map: Any, z: Any) -> None:
    """y = max((x - map[0]) map[1] + map[2] + z, 0)"""


def normed(draw: Any, *shapes: tuple[int, ...]) -> dict[str, Any]:
    """Draw x of one of the shapes and a map for its channels."""
    shape = draw.choice(shapes)
    return {"x": draw.array(shape), "map": draw.array((3, shape[1]))}


DROPOUT = {"state": np.arange(5, dtype=np.uint32), "limit": 1 << 14, "scale": 4 / 3}
NORM_DROPOUT = define(
    "batch norm + dropout",
    "n = batch_norm_apply(x, map)\ny, ticket = dropout_forward(n, state, limit, scale)",
    "y, ticket = batch_norm_dropout(x, map, state, limit, scale, 0)",
    backend="csrc",
    samples=lambda draw: rows_like(draw) | DROPOUT,
)
NORM_DROPOUT_ROUNDED = define(
    "batch norm, rounded, + dropout, rounded",
    "n = bf16_norm(x, map)\nd, ticket = dropout_forward(n, state, limit, scale)\ny = bf16_round(d)",
    "y, ticket = batch_norm_dropout(x, map, state, limit, scale, 1)",
    backend="csrc",
    samples=lambda draw: rows_like(draw) | DROPOUT,
)
NORM_DROPOUT_PACKED = tuple(
    define(
        "batch norm, rounded, + dropout, rounded by the product that takes it",
        f"n = bf16_norm(x, map)\nd, ticket = dropout_forward(n, state, limit, scale)\ny = {packing}(d{more})",
        f"e, ticket = batch_norm_dropout(x, map, state, limit, scale, 1)\ny = {packing}(e{more})",
        backend="csrc",
        samples=samples,
    )
    for packing, more, samples in (
        ("bf16_pixels", ", 1", lambda draw: normed(draw, (3, 4, 5, 6), (2, 33, 7, 3)) | DROPOUT),
        ("bf16_lines", "", lambda draw: normed(draw, (5, 7), (3, 16)) | DROPOUT),
    )
)


@kernel(backend="csrc", rows="y x", writes="state", out=lambda x, *_: [x.shape, TICKET], flops=lambda x, *_: 4 * x.size)
def batch_norm_dropout(y: Any, ticket: Any, x: Any, map: Any, state: Any, limit: Any, scale: Any, rounds: Any) -> None:
    """y = scale ((x - map[0]) map[1] + map[2]) where the element's bits are >= limit, else 0 times it.

    rounds: to bfloat16, before dropout and after it.
    """


GRADIENT_RELU = define(
    "batch norm's gradient + relu",
    "n = batch_norm_apply_gradient(dy, x, mean, map, training)\ndx = relu_backward(n, y)",
    "dx = norm_gradient_relu(dy, x, mean, map, training, y)",
    backend="csrc",
    samples=lambda draw: (v := rows_like(draw)) | {"dy": draw.array(v["x"].shape), "y": draw.array(v["x"].shape)},
)


@kernel(backend="csrc", rows="dx dy x y", out=lambda dy, *_: [dy.shape], flops=lambda dy, *_: 5 * dy.size)
def norm_gradient_relu(dx: Any, dy: Any, x: Any, mean: Any, map: Any, training: Any, y: Any) -> None:
    """dx = map[0] dy + map[1] (x - mean) + map[2] where y > 0, else 0"""


RELU_SUMS = define(
    "batch norm's sums of relu's gradient",
    """
    g = relu_backward(dy, y)
    dweight, dbias, map = batch_norm_sums(g, x, weight, mean, rstd, training)
""",
    "g, dweight, dbias, map = relu_batch_norm_sums(dy, y, x, weight, mean, rstd, training)",
    backend="csrc",
    samples=lambda draw: (v := rows_like(draw)) | {"dy": draw.array(v["x"].shape), "y": draw.array(v["x"].shape)},
)


@kernel(
    backend="csrc",
    rows="g dy y x",
    work=two_sums,
    flops=lambda dy, *_: 5 * dy.size,
    out=lambda dy, *_: [dy.shape, *channels_and_map(dy)],
)
def relu_batch_norm_sums(
    g: Any,
    dweight: Any,
    dbias: Any,
    map: Any,
    partial: Any,
    dy: Any,
    y: Any,
    x: Any,
    weight: Any,
    mean: Any,
    rstd: Any,
    training: Any,
) -> None:
    """g = dy where y > 0, else 0; the sums of g and g xhat."""
