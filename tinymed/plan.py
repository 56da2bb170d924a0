"""How a kernel is called with arguments of one signature (shapes, strides, dtypes, numbers): decided once.

`Launch` in backend.py makes plans and looks them up; here is what a plan holds, and the function it comes down to.
"""

import contextvars
import functools
import threading
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from .kernels import Kernel, Spec
from .memory import Order, inverse_order


def signature(args: Sequence[Any]) -> tuple[Any, ...]:
    """What a plan depends on: shapes, strides and dtypes of arrays, types and values of the rest."""
    key: list[Any] = []
    add = key.append
    for a in args:
        kind = type(a)
        if kind is np.ndarray:
            add(a.shape)
            add(a.strides)
            add(a.dtype)
        elif kind is tuple:
            add(a)
        else:
            add(kind)
            add((a.shape, a.strides, a.dtype) if hasattr(a, "strides") else a)
    return tuple(key)


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
    code: Callable[..., Any] | None = None  # compiled for these sizes: takes what `views` made
    call: Callable[..., Any] = tuple  # from arguments that lie as the kernel wants to its results


# ---------------------------------------------------------------------------------------------------- calling


class Quiet(threading.local):
    """A context in which inf and nan flow as IEEE says; TINYMED_DEBUG=nan finds them.

    np.errstate does the same at 1 us a call.
    """

    def __init__(self) -> None:
        self.context = contextvars.copy_context()
        self.context.run(np.seterr, all="ignore")


quiet = Quiet()


def calling(plan: Plan, table: Any) -> Callable[..., Any]:
    """A plan as a function, with all that can be known before the arguments."""
    kernel = plan.kernel
    if plan.code is not None:
        return calling_compiled(plan, plan.code, table)
    if kernel.composite:
        return functools.partial(kernel.fn, table)
    xp = table.xp

    def reference(*args: Any) -> Any:
        result = quiet.context.run(kernel.fn, xp, *args)
        if type(result) is tuple:
            return tuple([xp.asarray(r) for r in result])
        return xp.asarray(result)  # NumPy gives scalars where an array has no axes

    return reference


def calling_compiled(plan: Plan, compiled: Callable[..., Any], table: Any) -> Callable[..., Any]:
    """Allocate, take views, run the machine code.

    The first call goes through the compiler, which looks at every argument's type; of a plan they are always the same,
    so the next calls go past it.
    """
    makers, views, finish = outputs(plan, table)
    makers += [table.maker(*w) for w in plan.work]
    views += [(i, view) for i, view in enumerate(plan.views) if view is not None and i >= len(makers)]

    count, code = len(plan.outs), compiled

    def first(*arrays: Any) -> None:
        nonlocal code
        compiled(*arrays)
        code = table.ready(compiled, arrays)

    def one(*args: Any) -> Any:
        y = make()
        arrays = [y, *args]
        for i, view in views:
            arrays[i] = view(arrays[i])
        code(*arrays)
        return y if back is None else y.transpose(back)

    def several(*args: Any) -> Any:
        made: list[Any] = []
        for make in makers:
            made.append(make())
        arrays = [*made, *args]
        for i, view in views:
            arrays[i] = view(arrays[i])
        code(*arrays)
        for i, back in finish:
            made[i] = made[i].transpose(back)
        return made[0] if count == 1 else tuple(made[:count])

    code = first
    if count != 1 or plan.work:
        return several
    make, back = makers[0], finish[0][1] if finish else None
    return one


def outputs(plan: Plan, table: Any) -> tuple[list[Any], list[Any], list[Any]]:
    """What makes each output in C order, what takes the code's view of it, and the order of axes it is declared in."""
    makers, views, finish = [], [], []
    for i, (shape, dtype, order) in enumerate(plan.outs):
        inside, as_is = tuple(shape[a] for a in order), tuple(range(len(order)))
        makers.append(table.maker(inside, dtype))
        view = plan.kernel.view(plan.kernel.parameters[i], as_is, inside)
        if view is not None:
            views.append((i, view))
        if order != as_is:
            finish.append((i, inverse_order(order)))
    return makers, views, finish
