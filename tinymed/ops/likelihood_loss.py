"""Negative log-likelihoods of counts and of normal variables."""

import math

from .. import devices, tape
from ..annotations import Tensor
from .clamp import clamp
from .compare import gt
from .elementwise import add, div, mul, sub, where
from .loss import check_reduction, warn_of_broadcast
from .loss_functions import reduced
from .reduction import torch_arguments
from .shape import unsqueeze
from .unary import exp, log


@torch_arguments("input target log_input full size_average eps reduce reduction")
def poisson_nll_loss(
    input: Tensor,
    target: Tensor,
    log_input: bool = True,
    full: bool = False,
    eps: float = 1e-8,
    reduction: str = "mean",
) -> Tensor:
    """Compute the negative log-likelihood of counts under Poisson distributions, up to a constant.

    exp(input) - target input, or rate - target log(rate + eps) without log_input.

    Args:
        input: The logarithm of the rate, or the rate.
        target: The counts; broadcasts with input.
        log_input: Take input as a logarithm.
        full: Add Stirling's approximation of log target! where target is above 1.
        eps: Added to the rate inside the logarithm.
        reduction: "none" for a loss per element, "sum", or "mean".

    Returns:
        A tensor without axes; of the input's shape for reduction "none".

    Raises:
        ValueError: reduction is unknown.

    Example:
        >>> import tinymed
        >>> from tinymed.nn import functional as F
        >>> F.poisson_nll_loss(tinymed.zeros(3), tinymed.ones(3)).item()
        1.0
    """
    check_reduction("poisson_nll_loss", reduction)
    warn_of_broadcast("poisson_nll_loss", input, target)
    log_rate = input if log_input else log(add(input, float(eps)))
    loss = sub(exp(input) if log_input else input, mul(target, log_rate))
    if full:
        safe = where(gt(target, 1), target, 1.0)
        stirling = add(sub(mul(safe, log(safe)), safe), mul(log(mul(safe, 2 * math.pi)), 0.5))
        loss = add(loss, where(gt(target, 1), stirling, 0.0))
    return reduced(loss, reduction)


def gaussian_nll_loss(
    input: Tensor, target: Tensor, var: Tensor, full: bool = False, eps: float = 1e-6, reduction: str = "mean"
) -> Tensor:
    """Compute the negative log-likelihood of numbers under normal distributions: (log var + d^2 / var) / 2.

    d = input - target. var counts as at least eps; its gradient below eps is that at eps.

    Args:
        input: The means.
        target: The numbers.
        var: The variances: a number, of the input's shape, or with the last axis of length 1 or missing.
        full: Add log(2 pi) / 2.
        eps: The least variance.
        reduction: "none" for a loss per element, "sum", or "mean".

    Returns:
        A tensor without axes; of the input's shape for reduction "none".

    Raises:
        ValueError: var is negative or has another shape, or reduction is unknown.

    Example:
        >>> import tinymed
        >>> from tinymed.nn import functional as F
        >>> F.gaussian_nll_loss(tinymed.zeros(3), tinymed.ones(3), 1.0).item()
        0.5

    Reference:
        Nix & Weigend, ICNN 1994.
    """
    check_reduction("gaussian_nll_loss", reduction)
    if not hasattr(var, "shape"):
        if var < 0:
            raise ValueError(f"gaussian_nll_loss: var must not be negative, got {var}")
        var = add(mul(input.detach(), 0.0), float(var))
    elif devices.of(var.array) == "cpu" and not tape.host_read_listeners and (var.array < 0).any():
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
    """Sum the other's lengths where two shapes differ: 1 if one axis differs and it has length 1 there."""
    return sum(b for a, b in zip(shape, other, strict=True) if a != b)


__all__ = ["gaussian_nll_loss", "poisson_nll_loss"]
