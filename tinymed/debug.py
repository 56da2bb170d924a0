"""Looking inside while it runs: one line per kernel, bytes the tape holds, the first NaN, replay on the reference.

    TINYMED_DEBUG=1            one line per kernel: backend, shapes, milliseconds, GFLOP/s, GB/s (to stderr)
    TINYMED_DEBUG=2            and one line per op with the bytes it saved for backward
    TINYMED_DEBUG=nan          stop at the first op whose result is not finite though its inputs are
    TINYMED_VALIDATE=reference replay every kernel on the float64 reference and stop at the first that disagrees

Each is also an observer to use in a `with` block: `with debug.kernel_log():`, `debug.find_nan()`, `debug.validate()`.
"""

import atexit
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from . import check, dispatch, tape
from .dispatch import REFERENCE, Dispatcher, Kernel
from .tape import Node, Op

__all__ = ["Disagreement", "NaNFound", "find_nan", "kernel_log", "tape_dot", "tape_text", "validate"]

Write = Callable[[str], Any]


def to_stderr(line: str) -> None:
    """Write a line at once to where people read, so that a log shows it while the program goes on."""
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


def is_array(a: Any) -> bool:
    """Return whether this is an array."""
    return hasattr(a, "dtype") and hasattr(a, "nbytes")


# ------------------------------------------------------------------------------------- one line per kernel


class KernelLog(dispatch.Observer):
    """Writes one line for each kernel; the parts of a composite come before it, indented."""

    def __init__(self, write: Write = to_stderr):
        self.write = write
        self.started: list[float] = []  # a stack: composites call kernels

    def before(self, dispatcher: Dispatcher, kernel: Kernel, args: Sequence[Any]) -> None:
        self.started.append(time.perf_counter())

    def after(self, dispatcher: Dispatcher, kernel: Kernel, args: Sequence[Any], outs: Sequence[Any]) -> None:
        seconds = time.perf_counter() - self.started.pop()
        moved = sum(a.nbytes for a in (*args, *outs) if is_array(a))
        flops = float(kernel.rule.flops(*args)) if kernel.rule.flops else 0.0
        where = "composite" if kernel.composite else kernel.backend
        shapes = " ".join("x".join(map(str, a.shape)) or "scalar" for a in args if is_array(a))
        result = " ".join("x".join(map(str, a.shape)) or "scalar" for a in outs if is_array(a))
        speed = f"{1e3 * seconds:9.3f} ms {flops / seconds / 1e9:8.1f} GFLOP/s {moved / seconds / 1e9:7.1f} GB/s"
        self.write(f"{'  ' * len(self.started)}{dispatcher.name:28s} {where:9s} {speed}  {shapes} -> {result}")


class SavedLog(tape.Observer):
    """Writes what each op saved for backward and what the tape holds in all."""

    def __init__(self, write: Write = to_stderr):
        self.write = write
        self.held: dict[int, int] = {}  # address of memory -> bytes, so that shared arrays count once

    def forward(self, op: Op, inputs: Sequence[Any], outputs: Sequence[Any]) -> None:
        own = {address(a): a.nbytes for a in op.saved if is_array(a)}
        new = sum(n for where, n in own.items() if where not in self.held)
        self.held |= own
        self.write(f"saved {new:13,} bytes more, {sum(self.held.values()):15,} in all  {label(op)}")

    def backward(self, op: Op, dys: Sequence[Any], dxs: Sequence[Any]) -> None:
        for a in op.saved:
            if is_array(a):
                self.held.pop(address(a), None)


def address(a: Any) -> int:
    """Return where an array's memory starts."""
    return int(a.ctypes.data if isinstance(a, np.ndarray) else a.data.ptr)


def label(op: Op) -> str:
    """Return the op and the module being called, also when the tape does not record."""
    where = op.scope or (tape.thread.scope[-1] if tape.thread.scope else "")
    return tape.located(type(op).__name__, where)


# ------------------------------------------------------------------------------------------- the first NaN


class NaNFound(FloatingPointError):
    """An op made a value that is not finite out of finite ones.

    Example:
        >>> issubclass(NaNFound, FloatingPointError)
        True
    """


class NaNLocator(tape.Observer):
    """Stops at the first op, forward or backward, that turns finite values into NaN or infinity."""

    def forward(self, op: Op, inputs: Sequence[Any], outputs: Sequence[Any]) -> None:
        self.look(op, "forward", [i.array if isinstance(i, Node) else i for i in inputs], outputs)

    def backward(self, op: Op, dys: Sequence[Any], dxs: Sequence[Any]) -> None:
        self.look(op, "backward", [*dys, *op.saved], dxs)

    def look(self, op: Op, way: str, inputs: Sequence[Any], results: Sequence[Any]) -> None:
        for i, a in enumerate(results):
            bad = not_finite(a)
            if bad and not any(not_finite(x) for x in inputs):
                where = tuple(int(n) for n in np.argwhere(~np.isfinite(np.asarray(a)))[0])
                what = "gradient" if way == "backward" else "output"
                raise NaNFound(
                    f"{label(op)}, {way}: {what} {i} of shape {list(a.shape)} has {bad} values that are not "
                    f"finite, the first at {list(where)}, though its inputs are finite "
                    f"({', '.join(extent(x) for x in inputs if is_array(x) and x.size)})"
                )


