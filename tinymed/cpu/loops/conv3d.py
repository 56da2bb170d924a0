"""Convolution over three axes of space: the sums of conv.py with one axis more.

Images are [n, h, i, j, c]; h, i, j count planes, rows and columns of the output.
"""

from numba import njit, prange

from ...dispatch import LOOPS, kernel


@njit
def inside(plane, row, column, x):
    """Return whether a pixel lies in the image, not in the zeros around it."""
    return 0 <= plane < x.shape[1] and 0 <= row < x.shape[2] and 0 <= column < x.shape[3]


@njit
def pixel_of(x, n, plane, row, column, c):
    """Return a pixel of the image, or 0 around it."""
    return x[n, plane, row, column, c] if inside(plane, row, column, x) else x.dtype.type(0)


@kernel(backend=LOOPS, image="y x", filter="weight")
def conv3d_forward(y, x, weight, bias, stride, padding, dilation, groups):
    """y[n, h, i, j, o] = bias[o] + sum x[n, h stride + a dilation - front, i ..., j ..., c] weight[a, b, d, c, o]."""
    ka, kb, kd, depth, filters = weight.shape
    (front, _), (top, _), (left, _) = padding
    each = filters // groups
    for n in prange(y.shape[0]):
        for h in range(y.shape[1]):
            for i in range(y.shape[2]):
                for j in range(y.shape[3]):
                    for o in range(filters):
                        y[n, h, i, j, o] = 0 if bias is None else bias[o]
                    for a in range(ka):
                        plane = h * stride[0] + a * dilation[0] - front
                        for b in range(kb):
                            row = i * stride[1] + b * dilation[1] - top
                            for d in range(kd):
                                column = j * stride[2] + d * dilation[2] - left
                                for g in range(groups):
                                    for c in range(depth):
                                        pixel = pixel_of(x, n, plane, row, column, g * depth + c)
                                        for o in range(each):
                                            k = g * each + o
                                            y[n, h, i, j, k] += pixel * weight[a, b, d, c, k]


@kernel(backend=LOOPS, image="dx dy weight")
def conv3d_backward_input(dx, dy, weight, x_shape, stride, padding, dilation, groups):
    """dx[n, h stride + a dilation - front, i ..., j ..., c] += dy[n, h, i, j, o] weight[o, a, b, d, c]."""
    filters, ka, kb, kd, depth = weight.shape
    (front, _), (top, _), (left, _) = padding
    each = filters // groups
    for n in prange(dx.shape[0]):
        for plane in range(dx.shape[1]):
            for row in range(dx.shape[2]):
                for column in range(dx.shape[3]):
                    for c in range(dx.shape[4]):
                        dx[n, plane, row, column, c] = 0
        for h in range(dy.shape[1]):
            for i in range(dy.shape[2]):
                for j in range(dy.shape[3]):
                    for a in range(ka):
                        plane = h * stride[0] + a * dilation[0] - front
                        for b in range(kb):
                            row = i * stride[1] + b * dilation[1] - top
                            for d in range(kd):
                                column = j * stride[2] + d * dilation[2] - left
                                if inside(plane, row, column, dx):
                                    for o in range(filters):
                                        pixel, first = dy[n, h, i, j, o], o // each * depth
                                        for c in range(depth):
                                            dx[n, plane, row, column, first + c] += pixel * weight[o, a, b, d, c]


@kernel(backend=LOOPS, image="dy x", filter="dweight")
def conv3d_backward_weight(dweight, dy, x, weight_shape, stride, padding, dilation, groups):
    """dweight[a, b, d, c, o] = sum_nhij x[n, h stride + a dilation - front, i ..., j ..., c] dy[n, h, i, j, o]."""
    ka, kb, kd, depth, filters = dweight.shape
    (front, _), (top, _), (left, _) = padding
    each = filters // groups
    for a in prange(ka):
        for b in range(kb):
            for d in range(kd):
                for c in range(depth):
                    for o in range(filters):
                        dweight[a, b, d, c, o] = 0
                for n in range(dy.shape[0]):
                    for h in range(dy.shape[1]):
                        plane = h * stride[0] + a * dilation[0] - front
                        for i in range(dy.shape[2]):
                            row = i * stride[1] + b * dilation[1] - top
                            for j in range(dy.shape[3]):
                                column = j * stride[2] + d * dilation[2] - left
                                for g in range(groups):
                                    for c in range(depth):
                                        pixel = pixel_of(x, n, plane, row, column, g * depth + c)
                                        for o in range(each):
                                            k = g * each + o
                                            dweight[a, b, d, c, k] += pixel * dy[n, h, i, j, k]
