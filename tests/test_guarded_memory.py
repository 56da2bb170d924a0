"""No kernel reads or writes beside an array: every op runs in a process whose arrays lie between forbidden pages."""

import subprocess
import sys
from pathlib import Path

import pytest
from conftest import absence

SCRIPT = Path(__file__).parent / "guarded_memory.py"
SIDES = ["start", "end"]


def guarded(*options):
    """Run the script; a process that touched a forbidden page has died."""
    command = [sys.executable, "-X", "faulthandler", str(SCRIPT), *map(str, options)]
    return subprocess.run(command, capture_output=True, text=True, timeout=1200)


def run_ops(backend, side, seeds):
    """Run all ops, or fail with the last one that began and where Python was."""
    why = absence(backend)
    if why:
        pytest.skip(f"backend {backend}: {why}")
    done = guarded("--backend", backend, "--side", side, "--seeds", seeds)
    last = done.stdout.splitlines()[-1:]
    assert done.returncode == 0, f"died in {last}, exit {done.returncode}\n{done.stderr[-4000:]}"
    assert last == ["done"]


@pytest.mark.parametrize("side", SIDES)
def test_a_read_beside_an_array_is_seen(side):
    done = guarded("--planted", "--side", side)
    assert done.returncode != 0
    assert done.stdout.splitlines() == ["planted"]
    assert "Segmentation fault" in done.stderr or "access violation" in done.stderr


@pytest.mark.parametrize("side", [SIDES[-1], *(pytest.param(side, marks=pytest.mark.full) for side in SIDES[:-1])])
def test_every_op(side):
    run_ops("numba", side, 1)


@pytest.mark.full
@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("backend", ["numba", "loops", "emulated"])
def test_every_op_at_many_sizes(backend, side):
    run_ops(backend, side, 6)
