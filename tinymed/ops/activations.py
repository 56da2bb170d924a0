"""Activations made of straight pieces: ReLU and its leaky, parametric, randomised and clipped variants.

Smooth ones: smooth.py, gated.py.  At a kink the gradient is PyTorch's: each docstring says which.  The output is saved
where its sign, or its distance from a border, tells the piece; then the input may go.
"""

from typing import Any

from .. import random
from ..annotations import Tensor
from ..dispatch import Array, kernel
from ..tape import Op
from .dropout import TICKET, drawn_words, generator_state, in_image_order, take_ticket
from .overwrite import overwritable
from .shape import reshape
from .unary import points


@kernel(flops=lambda x: x.size)
def relu_forward(xp: Any, x: Array) -> Array:
    """y = max(x, 0)."""
    return xp.maximum(x, 0)


@kernel(flops=lambda dy, y: dy.size)
def relu_backward(xp: Any, dy: Array, y: Array) -> Array:
    """dx = dy where y > 0 or NaN, else 0."""
    return xp.where(y <= 0, 0, dy)


class ReLU(Op):
    """y = max(0, x);  dx = dy where y > 0 or NaN, else 0 (at 0: 0).  Nair & Hinton 2010.

    The output is saved, so x may go.
    """

    oracle, samples = "torch.nn.functional.relu", points(-2, 2, avoid=(0.0,))

    def forward(self, x: Array) -> Array:
        y = self.k.relu_forward(x)
        self.save(y)
        return y

    def backward(self, dy: Array) -> Array:
        (y,) = self.saved
        return self.k.relu_backward(dy, y)


@kernel(flops=lambda x, slope: 2 * x.size)
def leaky_relu_forward(xp: Any, x: Array, slope: float) -> Array:
    """y = x where x > 0, else slope x."""
    return xp.where(x > 0, x, slope * x)


@kernel(flops=lambda dy, x, slope: 2 * dy.size)
def leaky_relu_backward(xp: Any, dy: Array, x: Array, slope: float) -> Array:
    """dx = dy where x > 0, else slope dy."""
    return xp.where(x > 0, dy, slope * dy)


class LeakyReLU(Op):
    """y = x if x > 0 else slope x;  dx = dy if x > 0 else slope dy (at 0: slope).  Maas et al. 2013, section 2.

    A slope of at least 0 keeps the sign, so the output serves backward as well as x does.
    """

    oracle = "torch.nn.functional.leaky_relu"

    def forward(self, x: Array, slope: float = 0.01) -> Array:
        y = self.k.leaky_relu_forward(x, slope)
        self.save(y if slope >= 0 else x, slope)
        return y

    def backward(self, dy: Array) -> Any:
        x, slope = self.saved
        return self.k.leaky_relu_backward(dy, x, slope), None

    @staticmethod
    def samples(draw: Any) -> tuple[Any, ...]:
        return draw.array(draw.shape(), avoid=(0.0,)), draw.choice((0.01, 0.2, 0.0, 1.5, -0.5))


# ---------------------------------------------------------------------------------------------------- randomised


def slopes(xp: Any, x: Array, ticket: Array, lower: float, upper: float) -> Array:
    """Draw a slope for every element, uniform between lower and upper: the middle of the word's 2^-32."""
    words = in_image_order(drawn_words(xp, x.size, ticket), x.shape)
    return lower + (upper - lower) * ((words.astype(x.dtype) + 0.5) * 2.0**-32)


@kernel(out=lambda x, *_: [x.shape, TICKET], writes="state", flops=lambda x, *_: 4 * x.size)
def rrelu_forward(xp: Any, x: Array, state: Array, lower: float, upper: float) -> Any:
    """y = x where x > 0, else a x, each a drawn uniformly from lower to upper; also the ticket of the draw."""
    ticket = take_ticket(xp, state)
    return xp.where(x > 0, x, x * slopes(xp, x, ticket, lower, upper)), ticket


@kernel(out=lambda dy, *_: [dy.shape], flops=lambda dy, *_: 4 * dy.size)
def rrelu_backward(xp: Any, dy: Array, x: Array, ticket: Array, lower: float, upper: float) -> Array:
    """dx = dy where x > 0, else a dy, with the slopes a that the ticket draws again."""
    return xp.where(x > 0, dy, dy * slopes(xp, x, ticket, lower, upper))


