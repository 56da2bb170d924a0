"""Sampling of images at places that another tensor names: spatial transformers, registration, warps.

A place along an axis becomes a number in pixels, which the padding rule brings into the image; around it lie the taps,
one (nearest), two (bilinear) or four (bicubic) pixels with a weight each.  With several axes a pixel's weight is the
product of its weights along each.
"""

from itertools import product
from math import prod
from typing import Any, NamedTuple

from ..annotations import Tensor
from ..dispatch import Array, kernel
from ..tape import Op
from .resample_cubic import CUBIC

__all__ = ["grid_sample"]

MODES = {"bilinear": 0, "nearest": 1, "bicubic": 2}
PADDINGS = {"zeros": 0, "border": 1, "reflection": 2}
BILINEAR, NEAREST, BICUBIC = MODES.values()
ZEROS, BORDER, REFLECTION = PADDINGS.values()
LARGEST = 2.0**30  # a place beyond it, or not a number, is outside every image

# ------------------------------------------------------------------------------------------- reference kernels


class Tap(NamedTuple):
    """One of the pixels around each place along one axis."""

    pixel: Array  # its number, brought into the image
    inside: Array  # whether there is such a pixel; where not it counts as 0
    weight: Array
    slope: Array  # the derivative of the weight by the grid's number


def unnormalise(g: Array, n: int, align_corners: bool) -> tuple[Array, float]:
    """Return (places in pixels, pixels for each unit of the grid): -1 to 1 spans the outer centres, or the edges.

    Product and difference are rounded once, as by a fused multiply-add: rounding decides between two pixels.
    """
    scale = (n - 1) / 2 if align_corners else n / 2
    return ((g + 1).astype("f8") * scale - (0.0 if align_corners else 0.5)).astype(g.dtype), scale


def reflected(xp: Any, place: Array, n: int, align_corners: bool) -> tuple[Array, Array]:
    """Return places reflected into the image as often as it takes, and +1 or -1, the slope of that."""
    low, span = (0.0, n - 1.0) if align_corners else (-0.5, float(n))
    if span == 0:
        return xp.zeros_like(place), xp.zeros_like(place)
    beyond = xp.abs(place - low)
    beyond = beyond - xp.floor(beyond / (2 * span)) * (2 * span)
    back = xp.where(beyond > span, 2 * span - beyond, beyond)
    turned = (place < low) != (beyond > span)
    return back + low, xp.where(turned, -1, 1).astype(place.dtype)


def padded_place(xp: Any, place: Array, n: int, padding: int, align_corners: bool) -> tuple[Array, Array]:
    """Return places brought into the image by the padding rule, and the slope of that: 0 where they were cut off."""
    slope = xp.ones_like(place)
    if padding == ZEROS:
        return place, slope
    if padding == REFLECTION:
        place, slope = reflected(xp, place, n, align_corners)
    cut = (place <= 0) | (place >= n - 1)
    return xp.clip(place, 0, n - 1), xp.where(cut, xp.zeros_like(slope), slope)


def cubic_weights(t: Array) -> list[tuple[Array, Array]]:
    """Return (weight, derivative by t) of the four pixels from 1 before to 2 after; t: the place after the second."""
    a = CUBIC

    def near(d: Array) -> tuple[Array, Array]:
        return ((a + 2) * d - (a + 3)) * d * d + 1, (3 * (a + 2) * d - 2 * (a + 3)) * d

    def far(d: Array) -> tuple[Array, Array]:
        return (((d - 5) * d + 8) * d - 4) * a, ((3 * d - 10) * d + 8) * a

    after = [near(1 - t), far(2 - t)]
    return [far(t + 1), near(t), *((weight, -slope) for weight, slope in after)]


def axis_taps(xp: Any, g: Array, n: int, mode: int, padding: int, align_corners: bool) -> list[Tap]:
    """Return the taps of every place along one axis of n pixels."""
    place, scale = unnormalise(g, n, align_corners)
    bend = xp.full_like(place, scale)
    if mode != BICUBIC:  # whose taps are brought into the image one by one
        place, slope = padded_place(xp, place, n, padding, align_corners)
        bend = slope * scale
    known = xp.abs(place) < LARGEST
    base = xp.rint(place) if mode == NEAREST else xp.floor(place)
    first = xp.where(known, base, -LARGEST).astype(xp.int64)
    t = place - base
    if mode == NEAREST:
        return [tap(xp, first, n, mode, padding, align_corners, 1 + 0 * t, 0 * t)]
    if mode == BILINEAR:
        pairs = [(1 - t, -bend), (t, bend)]
        return [tap(xp, first + k, n, mode, padding, align_corners, *pair) for k, pair in enumerate(pairs)]
    weights = [(weight, slope * bend) for weight, slope in cubic_weights(t)]
    return [tap(xp, first + k - 1, n, mode, padding, align_corners, *pair) for k, pair in enumerate(weights)]


