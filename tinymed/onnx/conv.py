"""Conv and ConvTranspose."""

from typing import Any

from ..nn import functional as F
from ..ops.conv_transpose import ConvTranspose
from ..ops.space import extent
from .table import Node, operator, sized
from .windows import borders, by_rank, halves, per_axis, window


@operator("Conv")
def conv(node: Node, x: Any, weight: Any, bias: Any = None) -> Any:
    """Return the convolution of (N, C, *space) with filters (O, C / group, *kernel), over one to three axes."""
    how = window(node, x.shape[2:], check_kernel(node, x, weight), x.shape[:2])
    sized(node, (x.shape[0], weight.shape[0], *how.size))
    function = by_rank((F.conv1d, F.conv2d, F.conv3d), len(how.kernel))
    return function(x, weight, bias, how.stride, how.padding, how.dilation, node.get("group", 1))


@operator("ConvTranspose")
def conv_transpose(node: Node, x: Any, weight: Any, bias: Any = None) -> Any:
    """Return the transposed convolution with filters (C, O / group, *kernel).

    Along each axis the output has stride (n - 1) + output_padding + reach - border pixels; output_shape, or auto_pad
    (stride n), sets the border instead of pads.
    """
    kernel, groups = check_kernel(node, x, weight), node.get("group", 1)
    space, rank = x.shape[2:], len(kernel)
    stride, dilation = per_axis(node, "strides", rank), per_axis(node, "dilations", rank)
    extra, reach = per_axis(node, "output_padding", rank, 0), extent(kernel, dilation)
    if x.shape[1] != weight.shape[0] or x.shape[1] % groups:
        raise ValueError(
            f"{node}: x has {x.shape[1]} channels, W of shape {list(weight.shape)} expects "
            f"{weight.shape[0]}, in {groups} groups of equal size"
        )
    auto = node.get("auto_pad", "NOTSET")
    wanted = node.get("output_shape") or ([n * s for n, s in zip(space, stride, strict=True)] if "SAME" in auto else [])
    full = [(n - 1) * s + p + e for n, s, p, e in zip(space, stride, extra, reach, strict=True)]
    if wanted:
        cut = tuple(halves(f - w, auto == "SAME_UPPER") for f, w in zip(full, wanted[-rank:], strict=True))
    else:
        cut, _ = borders(node, space, reach, stride)
    size = sized(node, [f - sum(c) for f, c in zip(full, cut, strict=True)])
    if min(size) < 1:
        raise ValueError(f"{node}: the output would have {list(size)} pixels; it takes less padding")
    cut = tuple((a, b - p) for (a, b), p in zip(cut, extra, strict=True))
    return ConvTranspose.apply(x, weight, bias, stride, cut, dilation, groups)


def check_kernel(node: Node, x: Any, weight: Any) -> tuple[int, ...]:
    """Return the filters' axes of space, which kernel_shape repeats if it is there."""
    kernel = tuple(weight.shape[2:])
    if len(weight.shape) != len(x.shape) or tuple(node.get("kernel_shape") or kernel) != kernel:
        raise ValueError(
            f"{node}: X has shape {list(x.shape)}, W {list(weight.shape)}, kernel_shape is "
            f"{node.get('kernel_shape')}; W takes as many axes as X, and those lengths"
        )
    return kernel