class RReLU(Op):
    """y = x if x > 0 else a x, a uniform in [lower, upper] per element;  dx = dy or a dy (at 0: a dy).

    The slopes are drawn again in backward from the ticket saved (see dropout.py).  Xu et al. 2015.
    """

    def forward(self, x: Array, state: Array, lower: float, upper: float) -> Array:
        y, ticket = self.k.rrelu_forward(x, state, lower, upper)
        self.save(y if lower >= 0 else x, ticket, lower, upper)
        return y

    def backward(self, dy: Array) -> Any:
        return self.k.rrelu_backward(dy, *self.saved), None, None, None

    @staticmethod
    def samples(draw: Any) -> tuple[Any, ...]:
        x = draw.array(draw.choice((draw.shape(0, 5), (2, 3, 41, 23))), avoid=(0.0,))
        return x, generator_state(draw), *draw.choice(((1 / 8, 1 / 3), (0.3, 0.3), (-0.5, 0.5)))

    @staticmethod
    def oracle(torch: Any, x: Any, state: Any, lower: float, upper: float) -> Any:
        import numpy as np

        a = slopes(np, x.detach().numpy(), state, lower, upper)
        return torch.where(x > 0, x, x * torch.tensor(a))


# ---------------------------------------------------------------------------------------------------- parametric


def over_channels(weight: Array, ndim: int) -> Array:
    """Return one slope for all, or one per channel shaped to broadcast against (N, C, *space)."""
    return weight.reshape(()) if weight.size == 1 else weight.reshape((1, -1) + (1,) * (ndim - 2))


@kernel(out=lambda x, weight: [x.shape], flops=lambda x, weight: 2 * x.size)
def prelu_forward(xp: Any, x: Array, weight: Array) -> Array:
    """y = x where x > 0, else weight[c] x; a weight of one element serves all channels."""
    return xp.where(x > 0, x, over_channels(weight, x.ndim) * x)


@kernel(out=lambda dy, x, weight: [x.shape, weight.shape], flops=lambda dy, x, weight: 4 * x.size)
def prelu_backward(xp: Any, dy: Array, x: Array, weight: Array) -> Any:
    """dx = dy where x > 0, else weight[c] dy;  dweight[c] = sum of x dy where x <= 0, of all channels if one weight."""
    below = xp.where(x > 0, 0, x * dy)
    dweight = below.sum() if weight.size == 1 else below.sum((0, *range(2, x.ndim)))
    return xp.where(x > 0, dy, over_channels(weight, x.ndim) * dy), dweight.reshape(weight.shape)


class PReLU(Op):
    """y = x if x > 0 else w x, w learned, shared or per channel;  dx = dy if x > 0 else w dy (at 0: w dy).

    dw = the sum of x dy where x <= 0.  He et al., ICCV 2015, section 2.1.
    """

    oracle = "torch.nn.functional.prelu"

    def forward(self, x: Array, weight: Array) -> Array:
        self.save(x, weight)
        return self.k.prelu_forward(x, weight)

    def backward(self, dy: Array) -> Any:
        return self.k.prelu_backward(dy, *self.saved)

    @staticmethod
    def samples(draw: Any) -> tuple[Any, ...]:
        shape = draw.choice((draw.shape(0, 5), (2, 33, 5, 3), (3, 16, 4)))
        shared = len(shape) < 2 or draw.boolean()
        return draw.array(shape, avoid=(0.0,)), draw.array((1,) if shared else (shape[1],), 0.1, 0.5)


# ------------------------------------------------------------------------------------------------------- clipped


@kernel(flops=lambda x, *_: 2 * x.size)
def hardtanh_forward(xp: Any, x: Array, low: float, high: float) -> Array:
    """y = min(max(x, low), high)."""
    return xp.clip(x, low, high)


@kernel(flops=lambda dy, *_: 2 * dy.size)
def hardtanh_backward(xp: Any, dy: Array, y: Array, low: float, high: float) -> Array:
    """dx = dy where low < y < high or y is NaN, else 0."""
    return xp.where((y <= low) | (y >= high), 0, dy)


