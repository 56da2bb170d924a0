"""Learning rate schedules under PyTorch's names; what they share is in schedule.py, cycles in cycles.py."""

import math
from bisect import bisect_right
from collections.abc import Callable, Sequence
from typing import Any

from ..absent import missing
from .cycles import ChainedScheduler, CosineAnnealingWarmRestarts, CyclicLR, OneCycleLR, SequentialLR
from .optimizer import Optimizer
from .schedule import LRScheduler

__all__ = [
    "ChainedScheduler",
    "ConstantLR",
    "CosineAnnealingLR",
    "CosineAnnealingWarmRestarts",
    "CyclicLR",
    "ExponentialLR",
    "LRScheduler",
    "LambdaLR",
    "LinearLR",
    "MultiStepLR",
    "MultiplicativeLR",
    "OneCycleLR",
    "PolynomialLR",
    "ReduceLROnPlateau",
    "SequentialLR",
    "StepLR",
]


class LambdaLR(LRScheduler):
    """Set the rate to initial lr times a function of the epoch.

    Args:
        optimizer: the optimizer whose groups get the rates.
        lr_lambda: a function of the epoch, or one for each group.
        last_epoch: the epoch to go on after; -1 starts.  Default: -1.

    Raises:
        ValueError: another number of functions than of groups.

    Example:
        >>> from tinymed import nn, ones, optim
        >>> optimizer = optim.SGD([nn.Parameter(ones(1))], lr=1.0)
        >>> schedule = optim.lr_scheduler.LambdaLR(optimizer, lambda epoch: 1 / (1 + epoch))
        >>> rates = []
        >>> for epoch in range(3):
        ...     rates.append(round(optimizer.param_groups[0]["lr"], 4))
        ...     schedule.step()
        >>> rates
        [1.0, 0.5, 0.3333]

    As `torch.optim.lr_scheduler.LambdaLR`.
    """

    def __init__(self, optimizer: Optimizer, lr_lambda: Any, last_epoch: int = -1):
        groups = len(optimizer.param_groups)
        self.lr_lambdas: list[Callable[[int], float]] = [lr_lambda] * groups if callable(lr_lambda) else list(lr_lambda)
        if len(self.lr_lambdas) != groups:
            raise ValueError(f"{type(self).__name__}: got {len(self.lr_lambdas)} functions for {groups} groups")
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        return [base * fn(self.last_epoch) for base, fn in zip(self.base_lrs, self.lr_lambdas, strict=True)]

    def first_lr(self) -> list[float]:
        return self.get_lr()


class MultiplicativeLR(LambdaLR):
    """Multiply the rate by a function of the epoch, every epoch.

    Args:
        optimizer: the optimizer whose groups get the rates.
        lr_lambda: a function of the epoch, or one for each group.
        last_epoch: the epoch to go on after; -1 starts.  Default: -1.

    Raises:
        ValueError: another number of functions than of groups.

    Example:
        >>> from tinymed import nn, ones, optim
        >>> optimizer = optim.SGD([nn.Parameter(ones(1))], lr=1.0)
        >>> schedule = optim.lr_scheduler.MultiplicativeLR(optimizer, lambda epoch: 0.5)
        >>> rates = []
        >>> for epoch in range(3):
        ...     rates.append(round(optimizer.param_groups[0]["lr"], 4))
        ...     schedule.step()
        >>> rates
        [1.0, 0.5, 0.25]

    As `torch.optim.lr_scheduler.MultiplicativeLR`.
    """

    def get_lr(self) -> list[float]:
        if self.initial:
            return self.current()
        return [lr * fn(self.last_epoch) for lr, fn in zip(self.current(), self.lr_lambdas, strict=True)]

    def first_lr(self) -> list[float]:
        return self.get_lr()


class StepLR(LRScheduler):
    """Multiply the rate by gamma every step_size epochs.

    Args:
        optimizer: the optimizer whose groups get the rates.
        step_size: epochs between two steps.
        gamma: the factor.  Default: 0.1.
        last_epoch: the epoch to go on after; -1 starts.  Default: -1.

    Example:
        >>> from tinymed import nn, ones, optim
        >>> optimizer = optim.SGD([nn.Parameter(ones(1))], lr=1.0)
        >>> schedule = optim.lr_scheduler.StepLR(optimizer, 2, gamma=0.5)
        >>> rates = []
        >>> for epoch in range(5):
        ...     rates.append(round(optimizer.param_groups[0]["lr"], 4))
        ...     schedule.step()
        >>> rates
        [1.0, 1.0, 0.5, 0.5, 0.25]

    As `torch.optim.lr_scheduler.StepLR`.
    """

    def __init__(self, optimizer: Optimizer, step_size: int, gamma: float = 0.1, last_epoch: int = -1):
        self.step_size, self.gamma = step_size, gamma
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        if self.last_epoch == 0 or self.last_epoch % self.step_size:
            return self.current()
        return [lr * self.gamma for lr in self.current()]


