"""Huber's loss per element: a parabola near 0 and lines beyond, in one pass."""

from typing import Any

from ..dispatch import Array, kernel
from ..tape import Op
from .broadcast import broadcast, extent


@kernel(out=lambda a, b, delta: broadcast(a, b), flops=lambda a, b, delta: 6 * extent(a, b))
def huber_forward(xp: Any, a: Array, b: Array, delta: float) -> Array:
    """y = c (d - c / 2), d = a - b, c = min(max(d, -delta), delta)."""
    d = a - b
    c = xp.clip(d, -delta, delta)
    return c * (d - c / 2)


@kernel(flops=lambda dy, a, b, delta: 4 * dy.size)
def huber_backward(xp: Any, dy: Array, a: Array, b: Array, delta: float) -> Array:
    """da = dy min(max(a - b, -delta), delta), which is -db."""
    return dy * xp.clip(a - b, -delta, delta)


class Huber(Op):
    """y = d^2 / 2 where |d| < delta, else delta (|d| - delta / 2), d = a - b;  da = -db = dy clamp(d, -delta, delta).

    a and b have one shape.  Huber, Annals of Mathematical Statistics 1964.
    """

    def forward(self, a: Array, b: Array, delta: float) -> Array:
        self.save(a, b, delta)
        return self.k.huber_forward(a, b, delta)

    def backward(self, dy: Array) -> Any:
        da = self.k.huber_backward(dy, *self.saved)
        return da, self.k.neg(da) if self.needs[1] else None, None

    @staticmethod
    def samples(draw: Any) -> tuple[Any, ...]:
        shape = draw.shape()
        return draw.array(shape, -2, 2), draw.array(shape, -2, 2), draw.choice((1.0, 0.3, 2.5))

    @staticmethod
    def oracle(torch: Any, a: Any, b: Any, delta: float) -> Any:
        return torch.nn.functional.huber_loss(a, b, "none", delta)
