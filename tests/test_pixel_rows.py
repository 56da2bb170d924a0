"""Rows of pixels against each other, in vectors: widths around a vector and around the step of four, beside NumPy's."""

import itertools

import numpy as np
import pytest

from tinymed import dispatch, imaging
from tinymed.cpu.simd.byte_tables import PERMUTES, emit_look_up
from tinymed.cpu.simd.pixel_rows import divisor, exchanges

WIDTHS = (1, 7, 31, 32, 33, 63, 64, 65, 127, 129, 255, 256, 257, 513)
DTYPES = ("uint8", "uint16", "float32")


def pictures(dtype):
    """A picture of each width, some with NaN, and one of three channels."""
    rng = np.random.default_rng(0)
    for width in WIDTHS:
        shape = (5, width) if width != 65 else (4, 65, 3)
        if dtype == "float32":
            x = rng.normal(size=shape).astype(dtype)
            x[rng.random(shape) < 0.01] = np.nan
        else:
            x = rng.integers(0, np.iinfo(dtype).max + 1, shape).astype(dtype)
        yield x


def same(operation, dtype):
    for x in pictures(dtype):
        with dispatch.use_backend("numpy"):
            want = operation(x)
        with dispatch.use_backend("numba"):
            np.testing.assert_array_equal(operation(x), want, err_msg=f"width {x.shape[1]}")


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", [3, 5])
def test_medians(size, dtype):
    same(lambda x: imaging.median(x, size), dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("size", "shape"), [(3, "square"), (5, "disk"), (17, "square"), (71, "square"), (9, "cross")])
def test_extremes(size, shape, dtype):
    same(lambda x: imaging.erode(x, size, shape), dtype)
    same(lambda x: imaging.dilate(x, size, shape), dtype)


@pytest.mark.parametrize(("size", "shape"), [(3, "square"), (17, "square"), (71, "square"), (5, "cross")])
def test_openings_band_by_band(size, shape):
    """A picture of several bands, of which a large box reaches over more than one."""
    x = np.random.default_rng(0).integers(0, 256, (150, 40), dtype=np.uint8)
    for operation in (imaging.opening, imaging.closing, imaging.top_hat, imaging.black_hat):
        with dispatch.use_backend("numpy"):
            want = operation(x, size, shape)
        with dispatch.use_backend("numba"):
            np.testing.assert_array_equal(operation(x, size, shape), want)


@pytest.mark.parametrize("size", [3, 5, 13, 15, 31, 63])
def test_means_of_bytes_are_the_nearest_whole_numbers(size):
    same(lambda x: imaging.mean(x, size), "uint8")
    white = np.full((9, 300), 255, np.uint8)
    with dispatch.use_backend("numba"):
        assert np.array_equal(imaging.mean(white, size), white)


def test_tables_of_bytes():
    values = np.random.default_rng(1).permutation(256).astype(np.uint8)
    for x in pictures("uint8"):
        with dispatch.use_backend("numba") as k:
            found = k.apply_table(x.reshape(-1, 1), values[:, None])
        assert np.array_equal(found[:, 0], values[x.reshape(-1)])


def test_tables_without_the_instruction(monkeypatch):
    """What other processors run: the same function compiled without permutations of bytes."""
    from ctypes import CFUNCTYPE, c_int64

    from tinymed.cpu.compiler import llvm_functions
    from tinymed.cpu.simd import byte_tables

    monkeypatch.setattr(byte_tables, "PERMUTES", False)
    text = llvm_functions.source({"one_by_one": (["y", "x", "values", "size"], emit_look_up)})
    assert byte_tables.PERMUTE not in text
    code = llvm_functions.compile_object(text)
    call = CFUNCTYPE(None, *[c_int64] * 4)(llvm_functions.link([code], ["one_by_one"])["one_by_one"])
    values = np.random.default_rng(2).permutation(256).astype(np.uint8)
    for size in (1, 63, 64, 200):
        x = np.random.default_rng(size).integers(0, 256, size).astype(np.uint8)
        y = np.zeros_like(x)
        call(y.ctypes.data, x.ctypes.data, values.ctypes.data, size)
        assert np.array_equal(y, values[x])
    assert isinstance(PERMUTES, bool)


@pytest.mark.parametrize("count", [3, 5, 9])
def test_exchanges_bring_the_median_to_the_middle(count):
    """Numbers of 0 and 1 are enough, by the principle of sorting networks."""
    for bits in itertools.product((0, 1), repeat=count):
        rows = list(bits)
        for low, high in exchanges(count):
            rows[low], rows[high] = min(rows[low], rows[high]), max(rows[low], rows[high])
        assert rows[count // 2] == sorted(bits)[count // 2]


def test_divisors_are_exact_for_every_sum():
    odd = range(3, 258, 2)
    without = [count for count in odd if divisor(count) is None]
    assert min(without) > 201
    for count in odd:
        if (found := divisor(count)) is not None:
            n = np.arange(255 * count + count // 2 + 1, dtype=np.int64)
            assert np.array_equal(n * found[0] >> 16 + found[1], n // count)
