"""Numbers that networks are built with."""

from typing import Any

from ..errors import UserError


def scale_channels(channels: int, width: float) -> int:
    """Return a layer's channels times a width multiplier (Howard et al. 2017, section 3.3), even and at least 2.

    Width 1 is the paper's network, exactly; a half of it costs a quarter.
    """
    if not width > 0:
        raise UserError(f"width: a multiplier of the layers' channels is positive, got {width}")
    return channels if width == 1 else max(2, 2 * round(channels * width / 2))


def side_after(name: str, size: int, *layers: tuple[int, int]) -> int:
    """Return the side after layers (kernel, stride) without padding; raise UserError if none is left."""
    side = size
    for kernel, stride in layers:
        side = (side - kernel) // stride + 1 if side >= kernel else 0
    if side < 1:
        least = 1
        for kernel, stride in reversed(layers):
            least = (least - 1) * stride + kernel
        raise UserError(f"{name}: an image of side {size} is too small; the smallest is {least}")
    return side


def one_of(name: str, option: str, value: Any, choices: tuple[Any, ...]) -> Any:
    """Return the value if it is among the choices; raise UserError otherwise."""
    if value not in choices:
        raise UserError(f"{name}: {option} is one of {', '.join(map(str, choices))}, got {value!r}")
    return value
