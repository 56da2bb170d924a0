"""Smooth activations: the sigmoid and tanh families and the exponential units.  Those that gate their input: gated.py.

Each saves its output where the derivative is a function of it, else its input.  Exponentials are taken of what is not
positive, so nothing overflows on either side.  Integers give float32, as in PyTorch.
"""

from typing import Any

from ..annotations import Tensor
from ..dispatch import Array, kernel
from ..tape import Op
from .cast import common_float
from .overwrite import overwritable
from .unary import points

SELU_SCALE, SELU_ALPHA = 1.0507009873554805, 1.6732632423543772  # Klambauer et al. 2017, equation 14
TANH_AMPLITUDE, TANH_SLOPE = 1.7159, 2 / 3  # LeCun et al. 1998, appendix A: f(1) = 1, f(-1) = -1


def logistic(xp: Any, x: Array) -> Array:
    """Compute 1 / (1 + exp(-x)), by the exponential that cannot overflow."""
    e = xp.exp(-xp.abs(x))
    return xp.where(x >= 0, 1, e) / (1 + e)


def log_one_plus_exp(xp: Any, x: Array) -> Array:
    """Compute log(1 + exp(x)) = max(x, 0) + log(1 + exp(-|x|))."""
    return xp.maximum(x, 0) + xp.log1p(xp.exp(-xp.abs(x)))


# ----------------------------------------------------------------------------------------------- sigmoid and tanh


@kernel(flops=lambda x: 12 * x.size)
def sigmoid_forward(xp: Any, x: Array) -> Array:
    """y = 1 / (1 + e^-x)."""
    return logistic(xp, x)


@kernel(flops=lambda dy, y: 3 * dy.size)
def sigmoid_backward(xp: Any, dy: Array, y: Array) -> Array:
    """dx = dy y (1 - y)."""
    return dy * y * (1 - y)


class Sigmoid(Op):
    """y = 1 / (1 + exp(-x));  dx = dy y (1 - y).  The output is saved."""

    oracle, samples, promotes = "torch.sigmoid", points(-6, 6), common_float

    def forward(self, x: Array) -> Array:
        y = self.k.sigmoid_forward(x)
        self.save(y)
        return y

    def backward(self, dy: Array) -> Array:
        return self.k.sigmoid_backward(dy, *self.saved)


@kernel(flops=lambda x: 12 * x.size)
def logsigmoid_forward(xp: Any, x: Array) -> Array:
    """y = -ln(1 + e^-x)."""
    return -log_one_plus_exp(xp, -x)


@kernel(flops=lambda dy, y: 12 * dy.size)
def logsigmoid_backward(xp: Any, dy: Array, y: Array) -> Array:
    """dx = dy (1 - e^y)."""
    return -dy * xp.expm1(y)


class LogSigmoid(Op):
    """y = log(1 / (1 + exp(-x))) = -log(1 + exp(-x));  dx = dy (1 - exp(y)).  The output is saved."""

    oracle, samples = "torch.nn.functional.logsigmoid", points(-6, 6)

    def forward(self, x: Array) -> Array:
        y = self.k.logsigmoid_forward(x)
        self.save(y)
        return y

    def backward(self, dy: Array) -> Array:
        return self.k.logsigmoid_backward(dy, *self.saved)


@kernel(flops=lambda x, *_: 12 * x.size)
def tanh_forward(xp: Any, x: Array, amplitude: float, slope: float) -> Array:
    """y = amplitude tanh(slope x)."""
    return amplitude * xp.tanh(slope * x)


@kernel(flops=lambda dy, *_: 4 * dy.size)
def tanh_backward(xp: Any, dy: Array, y: Array, amplitude: float, slope: float) -> Array:
    """dx = dy (slope amplitude - slope / amplitude y^2)."""
    return dy * (slope * amplitude - (slope / amplitude) * y * y)


class Tanh(Op):
    """y = A tanh(S x);  dx = dy S (A - y^2 / A).  The output is saved.  A = S = 1: tanh; LeCun's: 1.7159 and 2/3."""

    promotes = common_float

    def forward(self, x: Array, amplitude: float = 1.0, slope: float = 1.0) -> Array:
        y = self.k.tanh_forward(x, amplitude, slope)
        self.save(y, amplitude, slope)
        return y

    def backward(self, dy: Array) -> Any:
        return self.k.tanh_backward(dy, *self.saved), None, None

    @staticmethod
    def samples(draw: Any) -> tuple[Any, ...]:
        return draw.array(draw.shape(), -3, 3), *draw.choice(((1.0, 1.0), (TANH_AMPLITUDE, TANH_SLOPE)))

    @staticmethod
    def oracle(torch: Any, x: Any, amplitude: float, slope: float) -> Any:
        return amplitude * torch.tanh(slope * x)


