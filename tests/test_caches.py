"""Arrays that no cache holds: what is fetched ahead and written past the caches is what would be written into them."""

import numpy as np
import pytest

from tinymed import dispatch
from tinymed.cpu.convolution import winograd
from tinymed.cpu.simd.streaming import CACHE_BYTES

CHANNELS = [64, 48, 33, 7]  # whole panels, whole vectors, neither, fewer than a vector


@pytest.fixture
def k():
    return dispatch.table("numba")


def large(k, rng, channels, odd=1):
    """Images of a little more than CACHE_BYTES bytes."""
    side = int(np.ceil((CACHE_BYTES / 8 / channels) ** 0.5)) + odd
    return k.canonical(rng.standard_normal((2, channels, side, side), dtype=np.float32), (0, 2, 3, 1))


@pytest.mark.parametrize("size", [CACHE_BYTES // 4 + 3, CACHE_BYTES + 17])
def test_sum_and_copy(k, rng, size):
    """Of arrays a little larger than what is copied so, and than what is written past the caches."""
    a, b = rng.standard_normal((2, size), dtype=np.float32)
    np.testing.assert_array_equal(k.add(a, b), a + b)
    np.testing.assert_array_equal(k.add(a, 1.5), a + np.float32(1.5))
    copied = k.copy(a)
    np.testing.assert_array_equal(copied, a)
    assert not np.shares_memory(copied, a)


def per_channel(v):
    return np.asarray(v, np.float64)[:, None, None]


@pytest.mark.parametrize("channels", CHANNELS)
@pytest.mark.parametrize(("size", "stride"), [(1, 1), (3, 2)])
def test_convolution(k, rng, channels, size, stride):
    x = large(k, rng, min(16, channels) if size == 1 else channels)
    weight = k.canonical(rng.standard_normal((channels, x.shape[1], size, size), dtype=np.float32), (2, 3, 1, 0))
    bias = rng.standard_normal(channels, dtype=np.float32)
    y = k.conv_direct(x, k.pack_filter(weight, 1), bias, weight.shape, (stride, stride), (1, 1), 1)
    h, w = y.shape[2:]
    assert size > 1 or y.nbytes > CACHE_BYTES
    expected = np.zeros(y.shape) + per_channel(bias)
    for i in range(size):
        for j in range(size):
            seen = x[:, :, i : i + stride * h : stride, j : j + stride * w : stride][:, :, :h, :w]
            expected += np.einsum("kc,nchw->nkhw", weight[:, :, i, j].astype(float), seen.astype(float))
    np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("channels", CHANNELS)
@pytest.mark.parametrize(("size", "rest"), [(2, 0), (2, 1), (1, 0)])
def test_input_gradient_of_stride_2(k, rng, channels, size, rest):
    """Taps that do not meet write each pixel once; rest: a last row and column that no tap reads."""
    dy = k.canonical(large(k, rng, channels)[:, : min(16, channels), ::2, ::2], (0, 2, 3, 1))
    weight = k.canonical(rng.standard_normal((dy.shape[1], channels, size, size), dtype=np.float32), (2, 3, 1, 0))
    h, w = dy.shape[2:]
    shape = (2, channels, 2 * h + rest, 2 * w + rest)
    dx = k.conv_scatter(dy, k.pack_flipped_filter(weight, 1), shape, weight.shape, (2, 2), (1, 1), 1)
    assert dx.nbytes > CACHE_BYTES
    expected = np.zeros(shape)
    for i in range(size):
        for j in range(size):
            tap = np.einsum("kc,nkhw->nchw", weight[:, :, i, j].astype(float), dy.astype(float))
            expected[:, :, i : 2 * h : 2, j : 2 * w : 2] += tap
    np.testing.assert_allclose(dx, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("channels", CHANNELS)
def test_weight_gradient(k, rng, channels):
    x, dy = large(k, rng, channels), large(k, rng, 64, odd=0)
    h = min(x.shape[2], dy.shape[2])
    x, dy = (k.canonical(np.ascontiguousarray(a[:, :, :h, :h]), (0, 2, 3, 1)) for a in (x, dy))
    dw = k.conv_direct_weight(dy, x, (64, channels, 1, 1), (1, 1), (1, 1), 1)
    expected = np.einsum("nkhw,nchw->kc", dy.astype(float), x.astype(float))
    np.testing.assert_allclose(dw[:, :, 0, 0], expected, rtol=1e-4, atol=2e-2)


@pytest.mark.parametrize("channels", CHANNELS)
def test_normalisation(k, rng, channels):
    x, dy, z = (large(k, rng, channels) for _ in range(3))
    map, forward = (rng.standard_normal((3, channels), dtype=np.float32) for _ in range(2))
    mean, weight, rstd = (rng.uniform(0.5, 2, channels).astype(np.float32) for _ in range(3))
    assert x.nbytes > CACHE_BYTES
    X, D, Z, m = x.astype(float), dy.astype(float), z.astype(float), [per_channel(row) for row in map]
    f, centred = [per_channel(row) for row in forward], X - per_channel(mean)
    affine = (X - m[0]) * m[1] + m[2]

    def close(ours, expected, scale=1.0):
        np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=1e-4 * scale)

    def sums(g):  # what batch_norm_sums gives besides its map
        return (g * centred).sum((0, 2, 3)) * rstd, g.sum((0, 2, 3))

    close(k.batch_norm_apply(x, map), affine)
    close(k.batch_norm_relu(x, map), np.maximum(affine, 0))
    close(k.batch_norm_add_relu(x, map, z), np.maximum(affine + Z, 0))
    gradient = m[0] * D + m[1] * centred + m[2]
    close(k.batch_norm_apply_gradient(dy, x, mean, map, True), gradient)
    close(k.batch_norm_apply_gradient(dy, x, mean, map, False), m[0] * D)
    for training, base in ((True, gradient), (False, m[0] * D)):
        masked, total = k.batch_norm_gradient_relu(dy, x, mean, map, training)
        expected = np.where(X > 0, base, 0)
        close(masked, expected)
        close(total, expected.sum((0, 2, 3)), 100)
    for g, out in (
        (np.where(Z > 0, D, 0), k.relu_batch_norm_sums(dy, z, x, weight, mean, rstd, True)),
        (np.where(Z > 0, D + X, 0), k.add_relu_batch_norm_sums(dy, x, z, x, weight, mean, rstd, True)),
    ):
        close(out[0], g)
        for ours, expected in zip(out[1:3], sums(g), strict=True):
            close(ours, expected, 100)
    g = np.where((x - forward[0][:, None, None]) * forward[1][:, None, None] + forward[2][:, None, None] > 0, D, 0)
    near = np.abs((X - f[0]) * f[1] + f[2]) < 1e-5  # on the edge of ReLU a rounding decides
    ours = k.batch_norm_relu_backward(dy, x, forward, mean, map, True)
    close(np.where(near, 0, ours), np.where(near, 0, m[0] * g + m[1] * centred + m[2]))
    for ours, expected in zip(
        k.batch_norm_relu_backward_sums(dy, x, forward, weight, mean, rstd, True), sums(g), strict=False
    ):
        close(ours, expected, 100)


@pytest.mark.parametrize("filters", [512, 500])
def test_a_winograd_filter(k, rng, filters):
    """The same numbers as a few channels' filters, which are written into the caches."""
    weight = k.canonical(rng.standard_normal((filters, 256, 3, 3), dtype=np.float32), (2, 3, 1, 0))
    whole = k.winograd_filter(weight, 4)
    assert whole.nbytes > winograd.NONTEMPORAL_BYTES
    for first in (0, 224):
        part = k.canonical(np.ascontiguousarray(weight[:, first : first + 32]), (2, 3, 1, 0))
        few = k.winograd_filter(part, 4)
        last = -(-filters // 32) - 1
        np.testing.assert_array_equal(whole[:last, :, first : first + 32], few[:last])
        rest = filters - 32 * last
        np.testing.assert_array_equal(whole[last, :, first : first + 32, :rest], few[last, :, :, :rest])
