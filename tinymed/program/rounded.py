"""Rounding to bfloat16 what is rounded: a program in mixed precision without the calls that change no number.

    p, i = bf16_winograd_relu_pool(x, ...)     rounded
    t = transpose_matrices(p)                  moved, so rounded still
    r = bf16_round(t)                          t itself

Fused kernels declare that their result is rounded, others that they move numbers or choose among them.
"""

from collections.abc import Sequence, Set

from .program import Call
from .values import Ref, Value

ROUND = "bf16_round"
ROUNDED = {ROUND}  # kernels whose first result holds numbers of bfloat16 alone
MOVING: set[str] = set()  # kernels whose first result holds numbers of their first argument, and zeros


def gives_rounded(*names: str) -> None:
    """Declare kernels whose first result is rounded to bfloat16."""
    ROUNDED.update(names)


def moves_numbers(*names: str) -> None:
    """Declare kernels whose first result holds nothing but numbers of their first argument, and zeros."""
    MOVING.update(names)


def round_once(calls: Sequence[Call], unshared: Set[Value]) -> list[Call]:
    """Return the calls without those that round what is rounded; who read their results reads what they read.

    unshared: values that stand for no other, and no other for them.
    """
    rounded: set[Value] = set()
    alias: dict[Value, Value] = {}
    result = []
    for c in calls:
        c.args = [a.of(alias[a.value]) if isinstance(a, Ref) and a.value in alias else a for a in c.args]
        name, x = c.dispatcher.name, c.args[0] if c.args else None
        known = isinstance(x, Ref) and x.value in rounded
        if name == ROUND and isinstance(x, Ref) and known and stands_for(x, c.outs[0], unshared):
            alias[c.outs[0].value] = x.value
            continue
        if c.outs and (name in ROUNDED or (name in MOVING and known)) and c.outs[0].whole:
            rounded.add(c.outs[0].value)
        rounded -= {r.value for r in c.written()}
        result.append(c)
    return result


def stands_for(x: Ref, y: Ref, unshared: Set[Value]) -> bool:
    """Return whether one value may stand for another: both windows show all bytes of theirs, in one order."""
    return x.whole and y.whole and x.key == y.key and unshared.isdisjoint((x.value, y.value))
