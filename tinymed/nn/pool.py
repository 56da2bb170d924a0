"""Pooling layers."""

from collections.abc import Sequence
from typing import Any, ClassVar

from ..tensor import Tensor
from . import functional as F
from .module import Module

Size = int | Sequence[int]


class MaxPool(Module):
    """Take the largest element of each window, of equal ones the first; the edge is padded with -inf."""

    axes: ClassVar[int]

    def __init__(
        self,
        kernel_size: Size,
        stride: Size | None = None,
        padding: Size = 0,
        dilation: Size = 1,
        return_indices: bool = False,
        ceil_mode: bool = False,
    ):
        super().__init__()
        self.kernel_size, self.stride = kernel_size, kernel_size if stride is None else stride
        self.padding, self.dilation, self.return_indices, self.ceil_mode = padding, dilation, return_indices, ceil_mode

    def forward(self, input: Tensor) -> Any:
        pool = (F.max_pool1d, F.max_pool2d, F.max_pool3d)[self.axes - 1]
        return pool(
            input, self.kernel_size, self.stride, self.padding, self.dilation, self.ceil_mode, self.return_indices
        )

    def extra_repr(self) -> str:
        return (
            f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}, "
            f"dilation={self.dilation}, ceil_mode={self.ceil_mode}"
        )


class MaxPool1d(MaxPool):
    """Take the largest element of each window of sequences; of equal ones the first.

    Args:
        kernel_size: sides of a window, an integer.
        stride: pixels between neighbouring windows.  Default: kernel_size.
        padding: pixels of -inf added on both ends of an axis, at most half of kernel_size.  Default: 0.
        dilation: pixels between neighbouring elements of a window.  Default: 1.
        return_indices: whether the flat index of each maximum in its channel is returned too, for MaxUnpool1d. Default:
            False.
        ceil_mode: whether a last window that the edge cuts short counts.  Default: False.

    Shape:
        Input (N, C, L); output (N, C, L_out), each side floor((side + 2 padding - dilation (kernel_size - 1) - 1) /
        stride) + 1; with return_indices a pair of that shape.  N may be left out.

    Raises:
        ValueError: when called, for a padding above half of kernel_size or a window larger than the padded input.

    Example:
        >>> from tinymed import nn, tensor
        >>> nn.MaxPool1d(4)(tensor([[[1.0, 3.0, 2.0, 0.0]]])).tolist()
        [[[3.0]]]

    As `torch.nn.MaxPool1d`.
    """

    axes = 1


class MaxPool2d(MaxPool):
    """Take the largest element of each window of images; of equal ones the first.

    Args:
        kernel_size: sides of a window, an integer, or 2 of them.
        stride: pixels between neighbouring windows.  Default: kernel_size.
        padding: pixels of -inf added on both ends of an axis, at most half of kernel_size.  Default: 0.
        dilation: pixels between neighbouring elements of a window.  Default: 1.
        return_indices: whether the flat index of each maximum in its channel is returned too, for MaxUnpool2d. Default:
            False.
        ceil_mode: whether a last window that the edge cuts short counts.  Default: False.

    Shape:
        Input (N, C, H, W); output (N, C, H_out, W_out), each side floor((side + 2 padding - dilation (kernel_size - 1)
        - 1) / stride) + 1; with return_indices a pair of that shape.  N may be left out.

    Raises:
        ValueError: when called, for a padding above half of kernel_size or a window larger than the padded input.

    Example:
        >>> from tinymed import nn, tensor
        >>> nn.MaxPool2d(2)(tensor([[[[1.0, 3.0], [2.0, 0.0]]]])).tolist()
        [[[[3.0]]]]

    As `torch.nn.MaxPool2d`.
    """

    axes = 2


