"""Mixed precision as an option of a run: its name, what is kept of it, and a resumed run on other instructions."""

import json

import pytest
from commands import invoke

from tinymed import precision
from tinymed.cli.environment import FILE, note_environment, other_path
from tinymed.cpu.compiler import isa
from tinymed.train.checkpoint import load_checkpoint

TRAIN = ("train", "--backend", "numba", "--steps", "2", "--batch", "8", "--workers", "0")


@pytest.fixture(autouse=True)
def own_precision(monkeypatch):
    """Give a test the precision that was chosen, and take back what a command chooses."""
    monkeypatch.setattr(precision, "default", precision.default)
    monkeypatch.setattr(precision.chosen, "name", precision.chosen.name)


def test_a_run_in_bf16_is_named_so_and_kept_in_float32(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, *_ = invoke(capsys, *TRAIN, "--precision", "bf16")
    assert code == 0
    (folder,) = (tmp_path / "runs").iterdir()
    assert folder.name.startswith("dcnn-bf16")
    assert json.loads((folder / "config.json").read_text())["precision"] == "bf16"
    assert json.loads((folder / FILE).read_text())["sittings"][-1]["bf16"] == isa.path()
    for path in (folder / "checkpoints").glob("*.safetensors"):
        model = load_checkpoint(path)["model"]
        assert {a.dtype.name for name, a in model.items() if name.endswith("weight")} == {"float32"}
    assert precision.in_use() == "bf16"


def test_a_run_that_goes_on_elsewhere_is_warned(tmp_path, monkeypatch):
    note_environment(tmp_path, "numba", "bf16")
    assert other_path(tmp_path, "numba", "bf16") == ""
    before = isa.path()
    other = next(path for path in isa.PATHS if path != before)
    monkeypatch.setattr(isa, "path", lambda: other)
    assert f"multiplied bfloat16 with {before}, and goes on with {other}" in other_path(tmp_path, "numba", "bf16")
    assert other_path(tmp_path, "numba", "tf32") == ""
    assert other_path(tmp_path / "new", "numba", "bf16") == ""


def test_float16_is_no_precision_of_a_run(capsys, tmp_path):
    code, _, err = invoke(capsys, *TRAIN, "--precision", "float16", "--out", str(tmp_path / "run"))
    assert code == 2
    assert "float16" in err
    assert "bf16" in err
