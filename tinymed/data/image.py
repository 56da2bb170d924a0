"""Image files to arrays: one path for training and for prediction, closed to hostile files.

A file is opened by an allow-list of formats, its size is checked in the header before a pixel is decoded, and whatever
goes wrong inside the decoder becomes one `UserError` that names the file.  Pictures of 8 bits are uint8, also where a
program wrote them into 16 by repeating each byte; deeper ones keep their depth as float32 on the same scale, 0 (black)
to 255 (white).  DICOM files are read by `data/dicom`, on the same scale.
"""

import io
import os
import re
import stat
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..errors import UserError
from .dicom.files import is_dicom
from .resize_volume import fit_volume

if TYPE_CHECKING:
    from PIL.Image import Image

FORMATS = ("PNG", "JPEG", "BMP", "TIFF", "WEBP", "GIF", "PPM")
SUFFIXES = frozenset(
    (".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".bmp", ".tif", ".tiff", ".webp", ".gif", ".pgm", ".ppm", ".pbm", ".pnm")
)
LOSSY = ("JPEG", "MPO")  # formats that change single values
MAX_PIXELS = 64_000_000  # below Pillow's own warning at 89 million, so ours is the rule that speaks
READ_WHOLE = 16 << 20  # bytes of a file up to which it is read at once: Pillow reads many small parts
MAX_16_BIT = 65535
BYTE_TWICE = 257  # 8 bits in 16: a byte b is b * 256 + b
DEEP_COLOUR = re.compile(r"(RGB|RGBA|RGBX|RGBa);16([BLN])")  # Pillow's names of how such pixels lie in a file
DEEP_GREY = "LA;16B"  # its name of grey and transparency of 16 bits each; read as RGBA, the low byte of grey is green
ORIENTATION = 0x0112  # the EXIF tag
TURNED = frozenset(("exif", "Raw profile type exif", "XML:com.adobe.xmp", "xmp"))  # where Pillow looks for it
LUMA = (0.299, 0.587, 0.114)


def is_picture(path: str | Path) -> bool:
    """Return whether a file's name is that of an image that `decode` reads, or its content is DICOM."""
    path = path if isinstance(path, Path) else Path(path)
    return path.suffix.lower() in SUFFIXES or is_dicom(path)


def decode(
    path: str | Path,
    *,
    max_pixels: int = MAX_PIXELS,
    white: float | None = None,
    window: tuple[float, float] | None = None,
    page: int | None = None,
) -> np.ndarray:
    """Read the pixels of an image file.

    EXIF orientation is applied; palettes become RGB; alpha is dropped, as torchvision and Keras do.  8 bits are uint8
    as they are.  Deeper pixels (16 or 32-bit integers, floating point) become float32, 255 * value / white, so that
    no level is lost and, one `white` being given for a whole set, images stay comparable with each other.  16-bit
    pixels that are all bytes repeated (257 * b, white 65535) hold 8 bits, and are b as uint8: the same numbers.
    A DICOM file is shown by `window` or `white`, else by its own window, else by the range of its bits.

    Args:
        path: The file; its format is told by its content.
        max_pixels: Limit on height x width, checked in the header.
        white: The value of a deeper picture that is white, such as 4095 for 12 bits in a 16-bit file.  Without it
            that is 65535 for integers; floating-point pixels then have no range and are refused.
        window: Instead of white, (centre, width): deeper pixels below centre - width / 2 are black, those above
            centre + width / 2 white, those between them in proportion.
        page: Which page of a TIFF of several, or frame of a DICOM file, from 1; without it a file has one.

    Returns:
        [height, width, channels], channels 1 (grey) or 3 (RGB), 0 black, 255 white; uint8, or float32 of deeper
        pixels.

    Raises:
        UserError: Unreadable or truncated file, more than max_pixels, several pages of which none is chosen, pixels
            outside 0 ... white.

    Example:
        >>> from PIL import Image
        >>> Image.new("RGB", (6, 4), (255, 0, 0)).save("red.png")
        >>> pixels = decode("red.png")
        >>> pixels.shape, pixels[0, 0].tolist()
        ((4, 6, 3), [255, 0, 0])
    """
    path = path if isinstance(path, Path) else Path(path)
    if is_dicom(path):
        return decode_dicom(path, max_pixels, white, window, page)
    scale = Scale(white, window)
    return read_image(path, max_pixels, lambda path, image, _: to_array(path, image, scale), page)


def decode_dicom(
    path: Path, max_pixels: int, white: float | None, window: tuple[float, float] | None, page: int | None
) -> np.ndarray:
    """Return a frame of a DICOM file as `decode` does."""
    from .dicom.files import frame_count, read
    from .dicom.library import guarded
    from .dicom.pixels import read_picture

    found = read(path)
    with guarded(path, "its header"):
        frames = frame_count(found)
    return read_picture(path, found, chosen_page(path, frames, page), max_pixels, white, window)


def decode_mask(path: str | Path, *, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """Return the values of a label image as they are in the file, uint8 or int32 [height, width]; a palette's indices.

    Raises:
        UserError: As `decode`, for a picture in colours, and for a JPEG whose compression has changed the values.
    """
    if is_dicom(path):
        raise UserError(f"{path}: a mask is a picture or a NIfTI volume, this one is DICOM; convert it")
    return read_image(Path(path), max_pixels, to_values)


def image_size(path: str | Path) -> tuple[int, int]:
    """Return (height, width) of an image file by its header, as it is turned in the file."""
    if is_dicom(path):
        from .dicom.files import read

        found = read(Path(path), pixels=False)
        return int(found.Rows), int(found.Columns)
    header: list[tuple[int, int]] = []

    def note(_: Path, image: "Image", kind: str) -> np.ndarray:
        header.append((image.height, image.width))
        return np.zeros(0)

    read_image(Path(path), MAX_PIXELS, note, page=1)
    return header[0]


def orientation(path: Path) -> int:
    """Return how EXIF says that a picture is to be turned, 1 (not at all) to 8; 1 where nothing says it."""
    if is_dicom(path):
        return 1
    from PIL import Image

    try:
        with Image.open(path, formats=FORMATS) as image:
            return int(image.getexif().get(ORIENTATION, 1))
    except Exception:  # what cannot be read is named where its pixels are asked for
        return 1


def read_image(
    path: Path, max_pixels: int, convert: Callable[[Path, "Image", str], np.ndarray], page: int | None = None
) -> np.ndarray:
    """Open a file by the allow-list, check its header, and convert what it holds; every failure is a UserError.

    convert: (path, the image before it is decoded or turned, name of its format) -> array.  page: see `decode`.
    """
    from PIL import Image, UnidentifiedImageError

    size = file_bytes(path)
    try:
        with Image.open(io.BytesIO(path.read_bytes()) if size <= READ_WHOLE else path, formats=FORMATS) as image:
            if image.format != "MPO":  # a phone's MPO holds the photograph first, then a preview
                seek_page(path, image, page)
            check_header(path, image, max_pixels)
            return convert(path, image, image.format or "")
    except UserError:
        raise
    except UnidentifiedImageError:
        if size == 0:
            raise UserError(f"{path}: is empty, 0 bytes; {REMEDY}", SKIP) from None
        if path.name.lower().endswith((".nii", ".nii.gz")):
            raise UserError(f"{path}: is a volume, and pictures are wanted", NEEDED) from None
        raise UserError(f"{path}: not an image in one of {', '.join(FORMATS)}; {REMEDY}", SKIP) from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise UserError(f"{path}: its header claims more than {max_pixels:,} pixels; {REMEDY}", SKIP) from None
    except Exception as error:  # decoders of damaged files raise nearly anything: OSError, SyntaxError, struct.error
        why = " ".join(str(error).split()) or type(error).__name__
        raise UserError(f"{path}: cannot be decoded ({why}); {REMEDY}", SKIP) from error


def file_bytes(path: Path) -> int:
    """Return the size of a file.  Raises UserError for what is none."""
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        status = None
    if status is None or not stat.S_ISREG(status.st_mode):
        what = "a folder, not an image" if path.is_dir() else "no such file"
        raise UserError(f"{path}: {what}; correct the path or the list that names it")
    return status.st_size


REMEDY = "replace or remove the file"
NEEDED = {"planes=True": "read the three middle planes of volumes with {}", "whole=True": "or all of them with {}"}
SKIP = {"skip_bad=True": "or leave it out with {}"}


def check_header(path: Path, image: "Image", max_pixels: int) -> None:
    """Raise UserError for a picture that must not be decoded, from what its header says."""
    width, height = image.size
    if width * height > max_pixels:
        raise UserError(f"{path}: {width} x {height} pixels are more than the limit of {max_pixels:,}; {REMEDY}", SKIP)


def seek_page(path: Path, image: "Image", page: int | None) -> None:
    """Turn to a page of a picture.  Raises UserError where there are several and none is chosen, or fewer."""
    number = chosen_page(path, getattr(image, "n_frames", 1), page)
    if number:
        image.seek(number)


def chosen_page(path: Path, pages: int, page: int | None) -> int:
    """Return the number of a page from 0; raise UserError that names the option where it must be said."""
    if page is None and pages > 1:
        raise UserError(
            f"{path}: holds {pages} pages, expected one picture; write one file a page",
            {"page=NUMBER": "or read one page of every file with {}"},
        )
    if page is not None and page > pages:
        raise UserError(f"{path}: has no page {page}, it has {pages}")
    return 0 if page is None else page - 1


def upright(image: "Image") -> "Image":
    """Return a Pillow image as its EXIF orientation says that it is to be seen; itself where it is upright."""
    from PIL import ImageOps

    image.load()  # a PNG may say it behind its pixels
    told = TURNED & image.info.keys() or hasattr(image, "tag_v2")
    if not told or image.getexif().get(ORIENTATION, 1) == 1:
        return image
    return ImageOps.exif_transpose(image)


def low_tiles(image: "Image") -> list[Any]:
    """Return how to decode the low bytes of 16-bit colours or transparent grey, of which Pillow keeps the high ones.

    [] for other pictures.

    Read in the wrong byte order, the low byte of every value is the one that is kept.
    """
    tiles = []
    for tile in getattr(image, "tile", ()):
        args = tile[3] if isinstance(tile[3], tuple) else (tile[3],)
        if args and args[0] == DEEP_GREY:
            tiles.append(tile._replace(args=("RGBA", *args[1:]) if isinstance(tile[3], tuple) else "RGBA"))
            continue
        found = DEEP_COLOUR.fullmatch(str(args[0])) if args and ";16" in str(args[0]) else None
        if not found:
            return []
        order = {"N": "L" if sys.byteorder == "little" else "B"}.get(found[2], found[2])
        raw = f"{found[1]};16{'L' if order == 'B' else 'B'}"
        tiles.append(tile._replace(args=(raw, *args[1:]) if isinstance(tile[3], tuple) else raw))
    return tiles


def low_bytes(path: Path, image: "Image") -> np.ndarray | None:
    """Return the low bytes of colours of 16 bits, turned as the picture; None for other pictures.

    [height, width, 3], or [height, width, 1] of grey with transparency.
    """
    from PIL import Image

    tiles = low_tiles(image)
    if not tiles:
        return None
    with Image.open(path, formats=FORMATS) as again:
        grey = any(DEEP_GREY in str(tile[3]) for tile in again.tile)  # the name, or a tuple with it
        again.tile = tiles
        return np.asarray(upright(again))[:, :, 1:2] if grey else np.asarray(upright(again))[:, :, :3]


class Scale(NamedTuple):
    """How pixels deeper than 8 bits become black and white: see `decode`."""

    white: float | None = None
    window: tuple[float, float] | None = None


def to_array(path: Path, image: "Image", scale: Scale) -> np.ndarray:
    """Return a Pillow image of any mode as uint8 [height, width, 1 or 3], or float32 where deeper than 8 bits."""
    low = low_bytes(path, image)
    image = upright(image)
    if low is not None:
        return scale_deep(path, np.asarray(image)[:, :, : low.shape[2]].astype(np.int64) * 256 + low, scale)
    if image.mode.startswith(("I", "F")):
        return scale_deep(path, np.asarray(image), scale)
    if image.mode in ("1", "LA", "La"):
        image = image.convert("L")
    elif image.mode not in ("L", "RGB"):
        if "transparency" in image.info:
            image = image.convert("RGBA")
        image = image.convert("RGB")
    pixels = np.array(image)
    return pixels[:, :, None] if pixels.ndim == 2 else pixels


def to_values(path: Path, image: "Image", kind: str) -> np.ndarray:
    """Return a Pillow image of a format that holds labels as uint8 or int32 [height, width]."""
    if low_tiles(image):
        raise UserError(
            f"{path}: a mask has one value a pixel, this one colours of 16 bits, or transparency; save it as "
            "grey or palette"
        )
    image = upright(image)
    if image.mode == "1":
        image = image.convert("L")
    pixels = np.array(image)
    if pixels.ndim == 3:
        alpha = len(image.getbands()) - 1 if image.mode.endswith("A") else pixels.shape[2]
        colours, opacity = pixels[:, :, :alpha], pixels[:, :, alpha:]
        if not (colours == colours[:, :, :1]).all():
            raise UserError(f"{path}: a mask has one value a pixel, this one has colours; save it as grey or palette")
        if (colours == colours[0, 0]).all() and opacity.size and not (opacity == opacity[0, 0]).all():
            raise UserError(
                f"{path}: all of the mask is {pixels[0, 0, 0]}, and only how transparent it is differs; save what is "
                "to be seen as grey values, without transparency"
            )
        pixels = pixels[:, :, 0]
    if pixels.dtype.kind == "f":
        raise UserError(f"{path}: a mask has whole numbers as values, this one floating-point ones; save it as 8 bits")
    check_lossless(path, pixels, kind)
    return pixels if pixels.dtype == np.uint8 else pixels.astype(np.int32)


def check_lossless(path: Path, values: np.ndarray, kind: str) -> None:
    """Raise UserError for a mask in a format that changes values, unless it has kept them: two at most."""
    found = np.unique(values)
    if kind in LOSSY and found.size > 2:
        raise UserError(
            f"{path}: the mask holds {found.size} different values, such as {found[1]}; a mask has one value a class, "
            "and a JPEG makes others in between: save masks as PNG without smoothing"
        )


def scale_deep(path: Path, pixels: np.ndarray, scale: Scale) -> np.ndarray:
    """Return deep pixels, 0...white scaled to 0...255: float32, or uint8 of 8 bits in 16; [height, width, 1 or 3]."""
    if scale.window is not None:
        return through_window(path, pixels, *scale.window)
    white = scale.white
    ways = {
        "white=MAXIMUM": "or say what value is white with {}",
        "window=CENTRE,WIDTH": "or what is black and white with {}",
    }
    if white is None and pixels.dtype.kind == "f":
        raise UserError(f"{path}: floating-point pixels have no known range; convert to 8 or 16 bits first", ways)
    top = MAX_16_BIT if white is None else white
    wide = pixels.astype(np.float64)
    low, high = float(wide.min()), float(wide.max())
    if not (low >= 0 and high <= top):  # also where either is nan
        raise UserError(f"{path}: pixels from {low:g} to {high:g}, expected 0 to {top:g}; convert it first", ways)
    repeated = pixels.dtype.kind != "f" and top == MAX_16_BIT and not (wide % BYTE_TWICE).any()
    result: np.ndarray = (wide * 255 / top).astype(np.uint8 if repeated else np.float32)
    return result[:, :, None] if result.ndim == 2 else result


def through_window(path: Path, pixels: np.ndarray, centre: float, width: float) -> np.ndarray:
    """Return deep pixels through a window, float32 [height, width, 1 or 3] on the scale 0...255."""
    wide = pixels.astype(np.float64)
    if not np.isfinite(wide).all():
        raise UserError(f"{path}: pixels that are not all finite numbers; {REMEDY}", SKIP)
    result: np.ndarray = (np.clip((wide - centre) / width + 0.5, 0, 1) * 255).astype(np.float32)
    return result[:, :, None] if result.ndim == 2 else result


def with_channels(pixels: np.ndarray, channels: int) -> np.ndarray:
    """Return [height, width, 1 or 3] with the wanted number of channels.

    RGB to grey is the luma .299 R + .587 G + .114 B (ITU-R BT.601), grey to RGB repeats the channel.
    """
    if channels not in (1, 3):
        raise ValueError(f"channels is 1 (grey) or 3 (RGB), got {channels}")
    if pixels.shape[2] == channels:
        return pixels
    if channels == 3:
        return np.repeat(pixels, 3, axis=2)
    if pixels.dtype != np.uint8:  # Pillow knows no colours deeper than 8 bits
        grey: np.ndarray = (pixels @ np.array(LUMA))[:, :, None].astype(np.float32)
        return grey
    from PIL import Image

    return np.asarray(Image.fromarray(np.ascontiguousarray(pixels)).convert("L"))[:, :, None]


def size_pair(size: int | tuple[int, ...]) -> tuple[int, int]:
    """Return (height, width) of a side or a pair; raise ValueError unless both are at least 1."""
    height, width = (size, size) if isinstance(size, int) else size
    if height < 1 or width < 1:
        raise ValueError(f"an image size is at least 1 x 1, got {height} x {width}")
    return height, width


def resize(pixels: np.ndarray, size: int | tuple[int, ...]) -> np.ndarray:
    """Resize pixels bilinearly, antialiased when shrinking; the aspect ratio is not kept.

    The triangle filter is widened by the reduction factor, so every input pixel counts.  As Pillow's BILINEAR, and up
    to rounding `torch.nn.functional.interpolate(mode="bilinear", antialias=True)`.

    Args:
        pixels: [height, width, channels].
        size: A side, or (height, width), in pixels.

    Returns:
        [*size, channels] of the same dtype.

    Raises:
        ValueError: A side is below 1.

    Example:
        >>> resize(np.zeros((8, 6, 3), np.uint8), (4, 4)).shape
        (4, 4, 3)
    """
    height, width = size_pair(size)
    if pixels.shape[:2] == (height, width):
        return pixels
    from PIL import Image

    grey = pixels.shape[2] == 1
    if not grey and pixels.dtype != np.uint8:  # Pillow knows no colours deeper than 8 bits
        return np.concatenate([resize(pixels[:, :, c : c + 1], size) for c in range(pixels.shape[2])], axis=2)
    source: Any = np.ascontiguousarray(pixels[:, :, 0] if grey else pixels)
    small = np.asarray(Image.fromarray(source).resize((width, height), Image.Resampling.BILINEAR))
    return small[:, :, None] if grey else small


def prepare(
    image: str | Path | np.ndarray,
    size: int | tuple[int, ...],
    channels: int,
    white: float | None = None,
    window: tuple[float, float] | None = None,
    page: int | None = None,
) -> np.ndarray:
    """Read or take an image, and bring it to the channels and the size of a network.

    Args:
        image: A file, or decoded pixels [height, width, 1 or 3], or voxels [depth, height, width, 1].
        size: A side, or one for each axis of space, in pixels.
        channels: 1 (grey) or 3 (RGB).
        white: See `decode`.
        window: Likewise.
        page: Likewise.

    Returns:
        [*size, channels] on the scale 0...255, before division by 255.

    Raises:
        UserError: The file cannot be read, see `decode`.
        ValueError: channels is neither 1 nor 3, or a side is below 1.

    Example:
        >>> prepare(np.full((8, 6, 3), 255, np.uint8), 4, channels=1).shape
        (4, 4, 1)
    """
    pixels = image if isinstance(image, np.ndarray) else decode(image, white=white, window=window, page=page)
    if pixels.ndim == 4:
        return fit_volume(pixels, (size,) * 3 if isinstance(size, int) else size)
    return resize(with_channels(pixels, channels), size)
