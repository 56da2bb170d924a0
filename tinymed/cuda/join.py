"""Joining arrays, on the GPU: csrc/join.cu.  Each is copied once to its place, in the memory order of the first."""

from typing import Any

from ..dispatch import kernel


@kernel(backend="csrc", out=lambda x, width: [(x.shape[0], width)], flops=lambda x, width: 0)
def concat_first(y: Any, x: Any, width: Any) -> None:
    """Rows of x at the start of wider rows; the rest is for concat_next."""


@kernel(backend="csrc", out=lambda y, x, start: [], writes="y", flops=lambda y, x, start: 0)
def concat_next(y: Any, x: Any, start: Any) -> None:
    """Rows of x into rows of y, in place, from a column on."""


@kernel(backend="csrc", composite=True, out=lambda a, b, width: [(a.shape[0], width)], flops=lambda a, b, width: 0)
def concat_pair(k: Any, a: Any, b: Any, width: Any) -> Any:
    """Call concat_first for rows of a, then concat_next for those of b."""
    y = k.concat_first(a, width)
    k.concat_next(y, b, a.shape[1])
    return y
