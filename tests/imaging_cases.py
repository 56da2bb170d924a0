"""Arguments for every kernel of image processing, of awkward shapes: what the derived tests of imaging run."""

from collections.abc import Callable
from typing import Any

import numpy as np

from tinymed import dispatch, imaging  # noqa: F401  declares the kernels
from tinymed.imaging.arrays import BORDERS, positions, white
from tinymed.imaging.filters import gaussian_taps
from tinymed.imaging.histogram import clipped  # noqa: F401  its module holds the tables of CLAHE
from tinymed.imaging.stain import FROM_RGB, TARGET, WHITE_POINT, concentration_map

WHOLE, ALL, FLOAT = ("uint8", "uint16"), ("uint8", "uint16", "float32"), ("float32",)
SHAPES = ((1, 9, 11, 1), (1, 7, 5, 3), (3, 6, 4, 2), (1, 1, 6, 1), (1, 5, 1, 3), (2, 2, 2, 1), (1, 23, 70, 1))


class Cases:
    """Case number `seed` of a kernel, for one dtype of its image."""

    def __init__(self, seed: int, dtype: str):
        self.rng, self.seed, self.dtype = np.random.default_rng(seed), seed, np.dtype(dtype)
        self.whole = self.dtype.kind == "u"
        self.kind = np.dtype(np.float32) if self.whole else self.dtype

    def pick(self, *choices: Any) -> Any:
        return choices[self.rng.integers(len(choices))]

    def image(self, channels: int = 0, planes: bool = True) -> Any:
        """Noise of few values among many, so that there are ties, with the extremes."""
        d, h, w, c = SHAPES[self.seed % len(SHAPES)]
        shape = d if planes else 1, h, w, channels or c
        share = self.rng.random(shape)
        share = np.where(self.rng.random(shape) < 0.3, np.round(4 * share) / 4, share)
        return np.rint(share * white(self.dtype)).astype(self.dtype) if self.whole else share.astype(self.dtype)

    def matrix(self, channels: int) -> Any:
        return self.image(channels).reshape(-1, channels)

    def sizes(self, *choices: int) -> tuple[int, int, int]:
        return self.pick(1, 3), self.pick(*choices), self.pick(*choices)

    def at(self, x: Any, sizes: tuple[int, ...]) -> tuple[Any, ...]:
        border = self.pick(*BORDERS)
        return tuple(positions(n, size, border) for n, size in zip(x.shape, sizes, strict=False))

    def taps(self, *sizes: int) -> list[Any]:
        made = []
        for size in sizes:
            taps = gaussian_taps(1.0, (size // 2) / 1.0) if size > 1 else np.ones(1)
            made.append((taps * (1 if self.whole else self.rng.uniform(0.5, 1))).astype(self.kind))
        return made


def separable(d: Cases, *amount: float) -> tuple[Any, ...]:
    x, sizes = d.image(), d.sizes(1, 3, 5, 9)
    return (x, *d.taps(*sizes), *d.at(x, sizes), *amount, d.whole)


def windows(d: Cases, *choices: int) -> tuple[Any, ...]:
    x, sizes = d.image(), d.sizes(*choices)
    return x, sizes, *d.at(x, sizes)


def bilateral(d: Cases) -> tuple[Any, ...]:
    x, radius = d.image(channels=d.pick(1, 3)), d.pick(1, 3)
    offset = np.arange(-radius, radius + 1)
    distance = offset[:, None] ** 2 + offset**2
    space = (np.exp(-distance / 4.0) * (distance <= radius**2)).astype(d.kind)
    factor = -0.5 / (0.2 * white(d.dtype)) ** 2
    levels = np.arange(int(white(d.dtype)) * x.shape[3] + 1 if d.whole else 0).astype(float)
    size = 2 * radius + 1
    return x, space, np.exp(factor * levels**2).astype(d.kind), factor, *d.at(x, (1, size, size))[1:], d.whole


def non_local(d: Cases) -> tuple[Any, ...]:
    x, patch, search = d.image(channels=d.pick(1, 3)), d.pick(1, 3), d.pick(3, 5)
    top, size = white(d.dtype), patch + search - 1
    return x, patch, search, -1 / (0.3 * top) ** 2, d.pick(0.0, 0.01 * top**2), *d.at(x, (1, size, size))[1:], d.whole


def footprints(d: Cases) -> tuple[Any, ...]:
    x, sizes = d.image(), d.sizes(1, 3, 7)
    footprint = d.rng.integers(0, 2, sizes).astype(np.uint8)
    return x, footprint, *d.at(x, sizes), d.pick(False, True)


def tiled(d: Cases) -> tuple[Any, ...]:
    rows, columns = d.pick(1, 2, 3), d.pick(1, 2)
    shape = d.pick(1, 2), rows * d.pick(1, 4), columns * d.pick(1, 3, 7)
    return d.rng.integers(0, 17, shape).astype(d.dtype), (rows, columns), int(white(d.dtype)) + 1


def blended(d: Cases) -> tuple[Any, ...]:
    x = d.image(channels=1)
    height, width = d.pick(1, 3, 4), d.pick(1, 2, 5)
    tiles = x.shape[0], -(-x.shape[1] // height), -(-x.shape[2] // width)
    tables = d.rng.integers(0, int(white(d.dtype)) + 1, (*tiles, int(white(d.dtype)) + 1))
    return x, tables.astype(d.dtype), height, width


def looked_up(d: Cases) -> tuple[Any, ...]:
    x, channels = d.image(), d.pick(1, 0)
    x = x.reshape(-1, x.shape[3])
    values = d.rng.integers(0, 256, (int(white(d.dtype)) + 1, channels or (x.shape[1] if x.shape[1] > 1 else 3)))
    return x, values.astype(d.pick("uint8", "uint16", "float32"))


def line(d: Cases) -> tuple[Any, ...]:
    places = np.sort(d.rng.random(d.pick(1, 2, 9))).astype(d.kind)
    return d.image(), places, np.sort(d.rng.random(places.size)).astype(d.kind)


def binned(d: Cases) -> tuple[Any, ...]:
    x, top = d.image(), white(d.dtype)
    return x.reshape(-1, x.shape[3]), np.linspace(d.pick(0, 0.1) * top, d.pick(1, 0.7) * top, d.pick(2, 11, 129))


CASES: dict[str, tuple[tuple[str, ...], Callable[[Cases], tuple[Any, ...]]]] = {
    "separable_filter": (ALL, separable),
    "unsharp_filter": (ALL, lambda d: separable(d, 0.7)),
    "mean_filter": (WHOLE, lambda d: windows(d, 1, 3, 5, 9)),
    "median_filter": (ALL, lambda d: windows(d, 1, 3, 5)),
    "sobel_magnitude": (ALL, lambda d: (lambda x: (x, *d.at(x, (1, 3, 3))[1:]))(d.image())),
    "bilateral_filter": (ALL, bilateral),
    "non_local_filter": (ALL, non_local),
    "extreme_box": (ALL, lambda d: (*windows(d, 1, 3, 5, 8, 9), d.pick(False, True))),
    "opened_box": (ALL, lambda d: (*windows(d, 1, 3, 5, 9), d.pick(False, True))),
    "extreme_filter": (ALL, footprints),
    "count_values": (WHOLE, lambda d: (d.matrix(d.pick(1, 3)), int(white(d.dtype)) + 1)),
    "count_bins": (ALL, binned),
    "count_tiles": (WHOLE, tiled),
    "blend_tables": (WHOLE, blended),
    "apply_table": (WHOLE, looked_up),
    "interpolate_line": (FLOAT, line),
    "linear_map": (FLOAT, lambda d: (d.image(), 2.5, -0.3)),
    "power_map": (FLOAT, lambda d: (d.image(), 0.4)),
    "luma": (ALL, lambda d: (d.matrix(3),)),
    "rgb_to_hsv": (FLOAT, lambda d: (d.matrix(3),)),
    "hsv_to_rgb": (FLOAT, lambda d: (d.matrix(3),)),
    "rgb_to_cmyk": (FLOAT, lambda d: (d.matrix(3),)),
    "cmyk_to_rgb": (FLOAT, lambda d: (d.matrix(4),)),
    "map_densities": (
        ALL,
        lambda d: (d.matrix(3), concentration_map(TARGET, TARGET).astype(d.kind), 0.94, white(d.dtype), d.whole),
    ),
    "rgb_to_lab": (FLOAT, lambda d: (d.matrix(3), (FROM_RGB / WHITE_POINT[:, None]).astype(d.kind))),
    "lab_to_rgb": (
        FLOAT,
        lambda d: (
            d.matrix(3) * np.array([100, 50, 50], d.kind) - np.array([0, 25, 25], d.kind),
            np.linalg.inv(FROM_RGB / WHITE_POINT[:, None]).astype(d.kind),
        ),
    ),
}
