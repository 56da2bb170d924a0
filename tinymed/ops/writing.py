"""Writing in place: t[...] = value, t += value and the methods that end in _.

A method x.f_(...) computes f(x, ...) and writes the result into the memory of x, by the kernel `setitem`: the array
stays the same object, so flat buffers of optimisers and captured programs see the write.  The tape takes part as in
PyTorch: a leaf that requires a gradient refuses, a view and what it is a view of see each other's writes with their
gradients, and an op that saved what was overwritten raises in backward.
"""

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from .. import devices
from ..dispatch import Array, Table
from ..memory import Order
from ..program.values import address
from ..tape import Chain, Node, Op, thread
from .broadcast import operand, to_shape
from .cast import Cast
from .indexing import Basic, GetItem, SetItem, Span, Where, parse, slices
from .promotion import category
from .shape import Permute, Reshape, clone


def window(k: Table, x: Array, chain: Chain) -> Array:
    """Return the view of an array that a chain of view ops gives."""
    for kind, arguments, index in chain:
        op = kind()
        op.k = k
        y = op.forward(x, *arguments)
        if not op.view:
            raise RuntimeError("assignment: the tape cannot follow a write to this view; write to a clone() of it")
        x = y[index] if isinstance(y, tuple) else y
    return x


def axis_order(x: Array) -> Order:
    """Return the axes from the longest stride to the shortest."""
    if x.flags.c_contiguous:
        return tuple(range(x.ndim))
    return tuple(sorted(range(x.ndim), key=lambda a: -np.abs(x.strides[a])))


class SetWindow(Op):
    """v[...] = value in place, v a view of x by a chain of view ops; y is x afterwards;  gradients as of SetItem.

    dx = dy with 0 at the places written, dvalue = dy there.
    """

    view = True

    def forward(self, x: Array, value: Array, chain: Chain, basic: Basic, where: Where, *arrays: Array) -> Array:
        self.save(value.shape, axis_order(x), chain, basic, where, *arrays)
        self.k.setitem(window(self.k, x, chain), value, basic, where, *arrays)
        return x

    def backward(self, dy: Array) -> Any:
        shape, order, chain, *index = self.saved
        dx = self.k.copy(dy if axis_order(dy) == order else self.k.canonical(dy, order))
        seen = window(self.k, dx, chain)
        left, dvalue = self.k.setitem_backward(seen, *index)
        self.k.setitem(seen, left, (), ())
        inner = shape[max(0, len(shape) - dvalue.ndim) :]  # leading axes of length 1 are allowed
        return dx, to_shape(self.k, dvalue, inner).reshape(shape), *[None] * (len(index) + 1)

    @staticmethod
    def samples(draw: Any) -> tuple[Any, ...]:
        n, m = draw.integer(2, 4), draw.integer(2, 4)
        chain = draw.choice(
            (
                ((GetItem, ((Span(), Span(1)),), 0),),
                ((Permute, ((1, 0),), 0), (GetItem, ((Span(step=-1),),), 0)),
                ((Reshape, ((n * m,),), 0), (GetItem, ((Span(1),),), 0), (Reshape, ((n * m - 1, 1),), 0)),
            )
        )
        x = draw.array((n, m))
        shape = window(np_table(), x, chain).shape
        if draw.boolean():
            array = draw.choice((np.array([0]), np.array([-1])))
            return x, draw.array((1, *shape[1:])), chain, (Span(),) * len(shape), (True,), array
        return x, draw.array(shape[1:]), chain, (0,), ()

    @staticmethod
    def oracle(torch: Any, x: Any, value: Any, chain: Chain, basic: Basic, where: Where, *arrays: Any) -> Any:
        y = x.clone()
        places = torch.from_numpy(
            np.ascontiguousarray(window(np_table(), np.arange(x.numel()).reshape(x.shape), chain))
        )
        chosen = places[arrays[0] if where else basic[0]]
        return y.reshape(-1).index_put((chosen,), value.expand(chosen.shape)).reshape(x.shape)


def np_table() -> Table:
    """Return the references on NumPy, for views of a sample."""
    from ..dispatch import table

    return table("numpy")


# --------------------------------------------------------------------------------------------------- writing


def assign(target: Any, index: Any, value: Any) -> None:
    """Write target[index] = value in place, cast and broadcast; the tape remembers it, so gradients stay right."""
    given = operand("assignment", value)
    if not isinstance(given, Node):
        given = target.result_class(devices.table_on(target.device).full((), target.array.dtype, given))
    elif type(given) is Node:  # NumPy's
        given = target.result_class(devices.move(given.array, devices.of(target.array)))
    if given.array.dtype != target.array.dtype:
        given = Cast.apply(given, target.array.dtype)
    basic, where, arrays = parse(target.array.shape, index, devices.of(target.array))
    if given.version is target.version:
        if not where and same_place(target.array[(*slices(basic), Ellipsis)], given.array):
            return  # x[0] += 1 wrote through x[0], and now assigns it to where it is
        given = clone(given)
    write(target, given, basic, where, arrays)


