"""Initial values of parameters, written in place.  Numbers come from `tinymed.manual_seed`'s generator.

Positions count in the order of the parameter's shape, not of its memory, so a seed gives the same weights whatever the
layout.  A weight of shape (O, I, *space) has fan_in = I prod(space) and fan_out = O prod(space).
"""

import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from .. import random
from ..absent import missing
from ..ops.filling import fill_normal, fill_uniform
from ..ops.quantile import normal_quantile
from ..tensor import Tensor
from . import module
from .init_patterns import bilinear_, dirac_, draw, drawn_in_place, eye_, orthogonal_, write


@contextmanager
def no_weights() -> Iterator[None]:
    """Give modules made inside parameters with a shape and no memory: to count a large network, not to run it.

    Example:
        >>> from tinymed import nn
        >>> with nn.init.no_weights():
        ...     layer = nn.Linear(100_000, 100_000, bias=False)
        >>> layer.weight.numel()
        10000000000
    """
    before, module.weightless = module.weightless, True
    try:
        yield
    finally:
        module.weightless = before


def uniform_(tensor: Tensor, a: float = 0.0, b: float = 1.0) -> Tensor:
    """Draw every element uniformly from (a, b).

    Args:
        tensor: what is written, in place.
        a: the lower end.  Default: 0.
        b: the upper end.  Default: 1.

    Returns:
        The tensor.

    Example:
        >>> from tinymed import nn, zeros
        >>> w = nn.init.uniform_(zeros(100, 50), -2.0, 2.0)
        >>> w.min().item() > -2, w.max().item() < 2
        (True, True)

    As `torch.nn.init.uniform_`; the random numbers are tinymed's own.
    """
    if tensor.array.dtype != np.float32:
        return write(tensor, a + (b - a) * draw(tensor, random.uniform))
    return drawn_in_place(tensor, fill_uniform, a, b)


def normal_(tensor: Tensor, mean: float = 0.0, std: float = 1.0) -> Tensor:
    """Draw every element from a normal distribution.

    Args:
        tensor: what is written, in place.
        mean: its mean.  Default: 0.
        std: its standard deviation.  Default: 1.

    Returns:
        The tensor.

    Example:
        >>> from tinymed import nn, zeros
        >>> w = nn.init.normal_(zeros(100, 50), 5.0)
        >>> 4.9 < w.mean().item() < 5.1
        True

    As `torch.nn.init.normal_`; the random numbers are tinymed's own.
    """
    if tensor.array.dtype != np.float32:
        return write(tensor, mean + std * draw(tensor, random.normal))
    return drawn_in_place(tensor, fill_normal, mean, std)


def trunc_normal_(tensor: Tensor, mean: float = 0.0, std: float = 1.0, a: float = -2.0, b: float = 2.0) -> Tensor:
    """Draw every element from a normal distribution, given that it lies in [a, b].

    Args:
        tensor: what is written, in place.
        mean: of the distribution before it is cut.  Default: 0.
        std: of the distribution before it is cut.  Default: 1.
        a: the lower end.  Default: -2.
        b: the upper end.  Default: 2.

    Returns:
        The tensor.

    Raises:
        ValueError: std is not positive, a is not below b, or [a, b] lies too far from mean to be drawn from.

    Example:
        >>> from tinymed import nn, zeros
        >>> w = nn.init.trunc_normal_(zeros(100, 50), a=0.0, b=1.0)
        >>> w.min().item() >= 0, w.max().item() <= 1
        (True, True)

    As `torch.nn.init.trunc_normal_`; the random numbers are tinymed's own.
    """
    if not (std > 0 and a < b):
        raise ValueError(f"trunc_normal_: needs std > 0 and a < b, got std={std}, a={a}, b={b}")
    low, high = (0.5 * math.erfc(-(x - mean) / (std * math.sqrt(2))) for x in (a, b))
    if high - low < 1e-12:
        raise ValueError(f"trunc_normal_: [{a}, {b}] lies too far from mean {mean} at std {std} to be drawn from")
    values = mean + std * normal_quantile(low + (high - low) * draw(tensor, random.uniform))
    return write(tensor, np.clip(values, a, b))


def constant_(tensor: Tensor, val: float) -> Tensor:
    """Set every element to one value.

    Args:
        tensor: what is written, in place.
        val: the value.

    Returns:
        The tensor.

    Example:
        >>> from tinymed import nn, zeros
        >>> w = nn.init.constant_(zeros(2), 3.0)
        >>> w.tolist()
        [3.0, 3.0]

    As `torch.nn.init.constant_`.
    """
    return write(tensor, val)


def zeros_(tensor: Tensor) -> Tensor:
    """Set every element to 0.

    Args:
        tensor: what is written, in place.

    Returns:
        The tensor.

    Example:
        >>> from tinymed import nn, ones
        >>> nn.init.zeros_(ones(2)).tolist()
        [0.0, 0.0]

    As `torch.nn.init.zeros_`.
    """
    return write(tensor, 0.0)


