"""Layers that undo max pooling, and layers that pool by a p-norm."""

from collections.abc import Sequence
from typing import Any, ClassVar

from ..tensor import Tensor
from . import functional as F
from .module import Module
from .pool import Size


class MaxUnpool(Module):
    """Undo max pooling with return_indices: values at their places, zeros elsewhere."""

    axes: ClassVar[int]

    def __init__(self, kernel_size: Size, stride: Size | None = None, padding: Size = 0):
        super().__init__()
        self.kernel_size, self.stride, self.padding = kernel_size, kernel_size if stride is None else stride, padding

    def forward(self, input: Tensor, indices: Tensor, output_size: Sequence[int] | None = None) -> Any:
        """Put values back at their indices.

        Args:
            input: the maxima, (N, C, *space) or (C, *space).
            indices: their flat indices in the channel, of the same shape.
            output_size: the sides before the pooling, where the stride allows several.  Default: None,
                (side - 1) stride - 2 padding + kernel_size.

        Returns:
            (N, C, *output_size).

        Raises:
            ValueError: indices of another shape, or an output_size that the pooling cannot have come from.
        """
        unpool = (F.max_unpool1d, F.max_unpool2d, F.max_unpool3d)[self.axes - 1]
        return unpool(input, indices, self.kernel_size, self.stride, self.padding, output_size)

    def extra_repr(self) -> str:
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class MaxUnpool1d(MaxUnpool):
    """Put the maxima of sequences back where MaxPool1d found them, zeros elsewhere.

    Args:
        kernel_size: sides of a window of the pooling, an integer.
        stride: of the pooling.  Default: kernel_size.
        padding: of the pooling.  Default: 0.

    Shape:
        Input and indices (N, C, L); output (N, C, L_out), each side (side - 1) stride - 2 padding + kernel_size, or
        output_size where it is given in the call.

    Raises:
        ValueError: when called, for indices of another shape or an output_size that the pooling cannot have come from.

    Example:
        >>> from tinymed import nn, tensor
        >>> x = tensor([[[1.0, 3.0, 2.0, 0.0]]])
        >>> maxima, indices = nn.MaxPool1d(4, return_indices=True)(x)
        >>> nn.MaxUnpool1d(4)(maxima, indices).flatten().tolist()
        [0.0, 3.0, 0.0, 0.0]

    As `torch.nn.MaxUnpool1d`.
    """

    axes = 1


class MaxUnpool2d(MaxUnpool):
    """Put the maxima of images back where MaxPool2d found them, zeros elsewhere.

    Args:
        kernel_size: sides of a window of the pooling, an integer, or 2 of them.
        stride: of the pooling.  Default: kernel_size.
        padding: of the pooling.  Default: 0.

    Shape:
        Input and indices (N, C, H, W); output (N, C, H_out, W_out), each side (side - 1) stride - 2 padding +
        kernel_size, or output_size where it is given in the call.

    Raises:
        ValueError: when called, for indices of another shape or an output_size that the pooling cannot have come from.

    Example:
        >>> from tinymed import nn, tensor
        >>> x = tensor([[[[1.0, 3.0], [2.0, 0.0]]]])
        >>> maxima, indices = nn.MaxPool2d(2, return_indices=True)(x)
        >>> nn.MaxUnpool2d(2)(maxima, indices).flatten().tolist()
        [0.0, 3.0, 0.0, 0.0]

    As `torch.nn.MaxUnpool2d`.
    """

    axes = 2


class MaxUnpool3d(MaxUnpool):
    """Put the maxima of volumes back where MaxPool3d found them, zeros elsewhere.

    Args:
        kernel_size: sides of a window of the pooling, an integer, or 3 of them.
        stride: of the pooling.  Default: kernel_size.
        padding: of the pooling.  Default: 0.

    Shape:
        Input and indices (N, C, D, H, W); output (N, C, D_out, H_out, W_out), each side (side - 1) stride - 2 padding +
        kernel_size, or output_size where it is given in the call.

    Raises:
        ValueError: when called, for indices of another shape or an output_size that the pooling cannot have come from.

    Example:
        >>> from tinymed import nn, tensor
        >>> x = tensor([[[[[1.0, 3.0], [2.0, 0.0]]]]])
        >>> maxima, indices = nn.MaxPool3d((1, 2, 2), return_indices=True)(x)
        >>> nn.MaxUnpool3d((1, 2, 2))(maxima, indices).flatten().tolist()
        [0.0, 3.0, 0.0, 0.0]

    As `torch.nn.MaxUnpool3d`.
    """

    axes = 3


class LPPool(Module):
    """Compute (sum of x^p over each window)^(1/p)."""

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
    """Compute the p-norm of each window of sequences: (sum of x^p)^(1/p).

    Args:
        norm_type: p; 1 gives the sum, inf in the limit the maximum.
        kernel_size: sides of a window, an integer.
        stride: pixels between neighbouring windows.  Default: kernel_size.
        ceil_mode: whether a last window that the edge cuts short counts.  Default: False.

    Shape:
        Input (N, C, L); output (N, C, L_out), each side floor((side - kernel_size) / stride) + 1.

    Raises:
        ValueError: when called, for a window larger than the input.

    Example:
        >>> from tinymed import nn, tensor
        >>> nn.LPPool1d(1, 2)(tensor([[[3.0, 4.0]]])).tolist()
        [[[7.0]]]

    As `torch.nn.LPPool1d`.
    """

    axes = 1


class LPPool2d(LPPool):
    """Compute the p-norm of each window of images: (sum of x^p)^(1/p).

    Args:
        norm_type: p; 1 gives the sum, inf in the limit the maximum.
        kernel_size: sides of a window, an integer, or 2 of them.
        stride: pixels between neighbouring windows.  Default: kernel_size.
        ceil_mode: whether a last window that the edge cuts short counts.  Default: False.

    Shape:
        Input (N, C, H, W); output (N, C, H_out, W_out), each side floor((side - kernel_size) / stride) + 1.

    Raises:
        ValueError: when called, for a window larger than the input.

    Example:
        >>> from tinymed import nn, tensor
        >>> nn.LPPool2d(1, (1, 2))(tensor([[[[3.0, 4.0]]]])).tolist()
        [[[[7.0]]]]

    As `torch.nn.LPPool2d`.
    """

    axes = 2


class LPPool3d(LPPool):
    """Compute the p-norm of each window of volumes: (sum of x^p)^(1/p).

    Args:
        norm_type: p; 1 gives the sum, inf in the limit the maximum.
        kernel_size: sides of a window, an integer, or 3 of them.
        stride: pixels between neighbouring windows.  Default: kernel_size.
        ceil_mode: whether a last window that the edge cuts short counts.  Default: False.

    Shape:
        Input (N, C, D, H, W); output (N, C, D_out, H_out, W_out), each side floor((side - kernel_size) / stride) + 1.

    Raises:
        ValueError: when called, for a window larger than the input.

    Example:
        >>> from tinymed import nn, tensor
        >>> nn.LPPool3d(1, (1, 1, 2))(tensor([[[[[3.0, 4.0]]]]])).tolist()
        [[[[[7.0]]]]]

    As `torch.nn.LPPool3d`.
    """

    axes = 3
