"""Scaled dot-product attention as one op: softmax(scale Q K' + mask) V, whose square of scores no fast kernel stores.

The reference writes the scores down, (L, S) for each head.  All others go over the keys once, block by block, and keep
of each query's scores the largest so far and the sum of exponentials so far (online softmax: Milakov & Gimelshein,
2018).  Forward leaves both for each query, top and total, from which backward computes the weights e^(score - top) /
total again block by block (Dao et al., NeurIPS 2022): memory grows with the number of tokens, not with its square.
Kept in one number, top + ln total, they would lose their last digits where scores are large.

A query that may attend to no key has top = 0 and total = +inf, so that all its weights are 0.
"""

from math import prod, sqrt
from typing import Any

import numpy as np

from .. import random
from ..annotations import Tensor
from ..dispatch import Array, Table, kernel
from ..tape import Op
from .cast import Cast
from .dropout import drawn_halves, generator_state, limit_of
from .elementwise import where
from .shape import expand, reshape, reshaped, unsqueeze

__all__ = ["scaled_dot_product_attention"]


# ------------------------------------------------------------------------------------------- reference kernels


def scores(xp: Any, q: Array, k: Array, mask: Array | None, scale: float, causal: bool) -> Array:
    """Return scale Q K' + mask, -inf where a query may not attend."""
    z = (q @ k.swapaxes(-1, -2)) * q.dtype.type(scale)
    if mask is not None:
        z = z + mask
    if causal:
        z = xp.where(xp.arange(z.shape[-1]) > xp.arange(z.shape[-2])[:, None], -xp.inf, z)
    return z.astype(q.dtype, copy=False)


def kept(xp: Any, shape: tuple[int, ...], ticket: Array | None, limit: int, scale: float, dtype: Any) -> Any:
    """Return the factor of each weight: 0 where dropout takes it away, 1 / (1 - p) elsewhere; weights in C order."""
    if ticket is None:
        return dtype.type(1)
    return (drawn_halves(xp, prod(shape), ticket) >= xp.uint64(limit)).reshape(shape) * dtype.type(scale)


def products(q: Array, k: Array, v: Array, *_: Any) -> float:
    """Count the multiplications and additions of Q K' and of the weights times V."""
    return float(2 * prod(q.shape[:3]) * k.shape[2] * (q.shape[3] + v.shape[3]))


def attended(q: Array, k: Array, v: Array, *_: Any) -> list[tuple[int, ...]]:
    """Return the shapes of the output, of top and of total."""
    return [(*q.shape[:3], v.shape[3]), q.shape[:3], q.shape[:3]]


@kernel(out=attended, flops=products)
def attention_forward(
    xp: Any,
    q: Array,
    k: Array,
    v: Array,
    mask: Array | None,
    ticket: Array | None,
    scale: float,
    causal: bool,
    limit: int,
    keep: float,
) -> Any:
    """y = softmax(scale Q K' + mask) V of (N, heads, L, size), top, total; mask (N or 1, heads or 1, L or 1, S)."""
    z = scores(xp, q, k, mask, scale, causal)
    top = z.max(-1) if z.shape[-1] else xp.full(z.shape[:-1], -xp.inf, z.dtype)
    closed = top == -xp.inf
    top = xp.where(closed, 0, top).astype(q.dtype)
    e = xp.exp(z - top[..., None])
    total = xp.where(closed, xp.inf, e.sum(-1)).astype(q.dtype)
    weights = (e / total[..., None]) * kept(xp, z.shape, ticket, limit, keep, z.dtype)
    return weights.astype(q.dtype, copy=False) @ v, top, total


def gradients(
    dy: Array, q: Array, k: Array, v: Array, mask: Array | None, y: Array, top: Array, total: Array, *rest: Any
) -> list[tuple[int, ...]]:
    """Return the shapes of dq, dk, dv and of the scores' gradient, which has no elements unless it is wanted."""
    return [q.shape, k.shape, v.shape, (*q.shape[:3], k.shape[2]) if rest[-1] else (0, 0, 0, 0)]


