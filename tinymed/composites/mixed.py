"""Products of mixed precision from products of float32: what they take is rounded before, what they give behind.

It is what a backend does that has no product of bfloat16 for some arguments: more exact, as its sums are.
"""

from typing import Any

from ..dispatch import kernel
from ..memory import canonical_order, is_dense
from ..program import moves_numbers, pattern
from .arguments import all_float32


def once(k: Any, x: Any, known: bool) -> Any:
    """Return x rounded, or x itself where its numbers are known to be of bfloat16.

    Channels-last, as convolutions take images, so that who moves the rounded numbers next finds nothing between.  This
    stands in on backends of csrc's kernels too, which have no bf16_turned.
    """
    if known:
        return x
    order = canonical_order("image", x.ndim)
    planes = x.ndim == 4 and x.shape[1] == 3 and x.flags.c_contiguous and not is_dense(x, order)
    if planes and hasattr(k, "bf16_turned"):
        return k.bf16_turned(x, ((0, 0), (0, 0)))
    return k.bf16_round(x if is_dense(x, order) else k.canonical(x, order))


def rounded_if(k: Any, y: Any, rounds: bool) -> Any:
    """Return a product's result, rounded or not."""
    return k.bf16_round(y) if rounds else y


def convolve(k: Any, rank: int, x: Any, weight: Any, bias: Any, known: bool, *how: Any) -> Any:
    """Compute the forward pass in float32 of rounded numbers."""
    y = getattr(k, f"conv{rank}d_forward")(once(k, x, known), k.bf16_round(weight), bias, *how)
    return k.bf16_round(y)


def convolve_back(k: Any, rank: int, dy: Any, weight: Any, x_shape: Any, rounds: bool, *how: Any) -> Any:
    """Compute the gradient of the input in float32 of rounded numbers."""
    run = getattr(k, f"conv{rank}d_backward_input")
    return rounded_if(k, run(k.bf16_round(dy), k.bf16_round(weight), x_shape, *how), rounds)


def correlate(k: Any, rank: int, dy: Any, x: Any, weight_shape: Any, known: bool, *how: Any) -> Any:
    """Compute the gradient of the weight in float32 of rounded numbers."""
    return getattr(k, f"conv{rank}d_backward_weight")(k.bf16_round(dy), once(k, x, known), weight_shape, *how)


def takes(*args: Any) -> bool:
    """Return whether all arrays are float32."""
    return all_float32(*(a for a in args if hasattr(a, "dtype")))


@kernel(backend="numba", composite=True, when=takes)
def bf16_conv3d_forward(k: Any, *args: Any) -> Any:
    """Compute conv3d_forward of rounded numbers, and round."""
    return convolve(k, 3, *args)


@kernel(backend="numba", composite=True, when=takes)
def bf16_conv3d_backward_input(k: Any, *args: Any) -> Any:
    """Compute conv3d_backward_input of rounded numbers."""
    return convolve_back(k, 3, *args)


@kernel(backend="numba", composite=True, when=takes)
def bf16_conv3d_backward_weight(k: Any, *args: Any) -> Any:
    """Compute conv3d_backward_weight of rounded numbers."""
    return correlate(k, 3, *args)


@kernel(backend="numba", composite=True, when=takes)
def bf16_batched_matmul(k: Any, a: Any, b: Any, rounds: bool) -> Any:
    """Compute batched_matmul of rounded numbers."""
    return rounded_if(k, k.batched_matmul(k.bf16_round(a), k.bf16_round(b)), rounds)


# -------------------------------------------------------------------------------- what need not be rounded again


def pooled(draw: Any) -> dict[str, Any]:
    """Draw a pooled gradient and its argmax."""
    n, c, h, w = draw.choice(((1, 3, 2, 2), (2, 5, 4, 6), (3, 16, 8, 2)))
    i = draw.integers((n, c, h // 2, w // 2), 0, 3).astype("uint8")
    return {"dp": draw.array((n, c, h // 2, w // 2)), "i": i, "shape": (n, c, h, w)}


def masked(draw: Any) -> dict[str, Any]:
    """Draw a gradient and a ReLU's output."""
    shape = draw.choice(((1, 3, 2, 2), (2, 33, 4, 6), (5, 7)))
    return {"dy": draw.array(shape), "y": draw.array(shape, avoid=(0.0,))}


moves_numbers("transpose_matrices", "canonical", "relu_forward", "max_pool_2x2_backward")
pattern(
    "rounded before unpooling",
    "r = bf16_round(dp)\nu = max_pool_2x2_backward(r, i, shape)\nq = bf16_round(u)",
    "r = bf16_round(dp)\nq = max_pool_2x2_backward(r, i, shape)",
    samples=pooled,
)
pattern(
    "rounded where there are fewer numbers, before unpooling",
    "u = max_pool_2x2_backward(dp, i, shape)\nq = bf16_round(u)",
    "r = bf16_round(dp)\nq = max_pool_2x2_backward(r, i, shape)",
    samples=pooled,
)
