"""Sampling at the places of a grid: each place takes a weighted sum of the pixels around it.

Images are [n, i, j, c], or [n, h, i, j, c]; a grid names places as (x, y), or (x, y, z).  Along an axis there are one
(nearest), two (bilinear) or four (bicubic) taps: pixels first, first + 1, ... with a weight each.
"""

from math import floor

from numba import njit, prange

from ...dispatch import LOOPS, kernel
from .views import large

BILINEAR, NEAREST, BICUBIC = 0, 1, 2
ZEROS, BORDER, REFLECTION = 0, 1, 2
OUTSIDE = -(2**30)  # the pixel of a place that is not a number, or too large for one


@njit
def padded(place, n, padding, align_corners):
    """Return a place brought into the image, and the slope of that: 0 where it was cut off."""
    slope = 1.0
    if padding == ZEROS:
        return place, slope
    if padding == REFLECTION:
        low, span = (0.0, n - 1.0) if align_corners else (-0.5, float(n))
        if span == 0:
            return 0.0, 0.0
        beyond = abs(place - low)
        beyond -= floor_of(beyond / (2 * span)) * (2 * span)
        slope = -1.0 if (place < low) != (beyond > span) else 1.0
        place = low + (2 * span - beyond if beyond > span else beyond)
    if place <= 0:
        return 0.0, 0.0
    if place >= n - 1:
        return n - 1.0, 0.0
    return place, slope


@njit
def floor_of(place):
    """Return the whole number below; of what is not a number, that."""
    return float(floor(place)) if abs(place) < 2.0**60 else place


@njit
def nearest(place):
    """Return the nearest whole number; of two that are as near, the even one."""
    below = floor(place)
    return below + (1 if place - below > 0.5 or (place - below == 0.5 and below % 2) else 0)


@njit
def located(g, n, mode, padding, align_corners):
    """Return the first pixel that counts, how far the place lies behind it, and pixels for each unit of the grid."""
    scale = (n - 1) / 2 if align_corners else n / 2
    place, slope = (g + 1) * scale - (0.0 if align_corners else 0.5), 1.0
    if mode != BICUBIC:
        place, slope = padded(place, n, padding, align_corners)
    if not abs(place) < -OUTSIDE:
        return OUTSIDE, place - place, slope * scale
    if mode == NEAREST:
        return nearest(place), 0.0, slope * scale
    first = floor(place)
    return int(first) - (1 if mode == BICUBIC else 0), place - first, slope * scale


@njit
def brought(pixel, n, mode, padding, align_corners):
    """Return a tap's pixel, or -1 if it lies outside the image."""
    if mode == BICUBIC and padding != ZEROS:
        place, _ = padded(float(pixel), n, padding, align_corners)
        return int(place)
    return pixel if 0 <= pixel < n else -1


@njit
def weight(tap, t, mode):
    """Return the weight of a tap for a place t behind the first pixel, bicubic: behind the second."""
    if mode == NEAREST:
        return 1.0 + t
    if mode == BILINEAR:
        return t if tap else 1 - t
    d = abs(t + 1 - tap)
    return (1.25 * d - 2.25) * d * d + 1 if 1 <= tap <= 2 else (((d - 5) * d + 8) * d - 4) * -0.75


@njit
def steepness(tap, t, mode):
    """Return the derivative of that weight by t."""
    if mode == BILINEAR:
        return 1.0 if tap else -1.0
    d = abs(t + 1 - tap)
    slope = (3.75 * d - 4.5) * d if 1 <= tap <= 2 else ((3 * d - 10) * d + 8) * -0.75
    return slope if tap < 2 else -slope


@njit
def taps_of(mode):
    """Return how many pixels count along an axis."""
    return 1 if mode == NEAREST else 2 if mode == BILINEAR else 4


@kernel(backend=LOOPS, image="y x", worth=large)
def grid_sample2d_forward(y, x, grid, mode, padding, align_corners):
    """y[n, i, j, c] = the sum over the taps of u v x[n, row, column, c]."""
    taps = taps_of(mode)
    for n in prange(y.shape[0]):
        for i in range(y.shape[1]):
            for j in range(y.shape[2]):
                left, v, _ = located(grid[n, i, j, 0], x.shape[2], mode, padding, align_corners)
                top, u, _ = located(grid[n, i, j, 1], x.shape[1], mode, padding, align_corners)
                for c in range(y.shape[3]):
                    total = 0.0
                    for a in range(taps):
                        row = brought(top + a, x.shape[1], mode, padding, align_corners)
                        for b in range(taps):
                            column = brought(left + b, x.shape[2], mode, padding, align_corners)
                            value = x[n, row, column, c] if row >= 0 and column >= 0 else 0.0
                            total += weight(a, u, mode) * weight(b, v, mode) * value
                    y[n, i, j, c] = total


