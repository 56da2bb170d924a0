"""Declare kernels: a name, and its implementations by backend.

A kernel is pure: arrays and scalars in, arrays out.  It is written in one of three ways:

    @kernel(out=like("x"), flops=...)                 reference: takes the array module xp and returns arrays;
    def relu_forward(xp, x): ...                      the definition, and the oracle of every other way

    @kernel(backend="numba", flat="y x")              compiled: outputs, then workspaces, then inputs;
    def relu_forward(y, x): ...                       allocates nothing, so the caller decides where results live

    @kernel(backend="numba csrc", composite=True)     composite: takes the table k and calls other kernels of it
    def softmax_forward(k, x, axis): ...

`out` and `flops` are declared once, by the reference, for all backends.  A compiled kernel says in which memory order
it takes each array (the parameters image, filter, flat and rows of `kernel`); inside, it sees C-contiguous arrays.  The
table converts what lies otherwise, through the kernel `canonical`, so the cost is visible.
"""

import importlib
import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any, NamedTuple, TypeVar

import numpy as np

from ..memory import Order, inverse_order

Array = Any  # a NumPy or CuPy array
Spec = tuple[tuple[int, ...], Any]  # shape, dtype
ShapeRule = Callable[..., Sequence[Any]]  # inputs -> shapes, or (shape, dtype) pairs

F = TypeVar("F", bound=Callable[..., Any])


class Backend(NamedTuple):
    """Where arrays live, and in which order implementations are tried."""

    device: str
    module: str  # the array module
    chain: tuple[str, ...]
    home: str = ""  # the package of its kernels; imported at first use, so that importing tinymed stays quick


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
    """What all implementations of one kernel name share; the reference declares it."""

    out: ShapeRule
    flops: Callable[..., float] | None
    writes: frozenset[str]


@dataclass(eq=False)
class Kernel:
    """One implementation of one kernel name, as it was declared: the fields are the arguments of `kernel`."""

    fn: Callable[..., Any]
    name: str
    backend: str
    composite: bool = False
    choice: bool = False
    kinds: dict[str, str] = field(default_factory=dict)  # parameter -> image, filter, flat or rows; the rest: C order
    work: ShapeRule | None = None
    when: Callable[..., bool] | None = None
    parallel: bool = True
    worth: Callable[..., bool] | None = None
    double: bool = False

    def __post_init__(self) -> None:
        self.reference = self.backend == REFERENCE
        self.compiled_kind = not (self.reference or self.composite)
        self.parameters = list(inspect.signature(self.fn).parameters)
        # machine code, by whether it runs on several threads and whether it is float64's
        self.codes: dict[tuple[bool, bool], Callable[..., Any]] = {}

    @property
    def rule(self) -> Rule:
        return rules[self.name]

    def specs(self, args: Sequence[Any]) -> list[Spec]:
        """Return [(shape, dtype)] of the outputs; args need only .shape and .dtype."""
        dtype = next((a.dtype for a in args if hasattr(a, "dtype")), np.dtype(np.float32))
        return [spec(s, dtype) for s in self.for_these(self.rule.out, args)(*args)]

    def workspaces(self, args: Sequence[Any]) -> list[Spec]:
        """Return [(shape, dtype)] of the workspaces: of float32 unless said otherwise, or of float64 beside float64."""
        if self.work is None:
            return []
        dtype = np.dtype(np.float64 if self.takes_double(args) else np.float32)
        return [spec(w, dtype) for w in self.for_these(self.work, args)(*args)]

    def takes_double(self, args: Sequence[Any]) -> bool:
        """Return whether it takes these as code for float64, which was instantiated from that for float32."""
        arrays = [a for a in args if hasattr(a, "shape") and not isinstance(a, np.generic)]
        return self.double and any(a.dtype.char == "d" for a in arrays)

    def for_these(self, rule: Any, args: Sequence[Any]) -> Any:
        """Return a rule of shapes as it is for the numbers of these arguments: wider ones fill a vector sooner."""
        return home_of(self.backend).doubled(rule) if self.takes_double(args) else rule

    def compiled(self, small: bool = False, double: bool = False) -> Callable[..., Any]:
        """Return the machine code, which the backend's own compiler makes at its first call.

        Args:
            small: There is so little work that handing it to several threads, even to one of them, would cost more.
            double: It is to take float64.
        """
        key = self.parallel and not small, double
        if key not in self.codes:
            compile_kernel = home_of(self.backend).compile_kernel
            self.codes[key] = compile_kernel(self.fn, *key) if double else compile_kernel(self.fn, key[0])
        return self.codes[key]


def home_of(implementer: str) -> ModuleType:
    """Import and return the module that declares and compiles the kernels that a chain calls by this name."""
    return importlib.import_module(next(b.home for b in BACKENDS.values() if b.chain[0] == implementer))


