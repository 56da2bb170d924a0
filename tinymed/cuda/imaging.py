"""Image processing on the GPU: csrc/imaging.cu and imaging_denoise.cu.  Deeper pixels are the reference's, on CuPy."""

from typing import Any

import numpy as np

from ..dispatch import kernel


def kind(x: Any) -> str:
    """Return by what name launchers take these pixels."""
    return "bytes" if x.dtype.char == "B" else "floats"


def bytes_or_floats(x: Any, *args: Any) -> bool:
    """Return whether pixels are uint8, and to be rounded where `whole` is asked, or float32."""
    return x.dtype.char == "f" or (x.dtype.char == "B" and args[-1] is not False)


def bytes_or_floats_of_any_kind(x: Any, *_: Any) -> bool:
    """Return whether pixels are uint8 or float32."""
    return x.dtype.char in "fB"


def three_channels(x: Any, *args: Any) -> bool:
    """Return whether pixels have at most three channels."""
    return x.shape[3] <= 3 and bytes_or_floats(x, *args)


def bytes_first(x: Any, *_: Any) -> bool:
    """Return whether a picture is of bytes: kernels of floats take no integers alone."""
    return bool(x.dtype.char == "B")


@kernel(backend="csrc", composite=True, when=bytes_or_floats)
def separable_filter(k: Any, x: Any, *args: Any) -> Any:
    """separable_bytes or separable_floats."""
    return getattr(k, f"separable_{kind(x)}")(x, *args[:-1])


@kernel(backend="csrc", composite=True, when=bytes_or_floats)
def unsharp_filter(k: Any, x: Any, *args: Any) -> Any:
    """unsharp_bytes or unsharp_floats."""
    return getattr(k, f"unsharp_{kind(x)}")(x, *args[:-1])


@kernel(backend="csrc", composite=True, when=bytes_or_floats_of_any_kind)
def median_filter(k: Any, x: Any, *args: Any) -> Any:
    """median_bytes or median_floats."""
    return getattr(k, f"median_{kind(x)}")(x, *args)


@kernel(backend="csrc", composite=True, when=three_channels)
def bilateral_filter(k: Any, x: Any, *args: Any) -> Any:
    """bilateral_bytes or bilateral_floats."""
    return getattr(k, f"bilateral_{kind(x)}")(x, *args[:-1])


@kernel(backend="csrc", composite=True, when=three_channels)
def non_local_filter(k: Any, x: Any, *args: Any) -> Any:
    """non_local_bytes or non_local_floats."""
    return getattr(k, f"non_local_{kind(x)}")(x, *args[:-1])


@kernel(backend="csrc", composite=True, when=bytes_or_floats_of_any_kind)
def extreme_box(k: Any, x: Any, *args: Any) -> Any:
    """extreme_box_bytes or extreme_box_floats."""
    return getattr(k, f"extreme_box_{kind(x)}")(x, *args)


@kernel(backend="csrc", composite=True, when=bytes_or_floats_of_any_kind)
def extreme_filter(k: Any, x: Any, *args: Any) -> Any:
    """extreme_bytes or extreme_floats."""
    return getattr(k, f"extreme_{kind(x)}")(x, *args)


@kernel(backend="csrc", composite=True, when=lambda x, count: x.dtype.char == "B" and count == 256)
def count_values(k: Any, x: Any, count: Any) -> Any:
    """count_bytes."""
    return k.count_bytes(x)


@kernel(backend="csrc", composite=True, when=lambda x, values: x.dtype.char == values.dtype.char == "B")
def apply_table(k: Any, x: Any, values: Any) -> Any:
    """look_up_bytes."""
    return k.look_up_bytes(x, values)


def like_x(x: Any, *_: Any) -> list[Any]:
    """Return the shape of x: of its dtype."""
    return [x.shape]


def two_floats(x: Any, *_: Any) -> list[Any]:
    """Return the workspaces of sums along depth and height."""
    return [(x.shape, np.float32), (x.shape, np.float32)]


def two_like_x(x: Any, *_: Any) -> list[Any]:
    """Return the workspaces of the smallest or largest along depth and height."""
    return [(x.shape, x.dtype), (x.shape, x.dtype)]


def filter_flops(x: Any, taps0: Any, taps1: Any, taps2: Any, *_: Any) -> float:
    """Return the operations of a sum along each axis."""
    return float(2 * x.size * (taps0.size + taps1.size + taps2.size))


@kernel(backend="csrc", out=like_x, work=two_floats, flops=filter_flops, when=bytes_first)
def separable_bytes(
    y: Any, one: Any, two: Any, x: Any, taps0: Any, taps1: Any, taps2: Any, at0: Any, at1: Any, at2: Any
) -> None:
    """y = x summed with weights along depth, height and width."""


