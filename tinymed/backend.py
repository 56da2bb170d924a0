"""The kernel table: the one place every kernel call passes.

`table().relu_forward(x)` picks the first implementation of the backend's chain that takes the arguments, brings what
lies in another memory order into the one it wants, allocates its outputs and calls it.  How arguments of one signature
(shapes, strides, dtypes, numbers) are treated is decided once and looked up from then on: a `Plan`.

How kernels are declared is in `kernels`; what users need of it is imported here.
"""

import functools
import importlib
import math
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from .kernels import (
    BACKENDS,
    DEFAULT,
    LOOPS,
    REFERENCE,
    Array,
    Backend,
    BackendError,
    Kernel,
    Rule,
    Spec,
    canonical,
    describe,
    home_of,
    implementations,
    is_array,
    is_single,
    kernel,
    like_first,
    matrix,
    order_of,
    rules,
    spec,
)
from .memory import empty, is_dense, maker
from .plan import Plan, calling, signature

__all__ = [
    "BACKENDS",
    "DEFAULT",
    "REFERENCE",
    "Array",
    "Backend",
    "BackendError",
    "Kernel",
    "Plan",
    "Rule",
    "Spec",
    "canonical",
    "describe",
    "empty",
    "implementations",
    "is_single",
    "kernel",
    "like_first",
    "matrix",
    "order_of",
    "rules",
    "spec",
]

MOST_PLANS = 4096  # signatures remembered by one launch
SMALL = 16384  # elements below which threads cost more than they save
LARGE = 1 << 16  # elements below which a loop gains less on the reference than its compilation costs


class Observer:
    """Sees kernel calls: debugging, validation and recording derive from it."""

    def before(self, launch: "Launch", kernel: Kernel, args: Sequence[Any]) -> None: ...

    def after(self, launch: "Launch", kernel: Kernel, args: Sequence[Any], outs: Sequence[Array]) -> None: ...


observers: list[Observer] = []


