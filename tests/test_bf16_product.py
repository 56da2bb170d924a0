"""Products of bfloat16: the instructions against their twins in NumPy, and which of them is used."""

import os
import subprocess
import sys

import numba
import numpy as np
import pytest

from tinymed.cpu.compiler import cache, isa, llvm_functions
from tinymed.cpu.simd import bf16_product
from tinymed.cpu.simd.bf16_product import COLUMNS, HEIGHT, SCRATCH, TERMS, products
from tinymed.cpu.simd.bf16_twins import TWINS, to_bits, to_floats
from tinymed.cpu.simd.vectors import address

HERE = [path for path in isa.PATHS if not isa.lacking(path)]


def panels(w):
    """Return (terms, columns) in the layout that the module describes."""
    grown = np.pad(w, ((0, -w.shape[0] % TERMS), (0, -w.shape[1] % COLUMNS)))
    blocks = grown.reshape(-1, TERMS // 2, 2, grown.shape[1] // COLUMNS, 2, 16).transpose(3, 0, 4, 1, 5, 2)
    return np.ascontiguousarray(blocks).reshape(grown.shape[1] // COLUMNS, -1)


def multiply(path, x, w, start=0, rounds=0, y=None):
    """Return what the native product of a path makes."""
    run = products[path]
    llvm_functions.load([run.symbol])

    @numba.njit
    def call(y, x, w, table, start, rounds, scratch):
        run(
            address(x),
            x.shape[1] * 2,
            y.shape[0],
            address(w),
            w.shape[1] * 2,
            w.shape[0],
            x.shape[1] // TERMS,
            address(y),
            address(table),
            y.shape[1],
            start,
            rounds,
            address(scratch),
        )

    rows = np.pad(x, ((0, -len(x) % HEIGHT), (0, -x.shape[1] % TERMS)))
    y = np.full((len(x), w.shape[1]), np.nan, np.float32) if y is None else y
    table = np.arange(len(x)) * 4 * w.shape[1]
    call(y, rows, panels(w), table, start, rounds, np.zeros(SCRATCH, np.float32))
    return y


def numbers(kind, shape, rng):
    """Draw float32 of a kind: of size 1, so small that products are subnormal, subnormal themselves, or too large."""
    x = rng.standard_normal(shape).astype(np.float32)
    if kind == "tiny":
        return x * np.float32(2) ** rng.integers(-75, -50, shape).astype(np.float32)
    if kind == "subnormal":
        return np.where(rng.random(shape) < 0.5, x * np.float32(1e-39), x).astype(np.float32)
    return x * np.float32(1e19) if kind == "huge" else x


@pytest.mark.parametrize("kind", ["normal", "tiny", "subnormal", "huge"])
@pytest.mark.parametrize("shape", [(5, 40, 64), (33, 17, 161), (1, 1, 1), (64, 32, 31)], ids=str)
@pytest.mark.parametrize("path", HERE)
def test_twin_has_the_instruction_s_bits(path, shape, kind):
    (m, n, terms), rng = shape, np.random.default_rng(0)
    x, w = to_bits(numbers(kind, (m, terms), rng)), to_bits(numbers(kind, (terms, n), rng))
    y, twin = multiply(path, x, w), TWINS[path](x, w) + np.float32(0)
    same = (y.view(np.uint32) == twin.view(np.uint32)) | (np.isnan(y) & np.isnan(twin))
    assert same.all(), f"{(~same).sum()} of {same.size} differ, first {y[~same][0]!r} for {twin[~same][0]!r}"


@pytest.mark.parametrize("path", isa.PATHS)
def test_twin_is_the_product(path):
    rng = np.random.default_rng(1)
    x, w = to_bits(numbers("normal", (7, 77), rng)), to_bits(numbers("normal", (77, 9), rng))
    right = to_floats(x).astype(np.float64) @ to_floats(w)
    assert np.abs(TWINS[path](x, w) - right).max() < 1e-5


def test_twins_differ_in_order_and_in_what_they_flush():
    x = to_bits(np.array([[2.0**24, 1, -(2.0**24), 0]], np.float32))
    w = to_bits(np.ones((4, 1), np.float32))
    assert {path: float(twin(x, w)[0, 0]) for path, twin in TWINS.items()} == {
        "amx": 1.0,  # 2^24 - 2^24 of the first numbers, and 1 of the second
        "avx512_bf16": 1.0 - 1.0,  # 1 + 2^24 has lost the 1
        "float32": 0.0,
    }
    tiny = np.array([[0x0001]], np.uint16), to_bits(np.ones((1, 1), np.float32))
    assert [float(TWINS[path](*tiny)[0, 0]) > 0 for path in isa.PATHS] == [False, False, True]


def test_bits_are_rounded_to_even():
    bits = np.array([0x3F808000, 0x3F818000, 0x3F808001, 0x7F7FFFFF, 0x7F800001, 0x00008001], np.uint32)
    assert to_bits(bits.view(np.float32)).tolist() == [0x3F80, 0x3F82, 0x3F81, 0x7F80, 0x7FC0, 0x0001]
    values = np.random.default_rng(0).standard_normal(1000).astype(np.float32)
    near = to_floats(to_bits(values))
    assert (np.abs(near - values) <= np.abs(values) * 2.0**-8).all()


@pytest.mark.parametrize("path", HERE)
def test_what_a_product_begins_with_and_how_it_ends(path):
    rng = np.random.default_rng(2)
    x, w = to_bits(numbers("normal", (37, 50), rng)), to_bits(numbers("normal", (50, 45), rng))
    bias = rng.standard_normal(45).astype(np.float32)
    twin = TWINS[path](x, w)
    np.testing.assert_array_equal(multiply(path, x, w, bias.ctypes.data), twin + bias)
    np.testing.assert_array_equal(multiply(path, x, w, bias.ctypes.data, 1), to_floats(to_bits(twin + bias)))
    before = rng.standard_normal((37, 45)).astype(np.float32)
    np.testing.assert_array_equal(multiply(path, x, w, bf16_product.ACCUMULATE, 0, before.copy()), twin + before)


def test_a_nan_of_one_row_stays_there():
    x, w = np.full((40, 40), 0x3F80, np.uint16), np.full((40, 40), 0x3F80, np.uint16)
    x[3, 7] = 0x7FC0
    for path in HERE:
        y = multiply(path, x, w, rounds=1)
        assert np.isnan(y[3]).all()
        assert (np.delete(y, 3, 0) == 40).all()


# ---------------------------------------------------------------------------------------------- which is used


def test_unknown_path_is_refused():
    with pytest.raises(ValueError, match="TINYMED_ISA is 'avx1024'; choose one of amx, avx512_bf16, float32"):
        isa.chosen("avx1024")


def test_path_that_the_processor_lacks_is_refused(monkeypatch):
    monkeypatch.setattr(isa, "features", lambda: {"avx2", "fma"})
    with pytest.raises(ValueError, match=r"TINYMED_ISA is 'avx512_bf16', but the processor has no avx512bf16, avx512f"):
        isa.chosen("avx512_bf16")
    assert isa.chosen("") == "float32"


def test_refused_tiles_fall_back_and_are_reported(monkeypatch):
    monkeypatch.setattr(isa, "features", lambda: {name for names in isa.NEEDS.values() for name in names})
    monkeypatch.setattr(isa, "tiles_refused", lambda: "Linux refused the tile registers: Invalid argument")
    assert isa.chosen("") == "avx512_bf16"
    with pytest.raises(ValueError, match=r"TINYMED_ISA is 'amx', but Linux refused .* it takes avx512_bf16, float32"):
        isa.chosen("amx")
    monkeypatch.setattr(isa, "path", lambda: "avx512_bf16")
    monkeypatch.delenv("TINYMED_ISA", raising=False)
    assert isa.describe() == "avx512_bf16 (amx: Linux refused the tile registers: Invalid argument)"


def test_forced_path_has_kernels_of_its_own(monkeypatch):
    monkeypatch.setattr(isa, "path", lambda: "one")
    one = cache.fingerprint("")
    monkeypatch.setattr(isa, "path", lambda: "another")
    assert cache.fingerprint("") != one


@pytest.mark.parametrize("path", HERE)
def test_variable_forces_the_path(path):
    code = "from tinymed.cpu.compiler import isa; print(isa.describe())"
    told = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | {"TINYMED_ISA": path}, capture_output=True, text=True, check=True
    )
    assert told.stdout.strip() == f"{path} (forced by TINYMED_ISA)"


def test_doctor_shows_the_path():
    from tinymed.cli.doctor import processor

    assert processor()["bf16"] == isa.describe()