def ones_(tensor: Tensor) -> Tensor:
    """Set every element to 1.

    Args:
        tensor: what is written, in place.

    Returns:
        The tensor.

    Example:
        >>> from tinymed import nn, zeros
        >>> w = nn.init.ones_(zeros(2))
        >>> w.tolist()
        [1.0, 1.0]

    As `torch.nn.init.ones_`.
    """
    return write(tensor, 1.0)


def calculate_fans(tensor: Tensor) -> tuple[int, int]:
    """Return (fan_in, fan_out) of a weight.

    Args:
        tensor: a weight (O, I, *space).

    Returns:
        (I prod(space), O prod(space)): how many inputs an output sums, and how many outputs an input enters.

    Raises:
        ValueError: a tensor of fewer than two axes.

    Example:
        >>> from tinymed import nn, zeros
        >>> nn.init.calculate_fans(zeros(8, 3, 5, 5))
        (75, 200)
    """
    if len(tensor.shape) < 2:
        raise ValueError(f"init: fan in and fan out need a weight of two axes or more, got shape {list(tensor.shape)}")
    space = math.prod(tensor.shape[2:])
    return tensor.shape[1] * space, tensor.shape[0] * space


def fan(tensor: Tensor, mode: str) -> int:
    """Return the fan that `mode` names; raise ValueError for another mode."""
    if mode not in ("fan_in", "fan_out"):
        raise ValueError(f"init: mode is 'fan_in' or 'fan_out', got {mode!r}")
    return calculate_fans(tensor)[mode == "fan_out"]


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """Return the factor by which a weight's scale makes up for a nonlinearity.

    linear, conv*, sigmoid 1; tanh 5/3; relu sqrt(2); leaky_relu sqrt(2 / (1 + param^2)); selu 3/4.

    Args:
        nonlinearity: its name.
        param: the slope of leaky_relu below 0.  Default: None, 0.01.

    Returns:
        The factor.

    Raises:
        ValueError: an unknown nonlinearity.

    Example:
        >>> from tinymed import nn
        >>> nn.init.calculate_gain("sigmoid"), nn.init.calculate_gain("selu")
        (1.0, 0.75)

    As `torch.nn.init.calculate_gain`.
    """
    if nonlinearity == "leaky_relu":
        return math.sqrt(2 / (1 + (0.01 if param is None else float(param)) ** 2))
    gains = {"linear": 1.0, "sigmoid": 1.0, "tanh": 5 / 3, "relu": math.sqrt(2), "selu": 0.75}
    kind = "linear" if nonlinearity.startswith("conv") else nonlinearity
    if kind not in gains:
        raise ValueError(f"calculate_gain: takes leaky_relu, conv*, {', '.join(gains)}; got {nonlinearity!r}")
    return gains[kind]


def kaiming_uniform_(tensor: Tensor, a: float = 0.0, mode: str = "fan_in", nonlinearity: str = "leaky_relu") -> Tensor:
    """Draw every element uniformly from +-gain sqrt(3 / fan).

    Args:
        tensor: what is written, in place, a weight (O, I, *space).
        a: the slope of leaky_relu below 0.  Default: 0.
        mode: "fan_in", which keeps the variance of the forward pass, or "fan_out", of the backward pass.  Default:
            "fan_in".
        nonlinearity: what follows the layer, see `calculate_gain`.  Default: "leaky_relu".

    Returns:
        The tensor.

    Raises:
        ValueError: a tensor of fewer than two axes, which has no fan, or an unknown mode or nonlinearity.

    Example:
        >>> from tinymed import nn, zeros
        >>> w = nn.init.kaiming_uniform_(zeros(100, 50))
        >>> w.abs().max().item() <= (6 / 50) ** 0.5
        True

    Reference:
        He et al., "Delving deep into rectifiers: surpassing human-level performance on ImageNet classification", 2015,
        section 2.2.

    As `torch.nn.init.kaiming_uniform_`; the random numbers are tinymed's own.
    """
    bound = calculate_gain(nonlinearity, a) * math.sqrt(3 / max(fan(tensor, mode), 1))
    return uniform_(tensor, -bound, bound)


def kaiming_normal_(tensor: Tensor, a: float = 0.0, mode: str = "fan_in", nonlinearity: str = "leaky_relu") -> Tensor:
    """Draw every element from a normal distribution with std gain / sqrt(fan).

    Args:
        tensor: what is written, in place, a weight (O, I, *space).
        a: the slope of leaky_relu below 0.  Default: 0.
        mode: "fan_in", which keeps the variance of the forward pass, or "fan_out", of the backward pass.  Default:
            "fan_in".
        nonlinearity: what follows the layer, see `calculate_gain`.  Default: "leaky_relu".

    Returns:
        The tensor.

    Raises:
        ValueError: a tensor of fewer than two axes, which has no fan, or an unknown mode or nonlinearity.

    Example:
        >>> from tinymed import nn, zeros
        >>> w = nn.init.kaiming_normal_(zeros(100, 50))
        >>> 0.19 < w.std().item() < 0.21
        True

    Reference:
        He et al., "Delving deep into rectifiers: surpassing human-level performance on ImageNet classification", 2015,
        section 2.2.

    As `torch.nn.init.kaiming_normal_`; the random numbers are tinymed's own.
    """
    return normal_(tensor, 0.0, calculate_gain(nonlinearity, a) / math.sqrt(max(fan(tensor, mode), 1)))


