"""Image processing: windows over images [p, i, j, c] (plane, row, column, channel), and values one by one.

Windows come as positions: `at1[i + t]` is the row that tap t of row i's window covers, whatever the border rule.
"""

import math

import numpy as np
from numba import njit, prange

from ...dispatch import LOOPS, kernel

LIGHTEST = 1 / 256  # shares of light below have the density of this one


def any_numbers(*_):
    """Return that whole numbers are taken as well."""
    return True


@njit
def white(x):
    """Return the value of a white pixel of whole numbers."""
    return 255.0 if x.itemsize == 1 else 65535.0


@njit
def nearest(value, top):
    """Return the nearest whole number, of two the even one, from 0 to top."""
    return min(max(round(value), 0), int(top))


# ------------------------------------------------------------------------------------------------------ linear filters


@njit
def through(x, taps0, at0, p, i, j, c):
    """Return the weighted sum along the depth."""
    total = taps0[0] * x[at0[p], i, j, c]
    for t in range(1, taps0.size):
        total += taps0[t] * x[at0[p + t], i, j, c]
    return total


@njit
def blurred(x, taps0, taps1, taps2, at0, at1, at2, p, i, j, c):
    """Return the weighted sum along the width of those along the height of those along the depth."""
    total = taps2[0] * taps0[0] * 0
    for t in range(taps2.size):
        down = taps1[0] * through(x, taps0, at0, p, at1[i], at2[j + t], c)
        for s in range(1, taps1.size):
            down += taps1[s] * through(x, taps0, at0, p, at1[i + s], at2[j + t], c)
        total += taps2[t] * down
    return total


@kernel(backend=LOOPS, when=any_numbers)
def separable_filter(y, x, taps0, taps1, taps2, at0, at1, at2, whole):
    """y = the sum over the window of its weights times x, rounded if whole."""
    for row in prange(x.shape[1]):
        i = np.int64(row)
        for p in range(x.shape[0]):
            for j in range(x.shape[2]):
                for c in range(x.shape[3]):
                    value = blurred(x, taps0, taps1, taps2, at0, at1, at2, p, i, j, c)
                    y[p, i, j, c] = nearest(value, white(y)) if whole else value


@kernel(backend=LOOPS, when=any_numbers)
def unsharp_filter(y, x, taps0, taps1, taps2, at0, at1, at2, amount, whole):
    """y = x + amount (x - blurred)."""
    factor = taps0.dtype.type(amount)
    for row in prange(x.shape[1]):
        i = np.int64(row)
        for p in range(x.shape[0]):
            for j in range(x.shape[2]):
                for c in range(x.shape[3]):
                    detail = x[p, i, j, c] - blurred(x, taps0, taps1, taps2, at0, at1, at2, p, i, j, c)
                    value = x[p, i, j, c] + factor * detail
                    y[p, i, j, c] = nearest(value, white(y)) if whole else value


@kernel(backend=LOOPS, when=any_numbers)
def mean_filter(y, x, sizes, at0, at1, at2):
    """y = the mean of the window, exactly summed."""
    count = sizes[0] * sizes[1] * sizes[2]
    for row in prange(x.shape[1]):
        i = np.int64(row)
        for p in range(x.shape[0]):
            for j in range(x.shape[2]):
                for c in range(x.shape[3]):
                    total = 0
                    for r in range(sizes[0]):
                        for s in range(sizes[1]):
                            for t in range(sizes[2]):
                                total += np.int64(x[at0[p + r], at1[i + s], at2[j + t], c])
                    y[p, i, j, c] = nearest(total / count, white(y))


