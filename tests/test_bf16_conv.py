"""Convolution in bfloat16 on the CPU: every number is that of the instruction's twin on the windows of the image."""

import numpy as np
import pytest

from tinymed import dispatch
from tinymed.cpu.compiler import isa
from tinymed.cpu.convolution import bf16
from tinymed.cpu.simd.bf16_twins import TWINS, to_bits, to_floats
from tinymed.ops.space import padded, shifted, slides, taps

TWIN = TWINS[isa.path()]
# images, channels, filters, size, kernel, stride, padding, dilation
CASES = [
    (2, 32, 32, (8, 8), (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1)),
    (2, 64, 33, (9, 7), (1, 1), (1, 1), ((0, 0), (0, 0)), (1, 1)),
    (3, 3, 17, (11, 13), (7, 7), (2, 2), ((3, 3), (3, 3)), (1, 1)),
    (1, 5, 40, (10, 10), (3, 2), (1, 2), ((1, 0), (0, 1)), (2, 1)),
    (2, 6, 70, (9, 9), (3, 3), (1, 1), ((2, 2), (2, 2)), (2, 2)),
    (1, 1, 1, (3, 3), (1, 1), (1, 1), ((0, 0), (0, 0)), (1, 1)),
    (2, 96, 100, (5, 5), (3, 3), (2, 2), ((1, 1), (1, 1)), (1, 1)),
    (4, 40, 31, (20, 33), (1, 1), (2, 2), ((0, 0), (0, 0)), (1, 1)),
    (0, 8, 8, (4, 4), (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1)),
]


@pytest.fixture
def k():
    return dispatch.table("numba")


def draw(shape, seed):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def windows(bits, kernel, stride, padding, dilation):
    """Return (pixels of the output, taps, channels) of images of bits (N, C, H, W)."""
    x = padded(np, bits, padding)
    size = slides(bits.shape[2:], kernel, stride, padding, dilation)
    seen = np.stack([shifted(x, tap, size, stride, dilation) for tap in taps(kernel)], 1)
    n, t, c = seen.shape[:3]
    return np.ascontiguousarray(seen.transpose(0, 3, 4, 1, 2)).reshape(n * np.prod(size, dtype=int), t * c), size


@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize("rounds", [0, 1])
def test_forward(k, case, rounds):
    n, c, o, size, kernel, stride, padding, dilation = case
    x, weight, bias = draw((n, c, *size), 0), draw((o, c, *kernel), 1), draw((o,), 2)
    y = k.conv_bf16(k.bf16_images(x, padding), k.bf16_filter(weight), bias, weight.shape, stride, dilation, rounds)
    rows, out = windows(to_bits(x), kernel, stride, padding, dilation)
    right = TWIN(rows, to_bits(weight).transpose(2, 3, 1, 0).reshape(rows.shape[1], o)) + bias
    right = to_floats(to_bits(right)) if rounds else right
    np.testing.assert_array_equal(y, right.reshape(n, *out, o).transpose(0, 3, 1, 2))


@pytest.mark.parametrize("case", CASES, ids=str)
def test_flipped_filter(k, case):
    _, c, o, _, kernel, *_ = case
    weight = draw((o, c, *kernel), 1)
    turned = np.ascontiguousarray(weight[:, :, ::-1, ::-1].transpose(1, 0, 2, 3))
    np.testing.assert_array_equal(k.bf16_flipped_filter(weight, (1, 1)), k.bf16_filter(turned))


