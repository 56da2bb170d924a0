"""Adadelta, ASGD and Rprop: steps in the parameters' own units, averaged weights, and signs alone."""

from collections.abc import Iterable
from typing import Any

from ..dispatch import Table
from . import variant_kernels  # noqa: F401  declares them
from .memory import GroupMemory, ParamGroup, Slot
from .optimizer import Optimizer


class Adadelta(Optimizer):
    """s = rho s + (1 - rho) g^2;   d = sqrt(a + eps) / sqrt(s + eps) g;   a = rho a + (1 - rho) d^2;   p -= lr d.

    Zeiler 2012, algorithm 1.
    """

    layout = ("lr", "rho", "eps", "weight_decay")

    def __init__(
        self,
        params: Iterable[Any],
        lr: Any = 1.0,
        rho: float = 0.9,
        eps: float = 1e-6,
        weight_decay: float = 0.0,
        foreach: bool | None = None,
        *,
        capturable: bool = False,
        maximize: bool = False,
        differentiable: bool = False,
    ):
        if not 0 <= rho <= 1:
            raise ValueError(f"Adadelta: rho lies in [0, 1], got {rho}")
        defaults = {"lr": lr, "rho": rho, "eps": eps, "weight_decay": weight_decay, "maximize": maximize}
        super().__init__(params, defaults, foreach, None, capturable, differentiable)

    def update(self, k: Table, group: ParamGroup, memory: GroupMemory, active: list[Slot]) -> None:
        for name in ("square_avg", "acc_delta"):
            memory.require(name)
        rates = {d: k.adadelta_rates(group.hyper, memory.like(d)) for d in memory.sizes}
        for slot in active:
            g = self.descent(k, group, slot)
            k.adadelta_step(slot.flat, slot.buffers["square_avg"], slot.buffers["acc_delta"], g, rates[slot.dtype])


class ASGD(Optimizer):
    """p = (1 - lambd eta) p - eta g, and the mean of p over the steps after t0 in the state "ax".

    eta = lr / (1 + lambd lr t)^alpha.  Polyak & Juditsky 1992.
    """

    layout = ("lr", "lambd", "alpha", "t0", "weight_decay")
    scalars = ("eta", "mu")

    def __init__(
        self,
        params: Iterable[Any],
        lr: Any = 1e-2,
        lambd: float = 1e-4,
        alpha: float = 0.75,
        t0: float = 1e6,
        weight_decay: float = 0.0,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
        capturable: bool = False,
    ):
        defaults = {
            "lr": lr,
            "lambd": lambd,
            "alpha": alpha,
            "t0": t0,
            "weight_decay": weight_decay,
            "maximize": maximize,
        }
        super().__init__(params, defaults, foreach, None, capturable, differentiable)

    def update(self, k: Table, group: ParamGroup, memory: GroupMemory, active: list[Slot]) -> None:
        memory.require("ax")
        eta, mu = memory.require_scalar("eta", 0.0), memory.require_scalar("mu", 1.0)
        rates = {d: k.asgd_rates(memory.steps, group.hyper, eta, mu, memory.like(d)) for d in memory.sizes}
        for slot in active:
            k.asgd_step(slot.flat, slot.buffers["ax"], self.descent(k, group, slot), rates[slot.dtype][slot.index])
        k.asgd_advance(memory.steps, memory.mask, group.hyper, eta, mu)


class Rprop(Optimizer):
    """A step size for each element, that grows while the gradient keeps its sign and shrinks where it turns.

    etas: the factors (shrink, grow); step_sizes: (least, largest).  For whole batches.  Riedmiller & Braun 1993.
    """

    layout = ("lr", "eta_minus", "eta_plus", "least_step", "largest_step")

    def __init__(
        self,
        params: Iterable[Any],
        lr: Any = 1e-2,
        etas: tuple[float, float] = (0.5, 1.2),
        step_sizes: tuple[float, float] = (1e-6, 50.0),
        *,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
    ):
        if not 0 < etas[0] < 1 < etas[1]:
            raise ValueError(f"Rprop: etas are a factor in (0, 1) and one above 1, got {etas}")
        defaults = {"lr": lr, "etas": tuple(etas), "step_sizes": tuple(step_sizes), "maximize": maximize}
        super().__init__(params, defaults, foreach, None, capturable, differentiable)

    def update(self, k: Table, group: ParamGroup, memory: GroupMemory, active: list[Slot]) -> None:
        memory.require("prev")
        memory.require("step_size", float(group["lr"]))
        rates = {d: k.rprop_rates(group.hyper, memory.like(d)) for d in memory.sizes}
        for slot in active:
            g = self.descent(k, group, slot)
            k.rprop_step(slot.flat, slot.buffers["prev"], slot.buffers["step_size"], g, rates[slot.dtype])
