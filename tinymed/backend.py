"""The kernel table: a name -> its implementations by backend, and the one place every kernel call passes.

A kernel is pure: arrays and scalars in, arrays out.  It is written in one of three ways:

    @kernel(out=like("x"), flops=...)                 reference: takes the array module xp and returns arrays;
    def relu_forward(xp, x): ...                      the definition, and the oracle of every other way

    @kernel(backend="numba", flat="y x")              compiled: outputs, then workspaces, then inputs;
    def relu_forward(y, x): ...                       allocates nothing, so the caller decides where results live

    @kernel(backend="numba", composite=True)          a function of the table k that calls other kernels
    def conv2d_forward(k, x, weight, ...): ...

`out` and `flops` are declared once, by the reference, for all backends.  A compiled kernel says in which memory order
it takes each array: `image` (N, C, *space) lies channels-last, `filter` (O, I, *space) lies *space, I, O, `flat`
arrays are 1-D views of any dense order they share, `rows` are images seen as a matrix of pixels x channels whatever
their number of axes (one compilation serves them all), the rest is C order.  The table converts what lies otherwise,
through the kernel `canonical`, so the cost is visible.  Inside, a compiled kernel sees C-contiguous arrays.
"""

import importlib
import inspect
import math
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import ModuleType
from typing import Any, NamedTuple, TypeVar

import numpy as np

from .memory import Order, canonical_order, dense_order, empty, inverse_order, is_dense

Array = Any  # a NumPy or CuPy array
Spec = tuple[tuple[int, ...], Any]  # shape, dtype


class Backend(NamedTuple):
    """Where arrays live and in which order implementations are tried."""

    device: str
    module: str  # the array module
    chain: tuple[str, ...]
    home: str = ""  # imported at first use: importing tinymed stays quick


REFERENCE = "reference"
BACKENDS = {
    "numpy": Backend("cpu", "numpy", (REFERENCE,)),
    "numba": Backend("cpu", "numpy", ("numba", REFERENCE), "tinymed.cpu"),
}
DEFAULT = "numba"
MOST_PLANS = 4096  # signatures remembered by one launch
SMALL = 16384  # elements below which threads cost more than they save


class BackendError(RuntimeError):
    """A backend that cannot work here, or a fallback that strict mode forbids."""


# ------------------------------------------------------------------------------------------------ declarations


class Rule(NamedTuple):
    """What all implementations of one kernel name share."""

    out: Callable[..., Sequence[Any]]
    flops: Callable[..., float] | None
    writes: frozenset[str]


