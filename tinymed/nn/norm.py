"""Normalisation layers, and the check that evaluation's statistics fit the data."""

import math
import warnings
from collections.abc import Set
from typing import Any, ClassVar, Self

import numpy as np

from .. import dispatch, tape
from ..devices import move
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
    """Warn that batch norm evaluates with running statistics far from those of the data it is given.

    Example:
        >>> from tinymed import nn
        >>> issubclass(nn.StatisticsWarning, UserWarning)
        True
    """


class BatchNorm(Module):
    """Normalise each channel, by the statistics of the batch or running ones.

    In training the batch's mean and biased variance are used and the running ones updated; in evaluation the running
    ones are used.  The first evaluated batch of at least 512 values per channel and 16 samples is compared with the
    running statistics, but not by a captured step; StatisticsWarning if they are far apart, see `disagreement`.
    Constants of two frameworks: nn.TORCH, nn.KERAS, or `BatchNorm2d.keras(channels)`.
    """

    axes: ClassVar[tuple[int, ...]]  # how many an input may have
    _makes_tensors = True
    _unwatched = frozenset(("unchecked",))
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
        self.unchecked = True  # since it was last in training mode, no large batch was evaluated
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
        """Make a layer by Keras's names, where momentum is the weight of the old value, and by Keras's rule.

        Args:
            num_features: C, the number of channels.
            momentum: weight of the old running statistics.  Default: 0.99.
            epsilon: added to the variance.  Default: 1e-3.
            center: whether a bias is learned.  Default: True.
            scale: whether a weight is learned.  Default: True.
            statistics: the rule of the running statistics.  Default: "keras".

        Returns:
            The layer.

        Raises:
            ValueError: as the constructor does.

        Example:
            >>> from tinymed import nn
            >>> nn.BatchNorm2d.keras(8, scale=False).affine
            'offset'
        """
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
        if "running_mean" not in names or (int(self.num_batches_tracked.array) > 0 and COUNTER in names):
            return
        if np.any(move(self.running_mean.array, "cpu") != 0) or np.any(move(self.running_var.array, "cpu") != 1):
            least = max(MEASURED, math.ceil(1 / self.momentum) if self.momentum else 0)
            init.constant_(self.num_batches_tracked, max(least, int(self.num_batches_tracked.array)))

    def reset_parameters(self) -> None:
        """Set weight 1, bias 0, and no statistics."""
        self.reset_running_stats()
        if self.weight is not None:
            init.ones_(self.weight)
        if self.bias is not None:
            init.zeros_(self.bias)

    def train(self, mode: bool = True) -> Self:
        """Set training mode, see `Module.train`; the next large batch evaluated is compared with the statistics."""
        self.unchecked |= mode is True
        return super().train(mode)

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
        elif self.unchecked and self.running_mean is not None and dispatch.table().skipped is None:
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
        """Return how far the running statistics are from a batch's.

        It is the median over channels of the larger of

            |running mean - mean| / sqrt(variance + eps)  and  |log2((running variance + eps) / (variance + eps))| / 2.

        1 means that the median channel is off by a standard deviation, or its standard deviation by a factor of 2.

        Args:
            input: (N, C, *space); the first 256 samples count.

        Returns:
            A number from 0, without unit.

        Example:
            >>> from tinymed import nn, zeros
            >>> nn.BatchNorm2d(3).disagreement(zeros(4, 3, 2, 2)) > 1
            True
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
    """Normalise each channel of vectors or sequences, in training by the batch's statistics, else by running ones.

    y = (x - mean) / sqrt(variance + eps) weight + bias, with the biased variance.  The running statistics follow a
    rule:

        statistics="corrected"  weight max(momentum, 1/t) at update t, unbiased variance: Torch's rule without
                                the initial 0 and 1, which dominate a short training
        statistics="torch"      weight momentum, unbiased variance
        statistics="keras"      weight momentum, biased variance

    Args:
        num_features: C, the number of channels.
        eps: added to the variance.  Default: 1e-5.
        momentum: weight of the new batch in the running statistics, under every rule; None: the mean of all batches.
            Default: 0.1.
        affine: whether weight and bias are learned; "scale": the weight only, "offset": the bias only.  Default: True.
        track_running_stats: whether running statistics are kept; without them evaluation, too, uses the batch's.
            Default: True.
        statistics: the rule of the running statistics.  Default: "corrected".
        bias: whether an affine layer has a bias.  Default: True.

    Shape:
        Input (N, C) or (N, C, L); output the same shape; weight, bias, running_mean and running_var (C,).

    Raises:
        ValueError: an unknown rule or affine, momentum=None under Keras's rule, or, when called, an input with another
            number of axes or channels.

    Example:
        >>> from tinymed import nn, randn
        >>> layer = nn.BatchNorm1d(3)
        >>> layer(randn(8, 3, 5)).shape
        (8, 3, 5)
        >>> layer.num_batches_tracked.item()
        1

    Reference:
        Ioffe & Szegedy, "Batch normalization: accelerating deep network training by reducing internal covariate shift",
        2015.

    As `torch.nn.BatchNorm1d`, whose rule is statistics="torch"; StatisticsWarning is tinymed's own.
    """

    axes = (2, 3)


class BatchNorm2d(BatchNorm):
    """Normalise each channel of images, in training by the batch's statistics, else by running ones.

    y = (x - mean) / sqrt(variance + eps) weight + bias, with the biased variance.  The running statistics follow a
    rule:

        statistics="corrected"  weight max(momentum, 1/t) at update t, unbiased variance: Torch's rule without
                                the initial 0 and 1, which dominate a short training
        statistics="torch"      weight momentum, unbiased variance
        statistics="keras"      weight momentum, biased variance

    Args:
        num_features: C, the number of channels.
        eps: added to the variance.  Default: 1e-5.
        momentum: weight of the new batch in the running statistics, under every rule; None: the mean of all batches.
            Default: 0.1.
        affine: whether weight and bias are learned; "scale": the weight only, "offset": the bias only.  Default: True.
        track_running_stats: whether running statistics are kept; without them evaluation, too, uses the batch's.
            Default: True.
        statistics: the rule of the running statistics.  Default: "corrected".
        bias: whether an affine layer has a bias.  Default: True.

    Shape:
        Input (N, C, H, W); output the same shape; weight, bias, running_mean and running_var (C,).

    Raises:
        ValueError: an unknown rule or affine, momentum=None under Keras's rule, or, when called, an input with another
            number of axes or channels.

    Example:
        >>> from tinymed import nn, randn
        >>> layer = nn.BatchNorm2d(3)
        >>> layer(randn(8, 3, 5, 5)).shape
        (8, 3, 5, 5)
        >>> layer.num_batches_tracked.item()
        1

    Reference:
        Ioffe & Szegedy, "Batch normalization: accelerating deep network training by reducing internal covariate shift",
        2015.

    As `torch.nn.BatchNorm2d`, whose rule is statistics="torch"; StatisticsWarning is tinymed's own.
    """

    axes = (4,)


class BatchNorm3d(BatchNorm):
    """Normalise each channel of volumes, in training by the batch's statistics, else by running ones.

    y = (x - mean) / sqrt(variance + eps) weight + bias, with the biased variance.  The running statistics follow a
    rule:

        statistics="corrected"  weight max(momentum, 1/t) at update t, unbiased variance: Torch's rule without
                                the initial 0 and 1, which dominate a short training
        statistics="torch"      weight momentum, unbiased variance
        statistics="keras"      weight momentum, biased variance

    Args:
        num_features: C, the number of channels.
        eps: added to the variance.  Default: 1e-5.
        momentum: weight of the new batch in the running statistics, under every rule; None: the mean of all batches.
            Default: 0.1.
        affine: whether weight and bias are learned; "scale": the weight only, "offset": the bias only.  Default: True.
        track_running_stats: whether running statistics are kept; without them evaluation, too, uses the batch's.
            Default: True.
        statistics: the rule of the running statistics.  Default: "corrected".
        bias: whether an affine layer has a bias.  Default: True.

    Shape:
        Input (N, C, D, H, W); output the same shape; weight, bias, running_mean and running_var (C,).

    Raises:
        ValueError: an unknown rule or affine, momentum=None under Keras's rule, or, when called, an input with another
            number of axes or channels.

    Example:
        >>> from tinymed import nn, randn
        >>> layer = nn.BatchNorm3d(3)
        >>> layer(randn(4, 3, 5, 5, 5)).shape
        (4, 3, 5, 5, 5)
        >>> layer.num_batches_tracked.item()
        1

    Reference:
        Ioffe & Szegedy, "Batch normalization: accelerating deep network training by reducing internal covariate shift",
        2015.

    As `torch.nn.BatchNorm3d`, whose rule is statistics="torch"; StatisticsWarning is tinymed's own.
    """

    axes = (5,)
