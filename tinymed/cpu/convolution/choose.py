"""Which algorithm computes a convolution: a rule on shapes and precision, to be printed (`table`) and overridden.

    direct       one multiplication for each weight at each place; any shape
    winograd2    F(2x2, 3x3): 16 products where direct has 36; as accurate as direct
    winograd4    F(4x4, 3x3): 36 products where direct has 144; one decimal digit less, so not in `exact`
                 (of volumes and 5 x 5 filters winograd2 is F(2x2, 5x5): 36 where direct has 100, as accurate as this)
    naive        the definition in loops on one thread: for little work, which packing for the others would double
    depthwise    one filter per channel: no sum over channels, so no matrix product

The rule never looks at a clock: the same shapes give the same bits on every machine of one kind.
"""

import os
from collections.abc import Sequence
from functools import lru_cache
from math import prod

from ... import precision
from ...ops.space import slides
from ..simd.vectors import LANES

ALGORITHMS = ("direct", "winograd2", "winograd4", "naive", "depthwise")
FORCIBLE = ALGORITHMS[:4]
DIRECTIONS = ("forward", "input", "weight")
TRANSFORM, FILTER = 10, 8  # multiply-adds that take as long as transforming one number of a tile or a filter
LARGE_FILTER, LARGE = 32, 1 << 21  # of a filter that becomes more bytes than a core's cache holds, and how many
DOUBLE_FILTER = 100  # of a filter of float64: its panels are half as wide, so there are more of them, of fewer numbers
LITTLE = 2048  # multiply-adds that loops do in less time than one more kernel call takes
ROWS = 8  # tiles per register tile
SUMMING = 8  # multiply-adds that adding up the lanes of one sum takes as long as
SHAPES = (
    (3, 32, 64, 64),
    (32, 64, 32, 32),
    (64, 128, 16, 16),
    (128, 256, 8, 8),
    (64, 64, 56, 56),
    (128, 128, 28, 28),
    (256, 256, 14, 14),
    (512, 512, 7, 7),
    (64, 64, 128, 128),
    (128, 128, 64, 64),
    (256, 256, 32, 32),
    (512, 512, 16, 16),
)
Sizes = tuple[int, ...]
Pairs = tuple[tuple[int, int], ...]


def checked(name: str | None) -> str | None:
    """Return the name of an algorithm that can be forced, or None for the rule; raise ValueError for any other."""
    if name and name not in FORCIBLE:
        raise ValueError(f"convolution algorithm {name!r} is unknown; choose one of {', '.join(FORCIBLE)}")
    return name or None


forced = checked(os.environ.get("TINYMED_CONV"))


class use_algorithm:
    """Force an algorithm where it can run: `use_algorithm("direct")` from here on, or `with ...:` for a block.

    None goes back to the rule.  What shape or precision forbids is done directly.  TINYMED_CONV forces from the start.
    """

    def __init__(self, name: str | None):
        global forced
        self.before, forced = forced, checked(name)

    def __enter__(self) -> str | None:
        return forced

    def __exit__(self, *_: object) -> None:
        global forced
        forced = self.before


def choose(
    direction: str,
    x_shape: Sizes,
    weight_shape: Sizes,
    stride: Sizes = (1, 1),
    padding: Pairs = ((0, 0), (0, 0)),
    dilation: Sizes = (1, 1),
    groups: int = 1,
    *,
    double: bool = False,
) -> str:
    """Return the algorithm for a direction (forward, input, weight) of conv2d or conv3d; double: of float64.

    x_shape is (N, C, H, W), weight_shape (O, C, KH, KW); of a volume one axis more.  Volumes are transformed in their
    planes alone, where the planes of a filter are so many channels more.
    """
    wanted = "double" if double else precision.in_use()
    return decide(direction, x_shape, weight_shape, stride, padding, dilation, groups, wanted, forced)