@kernel(flops=lambda x, beta: 30 * x.size)
def softtanh_forward(xp: Any, x: Array, beta: float) -> Array:
    """y = (ln(1 + e^(beta (x + 1))) - ln(1 + e^(beta (x - 1)))) / beta - 1."""
    size = xp.abs(x)  # an odd function: with |x|, both exponents are negative
    rest = xp.log1p(xp.exp(-beta * (size + 1))) - xp.log1p(xp.exp(-beta * xp.abs(size - 1)))
    return xp.sign(x) * (xp.minimum(size, 1) + rest / beta)


@kernel(flops=lambda dy, x, beta: 30 * dy.size)
def softtanh_backward(xp: Any, dy: Array, x: Array, beta: float) -> Array:
    """dx = dy (sigmoid(beta (x + 1)) - sigmoid(beta (x - 1)))."""
    return dy * (logistic(xp, beta * (x + 1)) - logistic(xp, beta * (x - 1)))


class Softtanh(Op):
    """y = (softplus(b (x + 1)) - softplus(b (x - 1))) / b - 1;  dx = dy (sigmoid(b (x + 1)) - sigmoid(b (x - 1))).

    A smooth hardtanh, which it tends to as b grows; ours, since the paper that names softtanh defines none.
    """

    def forward(self, x: Array, beta: float = 1.0) -> Array:
        self.save(x, beta)
        return self.k.softtanh_forward(x, beta)

    def backward(self, dy: Array) -> Any:
        return self.k.softtanh_backward(dy, *self.saved), None

    @staticmethod
    def samples(draw: Any) -> tuple[Any, ...]:
        return draw.array(draw.shape(), -4, 4), draw.choice((1.0, 0.5, 3.0))

    @staticmethod
    def oracle(torch: Any, x: Any, beta: float) -> Any:
        softplus = torch.nn.functional.softplus
        return (softplus(beta * (x + 1)) - softplus(beta * (x - 1))) / beta - 1


@kernel(flops=lambda x: 3 * x.size)
def softsign_forward(xp: Any, x: Array) -> Array:
    """y = x / (1 + |x|)."""
    return x / (1 + xp.abs(x))


@kernel(flops=lambda dy, x: 4 * dy.size)
def softsign_backward(xp: Any, dy: Array, x: Array) -> Array:
    """dx = dy / (1 + |x|)^2, NaN where x is infinite, as y is."""
    d = 1 + xp.abs(x)
    return dy / (d * d) + 0 * x


class Softsign(Op):
    """y = x / (1 + |x|);  dx = dy / (1 + |x|)^2.  Bergstra et al. 2009; Glorot & Bengio 2010."""

    oracle, samples, promotes = "torch.nn.functional.softsign", points(-4, 4), common_float

    def forward(self, x: Array) -> Array:
        self.save(x)
        return self.k.softsign_forward(x)

    def backward(self, dy: Array) -> Array:
        return self.k.softsign_backward(dy, *self.saved)


@kernel(flops=lambda x, *_: 14 * x.size)
def softplus_forward(xp: Any, x: Array, beta: float, threshold: float) -> Array:
    """y = ln(1 + e^(beta x)) / beta, x itself where beta x > threshold."""
    return xp.where(beta * x > threshold, x, log_one_plus_exp(xp, beta * x) / beta)


@kernel(flops=lambda dy, *_: 12 * dy.size)
def softplus_backward(xp: Any, dy: Array, x: Array, beta: float, threshold: float) -> Array:
    """dx = dy sigmoid(beta x), dy itself where beta x > threshold."""
    return xp.where(beta * x > threshold, dy, dy * logistic(xp, beta * x))


class Softplus(Op):
    """y = log(1 + exp(b x)) / b, x itself where b x > threshold;  dx = dy sigmoid(b x), dy there.  Dugas 2000."""

    oracle = "torch.nn.functional.softplus"

    def forward(self, x: Array, beta: float = 1.0, threshold: float = 20.0) -> Array:
        self.save(x, beta, threshold)
        return self.k.softplus_forward(x, beta, threshold)

    def backward(self, dy: Array) -> Any:
        return self.k.softplus_backward(dy, *self.saved), None, None

    @staticmethod
    def samples(draw: Any) -> tuple[Any, ...]:
        beta, threshold = draw.choice((1.0, 0.5, 4.0)), draw.choice((20.0, 2.0))
        return draw.array(draw.shape(), -8, 8, avoid=(threshold / beta,)), beta, threshold


