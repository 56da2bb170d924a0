"""Kernels: a name -> its implementations by backend, and how they are declared.

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
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any, NamedTuple, TypeVar

import numpy as np

from .memory import Order, canonical_order, dense_order, inverse_order

Array = Any  # a NumPy or CuPy array
Spec = tuple[tuple[int, ...], Any]  # shape, dtype


class Backend(NamedTuple):
    """Where arrays live and in which order implementations are tried."""

    device: str
    module: str  # the array module
    chain: tuple[str, ...]
    home: str = ""  # imported at first use: importing tinymed stays quick


REFERENCE = "reference"
LOOPS = "loops"  # the loop a student reads: float32 and float64, any processor
BACKENDS = {
    "numpy": Backend("cpu", "numpy", (REFERENCE,)),
    LOOPS: Backend("cpu", "numpy", (LOOPS, REFERENCE), "tinymed.cpu.loops"),
    "numba": Backend("cpu", "numpy", ("numba", LOOPS, REFERENCE), "tinymed.cpu"),
    "cupy": Backend("cuda", "cupy", (REFERENCE,), "tinymed.cuda"),
    "cuda": Backend("cuda", "cupy", ("csrc", REFERENCE), "tinymed.cuda"),
    "emulated": Backend("cpu", "numpy", ("csrc", REFERENCE), "tinymed.cuda"),
}
DEFAULT = "numba"


class BackendError(RuntimeError):
    """A backend that cannot work here, or a fallback that strict mode forbids."""


class Rule(NamedTuple):
    """What all implementations of one kernel name share."""

    out: Callable[..., Sequence[Any]]
    flops: Callable[..., float] | None
    writes: frozenset[str]


class Kernel:
    """One implementation of one kernel name."""

    def __init__(
        self,
        fn: Callable[..., Any],
        name: str,
        backend: str,
        composite: bool,
        kinds: dict[str, str],
        work: Callable[..., Sequence[Any]] | None,
        when: Callable[..., bool] | None,
        parallel: bool,
        choice: bool,
        worth: Callable[..., bool] | None = None,
    ):
        self.fn, self.name, self.backend, self.composite, self.choice = fn, name, backend, composite, choice
        self.reference = backend == REFERENCE
        self.compiled_kind = not (self.reference or composite)
        self.kinds, self.work, self.when, self.parallel, self.worth = kinds, work, when, parallel, worth
        self.parameters = list(inspect.signature(fn).parameters)
        self.codes: dict[bool, Callable[..., Any]] = {}  # machine code, by whether it runs on several threads

    @property
    def rule(self) -> Rule:
        return rules[self.name]

    def accepts(self, args: Sequence[Any]) -> bool:
        """Compiled kernels take float32 (and integers), loops float32 or float64; `when` may ask for more."""
        if self.backend == LOOPS:
            kinds = {a.dtype.char for a in args if is_array(a)}
            if not kinds <= set("fd?bBhHiIlLqQ") or {"f", "d"} <= kinds or not (kinds & {"f", "d"} or self.when):
                return False
        elif self.compiled_kind:
            for a in args:
                if is_array(a) and a.dtype.char not in "f?bBhHiIlLqQ":
                    return False
        return self.when is None or self.when(*args)

    def stands_in(self, args: Sequence[Any]) -> bool:
        """Whether a loop serves float32 arguments of a backend without a kernel for them, rather than the reference."""
        return self.worth is not None and is_single(args) and self.accepts(args) and self.worth(*args)

    def specs(self, args: Sequence[Any]) -> list[Spec]:
        """[(shape, dtype)] of the outputs; args need only .shape and .dtype."""
        dtype = next((a.dtype for a in args if hasattr(a, "dtype")), np.dtype(np.float32))
        return [spec(s, dtype) for s in self.rule.out(*args)]

    def compiled(self, small: bool = False) -> Callable[..., Any]:
        """The machine code, made at its first call by the backend's own compiler.

        small: for so little work that handing it to several threads, even to one of them, would cost more.
        """
        parallel = self.parallel and not small
        if parallel not in self.codes:
            self.codes[parallel] = home_of(self.backend).compile_kernel(self.fn, parallel)
        return self.codes[parallel]

    def orders(self, args: Sequence[Any]) -> tuple[list[Order | None], Order]:
        """The order of axes in memory that each argument must have (None: no array), and that of `flat` outputs.

        `flat` arrays share one order: of the first that is dense but not in C order, else C.
        """
        names = self.parameters[len(self.parameters) - len(args) :]
        kinds = [self.kinds.get(n, "plain") if is_array(a) else "" for n, a in zip(names, args, strict=True)]
        flat: Order = ()
        for kind, a in zip(kinds, args, strict=True):
            if kind == "flat" and (not flat or (flat == tuple(range(len(flat))) and not a.flags.c_contiguous)):
                flat = dense_order(a) or flat
        wanted = [order_of(kind, a.ndim, flat) if kind else None for kind, a in zip(kinds, args, strict=True)]
        return wanted, flat

    def order(self, name: str, ndim: int, flat: Order) -> Order:
        """The order of axes in memory of an output or workspace."""
        return order_of(self.kinds.get(name, "plain"), ndim, flat)

    def view(self, name: str, order: Order, shape: tuple[int, ...]) -> Callable[[Array], Array] | None:
        """What makes an array, dense in this order, the C-contiguous view that the compiled loop takes."""
        kind, as_is = self.kinds.get(name), order == tuple(range(len(order)))
        if kind == "flat" and len(shape) != 1:
            return (lambda a: a.ravel()) if as_is else lambda a: a.transpose(order).ravel()
        if kind == "rows" and len(shape) != 2:
            rows = matrix(tuple(shape[i] for i in order))
            return (lambda a: a.reshape(rows)) if as_is else lambda a: a.transpose(order).reshape(rows)
        return None if as_is else lambda a: a.transpose(order)


def home_of(implementer: str) -> ModuleType:
    """The module that declares and compiles the kernels that a chain calls by this name, imported."""
    return importlib.import_module(next(b.home for b in BACKENDS.values() if b.chain[0] == implementer))


def is_array(a: Any) -> bool:
    """Whether this is an array of NumPy or CuPy, not a number of NumPy's."""
    return isinstance(a, np.ndarray) or (hasattr(a, "strides") and not isinstance(a, np.generic))