@pytest.mark.parametrize("case", [case for case in CASES if case[7] == (1, 1)], ids=str)
@pytest.mark.parametrize("more", [0, 1])
def test_gradient_of_the_input(k, case, more):
    """Each phase of the stride is a product of windows of dy with the taps that reach it; `more`: an odd remainder."""
    n, c, o, size, kernel, stride, padding, dilation = case
    size = tuple(m + more for m in size)
    out = slides(size, kernel, stride, padding, dilation)
    dy, weight = draw((n, o, *out), 0), draw((o, c, *kernel), 1)
    zeros = bf16.borders(out, size, kernel, stride, padding)
    dx = k.conv_bf16_input(
        k.bf16_images(dy, zeros),
        k.bf16_flipped_filter(weight, stride),
        (n, c, *size),
        weight.shape,
        stride,
        padding,
        0,
    )
    right, bits, tables = np.zeros_like(dx), to_bits(dy), to_bits(weight)
    for i in range(size[0]):
        for j in range(size[1]):
            rows, columns = [], []
            for r in reversed(range(kernel[0])):
                for s in reversed(range(kernel[1])):
                    u, v = i + padding[0][0] - r, j + padding[1][0] - s
                    if u % stride[0] == 0 and v % stride[1] == 0:
                        u, v = u // stride[0], v // stride[1]
                        inside = 0 <= u < out[0] and 0 <= v < out[1]
                        rows.append(bits[:, :, u, v] if inside else np.zeros((n, o), np.uint16))
                        columns.append(tables[:, :, r, s])
            if rows:
                right[:, :, i, j] = TWIN(np.concatenate(rows, 1), np.concatenate(columns))
    np.testing.assert_array_equal(dx, right)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_gradient_of_the_weight(k, case):
    n, c, o, size, kernel, stride, padding, dilation = case
    x = draw((n, c, *size), 0)
    rows, out = windows(to_bits(x), kernel, stride, padding, dilation)
    dy = draw((n, o, *out), 1)
    border = ((2, 1), (1, 0))
    dw = k.conv_bf16_weight(
        k.bf16_images(dy, border),
        k.bf16_images(x, padding),
        (o, c, *kernel),
        stride,
        dilation,
        tuple(map(int, out)),
        (2, 1),
    )
    right = TWIN(np.ascontiguousarray(rows.T), to_bits(dy).transpose(0, 2, 3, 1).reshape(len(rows), o))
    np.testing.assert_array_equal(dw, right.reshape(*kernel, c, o).transpose(3, 2, 0, 1) + 0)


def test_gradient_of_the_weight_goes_on_from_slab_to_slab(k):
    x, dy = draw((3, 4, 40, 30), 0), draw((3, 9, 40, 30), 1)
    dw = k.conv_bf16_weight(
        k.bf16_images(dy, bf16.NO_PADDING),
        k.bf16_images(x, bf16.NO_PADDING),
        (9, 4, 1, 1),
        (1, 1),
        (1, 1),
        (40, 30),
        (0, 0),
    )
    rows, columns = (to_bits(v).transpose(0, 2, 3, 1).reshape(3600, -1) for v in (x, dy))
    total = np.zeros((4, 9), np.float32)
    for first in range(0, 3600, bf16.SLAB):
        part = slice(first, first + bf16.SLAB)
        total = TWIN(np.ascontiguousarray(rows[part].T), columns[part]) + total
    np.testing.assert_array_equal(dw[:, :, 0, 0].T, total)


@pytest.mark.parametrize("padding", [((1, 2), (0, 3)), ((-1, 0), (0, -2)), ((-1, 1), (2, -1))], ids=str)
def test_images_are_rounded_and_padded(k, padding):
    x = draw((2, 5, 6, 7), 0)
    x[0, 0, 2, 2], x[1, 1, 3, 3], x[1, 2, 3, 3] = np.nan, np.inf, 1e-40
    (top, bottom), (left, right) = padding
    grown = np.pad(x, ((0, 0), (0, 0), (max(top, 0), max(bottom, 0)), (max(left, 0), max(right, 0))))
    h, w = grown.shape[2:]
    grown = grown[:, :, max(-top, 0) : h - max(-bottom, 0), max(-left, 0) : w - max(-right, 0)]
    np.testing.assert_array_equal(k.bf16_images(x, padding), to_bits(grown))
