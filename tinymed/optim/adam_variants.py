"""Adamax, NAdam and RAdam: Adam under another norm, with Nesterov's momentum, and with a rectified variance."""

from collections.abc import Iterable
from typing import Any

from ..dispatch import Table
from . import variant_kernels  # noqa: F401  declares them
from .memory import GroupMemory, ParamGroup, Slot
from .optimizer import Optimizer

Betas = tuple[float, float]


class Adamax(Optimizer):
    """Step by the mean gradient over its largest size so far, which decays.

    With g = gradient + weight_decay p:

        m = beta1 m + (1 - beta1) g;   u = max(beta2 u, |g| + eps);   p -= lr / (1 - beta1^t) m / u

    Args:
        params: tensors that require a gradient, or dicts {"params": tensors, option: value} with a group's own options.
        lr: the learning rate.  Default: 2e-3.
        betas: weights of the old m and u, in [0, 1).  Default: (0.9, 0.999).
        eps: added to |g|, which keeps the step finite.  Default: 1e-8.
        weight_decay: times p, added to the gradient.  Default: 0.
        foreach: PyTorch's choice of an implementation, without effect.
        maximize: whether the step goes up the gradient.  Default: False.
        differentiable: False only: the step has no derivatives.
        capturable: PyTorch's choice of an implementation, without effect.

    Raises:
        ValueError: an option outside its range, differentiable=True, or parameters that are none, not leaves or given
            twice.

    Example:
        >>> from tinymed import nn, ones, optim
        >>> p = nn.Parameter(ones(1))
        >>> optimizer = optim.Adamax([p], lr=0.1)
        >>> (p * p).sum().backward()
        >>> optimizer.step()
        >>> print(f"{p.item():.3f}")
        0.900

    Reference:
        Kingma & Ba, "Adam: a method for stochastic optimization", 2015, algorithm 2.

    As `torch.optim.Adamax`.
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
    """Step as Adam with Nesterov's momentum.

    mu_t = beta1 (1 - .96^(t momentum_decay) / 2) grows towards beta1, and

        p -= lr ((1 - mu_t) g / (1 - mu_1 .. mu_t) + mu_t+1 m / (1 - mu_1 .. mu_t+1)) / (sqrt(v / (1 - beta2^t)) + eps)

    Args:
        params: tensors that require a gradient, or dicts {"params": tensors, option: value} with a group's own options.
        lr: the learning rate.  Default: 2e-3.
        betas: weights of the old moments, of g and of g^2, in [0, 1).  Default: (0.9, 0.999).
        eps: added to the root, which keeps the step finite.  Default: 1e-8.
        weight_decay: times p, added to the gradient.  Default: 0.
        momentum_decay: how fast mu grows.  Default: 4e-3.
        decoupled_weight_decay: whether p shrinks by lr weight_decay beside the step, as in AdamW.  Default: False.
        foreach: PyTorch's choice of an implementation, without effect.
        maximize: whether the step goes up the gradient.  Default: False.
        capturable: PyTorch's choice of an implementation, without effect.
        differentiable: False only: the step has no derivatives.

    Raises:
        ValueError: an option outside its range, differentiable=True, or parameters that are none, not leaves or given
            twice.

    Example:
        >>> from tinymed import nn, ones, optim
        >>> p = nn.Parameter(ones(1))
        >>> optimizer = optim.NAdam([p], lr=0.1)
        >>> (p * p).sum().backward()
        >>> optimizer.step()
        >>> print(f"{p.item():.3f}")
        0.894

    Reference:
        Dozat, "Incorporating Nesterov momentum into Adam", 2016.

    As `torch.optim.NAdam`.
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
    """Step as Adam, but divide by the root of the mean square only once its variance is tractable, and rectify it.

    The first steps (about five at beta2 = .999) are those of momentum alone.

    Args:
        params: tensors that require a gradient, or dicts {"params": tensors, option: value} with a group's own options.
        lr: the learning rate.  Default: 1e-3.
        betas: weights of the old moments, of g and of g^2, in [0, 1).  Default: (0.9, 0.999).
        eps: added to the root, which keeps the step finite.  Default: 1e-8.
        weight_decay: times p, added to the gradient.  Default: 0.
        decoupled_weight_decay: whether p shrinks by lr weight_decay beside the step, as in AdamW.  Default: False.
        foreach: PyTorch's choice of an implementation, without effect.
        maximize: whether the step goes up the gradient.  Default: False.
        capturable: PyTorch's choice of an implementation, without effect.
        differentiable: False only: the step has no derivatives.

    Raises:
        ValueError: an option outside its range, differentiable=True, or parameters that are none, not leaves or given
            twice.

    Example:
        >>> from tinymed import nn, ones, optim
        >>> p = nn.Parameter(ones(1))
        >>> optimizer = optim.RAdam([p], lr=0.1)
        >>> (p * p).sum().backward()
        >>> optimizer.step()
        >>> print(f"{p.item():.3f}")
        0.800

    Reference:
        Liu et al., "On the variance of the adaptive learning rate and beyond", 2020, algorithm 2.

    As `torch.optim.RAdam`.
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