def same_place(a: Array, b: Array) -> bool:
    """Return whether two arrays are one window on the same memory."""
    return address(a) == address(b) and a.shape == b.shape and a.strides == b.strides


def write(target: Any, value: Any, basic: Basic, where: Where, arrays: Any) -> None:
    """Write a tensor of the target's dtype to it, and to what is linked with its memory."""
    write_one(target, value, basic, where, arrays)
    if target.version.links:
        write_linked(target.version)


def write_linked(written: Any) -> None:
    """Bring tensors that are linked with a memory up to date with what was written there."""
    done, waiting = [written], [written]
    while waiting:
        version = waiting.pop()
        for source, copy in [(pair.source(), pair.copy()) for pair in version.links]:
            if source is None or copy is None:
                continue
            fresh, stale = (source, copy) if source.version is version else (copy, source)
            if any(stale.version is other for other in done):
                continue
            value = Reshape.apply(fresh, stale.array.shape)
            write_one(stale, value, *parse(stale.array.shape, ..., devices.of(stale.array)))
            done.append(stale.version)
            waiting.append(stale.version)


def write_one(target: Any, value: Any, basic: Basic, where: Where, arrays: Any) -> None:
    """Write a tensor of the target's dtype, and put what the target is a view of, and it, anew on the tape."""
    if overlaps(target.array):
        raise RuntimeError(
            "assignment: several elements of the tensor lie in one place (it was expanded); write to a clone() of it"
        )
    if not devices.writeable(target.array):
        raise RuntimeError("assignment: the memory is read-only; write to a clone() of the tensor")
    root, chain = target.lineage()
    root.stored = target.stored = target.stored and value.stored  # of bfloat16 only while all its numbers are
    version = target.version
    if not (thread.grad_enabled and (root.requires_grad or target.requires_grad or value.requires_grad)):
        counted(version, lambda: SetItem.apply(target, value, basic, where, *arrays))
        return
    refuse_leaf(target, root)
    if target.seen != version.recorded:
        target.refresh("assignment")
    if target is root:
        result = counted(version, lambda: SetItem.apply(root, value, basic, where, *arrays))
    else:
        result = counted(version, lambda: SetWindow.apply(root, value, chain, basic, where, *arrays))
    if result.op is not None:
        version.recorded += 1
        root.op, root.index, root.requires_grad, root.seen = result.op, result.index, True, version.recorded
        if target is not root:
            target.refresh("assignment")


def counted(version: Any, run: Callable[[], Any]) -> Any:
    """Count a write while it is made; one that fails wrote nothing."""
    before = version.value
    version.value += 1
    try:
        return run()
    except BaseException:
        version.value = before
        raise


def overlaps(a: Array) -> bool:
    """Return whether an axis repeats its elements without holding them."""
    return bool(a.size) and any(s == 0 and n > 1 for s, n in zip(a.strides, a.shape, strict=True))


def refuse_leaf(target: Any, root: Any) -> None:
    """Raise where the write would change a leaf whose gradient is asked for."""
    for place, what in ((target, "a leaf"), (root, "a view of a leaf")):
        if place.op is None and place.requires_grad:
            raise RuntimeError(
                f"assignment: {what} that requires a gradient cannot be written in place; do it under "
                "no_grad(), or assign to a clone()"
            )


# ------------------------------------------------------------------------------------------- methods that end in _


def in_place(function: Callable[..., Any], name: str = "") -> Callable[..., Any]:
    """Return the method that computes a function of the tensor and writes the result into it; it returns the tensor."""
    called = name or function.__name__ + "_"

    @functools.wraps(function)
    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        root = self.lineage()[0]
        tracked = thread.grad_enabled and (root.requires_grad or any(tracks(a) for a in (*args, *kwargs.values())))
        if tracked:
            refuse_leaf(self, root)
        result = function(clone(self) if tracked else self, *args, **kwargs)  # an op may save what is overwritten
        store(called, self, result)
        return self

    method.__name__ = method.__qualname__ = called
    method.__doc__ = f"Write {function.__name__} of the tensor into it, and return it."
    return method


def tracks(a: Any) -> bool:
    """Return whether this is a tensor that requires a gradient."""
    return isinstance(a, Node) and a.requires_grad


def store(name: str, target: Any, result: Any) -> None:
    """Write a result into the tensor it was computed from; RuntimeError where shape or dtype do not allow it."""
    have, got = target.array.dtype, result.array.dtype
    if category(got) > category(have):
        raise RuntimeError(
            f"{name}: the result is {got}, which cannot be written into a tensor of {have}; "
            f"use {name.strip('_')} without the last _, or convert the tensor first"
        )
    if result.array.shape != target.array.shape:
        raise RuntimeError(
            f"{name}: the result has shape {list(result.array.shape)}, the tensor {list(target.array.shape)}; "
            "a tensor written in place keeps its shape"
        )
    assign(target, ..., result)
