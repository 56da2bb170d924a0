"""Call kernels: a dispatcher for each name, the call it prepares for each signature, and those who watch.

`Dispatcher.call` is one call written plainly.  `Dispatcher.__call__` is the same call where nobody watches and its
arguments' signature was met before, which is nearly always: one look-up, and the prepared call.
"""

import contextvars
import functools
import os
import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..memory import inverse_order
from ..observers import Observers
from .declare import (
    BACKENDS,
    LOOPS,
    REFERENCE,
    Array,
    BackendError,
    Kernel,
    describe,
    home_of,
    implementations,
    is_array,
)
from .select import Plan, View, is_c_order, is_double, is_single, lay_out, native_view, select, signature

MOST_PLANS = 4096  # signatures remembered by one dispatcher
strict = os.environ.get("TINYMED_STRICT", "") not in ("", "0")  # raise where a kernel on the native list falls back


class Observer:
    """Sees kernel calls: debugging, validation and recording derive from it."""

    def before(self, dispatcher: "Dispatcher", kernel: Kernel, args: Sequence[Any]) -> None: ...

    def after(self, dispatcher: "Dispatcher", kernel: Kernel, args: Sequence[Any], outs: Sequence[Array]) -> None: ...


observers: Observers[Observer] = Observers()
observing = observers.watching  # for a block of this thread
entries = observers.entries


class Dispatcher:
    """One kernel name on one backend's table: calling it selects an implementation and runs it.

    table: The `tables.Table` that it serves, which gives it memory, machine code and the other kernels.
    """

    def __init__(self, name: str, table: Any):
        self.name, self.table = name, table
        self.own, *after = BACKENDS[table.name].chain
        self.kernels = [implementations[b, name] for b in {self.own: 0, REFERENCE: 0} if (b, name) in implementations]
        # whose kernels stand in for those that the backend has not got
        missing = (self.own, name) not in implementations
        self.middle = next((b for b in after if missing and b != REFERENCE), "")
        if self.middle and not self.kernels:  # a part of a composite that stands in
            home_of(self.middle)
            self.kernels = [implementations[self.middle, name]] if (self.middle, name) in implementations else []
        if not self.kernels:
            raise AttributeError(f"no kernel {name!r} on backend {table.name!r}")
        first = self.kernels[0]
        # A composite needs no plan: the kernels that it calls have theirs.  One of loops asks for more than `when`.
        direct = first.composite and not first.choice and first.backend == self.own != LOOPS
        self.composite = first.fn if direct and table.skipped is None else None
        self.when = first.when
        self.double = first.double  # it must be native for float64 too
        self.plans: dict[tuple[Any, ...], Plan] = {}
        # by signature: the count that the call belongs to, and what runs it where nobody watches
        self.prepared: dict[tuple[Any, ...], tuple[list[int], Callable[..., Any]]] = {}
        self.natives, self.fallbacks = [0], [0]  # counts that a prepared call may belong to

    def __call__(self, *args: Any) -> Any:
        if self.composite is not None and not entries and (self.when is None or self.when(*args)):
            self.natives[0] += 1
            return self.composite(self.table, *args)
        known = self.prepared.get(signature(args))
        if known is None or entries:
            return self.call(args)
        count, run = known
        count[0] += 1
        return run(*args)

    @property
    def native(self) -> int:
        """Return the number of calls that the backend's own kernels served."""
        return self.natives[0]

    @property
    def fallback(self) -> int:
        """Return the number of calls that a later implementation of the chain served."""
        return self.fallbacks[0]

    def call(self, args: tuple[Any, ...]) -> Any:
        """Run one call: select, bring arguments into the memory order that is wanted, compute, copy back."""
        plan = self.plan_for(args)
        self.count(plan, args)
        watching = list(observers)
        for o in watching:
            o.before(self, plan.kernel, args)
        result = self.relaid(plan)(*args)
        for o in watching:
            o.after(self, plan.kernel, args, result if isinstance(result, tuple) else (result,))
        return result

    def plan_for(self, args: Sequence[Any]) -> Plan:
        """Return how arguments of this signature are treated."""
        return self.plans.get(signature(args)) or self.decide(args)

    def decide(self, args: Sequence[Any]) -> Plan:
        """Select an implementation for arguments of a new signature, prepare the call, and remember both."""
        kernel = select(self.name, self.kernels, self.middle, args)
        if len(self.plans) >= MOST_PLANS:  # shapes that never come again
            self.forget()
        fallback = kernel.backend != self.own
        plan = lay_out(kernel, args, fallback) if kernel.compiled_kind else Plan(kernel, fallback)
        if kernel.compiled_kind:
            plan = plan._replace(code=self.table.machine_code(plan))
        plan = plan._replace(call=prepare(plan, self.table))
        key = signature(args)
        self.plans[key] = plan
        known = forward(kernel, self.table, args) if kernel.choice else self.counted(plan)
        if known is not None:
            self.prepared[key] = known
        return plan

    def counted(self, plan: Plan) -> tuple[list[int], Callable[..., Any]] | None:
        """Return the count that calls of a plan belong to, and what runs them; None where strict mode has a say."""
        if plan.fallback and strict:
            return None
        return self.fallbacks if plan.fallback else self.natives, self.relaid(plan)

    def relaid(self, plan: Plan) -> Callable[..., Any]:
        """Return a plan's call for arguments that lie otherwise: copies go in, what is written comes back."""
        if not plan.relayouts:
            return plan.call
        run, relayouts, written, canonical = plan.call, plan.relayouts, plan.written, self.table.canonical

        def call(*args: Any) -> Any:
            laid = list(args)
            for i, order in relayouts:
                laid[i] = canonical(args[i], order)
            result = run(*laid)
            for i in written:
                args[i][...] = laid[i]
            return result

        return call

    def count(self, plan: Plan, args: Sequence[Any]) -> None:
        """Count a call as native or as a fallback, which strict mode refuses for kernels on the native list."""
        if not plan.fallback:
            self.natives[0] += 1
            return
        self.fallbacks[0] += 1
        if strict and self.name in self.table.native and (is_single(args) or (self.double and is_double(args))):
            raise BackendError(
                f"{self.name} must be native on {self.table.name!r} but fell back to the "
                f"{plan.kernel.backend} for {describe(args)}"
            )

    def forget(self) -> None:
        """Drop every plan."""
        self.plans.clear()
        self.prepared.clear()


