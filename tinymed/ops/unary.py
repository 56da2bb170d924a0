"""Element-wise functions of one input: y = f(x), dx = dy f'(x).  Integers give float32, as in PyTorch."""

from typing import Any

import numpy as np

from ..annotations import Tensor
from ..dispatch import Array, kernel
from ..tape import Op
from .broadcast import drawn_shape
from .cast import Cast, common_float
from .elementwise import Mul
from .shape import clone


def points(low: float, high: float, **options: Any) -> Any:
    """Return a `samples` that draws one array of numbers from low to high."""

    def samples(draw: Any) -> tuple[Any, ...]:
        return (draw.array(drawn_shape(draw), low, high, **options),)

    return staticmethod(samples)


class Neg(Op):
    """y = -x;  dx = -dy."""

    oracle, samples = "torch.neg", points(-2, 2)

    def forward(self, x: Array) -> Array:
        return self.k.neg(x)

    def backward(self, dy: Array) -> Array:
        return self.k.neg(dy)


@kernel(flops=lambda x: 10 * x.size)
def exp_forward(xp: Any, x: Array) -> Array:
    """y = e^x."""
    return xp.exp(x)


class Exp(Op):
    """y = e^x;  dx = dy y."""

    oracle, samples, promotes = "torch.exp", points(-3, 3), common_float

    def forward(self, x: Array) -> Array:
        y = self.k.exp_forward(x)
        self.save(y)
        return y

    def backward(self, dy: Array) -> Array:
        return self.k.mul(dy, *self.saved)


@kernel(flops=lambda x: 10 * x.size)
def expm1_forward(xp: Any, x: Array) -> Array:
    """y = e^x - 1, exact near 0."""
    return xp.expm1(x)


class Expm1(Op):
    """y = e^x - 1, exact near 0;  dx = dy (y + 1)."""

    oracle, samples, promotes = "torch.expm1", points(-3, 3), common_float

    def forward(self, x: Array) -> Array:
        y = self.k.expm1_forward(x)
        self.save(y)
        return y

    def backward(self, dy: Array) -> Array:
        return self.k.mul(dy, self.k.add(self.saved[0], 1.0))


@kernel(flops=lambda x: 10 * x.size)
def log_forward(xp: Any, x: Array) -> Array:
    """y = ln x."""
    return xp.log(x)


class Log(Op):
    """y = ln x;  dx = dy / x."""

    oracle, samples, promotes = "torch.log", points(0.1, 3), common_float

    def forward(self, x: Array) -> Array:
        self.save(x)
        return self.k.log_forward(x)

    def backward(self, dy: Array) -> Array:
        return self.k.div(dy, *self.saved)


@kernel(flops=lambda x: 10 * x.size)
def log1p_forward(xp: Any, x: Array) -> Array:
    """y = ln(1 + x), exact near 0."""
    return xp.log1p(x)


class Log1p(Op):
    """y = ln(1 + x), exact near 0;  dx = dy / (1 + x)."""

    oracle, samples, promotes = "torch.log1p", points(-0.8, 3), common_float

    def forward(self, x: Array) -> Array:
        self.save(x)
        return self.k.log1p_forward(x)

    def backward(self, dy: Array) -> Array:
        return self.k.div(dy, self.k.add(self.saved[0], 1.0))


@kernel(flops=lambda x: 4 * x.size)
def sqrt_forward(xp: Any, x: Array) -> Array:
    """y = sqrt(x)."""
    return xp.sqrt(x)


class Sqrt(Op):
    """y = sqrt(x);  dx = dy / (2 y) (infinite at 0)."""

    oracle, samples, promotes = "torch.sqrt", points(0.1, 3), common_float

    def forward(self, x: Array) -> Array:
        y = self.k.sqrt_forward(x)
        self.save(y)
        return y

    def backward(self, dy: Array) -> Array:
        return self.k.div(dy, self.k.mul(self.saved[0], 2.0))


