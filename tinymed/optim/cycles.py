"""Schedules made of schedules, and schedules that go up and down."""

import math
from bisect import bisect_right
from collections.abc import Callable, Sequence
from typing import Any

from .optimizer import Optimizer
from .schedule import LRScheduler


class Compound(LRScheduler):
    """Hold a schedule made of others, whose states are part of its own."""

    schedulers: list[LRScheduler]

    def state_dict(self) -> dict[str, Any]:
        return super().state_dict() | {"states": [s.state_dict() for s in self.schedulers]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict({n: v for n, v in state.items() if n != "states"})
        for scheduler, own in zip(self.schedulers, state["states"], strict=True):
            scheduler.load_state_dict(own)


class SequentialLR(Compound):
    """Follow several schedules one after the other.

    Args:
        optimizer: the optimizer whose groups get the rates.
        schedulers: schedules of this optimizer.
        milestones: the epochs at which the second, third, ... starts from its epoch 0.
        last_epoch: the epoch to go on after; -1 starts.  Default: -1.

    Raises:
        ValueError: another number of milestones, a schedule of another optimizer or one that needs a metric.

    Example:
        >>> from tinymed import nn, ones, optim
        >>> optimizer = optim.SGD([nn.Parameter(ones(1))], lr=1.0)
        >>> warm = optim.lr_scheduler.ConstantLR(optimizer, 0.5, 2)
        >>> fall = optim.lr_scheduler.ExponentialLR(optimizer, 0.5)
        >>> schedule = optim.lr_scheduler.SequentialLR(optimizer, [warm, fall], [2])
        >>> rates = []
        >>> for epoch in range(4):
        ...     rates.append(round(optimizer.param_groups[0]["lr"], 4))
        ...     schedule.step()
        >>> rates
        [0.5, 0.5, 1.0, 0.5]

    As `torch.optim.lr_scheduler.SequentialLR`.
    """

    def __init__(
        self, optimizer: Optimizer, schedulers: Sequence[LRScheduler], milestones: Sequence[int], last_epoch: int = -1
    ):
        if len(milestones) != len(schedulers) - 1:
            raise ValueError(
                f"SequentialLR: {len(schedulers)} schedules need {len(schedulers) - 1} milestones, got "
                f"{len(milestones)}"
            )
        for s in schedulers:
            if (
                not isinstance(s, LRScheduler)
                or s.needs_metric
                or isinstance(s, ChainedScheduler)
                or s.optimizer is not optimizer
            ):
                raise ValueError(
                    f"SequentialLR: takes schedules of this optimizer that need no metric, got {type(s).__name__}"
                )
        self.optimizer, self.schedulers, self.milestones = optimizer, list(schedulers), list(milestones)
        self.last_epoch = last_epoch + 1
        for group in optimizer.param_groups:
            group["lr"] = group["initial_lr"]
        self.undo()
        first = self.schedulers[bisect_right(self.milestones, 0)]
        first.first_step()
        self.last_lr = first.get_last_lr()

    def undo(self) -> None:
        """Take back the step that each schedule made when it was made."""
        for s in self.schedulers:
            if isinstance(s, SequentialLR):
                s.undo()
            else:
                s.last_epoch -= 1

    def step(self) -> None:
        self.last_epoch += 1
        i = bisect_right(self.milestones, self.last_epoch)
        if i > 0 and self.milestones[i - 1] == self.last_epoch:
            self.schedulers[i].restart()
        else:
            self.schedulers[i].step()
        self.last_lr = self.schedulers[i].get_last_lr()


class ChainedScheduler(Compound):
    """Follow several schedules at once: each step is one of all of them, in order.

    Args:
        schedulers: schedules of one optimizer.
        optimizer: theirs.  Default: None, the first's.

    Raises:
        ValueError: no schedule, one of another optimizer or one that needs a metric.

    Example:
        >>> from tinymed import nn, ones, optim
        >>> optimizer = optim.SGD([nn.Parameter(ones(1))], lr=1.0)
        >>> slow = optim.lr_scheduler.ExponentialLR(optimizer, 0.5)
        >>> steps = optim.lr_scheduler.MultiStepLR(optimizer, [2])
        >>> schedule = optim.lr_scheduler.ChainedScheduler([slow, steps])
        >>> rates = []
        >>> for epoch in range(4):
        ...     rates.append(round(optimizer.param_groups[0]["lr"], 4))
        ...     schedule.step()
        >>> rates
        [1.0, 0.5, 0.025, 0.0125]

    As `torch.optim.lr_scheduler.ChainedScheduler`.
    """

    def __init__(self, schedulers: Sequence[LRScheduler], optimizer: Optimizer | None = None):
        self.schedulers = list(schedulers)
        if not self.schedulers:
            raise ValueError("ChainedScheduler: takes at least one schedule, got none")
        self.optimizer = self.schedulers[0].optimizer if optimizer is None else optimizer
        for s in self.schedulers:
            if not isinstance(s, LRScheduler) or s.needs_metric or s.optimizer is not self.optimizer:
                raise ValueError(
                    f"ChainedScheduler: takes schedules of one optimizer that need no metric, got {type(s).__name__}"
                )
        self.last_lr = self.current()

    def step(self) -> None:
        for s in self.schedulers:
            s.step()
        self.last_lr = self.current()


class CosineAnnealingWarmRestarts(LRScheduler):
    """Set the rate along half a cosine, again and again: eta_min + (lr - eta_min) (1 + cos(pi t / T)) / 2.

    lr is the initial rate and t counts the epochs since the last restart.  `step(epoch)` goes to an epoch, which may be
    a fraction.

    Args:
        optimizer: the optimizer whose groups get the rates.
        T_0: epochs of the first cosine.
        T_mult: factor of T after each restart.  Default: 1.
        eta_min: the least rate.  Default: 0.
        last_epoch: the epoch to go on after; -1 starts.  Default: -1.

    Raises:
        ValueError: T_0 or T_mult is not an integer from 1, or step goes to a negative epoch.

    Example:
        >>> from tinymed import nn, ones, optim
        >>> optimizer = optim.SGD([nn.Parameter(ones(1))], lr=1.0)
        >>> schedule = optim.lr_scheduler.CosineAnnealingWarmRestarts(optimizer, T_0=2)
        >>> rates = []
        >>> for epoch in range(4):
        ...     rates.append(round(optimizer.param_groups[0]["lr"], 4))
        ...     schedule.step()
        >>> rates
        [1.0, 0.5, 1.0, 0.5]

    Reference:
        Loshchilov & Hutter, "SGDR: stochastic gradient descent with warm restarts", 2017, equation 5.

    As `torch.optim.lr_scheduler.CosineAnnealingWarmRestarts`.
    """

    def __init__(self, optimizer: Optimizer, T_0: int, T_mult: int = 1, eta_min: float = 0.0, last_epoch: int = -1):
        if T_0 <= 0 or int(T_0) != T_0 or T_mult < 1 or int(T_mult) != T_mult:
            raise ValueError(f"CosineAnnealingWarmRestarts: T_0 and T_mult are integers from 1, got {T_0} and {T_mult}")
        self.T_0, self.T_i, self.T_mult, self.eta_min = int(T_0), int(T_0), int(T_mult), eta_min
        self.T_cur: float = last_epoch
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        low, height = self.eta_min, (1 + math.cos(math.pi * self.T_cur / self.T_i)) / 2
        return [low + (base - low) * height for base in self.base_lrs]

    def first_lr(self) -> list[float]:
        self.T_cur, self.T_i = 0, self.T_0
        return self.get_lr()

    def step(self, epoch: float | None = None) -> None:
        """Go on to the next epoch, or to any epoch.

        Args:
            epoch: the epoch to go to, which may be a fraction.  Default: None, the next.

        Raises:
            ValueError: a negative epoch.
        """
        if epoch is None:
            epoch = max(self.last_epoch + 1, 0)
            self.T_cur = self.T_cur + 1 if self.last_epoch >= 0 else 0
            if self.T_cur >= self.T_i:
                self.T_cur -= self.T_i
                self.T_i *= self.T_mult
        elif epoch < 0:
            raise ValueError(f"CosineAnnealingWarmRestarts: epoch must not be negative, got {epoch}")
        elif self.T_mult == 1:
            self.T_cur, self.T_i = (epoch % self.T_0 if epoch >= self.T_0 else epoch), self.T_0
        else:
            n = int(math.log(epoch / self.T_0 * (self.T_mult - 1) + 1, self.T_mult)) if epoch >= self.T_0 else 0
            self.T_cur = epoch - self.T_0 * (self.T_mult**n - 1) / (self.T_mult - 1)
            self.T_i = self.T_0 * self.T_mult**n
        self.last_epoch = math.floor(epoch)
        self.set_lr(self.get_lr())


class CyclicLR(LRScheduler):
    """Move the rate from base_lr to max_lr and back, and momentum the other way.

    Args:
        optimizer: the optimizer whose groups get the rates.
        base_lr: the least rate, or one for each group.
        max_lr: the largest rate, or one for each group.
        step_size_up: steps from base_lr to max_lr.  Default: 2000.
        step_size_down: steps back.  Default: None, step_size_up.
        mode: "triangular", "triangular2" (half the height after each cycle) or "exp_range" (gamma^step times the
            height).  Default: "triangular".
        gamma: of "exp_range".  Default: 1.
        scale_fn: a function that takes mode's place.  Default: None.
        scale_mode: whether scale_fn takes the "cycle" or the step ("iterations").  Default: "cycle".
        cycle_momentum: whether momentum, or beta1, moves too.  Default: True.
        base_momentum: at max_lr.  Default: 0.8.
        max_momentum: at base_lr.  Default: 0.9.
        last_epoch: the epoch to go on after; -1 starts.  Default: -1.

    Raises:
        ValueError: an unknown mode, or cycle_momentum for an optimizer without momentum.

    Example:
        >>> from tinymed import nn, ones, optim
        >>> optimizer = optim.SGD([nn.Parameter(ones(1))], lr=1.0, momentum=0.9)
        >>> schedule = optim.lr_scheduler.CyclicLR(optimizer, 0.0, 1.0, step_size_up=2)
        >>> rates = []
        >>> for epoch in range(5):
        ...     rates.append(round(optimizer.param_groups[0]["lr"], 4))
        ...     schedule.step()
        >>> rates
        [0.0, 0.5, 1.0, 0.5, 0.0]

    Reference:
        Smith, "Cyclical learning rates for training neural networks", 2017.

    As `torch.optim.lr_scheduler.CyclicLR`.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        base_lr: float | Sequence[float],
        max_lr: float | Sequence[float],
        step_size_up: int = 2000,
        step_size_down: int | None = None,
        mode: str = "triangular",
        gamma: float = 1.0,
        scale_fn: Callable[[float], float] | None = None,
        scale_mode: str = "cycle",
        cycle_momentum: bool = True,
        base_momentum: float | Sequence[float] = 0.8,
        max_momentum: float | Sequence[float] = 0.9,
        last_epoch: int = -1,
    ):
        if mode not in ("triangular", "triangular2", "exp_range") and scale_fn is None:
            raise ValueError(
                f"CyclicLR: mode is 'triangular', 'triangular2' or 'exp_range' without scale_fn, got {mode!r}"
            )
        self.use_beta1 = "betas" in optimizer.defaults
        if cycle_momentum and not self.use_beta1 and "momentum" not in optimizer.defaults:
            raise ValueError("CyclicLR: the optimizer has neither momentum nor betas; pass cycle_momentum=False")
        groups = len(optimizer.param_groups)
        lows, self.max_lrs = for_groups("base_lr", base_lr, groups), for_groups("max_lr", max_lr, groups)
        down = step_size_up if step_size_down is None else step_size_down
        self.total_size, self.step_ratio = float(step_size_up + down), step_size_up / (step_size_up + down)
        self.mode, self.gamma, self.scale_fn, self.cycle_momentum = mode, gamma, scale_fn, cycle_momentum
        self.scale_mode = scale_mode if scale_fn is not None else "iterations" if mode == "exp_range" else "cycle"
        self.base_momentums = for_groups("base_momentum", base_momentum, groups)
        self.max_momentums = for_groups("max_momentum", max_momentum, groups)
        if last_epoch == -1:
            for group, low in zip(optimizer.param_groups, lows, strict=True):
                group["lr"] = low
        super().__init__(optimizer, last_epoch)
        self.base_lrs = lows

    def scale(self, cycle: float) -> float:
        """Return the height of a cycle, as a share of the first's."""
        at = cycle if self.scale_mode == "cycle" else float(self.last_epoch)
        if self.scale_fn is not None:
            return self.scale_fn(at)
        heights: dict[str, float] = {"triangular": 1.0, "triangular2": 0.5 ** (at - 1), "exp_range": self.gamma**at}
        return heights[self.mode]

    def get_lr(self) -> list[float]:
        cycle = math.floor(1 + self.last_epoch / self.total_size)
        x = 1 + self.last_epoch / self.total_size - cycle
        share = x / self.step_ratio if x <= self.step_ratio else (x - 1) / (self.step_ratio - 1)
        share *= self.scale(cycle)
        if self.cycle_momentum:
            pairs = zip(self.optimizer.param_groups, self.base_momentums, self.max_momentums, strict=True)
            for group, low, high in pairs:
                momentum = high - (high - low) * share
                group.update({"betas": (momentum, group["betas"][1])} if self.use_beta1 else {"momentum": momentum})
        return [low + (high - low) * share for low, high in zip(self.base_lrs, self.max_lrs, strict=True)]

    def first_lr(self) -> list[float]:
        return self.get_lr()


def for_groups(name: str, value: float | Sequence[float], groups: int) -> list[float]:
    """Return one number for each group."""
    numbers = [float(value)] * groups if isinstance(value, int | float) else [float(v) for v in value]
    if len(numbers) != groups:
        raise ValueError(f"{name}: got {len(numbers)} numbers for {groups} groups")
    return numbers


class OneCycleLR(LRScheduler):
    """Raise the rate to max_lr and let it fall far below its start, with momentum the other way.

    Args:
        optimizer: the optimizer whose groups get the rates.
        max_lr: the largest rate, or one for each group.
        total_steps: the steps of the whole cycle.  Default: None, epochs x steps_per_epoch.
        epochs: of the training.  Default: None.
        steps_per_epoch: batches of an epoch.  Default: None.
        pct_start: share of the steps, from 0 to 1, in which the rate rises.  Default: 0.3.
        anneal_strategy: "cos" or "linear".  Default: "cos".
        cycle_momentum: whether momentum, or beta1, moves too.  Default: True.
        base_momentum: at max_lr.  Default: 0.85.
        max_momentum: at the ends.  Default: 0.95.
        div_factor: max_lr / first rate.  Default: 25.
        final_div_factor: first rate / last rate.  Default: 1e4.
        three_phase: whether the rate first falls as it rose, and then to its end.  Default: False.
        last_epoch: the epoch to go on after; -1 starts.  Default: -1.

    Raises:
        ValueError: no total_steps, pct_start outside [0, 1], an unknown anneal_strategy, cycle_momentum for an
            optimizer without momentum, or a step beyond total_steps.

    Example:
        >>> from tinymed import nn, ones, optim
        >>> optimizer = optim.SGD([nn.Parameter(ones(1))], lr=1.0, momentum=0.9)
        >>> options = {"pct_start": 0.6, "anneal_strategy": "linear", "div_factor": 2}
        >>> schedule = optim.lr_scheduler.OneCycleLR(optimizer, 1.0, 5, **options)
        >>> rates = []
        >>> for epoch in range(4):
        ...     rates.append(round(optimizer.param_groups[0]["lr"], 4))
        ...     schedule.step()
        >>> rates
        [0.5, 0.75, 1.0, 0.5]

    Reference:
        Smith & Topin, "Super-convergence: very fast training of neural networks using large learning rates", 2019.

    As `torch.optim.lr_scheduler.OneCycleLR`.
    """

    horizon = "total_steps"

    def __init__(
        self,
        optimizer: Optimizer,
        max_lr: float | Sequence[float],
        total_steps: int | None = None,
        epochs: int | None = None,
        steps_per_epoch: int | None = None,
        pct_start: float = 0.3,
        anneal_strategy: str = "cos",
        cycle_momentum: bool = True,
        base_momentum: float = 0.85,
        max_momentum: float = 0.95,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
        last_epoch: int = -1,
    ):
        if total_steps is None and epochs is not None and steps_per_epoch is not None:
            total_steps = epochs * steps_per_epoch
        if total_steps is None or total_steps <= 0:
            raise ValueError("OneCycleLR: needs a positive total_steps, or epochs and steps_per_epoch")
        if not 0 <= pct_start <= 1 or anneal_strategy not in ("cos", "linear"):
            raise ValueError(
                "OneCycleLR: pct_start lies in [0, 1] and anneal_strategy is 'cos' or 'linear', got "
                f"{pct_start} and {anneal_strategy!r}"
            )
        self.total_steps, self.anneal_strategy, self.cycle_momentum = total_steps, anneal_strategy, cycle_momentum
        up, end = pct_start * total_steps - 1, total_steps - 1
        rise, fall = ("initial_lr", "max_lr"), ("max_lr", "min_lr")
        self.phases: list[Any] = [[up, *rise, "max_momentum", "base_momentum"]]
        if three_phase:
            self.phases += [
                [2 * pct_start * total_steps - 2, *rise[::-1], "base_momentum", "max_momentum"],
                [end, "initial_lr", "min_lr", "max_momentum", "max_momentum"],
            ]
        else:
            self.phases += [[end, *fall, "base_momentum", "max_momentum"]]
        self.use_beta1 = "betas" in optimizer.defaults
        if cycle_momentum and not self.use_beta1 and "momentum" not in optimizer.defaults:
            raise ValueError("OneCycleLR: the optimizer has neither momentum nor betas; pass cycle_momentum=False")
        peaks = [max_lr] * len(optimizer.param_groups) if isinstance(max_lr, int | float) else list(max_lr)
        if last_epoch == -1:
            for group, peak in zip(optimizer.param_groups, peaks, strict=True):
                start = peak / div_factor
                group.update(initial_lr=start, max_lr=peak, min_lr=start / final_div_factor)
                if cycle_momentum:
                    group.update(max_momentum=max_momentum, base_momentum=base_momentum)
        super().__init__(optimizer, last_epoch)

    def between(self, start: float, end: float, share: float) -> float:
        """Return the value between start (share 0) and end (share 1)."""
        if self.anneal_strategy == "cos":
            return end + (start - end) / 2 * (math.cos(math.pi * share) + 1)
        return (end - start) * share + start

    def get_lr(self) -> list[float]:
        if self.last_epoch > self.total_steps:
            raise ValueError(f"OneCycleLR: step {self.last_epoch} is beyond total_steps {self.total_steps}")
        i = next((i for i, p in enumerate(self.phases) if self.last_epoch <= p[0]), len(self.phases) - 1)
        end, lr0, lr1, m0, m1 = self.phases[i]
        start = self.phases[i - 1][0] if i else 0.0
        share = (self.last_epoch - start) / (end - start)
        if self.cycle_momentum:
            for group in self.optimizer.param_groups:
                momentum = self.between(group[m0], group[m1], share)
                group.update({"betas": (momentum, group["betas"][1])} if self.use_beta1 else {"momentum": momentum})
        return [self.between(g[lr0], g[lr1], share) for g in self.optimizer.param_groups]

    def first_lr(self) -> list[float]:
        return self.get_lr()