@kernel(out=gradients, flops=lambda dy, q, k, v, *_: 2.5 * products(q, k, v))
def attention_backward(
    xp: Any,
    dy: Array,
    q: Array,
    k: Array,
    v: Array,
    mask: Array | None,
    y: Array,
    top: Array,
    total: Array,
    ticket: Array | None,
    scale: float,
    causal: bool,
    limit: int,
    keep: float,
    of_scores: bool,
) -> Any:
    """P = e^(scores - top) / total: dV = P' dY, dS = P (dY V' - sum(dY Y)), dQ = scale dS K, dK = scale dS' Q; dS."""
    factor = kept(xp, (*q.shape[:3], k.shape[2]), ticket, limit, keep, q.dtype)
    p = xp.exp(scores(xp, q, k, mask, scale, causal) - top[..., None]) / total[..., None]
    ds = p * ((dy @ v.swapaxes(-1, -2)) * factor - (dy * y).sum(-1, keepdims=True))
    number = q.dtype.type(scale)
    dq, dk = (ds @ k) * number, (ds.swapaxes(-1, -2) @ q) * number
    return dq, dk, (p * factor).swapaxes(-1, -2) @ dy, ds if of_scores else xp.zeros((0, 0, 0, 0), q.dtype)


# ---------------------------------------------------------------------------------------------------- the op


def heads_of(k: Table, a: Array) -> Array:
    """Return (*leading, tokens, size) as (N, heads, tokens, size), the last of the leading axes as the heads."""
    leading = a.shape[:-2]
    return reshaped(k, a, (prod(leading[:-1]), leading[-1] if leading else 1, *a.shape[-2:]))


class Attention(Op):
    """y = softmax(scale Q K' + mask) V over the last two axes, weights dropped with probability p.

    With P the weights and Y the output: dV = P' dY, dS = P (dY V' - sum(dY Y)), dQ = scale dS K, dK = scale dS' Q,
    dmask = dS, summed over the axes along which the mask was broadcast.  Vaswani et al., NIPS 2017.

    q, k and v share their leading axes; the mask's are as many, all of them 1 but for the last, or equal to q's.
    """

    def forward(
        self,
        q: Array,
        k: Array,
        v: Array,
        mask: Array | None,
        state: Array | None,
        p: float,
        causal: bool,
        scale: float,
    ) -> Array:
        table, (limit, keep), ticket = self.k, limit_of(p), None
        if state is not None:  # a draw of no elements moves the generator on, and leaves the ticket
            _, ticket = table.dropout_forward(table.full((0,), q.dtype, 0), state, limit, keep)
        parts = *(heads_of(table, a) for a in (q, k, v)), None if mask is None else heads_of(table, mask)
        how = scale, causal, limit, keep
        y, top, total = table.attention_forward(*parts, ticket, *how)
        self.save(q.shape, k.shape, v.shape, None if mask is None else mask.shape, parts, y, top, total, ticket, how)
        return y.reshape(*q.shape[:-1], v.shape[-1])

    def backward(self, dy: Array) -> Any:
        *shapes, masks, parts, y, top, total, ticket, how = self.saved
        dy = reshaped(self.k, dy, y.shape)
        *grads, ds = self.k.attention_backward(dy, *parts, y, top, total, ticket, *how, self.needs[3])
        dmask = self.k.sum_to(ds, parts[3].shape).reshape(masks) if self.needs[3] else None
        return *(g.reshape(shape) for g, shape in zip(grads, shapes, strict=True)), dmask, None, None, None, None

    @staticmethod
    def samples(draw: Any) -> tuple[Any, ...]:
        leading = draw.choice(((2, 3), (), (1,), (2, 1, 2), (3,), (0,)))
        queries, keys = draw.choice((3, 1, 5, 17, 33)), draw.choice((3, 1, 2, 16, 35, 0))
        size, values = draw.choice((4, 1, 3, 16, 33)), draw.choice((4, 1, 2, 17))
        q, k = draw.array((*leading, queries, size)), draw.array((*leading, keys, size), -0.8, 0.8)
        v = draw.array((*leading, keys, values), -0.005, 0.005)  # of one key, or of equal ones, gradients cancel to 0
        kind = draw.choice(("none", "causal", "closed", "added"))
        mask = None
        if kind in ("closed", "added"):
            ones = (1,) * len(leading)
            shape = (*draw.choice((ones, leading)), draw.choice((queries, 1)), keys)
            mask = draw.array(shape)
            if kind == "closed":
                mask = draw.array(shape, constant=True)
                mask[draw.integers(shape, 0, 1) > 0] = -np.inf
        p = draw.choice((0.0, 0.5, 0.1))
        return q, k, v, mask, generator_state(draw) if p else None, p, kind == "causal", draw.number(0.2, 1.0)

    @staticmethod
    def oracle(torch: Any, q: Any, k: Any, v: Any, mask: Any, state: Any, p: float, causal: bool, scale: float) -> Any:
        attention = torch.nn.functional.scaled_dot_product_attention
        if state is None:
            return attention(q, k, v, mask, 0.0, causal, scale=scale)
        every = torch.eye(k.shape[-2], dtype=q.dtype).expand(*k.shape[:-2], -1, -1)
        weights = attention(q, k, every, mask, 0.0, causal, scale=scale)
        halves = drawn_halves(np, weights.numel(), np.asarray(state))
        return (weights * torch.tensor((halves >= limit_of(p)[0]).reshape(weights.shape)) * limit_of(p)[1]) @ v


