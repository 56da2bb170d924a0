"""RMSprop and Adagrad: steps divided by the root of a mean, or of the sum, of squared gradients."""

from collections.abc import Iterable
from typing import Any

from ..dispatch import Table
from .memory import GroupMemory, ParamGroup, Slot
from .optimizer import Optimizer


class RMSprop(Optimizer):
    """Step by the gradient over the root of its mean square.

    With g = gradient + weight_decay p:

        s = alpha s + (1 - alpha) g^2;   p -= lr g / (sqrt(s) + eps)

    Args:
        params: tensors that require a gradient, or dicts {"params": tensors, option: value} with a group's own options.
        lr: the learning rate.  Default: 1e-2.
        alpha: weight of the old mean square.  Default: 0.99.
        eps: added to the root, which keeps the step finite.  Default: 1e-8.
        weight_decay: times p, added to the gradient.  Default: 0.
        momentum: weight of the old velocity v = momentum v + g / (sqrt(s) + eps), and p -= lr v.  Default: 0.
        centered: whether the square of a running mean of g is subtracted from s.  Default: False.
        capturable: PyTorch's choice of an implementation, without effect.
        foreach: PyTorch's choice of an implementation, without effect.
        maximize: whether the step goes up the gradient.  Default: False.
        differentiable: False only: the step has no derivatives.
        nesterov: whether p -= lr (momentum v + g / (sqrt(s) + eps)), which looks ahead; PyTorch has it of SGD alone.
            Default: False.

    Raises:
        ValueError: an option outside its range, nesterov without momentum, differentiable=True, or parameters that are
            none, not leaves or given twice.

    Example:
        >>> from tinymed import nn, ones, optim
        >>> p = nn.Parameter(ones(1))
        >>> optimizer = optim.RMSprop([p], lr=0.1)
        >>> (p * p).sum().backward()
        >>> optimizer.step()
        >>> print(f"{p.item():.3f}")
        0.000

    Reference:
        Tieleman & Hinton, lecture 6.5 of "Neural networks for machine learning", 2012; centered: Graves, "Generating
        sequences with recurrent neural networks", 2013; nesterov: Sutskever, Martens, Dahl & Hinton, ICML 2013, as
        Kamnitsas et al., Medical Image Analysis 36, 2017, use it.

    As `torch.optim.RMSprop`.
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
        *,
        nesterov: bool = False,
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
                **({"nesterov": True} if nesterov else {}),
            },
            foreach,
            capturable=capturable,
            differentiable=differentiable,
        )

    def check(self, options: dict[str, Any]) -> None:
        super().check(options)
        if options.get("nesterov") and not options["momentum"] > 0:
            raise ValueError("RMSprop: nesterov=True looks ahead along the velocity; give a momentum above 0")

    def update(self, k: Table, group: ParamGroup, memory: GroupMemory, active: list[Slot]) -> None:
        centered, heavy = bool(group["centered"]), group["momentum"] > 0
        memory.require("square_avg")
        for name, used in (("grad_avg", centered), ("momentum_buffer", heavy)):
            if used:
                memory.require(name)
        rates = {d: k.rmsprop_rates(group.hyper, memory.like(d)) for d in memory.sizes}
        for slot in active:
            unused, row = slot.flat[:0], rates[slot.dtype]
            velocity = slot.buffers.get("momentum_buffer", unused)
            before = k.neg(velocity) if group.get("nesterov") else unused
            k.rmsprop_step(
                slot.flat,
                slot.buffers["square_avg"],
                slot.buffers.get("grad_avg", unused),
                velocity,
                self.descent(k, group, slot),
                row,
                centered,
                heavy,
            )
            if group.get("nesterov"):  # momentum v + g / root = v + momentum (v - the velocity before)
                momentum, lr = (row[i : i + 1].reshape(()) for i in (5, 0))
                ahead = k.scale_gradient(k.scale_gradient(k.add(velocity, before), momentum), lr)
                k.sgd_step(slot.flat, ahead, self.constant([1.0, 0.0, 1.0, 0.0], slot))


class Adagrad(Optimizer):
    """Step by the gradient over the root of the sum of its squares so far.

    With g = gradient + weight_decay p:

        s += g^2;   p -= lr / (1 + (t - 1) lr_decay) g / (sqrt(s) + eps)

    Args:
        params: tensors that require a gradient, or dicts {"params": tensors, option: value} with a group's own options.
        lr: the learning rate.  Default: 1e-2.
        lr_decay: how fast the rate falls with the steps t.  Default: 0.
        weight_decay: times p, added to the gradient.  Default: 0.
        initial_accumulator_value: what s starts from.  Default: 0.
        eps: added to the root, which keeps the step finite.  Default: 1e-10.
        foreach: PyTorch's choice of an implementation, without effect.
        maximize: whether the step goes up the gradient.  Default: False.
        differentiable: False only: the step has no derivatives.
        fused: PyTorch's choice of an implementation, without effect.

    Raises:
        ValueError: an option outside its range, differentiable=True, or parameters that are none, not leaves or given
            twice.

    Example:
        >>> from tinymed import nn, ones, optim
        >>> p = nn.Parameter(ones(1))
        >>> optimizer = optim.Adagrad([p], lr=0.1)
        >>> (p * p).sum().backward()
        >>> optimizer.step()
        >>> print(f"{p.item():.3f}")
        0.900

    Reference:
        Duchi, Hazan & Singer, "Adaptive subgradient methods for online learning and stochastic optimization", 2011.

    As `torch.optim.Adagrad`.
    """

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
