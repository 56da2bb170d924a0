"""Initial values that are patterns: orthonormal rows, the identity, bilinear interpolation; and writing any values."""

from collections.abc import Callable
from typing import Any

import numpy as np

from .. import devices, random
from ..tensor import Tensor


def write(tensor: Tensor, values: Any) -> Tensor:
    """Put values into the tensor's memory and count the write; skip parameters without memory."""
    if devices.writeable(tensor.array):
        tensor.array[...] = devices.move(np.asarray(values), tensor.device)
        tensor.version.value += 1
    return tensor


def draw(tensor: Tensor, distribution: Any) -> Any:
    """Draw numbers of a distribution of tinymed.random in the tensor's shape; return 0 where it has no memory."""
    if not devices.writeable(tensor.array):
        return 0.0
    return distribution(tensor.array.size, *random.init_generator.ticket()).reshape(tensor.shape)


def drawn_in_place(tensor: Tensor, fill: Callable[[Any, float, float], None], *parameters: float) -> Tensor:
    """Draw a float32 tensor straight into its memory and count the write; skip parameters without memory."""
    if devices.writeable(tensor.array):
        fill(tensor.array, *parameters)
        tensor.version.value += 1
    return tensor


def orthogonal_(tensor: Tensor, gain: float = 1.0) -> Tensor:
    """Make the rows of a weight (O, rest), or the columns if there are fewer, orthonormal, times gain.

    They are the Q of a normal matrix's QR decomposition, its signs fixed so that Q is uniform.

    Args:
        tensor: what is written, in place, a weight (O, I, *space).
        gain: the factor.  Default: 1.

    Returns:
        The tensor.

    Raises:
        ValueError: a tensor of fewer than two axes.

    Example:
        >>> from tinymed import nn, zeros
        >>> w = nn.init.orthogonal_(zeros(2, 8))
        >>> [[f"{abs(v):.3f}" for v in row] for row in (w @ w.t()).tolist()]
        [['1.000', '0.000'], ['0.000', '1.000']]

    Reference:
        Saxe, McClelland & Ganguli, "Exact solutions to the nonlinear dynamics of learning in deep linear neural
        networks", 2014.

    As `torch.nn.init.orthogonal_`; the random numbers are tinymed's own.
    """
    if len(tensor.shape) < 2:
        raise ValueError(f"orthogonal_: needs a weight of two axes or more, got shape {list(tensor.shape)}")
    if not devices.writeable(tensor.array) or tensor.array.size == 0:
        return tensor
    a = draw(tensor, random.normal).reshape(tensor.shape[0], -1)
    wide = a.shape[0] < a.shape[1]
    q, r = np.linalg.qr(a.T if wide else a)
    q = q * np.where(np.diag(r) < 0, -1.0, 1.0)
    return write(tensor, gain * (q.T if wide else q).reshape(tensor.shape))


def bilinear_(tensor: Tensor) -> Tensor:
    """Write weights of a transposed convolution that interpolates bilinearly, each channel by itself.

    A side of k elements has the values 1 - |i - c| / f with f = ceil(k / 2) and its centre c = (k - 1) / 2, a filter
    their product over its axes.

    Args:
        tensor: what is written, in place, a weight (in, out, *space).

    Returns:
        The tensor.

    Raises:
        ValueError: a tensor of fewer than three axes.

    Example:
        >>> from tinymed import nn, zeros
        >>> nn.init.bilinear_(zeros(1, 1, 4)).tolist()
        [[[0.25, 0.75, 0.75, 0.25]]]

    Reference:
        Long, Shelhamer & Darrell, "Fully convolutional networks for semantic segmentation", 2015, section 3.3.
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


def eye_(tensor: Tensor) -> Tensor:
    """Write the identity matrix, cut or filled with zeros to the shape.

    Args:
        tensor: what is written, in place, a matrix.

    Returns:
        The tensor.

    Raises:
        ValueError: a tensor that has not two axes.

    Example:
        >>> from tinymed import nn, zeros
        >>> nn.init.eye_(zeros(2, 3)).tolist()
        [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]

    As `torch.nn.init.eye_`.
    """
    if len(tensor.shape) != 2:
        raise ValueError(f"eye_: takes a matrix, got shape {list(tensor.shape)}")
    return write(tensor, np.eye(*tensor.shape))


def dirac_(tensor: Tensor, groups: int = 1) -> Tensor:
    """Write a convolution's weight that passes on as many input channels of each group as it has outputs for.

    Args:
        tensor: what is written, in place, a weight (O, I, *space).
        groups: of the convolution.  Default: 1.

    Returns:
        The tensor.

    Raises:
        ValueError: a tensor that has not 3 to 5 axes, or groups that do not divide its first.

    Example:
        >>> from tinymed import nn, zeros
        >>> nn.init.dirac_(zeros(1, 1, 3)).tolist()
        [[[0.0, 1.0, 0.0]]]

    As `torch.nn.init.dirac_`.
    """
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