@kernel(flops=lambda x: 8 * x.size)
def rsqrt_forward(xp: Any, x: Array) -> Array:
    """y = 1 / sqrt(x)."""
    return 1 / xp.sqrt(x)


@kernel(flops=lambda dy, y: 4 * dy.size)
def rsqrt_backward(xp: Any, dy: Array, y: Array) -> Array:
    """dx = -dy y^3 / 2."""
    return -0.5 * dy * y * y * y


class Rsqrt(Op):
    """y = 1 / sqrt(x);  dx = -dy y^3 / 2."""

    oracle, samples, promotes = "torch.rsqrt", points(0.2, 3), common_float

    def forward(self, x: Array) -> Array:
        y = self.k.rsqrt_forward(x)
        self.save(y)
        return y

    def backward(self, dy: Array) -> Array:
        return self.k.rsqrt_backward(dy, *self.saved)


@kernel(flops=lambda dy, y: 3 * dy.size)
def reciprocal_backward(xp: Any, dy: Array, y: Array) -> Array:
    """dx = -dy y^2."""
    return -dy * y * y


class Reciprocal(Op):
    """y = 1 / x;  dx = -dy y^2."""

    oracle, samples, promotes = "torch.reciprocal", points(-2, 2, avoid=(0.0,), margin=0.4), common_float

    def forward(self, x: Array) -> Array:
        y = self.k.div(1.0, x)
        self.save(y)
        return y

    def backward(self, dy: Array) -> Array:
        return self.k.reciprocal_backward(dy, *self.saved)


@kernel(flops=lambda x: x.size)
def abs_forward(xp: Any, x: Array) -> Array:
    """y = |x|."""
    return xp.abs(x)


@kernel(flops=lambda x: x.size)
def sign_forward(xp: Any, x: Array) -> Array:
    """y = -1, 0 or 1 with the sign of x; 0 of NaN."""
    return xp.where(xp.isnan(x), 0, xp.sign(x)) if x.dtype.kind == "f" else xp.sign(x)


class Abs(Op):
    """y = |x|;  dx = dy sign(x) (at 0: 0)."""

    oracle, samples = "torch.abs", points(-2, 2, avoid=(0.0,))

    def forward(self, x: Array) -> Array:
        self.save(x)
        return self.k.abs_forward(x)

    def backward(self, dy: Array) -> Array:
        return self.k.mul(dy, self.k.sign_forward(*self.saved))


class Sign(Op):
    """y = -1, 0 or 1 (0 for NaN);  dx = 0."""

    oracle, samples = "torch.sign", points(-2, 2, avoid=(0.0,))

    def forward(self, x: Array) -> Array:
        return self.k.sign_forward(x)

    def backward(self, dy: Array) -> Array:
        return self.k.mul(dy, 0.0)


# ------------------------------------------------------------------------------------------------ public functions


def neg(input: Tensor) -> Tensor:
    """Compute -x, element-wise.

    Args:
        input: Tensor of any shape, of any dtype but bool.

    Returns:
        A tensor of the input's shape and dtype.

    Raises:
        TypeError: The input is bool.

    Example:
        >>> import tinymed
        >>> tinymed.neg(tinymed.tensor([1, -2])).tolist()
        [-1, 2]
    """
    if input.array.dtype.kind == "b":
        raise TypeError("neg: bool has no negative; use ~ or logical_not")
    return Neg.apply(input)


def exp(input: Tensor) -> Tensor:
    """Compute e^x, element-wise.

    Args:
        input: Tensor of any shape.

    Returns:
        A tensor of the input's shape; integers give float32.

    Example:
        >>> import tinymed
        >>> tinymed.exp(tinymed.zeros(2)).tolist()
        [1.0, 1.0]
    """
    return Exp.apply(input)


