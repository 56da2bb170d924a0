"""Update rules of Adamax, NAdam, RAdam, Adadelta, ASGD and Rprop, as kernels that write in place.  See kernels.py."""

from typing import Any

from ..dispatch import Array, kernel
from .kernels import nothing


def rows(xp: Any, t: Array, like: Array, *columns: Any) -> Array:
    """Return a row of coefficients for each parameter, in the parameters' dtype."""
    same = 0.0 * t
    return xp.stack([c + same for c in columns], axis=1).astype(like.dtype)


@kernel(out=lambda t, hyper, like: [((t.size, 6), like.dtype)])
def adamax_rates(xp: Any, t: Array, hyper: Array, like: Array) -> Array:
    """Return rows of (1 - beta1, beta2, eps, lr / (1 - beta1^t), decay, 0)."""
    lr, beta1, beta2, eps, decay = hyper
    return rows(xp, t, like, 1 - beta1, beta2, eps, lr / (1 - beta1 ** xp.maximum(t, 1)), decay, 0.0)


@kernel(out=nothing, writes="p m u", flops=lambda p, *_: 9 * p.size)
def adamax_step(xp: Any, p: Array, m: Array, u: Array, g: Array, rates: Array) -> Any:
    """Let m follow g, u = max(beta2 u, |g| + eps), then p -= step m / u."""
    new1, beta2, eps, step, decay, _ = rates
    g = g + decay * p
    m += new1 * (g - m)
    u[...] = xp.maximum(beta2 * u, xp.abs(g) + eps)
    p -= step * m / u
    return ()


def nadam_momenta(t: Array, hyper: Array) -> tuple[Any, Any]:
    """Compute mu_t = beta1 (1 - .96^(t momentum_decay) / 2) of this step and of the next."""
    beta1, momentum_decay = hyper[1], hyper[5]
    first, second = (beta1 * (1 - 0.5 * 0.96 ** (n * momentum_decay)) for n in (t, t + 1))
    return first, second


@kernel(out=nothing, writes="product", flops=lambda t, *_: 8 * t.size)
def nadam_advance(xp: Any, t: Array, active: Array, hyper: Array, product: Array) -> Any:
    """Multiply product, of the momenta so far, by this step's where a gradient is."""
    product *= xp.where(active > 0, nadam_momenta(t, hyper)[0], 1.0)
    return ()


@kernel(out=lambda t, hyper, product, decoupled, like: [((t.size, 8), like.dtype)])
def nadam_rates(xp: Any, t: Array, hyper: Array, product: Array, decoupled: bool, like: Array) -> Array:
    """Return rows of (1 - beta1, beta2, 1 - beta2, eps, share of g, share of m, sqrt(1 - beta2^t), decay)."""
    lr, beta1, beta2, eps, decay, _ = hyper
    t = xp.maximum(t, 1).astype(hyper.dtype)
    mu, next_mu = nadam_momenta(t, hyper)
    rest = xp.where(product < 1, 1 - product, 1.0)  # a parameter without a gradient so far has product 1
    share_g, share_m = lr * (1 - mu) / rest, lr * next_mu / (1 - product * next_mu)
    shrink = lr * decay if decoupled else decay
    return rows(xp, t, like, 1 - beta1, beta2, 1 - beta2, eps, share_g, share_m, xp.sqrt(1 - beta2**t), shrink)


@kernel(out=nothing, writes="p m v", flops=lambda p, *_: 16 * p.size)
def nadam_step(xp: Any, p: Array, m: Array, v: Array, g: Array, rates: Array, decoupled: bool) -> Any:
    """Let m and v follow g and g^2, then step by a mixture of g and m.

    p -= (share_g g + share_m m) / (sqrt(v) / sqrt(1 - beta2^t) + eps)
    """
    new1, beta2, new2, eps, share_g, share_m, correction, decay = rates
    if decoupled:
        p *= 1 - decay
    else:
        g = g + decay * p
    m += new1 * (g - m)
    v *= beta2
    v += new2 * g * g
    p -= (share_g * g + share_m * m) / (xp.sqrt(v) / correction + eps)
    return ()


@kernel(out=lambda t, hyper, decoupled, like: [((t.size, 8), like.dtype)])
def radam_rates(xp: Any, t: Array, hyper: Array, decoupled: bool, like: Array) -> Array:
    """Return rows of (1 - beta1, beta2, 1 - beta2, eps, lr / (1 - beta1^t), rectified, r sqrt(1 - beta2^t), decay).

    rectified is 1 where the variance is tractable, rho_t > 5, else 0; r is the rectification.
    """
    lr, beta1, beta2, eps, decay = hyper
    t = xp.maximum(t, 1).astype(hyper.dtype)
    longest = 2 / (1 - beta2) - 1
    length = longest - 2 * t * beta2**t / (1 - beta2**t)
    tractable = length > 5
    safe = xp.where(tractable, length, 6.0)
    square = (safe - 4) * (safe - 2) * longest / ((longest - 4) * (longest - 2) * safe)
    factor = xp.sqrt(xp.maximum(square, 0)) * xp.sqrt(1 - beta2**t)
    step = lr / (1 - beta1**t)
    return rows(
        xp, t, like, 1 - beta1, beta2, 1 - beta2, eps, step, tractable, factor, lr * decay if decoupled else decay
    )


