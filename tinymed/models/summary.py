"""A network layer by layer: output shape, parameters, multiply-accumulates."""

import math
import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from .. import tape
from ..backend import use_backend
from ..nn.conv import Conv, ConvTranspose
from ..nn.linear import Linear
from ..nn.module import Module
from ..tensor import Tensor


class Row(NamedTuple):
    """One layer: a module that holds no other, in the order of the calls."""

    name: str
    kind: str
    output: tuple[int, ...]  # without the batch axis
    parameters: int
    macs: int  # multiply-accumulates for one image; convolutions and linear layers


def count_parameters(model: Module, trainable: bool = True) -> int:
    """The number of learned values; trainable=False counts frozen ones too."""
    return sum(p.data.size for p in model.parameters() if p.requires_grad or not trainable)


def layer_macs(module: Module, input: tuple[int, ...], output: tuple[int, ...]) -> int:
    """Multiply-accumulates: every weight is used once at each place of the output (of the input, if transposed).

    A layer of another kind says its own by a method macs(input shape, output shape).
    """
    if hasattr(module, "macs"):
        return int(module.macs(input, output))
    if isinstance(module, Conv):
        return int(math.prod(output[2:]) * module.weight.data.size)
    if isinstance(module, ConvTranspose):
        return int(math.prod(input[2:]) * module.weight.data.size)
    return int(math.prod(output[1:-1]) * module.weight.data.size) if isinstance(module, Linear) else 0


def summary(model: Module, input_shape: Sequence[int]) -> list[Row]:
    """Rows of a network for one image of shape (channels, *space), from a forward pass on zeros in evaluation mode.

    A parameter that several layers share counts in the first.
    """
    rows: list[Row] = []
    counted: set[int] = set()
    names = {id(m): name for name, m in model.named_modules()}

    def watch(module: Module, args: Any, result: Any) -> None:
        own = [p for p in module.parameters() if id(p) not in counted]
        counted.update(map(id, own))
        output = result[0] if isinstance(result, tuple) else result
        rows.append(Row(names[id(module)], type(module).__name__, tuple(output.shape[1:]),
                        sum(p.data.size for p in own), layer_macs(module, args[0].shape, output.shape)))  # fmt: skip

    modes = [(m, m.training) for m in model.modules()]
    handles = [m.register_forward_hook(watch) for m in model.modules() if counts_whole(m)]
    try:
        model.eval()
        dtype = next((p.dtype for p in model.parameters()), np.dtype(np.float32))
        with tape.no_grad(), use_backend("numpy"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model(Tensor(np.zeros((1, *input_shape), dtype)))
    finally:
        for handle in handles:
            handle.remove()
        for module, mode in modes:
            module.training = mode
    return rows


def counts_whole(module: Module) -> bool:
    """Whether a module is one row: it holds no other, or has parameters of its own beside them."""
    return not module._modules or bool(module._parameters)


def total_macs(rows: Sequence[Row]) -> int:
    """Multiply-accumulates of one image."""
    return sum(row.macs for row in rows)