class MaxPool3d(MaxPool):
    """Take the largest element of each window of volumes; of equal ones the first.

    Args:
        kernel_size: sides of a window, an integer, or 3 of them.
        stride: pixels between neighbouring windows.  Default: kernel_size.
        padding: pixels of -inf added on both ends of an axis, at most half of kernel_size.  Default: 0.
        dilation: pixels between neighbouring elements of a window.  Default: 1.
        return_indices: whether the flat index of each maximum in its channel is returned too, for MaxUnpool3d. Default:
            False.
        ceil_mode: whether a last window that the edge cuts short counts.  Default: False.

    Shape:
        Input (N, C, D, H, W); output (N, C, D_out, H_out, W_out), each side floor((side + 2 padding - dilation
        (kernel_size - 1) - 1) / stride) + 1; with return_indices a pair of that shape.  N may be left out.

    Raises:
        ValueError: when called, for a padding above half of kernel_size or a window larger than the padded input.

    Example:
        >>> from tinymed import nn, tensor
        >>> nn.MaxPool3d((1, 2, 2))(tensor([[[[[1.0, 3.0], [2.0, 0.0]]]]])).tolist()
        [[[[[3.0]]]]]

    As `torch.nn.MaxPool3d`.
    """

    axes = 3


class AvgPool(Module):
    """Take the mean of each window; count_include_pad says whether the padding's zeros count."""

    axes: ClassVar[int]

    def __init__(
        self,
        kernel_size: Size,
        stride: Size | None = None,
        padding: Size = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ):
        super().__init__()
        self.kernel_size, self.stride = kernel_size, kernel_size if stride is None else stride
        self.padding, self.ceil_mode, self.count_include_pad = padding, ceil_mode, count_include_pad

    def forward(self, input: Tensor) -> Any:
        return F.avg_pool1d(input, self.kernel_size, self.stride, self.padding, self.ceil_mode, self.count_include_pad)

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class AvgPool1d(AvgPool):
    """Take the mean of each window of sequences.

    Args:
        kernel_size: sides of a window, an integer.
        stride: pixels between neighbouring windows.  Default: kernel_size.
        padding: pixels of zeros added on both ends of an axis, at most half of kernel_size.  Default: 0.
        ceil_mode: whether a last window that the edge cuts short counts.  Default: False.
        count_include_pad: whether the padding's zeros count as elements of the mean.  Default: True.

    Shape:
        Input (N, C, L); output (N, C, L_out), each side floor((side + 2 padding - kernel_size) / stride) + 1.  N may be
        left out.

    Raises:
        ValueError: when called, for a padding above half of kernel_size or a window larger than the padded input.

    Example:
        >>> from tinymed import nn, tensor
        >>> nn.AvgPool1d(4)(tensor([[[1.0, 3.0, 2.0, 0.0]]])).tolist()
        [[[1.5]]]

    As `torch.nn.AvgPool1d`.
    """

    axes = 1


class DividedAvgPool(AvgPool):
    """Average windows whose sums may be divided by another number, divisor_override."""

    def __init__(
        self,
        kernel_size: Size,
        stride: Size | None = None,
        padding: Size = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ):
        super().__init__(kernel_size, stride, padding, ceil_mode, count_include_pad)
        self.divisor_override = divisor_override

    def forward(self, input: Tensor) -> Any:
        pool = (F.avg_pool2d, F.avg_pool3d)[self.axes - 2]
        window = (self.kernel_size, self.stride, self.padding, self.ceil_mode)
        return pool(input, *window, self.count_include_pad, self.divisor_override)


class AvgPool2d(DividedAvgPool):
    """Take the mean of each window of images.

    Args:
        kernel_size: sides of a window, an integer, or 2 of them.
        stride: pixels between neighbouring windows.  Default: kernel_size.
        padding: pixels of zeros added on both ends of an axis, at most half of kernel_size.  Default: 0.
        ceil_mode: whether a last window that the edge cuts short counts.  Default: False.
        count_include_pad: whether the padding's zeros count as elements of the mean.  Default: True.
        divisor_override: the number that the sum of a window is divided by, instead of its size.  Default: None.

    Shape:
        Input (N, C, H, W); output (N, C, H_out, W_out), each side floor((side + 2 padding - kernel_size) / stride) + 1.
        N may be left out.

    Raises:
        ValueError: when called, for a padding above half of kernel_size or a window larger than the padded input.

    Example:
        >>> from tinymed import nn, tensor
        >>> nn.AvgPool2d(2)(tensor([[[[1.0, 3.0], [2.0, 0.0]]]])).tolist()
        [[[[1.5]]]]

    As `torch.nn.AvgPool2d`.
    """

    axes = 2


