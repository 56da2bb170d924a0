"""Updates of AMSGrad, Adamax, NAdam, RAdam, Adadelta, ASGD and Rprop, on the GPU: csrc/optim_variants.cu.

Numbers of a group, and those that an optimiser keeps of each parameter, are float64, which compiled kernels do not
take: composites hand over their bits.
"""

from typing import Any

from ..dispatch import kernel
from .optim import single


@kernel(backend="csrc", flat="p m v most g")
def amsgrad_step(p: Any, m: Any, v: Any, most: Any, g: Any, rates: Any, decoupled: Any) -> None:
    """Step as adam_step does, with the largest v so far in place of v."""


@kernel(backend="csrc", flat="p m v g")
def nadam_step(p: Any, m: Any, v: Any, g: Any, rates: Any, decoupled: Any) -> None:
    """m, v follow g, g^2;  p -= (share_g g + share_m m) / (sqrt(v) / correction + eps)."""


@kernel(backend="csrc", flat="p m v g")
def radam_step(p: Any, m: Any, v: Any, g: Any, rates: Any, decoupled: Any) -> None:
    """m, v follow g, g^2;  p -= step m factor / (sqrt(v) + eps) where rectified, else step m."""


@kernel(backend="csrc", flat="p m u g")
def adamax_step(p: Any, m: Any, u: Any, g: Any, rates: Any) -> None:
    """m follows g;  u = max(beta2 u, |g| + eps);  p -= step m / u."""


@kernel(backend="csrc", flat="p square total g")
def adadelta_step(p: Any, square: Any, total: Any, g: Any, rates: Any) -> None:
    """d = g sqrt(total + eps) / sqrt(square + eps), square following g^2 and total d^2;  p -= lr d."""


@kernel(backend="csrc", flat="p mean g")
def asgd_step(p: Any, mean: Any, g: Any, rates: Any) -> None:
    """p = (1 - lambd eta) p - eta (g + decay p);  mean follows p by mu."""


@kernel(backend="csrc", flat="p before size g")
def rprop_step(p: Any, before: Any, size: Any, g: Any, rates: Any) -> None:
    """size grows where g keeps its sign and shrinks where it turned;  p -= size sign(g), with g = 0 there."""


# ------------------------------------------------------------------------------------------------ numbers of a step


def counts(t: Any, *_: Any) -> bool:
    """Return whether steps are counted in int64."""
    return bool(t.dtype.char == "l")


def of_doubles(t: Any, active: Any, *doubles: Any) -> bool:
    """Return whether steps are counted in int64, and what is kept of each parameter is float64 in C order."""
    return counts(t) and counts(active) and all(a.dtype.char == "d" and a.flags.c_contiguous for a in doubles)


def rows_of_rates(length: int) -> Any:
    """Return the rule of a row of so many float32 rates for each parameter."""
    return lambda t, *_: [((t.size, length), "float32")]


@kernel(backend="csrc", composite=True, when=single)
def adamax_rates(k: Any, t: Any, hyper: Any, like: Any) -> Any:
    """adamax_rows"""
    return k.adamax_rows(t, hyper.view("int64"))


@kernel(backend="csrc", out=rows_of_rates(6), flops=lambda t, *_: 6 * t.size, when=counts)
def adamax_rows(rates: Any, t: Any, hyper: Any) -> None:
    """Rows of (1 - beta1, beta2, eps, lr / (1 - beta1^t), decay, 0)."""


@kernel(backend="csrc", composite=True, when=of_doubles)
def nadam_advance(k: Any, t: Any, active: Any, hyper: Any, product: Any) -> Any:
    """nadam_product"""
    return k.nadam_product(product.view("int64"), t, active, hyper.view("int64"))


@kernel(backend="csrc", out=lambda *_: [], writes="product", flops=lambda product, *_: 8 * product.size, when=counts)
def nadam_product(product: Any, t: Any, active: Any, hyper: Any) -> None:
    """Multiply the momenta so far by this step's where a gradient is."""


@kernel(backend="csrc", composite=True, when=single)
def nadam_rates(k: Any, t: Any, hyper: Any, product: Any, decoupled: bool, like: Any) -> Any:
    """nadam_rows"""
    return k.nadam_rows(t, hyper.view("int64"), product.view("int64"), decoupled)


@kernel(backend="csrc", out=rows_of_rates(8), flops=lambda t, *_: 8 * t.size, when=counts)
def nadam_rows(rates: Any, t: Any, hyper: Any, product: Any, decoupled: Any) -> None:
    """Rows of (1 - beta1, beta2, 1 - beta2, eps, share of g, share of m, sqrt(1 - beta2^t), decay)."""


@kernel(backend="csrc", composite=True, when=single)
def radam_rates(k: Any, t: Any, hyper: Any, decoupled: bool, like: Any) -> Any:
    """radam_rows"""
    return k.radam_rows(t, hyper.view("int64"), decoupled)


@kernel(backend="csrc", out=rows_of_rates(8), flops=lambda t, *_: 8 * t.size, when=counts)
def radam_rows(rates: Any, t: Any, hyper: Any, decoupled: Any) -> None:
    """Rows of (1 - beta1, beta2, 1 - beta2, eps, lr / (1 - beta1^t), rectified, factor, decay)."""


@kernel(backend="csrc", composite=True, when=of_doubles)
def asgd_advance(k: Any, t: Any, active: Any, hyper: Any, eta: Any, mu: Any) -> Any:
    """asgd_numbers"""
    return k.asgd_numbers(eta.view("int64"), mu.view("int64"), t, active, hyper.view("int64"))


@kernel(backend="csrc", out=lambda *_: [], writes="eta mu", flops=lambda eta, *_: 8 * eta.size, when=counts)
def asgd_numbers(eta: Any, mu: Any, t: Any, active: Any, hyper: Any) -> None:
    """eta = lr / (1 + lambd lr t)^alpha, mu = 1 / max(1, t - t0) for the step after t, where a gradient was."""


@kernel(backend="csrc", composite=True, when=single)
def asgd_rates(k: Any, t: Any, hyper: Any, eta: Any, mu: Any, like: Any) -> Any:
    """asgd_rows"""
    return k.asgd_rows(t, hyper.view("int64"), eta.view("int64"), mu.view("int64"))


@kernel(backend="csrc", out=rows_of_rates(4), flops=lambda t, *_: 4 * t.size, when=counts)
def asgd_rows(rates: Any, t: Any, hyper: Any, eta: Any, mu: Any) -> None:
    """Rows of (eta, lambd eta, mu, decay); the first step's eta is lr."""


@kernel(backend="csrc", composite=True, when=single)
def adadelta_rates(k: Any, hyper: Any, like: Any) -> Any:
    """group_numbers from the first."""
    return k.group_numbers(hyper.view("int64"), 0)


@kernel(backend="csrc", composite=True, when=single)
def rprop_rates(k: Any, hyper: Any, like: Any) -> Any:
    """group_numbers from the second."""
    return k.group_numbers(hyper.view("int64"), 1)


@kernel(backend="csrc", out=lambda hyper, first: [((4,), "float32")], flops=lambda hyper, first: 4, when=counts)
def group_numbers(rates: Any, hyper: Any, first: Any) -> None:
    """Four of a group's numbers as float32."""
