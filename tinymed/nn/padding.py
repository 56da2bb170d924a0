"""Padding layers of one, two and three axes of space."""

from collections.abc import Sequence
from typing import Any, ClassVar

from ..tensor import Tensor
from . import functional as F
from .module import Module

Widths = int | Sequence[int]


class Padding(Module):
    """Widen the last axes; a negative number takes elements away.

    padding is one integer, or (before, after) of the last axis, then of the one before it.
    """

    axes: ClassVar[int]
    mode: ClassVar[str] = "constant"

    def __init__(self, padding: Widths):
        super().__init__()
        n = 2 * self.axes
        self.padding = (padding,) * n if isinstance(padding, int) else tuple(padding)
        if len(self.padding) != n:
            raise ValueError(f"{type(self).__name__}: takes an integer or {n} of them, got {padding!r}")

    def forward(self, input: Tensor) -> Any:
        if len(input.shape) not in (self.axes + 1, self.axes + 2) and self.mode != "constant":
            raise ValueError(
                f"{type(self).__name__}: takes an input of {self.axes + 1} or {self.axes + 2} axes, got shape "
                f"{list(input.shape)}"
            )
        return F.pad(input, self.padding, mode=self.mode)

    def extra_repr(self) -> str:
        return f"{self.padding}"


class ConstantPad(Padding):
    """Put one value outside."""

    def __init__(self, padding: Widths, value: float):
        super().__init__(padding)
        self.value = value

    def forward(self, input: Tensor) -> Any:
        return F.pad(input, self.padding, "constant", self.value)

    def extra_repr(self) -> str:
        return f"padding={self.padding}, value={self.value}"


class ConstantPad1d(ConstantPad):
    """Widen sequences by one value.

    Args:
        padding: an integer for all ends, or (left, right); negative numbers take elements away.
        value: the value.

    Shape:
        Input (N, C, L) or (C, L); output the same with each side longer by its padding.

    Raises:
        ValueError: another number of integers than 2.

    Example:
        >>> from tinymed import nn, tensor
        >>> x = tensor([1.0, 2.0, 3.0]).reshape(1, 1, 3)
        >>> nn.ConstantPad1d((1, 1), 9.0)(x).flatten().tolist()
        [9.0, 1.0, 2.0, 3.0, 9.0]

    As `torch.nn.ConstantPad1d`.
    """

    axes = 1


class ConstantPad2d(ConstantPad):
    """Widen images by one value.

    Args:
        padding: an integer for all ends, or (left, right, top, bottom); negative numbers take elements away.
        value: the value.

    Shape:
        Input (N, C, H, W) or (C, H, W); output the same with each side longer by its padding.

    Raises:
        ValueError: another number of integers than 4.

    Example:
        >>> from tinymed import nn, tensor
        >>> x = tensor([1.0, 2.0, 3.0]).reshape(1, 1, 1, 3)
        >>> nn.ConstantPad2d((1, 1, 0, 0), 9.0)(x).flatten().tolist()
        [9.0, 1.0, 2.0, 3.0, 9.0]

    As `torch.nn.ConstantPad2d`.
    """

    axes = 2


class ConstantPad3d(ConstantPad):
    """Widen volumes by one value.

    Args:
        padding: an integer for all ends, or (left, right, top, bottom, front, back); negative numbers take elements
            away.
        value: the value.

    Shape:
        Input (N, C, D, H, W) or (C, D, H, W); output the same with each side longer by its padding.

    Raises:
        ValueError: another number of integers than 6.

    Example:
        >>> from tinymed import nn, tensor
        >>> x = tensor([1.0, 2.0, 3.0]).reshape(1, 1, 1, 1, 3)
        >>> nn.ConstantPad3d((1, 1, 0, 0, 0, 0), 9.0)(x).flatten().tolist()
        [9.0, 1.0, 2.0, 3.0, 9.0]

    As `torch.nn.ConstantPad3d`.
    """

    axes = 3


class ZeroPad1d(Padding):
    """Widen sequences by zeros.

    Args:
        padding: an integer for all ends, or (left, right); negative numbers take elements away.

    Shape:
        Input (N, C, L) or (C, L); output the same with each side longer by its padding.

    Raises:
        ValueError: another number of integers than 2.

    Example:
        >>> from tinymed import nn, tensor
        >>> x = tensor([1.0, 2.0, 3.0]).reshape(1, 1, 3)
        >>> nn.ZeroPad1d((1, 1))(x).flatten().tolist()
        [0.0, 1.0, 2.0, 3.0, 0.0]

    As `torch.nn.ZeroPad1d`.
    """

    axes = 1


