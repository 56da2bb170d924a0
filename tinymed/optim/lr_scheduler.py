"""Learning rate schedules: `scheduler.step()` once an epoch (or once a step) after `optimizer.step()`.

As in PyTorch a schedule multiplies the rate that is there, so that several on one optimizer compound.  `last_epoch`
counts the calls.  The state is plain numbers and lists, fit for JSON; functions given to LambdaLR are not part of it.
"""

import math
from bisect import bisect_right
from collections.abc import Callable, Sequence
from typing import Any

from .optimizer import Optimizer


class LRScheduler:
    """A schedule that sets the learning rate of every group; a subclass defines `get_lr`, or a `step` of its own."""

    initial = False  # inside the first step, which the constructor makes

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1):
        if not isinstance(optimizer, Optimizer):
            raise TypeError(f"{type(self).__name__}: takes an optimizer, got {type(optimizer).__name__}")
        self.optimizer = optimizer
        for group in optimizer.param_groups:
            if last_epoch == -1:
                group.setdefault("initial_lr", group["lr"])
            elif "initial_lr" not in group:
                raise ValueError(
                    f"{type(self).__name__}: last_epoch={last_epoch} goes on with a schedule, but the "
                    "optimizer's groups have no 'initial_lr'; load its state first"
                )
        self.base_lrs: list[float] = [group["initial_lr"] for group in optimizer.param_groups]
        self.last_epoch = last_epoch
        self.first_step()

    def first_step(self) -> None:
        """Set the rates of epoch 0."""
        self.initial = True
        self.step()
        self.initial = False

    def current(self) -> list[float]:
        """The rates that the groups have."""
        return [group["lr"] for group in self.optimizer.param_groups]

    def get_lr(self) -> list[float]:
        """The rates of epoch `last_epoch`, from those of the epoch before."""
        raise NotImplementedError(f"{type(self).__name__}: a schedule defines get_lr(), the list of the groups' rates")

    def first_lr(self) -> list[float]:
        """The rates of epoch 0, from the initial ones: where SequentialLR starts this schedule."""
        return list(self.base_lrs)

    def get_last_lr(self) -> list[float]:
        """The rates that the last step set."""
        return list(self.last_lr)

    def step(self) -> None:
        """Go on to the next epoch."""
        self.last_epoch += 1
        self.set_lr(self.get_lr())

    def restart(self) -> None:
        """Go to epoch 0."""
        self.last_epoch = 0
        self.set_lr(self.first_lr())

    def set_lr(self, rates: Sequence[float]) -> None:
        """Give every group its rate."""
        for group, rate in zip(self.optimizer.param_groups, rates, strict=True):
            group["lr"] = rate
        self.last_lr = self.current()

    def state_dict(self) -> dict[str, Any]:
        """The schedule's numbers; not the optimizer's."""
        return {n: v for n, v in self.__dict__.items() if n not in ("optimizer", "initial", "lr_lambdas", "schedulers")}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over what `state_dict` returned."""
        unknown = [n for n in state if n not in self.__dict__]
        if unknown:
            raise ValueError(
                f"{type(self).__name__}: the state of another schedule was given; it has {', '.join(unknown)}"
            )
        self.__dict__.update(state)


class LambdaLR(LRScheduler):
    """initial lr x lr_lambda(epoch); one function, or one for each group."""

    def __init__(self, optimizer: Optimizer, lr_lambda: Any, last_epoch: int = -1):
        groups = len(optimizer.param_groups)
        self.lr_lambdas: list[Callable[[int], float]] = [lr_lambda] * groups if callable(lr_lambda) else list(lr_lambda)
        if len(self.lr_lambdas) != groups:
            raise ValueError(f"LambdaLR: got {len(self.lr_lambdas)} functions for {groups} groups")
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[float]:
        return [base * fn(self.last_epoch) for base, fn in zip(self.base_lrs, self.lr_lambdas, strict=True)]

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


class SequentialLR(LRScheduler):
    """Several schedules one after the other; schedule i + 1 starts, from its epoch 0, at milestones[i]."""

    def __init__(self, optimizer: Optimizer, schedulers: Sequence[LRScheduler], milestones: Sequence[int]):
        if len(milestones) != len(schedulers) - 1:
            raise ValueError(
                f"SequentialLR: {len(schedulers)} schedules need {len(schedulers) - 1} milestones, got "
                f"{len(milestones)}"
            )
        for s in schedulers:
            if not isinstance(s, LRScheduler) or isinstance(s, ReduceLROnPlateau) or s.optimizer is not optimizer:
                raise ValueError(
                    f"SequentialLR: takes schedules of this optimizer that need no metric, got {type(s).__name__}"
                )
        self.optimizer, self.schedulers, self.milestones = optimizer, list(schedulers), list(milestones)
        self.last_epoch = 0
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

    def state_dict(self) -> dict[str, Any]:
        return super().state_dict() | {"states": [s.state_dict() for s in self.schedulers]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict({n: v for n, v in state.items() if n != "states"})
        for scheduler, own in zip(self.schedulers, state["states"], strict=True):
            scheduler.load_state_dict(own)


class OneCycleLR(LRScheduler):
    """Up from max_lr / div_factor to max_lr, then down to the start / final_div_factor; momentum the other way.

    Stepped once a batch, total_steps (or epochs x steps_per_epoch) times.  pct_start of the steps go up; three_phase
    comes down symmetrically before the final descent.  Smith & Topin 2019.
    """

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
        """From start (share 0) to end (share 1)."""
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


class ReduceLROnPlateau(LRScheduler):
    """Times factor when `step(metric)` saw no improvement for more than patience epochs.

    mode: "min" or "max" is better; threshold and threshold_mode ("rel", "abs") say by how much.  cooldown epochs
    after a change do not count; no rate falls below min_lr, and a change below eps is not made.
    """

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