@kernel(backend="csrc", out=like_x, work=two_floats, flops=filter_flops)
def separable_floats(
    y: Any, one: Any, two: Any, x: Any, taps0: Any, taps1: Any, taps2: Any, at0: Any, at1: Any, at2: Any
) -> None:
    """y = x summed with weights along depth, height and width."""


@kernel(backend="csrc", out=like_x, work=two_floats, flops=filter_flops, when=bytes_first)
def unsharp_bytes(
    y: Any, one: Any, two: Any, x: Any, taps0: Any, taps1: Any, taps2: Any, at0: Any, at1: Any, at2: Any, amount: Any
) -> None:
    """y = x + amount (x - blurred)."""


@kernel(backend="csrc", out=like_x, work=two_floats, flops=filter_flops)
def unsharp_floats(
    y: Any, one: Any, two: Any, x: Any, taps0: Any, taps1: Any, taps2: Any, at0: Any, at1: Any, at2: Any, amount: Any
) -> None:
    """y = x + amount (x - blurred)."""


@kernel(
    backend="csrc", out=like_x, flops=lambda x, sizes, *_: 8 * x.size * sizes[0] * sizes[1] * sizes[2], when=bytes_first
)
def median_bytes(y: Any, x: Any, sizes: Any, at0: Any, at1: Any, at2: Any) -> None:
    """y = the median of the window, bit by bit."""


@kernel(backend="csrc", out=like_x, flops=lambda x, sizes, *_: 8 * x.size * sizes[0] * sizes[1] * sizes[2])
def median_floats(y: Any, x: Any, sizes: Any, at0: Any, at1: Any, at2: Any) -> None:
    """y = the median of the window, bit by bit."""


@kernel(backend="csrc", out=like_x, flops=lambda x, space, *_: 8 * x.size * space.size, when=bytes_first)
def bilateral_bytes(y: Any, x: Any, space: Any, tones: Any, factor: Any, at1: Any, at2: Any) -> None:
    """y = the mean of the window, weighted by nearness in place and colour."""


@kernel(backend="csrc", out=like_x, flops=lambda x, space, *_: 8 * x.size * space.size)
def bilateral_floats(y: Any, x: Any, space: Any, tones: Any, factor: Any, at1: Any, at2: Any) -> None:
    """y = the mean of the window, weighted by nearness in place and colour."""


@kernel(
    backend="csrc", out=like_x, flops=lambda x, patch, search, *_: 3 * x.size * (patch * search) ** 2, when=bytes_first
)
def non_local_bytes(y: Any, x: Any, patch: Any, search: Any, factor: Any, noise: Any, at1: Any, at2: Any) -> None:
    """y = the mean of the search window, weighted by the likeness of patches."""


@kernel(backend="csrc", out=like_x, flops=lambda x, patch, search, *_: 3 * x.size * (patch * search) ** 2)
def non_local_floats(y: Any, x: Any, patch: Any, search: Any, factor: Any, noise: Any, at1: Any, at2: Any) -> None:
    """y = the mean of the search window, weighted by the likeness of patches."""


@kernel(backend="csrc", out=like_x, work=two_like_x, flops=lambda x, sizes, *_: x.size * sum(sizes), when=bytes_first)
def extreme_box_bytes(
    y: Any, one: Any, two: Any, x: Any, sizes: Any, at0: Any, at1: Any, at2: Any, largest: Any
) -> None:
    """y = the smallest or largest of a box, along one axis after the other."""


@kernel(backend="csrc", out=like_x, work=two_like_x, flops=lambda x, sizes, *_: x.size * sum(sizes))
def extreme_box_floats(
    y: Any, one: Any, two: Any, x: Any, sizes: Any, at0: Any, at1: Any, at2: Any, largest: Any
) -> None:
    """y = the smallest or largest of a box, along one axis after the other."""


@kernel(backend="csrc", out=like_x, flops=lambda x, footprint, *_: x.size * footprint.size, when=bytes_first)
def extreme_bytes(y: Any, x: Any, footprint: Any, at0: Any, at1: Any, at2: Any, largest: Any) -> None:
    """y = the smallest or largest where the footprint is not 0."""


@kernel(backend="csrc", out=like_x, flops=lambda x, footprint, *_: x.size * footprint.size)
def extreme_floats(y: Any, x: Any, footprint: Any, at0: Any, at1: Any, at2: Any, largest: Any) -> None:
    """y = the smallest or largest where the footprint is not 0."""


@kernel(backend="csrc", out=lambda x: [((x.shape[1], 256), np.int64)], flops=lambda x: x.size, when=bytes_first)
def count_bytes(y: Any, x: Any) -> None:
    """y[c, v] = how often v occurs in channel c."""


@kernel(
    backend="csrc",
    out=lambda x, values: [(x.shape[0], max(x.shape[1], values.shape[1]))],
    flops=lambda x, values: 0,
    when=bytes_first,
)
def look_up_bytes(y: Any, x: Any, values: Any) -> None:
    """y[i, c] = values[x[i, c or 0], c or 0]."""
