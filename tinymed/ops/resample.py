"""Resampling of one, two or three axes of space: nearest and linear, by both corner rules.

Both are separable, so the reference works on one axis at a time: each output pixel is a weighted sum of one or two
input pixels of that axis (its taps), and the gradient is the transpose of that sum.
"""

from math import floor, prod
from typing import Any

import numpy as np

from ..annotations import Tensor
from ..dispatch import Array, kernel
from ..tape import Op
from .adaptive_pool import adaptive_avg_pool1d, adaptive_avg_pool2d, adaptive_avg_pool3d
from .resample_cubic import ResampleWide
from .space import Sizes, as_before, as_images, check_images, per_axis, planar
from .taps import Steps, Taps, resampled, resampled_back

__all__ = ["interpolate", "upsample"]

MODES = {
    "nearest": (1, 2, 3),
    "nearest-exact": (1, 2, 3),
    "linear": (1,),
    "bilinear": (2,),
    "trilinear": (3,),
    "bicubic": (2,),
    "area": (1, 2, 3),
}

# ------------------------------------------------------------------------------------------- reference kernels


def nearest_taps(n: int, m: int, step: float, offset: float) -> Taps:
    """Take for output pixel i input pixel floor((i + offset) step), in float32 as in PyTorch: rounding decides."""
    return [[(min(int(np.float32(i + offset) * np.float32(step)), n - 1), 1.0)] for i in range(m)]


def linear_taps(n: int, m: int, step: float, align_corners: bool) -> Taps:
    """Take for output pixel i the two pixels around i step, or around (i + 1/2) step - 1/2 but not before 0."""
    result: Taps = []
    for i in range(m):
        at = i * step if align_corners else max(0.0, (i + 0.5) * step - 0.5)
        first = min(floor(at), n - 1)
        weight = min(at - first, 1.0)
        result.append([(first, 1 - weight), (min(first + 1, n - 1), weight)])
    return result


def resized(x: Array, size: Sizes, *_: Any) -> list[Sizes]:
    """Return the shape (N, C, *size)."""
    return [(*x.shape[:2], *size)]


@kernel(out=resized, flops=lambda x, size, *_: 0)
def upsample_nearest2d_forward(xp: Any, x: Array, size: Sizes, steps: Steps, offset: float) -> Array:
    """y[n, c, i] = x[n, c, floor((i + offset) step)]."""
    return resampled(xp, x, [nearest_taps(*how, offset) for how in zip(x.shape[2:], size, steps, strict=True)])


@kernel(out=lambda dy, x_shape, *_: [x_shape], flops=lambda dy, *_: dy.size)
def upsample_nearest2d_backward(xp: Any, dy: Array, x_shape: Sizes, steps: Steps, offset: float) -> Array:
    """dx[n, c, floor((i + offset) step)] += dy[n, c, i]."""
    lattice = [nearest_taps(*how, offset) for how in zip(x_shape[2:], dy.shape[2:], steps, strict=True)]
    return resampled_back(xp, dy, lattice, x_shape[2:])


@kernel(out=resized, flops=lambda x, size, *_: prod(x.shape[:2]) * prod(size) * 2 ** (len(size) + 1))
def upsample_bilinear2d_forward(xp: Any, x: Array, size: Sizes, steps: Steps, align_corners: bool) -> Array:
    """y[n, c, i] = the input pixels around i's place, weighted by their nearness along each axis."""
    return resampled(xp, x, [linear_taps(*how, align_corners) for how in zip(x.shape[2:], size, steps, strict=True)])


@kernel(out=lambda dy, x_shape, *_: [x_shape], flops=lambda dy, x_shape, *_: dy.size * 2 ** (len(x_shape) - 1))
def upsample_bilinear2d_backward(xp: Any, dy: Array, x_shape: Sizes, steps: Steps, align_corners: bool) -> Array:
    """dx at each of the pixels around i's place += its weight * dy[n, c, i]."""
    lattice = [linear_taps(*how, align_corners) for how in zip(x_shape[2:], dy.shape[2:], steps, strict=True)]
    return resampled_back(xp, dy, lattice, x_shape[2:])


