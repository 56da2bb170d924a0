"""Pooling layers."""

from collections.abc import Sequence
from typing import Any, ClassVar

from ..tensor import Tensor
from . import functional as F
from .module import Module

Size = int | Sequence[int]


class MaxPool(Module):
    """The largest element of each window; of equal ones the first.  The edge is padded with -inf.

    With return_indices the flat position of each maximum in its channel is returned too.
    """

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
    """Max pooling of (N, C, L)."""

    axes = 1


class MaxPool2d(MaxPool):
    """Max pooling of (N, C, H, W)."""

    axes = 2


class MaxPool3d(MaxPool):
    """Max pooling of (N, C, D, H, W)."""

    axes = 3


class AvgPool(Module):
    """The mean of each window; count_include_pad says whether the padding's zeros count."""

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
    """Average pooling of (N, C, L)."""

    axes = 1


class DividedAvgPool(AvgPool):
    """Average pooling whose sums may be divided by another number: divisor_override."""

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
    """Average pooling of (N, C, H, W)."""

    axes = 2


class AvgPool3d(DividedAvgPool):
    """Average pooling of (N, C, D, H, W)."""

    axes = 3


class AdaptivePool(Module):
    """Pooling whose windows divide the input as evenly as they can into output_size; None keeps an axis's length."""

    axes: ClassVar[int]

    def __init__(self, output_size: Any):
        super().__init__()
        self.output_size = output_size

    def extra_repr(self) -> str:
        return f"output_size={self.output_size}"


class AdaptiveAvgPool(AdaptivePool):
    """The mean of each window."""

    def forward(self, input: Tensor) -> Any:
        pool = (F.adaptive_avg_pool1d, F.adaptive_avg_pool2d, F.adaptive_avg_pool3d)[self.axes - 1]
        return pool(input, self.output_size)


class AdaptiveAvgPool1d(AdaptiveAvgPool):
    """Adaptive average pooling of (N, C, L)."""

    axes = 1


class AdaptiveAvgPool2d(AdaptiveAvgPool):
    """Adaptive average pooling of (N, C, H, W); output_size 1 is global average pooling."""

    axes = 2


class AdaptiveAvgPool3d(AdaptiveAvgPool):
    """Adaptive average pooling of (N, C, D, H, W)."""

    axes = 3


class AdaptiveMaxPool(AdaptivePool):
    """The largest element of each window, and with return_indices its flat position in its channel."""

    def __init__(self, output_size: Any, return_indices: bool = False):
        super().__init__(output_size)
        self.return_indices = return_indices

    def forward(self, input: Tensor) -> Any:
        pool = (F.adaptive_max_pool1d, F.adaptive_max_pool2d, F.adaptive_max_pool3d)[self.axes - 1]
        return pool(input, self.output_size, self.return_indices)


class AdaptiveMaxPool1d(AdaptiveMaxPool):
    """Adaptive max pooling of (N, C, L)."""

    axes = 1


class AdaptiveMaxPool2d(AdaptiveMaxPool):
    """Adaptive max pooling of (N, C, H, W); output_size 1 is global max pooling."""

    axes = 2


class AdaptiveMaxPool3d(AdaptiveMaxPool):
    """Adaptive max pooling of (N, C, D, H, W)."""

    axes = 3


class MaxUnpool(Module):
    """Undoes max pooling with return_indices: values at their places, zeros elsewhere."""

    axes: ClassVar[int]

    def __init__(self, kernel_size: Size, stride: Size | None = None, padding: Size = 0):
        super().__init__()
        self.kernel_size, self.stride, self.padding = kernel_size, kernel_size if stride is None else stride, padding

    def forward(self, input: Tensor, indices: Tensor, output_size: Sequence[int] | None = None) -> Any:
        unpool = (F.max_unpool1d, F.max_unpool2d, F.max_unpool3d)[self.axes - 1]
        return unpool(input, indices, self.kernel_size, self.stride, self.padding, output_size)

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class MaxUnpool1d(MaxUnpool):
    """Unpooling of (N, C, L)."""

    axes = 1


class MaxUnpool2d(MaxUnpool):
    """Unpooling of (N, C, H, W)."""

    axes = 2


class MaxUnpool3d(MaxUnpool):
    """Unpooling of (N, C, D, H, W)."""

    axes = 3


class LPPool(Module):
    """Power-average pooling: (sum of x^p over each window)^(1/p)."""

    axes: ClassVar[int]

    def __init__(self, norm_type: float, kernel_size: Size, stride: Size | None = None, ceil_mode: bool = False):
        super().__init__()
        self.norm_type, self.kernel_size, self.stride, self.ceil_mode = norm_type, kernel_size, stride, ceil_mode

    def forward(self, input: Tensor) -> Any:
        pool = (F.lp_pool1d, F.lp_pool2d, F.lp_pool3d)[self.axes - 1]
        return pool(input, float(self.norm_type), self.kernel_size, self.stride, self.ceil_mode)

    def extra_repr(self) -> str:
        return (
            f"norm_type={self.norm_type}, kernel_size={self.kernel_size}, stride={self.stride}, "
            f"ceil_mode={self.ceil_mode}"
        )


class LPPool1d(LPPool):
    """Power-average pooling of (N, C, L)."""

    axes = 1


class LPPool2d(LPPool):
    """Power-average pooling of (N, C, H, W)."""

    axes = 2


class LPPool3d(LPPool):
    """Power-average pooling of (N, C, D, H, W)."""

    axes = 3