class AvgPool3d(DividedAvgPool):
    """Take the mean of each window of volumes.

    Args:
        kernel_size: sides of a window, an integer, or 3 of them.
        stride: pixels between neighbouring windows.  Default: kernel_size.
        padding: pixels of zeros added on both ends of an axis, at most half of kernel_size.  Default: 0.
        ceil_mode: whether a last window that the edge cuts short counts.  Default: False.
        count_include_pad: whether the padding's zeros count as elements of the mean.  Default: True.
        divisor_override: the number that the sum of a window is divided by, instead of its size.  Default: None.

    Shape:
        Input (N, C, D, H, W); output (N, C, D_out, H_out, W_out), each side floor((side + 2 padding - kernel_size) /
        stride) + 1.  N may be left out.

    Raises:
        ValueError: when called, for a padding above half of kernel_size or a window larger than the padded input.

    Example:
        >>> from tinymed import nn, tensor
        >>> nn.AvgPool3d((1, 2, 2))(tensor([[[[[1.0, 3.0], [2.0, 0.0]]]]])).tolist()
        [[[[[1.5]]]]]

    As `torch.nn.AvgPool3d`.
    """

    axes = 3


class AdaptivePool(Module):
    """Pool windows that divide the input as evenly as they can into output_size; None keeps an axis's length."""

    axes: ClassVar[int]

    def __init__(self, output_size: Any):
        super().__init__()
        self.output_size = output_size

    def extra_repr(self) -> str:
        return f"output_size={self.output_size}"


class AdaptiveAvgPool(AdaptivePool):
    """Take the mean of each window."""

    def forward(self, input: Tensor) -> Any:
        pool = (F.adaptive_avg_pool1d, F.adaptive_avg_pool2d, F.adaptive_avg_pool3d)[self.axes - 1]
        return pool(input, self.output_size)


class AdaptiveAvgPool1d(AdaptiveAvgPool):
    """Take the means of windows that divide sequences as evenly as they can.

    Output element i of m is the mean of the input from floor(i side / m) up to ceil((i + 1) side / m); output_size=1 is
    global average pooling.

    Args:
        output_size: output sides, an integer; None keeps the length.

    Shape:
        Input (N, C, L); output (N, C, *output_size).

    Raises:
        ValueError: when called, for an output_size that is not made of integers from 1, or an input with
            another number of axes.

    Example:
        >>> from tinymed import nn, ones
        >>> nn.AdaptiveAvgPool1d(2)(ones(1, 3, 8)).shape
        (1, 3, 2)

    As `torch.nn.AdaptiveAvgPool1d`.
    """

    axes = 1


class AdaptiveAvgPool2d(AdaptiveAvgPool):
    """Take the means of windows that divide images as evenly as they can.

    Output element i of m is the mean of the input from floor(i side / m) up to ceil((i + 1) side / m); output_size=1 is
    global average pooling.

    Args:
        output_size: output sides, an integer, or 2 of them; None keeps the length of an axis.

    Shape:
        Input (N, C, H, W); output (N, C, *output_size).

    Raises:
        ValueError: when called, for an output_size that is not made of integers from 1, or an input with
            another number of axes.

    Example:
        >>> from tinymed import nn, ones
        >>> nn.AdaptiveAvgPool2d(2)(ones(1, 3, 8, 8)).shape
        (1, 3, 2, 2)

    As `torch.nn.AdaptiveAvgPool2d`.
    """

    axes = 2


