"""Activations, softmax and dropout."""

from typing import Any

import numpy as np

from ..nn import functional as F
from ..tensor import Tensor
from .table import Node, axis_of, fitted, floating, like, numbers, operator, plain

SELU_ALPHA, SELU_GAMMA = 1.67326319217681884765625, 1.05070102214813232421875


@operator("Relu")
def relu(node: Node, x: Any) -> Any:
    """max(x, 0)."""
    return F.relu(x) if floating(x) else plain(lambda a: np.maximum(a, a.dtype.type(0)), x)


@operator("LeakyRelu")
def leaky_relu(node: Node, x: Any) -> Any:
    """x, or alpha x below 0."""
    return F.leaky_relu(x, node.get("alpha", 0.01))


@operator("PRelu")
def prelu(node: Node, x: Any, slope: Any) -> Any:
    """x, or slope x below 0; slope broadcasts to x."""
    fitted(node, x, slope)
    per_channel = slope.ndim == x.ndim - 1 > 1 and slope.array.size == slope.shape[0] in (1, x.shape[1])
    if per_channel and floating(x):
        return F.prelu(x, F.reshape(slope, (-1,)))
    return F.where(x < 0, slope * x, x)


@operator("Elu")
def elu(node: Node, x: Any) -> Any:
    """x, or alpha (e^x - 1) below 0."""
    return F.elu(x, node.get("alpha", 1.0))


@operator("Selu")
def selu(node: Node, x: Any) -> Any:
    """gamma x, or gamma alpha (e^x - 1) below 0."""
    return F.elu(x, node.get("alpha", SELU_ALPHA)) * node.get("gamma", SELU_GAMMA)


@operator("Celu")
def celu(node: Node, x: Any) -> Any:
    """max(0, x) + min(0, alpha (e^(x / alpha) - 1))."""
    return F.celu(x, node.get("alpha", 1.0))


@operator("Gelu")
def gelu(node: Node, x: Any) -> Any:
    """x Phi(x), or its approximation by a tanh."""
    return F.gelu(x, node.get("approximate", "none"))


@operator("Mish")
def mish(node: Node, x: Any) -> Any:
    """x tanh(ln(1 + e^x))."""
    return F.mish(x)


@operator("Swish")
def swish(node: Node, x: Any) -> Any:
    """x sigmoid(alpha x)."""
    alpha = node.get("alpha", 1.0)
    return F.silu(x) if alpha == 1 else x * F.sigmoid(x * alpha)


@operator("HardSigmoid")
def hard_sigmoid(node: Node, x: Any) -> Any:
    """max(0, min(1, alpha x + beta))."""
    return F.clamp(x * node.get("alpha", 0.2) + node.get("beta", 0.5), 0.0, 1.0)


@operator("HardSwish")
def hard_swish(node: Node, x: Any) -> Any:
    """x max(0, min(1, x / 6 + 1 / 2))."""
    return F.hardswish(x)


@operator("ThresholdedRelu")
def thresholded_relu(node: Node, x: Any) -> Any:
    """x where x > alpha, else 0."""
    return F.where(x > node.get("alpha", 1.0), x, Tensor(np.zeros((), x.dtype)))


@operator("Shrink")
def shrink(node: Node, x: Any) -> Any:
    """x + bias below -lambd, x - bias above lambd, else 0."""
    bias, threshold = node.get("bias", 0.0), node.get("lambd", 0.5)
    zero = Tensor(np.zeros((), x.dtype))
    return like(F.where(x < -threshold, x + bias, F.where(x > threshold, x - bias, zero)), x)


@operator("Softplus")
def softplus(node: Node, x: Any) -> Any:
    """ln(1 + e^x)."""
    return F.softplus(x)


@operator("Softsign")
def softsign(node: Node, x: Any) -> Any:
    """x / (1 + |x|)."""
    return F.softsign(x)


@operator("Tanh")
def tanh(node: Node, x: Any) -> Any:
    """tanh x."""
    return F.tanh(x)


@operator("Sigmoid")
def sigmoid(node: Node, x: Any) -> Any:
    """1 / (1 + e^-x)."""
    return F.sigmoid(x)


def along(node: Node, x: Any, function: Any) -> Any:
    """Return a function along one axis (-1); before opset 13 the axes from `axis` (1) on counted as one."""
    if node.opset >= 13:
        return function(x, axis_of(node, node.get("axis", -1), x.ndim))
    axis = axis_of(node, node.get("axis", 1), x.ndim)
    return F.reshape(function(F.flatten(x, axis), axis), x.shape)


@operator("Softmax")
def softmax(node: Node, x: Any) -> Any:
    """e^x / sum e^x."""
    return along(node, x, F.softmax)


@operator("LogSoftmax")
def log_softmax(node: Node, x: Any) -> Any:
    """x - ln sum e^x."""
    return along(node, x, F.log_softmax)


@operator("Hardmax")
def hardmax(node: Node, x: Any) -> Any:
    """1 at the first largest element along the axis, else 0."""
    return along(node, x, lambda x, axis: plain(first_largest, x, axis))


def first_largest(x: Any, axis: int) -> Any:
    """1 at the first largest element along an axis, else 0."""
    y = np.zeros_like(x)
    np.put_along_axis(y, x.argmax(axis, keepdims=True), 1, axis)
    return y


@operator("Clip", fixed=(1, 2))
def clip(node: Node, x: Any, low: Any = None, high: Any = None) -> Any:
    """min(max(x, low), high); before opset 11 the bounds are attributes, a missing one does not bind."""
    if node.opset < 11:
        lower, upper = node.get("min"), node.get("max")
    else:
        lower, upper = (None if b is None or not b.array.size else numbers(b)[0] for b in (low, high))
    return x if lower is None and upper is None else like(F.clamp(x, lower, upper), x)


@operator("Dropout", fixed=(1, 2))
def dropout(node: Node, x: Any, ratio: Any = None, training_mode: Any = None) -> Any:
    """x itself; in training elements are dropped with probability `ratio`, the others scaled by 1 / (1 - ratio).

    Training means training_mode, or a module in training mode.  A second output is True where elements were kept.
    """
    rate = node.get("ratio", 0.5) if ratio is None else numbers(ratio)[0]
    active = bool(numbers(training_mode)[0]) if training_mode is not None else False
    active = (active or node.training) and rate > 0
    if len(node.outputs) == 1:
        return F.dropout(x, rate, active)
    kept = F.dropout(Tensor(np.ones(x.shape, x.dtype)), rate, active)
    return x * kept, plain(lambda k: k != 0, kept)
