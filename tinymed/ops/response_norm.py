"""Local response normalisation: each value divided by a power of the energy in the channels beside it."""

from typing import Any

import numpy as np

from ..annotations import Tensor
from ..dispatch import Array, kernel
from ..tape import Op
from .axes import integer
from .cast import Cast
from .promotion import floating


def window_sum(xp: Any, v: Array, before: int, after: int) -> Array:
    """Sum over channels c - before .. c + after of (N, C, *space); none outside count."""
    edges = [(0, 0), (before, after), *[(0, 0)] * (v.ndim - 2)]
    padded, channels = xp.pad(v, edges), v.shape[1]
    total = padded[:, :channels]
    for i in range(1, before + after + 1):
        total = total + padded[:, i : i + channels]
    return total


def energy(xp: Any, x: Array, size: int, alpha: float, k: float) -> Array:
    """Compute s = k + alpha / size times the sum of x^2 over the window."""
    return k + alpha / size * window_sum(xp, x * x, size // 2, (size - 1) // 2)


@kernel(flops=lambda x, size, *_: (size + 6) * x.size)
def local_response_norm_forward(xp: Any, x: Array, size: int, alpha: float, beta: float, k: float) -> Array:
    """y = x s^-beta."""
    return x * energy(xp, x, size, alpha, k) ** -beta


@kernel(flops=lambda dy, x, size, *_: (2 * size + 12) * x.size)
def local_response_norm_backward(xp: Any, dy: Array, x: Array, size: int, alpha: float, beta: float, k: float) -> Array:
    """dx = dy s^-beta - 2 alpha beta / size x sum(dy x s^(-beta - 1)), over the windows that hold the channel."""
    s = energy(xp, x, size, alpha, k)
    scale = s**-beta
    shared = window_sum(xp, dy * x * scale / s, (size - 1) // 2, size // 2)
    return dy * scale - 2 * alpha * beta / size * x * shared


class LocalResponseNorm(Op):
    """y = x s^-beta, s = k + alpha / n (sum of x^2 over n neighbouring channels).

    The window of channel c goes from c - floor(n / 2) to c + floor((n - 1) / 2); channels outside count as 0.

    dx = dy s^-beta - (2 alpha beta / n) x sum(dy x s^(-beta - 1)), the sum over the channels whose window holds this
    one.  x is saved, s computed again.  Krizhevsky, Sutskever & Hinton 2012, section 3.3, whose alpha is alpha / n.
    """

    promotes = floating("local_response_norm")
    oracle = "torch.nn.functional.local_response_norm"

    def forward(self, x: Array, size: int, alpha: float, beta: float, k: float) -> Array:
        self.save(x, size, alpha, beta, k)
        return self.k.local_response_norm_forward(x, size, alpha, beta, k)

    def backward(self, dy: Array) -> Any:
        return self.k.local_response_norm_backward(dy, *self.saved), *[None] * 4

    @staticmethod
    def samples(draw: Any) -> tuple[Any, ...]:
        space = draw.choice(((3, 5), (1, 1), (4,), (2, 3, 2), (7, 2)))
        shape = (draw.integer(1, 3), draw.choice((1, 3, 7, 16, 33)), *space)
        beta = draw.choice((0.75, 0.5, 1.3))
        return draw.array(shape), draw.integer(1, 6), draw.choice((1e-1, 1.0)), beta, draw.choice((1.0, 2.0))


def local_response_norm(input: Tensor, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> Tensor:
    """Divide each element by a power of the mean square of its neighbouring channels.

    y = x / (k + alpha mean(x^2))^beta. The mean counts channels outside as 0. A paper that writes alpha times the sum,
    as AlexNet's does, means size times this alpha.

    Args:
        input: (N, C, *space), floating point.
        size: The window in channels.
        alpha, beta, k: The numbers of the formula.

    Returns:
        A tensor of the input's shape and dtype.

    Raises:
        ValueError: The shape or an argument does not fit.

    Example:
        >>> import tinymed
        >>> from tinymed.nn import functional as F
        >>> F.local_response_norm(tinymed.ones(1, 3, 2, 2), size=1, alpha=1.0, beta=1.0).flatten()[0].item()
        0.5

    Reference:
        Krizhevsky et al., NeurIPS 2012, section 3.3.
    """
    if len(input.shape) < 3:
        raise ValueError(f"local_response_norm: takes (N, C, *space), got shape {list(input.shape)}")
    if size < 1:
        raise ValueError(f"local_response_norm: size is a number of channels, at least 1, got {size}")
    if input.array.dtype.kind != "f":
        input = Cast.apply(input, np.dtype(np.float32))
    size = integer("local_response_norm", "size", size)
    return LocalResponseNorm.apply(input, size, float(alpha), float(beta), float(k))


__all__ = ["local_response_norm"]
