"""The resampling of images, masks and volumes as compiled loops, imported at first use.

The definitions are `resample` of geometry.py and `trilinear` and `nearest` of augment3d.py.  A loop does their
arithmetic in their order without fused multiply-adds, so it has their bits.  It releases Python's lock: the threads of
a loader work side by side.
"""

from typing import Any

import numpy as np

from ...cpu.compiler.exact_loops import compiled
from ...cpu.compiler.jit import inline

f4, at = np.float32, np.uintp  # an index without a sign need not be checked for counting from the end
REFLECT, EDGE, CONSTANT = range(3)  # the places in settings.BORDERS


@inline
def inner(index: Any, size: Any, border: Any) -> Any:
    """Return the index that is read for one that may lie outside 0 ... size - 1, or -1 for the constant."""
    if 0 <= index < size:
        return index
    if border == REFLECT:
        if size == 1:
            return 0
        period = 2 * (size - 1)
        folded = abs(index) % period
        return min(folded, period - folded)
    if border == EDGE:
        return min(max(index, 0), size - 1)
    return -1


@inline
def blend(flat: Any, pixels: Any, written: Any, first: Any, right: Any, below: Any, u: Any, v: Any, count: Any) -> None:
    """Write a pixel from the four about it, which all lie in the image: first, and those right of and below it."""
    less_v, less_u = f4(1) - v, f4(1) - u
    for c in range(count):
        p, q = pixels[first + at(c)], pixels[first + right + at(c)]
        r, s = pixels[first + below + at(c)], pixels[first + below + right + at(c)]
        flat[written + at(c)] = less_v * (less_u * p + u * q) + v * (less_u * r + u * s)


@inline
def row_sources(points: Any, i: Any, height: Any, width: Any, place: Any, field: Any) -> None:
    """Write where the pixels of row i are read: matrix ((i, j) - middle - shift + field) + end, as y and x."""
    yy, yx, xy, xx = place[0], place[1], place[2], place[3]
    shift_y, shift_x, end_y, end_x = place[4], place[5], place[6], place[7]
    if field.size > 0:
        for j in range(width):
            y = i - (height - 1) / 2 - shift_y + field[0, i, j]
            x = j - (width - 1) / 2 - shift_x + field[1, i, j]
            points[0, j], points[1, j] = yy * y + yx * x + end_y, xy * y + xx * x + end_x
    else:
        for j in range(width):
            y, x = i - (height - 1) / 2 - shift_y, j - (width - 1) / 2 - shift_x
            points[0, j], points[1, j] = yy * y + yx * x + end_y, xy * y + xx * x + end_x


@compiled
def warp_bilinear(
    out: Any, points: Any, corners: Any, shares: Any, image: Any, place: Any, field: Any, border: Any, fill: Any
) -> None:
    """out[i, j] = image between its pixels, where row_sources says.

    place: the 2x2 matrix by rows, shift and end, as (y, x).  field: [2, height, width], or without elements.  points,
    corners, shares: [2, width], scratch, so that what can be done for a whole row at once is done in vectors.
    """
    height, width, channels = image.shape
    pixels, flat = image.reshape(image.size), out.reshape(out.size)
    right, below = at(channels), at(width * channels)
    for i in range(height):
        row_sources(points, i, height, width, place, field)
        for axis in range(2):
            for j in range(width):
                first = np.floor(points[axis, j])
                corners[axis, j], shares[axis, j] = np.int64(first), f4(points[axis, j] - first)
        for j in range(width):
            a, b, v, u = corners[0, j], corners[1, j], shares[0, j], shares[1, j]
            if 0 <= a < height - 1 and 0 <= b < width - 1:
                first, written = at((a * width + b) * channels), at((i * width + j) * channels)
                if channels == 3:  # a number of channels that is known makes shorter code
                    blend(flat, pixels, written, first, right, below, u, v, 3)
                elif channels == 1:
                    blend(flat, pixels, written, first, right, below, u, v, 1)
                else:
                    blend(flat, pixels, written, first, right, below, u, v, channels)
            else:
                less_v, less_u = f4(1) - v, f4(1) - u
                a0, a1 = inner(a, height, border), inner(a + 1, height, border)
                b0, b1 = inner(b, width, border), inner(b + 1, width, border)
                for c in range(channels):
                    p = image[a0, b0, c] if a0 >= 0 and b0 >= 0 else fill
                    q = image[a0, b1, c] if a0 >= 0 and b1 >= 0 else fill
                    r = image[a1, b0, c] if a1 >= 0 and b0 >= 0 else fill
                    s = image[a1, b1, c] if a1 >= 0 and b1 >= 0 else fill
                    out[i, j, c] = less_v * (less_u * p + u * q) + v * (less_u * r + u * s)


