"""What the derived tests share: the ops, their arguments, and ways an array can lie in memory."""

from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import strategies as st

import tinymed  # noqa: F401  registers every op
from tinymed import dispatch
from tinymed.draw import Draw
from tinymed.memory import canonical_order, inverse_order
from tinymed.tape import Op

OPS = sorted((op for op in Op.registry.values() if op.__module__.startswith("tinymed.")), key=lambda op: op.__name__)
DIFFERENTIABLE = [op for op in OPS if op.backward is not None]


class HypothesisDraw(Draw):
    """Arguments drawn by Hypothesis: shapes and options shrink, array elements follow from a drawn seed."""

    def __init__(self, data: Any):
        super().__init__()
        self.data = data

    def integer(self, low: int, high: int) -> int:
        return self.data.draw(st.integers(low, high))


def sample(op: type[Op], seed: int) -> tuple[Any, ...]:
    """The op's arguments number `seed`."""
    return op.samples(Draw(seed))


def has_empty(args: tuple[Any, ...]) -> bool:
    """Whether an array has no elements: nothing to differentiate."""
    return any(isinstance(a, np.ndarray) and a.size == 0 for a in args)


def with_nan(args: tuple[Any, ...]) -> tuple[Any, ...] | None:
    """The arguments with a NaN in the middle of the first array of numbers; None without one."""
    for i, a in enumerate(args):
        if isinstance(a, np.ndarray) and a.dtype.kind == "f" and a.size:
            a = a.copy()
            a.reshape(-1)[a.size // 2] = np.nan
            return *args[:i], a, *args[i + 1 :]
    return None


class Signatures(dispatch.Observer):
    """Remembers the kernels called, with what each took and returned."""

    def __init__(self) -> None:
        self.seen: list[tuple[dispatch.Kernel, Any, Any]] = []

    def after(self, dispatcher: Any, kernel: dispatch.Kernel, args: Any, outs: Any) -> None:
        self.seen.append((kernel, args, outs))


def command(op: type[Op], seed: int) -> str:
    """The command that repeats a failure."""
    return f"{op.__name__}, sample {seed}; repeat: tinymed check {op.__name__} --seed {seed}"


def tolerance(op: type[Op]) -> float:
    """float32 against float64, relative to the largest value; an op may declare that it loses more."""
    return getattr(op, "tolerance", 2e-5)


def reversed_view(a: np.ndarray) -> np.ndarray:
    """Negative strides."""
    back = tuple(slice(None, None, -1) for _ in a.shape)
    return a[back].copy()[back]


def gapped_view(a: np.ndarray) -> np.ndarray:
    """Every second element of a larger array whose other elements are wrong."""
    wide = np.full([2 * n + 1 for n in a.shape], 77, a.dtype)
    view = wide[tuple(slice(1, None, 2) for _ in a.shape)]
    view[...] = a
    return view


def in_order(kind: str) -> Callable[[np.ndarray], np.ndarray]:
    """The order compiled kernels take an image or a filter in."""

    def arrange(a: np.ndarray) -> np.ndarray:
        order = canonical_order(kind, a.ndim)
        return np.array(a.transpose(order), order="C").transpose(inverse_order(order))

    return arrange


LAYOUTS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "channels_last": in_order("image"),
    "filter": in_order("filter"),
    "fortran": lambda a: np.array(a, order="F"),
    "reversed": lambda a: reversed_view(a) if a.ndim else a,
    "gapped": lambda a: gapped_view(a) if a.ndim else a,
}


def broadcast(a: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """np.broadcast_to, of memory that NumPy lets be written, as CuPy does."""
    strides = [0 if n != m else s for n, m, s in zip(a.shape, shape, a.strides, strict=True)]
    return np.lib.stride_tricks.as_strided(a, shape, strides)


def expanded_view(a: np.ndarray, axes: tuple[int, ...]) -> np.ndarray:
    """The first values along some axes, repeated by strides of 0, of a window in a larger array of wrong numbers."""
    if not a.ndim or not a.size:
        return a
    one = a[tuple(slice(0, 1) if axis in axes else slice(None) for axis in range(a.ndim))]
    larger = np.full([n + 3 for n in one.shape], 77, a.dtype)
    window = larger[tuple(slice(1, n + 1) for n in one.shape)]
    window[...] = one
    return broadcast(window, a.shape)


def expanded_rows(a: np.ndarray) -> np.ndarray:
    """What `gate.expand(x.shape)` gives: one value for all pixels of an image and channel, from a table of rows."""
    if a.ndim < 3 or not a.size:
        return expanded_view(a, tuple(range(1, a.ndim)))
    table = np.full((a.shape[0] + 2, a.shape[1] * a[0, 0].size), 77, a.dtype)
    table[: a.shape[0], : a.shape[1]] = a.reshape(*a.shape[:2], -1)[:, :, 0]
    gate = table[: a.shape[0], : a.shape[1]].reshape(*a.shape[:2], *[1] * (a.ndim - 2))
    return broadcast(gate, a.shape)


MIXED: list[Callable[[np.ndarray], np.ndarray]] = [
    lambda a: a,
    *LAYOUTS.values(),
    lambda a: a.T.copy().T if a.ndim > 1 else a,
    lambda a: expanded_view(a, (0,)),
    lambda a: expanded_view(a, (1,)),
    lambda a: expanded_view(a, tuple(range(2, a.ndim))),
    lambda a: expanded_view(a, tuple(range(a.ndim))),
    expanded_rows,
]


class EachItsOwn:
    """Lays every array that it is given out in an order of its own, drawn from `MIXED` by a seed.

    An expanded array has fewer values than it had: compare with a reference that got the same arrays.
    """

    def __init__(self, seed: int):
        self.drawn = np.random.default_rng(seed)

    def __call__(self, a: np.ndarray) -> np.ndarray:
        return MIXED[self.drawn.integers(len(MIXED))](a)


WRITERS = {"AxialAttention", "SetItem", "SetWindow", "BatchNorm"}  # write to an argument, which must not be expanded


def refuses_to_write(op: type[Op], error: RuntimeError) -> bool:
    """Whether an op that writes to an argument says that it will not write to expanded memory, as PyTorch says."""
    return op.__name__ in WRITERS and ("in place" in str(error) or "assignment" in str(error))
