"""Activations as modules.  Each calls the function of its name in `nn.functional`; that docstring has the formula."""

from typing import Any

from ..tensor import Tensor
from . import functional as F
from . import init
from .module import Module, new_parameter


class Elementwise(Module):
    """Call a function of nn.functional with named arguments; a subclass names it and gives the arguments' defaults.

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
    """Compute max(0, x).

    Args:
        inplace: whether the result is written over the input.  Default: False.

    Shape:
        Input of any shape; output the same shape.

    Raises:
        TypeError: an argument that it does not take.

    Example:
        >>> from tinymed import nn, tensor
        >>> nn.ReLU()(tensor([-1.0, 0.0, 2.0])).tolist()
        [0.0, 0.0, 2.0]

    Reference:
        Nair & Hinton, "Rectified linear units improve restricted Boltzmann machines", 2010.

    As `torch.nn.ReLU`.
    """

    function, defaults = "relu", IN_PLACE


class ReLU6(Elementwise):
    """Compute min(max(0, x), 6).

    Args:
        inplace: whether the result is written over the input.  Default: False.

    Shape:
        Input of any shape; output the same shape.

    Raises:
        TypeError: an argument that it does not take.

    Example:
        >>> from tinymed import nn, tensor
        >>> nn.ReLU6()(tensor([-1.0, 2.0, 8.0])).tolist()
        [0.0, 2.0, 6.0]

    Reference:
        Krizhevsky, "Convolutional deep belief networks on CIFAR-10", 2010.

    As `torch.nn.ReLU6`.
    """

    function, defaults = "relu6", IN_PLACE


class LeakyReLU(Elementwise):
    """Compute x where x > 0, else negative_slope x.

    Args:
        negative_slope: the slope below 0.  Default: 0.01.
        inplace: whether the result is written over the input.  Default: False.

    Shape:
        Input of any shape; output the same shape.

    Raises:
        TypeError: an argument that it does not take.

    Example:
        >>> from tinymed import nn, tensor
        >>> nn.LeakyReLU(0.5)(tensor([-1.0, 0.0, 2.0])).tolist()
        [-0.5, 0.0, 2.0]

    Reference:
        Maas, Hannun & Ng, "Rectifier nonlinearities improve neural network acoustic models", 2013.

    As `torch.nn.LeakyReLU`.
    """

    function, defaults = "leaky_relu", {"negative_slope": 0.01, **IN_PLACE}


class ELU(Elementwise):
    """Compute x where x > 0, else alpha (e^x - 1).

    Args:
        alpha: minus the limit at -infinity.  Default: 1.
        inplace: whether the result is written over the input.  Default: False.

    Shape:
        Input of any shape; output the same shape.

    Raises:
        TypeError: an argument that it does not take.

    Example:
        >>> from tinymed import nn, tensor
        >>> nn.ELU()(tensor([0.0, 2.0])).tolist()
        [0.0, 2.0]

    Reference:
        Clevert, Unterthiner & Hochreiter, "Fast and accurate deep network learning by exponential linear units", 2016.

    As `torch.nn.ELU`.
    """

    function, defaults = "elu", {"alpha": 1.0, **IN_PLACE}


class CELU(Elementwise):
    """Compute x where x > 0, else alpha (e^(x / alpha) - 1); the slope at 0 is 1 for every alpha.

    Args:
        alpha: minus the limit at -infinity.  Default: 1.
        inplace: whether the result is written over the input.  Default: False.

    Shape:
        Input of any shape; output the same shape.

    Raises:
        TypeError: an argument that it does not take.

    Example:
        >>> from tinymed import nn, tensor
        >>> nn.CELU()(tensor([0.0, 2.0])).tolist()
        [0.0, 2.0]

    Reference:
        Barron, "Continuously differentiable exponential linear units", 2017.

    As `torch.nn.CELU`.
    """

    function, defaults = "celu", {"alpha": 1.0, **IN_PLACE}


class SELU(Elementwise):
    """Compute scale ELU(x, alpha), scale = 1.0507 and alpha = 1.6733, which keep mean 0 and variance 1 over layers.

    Args:
        inplace: whether the result is written over the input.  Default: False.

    Shape:
        Input of any shape; output the same shape.

    Raises:
        TypeError: an argument that it does not take.

    Example:
        >>> from tinymed import nn, tensor
        >>> y = nn.SELU()(tensor([0.0, 1.0]))
        >>> [round(v, 3) for v in y.tolist()]
        [0.0, 1.051]

    Reference:
        Klambauer et al., "Self-normalizing neural networks", 2017.

    As `torch.nn.SELU`.
    """

    function, defaults = "selu", IN_PLACE


class GELU(Elementwise):
    """Compute x P(z <= x) for a standard normal z.

    Args:
        approximate: "none", or "tanh" for x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2.  Default: "none".

    Shape:
        Input of any shape; output the same shape.

    Raises:
        TypeError: an argument that it does not take.
        ValueError: when called, for another word as approximate.

    Example:
        >>> from tinymed import nn, tensor
        >>> y = nn.GELU()(tensor([-1.0, 0.0, 1.0]))
        >>> [round(v, 3) for v in y.tolist()]
        [-0.159, 0.0, 0.841]

    Reference:
        Hendrycks & Gimpel, "Gaussian error linear units", 2016.

    As `torch.nn.GELU`.
    """

    function, defaults = "gelu", {"approximate": "none"}


class SiLU(Elementwise):
    """Compute x sigmoid(x), also called swish.

    Args:
        inplace: whether the result is written over the input.  Default: False.

    Shape:
        Input of any shape; output the same shape.

    Raises:
        TypeError: an argument that it does not take.

    Example:
        >>> from tinymed import nn, tensor
        >>> y = nn.SiLU()(tensor([0.0, 1.0]))
        >>> [round(v, 3) for v in y.tolist()]
        [0.0, 0.731]

    Reference:
        Elfwing, Uchibe & Doya, "Sigmoid-weighted linear units for neural network function approximation in
        reinforcement learning", 2018.

    As `torch.nn.SiLU`.
    """

    function, defaults = "silu", IN_PLACE


class Mish(Elementwise):
    """Compute x tanh(softplus(x)).

    Args:
        inplace: whether the result is written over the input.  Default: False.

    Shape:
        Input of any shape; output the same shape.

    Raises:
        TypeError: an argument that it does not take.

    Example:
        >>> from tinymed import nn, tensor
        >>> y = nn.Mish()(tensor([0.0, 1.0]))
        >>> [round(v, 3) for v in y.tolist()]
        [0.0, 0.865]

    Reference:
        Misra, "Mish: a self regularized non-monotonic activation function", 2020.

    As `torch.nn.Mish`.
    """

    function, defaults = "mish", IN_PLACE


class Hardswish(Elementwise):
    """Compute x hardsigmoid(x).

    Args:
        inplace: whether the result is written over the input.  Default: False.

    Shape:
        Input of any shape; output the same shape.

    Raises:
        TypeError: an argument that it does not take.

    Example:
        >>> from tinymed import nn, tensor
        >>> nn.Hardswish()(tensor([0.0, 3.0, 4.0])).tolist()
        [0.0, 3.0, 4.0]

    Reference:
        Howard et al., "Searching for MobileNetV3", 2019.

    As `torch.nn.Hardswish`.
    """

    function, defaults = "hardswish", IN_PLACE


class Softplus(Elementwise):
    """Compute log(1 + e^(beta x)) / beta, a smooth ReLU; x itself where beta x > threshold.

    Args:
        beta: the sharpness at 0.  Default: 1.
        threshold: value of beta x above which x is returned.  Default: 20.

    Shape:
        Input of any shape; output the same shape.

    Raises:
        TypeError: an argument that it does not take.

    Example:
        >>> from tinymed import nn, tensor
        >>> y = nn.Softplus()(tensor([0.0, 30.0]))
        >>> [round(v, 3) for v in y.tolist()]
        [0.693, 30.0]

    Reference:
        Dugas et al., "Incorporating second-order functional knowledge for better option pricing", 2001.

    As `torch.nn.Softplus`.
    """

    function, defaults = "softplus", {"beta": 1.0, "threshold": 20.0}


class Threshold(Elementwise):
    """Compute x where x > threshold, else value.

    Args:
        threshold: the limit.
        value: what takes the place of elements that are not above it.
        inplace: whether the result is written over the input.  Default: False.

    Shape:
        Input of any shape; output the same shape.

    Example:
        >>> from tinymed import nn, tensor
        >>> nn.Threshold(1.0, -9.0)(tensor([0.0, 1.0, 2.0])).tolist()
        [-9.0, -9.0, 2.0]

    As `torch.nn.Threshold`.
    """

    function, defaults = "threshold", {"threshold": None, "value": None, **IN_PLACE}

    def __init__(self, threshold: float, value: float, inplace: bool = False):
        super().__init__(threshold, value, inplace)


class RReLU(Module):
    """Compute x where x > 0, else a x, with a drawn for each element in training and fixed in evaluation.

    Args:
        lower: the least slope.  Default: 1/8.
        upper: the largest slope; in training a is uniform in [lower, upper], in evaluation their mean.  Default: 1/3.
        inplace: whether the result is written over the input.  Default: False.

    Shape:
        Input of any shape; output the same shape.

    Raises:
        ValueError: when called, for lower above upper.

    Example:
        >>> from tinymed import nn, tensor
        >>> nn.RReLU(0.25, 0.75).eval()(tensor([-1.0, 2.0])).tolist()
        [-0.5, 2.0]

    Reference:
        Xu et al., "Empirical evaluation of rectified activations in convolutional network", 2015.

    As `torch.nn.RReLU`; the random numbers are tinymed's own.
    """

    def __init__(self, lower: float = 1 / 8, upper: float = 1 / 3, inplace: bool = False):
        super().__init__()
        self.lower, self.upper, self.inplace = lower, upper, inplace

    def forward(self, input: Tensor) -> Any:
        return F.rrelu(input, self.lower, self.upper, self.training, self.inplace)

    def extra_repr(self) -> str:
        return f"lower={self.lower}, upper={self.upper}" + (", inplace=True" if self.inplace else "")


class PReLU(Module):
    """Compute x where x > 0, else weight x, with a learned weight.

    Args:
        num_parameters: 1, one slope for all, or the number of channels, one slope for each.  Default: 1.
        init: the slopes' initial value.  Default: 0.25.

    Shape:
        Input (N, C, *space); output the same shape; weight (num_parameters,).

    Raises:
        ValueError: when called, for an input of another number of channels, unless num_parameters is 1.

    Example:
        >>> from tinymed import nn, tensor
        >>> nn.PReLU()(tensor([[-2.0, 2.0]])).tolist()
        [[-0.5, 2.0]]

    Reference:
        He et al., "Delving deep into rectifiers", 2015.

    As `torch.nn.PReLU`.
    """

    _makes_tensors = True

    def __init__(self, num_parameters: int = 1, init: float = 0.25):
        super().__init__()
        self.num_parameters, self.init = num_parameters, init
        self.weight = new_parameter(num_parameters)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Set every slope to its initial value."""
        init.constant_(self.weight, self.init)

    def forward(self, input: Tensor) -> Any:
        return F.prelu(input, self.weight)

    def extra_repr(self) -> str:
        return f"num_parameters={self.num_parameters}"
