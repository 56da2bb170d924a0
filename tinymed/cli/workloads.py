"""What `tinymed bench` times: the shapes of the papers' CNN at batch 64, written as calls of the public functions."""

from collections.abc import Callable
from typing import Any

import numpy as np

from .. import random, tape
from ..nn import functional as f
from ..tape import Op
from ..tensor import Tensor

Call = Callable[[], Any]
BATCH = 64


def normal(*shape: int) -> Tensor:
    """Seeded float32 numbers; images lie channels-last, as between layers."""
    a = random.normal(int(np.prod(shape)), 0, random.NOISE).astype(np.float32)
    if len(shape) == 4:
        n, c, h, w = shape
        return Tensor(a.reshape(n, h, w, c).transpose(0, 3, 1, 2))
    return Tensor(a.reshape(shape))


def filters(o: int, c: int, kernel: int) -> Tensor:
    """Seeded weights that lie as a layer's: row, column, input, output."""
    a = random.normal(o * c * kernel * kernel, 1, random.NOISE).astype(np.float32)
    return Tensor(a.reshape(kernel, kernel, c, o).transpose(3, 2, 0, 1))


def convolutions() -> list[tuple[str, Call]]:
    """Return the four of the papers' CNN at 64 pixels, and a 1x1, a strided and a depthwise one."""
    shapes = [
        (3, 32, 64, 3, 1, 1),
        (32, 64, 32, 3, 1, 1),
        (64, 128, 16, 3, 1, 1),
        (128, 256, 8, 3, 1, 1),
        (256, 64, 28, 1, 1, 1),
        (64, 128, 28, 3, 2, 1),
        (128, 128, 28, 3, 1, 128),
    ]
    return [
        (
            f"{k}x{k} {c}->{o} @{side} stride {s}{' depthwise' if g > 1 else ''}",
            lambda c=c, o=o, side=side, k=k, s=s, g=g: f.conv2d(  # type: ignore[misc]
                normal(BATCH, c, side, side), filters(o, c // g, k), normal(o), stride=s, padding=k // 2, groups=g
            ),
        )
        for c, o, side, k, s, g in shapes
    ]


def images(call: Callable[[Tensor], Any]) -> Callable[[], list[tuple[str, Call]]]:
    """Return the feature maps of the papers' CNN."""
    return lambda: [
        (f"{c} @{side}", lambda c=c, side=side: call(normal(BATCH, c, side, side)))  # type: ignore[misc]
        for c, side in ((32, 64), (64, 32), (128, 16))
    ]


def batch_norms() -> list[tuple[str, Call]]:
    """As after the first and the second pooling."""
    return [
        (
            f"{c} @{side}",
            lambda c=c, side=side: f.batch_norm(  # type: ignore[misc]
                normal(BATCH, c, side, side), None, None, normal(c), normal(c), training=True
            ),
        )
        for c, side in ((32, 32), (64, 16))
    ]


def dense() -> list[tuple[str, Call]]:
    """Return the first two dense layers, and the first at 224 pixels."""
    return [
        (f"{i}->{o} batch {n}", lambda i=i, o=o, n=n: f.linear(normal(n, i), normal(o, i), normal(o)))  # type: ignore[misc]
        for i, o, n in ((4096, 256, 128), (256, 128, 128), (36864, 256, 16))
    ]


CALLS: dict[str, Callable[[], list[tuple[str, Call]]]] = {
    "Conv": convolutions,
    "MaxPool": images(lambda x: f.max_pool2d(x, 2)),
    "AvgPool": images(lambda x: f.avg_pool2d(x, 2)),
    "ReLU": images(f.relu),
    "LeakyReLU": images(f.leaky_relu),
    "Sigmoid": images(f.sigmoid),
    "Dropout": images(lambda x: f.dropout(x, 0.25, True)),
    "BatchNorm": batch_norms,
    "Linear": dense,
}


class Arguments(tape.Observer):
    """Keeps what one op was applied to."""

    def __init__(self, op: type[Op]):
        self.op = op
        self.found: tuple[Any, ...] = ()

    def forward(self, op: Op, inputs: Any, outputs: Any) -> None:
        if type(op) is self.op:
            self.found = tuple(inputs)


def workloads(op: type[Op]) -> list[tuple[str, tuple[Any, ...]]]:
    """(label, arguments of the op) of the package's workloads; none for an op that has none."""
    result = []
    for label, call in CALLS[op.__name__]() if op.__name__ in CALLS else []:
        seen = Arguments(op)
        with tape.observers.watching(seen), tape.no_grad():
            call()
        arrays = (i.array if isinstance(i, Tensor) else i for i in seen.found)
        result.append((label, tuple(arrays)))
    return result