def tap(
    xp: Any, pixel: Array, n: int, mode: int, padding: int, align_corners: bool, weight: Array, slope: Array
) -> Tap:
    """Return a tap from the number of its pixel, which may lie outside the image."""
    if mode == BICUBIC and padding != ZEROS:
        brought, _ = padded_place(xp, pixel.astype(weight.dtype), n, padding, align_corners)
        pixel = brought.astype(xp.int64)
    return Tap(xp.clip(pixel, 0, n - 1), (pixel >= 0) & (pixel < n), weight, slope)


def line(a: Array) -> Array:
    """Return what there is for each place (N, *places) as (N, 1, places)."""
    return a.reshape(a.shape[0], 1, prod(a.shape[1:]))


def corners(xp: Any, grid: Array, space: tuple[int, ...], how: tuple[Any, ...]) -> Any:
    """Yield (number of the pixel in the flattened image, whether it is inside, its taps) for each pixel that counts."""
    rank = len(space)
    taps = [axis_taps(xp, grid[..., rank - 1 - a], n, *how) for a, n in enumerate(space)]
    for corner in product(*taps):
        number: Array = 0
        for one, n in zip(corner, space, strict=True):
            number = number * n + one.pixel
        inside = corner[0].inside
        for one in corner[1:]:
            inside = inside & one.inside
        yield line(number), line(inside), corner


def values_at(xp: Any, x: Array, number: Array, inside: Array) -> Array:
    """Return the pixels (N, C, places) of the numbers given, 0 outside."""
    flat = x.reshape(*x.shape[:2], prod(x.shape[2:]))
    spread = xp.broadcast_to(number, (*x.shape[:2], number.shape[2]))
    return xp.where(inside, xp.take_along_axis(flat, spread, 2), xp.zeros((), x.dtype))


def sampled(xp: Any, x: Array, grid: Array, *how: Any) -> Array:
    """y[n, c, place] = the sum over the pixels around of weight x[n, c, pixel]."""
    y = xp.zeros((*x.shape[:2], prod(grid.shape[1:-1])), x.dtype)
    for number, inside, corner in corners(xp, grid, x.shape[2:], how):
        y += line(prod(one.weight for one in corner)) * values_at(xp, x, number, inside)
    return y.reshape(*x.shape[:2], *grid.shape[1:-1])


def sampled_back(xp: Any, dy: Array, grid: Array, x_shape: tuple[int, ...], *how: Any) -> Array:
    """dx[n, c, pixel] += weight dy[n, c, place], for the pixels around each place."""
    n, c, *space = x_shape
    dx = xp.zeros((n, c, prod(space)), dy.dtype)
    images, channels = xp.arange(n).reshape(n, 1, 1), xp.arange(c).reshape(1, c, 1)
    for number, inside, corner in corners(xp, grid, tuple(space), how):
        part = line(prod(one.weight for one in corner)) * dy.reshape(n, c, number.shape[2])
        xp.add.at(dx, (images, channels, number), xp.where(inside, part, xp.zeros((), dy.dtype)))
    return dx.reshape(x_shape)