@kernel(backend=LOOPS, image="dx dy", worth=large)
def grid_sample2d_backward_input(dx, dy, grid, x_shape, mode, padding, align_corners):
    """dx[n, row, column, c] += u v dy[n, i, j, c] for each tap."""
    taps = taps_of(mode)
    for n in prange(dx.shape[0]):
        for i in range(dx.shape[1]):
            for j in range(dx.shape[2]):
                for c in range(dx.shape[3]):
                    dx[n, i, j, c] = 0
        for i in range(dy.shape[1]):
            for j in range(dy.shape[2]):
                left, v, _ = located(grid[n, i, j, 0], dx.shape[2], mode, padding, align_corners)
                top, u, _ = located(grid[n, i, j, 1], dx.shape[1], mode, padding, align_corners)
                for a in range(taps):
                    row = brought(top + a, dx.shape[1], mode, padding, align_corners)
                    for b in range(taps):
                        column = brought(left + b, dx.shape[2], mode, padding, align_corners)
                        if row >= 0 and column >= 0:
                            for c in range(dx.shape[3]):
                                dx[n, row, column, c] += weight(a, u, mode) * weight(b, v, mode) * dy[n, i, j, c]


@kernel(backend=LOOPS, image="x dy", worth=large)
def grid_sample2d_backward_grid(dgrid, dy, x, grid, mode, padding, align_corners):
    """dgrid[n, i, j] = the sum over c and the taps of dy times the slopes of the weights.

    Along an axis the slopes add up to 0: a difference from the first tap serves as well as the value, and loses no
    digits where the image is nearly constant.
    """
    taps = taps_of(mode)
    for n in prange(dgrid.shape[0]):
        for i in range(dgrid.shape[1]):
            for j in range(dgrid.shape[2]):
                left, v, across = located(grid[n, i, j, 0], x.shape[2], mode, padding, align_corners)
                top, u, down = located(grid[n, i, j, 1], x.shape[1], mode, padding, align_corners)
                along_x, along_y = 0.0, 0.0
                first_row = brought(top, x.shape[1], mode, padding, align_corners)
                first_column = brought(left, x.shape[2], mode, padding, align_corners)
                for a in range(taps):
                    row = brought(top + a, x.shape[1], mode, padding, align_corners)
                    for b in range(taps):
                        column = brought(left + b, x.shape[2], mode, padding, align_corners)
                        for c in range(x.shape[3]):
                            value = x[n, row, column, c] if row >= 0 and column >= 0 else 0.0
                            before = x[n, row, first_column, c] if row >= 0 and first_column >= 0 else 0.0
                            above = x[n, first_row, column, c] if first_row >= 0 and column >= 0 else 0.0
                            d = dy[n, i, j, c]
                            along_x += weight(a, u, mode) * steepness(b, v, mode) * d * (value - before)
                            along_y += steepness(a, u, mode) * weight(b, v, mode) * d * (value - above)
                dgrid[n, i, j, 0] = along_x * across
                dgrid[n, i, j, 1] = along_y * down


@njit
def voxel(x, n, plane, row, column, c):
    """Return x at a voxel, 0 outside."""
    return x[n, plane, row, column, c] if plane >= 0 and row >= 0 and column >= 0 else 0.0


@kernel(backend=LOOPS, image="y x", worth=large)
def grid_sample3d_forward(y, x, grid, mode, padding, align_corners):
    """y[n, h, i, j, c] = the sum over the taps of t u v x[n, plane, row, column, c]."""
    taps = taps_of(mode)
    for n in prange(y.shape[0]):
        for h in range(y.shape[1]):
            for i in range(y.shape[2]):
                for j in range(y.shape[3]):
                    left, v, _ = located(grid[n, h, i, j, 0], x.shape[3], mode, padding, align_corners)
                    top, u, _ = located(grid[n, h, i, j, 1], x.shape[2], mode, padding, align_corners)
                    front, t, _ = located(grid[n, h, i, j, 2], x.shape[1], mode, padding, align_corners)
                    for c in range(y.shape[4]):
                        total = 0.0
                        for p in range(taps):
                            plane = brought(front + p, x.shape[1], mode, padding, align_corners)
                            for a in range(taps):
                                row = brought(top + a, x.shape[2], mode, padding, align_corners)
                                for b in range(taps):
                                    column = brought(left + b, x.shape[3], mode, padding, align_corners)
                                    w = weight(p, t, mode) * weight(a, u, mode) * weight(b, v, mode)
                                    total += w * voxel(x, n, plane, row, column, c)
                        y[n, h, i, j, c] = total


