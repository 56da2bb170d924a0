"""Pooling of two and three axes of space, on the GPU: csrc/pool.cu, pool3d.cu and adaptive_pool.cu.

A mean over a box of voxels is a mean over planes, then one along the depth: twice through the kernels of images.
"""

import math
from typing import Any

from ..dispatch import kernel
from ..memory import canonical_order, is_dense
from ..ops.max_pool import winner_shapes


def takes(x: Any, *_: Any) -> bool:
    """float32 images."""
    return bool(x.ndim == 4 and x.dtype.char == "f")


def is_volume(x: Any, *_: Any) -> bool:
    """float32 volumes that have elements."""
    return bool(x.ndim == 5 and x.dtype.char == "f" and x.size)


def canonical_image(k: Any, x: Any) -> Any:
    """Return an image or volume with its channels last in memory."""
    order = canonical_order("image", x.ndim)
    return x if is_dense(x, order) else k.canonical(x, order)


def by_planes(k: Any, x: Any, each: Any) -> Any:
    """Return what a kernel of images makes of each plane of volumes."""
    n, c, depth, *space = x.shape
    planes = canonical_image(k, x).transpose(0, 2, 1, 3, 4).reshape(n * depth, c, *space)
    y = canonical_image(k, each(planes))
    return y.reshape(n, depth, c, *y.shape[2:]).transpose(0, 2, 1, 3, 4)


def by_depth(x: Any, each: Any) -> Any:
    """Return what a kernel of images makes of volumes whose lines of voxels are one axis, so that it works on depth."""
    n, c, depth, height, width = x.shape
    y = each(x.reshape(n, c, depth, height * width))
    return y.reshape(n, c, y.shape[2], height, width)


def halves(kernel: Any, stride: Any, before: Any, dilation: Any, space: Any, size: Any) -> bool:
    """Return whether windows are 2 x 2 at stride 2, inside the image: most networks' only pooling."""
    plain = (kernel, stride, before, dilation) == ((2, 2), (2, 2), (0, 0), (1, 1))
    return bool(plain and 2 * size[0] <= space[0] and 2 * size[1] <= space[1])


@kernel(backend="csrc", composite=True, when=takes)
def max_pool2d_forward(k: Any, x: Any, kernel: Any, stride: Any, before: Any, dilation: Any, size: Any) -> Any:
    """max_pool_2x2 for 2 x 2 windows at stride 2, else max_window."""
    if halves(kernel, stride, before, dilation, x.shape[2:], size):
        return k.max_pool_2x2(x, size)
    window = k.max_window if math.prod(kernel) <= 256 else k.max_window_wide
    return window(x, kernel, stride, before, dilation, size)


@kernel(backend="csrc", composite=True, when=takes)
def max_pool2d_backward(
    k: Any, dy: Any, index: Any, x_shape: Any, kernel: Any, stride: Any, before: Any, dilation: Any
) -> Any:
    """max_pool_2x2_backward for 2 x 2 windows at stride 2, else max_window_backward."""
    if halves(kernel, stride, before, dilation, x_shape[2:], dy.shape[2:]):
        return k.max_pool_2x2_backward(dy, index, x_shape)
    window = k.max_window_backward if index.dtype == "uint8" else k.max_window_wide_backward
    return window(dy, index, x_shape, kernel, stride, before, dilation)


@kernel(
    backend="csrc", image="y index x", out=lambda x, size: winner_shapes(x, (2, 2), size), flops=lambda x, size: x.size
)
def max_pool_2x2(y: Any, index: Any, x: Any, size: Any) -> None:
    """y, index = the largest of the four pixels of each 2 x 2 window, and which (0, 1 / 2, 3) it was."""


@kernel(backend="csrc", image="dx dy index", out=lambda dy, index, x_shape: [x_shape], flops=lambda dy, *_: dy.size)
def max_pool_2x2_backward(dx: Any, dy: Any, index: Any, x_shape: Any) -> None:
    """dx = dy at the pixel that won its 2 x 2 window, 0 at the others and in a last odd row or column."""


@kernel(
    backend="csrc",
    image="y index x",
    flops=lambda x, *_: x.size,
    out=lambda x, kernel, stride, before, dilation, size: winner_shapes(x, kernel, size),
)
def max_window(y: Any, index: Any, x: Any, kernel: Any, stride: Any, before: Any, dilation: Any, size: Any) -> None:
    """y, index = the largest pixel of each window and the number of its tap; taps in the padding never win."""


@kernel(backend="csrc", image="dx dy index", out=lambda dy, index, x_shape, *_: [x_shape], flops=lambda dy, *_: dy.size)
def max_window_backward(
    dx: Any, dy: Any, index: Any, x_shape: Any, kernel: Any, stride: Any, before: Any, dilation: Any
) -> None:
    """dx = the dy of each window that the pixel won."""


