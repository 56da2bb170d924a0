"""Rows of a table by number: embeddings."""

import operator
from typing import Any

from .. import devices, tape
from ..annotations import Tensor
from ..dispatch import Array, kernel
from ..tape import Op
from .compare import eq
from .elementwise import where
from .shape import unsqueeze


@kernel(out=lambda dy, index, rows: [(rows, dy.shape[-1])], flops=lambda dy, *_: dy.size)
def embedding_backward(xp: Any, dy: Array, index: Array, rows: int) -> Array:
    """dw[index] += dy, in order."""
    dw = xp.zeros((rows, dy.shape[-1]), dy.dtype)
    xp.add.at(dw, index.reshape(-1), dy.reshape(-1, dy.shape[-1]))
    return dw


class Embedding(Op):
    """y[..., :] = w[index[...], :];  dw = dy added up at the rows taken."""

    def forward(self, weight: Array, index: Array) -> Array:
        self.save(index, weight.shape[0])
        return self.k.take(weight, (True,), index)

    def backward(self, dy: Array) -> Any:
        return self.k.embedding_backward(dy, *self.saved), None

    @staticmethod
    def samples(draw: Any) -> tuple[Any, ...]:
        rows = draw.integer(1, 6)
        return draw.array((rows, draw.integer(1, 5))), draw.integers(draw.shape(0, 3), 0, rows - 1)

    @staticmethod
    def oracle(torch: Any, weight: Any, index: Any) -> Any:
        return torch.nn.functional.embedding(index, weight)


def embedding(
    input: Tensor,
    weight: Tensor,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Tensor:
    """Return the rows of a matrix that integers name.

    Args:
        input: Integers of any shape, from 0 to the number of rows - 1.
        weight: (rows, features).
        padding_idx: A row that receives no gradient, or None.
        max_norm, norm_type, scale_grad_by_freq, sparse: PyTorch's; anything but the default is refused (norm_type has
            no effect).

    Returns:
        (*input.shape, features) in the weight's dtype.

    Raises:
        ValueError: weight has not two axes, padding_idx is not a row, or an argument is not supported.
        TypeError: The input is not of integers.
        IndexError: The input names a row that does not exist.

    Example:
        >>> import tinymed
        >>> from tinymed.nn import functional as F
        >>> F.embedding(tinymed.tensor([2, 0]), tinymed.eye(3)).tolist()
        [[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]
    """
    refused = {"max_norm": max_norm is not None, "scale_grad_by_freq": scale_grad_by_freq, "sparse": sparse}
    if any(refused.values()):
        names = ", ".join(n for n, given in refused.items() if given)
        raise ValueError(
            f"embedding: {names} is not supported; rows are taken as they are and gradients are dense "
            "(limit norms yourself with nn.functional.normalize, gradients with nn.utils.clip_grad_norm_)"
        )
    if input.array.dtype.kind not in "iu":
        raise TypeError(f"embedding: rows are named by integers, got {input.array.dtype}")
    if len(weight.shape) != 2:
        raise ValueError(f"embedding: weight is (rows, features), got {list(weight.shape)}")
    rows = weight.shape[0]
    padding = -1 if padding_idx is None else operator.index(padding_idx)
    if padding_idx is not None and not -rows <= padding < rows:
        raise ValueError(f"embedding: padding_idx {padding_idx} is no row of {rows}")
    padding += rows if padding_idx is not None and padding < 0 else 0
    a = input.array
    if devices.of(a) == "cpu" and not tape.host_read_listeners and a.size and not (a.min() >= 0 and a.max() < rows):
        raise IndexError(f"embedding: indices reach from {a.min()} to {a.max()}; rows are numbered 0 to {rows - 1}")
    taken = Embedding.apply(weight, input)
    if padding < 0:
        return taken
    return where(unsqueeze(eq(input, padding), -1), taken.detach(), taken)


__all__ = ["embedding"]