def xavier_uniform_(tensor: Tensor, gain: float = 1.0) -> Tensor:
    """Draw every element uniformly from +-gain sqrt(6 / (fan_in + fan_out)).

    Args:
        tensor: what is written, in place, a weight (O, I, *space).
        gain: the factor, see `calculate_gain`.  Default: 1.

    Returns:
        The tensor.

    Raises:
        ValueError: a tensor of fewer than two axes, which has no fan.

    Example:
        >>> from tinymed import nn, zeros
        >>> w = nn.init.xavier_uniform_(zeros(100, 50))
        >>> w.abs().max().item() <= 0.2
        True

    Reference:
        Glorot & Bengio, "Understanding the difficulty of training deep feedforward neural networks", 2010, equation 16.

    As `torch.nn.init.xavier_uniform_`; the random numbers are tinymed's own.
    """
    bound = gain * math.sqrt(6 / max(sum(calculate_fans(tensor)), 1))
    return uniform_(tensor, -bound, bound)


def xavier_normal_(tensor: Tensor, gain: float = 1.0) -> Tensor:
    """Draw every element from a normal distribution with std gain sqrt(2 / (fan_in + fan_out)).

    Args:
        tensor: what is written, in place, a weight (O, I, *space).
        gain: the factor, see `calculate_gain`.  Default: 1.

    Returns:
        The tensor.

    Raises:
        ValueError: a tensor of fewer than two axes, which has no fan.

    Example:
        >>> from tinymed import nn, zeros
        >>> w = nn.init.xavier_normal_(zeros(100, 50))
        >>> 0.11 < w.std().item() < 0.12
        True

    Reference:
        Glorot & Bengio, "Understanding the difficulty of training deep feedforward neural networks", 2010.

    As `torch.nn.init.xavier_normal_`; the random numbers are tinymed's own.
    """
    return normal_(tensor, 0.0, gain * math.sqrt(2 / max(sum(calculate_fans(tensor)), 1)))


def lecun_normal_(tensor: Tensor) -> Tensor:
    """Draw every element from a normal distribution with std 1 / sqrt(fan_in), which SELU asks for.

    Args:
        tensor: what is written, in place, a weight (O, I, *space).

    Returns:
        The tensor.

    Raises:
        ValueError: a tensor of fewer than two axes, which has no fan.

    Example:
        >>> from tinymed import nn, zeros
        >>> w = nn.init.lecun_normal_(zeros(100, 50))
        >>> 0.13 < w.std().item() < 0.15
        True

    Reference:
        LeCun et al., "Efficient BackProp", 1998, section 4.6.
    """
    return normal_(tensor, 0.0, 1 / math.sqrt(max(calculate_fans(tensor)[0], 1)))


def lecun_uniform_(tensor: Tensor) -> Tensor:
    """Draw every element uniformly from +-sqrt(3 / fan_in).

    Args:
        tensor: what is written, in place, a weight (O, I, *space).

    Returns:
        The tensor.

    Raises:
        ValueError: a tensor of fewer than two axes, which has no fan.

    Example:
        >>> from tinymed import nn, zeros
        >>> w = nn.init.lecun_uniform_(zeros(100, 50))
        >>> w.abs().max().item() <= (3 / 50) ** 0.5
        True

    Reference:
        LeCun et al., "Efficient BackProp", 1998, section 4.6.
    """
    bound = math.sqrt(3 / max(calculate_fans(tensor)[0], 1))
    return uniform_(tensor, -bound, bound)


he_uniform_, he_normal_ = kaiming_uniform_, kaiming_normal_
glorot_uniform_, glorot_normal_ = xavier_uniform_, xavier_normal_


__all__ = [
    "bilinear_",
    "calculate_fans",
    "calculate_gain",
    "constant_",
    "dirac_",
    "eye_",
    "glorot_normal_",
    "glorot_uniform_",
    "he_normal_",
    "he_uniform_",
    "kaiming_normal_",
    "kaiming_uniform_",
    "lecun_normal_",
    "lecun_uniform_",
    "no_weights",
    "normal_",
    "ones_",
    "orthogonal_",
    "trunc_normal_",
    "uniform_",
    "xavier_normal_",
    "xavier_uniform_",
    "zeros_",
]

# PyTorch's names from before they ended in _
OLDER = (
    *("uniform", "normal", "constant", "eye", "dirac"),
    *("xavier_uniform", "xavier_normal", "kaiming_uniform", "kaiming_normal", "orthogonal"),
)


def __getattr__(name: str) -> Any:
    if name not in OLDER:
        raise missing(__name__, name)

    def older(*args: Any, **kwargs: Any) -> Tensor:
        warnings.warn(f"nn.init.{name} is deprecated, as in PyTorch: use nn.init.{name}_", FutureWarning, stacklevel=2)
        written: Tensor = globals()[f"{name}_"](*args, **kwargs)
        return written

    return older