class MultiStepLR(LRScheduler):
    """Multiply the rate by gamma at each milestone.

    Args:
        optimizer: the optimizer whose groups get the rates.
        milestones: epochs; one that is listed n times counts n times.
        gamma: the factor.  Default: 0.1.
        last_epoch: the epoch to go on after; -1 starts.  Default: -1.

    Example:
        >>> from tinymed import nn, ones, optim
        >>> optimizer = optim.SGD([nn.Parameter(ones(1))], lr=1.0)
        >>> schedule = optim.lr_scheduler.MultiStepLR(optimizer, [1, 3], gamma=0.5)
        >>> rates = []
        >>> for epoch in range(4):
        ...     rates.append(round(optimizer.param_groups[0]["lr"], 4))
        ...     schedule.step()
        >>> rates
        [1.0, 0.5, 0.5, 0.25]

    As `torch.optim.lr_scheduler.MultiStepLR`.
    """

    def __init__(self, optimizer: Optimizer, milestones: Sequence[int], gamma: float = 0.1, last_epoch: int = -1):
        self.milestones, self.gamma = sorted(milestones), gamma
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        times = self.milestones.count(self.last_epoch)
        return [lr * self.gamma**times for lr in self.current()] if times else self.current()

    def first_lr(self) -> list[float]:
        return [base * self.gamma ** bisect_right(self.milestones, 0) for base in self.base_lrs]


class ConstantLR(LRScheduler):
    """Multiply the rate by a factor for the first epochs, then go back.

    Args:
        optimizer: the optimizer whose groups get the rates.
        factor: from 0 to 1.  Default: 1/3.
        total_iters: the epochs with the factor.  Default: 5.
        last_epoch: the epoch to go on after; -1 starts.  Default: -1.

    Raises:
        ValueError: factor lies outside [0, 1].

    Example:
        >>> from tinymed import nn, ones, optim
        >>> optimizer = optim.SGD([nn.Parameter(ones(1))], lr=1.0)
        >>> schedule = optim.lr_scheduler.ConstantLR(optimizer, factor=0.5, total_iters=2)
        >>> rates = []
        >>> for epoch in range(4):
        ...     rates.append(round(optimizer.param_groups[0]["lr"], 4))
        ...     schedule.step()
        >>> rates
        [0.5, 0.5, 1.0, 1.0]

    As `torch.optim.lr_scheduler.ConstantLR`.
    """

    horizon = "total_iters"

    def __init__(self, optimizer: Optimizer, factor: float = 1 / 3, total_iters: int = 5, last_epoch: int = -1):
        if not 0 <= factor <= 1:
            raise ValueError(f"ConstantLR: factor lies in [0, 1], got {factor}")
        self.factor, self.total_iters = factor, total_iters
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        if self.last_epoch == 0:
            return [lr * self.factor for lr in self.current()]
        return (
            [lr * (1 / self.factor) for lr in self.current()] if self.last_epoch == self.total_iters else self.current()
        )

    def first_lr(self) -> list[float]:
        return [base * (self.factor if self.total_iters > 0 else 1) for base in self.base_lrs]


class LinearLR(LRScheduler):
    """Go from start_factor to end_factor of the rate along a line: warm-up.

    Args:
        optimizer: the optimizer whose groups get the rates.
        start_factor: in (0, 1].  Default: 1/3.
        end_factor: in [0, 1].  Default: 1.
        total_iters: the epochs of the line.  Default: 5.
        last_epoch: the epoch to go on after; -1 starts.  Default: -1.

    Raises:
        ValueError: a factor outside its range.

    Example:
        >>> from tinymed import nn, ones, optim
        >>> optimizer = optim.SGD([nn.Parameter(ones(1))], lr=1.0)
        >>> schedule = optim.lr_scheduler.LinearLR(optimizer, start_factor=0.5, total_iters=2)
        >>> rates = []
        >>> for epoch in range(4):
        ...     rates.append(round(optimizer.param_groups[0]["lr"], 4))
        ...     schedule.step()
        >>> rates
        [0.5, 0.75, 1.0, 1.0]

    Reference:
        Goyal et al., "Accurate, large minibatch SGD: training ImageNet in 1 hour", 2017, section 2.2.

    As `torch.optim.lr_scheduler.LinearLR`.
    """

    horizon = "total_iters"

    def __init__(
        self,
        optimizer: Optimizer,
        start_factor: float = 1 / 3,
        end_factor: float = 1.0,
        total_iters: int = 5,
        last_epoch: int = -1,
    ):
        if not 0 < start_factor <= 1 or not 0 <= end_factor <= 1:
            raise ValueError(
                f"LinearLR: start_factor lies in (0, 1] and end_factor in [0, 1], got {start_factor} and {end_factor}"
            )
        self.start_factor, self.end_factor, self.total_iters = start_factor, end_factor, total_iters
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        if self.last_epoch == 0:
            return [lr * self.start_factor for lr in self.current()]
        if self.initial or self.last_epoch > self.total_iters:
            return self.current()
        rise = self.end_factor - self.start_factor
        before = self.total_iters * self.start_factor + (self.last_epoch - 1) * rise
        return [lr * (1 + rise / before) for lr in self.current()]

    def first_lr(self) -> list[float]:
        return [base * self.start_factor for base in self.base_lrs]


