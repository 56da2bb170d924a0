"""Group and instance normalisation on the CPU.  A sample's pixels arrive as rows of c channels.

Sums run per channel in float64, then over the channels of a group; samples are independent, so threads change no bits.
"""

from typing import Any

import numpy as np
from numba import prange

from ..backend import kernel
from ..ops.norm import channel_stats
from .jit import serial
from .norm import ABSENT, single

f4, f8 = np.float32, np.float64


@serial
def add_rows(s: Any, q: Any, x: Any, z: Any, shift: Any, first: Any, last: Any) -> None:
    """s = sum z, q = sum z (x - shift) over the rows first to last of one sample, per channel."""
    s[:] = 0
    q[:] = 0
    for i in range(first, last):
        row, other = x[i], z[i]
        for k in range(row.size):
            s[k] += f8(other[k])
            q[k] += f8(other[k]) * f8(row[k] - shift[k])


@serial
def add_squares(s: Any, q: Any, x: Any, shift: Any, first: Any, last: Any) -> None:
    """s = sum (x - shift), q = sum (x - shift)^2 over the rows first to last of one sample, per channel."""
    s[:] = 0
    q[:] = 0
    for i in range(first, last):
        row = x[i]
        for k in range(row.size):
            d = f8(row[k] - shift[k])
            s[k] += d
            q[k] += d * d


@serial
def normalise_sample(
    y: Any,
    mean: Any,
    rstd: Any,
    sums: Any,
    coefficients: Any,
    x: Any,
    weight: Any,
    bias: Any,
    eps: Any,
    first: Any,
    last: Any,
) -> None:
    """Group norm of one sample: twice for the moments, the second time about the first mean, then the affine map."""
    groups, size = mean.shape[0], x.shape[1] // mean.shape[0]
    n = max(1, (last - first) * size)
    shift, scale, offset = coefficients[0], coefficients[1], coefficients[2]
    shift[:] = 0
    add_squares(sums[0], sums[1], x, shift, first, last)
    for g in range(groups):
        shift[g * size : (g + 1) * size] = f4(sums[0, g * size : (g + 1) * size].sum() / n)
    add_squares(sums[0], sums[1], x, shift, first, last)
    for g in range(groups):
        off = sums[0, g * size : (g + 1) * size].sum() / n
        var = sums[1, g * size : (g + 1) * size].sum() / n - off * off
        mean[g, 0], rstd[g, 0] = f8(shift[g * size]) + off, 1.0 / np.sqrt(max(var, 0.0) + f8(eps))
        for k in range(g * size, (g + 1) * size):
            scale[k] = rstd[g, 0] * (weight[k] if weight.size > 0 else f4(1))
            offset[k] = (bias[k] if bias.size > 0 else f4(0)) - f4(off) * scale[k]
    for i in range(first, last):
        row, out = x[i], y[i]
        for k in range(row.size):
            out[k] = (row[k] - shift[k]) * scale[k] + offset[k]


@kernel(backend="numba", composite=True, when=single)
def group_norm_forward(k: Any, x: Any, weight: Any, bias: Any, groups: int, eps: float) -> Any:
    """group_norm_samples, with an empty array for a weight or bias that is None."""
    weight, bias = (ABSENT if v is None else v for v in (weight, bias))
    return k.group_norm_samples(x, weight, bias, groups, eps)


def sample_work(x: Any, *_: Any) -> list[Any]:
    """Per sample, two sums and four coefficients for each channel."""
    return [((x.shape[0], 2, x.shape[1]), np.float64), (x.shape[0], 4, x.shape[1])]


@kernel(backend="numba", rows="y x", work=sample_work, flops=lambda x, *_: 8 * x.size,
        out=lambda x, weight, bias, groups, eps: [x.shape, *[(x.shape[0], groups, 1)] * 2])  # fmt: skip
def group_norm_samples(y: Any, mean: Any, rstd: Any, sums: Any, coefficients: Any, x: Any, weight: Any,
                       bias: Any, groups: Any, eps: Any) -> None:  # fmt: skip
    """y = weight (x - mean) rstd + bias, moments of each group of channels; one sample a task."""
    samples = mean.shape[0]
    rows = x.shape[0] // max(1, samples)
    for b in prange(samples):
        a, e = b * rows, (b + 1) * rows
        normalise_sample(y, mean[b], rstd[b], sums[b], coefficients[b], x, weight, bias, eps, a, e)


@serial
def sample_gradient(
    dx: Any, sums: Any, coefficients: Any, dy: Any, x: Any, weight: Any, mean: Any, rstd: Any, first: Any, last: Any
) -> None:
    """dx = scale dy + slope (x - mean) + rest of one sample; leaves sum dy and sum dy xhat per channel in sums."""
    groups, size = mean.shape[0], x.shape[1] // mean.shape[0]
    n = max(1, (last - first) * size)
    centre, scale, slope, rest = coefficients[0], coefficients[1], coefficients[2], coefficients[3]
    for k in range(x.shape[1]):
        centre[k] = mean[k // size, 0]
        scale[k] = rstd[k // size, 0] * (weight[k] if weight.size > 0 else f4(1))
    add_rows(sums[0], sums[1], x, dy, centre, first, last)
    for g in range(groups):
        r, plain, tilted = f8(rstd[g, 0]), 0.0, 0.0
        for k in range(g * size, (g + 1) * size):
            w = f8(weight[k]) if weight.size > 0 else 1.0
            sums[1, k] *= r
            plain, tilted = plain + w * sums[0, k], tilted + w * sums[1, k]
        slope[g * size : (g + 1) * size] = f4(-r * r * tilted / n)
        rest[g * size : (g + 1) * size] = f4(-r * plain / n)
    for i in range(first, last):
        row, other, out = x[i], dy[i], dx[i]
        for k in range(row.size):
            out[k] = scale[k] * other[k] + (slope[k] * (row[k] - centre[k]) + rest[k])


@kernel(backend="numba", composite=True, when=single)
def group_norm_backward(k: Any, dy: Any, x: Any, weight: Any, mean: Any, rstd: Any) -> Any:
    """group_norm_gradient, with an empty array for a weight that is None."""
    return k.group_norm_gradient(dy, x, ABSENT if weight is None else weight, mean, rstd)


@kernel(backend="numba", rows="dx dy x", out=channel_stats, work=sample_work, flops=lambda dy, *_: 10 * dy.size)
def group_norm_gradient(dx: Any, dweight: Any, dbias: Any, sums: Any, coefficients: Any, dy: Any, x: Any, weight: Any,
                        mean: Any, rstd: Any) -> None:  # fmt: skip
    """dx = rstd (g - mean(g) - xhat mean(g xhat)), g = weight dy; dweight, dbias: the samples' sums added up."""
    samples = mean.shape[0]
    rows = x.shape[0] // max(1, samples)
    for b in prange(samples):
        a, e = b * rows, (b + 1) * rows
        sample_gradient(dx, sums[b], coefficients[b], dy, x, weight, mean[b], rstd[b], a, e)
    for k in range(dbias.size):
        first, second = 0.0, 0.0
        for b in range(samples):
            first, second = first + sums[b, 0, k], second + sums[b, 1, k]
        dbias[k], dweight[k] = first, second
