"""Maxima and sums of rows on the CPU, of every length that fills vectors in part, between guard bands of NaN."""

import numba
import numpy as np
import pytest
from instruments import guarded, normal

from tinymed.cpu.simd.reductions import row_max, row_product_sum, row_sum


@numba.njit
def reductions(x, y, shift):
    return row_max(x), row_sum(x), row_product_sum(x, y, shift)


@pytest.mark.parametrize("size", [0, 1, 3, 15, 16, 17, 31, 33, 63, 64, 65, 127, 129, 1000])
def test_reductions(size):
    rng = np.random.default_rng(size)
    with guarded() as guards:
        x, y, shift = guards.place(normal(rng, size)), guards.place(normal(rng, size)), np.float32(0.7)
        largest, summed, product = reductions(x, y, shift)
        assert largest == x.max(initial=-np.inf)
        assert summed == pytest.approx(x.astype(float).sum(), abs=1e-12)
        assert product == pytest.approx((x * (y - shift)).astype(float).sum(), abs=1e-12)


@pytest.mark.parametrize("at", [0, 20, 69])
def test_a_nan_is_in_the_sum_but_not_the_largest(at):
    x = np.ones(70, np.float32)
    x[at] = np.nan
    largest, total, product = reductions(x, x, np.float32(0))
    assert largest == 1
    assert np.isnan(total)
    assert np.isnan(product)


def test_minus_infinity_is_larger_than_nothing():
    largest, total, _ = reductions(np.full(40, -np.inf, np.float32), np.ones(40, np.float32), np.float32(0))
    assert largest == total == -np.inf
