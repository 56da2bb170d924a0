"""Layers of vectors: rows of a table, bilinear forms, distances and similarities."""

import operator
from typing import Any

from ..devices import writeable
from ..tensor import Tensor
from . import functional as F
from . import init
from .module import Module, Parameter, new_parameter


class Embedding(Module):
    """Look up rows of a learned table by integers.

    Args:
        num_embeddings: rows of the table.
        embedding_dim: length of a row.
        padding_idx: a row that starts at zero and receives no gradient.  Default: None.
        max_norm: None only.
        norm_type: without effect.
        scale_grad_by_freq: False only.
        sparse: False only: gradients are dense.
        _weight: the table, instead of a new one.  Default: None.
        _freeze: whether the table is not learned.  Default: False.

    Shape:
        Input integers of any shape; output the input's shape and embedding_dim; weight (num_embeddings, embedding_dim).

    Raises:
        ValueError: max_norm, scale_grad_by_freq or sparse is given.
        AssertionError: padding_idx is no row, or _weight has another shape.
        IndexError: when called, for an integer that is no row.

    Example:
        >>> from tinymed import nn, tensor
        >>> nn.Embedding(10, 4)(tensor([[1, 2, 9]])).shape
        (1, 3, 4)

    As `torch.nn.Embedding`, without max_norm, scale_grad_by_freq and sparse.
    """

    _makes_tensors = True

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None = None,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        sparse: bool = False,
        _weight: Tensor | None = None,
        _freeze: bool = False,
    ):
        super().__init__()
        refused = {"max_norm": max_norm is not None, "scale_grad_by_freq": scale_grad_by_freq, "sparse": sparse}
        if any(refused.values()):
            names = ", ".join(n for n, given in refused.items() if given)
            raise ValueError(f"Embedding: {names} is not supported; rows are taken as they are, gradients are dense")
        if padding_idx is not None:
            padding_idx = operator.index(padding_idx)
            if not -num_embeddings <= padding_idx < num_embeddings:
                raise AssertionError(f"Embedding: padding_idx {padding_idx} is no row of {num_embeddings}")
            padding_idx %= num_embeddings
        self.num_embeddings, self.embedding_dim, self.padding_idx = num_embeddings, embedding_dim, padding_idx
        if _weight is None:
            self.weight = new_parameter(num_embeddings, embedding_dim)
            self.reset_parameters()
        else:
            if _weight.shape != (num_embeddings, embedding_dim):
                raise AssertionError(
                    f"Embedding: the table has shape {list(_weight.shape)}, not {[num_embeddings, embedding_dim]}"
                )
            self.weight = Parameter(_weight)
        self.weight.requires_grad_(not _freeze)

    @classmethod
    def from_pretrained(
        cls,
        embeddings: Tensor,
        freeze: bool = True,
        padding_idx: int | None = None,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        sparse: bool = False,
    ) -> "Embedding":
        """Make a layer on a table that is there.

        Args:
            embeddings: (rows, features).
            freeze: whether the table is not learned.  Default: True.
            padding_idx: a row that receives no gradient.  Default: None.
            max_norm: None only.
            norm_type: without effect.
            scale_grad_by_freq: False only.
            sparse: False only.

        Returns:
            The layer.

        Raises:
            AssertionError: embeddings has not two axes.

        Example:
            >>> from tinymed import nn, tensor
            >>> layer = nn.Embedding.from_pretrained(tensor([[1.0, 2.0], [3.0, 4.0]]))
            >>> layer(tensor([1])).tolist()
            [[3.0, 4.0]]
        """
        if len(embeddings.shape) != 2:
            raise AssertionError(f"Embedding: a table is (rows, features), got shape {list(embeddings.shape)}")
        rows, features = embeddings.shape
        return cls(rows, features, padding_idx, max_norm, norm_type, scale_grad_by_freq, sparse, embeddings, freeze)

    def reset_parameters(self) -> None:
        """Draw standard normal rows, and set the row padding_idx to zeros."""
        init.normal_(self.weight)
        if self.padding_idx is not None and writeable(self.weight.array):
            self.weight.array[self.padding_idx] = 0
            self.weight.version.value += 1

    def forward(self, input: Tensor) -> Any:
        return F.embedding(input, self.weight, self.padding_idx)

    def extra_repr(self) -> str:
        padding = "" if self.padding_idx is None else f", padding_idx={self.padding_idx}"
        return f"{self.num_embeddings}, {self.embedding_dim}{padding}"


