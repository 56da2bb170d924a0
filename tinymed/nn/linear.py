"""Fully connected layers and changes of shape."""

import math
from collections.abc import Sequence
from typing import Any

from ..annotations import Padding, Size
from ..tensor import Tensor
from . import functional as F
from .init_default import draw_default
from .module import Module, new_parameter


class Linear(Module):
    """Apply an affine map to the last axis: y = x weight^T + bias.

    Args:
        in_features: length of the input's last axis.
        out_features: length of the output's last axis.
        bias: whether a learned vector is added.  Default: True.

    Shape:
        Input (..., in_features); output (..., out_features); weight (out_features, in_features); bias (out_features,).

    Raises:
        ValueError: when called, for a last axis that is not in_features long.

    Example:
        >>> from tinymed import nn, ones
        >>> nn.Linear(8, 3)(ones(2, 8)).shape
        (2, 3)

    As `torch.nn.Linear`.
    """

    _makes_tensors = True

    def __init__(self, in_features: int, out_features: int, bias: bool = True):
        super().__init__()
        self.in_features, self.out_features = in_features, out_features
        self.weight = new_parameter(out_features, in_features)
        self.bias = new_parameter(out_features) if bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw weight and bias uniformly from +-1 / sqrt(in_features), PyTorch's default."""
        draw_default(self.weight, self.bias)

    def forward(self, input: Tensor) -> Any:
        return F.linear(input, self.weight, self.bias)

    def extra_repr(self) -> str:
        return f"in_features={self.in_features}, out_features={self.out_features}, bias={self.bias is not None}"


class Identity(Module):
    """Return the input; any arguments of the constructor are taken and ignored.

    Shape:
        Input of any shape; output the same tensor.

    Example:
        >>> from tinymed import nn, ones
        >>> x = ones(2, 3)
        >>> nn.Identity()(x) is x
        True

    As `torch.nn.Identity`.
    """

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__()

    def forward(self, input: Tensor) -> Any:
        return input


class Flatten(Module):
    """Join the axes start_dim to end_dim into one.

    Args:
        start_dim: the first axis joined.  Default: 1, which keeps the batch.
        end_dim: the last axis joined.  Default: -1.

    Shape:
        Input (N, ...); output (N, product of the other sides) by default.

    Raises:
        IndexError: when called, for an axis that the input does not have.

    Example:
        >>> from tinymed import nn, ones
        >>> nn.Flatten()(ones(2, 3, 4, 4)).shape
        (2, 48)

    As `torch.nn.Flatten`.
    """

    def __init__(self, start_dim: int = 1, end_dim: int = -1):
        super().__init__()
        self.start_dim, self.end_dim = start_dim, end_dim

    def forward(self, input: Tensor) -> Any:
        return F.flatten(input, self.start_dim, self.end_dim)

    def extra_repr(self) -> str:
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"


class Unflatten(Module):
    """Split an axis into several.

    Args:
        dim: the axis split.
        unflattened_size: the sizes it gets; one of them may be -1 and follows from the others.

    Shape:
        Input (..., n, ...); output (..., *unflattened_size, ...), whose product is n.

    Raises:
        ValueError: the sizes do not multiply to the length of the axis.

    Example:
        >>> from tinymed import nn, ones
        >>> nn.Unflatten(1, (3, -1))(ones(2, 12)).shape
        (2, 3, 4)

    As `torch.nn.Unflatten`, without named dimensions.
    """

    def __init__(self, dim: int, unflattened_size: Sequence[int]):
        super().__init__()
        self.dim, self.unflattened_size = dim, tuple(unflattened_size)

    def forward(self, input: Tensor) -> Any:
        axis = self.dim % len(input.shape)
        shape = (*input.shape[:axis], *self.unflattened_size, *input.shape[axis + 1 :])
        known = math.prod(n for n in self.unflattened_size if n != -1)
        if input.shape[axis] % known if -1 in self.unflattened_size and known else input.shape[axis] != known:
            raise ValueError(
                f"Unflatten: axis {self.dim} of length {input.shape[axis]} does not become "
                f"{list(self.unflattened_size)}"
            )
        return F.reshape(input, shape)

    def extra_repr(self) -> str:
        return f"dim={self.dim}, unflattened_size={self.unflattened_size}"