# ---------------------------------------------------------------------------------------------- exponential units


@kernel(flops=lambda x, *_: 12 * x.size)
def elu_forward(xp: Any, x: Array, alpha: float, scale: float, rate: float) -> Array:
    """y = scale x where x > 0, else scale alpha (e^(rate x) - 1)."""
    return xp.where(x > 0, scale * x, (scale * alpha) * xp.expm1(rate * xp.minimum(x, 0)))


@kernel(flops=lambda dy, *_: 3 * dy.size)
def elu_backward(xp: Any, dy: Array, y: Array, alpha: float, scale: float, rate: float) -> Array:
    """dx = scale dy where y > 0 or NaN, else rate dy (y + scale alpha)."""
    return xp.where(y <= 0, rate * dy * (y + scale * alpha), scale * dy)


class ELU(Op):
    """y = s x if x > 0 else s alpha (exp(r x) - 1);  dx = s dy if y > 0 else r dy (y + s alpha) (at 0: r s alpha).

    s = r = 1: ELU, Clevert et al. 2016; s = 1.0507, alpha = 1.6733: SELU; r = 1 / alpha: CELU, Barron 2017.  The output
    is saved: for alpha >= 0 it has the sign of x.
    """

    def forward(self, x: Array, alpha: float = 1.0, scale: float = 1.0, rate: float = 1.0) -> Array:
        y = self.k.elu_forward(x, alpha, scale, rate)
        self.save(y, alpha, scale, rate)
        return y

    def backward(self, dy: Array) -> Any:
        return self.k.elu_backward(dy, *self.saved), None, None, None

    @staticmethod
    def samples(draw: Any) -> tuple[Any, ...]:
        forms = ((1.0, 1.0, 1.0), (SELU_ALPHA, SELU_SCALE, 1.0), (0.5, 1.0, 2.0), (0.0, 1.0, 1.0))
        return draw.array(draw.shape(), -4, 4, avoid=(0.0,)), *draw.choice(forms)

    @staticmethod
    def oracle(torch: Any, x: Any, alpha: float, scale: float, rate: float) -> Any:
        F = torch.nn.functional
        return F.selu(x) if scale != 1 else F.celu(x, alpha) if rate != 1 else F.elu(x, alpha)


# ------------------------------------------------------------------------------------------------ public functions


def sigmoid(input: Tensor) -> Tensor:
    """Compute 1 / (1 + e^-x), element-wise.

    Args:
        input: Tensor of any shape.

    Returns:
        A tensor of the input's shape; integers give float32.

    Example:
        >>> import tinymed
        >>> tinymed.sigmoid(tinymed.zeros(2)).tolist()
        [0.5, 0.5]
    """
    return Sigmoid.apply(input)


def logsigmoid(input: Tensor) -> Tensor:
    """Compute log(sigmoid(x)) without the loss of digits of the two functions one after the other.

    Args:
        input: Tensor of any shape.

    Returns:
        A tensor of the input's shape; integers give float32.

    Example:
        >>> import tinymed
        >>> from tinymed.nn import functional as F
        >>> F.logsigmoid(tinymed.tensor([-100.0])).tolist()
        [-100.0]
    """
    return LogSigmoid.apply(input)


def tanh(input: Tensor) -> Tensor:
    """Compute the hyperbolic tangent, element-wise.

    Args:
        input: Tensor of any shape.

    Returns:
        A tensor of the input's shape; integers give float32.

    Example:
        >>> import tinymed
        >>> tinymed.tanh(tinymed.zeros(2)).tolist()
        [0.0, 0.0]
    """
    return Tanh.apply(input)


def scaled_tanh(input: Tensor, amplitude: float = TANH_AMPLITUDE, slope: float = TANH_SLOPE) -> Tensor:
    """Compute amplitude tanh(slope x); LeNet's numbers give f(1) = 1 and f(-1) = -1.

    PyTorch has no such function.

    Args:
        input: Tensor of any shape.
        amplitude: The largest value; not 0.
        slope: The factor of x.

    Returns:
        A tensor of the input's shape; integers give float32.

    Raises:
        ValueError: amplitude is 0.

    Example:
        >>> import tinymed
        >>> from tinymed.nn import functional as F
        >>> F.scaled_tanh(tinymed.zeros(2)).tolist()
        [0.0, 0.0]

    Reference:
        LeCun et al., Proceedings of the IEEE 1998, appendix A.
    """
    if not amplitude:
        raise ValueError("scaled_tanh: amplitude must not be 0")
    return Tanh.apply(input, float(amplitude), float(slope))