class Kernel:
    """One implementation of one kernel name."""

    def __init__(self, fn: Callable[..., Any], name: str, backend: str, composite: bool, kinds: dict[str, str],
                 work: Callable[..., Sequence[Any]] | None, when: Callable[..., bool] | None,
                 parallel: bool):  # fmt: skip
        self.fn, self.name, self.backend, self.composite = fn, name, backend, composite
        self.reference = backend == REFERENCE
        self.compiled_kind = not (self.reference or composite)
        self.kinds, self.work, self.when, self.parallel = kinds, work, when, parallel
        self.parameters = list(inspect.signature(fn).parameters)
        self._compiled: Callable[..., Any] | None = None
        self.calls = 0

    @property
    def rule(self) -> Rule:
        return rules[self.name]

    def accepts(self, args: Sequence[Any]) -> bool:
        """Compiled kernels take float32 (and integers); `when` may ask for more."""
        if self.compiled_kind:
            for a in args:
                if isinstance(a, np.ndarray) and a.dtype.char not in "f?bBhHiIlLqQ":
                    return False
        return self.when is None or self.when(*args)

    def specs(self, args: Sequence[Any]) -> list[Spec]:
        """[(shape, dtype)] of the outputs; args need only .shape and .dtype."""
        dtype = next((a.dtype for a in args if hasattr(a, "dtype")), np.dtype(np.float32))
        return [spec(s, dtype) for s in self.rule.out(*args)]

    def compiled(self) -> Callable[..., Any]:
        """The machine code, made at the first call by the backend's own compiler."""
        if self._compiled is None:
            compiler = importlib.import_module(BACKENDS[self.backend].home).compile_kernel
            self._compiled = compiler(self.fn, self.parallel)
        return self._compiled

    def orders(self, args: Sequence[Any]) -> tuple[list[Order | None], Order]:
        """The order of axes in memory that each argument must have (None: no array), and that of `flat` outputs.

        `flat` arrays share one order: of the first that is dense but not in C order, else C.
        """
        names = self.parameters[len(self.parameters) - len(args) :]
        kinds = [
            self.kinds.get(n, "plain") if isinstance(a, np.ndarray) else "" for n, a in zip(names, args, strict=True)
        ]
        flat: Order = ()
        for kind, a in zip(kinds, args, strict=True):
            if kind == "flat" and (not flat or (flat == tuple(range(len(flat))) and not a.flags.c_contiguous)):
                flat = dense_order(a) or flat
        wanted = [order_of(kind, a.ndim, flat) if kind else None for kind, a in zip(kinds, args, strict=True)]
        return wanted, flat

    def order(self, name: str, ndim: int, flat: Order) -> Order:
        """The order of axes in memory of an output or workspace."""
        return order_of(self.kinds.get(name, "plain"), ndim, flat)

    def view(self, name: str, order: Order) -> Callable[[Array], Array] | None:
        """What makes an array, dense in this order, the C-contiguous view that the compiled loop takes."""
        kind, as_is = self.kinds.get(name), order == tuple(range(len(order)))
        if kind == "flat":
            return lambda a: a.transpose(order).reshape(-1)
        if kind == "rows":
            return lambda a: matrix(a.transpose(order))
        return None if as_is else lambda a: a.transpose(order)


def order_of(kind: str, ndim: int, flat: Order) -> Order:
    """The order of axes in memory of an argument of this kind; `flat` ones follow the others'."""
    return flat if kind == "flat" and len(flat) == ndim else canonical_order(kind, ndim)


def matrix(a: Array) -> Array:
    """Pixels x channels of a channels-last array of any number of axes."""
    return a.reshape(math.prod(a.shape[:-1]), a.shape[-1]) if a.ndim else a.reshape(1, 1)


rules: dict[str, Rule] = {}
implementations: dict[tuple[str, str], Kernel] = {}


F = TypeVar("F", bound=Callable[..., Any])


def kernel(*, name: str = "", backend: str = REFERENCE, out: Callable[..., Sequence[Any]] | None = None,
           flops: Callable[..., float] | None = None, writes: str = "", composite: bool = False, image: str = "",
           filter: str = "", flat: str = "", rows: str = "", work: Callable[..., Sequence[Any]] | None = None,
           when: Callable[..., bool] | None = None, parallel: bool = True) -> Callable[[F], F]:  # fmt: skip
    """Declare an implementation of the kernel that the function is named after; see the module's docstring.

    name: instead of the function's own.  out: inputs -> shapes, or (shape, dtype) pairs, of the outputs.  flops:
    inputs -> floating-point operations.  writes: inputs updated in place.  work: inputs -> shapes of scratch arrays.
    when: inputs -> whether this implementation can take them; if not, the chain goes on.  parallel: its prange loops
    run on several threads.
    """
    named = (("image", image), ("filter", filter), ("flat", flat), ("rows", rows))
    kinds = {parameter: kind for kind, names in named for parameter in names.split()}

    def declare(fn: F) -> F:
        called = name or fn.__name__
        if backend == REFERENCE or called not in rules:
            rules[called] = Rule(out or like_first, flops, frozenset(writes.split()))
        implementations[backend, called] = Kernel(fn, called, backend, composite, kinds, work, when, parallel)
        return fn

    return declare


def like_first(*args: Any) -> list[tuple[int, ...]]:
    """One output of the first array's shape."""
    return [next(a for a in args if hasattr(a, "shape")).shape]


