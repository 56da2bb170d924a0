"""Normalisation layers, and the check that evaluation's statistics fit the data."""

import math
import warnings
from collections.abc import Sequence, Set
from typing import Any, ClassVar, Self

import numpy as np

from .. import tape
from ..device import move
from ..tensor import Tensor
from . import functional as F
from . import init
from .module import Module, new_parameter

# Constants of two frameworks, for `BatchNorm2d(channels, **nn.KERAS)`.  `momentum` is the weight of the new batch
# throughout; Keras writes the weight of the old value, 0.99, for the same thing.
TORCH = {"momentum": 0.1, "eps": 1e-5}
KERAS = {"momentum": 0.01, "eps": 1e-3}
RULES = ("corrected", "torch", "keras")

COUNTER = "num_batches_tracked"
MEASURED = 1000  # updates that statistics of a file without a counter are said to have had

CHECK_VALUES = 512  # values per channel, and
CHECK_IMAGES = 16  # samples that a batch must have to be compared with the running statistics


class StatisticsWarning(UserWarning):
    """Batch norm evaluates with running statistics far from those of the data it is given."""


class BatchNorm(Module):
    """Per channel: (x - mean) / sqrt(variance + eps) weight + bias.  Ioffe & Szegedy 2015.

    In training the batch's mean and biased variance are used and the running ones updated; in evaluation the running
    ones are used.  momentum is the weight of the new batch, under every rule (None: the plain mean of all batches, with
    unbiased variances):

        statistics="corrected" (default)  weight max(momentum, 1/t) at update t, unbiased variance: Torch's rule without
                                          the initial 0 and 1, which dominate a short training
        statistics="torch"                weight momentum, unbiased variance
        statistics="keras"                weight momentum, biased variance

    affine: True, False, "scale" (weight only) or "offset" (bias only).  Constants: nn.TORCH, nn.KERAS, or
    `BatchNorm2d.keras(channels)`.  The first evaluated batch of at least 512 values per channel and 16 samples is
    compared with the running statistics; StatisticsWarning if they are far apart, see `disagreement`.
    """

    axes: ClassVar[tuple[int, ...]]  # how many an input may have
    _makes_tensors = True
    _optional_state = (COUNTER,)  # PyTorch before 0.4.1, Keras and others write no counter

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool | str = True,
        track_running_stats: bool = True,
        statistics: str = "corrected",
        *,
        bias: bool = True,
    ):
        super().__init__()
        name = type(self).__name__
        if statistics not in RULES:
            raise ValueError(f"{name}: statistics is one of {', '.join(RULES)}, got {statistics!r}")
        if momentum is None and statistics == "keras":
            raise ValueError(
                f"{name}: statistics='keras' needs a momentum; None, the mean of all batches, is PyTorch's"
            )
        if affine not in (True, False, "scale", "offset"):
            raise ValueError(f"{name}: affine is True, False, 'scale' or 'offset', got {affine!r}")
        self.num_features, self.eps, self.momentum, self.affine = num_features, eps, momentum, affine
        self.track_running_stats, self.statistics = track_running_stats, statistics
        self.unchecked = True  # since the last change of mode, no large batch was evaluated
        self.frozen = False  # set by Module.freeze: running statistics are used, and stay, in training too
        self.weight = new_parameter(num_features) if affine in (True, "scale") else None
        self.bias = new_parameter(num_features) if affine in (True, "offset") and bias else None
        tracked = track_running_stats
        self.register_buffer("running_mean", Tensor(np.zeros(num_features, np.float32)) if tracked else None)
        self.register_buffer("running_var", Tensor(np.ones(num_features, np.float32)) if tracked else None)
        self.register_buffer("num_batches_tracked", Tensor(np.zeros((), np.int64)) if tracked else None)
        self.reset_parameters()

    @classmethod
    def keras(
        cls,
        num_features: int,
        momentum: float = 0.99,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        statistics: str = "keras",
    ) -> Self:
        """A layer by Keras's names, where momentum is the weight of the old value, and rule."""
        affine: bool | str = center if center == scale else "offset" if center else "scale"
        return cls(num_features, epsilon, 1 - momentum, affine, statistics=statistics)

    def reset_running_stats(self) -> None:
        """Forget what was seen: mean 0, variance 1, no updates."""
        if self.running_mean is not None:
            init.zeros_(self.running_mean)
            init.ones_(self.running_var)
            init.zeros_(self.num_batches_tracked)

    def _loaded(self, names: Set[str]) -> None:
        """Count foreign statistics as measured: without a counter the next batch would take their place.

        The counter of a file that has none, or 0, becomes so large that a batch weighs `momentum` and no more.
        """
        if "running_mean" not in names or int(self.num_batches_tracked.array) > 0 and COUNTER in names:
            return
        if np.any(move(self.running_mean.array, "cpu") != 0) or np.any(move(self.running_var.array, "cpu") != 1):
            least = max(MEASURED, math.ceil(1 / self.momentum) if self.momentum else 0)
            init.constant_(self.num_batches_tracked, max(least, int(self.num_batches_tracked.array)))

    def reset_parameters(self) -> None:
        """Weight 1, bias 0, and no statistics."""
        self.reset_running_stats()
        if self.weight is not None:
            init.ones_(self.weight)
        if self.bias is not None:
            init.zeros_(self.bias)

    def forward(self, input: Tensor) -> Any:
        if len(input.shape) not in self.axes:
            raise ValueError(
                f"{type(self).__name__}: takes an input of {' or '.join(map(str, self.axes))} axes, "
                f"got shape {list(input.shape)}"
            )
        training = self.training and not (self.frozen and self.running_mean is not None)
        if training and input.array.size == 0 and self.num_batches_tracked is not None:
            self.num_batches_tracked.add_(1)  # an empty batch has no statistics, and counts
        if self.training:
            self.unchecked = True
        elif self.unchecked and self.running_mean is not None:
            self.check(input)
        rule = "corrected" if self.momentum is None else self.statistics
        momentum = 0.0 if self.momentum is None else self.momentum
        momentum = 1 - momentum if rule == "keras" else momentum  # the function takes Keras's own number
        return F.batch_norm(
            input,
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            training,
            momentum,
            self.eps,
            statistics=rule,
            count=self.num_batches_tracked,
        )

    def check(self, input: Tensor) -> None:
        """Compare a large enough batch with the running statistics, once after each change to evaluation."""
        values = input.array.size // max(self.num_features, 1)
        if values < CHECK_VALUES or input.shape[0] < CHECK_IMAGES:
            return
        self.unchecked = False
        far = self.disagreement(input)
        if far > 1:
            layer = tape.thread.scope[-1] if tape.thread.scope else type(self).__name__
            rule = "" if self.statistics == "corrected" else " use statistics='corrected',"
            warnings.warn(
                f"{layer}: the running statistics are far from those of the batch evaluated (disagreement {far:.1f}, "
                f"1 is allowed, after {int(self.num_batches_tracked.array)} updates with momentum {self.momentum}, "
                f"rule {self.statistics!r}): train longer,{rule} or look for another preprocessing",
                StatisticsWarning,
                stacklevel=2,
            )

    def disagreement(self, input: Tensor) -> float:
        """How far the running statistics are from a batch's: the median over channels of the larger of

            |running mean - mean| / sqrt(variance + eps)  and  |log2((running variance + eps) / (variance + eps))| / 2.

        1 means that the median channel is off by a standard deviation, or its standard deviation by a factor of 2.
        """
        x = move(input.array[:256], "cpu").astype(np.float64)
        axes = (0, *range(2, x.ndim))
        mean, variance = x.mean(axes), x.var(axes) + self.eps
        running_mean, running = (move(t.array, "cpu") for t in (self.running_mean, self.running_var))
        running = running + self.eps
        shift = np.abs(running_mean - mean) / np.sqrt(variance)
        scale = np.abs(np.log2(np.maximum(running, 1e-30) / variance)) / 2
        return float(np.median(np.maximum(shift, scale)))

    def extra_repr(self) -> str:
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}, "
            f"track_running_stats={self.track_running_stats}, statistics={self.statistics!r}"
        )