class Launch:
    """A kernel name in one backend's table: calling it picks an implementation and runs it."""

    def __init__(self, name: str, table: "Table"):
        self.name, self.table = name, table
        self.own, *after = BACKENDS[table.name].chain
        ends = dict.fromkeys((self.own, REFERENCE))
        self.kernels = [implementations[b, name] for b in ends if (b, name) in implementations]
        # what stands in for kernels that the backend has not got
        missing = (self.own, name) not in implementations
        self.middle = next((b for b in after if missing and b != REFERENCE), "")
        if self.middle and not self.kernels:  # a part of a composite that stands in
            home_of(self.middle)
            self.kernels = [implementations[self.middle, name]] if (self.middle, name) in implementations else []
        self.plans: dict[tuple[Any, ...], Plan] = {}
        # of plans that need nothing more, which are most: who answers, and what is called
        self.calls: dict[tuple[Any, ...], tuple[Launch, Callable[..., Any]]] = {}
        self.native = self.fallback = 0  # calls answered by the backend itself, and by what comes after it in its chain
        if not self.kernels:
            raise AttributeError(f"no kernel {name!r} on backend {table.name!r}")

    def __call__(self, *args: Any) -> Any:
        known = self.calls.get(signature(args))
        if known is not None and not observers:
            launch, call = known
            launch.native += 1
            return call(*args)
        plan = self.plan_for(args)
        if plan.fallback:
            self.fallback += 1
            if strict and self.name in self.table.native and is_single(args):
                raise BackendError(
                    f"{self.name} must be native on {self.table.name!r} but fell back to the "
                    f"{plan.kernel.backend} for {describe(args)}"
                )
        else:
            self.native += 1
        if not observers:
            return self.run(plan, args)
        watching = list(observers)
        for o in watching:
            o.before(self, plan.kernel, args)
        result = self.run(plan, args)
        outs = result if isinstance(result, tuple) else (result,)
        for o in watching:
            o.after(self, plan.kernel, args, outs)
        return result

    def plan_for(self, args: Sequence[Any]) -> Plan:
        """How arguments of this signature are treated."""
        return self.plans.get(signature(args)) or self.decide(args)

    def decide(self, args: Sequence[Any]) -> Plan:
        """The first implementation of the chain that can take these arguments, and how it is called."""
        kernel = self.stand_in(args) or next((k for k in self.kernels if k.accepts(args)), None)
        if kernel is None:
            raise BackendError(f"{self.name}: no implementation takes {describe(args)}")
        refuse_shared_writes(kernel, args)
        if len(self.plans) >= MOST_PLANS:  # shapes that never come again
            self.plans.clear()
            self.calls.clear()
        plan = self.lay_out(kernel, args) if kernel.compiled_kind else Plan(kernel, kernel.backend != self.own)
        plan = plan._replace(call=calling(plan, self.table))
        key = signature(args)
        self.plans[key] = plan
        call = self.chosen(kernel, args) if kernel.choice else (self, plan.call)
        if call is not None and not (plan.fallback or plan.edges):
            self.calls[key] = call
        return plan

    def stand_in(self, args: Sequence[Any]) -> Kernel | None:
        """The kernel of the middle of the chain where it is worth asking for, which imports it."""
        if not self.middle or sum(a.size for a in args if is_array(a)) < LARGE:
            return None
        home_of(self.middle)
        kernel = implementations.get((self.middle, self.name))
        return kernel if kernel is not None and kernel.stands_in(args) else None

    def chosen(self, kernel: Kernel, args: Sequence[Any]) -> "tuple[Launch, Callable[..., Any]] | None":
        """What a choice comes down to for arguments of this signature, unless it first changes a memory order."""
        probes = [a.view() if is_array(a) else a for a in args]  # no array is given twice
        launch, given = kernel.fn(Choice(self.table), *probes)
        plan = launch.plan_for(given)
        if plan.fallback or plan.edges:
            return None
        if [*map(id, given)] == [*map(id, probes)]:
            return launch, plan.call
        places = [next((i for i, a in enumerate(probes) if a is g), -1) for g in given]
        picks = [(i, None if i >= 0 else g) for i, g in zip(places, given, strict=True)]
        return launch, lambda *args: plan.call(*[args[i] if i >= 0 else g for i, g in picks])

    def lay_out(self, kernel: Kernel, args: Sequence[Any]) -> Plan:
        """Memory orders, outputs and workspaces of a compiled kernel."""
        orders, flat = kernel.orders(args)
        edges = [
            (i, o) for i, (a, o) in enumerate(zip(args, orders, strict=True)) if o is not None and not is_dense(a, o)
        ]
        names = iter(kernel.parameters)
        outs = [
            (shape, dtype, kernel.order(n, len(shape), flat))
            for (shape, dtype), n in zip(kernel.specs(args), names, strict=False)
        ]
        work = [spec(w, np.dtype(np.float32)) for w in (kernel.work(*args) if kernel.work else ())]
        views: list[Callable[[Any], Any] | None] = [
            kernel.view(n, o, shape) for (shape, _, o), n in zip(outs, kernel.parameters, strict=False)
        ]
        views += [None] * len(work)
        number = None if kernel.backend == LOOPS else np.float32  # a loop for float64 loses no digits
        for n, a, o in zip(kernel.parameters[len(kernel.parameters) - len(args) :], args, orders, strict=True):
            views.append(kernel.view(n, o, a.shape) if o is not None else number if isinstance(a, float) else None)
        elements = sum(math.prod(shape) for shape, *_ in outs) + sum(a.size for a in args if hasattr(a, "size"))
        small = elements < SMALL and (kernel.rule.flops is None or kernel.rule.flops(*args) < 32 * SMALL)
        first = len(kernel.parameters) - len(args)
        written = [i for i, _ in edges if kernel.parameters[first + i] in kernel.rule.writes]
        return Plan(
            kernel, kernel.backend != self.own, edges, outs, work, views, small, written, kernel.compiled(small)
        )

    def run(self, plan: Plan, args: Sequence[Any]) -> Any:
        """Call a plan's kernel, with what lies in another memory order brought into the one it wants."""
        if not plan.edges:
            return plan.call(*args)
        laid = list(args)
        for i, order in plan.edges:
            laid[i] = self.table.canonical(laid[i], order)
        result = plan.call(*laid)
        for i in plan.written:
            args[i][...] = laid[i]
        return result


def refuse_shared_writes(kernel: Kernel, args: Sequence[Any]) -> None:
    """Raise where a kernel would write in place to an array whose elements share memory, as after `expand`."""
    if not kernel.rule.writes:
        return
    named = zip(kernel.parameters[-len(args) :], args, strict=False)
    for name, a in [(name, a) for name, a in named if name in kernel.rule.writes and is_array(a)]:
        if any(n > 1 and stride == 0 for n, stride in zip(a.shape, a.strides, strict=True)):
            raise RuntimeError(
                f"{kernel.name} writes to {name} in place, but several of its elements share one place in memory: "
                "it was expanded or broadcast; write to a copy (clone())"
            )