def spec(s: Any, dtype: Any) -> Spec:
    """A rule gives a shape, or (shape, dtype)."""
    return (tuple(s[0]), np.dtype(s[1])) if len(s) == 2 and isinstance(s[0], tuple) else (tuple(s), dtype)


@kernel(out=lambda x, order: [x.shape])
def canonical(xp: ModuleType, x: Array, order: Order) -> Array:
    """Bring an array into a given order of axes in memory: the conversion at the edge, itself a kernel."""
    return xp.ascontiguousarray(x.transpose(order)).transpose(inverse_order(order))


# -------------------------------------------------------------------------------------------------- calling


class Observer:
    """Sees kernel calls: debugging, validation and recording derive from it."""

    def before(self, launch: "Launch", kernel: Kernel, args: Sequence[Any]) -> None: ...

    def after(self, launch: "Launch", kernel: Kernel, args: Sequence[Any], outs: Sequence[Array]) -> None: ...


observers: list[Observer] = []


class Plan(NamedTuple):
    """How a launch treats arguments of one signature: decided once, then looked up."""

    kernel: Kernel
    fallback: bool  # the reference answers for a backend that has compiled kernels
    edges: list[tuple[int, Order]] = []  # arguments that lie otherwise than the kernel wants
    outs: list[tuple[tuple[int, ...], Any, Order]] = []
    work: list[Spec] = []
    views: list[Callable[[Any], Any] | None] = []  # outputs, workspaces, arguments -> what the machine code takes
    small: bool = False  # too little work to wake other threads for
    written: list[int] = []  # arguments updated in place that lay otherwise: copied back


class Launch:
    """A kernel name in one backend's table: calling it picks an implementation and runs it."""

    def __init__(self, name: str, table: "Table"):
        chain = BACKENDS[table.name].chain
        self.name, self.table = name, table
        self.kernels = [implementations[b, name] for b in chain if (b, name) in implementations]
        self.plans: dict[tuple[Any, ...], Plan] = {}
        self.native = self.fallback = 0  # calls answered by the backend itself, and by the reference
        if not self.kernels:
            raise AttributeError(f"no kernel {name!r} on backend {table.name!r}")

    def __call__(self, *args: Any) -> Any:
        key = tuple([(a.shape, a.strides, a.dtype.char) if hasattr(a, "strides") else (type(a), a) for a in args])
        plan = self.plans.get(key) or self.decide(key, args)
        if plan.fallback:
            self.fallback += 1
            if strict and self.name in self.table.native and is_single(args):
                raise BackendError(f"{self.name} must be native on {self.table.name!r} but fell back to the "
                                   f"reference for {describe(args)}")  # fmt: skip
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

    def decide(self, key: tuple[Any, ...], args: Sequence[Any]) -> Plan:
        """The first implementation of the chain that can take these arguments, and how it is called."""
        kernel = next((k for k in self.kernels if k.accepts(args)), None)
        if kernel is None:
            raise BackendError(f"{self.name}: no implementation takes {describe(args)}")
        if len(self.plans) >= MOST_PLANS:  # shapes that never come again
            self.plans.clear()
        plan = Plan(kernel, True) if kernel.reference else Plan(kernel, False)
        if kernel.compiled_kind:
            plan = self.lay_out(kernel, args)
        elif self.table.name == "numpy":
            plan = Plan(kernel, False)
        self.plans[key] = plan
        return plan

    def lay_out(self, kernel: Kernel, args: Sequence[Any]) -> Plan:
        """Memory orders, outputs and workspaces of a compiled kernel."""
        orders, flat = kernel.orders(args)
        edges = [
            (i, o) for i, (a, o) in enumerate(zip(args, orders, strict=True)) if o is not None and not is_dense(a, o)
        ]
        names = iter(kernel.parameters)
        outs = [(shape, dtype, kernel.order(n, len(shape), flat))
                for (shape, dtype), n in zip(kernel.specs(args), names, strict=False)]  # fmt: skip
        work = [spec(w, np.dtype(np.float32)) for w in (kernel.work(*args) if kernel.work else ())]
        views: list[Callable[[Any], Any] | None] = [kernel.view(n, o) for (_, _, o), n in
                                                    zip(outs, kernel.parameters, strict=False)]  # fmt: skip
        views += [None] * len(work)
        for n, a, o in zip(kernel.parameters[len(kernel.parameters) - len(args) :], args, orders, strict=True):
            views.append(kernel.view(n, o) if o is not None else np.float32 if isinstance(a, float) else None)
        elements = sum(math.prod(shape) for shape, *_ in outs) + sum(a.size for a in args if hasattr(a, "size"))
        small = elements < SMALL and (kernel.rule.flops is None or kernel.rule.flops(*args) < 32 * SMALL)
        first = len(kernel.parameters) - len(args)
        written = [i for i, _ in edges if kernel.parameters[first + i] in kernel.rule.writes]
        return Plan(kernel, False, edges, outs, work, views, small, written)

    def run(self, plan: Plan, args: Sequence[Any]) -> Any:
        kernel = plan.kernel
        kernel.calls += 1
        if kernel.reference:
            with np.errstate(all="ignore"):  # inf and nan flow as IEEE says; TINYMED_DEBUG=nan finds them
                result = kernel.fn(self.table.xp, *args)
            asarray = self.table.xp.asarray  # NumPy gives scalars where an array has no axes
            return tuple([asarray(r) for r in result]) if isinstance(result, tuple) else asarray(result)
        if kernel.composite:
            return kernel.fn(self.table, *args)
        given = args
        if plan.edges:
            args = list(args)
            for i, order in plan.edges:
                args[i] = self.table.canonical(args[i], order)
        outs = [empty(*o) for o in plan.outs]
        work = [empty(*w) for w in plan.work]
        native = [a if v is None else v(a) for v, a in zip(plan.views, [*outs, *work, *args], strict=True)]
        if plan.small:
            self.table.home.alone(kernel.compiled(), native)
        else:
            kernel.compiled()(*native)
        for i in plan.written:
            given[i][...] = args[i]
        return outs[0] if len(outs) == 1 else tuple(outs)


