"""Nearest, bilinear and trilinear resampling, on the GPU: csrc/resample.cu.

Volumes go through the kernels of images twice, over planes and along the depth.
"""

import struct
from typing import Any

from ..dispatch import kernel
from .pool import by_depth, by_planes, canonical_image, is_volume, takes


def bits(steps: tuple[float, ...]) -> tuple[int, ...]:
    """Compute the bits of float64 numbers as integers.

    Launchers take tuples of integers, and round numbers to float32.
    """
    return tuple(struct.unpack("<q", struct.pack("<d", s))[0] for s in steps)


@kernel(backend="csrc", composite=True, when=takes)
def upsample_nearest2d_forward(k: Any, x: Any, size: Any, steps: Any, offset: Any) -> Any:
    """nearest_resize, the steps as bits."""
    return k.nearest_resize(x, size, bits(steps), float(offset))


@kernel(backend="csrc", composite=True, when=takes)
def upsample_nearest2d_backward(k: Any, dy: Any, x_shape: Any, steps: Any, offset: Any) -> Any:
    """nearest_resize_backward, the steps as bits."""
    return k.nearest_resize_backward(dy, x_shape, bits(steps), float(offset))


@kernel(backend="csrc", composite=True, when=takes)
def upsample_bilinear2d_forward(k: Any, x: Any, size: Any, steps: Any, align_corners: Any) -> Any:
    """bilinear_resize, the steps as bits."""
    return k.bilinear_resize(x, size, bits(steps), align_corners)


@kernel(backend="csrc", composite=True, when=takes)
def upsample_bilinear2d_backward(k: Any, dy: Any, x_shape: Any, steps: Any, align_corners: Any) -> Any:
    """bilinear_resize_backward, the steps as bits."""
    return k.bilinear_resize_backward(dy, x_shape, bits(steps), align_corners)


def volumes_resized(k: Any, resize: Any, x: Any, size: Any, steps: Any, how: Any) -> Any:
    """Resample volumes as images, on planes, then along the depth."""
    x = by_planes(k, x, lambda p: resize(p, size[1:], steps[1:], how))
    return by_depth(x, lambda p: resize(p, (size[0], p.shape[3]), (steps[0], 1.0), how))


def volumes_resized_back(k: Any, back: Any, dy: Any, x_shape: Any, steps: Any, how: Any) -> Any:
    """Compute the gradient of that: along the depth, then on planes."""
    n, c, depth, *space = x_shape
    dy = by_depth(canonical_image(k, dy), lambda p: back(p, (n, c, depth, p.shape[3]), (steps[0], 1.0), how))
    return by_planes(k, dy, lambda p: back(p, (n * depth, c, *space), steps[1:], how))


@kernel(backend="csrc", composite=True, when=is_volume)
def upsample_nearest3d_forward(k: Any, x: Any, size: Any, steps: Any, offset: Any) -> Any:
    """upsample_nearest2d_forward twice."""
    return volumes_resized(k, k.upsample_nearest2d_forward, x, size, steps, offset)


@kernel(backend="csrc", composite=True, when=is_volume)
def upsample_nearest3d_backward(k: Any, dy: Any, x_shape: Any, steps: Any, offset: Any) -> Any:
    """upsample_nearest2d_backward twice."""
    return volumes_resized_back(k, k.upsample_nearest2d_backward, dy, x_shape, steps, offset)


@kernel(backend="csrc", composite=True, when=is_volume)
def upsample_trilinear3d_forward(k: Any, x: Any, size: Any, steps: Any, align_corners: Any) -> Any:
    """upsample_bilinear2d_forward twice."""
    return volumes_resized(k, k.upsample_bilinear2d_forward, x, size, steps, align_corners)


@kernel(backend="csrc", composite=True, when=is_volume)
def upsample_trilinear3d_backward(k: Any, dy: Any, x_shape: Any, steps: Any, align_corners: Any) -> Any:
    """upsample_bilinear2d_backward twice."""
    return volumes_resized_back(k, k.upsample_bilinear2d_backward, dy, x_shape, steps, align_corners)


def resized(x: Any, size: Any, *_: Any) -> list[tuple[int, ...]]:
    """(N, C, *size)."""
    return [(*x.shape[:2], *size)]


@kernel(backend="csrc", image="y x", out=resized, flops=lambda *_: 0)
def nearest_resize(y: Any, x: Any, size: Any, steps: Any, offset: Any) -> None:
    """y[i, j] = x[nearest(i), nearest(j)], nearest(i) = floor((i + offset) step)."""


@kernel(backend="csrc", image="dx dy", out=lambda dy, x_shape, *_: [x_shape], flops=lambda dy, *_: dy.size)
def nearest_resize_backward(dx: Any, dy: Any, x_shape: Any, steps: Any, offset: Any) -> None:
    """dx = the sum of dy over the output pixels that took this one."""


@kernel(backend="csrc", image="y x", out=resized, flops=lambda x, size, *_: 8 * x.size)
def bilinear_resize(y: Any, x: Any, size: Any, steps: Any, align_corners: Any) -> None:
    """y = (1 - down) ((1 - along) p + along q) + down ((1 - along) r + along s), the four pixels around."""


@kernel(backend="csrc", image="dx dy", out=lambda dy, x_shape, *_: [x_shape], flops=lambda dy, *_: 8 * dy.size)
def bilinear_resize_backward(dx: Any, dy: Any, x_shape: Any, steps: Any, align_corners: Any) -> None:
    """dx = the sum of dy times the weight this pixel had in each output pixel."""
