"""Stochastic gradient descent."""

from collections.abc import Iterable
from typing import Any

from ..dispatch import Table
from .memory import GroupMemory, ParamGroup, Slot
from .optimizer import Optimizer


class SGD(Optimizer):
    """g = gradient + weight_decay p;  p -= lr g, or with momentum

        v = momentum v + (1 - dampening) g   (the first v is g);   p -= lr v, or lr (g + momentum v) with nesterov.

    maximize: up the gradient.  Polyak 1964; Nesterov's form as in Sutskever et al. 2013, "On the importance of
    initialization and momentum".
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
