"""What tests of compiled kernels share: arrays between guard bands, and a convolution in float64."""

import ctypes
import math
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from tinymed import dispatch
from tinymed.cpu.compiler import llvm_functions
from tinymed.memory import canonical_order, inverse_order

GUARD = 256  # bytes on either side
EPS = float(np.finfo(np.float32).eps)


class Guards:
    """Allocates arrays between guard bands; every byte starts as 0xFF, which is a NaN and a wild offset."""

    def __init__(self) -> None:
        self.buffers: list[tuple[np.ndarray, int]] = []

    def empty(self, shape, dtype, order=None):
        stored = tuple(shape) if order is None else tuple(shape[i] for i in order)
        nbytes = math.prod(stored) * np.dtype(dtype).itemsize
        buffer = np.full(nbytes + 2 * GUARD, 0xFF, np.uint8)
        self.buffers.append((buffer, nbytes))
        a = buffer[GUARD : GUARD + nbytes].view(dtype).reshape(stored)
        return a if order is None else a.transpose(inverse_order(order))

    def place(self, a, kind="plain"):
        """A copy of `a` between guard bands, in the memory order of its kind."""
        placed = self.empty(a.shape, a.dtype, canonical_order(kind, a.ndim))
        placed[...] = a
        return placed

    def check(self):
        for buffer, nbytes in self.buffers:
            assert (buffer[:GUARD] == 0xFF).all(), "wrote before an array"
            assert (buffer[GUARD + nbytes :] == 0xFF).all(), "wrote behind an array"


@contextmanager
def guarded() -> Iterator[Guards]:
    guards, table = Guards(), dispatch.table("numba")
    before, table.empty = table.empty, guards.empty
    table.forget()
    try:
        yield guards
    finally:
        table.empty = before
        table.forget()
    guards.check()


def machine_code(parameters, emit):
    """A generated function, of any instruction set, as a function of integers."""
    names = {"test": (parameters, emit)}
    address = llvm_functions.link([llvm_functions.compile_object(llvm_functions.source(names))], names)["test"]
    return ctypes.CFUNCTYPE(None, *[ctypes.c_int64] * len(parameters))(address)


def close(actual, expected, terms):
    """Within float32 rounding of a sum of so many terms of size one."""
    assert actual.shape == expected.shape
    bound = 4 * EPS * math.sqrt(terms) * max(1.0, float(np.abs(expected).max(initial=0)) / math.sqrt(terms)) + 8 * EPS
    error = float(np.abs(actual - expected).max(initial=0))  # NaN where NaN leaked in
    assert error <= bound * max(1.0, math.log2(terms + 1)), f"error {error:.2e}, bound {bound:.2e}"


def normal(rng, *shape):
    return rng.standard_normal(shape, dtype=np.float32)


class Conv:
    """A convolution and its gradients, tap by tap in float64."""

    def __init__(self, x, weight, stride, padding, dilation, groups):
        self.x, self.weight, self.stride, self.dilation, self.groups = x, weight, stride, dilation, groups
        self.padding = padding
        self.padded = np.pad(x.astype(float), ((0, 0), (0, 0), *padding))
        self.out = [
            (n - d * (k - 1) - 1) // s + 1
            for n, k, s, d in zip(self.padded.shape[2:], weight.shape[2:], stride, dilation, strict=True)
        ]

    def taps(self):
        """(r, s) of the filter and the pixels it reads, channels split into groups."""
        for r in range(self.weight.shape[2]):
            for s in range(self.weight.shape[3]):
                rows, columns = (
                    slice(at * d, at * d + step * (size - 1) + 1, step)
                    for at, d, step, size in zip((r, s), self.dilation, self.stride, self.out, strict=True)
                )
                yield r, s, (slice(None), slice(None), rows, columns)

    def split(self, a, axis=1):
        return a.reshape(*a.shape[:axis], self.groups, -1, *a.shape[axis + 1 :])

    def forward(self, bias):
        w = self.split(self.weight.astype(float), 0)
        y = sum(np.einsum("ngchw,gkc->ngkhw", self.split(self.padded[at]), w[..., r, s]) for r, s, at in self.taps())
        return y.reshape(len(self.x), len(self.weight), *self.out) + bias.astype(float)[:, None, None]

    def backward(self, dy):
        w, g = self.split(self.weight.astype(float), 0), self.split(dy.astype(float))
        dx, dw = np.zeros_like(self.padded), np.zeros(self.weight.shape)
        for r, s, at in self.taps():
            dx[at] += np.einsum("ngkhw,gkc->ngchw", g, w[..., r, s]).reshape(dx[at].shape)
            dw[..., r, s] = np.einsum("ngchw,ngkhw->gkc", self.split(self.padded[at]), g).reshape(dw.shape[:2])
        (top, _), (left, _) = self.padding
        return dx[:, :, top : top + self.x.shape[2], left : left + self.x.shape[3]], dw
