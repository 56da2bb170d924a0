"""Layers of vectors: rows of a table, bilinear forms, distances and similarities."""

import operator
from typing import Any

from ..device import writeable
from ..tensor import Tensor
from . import functional as F
from . import init
from .module import Module, Parameter, new_parameter


class Embedding(Module):
    """The rows of a learned table (num_embeddings, embedding_dim) that integers name.

    padding_idx: a row that starts at zero and receives no gradient.
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
        """A layer on a table (rows, features) that is there; freeze: it is not learned."""
        if len(embeddings.shape) != 2:
            raise AssertionError(f"Embedding: a table is (rows, features), got shape {list(embeddings.shape)}")
        rows, features = embeddings.shape
        return cls(rows, features, padding_idx, max_norm, norm_type, scale_grad_by_freq, sparse, embeddings, freeze)

    def reset_parameters(self) -> None:
        """Standard normal rows, and zeros in the row padding_idx."""
        init.normal_(self.weight)
        if self.padding_idx is not None and writeable(self.weight.array):
            self.weight.array[self.padding_idx] = 0

    def forward(self, input: Tensor) -> Any:
        return F.embedding(input, self.weight, self.padding_idx)

    def extra_repr(self) -> str:
        padding = "" if self.padding_idx is None else f", padding_idx={self.padding_idx}"
        return f"{self.num_embeddings}, {self.embedding_dim}{padding}"


class Bilinear(Module):
    """y[o] = x1 weight[o] x2 + bias[o]; weight (out_features, in1_features, in2_features)."""

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
        """Weight and bias uniform in +-1 / sqrt(in1_features)."""
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
    """The cosine of the angle between two tensors along an axis."""

    def __init__(self, dim: int = 1, eps: float = 1e-8):
        super().__init__()
        self.dim, self.eps = dim, eps

    def forward(self, x1: Tensor, x2: Tensor) -> Any:
        return F.cosine_similarity(x1, x2, self.dim, self.eps)


class PairwiseDistance(Module):
    """The p-norm of the difference of two tensors along the last axis."""

    def __init__(self, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False):
        super().__init__()
        self.norm, self.eps, self.keepdim = p, eps, keepdim

    def forward(self, x1: Tensor, x2: Tensor) -> Any:
        return F.pairwise_distance(x1, x2, self.norm, self.eps, self.keepdim)
