"""Averages of the weights a training passes through: equal (SWA) or exponential (EMA), and what goes with them."""

import copy
import itertools
import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from ..absent import missing
from ..nn.module import Module
from ..nn.norm import BatchNorm
from ..tape import no_grad
from ..tensor import Tensor, tensor
from .optimizer import Optimizer
from .schedule import LRScheduler

__all__ = [
    "SWALR",
    "AveragedModel",
    "get_ema_avg_fn",
    "get_ema_multi_avg_fn",
    "get_swa_avg_fn",
    "get_swa_multi_avg_fn",
    "update_bn",
]

Average = Callable[[Tensor, Tensor, Any], Tensor]  # the average, a new value, how many came before
Averages = Callable[[Sequence[Tensor], Sequence[Tensor], Any], None]  # the same of lists, written in place


def get_ema_avg_fn(decay: float = 0.999) -> Average:
    """Return the rule of an exponential average: decay * average + (1 - decay) * value.

    Args:
        decay: the weight of the past, from 0 to 1.  Default: 0.999.

    Returns:
        A function of the average, a value and how many values came before.

    Raises:
        ValueError: decay lies outside its range.

    Example:
        >>> from tinymed import ones, zeros
        >>> rule = get_ema_avg_fn(0.5)
        >>> rule(ones(1), zeros(1), 1).tolist()
        [0.5]
    """
    check_decay(decay)

    def average(averaged: Any, value: Any, count: Any) -> Tensor:
        with no_grad():
            mixed: Tensor = decay * averaged + (1 - decay) * value
        return mixed

    return average


def get_swa_avg_fn() -> Average:
    """Return the rule of an equal average: average + (value - average) / (count + 1).

    Returns:
        A function of the average, a value and how many values came before.

    Example:
        >>> from tinymed import ones, zeros
        >>> get_swa_avg_fn()(ones(1), zeros(1), 3).tolist()
        [0.75]
    """

    def average(averaged: Any, value: Any, count: Any) -> Tensor:
        with no_grad():
            mixed: Tensor = averaged + (value - averaged) / (count + 1)
        return mixed

    return average


def get_ema_multi_avg_fn(decay: float = 0.999) -> Averages:
    """Return the rule of an exponential average for lists of tensors, written in place.

    Args:
        decay: the weight of the past, from 0 to 1.  Default: 0.999.

    Returns:
        A function of averages, values and how many values came before.

    Raises:
        ValueError: decay lies outside its range.

    Example:
        >>> from tinymed import ones, zeros
        >>> averages = [ones(1)]
        >>> get_ema_multi_avg_fn(0.5)(averages, [zeros(1)], 1)
        >>> averages[0].tolist()
        [0.5]
    """
    return each(get_ema_avg_fn(decay))


def get_swa_multi_avg_fn() -> Averages:
    """Return the rule of an equal average for lists of tensors, written in place.

    Returns:
        A function of averages, values and how many values came before.

    Example:
        >>> from tinymed import ones, zeros
        >>> averages = [ones(1)]
        >>> get_swa_multi_avg_fn()(averages, [zeros(1)], 1)
        >>> averages[0].tolist()
        [0.5]
    """
    return each(get_swa_avg_fn())


def each(rule: Average) -> Averages:
    """Return a rule for lists that writes each average in place."""

    def average(averages: Sequence[Any], values: Sequence[Any], count: Any) -> None:
        with no_grad():
            for averaged, value in zip(averages, values, strict=True):
                averaged.copy_(rule(averaged, value, count))

    return average


def check_decay(decay: float) -> None:
    """Raise ValueError unless a decay lies in 0 to 1."""
    if not 0 <= decay <= 1:
        raise ValueError(f"decay lies in 0 to 1, got {decay}")


