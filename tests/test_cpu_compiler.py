"""The kernels' compiler where things go wrong: damaged files, no folder, threads, fork, little address space."""

import os
import subprocess
import sys

import numpy as np
import pytest

from tinymed.cpu.compiler import assembly_of, cache
from tinymed.cpu.compiler.jit import compile_kernel
from tinymed.cpu.simd.vectors import features

STEP = """
import json, os, threading, numpy as np, tinymed
from tinymed import nn
tinymed.manual_seed(0)
model = nn.Sequential(nn.Conv2d(3, 16, 3), nn.ReLU(), nn.MaxPool2d(2))
x = tinymed.tensor(np.random.default_rng(0).standard_normal((4, 3, 40, 40)).astype(np.float32))
def step(): return float(model(x).sum().item())
"""
SMALL = STEP.replace("nn.Conv2d(3, 16, 3), ", "").replace(
    ", nn.MaxPool2d(2)", ""
)  # what compiles anew in each process: seconds less


def python(code, cache_folder, before=STEP, **variables):
    """Run a program with a kernel cache of its own; return (exit status, standard output, standard error)."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "TINYMED_BACKEND": "numba"}
    environment |= {"TINYMED_CACHE": str(cache_folder), "NUMBA_NUM_THREADS": "2"} | variables
    environment = {name: value for name, value in environment.items() if value is not None}
    done = subprocess.run(
        [sys.executable, "-c", before + code], env=environment, capture_output=True, text=True, timeout=300
    )
    return done.returncode, done.stdout.strip(), done.stderr.strip()


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    """A cache folder with the kernels of the step, and what the step gives."""
    folder = tmp_path_factory.mktemp("cache")
    code, out, err = python("print(step())", folder)
    assert (code, err) == (0, "")
    return folder, out


@pytest.fixture(scope="module")
def few(tmp_path_factory):
    """The same of the smaller step."""
    folder = tmp_path_factory.mktemp("few")
    code, out, err = python("print(step())", folder, SMALL)
    assert (code, err) == (0, "")
    return folder, out


# ------------------------------------------------------------------------------------------------------------ files


def test_a_sealed_file_is_whole_or_not_there(tmp_path):
    path = tmp_path / "some" / "file"
    assert cache.read_sealed(path) is None
    cache.write_sealed(path, b"content")
    assert cache.read_sealed(path) == b"content"
    assert [p.name for p in path.parent.iterdir()] == ["file"]


@pytest.mark.parametrize("damage", ["empty", "half", "garbage", "one bit"])
def test_a_damaged_file_is_deleted(tmp_path, damage):
    path = tmp_path / "file"
    cache.write_sealed(path, bytes(range(200)))
    path.write_bytes(damaged(path.read_bytes(), damage))
    assert cache.read_sealed(path) is None
    assert not path.exists()


def damaged(content, how):
    """The content of a file after an accident."""
    flipped = bytearray(content)
    flipped[len(content) // 2] ^= 4
    return {"empty": b"", "half": content[: len(content) // 2], "garbage": b"\x80\x05junk" * 9, "one bit": flipped}[how]


def test_damaged_kernels_are_compiled_anew(few):
    folder, expected = few
    files = sorted(f for f in folder.rglob("*") if f.suffix in (".o", ".nbc"))
    assert {f.suffix for f in files} == {".o", ".nbc"}
    assert {f for f in folder.rglob("*") if f.is_file()} == set(files)
    for n, file in enumerate(files):
        file.write_bytes(damaged(file.read_bytes(), ("empty", "half", "garbage", "one bit")[n % 4]))
    assert python("print(step())", folder, SMALL) == (0, expected, "")
    assert all(cache.read_sealed(f) for f in files)


def test_two_processes_fill_one_cache(tmp_path, few):
    run = "print(step())"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "TINYMED_CACHE": str(tmp_path)}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "env": environment}
    both = [subprocess.Popen([sys.executable, "-c", SMALL + run], **pipes) for _ in range(2)]
    assert [(*p.communicate(timeout=300), p.returncode) for p in both] == [(few[1] + "\n", "", 0)] * 2


# ----------------------------------------------------------------------------------------------------------- folder


@pytest.mark.parametrize(
    "variables",
    [
        {"TINYMED_CACHE": "/proc/nowhere"},
        {"TINYMED_CACHE": None, "XDG_CACHE_HOME": None, "HOME": "/proc/nowhere"},
        {"TINYMED_CACHE": "/dev/null"},
    ],
    ids=["folder", "home", "a file"],
)
def test_without_a_folder_it_goes_on_and_says_so_once(tmp_path, few, variables):
    code, out, err = python("print(step())", tmp_path, SMALL, **variables)
    assert (code, out) == (0, few[1])
    assert err.count("TINYMED_CACHE names a folder") == 1


def test_an_unset_home_is_looked_up():
    code = "from tinymed.cpu.compiler.cache import cache_directory as c; print(c() is None or c().is_absolute())"
    assert python(code, "", TINYMED_CACHE=None, XDG_CACHE_HOME=None, HOME=None)[:2] == (0, "True")


def test_a_full_disk_is_no_failure(tmp_path, few):
    """Files may grow to no size at all: what a full disk does to writing, though the folder can be made."""
    limit = "import resource, signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
    limit += "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096)); print(step())"
    code, out, err = python(limit, tmp_path, SMALL)
    assert (code, out) == (0, few[1])
    assert err.count("TINYMED_CACHE names a folder") == 1
    assert not list(tmp_path.rglob("*.tmp"))


# ---------------------------------------------------------------------------------------------------------- threads


@pytest.mark.parametrize("layer", ["default", "workqueue"])
def test_threads_may_run_kernels_at_once(filled, layer):
    run = """
