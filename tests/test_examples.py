"""The examples run, warnings being errors, and print what they teach.  Each checks its own claims with asserts."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from datasets import class_folders

import tinymed

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = sorted((ROOT / "examples").glob("[0-9][0-9]_*.py"))
TIMEOUT = 240  # seconds; each is meant to take well under 60 on two idle cores

KEY_PHRASES = {
    "01_tape": "one visit an op",
    "02_convolution": "Numba kernel",
    "03_gradcheck": "rejected",
    "04_receptive_field": "46 x 46",
    "05_vanishing_gradients": "Degradation",
    "06_batch_norm_statistics": "disagreement",
    "07_own_op": "0 fell back",
    "08_train_malaria": "sensitivity",
    "09_capture": "calls became",
    "10_debugger": "as NumPy says",
    "11_truncated_backpropagation": "with that state, detached",
    "12_sigmoid_and_relu_by_depth": "pre-trained",
    "20_three_planes": "three planes",
    "21_contrast_normalisation": "local",
}


def python(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Python on the package under test, with warnings as errors."""
    environment = {**os.environ, "PYTHONPATH": str(Path(tinymed.__file__).parents[1]), "PYTHONWARNINGS": ""}
    command = [sys.executable, "-W", "error", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT, env=environment)


def cli(*arguments: str) -> subprocess.CompletedProcess[str]:
    """`tinymed ...` in a process of its own: a user's op must not stay registered in this one."""
    return python("-c", "import sys; from tinymed.cli import main; sys.exit(main(sys.argv[1:]))", *arguments)


def test_the_examples_are_numbered_and_all_tested():
    assert [p.stem for p in EXAMPLES] == sorted(KEY_PHRASES)
    numbers = [int(p.stem[:2]) for p in EXAMPLES]
    assert numbers == sorted(set(numbers))


LONG = {"05", "06", "08", "10", "12", "21"}  # half a minute of two tests' time each
RUN = [pytest.param(p, id=p.stem, marks=[pytest.mark.full] if p.stem[:2] in LONG else []) for p in EXAMPLES]


@pytest.mark.parametrize("path", RUN)
def test_example_runs_and_ends_with_a_lesson(path):
    done = python(str(path))
    assert done.returncode == 0, done.stderr[-2000:]
    assert not done.stderr
    if done.stdout.rpartition("skipped: ")[1]:  # a tool is missing, and it says which
        pytest.skip(done.stdout.rpartition("skipped: ")[2].strip())
    assert KEY_PHRASES[path.stem] in done.stdout
    assert done.stdout.rstrip().splitlines()[-1].startswith("Lesson: ")


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda p: p.stem)
def test_example_says_how_to_run_it(path):
    source = path.read_text("utf-8")
    docstring = source.split('"""')[1]
    assert f"python examples/{path.name}" in docstring
    assert "Teaches:" in docstring


@pytest.mark.parametrize("command", ["check", pytest.param("bench", marks=pytest.mark.full)])
def test_own_op_under_the_command_line(command):
    """`tinymed check FILE` and `bench FILE` import the file without running it and find its op."""
    done = cli(command, str(ROOT / "examples" / "07_own_op.py"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "SwishBeta" in done.stdout
    assert "Lesson" not in done.stdout


def test_training_on_a_folder(tmp_path):
    """The last example takes a directory and refuses to guess the positive class."""
    folder = class_folders(tmp_path / "cells", {"parasitized": 24, "uninfected": 24})
    path = str(ROOT / "examples" / "08_train_malaria.py")
    done = python(path, str(folder), "--positive", "parasitized", "--steps", "2", "--png", str(tmp_path / "roc.png"))
    assert done.returncode == 0, done.stderr[-2000:]
    assert "positive: parasitized" in done.stdout
    assert (tmp_path / "roc.png").read_bytes().startswith(b"\x89PNG")
    refused = python(path, str(folder), "--steps", "2")
    assert refused.returncode != 0
    assert "--positive" in refused.stderr
