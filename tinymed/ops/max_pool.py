"""The largest value of each window: kernels, and the op that remembers where it stood.

A maximum remembers its max index, the number of a tap of its window: one byte where that fits.
"""

from math import prod
from typing import Any

from ..dispatch import Array, kernel
from ..tape import Op
from .space import (
    Pairs,
    Sizes,
    as_before,
    as_images,
    extent,
    padded,
    planar,
    shifted,
    taps,
)
from .windows import draw_window, places


def winner_shapes(x: Array, kernel: Sizes, size: Sizes) -> list[Any]:
    """Return the forms of y and of the max index, the number of a tap: a byte for windows of up to 256 taps."""
    shape = (*x.shape[:2], *size)
    return [(shape, x.dtype), (shape, "uint8" if prod(kernel) <= 256 else "int32")]


def around(space: Sizes, kernel: Sizes, stride: Sizes, before: Sizes, dilation: Sizes, size: Sizes) -> Pairs:
    """Return what to add before and after each axis so that `size` windows fit exactly; negative: unseen pixels."""
    return tuple(
        (b, (m - 1) * s + e - n - b)
        for n, s, b, m, e in zip(space, stride, before, size, extent(kernel, dilation), strict=True)
    )


@kernel(
    out=lambda x, kernel, *how: winner_shapes(x, kernel, how[-1]),
    flops=lambda x, kernel, *how: prod(x.shape[:2]) * prod(how[-1]) * prod(kernel),
)
def max_pool2d_forward(
    xp: Any, x: Array, kernel: Sizes, stride: Sizes, before: Sizes, dilation: Sizes, size: Sizes
) -> tuple[Array, Array]:
    """y = the largest x of each window, index = the number of its tap; the first of equals, and NaN above all."""
    edges = around(x.shape[2:], kernel, stride, before, dilation, size)
    inside = padded(xp, xp.ones(x.shape[2:], bool), edges, False)
    x = padded(xp, x, edges, -xp.inf)
    y = xp.full((*x.shape[:2], *size), -xp.inf, x.dtype)
    index = xp.zeros(y.shape, xp.uint8 if prod(kernel) <= 256 else xp.int32)
    found = xp.zeros(size, bool)
    for t, tap in enumerate(taps(kernel)):
        pixels, here = (shifted(a, tap, size, stride, dilation) for a in (x, inside))
        wins = here & (~found | (pixels > y) | xp.isnan(pixels))
        y, index, found = xp.where(wins, pixels, y), xp.where(wins, index.dtype.type(t), index), found | here
    return y, index


@kernel(out=lambda dy, index, x_shape, *_: [x_shape], flops=lambda dy, *_: dy.size)
def max_pool2d_backward(
    xp: Any, dy: Array, index: Array, x_shape: Sizes, kernel: Sizes, stride: Sizes, before: Sizes, dilation: Sizes
) -> Array:
    """dx at the max index of each window += dy."""
    size = dy.shape[2:]
    edges = around(x_shape[2:], kernel, stride, before, dilation, size)
    dx = xp.zeros((*x_shape[:2], *(n + sum(e) for n, e in zip(x_shape[2:], edges, strict=True))), dy.dtype)
    for t, tap in enumerate(taps(kernel)):
        pixels = shifted(dx, tap, size, stride, dilation)
        pixels += xp.where(index == t, dy, 0)
    return padded(xp, dx, tuple((-a, -b) for a, b in edges))


@kernel(
    out=lambda x, kernel, *how: winner_shapes(x, kernel, how[-1]),
    flops=lambda x, kernel, *how: prod(x.shape[:2]) * prod(how[-1]) * prod(kernel),
)
def max_pool3d_forward(xp: Any, *args: Any) -> Any:
    """Compute max_pool2d_forward with one axis more."""
    return max_pool2d_forward(xp, *args)


@kernel(out=lambda dy, index, x_shape, *_: [x_shape], flops=lambda dy, *_: dy.size)
def max_pool3d_backward(xp: Any, *args: Any) -> Array:
    """Compute max_pool2d_backward with one axis more."""
    return max_pool2d_backward(xp, *args)


@kernel(out=lambda index, *_: [(index.shape, "int64")], flops=lambda *_: 0)  # integers
def tap_to_flat(
    xp: Any, index: Array, space: Sizes, kernel: Sizes, stride: Sizes, before: Sizes, dilation: Sizes
) -> Array:
    """Return the max indices in the input, counted over its axes of space (last fastest), from the numbers of taps."""
    flat, tap = 0, index.astype(xp.int64)
    for a in range(len(space)):
        place = xp.arange(index.shape[2 + a]).reshape(-1, *[1] * (len(space) - 1 - a)) * stride[a] - before[a]
        flat = flat * space[a] + place + tap // prod(kernel[a + 1 :]) % kernel[a] * dilation[a]
    return flat


class MaxPool(Op):
    """y[n, c, i] = max over taps t of x[n, c, i stride + t dilation], padding counted as -inf;  dx += dy at the argmax.

    The first of equal values counts; a NaN is above everything.  With return_indices also the maxima's positions in the
    input's flattened axes of space.  Weng et al. 1992; Riesenhuber & Poggio 1999.
    """

    def forward(
        self,
        x: Array,
        kernel: Sizes,
        stride: Sizes,
        before: Sizes,
        dilation: Sizes,
        size: Sizes,
        return_indices: bool = False,
    ) -> Any:
        rank = len(kernel)
        how: tuple[Sizes, ...] = (kernel, stride, before, dilation)
        if rank == 1:
            how, size = tuple([planar(v, unit) for v, unit in zip(how, (1, 1, 0, 1), strict=True)]), planar(size, 1)
        images = as_images(x, rank)
        forward = self.k.max_pool3d_forward if rank == 3 else self.k.max_pool2d_forward
        y, index = forward(images, *how, size)
        self.save(index, images.shape, x.ndim, rank, how)
        if not return_indices:
            return as_before(y, rank, x.ndim)
        flat = self.k.tap_to_flat(index, images.shape[2:], *how)
        return as_before(y, rank, x.ndim), as_before(flat, rank, x.ndim)

    def backward(self, dy: Array, *_: Any) -> Any:
        index, shape, ndim, rank, how = self.saved
        backward = self.k.max_pool3d_backward if rank == 3 else self.k.max_pool2d_backward
        dx = backward(as_images(dy, rank), index, shape, *how)
        return as_before(dx, rank, ndim), None, None, None, None, None, None

    @staticmethod
    def samples(draw: Any) -> tuple[Any, ...]:
        x, kernel, stride, padding, dilation, ceil_mode = draw_window(draw, True)
        size = places("max_pool", x.shape[-len(kernel) :], kernel, stride, padding, dilation, ceil_mode)
        return x, kernel, stride, tuple(p for p, _ in padding), dilation, size, draw.boolean()

    @staticmethod
    def oracle(
        torch: Any, x: Any, kernel: Any, stride: Any, before: Any, dilation: Any, size: Any, indices: bool
    ) -> Any:
        pool = getattr(torch.nn.functional, f"max_pool{len(kernel)}d")
        for ceil_mode in (False, True):
            result = pool(x, kernel, stride, before, dilation, ceil_mode, indices)
            if tuple((result[0] if indices else result).shape[-len(kernel) :]) == size:
                break
        return result
