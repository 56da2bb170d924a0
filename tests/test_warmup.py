"""The kernel cache: what is compiled, when, and that a warm one spares a new process all of it."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from commands import invoke
from numba import prange

import tinymed
from tinymed import dispatch, models
from tinymed.cli import warmup
from tinymed.cpu.compiler import isa, llvm_functions

NETWORK = ("mtann", 4)  # of few kernels that compile quickly

STEP = """
import json, numpy as np, tinymed
from tinymed import dispatch, models, optim
from tinymed.cli.warmup import criterion
from tinymed.tensor import Tensor
from tinymed.tasks.base.steps import train_step

name, batch, wanted = {arguments}
model = models.create(name)
images = Tensor(np.zeros((batch, *models.describe(name)["input"]), np.float32))
with tinymed.no_grad():
    loss, targets = criterion(model, model(images))
step = train_step(model, optim.Adam(model.parameters()), loss, None)
step = tinymed.capture(step) if wanted == "captured" else step
step(images, targets)
codes = dict((kernel.name, c) for kernel in dispatch.implementations.values() for c in kernel.codes.values()
             if getattr(c, "signatures", None))
calls = step.program.calls if wanted == "captured" else ()
print(json.dumps(dict(
    compiled=sum(sum(c.stats.cache_misses.values()) for c in codes.values()),
    loaded=sum(sum(c.stats.cache_hits.values()) for c in codes.values()),
    had=sorted(codes), called=sorted(set(c.kernel.name for c in calls if c.kernel.compiled_kind)),
)))
"""


def python(cache, *arguments, **variables):
    """What a Python process with this cache folder prints, as JSON."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "TINYMED_BACKEND": "numba"}
    environment |= {name: str(value) for name, value in variables.items()}
    done = subprocess.run(
        [sys.executable, *map(str, arguments)],
        env=environment | {"TINYMED_CACHE": str(cache)},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def warm_up(cache, processes):
    """What `tinymed warmup` says."""
    name, batch = NETWORK
    return python(
        cache, "-m", "tinymed", "warmup", "--model", name, "--batch", batch, "--processes", processes, "--json"
    )


@pytest.fixture(scope="module")
def warm(tmp_path_factory):
    """A cache folder that `tinymed warmup` filled, and what it said."""
    folder = tmp_path_factory.mktemp("cache")
    return folder, warm_up(folder, 2)


def test_warmup_says_what_it_did(warm):
    folder, said = warm
    assert said["models"] == [NETWORK[0]]
    assert (said["compiled"] > 5, said["cached"], said["mib"] > 0) == (True, 0, True)
    assert said["cache"].startswith(str(folder))


@pytest.mark.parametrize("wanted", ["eager", "captured"])
def test_after_warmup_the_first_step_of_a_new_process_compiles_nothing(warm, wanted):
    first = python(warm[0], "-c", STEP.format(arguments=repr((*NETWORK, wanted))))
    assert first["compiled"] == 0
    assert first["loaded"] > 5


@pytest.mark.parametrize("threads", [pytest.param(1, marks=pytest.mark.full), 2])
def test_a_captured_step_compiles_nothing_that_it_does_not_call(tmp_path, threads):
    """Its recording computes nothing.  With two threads another process compiles too, and what it did is loaded."""
    first = python(tmp_path, "-c", STEP.format(arguments=repr((*NETWORK, "captured"))), NUMBA_NUM_THREADS=threads)
    assert first["had"] == first["called"]
    assert len(first["had"]) > 5
    assert first["compiled"] > 0
    assert (first["loaded"] > 0) == (threads > 1)


def test_a_second_warmup_finds_all_in_the_cache(warm):
    again = warm_up(warm[0], 1)
    assert (again["compiled"], again["cached"]) == (0, warm[1]["compiled"])


def test_nothing_is_compiled_at_import(tmp_path):
    code = (
        "import tinymed, tinymed.nn, tinymed.optim; from tinymed import dispatch; dispatch.table('numba');"
        "print(sum(len(k.codes) for k in dispatch.implementations.values()))"
    )
    assert python(tmp_path, "-c", code) == 0


def test_another_source_is_another_cache(tmp_path, monkeypatch):
    """Stale machine code cannot be loaded: sources and options name the folder."""
    from tinymed.cpu.compiler import cache

    before = cache.cache_directory()
    monkeypatch.setattr(cache, "FAST", cache.FAST | {"nnan"})
    cache.cache_directory.cache_clear()
    try:
        assert cache.cache_directory() != before
    finally:
        monkeypatch.undo()
        cache.cache_directory.cache_clear()
    assert cache.cache_directory() == before


class TestAhead:
    """Kernels compiled by other processes."""

    def test_types_are_described(self):
        from numba import typeof

        from tinymed.cpu.compiler import precompile

        x = np.zeros((2, 3), np.float32)
        arguments = x, x[:, ::2], x.astype(np.uint8), np.float32(1), 3, True, None, ((1, 2), (3, 4)), (1, np.float64(2))
        kinds = tuple(map(typeof, arguments))
        assert precompile.decode(json.loads(json.dumps(precompile.encode(kinds)))) == kinds
        with pytest.raises(ValueError, match="cannot be described"):
            precompile.encode(typeof(1j))

    def test_what_another_process_leaves_is_done_here(self, tmp_path):
        """A job is lost with the process that had it, that never started, or that does not answer."""
        jobs = """
import json, sys
from tinymed import dispatch
from tinymed.cpu.compiler import precompile
dispatch.table("numba")
array = {{"dtype": "float32", "ndim": 1, "layout": "C", "readonly": False, "aligned": True}}
kinds = tuple(map(precompile.decode, [array]))
jobs = [precompile.Job(name, False, (kinds * 2,), 1) for name in ("relu_forward", "neg", "exp_forward")]
{spoil}
print(json.dumps(sorted(b.kernel for b in precompile.build(jobs, 2))))
"""
        spoils = (
            "sys.executable = 'no such program'",
            "precompile.__name__ = 'no_such_module'",
            "precompile.encode = lambda kinds: 'a signature that makes no sense'",
            "precompile.PATIENCE, precompile.__name__ = 0.5, 'time as t; t.sleep(600); import time'",
        )
        for spoil in spoils:
            assert python(tmp_path, "-c", jobs.format(spoil=spoil)) == ["exp_forward", "neg", "relu_forward"]

    def test_a_helper_called_from_python_is_python(self):
        from tinymed.cpu.convolution import direct_weight
        from tinymed.cpu.simd import vectors

        assert vectors.ceil_div(7, 2) == 4
        assert direct_weight.weight_cuts(2, 8, 8, 16, 100) == direct_weight.weight_cuts.py_func(2, 8, 8, 16, 100)


def users_sum(y, x):
    """A kernel as a user may write it: it allocates, and adds up over threads."""
    squares, total = np.zeros(x.size), 0.0
    for i in prange(x.size):
        squares[i] = x[i] * x[i]
    for i in prange(x.size):
        total += squares[i]
    y[0] = total


@pytest.mark.parametrize("parallel", [False, True])
def test_a_users_kernel_may_allocate(parallel):
    from tinymed.cpu import compile_kernel

    y, x = np.zeros(1), np.arange(5.0)
    compile_kernel(users_sum, parallel)(y, x)
    assert y[0] == 30


class TestDry:
    """Steps that are planned, not run."""

    def run(self, step):
        calls = []
        with dispatch.use_backend("numba"), dispatch.dry(lambda kernel, plan, native: calls.append(kernel.name)):
            result = step()
        return result, calls

    def test_nothing_is_computed_and_shapes_are_true(self):
        model = models.create("lenet5_modern")
        before = [p.array.copy() for p in model.parameters()]
        x = tinymed.tensor(np.ones((2, *models.describe("lenet5_modern")["input"]), np.float32))
        y, calls = self.run(lambda: model(x))
        assert y.shape == (2, 10)
        assert len(calls) > 5
        assert all(np.array_equal(p.array, b) for p, b in zip(model.parameters(), before, strict=True))

    def test_memory_orders_are_those_of_a_run(self, rng):
        x = tinymed.tensor(rng.normal(size=(2, 3, 8, 8)).astype(np.float32))
        w = tinymed.tensor(rng.normal(size=(16, 3, 3, 3)).astype(np.float32))

        def step():
            return tinymed.relu(tinymed.nn.functional.conv2d(x, w, padding=1))

        dry, _ = self.run(step)
        with dispatch.use_backend("numba"):
            true = step()
        assert (dry.shape, dry.array.strides, dry.dtype) == (true.shape, true.array.strides, true.dtype)

    def test_the_table_in_use_comes_back(self):
        before = dispatch.table()
        with pytest.raises(ZeroDivisionError), dispatch.dry(print):
            1 / 0  # noqa: B018
        assert dispatch.table() is before

    @pytest.mark.parametrize("name", ["resnet20", pytest.param("unet_small", marks=pytest.mark.full), "deepmedic"])
    def test_steps_of_other_networks_are_found(self, name):
        jobs = warmup.plan_jobs([(name, 2, None)])
        assert {"conv2d", "conv3d"} & {job.kernel[:6] for job in jobs} or len(jobs) > 10
        assert len({(job.kernel, job.parallel) for job in jobs}) == len(jobs)


def test_an_unknown_network_is_refused(capsys):
    code, _, err = invoke(capsys, "warmup", "--model", "nonesuch")
    assert code == 2
    assert "nonesuch" in err


ONE = """
import json, pathlib, os, numpy as np
from tinymed import dispatch
dispatch.table("numba").relu_forward(np.ones(5, np.float32))
print(json.dumps(sorted(f.stem for f in pathlib.Path(os.environ["TINYMED_CACHE"]).rglob("*.o"))))
"""


def test_a_kernel_brings_the_generated_functions_that_it_calls_and_no_others(tmp_path):
    assert python(tmp_path, "-c", ONE) == ["pool", "tinymed_pass_relu"]  # the threads, which every kernel needs


def test_each_generated_function_is_found_from_a_kernel():
    """One that `needed` overlooks would have no address where it is called."""
    kernels = [k for (name, _), k in dispatch.implementations.items() if name == "numba" and k.compiled_kind]
    single = {name for name in llvm_functions.functions if not name.endswith("_float64")}
    # A product of bfloat16 is generated for each path; kernels call that of this processor, tests the others.
    paths = {f"tinymed_bf16_product_{path}" for path in isa.PATHS}
    assert frozenset().union(*(llvm_functions.required(k.fn) for k in kernels)) | paths == single | paths
    assert {name.removesuffix("_float64") for name in llvm_functions.functions} == single  # made when first asked for
