"""Normalisation in evaluation mode."""

from typing import Any

import numpy as np

from ..trace import Call
from ..writer import Writer, emits


@emits("BatchNorm")
def batch_norm(w: Writer, call: Call) -> None:
    """BatchNormalization with the running statistics; a missing weight or bias is 1 or 0."""
    if call.training:
        raise w.refuse("batch norm by the batch's own statistics (no running ones are kept)")
    channels, dtype = call.x.shape[1], call.x.dtype
    weight = np.ones(channels, dtype) if call.weight is None else call.weight
    bias = np.zeros(channels, dtype) if call.bias is None else call.bias
    momentum = 1 - call.momentum  # ONNX's weighs the old value
    w.result(
        call,
        "BatchNormalization",
        call.x,
        weight,
        bias,
        call.running_mean,
        call.running_var,
        epsilon=call.eps,
        momentum=momentum if momentum < 1 else None,
    )


@emits("LayerNorm")
def layer_norm(w: Writer, call: Call) -> None:
    """LayerNormalization over the last axes."""
    shape = call.x.shape[call.x.ndim - call.axes :]
    weight = np.ones(shape, call.x.dtype) if call.weight is None else call.weight
    w.result(call, "LayerNormalization", call.x, weight, call.bias, axis=-call.axes, epsilon=call.eps)


@emits("GroupNorm")
def group_norm(w: Writer, call: Call) -> None:
    """InstanceNormalization of each group's channels in a row, which every opset has; then weight and bias."""
    x, groups = call.x, call.groups
    channels = x.shape[1]
    one, zero = np.ones(groups, x.dtype), np.zeros(groups, x.dtype)
    if groups == channels and call.weight is not None and call.bias is not None:
        w.result(call, "InstanceNormalization", x, call.weight, call.bias, epsilon=call.eps)
        return
    rows = w.add("Reshape", x, w.ints([0, groups, -1]))
    y = w.add("InstanceNormalization", rows, one, zero, epsilon=call.eps)
    steps = [("Mul", call.weight), ("Add", call.bias)]
    wanted = [(op, per_channel(w, v, x.ndim)) for op, v in steps if v is not None]
    y_shape = w.ints([0, channels, *x.shape[2:]])
    if not wanted:
        w.result(call, "Reshape", y, y_shape)
        return
    y = w.add("Reshape", y, y_shape)
    for operator, v in wanted[:-1]:
        y = w.add(operator, y, v)
    w.result(call, wanted[-1][0], y, wanted[-1][1])


def per_channel(w: Writer, v: Any, ndim: int) -> Any:
    """Return a vector over channels with the axes of space after it."""
    return w.add("Unsqueeze", v, w.ints(range(1, ndim - 1))) if ndim > 2 else v


@emits("LocalResponseNorm")
def local_response_norm(w: Writer, call: Call) -> None:
    """LRN of two axes of space, which runtimes want; of an even window ONNX has the longer half on the other side."""
    if call.size % 2 == 0:
        raise w.refuse(f"an even window of {call.size} channels")
    attributes = {"size": call.size, "alpha": call.alpha, "beta": call.beta, "bias": call.k}
    channels, *space = call.x.shape[1:]
    if len(space) == 2:
        w.result(call, "LRN", call.x, **attributes)
    else:
        y = w.add("LRN", w.add("Reshape", call.x, w.ints([0, channels, -1, 1])), **attributes)
        w.result(call, "Reshape", y, w.ints([0, channels, *space]))