class Hardtanh(Op):
    """y = min(max(x, low), high);  dx = dy strictly between, else 0 (at both borders: 0).  The output is saved."""

    oracle = "torch.nn.functional.hardtanh"

    def forward(self, x: Array, low: float = -1.0, high: float = 1.0) -> Array:
        y = self.k.hardtanh_forward(x, low, high)
        self.save(y, low, high)
        return y

    def backward(self, dy: Array) -> Any:
        return self.k.hardtanh_backward(dy, *self.saved), None, None

    @staticmethod
    def samples(draw: Any) -> tuple[Any, ...]:
        low, high = draw.choice(((-1.0, 1.0), (0.0, 6.0), (0.5, 0.5), (-2.5, 0.25)))
        return draw.array(draw.shape(), -8, 8, avoid=(low, high)), low, high


@kernel(flops=lambda x: 4 * x.size)
def hardsigmoid_forward(xp: Any, x: Array) -> Array:
    """y = min(max(x + 3, 0), 6) / 6."""
    return xp.clip(x + 3, 0, 6) / 6


@kernel(flops=lambda dy, y: 3 * dy.size)
def hardsigmoid_backward(xp: Any, dy: Array, y: Array) -> Array:
    """dx = dy / 6 where 0 < y < 1, else 0."""
    return xp.where((y > 0) & (y < 1), dy / 6, 0)


class Hardsigmoid(Op):
    """y = min(max(x + 3, 0), 6) / 6;  dx = dy / 6 strictly between, else 0.  Howard et al., ICCV 2019, section 5.2."""

    samples = points(-5, 5, avoid=(-3.0, 3.0))

    def forward(self, x: Array) -> Array:
        y = self.k.hardsigmoid_forward(x)
        self.save(y)
        return y

    def backward(self, dy: Array) -> Array:
        return self.k.hardsigmoid_backward(dy, *self.saved)

    @staticmethod
    def oracle(torch: Any, x: Any) -> Any:
        return torch.nn.functional.relu6(x + 3) / 6  # its own hardsigmoid holds 1/6 in float32


# ------------------------------------------------------------------------------------------------ public functions


@overwritable
def relu(input: Tensor) -> Tensor:
    """Compute max(0, x), element-wise; the gradient at 0 is 0.

    Args:
        input: Floating-point tensor of any shape.
        inplace: Write the result into input.

    Returns:
        A tensor of the input's shape and dtype.

    Example:
        >>> import tinymed
        >>> tinymed.relu(tinymed.tensor([-1.0, 0.0, 2.0])).tolist()
        [0.0, 0.0, 2.0]

    Reference:
        Nair & Hinton, ICML 2010.
    """
    return ReLU.apply(input)


@overwritable
def leaky_relu(input: Tensor, negative_slope: float = 0.01) -> Tensor:
    """Compute x where x > 0, else negative_slope x.

    Args:
        input: Floating-point tensor of any shape.
        negative_slope: The slope for negative x.
        inplace: Write the result into input.

    Returns:
        A tensor of the input's shape and dtype.

    Example:
        >>> import tinymed
        >>> from tinymed.nn import functional as F
        >>> F.leaky_relu(tinymed.tensor([-4.0, 2.0]), 0.25).tolist()
        [-1.0, 2.0]

    Reference:
        Maas, Hannun & Ng, ICML workshop 2013.
    """
    return LeakyReLU.apply(input, float(negative_slope))


@overwritable
def rrelu(input: Tensor, lower: float = 1 / 8, upper: float = 1 / 3, training: bool = False) -> Tensor:
    """Compute x where x > 0, else a x with a random slope a.

    In training a is uniform in [lower, upper] for each element, in evaluation it is their mean.

    Args:
        input: Floating-point tensor of any shape.
        lower, upper: The bounds of the slope.
        training: Draw slopes from manual_seed's generator.
        inplace: Write the result into input.

    Returns:
        A tensor of the input's shape and dtype.

    Raises:
        ValueError: lower exceeds upper.

    Example:
        >>> import tinymed
        >>> from tinymed.nn import functional as F
        >>> F.rrelu(tinymed.tensor([-4.0, 2.0]), 0.25, 0.75).tolist()
        [-2.0, 2.0]

    Reference:
        Xu et al., arXiv 1505.00853, 2015.
    """
    if lower > upper:
        raise ValueError(f"rrelu: lower must not exceed upper, got {lower} and {upper}")
    if not training:
        return LeakyReLU.apply(input, (float(lower) + float(upper)) / 2)
    return RReLU.apply(input, random.default_generator.beside(input.array), float(lower), float(upper))


