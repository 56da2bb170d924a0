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
    """initial lr x lr_lambda(epoch); one function, or one for each group."""

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
    """Times lr_lambda(epoch) every epoch; one function, or one for each group."""

    def get_lr(self) -> list[float]:
        if self.initial:
            return self.current()
        return [lr * fn(self.last_epoch) for lr, fn in zip(self.current(), self.lr_lambdas, strict=True)]

    def first_lr(self) -> list[float]:
        return self.get_lr()


class StepLR(LRScheduler):
    """Times gamma every step_size epochs."""

    def __init__(self, optimizer: Optimizer, step_size: int, gamma: float = 0.1, last_epoch: int = -1):
        self.step_size, self.gamma = step_size, gamma
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        if self.last_epoch == 0 or self.last_epoch % self.step_size:
            return self.current()
        return [lr * self.gamma for lr in self.current()]


class MultiStepLR(LRScheduler):
    """Times gamma at each milestone; a milestone listed n times counts n times."""

    def __init__(self, optimizer: Optimizer, milestones: Sequence[int], gamma: float = 0.1, last_epoch: int = -1):
        self.milestones, self.gamma = sorted(milestones), gamma
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        times = self.milestones.count(self.last_epoch)
        return [lr * self.gamma**times for lr in self.current()] if times else self.current()

    def first_lr(self) -> list[float]:
        return [base * self.gamma ** bisect_right(self.milestones, 0) for base in self.base_lrs]


class ConstantLR(LRScheduler):
    """Times factor for the first total_iters epochs, then back."""

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
    """From start_factor to end_factor of the rate along a line of total_iters epochs: warm-up."""

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
    """Times gamma every epoch."""

    def __init__(self, optimizer: Optimizer, gamma: float, last_epoch: int = -1):
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        return self.current() if self.initial else [lr * self.gamma for lr in self.current()]


class PolynomialLR(LRScheduler):
    """initial lr (1 - epoch / total_iters)^power, then 0.  power .9 is common in segmentation (DeepLab)."""

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
    """eta_min + (initial lr - eta_min) (1 + cos(pi epoch / T_max)) / 2.  Loshchilov & Hutter 2017, without restarts."""

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
        """Half a cosine from the present rates to eta_min in that many further steps."""
        self.T_max, self.last_epoch, self.base_lrs = max(steps, 1), 0, self.current()


class ReduceLROnPlateau(LRScheduler):
    """Times factor when `step(metric)` saw no improvement for more than patience epochs.

    mode: "min" or "max" is better; threshold and threshold_mode ("rel", "abs") say by how much.  cooldown epochs
    after a change do not count; no rate falls below min_lr, and a change below eps is not made.
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
        """Whether a metric improves on the best so far by more than the threshold."""
        sign = -1 if self.mode == "min" else 1
        best = -sign * math.inf if self.best is None else self.best
        margin = best * (1 + sign * self.threshold) if self.threshold_mode == "rel" else best + sign * self.threshold
        return value < margin if self.mode == "min" else value > margin

    def step(self, metrics: Any = None) -> None:
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
