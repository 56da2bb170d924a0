"""How a kernel of any shape becomes a loop over one or two axes: the only file of the folder without arithmetic.

Each decorator declares two kernels: the loop under the name `<name>_loop`, and under the public name a composite that
brings the arguments into the shape that the loop takes.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ...dispatch import LOOPS, is_array, kernel
from ...memory import inverse_order
from ...ops.axes import dropped

Loop = Callable[..., Any]


def each(inputs: str, out: str = "", worth: Any = None) -> Callable[[Loop], Loop]:
    """Declare a loop over single elements: its inputs are broadcast against each other, then seen as one line.

    inputs: the loop's arguments that broadcast, numbers and arrays; one that is None stays None.  out: the outputs.
    worth: as for `kernel`.
    """
    names, outputs = inputs.split(), out.split() or ["y"]

    def declare(fn: Loop) -> Loop:
        loop = f"{fn.__name__}_loop"
        count = len(outputs)

        def run(k: Any, *args: Any) -> Any:
            given = [a for a in args[: len(names)] if a is not None]
            shape = np.broadcast_shapes(*[getattr(a, "shape", ()) for a in given])
            dtype = np.result_type(*[a for a in given if a is not None and getattr(a, "dtype", None) != np.bool_])
            spread = [a if a is None else operand(k, a, shape, dtype) for a in args[: len(names)]]
            return getattr(k, loop)(*spread, *args[len(names) :])

        shapes: Any = lambda *args: [next((a.shape, a.dtype) for a in args if is_array(a) and a.dtype != bool)] * count  # noqa: E731
        sizes: Any = lambda *args: 2 * next(a.size for a in args if is_array(a))  # noqa: E731
        kernel(name=loop, backend=LOOPS, flat=" ".join([*outputs, *names]), out=shapes, flops=sizes)(fn)
        kernel(name=fn.__name__, backend=LOOPS, composite=True, worth=worth)(run)
        return fn

    return declare


def operand(k: Any, a: Any, shape: tuple[int, ...], dtype: Any) -> Any:
    """Return a number or an array as an array of this shape and, unless it is a mask, dtype."""
    if not is_array(a):
        a = k.full((), dtype, a)
    if a.dtype not in (dtype, np.bool_):
        a = k.cast(a, dtype)
    return a if a.shape == shape else np.broadcast_to(a, shape)


def along(*, worth: Any = None) -> Callable[[Loop], Loop]:
    """Declare a loop over the lines along one axis: y[l, i] from x[l, i], any number of arrays of one shape before it.

    The public kernel takes the arrays, the axis, and what else the loop takes.
    """

    def declare(fn: Loop) -> Loop:
        loop = f"{fn.__name__}_loop"

        def run(k: Any, *args: Any) -> Any:
            arrays = [a for a in args if is_array(a)]
            axis, *rest = args[len(arrays) :]
            shape, ndim = arrays[0].shape, arrays[0].ndim
            if not ndim:
                return getattr(k, loop)(*[a.reshape(1, 1) for a in arrays], *rest).reshape(())
            order = (*(i for i in range(ndim) if i != axis), axis)
            moved = tuple(shape[i] for i in order)
            lines = [laid(k, a, order).reshape(math.prod(moved[:-1]), moved[-1]) for a in arrays]
            return getattr(k, loop)(*lines, *rest).reshape(moved).transpose(inverse_order(order))

        shapes: Any = lambda x, *_: [x.shape]  # noqa: E731
        kernel(name=loop, backend=LOOPS, out=shapes, flops=lambda x, *_: 4 * x.size)(fn)
        kernel(name=fn.__name__, backend=LOOPS, composite=True, worth=worth)(run)
        return fn

    return declare


def reduction(*, worth: Any = None) -> Callable[[Loop], Loop]:
    """Declare a loop that makes one number of each line: y[l] from x[l, i].

    The public kernel takes x, the axes that are reduced, which are dropped, and what else the loop takes.
    """

    def declare(fn: Loop) -> Loop:
        loop = f"{fn.__name__}_loop"

        def run(k: Any, x: Any, *args: Any) -> Any:
            axes = next(a for a in args if isinstance(a, tuple))
            rest = [a for a in args if a is not axes]
            return getattr(k, loop)(lines(k, x, axes), *rest).reshape(dropped(x.shape, axes))

        kernel(name=loop, backend=LOOPS, out=lambda x, *_: [x.shape[:1]], flops=lambda x, *_: x.size)(fn)
        kernel(name=fn.__name__, backend=LOOPS, composite=True, worth=worth)(run)
        return fn

    return declare


def lines(k: Any, x: Any, axes: Sequence[int]) -> Any:
    """Return x as a matrix: a row for each place of the other axes, along it the elements over `axes`."""
    rest = tuple(i for i in range(x.ndim) if i not in axes)
    order = (*rest, *axes)
    count = math.prod(x.shape[i] for i in rest)
    return laid(k, x, order).reshape(count, math.prod(x.shape[i] for i in axes))


def laid(k: Any, a: Any, order: tuple[int, ...]) -> Any:
    """Return the array with its axes in this order, in C order in memory."""
    turned = a.transpose(order)
    return turned if turned.flags.c_contiguous else k.canonical(a, order).transpose(order)


def line(k: Any, a: Any) -> Any:
    """Return the elements of an array in C order as one axis; None stays None."""
    return None if a is None else laid(k, a, tuple(range(a.ndim))).reshape(-1)


def large(*args: Any) -> bool:
    """Return whether the first array is so large that a loop which was measured faster pays for its compilation.

    Said of loops that were faster than the reference for 2^16 and for 2^20 elements on one thread.  Others stand aside:
    one exponential, power or maximum an element is what NumPy has vector instructions for.  Measured, microseconds at
    2^20 elements, reference / loop: upsample_nearest3d 124,174 / 3,045, its gradient 99,121 / 2,179; trilinear 223,472
    / 10,867 and 181,909 / 24,541; erf 209,482 / 8,627; pad_border's gradient 44,714 / 10,159; larger_backward 36,289 /
    883; nll_loss 9,420 / 136; avg_pool3d's gradient 8,487 / 815; where 8,087 / 525; prod 1,909 / 969; but log1p 555 /
    9,884, amax 249 / 1,698, gelu_tanh 2,970 / 35,610.  `python benchmarks/stand_ins.py` measures all of them.
    """
    return bool(next(a.size for a in args if is_array(a)) >= 1 << 16)