class AdaptiveAvgPool3d(AdaptiveAvgPool):
    """Take the means of windows that divide volumes as evenly as they can.

    Output element i of m is the mean of the input from floor(i side / m) up to ceil((i + 1) side / m); output_size=1 is
    global average pooling.

    Args:
        output_size: output sides, an integer, or 3 of them; None keeps the length of an axis.

    Shape:
        Input (N, C, D, H, W); output (N, C, *output_size).

    Raises:
        ValueError: when called, for an output_size that is not made of integers from 1, or an input with
            another number of axes.

    Example:
        >>> from tinymed import nn, ones
        >>> nn.AdaptiveAvgPool3d(2)(ones(1, 3, 8, 8, 8)).shape
        (1, 3, 2, 2, 2)

    As `torch.nn.AdaptiveAvgPool3d`.
    """

    axes = 3


class AdaptiveMaxPool(AdaptivePool):
    """Take the largest element of each window, and with return_indices its flat index in its channel."""

    def __init__(self, output_size: Any, return_indices: bool = False):
        super().__init__(output_size)
        self.return_indices = return_indices

    def forward(self, input: Tensor) -> Any:
        pool = (F.adaptive_max_pool1d, F.adaptive_max_pool2d, F.adaptive_max_pool3d)[self.axes - 1]
        return pool(input, self.output_size, self.return_indices)


class AdaptiveMaxPool1d(AdaptiveMaxPool):
    """Take the largest elements of windows that divide sequences as evenly as they can.

    output_size=1 is global max pooling.

    Args:
        output_size: output sides, an integer; None keeps the length.
        return_indices: whether the flat index of each maximum in its channel is returned too.  Default: False.

    Shape:
        Input (N, C, L); output (N, C, *output_size), with return_indices a pair of that shape.

    Raises:
        ValueError: when called, for an output_size that is not made of integers from 1, or an input with
            another number of axes.

    Example:
        >>> from tinymed import nn, ones
        >>> nn.AdaptiveMaxPool1d(2)(ones(1, 3, 8)).shape
        (1, 3, 2)

    As `torch.nn.AdaptiveMaxPool1d`.
    """

    axes = 1


class AdaptiveMaxPool2d(AdaptiveMaxPool):
    """Take the largest elements of windows that divide images as evenly as they can.

    output_size=1 is global max pooling.

    Args:
        output_size: output sides, an integer, or 2 of them; None keeps the length of an axis.
        return_indices: whether the flat index of each maximum in its channel is returned too.  Default: False.

    Shape:
        Input (N, C, H, W); output (N, C, *output_size), with return_indices a pair of that shape.

    Raises:
        ValueError: when called, for an output_size that is not made of integers from 1, or an input with
            another number of axes.

    Example:
        >>> from tinymed import nn, ones
        >>> nn.AdaptiveMaxPool2d(2)(ones(1, 3, 8, 8)).shape
        (1, 3, 2, 2)

    As `torch.nn.AdaptiveMaxPool2d`.
    """

    axes = 2


class AdaptiveMaxPool3d(AdaptiveMaxPool):
    """Take the largest elements of windows that divide volumes as evenly as they can.

    output_size=1 is global max pooling.

    Args:
        output_size: output sides, an integer, or 3 of them; None keeps the length of an axis.
        return_indices: whether the flat index of each maximum in its channel is returned too.  Default: False.

    Shape:
        Input (N, C, D, H, W); output (N, C, *output_size), with return_indices a pair of that shape.

    Raises:
        ValueError: when called, for an output_size that is not made of integers from 1, or an input with
            another number of axes.

    Example:
        >>> from tinymed import nn, ones
        >>> nn.AdaptiveMaxPool3d(2)(ones(1, 3, 8, 8, 8)).shape
        (1, 3, 2, 2, 2)

    As `torch.nn.AdaptiveMaxPool3d`.
    """

    axes = 3