class BatchNorm1d(BatchNorm):
    """Batch norm of (N, C) or (N, C, L)."""

    axes = (2, 3)


class BatchNorm2d(BatchNorm):
    """Batch norm of (N, C, H, W)."""

    axes = (4,)


class BatchNorm3d(BatchNorm):
    """Batch norm of (N, C, D, H, W)."""

    axes = (5,)


class LayerNorm(Module):
    """Each sample normalised over its last axes, of shape normalized_shape.  Ba, Kiros & Hinton 2016."""

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
    """Each sample divided by the root of its mean square over the last axes, of shape normalized_shape.

    Zhang & Sennrich 2019.
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
        """Weight 1."""
        if self.weight is not None:
            init.ones_(self.weight)

    def forward(self, input: Tensor) -> Any:
        return F.rms_norm(input, self.normalized_shape, self.weight, self.eps)

    def extra_repr(self) -> str:
        return f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}"


class GroupNorm(Module):
    """Each sample normalised over num_groups equal runs of its channels.  Wu & He 2018."""

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
    """x / (k + alpha mean(x^2))^beta, the mean over `size` neighbouring channels.  Krizhevsky et al. 2012, section 3.3.

    The paper's alpha multiplies the sum: its n = 5, alpha = 1e-4 is size=5, alpha=5e-4, beta=0.75, k=2 here.
    """

    def __init__(self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0):
        super().__init__()
        self.size, self.alpha, self.beta, self.k = size, alpha, beta, k

    def forward(self, input: Tensor) -> Any:
        return F.local_response_norm(input, self.size, self.alpha, self.beta, self.k)

    def extra_repr(self) -> str:
        return f"{self.size}, alpha={self.alpha}, beta={self.beta}, k={self.k}"


class InstanceNorm(Module):
    """Each channel of each sample normalised by itself; no affine map and no running statistics by default.

    Ulyanov, Vedaldi & Lempitsky 2016.
    """

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
    """Instance norm of (N, C, L) or (C, L)."""

    axes = 3


class InstanceNorm2d(InstanceNorm):
    """Instance norm of (N, C, H, W) or (C, H, W)."""

    axes = 4


class InstanceNorm3d(InstanceNorm):
    """Instance norm of (N, C, D, H, W) or (C, D, H, W)."""

    axes = 5


def reset_affine(module: Any) -> None:
    """Weight 1, bias 0."""
    if module.weight is not None:
        init.ones_(module.weight)
    if module.bias is not None:
        init.zeros_(module.bias)
