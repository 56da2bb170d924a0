"""PyTorch's tables of modules and optimizers: a slice of what benchmarks/moduleinfo.py runs; all of it with -m full."""

import sys
import warnings
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="PyTorch is the oracle: pip install '.[test]'")
pytest.importorskip("expecttest", reason="PyTorch's tables need it: pip install '.[test]'")
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "benchmarks"))

import moduleinfo  # noqa: E402

import tinymed  # noqa: E402
from tinymed.dispatch import use_backend  # noqa: E402

SLICE = 40  # every so many inputs one is run; another one on each backend
RUNS = {"numpy": torch.float64, "numba": torch.float32}


def failures(found: dict[str, str]) -> str:
    return "\n".join(f"{case}: {said}" for case, said in found.items())


@pytest.mark.parametrize("name", RUNS)
@pytest.mark.filterwarnings("ignore")
def test_some_modules(name):
    """One input of every module, and every SLICE-th of them all."""
    found, seen = {}, set()
    with use_backend(name), tinymed.use_precision("exact"), warnings.catch_warnings():
        for i, (info, case) in enumerate(moduleinfo.cases((RUNS[name],))):
            if case.name in seen and i % SLICE != len(name):
                continue
            seen.add(case.name)
            if said := moduleinfo.compare(info, case):
                found[str(case)] = said
    assert len(seen) >= 90
    assert not found, failures(found)


@pytest.mark.filterwarnings("ignore")
def test_optimizers():
    with use_backend("numpy"):
        for i, (info, given) in enumerate(moduleinfo.optimizers()):
            said = moduleinfo.compare_optimizer(info, given) if i % 6 == 0 else ""
            assert not said, f"{info.optim_cls.__name__} {given.desc}: {said}"


@pytest.mark.full
@pytest.mark.parametrize("name", ["numpy", "numba", "emulated"])
def test_all_modules(name):
    found = moduleinfo.measure(name, torch.float64 if name == "numpy" else torch.float32)
    assert found["equal"] >= 0.98 * found["inputs"], failures(found["not_equal"])
    assert not [said for said in found["not_equal"].values() if said.startswith("wrong")], failures(found["not_equal"])


@pytest.mark.full
def test_all_optimizers():
    found = moduleinfo.measure_optimizers()
    assert found["equal"] == found["inputs"], failures(found["not_equal"])


def test_a_difference_is_found(monkeypatch):
    """The driver sees a wrong gradient, a wrong buffer and a refusal."""
    info, case = next((i, c) for i, c in moduleinfo.cases() if c.name == "BatchNorm1d" and c.training)
    with use_backend("numpy"):
        assert not moduleinfo.compare(info, case)
        forward = tinymed.nn.BatchNorm1d.forward
        monkeypatch.setattr(tinymed.nn.BatchNorm1d, "forward", lambda self, x: forward(self, x) * 1.001)
        assert "wrong: output" in moduleinfo.compare(info, case)
        monkeypatch.setattr(tinymed.nn.BatchNorm1d, "forward", lambda self, x: 1 / 0)
        assert moduleinfo.compare(info, case).startswith("refused: ZeroDivisionError")
