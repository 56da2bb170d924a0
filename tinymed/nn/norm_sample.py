"""Normalisation of each sample by itself: layer, RMS, group, instance and local response norm."""

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from ..tensor import Tensor
from . import functional as F
from . import init
from .module import Module, new_parameter


class LayerNorm(Module):
    """Normalise each sample over its last axes: (x - mean) / sqrt(variance + eps) weight + bias.

    Args:
        normalized_shape: the last sides, which the statistics are taken over; an integer for one axis.
        eps: added to the variance.  Default: 1e-5.
        elementwise_affine: whether weight and bias are learned.  Default: True.
        bias: whether an affine layer has a bias.  Default: True.

    Shape:
        Input (..., *normalized_shape); output the same shape; weight and bias normalized_shape.

    Raises:
        ValueError: when called, for an input that does not end in normalized_shape.

    Example:
        >>> from tinymed import nn, ones
        >>> nn.LayerNorm(4)(ones(2, 4)).tolist()
        [[0.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 0.0]]

    Reference:
        Ba, Kiros & Hinton, "Layer normalization", 2016.

    As `torch.nn.LayerNorm`.
    """

    _makes_tensors = True

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
    ):
        super().__init__()
        self.normalized_shape = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
        self.eps, self.elementwise_affine = eps, elementwise_affine
        self.weight = new_parameter(*self.normalized_shape) if elementwise_affine else None
        self.bias = new_parameter(*self.normalized_shape) if elementwise_affine and bias else None
        reset_affine(self)

    def forward(self, input: Tensor) -> Any:
        return F.layer_norm(input, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}"