def softtanh(input: Tensor, beta: float = 1.0) -> Tensor:
    """Compute a smooth hardtanh: (softplus(beta (x + 1)) - softplus(beta (x - 1))) / beta - 1.

    softplus(x) = log(1 + e^x). PyTorch has no such function.

    Args:
        input: Floating-point tensor of any shape.
        beta: The sharpness of the bends; positive.

    Returns:
        A tensor of the input's shape and dtype.

    Raises:
        ValueError: beta is not positive.

    Example:
        >>> import tinymed
        >>> from tinymed.nn import functional as F
        >>> F.softtanh(tinymed.zeros(2)).tolist()
        [0.0, 0.0]
    """
    if beta <= 0:
        raise ValueError(f"softtanh: beta must be positive, got {beta}")
    return Softtanh.apply(input, float(beta))


def softsign(input: Tensor) -> Tensor:
    """Compute x / (1 + |x|), element-wise.

    Args:
        input: Tensor of any shape.

    Returns:
        A tensor of the input's shape; integers give float32.

    Example:
        >>> import tinymed
        >>> from tinymed.nn import functional as F
        >>> F.softsign(tinymed.tensor([-1.0, 0.0, 3.0])).tolist()
        [-0.5, 0.0, 0.75]
    """
    return Softsign.apply(input)


def softplus(input: Tensor, beta: float = 1.0, threshold: float = 20.0) -> Tensor:
    """Compute log(1 + e^(beta x)) / beta, a smooth ReLU.

    Args:
        input: Floating-point tensor of any shape.
        beta: The sharpness of the bend; not 0.
        threshold: Where beta x exceeds it, the result is x itself.

    Returns:
        A tensor of the input's shape and dtype.

    Raises:
        ValueError: beta is 0.

    Example:
        >>> import tinymed
        >>> from tinymed.nn import functional as F
        >>> F.softplus(tinymed.tensor([30.0])).tolist()
        [30.0]
    """
    if beta == 0:
        raise ValueError("softplus: beta must not be 0")
    return Softplus.apply(input, float(beta), float(threshold))


@overwritable
def elu(input: Tensor, alpha: float = 1.0) -> Tensor:
    """Compute x where x > 0, else alpha (e^x - 1).

    Args:
        input: Floating-point tensor of any shape.
        alpha: Minus the limit for x to -inf; at least 0.
        inplace: Write the result into input.

    Returns:
        A tensor of the input's shape and dtype.

    Raises:
        ValueError: alpha is negative.

    Example:
        >>> import tinymed
        >>> from tinymed.nn import functional as F
        >>> F.elu(tinymed.tensor([0.0, 2.0])).tolist()
        [0.0, 2.0]

    Reference:
        Clevert, Unterthiner & Hochreiter, ICLR 2016.
    """
    if alpha < 0:
        raise ValueError(f"elu: alpha must not be negative, got {alpha}")
    return ELU.apply(input, float(alpha))


@overwritable
def selu(input: Tensor) -> Tensor:
    """Compute the ELU whose scale and alpha keep mean 0 and variance 1 from layer to layer.

    The weights should be initialised with LeCun's variance, 1 / fan_in.

    Args:
        input: Floating-point tensor of any shape.
        inplace: Write the result into input.

    Returns:
        A tensor of the input's shape and dtype.

    Example:
        >>> import tinymed
        >>> tinymed.selu(tinymed.zeros(2)).tolist()
        [0.0, 0.0]

    Reference:
        Klambauer et al., NeurIPS 2017.
    """
    return ELU.apply(input, SELU_ALPHA, SELU_SCALE)


@overwritable
def celu(input: Tensor, alpha: float = 1.0) -> Tensor:
    """Compute x where x > 0, else alpha (e^(x / alpha) - 1): an ELU whose slope is 1 at 0.

    Args:
        input: Floating-point tensor of any shape.
        alpha: Minus the limit for x to -inf; positive.
        inplace: Write the result into input.

    Returns:
        A tensor of the input's shape and dtype.

    Raises:
        ValueError: alpha is not positive.

    Example:
        >>> import tinymed
        >>> tinymed.celu(tinymed.tensor([0.0, 2.0])).tolist()
        [0.0, 2.0]

    Reference:
        Barron, arXiv 1704.07483, 2017.
    """
    if alpha <= 0:
        raise ValueError(f"celu: alpha must be positive, got {alpha}")
    return ELU.apply(input, float(alpha), 1.0, 1 / float(alpha))


__all__ = [
    "celu",
    "elu",
    "logsigmoid",
    "scaled_tanh",
    "selu",
    "sigmoid",
    "softplus",
    "softsign",
    "softtanh",
    "tanh",
]