# ------------------------------------------------------------------------------------------------ prepared calls


def prepare(plan: Plan, table: Any) -> Callable[..., Any]:
    """Return a plan as a function of the arguments, with all that can be known before them."""
    kernel = plan.kernel
    if plan.code is not None:
        return prepare_compiled(plan, plan.code, table)
    if kernel.composite:
        return functools.partial(kernel.fn, table)
    return prepare_reference(kernel, table.xp)


def prepare_reference(kernel: Kernel, xp: Any) -> Callable[..., Any]:
    """Return a call of a reference kernel.  NumPy gives scalars where an array has no axes: they become arrays."""

    def call(*args: Any) -> Any:
        result = quiet.context.run(kernel.fn, xp, *args)
        if type(result) is tuple:
            return tuple([xp.asarray(r) for r in result])
        return xp.asarray(result)

    return call


def prepare_compiled(plan: Plan, compiled: Callable[..., Any], table: Any) -> Callable[..., Any]:
    """Return a call of a compiled kernel: allocate outputs and workspaces, take views, run the machine code.

    Outputs are made in C order of the axes as they lie in memory, and transposed to the order in which they are
    declared at the end.
    """
    makers = [table.maker(tuple(shape[a] for a in order), dtype) for shape, dtype, order in plan.outs]
    makers += [table.maker(*w) for w in plan.work]
    transposes = [(i, inverse_order(o)) for i, (*_, o) in enumerate(plan.outs) if not is_c_order(o)]
    views = [*output_views(plan), *((i, v) for i, v in enumerate(plan.views) if v is not None and i >= len(makers))]
    if len(makers) == 1:
        back = transposes[0][1] if transposes else None
        return one_output(makers[0], views, back, compiled, table.ready)
    count = len(plan.outs)
    code: Callable[..., Any] | None = None

    def call(*args: Any) -> Any:
        nonlocal code
        made = []
        for make in makers:
            made.append(make())
        arrays = [*made, *args]
        for i, view in views:
            arrays[i] = view(arrays[i])
        if code is None:
            code = first_call(compiled, arrays, table.ready)
        else:
            code(*arrays)
        for i, back in transposes:
            made[i] = made[i].transpose(back)
        return made[0] if count == 1 else tuple(made[:count])

    return call


