"""Limits on gradients, parameters as one vector, and weights by length and direction: `torch.nn.utils`.

Gradients are limited between backward and the optimizer's step; they are replaced, not written over.
"""

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from ... import devices
from ...absent import missing
from ...tape import host_read
from ...tensor import Tensor
from .. import functional as F
from .. import gradient_kernels  # noqa: F401  declares them
from ..hooks import ModuleHandle
from ..module import Module, Parameter
from . import rnn as rnn


def with_gradient(parameters: Tensor | Iterable[Tensor]) -> list[Tensor]:
    """Return the parameters, one or many, that have a gradient."""
    many = [parameters] if isinstance(parameters, Tensor) else parameters
    return [p for p in many if p.grad is not None]


def clip_grad_norm_(
    parameters: Tensor | Iterable[Tensor],
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """Scale all gradients by min(1, max_norm / (norm + 1e-6)), with their norm over all elements together.

    Args:
        parameters: one tensor or several; those without a gradient do not count.
        max_norm: the largest norm that is left as it is.
        norm_type: p of the norm, inf for the largest element.  Default: 2.
        error_if_nonfinite: whether a norm that is not finite raises instead of being passed on.  Default: False.
        foreach: PyTorch's choice of an implementation, without effect.

    Returns:
        The norm before, a tensor of shape ().

    Raises:
        RuntimeError: with error_if_nonfinite, the norm is not finite.

    Example:
        >>> from tinymed import nn, tensor
        >>> p = nn.Parameter(tensor([0.0, 0.0]))
        >>> (p * tensor([3.0, 4.0])).sum().backward()
        >>> nn.utils.clip_grad_norm_(p, 1.0).item()
        5.0
        >>> [round(g, 3) for g in p.grad.tolist()]
        [0.6, 0.8]

    Reference:
        Pascanu, Mikolov & Bengio, "On the difficulty of training recurrent neural networks", 2013, algorithm 1.

    As `torch.nn.utils.clip_grad_norm_`; gradients are replaced, not written over.
    """
    chosen = with_gradient(parameters)
    if not chosen:
        return Tensor(np.zeros((), np.float32))
    k = devices.table_for("clip_grad_norm_", [p.grad.array for p in chosen])
    order = float(norm_type)
    total = k.total_norm(order, *[k.gradient_norm(p.grad.array, order) for p in chosen])
    if error_if_nonfinite:
        host_read("clip_grad_norm_ with error_if_nonfinite")
    if error_if_nonfinite and not math.isfinite(float(total)):
        raise RuntimeError(
            f"clip_grad_norm_: the norm of order {norm_type} of the gradients is {float(total)}; "
            "error_if_nonfinite=False passes it on"
        )
    coefficient = k.clip_coefficient(total, float(max_norm))
    for p in chosen:
        p.grad = Tensor(k.scale_gradient(p.grad.array, coefficient))
    return Tensor(total)


def clip_grad_value_(parameters: Tensor | Iterable[Tensor], clip_value: float, foreach: bool | None = None) -> None:
    """Clip every element of the gradients to [-clip_value, clip_value].

    Args:
        parameters: one tensor or several; those without a gradient do not count.
        clip_value: the largest size of an element.
        foreach: PyTorch's choice of an implementation, without effect.

    Example:
        >>> from tinymed import nn, tensor
        >>> p = nn.Parameter(tensor([0.0, 0.0]))
        >>> (p * tensor([3.0, -0.5])).sum().backward()
        >>> nn.utils.clip_grad_value_(p, 1.0)
        >>> p.grad.tolist()
        [1.0, -0.5]

    As `torch.nn.utils.clip_grad_value_`; gradients are replaced, not written over.
    """
    for p in with_gradient(parameters):
        k = devices.table_on(p.device)
        p.grad = Tensor(k.clip_gradient(p.grad.array, float(clip_value)))


def parameters_to_vector(parameters: Iterable[Tensor]) -> Tensor:
    """Join all parameters, one after the other, to one vector; gradients flow back through it.

    Args:
        parameters: several tensors.

    Returns:
        A tensor of one axis.

    Example:
        >>> from tinymed import nn
        >>> nn.utils.parameters_to_vector(nn.Linear(4, 3).parameters()).shape
        (15,)

    As `torch.nn.utils.parameters_to_vector`.
    """
    vector: Tensor = F.cat([F.reshape(p, -1) for p in parameters])
    return vector


def vector_to_parameters(vec: Tensor, parameters: Iterable[Tensor]) -> None:
    """Give parameters the values of a vector, one after the other, in the memory of the vector.

    Args:
        vec: a tensor of one axis, as long as all parameters together.
        parameters: several tensors.

    Raises:
        TypeError: vec is not a tensor.

    Example:
        >>> from tinymed import arange, nn
        >>> layer = nn.Linear(2, 1)
        >>> nn.utils.vector_to_parameters(arange(3.0), layer.parameters())
        >>> layer.weight.tolist(), layer.bias.tolist()
        ([[0.0, 1.0]], [2.0])

    As `torch.nn.utils.vector_to_parameters`.
    """
    if not isinstance(vec, Tensor):
        raise TypeError(f"vector_to_parameters: takes a tensor, got {type(vec).__name__}")
    at = 0
    for p in parameters:
        size = p.array.size
        p.data = vec[at : at + size].reshape(p.shape)
        at += size


# ------------------------------------------------------------------------------------------------- weight norm


class WeightNorm:
    """Compute a layer's weight from its length g and direction v before each call."""

    def __init__(self, name: str, dim: int | None):
        self.name, self.dim = name, dim

    def axes(self, v: Tensor) -> tuple[int, ...]:
        """Return the axes that a length is taken over: all but dim."""
        n = len(v.shape)
        return tuple(range(n)) if self.dim is None else tuple(a for a in range(n) if a != self.dim % n)

    def length(self, v: Tensor) -> Any:
        """Compute the norm of v for each index of dim, kept as axes of length 1; one number without dim."""
        return F.norm(v, 2, self.axes(v), self.dim is not None)

    def weight(self, module: Module) -> Any:
        """Compute g v / |v|."""
        g, v = getattr(module, f"{self.name}_g"), getattr(module, f"{self.name}_v")
        return v * (g / self.length(v))

    def __call__(self, module: Module, args: Any) -> None:
        setattr(module, self.name, self.weight(module))


def weight_norm(module: Module, name: str = "weight", dim: int | None = 0) -> Module:
    """Learn a layer's weight as length g and direction v: the parameters name_g and name_v.

    Args:
        module: the layer.
        name: its weight's name.  Default: "weight".
        dim: the axis whose every index has a length of its own; None: one length for the whole weight.  Default: 0.

    Returns:
        The module.

    Raises:
        RuntimeError: the weight has weight norm already.

    Example:
        >>> from tinymed import nn
        >>> layer = nn.utils.weight_norm(nn.Linear(4, 3))
        >>> {name: p.shape for name, p in layer.named_parameters()}
        {'bias': (3,), 'weight_g': (3, 1), 'weight_v': (3, 4)}

    Reference:
        Salimans & Kingma, "Weight normalization", 2016.

    As `torch.nn.utils.weight_norm`.
    """
    if find(module, name) is not None:
        raise RuntimeError(f"weight_norm: {name!r} of {type(module).__name__} has weight norm already")
    rule, weight = WeightNorm(name, dim), getattr(module, name)
    delattr(module, name)
    module.register_parameter(f"{name}_g", Parameter(rule.length(weight).detach()))
    module.register_parameter(f"{name}_v", Parameter(weight.detach()))
    setattr(module, name, rule.weight(module))
    ModuleHandle(module._pre_hooks, rule)
    return module


def remove_weight_norm(module: Module, name: str = "weight") -> Module:
    """Take `weight_norm` off; the weight stays what it is and is learned itself.

    Args:
        module: the layer.
        name: its weight's name.  Default: "weight".

    Returns:
        The module.

    Raises:
        ValueError: the weight has no weight norm.

    Example:
        >>> from tinymed import nn
        >>> layer = nn.utils.remove_weight_norm(nn.utils.weight_norm(nn.Linear(4, 3)))
        >>> [name for name, _ in layer.named_parameters()]
        ['bias', 'weight']

    As `torch.nn.utils.remove_weight_norm`.
    """
    key = find(module, name)
    if key is None:
        raise ValueError(f"remove_weight_norm: {name!r} of {type(module).__name__} has no weight norm")
    weight = module._pre_hooks.pop(key).weight(module)
    for part in (name, f"{name}_g", f"{name}_v"):
        delattr(module, part)
    module.register_parameter(name, Parameter(weight.detach()))
    return module


def find(module: Module, name: str) -> int | None:
    """Return the number of the hook that computes a weight, if there is one."""
    hooks = module._pre_hooks.items()
    return next((key for key, hook in hooks if isinstance(hook, WeightNorm) and hook.name == name), None)


def __getattr__(name: str) -> Any:
    raise missing(__name__, name)


__all__ = [
    "clip_grad_norm_",
    "clip_grad_value_",
    "parameters_to_vector",
    "remove_weight_norm",
    "vector_to_parameters",
    "weight_norm",
]
