"""Bits of integers, which have no gradient."""

from typing import Any

import numpy as np

from .table import Node, fitted, operator, plain, unsupported


def whole(node: Node, *tensors: Any) -> None:
    """Raise ValueError unless all are integers."""
    if any(t.dtype.kind not in "iu" for t in tensors):
        raise ValueError(f"{node}: of {', '.join(str(t.dtype) for t in tensors)}; it takes integers")


def bitwise(name: str, function: Any) -> None:
    """Put an operation on the bits of two tensors into the table."""

    def run(node: Node, a: Any, b: Any) -> Any:
        whole(node, a, b)
        fitted(node, a, b)
        return plain(function, a, b)

    run.__doc__ = f"{name} of two tensors."
    operator(name)(run)


bitwise("BitwiseAnd", np.bitwise_and)
bitwise("BitwiseOr", np.bitwise_or)
bitwise("BitwiseXor", np.bitwise_xor)


@operator("BitwiseNot")
def bitwise_not(node: Node, x: Any) -> Any:
    """Return the other bits."""
    whole(node, x)
    return plain(np.invert, x)


@operator("BitShift")
def bit_shift(node: Node, x: Any, by: Any) -> Any:
    """x 2^by (LEFT) or x / 2^by (RIGHT); bits that leave the integers are lost."""
    direction = node.get("direction")
    if direction not in ("LEFT", "RIGHT"):
        raise unsupported(node, f"direction {direction!r}", "LEFT, RIGHT")
    whole(node, x, by)
    fitted(node, x, by)
    return plain(left if direction == "LEFT" else right, x, by)


def left(a: Any, by: Any) -> Any:
    """Compute a 2^by; nothing is left of a shift by all bits."""
    bits = 8 * a.dtype.itemsize
    return np.where(by < bits, np.left_shift(a, np.minimum(by, bits - 1)), 0).astype(a.dtype)


def right(a: Any, by: Any) -> Any:
    """Compute a / 2^by, rounded down; a shift by all bits leaves 0, or -1 of a negative number."""
    bits = 8 * a.dtype.itemsize
    shifted = np.right_shift(a, np.minimum(by, bits - 1))
    return np.where(by < bits, shifted, -(a < 0).astype(a.dtype)).astype(a.dtype)
