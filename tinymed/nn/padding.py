"""Padding layers of one, two and three axes of space."""

from collections.abc import Sequence
from typing import Any, ClassVar

from ..tensor import Tensor
from . import functional as F
from .module import Module

Widths = int | Sequence[int]


class Padding(Module):
    """Widens the last axes; padding is one integer, or (before, after) of the last axis, then of the one before it.

    A negative number takes elements away.
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
    """One value outside."""

    def __init__(self, padding: Widths, value: float):
        super().__init__(padding)
        self.value = value

    def forward(self, input: Tensor) -> Any:
        return F.pad(input, self.padding, "constant", self.value)

    def extra_repr(self) -> str:
        return f"padding={self.padding}, value={self.value}"


class ConstantPad1d(ConstantPad):
    """One value outside (C, L) or (N, C, L)."""

    axes = 1


class ConstantPad2d(ConstantPad):
    """One value outside (C, H, W) or (N, C, H, W)."""

    axes = 2


class ConstantPad3d(ConstantPad):
    """One value outside (C, D, H, W) or (N, C, D, H, W)."""

    axes = 3


class ZeroPad1d(Padding):
    """Zeros outside (C, L) or (N, C, L)."""

    axes = 1


class ZeroPad2d(Padding):
    """Zeros outside (C, H, W) or (N, C, H, W)."""

    axes = 2


class ZeroPad3d(Padding):
    """Zeros outside (C, D, H, W) or (N, C, D, H, W)."""

    axes = 3


class ReflectionPad1d(Padding):
    """Mirrored at the edge element, which is not repeated."""

    axes, mode = 1, "reflect"


class ReflectionPad2d(ReflectionPad1d):
    """ReflectionPad1d along two axes."""

    axes = 2


class ReflectionPad3d(ReflectionPad1d):
    """ReflectionPad1d along three axes."""

    axes = 3


class ReplicationPad1d(Padding):
    """The edge element repeated."""

    axes, mode = 1, "replicate"


class ReplicationPad2d(ReplicationPad1d):
    """ReplicationPad1d along two axes."""

    axes = 2


class ReplicationPad3d(ReplicationPad1d):
    """ReplicationPad1d along three axes."""

    axes = 3


class CircularPad1d(Padding):
    """Elements from the other end."""

    axes, mode = 1, "circular"


class CircularPad2d(CircularPad1d):
    """CircularPad1d along two axes."""

    axes = 2


class CircularPad3d(CircularPad1d):
    """CircularPad1d along three axes."""

    axes = 3
