"""Adadelta, ASGD and Rprop: steps in the parameters' own units, averaged weights, and signs alone."""

from collections.abc import Iterable
from typing import Any

from ..dispatch import Table
from . import variant_kernels  # noqa: F401  declares them
from .memory import GroupMemory, ParamGroup, Slot
from .optimizer import Optimizer


class Adadelta(Optimizer):
    """Step in the parameters' own units: the root of the mean squared step over that of the mean squared gradient.

    With g = gradient + weight_decay p:

        s = rho s + (1 - rho) g^2;   d = sqrt(a + eps) / sqrt(s + eps) g;   a = rho a + (1 - rho) d^2;   p -= lr d

    Args:
        params: tensors that require a gradient, or dicts {"params": tensors, option: value} with a group's own options.
        lr: the factor of the step.  Default: 1.
        rho: weight of the old means, in [0, 1].  Default: 0.9.
        eps: added to both means; it starts the first step.  Default: 1e-6.
        weight_decay: times p, added to the gradient.  Default: 0.
        foreach: PyTorch's choice of an implementation, without effect.
        capturable: PyTorch's choice of an implementation, without effect.
        maximize: whether the step goes up the gradient.  Default: False.
        differentiable: False only: the step has no derivatives.

    Raises:
        ValueError: an option outside its range, differentiable=True, or parameters that are none, not leaves or given
            twice.

    Example:
        >>> from tinymed import nn, ones, optim
        >>> p = nn.Parameter(ones(1))
        >>> optimizer = optim.Adadelta([p], lr=1.0)
        >>> (p * p).sum().backward()
        >>> optimizer.step()
        >>> print(f"{p.item():.3f}")
        0.997

    Reference:
        Zeiler, "ADADELTA: an adaptive learning rate method", 2012, algorithm 1.

    As `torch.optim.Adadelta`.
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
    """Step down the gradient, and keep the mean of p over the steps after t0 in the state "ax".

        p = (1 - lambd eta) p - eta g;   eta = lr / (1 + lambd lr t)^alpha

    Args:
        params: tensors that require a gradient, or dicts {"params": tensors, option: value} with a group's own options.
        lr: the learning rate.  Default: 1e-2.
        lambd: decay of p and of the rate.  Default: 1e-4.
        alpha: exponent of the rate's fall.  Default: 0.75.
        t0: the step from which the mean is taken.  Default: 1e6.
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
        >>> optimizer = optim.ASGD([p], lr=0.1)
        >>> (p * p).sum().backward()
        >>> optimizer.step()
        >>> print(f"{p.item():.3f}")
        0.800

    Reference:
        Polyak & Juditsky, "Acceleration of stochastic approximation by averaging", 1992.

    As `torch.optim.ASGD`.
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
    """Step by the sign of the gradient, with a size for each element.

    The size grows while the gradient keeps its sign and shrinks where it turns.  For whole batches: the sign of a small
    batch's gradient is mostly noise.

    Args:
        params: tensors that require a gradient, or dicts {"params": tensors, option: value} with a group's own options.
        lr: the first step size.  Default: 1e-2.
        etas: the factors (shrink, grow), 0 < shrink < 1 < grow.  Default: (0.5, 1.2).
        step_sizes: the least and the largest size.  Default: (1e-6, 50).
        capturable: PyTorch's choice of an implementation, without effect.
        foreach: PyTorch's choice of an implementation, without effect.
        maximize: whether the step goes up the gradient.  Default: False.
        differentiable: False only: the step has no derivatives.

    Raises:
        ValueError: an option outside its range, differentiable=True, or parameters that are none, not leaves or given
            twice.

    Example:
        >>> from tinymed import nn, ones, optim
        >>> p = nn.Parameter(ones(1))
        >>> optimizer = optim.Rprop([p], lr=0.1)
        >>> (p * p).sum().backward()
        >>> optimizer.step()
        >>> print(f"{p.item():.3f}")
        0.900

    Reference:
        Riedmiller & Braun, "A direct adaptive method for faster backpropagation learning: the RPROP algorithm", 1993.

    As `torch.optim.Rprop`.
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
