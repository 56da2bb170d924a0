"""Memory orders, on the GPU: csrc/transpose.cu."""

from typing import Any

from ..dispatch import kernel
from ..memory import Order, as_matrices, dense_order, inverse_order, is_dense
from ..program.values import address, reach

MOST_MATRICES = 65535  # the grid's second axis


@kernel(backend="csrc", composite=True, when=lambda x, order: x.dtype.char == "f" and x.ndim <= 8)
def canonical(k: Any, x: Any, order: Order) -> Any:
    """transpose where the old order and the new differ by two runs of axes changing places, else gather_strided."""
    shape = tuple(x.shape[a] for a in order)
    if is_dense(x, order):
        y = k.copy(x.transpose(order))
    elif (matrices := as_matrices(x, order)) is not None and len(matrices) <= MOST_MATRICES:
        y = k.transpose(matrices).reshape(shape)
    elif (memory := stretch(x)) is None:
        y = k.xp.ascontiguousarray(x.transpose(order))
    else:
        line, start = memory
        strides = tuple(x.strides[a] // x.itemsize for a in order)
        y = k.gather_strided(line, shape, strides, start)
    return y.transpose(inverse_order(order))


def stretch(x: Any) -> tuple[Any, int] | None:
    """Return the stretch of memory that x reaches over, as a line (a view of it, too), and where on it x begins.

    None for memory of others that has gaps itself.
    """
    owner = x
    while hasattr(owner.base, "strides"):
        owner = owner.base
    lying = dense_order(owner)
    if lying is None:
        return None
    line, (first, nbytes) = owner.transpose(lying).reshape(-1).view("uint8"), reach(x)
    begin = first - address(line)
    return line[begin : begin + nbytes].view(x.dtype), (address(x) - first) // x.itemsize


@kernel(backend="csrc", out=lambda x: [(x.shape[0], x.shape[2], x.shape[1])], flops=lambda x: 0)
def transpose(y: Any, x: Any) -> None:
    """Turn [a, m, n] into [a, n, m]."""


@kernel(backend="csrc", out=lambda x, shape, *_: [shape], flops=lambda *_: 0)
def gather_strided(y: Any, x: Any, shape: Any, strides: Any, start: Any) -> None:
    """Compute the elements of a line at these strides from a start, in C order."""
