"""A program: kernel calls on values.  Printed, it is what a reader studies; planned, it is what is replayed."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from ..dispatch import Array, Dispatcher, Kernel, Plan
from ..memory import ALIGNMENT, empty
from . import verify
from .shared import SharedBlock, shared_block
from .values import Arena, Ref, Value

SMALL = 4096  # bytes; smaller values do not share places: looking for a hole costs more than it saves


class Call:
    """One kernel call.  note: what was fused into it.  line: of the user's code that led to it.

    windows: of an argument that is read in places only, those places.
    """

    def __init__(
        self,
        dispatcher: Dispatcher,
        plan: Plan,
        args: Sequence[Any],
        outs: Sequence[Ref],
        index: int,
        note: str = "",
        line: str = "",
    ):
        self.dispatcher, self.plan, self.args, self.outs = dispatcher, plan, list(args), list(outs)
        self.note, self.line = note, line
        self.windows: dict[Ref, list[Ref]] = {}
        self.work = [
            Ref(workspace(shape, dtype, index), 0, shape, c_strides(shape, dtype), dtype) for shape, dtype in plan.work
        ]

    @property
    def kernel(self) -> Kernel:
        return self.plan.kernel

    def reads(self) -> list[Ref]:
        return [a for a in self.args if isinstance(a, Ref)]

    def refs(self) -> list[Ref]:
        """Return every window the call touches."""
        return self.reads() + self.outs + self.work

    def written(self) -> list[Ref]:
        """Return the arguments that are updated in place."""
        writes = self.kernel.rule.writes
        if not writes:
            return []
        return [a for n, a in named(self.kernel, self.args) if n in writes and isinstance(a, Ref)]

    def flops(self) -> float:
        """Floating-point operations, as the kernel's rule counts them."""
        return float(self.kernel.rule.flops(*self.args)) if self.kernel.rule.flops else 0.0

    def nbytes(self) -> int:
        """Return bytes read and written."""
        return sum(r.nbytes for r in self.reads() + self.outs + self.written())

    def __str__(self) -> str:
        outs = ", ".join(map(str, self.outs or self.written()))
        return f"{outs} = {self.dispatcher.name}({', '.join(map(show, self.args))})"


def named(kernel: Kernel, args: Sequence[Any]) -> list[tuple[str, Any]]:
    """Arguments with the names of the kernel's parameters; those of a `*rest` share its name."""
    names = kernel.parameters[1:] if kernel.reference else kernel.parameters[len(kernel.parameters) - len(args) :]
    names = names + names[-1:] * (len(args) - len(names))
    return list(zip(names, args, strict=False))


def show(a: Any) -> str:
    """Return an argument as it is printed."""
    return f"{a:.4g}" if isinstance(a, float) else str(a)


def c_strides(shape: tuple[int, ...], dtype: Any) -> tuple[int, ...]:
    """Of a dense array in C order."""
    strides, step = [], np.dtype(dtype).itemsize
    for n in reversed(shape):
        strides.append(step)
        step *= max(n, 1)
    return tuple(reversed(strides))


def workspace(shape: tuple[int, ...], dtype: Any, index: int) -> Value:
    """Scratch memory of one call."""
    return Value(int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize, f"work{index}")


