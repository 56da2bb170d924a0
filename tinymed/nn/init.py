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

from .. import device, random
from ..absent import missing
from ..ops.quantile import normal_quantile
from ..tensor import Tensor
from . import module


@contextmanager
def no_weights() -> Iterator[None]:
    """Modules made inside have parameters with a shape and no memory: to count a large network, not to run it."""
    before, module.weightless = module.weightless, True
    try:
        yield
    finally:
        module.weightless = before


def write(tensor: Tensor, values: Any) -> Tensor:
    """Put values into the tensor's memory and count the write; skipped where parameters have no memory."""
    if device.writeable(tensor.array):
        tensor.array[...] = device.move(np.asarray(values), tensor.device)
        tensor.version.value += 1
    return tensor


def draw(tensor: Tensor, distribution: Any) -> Any:
    """Numbers of a distribution of tinymed.random in the tensor's shape; 0 where parameters have no memory."""
    if not device.writeable(tensor.array):
        return 0.0
    return distribution(tensor.array.size, *random.init_generator.ticket()).reshape(tensor.shape)


def uniform_(tensor: Tensor, a: float = 0.0, b: float = 1.0) -> Tensor:
    """Uniform in (a, b)."""
    return write(tensor, a + (b - a) * draw(tensor, random.uniform))


def normal_(tensor: Tensor, mean: float = 0.0, std: float = 1.0) -> Tensor:
    """Normal."""
    return write(tensor, mean + std * draw(tensor, random.normal))


def trunc_normal_(tensor: Tensor, mean: float = 0.0, std: float = 1.0, a: float = -2.0, b: float = 2.0) -> Tensor:
    """Normal, given that it lies in [a, b]: the inverse distribution function of a uniform number."""
    if not (std > 0 and a < b):
        raise ValueError(f"trunc_normal_: needs std > 0 and a < b, got std={std}, a={a}, b={b}")
    low, high = (0.5 * math.erfc(-(x - mean) / (std * math.sqrt(2))) for x in (a, b))
    if high - low < 1e-12:
        raise ValueError(f"trunc_normal_: [{a}, {b}] lies too far from mean {mean} at std {std} to be drawn from")
    values = mean + std * normal_quantile(low + (high - low) * draw(tensor, random.uniform))
    return write(tensor, np.clip(values, a, b))


def constant_(tensor: Tensor, val: float) -> Tensor:
    """Every element the same."""
    return write(tensor, val)


def zeros_(tensor: Tensor) -> Tensor:
    """0 everywhere."""
    return write(tensor, 0.0)


def ones_(tensor: Tensor) -> Tensor:
    """1 everywhere."""
    return write(tensor, 1.0)


def calculate_fans(tensor: Tensor) -> tuple[int, int]:
    """(fan_in, fan_out) of a weight with at least two axes."""
    if len(tensor.shape) < 2:
        raise ValueError(f"init: fan in and fan out need a weight of two axes or more, got shape {list(tensor.shape)}")
    space = math.prod(tensor.shape[2:])
    return tensor.shape[1] * space, tensor.shape[0] * space


def fan(tensor: Tensor, mode: str) -> int:
    """The fan that `mode` names."""
    if mode not in ("fan_in", "fan_out"):
        raise ValueError(f"init: mode is 'fan_in' or 'fan_out', got {mode!r}")
    return calculate_fans(tensor)[mode == "fan_out"]


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """The factor by which a weight's scale makes up for a nonlinearity; values are PyTorch's.

    linear, conv*, sigmoid 1; tanh 5/3; relu sqrt(2); leaky_relu sqrt(2 / (1 + param^2)), param .01; selu 3/4.
    """
    if nonlinearity == "leaky_relu":
        return math.sqrt(2 / (1 + (0.01 if param is None else float(param)) ** 2))
    gains = {"linear": 1.0, "sigmoid": 1.0, "tanh": 5 / 3, "relu": math.sqrt(2), "selu": 0.75}
    kind = "linear" if nonlinearity.startswith("conv") else nonlinearity
    if kind not in gains:
        raise ValueError(f"calculate_gain: takes leaky_relu, conv*, {', '.join(gains)}; got {nonlinearity!r}")
    return gains[kind]


def kaiming_uniform_(tensor: Tensor, a: float = 0.0, mode: str = "fan_in", nonlinearity: str = "leaky_relu") -> Tensor:
    """Uniform in +-gain sqrt(3 / fan).  He et al. 2015, section 2.2."""
    bound = calculate_gain(nonlinearity, a) * math.sqrt(3 / max(fan(tensor, mode), 1))
    return uniform_(tensor, -bound, bound)


