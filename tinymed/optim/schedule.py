"""What all learning rate schedules share: `scheduler.step()` once an epoch (or a step) after `optimizer.step()`.

As in PyTorch a schedule multiplies the rate that is there, so that several on one optimizer compound.  `last_epoch`
counts the calls.  The state is numbers and lists, fit for JSON; functions given to a schedule are not part of it.
"""

from collections.abc import Sequence
from typing import Any, ClassVar

from .optimizer import Optimizer


class LRScheduler:
    """Set the learning rate of every group; a subclass defines `get_lr`, or a `step` of its own.

    Args:
        optimizer: the optimizer whose groups get the rates.
        last_epoch: the epoch to go on after; -1 starts.  Default: -1.

    Raises:
        TypeError: optimizer is not one.
        ValueError: last_epoch goes on with a schedule that the groups know nothing of.

    Example:
        >>> from tinymed import nn, ones, optim
        >>> class Halving(optim.lr_scheduler.LRScheduler):
        ...     def get_lr(self):
        ...         return [base / 2**self.last_epoch for base in self.base_lrs]
        >>> optimizer = optim.SGD([nn.Parameter(ones(1))], lr=1.0)
        >>> schedule = Halving(optimizer)
        >>> schedule.step()
        >>> schedule.get_last_lr()
        [0.5]

    As `torch.optim.lr_scheduler.LRScheduler`; `replan` is tinymed's own.
    """

    initial = False  # inside the first step, which the constructor makes
    horizon: ClassVar[str] = ""  # the attribute that holds the number of steps the whole schedule is planned for
    stays: ClassVar[bool] = False  # whether it goes on after those at its last rate, a run that is lengthened with it

    needs_metric: ClassVar[bool] = False  # whether step takes one
    unsaved: ClassVar[tuple[str, ...]] = ("lr_lambdas", "schedulers", "scale_fn")

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
        """Return the rates that the groups have."""
        return [group["lr"] for group in self.optimizer.param_groups]

    def get_lr(self) -> list[float]:
        """Return the rates of epoch `last_epoch`, computed from those of the epoch before."""
        raise NotImplementedError(f"{type(self).__name__}: a schedule defines get_lr(), the list of the groups' rates")

    def first_lr(self) -> list[float]:
        """Return the rates of epoch 0, from the initial ones: where SequentialLR starts this schedule."""
        return list(self.base_lrs)

    def get_last_lr(self) -> list[float]:
        """Return the rates that the last step set, one for each group."""
        return list(self.last_lr)

    def step(self) -> None:
        """Go on to the next epoch; call it after `optimizer.step()`."""
        self.last_epoch += 1
        self.set_lr(self.get_lr())

    def replan(self, steps: int) -> None:
        """Go from the present rates to the schedule's end within a number of further steps: a run was lengthened.

        Args:
            steps: the further steps.

        Raises:
            ValueError: the schedule cannot: evaluated beyond its plan it would rise again, or stay.
        """
        raise ValueError(
            f"{type(self).__name__}: is planned for {getattr(self, self.horizon)} steps and cannot be changed"
        )

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
        """Return the schedule's numbers and lists, fit for JSON; the optimizer's are not among them."""
        return {n: v for n, v in self.__dict__.items() if n not in ("optimizer", "initial", *self.unsaved)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over what `state_dict` returned.

        Args:
            state: the schedule's numbers by name.

        Raises:
            ValueError: it is the state of another schedule.
        """
        unknown = [n for n in state if n not in self.__dict__]
        if unknown:
            raise ValueError(
                f"{type(self).__name__}: the state of another schedule was given; it has {', '.join(unknown)}"
            )
        self.__dict__.update(state)