# ------------------------------------------------------------------------------------------- public function


def scaled_dot_product_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """Compute softmax(scale Q K' + mask) V: for each query the mean of the values, weighted by how its key fits.

    Memory grows with the number of tokens, not with its square, on every backend but `numpy` and `cupy`; a gradient of
    the mask is computed for each head and then summed.  A query that may attend to no key gives 0.

    Args:
        query: (..., L, E), floating point.
        key: (..., S, E), of the query's dtype.
        value: (..., S, V), of the query's dtype.  Leading axes broadcast.
        attn_mask: (..., L, S) or what broadcasts to it; bool: True where a query may attend to a key; floating point:
            added to the scores, -inf closes.
        dropout_p: Drop each weight with this probability and scale the others by 1 / (1 - p), always: give 0 in
            evaluation.
        is_causal: Query i attends to keys 0 to i; not beside attn_mask.
        scale: The factor of the scores, by default 1 / sqrt(E).
        enable_gqa: Heads (the axis before the tokens) of key and value each serve a group of query heads.

    Returns:
        (..., L, V).

    Raises:
        ValueError: Shapes, dtypes or options do not fit.
        TypeError: The tensors are not floating point, or the mask is of another dtype.

    Example:
        >>> import tinymed
        >>> from tinymed.nn import functional as F
        >>> q = tinymed.zeros(2, 8, 5, 16)
        >>> F.scaled_dot_product_attention(q, q, tinymed.ones(2, 8, 5, 3))[0, 0, 0].tolist()
        [1.0, 1.0, 1.0]

    Reference:
        Vaswani et al., NIPS 2017; Dao et al., NeurIPS 2022.
    """
    check_operands(query, key, value)
    if not 0 <= dropout_p <= 1:
        raise ValueError(f"scaled_dot_product_attention: dropout_p is a probability from 0 to 1, got {dropout_p}")
    if is_causal and attn_mask is not None:
        raise ValueError(
            "scaled_dot_product_attention: takes attn_mask or is_causal=True, not both; put both in a mask"
        )
    if enable_gqa:
        key, value = (grouped(name, a, query) for name, a in (("key", key), ("value", value)))
    query, key, value = on_common_axes(query, key, value)
    leading, queries, keys = query.shape[:-2], query.shape[-2], key.shape[-2]
    if attn_mask is not None:
        attn_mask = added_mask(attn_mask, query, (*leading, queries, keys))
    if scale is None:
        scale = 1 / sqrt(query.shape[-1]) if query.shape[-1] else 1.0
    state = random.default_generator.beside(query.array) if dropout_p > 0 else None
    return Attention.apply(query, key, value, attn_mask, state, float(dropout_p), bool(is_causal), float(scale))