def not_finite(a: Any) -> int:
    """Return how many elements are NaN or infinite."""
    return int(a.size - np.isfinite(np.asarray(a)).sum()) if is_array(a) and a.dtype.kind == "f" else 0


def extent(a: Any) -> str:
    """Return an array's shape and range, for messages."""
    return f"{list(a.shape)} from {a.min():.3g} to {a.max():.3g}"


# ------------------------------------------------------------------------------------------- replay on the reference


class Disagreement(AssertionError):
    """A kernel's result is not the reference's.

    Example:
        >>> issubclass(Disagreement, AssertionError)
        True
    """


class Validator(dispatch.Observer):
    """Replays each kernel that has a reference in float64 and stops at the first that disagrees."""

    def __init__(self, rtol: float = 2e-4):
        self.rtol, self.checked = rtol, 0
        self.before_calls: list[tuple[Any, ...] | None] = []  # a stack: composites call kernels

    def before(self, dispatcher: Dispatcher, kernel: Kernel, args: Sequence[Any]) -> None:
        copies: tuple[Any, ...] | None = None
        if not kernel.reference and (REFERENCE, dispatcher.name) in dispatch.implementations:
            copies = tuple(in_float64(a) for a in args)
        self.before_calls.append(copies)

    def after(self, dispatcher: Dispatcher, kernel: Kernel, args: Sequence[Any], outs: Sequence[Any]) -> None:
        copies = self.before_calls.pop()
        if copies is None:
            return
        reference = dispatch.implementations[REFERENCE, dispatcher.name]
        with np.errstate(all="ignore"):
            true = reference.fn(dispatcher.table.xp, *copies)
        pairs = list(zip(outs, true if isinstance(true, tuple) else (true,), strict=True))
        names = reference.parameters[1:]
        pairs += [(a, c) for a, c, n in zip(args, copies, names, strict=False) if n in kernel.rule.writes]
        self.checked += 1
        for i, (x, y) in enumerate(pairs):
            self.agree(dispatcher.name, i, np.asarray(x), np.asarray(y))

    def agree(self, name: str, i: int, x: np.ndarray, y: np.ndarray) -> None:
        if x.dtype.kind == "f" and y.size:
            error = check.relative_error(x, y)
        else:
            error = 0.0 if np.array_equal(x, y) else float("inf")
        if x.shape != y.shape or not error <= self.rtol:
            where = tape.thread.scope[-1] if tape.thread.scope else ""
            raise Disagreement(
                f"{tape.located(name, where)}: result {i} of shape {list(x.shape)} is off from the reference by "
                f"{error:.2e} of its largest value; allowed {self.rtol:.0e}"
            )


def in_float64(a: Any) -> Any:
    """Return a copy of an array, in float64 if it is floating point; anything else as it is."""
    if not is_array(a):
        return a
    return a.astype(np.float64) if a.dtype.kind == "f" else a.copy()


# ------------------------------------------------------------------------------------------- switching on and off


@contextmanager
def kernel_log(write: Write = to_stderr, saved: bool = False) -> Iterator[None]:
    """Write one line per kernel inside the block: name, backend, milliseconds, GFLOP/s, GB/s, shapes.

    Args:
        write: Takes each line; standard error by default.
        saved: Also write one line per op with the bytes it keeps for backward.

    Yields:
        Nothing.

    Example:
        >>> lines = []
        >>> with kernel_log(lines.append):
        ...     y = tinymed.relu(tinymed.ones(2, 3))
        >>> lines[-1].split()[0]
        'relu_forward'
    """
    with dispatch.observing(KernelLog(write)):
        if not saved:
            yield
            return
        with tape.observers.watching(SavedLog(write)):
            yield


@contextmanager
def find_nan() -> Iterator[None]:
    """Raise NaNFound at the first op inside the block that makes a value that is not finite out of finite ones.

    As `torch.autograd.detect_anomaly`, which looks at backward only.

    Yields:
        Nothing.

    Raises:
        NaNFound: Names the op, the module being called and the place of the value.

    Example:
        >>> with find_nan():
        ...     y = tinymed.log(tinymed.zeros(2))
        Traceback (most recent call last):
        tinymed.debug.NaNFound: ...
    """
    with tape.observers.watching(NaNLocator()):
        yield