@compiled
def warp_nearest(out: Any, points: Any, image: Any, place: Any, field: Any, border: Any, fill: Any) -> None:
    """out[i, j] = the pixel nearest to where row_sources says.  points: [2, width], scratch."""
    height, width, channels = image.shape
    for i in range(height):
        row_sources(points, i, height, width, place, field)
        for j in range(width):
            a = inner(np.int64(np.rint(points[0, j])), height, border)
            b = inner(np.int64(np.rint(points[1, j])), width, border)
            for c in range(channels):
                out[i, j, c] = image[a, b, c] if a >= 0 and b >= 0 else fill


@inline
def source_voxel(i: Any, j: Any, k: Any, image: Any, place: Any, field: Any) -> Any:
    """Return where voxel (i, j, k) is read: matrix ((i, j, k) - middle - shift) + end + field."""
    x = i - (image.shape[0] - 1) / 2 - place[9]
    y = j - (image.shape[1] - 1) / 2 - place[10]
    z = k - (image.shape[2] - 1) / 2 - place[11]
    p = place[0] * x + place[1] * y + place[2] * z + place[12]
    q = place[3] * x + place[4] * y + place[5] * z + place[13]
    r = place[6] * x + place[7] * y + place[8] * z + place[14]
    if field.size > 0:
        p, q, r = p + field[0, i, j, k], q + field[1, i, j, k], r + field[2, i, j, k]
    return p, q, r


@compiled
def warp_trilinear(out: Any, image: Any, place: Any, field: Any, border: Any, fill: Any) -> None:
    """out[i, j, k] = the volume between its voxels.  place: the 3x3 matrix by rows, shift and end."""
    sides = image.shape
    for i in range(sides[0]):
        for j in range(sides[1]):
            for k in range(sides[2]):
                p, q, r = source_voxel(i, j, k, image, place, field)
                p0, q0, r0 = np.floor(p), np.floor(q), np.floor(r)
                u, v, w = f4(p - p0), f4(q - q0), f4(r - r0)
                a0, b0, c0 = int(p0), int(q0), int(r0)
                for channel in range(sides[3]):
                    out[i, j, k, channel] = 0
                for corner in range(8):
                    first, second, third = corner >> 2, corner >> 1 & 1, corner & 1
                    weight = (u if first else f4(1) - u) * (v if second else f4(1) - v)
                    weight = weight * (w if third else f4(1) - w)
                    a = inner(a0 + first, sides[0], border)
                    b = inner(b0 + second, sides[1], border)
                    c = inner(c0 + third, sides[2], border)
                    for channel in range(sides[3]):
                        value = image[a, b, c, channel] if a >= 0 and b >= 0 and c >= 0 else fill
                        out[i, j, k, channel] += weight * value


@compiled
def warp_nearest_voxel(out: Any, image: Any, place: Any, field: Any, border: Any, fill: Any) -> None:
    """out[i, j, k] = the voxel nearest to where warp_trilinear reads."""
    sides = image.shape
    for i in range(sides[0]):
        for j in range(sides[1]):
            for k in range(sides[2]):
                p, q, r = source_voxel(i, j, k, image, place, field)
                a = inner(int(np.rint(p)), sides[0], border)
                b = inner(int(np.rint(q)), sides[1], border)
                c = inner(int(np.rint(r)), sides[2], border)
                out[i, j, k] = image[a, b, c] if a >= 0 and b >= 0 and c >= 0 else fill