@kernel(
    backend="csrc",
    image="y index x",
    flops=lambda x, *_: x.size,
    out=lambda x, kernel, stride, before, dilation, size: winner_shapes(x, kernel, size),
)
def max_window_wide(
    y: Any, index: Any, x: Any, kernel: Any, stride: Any, before: Any, dilation: Any, size: Any
) -> None:
    """max_window for windows of more taps than a byte can count."""


@kernel(backend="csrc", image="dx dy index", out=lambda dy, index, x_shape, *_: [x_shape], flops=lambda dy, *_: dy.size)
def max_window_wide_backward(
    dx: Any, dy: Any, index: Any, x_shape: Any, kernel: Any, stride: Any, before: Any, dilation: Any
) -> None:
    """max_window_backward for the argmax of max_window_wide."""


# ------------------------------------------------------------------------------------------------------- mean


def flat(padding: Any) -> tuple[int, ...]:
    """((above, below), (before, after)) as a launcher takes it."""
    return tuple(n for pair in padding for n in pair)


@kernel(backend="csrc", composite=True, when=takes)
def avg_pool2d_forward(
    k: Any, x: Any, kernel: Any, stride: Any, padding: Any, size: Any, include_pad: Any, divisor: Any
) -> Any:
    """avg_window, the padding in one tuple."""
    return k.avg_window(x, kernel, stride, flat(padding), size, include_pad, divisor)


@kernel(backend="csrc", composite=True, when=takes)
def avg_pool2d_backward(
    k: Any, dy: Any, x_shape: Any, kernel: Any, stride: Any, padding: Any, include_pad: Any, divisor: Any
) -> Any:
    """avg_window_backward, the padding in one tuple."""
    return k.avg_window_backward(dy, x_shape, kernel, stride, flat(padding), include_pad, divisor)


@kernel(
    backend="csrc",
    image="y x",
    out=lambda x, kernel, stride, padding, size, *_: [(*x.shape[:2], *size)],
    flops=lambda x, *_: x.size,
)
def avg_window(
    y: Any, x: Any, kernel: Any, stride: Any, padding: Any, size: Any, include_pad: Any, divisor: Any
) -> None:
    """y = the sum of x over each window / its number of pixels, or / divisor if not 0."""


@kernel(backend="csrc", image="dx dy", out=lambda dy, x_shape, *_: [x_shape], flops=lambda dy, *_: dy.size)
def avg_window_backward(
    dx: Any, dy: Any, x_shape: Any, kernel: Any, stride: Any, padding: Any, include_pad: Any, divisor: Any
) -> None:
    """dx = the sum of dy / the window's pixels (or divisor) over the windows the pixel lies in."""


@kernel(backend="csrc", image="y x", when=takes)
def adaptive_avg_pool2d_forward(y: Any, x: Any, size: Any) -> None:
    """y[i, j] = the mean of x over rows floor(i H / h) to ceil((i + 1) H / h), columns likewise."""


@kernel(backend="csrc", image="dx dy", when=takes)
def adaptive_avg_pool2d_backward(dx: Any, dy: Any, x_shape: Any) -> None:
    """dx = the sum of dy / the box's pixels over the boxes the pixel lies in."""


# -------------------------------------------------------------------------------------------- maxima and positions


@kernel(backend="csrc", image="y index x", when=lambda x, size: x.dtype.char == "f" and x.ndim in (4, 5))
def adaptive_max_pool_forward(y: Any, index: Any, x: Any, size: Any) -> None:
    """y, index = the largest x of each of `size` parts, and its position in the flattened axes of space."""


@kernel(backend="csrc", composite=True, when=lambda index, *_: index.dtype.name in ("uint8", "int32"))
def tap_to_flat(k: Any, index: Any, *how: Any) -> Any:
    """positions_of_bytes, or positions_of_words."""
    return (k.positions_of_bytes if index.dtype.char == "B" else k.positions_of_words)(index, *how)


def long_alike(index: Any, *_: Any) -> list[Any]:
    """Return one output of int64 in the input's shape."""
    return [(index.shape, "int64")]


def has_taps(index: Any, *_: Any) -> bool:
    """Return whether these are images or volumes of integers."""
    return bool(index.dtype.kind in "ui" and index.ndim in (4, 5))


@kernel(backend="csrc", image="y index", out=long_alike, flops=lambda *_: 0, when=has_taps)
def positions_of_bytes(y: Any, index: Any, space: Any, kernel: Any, stride: Any, before: Any, dilation: Any) -> None:
    """y = where in the flattened axes of space lies what the index names by the number of its tap."""


@kernel(backend="csrc", image="y index", out=long_alike, flops=lambda *_: 0, when=has_taps)
def positions_of_words(y: Any, index: Any, space: Any, kernel: Any, stride: Any, before: Any, dilation: Any) -> None:
    """positions_of_bytes for windows of more taps than a byte can count."""


# ------------------------------------------------------------------------------------------------------- volumes


