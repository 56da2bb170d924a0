"""Gradients through batch norm and its neighbours in fewer passes over memory: csrc/norm_gradient.cu.

Of seven passes of ReLU and batch norm (dy, y, x read and g written; g and x read, dx written) five are left where the
mask is found again from x; where a residual sum needs g itself, the sum of its gradients is made on the way.
"""

from typing import Any

from ..dispatch import kernel
from ..program import define
from .fused_norm import DROPOUT, rows_like
from .norm import channels_and_map, two_sums
from .reduce import rows_of, sums_work


def with_arrays(*names: str) -> Any:
    """Return samples: what batch norm's patterns begin with, and arrays of x's shape."""
    return lambda draw: (v := rows_like(draw)) | {name: draw.array(v["x"].shape) for name in names}


def dropped_rows(draw: Any) -> dict[str, Any]:
    """Draw the gradient of a dropout behind batch norm, and what both have kept."""
    v: dict[str, Any] = with_arrays("dy")(draw)
    return v | {"ticket": DROPOUT["state"], "limit": 1 << 14, "scale": 4 / 3}


DROPOUT_SUMS = tuple(
    define(
        note,
        f"""
        g = {gradient}(dy, ticket, limit, scale)
        dweight, dbias, map = batch_norm_sums(g, x, weight, mean, rstd, training)
        """,
        "g, dweight, dbias, map = "
        f"dropout_batch_norm_sums(dy, ticket, limit, scale, x, weight, mean, rstd, training, {rounds})",
        backend="csrc",
        samples=dropped_rows,
    )
    for note, gradient, rounds in (
        ("dropout + batch norm's sums", "dropout_backward", 0),
        ("dropout, rounded, + batch norm's sums", "bf16_dropout_backward", 1),
    )
)


@kernel(
    backend="csrc",
    rows="g dy x",
    work=two_sums,
    flops=lambda dy, *_: 5 * dy.size,
    out=lambda dy, *_: [dy.shape, *channels_and_map(dy)],
)
def dropout_batch_norm_sums(
    g: Any,
    dweight: Any,
    dbias: Any,
    map: Any,
    partial: Any,
    dy: Any,
    ticket: Any,
    limit: Any,
    scale: Any,
    x: Any,
    weight: Any,
    mean: Any,
    rstd: Any,
    training: Any,
    rounds: Any,
) -> None:
    """g = scale dy where the bits drawn again are >= limit, else 0; the sums of g and g xhat.

    rounds: g, to bfloat16.
    """


ADD_RELU_SUMS = tuple(
    define(
        "add + relu + batch norm's sums",
        f"""
        dy = add_arrays({terms})
        g, dweight, dbias, map = relu_batch_norm_sums(dy, y, x, weight, mean, rstd, training)
        """,
        "g, dweight, dbias, map = add_relu_batch_norm_sums(a, b, y, x, weight, mean, rstd, training)",
        backend="csrc",
        samples=with_arrays("a", "b", "y"),
    )
    for terms in ("a, b", "b, a")
)


@kernel(
    backend="csrc",
    rows="g a b y x",
    work=two_sums,
    flops=lambda a, *_: 6 * a.size,
    out=lambda a, *_: [a.shape, *channels_and_map(a)],
)
def add_relu_batch_norm_sums(
    g: Any,
    dweight: Any,
    dbias: Any,
    map: Any,
    partial: Any,
    a: Any,
    b: Any,
    y: Any,
    x: Any,
    weight: Any,
    mean: Any,
    rstd: Any,
    training: Any,
) -> None:
    """g = a + b where y > 0, else 0, gradients of a residual sum; the sums of g and g xhat."""


MASK_FOUND_AGAIN = tuple(
    define(
        "relu's mask found again",
        f"""
        y = {forward}(x, forward)
        g, dweight, dbias, map = relu_batch_norm_sums(dy, y, x, weight, mean, rstd, training)
        dx = batch_norm_apply_gradient(g, x, mean, map, training)
        """,
        f"""
        y = {forward}(x, forward)
        dweight, dbias, map = batch_norm_relu_backward_sums(dy, x, forward, weight, mean, rstd, training)
        dx = batch_norm_relu_backward(dy, x, forward, mean, map, training)
        """,
        backend="csrc",
        samples=lambda draw: (v := with_arrays("dy")(draw)) | {"forward": v["map"]},
    )
    for forward in ("batch_norm_relu", "bf16_norm_relu")
)


@kernel(backend="csrc", rows="dy x", out=channels_and_map, work=two_sums, flops=lambda dy, *_: 7 * dy.size)
def batch_norm_relu_backward_sums(
    dweight: Any,
    dbias: Any,
    map: Any,
    partial: Any,
    dy: Any,
    x: Any,
    forward: Any,
    weight: Any,
    mean: Any,
    rstd: Any,
    training: Any,
) -> None:
    """batch_norm_sums of g = dy where (x - forward[0]) forward[1] + forward[2] > 0, else 0."""


@kernel(backend="csrc", rows="dx dy x", out=lambda dy, *_: [dy.shape], flops=lambda dy, *_: 7 * dy.size)
def batch_norm_relu_backward(dx: Any, dy: Any, x: Any, forward: Any, mean: Any, map: Any, training: Any) -> None:
    """dx = map[0] g + map[1] (x - mean) + map[2];  g = dy where the forward map of x is above 0, else 0."""


GRADIENT_RELU_SUM = define(
    "batch norm's gradient + relu + bias",
    "dx = norm_gradient_relu(dy, x, mean, map, training, y)\ndbias = channel_sum(dx)",
    "dx, dbias = norm_gradient_relu_sum(dy, x, mean, map, training, y, 0)",
    backend="csrc",
    samples=with_arrays("dy", "y"),
)
GRADIENT_RELU_SUM_ROUNDED = define(
    "batch norm's gradient, rounded, + relu + bias",
    "n = bf16_norm_gradient(dy, x, mean, map, training)\ndx = relu_backward(n, y)\ndbias = channel_sum(dx)",
    "dx, dbias = norm_gradient_relu_sum(dy, x, mean, map, training, y, 1)",
    backend="csrc",
    samples=with_arrays("dy", "y"),
)


@kernel(
    backend="csrc",
    rows="dx dy x y",
    out=lambda dy, *_: [dy.shape, (dy.shape[1],)],
    work=lambda dy, *_: [sums_work(1, *rows_of(dy))],
    flops=lambda dy, *_: 6 * dy.size,
)
def norm_gradient_relu_sum(
    dx: Any, total: Any, partial: Any, dy: Any, x: Any, mean: Any, map: Any, training: Any, y: Any, rounds: Any
) -> None:
    """dx = map[0] dy + map[1] (x - mean) + map[2] where y > 0, else 0, and its sum over all but the channels.

    rounds: dx, to bfloat16.
    """