rules: dict[str, Rule] = {}
implementations: dict[tuple[str, str], Kernel] = {}  # (backend, kernel name) -> the implementation


def kernel(
    *,
    name: str = "",
    backend: str = REFERENCE,
    out: ShapeRule | None = None,
    flops: Callable[..., float] | None = None,
    writes: str = "",
    composite: bool = False,
    choice: bool = False,
    image: str = "",
    filter: str = "",
    flat: str = "",
    rows: str = "",
    work: ShapeRule | None = None,
    when: Callable[..., bool] | None = None,
    parallel: bool = True,
    worth: Callable[..., bool] | None = None,
    double: str = "",
) -> Callable[[F], F]:
    """Declare a function as an implementation of a kernel; return the function itself.

    Args:
        name: The kernel's name, if it is not the function's own.
        backend: Whose implementation this is: `reference`, `loops`, `numba`, `csrc`; a composite may serve several
            ("numba csrc").
        out: Inputs -> shapes, or (shape, dtype) pairs, of the outputs.  By default one output like the first array.
        flops: Inputs -> the number of floating-point operations.
        writes: Names of the inputs that are updated in place, separated by spaces.
        composite: The function takes the table k and calls other kernels of it.
        choice: A composite that forwards to exactly one kernel, selected from shapes, strides, dtypes and scalars only,
            so that the selection can be remembered.
        image: Names of the parameters (outputs and inputs) that lie channels-last: (N, C, *space) as N, *space, C.
        filter: Names of those that lie as *space, I, O: filters (O, I, *space).
        flat: Names of those taken as 1-D views of any dense order, which all of them share.
        rows: Names of images taken as a matrix of pixels x channels, whatever their number of axes: one compilation
            serves them all.
        work: Inputs -> shapes, or (shape, dtype) pairs, of the workspaces that the kernel takes after its outputs.
        when: Inputs -> whether this implementation can take them; if not, the next of the chain is asked.
        parallel: Its prange loops run on several threads.
        worth: Inputs -> whether it was measured faster than the reference; asked of a loop that would serve another
            backend, which otherwise leaves the call to the reference.
        double: Those of these backends on which it serves float64 too: a compiled kernel is instantiated for it.

    Example:
        >>> from tinymed.dispatch import kernel, table
        >>> @kernel(flops=lambda x: x.size)
        ... def negated_for_example(xp, x):
        ...     return -x
        >>> table("numpy").negated_for_example(np.arange(3))
        array([ 0, -1, -2])
    """
    named = (("image", image), ("filter", filter), ("flat", flat), ("rows", rows))
    kinds = {parameter: kind for kind, names in named for parameter in names.split()}

    def declare(fn: F) -> F:
        called = name or fn.__name__
        if backend == REFERENCE or called not in rules:
            rules[called] = Rule(out or undeclared_out, flops, frozenset(writes.split()))
        for of in backend.split():
            wide = of in double.split()
            asked = single_only(when) if double and not wide else when
            implementations[of, called] = Kernel(
                fn, called, of, composite or choice, choice, kinds, work, asked, parallel, worth, wide
            )
        return fn

    return declare


def single_only(when: Callable[..., bool] | None) -> Callable[..., bool]:
    """Return a condition with the one that no array is float64."""

    def asked(*args: Any) -> bool:
        for a in args:  # asked at every call, for which a generator is slow
            if hasattr(a, "dtype") and a.dtype.char == "d":
                return False
        return when is None or when(*args)

    return asked


def like_first(*args: Any) -> list[tuple[int, ...]]:
    """Return the rule of one output like the first array."""
    return [next(a for a in args if hasattr(a, "shape")).shape]


def undeclared_out(*args: Any) -> list[tuple[int, ...]]:
    """Return the rule of a kernel that declares none; a name of its own tells it from a rule that was declared."""
    return like_first(*args)


def spec(s: Any, dtype: Any) -> Spec:
    """Return (shape, dtype) of what a rule gave: a shape, or such a pair."""
    return (tuple(s[0]), np.dtype(s[1])) if len(s) == 2 and isinstance(s[0], tuple) else (tuple(s), dtype)


@kernel(out=lambda x, order: [x.shape])
def canonical(xp: ModuleType, x: Array, order: Order) -> Array:
    """Bring an array into a given order of axes in memory: the conversion before a call, itself a kernel."""
    return xp.ascontiguousarray(x.transpose(order)).transpose(inverse_order(order))


def is_array(a: Any) -> bool:
    """Return whether this is an array of NumPy or CuPy, not a number of NumPy's."""
    return isinstance(a, np.ndarray) or (hasattr(a, "strides") and not isinstance(a, np.generic))


def describe(args: Sequence[Any]) -> str:
    """Return arguments for an error message: arrays as dtype and shape."""
    return ", ".join(f"{a.dtype}{list(a.shape)}" if hasattr(a, "dtype") else repr(a) for a in args)