@kernel(backend="csrc", composite=True, when=is_volume)
def max_pool3d_forward(k: Any, x: Any, kernel: Any, stride: Any, before: Any, dilation: Any, size: Any) -> Any:
    """max_volume, or max_volume_wide for windows of many taps."""
    window = k.max_volume if math.prod(kernel) <= 256 else k.max_volume_wide
    return window(x, kernel, stride, before, dilation, size)


@kernel(backend="csrc", composite=True, when=is_volume)
def max_pool3d_backward(k: Any, dy: Any, index: Any, x_shape: Any, *how: Any) -> Any:
    """max_volume_backward, or max_volume_wide_backward."""
    window = k.max_volume_backward if index.dtype == "uint8" else k.max_volume_wide_backward
    return window(dy, index, x_shape, *how)


@kernel(
    backend="csrc",
    image="y index x",
    flops=lambda x, *_: x.size,
    out=lambda x, kernel, stride, before, dilation, size: winner_shapes(x, kernel, size),
)
def max_volume(y: Any, index: Any, x: Any, kernel: Any, stride: Any, before: Any, dilation: Any, size: Any) -> None:
    """max_window with one axis more."""


@kernel(backend="csrc", image="dx dy index", out=lambda dy, index, x_shape, *_: [x_shape], flops=lambda dy, *_: dy.size)
def max_volume_backward(
    dx: Any, dy: Any, index: Any, x_shape: Any, kernel: Any, stride: Any, before: Any, dilation: Any
) -> None:
    """max_window_backward with one axis more."""


@kernel(
    backend="csrc",
    image="y index x",
    flops=lambda x, *_: x.size,
    out=lambda x, kernel, stride, before, dilation, size: winner_shapes(x, kernel, size),
)
def max_volume_wide(
    y: Any, index: Any, x: Any, kernel: Any, stride: Any, before: Any, dilation: Any, size: Any
) -> None:
    """max_volume for windows of more taps than a byte can count."""


@kernel(backend="csrc", image="dx dy index", out=lambda dy, index, x_shape, *_: [x_shape], flops=lambda dy, *_: dy.size)
def max_volume_wide_backward(
    dx: Any, dy: Any, index: Any, x_shape: Any, kernel: Any, stride: Any, before: Any, dilation: Any
) -> None:
    """max_volume_backward for the argmax of max_volume_wide."""


@kernel(backend="csrc", composite=True, when=is_volume)
def avg_pool3d_forward(
    k: Any, x: Any, kernel: Any, stride: Any, padding: Any, size: Any, include_pad: Any, divisor: Any
) -> Any:
    """avg_window over planes, then along the depth."""
    x = by_planes(
        k, x, lambda p: k.avg_window(p, kernel[1:], stride[1:], flat(padding[1:]), size[1:], include_pad, divisor)
    )
    deep = flat((padding[0], (0, 0)))
    return by_depth(
        x,
        lambda p: k.avg_window(
            p, (kernel[0], 1), (stride[0], 1), deep, (size[0], p.shape[3]), include_pad, int(divisor != 0)
        ),
    )


@kernel(backend="csrc", composite=True, when=is_volume)
def avg_pool3d_backward(
    k: Any, dy: Any, x_shape: Any, kernel: Any, stride: Any, padding: Any, include_pad: Any, divisor: Any
) -> Any:
    """avg_window_backward along the depth, then over planes."""
    (n, c, depth, *space), deep = x_shape, flat((padding[0], (0, 0)))
    dy = by_depth(
        canonical_image(k, dy),
        lambda p: k.avg_window_backward(
            p, (n, c, depth, p.shape[3]), (kernel[0], 1), (stride[0], 1), deep, include_pad, int(divisor != 0)
        ),
    )
    return by_planes(
        k,
        dy,
        lambda p: k.avg_window_backward(
            p, (n * depth, c, *space), kernel[1:], stride[1:], flat(padding[1:]), include_pad, divisor
        ),
    )


@kernel(backend="csrc", composite=True, when=is_volume)
def adaptive_avg_pool3d_forward(k: Any, x: Any, size: Any) -> Any:
    """adaptive_avg_pool2d_forward over planes, then along the depth."""
    x = by_planes(k, x, lambda p: k.adaptive_avg_pool2d_forward(p, size[1:]))
    return by_depth(x, lambda p: k.adaptive_avg_pool2d_forward(p, (size[0], p.shape[3])))


@kernel(backend="csrc", composite=True, when=is_volume)
def adaptive_avg_pool3d_backward(k: Any, dy: Any, x_shape: Any) -> Any:
    """adaptive_avg_pool2d_backward along the depth, then over planes."""
    n, c, depth, *space = x_shape
    dy = by_depth(canonical_image(k, dy), lambda p: k.adaptive_avg_pool2d_backward(p, (n, c, depth, p.shape[3])))
    return by_planes(k, dy, lambda p: k.adaptive_avg_pool2d_backward(p, (n * depth, c, *space)))
