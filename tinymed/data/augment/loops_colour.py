"""Intensities and colours as compiled loops, imported at first use: what intensity.py and colour.py define.

A loop writes into the array that it reads.  Logarithm and exponential are polynomials within 1e-7, which LLVM
vectorises.
"""

from typing import Any

import numpy as np

from ...cpu.compiler.exact_loops import compiled
from ...cpu.compiler.jit import inline
from ...cpu.simd.elementary import exp, log
from .colour import DARKEST, LUMA

f4, f8 = np.float32, np.float64
ZERO, ONE, SIX = f4(0), f4(1), f4(6)
RED, GREEN, BLUE = (f4(w) for w in LUMA)
DARK = f4(DARKEST)


@compiled
def change_tone(flat: Any, noise: Any, contrast: Any, centre: Any, brightness: Any, low: Any, high: Any) -> None:
    """flat = flat contrast + centre + brightness + noise, held to low ... high; noise may have no elements."""
    if noise.size:
        for i in range(flat.size):
            flat[i] = min(max(flat[i] * contrast + centre + brightness + noise[i], low), high)
    else:
        for i in range(flat.size):
            flat[i] = min(max(flat[i] * contrast + centre + brightness, low), high)


@compiled
def change_gamma(flat: Any, exponent: Any, low: Any, span: Any) -> None:
    """flat = low + span ((flat - low) / span)^exponent, what lies below low taken as low."""
    for i in range(flat.size):
        flat[i] = low + span * exp(exponent * log(max(flat[i] - low, ZERO) / span))


@compiled
def change_saturation(image: Any, factor: Any, rest: Any) -> None:
    """image = factor image + rest grey, clipped.  image: [pixels, 3]."""
    for i in range(image.shape[0]):
        grey = (image[i, 0] * RED + image[i, 1] * GREEN + image[i, 2] * BLUE) * rest
        for c in range(3):
            image[i, c] = min(max(image[i, c] * factor + grey, ZERO), ONE)


@inline
def hue_part(k: Any) -> Any:
    """Return by how much of the range a channel lies below the value, k sixths of a turn from it."""
    k = k - SIX * f4(np.floor(k * (ONE / SIX)))
    return max(ZERO, min(min(k, f4(4) - k), ONE))


@compiled
def change_hue(image: Any, planes: Any, sixths: Any) -> None:
    """image = image with its hue turned by so many sixths of the colour circle.  image: [pixels, 3].

    planes: [3, pixels], scratch: channel by channel the arithmetic is done in vectors.
    """
    for i in range(image.shape[0]):
        planes[0, i], planes[1, i], planes[2, i] = image[i, 0], image[i, 1], image[i, 2]
    for i in range(image.shape[0]):
        red, green, blue = planes[0, i], planes[1, i], planes[2, i]
        value = max(max(red, green), blue)
        span = value - min(min(red, green), blue)
        scale = ONE / (span if span > ZERO else ONE)
        above = (blue - red) * scale + f4(2) if value == green else (red - green) * scale + f4(4)
        hue = ((green - blue) * scale if value == red else above) + sixths
        planes[0, i] = value - span * hue_part(hue + f4(5))
        planes[1, i] = value - span * hue_part(hue + f4(3))
        planes[2, i] = value - span * hue_part(hue + f4(1))
    for i in range(image.shape[0]):
        image[i, 0], image[i, 1], image[i, 2] = planes[0, i], planes[1, i], planes[2, i]


@compiled
def colour_sums(image: Any, sums: Any, products: Any) -> None:
    """sums[c] = the sum of channel c, products[c, d] = that of channels c times d.  image: [pixels, channels]."""
    if image.shape[1] == 3:  # nine sums side by side, none of which waits for another
        r, g, b, rr, rg, rb, gg, gb, bb = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
        for i in range(image.shape[0]):
            x, y, z = f8(image[i, 0]), f8(image[i, 1]), f8(image[i, 2])
            r, g, b = r + x, g + y, b + z
            rr, rg, rb = rr + x * x, rg + x * y, rb + x * z
            gg, gb, bb = gg + y * y, gb + y * z, bb + z * z
        sums[0], sums[1], sums[2] = r, g, b
        products[0, 0], products[0, 1], products[0, 2] = rr, rg, rb
        products[1, 0], products[1, 1], products[1, 2] = rg, gg, gb
        products[2, 0], products[2, 1], products[2, 2] = rb, gb, bb
        return
    for c in range(image.shape[1]):
        for d in range(c + 1):
            total, product = 0.0, 0.0
            for i in range(image.shape[0]):
                total += f8(image[i, c])
                product += f8(image[i, c]) * f8(image[i, d])
            sums[c], products[c, d], products[d, c] = total, product, product


@compiled
def add_colour(image: Any, shift: Any) -> None:
    """image = image + a number per channel, clipped.  image: [pixels, channels]."""
    if image.shape[1] == 3:
        red, green, blue = shift[0], shift[1], shift[2]
        for i in range(image.shape[0]):
            image[i, 0] = min(max(image[i, 0] + red, ZERO), ONE)
            image[i, 1] = min(max(image[i, 1] + green, ZERO), ONE)
            image[i, 2] = min(max(image[i, 2] + blue, ZERO), ONE)
        return
    for i in range(image.shape[0]):
        for c in range(image.shape[1]):
            image[i, c] = min(max(image[i, c] + shift[c], ZERO), ONE)


@compiled
def change_stains(flat: Any, matrix: Any, offset: Any) -> None:
    """flat = e^-(densities matrix + offset), clipped, of the natural optical densities of [pixels, 3], as one line."""
    for i in range(flat.size):
        flat[i] = -log(max(flat[i], DARK))
    for i in range(flat.size // 3):
        red, green, blue = flat[3 * i], flat[3 * i + 1], flat[3 * i + 2]
        for c in range(3):
            flat[3 * i + c] = red * matrix[0, c] + green * matrix[1, c] + blue * matrix[2, c] + offset[c]
    for i in range(flat.size):
        flat[i] = min(exp(-flat[i]), ONE)