def check_operands(query: Any, key: Any, value: Any) -> None:
    """Raise unless queries, keys and values fit each other."""
    shapes = f"query {list(query.shape)}, key {list(key.shape)}, value {list(value.shape)}"
    if min(len(a.shape) for a in (query, key, value)) < 2:
        raise ValueError(f"scaled_dot_product_attention: got {shapes}; each takes at least (tokens, size)")
    if query.shape[-1] != key.shape[-1] or key.shape[-2] != value.shape[-2]:
        raise ValueError(
            f"scaled_dot_product_attention: got {shapes}; it takes (..., L, E), (..., S, E) and (..., S, V)"
        )
    dtypes = [a.array.dtype for a in (query, key, value)]
    if len(set(dtypes)) > 1:
        raise ValueError(
            f"scaled_dot_product_attention: query, key and value are {', '.join(map(str, dtypes))}; they must have one "
            "dtype"
        )
    if dtypes[0].kind != "f":
        raise TypeError(f"scaled_dot_product_attention: takes floating-point tensors, got {dtypes[0]}")


def grouped(name: str, a: Any, query: Any) -> Any:
    """Repeat each head of keys or values for the query heads of its group."""
    heads = query.shape[-3] if len(query.shape) > 2 else 1
    own = a.shape[-3] if len(a.shape) > 2 else 1
    if not own or heads % own:
        raise ValueError(
            f"scaled_dot_product_attention: enable_gqa with {heads} query heads and {own} heads of {name}; it takes a "
            "divisor"
        )
    if own == heads:
        return a
    tail = a.shape[-2:]
    leading = a.shape[:-3]
    return reshape(expand(unsqueeze(a, -3), *leading, own, heads // own, *tail), *leading, heads, *tail)


def on_common_axes(query: Any, key: Any, value: Any) -> tuple[Any, ...]:
    """Return queries, keys and values with leading axes broadcast against each other."""
    leading = [tuple(a.shape[:-2]) for a in (query, key, value)]
    if leading[0] == leading[1] == leading[2]:
        return query, key, value
    try:
        common = np.broadcast_shapes(*leading)
    except ValueError:
        raise ValueError(
            f"scaled_dot_product_attention: the leading axes of query {list(query.shape)}, key {list(key.shape)} and "
            f"value {list(value.shape)} do not broadcast"
        ) from None
    return tuple(expand(a, *common, *a.shape[-2:]) for a in (query, key, value))


def added_mask(mask: Any, query: Any, full: tuple[int, ...]) -> Any:
    """Return a mask as numbers to add, with as many axes as the scores and none of them broadcast in part.

    full: the shape of the scores.
    """
    dtype = query.array.dtype
    if mask.array.dtype == np.bool_:
        mask = where(mask, 0.0, -np.inf)
        mask = mask if mask.array.dtype == dtype else Cast.apply(mask, dtype)
    elif mask.array.dtype != dtype:
        raise TypeError(
            f"scaled_dot_product_attention: attn_mask is {mask.array.dtype}; it takes bool or the query's {dtype}"
        )
    shape = (1,) * (len(full) - len(mask.shape)) + tuple(mask.shape)
    if len(shape) != len(full) or any(m not in (1, n) for m, n in zip(shape, full, strict=True)):
        raise ValueError(
            f"scaled_dot_product_attention: attn_mask has shape {list(mask.shape)}, which does not broadcast to the "
            f"scores' {list(full)}"
        )
    mask = reshape(mask, *shape)
    outer = shape[:-3] if any(m > 1 for m in shape[:-3]) and shape[:-3] != full[:-3] else ()
    if outer or shape[-1] != full[-1]:
        mask = expand(mask, *(full[:-3] if outer else shape[:-3]), *shape[-3:-1], full[-1])
    return mask
