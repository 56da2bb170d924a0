"""Stochastic gradient descent."""

from collections.abc import Iterable
from typing import Any

from ..dispatch import Table
from .memory import GroupMemory, ParamGroup, Slot
from .optimizer import Optimizer


class SGD(Optimizer):
    """Step down the gradient, with or without momentum.

    With g = gradient + weight_decay p:

        p -= lr g, or with momentum
        v = momentum v + (1 - dampening) g (the first v is g);   p -= lr v, or lr (g + momentum v) with nesterov

    Args:
        params: tensors that require a gradient, or dicts {"params": tensors, option: value} with a group's own options.
        lr: the learning rate.  Default: 1e-3.
        momentum: weight of the old velocity v.  Default: 0.
        dampening: share of the gradient that does not enter v.  Default: 0.
        weight_decay: times p, added to the gradient.  Default: 0.
        nesterov: whether the step looks ahead along v.  Default: False.
        maximize: whether the step goes up the gradient.  Default: False.
        foreach: PyTorch's choice of an implementation, without effect.
        differentiable: False only: the step has no derivatives.
        fused: PyTorch's choice of an implementation, without effect.

    Raises:
        ValueError: an option outside its range, nesterov without momentum or with dampening, differentiable=True, or
            parameters that are none, not leaves or given twice.

    Example:
        >>> from tinymed import nn, ones, optim
        >>> p = nn.Parameter(ones(1))
        >>> optimizer = optim.SGD([p], lr=0.1)
        >>> (p * p).sum().backward()
        >>> optimizer.step()
        >>> print(f"{p.item():.3f}")
        0.800

    Reference:
        Polyak, "Some methods of speeding up the convergence of iteration methods", 1964; Sutskever et al., "On the
        importance of initialization and momentum in deep learning", 2013.

    As `torch.optim.SGD`.
    """

    layout = ("lr", "momentum", "dampening", "weight_decay")

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        momentum: float = 0.0,
        dampening: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        differentiable: bool = False,
        fused: bool | None = None,
    ):
        super().__init__(
            params,
            {
                "lr": lr,
                "momentum": momentum,
                "dampening": dampening,
                "weight_decay": weight_decay,
                "nesterov": nesterov,
                "maximize": maximize,
            },
            foreach,
            fused,
            differentiable=differentiable,
        )

    def check(self, options: dict[str, Any]) -> None:
        super().check(options)
        if options["nesterov"] and (options["momentum"] <= 0 or options["dampening"] != 0):
            raise ValueError(
                f"SGD: nesterov needs momentum > 0 and dampening 0, got "
                f"momentum {options['momentum']} and dampening {options['dampening']}"
            )

    def update(self, k: Table, group: ParamGroup, memory: GroupMemory, active: list[Slot]) -> None:
        heavy = group["momentum"] != 0
        if heavy:
            memory.require("momentum_buffer")
        rates = {d: k.sgd_rates(memory.steps, group.hyper, memory.like(d)) for d in memory.sizes}
        for slot in active:
            row, g = rates[slot.dtype][slot.index], self.descent(k, group, slot)
            if heavy:
                k.momentum_step(slot.flat, slot.buffers["momentum_buffer"], g, row, bool(group["nesterov"]))
            else:
                k.sgd_step(slot.flat, g, row)
