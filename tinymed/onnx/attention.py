"""Attention, rotary positions and the norm by root mean squares, as transformers have them."""

from math import sqrt
from typing import Any

import numpy as np

from ..nn import functional as F
from ..tensor import Tensor
from .table import Node, axis_of, held, like, numbers, operator, plain, sized


@operator("RMSNormalization")
def rms_normalization(node: Node, x: Any, scale: Any) -> Any:
    """x / sqrt(mean x^2 + epsilon) * scale, over the axes from `axis` on."""
    axis = axis_of(node, node.get("axis", -1), x.ndim)
    square = F.mean(x * x, tuple(range(axis, x.ndim)), keepdim=True)
    return like(x * F.rsqrt(square + node.get("epsilon", 1e-5)) * scale, x)


@operator("Attention")
def attention(
    node: Node, q: Any, k: Any, v: Any, mask: Any = None, past_k: Any = None, past_v: Any = None, valid: Any = None
) -> Any:
    """softmax(scale Q K' + bias) V for each head: (Y, keys and values with those of the past, the scores).

    Q, K, V: (N, heads, length, size), or (N, length, heads size).  softcap c makes scores s into c tanh(s / c).
    Queries that may attend to nothing give 0.
    """
    flat = q.ndim == 3
    if flat:
        q = divided(node, q, "q_num_heads")
        k, v = divided(node, k, "kv_num_heads"), divided(node, v, "kv_num_heads")
    check_heads(node, q, k, v)
    before = 0 if past_k is None else past_k.shape[2]
    if past_k is not None and past_v is not None:
        k, v = F.cat([past_k, k], 2), F.cat([past_v, v], 2)
    present = k, v
    if q.shape[1] != k.shape[1]:
        times = q.shape[1] // k.shape[1]
        k, v = repeated(k, times), repeated(v, times)
    sized(node, (*q.shape[:3], k.shape[2]))
    factor = sqrt(node.get("scale") or 1 / sqrt(q.shape[3]))
    scores = F.matmul(q * factor, F.swapaxes(k * factor, 2, 3))
    raw, cap = scores, node.get("softcap", 0.0)
    if cap:
        scores = F.tanh(scores / cap) * cap
    capped = scores
    bias, closed = bias_of(node, q, k, mask, before, valid)
    scores = scores if bias is None else scores + bias
    shares = softmax(node, scores, closed, q)
    y = F.matmul(shares, v)
    if flat:
        y = F.reshape(F.permute(y, (0, 2, 1, 3)), (y.shape[0], y.shape[2], -1))
    shown = (raw, capped, scores, shares)[node.get("qk_matmul_output_mode", 0)]
    return (y, *present, shown)[: max(len(node.outputs), 1)]


