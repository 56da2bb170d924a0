"""Layers of a transformer under PyTorch's arguments and names of weights."""

import copy
from collections.abc import Callable
from typing import Any

from ..tensor import Tensor
from . import functional as F
from . import module
from .container import ModuleList
from .dropout import Dropout
from .linear import Linear
from .module import Module
from .multihead import MultiheadAttention
from .norm_sample import LayerNorm


class Layer(Module):
    """What layers of encoder and decoder share: self-attention and two dense layers, each added to its input."""

    _makes_tensors = True

    def __init__(
        self,
        d_model: int,
        nhead: int,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: str | Callable[..., Any] = F.relu,
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
    ):
        super().__init__()
        self.self_attn = MultiheadAttention(d_model, nhead, dropout, bias, batch_first=batch_first)
        self.make_other_attention(d_model, nhead, dropout=dropout, bias=bias, batch_first=batch_first)
        self.linear1, self.dropout = Linear(d_model, dim_feedforward, bias), Dropout(dropout)
        self.linear2, self.norm_first = Linear(dim_feedforward, d_model, bias), norm_first
        for n in range(1, self.sublayers + 1):
            setattr(self, f"norm{n}", LayerNorm(d_model, layer_norm_eps, bias=bias))
        for n in range(1, self.sublayers + 1):
            setattr(self, f"dropout{n}", Dropout(dropout))
        self.activation = activation_of(type(self).__name__, activation)

    sublayers = 2

    def make_other_attention(self, d_model: int, nhead: int, **options: Any) -> None:
        """Make the attention that a decoder has besides: none here."""

    def attended(self, x: Any, mask: Any, padding: Any, causal: bool) -> Any:
        """Attend among the tokens themselves."""
        return self.dropout1(self.self_attn(x, x, x, padding, False, mask, is_causal=causal)[0])

    def dense(self, x: Any) -> Any:
        """Two dense layers, token by token."""
        y = self.linear2(self.dropout(self.activation(self.linear1(x))))
        return getattr(self, f"dropout{self.sublayers}")(y)

    def add(self, x: Any, norm: Module, sublayer: Callable[[Any], Any]) -> Any:
        """Add a sublayer to its input: norm before it, or after the sum."""
        return x + sublayer(norm(x)) if self.norm_first else norm(x + sublayer(x))


class TransformerEncoderLayer(Layer):
    """Self-attention, then two dense layers, each with dropout, added to its input and normalised.

    Args:
        d_model: features of a token.
        nhead: number of heads of attention.
        dim_feedforward: features between the dense layers.  Default: 2048.
        dropout: probability of dropping, in training.  Default: 0.1.
        activation: "relu", "gelu" or a function.  Default: F.relu.
        layer_norm_eps: added to variances by the norms.  Default: 1e-5.
        batch_first: whether the batch is the first axis.  Default: False.
        norm_first: normalise before each sublayer instead of after the sum.  Default: False.
        bias: whether dense layers and norms have biases.  Default: True.

    Shape:
        Tokens (S, N, d_model), or (N, S, d_model) with batch_first; output the same.

    Raises:
        ValueError: nhead does not divide d_model, or activation is unknown.

    Example:
        >>> from tinymed import nn, ones
        >>> nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)(ones(3, 5, 8)).shape
        (3, 5, 8)

    As `torch.nn.TransformerEncoderLayer`; in evaluation too, padded tokens are computed as in training.

    Reference:
        Vaswani et al., NIPS 2017.
    """

    def forward(
        self,
        src: Tensor,
        src_mask: Tensor | None = None,
        src_key_padding_mask: Tensor | None = None,
        is_causal: bool = False,
    ) -> Any:
        """Compute the output; the masks are those of `MultiheadAttention`."""
        x = self.add(src, self.norm1, lambda y: self.attended(y, src_mask, src_key_padding_mask, is_causal))
        return self.add(x, self.norm2, self.dense)