wanted, got = step(), []
threads = [threading.Thread(target=lambda: got.extend(step() for _ in range(100))) for _ in range(3)]
for t in threads: t.start()
for t in threads: t.join()
print(len(got), set(got) == {wanted})
"""
    assert python(run, filled[0], NUMBA_THREADING_LAYER=layer) == (0, "300 True", "")


@pytest.mark.parametrize("captured", [False, True])
@pytest.mark.parametrize("layer", ["default", "workqueue"])
def test_a_forked_child_runs_on_one_thread(filled, layer, captured):
    run = """
if %r:
    replay = tinymed.capture(lambda x: model(x).sum())
    step = lambda: float(replay(x).item())
step()
wanted = step()
child = os.fork()
if child == 0:
    other = float(nn.Softmax(1)(model(x)).sum().item())  # a kernel that the parent has not called
    os._exit(0 if step() == wanted == step() and other > 0 else 3)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), step() == wanted)
"""
    code, out, err = python(run % captured, filled[0], NUMBA_THREADING_LAYER=layer)
    assert (code, out) == (0, "0 True")
    assert err.count("kernels run on one thread in this process") == 1


# ---------------------------------------------------------------------------------------------------- address space


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="asks Linux for what is left")
def test_a_limited_address_space_is_enough(filled):
    limit = "import resource; resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))\n"
    assert python(limit + "print(step())", filled[0]) == (0, filled[1], "")
    code, _, err = python(limit + "tinymed.memory.empty((1 << 30,), np.float32)", filled[0])
    assert code == 1
    assert "no room for 4096 MiB" in err
    assert "address space is limited" in err


# --------------------------------------------------------------------------------------------------------- assembly


def test_assembly_of_one_function():
    text = assembly_of("pass_relu")
    assert "tinymed_pass_relu:" in text
    assert "tinymed_tile:" not in text
    assert assembly_of("tinymed_pass_relu") == text
    with pytest.raises(KeyError, match="pass_relu"):
        assembly_of("pas_relu")


def square(y, x):
    for i in range(y.size):
        y[i] = x[i] * x[i]


def test_loops_are_made_of_whole_vectors():
    """LLVM prefers half of them on some processors with 512 bits."""
    if "avx512f" not in features():
        pytest.skip("this processor has no vectors of 512 bits")
    kernel, x = compile_kernel(square, parallel=False), np.ones(100, np.float32)
    kernel(x, x)
    (code,) = kernel.inspect_asm().values()
    assert "zmm" in code


NAME = """
import tinymed.cpu
from numba.core.bytecode import FunctionIdentity
print(FunctionIdentity.from_function(step).unique_name, flush=True)
"""


def test_no_two_processes_give_a_helper_one_name(tmp_path):
    """A third that loads a kernel of each from the cache would call the helper of one from the other."""
    forked = "import sys\nif os.fork():\n    os.wait()\n    sys.exit()\n" if hasattr(os, "fork") else ""
    names = [out for code in (NAME, NAME, NAME + forked + NAME) for out in python(code, tmp_path)[1].split()]
    assert len(set(names)) == len(names) >= 3


@pytest.mark.full
def test_kernels_of_several_processes_work_in_one(tmp_path):
    """As it was found: tiles of one process, a matrix product of another, and both in a third."""
    conv = "k.conv2d_forward(ones({}), ones({}), None, (1, 1), ((1, 1), (1, 0)), (1, 1), {})\n"
    head = "from tinymed import dispatch\nk = dispatch.table('numba')\nones = lambda *s: np.ones(s, np.float32)\n"
    first = conv.format("9, 24, 17, 18", "40, 24, 3, 3", 1), conv.format("9, 24, 17, 18", "40, 12, 3, 3", 2)
    product = "assert (k.linear_forward(ones(8, 16), ones(2, 16), ones(2)) == 17).all()\n"
    large = "k.matmul(ones(300, 700), ones(700, 210))\n"
    for code in (product + large, "".join(first) + large, conv.format("8, 3, 50, 50", "16, 3, 3, 3", 1) + product):
        assert python(head + code, tmp_path)[::2] == (0, "")