@kernel(out=resized, flops=lambda x, size, *_: 0)
def upsample_nearest3d_forward(xp: Any, *args: Any) -> Array:
    """Compute upsample_nearest2d_forward with one axis more."""
    return upsample_nearest2d_forward(xp, *args)


@kernel(out=lambda dy, x_shape, *_: [x_shape], flops=lambda dy, *_: dy.size)
def upsample_nearest3d_backward(xp: Any, *args: Any) -> Array:
    """Compute upsample_nearest2d_backward with one axis more."""
    return upsample_nearest2d_backward(xp, *args)


@kernel(out=resized, flops=lambda x, size, *_: prod(x.shape[:2]) * prod(size) * 2 ** (len(size) + 1))
def upsample_trilinear3d_forward(xp: Any, *args: Any) -> Array:
    """Compute upsample_bilinear2d_forward with one axis more."""
    return upsample_bilinear2d_forward(xp, *args)


@kernel(out=lambda dy, x_shape, *_: [x_shape], flops=lambda dy, x_shape, *_: dy.size * 2 ** (len(x_shape) - 1))
def upsample_trilinear3d_backward(xp: Any, *args: Any) -> Array:
    """Compute upsample_bilinear2d_backward with one axis more."""
    return upsample_bilinear2d_backward(xp, *args)


# ---------------------------------------------------------------------------------------------------- the ops


class UpsampleNearest(Op):
    """y[n, c, i] = x[n, c, floor((i + offset) step)] along each axis of space;  dx there += dy.

    step = input pixels / output pixels, or 1 / scale factor.  offset 0 is PyTorch's "nearest" (and OpenCV's), 1/2 its
    "nearest-exact" (and Pillow's and scikit-image's).
    """

    def forward(self, x: Array, size: Sizes, steps: Steps, offset: float = 0.0) -> Array:
        rank = len(size)
        images, steps = as_images(x, rank), planar(steps, 1.0)
        self.save(images.shape, rank, steps, offset)
        forward = self.k.upsample_nearest3d_forward if rank == 3 else self.k.upsample_nearest2d_forward
        return as_before(forward(images, planar(size, 1), steps, offset), rank, x.ndim)

    def backward(self, dy: Array) -> Any:
        shape, rank, steps, offset = self.saved
        backward = self.k.upsample_nearest3d_backward if rank == 3 else self.k.upsample_nearest2d_backward
        return as_before(backward(as_images(dy, rank), shape, steps, offset), rank, dy.ndim), None, None, None

    @staticmethod
    def samples(draw: Any) -> tuple[Any, ...]:
        x, size, steps = draw_resize(draw)
        return x, size, steps, draw.choice((0.0, 0.5))

    @staticmethod
    def oracle(torch: Any, x: Any, size: Any, steps: Any, offset: float) -> Any:
        name = f"upsample_nearest{len(size)}d" if offset == 0 else f"_upsample_nearest_exact{len(size)}d"
        return getattr(torch.ops.aten, name)(x, size, *factors(x.shape[2:], size, steps))


