"""Colour spaces: grey, hue-saturation-value, cyan-magenta-yellow-black.  All arrays are [..., channels]."""

from typing import Any

from ..dispatch import kernel, table
from .arrays import Array, by_pixel, float_type, is_whole, pixels, white
from .registry import operation

LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601
LUMA_16 = (19595, 38470, 7471)  # the same in 65536ths, which add up to one


def one_channel(x: Array) -> list[Any]:
    """Return the output with one channel."""
    return [(*x.shape[:-1], 1)]


@kernel(out=one_channel, flops=lambda x: 5 * x.size // 3)
def luma(xp: Any, x: Array) -> Array:
    """Return .299 R + .587 G + .114 B of x [pixels, 3]; of whole numbers rounded, in 65536ths, as Pillow does."""
    if x.dtype.kind == "u":
        wide = x.astype(xp.uint32)
        total = wide[..., :1] * LUMA_16[0] + wide[..., 1:2] * LUMA_16[1] + wide[..., 2:] * LUMA_16[2]
        return ((total + 32768) >> 16).astype(x.dtype)
    red, green, blue = (x.dtype.type(w) for w in LUMA)
    return x[..., :1] * red + x[..., 1:2] * green + x[..., 2:] * blue


@kernel(flops=lambda x: 5 * x.size)
def rgb_to_hsv(xp: Any, x: Array) -> Array:
    """Return hue, saturation and value, all 0 ... 1, of x [pixels, 3] floating-point red, green and blue."""
    red, green, blue = x[..., 0], x[..., 1], x[..., 2]
    value = xp.maximum(xp.maximum(red, green), blue)
    span = value - xp.minimum(xp.minimum(red, green), blue)
    safe = xp.where(span == 0, 1, span).astype(x.dtype)
    sector = xp.where(
        value == red,
        (green - blue) / safe,
        xp.where(value == green, (blue - red) / safe + 2, (red - green) / safe + 4),
    )
    hue = xp.where(span == 0, 0, xp.where(sector < 0, sector + 6, sector) / 6)
    saturation = xp.where(value == 0, 0, span / xp.where(value == 0, 1, value))
    return xp.stack([hue, saturation, value], axis=-1).astype(x.dtype)


@kernel(flops=lambda x: 6 * x.size)
def hsv_to_rgb(xp: Any, x: Array) -> Array:
    """Return red, green and blue of x [pixels, 3] hue, saturation and value; hues of whole turns are the same.

    A channel is V - V S max(0, min(k, 4 - k, 1)), k = (n + 6 H) mod 6, n = 5, 3, 1.
    """
    hue, saturation, value = x[..., 0] * 6, x[..., 1], x[..., 2]
    span = value * saturation
    channels = []
    for n in (5, 3, 1):
        k = hue + n
        k = k - 6 * xp.floor(k / 6)
        channels.append(value - span * xp.maximum(0, xp.minimum(xp.minimum(k, 4 - k), 1)))
    return xp.stack(channels, axis=-1).astype(x.dtype)


@kernel(out=lambda x: [(*x.shape[:-1], 4)], flops=lambda x: 3 * x.size)
def rgb_to_cmyk(xp: Any, x: Array) -> Array:
    """Return cyan, magenta, yellow and black of x [pixels, 3]: K = 1 - max, C = (max - R) / max."""
    most = x.max(axis=-1, keepdims=True)
    inks = xp.where(most == 0, 0, (most - x) / xp.where(most == 0, 1, most))
    return xp.concatenate([inks, 1 - most], axis=-1).astype(x.dtype)


@kernel(out=lambda x: [(*x.shape[:-1], 3)], flops=lambda x: 2 * x.size)
def cmyk_to_rgb(xp: Any, x: Array) -> Array:
    """Return red, green and blue of x [pixels, 4] cyan, magenta, yellow and black: R = (1 - C) (1 - K)."""
    return (1 - x[..., :3]) * (1 - x[..., 3:])


def shares(image: Array) -> Array:
    """Return pixels as floating-point shares of white."""
    if not is_whole(image):
        return image
    kind = float_type(image.dtype)
    return image.astype(kind) / kind.type(white(image.dtype))


def as_picture(result: Array, image: Array) -> Array:
    """Return shares of white in the dtype of an image."""
    if not is_whole(image):
        return result
    return (result.clip(0, 1) * white(image.dtype)).round().astype(image.dtype)


@operation()
def grey(image: Array) -> Array:
    """Return the luma .299 R + .587 G + .114 B (ITU-R BT.601) of a colour image, in one channel.

    Args:
        image: [height, width, 3] or a volume [depth, height, width, 3]; a grey image is returned as it is.

    Returns:
        [..., 1] in the image's dtype, whole numbers rounded.

    Raises:
        UserError: The image is not one of these.

    Example:
        >>> grey(np.array([[[255, 0, 0], [0, 0, 255]]], np.uint8)).tolist()
        [[[76], [29]]]
    """
    found = pixels(image, "grey", channels=(1, 3))
    return image if found.values.shape[3] == 1 else found.back(by_pixel(table().luma, found.values))


@operation(show=as_picture)
def hsv(image: Array) -> Array:
    """Return hue, saturation and value of a colour image.

    Args:
        image: [height, width, 3] or a volume [depth, height, width, 3] of red, green and blue.

    Returns:
        float32 (of float64 images float64) [..., 3], all 0 ... 1: hue in turns from red over green and blue, 0 of
        grey pixels; saturation; value max(R, G, B).

    Raises:
        UserError: The image is not one of these.

    Example:
        >>> hsv(np.array([[[0, 255, 0], [51, 51, 51]]], np.uint8)).round(3).tolist()[0][0]
        [0.3330000042915344, 1.0, 1.0]
    """
    found = pixels(image, "hsv", channels=(3,))
    return found.back(by_pixel(table().rgb_to_hsv, shares(found.values)))


def from_hsv(image: Array) -> Array:
    """Return red, green and blue of hue, saturation and value.

    Args:
        image: floating-point [height, width, 3] or [depth, height, width, 3], hue in turns, all 0 ... 1.

    Returns:
        The like, red, green and blue 0 ... 1.

    Raises:
        UserError: The image is not one of these.

    Example:
        >>> from_hsv(np.array([[[0.5, 1.0, 1.0]]])).tolist()
        [[[0.0, 1.0, 1.0]]]
    """
    found = pixels(image, "from_hsv", channels=(3,))
    return found.back(by_pixel(table().hsv_to_rgb, shares(found.values)))


@operation(show=as_picture, keeps=False)
def cmyk(image: Array) -> Array:
    """Return cyan, magenta, yellow and black of a colour image, without a printer's profile.

    Args:
        image: [height, width, 3] or a volume [depth, height, width, 3] of red, green and blue.

    Returns:
        float32 (of float64 images float64) [..., 4], all 0 (no ink) ... 1.

    Raises:
        UserError: The image is not one of these.

    Example:
        >>> cmyk(np.array([[[255, 0, 0], [0, 0, 0]]], np.uint8)).tolist()
        [[[0.0, 1.0, 1.0, 0.0], [0.0, 0.0, 0.0, 1.0]]]
    """
    found = pixels(image, "cmyk", channels=(3,))
    return found.back(by_pixel(table().rgb_to_cmyk, shares(found.values)))


def from_cmyk(image: Array) -> Array:
    """Return red, green and blue of cyan, magenta, yellow and black.

    Args:
        image: floating-point [height, width, 4] or [depth, height, width, 4], all 0 (no ink) ... 1.

    Returns:
        [..., 3], red, green and blue 0 ... 1.

    Raises:
        UserError: The image is not one of these.

    Example:
        >>> from_cmyk(np.array([[[0.0, 1.0, 1.0, 0.0]]])).tolist()
        [[[1.0, 0.0, 0.0]]]
    """
    found = pixels(image, "from_cmyk", channels=(4,))
    return found.back(by_pixel(table().cmyk_to_rgb, shares(found.values)))