class Upsample(Module):
    """Resample images to `size`, or by `scale_factor`.

    Args:
        size: output sides, an integer or one for each axis of space.  Give this or scale_factor.
        scale_factor: output side / input side, a number or one for each axis of space.
        mode: "nearest", "nearest-exact", "linear" (3 axes), "bilinear" (4), "bicubic" (4), "trilinear" (5) or "area".
            Default: "nearest".
        align_corners: whether the centres of the corner pixels stay in place, instead of the corners of the image; not
            for the nearest modes.  Default: None, which is False.
        recompute_scale_factor: whether the scale is computed again from the rounded output size.  Default: None.

    Shape:
        Input (N, C, *space); output (N, C, *size).

    Raises:
        ValueError: when called, for a mode that does not fit the number of axes, or for both or neither of size and
            scale_factor.

    Example:
        >>> from tinymed import nn, tensor
        >>> nn.Upsample(scale_factor=2)(tensor([[[[1.0, 2.0]]]])).tolist()
        [[[[1.0, 1.0, 2.0, 2.0], [1.0, 1.0, 2.0, 2.0]]]]

    As `torch.nn.Upsample`.
    """

    def __init__(
        self,
        size: Any = None,
        scale_factor: Any = None,
        mode: str = "nearest",
        align_corners: bool | None = None,
        recompute_scale_factor: bool | None = None,
    ):
        super().__init__()
        self.size, self.scale_factor, self.mode, self.align_corners = size, scale_factor, mode, align_corners
        self.recompute_scale_factor = recompute_scale_factor

    def forward(self, input: Tensor) -> Any:
        return F.interpolate(
            input, self.size, self.scale_factor, self.mode, self.align_corners, self.recompute_scale_factor
        )

    def extra_repr(self) -> str:
        what = f"scale_factor={self.scale_factor}" if self.scale_factor is not None else f"size={self.size}"
        return f"{what}, mode={self.mode!r}"


class UpsamplingNearest2d(Upsample):
    """Resample images (N, C, H, W) by the nearest pixel.

    Args:
        size: output sides (H_out, W_out), or an integer for both.  Give this or scale_factor.
        scale_factor: output side / input side, a number or two.

    Shape:
        Input (N, C, H, W); output (N, C, H_out, W_out).

    Raises:
        ValueError: when called, for both or neither of size and scale_factor.

    Example:
        >>> from tinymed import nn, ones
        >>> nn.UpsamplingNearest2d(scale_factor=2)(ones(1, 3, 4, 5)).shape
        (1, 3, 8, 10)

    As `torch.nn.UpsamplingNearest2d`.
    """

    def __init__(self, size: Any = None, scale_factor: Any = None):
        super().__init__(size, scale_factor, "nearest")


class UpsamplingBilinear2d(Upsample):
    """Resample images (N, C, H, W) bilinearly; the centres of the corner pixels stay in the corners.

    Args:
        size: output sides (H_out, W_out), or an integer for both.  Give this or scale_factor.
        scale_factor: output side / input side, a number or two.

    Shape:
        Input (N, C, H, W); output (N, C, H_out, W_out).

    Raises:
        ValueError: when called, for both or neither of size and scale_factor.

    Example:
        >>> from tinymed import nn, tensor
        >>> nn.UpsamplingBilinear2d(size=(1, 3))(tensor([[[[0.0, 2.0]]]])).tolist()
        [[[[0.0, 1.0, 2.0]]]]

    As `torch.nn.UpsamplingBilinear2d`: mode "bilinear" with align_corners=True.
    """

    def __init__(self, size: Any = None, scale_factor: Any = None):
        super().__init__(size, scale_factor, "bilinear", True)


class PixelShuffle(Module):
    """Move channels into space: r^2 channels become blocks of r x r pixels, with r = upscale_factor.

    Args:
        upscale_factor: r, the factor by which each side grows.

    Shape:
        Input (..., C r^2, H, W); output (..., C, H r, W r).

    Raises:
        ValueError: when called, for channels that r^2 does not divide.

    Example:
        >>> from tinymed import nn, tensor
        >>> nn.PixelShuffle(2)(tensor([[[[0.0]], [[1.0]], [[2.0]], [[3.0]]]])).tolist()
        [[[[0.0, 1.0], [2.0, 3.0]]]]

    Reference:
        Shi et al., "Real-time single image and video super-resolution using an efficient sub-pixel convolutional neural
        network", 2016.

    As `torch.nn.PixelShuffle`.
    """

    def __init__(self, upscale_factor: int):
        super().__init__()
        self.upscale_factor = upscale_factor

    def forward(self, input: Tensor) -> Any:
        return F.pixel_shuffle(input, self.upscale_factor)

    def extra_repr(self) -> str:
        return f"upscale_factor={self.upscale_factor}"


