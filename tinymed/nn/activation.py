"""Activations as modules.  Each calls the function of its name in `nn.functional`; that docstring has the formula."""

from typing import Any

from ..tensor import Tensor
from . import functional as F
from . import init
from .module import Module, new_parameter


class Elementwise(Module):
    """A function of nn.functional with named arguments; a subclass names it and gives the arguments' defaults.

    Arguments may be given by position, in the order of `defaults`, or by name, as in PyTorch.
    """

    function: str
    defaults: dict[str, Any] = {}

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__()
        unknown = [n for n in kwargs if n not in self.defaults or n in list(self.defaults)[: len(args)]]
        if unknown or len(args) > len(self.defaults):
            raise TypeError(
                f"{type(self).__name__} takes {', '.join(self.defaults) or 'no argument'}; got {args} and {kwargs}"
            )
        self.__dict__.update(self.defaults | dict(zip(self.defaults, args, strict=False)) | kwargs)

    def forward(self, input: Tensor) -> Any:
        return getattr(F, self.function)(input, **{n: getattr(self, n) for n in self.defaults})

    def extra_repr(self) -> str:
        shown = [f"{n}={getattr(self, n)}" for n in self.defaults if n != "inplace"]
        return ", ".join([*shown, "inplace=True"] if getattr(self, "inplace", False) else shown)


IN_PLACE: dict[str, Any] = {"inplace": False}  # True: the result is written over the input


class ReLU(Elementwise):
    """max(0, x)."""

    function, defaults = "relu", IN_PLACE


class ReLU6(Elementwise):
    """min(max(0, x), 6)."""

    function, defaults = "relu6", IN_PLACE


class LeakyReLU(Elementwise):
    """x where x > 0, else negative_slope x."""

    function, defaults = "leaky_relu", {"negative_slope": 0.01, **IN_PLACE}


class ELU(Elementwise):
    """x where x > 0, else alpha (e^x - 1)."""

    function, defaults = "elu", {"alpha": 1.0, **IN_PLACE}


class CELU(Elementwise):
    """x where x > 0, else alpha (e^(x / alpha) - 1)."""

    function, defaults = "celu", {"alpha": 1.0, **IN_PLACE}


class SELU(Elementwise):
    """The ELU whose scale keeps mean 0 and variance 1."""

    function, defaults = "selu", IN_PLACE


class GELU(Elementwise):
    """x times the normal distribution function; approximate="tanh" for the approximation."""

    function, defaults = "gelu", {"approximate": "none"}


class SiLU(Elementwise):
    """x sigmoid(x), also called swish."""

    function, defaults = "silu", IN_PLACE


class Mish(Elementwise):
    """x tanh(softplus(x))."""

    function, defaults = "mish", IN_PLACE


class Sigmoid(Elementwise):
    """1 / (1 + e^-x)."""

    function = "sigmoid"


class LogSigmoid(Elementwise):
    """log(1 / (1 + e^-x))."""

    function = "logsigmoid"


class Tanh(Elementwise):
    """Hyperbolic tangent."""

    function = "tanh"


class Hardtanh(Elementwise):
    """x clipped to [min_val, max_val]; with (0, c) the clipped ReLU."""

    function, defaults = "hardtanh", {"min_val": -1.0, "max_val": 1.0, **IN_PLACE}


class Hardsigmoid(Elementwise):
    """x / 6 + 1/2 clipped to [0, 1]."""

    function, defaults = "hardsigmoid", IN_PLACE


class Hardswish(Elementwise):
    """x hardsigmoid(x)."""

    function, defaults = "hardswish", IN_PLACE


class Softplus(Elementwise):
    """log(1 + e^(beta x)) / beta; x itself where beta x > threshold."""

    function, defaults = "softplus", {"beta": 1.0, "threshold": 20.0}


class Softsign(Elementwise):
    """x / (1 + |x|)."""

    function = "softsign"


class Softtanh(Elementwise):
    """A smooth hardtanh: (softplus(beta (x + 1)) - softplus(beta (x - 1))) / beta - 1."""

    function, defaults = "softtanh", {"beta": 1.0}


class Softmax(Elementwise):
    """e^x over its sum along the axis dim.

    Without dim it is axis 0 of an input with 0, 1 or 3 axes, else axis 1: PyTorch's older rule.
    """

    function, defaults = "softmax", {"dim": None}

    def forward(self, input: Tensor) -> Any:
        axis = (0 if len(input.shape) in (0, 1, 3) else 1) if self.dim is None else self.dim
        return getattr(F, self.function)(input, axis)


class Softmin(Softmax):
    """softmax(-x)."""

    function = "softmin"


class LogSoftmax(Softmax):
    """The logarithm of softmax."""

    function = "log_softmax"


class Softmax2d(Module):
    """Softmax over the channels of (N, C, H, W) or (C, H, W), at every pixel."""

    def forward(self, input: Tensor) -> Any:
        if len(input.shape) not in (3, 4):
            raise ValueError(f"Softmax2d: takes (N, C, H, W) or (C, H, W), got shape {list(input.shape)}")
        return F.softmax(input, -3)


class Hardshrink(Elementwise):
    """x where |x| > lambd, else 0."""

    function, defaults = "hardshrink", {"lambd": 0.5}


class Softshrink(Elementwise):
    """x brought nearer to 0 by lambd, 0 where |x| <= lambd."""

    function, defaults = "softshrink", {"lambd": 0.5}


class Tanhshrink(Elementwise):
    """x - tanh(x)."""

    function = "tanhshrink"


class Threshold(Elementwise):
    """x where x > threshold, else value."""

    function, defaults = "threshold", {"threshold": None, "value": None, **IN_PLACE}

    def __init__(self, threshold: float, value: float, inplace: bool = False):
        super().__init__(threshold, value, inplace)


class GLU(Elementwise):
    """The first half of an axis times the sigmoid of the second half."""

    function, defaults = "glu", {"dim": -1}


class ScaledTanh(Module):
    """A tanh(S x) with A = 1.7159 and S = 2/3, so that f(1) = 1 and f(-1) = -1.  LeCun et al. 1998, appendix A."""

    def __init__(self, amplitude: float = 1.7159, slope: float = 2 / 3):
        super().__init__()
        self.amplitude, self.slope = amplitude, slope

    def forward(self, input: Tensor) -> Any:
        return self.amplitude * F.tanh(self.slope * input)


class RReLU(Module):
    """x where x > 0, else a x; a uniform in [lower, upper] per element in training, their mean in evaluation."""

    def __init__(self, lower: float = 1 / 8, upper: float = 1 / 3, inplace: bool = False):
        super().__init__()
        self.lower, self.upper, self.inplace = lower, upper, inplace

    def forward(self, input: Tensor) -> Any:
        return F.rrelu(input, self.lower, self.upper, self.training, self.inplace)

    def extra_repr(self) -> str:
        return f"lower={self.lower}, upper={self.upper}" + (", inplace=True" if self.inplace else "")


class PReLU(Module):
    """x where x > 0, else weight x; weight learned, one for all (num_parameters=1) or one per channel."""

    _makes_tensors = True

    def __init__(self, num_parameters: int = 1, init: float = 0.25):
        super().__init__()
        self.num_parameters, self.init = num_parameters, init
        self.weight = new_parameter(num_parameters)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Every slope at its start."""
        init.constant_(self.weight, self.init)

    def forward(self, input: Tensor) -> Any:
        return F.prelu(input, self.weight)

    def extra_repr(self) -> str:
        return f"num_parameters={self.num_parameters}"