@contextmanager
def validate(rtol: float = 2e-4) -> Iterator[Validator]:
    """Raise Disagreement at the first kernel inside the block whose result is not the float64 reference's.

    Args:
        rtol: Largest error allowed, relative to the largest value of an array.

    Yields:
        The Validator; its `checked` counts the kernels replayed.

    Raises:
        Disagreement: Names the kernel, the module being called and the error.

    Example:
        >>> with validate() as validator:
        ...     y = tinymed.relu(tinymed.ones(2, 3))
        >>> validator.checked  # the reference is not replayed on itself
        0
    """
    observer = Validator(rtol)
    with dispatch.observing(observer):
        yield observer


def install() -> None:
    """Do what TINYMED_DEBUG and TINYMED_VALIDATE ask for, for the whole process."""
    words = set(os.environ.get("TINYMED_DEBUG", "").split(",")) - {"", "0"}
    unknown = words - {"1", "2", "nan"}
    if unknown:
        raise ValueError(
            f"TINYMED_DEBUG={','.join(sorted(unknown))} is not known; use 1, 2, nan, or several with commas"
        )
    if words & {"1", "2"}:
        dispatch.observers.everywhere(KernelLog())
    if "2" in words:
        tape.observers.everywhere(SavedLog())
    if "nan" in words:
        tape.observers.everywhere(NaNLocator())
    wanted = os.environ.get("TINYMED_VALIDATE", "")
    if wanted == REFERENCE:
        validator = Validator()
        dispatch.observers.everywhere(validator)
        atexit.register(
            lambda: to_stderr(f"TINYMED_VALIDATE: {validator.checked} kernel calls agreed with the reference")
        )
    elif wanted:
        raise ValueError(f"TINYMED_VALIDATE={wanted} is not known; use TINYMED_VALIDATE=reference")


# ------------------------------------------------------------------------------------------- the tape, printed


def graph(root: Node) -> list[Op]:
    """Return the ops that a tensor came from, in the order they ran."""
    found: dict[int, Op] = {}
    stack = [root.op] if root.op else []
    while stack:
        op = stack.pop()
        if op.order not in found:
            found[op.order] = op
            stack += [e[0] for e in op.edges if e is not None and isinstance(e[0], Op)]
    return [found[i] for i in sorted(found)]


def tape_text(root: Node) -> str:
    """Return the tape behind a tensor as text, one line per op: number, op, module, inputs, output shapes, bytes saved.

    Args:
        root: A tensor that requires a gradient.

    Returns:
        The lines, in the order the ops ran.

    Example:
        >>> x = tinymed.ones(3, requires_grad=True)
        >>> print(tape_text(tinymed.relu(x)))
        %0 = ReLU(leaf[3]) -> [3]; saves ... bytes
    """
    ops = graph(root)
    number = {id(op): i for i, op in enumerate(ops)}
    lines = []
    for i, op in enumerate(ops):
        inputs = ", ".join(
            "-" if e is None else f"%{number[id(e[0])]}" if isinstance(e[0], Op) else f"leaf{list(e[0].array.shape)}"
            for e in op.edges
        )
        shapes = ", ".join(str(list(shape)) for shape, _ in op.specs)
        saved = sum(a.nbytes for a in op.saved if is_array(a))
        lines.append(f"%{i} = {label(op)}({inputs}) -> {shapes}; saves {saved} bytes")
    return "\n".join(lines)


def tape_dot(root: Node) -> str:
    """Return the tape behind a tensor as a Graphviz graph: `dot -Tsvg`.

    Args:
        root: A tensor that requires a gradient.

    Returns:
        The graph in the DOT language.

    Example:
        >>> x = tinymed.ones(3, requires_grad=True)
        >>> tape_dot(tinymed.relu(x)).splitlines()[0]
        'digraph tape {'
    """
    ops = graph(root)
    number = {id(op): i for i, op in enumerate(ops)}
    lines = ["digraph tape {", '  rankdir="TB"; node [shape=box, fontname="sans-serif"];']
    leaves: dict[int, str] = {}
    for i, op in enumerate(ops):
        lines.append(f'  op{i} [label="{label(op)}\\n{" ".join(str(list(s)) for s, _ in op.specs)}"];')
        for e in op.edges:
            if e is None:
                continue
            if isinstance(e[0], Op):
                lines.append(f"  op{number[id(e[0])]} -> op{i};")
            else:
                if id(e[0]) not in leaves:
                    leaves[id(e[0])] = f"leaf{len(leaves)}"
                    lines.append(f'  {leaves[id(e[0])]} [label="{list(e[0].array.shape)}", shape=ellipse];')
                lines.append(f"  {leaves[id(e[0])]} -> op{i};")
    return "\n".join([*lines, "}"])
