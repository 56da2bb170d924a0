"""What every operation asks of an image: its axes, its kind of numbers, its windows and their borders.

An image is [height, width] or [height, width, channels], a volume [depth, height, width, channels].  Numbers are uint8
(white is 255), uint16 (65535), or float32 and float64 (1).  Kernels take all of them as [depth, height, width,
channels], a picture being a volume of one plane, and a window as its positions: for each axis an array of
`n + size - 1` indices, of which the window of pixel i covers i ... i + size - 1.  So a border rule is data, not code.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from ..dispatch import table
from ..errors import UserError

Array = Any  # a NumPy or CuPy array
DTYPES = ("uint8", "uint16", "float32", "float64")
KINDS = frozenset(map(np.dtype, DTYPES))
BORDERS = ("reflect", "edge")
MAX_SIZE = 1023


class Pixels(NamedTuple):
    """An image as kernels take it, and the way back."""

    values: Array  # [depth, height, width, channels]
    shape: tuple[int, ...]  # as it was given

    @property
    def volume(self) -> bool:
        """Return whether it has several planes by its kind, not by chance."""
        return len(self.shape) == 4

    def back(self, result: Array) -> Array:
        """Return a result [depth, height, width, channels] with the axes that the image was given with."""
        if len(self.shape) == 2 and result.shape[3] == 1:
            return result[0, :, :, 0]
        return result if self.volume else result[0]


def pixels(image: Array, name: str, volumes: bool = True, channels: Sequence[int] = ()) -> Pixels:
    """Return an image as [depth, height, width, channels].

    Args:
        image: [height, width], [height, width, channels] or [depth, height, width, channels].
        name: Of the operation, for messages.
        volumes: The operation takes volumes.
        channels: The numbers of channels that it takes; any if empty.

    Raises:
        UserError: Other axes, another dtype or number of channels, or no pixel at all.
    """
    if not hasattr(image, "dtype"):
        raise UserError(f"{name}: an image is an array of NumPy or CuPy, got {type(image).__name__}")
    if image.dtype not in KINDS:
        raise UserError(f"{name}: pixels are {', '.join(DTYPES)}, got {image.dtype}; convert with image.astype(...)")
    most = 4 if volumes else 3
    if not 2 <= image.ndim <= most or image.size == 0:
        wanted = "[height, width] or [height, width, channels]"
        wanted += ", a volume [depth, height, width, channels]" if volumes else ""
        raise UserError(f"{name}: an image is {wanted} with a pixel at least, got {list(image.shape)}")
    values = image[None, :, :, None] if image.ndim == 2 else image[None] if image.ndim == 3 else image
    if channels and values.shape[3] not in channels:
        wanted = " or ".join(map(str, channels))
        raise UserError(f"{name}: takes {wanted} channels, got {values.shape[3]} of an image {list(image.shape)}")
    return Pixels(values, tuple(image.shape))


def is_whole(values: Array) -> bool:
    """Return whether pixels are whole numbers."""
    return bool(values.dtype.kind == "u")


@functools.cache  # a table of bytes takes less than asking NumPy
def white(dtype: Any) -> float:
    """Return the value of a white pixel: 255, 65535, or 1 of floating-point numbers."""
    return float(np.iinfo(dtype).max) if np.dtype(dtype).kind == "u" else 1.0


def float_type(dtype: Any) -> np.dtype[Any]:
    """Return the dtype that pixels are computed in: their own, or float32 of whole numbers."""
    return np.dtype(np.float32) if np.dtype(dtype).kind == "u" else np.dtype(dtype)


def check_number(name: str, value: float, low: float, high: float = np.inf, *, above: bool = False) -> float:
    """Return a number; raise UserError unless low <= value <= high, or low < value if `above`."""
    ok = np.isfinite(value) and (value > low if above else value >= low) and value <= high
    if not ok:
        wanted = f"above {low:g}" if above else f"at least {low:g}"
        wanted += f" and at most {high:g}" if np.isfinite(high) else ""
        raise UserError(f"{name} is {wanted}, got {value}")
    return value


def check_size(size: int, name: str = "size") -> int:
    """Return the side of a window; raise UserError unless it is odd and from 1 to 1023."""
    if size % 2 != 1 or not 1 <= size <= MAX_SIZE:
        raise UserError(f"{name} is an odd number of pixels from 1 to {MAX_SIZE}, got {size}")
    return int(size)


@functools.lru_cache(maxsize=256)  # of a small picture it takes as long as the filter; nobody writes to it
def positions(length: int, size: int, border: str) -> np.ndarray:
    """Return int64 [length + size - 1]: the pixels along an axis that windows of an odd size cover.

    Args:
        length: Of the axis.
        size: Of the window, odd.
        border: What stands beyond an edge: reflect (d c b | a b c d | c b a, the edge not twice), or edge (a a a |
            a b c d | d d d).

    Raises:
        UserError: Another border.

    Example:
        >>> positions(4, 5, "reflect").tolist(), positions(4, 3, "edge").tolist()
        ([2, 1, 0, 1, 2, 3, 2, 1], [0, 0, 1, 2, 3, 3])
    """
    if border not in BORDERS:
        raise UserError(f"border is {' or '.join(BORDERS)}, got {border!r}")
    at = np.arange(-(size // 2), length + size // 2)
    if border == "edge" or length == 1:
        return np.clip(at, 0, length - 1)
    at = np.abs(at) % (2 * length - 2)
    return np.minimum(at, 2 * length - 2 - at)


def window(image: Pixels, sizes: Sequence[int], border: str) -> tuple[Array, Array, Array]:
    """Return the positions of a window along depth, height and width, where the image lies."""
    xp = table().xp
    rows, columns = (xp.asarray(positions(image.values.shape[a], sizes[a], border)) for a in (1, 2))
    return xp.asarray(positions(image.values.shape[0], sizes[0], border)), rows, columns


def cube(image: Pixels, size: int) -> tuple[int, int, int]:
    """Return a window of one side: a cube of a volume, a square of a picture."""
    return (size if image.volume else 1), size, size


def by_pixel(call: Callable[..., Array], x: Array, *rest: Any) -> Array:
    """Return what a kernel of [pixels, channels] makes of an image [..., channels]."""
    result = call(x.reshape(-1, x.shape[-1]), *rest)
    return result.reshape(*x.shape[:-1], result.shape[1])


def to_numpy(array: Array) -> np.ndarray:
    """Return an array where NumPy can read it."""
    return np.asarray(array.get() if hasattr(array, "get") else array)


def on_value(image: Pixels, change: Callable[[Array], Array]) -> Array:
    """Change an image's brightness and keep its hue and saturation.

    Grey is changed itself.  Of colours the value max(R, G, B) is changed, and each colour by the same factor.

    Args:
        image: 1 or 3 channels.
        change: From [depth, height, width, 1] to the like.
    """
    x = image.values
    if x.shape[3] == 1:
        return change(x)
    xp = table().xp
    value = x.max(axis=3, keepdims=True)
    kind = float_type(x.dtype)
    factor = change(value).astype(kind) / xp.maximum(value, 1 if is_whole(x) else 1e-12).astype(kind)
    changed = x * factor
    return xp.clip(xp.rint(changed), 0, white(x.dtype)).astype(x.dtype) if is_whole(x) else changed