class RMSNorm(Module):
    """Divide each sample by the root of its mean square over the last axes: x / sqrt(mean(x^2) + eps) weight.

    Args:
        normalized_shape: the last sides, which the mean is taken over; an integer for one axis.
        eps: added to the mean square.  Default: None, the distance of 1 from the next larger number of its dtype.
        elementwise_affine: whether a weight is learned.  Default: True.

    Shape:
        Input (..., *normalized_shape); output the same shape; weight normalized_shape.

    Raises:
        RuntimeError: when called, for an input that does not end in normalized_shape.

    Example:
        >>> from tinymed import nn, zeros
        >>> nn.RMSNorm(4)(zeros(2, 4)).shape
        (2, 4)

    Reference:
        Zhang & Sennrich, "Root mean square layer normalization", 2019.

    As `torch.nn.RMSNorm`.
    """

    _makes_tensors = True

    def __init__(
        self, normalized_shape: int | Sequence[int], eps: float | None = None, elementwise_affine: bool = True
    ):
        super().__init__()
        self.normalized_shape = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
        self.eps, self.elementwise_affine = eps, elementwise_affine
        self.weight = new_parameter(*self.normalized_shape) if elementwise_affine else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Set the weight to 1."""
        if self.weight is not None:
            init.ones_(self.weight)

    def forward(self, input: Tensor) -> Any:
        return F.rms_norm(input, self.normalized_shape, self.weight, self.eps)

    def extra_repr(self) -> str:
        return f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}"


class GroupNorm(Module):
    """Normalise each sample over equal groups of neighbouring channels, whatever the size of the batch.

    Args:
        num_groups: the number of groups; 1 is layer norm over (C, *space), num_channels instance norm.
        num_channels: C, the number of channels.
        eps: added to the variance.  Default: 1e-5.
        affine: whether a weight and a bias for each channel are learned.  Default: True.
        bias: whether an affine layer has a bias.  Default: True.

    Shape:
        Input (N, C, *space); output the same shape; weight and bias (C,).

    Raises:
        ValueError: num_groups does not divide num_channels, or, when called, an input with other channels.

    Example:
        >>> from tinymed import nn, ones
        >>> nn.GroupNorm(2, 4)(ones(1, 4, 3, 3)).abs().max().item()
        0.0

    Reference:
        Wu & He, "Group normalization", 2018.

    As `torch.nn.GroupNorm`.
    """

    _makes_tensors = True

    def __init__(
        self, num_groups: int, num_channels: int, eps: float = 1e-5, affine: bool = True, *, bias: bool = True
    ):
        super().__init__()
        if num_groups < 1 or num_channels % num_groups:
            raise ValueError(f"GroupNorm: {num_channels} channels cannot be cut into {num_groups} equal groups")
        self.num_groups, self.num_channels, self.eps, self.affine = num_groups, num_channels, eps, affine
        self.weight = new_parameter(num_channels) if affine else None
        self.bias = new_parameter(num_channels) if affine and bias else None
        reset_affine(self)

    def forward(self, input: Tensor) -> Any:
        return F.group_norm(input, self.num_groups, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return f"{self.num_groups}, {self.num_channels}, eps={self.eps}, affine={self.affine}"


class LocalResponseNorm(Module):
    """Divide by a power of the mean square of neighbouring channels: x / (k + alpha mean(x^2))^beta.

    Args:
        size: the number of channels that the mean is taken over, zeros beyond the ends.
        alpha: the factor of the mean.  Default: 1e-4.
        beta: the exponent.  Default: 0.75.
        k: what the divisor starts from.  Default: 1.

    Shape:
        Input (N, C, *space); output the same shape.

    Raises:
        ValueError: when called, for a size below 1.

    Example:
        >>> from tinymed import nn, tensor
        >>> nn.LocalResponseNorm(1, alpha=3.0, beta=1.0)(tensor([[[2.0]], [[1.0]]])).flatten().tolist()[1]
        0.25

    Reference:
        Krizhevsky, Sutskever & Hinton, "ImageNet classification with deep convolutional neural networks", 2012, section
        3.3.  Its alpha multiplies the sum: n = 5, alpha = 1e-4 there is size=5, alpha=5e-4, beta=0.75, k=2 here.

    As `torch.nn.LocalResponseNorm`.
    """

    def __init__(self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0):
        super().__init__()
        self.size, self.alpha, self.beta, self.k = size, alpha, beta, k

    def forward(self, input: Tensor) -> Any:
        return F.local_response_norm(input, self.size, self.alpha, self.beta, self.k)

    def extra_repr(self) -> str:
        return f"{self.size}, alpha={self.alpha}, beta={self.beta}, k={self.k}"


class InstanceNorm(Module):
    """Normalise each channel of each sample by itself; no affine map and no running statistics by default."""

    axes: ClassVar[int]
    _makes_tensors = True

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float = 0.1,
        affine: bool = False,
        track_running_stats: bool = False,
        *,
        bias: bool = True,
    ):
        super().__init__()
        self.num_features, self.eps, self.momentum, self.affine = num_features, eps, momentum, affine
        self.track_running_stats, tracked = track_running_stats, track_running_stats
        self.weight = new_parameter(num_features) if affine else None
        self.bias = new_parameter(num_features) if affine and bias else None
        self.register_buffer("running_mean", Tensor(np.zeros(num_features, np.float32)) if tracked else None)
        self.register_buffer("running_var", Tensor(np.ones(num_features, np.float32)) if tracked else None)
        self.register_buffer("num_batches_tracked", Tensor(np.zeros((), np.int64)) if tracked else None)
        reset_affine(self)

    def forward(self, input: Tensor) -> Any:
        if len(input.shape) == self.axes - 1:
            return self.forward(input[None])[0]
        if len(input.shape) != self.axes:
            raise ValueError(
                f"{type(self).__name__}: takes an input of {self.axes - 1} or {self.axes} axes, got shape "
                f"{list(input.shape)}"
            )
        own = self.training or self.running_mean is None
        return F.instance_norm(
            input, self.running_mean, self.running_var, self.weight, self.bias, own, self.momentum, self.eps
        )

    def extra_repr(self) -> str:
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}, "
            f"track_running_stats={self.track_running_stats}"
        )


class InstanceNorm1d(InstanceNorm):
    """Normalise each channel of each sample of sequences over its own space.

    Args:
        num_features: C, the number of channels.
        eps: added to the variance.  Default: 1e-5.
        momentum: weight of the new batch in the running statistics.  Default: 0.1.
        affine: whether a weight and a bias for each channel are learned.  Default: False.
        track_running_stats: whether running statistics are kept and used in evaluation.  Default: False.
        bias: whether an affine layer has a bias.  Default: True.

    Shape:
        Input (N, C, L) or (C, L); output the same shape.

    Raises:
        ValueError: when called, for an input with another number of axes.

    Example:
        >>> from tinymed import nn, ones
        >>> nn.InstanceNorm1d(2)(ones(1, 2, 4)).abs().max().item()
        0.0

    Reference:
        Ulyanov, Vedaldi & Lempitsky, "Instance normalization: the missing ingredient for fast stylization", 2016.

    As `torch.nn.InstanceNorm1d`.
    """

    axes = 3


class InstanceNorm2d(InstanceNorm):
    """Normalise each channel of each sample of images over its own space.

    Args:
        num_features: C, the number of channels.
        eps: added to the variance.  Default: 1e-5.
        momentum: weight of the new batch in the running statistics.  Default: 0.1.
        affine: whether a weight and a bias for each channel are learned.  Default: False.
        track_running_stats: whether running statistics are kept and used in evaluation.  Default: False.
        bias: whether an affine layer has a bias.  Default: True.

    Shape:
        Input (N, C, H, W) or (C, H, W); output the same shape.

    Raises:
        ValueError: when called, for an input with another number of axes.

    Example:
        >>> from tinymed import nn, ones
        >>> nn.InstanceNorm2d(2)(ones(1, 2, 4, 4)).abs().max().item()
        0.0

    Reference:
        Ulyanov, Vedaldi & Lempitsky, "Instance normalization: the missing ingredient for fast stylization", 2016.

    As `torch.nn.InstanceNorm2d`.
    """

    axes = 4


class InstanceNorm3d(InstanceNorm):
    """Normalise each channel of each sample of volumes over its own space.

    Args:
        num_features: C, the number of channels.
        eps: added to the variance.  Default: 1e-5.
        momentum: weight of the new batch in the running statistics.  Default: 0.1.
        affine: whether a weight and a bias for each channel are learned.  Default: False.
        track_running_stats: whether running statistics are kept and used in evaluation.  Default: False.
        bias: whether an affine layer has a bias.  Default: True.

    Shape:
        Input (N, C, D, H, W) or (C, D, H, W); output the same shape.

    Raises:
        ValueError: when called, for an input with another number of axes.

    Example:
        >>> from tinymed import nn, ones
        >>> nn.InstanceNorm3d(2)(ones(1, 2, 4, 4, 4)).abs().max().item()
        0.0

    Reference:
        Ulyanov, Vedaldi & Lempitsky, "Instance normalization: the missing ingredient for fast stylization", 2016.

    As `torch.nn.InstanceNorm3d`.
    """

    axes = 5


def reset_affine(module: Any) -> None:
    """Set weight 1 and bias 0 where the module has them."""
    if module.weight is not None:
        init.ones_(module.weight)
    if module.bias is not None:
        init.zeros_(module.bias)
