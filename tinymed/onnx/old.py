"""Operators as they were before opset 7, where today's function does not cover it.

Attributes that told a framework which memory it may reuse (consumed_inputs) are not looked at.  is_test of dropout and
batch norm says what the module's mode says here: a loaded graph is in evaluation mode until `train()`.
"""

from dataclasses import replace
from typing import Any

import numpy as np

from ..nn import functional as F
from ..tensor import Tensor
from .table import TABLE, Known, Node, axis_of, number, numbers, old, type_name, unsupported


@old("Add", "Sub", "Mul", "Div", "Pow", "And", "Or", "Xor", "Equal", "Greater", "Less")
def binary(node: Node, a: Any, b: Any) -> Any:
    """Of two tensors of one shape; with broadcast=1 b lies along the axes of a from `axis` on, by default the last."""
    if not node.get("broadcast", 0) and b.array.size != 1 and tuple(a.shape) != tuple(b.shape):
        raise ValueError(f"{node}: shapes {list(a.shape)} and {list(b.shape)}; it takes equal ones, or broadcast=1")
    axis = node.get("axis")
    if node.get("broadcast", 0) and axis is not None:
        after = a.ndim - axis_of(node, axis, a.ndim) - b.ndim
        if after < 0:
            raise ValueError(f"{node}: {list(b.shape)} does not fit {list(a.shape)} from axis {axis} on")
        b = F.reshape(b, (*b.shape, *[1] * after))
    return TABLE[node.operator](node, a, b)


@old("PRelu")
def prelu(node: Node, x: Any, slope: Any) -> Any:
    """x, or slope x below 0; one slope, or one a channel."""
    if slope.array.size > 1 and x.ndim > 1:
        slope = F.reshape(slope, (-1, *[1] * (x.ndim - 2)))
    return TABLE["PRelu"](node, x, slope)


@old("Cast")
def cast(node: Node, x: Any) -> Any:
    """Another dtype, which opsets 1 to 5 spell out."""
    to = node.get("to")
    if isinstance(to, str):
        found = next((i for i in range(1, 17) if type_name(i) == to.upper()), None)
        if found is None:
            raise unsupported(node, f"element type {to!r}", "FLOAT, DOUBLE, INT64, ...")
        node = changed(node, to=found)
    return TABLE["Cast"](node, x)


@old("Concat")
def concat(node: Node, *xs: Any) -> Any:
    """Tensors one after another along an axis, up to opset 3 by default the second one."""
    return TABLE["Concat"](changed(node, axis=node.get("axis", 1)), *xs)


@old("Pad")
def pad(node: Node, x: Any) -> Any:
    """Return a border; opset 1 calls its widths paddings."""
    return TABLE["Pad"](changed(node, pads=node.get("pads") or node.get("paddings")), x)


@old("Reshape")
def reshape(node: Node, x: Any, shape: Any = None) -> Any:
    """Another shape, up to opset 4 an attribute."""
    return TABLE["Reshape"](node, x, as_input(node.get("shape")) if shape is None else shape)


@old("Split")
def split(node: Node, x: Any, lengths: Any = None) -> Any:
    """Parts along an axis; opset 1 may have their lengths as an input."""
    return TABLE["Split"](node if lengths is None else changed(node, split=numbers(lengths)), x)


@old("Tile")
def tile(node: Node, x: Any, repeats: Any, axis: Any = None) -> Any:
    """Compute copies side by side; up to opset 5 along one axis, how many and which as two inputs."""
    if axis is not None:
        times, which = int(number(node, repeats, "tiles")), axis_of(node, int(number(node, axis, "axis")), x.ndim)
        repeats = as_input([times if a == which else 1 for a in range(x.ndim)])
    return TABLE["Tile"](node, x, repeats)


@old("Selu")
def selu(node: Node, x: Any) -> Any:
    """gamma x, or gamma alpha (e^x - 1) below 0; opsets 1 to 5 have fewer digits of both."""
    if node.opset < 6:
        node = changed(node, alpha=node.get("alpha", 1.6732), gamma=node.get("gamma", 1.0507))
    return TABLE["Selu"](node, x)


@old("Upsample")
def upsample(node: Node, x: Any) -> Any:
    """Compute copies or means of pixels; opset 1 has a factor for the height and one for the width."""
    if node.get("scales") is None:
        node = changed(node, scales=[1.0, 1.0, node.get("height_scale"), node.get("width_scale")])
    return TABLE["Upsample"](node, x)


def changed(node: Node, **attributes: Any) -> Node:
    """Return the node with some attributes changed."""
    return replace(node, attributes=node.attributes | attributes)


def as_input(values: Any) -> Tensor:
    """Numbers of an attribute as the input that they became."""
    return Known(np.asarray(values if values is not None else [], np.int64))
