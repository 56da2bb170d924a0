"""Element-wise activations: y = f(x), dx = dy f'(x)."""

from typing import Any

from ..backend import Array, kernel
from ..tape import Op


@kernel(flops=lambda x: x.size)
def relu_forward(xp: Any, x: Array) -> Array:
    return xp.maximum(x, 0)


@kernel(flops=lambda dy, y: dy.size)
def relu_backward(xp: Any, dy: Array, y: Array) -> Array:
    return xp.where(y > 0, dy, 0)


class ReLU(Op):
    """y = max(0, x);  dx = dy where y > 0, else 0 (at 0: 0).  The output is saved, so x may go.  Nair & Hinton 2010."""

    oracle = "torch.nn.functional.relu"

    def forward(self, x: Array) -> Array:
        y = self.k.relu_forward(x)
        self.save(y)
        return y

    def backward(self, dy: Array) -> Array:
        (y,) = self.saved
        return self.k.relu_backward(dy, y)

    @staticmethod
    def samples(draw: Any) -> tuple[Any, ...]:
        return (draw.array(draw.shape(), avoid=(0.0,)),)


@kernel(flops=lambda x, slope: 2 * x.size)
def leaky_relu_forward(xp: Any, x: Array, slope: float) -> Array:
    return xp.where(x > 0, x, slope * x)


@kernel(flops=lambda dy, x, slope: 2 * dy.size)
def leaky_relu_backward(xp: Any, dy: Array, x: Array, slope: float) -> Array:
    return xp.where(x > 0, dy, slope * dy)


class LeakyReLU(Op):
    """y = x if x > 0 else slope x;  dx = dy if x > 0 else slope dy (at 0: slope).  Maas et al. 2013, section 2."""

    oracle = "torch.nn.functional.leaky_relu"

    def forward(self, x: Array, slope: float = 0.01) -> Array:
        self.save(x, slope)
        return self.k.leaky_relu_forward(x, slope)

    def backward(self, dy: Array) -> Any:
        x, slope = self.saved
        return self.k.leaky_relu_backward(dy, x, slope), None

    @staticmethod
    def samples(draw: Any) -> tuple[Any, ...]:
        return draw.array(draw.shape(), avoid=(0.0,)), draw.choice((0.01, 0.2, 0.0, 1.5))


@kernel(flops=lambda x: 4 * x.size)
def sigmoid_forward(xp: Any, x: Array) -> Array:
    e = xp.exp(-xp.abs(x))  # never above 1
    return xp.where(x >= 0, 1, e) / (1 + e)


@kernel(flops=lambda dy, y: 3 * dy.size)
def sigmoid_backward(xp: Any, dy: Array, y: Array) -> Array:
    return dy * y * (1 - y)


class Sigmoid(Op):
    """y = 1 / (1 + exp(-x));  dx = dy y (1 - y).  The output is saved; stable on both sides."""

    oracle = "torch.sigmoid"

    def forward(self, x: Array) -> Array:
        y = self.k.sigmoid_forward(x)
        self.save(y)
        return y

    def backward(self, dy: Array) -> Array:
        return self.k.sigmoid_backward(dy, *self.saved)

    @staticmethod
    def samples(draw: Any) -> tuple[Any, ...]:
        return (draw.array(draw.shape(), -6, 6),)


def relu(input: Any) -> Any:
    """max(0, x), element-wise."""
    return ReLU.apply(input)


def leaky_relu(input: Any, negative_slope: float = 0.01) -> Any:
    """x where x > 0, else negative_slope * x."""
    return LeakyReLU.apply(input, float(negative_slope))


def sigmoid(input: Any) -> Any:
    """1 / (1 + exp(-x)), element-wise."""
    return Sigmoid.apply(input)
