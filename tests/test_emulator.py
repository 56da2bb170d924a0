"""The emulator runs CUDA as the language defines it; the checker names each planted bug, and no other line."""

import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from tinymed.cpu.simd import bf16_twins
from tinymed.cuda import build, emulated, modules, on_demand
from tinymed.dispatch import BackendError

PROBES = Path(__file__).with_name("cuda_probes.cu")
CSRC = Path(__file__).parent.parent / "csrc"


@pytest.fixture(scope="session")
def probes(objects: Path) -> ModuleType:
    """The probes as a checked module of their own."""
    target = objects / "_cuda_checked.so"
    build.build("_cuda_checked", CSRC, objects, target, [PROBES], emulator=on_demand.emulator_objects())
    return modules.load("_cuda_checked", target, "probes")


@pytest.fixture
def run(probes, monkeypatch):
    """run(name, y, ...): a probe under the checker, in the order of threads that `seed` says; returns y."""
    monkeypatch.setattr(emulated, "module", probes)

    def call(name: str, y: np.ndarray, *args: Any, seed: int = 0, check: bool = True, profile: int = 0) -> np.ndarray:
        probes.configure(seed=seed, check=check, profile=profile)
        emulated.launch(name, (y, *args))
        return y

    yield call
    probes.configure()


def normal(*shape: int) -> np.ndarray:
    x = nan(*shape)
    x[...] = np.random.default_rng(0).normal(size=shape)
    return x


def nan(*shape: int) -> np.ndarray:
    return emulated.empty(shape, np.float32)


# ------------------------------------------------------------------------------------------------------ right kernels


