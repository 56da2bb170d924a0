"""Adam and AdamW."""

from collections.abc import Iterable
from typing import Any, ClassVar

from ..dispatch import Table
from .memory import GroupMemory, ParamGroup, Slot
from .optimizer import Optimizer


class Adam(Optimizer):
    """Steps of the mean gradient over the root of the mean square, both corrected for starting at 0:

        m = beta1 m + (1 - beta1) g;   v = beta2 v + (1 - beta2) g^2
        p -= lr m / (1 - beta1^t) / (sqrt(v / (1 - beta2^t)) + eps)

    weight_decay p is added to the gradient.  Kingma & Ba 2015, algorithm 1.  Keras's eps is 1e-7.
    """

    layout = ("lr", "beta1", "beta2", "eps", "weight_decay")
    decoupled: ClassVar[bool] = False

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ):
        super().__init__(params, {"lr": lr, "betas": tuple(betas), "eps": eps, "weight_decay": weight_decay})

    def update(self, k: Table, group: ParamGroup, memory: GroupMemory, active: list[Slot]) -> None:
        memory.require("exp_avg")
        memory.require("exp_avg_sq")
        rates = {d: k.adam_rates(memory.steps, group.hyper, self.decoupled, memory.like(d)) for d in memory.sizes}
        for slot in active:
            k.adam_step(
                slot.flat,
                slot.buffers["exp_avg"],
                slot.buffers["exp_avg_sq"],
                slot.gradient(k),
                rates[slot.dtype][slot.index],
                self.decoupled,
            )


class AdamW(Adam):
    """Adam whose weight decay shrinks p by lr weight_decay beside the step.  Loshchilov & Hutter 2019, algorithm 2."""

    decoupled = True

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
    ):
        super().__init__(params, lr, betas, eps, weight_decay)