def kaiming_normal_(tensor: Tensor, a: float = 0.0, mode: str = "fan_in", nonlinearity: str = "leaky_relu") -> Tensor:
    """Normal with std gain / sqrt(fan).  He et al. 2015, section 2.2."""
    return normal_(tensor, 0.0, calculate_gain(nonlinearity, a) / math.sqrt(max(fan(tensor, mode), 1)))


def xavier_uniform_(tensor: Tensor, gain: float = 1.0) -> Tensor:
    """Uniform in +-gain sqrt(6 / (fan_in + fan_out)).  Glorot & Bengio 2010, equation 16."""
    bound = gain * math.sqrt(6 / max(sum(calculate_fans(tensor)), 1))
    return uniform_(tensor, -bound, bound)


def xavier_normal_(tensor: Tensor, gain: float = 1.0) -> Tensor:
    """Normal with std gain sqrt(2 / (fan_in + fan_out)).  Glorot & Bengio 2010."""
    return normal_(tensor, 0.0, gain * math.sqrt(2 / max(sum(calculate_fans(tensor)), 1)))


def lecun_normal_(tensor: Tensor) -> Tensor:
    """Normal with std 1 / sqrt(fan_in): what SELU asks for.  LeCun et al. 1998, "Efficient BackProp", section 4.6."""
    return normal_(tensor, 0.0, 1 / math.sqrt(max(calculate_fans(tensor)[0], 1)))


def lecun_uniform_(tensor: Tensor) -> Tensor:
    """Uniform in +-sqrt(3 / fan_in)."""
    bound = math.sqrt(3 / max(calculate_fans(tensor)[0], 1))
    return uniform_(tensor, -bound, bound)


def orthogonal_(tensor: Tensor, gain: float = 1.0) -> Tensor:
    """gain times rows (or columns, if there are fewer) that are orthonormal, of the weight as (O, rest).

    The Q of a normal matrix's QR decomposition, its signs fixed so that Q is uniform.  Saxe et al. 2014.
    """
    if len(tensor.shape) < 2:
        raise ValueError(f"orthogonal_: needs a weight of two axes or more, got shape {list(tensor.shape)}")
    if not device.writeable(tensor.array) or tensor.array.size == 0:
        return tensor
    a = draw(tensor, random.normal).reshape(tensor.shape[0], -1)
    wide = a.shape[0] < a.shape[1]
    q, r = np.linalg.qr(a.T if wide else a)
    q = q * np.where(np.diag(r) < 0, -1.0, 1.0)
    return write(tensor, gain * (q.T if wide else q).reshape(tensor.shape))


def bilinear_(tensor: Tensor) -> Tensor:
    """Weights of a transposed convolution that interpolates bilinearly, each channel by itself.

    A side of k elements has the values 1 - |i - c| / f with f = ceil(k / 2) and its centre c = (k - 1) / 2, a
    filter their product over its axes.  Long, Shelhamer & Darrell 2015, section 3.3.
    """
    if len(tensor.shape) < 3:
        raise ValueError(
            f"bilinear_: needs a weight of three axes or more, (in, out, *space), got shape {list(tensor.shape)}"
        )
    kernel = np.ones(())
    for k in tensor.shape[2:]:
        factor = (k + 1) // 2
        kernel = np.multiply.outer(kernel, 1 - np.abs(np.arange(k) - (k - 1) / 2) / factor)
    values = np.zeros(tensor.shape)
    if tensor.shape[1] == 1:  # depthwise: groups = in
        values[:, 0] = kernel
    else:
        for c in range(min(tensor.shape[:2])):
            values[c, c] = kernel
    return write(tensor, values)


he_uniform_, he_normal_ = kaiming_uniform_, kaiming_normal_
glorot_uniform_, glorot_normal_ = xavier_uniform_, xavier_normal_


def eye_(tensor: Tensor) -> Tensor:
    """The identity matrix, cut or filled with zeros to the shape."""
    if len(tensor.shape) != 2:
        raise ValueError(f"eye_: takes a matrix, got shape {list(tensor.shape)}")
    return write(tensor, np.eye(*tensor.shape))


def dirac_(tensor: Tensor, groups: int = 1) -> Tensor:
    """A convolution's weight that passes on as many input channels of each group as it has outputs for."""
    if len(tensor.shape) not in (3, 4, 5) or tensor.shape[0] % groups:
        raise ValueError(
            f"dirac_: takes a weight of 3 to 5 axes, its first divisible by groups, got {list(tensor.shape)}"
        )
    values, each = np.zeros(tensor.shape), tensor.shape[0] // groups
    middle = tuple(n // 2 for n in tensor.shape[2:])
    for g in range(groups):
        for d in range(min(each, tensor.shape[1])):
            values[(g * each + d, d, *middle)] = 1
    return write(tensor, values)


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