@pytest.mark.parametrize("seed", [0, 1, 2, 3])
class TestRight:
    """Whatever the order of threads, the result is right and the checker silent."""

    def test_shuffles(self, run, seed):
        x = normal(100)
        sums = [x[i : i + 32].sum() for i in range(0, 100, 32)]
        np.testing.assert_allclose(run("warp_sums", nan(4), x, seed=seed), sums, rtol=1e-5)

    def test_shared_memory_in_a_template(self, run, seed):
        x = normal(37, 21)
        assert np.array_equal(run("transposed", nan(21, 37), x, seed=seed), x.T)

    def test_atomics(self, run, seed):
        x = np.random.default_rng(0).integers(0, 5, 1000).astype(np.uint8)
        y = run("histogram", np.zeros(256, np.uint32), x, seed=seed)
        assert np.array_equal(y, np.bincount(x, minlength=256))

    def test_bytes_of_one_word_are_apart(self, run, seed):
        x = np.arange(64, dtype=np.uint8)
        assert np.array_equal(run("bytes", np.zeros(64, np.uint8), x, seed=seed), x[::-1])

    def test_syncwarp_orders_memory(self, run, seed):
        x = normal(64)
        y = run("warp_scan", nan(64), x, seed=seed)
        np.testing.assert_allclose(y.reshape(2, 32), x.reshape(2, 32).cumsum(1), rtol=1e-4, atol=1e-5)

    def test_votes_and_reductions(self, run, seed):
        x = np.random.default_rng(0).integers(0, 100, 32).astype(np.int32)
        y = run("votes", np.zeros((32, 7), np.int32), x, seed=seed)
        lanes = np.arange(32)
        odd = int((x % 2 * 2 ** lanes.astype(np.uint64)).sum())
        assert set(y[:, 0].view(np.uint32)) == {odd}
        assert set(y[:, 1]) == {int((x > 90).any())}
        assert set(y[:, 2]) == {1}
        assert set(y[:, 3]) == {x.max()}
        assert np.array_equal(y[:, 4], x[np.maximum(lanes - 1, 0)])
        assert np.array_equal(y[:, 5], x[lanes ^ 1])
        assert np.array_equal(y[:, 6], x[lanes // 8 * 8 + 3])

    def test_cp_async(self, run, seed):
        x = normal(5 * 128)
        np.testing.assert_allclose(run("pipeline", nan(128), x, seed=seed), x.reshape(5, 128).sum(0)[::-1], rtol=1e-5)

    @pytest.mark.parametrize("by_ldmatrix", [False, True])
    def test_mma_in_tf32(self, run, seed, by_ldmatrix):
        def tf32(x: np.ndarray) -> np.ndarray:
            return (x.view(np.uint32) & np.uint32(0xFFFFE000)).view(np.float32)

        a, b = normal(16, 8), normal(8, 8)
        y = run("mma_probe", nan(16, 8), a, b, by_ldmatrix, seed=seed)
        np.testing.assert_allclose(y, tf32(a).astype(np.float64) @ tf32(b), atol=1e-6)
        assert np.abs(y - a.astype(np.float64) @ b).max() > 1e-5  # 10 bits of mantissa, not 23

    @pytest.mark.parametrize("by_ldmatrix", [False, True])
    def test_mma_in_bfloat16(self, run, seed, by_ldmatrix):
        """To the last bit what NumPy makes of it, one product after another; infinities and subnormal numbers, too."""
        a, b = bf16_twins.to_bits(normal(16, 16)), bf16_twins.to_bits(normal(16, 8))
        a[3, 5], a[7, 1], b[2, 3] = 0x7F80, 0x0001, 0xFF80
        y = run("mma_bf16_probe", nan(16, 8), a.view(np.uint32), b.view(np.uint32), by_ldmatrix, seed=seed)
        true = bf16_twins.float32(a, b)
        np.testing.assert_array_equal(y, true)
        assert np.isinf(y).any()


# --------------------------------------------------------------------------------------------------------- wrong ones


def planted(name: str) -> tuple[str, int]:
    """The kind and line of the bug in a probe, from its comment."""
    text = PROBES.read_text().splitlines()
    probe = {"late_wait": "sum_chunks"}.get(name, name)
    start = next(i for i, line in enumerate(text) if re.search(rf"void {probe}(_kernel)?\(", line))
    line = next(i for i in range(start, len(text)) if "// BUG" in text[i])
    return text[line].rpartition("// BUG ")[2].strip(), line + 1


WRONG = [
    "late_wait",
    "past_the_end",
    "shared_index",
    "writes_input",
    "misaligned",
    "no_barrier",
    "second_barrier",
    "no_syncwarp",
    "plain_add",
    "two_blocks",
    "reads_output",
    "early_return",
    "two_barriers",
    "half_a_warp",
    "left_out",
]


@pytest.mark.parametrize("name", WRONG)
def test_a_planted_bug_is_named(run, name):
    kind, line = planted(name)
    dtype = np.int32 if name == "plain_add" else np.float32
    y, x = np.zeros(128, dtype), (100 * normal(128 * (5 if name == "late_wait" else 1))).astype(dtype)
    with pytest.raises(emulated.KernelError) as caught:
        run(name, y, x)
    assert (caught.value.kind, caught.value.file) == (kind, PROBES.name), caught.value
    assert f"{PROBES.name}:{line}" in str(caught.value), caught.value
    assert "thread" in str(caught.value)


def test_a_missing_element_is_named(run):
    with pytest.raises(emulated.KernelError, match=r"unwritten: 16 elements of the output y .* the first is \[0\]"):
        run("half_written", nan(32), normal(32))


def test_a_stack_that_overflows(run):
    with pytest.raises(emulated.KernelError, match="stack: a thread used more than 128 KiB"):
        run("deep", nan(1), normal(1), check=False)


def test_an_impossible_launch(run):
    with pytest.raises(emulated.KernelError, match="launch: shared_index_kernel: a block has at most 1024 threads"):
        run("too_many_threads", nan(32))


def test_after_a_bug_the_emulator_goes_on(run):
    for _ in range(3):
        with pytest.raises(emulated.KernelError):
            run("no_barrier", nan(64), normal(64))
        assert np.array_equal(run("transposed", nan(5, 3), x := normal(3, 5)), x.T)


# --------------------------------------------------------------------------------------------------- profile, bindings


def test_the_profile_counts_sectors_and_conflicts(run, probes):
    probes.profile()
    run("transposed", nan(16, 16), normal(16, 16), profile=1)
    rows = {(r.space, r.access): r for r in emulated.rows(probes)}
    assert all(r.file == PROBES.name for r in rows.values())
    load = rows["global", "load"]
    assert (load.requests, load.lanes, load.moved, load.ideal) == (8, 256, 32, 32)  # two rows of 64 bytes a request
    assert rows["shared", "store"].moved == 16  # rows of 17 words: the second half of a warp meets the first in a bank
    run("warp_scan", nan(64), normal(64), profile=1)
    assert all(r.moved == r.ideal for r in emulated.rows(probes))


@pytest.mark.parametrize(
    ("args", "error", "message"),
    [
        ((np.zeros(4, np.float64),), TypeError, "transposed: x must be float32, got float64"),
        ((np.zeros((4, 4), np.float32)[:, ::2],), ValueError, "transposed: x must be C-contiguous"),
        ((None,), TypeError, "transposed: x must be an array, got None"),
        (("text",), TypeError, "transposed: x must be an array on the device, got <class 'str'>"),
        ((), TypeError, "transposed takes 2 arguments after the stream, got 1"),
        ((np.zeros((1,) * 9, np.float32),), ValueError, "transposed: x has more than 8 axes"),
    ],
)
def test_arguments_that_a_launcher_refuses(run, args, error, message):
    with pytest.raises(error, match=re.escape(message)):
        run("transposed", nan(2, 2), *args)


def test_an_output_that_may_not_be_written(run):
    y = nan(2, 2)
    y.flags.writeable = False
    with pytest.raises(ValueError, match="transposed: y is written, but read-only"):
        run("transposed", y, normal(2, 2))


def test_no_asm_outside_one_header():
    """PTX lives in ptx.cuh, each instruction beside its twin; the emulator's own assembly switches stacks."""
    for path in CSRC.rglob("*.[ch]*"):
        if path.name not in ("ptx.cuh", "fiber.cpp") and path.suffix in (".cu", ".cuh", ".h", ".cpp"):
            assert not re.search(r"\basm\b", path.read_text()), path
    for function in re.findall(r"ASM80\(\"(.*?)[ ;]", (CSRC / "ptx.cuh").read_text()):
        assert function.split(".")[0] in {"cvt", "mma", "ldmatrix", "cp"}


def test_an_absent_tool_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(build.Absent, match="no g\\+\\+"):
        build.build("_cuda_emulated", CSRC, tmp_path, tmp_path / "m.so")
    monkeypatch.setattr(build.sys, "platform", "darwin")
    with pytest.raises(build.Absent, match="runs on Linux"):
        build.find_gxx()


def test_an_object_that_two_builds_want_at_once_is_compiled_once(tmp_path):
    source, compiler = tmp_path / "k.cpp", tmp_path / "compiler"
    source.write_text("")
    compiler.write_text(f"#!/bin/sh\necho once >> {tmp_path}/calls\nsleep 0.2\ntouch $2\n")
    compiler.chmod(0o755)
    job = build.Job(source, [str(compiler)])
    with ThreadPoolExecutor(4) as pool:  # a lock belongs to whoever opened its file: threads are like processes here
        list(pool.map(lambda _: build.compile_object(job, tmp_path / "o" / "k.cpp.o", 0.0), range(4)))
    assert (tmp_path / "calls").read_text().split() == ["once"]
    assert (tmp_path / "o" / "k.cpp.o").exists()


def test_a_module_that_cannot_be_built_when_it_is_used_is_named(monkeypatch):
    monkeypatch.setattr(emulated, "module", None)
    monkeypatch.setattr(modules, "find", lambda module: None)
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(BackendError, match=r"_cuda_emulated was not built, .* no g\+\+"):
        emulated.load()


class TestOnDemand:
    """A plain installation compiles no kernel: each file of csrc/ is compiled when one of its launchers is called."""

    @pytest.fixture(autouse=True)
    def nothing_compiled(self, monkeypatch, objects):
        monkeypatch.setattr(modules, "find", lambda module: None)
        shared = on_demand.emulator_objects()
        monkeypatch.setattr(on_demand, "writable_folder", lambda: objects)
        monkeypatch.setattr(on_demand, "emulator_objects", lambda: shared)
        monkeypatch.setattr(emulated, "module", None)
        monkeypatch.setattr(emulated, "checked", None)

    def test_a_kernel_is_compiled_when_it_is_called(self, capfd):
        emulated.load()
        y, x = nan(2, 3), normal(2, 3)
        emulated.launch("concat_first", (y, x, 3))
        assert np.array_equal(y, x)
        assert "compiling csrc/join.cu" in capfd.readouterr().err
        assert [path.name for path in emulated.module.parts] == ["join.cu"]

    def test_a_checked_kernel_names_its_line_and_is_counted(self):
        with emulated.profiling() as counts:
            emulated.launch("concat_first", (nan(64, 3), normal(64, 3), 3))
        assert {row.file for row in counts()} >= {"join.cu"}
        with emulated.checking(), pytest.raises(emulated.KernelError, match=r"race: .* join\.cu:\d+"):
            emulated.launch("concat_first", (nan(2, 2), normal(2, 3), 3))

    def test_every_launcher_of_the_whole_module_is_found_in_its_file(self, monkeypatch):
        monkeypatch.undo()
        emulated.load()
        assert on_demand.OnDemand("_cuda_emulated", Path("unused")).parameters == emulated.module.parameters
