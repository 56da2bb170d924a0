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

from .. import device, random
from ..dispatch import Array, Table
from ..memory import Order
from ..program.values import address
from ..tape import Chain, Node, Op, thread
from .activations import relu
from .analytic import acos, asin, atan, exp2, log2, log10, tan
from .broadcast import operand, to_shape
from .cast import Cast
from .closeness import nan_to_num
from .compare import bitwise_and, bitwise_left_shift, bitwise_or, bitwise_right_shift, bitwise_xor
from .elementwise import add, clamp, clamp_max, clamp_min, div, floor_divide, mul, pow, sub
from .gather import scatter_add
from .indexing import Basic, GetItem, SetItem, Span, Where, parse, slices
from .pairwise import addcdiv, addcmul, fmod, lerp, remainder
from .promotion import category
from .rounding import ceil, floor, frac, round, trunc
from .scatter import index_add, index_copy, index_fill, masked_fill, scatter
from .shape import Permute, Reshape, clone
from .smooth import sigmoid, tanh
from .triangles import tril, triu
from .unary import abs, cos, exp, expm1, log, log1p, neg, reciprocal, rsqrt, sign, sin, sqrt, square


def window(k: Table, x: Array, chain: Chain) -> Array:
    """The view of an array that a chain of view ops gives."""
    for kind, arguments, index in chain:
        op = kind()
        op.k = k
        y = op.forward(x, *arguments)
        if not op.view:
            raise RuntimeError("assignment: the tape cannot follow a write to this view; write to a clone() of it")
        x = y[index] if isinstance(y, tuple) else y
    return x


def axis_order(x: Array) -> Order:
    """The axes from the longest stride to the shortest."""
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
    """The references on NumPy, for views of a sample."""
    from ..dispatch import table

    return table("numpy")


# --------------------------------------------------------------------------------------------------- writing


def assign(target: Any, index: Any, value: Any) -> None:
    """target[index] = value, in place, cast and broadcast; remembered by the tape, so gradients stay right."""
    given = operand("assignment", value)
    if not isinstance(given, Node):
        given = target.result_class(device.table_on(target.device).full((), target.array.dtype, given))
    if given.array.dtype != target.array.dtype:
        given = Cast.apply(given, target.array.dtype)
    basic, where, arrays = parse(target.array.shape, index)
    if given.version is target.version:
        if not where and same_place(target.array[(*slices(basic), Ellipsis)], given.array):
            return  # x[0] += 1 wrote through x[0], and now assigns it to where it is
        given = clone(given)
    write(target, given, basic, where, arrays)


def same_place(a: Array, b: Array) -> bool:
    """Whether two arrays are one window on the same memory."""
    return address(a) == address(b) and a.shape == b.shape and a.strides == b.strides


def write(target: Any, value: Any, basic: Basic, where: Where, arrays: Any) -> None:
    """Write a tensor of the target's dtype, and put what the target is a view of, and it, anew on the tape."""
    if overlaps(target.array):
        raise RuntimeError(
            "assignment: several elements of the tensor lie in one place (it was expanded); write to a clone() of it"
        )
    if not device.writeable(target.array):
        raise RuntimeError("assignment: the memory is read-only; write to a clone() of the tensor")
    root, chain = target.lineage()
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
    """Whether an axis repeats its elements without holding them."""
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
    """The method that computes a function of the tensor and writes the result into it; it returns the tensor."""
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
    method.__doc__ = f"{function.__name__}, written into the tensor; returns the tensor."
    return method


def tracks(a: Any) -> bool:
    """Whether this is a tensor that requires a gradient."""
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


def copy_(input: Any, src: Any, non_blocking: bool = False) -> Any:
    """Write src into input, in place, cast and broadcast; returns input."""
    if isinstance(src, Node) and src.array is not input.array and device.of(src.array) != device.of(input.array):
        from .cast import to

        src = to(src, device=device.of(input.array))
    assign(input, ..., src)
    return input


def fill_(input: Any, value: Any) -> Any:
    """Write one number everywhere, in place; returns input."""
    if isinstance(value, Node) and value.array.ndim:
        raise RuntimeError(f"fill_: takes one number, got a tensor of shape {list(value.array.shape)}; use copy_")
    assign(input, ..., value)
    return input


def zero_(input: Any) -> Any:
    """Write 0 everywhere, in place; returns input."""
    assign(input, ..., 0)
    return input


def detach_(input: Any) -> Any:
    """Take the tensor off the tape; returns it.  A view is refused: detach the tensor it views."""
    if input.parent is not None and input.requires_grad:
        raise RuntimeError("detach_: a view cannot be taken off the tape in place; use detach()")
    input.op, input.index, input.requires_grad = None, 0, False
    return input


def drawn(input: Any, numbers: Callable[[int], np.ndarray]) -> Any:
    """Fill a tensor with numbers drawn for as many elements as it has, in C order."""
    values = numbers(input.array.size).reshape(input.array.shape).astype(input.array.dtype)
    assign(input, ..., type(input)(values) if input.device == "cpu" else device.move(values, input.device))
    return input


