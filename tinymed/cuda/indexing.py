"""Reading and writing what slices and index arrays pick, on the GPU: csrc/views.cu and gather.cu.

A view is written where it lies: as a line of memory, at the distances of its elements.
"""

from typing import Any

from ..dispatch import implementations, kernel
from ..dispatch.select import SINGLE, refuse_shared_writes
from ..ops.indexing import Basic, Span, slices
from ..ops.shape import reshaped
from ..program.values import reach
from .gather import in_order, places_in
from .transpose import stretch


def picked(shape: tuple[int, ...], basic: Basic) -> list[tuple[int, int, int, int]]:
    """Return (length, start, step, count) of what an index picks along each axis; runs of whole axes are one."""
    entries = [b for b in basic if b is not None]
    entries += [Span()] * (len(shape) - len(entries))
    found: list[tuple[int, int, int, int]] = []
    for n, entry in zip(shape, entries, strict=True):
        if isinstance(entry, Span):
            start, stop, step = slice(*entry).indices(n)
            one = n, start, step, len(range(start, stop, step))
        else:
            one = n, entry % n, 1, 1
        whole = (n, 0, 1, n)
        if one == whole and found and found[-1] == (found[-1][0], 0, 1, found[-1][0]):
            n *= found.pop()[0]
            one = n, 0, 1, n
        found.append(one)
    return found


@kernel(backend="csrc", composite=True, when=lambda dy, shape, basic: dy.dtype.char == "f" and len(shape) <= 8)
def getitem_backward(k: Any, dy: Any, shape: tuple[int, ...], basic: Basic) -> Any:
    """put_slices"""
    lengths, starts, steps, counts = zip(*picked(shape, basic), strict=True) if shape else ((), (), (), ())
    return k.put_slices(reshaped(k, dy, counts), lengths, starts, steps, counts).reshape(shape)


@kernel(backend="csrc", out=lambda dy, shape, *_: [shape], flops=lambda *_: 0)
def put_slices(dx: Any, dy: Any, shape: Any, start: Any, step: Any, count: Any) -> None:
    """dx = dy at start, start + step, ... of each axis, `count` times, else 0."""


def share_memory(a: Any, b: Any) -> bool:
    """Return whether the stretches of memory that two arrays lie in meet."""
    (first, n), (second, m) = reach(a), reach(b)
    return first < second + m and second < first + n


def write(k: Any, view: Any, value: Any) -> None:
    """Write a value, broadcast, to a view, where it lies."""
    value = value.reshape(value.shape[max(0, value.ndim - view.ndim) :])  # leading axes of length 1 are allowed
    value = k.xp.broadcast_to(value, view.shape)
    memory = stretch(view)
    if memory is None:  # memory of others that has gaps itself
        view[...] = value
        return
    if not value.flags.c_contiguous or share_memory(view, value):
        value = k.canonical(value, tuple(range(value.ndim)))
    line, start = memory
    k.put_strided(line, value, tuple(view.shape), tuple(s // view.itemsize for s in view.strides), start)


def writes(x: Any, value: Any, *_: Any) -> bool:
    """Return whether numbers are written to an array of float32 that can be written."""
    writable = getattr(x.flags, "writeable", True)
    return bool(x.dtype.char == "f" and x.ndim <= 8 and writable and value.dtype.char in SINGLE)


@kernel(backend="csrc", composite=True, when=writes)
def setitem(k: Any, x: Any, value: Any, basic: Basic, where: Any, *arrays: Any) -> Any:
    """put_strided; with index arrays, of what add_segments makes of the part that they select from."""
    refuse_shared_writes(implementations["csrc", "setitem"], (x, value, basic, where, *arrays))
    part = x[(*slices(basic), Ellipsis)]
    value = value if value.dtype.char == "f" else k.cast(value, "float32")
    if not where:
        write(k, part, value)
        return ()
    places = places_in(k, part.shape, where, arrays)
    taken = places.taken_shape(part.shape)
    value = value.reshape(value.shape[max(0, value.ndim - len(taken)) :])
    source = reshaped(k, k.xp.broadcast_to(value, taken), (places.line[0], places.index.size, places.line[2]))
    sorted, order = in_order(k, reshaped(k, places.index, (places.index.size,)), places.line[1])
    turned = part.transpose(places.order)
    lines = reshaped(k, turned, places.line)
    written = k.add_segments(lines, sorted, order, source, places.line, True)
    write(k, turned, written.reshape(turned.shape))
    return ()


@kernel(backend="csrc", out=lambda *_: [], writes="line", flops=lambda *_: 0)
def put_strided(line: Any, value: Any, shape: Any, strides: Any, start: Any) -> None:
    """Write the elements of value, in C order, to a line at these strides from a start."""


@kernel(backend="csrc", composite=True, when=lambda dy, *_: dy.dtype.char == "f" and dy.ndim <= 8)
def setitem_backward(k: Any, dy: Any, basic: Basic, where: Any, *arrays: Any) -> Any:
    """canonical of what was written, or take; and setitem of zeros in a copy."""
    part = dy[(*slices(basic), Ellipsis)]
    dvalue = k.take(part, where, *arrays) if where else k.canonical(part, tuple(range(part.ndim)))
    dx = k.copy(dy)
    k.setitem(dx, k.full((), dy.dtype, 0), basic, where, *arrays)
    return dx, dvalue