def expm1(input: Tensor) -> Tensor:
    """Compute e^x - 1, also exact near 0.

    Args:
        input: Tensor of any shape.

    Returns:
        A tensor of the input's shape; integers give float32.

    Example:
        >>> import tinymed
        >>> tinymed.expm1(tinymed.zeros(2)).tolist()
        [0.0, 0.0]
    """
    return Expm1.apply(input)


def log(input: Tensor) -> Tensor:
    """Compute the natural logarithm, element-wise.

    Args:
        input: Tensor of any shape.

    Returns:
        A tensor of the input's shape; integers give float32.

    Example:
        >>> import tinymed
        >>> tinymed.log(tinymed.tensor([1.0, 0.0])).tolist()
        [0.0, -inf]
    """
    return Log.apply(input)


def log1p(input: Tensor) -> Tensor:
    """Compute ln(1 + x), also exact near 0.

    Args:
        input: Tensor of any shape.

    Returns:
        A tensor of the input's shape; integers give float32.

    Example:
        >>> import tinymed
        >>> tinymed.log1p(tinymed.zeros(2)).tolist()
        [0.0, 0.0]
    """
    return Log1p.apply(input)


def sqrt(input: Tensor) -> Tensor:
    """Compute the square root, element-wise.

    Args:
        input: Tensor of any shape.

    Returns:
        A tensor of the input's shape; integers give float32.

    Example:
        >>> import tinymed
        >>> tinymed.sqrt(tinymed.tensor([4, 9])).tolist()
        [2.0, 3.0]
    """
    return Sqrt.apply(input)


def rsqrt(input: Tensor) -> Tensor:
    """Compute 1 / sqrt(x), element-wise.

    Args:
        input: Tensor of any shape.

    Returns:
        A tensor of the input's shape; integers give float32.

    Example:
        >>> import tinymed
        >>> tinymed.rsqrt(tinymed.tensor([4.0, 16.0])).tolist()
        [0.5, 0.25]
    """
    return Rsqrt.apply(input)


def reciprocal(input: Tensor) -> Tensor:
    """Compute 1 / x, element-wise.

    Args:
        input: Tensor of any shape.

    Returns:
        A tensor of the input's shape; integers give float32.

    Example:
        >>> import tinymed
        >>> tinymed.reciprocal(tinymed.tensor([2, 4])).tolist()
        [0.5, 0.25]
    """
    return Reciprocal.apply(input)


def abs(input: Tensor) -> Tensor:
    """Compute |x|, element-wise; the gradient at 0 is 0.

    Args:
        input: Tensor of any shape.

    Returns:
        A tensor of the input's shape and dtype.

    Example:
        >>> import tinymed
        >>> tinymed.abs(tinymed.tensor([-1, 2])).tolist()
        [1, 2]
    """
    return Abs.apply(input)


def sign(input: Tensor) -> Tensor:
    """Return -1, 0 or 1 by the sign of each element; the gradient is 0.

    Args:
        input: Tensor of any shape.

    Returns:
        A tensor of the input's shape and dtype.

    Example:
        >>> import tinymed
        >>> tinymed.sign(tinymed.tensor([-3, 0, 2])).tolist()
        [-1, 0, 1]
    """
    return clone(input) if input.array.dtype.kind == "b" else Sign.apply(input)


def square(input: Tensor) -> Tensor:
    """Compute x^2, element-wise.

    Args:
        input: Tensor of any shape.

    Returns:
        A tensor of the input's shape and dtype; bool gives int64.

    Example:
        >>> import tinymed
        >>> tinymed.square(tinymed.tensor([-3, 2])).tolist()
        [9, 4]
    """
    if input.array.dtype.kind == "b":
        input = Cast.apply(input, np.dtype(np.int64))
    return Mul.apply(input, input)


negative, absolute = neg, abs

__all__ = [
    "abs",
    "absolute",
    "exp",
    "expm1",
    "log",
    "log1p",
    "neg",
    "negative",
    "reciprocal",
    "rsqrt",
    "sign",
    "sqrt",
    "square",
]