class ExponentialLR(LRScheduler):
    """Multiply the rate by gamma every epoch.

    Args:
        optimizer: the optimizer whose groups get the rates.
        gamma: the factor.
        last_epoch: the epoch to go on after; -1 starts.  Default: -1.

    Example:
        >>> from tinymed import nn, ones, optim
        >>> optimizer = optim.SGD([nn.Parameter(ones(1))], lr=1.0)
        >>> schedule = optim.lr_scheduler.ExponentialLR(optimizer, 0.5)
        >>> rates = []
        >>> for epoch in range(3):
        ...     rates.append(round(optimizer.param_groups[0]["lr"], 4))
        ...     schedule.step()
        >>> rates
        [1.0, 0.5, 0.25]

    As `torch.optim.lr_scheduler.ExponentialLR`.
    """

    def __init__(self, optimizer: Optimizer, gamma: float, last_epoch: int = -1):
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        return self.current() if self.initial else [lr * self.gamma for lr in self.current()]


class PolynomialLR(LRScheduler):
    """Set the rate to initial lr (1 - epoch / total_iters)^power, then to 0.

    Args:
        optimizer: the optimizer whose groups get the rates.
        total_iters: the epochs until 0.  Default: 5.
        power: the exponent; 0.9 is common in segmentation.  Default: 1.
        last_epoch: the epoch to go on after; -1 starts.  Default: -1.

    Example:
        >>> from tinymed import nn, ones, optim
        >>> optimizer = optim.SGD([nn.Parameter(ones(1))], lr=1.0)
        >>> schedule = optim.lr_scheduler.PolynomialLR(optimizer, total_iters=4)
        >>> rates = []
        >>> for epoch in range(6):
        ...     rates.append(round(optimizer.param_groups[0]["lr"], 4))
        ...     schedule.step()
        >>> rates
        [1.0, 0.75, 0.5, 0.25, 0.0, 0.0]

    Reference:
        Chen et al., "DeepLab", 2018, section 4.1.2.

    As `torch.optim.lr_scheduler.PolynomialLR`.
    """

    horizon = "total_iters"

    def __init__(self, optimizer: Optimizer, total_iters: int = 5, power: float = 1.0, last_epoch: int = -1):
        self.total_iters, self.power = total_iters, power
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        if self.initial or self.last_epoch > self.total_iters:
            return self.current()
        left, before = (1 - e / self.total_iters for e in (self.last_epoch, self.last_epoch - 1))
        return [lr * (left / before) ** self.power for lr in self.current()]


class CosineAnnealingLR(LRScheduler):
    """Set the rate along half a cosine: eta_min + (initial lr - eta_min) (1 + cos(pi epoch / T_max)) / 2.

    Args:
        optimizer: the optimizer whose groups get the rates.
        T_max: the epochs until eta_min.
        eta_min: the least rate.  Default: 0.
        last_epoch: the epoch to go on after; -1 starts.  Default: -1.

    Example:
        >>> from tinymed import nn, ones, optim
        >>> optimizer = optim.SGD([nn.Parameter(ones(1))], lr=1.0)
        >>> schedule = optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=4)
        >>> rates = []
        >>> for epoch in range(5):
        ...     rates.append(round(optimizer.param_groups[0]["lr"], 4))
        ...     schedule.step()
        >>> rates
        [1.0, 0.8536, 0.5, 0.1464, 0.0]

    Reference:
        Loshchilov & Hutter, "SGDR: stochastic gradient descent with warm restarts", 2017, without the restarts.

    As `torch.optim.lr_scheduler.CosineAnnealingLR` with a `replan` of its own.
    """

    horizon = "T_max"

    def __init__(self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0, last_epoch: int = -1):
        self.T_max, self.eta_min = T_max, eta_min
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        if self.initial:
            return self.current()
        low, period = self.eta_min, self.T_max
        if (self.last_epoch - 1 - period) % (2 * period) == 0:  # the epoch after the lowest
            return [
                lr + (base - low) * (1 - math.cos(math.pi / period)) / 2
                for base, lr in zip(self.base_lrs, self.current(), strict=True)
            ]
        height, before = (1 + math.cos(math.pi * e / period) for e in (self.last_epoch, self.last_epoch - 1))
        return [height / before * (lr - low) + low for lr in self.current()]

    def replan(self, steps: int) -> None:
        """Plan half a cosine from the present rates to eta_min in that many further steps.

        Args:
            steps: the further steps, at least 1.
        """
        self.T_max, self.last_epoch, self.base_lrs = max(steps, 1), 0, self.current()


