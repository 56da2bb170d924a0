"""TIFF files of several pages as volumes: their pages in order, and the spacing that their tags give.

The columns are x, the rows y, the pages z; a TIFF does not say how it lies in a patient, so nothing is turned.  ImageJ
and OME write into the first page's description how far pages are apart, and how pages are dealt out to channels:

ImageJ=1.54f          one key a line: images, channels, slices, frames, unit, spacing
<OME ...><Pixels ...> SizeC, SizeZ, SizeT, DimensionOrder, PhysicalSizeX, PhysicalSizeXUnit, ...

The distance between pixels is XResolution and YResolution in the description's unit, else in the tag's.  What no tag
says is taken as 1, and is told (see `unsaid_text`).
"""

import io
import math
import re
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..errors import UserError

if TYPE_CHECKING:
    from PIL.Image import Image

SUFFIXES = (".tif", ".tiff")
MAX_PAGES = 10_000
DESCRIPTION, ORIENTATION, X_RESOLUTION, Y_RESOLUTION, UNIT, SAMPLES, BITS = 270, 274, 282, 283, 296, 339, 258
PHOTOMETRIC, WHITE_IS_ZERO, SIGNED = 262, 0, 2
MILLIMETRES = {"nm": 1e-6, "um": 1e-3, "micron": 1e-3, "microns": 1e-3, "mm": 1.0, "cm": 10.0, "m": 1e3, "inch": 25.4}
TAGGED = {2: "inch", 3: "cm"}  # values of the tag ResolutionUnit
DTYPES = {"1": np.uint8, "L": np.uint8, "P": np.uint8, "RGB": np.uint8, "RGBA": np.uint8, "F": np.float32}
DTYPES |= {"I;16": np.uint16, "I;16L": np.uint16, "I;16B": np.uint16, "I": np.int32}
AXES = ("x", "y", "z")
REMEDY = "save it again, as one grey page a slice"


class Stack(NamedTuple):
    """A TIFF of several pages before its pixels are read.

    Attributes:
        pages: In the file: slices times channels.
        channels: Each of them a page, or the three colours of one.
        shape: Columns, rows, slices and, where there are several, channels.
        slices_first: Neighbouring pages are slices of one channel, not channels of one slice.
        spacing: Millimetres between columns, rows and slices; 1 where no tag says.
        unsaid: The axes whose spacing no tag says.
        dtype: Of the pixels.
    """

    pages: int
    channels: int
    shape: tuple[int, ...]
    slices_first: bool
    spacing: tuple[float, float, float]
    unsaid: tuple[str, ...]
    dtype: np.dtype


class Told(NamedTuple):
    """What a description says.

    Attributes:
        images: Pages in all.
        channels: Of each slice, a page for each.
        frames: Points in time.
        slices_first: See `Stack`.
        unit: Of `between`, and of the tags' resolution where it is not "".
        between: Distance of pages in that unit.
        sizes: Millimetres between columns, rows and pages.
    """

    images: int | None = None
    channels: int = 1
    frames: int = 1
    slices_first: bool = False
    unit: str = ""
    between: float | None = None
    sizes: tuple[float | None, ...] = (None, None, None)


def is_stack(path: Path) -> bool:
    """Return whether a file is a TIFF that holds, or by ImageJ should hold, several pages; a damaged one is none."""
    return path.suffix.lower() in SUFFIXES and page_count(path) > 1


def page_count(path: Path) -> int:
    """Return the pages of a TIFF, those that ImageJ announces where they are more; 0 of what cannot be read."""
    return max(counted(path))


def counted(path: Path) -> tuple[int, int]:
    """Return (pages in a TIFF, at most MAX_PAGES + 1, pages that ImageJ announces)."""
    try:
        return remembered_count(str(path), path.stat().st_mtime_ns)
    except OSError:
        return 0, 0


@lru_cache(1 << 14)
def remembered_count(path: str, _: int) -> tuple[int, int]:
    """Return the pages of a file whose time of change is part of the question."""
    from PIL import Image

    try:
        with Image.open(path, formats=("TIFF",)) as image:
            text = description_of(image)
            announced = described(text).images or 0 if text.startswith("ImageJ=") else 0
            for page in range(1, MAX_PAGES + 1):
                try:
                    image.seek(page)
                except EOFError:
                    return page, announced
            return MAX_PAGES + 1, announced
    except Exception:  # a damaged header raises nearly anything; the reader of pictures says what is wrong
        return 0, 0


