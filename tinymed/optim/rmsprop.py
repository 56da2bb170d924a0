"""RMSprop and Adagrad: steps divided by the root of a mean, or of the sum, of squared gradients."""

from collections.abc import Iterable
from typing import Any

from ..dispatch import Table
from .memory import GroupMemory, ParamGroup, Slot
from .optimizer import Optimizer


class RMSprop(Optimizer):
    """s = alpha s + (1 - alpha) g^2;   p -= lr g / (sqrt(s) + eps).

    centered: the square of a running mean of g is subtracted from s (Graves 2013, section 2.1).  momentum: the
    quotients are gathered, v = momentum v + g / (sqrt(s) + eps), and p -= lr v.  Tieleman & Hinton 2012, lecture 6.5.
    """

    layout = ("lr", "alpha", "eps", "weight_decay", "momentum")

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum: float = 0.0,
        centered: bool = False,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
    ):
        super().__init__(
            params,
            {
                "lr": lr,
                "alpha": alpha,
                "eps": eps,
                "weight_decay": weight_decay,
                "momentum": momentum,
                "centered": centered,
                "maximize": maximize,
            },
            foreach,
            capturable=capturable,
            differentiable=differentiable,
        )

    def update(self, k: Table, group: ParamGroup, memory: GroupMemory, active: list[Slot]) -> None:
        centered, heavy = bool(group["centered"]), group["momentum"] > 0
        memory.require("square_avg")
        for name, used in (("grad_avg", centered), ("momentum_buffer", heavy)):
            if used:
                memory.require(name)
        rates = {d: k.rmsprop_rates(group.hyper, memory.like(d)) for d in memory.sizes}
        for slot in active:
            unused = slot.flat[:0]
            k.rmsprop_step(
                slot.flat,
                slot.buffers["square_avg"],
                slot.buffers.get("grad_avg", unused),
                slot.buffers.get("momentum_buffer", unused),
                self.descent(k, group, slot),
                rates[slot.dtype],
                centered,
                heavy,
            )


class Adagrad(Optimizer):
    """s += g^2;   p -= lr / (1 + (t - 1) lr_decay) g / (sqrt(s) + eps).  Duchi, Hazan & Singer 2011."""

    layout = ("lr", "lr_decay", "eps", "weight_decay")

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-2,
        lr_decay: float = 0.0,
        weight_decay: float = 0.0,
        initial_accumulator_value: float = 0.0,
        eps: float = 1e-10,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ):
        super().__init__(
            params,
            {
                "lr": lr,
                "lr_decay": lr_decay,
                "weight_decay": weight_decay,
                "initial_accumulator_value": initial_accumulator_value,
                "eps": eps,
                "maximize": maximize,
            },
            foreach,
            fused,
            differentiable=differentiable,
        )

    def update(self, k: Table, group: ParamGroup, memory: GroupMemory, active: list[Slot]) -> None:
        memory.require("sum", group["initial_accumulator_value"])
        rates = {d: k.adagrad_rates(memory.steps, group.hyper, memory.like(d)) for d in memory.sizes}
        for slot in active:
            k.adagrad_step(slot.flat, slot.buffers["sum"], self.descent(k, group, slot), rates[slot.dtype][slot.index])