@kernel(backend=LOOPS, when=any_numbers)
def sobel_magnitude(y, x, at1, at2):
    """y = sqrt(down^2 + across^2), a derivative being 1 2 1 across a difference of neighbours."""
    for row in prange(x.shape[1]):
        i = np.int64(row)
        above, below = at1[i], at1[i + 2]
        for p in range(x.shape[0]):
            for j in range(x.shape[2]):
                left, right = at2[j], at2[j + 2]
                for c in range(x.shape[3]):
                    a, b, e = y.dtype.type(x[p, above, left, c]), x[p, above, j, c], x[p, above, right, c]
                    f, g = y.dtype.type(x[p, i, left, c]), y.dtype.type(x[p, i, right, c])
                    h, k, m = y.dtype.type(x[p, below, left, c]), x[p, below, j, c], x[p, below, right, c]
                    down = (h - a) + 2 * (y.dtype.type(k) - b) + (y.dtype.type(m) - e)
                    across = (y.dtype.type(e) - a) + 2 * (g - f) + (y.dtype.type(m) - h)
                    y[p, i, j, c] = math.sqrt(down * down + across * across)


# --------------------------------------------------------------------------------------------- filters that keep edges


@njit
def smaller(x, sizes, at0, at1, at2, p, i, j, c, value):
    """Return how many numbers of the window are smaller than a value, and how many are no larger."""
    less, most = 0, 0
    for r in range(sizes[0]):
        for s in range(sizes[1]):
            for t in range(sizes[2]):
                other = x[at0[p + r], at1[i + s], at2[j + t], c]
                less += other < value
                most += other <= value
                most -= 1 << 30 if other != other else 0
    return less, most


@kernel(backend=LOOPS, when=any_numbers)
def median_filter(y, x, sizes, at0, at1, at2):
    """y = the number of the window that as many are below as above; NaN where one is NaN, as `most` is negative."""
    middle = sizes[0] * sizes[1] * sizes[2] // 2
    for row in prange(x.shape[1]):
        i = np.int64(row)
        for p in range(x.shape[0]):
            for j in range(x.shape[2]):
                for c in range(x.shape[3]):
                    for q in range(2 * middle + 1):
                        r, s, t = q // (sizes[1] * sizes[2]), q // sizes[2] % sizes[1], q % sizes[2]
                        value = x[at0[p + r], at1[i + s], at2[j + t], c]
                        less, most = smaller(x, sizes, at0, at1, at2, p, i, j, c, value)
                        if less <= middle < most:
                            y[p, i, j, c] = value
                            break
                        if value != value:
                            y[p, i, j, c] = value


@njit
def unlikeness(x, p, i, j, k, m):
    """Return the sum over channels of |x[k, m] - x[i, j]|."""
    total = 0.0
    for c in range(x.shape[3]):
        total += abs(np.float64(x[p, k, m, c]) - np.float64(x[p, i, j, c]))
    return total


@kernel(backend=LOOPS, when=any_numbers)
def bilateral_filter(y, x, space, tones, factor, at1, at2, whole):
    """y = the mean of x over the window, weighted by space and by tones[difference], or exp(factor difference^2)."""
    for row in prange(x.shape[1]):
        i = np.int64(row)
        for p in range(x.shape[0]):
            for j in range(x.shape[2]):
                for c in range(x.shape[3]):
                    weighted, total = space[0, 0] * 0, space[0, 0] * 0
                    for s in range(space.shape[0]):
                        for t in range(space.shape[1]):
                            k, m = at1[i + s], at2[j + t]
                            difference = unlikeness(x, p, i, j, k, m)
                            tone = tones[int(difference)] if whole else math.exp(factor * difference * difference)
                            weight = space[s, t] * space.dtype.type(tone)
                            if space[s, t] > 0:
                                weighted += weight * x[p, k, m, c]
                                total += weight
                    y[p, i, j, c] = nearest(weighted / total, white(y)) if whole else weighted / total


@njit
def patch_distance(x, patch, i, j, s, t, margin, at1, at2, p):
    """Return the mean squared difference of the patches around pixel i, j and around place s, t of its search."""
    total = 0.0
    for a in range(patch):
        for b in range(patch):
            for c in range(x.shape[3]):
                mine = np.float64(x[p, at1[i + margin + a], at2[j + margin + b], c])
                other = np.float64(x[p, at1[i + s + a], at2[j + t + b], c])
                total += (other - mine) * (other - mine)
    return total / (patch * patch * x.shape[3])