def stack_of(path: Path) -> Stack:
    """Return what the header of a TIFF of several pages says.

    Raises:
        UserError: Pages of different sizes or kinds, another number than the description says, several times.
    """
    return remembered(str(path), path.stat().st_mtime_ns)


@lru_cache(1 << 12)
def remembered(name: str, _: int) -> Stack:
    """Return the header of a file whose time of change is part of the question."""
    path = Path(name)
    if (pages := counted(path)[0]) > MAX_PAGES:
        raise UserError(f"{path}: has more than {MAX_PAGES:,} pages; it is refused")
    with opened(path) as image:
        told = described(description_of(image))
        if told.images is not None and told.images != pages:
            raise UserError(
                f"{path}: its description says {told.images} pages, and it holds {pages}; save or download it again"
            )
        if told.frames > 1:
            raise UserError(
                f"{path}: its description says {told.frames} points in time; write a file for each, or, where they are "
                "slices, say so in ImageJ (Image, Properties)"
            )
        if told.channels < 1 or pages % told.channels:
            raise UserError(f"{path}: its description says {told.channels} channels, which do not divide {pages} pages")
        if told.channels == pages:
            raise UserError(
                f"{path}: its description says {pages} channels of one slice, which are no volume; where they are "
                "slices, say so in ImageJ (Image, Properties)"
            )
        kind = check_page(path, image, 1)
        for page in range(2, pages + 1):
            image.seek(page - 1)
            if (other := check_page(path, image, page)) != kind:
                raise UserError(
                    f"{path}: page {page} is {other}, page 1 {kind}: no volume (a picture with previews?)",
                    {"page=1": "read its first page as a picture with {}"},
                )
        image.seek(0)
        colours = 3 if image.mode in ("RGB", "RGBA") else 1
        if colours > 1 and told.channels > 1:
            raise UserError(f"{path}: has colours in a page and {told.channels} channels of pages; {REMEDY}")
        channels = max(colours, told.channels)
        shape: tuple[int, ...] = (image.width, image.height, pages // told.channels)
        spacing, unsaid = spacing_of(image.tag_v2, told)
        shape = shape if channels == 1 else (*shape, channels)
        return Stack(pages, channels, shape, told.slices_first, spacing, unsaid, np.dtype(DTYPES[image.mode]))


class opened:
    """A TIFF while it is read: whatever its decoder raises becomes one UserError that names the file."""

    def __init__(self, path: Path):
        self.path = path

    def __enter__(self) -> Any:
        from PIL import Image

        try:
            self.image = Image.open(self.path, formats=("TIFF",))
        except Exception as error:
            raise self.told(error) from None
        return self.image

    def __exit__(self, kind: Any, error: BaseException | None, _: Any) -> None:
        self.image.close()
        if isinstance(error, Exception) and not isinstance(error, UserError):
            raise self.told(error) from None

    def told(self, error: Exception) -> UserError:
        """Return an error as one of the user's."""
        why = " ".join(str(error).split()) or type(error).__name__
        return UserError(f"{self.path}: cannot be decoded ({why}); replace or remove the file")


def check_page(path: Path, image: "Image", page: int) -> str:
    """Return size and kind of a page in words; raise UserError for one whose values would be read as others."""
    tags: Any = image.tag_v2  # type: ignore[attr-defined]
    samples, bits = tags.get(SAMPLES, (1,))[0], tags.get(BITS, (1,))[0]
    deep = image.mode not in ("1", "L", "P", "RGB", "RGBA")
    wrong = ""
    if image.mode not in DTYPES or (not deep and bits > 8):
        wrong = f"pixels of the kind {image.mode}, {bits} bits"
    elif samples == SIGNED and bits == 8:
        wrong = "signed pixels of 8 bits"
    elif image.mode != "1" and tags.get(PHOTOMETRIC) == WHITE_IS_ZERO:
        wrong = "pixels whose white is 0"
    elif tags.get(ORIENTATION, 1) != 1:
        wrong = "pixels that are to be turned (tag Orientation)"
    if wrong:
        raise UserError(f"{path}: page {page} has {wrong}, which is not read in volumes; {REMEDY}")
    return f"{image.width} x {image.height} ({image.mode})"


def description_of(image: Any) -> str:
    """Return the description of a first page, which Pillow takes for Latin-1 where it is UTF-8."""
    text = str(image.tag_v2.get(DESCRIPTION, ""))
    try:
        return text.encode("latin-1").decode("utf-8")
    except UnicodeError:
        return text


def described(text: str) -> Told:
    r"""Return what the description of a first page says; of other programs' nothing.

    Example:
        >>> told = described("ImageJ=1.54f\nimages=12\nunit=micron\nspacing=0.5\n")
        >>> told.images, told.unit, told.between
        (12, 'micron', 0.5)
    """
    if text.startswith("ImageJ="):
        lines = (line.partition("=") for line in text.splitlines())
        found = {key.strip(): value.strip() for key, _, value in lines}
        channels, slices, frames = (whole(found.get(key)) or 1 for key in ("channels", "slices", "frames"))
        unit = plain_unit(found.get("unit", "").replace("\\u00B5", "u"))
        between = above_zero(found.get("spacing"))
        if between is not None and slices == 1:  # what has a distance are slices, whatever the program called them
            channels = frames = 1
        return Told(whole(found.get("images")), channels, frames, False, unit, between)
    pixels = re.search(r"<(?:\w+:)?Pixels\b([^>]*)>", text)
    if pixels is None or "<OME" not in text:
        return Told()
    found = dict(re.findall(r'(\w+)="([^"]*)"', pixels[1]))
    channels, slices, frames = (whole(found.get(f"Size{key}")) or 1 for key in "CZT")
    if colours := re.search(r'SamplesPerPixel="(\d+)"', text):  # of one page
        channels //= max(1, int(colours[1]))
    sizes = tuple(in_millimetres(found, f"PhysicalSize{axis}") for axis in "XYZ")
    first = found.get("DimensionOrder", "XYCZT").startswith("XYZ")
    return Told(channels * slices * frames, channels, frames, first, sizes=sizes)


def plain_unit(name: str) -> str:
    """Return a unit's name in lower case, u for either sign of micro."""
    return name.replace("\u00b5", "u").replace("\u03bc", "u").lower()


def in_millimetres(found: dict[str, str], name: str) -> float | None:
    """Return a physical size of OME, in micrometres where no unit is said; None of another unit."""
    size, unit = above_zero(found.get(name)), plain_unit(found.get(f"{name}Unit", "um"))
    return None if size is None or unit not in MILLIMETRES else size * MILLIMETRES[unit]


def whole(text: str | None) -> int | None:
    """Return a number of things, None of what is none."""
    return int(text) if text is not None and text.isdecimal() and len(text) < 10 else None


def above_zero(value: Any) -> float | None:
    """Return a finite number above 0, None of what is none."""
    try:
        number = float(value)
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    return number if 0 < number < math.inf else None


def spacing_of(tags: Any, told: Told) -> tuple[tuple[float, float, float], tuple[str, ...]]:
    """Return (millimetres between columns, rows and pages, the axes of which no tag says it)."""
    scale = MILLIMETRES.get(told.unit or TAGGED.get(tags.get(UNIT, 2), ""))
    known = list(told.sizes)
    for axis, tag in enumerate((X_RESOLUTION, Y_RESOLUTION)):
        dots = above_zero(tags.get(tag))
        if known[axis] is None and scale is not None and dots is not None:
            known[axis] = scale / dots
    if known[2] is None and told.between is not None:
        known[2] = told.between * (scale or 1.0)  # without a unit it is one of pixels, whose size is taken as 1
    unsaid = tuple(axis for axis, size in zip(AXES, known, strict=True) if size is None)
    x, y, z = (1.0 if size is None else size for size in known)
    return (x, y, z), unsaid


class Pages:
    """The voxels of a TIFF as an array that is read when it is asked for, as nibabel takes one."""

    is_proxy = True

    def __init__(self, path: Path, stack: Stack):
        self.path, self.stack = path, stack
        self.shape, self.dtype, self.ndim = stack.shape, stack.dtype, len(stack.shape)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """Return the values [columns, rows, slices] or [columns, rows, slices, channels] as they are stored."""
        values = read_pages(self.path, self.stack)
        return values if dtype is None else values.astype(dtype)

    def __getitem__(self, index: Any) -> np.ndarray:
        part: np.ndarray = np.asarray(self)[index]
        return part


def read_pages(path: Path, stack: Stack) -> np.ndarray:
    """Return the pixels of all pages [columns, rows, slices] or [columns, rows, slices, channels]."""
    columns, rows, slices = stack.shape[:3]
    colours = stack.channels if stack.pages == slices else 1
    values = np.empty((stack.pages, rows, columns, colours), stack.dtype)
    with opened(path) as image:
        for page in range(stack.pages):
            image.seek(page)
            pixels = np.asarray(image.convert("L") if image.mode == "1" else image)
            values[page] = pixels.reshape(rows, columns, -1)[:, :, :colours]
        wrapped = stack.dtype == np.int32 and image.tag_v2.get(SAMPLES, (1,))[0] != SIGNED and values.min() < 0
    if wrapped:
        raise UserError(f"{path}: holds values of 2,147,483,648 and more, which are not read; scale them down")
    if colours == stack.channels:
        upright = values.transpose(2, 1, 0, 3)
    elif stack.slices_first:
        upright = values[..., 0].reshape(stack.channels, slices, rows, columns).transpose(3, 2, 1, 0)
    else:
        upright = values[..., 0].reshape(slices, stack.channels, rows, columns).transpose(3, 2, 0, 1)
    return np.ascontiguousarray(upright.reshape(stack.shape))


def check_pages(image: Path, mask: Path) -> None:
    """Raise UserError where an image or its mask is a TIFF of several pages, and the other has another number."""
    if not all(path.suffix.lower() in SUFFIXES for path in (image, mask)) or not (is_stack(image) or is_stack(mask)):
        return
    ours, theirs = (stack_of(path).shape[2] if is_stack(path) else 1 for path in (image, mask))
    if ours != theirs:
        raise UserError(
            f"{mask}: has {pages_text(theirs)}, its image {image} {pages_text(ours)}; a mask has a page for each of "
            "its image's"
        )


def pages_text(count: int) -> str:
    """Return a number of pages in words."""
    return "1 page" if count == 1 else f"{count} pages"


def unsaid_text(files: Iterable[Path]) -> str:
    """Return how many volumes in TIFF do not say their spacing, in one line; nothing where all do."""
    unsaid = [(file, axes) for file in files if is_stack(file) and (axes := stack_of(file).unsaid)]
    if not unsaid:
        return ""
    file, axes = unsaid[0]
    many = f"{len(unsaid)} TIFF volumes do" if len(unsaid) > 1 else "1 TIFF volume does"
    return (
        f"{many} not say their spacing along {', '.join(axes)}, such as {file.name}: taken as 1 mm, so distances are "
        "in voxels; write it into the tags with ImageJ (Image, Properties)"
    )


def stack_bytes(values: np.ndarray, like: Path) -> bytes:
    """Return integers [x, y, z] as a TIFF of as many pages, with the spacing of another as ImageJ writes it."""
    from PIL import Image
    from PIL.TiffImagePlugin import ImageFileDirectory_v2

    if values.min(initial=0) < 0:
        raise UserError("a TIFF of labels holds no negative values; name others with --labels")
    stack, kept = stack_of(like), values if values.dtype == np.uint8 else values.astype(np.uint16)
    pages = [Image.fromarray(np.ascontiguousarray(kept[:, :, k].T)) for k in range(kept.shape[2])]
    tags = ImageFileDirectory_v2()
    lines = ["ImageJ=1.54f", f"images={len(pages)}", f"slices={len(pages)}"]
    x, y, z = stack.spacing
    if "x" not in stack.unsaid and "y" not in stack.unsaid:
        lines.append("unit=mm")
        tags[X_RESOLUTION], tags[Y_RESOLUTION], tags[UNIT] = 1 / x, 1 / y, 1
    if "z" not in stack.unsaid:
        lines.append(f"spacing={z!r}")
    tags[DESCRIPTION] = "\n".join([*lines, ""])
    content = io.BytesIO()
    pages[0].save(
        content, "TIFF", save_all=True, append_images=pages[1:], tiffinfo=tags, compression="tiff_adobe_deflate"
    )
    return content.getvalue()
