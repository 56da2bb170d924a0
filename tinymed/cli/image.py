"""`tinymed image`: one operation of image processing on one picture.  What it offers is what `imaging` declares."""

import inspect
import io
import struct
import zlib
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from ..errors import UserError
from ..files import write_atomic
from ..imaging import OPERATIONS
from ..imaging.registry import Operation
from .app import Computing, app, examples
from .options import Given, keyword, with_options

DEEP = 65535 / 255  # from the scale of `data.image.decode` to 16 bits
SUFFIXES = {
    ".png": "png",
    ".tif": "tiff",
    ".tiff": "tiff",
    ".jpg": "jpeg",
    ".jpeg": "jpeg",
    ".bmp": "bmp",
    ".webp": "webp",
    ".pgm": "ppm",
    ".ppm": "ppm",
}
CHARTS = (".csv", ".png")
INPUT: Any = Annotated[Path, typer.Argument(help="The picture.", show_default=False, metavar="IN")]
OUTPUT: Any = Annotated[
    Path, typer.Argument(help="The file to write; its suffix says what kind.", show_default=False, metavar="OUT")
]
GREY: Any = Annotated[bool, typer.Option("--grey", help="Take the picture's grey values (luma) first.")]
WHITE: Any = Annotated[
    float | None,
    typer.Option("--white", help="Value that is white in a picture deeper than 8 bits (65535).", show_default=False),
]
BACKEND: Any = Annotated[
    str | None, typer.Option("--backend", help="Where to compute: numpy, loops, numba, cuda ...", show_default=False)
]


def image(given: Given) -> int:
    """Process one picture: colour, contrast, histogram, denoising, sharpening, edges, morphology, stains.

    Pictures of 16 bits stay so where the operation makes the like; write them as .png, grey ones also as .tif.
    """
    chosen = operation_of(given["op"])
    options = options_of(chosen, given)
    check_paths(given["in_"], given["out"], chosen)
    if given.get("backend"):
        from ..train.run import choose_backend

        choose_backend(given["backend"])
    pixels = read(given["in_"], given.get("white"), bool(given.get("grey")))
    result = compute(chosen, pixels, options)
    if chosen.chart:
        write_chart(given["out"], chosen, *result)
        print(f"{given['out']}: {chosen.name} of {described(pixels)}")
        return 0
    write_picture(given["out"], result)
    print(f"{given['out']}: {described(result)}, {chosen.name} of {described(pixels)}")
    return 0


def operation_of(name: str) -> Operation:
    """Return an operation by name; raise UserError that lists them."""
    found = OPERATIONS.get(name.replace("_", "-"))
    if found is None:
        raise UserError(f"{name}: not an operation; there are {', '.join(sorted(OPERATIONS))}")
    return found


def options_of(chosen: Operation, given: Given) -> dict[str, Any]:
    """Return the operation's options that were given; raise UserError for another operation's."""
    for name in given:
        if name in ALL_OPTIONS and name not in chosen.options:
            owners = ", ".join(o.name for o in ALL_OPTIONS[name])
            raise UserError(f"--{name.replace('_', '-')}: not an option of {chosen.name}; it is of {owners}")
    return {name: given[name] for name in chosen.options if name in given}


def check_paths(source: Path, target: Path, chosen: Operation) -> None:
    """Raise UserError for a file that cannot be written, before anything is computed."""
    known = CHARTS if chosen.chart else tuple(SUFFIXES)
    if target.suffix.lower() not in known:
        raise UserError(
            f"{target}: {chosen.name} is written as one of {', '.join(known)}; choose one of these suffixes"
        )
    if not target.absolute().parent.is_dir():
        raise UserError(f"{target}: there is no folder {target.parent}; make it first")
    if target.is_dir():
        raise UserError(f"{target}: a folder; name a file")
    if source.exists() and target.exists() and source.samefile(target):
        raise UserError(f"{target}: is the picture itself; write to another file")


def read(path: Path, white: float | None, grey: bool) -> np.ndarray:
    """Return a picture's pixels [height, width, 1 or 3], uint8, or uint16 of a deeper one."""
    from ..data.image import decode
    from ..imaging import grey as luma

    pixels = decode(path, white=white)
    if pixels.dtype != np.uint8:
        pixels = np.rint(pixels.astype(np.float64) * DEEP).astype(np.uint16)
    return np.asarray(luma(pixels)) if grey else pixels


def compute(chosen: Operation, pixels: np.ndarray, options: dict[str, Any]) -> Any:
    """Return an operation's picture, or its counts and edges, where NumPy can read them."""
    from ..dispatch import table

    def fetched(array: Any) -> np.ndarray:
        return np.asarray(array.get() if hasattr(array, "get") else array)

    given = table().xp.asarray(pixels)
    result = chosen.function(given, **options)
    if chosen.chart:
        return tuple(fetched(part) for part in result)
    picture = fetched(chosen.show(result, given) if chosen.show else result)
    if not chosen.keeps and picture.dtype == np.uint16:
        picture = np.rint(picture / DEEP).astype(np.uint8)
    return picture


def described(pixels: np.ndarray) -> str:
    """Return a picture's size and kind in words."""
    kinds = {1: "grey", 3: "RGB", 4: "CMYK"}
    return f"{pixels.shape[0]} x {pixels.shape[1]} {kinds[pixels.shape[2]]}, {8 * pixels.itemsize} bits"


