"""Normalisation."""

from typing import Any

import numpy as np

from .. import tape
from ..nn import functional as F
from ..tensor import Tensor
from .table import Node, axis_of, like, operator, unsupported


@operator("BatchNormalization", fixed=(3, 4))
def batch_normalization(node: Node, x: Any, scale: Any, bias: Any, mean: Any, var: Any) -> Any:
    """(x - mean) / sqrt(var + epsilon) * scale + bias for each channel.

    training_mode 1: with the batch's moments; also returns the moved running ones, momentum * old + (1 - momentum) *
    batch, the variance biased.  A module in training mode does the same and moves its buffers in place.
    """
    epsilon, momentum = node.get("epsilon", 1e-5), node.get("momentum", 0.9)
    if node.get("spatial", 1) != 1:
        raise unsupported(node, "spatial=0 (statistics of every pixel)", "spatial=1")
    always = bool(node.get("training_mode", 0))
    if len(node.outputs) > 1 and not always:
        raise unsupported(node, f"{len(node.outputs)} outputs at opset {node.opset}", "one, or training_mode=1")
    if not (always or node.training):
        return like(F.batch_norm(x, mean, var, scale, bias, False, 0.0, epsilon), x)
    if always:  # an input is never written to
        with tape.no_grad():
            mean, var = F.clone(mean), F.clone(var)
    y = like(F.batch_norm(x, mean, var, scale, bias, True, momentum, epsilon, statistics="keras"), x)
    return (y, mean, var)[: len(node.outputs)] if len(node.outputs) > 1 else y


@operator("InstanceNormalization")
def instance_normalization(node: Node, x: Any, scale: Any, bias: Any) -> Any:
    """Return each channel of each image by its own moments."""
    return F.instance_norm(x, None, None, scale, bias, True, 0.0, node.get("epsilon", 1e-5))


@operator("GroupNormalization")
def group_normalization(node: Node, x: Any, scale: Any, bias: Any) -> Any:
    """Return each of num_groups runs of channels by its own moments; before opset 21 scale and bias are one a group."""
    groups = node.get("num_groups")
    if node.opset < 21:
        size = x.shape[1] // groups
        scale, bias = (F.reshape(F.expand(F.unsqueeze(v, 1), (groups, size)), (-1,)) for v in (scale, bias))
    return F.group_norm(x, groups, scale, bias, node.get("epsilon", 1e-5))


@operator("LayerNormalization")
def layer_normalization(node: Node, x: Any, scale: Any, bias: Any = None) -> Any:
    """Over the axes from `axis` on; further outputs are the mean and 1 / sqrt(variance + epsilon)."""
    axis, epsilon = axis_of(node, node.get("axis", -1), x.ndim), node.get("epsilon", 1e-5)
    shape = tuple(x.shape[axis:])
    if tuple(scale.shape) == shape and (bias is None or tuple(bias.shape) == shape):
        y = F.layer_norm(x, shape, scale, bias, epsilon)
    else:
        y = F.layer_norm(x, shape, None, None, epsilon) * scale
        y = y if bias is None else y + bias
    if len(node.outputs) == 1:
        return y
    axes = tuple(range(axis, x.ndim))
    mean = F.mean(x, axes, keepdim=True)
    deviation = F.rsqrt(F.var(x, axes, correction=0, keepdim=True) + epsilon)
    return (y, mean, deviation)[: len(node.outputs)]


@operator("LRN")
def local_response_normalization(node: Node, x: Any) -> Any:
    """x / (bias + alpha / size * sum of squares over `size` neighbouring channels)^beta.

    Of an even window the longer half comes after the channel, where PyTorch and the engine's kernel have it before.
    """
    size, alpha, beta, bias = node.get("size"), node.get("alpha", 1e-4), node.get("beta", 0.75), node.get("bias", 1.0)
    if size % 2:
        return F.local_response_norm(x, size, alpha, beta, bias)
    before = (size - 1) // 2
    squares = F.pad(x * x, [0, 0] * (x.ndim - 2) + [before, size - 1 - before])
    total = sum((F.narrow(squares, 1, i, x.shape[1]) for i in range(1, size)), F.narrow(squares, 1, 0, x.shape[1]))
    return x / (total * (alpha / size) + bias) ** beta


@operator("LpNormalization")
def lp_normalization(node: Node, x: Any) -> Any:
    """x divided by its 1- or 2-norm along an axis; 0 where that norm is 0."""
    axis = axis_of(node, node.get("axis", -1), x.ndim)
    norm = F.norm(x, float(node.get("p", 2)), axis, keepdim=True)
    return x / F.where(norm == 0, Tensor(np.ones((), x.dtype)), norm)


@operator("MeanVarianceNormalization")
def mean_variance_normalization(node: Node, x: Any) -> Any:
    """(x - mean) / (standard deviation + 1e-9) over axes, by default all but the channels."""
    axes = tuple(node.get("axes") or (0, 2, 3))
    centred = x - F.mean(x, axes, keepdim=True)
    return centred / (F.sqrt(F.mean(centred * centred, axes, keepdim=True)) + 1e-9)