def divided(node: Node, x: Any, heads: str) -> Any:
    """(N, length, heads size) as (N, heads, length, size)."""
    count = node.get(heads) or 0
    if count < 1 or x.shape[2] % count:
        raise ValueError(
            f"{node}: {heads} is {node.get(heads)}, the last axis {x.shape[2]}; it takes a divisor of that"
        )
    return F.permute(F.reshape(x, (x.shape[0], x.shape[1], count, x.shape[2] // count)), (0, 2, 1, 3))


def check_heads(node: Node, q: Any, k: Any, v: Any) -> None:
    """Raise ValueError unless queries, keys and values fit."""
    fits = q.ndim == k.ndim == v.ndim == 4 and q.shape[3] == k.shape[3] and k.shape[1:3] == v.shape[1:3]
    if not fits or not k.shape[1] or q.shape[1] % k.shape[1]:
        raise ValueError(
            f"{node}: Q {list(q.shape)}, K {list(k.shape)}, V {list(v.shape)}; it takes (N, heads, length, size), the "
            "query heads a multiple of the others"
        )


def repeated(x: Any, times: int) -> Any:
    """Return each head several times, for groups of query heads that share it."""
    n, heads, length, size = x.shape
    spread = F.expand(F.reshape(x, (n, heads, 1, length, size)), (n, heads, times, length, size))
    return F.reshape(spread, (n, heads * times, length, size))


def bias_of(node: Node, q: Any, k: Any, mask: Any, before: int, valid: Any) -> tuple[Any, Any]:
    """Return (what is added to the scores, which queries may attend to nothing); None for nothing and for none."""
    queries, keys = q.shape[2], k.shape[2]
    parts = []
    open_ = np.ones((queries, keys), bool)
    first: Any = before if valid is None else (np.asarray(numbers(valid)) - queries).reshape(-1, 1, 1, 1)
    distance = np.arange(queries)[:, None] + first - np.arange(keys)  # of a key before its query
    left, right = node.get("left_window_size", -1), node.get("right_window_size", -1)
    for used, allowed in (
        (node.get("is_causal", 0), distance >= 0),
        (left >= 0, distance <= left),
        (right >= 0, -distance <= right),
    ):
        if used:
            open_ = open_ & allowed
    if valid is not None:
        open_ = open_ & (np.arange(keys) < np.asarray(numbers(valid)).reshape(-1, 1, 1, 1))
    if mask is not None:
        parts.append(padded(mask, keys, q.dtype))
    if not open_.all():
        parts.append(Tensor(np.where(open_, 0.0, -np.inf).astype(q.dtype)))
    if not parts:
        return None, None
    bias = parts[0] if len(parts) == 1 else parts[0] + parts[1]
    return bias, plain(lambda b: np.isneginf(b.max(-1, keepdims=True, initial=-np.inf)), bias)


def padded(mask: Any, keys: int, dtype: Any) -> Any:
    """Return a mask as what is added: True is 0, False -inf; keys beyond its end are closed."""
    if mask.dtype == np.bool_:
        mask = plain(lambda m: np.where(m, 0.0, -np.inf).astype(dtype), mask)
    missing = keys - mask.shape[-1]
    return F.pad(mask, [0, missing], value=-np.inf) if missing > 0 else mask


def softmax(node: Node, scores: Any, closed: Any, q: Any) -> Any:
    """Return the shares of the keys, which are 0 for a query that may attend to nothing."""
    number = node.get("softmax_precision")
    dtype = scores.dtype if number is None else held(node, number)
    zero = Tensor(np.zeros((), scores.dtype))
    if closed is None or not np.asarray(closed.array).any():
        return like(F.softmax(scores.to(dtype), -1), q)
    shares = F.softmax(F.where(closed, zero, scores).to(dtype), -1)
    return F.where(closed, zero, like(shares, q))


@operator("RotaryEmbedding", fixed=(1, 2, 3))
def rotary_embedding(node: Node, x: Any, cos: Any, sin: Any, positions: Any = None) -> Any:
    """Pairs of features turned by an angle for each position: of both halves, or with interleaved neighbours."""
    flat, shape = x.ndim == 3, x.shape
    if flat:
        heads = node.get("num_heads", 0)
        if heads < 1 or shape[2] % heads:
            raise ValueError(f"{node}: num_heads is {heads}, the last axis {shape[2]}; it takes a divisor of that")
        x = F.reshape(x, (shape[0], shape[1], heads, shape[2] // heads))
    else:
        x = F.permute(x, (0, 2, 1, 3))
    width = node.get("rotary_embedding_dim", 0) or x.shape[3]
    if positions is not None:
        cos, sin = (F.getitem(t, (positions.to(np.int64),)) for t in (cos, sin))
    if cos.shape[-1] != width // 2 or not 0 < width <= x.shape[3]:
        raise ValueError(f"{node}: caches of {cos.shape[-1]} angles for {width} features; it takes half as many")
    cos, sin = F.unsqueeze(cos, 2), F.unsqueeze(sin, 2)
    turning, rest = F.narrow(x, 3, 0, width), F.narrow(x, 3, width, x.shape[3] - width)
    if node.get("interleaved", 0):
        pairs = F.reshape(turning, (*x.shape[:3], width // 2, 2))
        a, b = F.select(pairs, 4, 0), F.select(pairs, 4, 1)
        turned = F.reshape(F.stack([cos * a - sin * b, sin * a + cos * b], 4), (*x.shape[:3], width))
    else:
        a, b = F.split(turning, width // 2, 3)
        turned = F.cat([cos * a - sin * b, sin * a + cos * b], 3)
    y = F.cat([turned, rest], 3) if rest.shape[3] else turned
    return F.reshape(y, shape) if flat else F.permute(y, (0, 2, 1, 3))


@operator("SwiGLU")
def swi_glu(node: Node, a: Any, b: Any) -> Any:
    """Return a sigmoid(alpha a) b."""
    return a * F.sigmoid(a * node.get("alpha", 1.0)) * b