def order_of(kind: str, ndim: int, flat: Order) -> Order:
    """The order of axes in memory of an argument of this kind; `flat` ones follow the others'."""
    return flat if kind == "flat" and len(flat) == ndim else canonical_order(kind, ndim)


def matrix(shape: tuple[int, ...]) -> tuple[int, int]:
    """Pixels x channels of a channels-last array of any number of axes."""
    return (math.prod(shape[:-1]), shape[-1]) if shape else (1, 1)


rules: dict[str, Rule] = {}
implementations: dict[tuple[str, str], Kernel] = {}


F = TypeVar("F", bound=Callable[..., Any])


def kernel(
    *,
    name: str = "",
    backend: str = REFERENCE,
    out: Callable[..., Sequence[Any]] | None = None,
    flops: Callable[..., float] | None = None,
    writes: str = "",
    composite: bool = False,
    image: str = "",
    filter: str = "",
    flat: str = "",
    rows: str = "",
    work: Callable[..., Sequence[Any]] | None = None,
    when: Callable[..., bool] | None = None,
    parallel: bool = True,
    choice: bool = False,
    worth: Callable[..., bool] | None = None,
) -> Callable[[F], F]:
    """Declare an implementation of the kernel that the function is named after; see the module's docstring.

    name: instead of the function's own.  out: inputs -> shapes, or (shape, dtype) pairs, of the outputs.  flops:
    inputs -> floating-point operations.  writes: inputs updated in place.  work: inputs -> shapes of scratch arrays.
    when: inputs -> whether this implementation can take them; if not, the chain goes on.  parallel: its prange loops
    run on several threads.  choice: a composite that calls one kernel and returns what that returns; which, and with
    what, depends on shapes, strides, dtypes and numbers alone.  worth: inputs -> whether it was measured faster than
    the reference; asked of a loop that would serve another backend, which otherwise leaves the call to the reference.
    """
    named = (("image", image), ("filter", filter), ("flat", flat), ("rows", rows))
    kinds = {parameter: kind for kind, names in named for parameter in names.split()}

    def declare(fn: F) -> F:
        called = name or fn.__name__
        if backend == REFERENCE or called not in rules:
            rules[called] = Rule(out or like_first, flops, frozenset(writes.split()))
        implementations[backend, called] = Kernel(
            fn, called, backend, composite or choice, kinds, work, when, parallel, choice, worth
        )
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


def describe(args: Sequence[Any]) -> str:
    """Arguments for an error message: arrays as shape and dtype."""
    return ", ".join(f"{a.dtype}{list(a.shape)}" if hasattr(a, "dtype") else repr(a) for a in args)


def is_single(args: Sequence[Any]) -> bool:
    """Whether there are floating-point arrays and all are float32: what compiled kernels promise to take."""
    kinds = {a.dtype.char for a in args if hasattr(a, "dtype")}
    return "f" in kinds and kinds <= set("f?bBhHiIlLqQ")
