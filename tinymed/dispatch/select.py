"""Select how a kernel is called with arguments of one signature: which implementation, in which memory, into what.

All of it follows from shapes, strides, dtypes and scalars, so it is decided once for a signature and looked up from
then on: a `Plan`.  What is done with a plan is in `call`.
"""

import math
import operator
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..memory import Order, canonical_order, dense_order, is_dense
from .declare import LOOPS, Array, BackendError, Kernel, Spec, describe, home_of, implementations, is_array

SINGLE = "f?bBhHiIlLqQ"  # characters of the dtypes that compiled kernels take: float32, bool and integers
SMALL = 16384  # elements below which threads cost more than they save
LARGE = 1 << 16  # elements below which a loop gains less on the reference than its compilation costs

View = Callable[[Array], Any]

ravel: View = operator.methodcaller("ravel")
ndarray = np.ndarray  # looked up for every argument of every call


class Plan(NamedTuple):
    """How a call with arguments of one signature is made."""

    kernel: Kernel
    fallback: bool  # the backend's own kernels do not serve it: a later implementation of its chain does
    relayouts: list[
        tuple[int, Order]
    ] = []  # arguments that lie otherwise than the kernel wants, and the order it wants
    outs: list[tuple[tuple[int, ...], Any, Order]] = []
    work: list[Spec] = []
    views: list[View | None] = []  # outputs, workspaces, arguments -> what the machine code takes
    small: bool = False  # too little work to wake other threads for
    written: list[int] = []  # arguments updated in place that lay otherwise: copied back
    code: Callable[..., Any] | None = None  # compiled for these sizes: takes what `views` made
    double: bool = False  # the code is float64's
    call: Callable[..., Any] = tuple  # from arguments that lie as the kernel wants to its results


def signature(args: Sequence[Any]) -> tuple[Any, ...]:
    """Return what a plan depends on: shapes, strides and dtypes of arrays, types and values of the rest."""
    key: list[Any] = []
    for a in args:
        kind = type(a)
        if kind is ndarray:
            key.append(a.shape)
            key.append(a.strides)
            key.append(a.dtype)
        elif kind is tuple:
            key.append(a)
        else:
            key.append(kind)
            key.append((a.shape, a.strides, a.dtype) if hasattr(a, "strides") else a)
    return tuple(key)


def select(name: str, kernels: Sequence[Kernel], middle: str, args: Sequence[Any]) -> Kernel:
    """Return the first implementation of a chain that can take these arguments.

    Args:
        name: The kernel's.
        kernels: The implementations that a backend has of its own, and the reference.
        middle: Whose kernel may stand in for one that the backend has not got; "" if nobody's may.
        args: The arguments.

    Raises:
        BackendError: None can.
        RuntimeError: It would write in place to an array whose elements share memory.
    """
    kernel = stand_in(middle, name, args) if middle else None
    kernel = kernel or next((k for k in kernels if accepts(k, args)), None)
    if kernel is None:
        raise BackendError(f"{name}: no implementation takes {describe(args)}")
    refuse_shared_writes(kernel, args)
    return kernel


def accepts(kernel: Kernel, args: Sequence[Any]) -> bool:
    """Return whether an implementation can take these arguments.

    Compiled kernels take float32, and integers beside it; loops float32 or float64, and so do those declared `double`.
    `when` may ask for more, or answer for integers alone.
    """
    if kernel.backend == LOOPS:
        kinds = {a.dtype.char for a in args if is_array(a)}
        if not kinds <= {*SINGLE, "d"} or {"f", "d"} <= kinds or not (kinds & {"f", "d"} or kernel.when):
            return False
    elif kernel.compiled_kind:
        kinds = {a.dtype.char for a in args if is_array(a)}
        if kernel.double and "d" in kinds:
            kinds = {a.dtype.char for a in args if is_array(a) and not stands_for_none(a)} - {"d"}
            return not kinds & {"f"} and kinds <= set(SINGLE) and (kernel.when is None or bool(kernel.when(*args)))
        if not kinds <= set(SINGLE) or (kernel.when is None and integers_alone(kernel, args, kinds)):
            return False
    return kernel.when is None or kernel.when(*args)


def stands_for_none(a: Any) -> bool:
    """Return whether an array is the empty one of float32 that compiled kernels take for None."""
    return bool(a.size == 0 and a.dtype.char == "f")


def integers_alone(kernel: Kernel, args: Sequence[Any], kinds: set[str]) -> bool:
    """Return whether code for float32 would write to an output of integers: alone, they give it their dtype."""
    return bool(kinds) and "f" not in kinds and any(dtype.kind != "f" for _, dtype in kernel.specs(args))


def stand_in(implementer: str, name: str, args: Sequence[Any]) -> Kernel | None:
    """Return the kernel of the middle of a chain that serves these, if it is worth more than the reference.

    It is asked for, and so imported, only for arguments that are large enough.
    """
    if sum(a.size for a in args if is_array(a)) < LARGE:
        return None
    home_of(implementer)
    kernel = implementations.get((implementer, name))
    if kernel is None or kernel.worth is None or not (is_single(args) and accepts(kernel, args)):
        return None
    return kernel if kernel.worth(*args) else None


def is_single(args: Sequence[Any]) -> bool:
    """Return whether there are floating-point arrays and all are float32: what compiled kernels promise to take."""
    kinds = {a.dtype.char for a in args if hasattr(a, "dtype")}
    return "f" in kinds and kinds <= set(SINGLE)


