"""Adam and AdamW."""

from collections.abc import Iterable
from typing import Any

from ..dispatch import Table
from .memory import GroupMemory, ParamGroup, Slot
from .optimizer import Optimizer


class Adam(Optimizer):
    """Steps of the mean gradient over the root of the mean square, both corrected for starting at 0:

        m = beta1 m + (1 - beta1) g;   v = beta2 v + (1 - beta2) g^2
        p -= lr m / (1 - beta1^t) / (sqrt(v / (1 - beta2^t)) + eps)

    weight_decay p is added to the gradient; decoupled_weight_decay: p shrinks instead, as in AdamW.  amsgrad: the
    largest v so far takes v's place (Reddi et al. 2018).  maximize: up the gradient.  Kingma & Ba 2015, algorithm 1.
    Keras's eps is 1e-7.
    """

    layout = ("lr", "beta1", "beta2", "eps", "weight_decay")

    def __init__(
        self,
        params: Iterable[Any],
        lr: Any = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        amsgrad: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
        decoupled_weight_decay: bool = False,
    ):
        defaults = {
            "lr": lr,
            "betas": tuple(betas),
            "eps": eps,
            "weight_decay": weight_decay,
            "amsgrad": amsgrad,
            "maximize": maximize,
            "decoupled_weight_decay": decoupled_weight_decay,
        }
        super().__init__(params, defaults, foreach, fused, capturable, differentiable)

    def update(self, k: Table, group: ParamGroup, memory: GroupMemory, active: list[Slot]) -> None:
        decoupled, largest = bool(group["decoupled_weight_decay"]), bool(group["amsgrad"])
        for name in ("exp_avg", "exp_avg_sq", *(["max_exp_avg_sq"] if largest else [])):
            memory.require(name)
        rates = {d: k.adam_rates(memory.steps, group.hyper, decoupled, memory.like(d)) for d in memory.sizes}
        for slot in active:
            buffers, g, row = slot.buffers, self.descent(k, group, slot), rates[slot.dtype][slot.index]
            moments = (buffers["exp_avg"], buffers["exp_avg_sq"])
            if largest:
                k.amsgrad_step(slot.flat, *moments, buffers["max_exp_avg_sq"], g, row, decoupled)
            else:
                k.adam_step(slot.flat, *moments, g, row, decoupled)


class AdamW(Adam):
    """Adam whose weight decay shrinks p by lr weight_decay beside the step.  Loshchilov & Hutter 2019, algorithm 2."""

    def __init__(
        self,
        params: Iterable[Any],
        lr: Any = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ):
        super().__init__(
            params,
            lr,
            betas,
            eps,
            weight_decay,
            amsgrad,
            foreach=foreach,
            maximize=maximize,
            capturable=capturable,
            differentiable=differentiable,
            fused=fused,
            decoupled_weight_decay=True,
        )
