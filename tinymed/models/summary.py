"""A network layer by layer: output shape, parameters, multiply-accumulates; and the memory its training holds."""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np

from .. import tape
from ..debug import address, is_array, tape_observing
from ..nn.conv import Conv, ConvTranspose
from ..nn.linear import Linear
from ..nn.module import Module
from ..tensor import Tensor
from .shapes import blank, shapes_only

Shape = tuple[int, ...]
Shapes = Shape | tuple[Shape, ...]  # of one input (channels, *space), or of each of several


class Row(NamedTuple):
    """One layer: a module that holds no other, in the order of the calls."""

    name: str
    kind: str
    output: Shape  # without the batch axis
    parameters: int
    macs: int  # multiply-accumulates for one image; convolutions and linear layers


def count_parameters(model: Module, trainable: bool = True) -> int:
    """The number of learned values; trainable=False counts frozen ones too."""
    return sum(p.array.size for p in model.parameters() if p.requires_grad or not trainable)


def layer_macs(module: Module, input: Shape, output: Shape) -> int:
    """Multiply-accumulates: every weight is used once at each place of the output (of the input, if transposed).

    A layer of another kind says its own by a method macs(input shape, output shape).
    """
    if hasattr(module, "macs"):
        return int(module.macs(input, output))
    if isinstance(module, Conv):
        return int(math.prod(output[2:]) * module.weight.array.size)
    if isinstance(module, ConvTranspose):
        return int(math.prod(input[2:]) * module.weight.array.size)
    return int(math.prod(output[1:-1]) * module.weight.array.size) if isinstance(module, Linear) else 0


def input_shapes(shape: Any) -> tuple[Shape, ...]:
    """The shape of each input, from one shape or a sequence of them."""
    several = len(shape) > 0 and not isinstance(shape[0], int | np.integer)
    return tuple(tuple(int(n) for n in s) for s in (shape if several else (shape,)))


def images(model: Module, shape: Any, n: int = 1) -> list[Tensor]:
    """A blank batch of n for each input, in the dtype of the model's parameters."""
    dtype = next((p.dtype for p in model.parameters()), np.dtype(np.float32))
    return [Tensor(blank((n, *s), dtype)) for s in input_shapes(shape)]


@contextmanager
def mode(model: Module, training: bool) -> Iterator[None]:
    """Training or evaluation mode inside; every module's own afterwards."""
    before = [(m, m.training) for m in model.modules()]
    model.train(training)
    try:
        yield
    finally:
        for module, was in before:
            module.training = was


def summary(model: Module, input_shape: Shapes | Sequence[int]) -> list[Row]:
    """Rows of a network for one image of shape (channels, *space), or of one shape for each input, in evaluation mode.

    Shapes only: nothing is computed.  A parameter that several layers share counts in the first.
    """
    rows: list[Row] = []
    counted: set[int] = set()
    names = {id(m): name for name, m in model.named_modules()}

    def watch(module: Module, args: Any, result: Any) -> None:
        own = [p for p in module.parameters() if id(p) not in counted]
        counted.update(map(id, own))
        output = result[0] if isinstance(result, tuple) else result
        rows.append(
            Row(
                names[id(module)],
                type(module).__name__,
                tuple(output.shape[1:]),
                sum(p.array.size for p in own),
                layer_macs(module, args[0].shape, output.shape),
            )
        )

    handles = [m.register_forward_hook(watch) for m in model.modules() if counts_whole(m)]
    try:
        with mode(model, training=False), tape.no_grad(), shapes_only():
            model(*images(model, input_shape))
    finally:
        for handle in handles:
            handle.remove()
    return rows


def counts_whole(module: Module) -> bool:
    """Whether a module is one row: it holds no other, or has parameters of its own beside them."""
    return not module._modules or bool(module._parameters)


def total_macs(rows: Sequence[Row]) -> int:
    """Multiply-accumulates of one image."""
    return sum(row.macs for row in rows)


class Held(tape.Observer):
    """The memory that ops save for backward, each address once; views count as the largest of them."""

    def __init__(self) -> None:
        self.arrays: dict[int, Any] = {}  # kept, so that no address is used again

    def forward(self, op: tape.Op, inputs: Sequence[Any], outputs: Sequence[Any]) -> None:
        for a in filter(is_array, op.saved):
            known = self.arrays.get(address(a))
            if known is None or known.nbytes < a.nbytes:
                self.arrays[address(a)] = a


def activation_bytes(model: Module, input_shape: Shapes | Sequence[int]) -> int:
    """Bytes that the tape holds for backward of one image in training: activations, the image itself, no weights.

    What an image adds to a batch: a batch of 2 less one of 1 would be the same but for statistics of batch norm, which
    belong to the batch; so it is half of a batch of 2.  Shapes only: nothing is computed.
    """
    held = Held()
    own = {address(t.array) for t in (*model.parameters(), *model.buffers())}
    with mode(model, training=True), tape.enable_grad(), shapes_only(), tape_observing(held):
        model(*images(model, input_shape, n=2))
    return sum(int(a.nbytes) for where, a in held.arrays.items() if where not in own) // 2
