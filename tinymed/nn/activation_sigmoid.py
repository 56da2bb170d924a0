"""Activations that saturate, softmax, gates and shrinkage; rectifiers are in activation.py."""

from typing import Any

from ..tensor import Tensor
from . import functional as F
from .activation import IN_PLACE, Elementwise
from .module import Module


class Sigmoid(Elementwise):
    """Compute 1 / (1 + e^-x).

    Shape:
        Input of any shape; output the same shape.

    Example:
        >>> from tinymed import nn, tensor
        >>> nn.Sigmoid()(tensor([0.0])).tolist()
        [0.5]

    As `torch.nn.Sigmoid`.
    """

    function = "sigmoid"


class LogSigmoid(Elementwise):
    """Compute log(1 / (1 + e^-x)), without overflow.

    Shape:
        Input of any shape; output the same shape.

    Example:
        >>> from tinymed import nn, tensor
        >>> y = nn.LogSigmoid()(tensor([0.0]))
        >>> [round(v, 3) for v in y.tolist()]
        [-0.693]

    As `torch.nn.LogSigmoid`.
    """

    function = "logsigmoid"


class Tanh(Elementwise):
    """Compute the hyperbolic tangent, (e^x - e^-x) / (e^x + e^-x).

    Shape:
        Input of any shape; output the same shape.

    Example:
        >>> from tinymed import nn, tensor
        >>> y = nn.Tanh()(tensor([0.0, 1.0]))
        >>> [round(v, 3) for v in y.tolist()]
        [0.0, 0.762]

    As `torch.nn.Tanh`.
    """

    function = "tanh"


class Hardtanh(Elementwise):
    """Clip x to [min_val, max_val].

    Args:
        min_val: the lower limit.  Default: -1.
        max_val: the upper limit.  Default: 1.
        inplace: whether the result is written over the input.  Default: False.

    Shape:
        Input of any shape; output the same shape.

    Raises:
        TypeError: an argument that it does not take.

    Example:
        >>> from tinymed import nn, tensor
        >>> nn.Hardtanh()(tensor([-3.0, 0.5, 2.0])).tolist()
        [-1.0, 0.5, 1.0]

    As `torch.nn.Hardtanh`.
    """

    function, defaults = "hardtanh", {"min_val": -1.0, "max_val": 1.0, **IN_PLACE}


class Hardsigmoid(Elementwise):
    """Compute x / 6 + 1/2, clipped to [0, 1].

    Args:
        inplace: whether the result is written over the input.  Default: False.

    Shape:
        Input of any shape; output the same shape.

    Raises:
        TypeError: an argument that it does not take.

    Example:
        >>> from tinymed import nn, tensor
        >>> nn.Hardsigmoid()(tensor([-4.0, 0.0, 4.0])).tolist()
        [0.0, 0.5, 1.0]

    Reference:
        Howard et al., "Searching for MobileNetV3", 2019.

    As `torch.nn.Hardsigmoid`.
    """

    function, defaults = "hardsigmoid", IN_PLACE


class Softsign(Elementwise):
    """Compute x / (1 + |x|).

    Shape:
        Input of any shape; output the same shape.

    Example:
        >>> from tinymed import nn, tensor
        >>> nn.Softsign()(tensor([-1.0, 0.0, 3.0])).tolist()
        [-0.5, 0.0, 0.75]

    As `torch.nn.Softsign`.
    """

    function = "softsign"


class Softtanh(Elementwise):
    """Compute a smooth Hardtanh: (softplus(beta (x + 1)) - softplus(beta (x - 1))) / beta - 1.

    Args:
        beta: the sharpness at -1 and 1.  Default: 1.

    Shape:
        Input of any shape; output the same shape.

    Raises:
        TypeError: an argument that it does not take.

    Example:
        >>> from tinymed import nn, tensor
        >>> y = nn.Softtanh()(tensor([0.0, 1.0]))
        >>> [round(v, 3) for v in y.tolist()]
        [0.0, 0.434]
    """

    function, defaults = "softtanh", {"beta": 1.0}


class Softmax(Elementwise):
    """Compute e^x over its sum along an axis: numbers from 0 to 1 that sum to 1.

    Args:
        dim: the axis.  Default: None: axis 0 of an input with 0, 1 or 3 axes, else axis 1, PyTorch's older rule.

    Shape:
        Input of any shape; output the same shape.

    Raises:
        TypeError: an argument that it does not take.
        IndexError: when called, for a dim that the input does not have.

    Example:
        >>> from tinymed import nn, tensor
        >>> nn.Softmax(0)(tensor([0.0, 0.0])).tolist()
        [0.5, 0.5]

    As `torch.nn.Softmax`, which warns where dim is None.
    """

    function, defaults = "softmax", {"dim": None}

    def forward(self, input: Tensor) -> Any:
        axis = (0 if len(input.shape) in (0, 1, 3) else 1) if self.dim is None else self.dim
        return getattr(F, self.function)(input, axis)


