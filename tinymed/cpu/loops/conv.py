"""Convolution over two axes of space: one sum of products, solved for y, x and weight.

Images are [n, i, j, c].  Each loop runs innermost over the axis along which both arrays that it reads and writes lie in
memory, so that one number multiplies a whole row of them: 8 GFLOP/s on one thread, where the same sums over arrays
indexed [n, c, i, j], whose channels lie apart for all that LLVM knows, reach 2.  Zeros around an image are multiplied
like any pixel: 0 times NaN is NaN.  In each group, `depth` channels of the input meet `each` channels of the output.
"""

from numba import prange

from ...dispatch import LOOPS, kernel


@kernel(backend=LOOPS, image="y x", filter="weight")
def conv2d_forward(y, x, weight, bias, stride, padding, dilation, groups):
    """y[n, i, j, o] = bias[o] + sum_abc x[n, i stride + a dilation - top, j ..., c] weight[a, b, c, o]."""
    kh, kw, depth, filters = weight.shape
    (top, _), (left, _) = padding
    each, zero = filters // groups, x.dtype.type(0)
    for n in prange(y.shape[0]):
        for i in range(y.shape[1]):
            for j in range(y.shape[2]):
                for o in range(filters):
                    y[n, i, j, o] = 0 if bias is None else bias[o]
                for a in range(kh):
                    row = i * stride[0] + a * dilation[0] - top
                    for b in range(kw):
                        column = j * stride[1] + b * dilation[1] - left
                        inside = 0 <= row < x.shape[1] and 0 <= column < x.shape[2]
                        for g in range(groups):
                            for c in range(depth):
                                pixel = x[n, row, column, g * depth + c] if inside else zero
                                for o in range(each):
                                    y[n, i, j, g * each + o] += pixel * weight[a, b, c, g * each + o]


@kernel(backend=LOOPS, image="dx dy weight")
def conv2d_backward_input(dx, dy, weight, x_shape, stride, padding, dilation, groups):
    """dx[n, i stride + a dilation - top, j ..., c] += dy[n, i, j, o] weight[o, a, b, c]."""
    filters, kh, kw, depth = weight.shape
    (top, _), (left, _) = padding
    each = filters // groups
    for n in prange(dx.shape[0]):
        for row in range(dx.shape[1]):
            for column in range(dx.shape[2]):
                for c in range(dx.shape[3]):
                    dx[n, row, column, c] = 0
        for i in range(dy.shape[1]):
            for j in range(dy.shape[2]):
                for a in range(kh):
                    row = i * stride[0] + a * dilation[0] - top
                    for b in range(kw):
                        column = j * stride[1] + b * dilation[1] - left
                        if 0 <= row < dx.shape[1] and 0 <= column < dx.shape[2]:
                            for g in range(groups):
                                for o in range(g * each, g * each + each):
                                    d = dy[n, i, j, o]
                                    for c in range(depth):
                                        dx[n, row, column, g * depth + c] += d * weight[o, a, b, c]


@kernel(backend=LOOPS, image="dy x", filter="dweight")
def conv2d_backward_weight(dweight, dy, x, weight_shape, stride, padding, dilation, groups):
    """dweight[a, b, c, o] = sum_nij x[n, i stride + a dilation - top, j ..., c] dy[n, i, j, o]."""
    kh, kw, depth, filters = dweight.shape
    (top, _), (left, _) = padding
    each, zero = filters // groups, x.dtype.type(0)
    for a in prange(kh):
        for b in range(kw):
            for c in range(depth):
                for o in range(filters):
                    dweight[a, b, c, o] = 0
            for n in range(dy.shape[0]):
                for i in range(dy.shape[1]):
                    row = i * stride[0] + a * dilation[0] - top
                    for j in range(dy.shape[2]):
                        column = j * stride[1] + b * dilation[1] - left
                        inside = 0 <= row < x.shape[1] and 0 <= column < x.shape[2]
                        for g in range(groups):
                            for c in range(depth):
                                pixel = x[n, row, column, g * depth + c] if inside else zero
                                for o in range(each):
                                    dweight[a, b, c, g * each + o] += pixel * dy[n, i, j, g * each + o]


@kernel(backend=LOOPS, rows="dy")
def channel_sum(total, dy):
    """total[c] = the sum of dy over all pixels: the gradient of a bias."""
    for c in prange(total.size):
        partial = 0.0
        for p in range(dy.shape[0]):
            partial += dy[p, c]
        total[c] = partial
