"""Updates of the optimizers and limits on gradients, on the GPU: csrc/optim.cu.

A group's numbers are float64, which compiled kernels do not take: composites hand over their bits.
"""

from typing import Any

from ..dispatch import kernel
from .reduce import parts_work


def single(*args: Any) -> bool:
    """Return whether the rates wanted are float32."""
    return bool(args[-1].dtype.char == "f")


@kernel(backend="csrc", flat="p g")
def sgd_step(p: Any, g: Any, rates: Any) -> None:
    """p -= lr (g + decay p)."""


@kernel(backend="csrc", flat="p buffer g")
def momentum_step(p: Any, buffer: Any, g: Any, rates: Any, nesterov: Any) -> None:
    """d = g + decay p;  b = momentum b + share d, the buffer;  p -= lr b, or lr (d + momentum b) if nesterov."""


@kernel(backend="csrc", flat="p m v g")
def adam_step(p: Any, m: Any, v: Any, g: Any, rates: Any, decoupled: Any) -> None:
    """m, v follow g, g^2;  p -= step m / (sqrt(v) / correction + eps); decay shrinks p if decoupled, else adds to g."""


@kernel(backend="csrc", flat="p square mean buffer g")
def rmsprop_step(p: Any, square: Any, mean: Any, buffer: Any, g: Any, rates: Any, centered: Any, momentum: Any) -> None:
    """square follows g^2;  p -= lr g / (sqrt(square) + eps); less mean^2 if centered, through buffer if momentum."""


@kernel(backend="csrc", flat="p total g")
def adagrad_step(p: Any, total: Any, g: Any, rates: Any) -> None:
    """d = g + decay p;  total += d^2;  p -= lr d / (sqrt(total) + eps)."""


@kernel(backend="csrc", flat="p g")
def sgd_flat(p: Any, g: Any, rates: Any, spans: Any) -> None:
    """sgd_step of several parameters in one buffer; spans: rows (row of rates, first element, end), in order."""


@kernel(backend="csrc", flat="p buffer g")
def momentum_flat(p: Any, buffer: Any, g: Any, rates: Any, spans: Any, nesterov: Any) -> None:
    """momentum_step of several parameters in one buffer."""


@kernel(backend="csrc", flat="p m v g")
def adam_flat(p: Any, m: Any, v: Any, g: Any, rates: Any, spans: Any, decoupled: Any) -> None:
    """adam_step of several parameters in one buffer."""


# ------------------------------------------------------------------------------------------------ numbers of a step


@kernel(backend="csrc", when=lambda t, active: t.dtype.name == active.dtype.name == "int64")
def advance_steps(t: Any, active: Any) -> None:
    """t += 1 for the parameters that have a gradient."""


@kernel(backend="csrc", composite=True, when=single)
def sgd_rates(k: Any, t: Any, hyper: Any, like: Any) -> Any:
    """sgd_rows"""
    return k.sgd_rows(t, hyper.view("int64"))


@kernel(backend="csrc", composite=True, when=single)
def adam_rates(k: Any, t: Any, hyper: Any, decoupled: bool, like: Any) -> Any:
    """adam_rows"""
    return k.adam_rows(t, hyper.view("int64"), decoupled)


@kernel(backend="csrc", composite=True, when=single)
def rmsprop_rates(k: Any, hyper: Any, like: Any) -> Any:
    """rmsprop_row"""
    return k.rmsprop_row(hyper.view("int64"))


@kernel(backend="csrc", composite=True, when=single)
def adagrad_rates(k: Any, t: Any, hyper: Any, like: Any) -> Any:
    """adagrad_rows"""
    return k.adagrad_rows(t, hyper.view("int64"))


@kernel(backend="csrc", out=lambda t, hyper: [((t.size, 4), "float32")], flops=lambda t, *_: t.size)
def sgd_rows(rates: Any, t: Any, hyper: Any) -> None:
    """Rows of (lr, momentum, share of the gradient, weight decay), a row for each parameter."""


@kernel(backend="csrc", out=lambda t, *_: [((t.size, 8), "float32")], flops=lambda t, *_: 8 * t.size)
def adam_rows(rates: Any, t: Any, hyper: Any, decoupled: Any) -> None:
    """Rows of (beta1, 1 - beta1, beta2, 1 - beta2, eps, lr / (1 - beta1^t), sqrt(1 - beta2^t), decay)."""


@kernel(backend="csrc", out=lambda hyper: [((6,), "float32")], flops=lambda hyper: 1)
def rmsprop_row(rates: Any, hyper: Any) -> None:
    """(lr, alpha, 1 - alpha, eps, decay, momentum)."""


@kernel(backend="csrc", out=lambda t, hyper: [((t.size, 3), "float32")], flops=lambda t, *_: 3 * t.size)
def adagrad_rows(rates: Any, t: Any, hyper: Any) -> None:
    """Rows of (lr / (1 + (t - 1) lr_decay), eps, decay)."""


# --------------------------------------------------------------------------------------------------------- clipping


@kernel(backend="csrc", flat="g", work=parts_work)
def gradient_norm(y: Any, partial: Any, g: Any, order: Any) -> None:
    """(sum |g|^order)^(1 / order); inf: the largest |g|."""


@kernel(backend="csrc", composite=True, when=lambda order, *norms: all(n.dtype.char == "f" for n in norms))
def total_norm(k: Any, order: float, *norms: Any) -> Any:
    """gradient_norm of the norms, joined."""
    return k.gradient_norm(k.concat(0, *[n.reshape(1) for n in norms]), order)


@kernel(backend="csrc", flat="y total")
def clip_coefficient(y: Any, total: Any, limit: Any) -> None:
    """min(1, limit / (total + 1e-6)): what brings a norm to the limit."""


@kernel(backend="csrc", flat="y g")
def scale_gradient(y: Any, g: Any, coefficient: Any) -> None:
    """y = coefficient g."""


@kernel(backend="csrc", composite=True, when=lambda g, limit: g.dtype.char == "f")
def clip_gradient(k: Any, g: Any, limit: float) -> Any:
    """hardtanh_forward between -limit and limit."""
    return k.hardtanh_forward(g, -float(limit), float(limit))
