"""The pool of threads that kernels run on, and `--threads`: a waiting thread takes no processor time from others."""

import ctypes
import json
import os
import subprocess
import sys

import pytest
from commands import invoke
from test_options import commands

from tinymed.cli.app import Computing
from tinymed.cpu.compiler import pool

LIBRARIES = ("torch", pytest.param("sklearn.linear_model", marks=pytest.mark.full))
COMPUTE = """
import importlib, json, sys, time
for name in sys.argv[1:]:
    importlib.import_module(name)
import numba, numpy as np, tinymed
from tinymed import dispatch
from tinymed.cpu.compiler import pool
if "torch" in sys.modules:
    torch = sys.modules["torch"]
    torch.set_num_threads(2)
    (torch.ones(2048, 256) + 1).sum()  # its OpenMP has started
k = dispatch.table("numba")
x = np.ones((8, 16, 32, 32), np.float32)
y = k.relu_forward(x)
before = time.process_time()
time.sleep(0.4)
idle = time.process_time() - before
print(json.dumps([pool.describe()[0], idle, bool(y.sum() == x.size)]))
"""


def python(code, *arguments, **variables):
    """Run a program; return what it prints."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "NUMBA_NUM_THREADS": "2"} | variables
    environment = {name: value for name, value in environment.items() if value is not None}
    command = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=True)
    return done.stdout.strip()


@pytest.mark.skipif(bool(pool.absence()), reason=pool.absence())
@pytest.mark.parametrize("library", LIBRARIES)
def test_waiting_threads_sleep_whoever_loaded_openmp_first(library):
    pytest.importorskip(library)
    layer, idle, right = json.loads(python(COMPUTE, library))
    assert layer == "tinymed's own pool"
    assert right
    assert idle < 0.04, "threads that have nothing to do took processor time"


REGIONS = """
import threading, numpy as np, sys
from tinymed.cpu.compiler import compile_kernel, pool
from numba import prange, get_thread_id
import numba

@compile_kernel
def mark(found, who, turns):
    for i in prange(turns):
        found[i] += 1
        who[i] = get_thread_id()

def run(rounds, seed):
    rng = np.random.default_rng(seed)
    for _ in range(rounds):
        turns = int(rng.integers(0, 40))
        found, who = np.zeros(40, np.int64), np.zeros(40, np.int64)
        mark(found, who, turns)
        if not (found[:turns] == 1).all() or found[turns:].any() or not ((who >= 0) & (who < THREADS)).all():
            wrong.append(turns)

THREADS, wrong = int(sys.argv[1]), []
run(20_000, 0)
callers = [threading.Thread(target=run, args=(2_000, n)) for n in range(3)]
for t in callers: t.start()
for t in callers: t.join()
numba.set_num_threads(1)
run(100, 9)
print(wrong, pool.word("tinymed_pool_busy").value)
"""


@pytest.mark.skipif(bool(pool.absence()), reason=pool.absence())
@pytest.mark.parametrize("threads", ["1", "2", pytest.param("5", marks=pytest.mark.full)])
def test_each_turn_of_a_loop_is_done_once_for_any_number_of_threads_and_callers(tmp_path, threads):
    script = tmp_path / "regions.py"
    script.write_text(REGIONS)
    run = f"import runpy, sys; sys.argv = ['x', {threads!r}]; runpy.run_path({str(script)!r}, run_name='__main__')"
    assert python(run, NUMBA_NUM_THREADS=threads) == "[] 0"


@pytest.mark.skipif(bool(pool.absence()), reason=pool.absence())
def test_chunks_cover_a_loop():
    pool.start()
    count = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64, ctypes.c_int64, ctypes.c_void_p, ctypes.c_void_p)(
        pool.address["tinymed_chunk_count"]
    )
    for threads, size, expected in ((1, 100, 1), (2, 100, 8), (2, 3, 3), (4, 0, 1), (4, 1, 1)):
        start, stop = ctypes.c_int64(5), ctypes.c_int64(5 + size - 1)
        assert count(threads, 1, ctypes.addressof(start), ctypes.addressof(stop)) == expected


def test_every_command_that_computes_takes_a_number_of_threads(capsys):
    computing = {name for name, command in commands().items() if isinstance(command, Computing)}
    others = set(commands()) - computing
    kernels = {"show", "ladder", "puzzle", "emulate", "build", "doctor"}  # of other machines, or none
    assert others == kernels | {"models", "audit", "data", "runs", "config"}
    for name in commands():
        assert ("--threads" in invoke(capsys, name, "--help")[1]) == (name in computing), name
    code, out, err = invoke(capsys, "train", "--threads", "0")
    assert (code, out) == (2, "")
    assert "--threads" in err


def test_threads_are_those_of_the_process():
    code = "import os; from tinymed.cli import main; main(['check', '--threads', '1', 'nosuch']);"
    code += "import numba; print(numba.get_num_threads(), os.environ['NUMBA_NUM_THREADS'])"
    assert python(code, NUMBA_NUM_THREADS=None).split() == ["1", "1"]
    started = (
        "import numba, tinymed.cli as cli; numba.get_num_threads(); cli.main(['check', '--threads', '99', 'relu'])"
    )
    assert python(f"import sys; sys.stderr = sys.stdout; {started}") == (
        "tinymed: --threads 99: the kernels of this process were started with 2"
    )


def test_doctor_names_the_layer_and_how_it_waits():
    show = "from tinymed.cli.doctor import threads; found = threads(); print(found['layer'], '|', found['wait'])"
    assert "sleep" in python(show).partition("|")[2]
    assert python(show, NUMBA_THREADING_LAYER="workqueue") == (
        "Numba's workqueue (NUMBA_THREADING_LAYER asks for workqueue) | sleep"
    )