def is_double(args: Sequence[Any]) -> bool:
    """Return whether there are floating-point arrays and all are float64."""
    kinds = {a.dtype.char for a in args if hasattr(a, "dtype") and not (is_array(a) and stands_for_none(a))}
    return "d" in kinds and kinds - {"d"} <= set(SINGLE) - {"f"}


def is_one_float(args: Sequence[Any]) -> bool:
    """Return whether there are floating-point arrays and all are float32, or all float64."""
    return is_single(args) or is_double(args)


def refuse_shared_writes(kernel: Kernel, args: Sequence[Any]) -> None:
    """Raise where a kernel would write in place to an array whose elements share memory, as after `expand`."""
    if not kernel.rule.writes:
        return
    inputs = kernel.parameters[-len(args) :] if kernel.compiled_kind else kernel.parameters[1:]
    for name, a in zip(inputs, args, strict=False):  # a last parameter may take several
        if name not in kernel.rule.writes or not is_array(a):
            continue
        if a.size and any(n > 1 and stride == 0 for n, stride in zip(a.shape, a.strides, strict=True)):
            raise RuntimeError(
                f"{kernel.name} writes to {name} in place, but several of its elements share one place in memory: "
                "it was expanded or broadcast; write to a copy (clone())"
            )


# ------------------------------------------------------------------------------------- laying out a compiled call


def lay_out(kernel: Kernel, args: Sequence[Any], fallback: bool) -> Plan:
    """Return the plan of a compiled kernel: memory orders, outputs, workspaces and views."""
    names = kernel.parameters[len(kernel.parameters) - len(args) :]
    orders, flat = memory_orders(kernel, names, args)
    relayouts = [
        (i, o) for i, (a, o) in enumerate(zip(args, orders, strict=True)) if o is not None and not is_dense(a, o)
    ]
    outs = [
        (shape, dtype, order_of(kernel.kinds.get(n, ""), len(shape), flat))
        for (shape, dtype), n in zip(kernel.specs(args), kernel.parameters, strict=False)
    ]
    work, double = kernel.workspaces(args), kernel.takes_double(args)
    views = [native_view(kernel, n, o, shape) for (shape, _, o), n in zip(outs, kernel.parameters, strict=False)]
    views += [None] * len(work)
    number = None if double or kernel.backend == LOOPS else np.float32  # for float64 no digits are lost
    for n, a, o in zip(names, args, orders, strict=True):
        views.append(native_view(kernel, n, o, a.shape) if o is not None else number if isinstance(a, float) else None)
    written = [i for i, _ in relayouts if names[i] in kernel.rule.writes]
    return Plan(kernel, fallback, relayouts, outs, work, views, is_small(kernel, args, outs), written, double=double)


def memory_orders(kernel: Kernel, names: Sequence[str], args: Sequence[Any]) -> tuple[list[Order | None], Order]:
    """Return the order of axes in memory that each argument must have (None: not an array), and that of `flat` ones.

    `flat` arrays share one order: of the first that is dense but not in C order, else C.
    """
    kinds = [kernel.kinds.get(n, "") for n in names]
    flat: Order = ()
    for kind, a in zip(kinds, args, strict=True):
        if kind == "flat" and is_array(a) and (not flat or (is_c_order(flat) and not a.flags.c_contiguous)):
            flat = dense_order(a) or flat
    wanted = [order_of(kind, a.ndim, flat) if is_array(a) else None for kind, a in zip(kinds, args, strict=True)]
    return wanted, flat


def order_of(kind: str, ndim: int, flat: Order) -> Order:
    """Return the order of axes in memory of an array of this kind; `flat` ones follow the others'."""
    return flat if kind == "flat" and len(flat) == ndim else canonical_order(kind, ndim)


def is_c_order(order: Order) -> bool:
    """Return whether the axes lie in memory as they are numbered."""
    return order == tuple(range(len(order)))


def native_view(kernel: Kernel, name: str, order: Order, shape: tuple[int, ...]) -> View | None:
    """Return what makes an array that is dense in this order the C-contiguous view that the machine code takes.

    None: the array itself is that view.
    """
    kind = kernel.kinds.get(name)
    if kind == "flat" and len(shape) != 1:
        return ravel if is_c_order(order) else lambda a: a.transpose(order).ravel()
    if kind == "rows" and len(shape) != 2:
        rows = matrix(tuple(shape[i] for i in order))
        if is_c_order(order):
            return operator.methodcaller("reshape", rows)
        return lambda a: a.transpose(order).reshape(rows)
    return None if is_c_order(order) else operator.methodcaller("transpose", order)


def matrix(shape: tuple[int, ...]) -> tuple[int, int]:
    """Return pixels x channels of a channels-last array of any number of axes."""
    return (math.prod(shape[:-1]), shape[-1]) if shape else (1, 1)


def is_small(kernel: Kernel, args: Sequence[Any], outs: Sequence[tuple[tuple[int, ...], Any, Order]]) -> bool:
    """Return whether there is too little work to share among threads."""
    elements = sum(math.prod(shape) for shape, *_ in outs) + sum(a.size for a in args if hasattr(a, "size"))
    return elements < SMALL and (kernel.rule.flops is None or kernel.rule.flops(*args) < 32 * SMALL)
