"""Padding with a constant, on the GPU: csrc/pad.cu."""

from typing import Any

from ..dispatch import is_single, kernel
from ..memory import dense_order, inverse_order, is_dense


@kernel(backend="csrc", composite=True, when=lambda x, widths, value: is_single((x,)) and x.ndim <= 8)
def pad_constant(k: Any, x: Any, widths: tuple[tuple[int, int], ...], value: Any) -> Any:
    """pad_box in the memory order of x."""
    order = dense_order(x) or tuple(range(x.ndim))
    x = (x if is_dense(x, order) else k.canonical(x, order)).transpose(order)
    before, after = (tuple(widths[a][side] for a in order) for side in (0, 1))
    return k.pad_box(x, before, after, float(value)).transpose(inverse_order(order))


@kernel(
    backend="csrc",
    flops=lambda *_: 0,
    out=lambda x, before, after, _: [tuple(map(sum, zip(before, x.shape, after, strict=True)))],
)
def pad_box(y: Any, x: Any, before: Any, after: Any, value: Any) -> None:
    """x with elements of one value before and after it along each axis; negative widths crop."""
