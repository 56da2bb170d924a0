"""Adam and AdamW."""

from collections.abc import Iterable
from typing import Any

from ..dispatch import Table
from .memory import GroupMemory, ParamGroup, Slot
from .optimizer import Optimizer


class Adam(Optimizer):
    """Step by the mean gradient over the root of the mean square, both corrected for starting at 0.

    With g = gradient + weight_decay p:

        m = beta1 m + (1 - beta1) g;   v = beta2 v + (1 - beta2) g^2
        p -= lr m / (1 - beta1^t) / (sqrt(v / (1 - beta2^t)) + eps)

    Args:
        params: tensors that require a gradient, or dicts {"params": tensors, option: value} with a group's own options.
        lr: the learning rate.  Default: 1e-3.
        betas: weights of the old moments, of g and of g^2, in [0, 1).  Default: (0.9, 0.999).
        eps: added to the root, which keeps the step finite.  Default: 1e-8; Keras's is 1e-7.
        weight_decay: times p, added to the gradient.  Default: 0.
        amsgrad: whether the largest v so far takes v's place.  Default: False.
        foreach: PyTorch's choice of an implementation, without effect.
        maximize: whether the step goes up the gradient.  Default: False.
        capturable: PyTorch's choice of an implementation, without effect.
        differentiable: False only: the step has no derivatives.
        fused: PyTorch's choice of an implementation, without effect.
        decoupled_weight_decay: whether p shrinks by lr weight_decay beside the step, as in AdamW.  Default: False.

    Raises:
        ValueError: an option outside its range, differentiable=True, or parameters that are none, not leaves or given
            twice.

    Example:
        >>> from tinymed import nn, ones, optim
        >>> p = nn.Parameter(ones(1))
        >>> optimizer = optim.Adam([p], lr=0.1)
        >>> (p * p).sum().backward()
        >>> optimizer.step()
        >>> print(f"{p.item():.3f}")
        0.900

    Reference:
        Kingma & Ba, "Adam: a method for stochastic optimization", 2015, algorithm 1; amsgrad: Reddi, Kale & Kumar,
        2018.

    As `torch.optim.Adam`.
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
    """Step as Adam does, and shrink p by lr weight_decay beside the step.

        p -= lr weight_decay p, then Adam's step without weight_decay

    Args:
        params: tensors that require a gradient, or dicts {"params": tensors, option: value} with a group's own options.
        lr: the learning rate.  Default: 1e-3.
        betas: weights of the old moments, of g and of g^2, in [0, 1).  Default: (0.9, 0.999).
        eps: added to the root, which keeps the step finite.  Default: 1e-8.
        weight_decay: times lr, the share by which p shrinks.  Default: 1e-2.
        amsgrad: whether the largest v so far takes v's place.  Default: False.
        maximize: whether the step goes up the gradient.  Default: False.
        foreach: PyTorch's choice of an implementation, without effect.
        capturable: PyTorch's choice of an implementation, without effect.
        differentiable: False only: the step has no derivatives.
        fused: PyTorch's choice of an implementation, without effect.

    Raises:
        ValueError: an option outside its range, differentiable=True, or parameters that are none, not leaves or given
            twice.

    Example:
        >>> from tinymed import nn, ones, optim
        >>> p = nn.Parameter(ones(1))
        >>> optimizer = optim.AdamW([p], lr=0.1)
        >>> (p * p).sum().backward()
        >>> optimizer.step()
        >>> print(f"{p.item():.3f}")
        0.899

    Reference:
        Loshchilov & Hutter, "Decoupled weight decay regularization", 2019, algorithm 2.

    As `torch.optim.AdamW`.
    """

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