class UpsampleLinear(Op):
    """y[n, c, i] = (1 - f) x[n, c, p] + f x[n, c, p + 1] along each axis of space;  dx += the same weights times dy.

    p + f is the place of i in the input: i step with step = (size - 1) / (new size - 1) if align_corners (centres of
    the corner pixels coincide), else (i + 1/2) step - 1/2, not before 0 (the corners of the images coincide).
    """

    def forward(self, x: Array, size: Sizes, steps: Steps, align_corners: bool = False) -> Array:
        rank = len(size)
        images, steps = as_images(x, rank), planar(steps, 1.0)
        self.save(images.shape, rank, steps, align_corners)
        forward = self.k.upsample_trilinear3d_forward if rank == 3 else self.k.upsample_bilinear2d_forward
        return as_before(forward(images, planar(size, 1), steps, align_corners), rank, x.ndim)

    def backward(self, dy: Array) -> Any:
        shape, rank, steps, align_corners = self.saved
        backward = self.k.upsample_trilinear3d_backward if rank == 3 else self.k.upsample_bilinear2d_backward
        return as_before(backward(as_images(dy, rank), shape, steps, align_corners), rank, dy.ndim), None, None, None

    @staticmethod
    def samples(draw: Any) -> tuple[Any, ...]:
        x, size, steps = draw_resize(draw)
        if draw.boolean():
            return x, size, aligned_steps(x.shape[2:], size), True
        return x, size, steps, False

    @staticmethod
    def oracle(torch: Any, x: Any, size: Any, steps: Any, align_corners: bool) -> Any:
        name = ("upsample_linear1d", "upsample_bilinear2d", "upsample_trilinear3d")[len(size) - 1]
        scales = [None] * len(size) if align_corners else factors(x.shape[2:], size, steps)
        return getattr(torch.ops.aten, name)(x, size, align_corners, *scales)


def aligned_steps(space: Sizes, size: Sizes) -> Steps:
    """Return steps that bring the last pixel onto the last."""
    return tuple((n - 1) / (m - 1) if m > 1 else 0.0 for n, m in zip(space, size, strict=True))


def factors(space: Sizes, size: Sizes, steps: Steps) -> list[float | None]:
    """Return the scale factors that the oracle takes: None where the step follows from the sizes."""
    return [None if s == n / m else 1 / s for n, m, s in zip(space, size, steps, strict=True)]


def draw_resize(draw: Any) -> tuple[Any, Sizes, Steps]:
    """Draw (x, size, steps), from a size or from a scale factor that need not divide."""
    rank = draw.choice((2, 3, 2, 1, 2))
    batch, channels = draw.choice((1, 2, 3, 0)), draw.choice((1, 2, 3, 16, 17, 33) if rank < 3 else (1, 2))
    space = draw.shape(rank, rank, 1, 7 if rank < 3 else 4)
    x = draw.array((batch, channels, *space))
    if draw.boolean():
        size = draw.shape(rank, rank, 1, 11 if rank < 3 else 5)
        return x, size, tuple(n / m for n, m in zip(space, size, strict=True))
    scale = draw.choice((2.0, 1.0, 3.0, 1.5, 2.6, 4.0))
    return x, tuple(floor(n * scale) for n in space), (1 / scale,) * rank


# ------------------------------------------------------------------------------------------- public functions