class ZeroPad2d(Padding):
    """Widen images by zeros.

    Args:
        padding: an integer for all ends, or (left, right, top, bottom); negative numbers take elements away.

    Shape:
        Input (N, C, H, W) or (C, H, W); output the same with each side longer by its padding.

    Raises:
        ValueError: another number of integers than 4.

    Example:
        >>> from tinymed import nn, tensor
        >>> x = tensor([1.0, 2.0, 3.0]).reshape(1, 1, 1, 3)
        >>> nn.ZeroPad2d((1, 1, 0, 0))(x).flatten().tolist()
        [0.0, 1.0, 2.0, 3.0, 0.0]

    As `torch.nn.ZeroPad2d`.
    """

    axes = 2


class ZeroPad3d(Padding):
    """Widen volumes by zeros.

    Args:
        padding: an integer for all ends, or (left, right, top, bottom, front, back); negative numbers take elements
            away.

    Shape:
        Input (N, C, D, H, W) or (C, D, H, W); output the same with each side longer by its padding.

    Raises:
        ValueError: another number of integers than 6.

    Example:
        >>> from tinymed import nn, tensor
        >>> x = tensor([1.0, 2.0, 3.0]).reshape(1, 1, 1, 1, 3)
        >>> nn.ZeroPad3d((1, 1, 0, 0, 0, 0))(x).flatten().tolist()
        [0.0, 1.0, 2.0, 3.0, 0.0]

    As `torch.nn.ZeroPad3d`.
    """

    axes = 3


class ReflectionPad1d(Padding):
    """Widen sequences by their mirror image at the edge element, which is not repeated.

    Args:
        padding: an integer for all ends, or (left, right); negative numbers take elements away.

    Shape:
        Input (N, C, L) or (C, L); output the same with each side longer by its padding.

    Raises:
        ValueError: another number of integers than 2, or, when called, a padding at least as large as the axis.

    Example:
        >>> from tinymed import nn, tensor
        >>> x = tensor([1.0, 2.0, 3.0]).reshape(1, 1, 3)
        >>> nn.ReflectionPad1d((1, 1))(x).flatten().tolist()
        [2.0, 1.0, 2.0, 3.0, 2.0]

    As `torch.nn.ReflectionPad1d`.
    """

    axes, mode = 1, "reflect"


class ReflectionPad2d(ReflectionPad1d):
    """Widen images by their mirror image at the edge element, which is not repeated.

    Args:
        padding: an integer for all ends, or (left, right, top, bottom); negative numbers take elements away.

    Shape:
        Input (N, C, H, W) or (C, H, W); output the same with each side longer by its padding.

    Raises:
        ValueError: another number of integers than 4, or, when called, a padding at least as large as the axis.

    Example:
        >>> from tinymed import nn, tensor
        >>> x = tensor([1.0, 2.0, 3.0]).reshape(1, 1, 1, 3)
        >>> nn.ReflectionPad2d((1, 1, 0, 0))(x).flatten().tolist()
        [2.0, 1.0, 2.0, 3.0, 2.0]

    As `torch.nn.ReflectionPad2d`.
    """

    axes = 2


class ReflectionPad3d(ReflectionPad1d):
    """Widen volumes by their mirror image at the edge element, which is not repeated.

    Args:
        padding: an integer for all ends, or (left, right, top, bottom, front, back); negative numbers take elements
            away.

    Shape:
        Input (N, C, D, H, W) or (C, D, H, W); output the same with each side longer by its padding.

    Raises:
        ValueError: another number of integers than 6, or, when called, a padding at least as large as the axis.

    Example:
        >>> from tinymed import nn, tensor
        >>> x = tensor([1.0, 2.0, 3.0]).reshape(1, 1, 1, 1, 3)
        >>> nn.ReflectionPad3d((1, 1, 0, 0, 0, 0))(x).flatten().tolist()
        [2.0, 1.0, 2.0, 3.0, 2.0]

    As `torch.nn.ReflectionPad3d`.
    """

    axes = 3


