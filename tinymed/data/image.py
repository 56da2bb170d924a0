"""Image files to uint8 arrays: one path for training and for prediction, closed to hostile files.

A file is opened by an allow-list of formats, its size is checked in the header before a pixel is decoded, and whatever
goes wrong inside the decoder becomes one `UserError` that names the file.
"""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tinymed.errors import UserError

if TYPE_CHECKING:
    from PIL.Image import Image

FORMATS = ("PNG", "JPEG", "BMP", "TIFF", "WEBP")
SUFFIXES = frozenset((".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp"))
MAX_PIXELS = 64_000_000  # below Pillow's own warning at 89 million, so ours is the rule that speaks
MAX_16_BIT = 65535


def decode(path: str | Path, *, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """The pixels of an image file as uint8 [height, width, channels], channels 1 (grey) or 3 (RGB).

    EXIF orientation is applied; palettes become RGB; alpha is dropped, as torchvision and Keras do.  16-bit grey is
    scaled from 0...65535 to 0...255 whatever the brightest pixel is, so that images stay comparable with each other.
    Raises UserError: unreadable or truncated file, more than max_pixels, several pages, floating-point pixels.
    """
    return read_image(Path(path), max_pixels, to_array)


def decode_mask(path: str | Path, *, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """The values of a label image as they are in the file, uint8 or int32 [height, width]; a palette's indices.

    Raises UserError as `decode`, and for a picture in colours.
    """
    return read_image(Path(path), max_pixels, to_values)


def read_image(path: Path, max_pixels: int, convert: Callable[[Path, "Image"], np.ndarray]) -> np.ndarray:
    """Open a file by the allow-list, check its header, and convert what it holds; every failure is a UserError."""
    from PIL import Image, ImageOps, UnidentifiedImageError

    if not path.is_file():
        what = "a folder, not an image" if path.is_dir() else "no such file"
        raise UserError(f"{path}: {what}; correct the path or the list that names it")
    try:
        with Image.open(path, formats=FORMATS) as image:
            check_header(path, image, max_pixels)
            return convert(path, ImageOps.exif_transpose(image))
    except UserError:
        raise
    except UnidentifiedImageError:
        raise UserError(f"{path}: not an image in one of {', '.join(FORMATS)}; {REMEDY}") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise UserError(f"{path}: its header claims more than {max_pixels:,} pixels; {REMEDY}") from None
    except Exception as error:  # decoders of damaged files raise nearly anything: OSError, SyntaxError, struct.error
        raise UserError(f"{path}: cannot be decoded ({error}); {REMEDY}") from error


REMEDY = "replace or remove the file, or leave it out with --skip-bad (skip_bad=True)"


def check_header(path: Path, image: "Image", max_pixels: int) -> None:
    """Raise UserError for a picture that must not be decoded, from what its header says."""
    width, height = image.size
    if width * height > max_pixels:
        raise UserError(f"{path}: {width} x {height} pixels are more than the limit of {max_pixels:,}; {REMEDY}")
    pages = getattr(image, "n_frames", 1)
    if pages > 1 and image.format != "MPO":  # a phone's MPO holds the photograph first, then a preview
        raise UserError(f"{path}: holds {pages} pages, expected one picture; write one file a page")


def to_array(path: Path, image: "Image") -> np.ndarray:
    """A Pillow image of any mode as uint8 [height, width, 1 or 3]."""
    if image.mode.startswith("I"):
        return scale_16_bit(path, np.asarray(image))
    if image.mode == "F":
        raise UserError(f"{path}: floating-point pixels have no known range; convert to 8 or 16 bits first")
    if image.mode in ("1", "LA", "La"):
        image = image.convert("L")
    elif image.mode not in ("L", "RGB"):
        if "transparency" in image.info:
            image = image.convert("RGBA")
        image = image.convert("RGB")
    pixels = np.array(image)
    return pixels[:, :, None] if pixels.ndim == 2 else pixels


def to_values(path: Path, image: "Image") -> np.ndarray:
    """A Pillow image that holds labels as uint8 or int32 [height, width]."""
    if image.mode == "1":
        image = image.convert("L")
    pixels = np.array(image)
    if pixels.ndim == 3:
        colours = pixels[:, :, :3] if image.mode in ("RGB", "RGBA") else pixels[:, :, :1]
        if not (colours == colours[:, :, :1]).all():
            raise UserError(f"{path}: a mask has one value a pixel, this one has colours; save it as grey or palette")
        pixels = pixels[:, :, 0]
    if pixels.dtype.kind == "f":
        raise UserError(f"{path}: a mask has whole numbers as values, this one floating-point ones; save it as 8 bits")
    return pixels if pixels.dtype == np.uint8 else pixels.astype(np.int32)


def scale_16_bit(path: Path, pixels: np.ndarray) -> np.ndarray:
    """0...65535 to 0...255, rounded to nearest: uint8 [height, width, 1]."""
    wide = pixels.astype(np.int64)
    low, high = int(wide.min()), int(wide.max())
    if low < 0 or high > MAX_16_BIT:
        raise UserError(f"{path}: pixels from {low} to {high}, expected 0 to {MAX_16_BIT}; convert to 8 or 16 bits")
    return ((wide + 128) // 257).astype(np.uint8)[:, :, None]


def with_channels(pixels: np.ndarray, channels: int) -> np.ndarray:
    """uint8 [height, width, 1 or 3] to the wanted number of channels.

    RGB to grey is the luma .299 R + .587 G + .114 B (ITU-R BT.601), grey to RGB repeats the channel.
    """
    if channels not in (1, 3):
        raise ValueError(f"channels is 1 (grey) or 3 (RGB), got {channels}")
    if pixels.shape[2] == channels:
        return pixels
    if channels == 3:
        return np.repeat(pixels, 3, axis=2)
    from PIL import Image

    return np.asarray(Image.fromarray(np.ascontiguousarray(pixels)).convert("L"))[:, :, None]


def size_pair(size: int | tuple[int, int]) -> tuple[int, int]:
    """(height, width) of a side or a pair.  Raises ValueError unless both are at least 1."""
    height, width = (size, size) if isinstance(size, int) else size
    if height < 1 or width < 1:
        raise ValueError(f"an image size is at least 1 x 1, got {height} x {width}")
    return height, width


def resize(pixels: np.ndarray, size: int | tuple[int, int]) -> np.ndarray:
    """uint8 [height, width, channels] to `size` (a side, or height and width): bilinear, antialiased when shrinking.

    The triangle filter is widened by the reduction factor, so every input pixel counts (Pillow's BILINEAR; the same as
    torch's interpolate with antialias=True up to rounding).  The aspect ratio is not kept.
    """
    height, width = size_pair(size)
    if pixels.shape[:2] == (height, width):
        return pixels
    from PIL import Image

    grey = pixels.shape[2] == 1
    source: Any = np.ascontiguousarray(pixels[:, :, 0] if grey else pixels)
    small = np.asarray(Image.fromarray(source).resize((width, height), Image.Resampling.BILINEAR))
    return small[:, :, None] if grey else small


def prepare(image: str | Path | np.ndarray, size: int | tuple[int, int], channels: int) -> np.ndarray:
    """A file or decoded pixels as a network takes them before /255: uint8 [height, width, channels]."""
    pixels = image if isinstance(image, np.ndarray) else decode(image)
    return resize(with_channels(pixels, channels), size)
