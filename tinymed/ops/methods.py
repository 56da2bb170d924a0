"""The ops as methods and operators: what Tensor inherits.  Each line names the function that answers."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from ..tape import Node, reading
from . import (
    activations,
    cast,
    compare,
    elementwise,
    extremes,
    gather,
    indexing,
    inplace,
    join,
    moments,
    reduce,
    shape,
    smooth,
    softmax,
    unary,
    writing,
)
from .matmul import bmm
from .matmul import matmul as product

OPERANDS = (Node, int, float, np.ndarray, np.generic)


def comparison(function: Any) -> Any:
    """An operator that leaves what is no operand, like None, to Python."""

    def operator(self: Any, other: Any) -> Any:
        if not isinstance(other, OPERANDS):
            return NotImplemented
        return function(self, other)

    return operator


def arithmetic(function: Any, reverse: bool = False) -> Any:
    """An operator, or its reverse (2 - x); what is no operand is left to Python, which raises TypeError."""

    def operator(self: Any, other: Any) -> Any:
        if not isinstance(other, OPERANDS):
            return NotImplemented
        return function(other, self) if reverse else function(self, other)

    return operator


class Methods(Node):
    """Operators and methods of a tensor.

    `x += y`, x[i] = y and the methods whose names end in _ write in place.
    """

    __slots__ = ()

    __add__, __radd__ = arithmetic(elementwise.add), arithmetic(elementwise.add, reverse=True)
    __sub__, __rsub__ = arithmetic(elementwise.sub), arithmetic(elementwise.sub, reverse=True)
    __mul__, __rmul__ = arithmetic(elementwise.mul), arithmetic(elementwise.mul, reverse=True)
    __truediv__, __rtruediv__ = arithmetic(elementwise.div), arithmetic(elementwise.div, reverse=True)
    __floordiv__, __rfloordiv__ = (
        arithmetic(elementwise.floor_divide),
        arithmetic(elementwise.floor_divide, reverse=True),
    )
    __pow__, __rpow__ = arithmetic(elementwise.pow), arithmetic(elementwise.pow, reverse=True)
    __and__, __rand__ = arithmetic(compare.bitwise_and), arithmetic(compare.bitwise_and, reverse=True)
    __or__, __ror__ = arithmetic(compare.bitwise_or), arithmetic(compare.bitwise_or, reverse=True)
    __xor__, __rxor__ = arithmetic(compare.bitwise_xor), arithmetic(compare.bitwise_xor, reverse=True)
    __matmul__, __rmatmul__ = arithmetic(product), arithmetic(product, reverse=True)
    __eq__, __ne__ = comparison(compare.eq), comparison(compare.ne)
    __lt__, __le__ = comparison(compare.lt), comparison(compare.le)
    __gt__, __ge__ = comparison(compare.gt), comparison(compare.ge)
    __hash__ = Node.__hash__
    __neg__, __abs__, __invert__ = unary.neg, unary.abs, compare.bitwise_not
    __getitem__, __setitem__ = indexing.getitem, writing.assign
    __iadd__, __isub__ = arithmetic(inplace.add_), arithmetic(inplace.sub_)
    __imul__, __itruediv__ = arithmetic(inplace.mul_), arithmetic(inplace.div_)
    __ifloordiv__, __ipow__ = arithmetic(inplace.floor_divide_), arithmetic(inplace.pow_)
    __iand__, __ior__ = arithmetic(inplace.bitwise_and_), arithmetic(inplace.bitwise_or_)
    __ixor__ = arithmetic(inplace.bitwise_xor_)

    def __iter__(self) -> Iterator[Any]:
        if not self.array.ndim:
            raise TypeError("a tensor without axes cannot be iterated over")
        return iter(join.unbind(self))

    def __contains__(self, value: Any) -> Any:
        reading("in")
        return (self.array == (value.array if isinstance(value, Node) else value)).any().item()

    def __index__(self) -> Any:
        if self.array.size != 1 or self.array.dtype.kind not in "iub":
            raise TypeError("only a tensor of one integer can be used as an index")
        reading("use as an index")
        return self.array.item()

    # elementwise
    add, sub, subtract, mul, multiply = (
        elementwise.add,
        elementwise.sub,
        elementwise.sub,
        elementwise.mul,
        elementwise.mul,
    )
    div, divide, true_divide, floor_divide = (
        elementwise.div,
        elementwise.div,
        elementwise.div,
        elementwise.floor_divide,
    )
    pow, maximum, minimum, clamp, clip = (
        elementwise.pow,
        elementwise.maximum,
        elementwise.minimum,
        elementwise.clamp,
        elementwise.clamp,
    )
    neg, negative, exp, expm1, log, log1p = unary.neg, unary.neg, unary.exp, unary.expm1, unary.log, unary.log1p
    sqrt, rsqrt, square, reciprocal = unary.sqrt, unary.rsqrt, unary.square, unary.reciprocal
    abs, absolute, sign, sin, cos, erf = unary.abs, unary.abs, unary.sign, unary.sin, unary.cos, unary.erf

    relu, prelu, sigmoid, tanh = activations.relu, activations.prelu, smooth.sigmoid, smooth.tanh
    softmax, log_softmax = softmax.softmax, softmax.log_softmax

    def where(self, condition: Any, other: Any) -> Any:
        """self where condition holds, else other."""
        return elementwise.where(condition, self, other)

    # comparisons and logic
    eq, ne, lt, le, gt, ge = compare.eq, compare.ne, compare.lt, compare.le, compare.gt, compare.ge
    not_equal, less, less_equal, greater, greater_equal = ne, lt, le, gt, ge
    logical_and, logical_or = compare.logical_and, compare.logical_or
    logical_xor, logical_not = compare.logical_xor, compare.logical_not
    bitwise_and, bitwise_or = compare.bitwise_and, compare.bitwise_or
    bitwise_xor, bitwise_not = compare.bitwise_xor, compare.bitwise_not
    isnan, isinf, isfinite = compare.isnan, compare.isinf, compare.isfinite

    # reductions
    sum, mean, var, std, prod, norm = reduce.sum, reduce.mean, moments.var, moments.std, reduce.prod, reduce.norm
    cumsum, logsumexp, any, all = reduce.cumsum, reduce.logsumexp, reduce.any, reduce.all
    max, min, amax, amin = extremes.max, extremes.min, extremes.amax, extremes.amin
    argmax, argmin = extremes.argmax, extremes.argmin

    # shape
    reshape, view, flatten, squeeze, unsqueeze = (
        shape.reshape,
        shape.reshape,
        shape.flatten,
        shape.squeeze,
        shape.unsqueeze,
    )
    permute, transpose, swapaxes, movedim, t = (shape.permute, shape.transpose, shape.transpose, shape.movedim, shape.t)
    expand, expand_as, broadcast_to, clone = shape.expand, shape.expand_as, shape.broadcast_to, shape.clone
    split, chunk, unbind, flip, roll = join.split, join.chunk, join.unbind, join.flip, join.roll
    repeat, tile = join.repeat, join.tile
    T = property(shape.t, doc="The transpose of a matrix.")

    def view_as(self, other: Any) -> Any:
        """In the shape of another tensor."""
        return shape.reshape(self, other.shape)

    reshape_as = view_as

    # elements
    take_along_dim, scatter_add, index_select = gather.take_along_dim, gather.scatter_add, gather.index_select
    gather, narrow, select = gather.gather, indexing.narrow, indexing.select
    copy_, fill_, zero_, detach_ = inplace.copy_, inplace.fill_, inplace.zero_, inplace.detach_
    add_, sub_, mul_, div_ = inplace.add_, inplace.sub_, inplace.mul_, inplace.div_
    subtract_, multiply_, divide_, true_divide_ = sub_, mul_, div_, div_
    floor_divide_, pow_, clamp_, clip_ = inplace.floor_divide_, inplace.pow_, inplace.clamp_, inplace.clamp_
    bitwise_and_, bitwise_or_, bitwise_xor_ = inplace.bitwise_and_, inplace.bitwise_or_, inplace.bitwise_xor_
    exp_, sqrt_, neg_, abs_ = inplace.exp_, inplace.sqrt_, inplace.neg_, inplace.abs_
    relu_, sigmoid_, tanh_ = inplace.relu_, inplace.sigmoid_, inplace.tanh_
    normal_, uniform_, bernoulli_ = inplace.normal_, inplace.uniform_, inplace.bernoulli_
    matmul, bmm = product, bmm

    # dtype, device and size
    to, type_as, contiguous, is_floating_point = cast.to, cast.type_as, cast.contiguous, cast.is_floating_point
    cpu, cuda = cast.cpu, cast.cuda
    float, double, long, int, bool = cast.to_float, cast.to_double, cast.to_long, cast.to_int, cast.to_bool
    size, numel, dim, element_size = cast.size, cast.numel, cast.dim, cast.element_size
    ndim = property(cast.dim, doc="The number of axes.")


__all__ = ["Methods"]