def write_picture(path: Path, pixels: np.ndarray) -> None:
    """Write [height, width, 1, 3 or 4] in the format of the suffix, whole or not at all.

    Raises:
        UserError: The format cannot hold it.
    """
    from PIL import Image

    kind, channels = SUFFIXES[path.suffix.lower()], pixels.shape[2]
    if channels == 4 and kind not in ("tiff", "jpeg"):
        raise UserError(f"{path}: {path.suffix} has no cyan, magenta, yellow and black; write .tif or .jpg")
    if pixels.dtype == np.uint16 and kind != "png" and not (kind == "tiff" and channels == 1):
        raise UserError(f"{path}: {path.suffix} cannot keep 16 bits of this picture; write .png")
    if pixels.dtype == np.uint16 and channels == 3:
        write_atomic(path, [deep_png(pixels)])
        return
    content = io.BytesIO()
    made = Image.fromarray(np.ascontiguousarray(pixels[..., 0] if channels == 1 else pixels), *colours(channels))
    made.save(content, kind, **({"quality": 95} if kind == "jpeg" else {}))
    write_atomic(path, [content.getvalue()])


def colours(channels: int) -> tuple[str, ...]:
    """Return Pillow's name of four inks; what it tells by itself it is not told."""
    return ("CMYK",) if channels == 4 else ()


def deep_png(pixels: np.ndarray) -> bytes:
    """Return a PNG of uint16 [height, width, 3], which Pillow cannot write.

    Reference:
        PNG specification, third edition, W3C 2025: chunks IHDR, IDAT and IEND, filter 0 before each row.
    """
    height, width = pixels.shape[:2]
    rows = pixels.astype(">u2").reshape(height, -1).view(np.uint8)
    filtered = np.concatenate([np.zeros((height, 1), np.uint8), rows], axis=1).tobytes()
    header = struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(filtered)), (b"IEND", b"")]
    parts = [struct.pack(">I", len(d)) + n + d + struct.pack(">I", zlib.crc32(n + d)) for n, d in chunks]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def write_chart(path: Path, chosen: Operation, counts: np.ndarray, edges: np.ndarray) -> None:
    """Write a histogram as a table, or draw it."""
    names = {1: ("grey",), 3: ("red", "green", "blue")}[len(counts)]
    if path.suffix.lower() == ".csv":
        lines = [",".join(("from", "to", *names))]
        numbers = zip(edges[:-1], edges[1:], counts.T, strict=True)
        lines += [f"{low:g},{high:g},{','.join(f'{n:g}' for n in row)}" for low, high, row in numbers]
        write_atomic(path, ["\n".join(lines).encode() + b"\n"])
        return
    from ..report.plots import new_figure, write_png

    figure = new_figure(6, 3.6)
    axes = figure.subplots()
    for name, row in zip(names, counts, strict=True):
        axes.stairs(row, edges, color="black" if name == "grey" else name, fill=name == "grey", label=name)
    axes.set_xlabel("value")
    axes.set_ylabel("share of pixels" if counts.dtype.kind == "f" else "pixels")
    axes.set_title(chosen.name)
    if len(names) > 1:
        axes.legend()
    write_png(figure, path)


# ------------------------------------------------------------------------------------------------------- options


def owners() -> dict[str, list[Operation]]:
    """Return the options of all operations, each with those that take it."""
    found: dict[str, list[Operation]] = {}
    for chosen in OPERATIONS.values():
        for name in chosen.options:
            found.setdefault(name, []).append(chosen)
    return found


ALL_OPTIONS = owners()


def parameter(name: str) -> inspect.Parameter:
    """Return an option of one or several operations as a parameter of the command."""
    takers = ALL_OPTIONS[name]
    defaults: dict[str, list[str]] = {}
    for taker in takers:
        defaults.setdefault(f"{taker.options[name].default}", []).append(taker.name)
    told = "; ".join(f"{', '.join(names)}: {value}" for value, names in defaults.items())
    text = f"{takers[0].help_of(name)} ({told})."
    kind = takers[0].options[name].annotation
    flag = f"--{name.replace('_', '-')}"
    return keyword(name, Annotated[kind | None, typer.Option(flag, help=text, show_default=False)])


def required(name: str, annotation: Any) -> inspect.Parameter:
    """Return an argument that must be given."""
    return inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=annotation)


LISTED = "; ".join(f"{o.name}: {o.summary}" for o in OPERATIONS.values())
OPERATION: Any = Annotated[str, typer.Argument(help=LISTED, show_default=False, metavar="OP")]
command = with_options(
    image,
    {},
    [
        required("op", OPERATION),
        required("in_", INPUT),
        required("out", OUTPUT),
        *(parameter(name) for name in ALL_OPTIONS),
        keyword("grey", GREY),
        keyword("white", WHITE),
        keyword("backend", BACKEND),
    ],
)
app.command(
    cls=Computing,
    name="image",
    epilog=examples(
        "tinymed image clahe film.png clearer.png --clip 3",
        "tinymed image median film.png smooth.png --size 5",
        "tinymed image macenko slide.png normalised.png",
        "tinymed image histogram film.png counts.csv",
        "tinymed image otsu cell.png mask.png --grey",
    ),
)(command)