@kernel(backend=LOOPS, when=any_numbers)
def non_local_filter(y, x, patch, search, factor, noise, at1, at2, whole):
    """y = the mean of x over the search window, weighted by exp(factor max(0, distance of patches - noise))."""
    for row in prange(x.shape[1]):
        i = np.int64(row)
        for p in range(x.shape[0]):
            for j in range(x.shape[2]):
                for c in range(x.shape[3]):
                    weighted, total = 0.0, 0.0
                    for s in range(search):
                        for t in range(search):
                            distance = patch_distance(x, patch, i, j, s, t, search // 2, at1, at2, p)
                            excess = distance - noise
                            weight = math.exp(factor * (0.0 if excess < 0 else excess))
                            weighted += weight * x[p, at1[i + s + patch // 2], at2[j + t + patch // 2], c]
                            total += weight
                    y[p, i, j, c] = nearest(weighted / total, white(y)) if whole else weighted / total


# ---------------------------------------------------------------------------------------------------------- morphology


@njit
def better(a, b, largest):
    """Return the larger or the smaller of two numbers; NaN where one is NaN."""
    if a != a:
        return a
    return b if b != b or (b > a if largest else b < a) else a


@kernel(backend=LOOPS, when=any_numbers)
def extreme_box(y, x, sizes, at0, at1, at2, largest):
    """y = the smallest or largest of a box."""
    for row in prange(x.shape[1]):
        i = np.int64(row)
        for p in range(x.shape[0]):
            for j in range(x.shape[2]):
                for c in range(x.shape[3]):
                    found = x[at0[p], at1[i], at2[j], c]
                    for r in range(sizes[0]):
                        for s in range(sizes[1]):
                            for t in range(sizes[2]):
                                found = better(found, x[at0[p + r], at1[i + s], at2[j + t], c], largest)
                    y[p, i, j, c] = found


@kernel(backend=LOOPS, when=any_numbers)
def extreme_filter(y, x, footprint, at0, at1, at2, largest):
    """y = the smallest or largest of the window where the footprint is not 0, and of x itself."""
    for row in prange(x.shape[1]):
        i = np.int64(row)
        for p in range(x.shape[0]):
            for j in range(x.shape[2]):
                for c in range(x.shape[3]):
                    found = x[p, i, j, c]
                    for r in range(footprint.shape[0]):
                        for s in range(footprint.shape[1]):
                            for t in range(footprint.shape[2]):
                                if footprint[r, s, t] > 0:
                                    found = better(found, x[at0[p + r], at1[i + s], at2[j + t], c], largest)
                    y[p, i, j, c] = found


# ------------------------------------------------------------------------------------------------ histograms and tables


@kernel(backend=LOOPS, when=any_numbers)
def count_values(y, x, count):
    """y[c, v] = how often v occurs in channel c of x [pixels, channels]."""
    for channel in prange(x.shape[1]):
        for v in range(count):
            y[channel, v] = 0
        for i in range(x.shape[0]):
            y[channel, x[i, channel]] += 1


@kernel(backend=LOOPS, when=any_numbers)
def count_bins(y, x, edges):
    """y[c, b] = how many numbers of channel c lie in bin b, which holds its lower edge; the last its upper edge too."""
    bins = edges.size - 1
    scale = bins / (edges[bins] - edges[0])
    for channel in prange(x.shape[1]):
        for b in range(bins):
            y[channel, b] = 0
        for i in range(x.shape[0]):
            value = np.float64(x[i, channel])
            if edges[0] <= value <= edges[bins]:
                b = min(int((value - edges[0]) * scale), bins - 1)
                b -= 1 if value < edges[b] else 0
                b += 1 if b < bins - 1 and value >= edges[b + 1] else 0
                y[channel, b] += 1


@kernel(backend=LOOPS, when=any_numbers)
def count_tiles(y, x, tiles, levels):
    """y[p, r, s, v] = how often v occurs in tile r, s of plane p."""
    height, width = x.shape[1] // tiles[0], x.shape[2] // tiles[1]
    for row in prange(tiles[0]):
        first = np.int64(row) * height
        for p in range(x.shape[0]):
            for s in range(tiles[1]):
                for v in range(levels):
                    y[p, row, s, v] = 0
                for i in range(first, first + height):
                    for j in range(s * width, (s + 1) * width):
                        y[p, row, s, x[p, i, j]] += 1


@kernel(backend=LOOPS, when=any_numbers)
def apply_table(y, x, values):
    """y[i, c] = values[x[i, c or 0], c or 0]."""
    for i in prange(y.shape[0]):
        for c in range(y.shape[1]):
            y[i, c] = values[x[i, c if x.shape[1] > 1 else 0], c if values.shape[1] > 1 else 0]


@njit
def between_tiles(i, side, count):
    """Return the two tiles around a pixel, and the weight of the second."""
    place = np.float32(i) * (np.float32(1) / np.float32(side)) - np.float32(0.5)
    first = math.floor(place)
    return max(first, 0), min(first + 1, count - 1), place - np.float32(first)


@kernel(backend=LOOPS, when=any_numbers)
def blend_tables(y, x, tables, height, width):
    """y = x looked up in the tables of the four tiles around, mixed by nearness to their middles."""
    for row in prange(x.shape[1]):
        top, bottom, down = between_tiles(np.int64(row), height, tables.shape[1])
        for p in range(x.shape[0]):
            for j in range(x.shape[2]):
                left, right, across = between_tiles(j, width, tables.shape[2])
                v = x[p, row, j, 0]
                above = tables[p, top, left, v] * (1 - across) + tables[p, top, right, v] * across
                below = tables[p, bottom, left, v] * (1 - across) + tables[p, bottom, right, v] * across
                y[p, row, j, 0] = nearest(above * (1 - down) + below * down, white(y))


@kernel(backend=LOOPS, flat="y x")
def interpolate_line(y, x, places, values):
    """y = values between ascending places by straight lines, beyond them the outermost."""
    last = places.size - 1
    for i in prange(x.size):
        value = np.float64(x[i])
        low, high = 0, last
        while high - low > 1:
            middle = (low + high) // 2
            if places[middle] <= value:
                low = middle
            else:
                high = middle
        if value <= places[0]:
            y[i] = values[0]
        elif value >= places[last]:
            y[i] = values[last]
        else:
            y[i] = values[low] + (values[high] - values[low]) / (places[high] - places[low]) * (value - places[low])


@kernel(backend=LOOPS, flat="y x")
def linear_map(y, x, scale, shift):
    """y = scale x + shift, clipped to 0 ... 1."""
    for i in prange(x.size):
        value = x[i] * x.dtype.type(scale) + x.dtype.type(shift)
        y[i] = 0 if value < 0 else 1 if value > 1 else value


@kernel(backend=LOOPS, flat="y x")
def power_map(y, x, exponent):
    """y = x^exponent, x clipped to 0 ... 1."""
    for i in prange(x.size):
        value = 0 if x[i] < 0 else 1 if x[i] > 1 else x[i]
        y[i] = value**exponent


# ------------------------------------------------------------------------------------------ colours: [pixels, channels]


@kernel(backend=LOOPS, when=any_numbers)
def luma(y, x):
    """y = .299 R + .587 G + .114 B; of whole numbers rounded, in 65536ths."""
    for i in prange(x.shape[0]):
        if x.itemsize < 4:
            total = 19595 * np.int64(x[i, 0]) + 38470 * np.int64(x[i, 1]) + 7471 * np.int64(x[i, 2])
            y[i, 0] = (total + 32768) >> 16
        else:
            red, green, blue = x.dtype.type(0.299), x.dtype.type(0.587), x.dtype.type(0.114)
            y[i, 0] = x[i, 0] * red + x[i, 1] * green + x[i, 2] * blue


@kernel(backend=LOOPS)
def rgb_to_hsv(y, x):
    """y = hue, saturation and value, all 0 ... 1."""
    for i in prange(x.shape[0]):
        red, green, blue = x[i, 0], x[i, 1], x[i, 2]
        value = better(better(red, green, True), blue, True)
        span = value - better(better(red, green, False), blue, False)
        safe = x.dtype.type(1) if span == 0 else span
        if value == red:
            sector = (green - blue) / safe
        elif value == green:
            sector = (blue - red) / safe + 2
        else:
            sector = (red - green) / safe + 4
        y[i, 0] = 0 if span == 0 else (sector + 6 if sector < 0 else sector) / 6
        y[i, 1] = 0 if value == 0 else span / value
        y[i, 2] = value


@kernel(backend=LOOPS)
def hsv_to_rgb(y, x):
    """y = V - V S max(0, min(k, 4 - k, 1)), k = (n + 6 H) mod 6, n = 5, 3, 1 of red, green and blue."""
    for i in prange(x.shape[0]):
        for c in range(3):
            k = 6 * x[i, 0] + (5 - 2 * c)
            k = k - 6 * math.floor(k / 6)
            one = x.dtype.type(1)
            part = better(0 * one, better(better(k, 4 - k, False), one, False), True)
            y[i, c] = x[i, 2] - x[i, 2] * x[i, 1] * part


@kernel(backend=LOOPS)
def rgb_to_cmyk(y, x):
    """y = ((max - R) / max, ..., 1 - max); of black 0, 0, 0, 1."""
    for i in prange(x.shape[0]):
        most = better(better(x[i, 0], x[i, 1], True), x[i, 2], True)
        for c in range(3):
            y[i, c] = 0 if most == 0 else (most - x[i, c]) / most
        y[i, 3] = 1 - most


@kernel(backend=LOOPS)
def cmyk_to_rgb(y, x):
    """y = (1 - C) (1 - K)."""
    for i in prange(x.shape[0]):
        for c in range(3):
            y[i, c] = (1 - x[i, c]) * (1 - x[i, 3])


@kernel(backend=LOOPS, when=any_numbers)
def map_densities(y, x, matrix, light, top, whole):
    """y = light e^-(D matrix) in units of top, clipped, D = -ln(x / top / light)."""
    for i in prange(x.shape[0]):
        for d in range(3):
            mapped = matrix[0, d] * 0
            for c in range(3):
                share = min(max(x[i, c] / matrix.dtype.type(top * light), LIGHTEST), 1.0)
                mapped -= matrix.dtype.type(math.log(share)) * matrix[c, d]
            value = min(max(light * math.exp(-mapped), 0.0), 1.0) * top
            y[i, d] = nearest(value, top) if whole else value


@njit
def lightness(share):
    """Return the cube root of a share of white, of small ones a straight line."""
    return share ** (1 / 3) if share > 0.008856 else 7.787 * share + 16 / 116


@njit
def from_lightness(v):
    """Return the share of white of which `lightness` is v."""
    return v * v * v if v > 0.008856 ** (1 / 3) else (v - 16 / 116) / 7.787


@kernel(backend=LOOPS)
def rgb_to_lab(y, x, matrix):
    """y = L*, a*, b* of sRGB shares."""
    for i in prange(x.shape[0]):
        a, b, d = 0.0, 0.0, 0.0
        for c in range(3):
            v = np.float64(x[i, c])
            linear = ((v + 0.055) / 1.055) ** 2.4 if v > 0.04045 else v / 12.92
            a += linear * matrix[0, c]
            b += linear * matrix[1, c]
            d += linear * matrix[2, c]
        a, b, d = lightness(a), lightness(b), lightness(d)
        y[i, 0] = 116 * b - 16
        y[i, 1] = 500 * (a - b)
        y[i, 2] = 200 * (b - d)


@kernel(backend=LOOPS)
def lab_to_rgb(y, x, matrix):
    """y = sRGB shares, clipped, of L*, a*, b*."""
    for i in prange(x.shape[0]):
        middle = (np.float64(x[i, 0]) + 16) / 116
        a, b = from_lightness(middle + x[i, 1] / 500), from_lightness(middle)
        last = middle - x[i, 2] / 200
        d = from_lightness(0.0 if last < 0 else last)
        for c in range(3):
            linear = a * matrix[c, 0] + b * matrix[c, 1] + d * matrix[c, 2]
            value = 1.055 * linear ** (1 / 2.4) - 0.055 if linear > 0.0031308 else linear * 12.92
            y[i, c] = 0 if value < 0 else 1 if value > 1 else value
