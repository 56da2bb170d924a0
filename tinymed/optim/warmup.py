"""A cosine whose rate first rises: the steps in which moments and batch statistics settle are small ones."""

import math
from typing import Any, ClassVar

from .optimizer import Optimizer
from .schedule import LRScheduler


class WarmupCosineLR(LRScheduler):
    """Raise the rate along a line to the initial lr, then lower it along half a cosine to `lowest` lr.

    Step e of the first W has the rate lr (e + 1) / (W + 1), and step e of the T in all, from W on, the rate
    lr (l + (1 - l) (1 + cos(pi (e - W) / (T - W))) / 2), l = lowest, which is also the rate of all later steps.

    Args:
        optimizer: the optimizer whose groups get the rates.
        total_steps: the steps of the whole schedule, T.
        warmup_steps: the steps in which the rate rises, W, fewer than all.
        last_epoch: the step to go on after; -1 starts.  Default: -1.
        lowest: the last rate, as a share of the initial one, from 0 to 1.  Default: 0.

    Raises:
        ValueError: warmup_steps is negative, or leaves no step for the cosine; lowest is not from 0 to 1.

    Example:
        >>> from tinymed import nn, ones, optim
        >>> optimizer = optim.SGD([nn.Parameter(ones(1))], lr=1.0)
        >>> schedule = WarmupCosineLR(optimizer, total_steps=5, warmup_steps=1)
        >>> rates = []
        >>> for step in range(6):
        ...     rates.append(round(optimizer.param_groups[0]["lr"], 4))
        ...     schedule.step()
        >>> rates
        [0.5, 1.0, 0.8536, 0.5, 0.1464, 0.0]

    Reference:
        Goyal et al., "Accurate, large minibatch SGD", 2017, section 2.2, for the rise; Loshchilov & Hutter 2017.

    As PyTorch's SequentialLR of a LinearLR and a CosineAnnealingLR, with a `replan` of its own.
    """

    horizon = "total_steps"
    stays: ClassVar[bool] = True

    def __init__(
        self, optimizer: Optimizer, total_steps: int, warmup_steps: int, last_epoch: int = -1, lowest: float = 0.0
    ):
        if not 0 <= warmup_steps < total_steps:
            raise ValueError(
                f"WarmupCosineLR: warmup_steps is from 0 to below total_steps ({total_steps}), got {warmup_steps}"
            )
        if not 0 <= lowest <= 1:
            raise ValueError(f"WarmupCosineLR: lowest is a share from 0 to 1, got {lowest}")
        self.total_steps, self.warmup_steps, self.lowest = total_steps, warmup_steps, lowest
        super().__init__(optimizer, last_epoch)

    def factor(self, step: int) -> float:
        """Return what the initial rates are multiplied by at a step."""
        if step < self.warmup_steps:
            return (step + 1) / (self.warmup_steps + 1)
        done = (step - self.warmup_steps) / (self.total_steps - self.warmup_steps)
        return self.lowest + (1 - self.lowest) * (1 + math.cos(math.pi * min(done, 1.0))) / 2

    def get_lr(self) -> list[float]:
        """Return the rates of the present step."""
        return [base * self.factor(self.last_epoch) for base in self.base_lrs]

    def first_lr(self) -> list[float]:
        """Return the rates of step 0."""
        return [base * self.factor(0) for base in self.base_lrs]

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over what `state_dict` returned; one that names no lowest rate was made when it was 0.

        Args:
            state: the schedule's numbers by name.
        """
        super().load_state_dict({"lowest": 0.0} | state)

    def replan(self, steps: int) -> None:
        """Plan the rest over that many further steps: down from the present rates, or first to the top if it rises.

        Args:
            steps: the further steps, at least 1.
        """
        if self.last_epoch < self.warmup_steps:
            self.total_steps = max(self.last_epoch + steps, self.warmup_steps + 1)
            return
        self.base_lrs, self.last_epoch = self.current(), 0
        self.total_steps, self.warmup_steps = max(steps, 1), 0