@lru_cache(maxsize=4096)
def decide(
    direction: str,
    x_shape: Sizes,
    weight_shape: Sizes,
    stride: Sizes,
    padding: Pairs,
    dilation: Sizes,
    groups: int,
    precision: str,
    forced: str | None,
) -> str:
    """Return what `choose` does, remembered: precision ("double" of float64) and what is forced are arguments too."""
    if direction not in DIRECTIONS:
        raise ValueError(f"direction {direction!r} is unknown; choose one of {', '.join(DIRECTIONS)}")
    filters, channels, *kernel = weight_shape
    rank = len(kernel)
    if rank == 2 and groups > 1 and weight_shape[:2] == (groups, 1):
        return "direct" if precision == "double" else "depthwise"
    places = slides(x_shape[2:], weight_shape[2:], stride, padding, dilation)
    if rank == 2 and (forced == "naive" or (not forced and x_shape[0] * prod(weight_shape) * prod(places) <= LITTLE)):
        return "naive"
    taps, five = kernel[-1], rank == 3 and kernel[-2:] == [5, 5]
    if x_shape[0] == 0 or groups > 1 or {*stride, *dilation} != {1} or not (five or kernel[-2:] == [3, 3]):
        return "direct"
    exact = precision in ("exact", "double")
    if rank == 3 and (exact or forced == "naive" or kernel[0] > taps):
        return "direct"  # a plane of the filter more is a rounding more: of more planes the error has not been bounded
    if forced:
        return "direct" if exact and forced == "winograd4" else "winograd2" if five and forced != "direct" else forced
    size = x_shape[2:] if direction == "input" else places
    maps, planes = x_shape[0] * prod(size[:-2]), prod(kernel[:-2])
    # A weight gradient transforms both sides for each plane of the filter, as if those were so many convolutions.
    read, written = {"forward": (planes * channels, filters), "input": (planes * filters, channels)}.get(
        direction, (channels, filters)
    )
    double = precision == "double"
    gains = {m: gain(m, maps, read, written, size[-2:], double, taps) for m in ((2,) if exact or five else (2, 4))}
    best = max(gains, key=gains.__getitem__)
    return f"winograd{best}" if gains[best] > 1 else "direct"


def few_filters_pay(filters: int, channels: int, kernel: Sizes, dilation: Sizes, groups: int) -> bool:
    """Return whether terms in the lanes of a vector are faster than filters in the lanes, for a head of a network."""
    if groups > 1 or dilation[-1] > 1 or filters > LANES // 2:
        return False
    outer, run = prod(kernel[:-1]), kernel[-1] * channels
    return filters * (outer * -(-run // LANES) + SUMMING) < 0.8 * outer * run


def gain(
    m: int, images: int, channels: int, filters: int, size: Sequence[int], double: bool = False, taps: int = 3
) -> float:
    """Return the time of direct over the time of F(m x m, taps x taps), as multiply-adds explain it.

    Winograd's are (m + taps - 1)^2 per tile, whole tiles at the border and whole rows of registers, and what transforms
    cost: TRANSFORM for each of those numbers of a tile, for each channel it comes from and goes to, and FILTER for each
    of a filter.  The two constants are fitted to times of the shapes below and of 8 to 64 channels at 64 x 64, of
    1 to 16 images, in three directions: F(4x4) pays from 8 channels up, F(2x2) from 16 up.  The numbers of a large
    filter go to memory and come from there (32 to 38 multiply-adds each, on a Xeon): on few tiles F(2x2) has fewer of
    them, and directly there are none.
    """
    tiles = -(-images * prod(-(-n // m) for n in size) // ROWS) * ROWS
    products = tiles * channels * filters
    square = (m + taps - 1) ** 2
    large = 4 * square * channels * filters > LARGE
    cost = DOUBLE_FILTER if double else LARGE_FILTER if large else FILTER
    transforms = TRANSFORM * tiles * (channels + filters) + cost * channels * filters
    return taps**2 * images * prod(size) * channels * filters / max(1, square * (products + transforms))


def table(shapes: Sequence[tuple[int, int, int, int]] = (), images: int = 16) -> str:
    """Return the choices for 3 x 3 convolutions with padding 1, one line per shape (channels, filters, height, width).

    By default the shapes of the papers' CNN, ResNet-50 and U-Net.
    """
    lines = [f"{'channels':>8} {'filters':>8} {'height':>7} {'width':>6}  " + "  ".join(f"{d:<9}" for d in DIRECTIONS)]
    for c, k, h, w in shapes or SHAPES:
        names = [choose(d, (images, c, h, w), (k, c, 3, 3), padding=((1, 1), (1, 1))) for d in DIRECTIONS]
        lines.append(f"{c:8} {k:8} {h:7} {w:6}  " + "  ".join(f"{name:<9}" for name in names))
    return "\n".join(line.rstrip() for line in lines)