class Table:
    """The kernels of one backend as attributes: `table.relu_forward(x)`."""

    def __init__(self, name: str):
        self.name, self.device = name, BACKENDS[name].device
        self.home: Any = importlib.import_module(BACKENDS[name].home) if BACKENDS[name].home else None
        allocator = getattr(self.home, "allocator", None)  # raises BackendError where the backend cannot work
        self.empty: Callable[..., Array] = allocator(name) if allocator else empty
        self.ready: Callable[[Any, Sequence[Any]], Any] = getattr(self.home, "ready", lambda code, arrays: code)
        self.xp = importlib.import_module(BACKENDS[name].module)
        self.native: frozenset[str] = getattr(self.home, "NATIVE", frozenset())
        self.launches: dict[str, Launch] = {}

    def __getattr__(self, name: str) -> Launch:  # once per name; then a plain attribute
        if name.startswith("_"):
            raise AttributeError(name)
        launch = self.launches[name] = self.launch(name)
        setattr(self, name, launch)
        return launch

    def launch(self, name: str) -> Launch:
        """What answers to a kernel's name."""
        launch = Launch(name, self)
        first = launch.kernels[0]
        direct = first.composite and not first.choice and first.backend == launch.own != LOOPS
        return CompositeLaunch(name, self) if direct else launch

    def maker(self, shape: tuple[int, ...], dtype: Any) -> Callable[[], Array]:
        """What allocates an array of this shape, in C order, each time it is called."""
        return maker(shape, dtype) if self.empty is empty else functools.partial(self.empty, shape, dtype)

    def forget(self) -> None:
        """Drop every plan: after `empty` was replaced, which plans hold."""
        for launch in self.launches.values():
            launch.plans.clear()
            launch.calls.clear()


class Choice:
    """A table that does not launch: `k.relu_forward(x)` is (launch, arguments)."""

    def __init__(self, table: Table):
        self.table = table

    def __getattr__(self, name: str) -> Callable[..., tuple[Launch, tuple[Any, ...]]]:
        return lambda *args: (getattr(self.table, name), args)


class CompositeLaunch(Launch):
    """A name whose first implementation calls other kernels, which have plans: this one needs none."""

    def __init__(self, name: str, table: "Table"):
        super().__init__(name, table)
        self.when, self.fn = self.kernels[0].when, self.kernels[0].fn

    def __call__(self, *args: Any) -> Any:
        if observers or not (self.when is None or self.when(*args)):
            return super().__call__(*args)
        self.native += 1
        return self.fn(self.table, *args)


Skipped = Callable[[Kernel, Plan, Sequence[Any]], Any]


class DryLaunch(Launch):
    """A kernel that is planned, and seen by observers, but whose machine code is not run."""

    table: "DryTable"

    def lay_out(self, kernel: Kernel, args: Sequence[Any]) -> Plan:
        plan = super().lay_out(kernel, args)

        def skip(*native: Any) -> None:
            for a in native[: len(plan.outs)]:
                if a.dtype.kind in "iu":
                    a[...] = 0  # an index of something
            self.table.skipped(kernel, plan, native)

        return plan._replace(code=skip)


class DryTable(Table):
    """A table whose compiled kernels return memory as it comes; skipped(kernel, plan, arguments) is told of each."""

    def __init__(self, name: str, skipped: Skipped):
        super().__init__(name)
        self.skipped = skipped

    def launch(self, name: str) -> Launch:
        return DryLaunch(name, self)


# ------------------------------------------------------------------------------------------------- choosing

tables: dict[str, Table] = {}
current: Table | None = None
strict = os.environ.get("TINYMED_STRICT", "") not in ("", "0")


def table(name: str | None = None) -> Table:
    """The table of the named backend, or of the one in use."""
    global current
    if name is None:
        if current is None:
            current = table(os.environ.get("TINYMED_BACKEND") or DEFAULT)
        return current
    if name not in tables:
        if name not in BACKENDS:
            raise ValueError(f"backend {name!r} is unknown; choose one of {', '.join(BACKENDS)}")
        tables[name] = Table(name)
    return tables[name]


def absence(name: str) -> str:
    """Why a backend cannot work here, or nothing."""
    try:
        table(name)
    except (ImportError, OSError, BackendError) as reason:
        return str(reason)
    return ""


class use_backend:
    """Choose the backend: `use_backend("numpy")` from here on, or `with use_backend("numpy"):` for a block."""

    def __init__(self, name: str):
        global current
        self.before = current
        current = table(name)

    def __enter__(self) -> Table:
        return table()

    def __exit__(self, *_: object) -> None:
        global current
        current = self.before


@contextmanager
def dry(skipped: Skipped) -> Iterator[None]:
    """Run steps without computing or compiling: what they would call is planned, and skipped() is told.

    References are run, on whatever memory holds; shapes, dtypes and memory orders are the true ones.
    """
    global current
    before, current = current, DryTable(table().name, skipped)
    try:
        yield
    finally:
        current = before


@contextmanager
def observing(observer: Observer) -> Iterator[Observer]:
    """Let an observer see every kernel call of a block."""
    observers.append(observer)
    try:
        yield observer
    finally:
        observers.remove(observer)


def record(name: str | None = None) -> dict[str, tuple[int, int]]:
    """{kernel: (native calls, calls that fell back along the chain)} of a backend since the process started."""
    return {n: (launch.native, launch.fallback) for n, launch in sorted(table(name).launches.items())}