class Program:
    """Kernel calls in order, the values that outlive them, and, once planned, the arena they live in.

    outputs: what the step returned.  gradients: {leaf tensor: where its gradient lies}.
    """

    def __init__(self, calls: list[Call], outputs: list[Ref], gradients: list[tuple[Any, Ref]]):
        self.calls, self.outputs, self.gradients = calls, outputs, gradients
        self.constants: Program | None = None  # computed apart, once for each version of the weights
        self.arena: Arena | None = None
        self.shared: SharedBlock | None = None  # the part of the arena that other programs use, too
        self.steps: list[tuple[Callable[..., Any], Sequence[Any]]] = []
        self.looked_up = False  # whether the steps hold the machine code itself

    def pin(self) -> None:
        """Keep the memory of what is read after the program has run."""
        for ref in [*self.outputs, *(r for _, r in self.gradients)]:
            ref.value.pinned = True

    def learns(self) -> bool:
        """Return whether the program writes memory that is not its own, or leaves gradients."""
        return bool(self.gradients) or any(r.value.external is not None for c in self.calls for r in c.written())

    def run(self) -> None:
        """Replay: no tape, no lookup, no allocation."""
        with np.errstate(all="ignore"):  # for reference kernels, as in an eager call
            for fn, args in self.steps:
                fn(*args)
        if not self.looked_up:
            self.look_up()

    def look_up(self) -> None:
        """Let later replays enter the machine code directly: the first has made it for the types of each call."""
        self.steps = [(c.dispatcher.table.ready(f, a), a) for c, (f, a) in zip(self.calls, self.steps, strict=True)]
        self.looked_up = True

    def plan(self, sharing: bool = False) -> None:
        """Place every value in one arena and bind the calls to it.

        sharing: what is not read after the program has run lies in memory that other programs of the GPU use, too.
        """
        end, used = len(self.calls), 0
        spans = lifetimes(self.values(), end)
        if sharing:
            used = place({value: span for value, span in spans.items() if span[1] < end})
            spans = {value: span for value, span in spans.items() if span[1] == end}
        nbytes = place(spans, used)
        if verify.enabled:
            verify.check(self, nbytes)
        xp = self.calls[0].dispatcher.table.xp if self.calls else np
        make = empty if xp is np else xp.empty
        self.shared = shared_block(xp, used) if used else None
        own = make((max(nbytes - used, 1),), np.dtype(np.uint8))
        self.arena = Arena(own, self.shared.memory if self.shared else None, used)
        self.steps = [bind(c, self.arena) for c in self.calls]
        self.looked_up = False

    def values(self) -> Iterator[tuple[Value, int]]:
        """(value of the program, position of a call that touches it)."""
        for i, c in enumerate(self.calls):
            for r in c.refs():
                if r.value.home.external is None:
                    yield r.value, i

    def cost(self) -> tuple[int, float, int, int]:
        """Return (calls, floating-point operations, bytes moved, bytes of all values together)."""
        made = {id(v.home): v.home.nbytes for v, _ in self.values()}
        return (
            len(self.calls),
            sum(c.flops() for c in self.calls),
            sum(c.nbytes() for c in self.calls),
            sum(made.values()),
        )

    def __str__(self) -> str:
        rows = [("call", "out", "MFLOP", "MB", "at MiB", "what was done")]
        for c in self.calls:
            shape = "x".join(map(str, c.outs[0].shape)) or "()" if c.outs else "in place"
            at = f"{c.outs[0].value.place() / 2**20:.1f}" if self.steps and c.outs else ""
            rows.append((str(c), shape, f"{c.flops() / 1e6:.1f}", f"{c.nbytes() / 1e6:.1f}", at, c.note))
        width = min(max(len(r[0]) for r in rows), 110)
        text = [f"{r[0]:{width}s} {r[1]:>16s} {r[2]:>8s} {r[3]:>7s} {r[4]:>7s}  {r[5]}".rstrip() for r in rows]
        calls, flops, moved, made = self.cost()
        arena = f", in an arena of {self.arena.nbytes / 2**20:.0f} MiB" if self.arena is not None else ""
        if self.constants is not None and self.constants.calls:
            text = ["once for each version of the weights:", str(self.constants), "at every call:", *text]
        text.append(
            f"{calls} calls, {flops / 1e9:.2f} GFLOP, {moved / 1e6:.0f} MB moved, "
            f"{made / 2**20:.0f} MiB of values{arena}"
        )
        return "\n".join(text)


def lifetimes(touched: Iterator[tuple[Value, int]], end: int) -> dict[Value, tuple[int, int]]:
    """Return for every value the first and last call that touch it; `end` is after the last."""
    spans: dict[Value, tuple[int, int]] = {}
    for value, i in touched:
        home = value.home
        first, last = spans.get(home, (i, i))
        spans[home] = first, end if value.pinned or home.pinned else max(last, i)
    return spans


def place(spans: Mapping[Value, tuple[int, int]], bottom: int = 0) -> int:
    """Give every value its first byte, from `bottom` on; return the byte behind them all.

    Two values may lie at one place if no call lies between the first and last use of both: the largest first, each at
    the lowest place that is free while it lives.
    """
    top = bottom
    placed: list[tuple[int, int, int, int]] = []  # (first byte, byte behind, first call, last call)
    for value, (first, last) in sorted(spans.items(), key=lambda item: (-item[0].nbytes, item[1])):
        at = bottom
        if value.nbytes < SMALL:
            at = top
        else:
            for low, high, *_ in sorted(p for p in placed if p[2] <= last and first <= p[3]):
                if at + value.nbytes <= low:
                    break
                at = max(at, high)
            placed.append((at, at + aligned(value.nbytes), first, last))
        value.start, top = at, max(top, at + aligned(value.nbytes))
    return top


def aligned(nbytes: int) -> int:
    """Return it rounded up to a cache line."""
    return -(-nbytes // ALIGNMENT) * ALIGNMENT


def bind(call: Call, arena: Arena) -> tuple[Callable[..., Any], Sequence[Any]]:
    """Return a call as a function and its arguments, which are arrays over the arena and numbers."""
    outs, work, args = (
        [a.array(arena) if isinstance(a, Ref) else a for a in group] for group in (call.outs, call.work, call.args)
    )
    kernel, table = call.kernel, call.dispatcher.table
    if kernel.reference:
        return run_reference, (kernel.fn, table.xp, args, outs)
    native = [a if v is None else v(a) for v, a in zip(call.plan.views, [*outs, *work, *args], strict=True)]
    assert call.plan.code is not None
    return call.plan.code, native


def run_reference(fn: Callable[..., Any], xp: Any, args: Sequence[Any], outs: Sequence[Array]) -> None:
    """Run a reference kernel, which returns arrays: copy them to their places."""
    results = fn(xp, *args)
    for out, result in zip(outs, results if isinstance(results, tuple) else (results,), strict=True):
        out[...] = result