class AveragedModel(Module):
    """Hold a copy of a model whose weights are averages of those the model had.

    The first `update_parameters` copies the weights, each further one averages.

    Args:
        model: the module that is trained; a copy of it computes.
        device: where the copy lives; None for where the model does.
        avg_fn: the rule for a tensor, see get_ema_avg_fn.  Default: None, for an equal average.
        multi_avg_fn: the rule for lists of tensors, see get_ema_multi_avg_fn, in place of avg_fn.  Default: None.
        use_buffers: average buffers too; if not, they are copied.  Default: False.

    Raises:
        ValueError: avg_fn and multi_avg_fn are both given.

    Example:
        >>> from tinymed import nn, no_grad
        >>> model = nn.Linear(1, 1, bias=False)
        >>> averaged = AveragedModel(model)
        >>> for value in (1.0, 3.0):
        ...     with no_grad():
        ...         _ = model.weight.fill_(value)
        ...     averaged.update_parameters(model)
        >>> averaged.module.weight.item()
        2.0

    Reference:
        Izmailov et al., "Averaging weights leads to wider optima and better generalization", 2018.

    As `torch.optim.swa_utils.AveragedModel`.
    """

    n_averaged: Tensor

    def __init__(
        self,
        model: Module,
        device: str | None = None,
        avg_fn: Average | None = None,
        multi_avg_fn: Averages | None = None,
        use_buffers: bool = False,
    ):
        super().__init__()
        if avg_fn is not None and multi_avg_fn is not None:
            raise ValueError("AveragedModel: takes avg_fn or multi_avg_fn, not both")
        self.module = copy.deepcopy(model)
        if device is not None:
            self.module.to(device)
        self.register_buffer("n_averaged", tensor(0, dtype=np.int64, device=device))
        self.avg_fn, self.multi_avg_fn, self.use_buffers = avg_fn, multi_avg_fn, use_buffers

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Compute with the averaged weights."""
        return self.module(*args, **kwargs)

    def update_parameters(self, model: Module) -> None:
        """Take the model's present weights into the average.

        Args:
            model: the module that is trained, of the same structure.

        Raises:
            ValueError: its tensors are not those of the copy.
        """
        pairs = paired(self.module.parameters(), model.parameters())
        buffers = paired(self.module.buffers(), model.buffers())
        with no_grad():
            first = int(self.n_averaged.item()) == 0
            for averaged, value in pairs + buffers if first else [] if self.use_buffers else buffers:
                averaged.copy_(value)
            if not first:
                self.average(pairs + buffers if self.use_buffers else pairs)
            self.n_averaged.add_(1)

    def average(self, pairs: Sequence[tuple[Tensor, Tensor]]) -> None:
        """Write the new averages, tensors of one dtype at a time."""
        rule = self.multi_avg_fn or each(self.avg_fn or get_swa_avg_fn())
        kinds = dict.fromkeys(averaged.dtype for averaged, _ in pairs)
        for kind in kinds:
            chosen = [pair for pair in pairs if pair[0].dtype == kind]
            rule([averaged for averaged, _ in chosen], [value for _, value in chosen], self.n_averaged)


def paired(averages: Iterable[Any], values: Iterable[Any]) -> list[tuple[Tensor, Tensor]]:
    """Return pairs of tensors without gradients, values where the averages are."""
    pairs = []
    for averaged, value in itertools.zip_longest(averages, values):
        if averaged is None or value is None or averaged.shape != value.shape:
            raise ValueError("AveragedModel: the model's tensors are not those of the model it was made of")
        pairs.append((averaged.detach(), value.detach().to(averaged.device)))
    return pairs


def update_bn(loader: Iterable[Any], model: Module, device: str | None = None) -> None:
    """Compute the running statistics of all batch normalisations anew, as plain means over one pass of data.

    Averaged weights have statistics that no training has seen.

    Args:
        loader: batches: tensors, or tuples or lists whose first item is the model's input.
        model: the module, whose mode is left as it was.
        device: where batches are moved first; None for where they are.

    Example:
        >>> from tinymed import nn, ones
        >>> model = nn.BatchNorm1d(1)
        >>> update_bn([ones(4, 1), 3 * ones(4, 1)], model)
        >>> model.running_mean.tolist()
        [2.0]

    As `torch.optim.swa_utils.update_bn`.
    """
    norms = [module for module in model.modules() if isinstance(module, BatchNorm)]
    if not norms:
        return
    momenta, training = [norm.momentum for norm in norms], model.training
    try:
        model.train()
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None  # all batches count alike
        with no_grad():
            for batch in loader:
                images = batch[0] if isinstance(batch, tuple | list) else batch
                model(images if device is None else images.to(device))
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
        model.train(training)


class SWALR(LRScheduler):
    """Go from the present rates to fixed ones, and stay: the schedule while weights are averaged.

    Args:
        optimizer: the optimizer whose groups get the rates.
        swa_lr: the last rate, or one for each group.
        anneal_epochs: the epochs on the way.  Default: 10.
        anneal_strategy: "cos" or "linear".  Default: "cos".
        last_epoch: the epoch to go on after; -1 starts.  Default: -1.

    Raises:
        ValueError: another number of rates than of groups, an unknown strategy, or anneal_epochs is no count.

    Example:
        >>> from tinymed import nn, ones, optim
        >>> optimizer = optim.SGD([nn.Parameter(ones(1))], lr=1.0)
        >>> schedule = SWALR(optimizer, swa_lr=0.2, anneal_epochs=2, anneal_strategy="linear")
        >>> rates = []
        >>> for epoch in range(4):
        ...     rates.append(round(optimizer.param_groups[0]["lr"], 4))
        ...     schedule.step()
        >>> rates
        [1.0, 0.6, 0.2, 0.2]

    As `torch.optim.swa_utils.SWALR`.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        swa_lr: Any,
        anneal_epochs: int = 10,
        anneal_strategy: str = "cos",
        last_epoch: int = -1,
    ):
        groups = optimizer.param_groups
        rates = list(swa_lr) if isinstance(swa_lr, list | tuple) else [swa_lr] * len(groups)
        if len(rates) != len(groups):
            raise ValueError(f"SWALR: got {len(rates)} rates for {len(groups)} groups")
        if anneal_strategy not in ("cos", "linear"):
            raise ValueError(f"SWALR: anneal_strategy is 'cos' or 'linear', got {anneal_strategy!r}")
        if not isinstance(anneal_epochs, int) or anneal_epochs < 0:
            raise ValueError(f"SWALR: anneal_epochs is a count of epochs, got {anneal_epochs!r}")
        for rate, group in zip(rates, groups, strict=True):
            group["swa_lr"] = rate
        self.anneal_epochs, self.anneal_strategy = anneal_epochs, anneal_strategy
        self.started = last_epoch + 1  # the epoch from which the way is counted
        super().__init__(optimizer, last_epoch)

    def way(self, step: int) -> float:
        """Return the share of the way that lies behind after a number of steps."""
        share = max(0.0, min(1.0, step / max(1, self.anneal_epochs)))
        return share if self.anneal_strategy == "linear" else (1 - math.cos(math.pi * share)) / 2

    def get_lr(self) -> list[float]:
        step = self.last_epoch - self.started
        if self.anneal_epochs == 0:
            step = max(1, step)
        before, now = self.way(step - 1), self.way(step)
        rates = []
        for group in self.optimizer.param_groups:
            last = group["swa_lr"]
            start = last if before == 1 else (group["lr"] - before * last) / (1 - before)
            rates.append(last * now + start * (1 - now))
        return rates

    def first_lr(self) -> list[float]:
        return list(self.base_lrs) if self.anneal_epochs else [group["swa_lr"] for group in self.optimizer.param_groups]


def __getattr__(name: str) -> Any:
    raise missing(__name__, name)