@kernel(out=nothing, writes="p m v", flops=lambda p, *_: 15 * p.size)
def radam_step(xp: Any, p: Array, m: Array, v: Array, g: Array, rates: Array, decoupled: bool) -> Any:
    """Let m and v follow g and g^2, then p -= step m factor / (sqrt(v) + eps) where rectified, else step m."""
    new1, beta2, new2, eps, step, rectified, factor, decay = rates
    if decoupled:
        p *= 1 - decay
    else:
        g = g + decay * p
    m += new1 * (g - m)
    v *= beta2
    v += new2 * g * g
    p -= step * m * xp.where(rectified > 0, factor / (xp.sqrt(v) + eps), 1)
    return ()


@kernel(out=lambda hyper, like: [((4,), like.dtype)])
def adadelta_rates(xp: Any, hyper: Array, like: Array) -> Array:
    """Return (lr, rho, eps, decay)."""
    return hyper.astype(like.dtype)


@kernel(out=nothing, writes="p square total", flops=lambda p, *_: 14 * p.size)
def adadelta_step(xp: Any, p: Array, square: Array, total: Array, g: Array, rates: Array) -> Any:
    """Let square follow g^2 and total the squared changes, which stand in for a learning rate.

    d = g sqrt(total + eps) / sqrt(square + eps);  total follows d^2;  p -= lr d
    """
    lr, rho, eps, decay = rates
    g = g + decay * p
    square *= rho
    square += (1 - rho) * g * g
    change = xp.sqrt(total + eps) / xp.sqrt(square + eps) * g
    total *= rho
    total += (1 - rho) * change * change
    p -= lr * change
    return ()


@kernel(out=lambda t, hyper, eta, mu, like: [((t.size, 4), like.dtype)])
def asgd_rates(xp: Any, t: Array, hyper: Array, eta: Array, mu: Array, like: Array) -> Array:
    """Return rows of (eta, lambd eta, mu, decay); the first step's eta is lr."""
    lr, lambd, _, _, decay = hyper
    rate = xp.where(t <= 1, lr, eta)
    return rows(xp, t, like, rate, lambd * rate, mu, decay)


@kernel(out=nothing, writes="eta mu", flops=lambda t, *_: 8 * t.size)
def asgd_advance(xp: Any, t: Array, active: Array, hyper: Array, eta: Array, mu: Array) -> Any:
    """Compute eta and mu for the step after t, where a gradient was.

    eta = lr / (1 + lambd lr t)^alpha;  mu = 1 / max(1, t - t0)
    """
    lr, lambd, alpha, t0, _ = hyper
    eta[...] = xp.where(active > 0, lr / (1 + lambd * lr * t) ** alpha, eta)
    mu[...] = xp.where(active > 0, 1 / xp.maximum(1.0, t - t0), mu)
    return ()


@kernel(out=nothing, writes="p mean", flops=lambda p, *_: 8 * p.size)
def asgd_step(xp: Any, p: Array, mean: Array, g: Array, rates: Array) -> Any:
    """Step, p = (1 - lambd eta) p - eta (g + decay p), and let mean follow p by mu."""
    eta, shrink, mu, decay = rates
    g = g + decay * p
    p *= 1 - shrink
    p -= eta * g
    mean += mu * (p - mean)
    return ()


@kernel(out=lambda hyper, like: [((4,), like.dtype)])
def rprop_rates(xp: Any, hyper: Array, like: Array) -> Array:
    """Return (eta minus, eta plus, least step, largest step)."""
    return hyper[1:].astype(like.dtype)


@kernel(out=nothing, writes="p before size", flops=lambda p, *_: 9 * p.size)
def rprop_step(xp: Any, p: Array, before: Array, size: Array, g: Array, rates: Array) -> Any:
    """Let size grow where g keeps its sign and shrink where it turned, then p -= size sign(g), with g = 0 there."""
    shrink, grow, least, largest = rates
    agreement = g * before
    size *= xp.where(agreement > 0, grow, xp.where(agreement < 0, shrink, 1))
    size[...] = xp.minimum(xp.maximum(size, least), largest)
    g = xp.where(agreement < 0, 0, g)
    p -= xp.sign(g) * size
    before[...] = g
    return ()