class TransformerDecoderLayer(Layer):
    """Self-attention, attention to a memory, then two dense layers, each added to its input and normalised.

    Args:
        d_model: features of a token.
        nhead: number of heads of attention.
        dim_feedforward: features between the dense layers.  Default: 2048.
        dropout: probability of dropping, in training.  Default: 0.1.
        activation: "relu", "gelu" or a function.  Default: F.relu.
        layer_norm_eps: added to variances by the norms.  Default: 1e-5.
        batch_first: whether the batch is the first axis.  Default: False.
        norm_first: normalise before each sublayer instead of after the sum.  Default: False.
        bias: whether dense layers and norms have biases.  Default: True.

    Shape:
        Tokens (T, N, d_model) and memory (S, N, d_model), or with the batch first; output as the tokens.

    Raises:
        ValueError: nhead does not divide d_model, or activation is unknown.

    Example:
        >>> from tinymed import nn, ones
        >>> nn.TransformerDecoderLayer(8, 2, 16)(ones(5, 3, 8), ones(7, 3, 8)).shape
        (5, 3, 8)

    As `torch.nn.TransformerDecoderLayer`.

    Reference:
        Vaswani et al., NIPS 2017.
    """

    sublayers = 3

    def make_other_attention(self, d_model: int, nhead: int, **options: Any) -> None:
        """Make the attention to the memory."""
        self.multihead_attn = MultiheadAttention(d_model, nhead, **options)

    def forward(
        self,
        tgt: Tensor,
        memory: Tensor,
        tgt_mask: Tensor | None = None,
        memory_mask: Tensor | None = None,
        tgt_key_padding_mask: Tensor | None = None,
        memory_key_padding_mask: Tensor | None = None,
        tgt_is_causal: bool = False,
        memory_is_causal: bool = False,
    ) -> Any:
        """Compute the output; the masks are those of `MultiheadAttention`."""

        def looked_up(y: Any) -> Any:
            attended = self.multihead_attn(
                y, memory, memory, memory_key_padding_mask, False, memory_mask, is_causal=memory_is_causal
            )
            return self.dropout2(attended[0])

        x = self.add(tgt, self.norm1, lambda y: self.attended(y, tgt_mask, tgt_key_padding_mask, tgt_is_causal))
        x = self.add(x, self.norm2, looked_up)
        return self.add(x, self.norm3, self.dense)


def copies(layer: Module, count: int) -> ModuleList:
    """Return so many copies of a layer; under `init.no_weights` they share its weights, which have no memory."""
    shared = [p.array for p in layer.parameters()] if module.weightless else []
    return ModuleList(copy.deepcopy(layer, {id(a): a for a in shared}) for _ in range(count))


class TransformerEncoder(Module):
    """Apply several encoder layers one after another.

    Args:
        encoder_layer: the layer, of which num_layers copies are made.
        num_layers: number of layers.
        norm: a module applied to the last output.  Default: None.
        enable_nested_tensor: accepted for PyTorch's sake; there are no nested tensors.  Default: True.
        mask_check: accepted for PyTorch's sake.  Default: True.

    Shape:
        As the layer's.

    Example:
        >>> from tinymed import nn, ones
        >>> layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
        >>> nn.TransformerEncoder(layer, 2, nn.LayerNorm(8))(ones(3, 5, 8)).shape
        (3, 5, 8)

    As `torch.nn.TransformerEncoder`.
    """

    def __init__(
        self,
        encoder_layer: Module,
        num_layers: int,
        norm: Module | None = None,
        enable_nested_tensor: bool = True,
        mask_check: bool = True,
    ):
        super().__init__()
        self.layers = copies(encoder_layer, num_layers)
        self.num_layers, self.norm = num_layers, norm

    def forward(
        self,
        src: Tensor,
        mask: Tensor | None = None,
        src_key_padding_mask: Tensor | None = None,
        is_causal: bool | None = None,
    ) -> Any:
        """Compute the output; the masks are those of `MultiheadAttention`."""
        y: Any = src
        for layer in self.layers:
            y = layer(y, mask, src_key_padding_mask, bool(is_causal))
        return y if self.norm is None else self.norm(y)


class TransformerDecoder(Module):
    """Apply several decoder layers one after another, all of them to one memory.

    Args:
        decoder_layer: the layer, of which num_layers copies are made.
        num_layers: number of layers.
        norm: a module applied to the last output.  Default: None.

    Shape:
        As the layer's.

    Example:
        >>> from tinymed import nn, ones
        >>> decoder = nn.TransformerDecoder(nn.TransformerDecoderLayer(8, 2, 16), 2)
        >>> decoder(ones(5, 3, 8), ones(7, 3, 8)).shape
        (5, 3, 8)

    As `torch.nn.TransformerDecoder`.
    """

    def __init__(self, decoder_layer: Module, num_layers: int, norm: Module | None = None):
        super().__init__()
        self.layers = copies(decoder_layer, num_layers)
        self.num_layers, self.norm = num_layers, norm

    def forward(
        self,
        tgt: Tensor,
        memory: Tensor,
        tgt_mask: Tensor | None = None,
        memory_mask: Tensor | None = None,
        tgt_key_padding_mask: Tensor | None = None,
        memory_key_padding_mask: Tensor | None = None,
        tgt_is_causal: bool | None = None,
        memory_is_causal: bool = False,
    ) -> Any:
        """Compute the output; the masks are those of `MultiheadAttention`."""
        y: Any = tgt
        masks = tgt_mask, memory_mask, tgt_key_padding_mask, memory_key_padding_mask
        for layer in self.layers:
            y = layer(y, memory, *masks, bool(tgt_is_causal), memory_is_causal)
        return y if self.norm is None else self.norm(y)


def activation_of(layer: str, activation: str | Callable[..., Any]) -> Callable[..., Any]:
    """Return the function that a name stands for, or the function that was given."""
    if callable(activation):
        return activation
    known: dict[str, Callable[..., Any]] = {"relu": F.relu, "gelu": F.gelu}
    if activation not in known:
        raise ValueError(f"{layer}: activation is {activation!r}; it takes 'relu', 'gelu' or a function")
    return known[activation]