def sampled_slope(xp: Any, dy: Array, x: Array, grid: Array, *how: Any) -> Array:
    """dgrid[n, place, axis] = the sum over c of dy times y's derivative along that axis.

    The slopes of an axis' weights add up to 0, so differences from its first tap serve as well as values, and lose no
    digits where the image is nearly constant.
    """
    rank, n = grid.shape[-1], x.shape[0]
    found = list(corners(xp, grid, x.shape[2:], how))
    count = round(len(found) ** (1 / rank))  # taps of each axis
    values = [values_at(xp, x, number, inside) for number, inside, _ in found]
    slopes = [xp.zeros((n, prod(grid.shape[1:-1])), grid.dtype) for _ in range(rank)]
    for i, (*_, corner) in enumerate(found):
        for axis in range(rank):
            step = count ** (rank - 1 - axis)
            start = i - (i // step % count) * step  # the same corner but for the first tap of the axis
            part = (dy.reshape(values[i].shape) * (values[i] - values[start])).sum(1)
            factors = [one.slope if a == axis else one.weight for a, one in enumerate(corner)]
            slopes[rank - 1 - axis] += line(prod(factors))[:, 0] * part
    return xp.stack(slopes, -1).reshape(grid.shape).astype(grid.dtype)


def taps_of(mode: int, rank: int) -> int:
    """Return how many pixels count at each place."""
    return int((2, 1, 4)[mode] ** rank)


def sampled_shape(x: Array, grid: Array, *_: Any) -> list[tuple[int, ...]]:
    """Return the shape (N, C, *places)."""
    return [(*x.shape[:2], *grid.shape[1:-1])]


def forward_flops(x: Array, grid: Array, mode: int, *_: Any) -> float:
    """Return a multiplication and an addition for each pixel that counts."""
    return float(2 * taps_of(mode, grid.shape[-1]) * x.shape[1] * prod(grid.shape[:-1]))


def backward_flops(dy: Array, grid: Array, x_shape: Any, mode: int, *_: Any) -> float:
    """Return the same for the gradient of the input."""
    return float(2 * taps_of(mode, grid.shape[-1]) * dy.size)


def slope_flops(dy: Array, x: Array, grid: Array, mode: int, *_: Any) -> float:
    """Return the same for the gradient of each axis of the grid."""
    return float(2 * grid.shape[-1] * taps_of(mode, grid.shape[-1]) * dy.size)


@kernel(out=sampled_shape, flops=forward_flops)
def grid_sample2d_forward(xp: Any, x: Array, grid: Array, mode: int, padding: int, align_corners: bool) -> Array:
    """y[n, c, i, j] = x[n, c] at the place grid[n, i, j] = (x, y)."""
    return sampled(xp, x, grid, mode, padding, align_corners)


@kernel(out=lambda dy, grid, x_shape, *_: [x_shape], flops=backward_flops)
def grid_sample2d_backward_input(
    xp: Any, dy: Array, grid: Array, x_shape: Any, mode: int, padding: int, align_corners: bool
) -> Array:
    """dx[n, c] at the pixels around grid[n, i, j] += their weights dy[n, c, i, j]."""
    return sampled_back(xp, dy, grid, x_shape, mode, padding, align_corners)


@kernel(out=lambda dy, x, grid, *_: [grid.shape], flops=slope_flops)
def grid_sample2d_backward_grid(
    xp: Any, dy: Array, x: Array, grid: Array, mode: int, padding: int, align_corners: bool
) -> Array:
    """dgrid[n, i, j, axis] = the sum over c of dy[n, c, i, j] times y's derivative along the axis."""
    return sampled_slope(xp, dy, x, grid, mode, padding, align_corners)


@kernel(out=sampled_shape, flops=forward_flops)
def grid_sample3d_forward(xp: Any, *args: Any) -> Array:
    """Compute grid_sample2d_forward with one axis more: grid[n, h, i, j] = (x, y, z)."""
    return sampled(xp, *args)


@kernel(out=lambda dy, grid, x_shape, *_: [x_shape], flops=backward_flops)
def grid_sample3d_backward_input(xp: Any, *args: Any) -> Array:
    """Compute grid_sample2d_backward_input with one axis more."""
    return sampled_back(xp, *args)


@kernel(out=lambda dy, x, grid, *_: [grid.shape], flops=slope_flops)
def grid_sample3d_backward_grid(xp: Any, *args: Any) -> Array:
    """Compute grid_sample2d_backward_grid with one axis more."""
    return sampled_slope(xp, *args)


# ----------------------------------------------------------------------------------------------------- the op


class GridSample(Op):
    """y[n, c, place] = the sum over the pixels around of w x[n, c, pixel], w the product of the axes' weights.

    dx[n, c, pixel] += w dy[n, c, place];  dgrid[n, place, axis] = sum over c and pixels of (dw / dgrid) x dy, which is
    0 in mode nearest.
    Jaderberg, Simonyan, Zisserman and Kavukcuoglu 2015, equations 5 to 7.
    """

    def forward(self, x: Array, grid: Array, mode: int = 0, padding: int = 0, align_corners: bool = False) -> Array:
        self.save(x, grid, mode, padding, align_corners)
        forward = self.k.grid_sample3d_forward if grid.ndim == 5 else self.k.grid_sample2d_forward
        return forward(x, grid, mode, padding, align_corners)

    def backward(self, dy: Array) -> Any:
        x, grid, *how = self.saved
        volumes, dx, dgrid = grid.ndim == 5, None, None
        if self.needs[0]:
            to_input = self.k.grid_sample3d_backward_input if volumes else self.k.grid_sample2d_backward_input
            dx = to_input(dy, grid, x.shape, *how)
        if self.needs[1] and how[0] == NEAREST:
            dgrid = self.k.full(grid.shape, grid.dtype, 0)
        elif self.needs[1]:
            to_grid = self.k.grid_sample3d_backward_grid if volumes else self.k.grid_sample2d_backward_grid
            dgrid = to_grid(dy, x, grid, *how)
        return dx, dgrid, None, None, None

    @staticmethod
    def samples(draw: Any) -> tuple[Any, ...]:
        rank = draw.choice((2, 3))
        mode, padding = draw.integer(0, 2 if rank == 2 else 1), draw.integer(0, 2)
        align_corners = draw.boolean()
        space = draw.shape(rank, rank, 1, 6 if rank == 2 else 4)
        places = draw.shape(rank, rank, 1, 7 if rank == 2 else 4)
        batch, channels = draw.choice((1, 2, 0)), draw.choice((1, 2, 3, 17, 33) if rank == 2 else (1, 2))
        x = draw.array((batch, channels, *space))
        # in quarters of a pixel apart from where a weight has a kink or a jump: whole and half pixels, and the edges
        pixels = draw.integers((batch, *places, rank), -16, 4 * max(space) + 12)
        pixels = pixels / 2 + 0.25 + draw.array(pixels.shape, -0.15, 0.15)
        sizes = [float(n) for n in reversed(space)]
        spans = [max(n - 1, 0.7) if align_corners else n for n in sizes]
        offsets = [0.0 if align_corners else 0.5] * rank
        grid = (pixels + offsets) / spans * 2 - 1
        return x, grid, mode, padding, align_corners

    @staticmethod
    def oracle(torch: Any, x: Any, grid: Any, mode: int, padding: int, align_corners: bool) -> Any:
        return torch.grid_sampler(x, grid, mode, padding, align_corners)


# ------------------------------------------------------------------------------------------- public functions


def grid_sample(
    input: Tensor,
    grid: Tensor,
    mode: str = "bilinear",
    padding_mode: str = "zeros",
    align_corners: bool | None = None,
) -> Tensor:
    """Sample an image or a volume at given places.

    Args:
        input: (N, C, H, W) or (N, C, D, H, W), floating point.
        grid: (N, *places, 2), or 3 for volumes, of the input's dtype: the place along the last axis of space first, in
            units where -1 to 1 spans the image.
        mode: "bilinear" (trilinear for volumes), "nearest", "bicubic" (images only).
        padding_mode: What lies outside the image: "zeros", "border" (the nearest pixel) or "reflection".
        align_corners: Let -1 and 1 be the centres of the outer pixels instead of their outer edges.

    Returns:
        (N, C, *places) of the input's dtype.  A place that is not a number gives NaN.

    Raises:
        ValueError: A shape, the mode or the padding is not accepted.
        TypeError: The dtypes differ.

    Example:
        >>> import tinymed
        >>> from tinymed.nn import functional as F
        >>> x = tinymed.tensor([[[[1.0, 3.0]]]])
        >>> F.grid_sample(x, tinymed.tensor([[[[0.0, 0.0], [0.5, 0.0]]]])).tolist()
        [[[[2.0, 3.0]]]]

    Reference:
        Jaderberg, Simonyan, Zisserman and Kavukcuoglu, Spatial transformer networks, NeurIPS 2015.
    """
    shape, places = tuple(input.shape), tuple(grid.shape)
    rank = len(shape) - 2
    if rank not in (2, 3) or len(places) != rank + 2 or places[0] != shape[0] or places[-1] != rank:
        raise ValueError(
            f"grid_sample: input has shape {list(shape)}, grid {list(places)}; it takes (N, C, H, W) with "
            "(N, H_out, W_out, 2), or (N, C, D, H, W) with (N, D_out, H_out, W_out, 3)"
        )
    if input.dtype.kind != "f" or input.dtype != grid.dtype:
        raise TypeError(
            f"grid_sample: input is {input.dtype}, grid {grid.dtype}; it takes floating-point numbers of one dtype"
        )
    if 0 in shape[1:]:
        raise ValueError(f"grid_sample: input has shape {list(shape)}; only the batch axis may be empty")
    if mode not in MODES or (mode == "bicubic" and rank == 3):
        takes = ", ".join(repr(m) for m in MODES if m != "bicubic" or rank == 2)
        raise ValueError(f"grid_sample: mode is {mode!r}; with {rank} axes of space it takes {takes}")
    if padding_mode not in PADDINGS:
        raise ValueError(f"grid_sample: padding_mode is {padding_mode!r}; it takes {', '.join(map(repr, PADDINGS))}")
    return GridSample.apply(input, grid, MODES[mode], PADDINGS[padding_mode], bool(align_corners))
