"""Colour spaces of pixels [pixel, channel] of bytes or float32, on the GPU: csrc/colour.cu."""

from typing import Any

from ..dispatch import kernel
from .imaging import bytes_first, bytes_or_floats, bytes_or_floats_of_any_kind, kind


@kernel(backend="csrc", composite=True, when=bytes_or_floats_of_any_kind)
def luma(k: Any, x: Any) -> Any:
    """luma_bytes or luma_floats."""
    return getattr(k, f"luma_{kind(x)}")(x)


def one_channel(x: Any) -> list[tuple[int, ...]]:
    """Return one output with one channel."""
    return [(x.shape[0], 1)]


@kernel(backend="csrc", out=one_channel, flops=lambda x: 5 * x.size // 3, when=bytes_first)
def luma_bytes(y: Any, x: Any) -> None:
    """y = .299 R + .587 G + .114 B, rounded in 65536ths."""


@kernel(backend="csrc", out=one_channel, flops=lambda x: 5 * x.size // 3)
def luma_floats(y: Any, x: Any) -> None:
    """y = .299 R + .587 G + .114 B."""


@kernel(backend="csrc")
def rgb_to_hsv(y: Any, x: Any) -> None:
    """y = hue, saturation and value, all 0 ... 1."""


@kernel(backend="csrc")
def hsv_to_rgb(y: Any, x: Any) -> None:
    """y = red, green and blue; hues of whole turns are the same."""


@kernel(backend="csrc")
def rgb_to_cmyk(y: Any, x: Any) -> None:
    """y = cyan, magenta, yellow and black."""


@kernel(backend="csrc")
def cmyk_to_rgb(y: Any, x: Any) -> None:
    """y = red, green and blue."""


@kernel(backend="csrc")
def rgb_to_lab(y: Any, x: Any, matrix: Any) -> None:
    """y = CIE L*, a*, b* of sRGB shares; matrix: from linear light to XYZ over the white point."""


@kernel(backend="csrc")
def lab_to_rgb(y: Any, x: Any, matrix: Any) -> None:
    """y = sRGB shares, clipped; matrix: from XYZ over the white point to linear light."""


@kernel(backend="csrc", composite=True, when=lambda x, matrix, *args: bytes_or_floats(x, *args))
def map_densities(k: Any, x: Any, matrix: Any, light: float, top: float, whole: bool) -> Any:
    """map_densities_bytes or map_densities_floats."""
    return getattr(k, f"map_densities_{kind(x)}")(x, matrix, float(light), float(top), float(top * light))


@kernel(backend="csrc", out=lambda x, *_: [(x.shape, x.dtype)], flops=lambda x, *_: 40 * x.size, when=bytes_first)
def map_densities_bytes(y: Any, x: Any, matrix: Any, light: Any, top: Any, scale: Any) -> None:
    """y = light e^-(D matrix) in units of top, clipped and rounded, D = -ln(x / scale)."""


@kernel(backend="csrc", out=lambda x, *_: [(x.shape, x.dtype)], flops=lambda x, *_: 40 * x.size)
def map_densities_floats(y: Any, x: Any, matrix: Any, light: Any, top: Any, scale: Any) -> None:
    """y = light e^-(D matrix) in units of top, clipped, D = -ln(x / scale)."""