class ReplicationPad1d(Padding):
    """Widen sequences by repeating the edge element.

    Args:
        padding: an integer for all ends, or (left, right); negative numbers take elements away.

    Shape:
        Input (N, C, L) or (C, L); output the same with each side longer by its padding.

    Raises:
        ValueError: another number of integers than 2.

    Example:
        >>> from tinymed import nn, tensor
        >>> x = tensor([1.0, 2.0, 3.0]).reshape(1, 1, 3)
        >>> nn.ReplicationPad1d((1, 1))(x).flatten().tolist()
        [1.0, 1.0, 2.0, 3.0, 3.0]

    As `torch.nn.ReplicationPad1d`.
    """

    axes, mode = 1, "replicate"


class ReplicationPad2d(ReplicationPad1d):
    """Widen images by repeating the edge element.

    Args:
        padding: an integer for all ends, or (left, right, top, bottom); negative numbers take elements away.

    Shape:
        Input (N, C, H, W) or (C, H, W); output the same with each side longer by its padding.

    Raises:
        ValueError: another number of integers than 4.

    Example:
        >>> from tinymed import nn, tensor
        >>> x = tensor([1.0, 2.0, 3.0]).reshape(1, 1, 1, 3)
        >>> nn.ReplicationPad2d((1, 1, 0, 0))(x).flatten().tolist()
        [1.0, 1.0, 2.0, 3.0, 3.0]

    As `torch.nn.ReplicationPad2d`.
    """

    axes = 2


class ReplicationPad3d(ReplicationPad1d):
    """Widen volumes by repeating the edge element.

    Args:
        padding: an integer for all ends, or (left, right, top, bottom, front, back); negative numbers take elements
            away.

    Shape:
        Input (N, C, D, H, W) or (C, D, H, W); output the same with each side longer by its padding.

    Raises:
        ValueError: another number of integers than 6.

    Example:
        >>> from tinymed import nn, tensor
        >>> x = tensor([1.0, 2.0, 3.0]).reshape(1, 1, 1, 1, 3)
        >>> nn.ReplicationPad3d((1, 1, 0, 0, 0, 0))(x).flatten().tolist()
        [1.0, 1.0, 2.0, 3.0, 3.0]

    As `torch.nn.ReplicationPad3d`.
    """

    axes = 3


class CircularPad1d(Padding):
    """Widen sequences by the elements of the other end.

    Args:
        padding: an integer for all ends, or (left, right); negative numbers take elements away.

    Shape:
        Input (N, C, L) or (C, L); output the same with each side longer by its padding.

    Raises:
        ValueError: another number of integers than 2, or, when called, a padding larger than the axis.

    Example:
        >>> from tinymed import nn, tensor
        >>> x = tensor([1.0, 2.0, 3.0]).reshape(1, 1, 3)
        >>> nn.CircularPad1d((1, 1))(x).flatten().tolist()
        [3.0, 1.0, 2.0, 3.0, 1.0]

    As `torch.nn.CircularPad1d`.
    """

    axes, mode = 1, "circular"


class CircularPad2d(CircularPad1d):
    """Widen images by the elements of the other end.

    Args:
        padding: an integer for all ends, or (left, right, top, bottom); negative numbers take elements away.

    Shape:
        Input (N, C, H, W) or (C, H, W); output the same with each side longer by its padding.

    Raises:
        ValueError: another number of integers than 4, or, when called, a padding larger than the axis.

    Example:
        >>> from tinymed import nn, tensor
        >>> x = tensor([1.0, 2.0, 3.0]).reshape(1, 1, 1, 3)
        >>> nn.CircularPad2d((1, 1, 0, 0))(x).flatten().tolist()
        [3.0, 1.0, 2.0, 3.0, 1.0]

    As `torch.nn.CircularPad2d`.
    """

    axes = 2


class CircularPad3d(CircularPad1d):
    """Widen volumes by the elements of the other end.

    Args:
        padding: an integer for all ends, or (left, right, top, bottom, front, back); negative numbers take elements
            away.

    Shape:
        Input (N, C, D, H, W) or (C, D, H, W); output the same with each side longer by its padding.

    Raises:
        ValueError: another number of integers than 6, or, when called, a padding larger than the axis.

    Example:
        >>> from tinymed import nn, tensor
        >>> x = tensor([1.0, 2.0, 3.0]).reshape(1, 1, 1, 1, 3)
        >>> nn.CircularPad3d((1, 1, 0, 0, 0, 0))(x).flatten().tolist()
        [3.0, 1.0, 2.0, 3.0, 1.0]

    As `torch.nn.CircularPad3d`.
    """

    axes = 3
