"""Negative log-likelihoods of counts and of normal variables."""

import math
from typing import Any

from .. import device, tape
from .clamp import clamp
from .compare import gt
from .elementwise import add, div, mul, sub, where
from .loss import check_reduction
from .loss_functions import reduced
from .reduction import torch_arguments
from .shape import unsqueeze
from .unary import exp, log


@torch_arguments("input target log_input full size_average eps reduce reduction")
def poisson_nll_loss(
    input: Any,
    target: Any,
    log_input: bool = True,
    full: bool = False,
    eps: float = 1e-8,
    reduction: str = "mean",
) -> Any:
    """exp(input) - target input, for input the logarithm of the rate; rate - target log(rate + eps) without log_input.

    full: with Stirling's approximation of log target! where target is above 1.
    """
    check_reduction("poisson_nll_loss", reduction)
    log_rate = input if log_input else log(add(input, float(eps)))
    loss = sub(exp(input) if log_input else input, mul(target, log_rate))
    if full:
        safe = where(gt(target, 1), target, 1.0)
        stirling = add(sub(mul(safe, log(safe)), safe), mul(log(mul(safe, 2 * math.pi)), 0.5))
        loss = add(loss, where(gt(target, 1), stirling, 0.0))
    return reduced(loss, reduction)


def gaussian_nll_loss(
    input: Any, target: Any, var: Any, full: bool = False, eps: float = 1e-6, reduction: str = "mean"
) -> Any:
    """(log var + (input - target)^2 / var) / 2, var at least eps: its gradient below eps is that at eps.

    var: a number, or of the input's shape, or with a last axis of length 1 or none.  full: plus log(2 pi) / 2.
    Nix & Weigend 1994.
    """
    check_reduction("gaussian_nll_loss", reduction)
    if not hasattr(var, "shape"):
        if var < 0:
            raise ValueError(f"gaussian_nll_loss: var must not be negative, got {var}")
        var = add(mul(input.detach(), 0.0), float(var))
    elif device.of(var.array) == "cpu" and not tape.host_read_listeners and (var.array < 0).any():
        raise ValueError(f"gaussian_nll_loss: var must not be negative, its smallest is {var.array.min():.4g}")
    if var.shape != input.shape:
        if input.shape[:-1] == var.shape:
            var = unsqueeze(var, -1)
        elif len(input.shape) != len(var.shape) or differing(input.shape, var.shape) != 1:
            raise ValueError(
                f"gaussian_nll_loss: var has shape {list(var.shape)}, input {list(input.shape)}; they must be equal, "
                "or var has one axis of length 1, or no last axis"
            )
    known = var.detach()
    var = add(var, sub(clamp(known, min=float(eps)), known))
    d = sub(input, target)
    loss = mul(add(log(var), div(mul(d, d), var)), 0.5)
    return reduced(add(loss, 0.5 * math.log(2 * math.pi)) if full else loss, reduction)


def differing(shape: tuple[int, ...], other: tuple[int, ...]) -> int:
    """The sum of the other's lengths where two shapes differ: 1 if one axis differs and it has length 1 there."""
    return sum(b for a, b in zip(shape, other, strict=True) if a != b)


__all__ = ["gaussian_nll_loss", "poisson_nll_loss"]
