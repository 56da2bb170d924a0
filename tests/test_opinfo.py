"""PyTorch's operator database as an oracle: a seeded slice of its samples here, all of them with `-m full`.

benchmarks/opinfo.py compares; no sample may be refused.
"""

import importlib.util
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from conftest import absence

pytest.importorskip("torch", reason="PyTorch is the oracle: pip install '.[test]'")
pytest.importorskip("expecttest", reason="the database needs it: pip install '.[test]'")

import torch

import tinymed
from tinymed import dispatch

SPEC = importlib.util.spec_from_file_location("opinfo", Path(__file__).parents[1] / "benchmarks" / "opinfo.py")
opinfo = importlib.util.module_from_spec(SPEC)
sys.modules["opinfo"] = opinfo
SPEC.loader.exec_module(opinfo)


@cache
def entries():
    """PyTorch's entries whose names tinymed has; reading the database takes seconds, which only its tests spend."""
    return [op for op in opinfo.database() if opinfo.counterpart(op.name) is not None]


SLOW = {
    "nn.functional.conv3d",
    "nn.functional.conv_transpose3d",
    "nn.functional.max_pool3d",
    "nn.functional.max_pool2d",
}


def held(op, kind, dtype, every=1, start=0):
    """Raise unless every sample of an entry is equal."""
    row = opinfo.run(op, kind, dtype, every, start)
    if row is None:
        return 0
    assert not row.counts["wrong"] + row.counts["internal"] + row.counts["refused"], (
        f"{op.name} {row.variant}: {row.why}"
    )
    return sum(row.counts.values())


@pytest.mark.parametrize(("backend", "dtype", "every"), [("numpy", torch.float64, 47), ("emulated", torch.float32, 31)])
def test_a_slice_of_the_database(backend, dtype, every, monkeypatch):
    """Each entry's samples, some of them from a place of its own: the references, and the kernels of csrc/."""
    monkeypatch.setattr(dispatch.call, "strict", False)  # arrays of no elements may take the reference
    if why := absence(backend):
        pytest.skip(f"backend {backend}: {why}")
    with tinymed.use_backend(backend), tinymed.use_precision("exact"):
        seen = sum(held(op, "sample", dtype, every, i) for i, op in enumerate(entries()) if op.name not in SLOW)
    assert seen > 100


@pytest.mark.full
@pytest.mark.parametrize(
    ("backend", "dtype"), [("numpy", torch.float64), ("numba", torch.float32), ("emulated", torch.float32)], ids=str
)
@pytest.mark.parametrize("part", range(40))
def test_the_whole_database(part, backend, dtype):
    with tinymed.use_backend(backend), tinymed.use_precision("exact"):
        for op in entries()[part::40]:
            for kind in ("sample", "reference"):
                held(op, kind, dtype)


def test_the_database_is_not_passed_by():
    """A function that is wrong is found, one that is not there is left out."""
    op = next(op for op in entries() if op.name == "exp")
    sample = next(iter(opinfo.samples(op, "sample", torch.float64)))
    assert opinfo.judge(op, tinymed.exp, sample).outcome == "equal"
    assert opinfo.judge(op, tinymed.expm1, sample).outcome == "wrong"
    assert opinfo.judge(op, lambda x: tinymed.exp(x).detach(), sample).outcome == "wrong"
    assert opinfo.judge(op, lambda x: x.reshape(7, 7, 7), sample).outcome == "refused"
    assert opinfo.judge(op, lambda x: None.exp(), sample).outcome == "internal"
    single = next(iter(opinfo.samples(op, "sample", torch.float32)))
    assert opinfo.judge(op, tinymed.exp, single).outcome == "equal"
    assert opinfo.judge(op, lambda x: tinymed.exp(x) * 1.00001, single).outcome == "wrong"


def test_float32_that_differs_by_rounding_is_told_from_what_is_wrong():
    true = np.array([1.0, 1000.0])
    right, rounded, far = np.float32([1.0, 1000.0]), np.float32([1.0, 1000.01]), np.float32([1.0, 1000.02])
    assert opinfo.nearer(right, far, true, {}), "ours is the float64 result, PyTorch's float32 is not"
    assert not opinfo.nearer(rounded, far, true, {}), "both miss the tolerances"
    assert opinfo.nearer(rounded, far, true, {}, cancelling=True)
    assert not opinfo.nearer(far, rounded, true, {}, cancelling=True)
    assert not opinfo.nearer(right, right, true, {}), "PyTorch's float32 is right, so that ours is held to it"
    assert not opinfo.nearer(true, true + 0.01, true, {}), "float64 is held to float64"
    assert not opinfo.nearer(np.float32([1.0, np.nan]), far, true, {})
    assert opinfo.counterpart("linalg.svd") is None