def one_output(
    make: Callable[[], Array],
    views: Sequence[tuple[int, View]],
    back: Any,
    compiled: Callable[..., Any],
    ready: Callable[..., Any],
) -> Callable[..., Any]:
    """Return the same call for one output and no workspace, without the loops: what most calls are."""
    code: Callable[..., Any] | None = None

    def call(*args: Any) -> Any:
        nonlocal code
        y = make()
        arrays = [y, *args]
        for i, view in views:
            arrays[i] = view(arrays[i])
        if code is None:
            code = first_call(compiled, arrays, ready)
        else:
            code(*arrays)
        return y if back is None else y.transpose(back)

    return call


def first_call(compiled: Callable[..., Any], arrays: Sequence[Any], ready: Callable[..., Any]) -> Callable[..., Any]:
    """Run machine code through its compiler, which looks at every argument's type; return what to call next.

    The arguments of one plan always have the same types, so that later calls may pass the compiler by.
    """
    compiled(*arrays)
    code: Callable[..., Any] = ready(compiled, arrays)
    return code


def output_views(plan: Plan) -> list[tuple[int, View]]:
    """Return (index, view) of the outputs that the machine code takes otherwise than as they are made."""
    found = []
    for i, (shape, _, order) in enumerate(plan.outs):
        view = native_view(
            plan.kernel, plan.kernel.parameters[i], tuple(range(len(order))), tuple(shape[a] for a in order)
        )
        if view is not None:
            found.append((i, view))
    return found


class Quiet(threading.local):
    """A context in which inf and nan flow as IEEE says; TINYMED_DEBUG=nan finds them.

    np.errstate does the same at 1 us a call.
    """

    def __init__(self) -> None:
        self.context = contextvars.copy_context()
        self.context.run(np.seterr, all="ignore")


quiet = Quiet()


# ----------------------------------------------------------------------------------------- choices, and dry calls


class Forwarder:
    """A table that calls nothing: `k.relu_forward(x)` is (dispatcher, arguments)."""

    def __init__(self, table: Any):
        self.table = table

    def __getattr__(self, name: str) -> Callable[..., tuple[Dispatcher, tuple[Any, ...]]]:
        return lambda *args: (getattr(self.table, name), args)


def forward(kernel: Kernel, table: Any, args: Sequence[Any]) -> tuple[list[int], Callable[..., Any]] | None:
    """Return the count of the kernel that a choice forwards arguments of this signature to, and the call.

    None if strict mode has a say in it.
    """
    probes = [a.view() if is_array(a) else a for a in args]  # no array is given twice
    dispatcher, forwarded = kernel.fn(Forwarder(table), *probes)
    known: tuple[list[int], Callable[..., Any]] | None = dispatcher.counted(dispatcher.plan_for(forwarded))
    if known is None or [*map(id, forwarded)] == [*map(id, probes)]:
        return known
    count, call = known
    places = [next((i for i, a in enumerate(probes) if a is f), -1) for f in forwarded]
    picks = [(i, None if i >= 0 else f) for i, f in zip(places, forwarded, strict=True)]
    return count, lambda *args: call(*[args[i] if i >= 0 else f for i, f in picks])


Skipped = Callable[[Kernel, Plan, Sequence[Any]], Any]


def skip(plan: Plan, skipped: Skipped, *native: Any) -> None:
    """Stand in for machine code in a dry call: outputs keep what memory holds, but integers, which index, become 0."""
    for a in native[: len(plan.outs)]:
        if a.dtype.kind in "iu":
            a[...] = 0
    skipped(plan.kernel, plan, native)
