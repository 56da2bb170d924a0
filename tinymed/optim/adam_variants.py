"""Adamax, NAdam and RAdam: Adam under another norm, with Nesterov's momentum, and with a rectified variance."""

from collections.abc import Iterable
from typing import Any

from ..dispatch import Table
from . import variant_kernels  # noqa: F401  declares them
from .memory import GroupMemory, ParamGroup, Slot
from .optimizer import Optimizer

Betas = tuple[float, float]


class Adamax(Optimizer):
    """m = beta1 m + (1 - beta1) g;   u = max(beta2 u, |g| + eps);   p -= lr / (1 - beta1^t) m / u.

    Kingma & Ba 2015, algorithm 2.
    """

    layout = ("lr", "beta1", "beta2", "eps", "weight_decay")

    def __init__(
        self,
        params: Iterable[Any],
        lr: Any = 2e-3,
        betas: Betas = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        capturable: bool = False,
    ):
        defaults = {
            "lr": lr,
            "betas": tuple(betas),
            "eps": eps,
            "weight_decay": weight_decay,
            "maximize": maximize,
        }
        super().__init__(params, defaults, foreach, None, capturable, differentiable)

    def update(self, k: Table, group: ParamGroup, memory: GroupMemory, active: list[Slot]) -> None:
        for name in ("exp_avg", "exp_inf"):
            memory.require(name)
        rates = {d: k.adamax_rates(memory.steps, group.hyper, memory.like(d)) for d in memory.sizes}
        for slot in active:
            row, g = rates[slot.dtype][slot.index], self.descent(k, group, slot)
            k.adamax_step(slot.flat, slot.buffers["exp_avg"], slot.buffers["exp_inf"], g, row)


class NAdam(Optimizer):
    """Adam with Nesterov's momentum, whose mu_t = beta1 (1 - .96^(t momentum_decay) / 2) grows towards beta1.

        p -= lr ((1 - mu_t) g / (1 - mu_1 .. mu_t) + mu_t+1 m / (1 - mu_1 .. mu_t+1)) / (sqrt(v / (1 - beta2^t)) + eps)

    Dozat 2016.
    """

    layout = ("lr", "beta1", "beta2", "eps", "weight_decay", "momentum_decay")
    scalars = ("mu_product",)

    def __init__(
        self,
        params: Iterable[Any],
        lr: Any = 2e-3,
        betas: Betas = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum_decay: float = 4e-3,
        decoupled_weight_decay: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
    ):
        defaults = {
            "lr": lr,
            "betas": tuple(betas),
            "eps": eps,
            "weight_decay": weight_decay,
            "momentum_decay": momentum_decay,
            "decoupled_weight_decay": decoupled_weight_decay,
            "maximize": maximize,
        }
        super().__init__(params, defaults, foreach, None, capturable, differentiable)

    def update(self, k: Table, group: ParamGroup, memory: GroupMemory, active: list[Slot]) -> None:
        decoupled = bool(group["decoupled_weight_decay"])
        for name in ("exp_avg", "exp_avg_sq"):
            memory.require(name)
        product = memory.require_scalar("mu_product", 1.0)
        k.nadam_advance(memory.steps, memory.mask, group.hyper, product)
        rates = {d: k.nadam_rates(memory.steps, group.hyper, product, decoupled, memory.like(d)) for d in memory.sizes}
        for slot in active:
            row, g = rates[slot.dtype][slot.index], self.descent(k, group, slot)
            k.nadam_step(slot.flat, slot.buffers["exp_avg"], slot.buffers["exp_avg_sq"], g, row, decoupled)


class RAdam(Optimizer):
    """Adam that takes the root of the mean square only when its variance is tractable, and then rectifies it.

    The first steps (about five at beta2 = .999) are those of momentum alone.  Liu et al., ICLR 2020, algorithm 2.
    """

    layout = ("lr", "beta1", "beta2", "eps", "weight_decay")

    def __init__(
        self,
        params: Iterable[Any],
        lr: Any = 1e-3,
        betas: Betas = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        decoupled_weight_decay: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
    ):
        defaults = {
            "lr": lr,
            "betas": tuple(betas),
            "eps": eps,
            "weight_decay": weight_decay,
            "decoupled_weight_decay": decoupled_weight_decay,
            "maximize": maximize,
        }
        super().__init__(params, defaults, foreach, None, capturable, differentiable)

    def update(self, k: Table, group: ParamGroup, memory: GroupMemory, active: list[Slot]) -> None:
        decoupled = bool(group["decoupled_weight_decay"])
        for name in ("exp_avg", "exp_avg_sq"):
            memory.require(name)
        rates = {d: k.radam_rates(memory.steps, group.hyper, decoupled, memory.like(d)) for d in memory.sizes}
        for slot in active:
            row, g = rates[slot.dtype][slot.index], self.descent(k, group, slot)
            k.radam_step(slot.flat, slot.buffers["exp_avg"], slot.buffers["exp_avg_sq"], g, row, decoupled)