class PixelUnshuffle(Module):
    """Move space into channels, as PixelShuffle's inverse: blocks of r x r pixels become r^2 channels.

    Args:
        downscale_factor: r, the number by which each side is divided.

    Shape:
        Input (..., C, H r, W r); output (..., C r^2, H, W).

    Raises:
        ValueError: when called, for sides that r does not divide.

    Example:
        >>> from tinymed import nn, ones
        >>> nn.PixelUnshuffle(2)(ones(1, 3, 8, 6)).shape
        (1, 12, 4, 3)

    As `torch.nn.PixelUnshuffle`.
    """

    def __init__(self, downscale_factor: int):
        super().__init__()
        self.downscale_factor = downscale_factor

    def forward(self, input: Tensor) -> Any:
        return F.pixel_unshuffle(input, self.downscale_factor)

    def extra_repr(self) -> str:
        return f"downscale_factor={self.downscale_factor}"


class Unfold(Module):
    """Gather the sliding blocks of images as columns (im2col).

    Args:
        kernel_size: sides of a block, an integer or two.
        dilation: pixels between neighbouring elements of a block.  Default: 1.
        padding: pixels of zeros added on both ends of each axis.  Default: 0.
        stride: pixels between neighbouring blocks.  Default: 1.

    Shape:
        Input (N, C, H, W); output (N, C k_h k_w, number of blocks).

    Raises:
        ValueError: when called, for images smaller than a block.

    Example:
        >>> from tinymed import nn, ones
        >>> nn.Unfold(2)(ones(1, 3, 4, 4)).shape
        (1, 12, 9)

    As `torch.nn.Unfold`.
    """

    def __init__(self, kernel_size: Size, dilation: Size = 1, padding: Padding = 0, stride: Size = 1):
        super().__init__()
        self.kernel_size, self.dilation, self.padding, self.stride = kernel_size, dilation, padding, stride

    def forward(self, input: Tensor) -> Any:
        return F.unfold(input, self.kernel_size, self.dilation, self.padding, self.stride)

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, dilation={self.dilation}, padding={self.padding}, stride={self.stride}"


class Fold(Module):
    """Add up columns of blocks to images: the transpose of Unfold (col2im).

    Args:
        output_size: sides (H, W) of the images, or an integer for both.
        kernel_size: sides of a block, an integer or two.
        dilation: pixels between neighbouring elements of a block.  Default: 1.
        padding: pixels that Unfold added on both ends, which are taken off.  Default: 0.
        stride: pixels between neighbouring blocks.  Default: 1.

    Shape:
        Input (N, C k_h k_w, number of blocks); output (N, C, *output_size).

    Raises:
        ValueError: when called, for columns that are not those of such blocks.

    Example:
        >>> from tinymed import nn, ones
        >>> columns = nn.Unfold(2)(ones(1, 1, 3, 3))
        >>> nn.Fold(3, 2)(columns).tolist()
        [[[[1.0, 2.0, 1.0], [2.0, 4.0, 2.0], [1.0, 2.0, 1.0]]]]

    As `torch.nn.Fold`.
    """

    def __init__(
        self, output_size: Size, kernel_size: Size, dilation: Size = 1, padding: Padding = 0, stride: Size = 1
    ):
        super().__init__()
        self.output_size, self.kernel_size = output_size, kernel_size
        self.dilation, self.padding, self.stride = dilation, padding, stride

    def forward(self, input: Tensor) -> Any:
        return F.fold(input, self.output_size, self.kernel_size, self.dilation, self.padding, self.stride)

    def extra_repr(self) -> str:
        return (
            f"output_size={self.output_size}, kernel_size={self.kernel_size}, dilation={self.dilation}, "
            f"padding={self.padding}, stride={self.stride}"
        )


class ChannelShuffle(Module):
    """Interleave the groups of channels: one channel from each group in turn.

    Args:
        groups: equal groups into which the channels are divided.

    Shape:
        Input (N, C, *space); output the same shape.

    Raises:
        ValueError: when called, for channels that groups does not divide.

    Example:
        >>> from tinymed import arange, nn
        >>> nn.ChannelShuffle(2)(arange(4.0).reshape(1, 4, 1)).flatten().tolist()
        [0.0, 2.0, 1.0, 3.0]

    Reference:
        Zhang et al., "ShuffleNet: an extremely efficient convolutional neural network for mobile devices", 2018.

    As `torch.nn.ChannelShuffle`.
    """

    def __init__(self, groups: int):
        super().__init__()
        self.groups = groups

    def forward(self, input: Tensor) -> Any:
        return F.channel_shuffle(input, self.groups)

    def extra_repr(self) -> str:
        return f"groups={self.groups}"
