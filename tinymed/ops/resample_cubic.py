"""Resampling by wider filters: bicubic interpolation, and both interpolations with antialiasing.

Like those of resample.py they are separable: an output pixel is a weighted sum of some pixels of each axis, its taps.
"""

from math import floor
from typing import Any

from ..dispatch import Array, kernel
from ..tape import Op
from .space import Sizes
from .taps import Steps, Taps, resampled, resampled_back

CUBIC = -0.75  # the slope of Keys's kernel at 1, as OpenCV and PyTorch have it; with antialiasing -1/2, as Pillow


def cubic(x: float, a: float) -> float:
    """Compute Keys's cubic convolution kernel.  Keys 1981, equation 4."""
    x = abs(x)
    if x < 1:
        return ((a + 2) * x - (a + 3)) * x * x + 1
    return (((x - 5) * x + 8) * x - 4) * a if x < 2 else 0.0


def triangle(x: float) -> float:
    """Compute 1 - |x|, not below 0."""
    return max(0.0, 1 - abs(x))


def cubic_taps(n: int, m: int, step: float, align_corners: bool) -> Taps:
    """Return the four pixels around output pixel i, at i step or (i + 1/2) step - 1/2; the border is repeated."""
    result: Taps = []
    for i in range(m):
        at = i * step if align_corners else (i + 0.5) * step - 0.5
        first = floor(at)
        result.append([(min(max(first + k, 0), n - 1), cubic(at - (first + k), CUBIC)) for k in (-1, 0, 1, 2)])
    return result


def smooth_taps(n: int, m: int, step: float, mode: str) -> Taps:
    """Return all pixels under the filter, stretched by a step above 1, with weights that add up to 1."""
    reach, stretch = 2.0 if mode == "bicubic" else 1.0, max(step, 1.0)
    result: Taps = []
    for i in range(m):
        center, support = (i + 0.5) * step, reach * stretch
        pixels = range(max(int(center - support + 0.5), 0), min(int(center + support + 0.5), n))
        distances = [(p - center + 0.5) / stretch for p in pixels]
        weights = [cubic(d, -0.5) if mode == "bicubic" else triangle(d) for d in distances]
        total = sum(weights)
        result.append([(p, w / total if total else w) for p, w in zip(pixels, weights, strict=True)])
    longest = max(map(len, result))
    return [taps + [(taps[0][0], 0.0)] * (longest - len(taps)) for taps in result]


def lattice(space: Sizes, size: Sizes, steps: Steps, mode: str, align_corners: bool, antialias: bool) -> list[Taps]:
    """Return the taps of each axis."""
    axes = zip(space, size, steps, strict=True)
    if antialias:
        return [smooth_taps(*axis, mode) for axis in axes]
    return [cubic_taps(*axis, align_corners) for axis in axes]


@kernel(
    out=lambda x, size, *_: [(*x.shape[:2], *size)],
    flops=lambda x, size, *_: 16 * x.shape[0] * x.shape[1] * size[0] * size[1],
)
def resample_wide_forward(
    xp: Any, x: Array, size: Sizes, steps: Steps, mode: str, align_corners: bool, antialias: bool
) -> Array:
    """y[n, c, i] = the sum over the taps of i of weight x[n, c, pixel], one axis after the other."""
    return resampled(xp, x, lattice(x.shape[2:], size, steps, mode, align_corners, antialias))


@kernel(out=lambda dy, shape, *_: [shape], flops=lambda dy, *_: 16 * dy.size)
def resample_wide_backward(
    xp: Any, dy: Array, shape: Sizes, steps: Steps, mode: str, align_corners: bool, antialias: bool
) -> Array:
    """Compute the transpose: dx[n, c, pixel] += weight dy[n, c, i]."""
    return resampled_back(xp, dy, lattice(shape[2:], dy.shape[2:], steps, mode, align_corners, antialias), shape[2:])


class ResampleWide(Op):
    """y = x resampled by a cubic kernel, or with antialiasing by a triangle or a cubic kernel as wide as the step.

    dx = the same sum transposed.  Keys 1981; the antialiased forms are Pillow's.
    """

    def forward(self, x: Array, size: Sizes, steps: Steps, mode: str, align_corners: bool, antialias: bool) -> Array:
        self.save(x.shape, steps, mode, align_corners, antialias)
        return self.k.resample_wide_forward(x, size, steps, mode, align_corners, antialias)

    def backward(self, dy: Array) -> Any:
        return self.k.resample_wide_backward(dy, *self.saved), *[None] * 5

    @staticmethod
    def samples(draw: Any) -> tuple[Any, ...]:
        space, size = draw.shape(2, 2, 1, 7), draw.shape(2, 2, 1, 11)
        x = draw.array((draw.integer(1, 2), draw.choice((1, 2, 17)), *space))
        mode, antialias = draw.choice((("bicubic", False), ("bicubic", True), ("bilinear", True)))
        align_corners = draw.boolean()
        if align_corners:
            steps = tuple((n - 1) / (m - 1) if m > 1 else 0.0 for n, m in zip(space, size, strict=True))
        else:
            steps = tuple(n / m for n, m in zip(space, size, strict=True))
        return x, size, steps, mode, align_corners, antialias

    @staticmethod
    def oracle(torch: Any, x: Any, size: Any, steps: Any, mode: str, align_corners: bool, antialias: bool) -> Any:
        return torch.nn.functional.interpolate(x, size, None, mode, align_corners, antialias=antialias)