def float_only(name: str, input: Any) -> None:
    """Raise for a tensor of integers or bool."""
    if input.array.dtype.kind != "f":
        raise RuntimeError(f"{name}: fills floating-point tensors, this one is {input.array.dtype}")


def normal_(input: Any, mean: float = 0, std: float = 1, *, generator: Any = None) -> Any:
    """Fill with normal numbers from manual_seed's generator; returns input."""
    no_generator("normal_", generator)
    float_only("normal_", input)
    if not std >= 0:
        raise RuntimeError(f"normal_: std is at least 0, got {std}")
    return drawn(input, lambda n: mean + std * random.normal(n, *random.init_generator.ticket()))


def uniform_(input: Any, a: float = 0, b: float = 1, *, generator: Any = None, **bounds: float) -> Any:
    """Fill with uniform numbers from a to b (PyTorch also says from= and to=); returns input."""
    no_generator("uniform_", generator)
    float_only("uniform_", input)
    low, high = bounds.pop("from", a), bounds.pop("to", b)
    if bounds or not low <= high:
        raise RuntimeError(f"uniform_: takes from <= to, got from={low}, to={high}, {', '.join(bounds)}")
    last = np.nextafter(np.asarray(high, input.array.dtype), np.asarray(low, input.array.dtype))  # high is left out

    def numbers(n: int) -> np.ndarray:
        values: np.ndarray = low + (high - low) * random.uniform(n, *random.init_generator.ticket())
        least: np.ndarray = np.minimum(values.astype(input.array.dtype), last)
        return least

    return drawn(input, numbers)


def bernoulli_(input: Any, p: Any = 0.5, *, generator: Any = None) -> Any:
    """Fill with 1 with probability p (a number or a tensor), else 0; returns input."""
    no_generator("bernoulli_", generator)
    chance = np.broadcast_to(device.move(p.array, "cpu") if isinstance(p, Node) else p, input.array.shape).ravel()
    if chance.size and not (chance.min() >= 0 and chance.max() <= 1):
        raise RuntimeError("bernoulli_: p is a probability, from 0 to 1")
    return drawn(input, lambda n: random.uniform(n, *random.init_generator.ticket()) < chance)


def below(limit: int, count: int, ticket: tuple[int, int, int]) -> np.ndarray:
    """`count` int64 numbers from 0 to limit - 1, each as likely to 2^-32 and better."""
    if limit <= 1 << 32:
        words = random.bits(count, *ticket).astype(np.uint64)
        small: np.ndarray = ((words * np.uint64(limit)) >> np.uint64(32)).astype(np.int64)
        return small
    words = random.bits(2 * count, *ticket).astype(np.uint64)
    large: np.ndarray = ((words[::2] << np.uint64(32) | words[1::2]) % np.uint64(limit)).astype(np.int64)
    return large


def no_generator(name: str, generator: Any) -> None:
    """Raise for PyTorch's generator objects, which tinymed does not have."""
    if generator is not None:
        raise TypeError(f"{name}: generator= is not supported; seed with tinymed.manual_seed(n)")


def many(*functions: Callable[..., Any]) -> list[Callable[..., Any]]:
    """in_place of each."""
    return [in_place(f) for f in functions]


add_, sub_, mul_, div_ = in_place(add), in_place(sub), in_place(mul), in_place(div)
floor_divide_, pow_, clamp_ = in_place(floor_divide), in_place(pow), in_place(clamp)
bitwise_and_, bitwise_or_, bitwise_xor_ = in_place(bitwise_and), in_place(bitwise_or), in_place(bitwise_xor)
exp_, sqrt_, neg_, abs_ = in_place(exp), in_place(sqrt), in_place(neg), in_place(abs)
relu_, sigmoid_, tanh_ = in_place(relu), in_place(sigmoid), in_place(tanh)
clamp_min_, clamp_max_ = many(clamp_min, clamp_max)
remainder_, fmod_, lerp_, addcmul_, addcdiv_ = many(remainder, fmod, lerp, addcmul, addcdiv)
floor_, ceil_, round_, trunc_, frac_ = many(floor, ceil, round, trunc, frac)
log_, log2_, log10_, log1p_, expm1_, exp2_ = many(log, log2, log10, log1p, expm1, exp2)
sin_, cos_, tan_, asin_, acos_, atan_ = many(sin, cos, tan, asin, acos, atan)
rsqrt_, reciprocal_, square_, sign_ = many(rsqrt, reciprocal, square, sign)
masked_fill_, scatter_, scatter_add_ = many(masked_fill, scatter, scatter_add)
index_add_, index_copy_, index_fill_ = many(index_add, index_copy, index_fill)
tril_, triu_, nan_to_num_ = many(tril, triu, nan_to_num)
bitwise_left_shift_, bitwise_right_shift_ = many(bitwise_left_shift, bitwise_right_shift)