class Softmin(Softmax):
    """Compute softmax(-x) along an axis.

    Args:
        dim: the axis.  Default: None: axis 0 of an input with 0, 1 or 3 axes, else axis 1, PyTorch's older rule.

    Shape:
        Input of any shape; output the same shape.

    Raises:
        TypeError: an argument that it does not take.
        IndexError: when called, for a dim that the input does not have.

    Example:
        >>> from tinymed import nn, tensor
        >>> nn.Softmin(0)(tensor([0.0, 0.0])).tolist()
        [0.5, 0.5]

    As `torch.nn.Softmin`, which warns where dim is None.
    """

    function = "softmin"


class LogSoftmax(Softmax):
    """Compute the logarithm of softmax along an axis, without overflow.

    Args:
        dim: the axis.  Default: None: axis 0 of an input with 0, 1 or 3 axes, else axis 1, PyTorch's older rule.

    Shape:
        Input of any shape; output the same shape.

    Raises:
        TypeError: an argument that it does not take.
        IndexError: when called, for a dim that the input does not have.

    Example:
        >>> from tinymed import nn, tensor
        >>> y = nn.LogSoftmax(0)(tensor([0.0, 0.0]))
        >>> [round(v, 3) for v in y.tolist()]
        [-0.693, -0.693]

    As `torch.nn.LogSoftmax`, which warns where dim is None.
    """

    function = "log_softmax"


class Softmax2d(Module):
    """Compute the softmax over the channels of every pixel.

    Shape:
        Input (N, C, H, W) or (C, H, W); output the same shape.

    Raises:
        ValueError: when called, for an input with another number of axes.

    Example:
        >>> from tinymed import nn, zeros
        >>> nn.Softmax2d()(zeros(1, 2, 1, 1)).flatten().tolist()
        [0.5, 0.5]

    As `torch.nn.Softmax2d`.
    """

    def forward(self, input: Tensor) -> Any:
        if len(input.shape) not in (3, 4):
            raise ValueError(f"Softmax2d: takes (N, C, H, W) or (C, H, W), got shape {list(input.shape)}")
        return F.softmax(input, -3)


class Hardshrink(Elementwise):
    """Compute x where |x| > lambd, else 0.

    Args:
        lambd: the limit.  Default: 0.5.

    Shape:
        Input of any shape; output the same shape.

    Raises:
        TypeError: an argument that it does not take.

    Example:
        >>> from tinymed import nn, tensor
        >>> nn.Hardshrink()(tensor([-1.0, 0.25, 2.0])).tolist()
        [-1.0, 0.0, 2.0]

    As `torch.nn.Hardshrink`.
    """

    function, defaults = "hardshrink", {"lambd": 0.5}


class Softshrink(Elementwise):
    """Bring x nearer to 0 by lambd; 0 where |x| <= lambd.

    Args:
        lambd: the distance, not negative.  Default: 0.5.

    Shape:
        Input of any shape; output the same shape.

    Raises:
        TypeError: an argument that it does not take.
        RuntimeError: when called, for a negative lambd.

    Example:
        >>> from tinymed import nn, tensor
        >>> nn.Softshrink()(tensor([-1.0, 0.25, 2.0])).tolist()
        [-0.5, 0.0, 1.5]

    As `torch.nn.Softshrink`.
    """

    function, defaults = "softshrink", {"lambd": 0.5}


class Tanhshrink(Elementwise):
    """Compute x - tanh(x).

    Shape:
        Input of any shape; output the same shape.

    Example:
        >>> from tinymed import nn, tensor
        >>> y = nn.Tanhshrink()(tensor([0.0, 1.0]))
        >>> [round(v, 3) for v in y.tolist()]
        [0.0, 0.238]

    As `torch.nn.Tanhshrink`.
    """

    function = "tanhshrink"


class GLU(Elementwise):
    """Multiply the first half of an axis by the sigmoid of the second half.

    Args:
        dim: the axis.  Default: -1.

    Shape:
        Input (..., 2 n, ...); output (..., n, ...).

    Raises:
        TypeError: an argument that it does not take.
        RuntimeError: when called, for an axis of odd length.

    Example:
        >>> from tinymed import nn, tensor
        >>> nn.GLU()(tensor([4.0, 0.0])).tolist()
        [2.0]

    Reference:
        Dauphin et al., "Language modeling with gated convolutional networks", 2017.

    As `torch.nn.GLU`.
    """

    function, defaults = "glu", {"dim": -1}


class ScaledTanh(Module):
    """Compute amplitude tanh(slope x); with the defaults f(1) = 1 and f(-1) = -1.

    Args:
        amplitude: the limit at infinity.  Default: 1.7159.
        slope: the factor of x.  Default: 2/3.

    Shape:
        Input of any shape; output the same shape.

    Example:
        >>> from tinymed import nn, tensor
        >>> y = nn.ScaledTanh()(tensor([0.0, 1.0]))
        >>> [round(v, 3) for v in y.tolist()]
        [0.0, 1.0]

    Reference:
        LeCun et al., "Gradient-based learning applied to document recognition", 1998, appendix A.
    """

    def __init__(self, amplitude: float = 1.7159, slope: float = 2 / 3):
        super().__init__()
        self.amplitude, self.slope = amplitude, slope

    def forward(self, input: Tensor) -> Any:
        return self.amplitude * F.tanh(self.slope * input)
