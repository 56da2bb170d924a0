"""Images before a first convolution in mixed precision: turned channels-last, rounded and padded in one pass."""

from typing import Any

from numba import prange

from ...dispatch import kernel
from ...program import define, gives_rounded
from ..compiler.jit import serial
from ..convolution.borders import grown
from ..simd.bf16_product import rounded
from ..simd.passes import row_pass
from ..simd.vectors import address
from .bf16 import images


def colour_images(draw: Any) -> dict[str, Any]:
    """Draw images of three channels and what surrounds them."""
    edges = draw.choice((((1, 1), (1, 1)), ((0, 2), (3, 0)), ((-1, 0), (1, -2))))
    return {"x": draw.array(draw.choice(((2, 3, 5, 7), (1, 3, 16, 20)))), "padding": edges}


PAD = define(
    "rounded where it is padded",
    "r = bf16_round(x)\ny = pad(r, padding)",
    "y = bf16_pad(x, padding)",
    backend="numba",
    samples=images,
)
TURNED_PAD = define(
    "padded where it is turned",
    "r = bf16_turned(x, ((0, 0), (0, 0)))\ny = pad(r, padding)",
    "y = bf16_turned(x, padding)",
    backend="numba",
    samples=colour_images,
)

pass_round = row_pass("bf16_round_run", "x", "y", "", "", lambda v, x: ((rounded(v, x),), ()))


@serial
def round_run(y: Any, x: Any) -> None:
    """y = x rounded; they may be one array."""
    if y.size > 0:
        pass_round(y.size, 0, y.size, address(x), address(y), 0, 0, 0)


@serial
def planes_to_pixels(y: Any, a: Any, b: Any, c: Any) -> None:
    """Write y = a[0], b[0], c[0], a[1], ..."""
    for i in range(a.size):
        y[3 * i], y[3 * i + 1], y[3 * i + 2] = a[i], b[i], c[i]


@serial
def inside(row: Any, first: Any, width: Any, height: Any, of: Any) -> Any:
    """Return (begin, end) of the pixels of a padded row that the image has; an empty stretch above and below it."""
    if not 0 <= row < height:
        return 0, 0
    begin = max(0, first)
    return begin, max(begin, min(of, width + first))


@kernel(backend="numba", image="y x", out=grown, flops=lambda x, padding: x.size)
def bf16_pad(y: Any, x: Any, padding: Any) -> None:
    """Compute pad of x, rounded."""
    (top, _), (left, _) = padding
    n, h, w, c = y.shape
    to, rows = y.reshape(n * h, w * c), x.reshape(n * x.shape[1], x.shape[2] * c)
    for t in prange(n * h):
        i = t % h - top
        begin, end = inside(i, left, x.shape[2], x.shape[1], w)
        to[t, : begin * c] = 0
        if begin < end:
            source = rows[t // h * x.shape[1] + i]
            round_run(to[t, begin * c : end * c], source[(begin - left) * c : (end - left) * c])
        to[t, end * c :] = 0


@kernel(backend="numba", image="y", out=grown, flops=lambda x, padding: x.size)
def bf16_turned(y: Any, x: Any, padding: Any) -> None:
    """Compute pad of x, three planes an image, rounded: three numbers a pixel."""
    (top, _), (left, _) = padding
    n, h, w, _ = y.shape
    to = y.reshape(n * h, w * 3)
    for t in prange(n * h):
        b, i = t // h, t % h - top
        begin, end = inside(i, left, x.shape[3], x.shape[2], w)
        to[t, : begin * 3] = 0
        if begin < end:
            run, first, last = to[t, begin * 3 : end * 3], begin - left, end - left
            planes_to_pixels(run, x[b, 0, i, first:last], x[b, 1, i, first:last], x[b, 2, i, first:last])
            round_run(run, run)
        to[t, end * 3 :] = 0


gives_rounded("bf16_pad", "bf16_turned")