class Table:
    """The kernels of one backend as attributes: `table.relu_forward(x)`."""

    def __init__(self, name: str):
        self.name, self.device = name, BACKENDS[name].device
        self.xp = importlib.import_module(BACKENDS[name].module)
        self.home: Any = importlib.import_module(BACKENDS[name].home) if BACKENDS[name].home else None
        self.native: frozenset[str] = getattr(self.home, "NATIVE", frozenset())
        self.launches: dict[str, Launch] = {}

    def __getattr__(self, name: str) -> Launch:  # once per name; then a plain attribute
        if name.startswith("_"):
            raise AttributeError(name)
        launch = self.launches[name] = Launch(name, self)
        setattr(self, name, launch)
        return launch


def describe(args: Sequence[Any]) -> str:
    """Arguments for an error message: arrays as shape and dtype."""
    return ", ".join(f"{a.dtype}{list(a.shape)}" if hasattr(a, "dtype") else repr(a) for a in args)


def is_single(args: Sequence[Any]) -> bool:
    """Whether there are floating-point arrays and all are float32: what compiled kernels promise to take."""
    kinds = {a.dtype.char for a in args if hasattr(a, "dtype")}
    return "f" in kinds and kinds <= set("f?bBhHiIlLqQ")


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
def observing(observer: Observer) -> Iterator[Observer]:
    """Let an observer see every kernel call of a block."""
    observers.append(observer)
    try:
        yield observer
    finally:
        observers.remove(observer)


def record(name: str | None = None) -> dict[str, tuple[int, int]]:
    """{kernel: (native calls, fallback calls)} of a backend since the process started."""
    return {n: (launch.native, launch.fallback) for n, launch in sorted(table(name).launches.items())}
