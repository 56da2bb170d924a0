"""Multi-head attention under PyTorch's arguments and names of weights."""

from math import sqrt
from typing import Any

import numpy as np

from ..tensor import Tensor
from . import functional as F
from . import init
from .linear import Linear
from .module import Module, new_parameter


class MultiheadAttention(Module):
    """Attend with several heads: each projects queries, keys and values to embed_dim / num_heads features of its own.

    Args:
        embed_dim: features of queries and of the output.
        num_heads: number of heads; it divides embed_dim.
        dropout: probability of dropping a weight in training.  Default: 0.
        bias: whether the projections have biases.  Default: True.
        add_bias_kv: append a learned key and value to each sequence.  Default: False.
        add_zero_attn: append a key and value of zeros to each sequence.  Default: False.
        kdim: features of the keys.  Default: None, embed_dim.
        vdim: features of the values.  Default: None, embed_dim.
        batch_first: whether the batch is the first axis, (N, L, E) instead of (L, N, E).  Default: False.

    Shape:
        Query (L, N, embed_dim), key (S, N, kdim), value (S, N, vdim), or without N, or with N first; output (L, N,
        embed_dim) and the weights (N, L, S), None with need_weights=False.

    Raises:
        ValueError: num_heads does not divide embed_dim; when called, for shapes that do not fit.

    Example:
        >>> from tinymed import nn, ones
        >>> attend = nn.MultiheadAttention(8, 2, batch_first=True)
        >>> x = ones(3, 5, 8)
        >>> y, weights = attend(x, x, x)
        >>> y.shape, weights.shape
        ((3, 5, 8), (3, 5, 5))

    As `torch.nn.MultiheadAttention`.

    Reference:
        Vaswani et al., NIPS 2017.
    """

    _makes_tensors = True

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        dropout: float = 0.0,
        bias: bool = True,
        add_bias_kv: bool = False,
        add_zero_attn: bool = False,
        kdim: int | None = None,
        vdim: int | None = None,
        batch_first: bool = False,
    ):
        super().__init__()
        if embed_dim <= 0 or num_heads <= 0 or embed_dim % num_heads:
            raise ValueError(
                f"MultiheadAttention: embed_dim is {embed_dim}, num_heads {num_heads}; it takes positive numbers, the "
                "second a divisor of the first"
            )
        self.embed_dim, self.num_heads, self.head_dim = embed_dim, num_heads, embed_dim // num_heads
        self.kdim = embed_dim if kdim is None else kdim
        self.vdim = embed_dim if vdim is None else vdim
        self.dropout, self.batch_first, self.add_zero_attn = dropout, batch_first, add_zero_attn
        self.in_proj_weight = self.q_proj_weight = self.k_proj_weight = self.v_proj_weight = None
        if self.kdim == self.vdim == embed_dim:
            self.in_proj_weight = new_parameter(3 * embed_dim, embed_dim)
        else:
            self.q_proj_weight = new_parameter(embed_dim, embed_dim)
            self.k_proj_weight = new_parameter(embed_dim, self.kdim)
            self.v_proj_weight = new_parameter(embed_dim, self.vdim)
        self.in_proj_bias = new_parameter(3 * embed_dim) if bias else None
        self.bias_k = new_parameter(1, 1, embed_dim) if add_bias_kv else None
        self.bias_v = new_parameter(1, 1, embed_dim) if add_bias_kv else None
        self.out_proj = Linear(embed_dim, embed_dim, bias)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the projections Glorot-uniform and the learned key and value Glorot-normal; set biases to 0."""
        for weight in (self.in_proj_weight, self.q_proj_weight, self.k_proj_weight, self.v_proj_weight):
            if weight is not None:
                init.xavier_uniform_(weight)
        for bias in (self.in_proj_bias, self.out_proj.bias):
            if bias is not None:
                init.zeros_(bias)
        for extra in (self.bias_k, self.bias_v):
            if extra is not None:
                init.xavier_normal_(extra)

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        key_padding_mask: Tensor | None = None,
        need_weights: bool = True,
        attn_mask: Tensor | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> Any:
        """Return the output and the weights.

        Args:
            query, key, value: As the class names the shapes.
            key_padding_mask: (N, S): True at keys to leave out, or numbers to add to the scores.
            need_weights: Also return the weights; without them memory is linear in the tokens.
            attn_mask: (L, S) or (N num_heads, L, S): True where a query may not attend, or numbers to add.
            average_attn_weights: Return the mean of the heads' weights, (N, L, S), else (N, num_heads, L, S).
            is_causal: A hint that attn_mask is the causal one, which is then not read where it need not be.

        Returns:
            The output, and the weights or None.

        Raises:
            ValueError: Shapes, or the types of the masks, do not fit.
        """
        batched = len(query.shape) == 3
        self.check(query, key, value)
        if not batched:
            query, key, value = (F.unsqueeze(a, 1) for a in (query, key, value))
            key_padding_mask = None if key_padding_mask is None else F.unsqueeze(key_padding_mask, 0)
        elif self.batch_first:
            query, key, value = (F.swapaxes(a, 0, 1) for a in (query, key, value))
        if is_causal and attn_mask is None:
            raise ValueError("MultiheadAttention: is_causal is a hint about attn_mask; give the mask too")
        causal = is_causal and key_padding_mask is None and not need_weights and not self.extra_keys
        q, k, v = self.projected(query, key, value)
        mask = None if causal else self.mask(q, k, attn_mask, key_padding_mask)
        k, v, mask = self.with_extra_keys(k, v, mask)
        q, k, v = self.heads(q), self.heads(k), self.heads(v)
        dropout = self.dropout if self.training else 0.0
        weights = None
        if need_weights:
            scores = F.matmul(q * sqrt(1 / self.head_dim), F.swapaxes(k, 2, 3))
            weights = F.softmax(scores if mask is None else scores + mask, -1)
            weights = F.dropout(weights, dropout) if dropout else weights
            y = F.matmul(weights, v)
            weights = F.mean(weights, 1) if average_attn_weights else weights
        else:
            y = F.scaled_dot_product_attention(q, k, v, mask, dropout, causal)
        y = self.out_proj(F.reshape(F.permute(y, (2, 0, 1, 3)), (y.shape[2], y.shape[0], self.embed_dim)))
        if not batched:
            return F.squeeze(y, 1), None if weights is None else F.squeeze(weights, 0)
        return F.swapaxes(y, 0, 1) if self.batch_first else y, weights

    @property
    def extra_keys(self) -> int:
        """Return how many keys are appended to those that are given."""
        return int(self.bias_k is not None) + int(self.add_zero_attn)

    def check(self, query: Tensor, key: Tensor, value: Tensor) -> None:
        """Raise ValueError unless queries, keys and values fit this layer and each other."""
        shapes = f"query {list(query.shape)}, key {list(key.shape)}, value {list(value.shape)}"
        axes = {len(a.shape) for a in (query, key, value)}
        if axes not in ({2}, {3}):
            raise ValueError(f"MultiheadAttention: got {shapes}; each has 3 axes, or each has 2 (no batch)")
        sizes = tuple(a.shape[-1] for a in (query, key, value))
        if sizes != (self.embed_dim, self.kdim, self.vdim):
            raise ValueError(
                f"MultiheadAttention: got {shapes}; their features are {self.embed_dim}, {self.kdim} and {self.vdim}"
            )
        n = 0 if self.batch_first else 1
        if key.shape[:-1] != value.shape[:-1] or (axes == {3} and query.shape[n] != key.shape[n]):
            raise ValueError(
                f"MultiheadAttention: got {shapes}; keys are as many as values, and all of one batch "
                f"({'N, L, E' if self.batch_first else 'L, N, E'})"
            )

    def projected(self, query: Tensor, key: Tensor, value: Tensor) -> tuple[Any, ...]:
        """Return queries, keys and values projected: by one product where all three are the same tensor."""
        e, bias = self.embed_dim, self.in_proj_bias
        if self.in_proj_weight is not None and query is key and key is value:
            return tuple(F.split(F.linear(query, self.in_proj_weight, bias), e, 2))
        weights = (
            (self.q_proj_weight, self.k_proj_weight, self.v_proj_weight)
            if self.in_proj_weight is None
            else F.split(self.in_proj_weight, e, 0)
        )
        biases = (None,) * 3 if bias is None else F.split(bias, e, 0)
        return tuple(F.linear(a, w, b) for a, w, b in zip((query, key, value), weights, biases, strict=True))

    def heads(self, a: Any) -> Any:
        """Return (L, N, E) as (N, heads, L, E / heads)."""
        length, n, _ = a.shape
        return F.permute(F.reshape(a, (length, n, self.num_heads, self.head_dim)), (1, 2, 0, 3))

    def mask(self, q: Any, k: Any, attn_mask: Any, padding: Any) -> Any:
        """Return both masks as numbers to add to the scores (N, heads, L, S), or None."""
        (queries, n, _), keys = q.shape, k.shape[0]
        both = None
        if attn_mask is not None:
            both = added("attn_mask", attn_mask, q)
            if both.shape == (n * self.num_heads, queries, keys):
                both = F.reshape(both, (n, self.num_heads, queries, keys))
            elif both.shape != (queries, keys):
                raise ValueError(
                    f"MultiheadAttention: attn_mask has shape {list(attn_mask.shape)}; it takes [{queries}, {keys}] or "
                    f"[{n * self.num_heads}, {queries}, {keys}]"
                )
            else:
                both = F.reshape(both, (1, 1, queries, keys))
        if padding is not None:
            if tuple(padding.shape) != (n, keys):
                raise ValueError(
                    f"MultiheadAttention: key_padding_mask has shape {list(padding.shape)}; it takes [{n}, {keys}]"
                )
            closed = F.reshape(added("key_padding_mask", padding, q), (n, 1, 1, keys))
            both = closed if both is None else both + closed
        return both

    def with_extra_keys(self, k: Any, v: Any, mask: Any) -> tuple[Any, ...]:
        """Append the learned key and value, and those of zeros, which no mask closes."""
        n = k.shape[1]
        if self.bias_k is not None and self.bias_v is not None:
            k, v = (F.cat([a, F.expand(b, 1, n, -1)]) for a, b in ((k, self.bias_k), (v, self.bias_v)))
        if self.add_zero_attn:
            k, v = (F.pad(a, (0, 0, 0, 0, 0, 1)) for a in (k, v))
        return k, v, mask if mask is None or not self.extra_keys else F.pad(mask, (0, self.extra_keys))


def added(name: str, mask: Any, like: Any) -> Any:
    """Return a mask as numbers to add: True, which closes, is -inf."""
    dtype = like.array.dtype
    if mask.array.dtype == np.bool_:
        return F.where(mask, -np.inf, 0.0).to(dtype)
    if mask.array.dtype.kind != "f":
        raise ValueError(f"MultiheadAttention: {name} is {mask.array.dtype}; it takes bool or floating point")
    return mask.to(dtype)
