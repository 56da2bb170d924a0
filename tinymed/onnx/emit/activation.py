"""Activations and softmax."""

from typing import Any

from ..trace import Call
from ..writer import Writer, emits

SAME = {
    "ReLU": "Relu",
    "Sigmoid": "Sigmoid",
    "Softsign": "Softsign",
    "Hardswish": "HardSwish",
}


@emits(*SAME)
def same(w: Writer, call: Call) -> None:
    """Ops that ONNX has under another name."""
    w.result(call, SAME[call.op], call.x)


@emits("LeakyReLU")
def leaky_relu(w: Writer, call: Call) -> None:
    """LeakyRelu."""
    w.result(call, "LeakyRelu", call.x, alpha=call.slope)


@emits("PReLU")
def prelu(w: Writer, call: Call) -> None:
    """PRelu; its slope broadcasts from the last axis, ours lies along the channels."""
    axes = list(range(1, call.x.ndim - 1))
    slope = w.add("Unsqueeze", call.weight, w.ints(axes)) if axes and call.weight.size > 1 else call.weight
    w.result(call, "PRelu", call.x, slope)


@emits("Hardtanh")
def hardtanh(w: Writer, call: Call) -> None:
    """Clip."""
    w.result(call, "Clip", call.x, w.number(call.low, call.x), w.number(call.high, call.x))


@emits("Hardsigmoid")
def hardsigmoid(w: Writer, call: Call) -> None:
    """HardSigmoid, max(0, min(1, x / 6 + 1 / 2))."""
    w.result(call, "HardSigmoid", call.x, alpha=1 / 6, beta=0.5)


@emits("LogSigmoid")
def logsigmoid(w: Writer, call: Call) -> None:
    """-Softplus(-x)."""
    w.result(call, "Neg", w.add("Softplus", w.add("Neg", call.x)))


@emits("Tanh")
def tanh(w: Writer, call: Call) -> None:
    """Emit a Tanh(S x)."""
    x: Any = call.x
    if call.slope != 1:
        x = w.add("Mul", x, w.number(call.slope, call.x))
    if call.amplitude == 1:
        w.result(call, "Tanh", x)
    else:
        w.result(call, "Mul", w.add("Tanh", x), w.number(call.amplitude, call.x))


@emits("Softtanh")
def softtanh(w: Writer, call: Call) -> None:
    """(Softplus(b (x + 1)) - Softplus(b (x - 1))) / b - 1."""
    x, beta = call.x, w.number(call.beta, call.x)
    ends = [w.add("Softplus", w.add("Mul", w.add("Add", x, w.number(e, x)), beta)) for e in (1.0, -1.0)]
    w.result(call, "Sub", w.add("Div", w.add("Sub", *ends), beta), w.number(1.0, x))


@emits("Softplus")
def softplus(w: Writer, call: Call) -> None:
    """Softplus(b x) / b, x itself where b x is above the threshold."""
    x, beta = call.x, w.number(call.beta, call.x)
    if call.beta == 1 and call.threshold >= 20:
        w.result(call, "Softplus", x)
        return
    scaled = w.add("Mul", x, beta)
    y = w.add("Div", w.add("Softplus", scaled), beta)
    w.result(call, "Where", w.add("Greater", scaled, w.number(call.threshold, x)), x, y)


@emits("ELU")
def elu(w: Writer, call: Call) -> None:
    """Elu, Selu or Celu, by which of its three numbers are not 1."""
    if call.rate == 1 and call.scale == 1:
        w.result(call, "Elu", call.x, alpha=call.alpha)
    elif call.rate == 1:
        w.result(call, "Selu", call.x, alpha=call.alpha, gamma=call.scale)
    elif call.scale == 1 and abs(call.alpha * call.rate - 1) < 1e-6:
        w.result(call, "Celu", call.x, alpha=call.alpha)
    else:
        raise w.refuse(f"alpha {call.alpha}, scale {call.scale}, rate {call.rate}")


@emits("SiLU")
def silu(w: Writer, call: Call) -> None:
    """x Sigmoid(x)."""
    w.result(call, "Mul", call.x, w.add("Sigmoid", call.x))


@emits("Mish")
def mish(w: Writer, call: Call) -> None:
    """x Tanh(Softplus(x))."""
    w.result(call, "Mul", call.x, w.add("Tanh", w.add("Softplus", call.x)))


@emits("GELU")
def gelu(w: Writer, call: Call) -> None:
    """x (1 + Erf(x / sqrt(2))) / 2."""
    x = call.x
    normal = w.add("Add", w.add("Erf", w.add("Mul", x, w.number(0.5**0.5, x))), w.number(1.0, x))
    w.result(call, "Mul", w.add("Mul", x, w.number(0.5, x)), normal)


@emits("GELUTanh")
def gelu_tanh(w: Writer, call: Call) -> None:
    """x (1 + Tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2."""
    x = call.x
    cubic = w.add("Mul", w.add("Mul", w.add("Mul", x, x), x), w.number(0.044715, x))
    inner = w.add("Mul", w.add("Add", x, cubic), w.number(0.7978845608028654, x))
    gate = w.add("Add", w.add("Tanh", inner), w.number(1.0, x))
    w.result(call, "Mul", w.add("Mul", x, w.number(0.5, x)), gate)


@emits("Softmax", "LogSoftmax")
def softmax(w: Writer, call: Call) -> None:
    """Softmax and LogSoftmax along an axis."""
    w.result(call, call.op, call.x, axis=call.axis)
