"""Limits on gradients, applied between backward and the optimizer's step.  Gradients are replaced, not written over."""

import math
from collections.abc import Iterable

import numpy as np

from .. import device
from ..tape import host_read
from ..tensor import Tensor
from . import kernels  # noqa: F401  declares them


def with_gradient(parameters: Tensor | Iterable[Tensor]) -> list[Tensor]:
    """The parameters that have a gradient; takes one or many."""
    many = [parameters] if isinstance(parameters, Tensor) else parameters
    return [p for p in many if p.grad is not None]


def clip_grad_norm_(
    parameters: Tensor | Iterable[Tensor], max_norm: float, norm_type: float = 2.0, error_if_nonfinite: bool = False
) -> Tensor:
    """Scale all gradients by min(1, max_norm / (norm + 1e-6)); return their norm, taken over all elements together.

    norm_type: the p of the norm, inf for the largest element.  error_if_nonfinite: RuntimeError if the norm is not
    finite, instead of passing it on.  Pascanu, Mikolov & Bengio 2013, algorithm 1.
    """
    chosen = with_gradient(parameters)
    if not chosen:
        return Tensor(np.zeros((), np.float32))
    k = device.table_for("clip_grad_norm_", [p.grad.array for p in chosen])
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


def clip_grad_value_(parameters: Tensor | Iterable[Tensor], clip_value: float) -> None:
    """Clip every element of the gradients to [-clip_value, clip_value]."""
    for p in with_gradient(parameters):
        k = device.table_on(p.device)
        p.grad = Tensor(k.clip_gradient(p.grad.array, float(clip_value)))
