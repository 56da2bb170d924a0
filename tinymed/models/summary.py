"""A network layer by layer: output shape, parameters, multiply-accumulates; and the memory its training holds."""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np

from .. import tape
from ..debug import address, is_array
from ..nn.conv import Conv, ConvTranspose
from ..nn.linear import Linear
from ..nn.module import Module
from ..tensor import Tensor
from .shapes import blank, shapes_only

Shape = tuple[int, ...]
Shapes = Shape | tuple[Shape, ...]  # of one input (channels, *space), or of each of several


class Row(NamedTuple):
    """One layer of a summary: a module that holds no other, in the order of the calls.

    Attributes:
        name: Path of the module in the network.
        kind: Name of its class.
        output: Shape of its result without the batch axis.
        parameters: Learned values, each counted at its first use.
        macs: Multiply-accumulates for one image, of convolutions and linear layers.

    Example:
        >>> summary(tinymed.nn.Sequential(tinymed.nn.Linear(4, 2)), (4,))
        [Row(name='0', kind='Linear', output=(2,), parameters=10, macs=8)]
    """

    name: str
    kind: str
    output: Shape  # without the batch axis
    parameters: int
    macs: int  # multiply-accumulates for one image; convolutions and linear layers


def count_parameters(model: Module, trainable: bool = True) -> int:
    """Count the learned values of a model.

    Args:
        model: Any module.
        trainable: Count only those that require a gradient; False counts frozen ones too.

    Returns:
        The number of values.

    Example:
        >>> count_parameters(tinymed.nn.Conv2d(3, 8, 3))
        224
    """
    return sum(p.array.size for p in model.parameters() if p.requires_grad or not trainable)


def layer_macs(module: Module, input: Shape, output: Shape) -> int:
    """Return a layer's multiply-accumulates: every weight is used once at each place of the output.

    A transposed convolution uses it at each place of the input.  A layer of another kind says its own by a method
    macs(input shape, output shape).
    """
    if hasattr(module, "macs"):
        return int(module.macs(input, output))
    if isinstance(module, Conv):
        return int(math.prod(output[2:]) * module.weight.array.size)
    if isinstance(module, ConvTranspose):
        return int(math.prod(input[2:]) * module.weight.array.size)
    return int(math.prod(output[1:-1]) * module.weight.array.size) if isinstance(module, Linear) else 0


def input_shapes(shape: Any) -> tuple[Shape, ...]:
    """Return the shape of each input, from one shape or a sequence of them."""
    several = len(shape) > 0 and not isinstance(shape[0], int | np.integer)
    return tuple(tuple(int(n) for n in s) for s in (shape if several else (shape,)))


def images(model: Module, shape: Any, n: int = 1) -> list[Tensor]:
    """Return a blank batch of n for each input, in the dtype of the model's parameters."""
    dtype = next((p.dtype for p in model.parameters()), np.dtype(np.float32))
    return [Tensor(blank((n, *s), dtype)) for s in input_shapes(shape)]


@contextmanager
def mode(model: Module, training: bool) -> Iterator[None]:
    """Set training or evaluation mode inside, and give every module its own back afterwards."""
    before = [(m, m.training) for m in model.modules()]
    model.train(training)
    try:
        yield
    finally:
        for module, was in before:
            module.training = was


def summary(model: Module, input_shape: Shapes | Sequence[int]) -> list[Row]:
    """Summarise a network layer by layer for one image, in evaluation mode, on shapes alone.

    Args:
        model: Any module.
        input_shape: (channels, *space) without the batch axis, or one such shape for each input.

    Returns:
        One Row per layer, in the order of the calls.  A parameter that several layers share counts in the first.

    Raises:
        ValueError: A layer refuses the shape.

    Example:
        >>> model = tinymed.nn.Sequential(tinymed.nn.Conv2d(1, 4, 3), tinymed.nn.ReLU())
        >>> [(row.kind, row.output, row.macs) for row in summary(model, (1, 8, 8))]
        [('Conv2d', (4, 6, 6), 1296), ('ReLU', (4, 6, 6), 0)]
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
    """Return whether a module is one row: it holds no other, or has parameters of its own beside them."""
    return not module._modules or bool(module._parameters)


def total_macs(rows: Sequence[Row]) -> int:
    """Add up the multiply-accumulates of one image.

    Args:
        rows: What `summary` returns.

    Returns:
        The sum of the rows' macs.

    Example:
        >>> total_macs(summary(tinymed.nn.Linear(4, 2), (4,)))
        8
    """
    return sum(row.macs for row in rows)


class Held(tape.Observer):
    """The memory that ops save for backward, each address once; views count as the largest of them."""

    def __init__(self) -> None:
        self.arrays: dict[int, Any] = {}  # kept, so that no address is used again

    def forward(self, op: tape.Op, inputs: Sequence[Any], outputs: Sequence[Any]) -> None:
        """Note what an op saved."""
        for a in filter(is_array, op.saved):
            known = self.arrays.get(address(a))
            if known is None or known.nbytes < a.nbytes:
                self.arrays[address(a)] = a


def activation_bytes(model: Module, input_shape: Shapes | Sequence[int]) -> int:
    """Count the bytes that the tape holds for backward of one more image in training, on shapes alone.

    Activations and the image itself count, weights do not.  It is half of a batch of 2: what statistics of batch norm
    take belongs to the batch.

    Args:
        model: Any module.
        input_shape: (channels, *space) without the batch axis, or one such shape for each input.

    Returns:
        Bytes per image.

    Example:
        >>> activation_bytes(tinymed.nn.Linear(4, 2), (4,))
        16
    """
    held = Held()
    own = {address(t.array) for t in (*model.parameters(), *model.buffers())}
    with mode(model, training=True), tape.enable_grad(), shapes_only(), tape.observers.watching(held):
        model(*images(model, input_shape, n=2))
    return sum(int(a.nbytes) for where, a in held.arrays.items() if where not in own) // 2