class ReduceLROnPlateau(LRScheduler):
    """Multiply the rate by a factor when a metric has not improved for some epochs.

    Args:
        optimizer: the optimizer whose groups get the rates.
        mode: whether "min" or "max" is better.  Default: "min".
        factor: below 1.  Default: 0.1.
        patience: epochs without improvement that are tolerated.  Default: 10.
        threshold: how large an improvement counts.  Default: 1e-4.
        threshold_mode: "rel", a share of the best so far, or "abs", in the metric's units.  Default: "rel".
        cooldown: epochs after a change that do not count.  Default: 0.
        min_lr: the least rate, or one for each group.  Default: 0.
        eps: a smaller change of the rate is not made.  Default: 1e-8.

    Raises:
        ValueError: factor is not below 1, an unknown mode, or another number of min_lr than of groups.

    Example:
        >>> from tinymed import nn, ones, optim
        >>> optimizer = optim.SGD([nn.Parameter(ones(1))], lr=1.0)
        >>> schedule = optim.lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.5, patience=1)
        >>> rates = []
        >>> for epoch in range(5):
        ...     rates.append(round(optimizer.param_groups[0]["lr"], 4))
        ...     schedule.step(0.7)
        >>> rates
        [1.0, 1.0, 1.0, 0.5, 0.5]

    As `torch.optim.lr_scheduler.ReduceLROnPlateau`.
    """

    needs_metric = True

    def __init__(
        self,
        optimizer: Optimizer,
        mode: str = "min",
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        threshold_mode: str = "rel",
        cooldown: int = 0,
        min_lr: float | Sequence[float] = 0.0,
        eps: float = 1e-8,
    ):
        if factor >= 1:
            raise ValueError(f"ReduceLROnPlateau: factor is below 1, got {factor}")
        if mode not in ("min", "max") or threshold_mode not in ("rel", "abs"):
            raise ValueError(
                "ReduceLROnPlateau: mode is 'min' or 'max' and threshold_mode 'rel' or 'abs', got "
                f"{mode!r} and {threshold_mode!r}"
            )
        groups = len(optimizer.param_groups)
        self.min_lrs = [min_lr] * groups if isinstance(min_lr, int | float) else list(min_lr)
        if len(self.min_lrs) != groups:
            raise ValueError(f"ReduceLROnPlateau: got {len(self.min_lrs)} min_lr for {groups} groups")
        self.optimizer, self.mode, self.factor, self.patience, self.eps = optimizer, mode, factor, patience, eps
        self.threshold, self.threshold_mode, self.cooldown = threshold, threshold_mode, cooldown
        self.best: float | None = None
        self.cooldown_counter = self.num_bad_epochs = self.last_epoch = 0
        self.last_lr = self.current()

    def better(self, value: float) -> bool:
        """Return whether a metric improves on the best so far by more than the threshold."""
        sign = -1 if self.mode == "min" else 1
        best = -sign * math.inf if self.best is None else self.best
        margin = best * (1 + sign * self.threshold) if self.threshold_mode == "rel" else best + sign * self.threshold
        return value < margin if self.mode == "min" else value > margin

    def step(self, metrics: Any = None) -> None:
        """Go on to the next epoch, and lower the rates if the metric has not improved for more than patience epochs.

        Args:
            metrics: the metric to watch, a number.

        Raises:
            ValueError: none is given.
        """
        if metrics is None:
            raise ValueError("ReduceLROnPlateau: step takes the metric to watch")
        self.last_epoch += 1
        if self.better(float(metrics)):
            self.best, self.num_bad_epochs = float(metrics), 0
        else:
            self.num_bad_epochs += 1
        if self.cooldown_counter > 0:
            self.cooldown_counter -= 1
            self.num_bad_epochs = 0
        if self.num_bad_epochs > self.patience:
            lowered = [max(lr * self.factor, low) for lr, low in zip(self.current(), self.min_lrs, strict=True)]
            self.set_lr(
                [new if old - new > self.eps else old for old, new in zip(self.current(), lowered, strict=True)]
            )
            self.cooldown_counter, self.num_bad_epochs = self.cooldown, 0
        self.last_lr = self.current()


def __getattr__(name: str) -> Any:
    raise missing(__name__, name)