def interpolate(
    input: Tensor,
    size: Any = None,
    scale_factor: Any = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
    antialias: bool = False,
) -> Tensor:
    """Resize the axes of space.

    Args:
        input: (N, C, L), (N, C, H, W) or (N, C, D, H, W), floating point.
        size: The new lengths in pixels, an int or one per axis.
        scale_factor: The new lengths over the old, a number or one per axis, instead of size; floor(length factor)
            pixels result.
        mode: "nearest" (PyTorch's, rounding down), "nearest-exact", "area" (adaptive average), or by the number of
            axes "linear", "bilinear", "trilinear"; "bicubic" for images.
        align_corners: In linear modes and "bicubic", let the centres of the corner pixels coincide instead of the
            image's edges.
        recompute_scale_factor: Compute the places of pixels from the sizes instead of from the factor given.
        antialias: When shrinking, use filters as wide as the step; for "bilinear" and "bicubic".

    Returns:
        A tensor of the input's dtype with new axes of space.

    Raises:
        ValueError: The shape, the mode or a combination of arguments is not accepted.

    Example:
        >>> import tinymed
        >>> from tinymed.nn import functional as F
        >>> x = tinymed.tensor([[[1.0, 3.0]]])
        >>> F.interpolate(x, scale_factor=2).tolist()
        [[[1.0, 1.0, 3.0, 3.0]]]
        >>> F.interpolate(x, 3, mode="linear", align_corners=True).tolist()
        [[[1.0, 2.0, 3.0]]]

    Reference:
        Keys, IEEE Transactions on Acoustics, Speech and Signal Processing 1981, for "bicubic".
    """
    rank = len(input.shape) - 2
    if rank not in (1, 2, 3):
        raise ValueError(
            f"interpolate: input has shape {list(input.shape)}; it takes (N, C) and one to three axes of space"
        )
    space = check_images("interpolate", input, rank)
    if rank not in MODES.get(mode, ()):
        takes = ", ".join(repr(m) for m, ranks in MODES.items() if rank in ranks)
        raise ValueError(f"interpolate: mode is {mode!r}; with {rank} axes of space it takes {takes}")
    linear = mode.endswith("linear")
    if antialias and mode not in ("bilinear", "bicubic"):
        raise ValueError(f"interpolate: antialias=True is for 'bilinear' and 'bicubic', mode is {mode!r}")
    if align_corners is not None and not linear and mode != "bicubic":
        raise ValueError(f"interpolate: align_corners is for linear modes, mode is {mode!r}; leave it out")
    new, steps = target(space, size, scale_factor, bool(recompute_scale_factor))
    if mode == "area":
        return (adaptive_avg_pool1d, adaptive_avg_pool2d, adaptive_avg_pool3d)[rank - 1](input, new)
    if antialias or mode == "bicubic":
        steps = aligned_steps(space, new) if align_corners else steps
        images = input if len(input.shape) == 4 else input[None]
        wide = ResampleWide.apply(images, new, steps, mode, bool(align_corners), bool(antialias))
        return wide if len(input.shape) == 4 else wide[0]
    if mode == "nearest":  # PyTorch's: where a length stays or doubles, the factor given does not count
        steps = tuple({n: 1.0, 2 * n: 0.5}.get(m, s) for n, m, s in zip(space, new, steps, strict=True))
    if not linear:
        return UpsampleNearest.apply(input, new, steps, 0.5 if mode == "nearest-exact" else 0.0)
    return UpsampleLinear.apply(input, new, aligned_steps(space, new) if align_corners else steps, bool(align_corners))


def target(space: Sizes, size: Any, scale_factor: Any, recompute: bool) -> tuple[Sizes, Steps]:
    """Return (new axes of space, steps) from a size or a scale factor."""
    if (size is None) == (scale_factor is None):
        raise ValueError(f"interpolate: size is {size!r}, scale_factor is {scale_factor!r}; give one of them")
    rank = len(space)
    if size is not None:
        if recompute:
            raise ValueError("interpolate: recompute_scale_factor=True needs scale_factor, not size")
        new = per_axis("interpolate", "size", size, rank)
        return new, tuple(n / m for n, m in zip(space, new, strict=True))
    scales = list(scale_factor) if isinstance(scale_factor, tuple | list) else [scale_factor] * rank
    if len(scales) != rank or any(not isinstance(s, int | float | np.number) or not s > 0 for s in scales):
        raise ValueError(
            f"interpolate: scale_factor is {scale_factor!r}; it takes a number > 0 or one for each of {rank} axes"
        )
    new = tuple(floor(n * float(s)) for n, s in zip(space, scales, strict=True))
    if min(new) < 1:
        raise ValueError(f"interpolate: scale_factor {scale_factor!r} leaves no pixel of {list(space)}")
    return new, tuple(n / m if recompute else 1 / s for n, m, s in zip(space, new, scales, strict=True))


def upsample(
    input: Tensor, size: Any = None, scale_factor: Any = None, mode: str = "nearest", align_corners: bool | None = None
) -> Tensor:
    """Resize the axes of space: the older name of `interpolate`.

    Args:
        input: (N, C, L), (N, C, H, W) or (N, C, D, H, W), floating point.
        size, scale_factor, mode, align_corners: As for interpolate.

    Returns:
        A tensor of the input's dtype with new axes of space.

    Raises:
        ValueError: An argument is not accepted.

    Example:
        >>> import tinymed
        >>> from tinymed.nn import functional as F
        >>> F.upsample(tinymed.ones(1, 1, 2, 2), scale_factor=2).shape
        (1, 1, 4, 4)
    """
    return interpolate(input, size, scale_factor, mode, align_corners)
