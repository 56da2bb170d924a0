"""The ops as methods and operators: what Tensor inherits.  Each line names the function that answers."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from ..tape import Node, host_read
from . import (
    activations,
    analytic,
    arrangement,
    bitwise,
    cast,
    closeness,
    compare,
    counting,
    cumulative,
    elementwise,
    erf,
    extremes,
    gather,
    indexing,
    inplace,
    join,
    maximum,
    moments,
    pairwise,
    products,
    properties,
    reduce,
    rounding,
    scatter,
    shape,
    sine,
    smooth,
    softmax,
    sorting,
    stacking,
    triangles,
    unary,
    view,
    writing,
)
from . import clamp as limits
from .matmul import bmm
from .matmul import matmul as product

OPERANDS = (Node, int, float, np.ndarray, np.generic)


def comparison(function: Any) -> Any:
    """Return an operator that leaves what is not an operand, like None, to Python."""

    def operator(self: Any, other: Any) -> Any:
        if not isinstance(other, OPERANDS):
            return NotImplemented
        return function(self, other)

    return operator


def arithmetic(function: Any, reverse: bool = False) -> Any:
    """Return an operator or its reverse (2 - x); what is not an operand is left to Python, which raises TypeError."""

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
    __mod__, __rmod__ = arithmetic(pairwise.remainder), arithmetic(pairwise.remainder, reverse=True)
    __lshift__, __rlshift__ = (
        arithmetic(bitwise.bitwise_left_shift),
        arithmetic(bitwise.bitwise_left_shift, reverse=True),
    )
    __rshift__, __rrshift__ = (
        arithmetic(bitwise.bitwise_right_shift),
        arithmetic(bitwise.bitwise_right_shift, reverse=True),
    )
    __and__, __rand__ = arithmetic(bitwise.bitwise_and), arithmetic(bitwise.bitwise_and, reverse=True)
    __or__, __ror__ = arithmetic(bitwise.bitwise_or), arithmetic(bitwise.bitwise_or, reverse=True)
    __xor__, __rxor__ = arithmetic(bitwise.bitwise_xor), arithmetic(bitwise.bitwise_xor, reverse=True)
    __matmul__, __rmatmul__ = arithmetic(product), arithmetic(product, reverse=True)
    __eq__, __ne__ = comparison(compare.eq), comparison(compare.ne)
    __lt__, __le__ = comparison(compare.lt), comparison(compare.le)
    __gt__, __ge__ = comparison(compare.gt), comparison(compare.ge)
    __hash__ = Node.__hash__
    __neg__, __abs__, __invert__ = unary.neg, unary.abs, bitwise.bitwise_not
    __getitem__, __setitem__ = indexing.getitem, writing.assign
    __iadd__, __isub__ = arithmetic(inplace.add_), arithmetic(inplace.sub_)
    __imul__, __itruediv__ = arithmetic(inplace.mul_), arithmetic(inplace.div_)
    __ifloordiv__, __ipow__ = arithmetic(inplace.floor_divide_), arithmetic(inplace.pow_)
    __iand__, __ior__ = arithmetic(inplace.bitwise_and_), arithmetic(inplace.bitwise_or_)
    __ixor__, __imod__ = arithmetic(inplace.bitwise_xor_), arithmetic(inplace.remainder_)
    __ilshift__, __irshift__ = arithmetic(inplace.bitwise_left_shift_), arithmetic(inplace.bitwise_right_shift_)
    __pos__ = shape.positive

    def __iter__(self) -> Iterator[Any]:
        if not self.array.ndim:
            raise TypeError("a tensor without axes cannot be iterated over")
        return iter(join.unbind(self))

    def __contains__(self, value: Any) -> Any:
        host_read("in")
        return (self.array == (value.array if isinstance(value, Node) else value)).any().item()

    def __index__(self) -> Any:
        if self.array.size != 1 or self.array.dtype.kind not in "iub":
            raise TypeError("only a tensor of one integer can be used as an index")
        host_read("use as an index")
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
        maximum.maximum,
        maximum.minimum,
        limits.clamp,
        limits.clamp,
    )
    clamp_min, clamp_max, rsub = limits.clamp_min, limits.clamp_max, pairwise.rsub
    remainder, fmod, fmax, fmin = pairwise.remainder, pairwise.fmod, pairwise.fmax, pairwise.fmin
    atan2, arctan2, hypot = pairwise.atan2, pairwise.atan2, pairwise.hypot
    lerp, addcmul, addcdiv = pairwise.lerp, pairwise.addcmul, pairwise.addcdiv
    floor, ceil, round = rounding.floor, rounding.ceil, rounding.round
    trunc, fix, frac = rounding.trunc, rounding.fix, rounding.frac
    tan, asin, acos, atan = analytic.tan, analytic.asin, analytic.acos, analytic.atan
    arcsin, arccos, arctan = analytic.asin, analytic.acos, analytic.atan
    sinh, cosh, asinh, acosh, atanh = analytic.sinh, analytic.cosh, analytic.asinh, analytic.acosh, analytic.atanh
    arcsinh, arccosh, arctanh = analytic.asinh, analytic.acosh, analytic.atanh
    exp2, log2, log10, logit = analytic.exp2, analytic.log2, analytic.log10, analytic.logit
    deg2rad, rad2deg = analytic.deg2rad, analytic.rad2deg
    neg, negative, exp, expm1, log, log1p = unary.neg, unary.neg, unary.exp, unary.expm1, unary.log, unary.log1p
    sqrt, rsqrt, square, reciprocal = unary.sqrt, unary.rsqrt, unary.square, unary.reciprocal
    abs, absolute, sign, sin, cos, erf = unary.abs, unary.abs, unary.sign, sine.sin, sine.cos, erf.erf

    relu, prelu, sigmoid, tanh = activations.relu, activations.prelu, smooth.sigmoid, smooth.tanh
    softmax, log_softmax = softmax.softmax, softmax.log_softmax

    def where(self, condition: Any, other: Any) -> Any:
        """Choose this tensor's elements where a condition holds, else other.

        Args:
            condition: Bool tensor.
            other: A tensor or a number; all three broadcast with each other.

        Returns:
            A tensor of the broadcast shape.

        Raises:
            TypeError: condition is not a tensor of bool.

        Example:
            >>> import tinymed
            >>> tinymed.tensor([1, 2]).where(tinymed.tensor([True, False]), 0).tolist()
            [1, 0]
        """
        return elementwise.where(condition, self, other)

    # comparisons and logic
    eq, ne, lt, le, gt, ge = compare.eq, compare.ne, compare.lt, compare.le, compare.gt, compare.ge
    not_equal, less, less_equal, greater, greater_equal = ne, lt, le, gt, ge
    logical_and, logical_or = compare.logical_and, compare.logical_or
    logical_xor, logical_not = compare.logical_xor, compare.logical_not
    bitwise_and, bitwise_or = bitwise.bitwise_and, bitwise.bitwise_or
    bitwise_xor, bitwise_not = bitwise.bitwise_xor, bitwise.bitwise_not
    bitwise_left_shift, bitwise_right_shift = bitwise.bitwise_left_shift, bitwise.bitwise_right_shift
    isnan, isinf, isfinite = compare.isnan, compare.isinf, compare.isfinite
    isposinf, isneginf, isclose = closeness.isposinf, closeness.isneginf, closeness.isclose
    allclose, equal, nan_to_num = closeness.allclose, closeness.equal, closeness.nan_to_num
    is_nonzero, is_same_size = closeness.is_nonzero, closeness.is_same_size

    # reductions
    sum, mean, var, std, prod, norm = reduce.sum, reduce.mean, moments.var, moments.std, reduce.prod, reduce.norm
    cumsum, logsumexp, any, all = cumulative.cumsum, reduce.logsumexp, reduce.any, reduce.all
    max, min, amax, amin = extremes.max, extremes.min, extremes.amax, extremes.amin
    argmax, argmin, aminmax = extremes.argmax, extremes.argmin, counting.aminmax
    cumprod, nansum, nanmean = cumulative.cumprod, counting.nansum, counting.nanmean
    count_nonzero, bincount, histc = counting.count_nonzero, counting.bincount, counting.histc
    sort, argsort, msort, topk = sorting.sort, sorting.argsort, sorting.msort, sorting.topk
    median, kthvalue = sorting.median, sorting.kthvalue
    unique, unique_consecutive, nonzero = counting.unique, counting.unique_consecutive, counting.nonzero
    argwhere = counting.argwhere

    # shape
    reshape, view, flatten, squeeze, unsqueeze = (
        shape.reshape,
        view.view,
        shape.flatten,
        shape.squeeze,
        shape.unsqueeze,
    )
    permute, transpose, swapaxes, movedim, t = (shape.permute, shape.transpose, shape.transpose, shape.movedim, shape.t)
    expand, expand_as, broadcast_to, clone = shape.expand, shape.expand_as, shape.broadcast_to, shape.clone
    split, chunk, unbind, flip, roll = join.split, join.chunk, join.unbind, join.flip, join.roll
    repeat, tile = join.repeat, join.tile
    T = property(shape.reversed_axes)
    mT, mH, H = property(shape.transposed), property(shape.transposed), property(shape.adjoint)
    adjoint = shape.transposed
    ravel, unflatten, unfold = arrangement.ravel, arrangement.unflatten, arrangement.unfold
    swapdims, moveaxis, positive = shape.transpose, shape.movedim, shape.positive
    repeat_interleave, tensor_split = arrangement.repeat_interleave, arrangement.tensor_split
    hsplit, vsplit, split_with_sizes = stacking.hsplit, stacking.vsplit, join.split
    rot90, fliplr, flipud, diff = arrangement.rot90, arrangement.fliplr, arrangement.flipud, arrangement.diff
    sum_to_size = arrangement.sum_to_size
    tril, triu, diag, diag_embed = triangles.tril, triangles.triu, triangles.diag, triangles.diag_embed
    diagonal, trace = triangles.diagonal, triangles.trace

    def view_as(self, other: Any) -> Any:
        """Return the elements in the shape of another tensor.

        Args:
            other: A tensor of as many elements.

        Returns:
            A tensor of this one's dtype.

        Raises:
            ValueError: The numbers of elements differ.

        Example:
            >>> import tinymed
            >>> tinymed.arange(4).view_as(tinymed.zeros(2, 2)).tolist()
            [[0, 1], [2, 3]]
        """
        return view.view(self, other.shape)

    def reshape_as(self, other: Any) -> Any:
        """Return the elements in the shape of another tensor: a view where one exists, else a copy.

        Args:
            other: A tensor of as many elements.

        Returns:
            A tensor of this one's dtype.

        Raises:
            ValueError: The numbers of elements differ.

        Example:
            >>> import tinymed
            >>> tinymed.arange(4).reshape_as(tinymed.zeros(2, 2)).tolist()
            [[0, 1], [2, 3]]
        """
        return shape.reshape(self, other.shape)

    # elements
    take_along_dim, scatter_add, index_select = gather.take_along_dim, gather.scatter_add, gather.index_select
    index_add, index_copy, index_fill = scatter.index_add, scatter.index_copy, scatter.index_fill
    masked_fill, masked_select, take = scatter.masked_fill, scatter.masked_select, scatter.take
    scatter = scatter.scatter
    gather, narrow, select = gather.gather, indexing.narrow, indexing.select
    copy_, fill_, zero_, detach_ = inplace.copy_, inplace.fill_, inplace.zero_, inplace.detach_
    add_, sub_, mul_, div_ = inplace.add_, inplace.sub_, inplace.mul_, inplace.div_
    subtract_, multiply_, divide_, true_divide_ = sub_, mul_, div_, div_
    floor_divide_, pow_, clamp_, clip_ = inplace.floor_divide_, inplace.pow_, inplace.clamp_, inplace.clamp_
    bitwise_and_, bitwise_or_, bitwise_xor_ = inplace.bitwise_and_, inplace.bitwise_or_, inplace.bitwise_xor_
    exp_, sqrt_, neg_, abs_ = inplace.exp_, inplace.sqrt_, inplace.neg_, inplace.abs_
    relu_, sigmoid_, tanh_ = inplace.relu_, inplace.sigmoid_, inplace.tanh_
    clamp_min_, clamp_max_, lerp_ = inplace.clamp_min_, inplace.clamp_max_, inplace.lerp_
    remainder_, fmod_, addcmul_, addcdiv_ = inplace.remainder_, inplace.fmod_, inplace.addcmul_, inplace.addcdiv_
    floor_, ceil_, round_ = inplace.floor_, inplace.ceil_, inplace.round_
    trunc_, frac_ = inplace.trunc_, inplace.frac_
    log_, log2_, log10_, log1p_ = inplace.log_, inplace.log2_, inplace.log10_, inplace.log1p_
    expm1_, exp2_, sign_ = inplace.expm1_, inplace.exp2_, inplace.sign_
    sin_, cos_, tan_ = inplace.sin_, inplace.cos_, inplace.tan_
    asin_, acos_, atan_ = inplace.asin_, inplace.acos_, inplace.atan_
    rsqrt_, reciprocal_, square_ = inplace.rsqrt_, inplace.reciprocal_, inplace.square_
    erfinv_ = inplace.erfinv_
    masked_fill_, scatter_, scatter_add_ = inplace.masked_fill_, inplace.scatter_, inplace.scatter_add_
    index_add_, index_copy_, index_fill_ = inplace.index_add_, inplace.index_copy_, inplace.index_fill_
    tril_, triu_, nan_to_num_ = inplace.tril_, inplace.triu_, inplace.nan_to_num_
    bitwise_left_shift_, bitwise_right_shift_ = inplace.bitwise_left_shift_, inplace.bitwise_right_shift_
    normal_, uniform_, bernoulli_ = inplace.normal_, inplace.uniform_, inplace.bernoulli_
    matmul, bmm = product, bmm
    mm, mv, dot, outer, inner = products.mm, products.mv, products.dot, products.outer, products.inner
    addmm, addmv, baddbmm, ger = products.addmm, products.addmv, products.baddbmm, products.outer
    addbmm = products.addbmm

    # dtype, device and size
    to, type_as, contiguous, is_floating_point = (
        cast.to,
        cast.type_as,
        properties.contiguous,
        properties.is_floating_point,
    )
    cpu, cuda = cast.cpu, cast.cuda
    float, double, half = cast.to_float, cast.to_double, cast.to_half
    long, int, short, bool = cast.to_long, cast.to_int, cast.to_short, cast.to_bool
    byte, char, type = cast.to_byte, cast.to_char, cast.type_of
    size, numel, dim, element_size = properties.size, properties.numel, properties.dim, properties.element_size
    ndimension, nelement, stride, is_contiguous = (
        properties.dim,
        properties.numel,
        properties.stride,
        properties.is_contiguous,
    )
    is_cuda = property(properties.is_cuda)
    nbytes = property(properties.nbytes)
    itemsize = property(properties.element_size)
    ndim = property(properties.dim)


__all__ = ["Methods"]