@kernel(backend=LOOPS, image="dx dy", worth=large)
def grid_sample3d_backward_input(dx, dy, grid, x_shape, mode, padding, align_corners):
    """dx[n, plane, row, column, c] += t u v dy[n, h, i, j, c] for each tap."""
    taps = taps_of(mode)
    for n in prange(dx.shape[0]):
        for h in range(dx.shape[1]):
            for i in range(dx.shape[2]):
                for j in range(dx.shape[3]):
                    for c in range(dx.shape[4]):
                        dx[n, h, i, j, c] = 0
        for h in range(dy.shape[1]):
            for i in range(dy.shape[2]):
                for j in range(dy.shape[3]):
                    left, v, _ = located(grid[n, h, i, j, 0], dx.shape[3], mode, padding, align_corners)
                    top, u, _ = located(grid[n, h, i, j, 1], dx.shape[2], mode, padding, align_corners)
                    front, t, _ = located(grid[n, h, i, j, 2], dx.shape[1], mode, padding, align_corners)
                    for p in range(taps):
                        plane = brought(front + p, dx.shape[1], mode, padding, align_corners)
                        for a in range(taps):
                            row = brought(top + a, dx.shape[2], mode, padding, align_corners)
                            for b in range(taps):
                                column = brought(left + b, dx.shape[3], mode, padding, align_corners)
                                if plane >= 0 and row >= 0 and column >= 0:
                                    w = weight(p, t, mode) * weight(a, u, mode) * weight(b, v, mode)
                                    for c in range(dx.shape[4]):
                                        dx[n, plane, row, column, c] += w * dy[n, h, i, j, c]


@kernel(backend=LOOPS, image="x dy", worth=large)
def grid_sample3d_backward_grid(dgrid, dy, x, grid, mode, padding, align_corners):
    """dgrid[n, h, i, j] = the sum over c and the taps of dy times the slopes of the weights, as with two axes."""
    taps = taps_of(mode)
    for n in prange(dgrid.shape[0]):
        for h in range(dgrid.shape[1]):
            for i in range(dgrid.shape[2]):
                for j in range(dgrid.shape[3]):
                    left, v, across = located(grid[n, h, i, j, 0], x.shape[3], mode, padding, align_corners)
                    top, u, down = located(grid[n, h, i, j, 1], x.shape[2], mode, padding, align_corners)
                    front, t, deep = located(grid[n, h, i, j, 2], x.shape[1], mode, padding, align_corners)
                    first_plane = brought(front, x.shape[1], mode, padding, align_corners)
                    first_row = brought(top, x.shape[2], mode, padding, align_corners)
                    first_column = brought(left, x.shape[3], mode, padding, align_corners)
                    along_x, along_y, along_z = 0.0, 0.0, 0.0
                    for p in range(taps):
                        plane = brought(front + p, x.shape[1], mode, padding, align_corners)
                        for a in range(taps):
                            row = brought(top + a, x.shape[2], mode, padding, align_corners)
                            for b in range(taps):
                                column = brought(left + b, x.shape[3], mode, padding, align_corners)
                                w, s, r = weight(p, t, mode), weight(a, u, mode), weight(b, v, mode)
                                for c in range(x.shape[4]):
                                    d, value = dy[n, h, i, j, c], voxel(x, n, plane, row, column, c)
                                    before = voxel(x, n, plane, row, first_column, c)
                                    above = voxel(x, n, plane, first_row, column, c)
                                    ahead = voxel(x, n, first_plane, row, column, c)
                                    along_x += w * s * steepness(b, v, mode) * d * (value - before)
                                    along_y += w * steepness(a, u, mode) * r * d * (value - above)
                                    along_z += steepness(p, t, mode) * s * r * d * (value - ahead)
                    dgrid[n, h, i, j, 0] = along_x * across
                    dgrid[n, h, i, j, 1] = along_y * down
                    dgrid[n, h, i, j, 2] = along_z * deep