def prelu(input: Tensor, weight: Tensor) -> Tensor:
    """Compute x where x > 0, else weight x, with a learned slope.

    Args:
        input: (N, C, *space), or of any shape with one weight.
        weight: (1,), or (C,) for one slope per channel.

    Returns:
        A tensor of the input's shape and dtype.

    Raises:
        ValueError: weight has neither one element nor one per channel.

    Example:
        >>> import tinymed
        >>> tinymed.prelu(tinymed.tensor([-4.0, 2.0]), tinymed.tensor([0.25])).tolist()
        [-1.0, 2.0]

    Reference:
        He et al., ICCV 2015, section 2.1.
    """
    if not weight.shape:
        weight = reshape(weight, 1)
    channels = input.shape[1] if len(input.shape) > 1 else 1
    if len(weight.shape) > 1 or weight.array.size not in (1, channels):
        raise ValueError(
            f"prelu: weight has shape {list(weight.shape)}; input {list(input.shape)} takes (1,) or ({channels},)"
        )
    return PReLU.apply(input, weight)


@overwritable
def hardtanh(input: Tensor, min_val: float = -1.0, max_val: float = 1.0) -> Tensor:
    """Clip x to [min_val, max_val]; the gradient at the borders is 0, where clamp's is 1.

    Args:
        input: Tensor of any shape, of any dtype but bool.
        min_val, max_val: The bounds.
        inplace: Write the result into input.

    Returns:
        A tensor of the input's shape and dtype.

    Raises:
        ValueError: min_val exceeds max_val.
        TypeError: The input is bool, or unsigned with a negative bound.

    Example:
        >>> import tinymed
        >>> from tinymed.nn import functional as F
        >>> F.hardtanh(tinymed.tensor([-3.0, 0.5, 3.0])).tolist()
        [-1.0, 0.5, 1.0]
    """
    if min_val > max_val:
        raise ValueError(f"hardtanh: min_val must not exceed max_val, got {min_val} and {max_val}")
    return clipped("hardtanh", input, min_val, max_val)


def clipped(name: str, input: Any, low: float, high: float) -> Any:
    """Apply Hardtanh to any dtype but bool; integers stay integers, and so do the bounds."""
    kind = input.array.dtype.kind
    if kind == "b" or (kind == "u" and low < 0):
        raise TypeError(f"{name}: does not take {input.array.dtype} with bounds {low} and {high}; convert it first")
    bounds = (float(low), float(high)) if kind == "f" else (int(low), int(high))
    return Hardtanh.apply(input, *bounds)


@overwritable
def relu6(input: Tensor) -> Tensor:
    """Compute min(max(0, x), 6); hardtanh(x, 0, c) has another ceiling.

    Args:
        input: Tensor of any shape, of any dtype but bool.
        inplace: Write the result into input.

    Returns:
        A tensor of the input's shape and dtype.

    Example:
        >>> import tinymed
        >>> from tinymed.nn import functional as F
        >>> F.relu6(tinymed.tensor([-3.0, 0.5, 8.0])).tolist()
        [0.0, 0.5, 6.0]

    Reference:
        Krizhevsky, Convolutional deep belief networks on CIFAR-10, 2010.
    """
    return clipped("relu6", input, 0.0, 6.0)


@overwritable
def hardsigmoid(input: Tensor) -> Tensor:
    """Compute x / 6 + 1/2, clipped to [0, 1].

    Args:
        input: Floating-point tensor of any shape.
        inplace: Write the result into input.

    Returns:
        A tensor of the input's shape and dtype.

    Example:
        >>> import tinymed
        >>> from tinymed.nn import functional as F
        >>> F.hardsigmoid(tinymed.tensor([-3.0, 0.0, 3.0])).tolist()
        [0.0, 0.5, 1.0]

    Reference:
        Howard et al., ICCV 2019, section 5.2.
    """
    return Hardsigmoid.apply(input)


def identity(input: Tensor) -> Tensor:
    """Return the input itself: the linear activation.

    Args:
        input: Tensor of any shape.

    Returns:
        The input.

    Example:
        >>> import tinymed
        >>> from tinymed.nn import functional as F
        >>> F.identity(tinymed.ones(2)).tolist()
        [1.0, 1.0]
    """
    return input


__all__ = ["hardsigmoid", "hardtanh", "identity", "leaky_relu", "prelu", "relu", "relu6", "rrelu"]