class Bilinear(Module):
    """Compute y[o] = x1 weight[o] x2 + bias[o].

    Args:
        in1_features: length of the first input's last axis.
        in2_features: length of the second input's last axis.
        out_features: length of the output's last axis.
        bias: whether a learned vector is added.  Default: True.

    Shape:
        Inputs (..., in1_features) and (..., in2_features); output (..., out_features); weight (out_features,
        in1_features, in2_features); bias (out_features,).

    Raises:
        ValueError: in1_features is not positive.
        RuntimeError: when called, for inputs of other shapes.

    Example:
        >>> from tinymed import nn, ones
        >>> nn.Bilinear(3, 4, 2)(ones(5, 3), ones(5, 4)).shape
        (5, 2)

    As `torch.nn.Bilinear`.
    """

    _makes_tensors = True

    def __init__(self, in1_features: int, in2_features: int, out_features: int, bias: bool = True):
        super().__init__()
        if in1_features <= 0:
            raise ValueError(f"Bilinear: in1_features must be positive, got {in1_features}")
        self.in1_features, self.in2_features, self.out_features = in1_features, in2_features, out_features
        self.weight = new_parameter(out_features, in1_features, in2_features)
        self.bias = new_parameter(out_features) if bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw weight and bias uniformly from +-1 / sqrt(in1_features)."""
        bound = 1 / self.in1_features**0.5
        init.uniform_(self.weight, -bound, bound)
        if self.bias is not None:
            init.uniform_(self.bias, -bound, bound)

    def forward(self, input1: Tensor, input2: Tensor) -> Any:
        return F.bilinear(input1, input2, self.weight, self.bias)

    def extra_repr(self) -> str:
        return (
            f"in1_features={self.in1_features}, in2_features={self.in2_features}, out_features={self.out_features}, "
            f"bias={self.bias is not None}"
        )


class CosineSimilarity(Module):
    """Compute the cosine of the angle between two tensors along an axis: x1 x2 / (|x1| |x2|).

    Args:
        dim: the axis.  Default: 1.
        eps: the least norm that counts.  Default: 1e-8.

    Shape:
        Inputs of shapes that broadcast; output that shape without dim.

    Raises:
        ValueError: when called, for shapes that do not broadcast.

    Example:
        >>> from tinymed import nn, tensor
        >>> nn.CosineSimilarity()(tensor([[1.0, 0.0]]), tensor([[0.0, 1.0]])).tolist()
        [0.0]

    As `torch.nn.CosineSimilarity`.
    """

    def __init__(self, dim: int = 1, eps: float = 1e-8):
        super().__init__()
        self.dim, self.eps = dim, eps

    def forward(self, x1: Tensor, x2: Tensor) -> Any:
        return F.cosine_similarity(x1, x2, self.dim, self.eps)


class PairwiseDistance(Module):
    """Compute the p-norm of the difference of two tensors along the last axis.

    Args:
        p: of the norm.  Default: 2.
        eps: added to each difference.  Default: 1e-6.
        keepdim: whether the last axis stays, with length 1.  Default: False.

    Shape:
        Inputs (..., D) of shapes that broadcast; output (...), or (..., 1) with keepdim.

    Raises:
        ValueError: when called, for shapes that do not broadcast.

    Example:
        >>> from tinymed import nn, tensor
        >>> nn.PairwiseDistance(eps=0.0)(tensor([[3.0, 0.0]]), tensor([[0.0, 4.0]])).tolist()
        [5.0]

    As `torch.nn.PairwiseDistance`.
    """

    def __init__(self, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False):
        super().__init__()
        self.norm, self.eps, self.keepdim = p, eps, keepdim

    def forward(self, x1: Tensor, x2: Tensor) -> Any:
        return F.pairwise_distance(x1, x2, self.norm, self.eps, self.keepdim)
