"""Mixed precision on the tape: which results are of bfloat16, and rounding them.

A tensor whose numbers are of bfloat16 says so (`stored`): a product's result, and what the table of `precision` makes
of such tensors.  Gradients follow: that of a tensor of bfloat16 is rounded, that of a leaf never is.
"""

from collections.abc import Sequence
from typing import Any

from .precision import MOVED, MOVED_AND_ADDED, PRODUCTS, ROUNDED_AS_ALL, ROUNDED_AS_FIRST

FIRST = ROUNDED_AS_FIRST
ROUNDED = ROUNDED_AS_FIRST | ROUNDED_AS_ALL
PASSED = {"Add", "Sub"}  # hand a gradient on as it arrives: the sum of several stays float32 up to the next product
ADDED = (ROUNDED - PASSED) | MOVED_AND_ADDED | {"MatMul"}  # whose gradients are rounded here, not by their kernels
NAMED = ROUNDED | MOVED | MOVED_AND_ADDED


def begin(op: Any, inputs: Sequence[Any]) -> None:
    """Decide, before an op runs, whether its result is of bfloat16: `op.stored`, and which inputs are: `op.known`."""
    name = type(op).__name__
    if name not in PRODUCTS and name not in NAMED:
        return
    tensors = [i for i in inputs if hasattr(i, "stored") and i.array.dtype.kind == "f"]
    if not tensors or any(t.array.dtype.char != "f" for t in tensors):
        return
    op.known = tuple(getattr(i, "stored", False) for i in inputs)
    if name in PRODUCTS:
        op.stored = True
    elif name in FIRST:
        op.stored = op.known[0]
    else:
        op.stored = all(t.stored for t in tensors if not (t.requires_grad and t.op is None))


def end(op: Any, results: Any) -> Any:
    """Return an op's results, rounded where the table says so."""
    if not op.stored or type(op).__name__ not in ROUNDED:
        return results
    if isinstance(results, tuple):
        return tuple(op.k.bf16_round(r) if r.dtype.char == "f" else r for r in results)
    return op.k.bf16_round(results)


def gradients(op: Any, dxs: Sequence[Any]) -> tuple[Any, ...]:
    """Return the gradients of an op's inputs, rounded where an input is of bfloat16."""
    if type(op).__name__ not in ADDED:
        return tuple(dxs)
    return tuple(
        op.k.bf16_round(dx) if dx is not None and known else dx for dx, known in zip(dxs, op.known, strict=False)
    )
