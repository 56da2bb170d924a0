"""Every rung of every ladder computes the same, under the checker; and the ladder's table says what its rungs gain."""

import json
import re
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import absence
from fake_cupy import reading_allowed
from hypothesis import given, settings
from hypothesis import strategies as st
from kernel_homes import everywhere, twice

from tinymed import devices, dispatch
from tinymed.cli import ladder as command
from tinymed.cli import main
from tinymed.cuda import build, emulated, ladders

pytestmark = pytest.mark.skipif(bool(absence("emulated")), reason=f"backend emulated: {absence('emulated')}")
RUNGS = [(name, rung) for name, one in ladders.LADDERS.items() for rung in one.rungs]
SIDE, CHANNELS = st.sampled_from((3, 4, 9)), st.sampled_from((1, 3, 4, 17))
CONVOLUTION = st.tuples(
    st.sampled_from((0, 1, 2)),
    CHANNELS,
    SIDE,
    SIDE,
    CHANNELS,
    st.sampled_from((1, 2, 3)),
    st.sampled_from((1, 2, 3)),
    st.sampled_from((0, 1)),
)
LENGTH = st.sampled_from((0, 1, 3, 16, 33, 68))
SIZES = {
    "batch_norm": st.tuples(st.sampled_from((1, 7, 600)), st.sampled_from((1, 3, 32, 37))),
    "conv2d": CONVOLUTION,
    "conv2d_input": CONVOLUTION,
    "conv2d_weight": CONVOLUTION,
    "matmul": st.tuples(LENGTH, LENGTH, LENGTH),
    "max_pool": st.tuples(st.sampled_from((0, 1, 3)), st.sampled_from((1, 3, 4, 33)), SIDE, SIDE),
}


def reference(name, problem):
    """What the rungs of a ladder compute, in float64."""
    k = dispatch.table("numpy")
    a, b, *rest = (p.astype(np.float64) if isinstance(p, np.ndarray) else p for p in problem)
    if name == "batch_norm":
        return a.mean(0), 1 / np.sqrt(a.var(0) + b)
    if name == "max_pool":
        return k.max_pool2d_forward(a, (2, 2), (2, 2), (0, 0), (1, 1), b)
    if name == "matmul":
        return a @ b
    shape, stride, before = rest
    how = stride, tuple((n, n) for n in before), (1, 1), 1
    if name == "conv2d":
        return k.conv2d_forward(a, b, None, *how)
    direction = {"conv2d_input": k.conv2d_backward_input, "conv2d_weight": k.conv2d_backward_weight}[name]
    return direction(a, b, shape, *how)


def outputs(results):
    """The arrays that a kernel and its ladder's reference share: the engine's may return more."""
    return results if isinstance(results, tuple) else (results,)


@everywhere
@pytest.mark.parametrize(("name", "rung"), RUNGS, ids=[rung.label for _, rung in RUNGS])
def test_every_rung_computes_the_same(name, rung, home):
    """Right, silent under the checker, and the same bits in another order of threads."""
    dispatcher, place = getattr(dispatch.table(home), rung.kernel), dispatch.BACKENDS[home].device

    @settings(max_examples=8)
    @given(SIZES[name])
    def checked(sizes):
        problem = ladders.LADDERS[name].problem(np.random.default_rng(0), *sizes)
        moved = (devices.move(p, place) if isinstance(p, np.ndarray) else p for p in problem)
        args = rung.arguments(*moved)
        found = twice(home, lambda: outputs(dispatcher(*args)))
        ours, again = ([devices.move(a, "cpu") for a in outs] for outs in found)
        tolerance = 2e-3 if "tf32" in rung.label else 1e-5
        for true, y, twin in zip(outputs(reference(name, problem)), ours, again, strict=False):
            np.testing.assert_allclose(y, true, atol=tolerance * max(1.0, np.abs(true).max(initial=0)), rtol=0)
            assert np.array_equal(y, twin)

    checked()


@pytest.mark.parametrize("rung", ladders.BATCH_NORM.rungs, ids=lambda rung: rung.label)
@pytest.mark.parametrize(("rows", "mean"), [(0, 0.0), (600, 1e3)])
def test_moments_far_from_zero_and_of_nothing(rung, rows, mean):
    x = np.random.default_rng(0).normal(mean, 1, (rows, 37)).astype(np.float32)
    with emulated.checking():
        ours = getattr(dispatch.table("emulated"), rung.kernel)(*rung.arguments(x, 1e-5))
    true = x.astype(np.float64)
    np.testing.assert_allclose(ours[0], true.mean(0) if rows else np.zeros(37), rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(ours[1], 1 / np.sqrt((true.var(0) if rows else np.zeros(37)) + 1e-5), rtol=2e-4)


def test_pooling_keeps_the_first_of_equal_pixels():
    x = np.random.default_rng(0).integers(0, 3, (2, 5, 6, 7)).astype(np.float32)
    _, index = dispatch.table("numpy").max_pool2d_forward(x, (2, 2), (2, 2), (0, 0), (1, 1), (3, 3))
    for rung in ladders.MAX_POOL.rungs:
        assert np.array_equal(getattr(dispatch.table("emulated"), rung.kernel)(x, (3, 3))[1], index)


def test_every_file_is_a_rung_and_every_rung_has_a_file():
    for rung in (rung for _, rung in RUNGS):
        assert f"BIND({rung.kernel}," in (build.CSRC / rung.source).read_text()
    files = {f"ladders/{path.name}" for path in (build.CSRC / "ladders").glob("*.cu")}
    assert files >= {rung.source for _, rung in RUNGS if rung.source.startswith("ladders/")}
    for path in (build.CSRC / "ladders").glob("*.cu"):
        text = path.read_text()
        assert re.search(r"^// .+, rung \d: ", text), f"{path.name} says what it adds"
        assert f"BIND({path.stem}," in text


def test_the_last_rung_is_the_engines():
    """What an op enters, captured or not; and no op enters the rungs before."""
    engines = {
        "conv2d_gemm",
        "conv2d_gemm_input",
        "conv2d_gemm_weight",
        "matrix_product",
        "max_pool_2x2",
        "batch_norm_moments",
    }
    assert {one.rungs[-1].kernel for one in ladders.LADDERS.values()} == engines
    assert all(r.source.startswith("ladders/") == (r.kernel not in engines) for _, r in RUNGS)


class TestTable:
    """`tinymed ladder`."""

    @pytest.fixture
    def climbed(self):
        """{ladder: its rungs}, counted by the emulator alone."""
        steps = {}
        for name, one in ladders.LADDERS.items():
            steps[name] = [command.Step(rung.label) for rung in one.rungs]
            assert command.count_accesses(one, steps[name]) == ""
        return steps

    def test_each_rung_of_the_product_asks_memory_for_less(self, climbed):
        """What the comments of the rungs promise, counted."""
        for name in ("matmul", "conv2d"):
            traffic = [step.traffic for step in climbed[name][:5]]
            assert traffic == sorted(traffic, reverse=True)
            assert traffic[1] < traffic[0] / 4  # neighbours
            assert traffic[2] < traffic[1] / 6  # shared memory
            assert traffic[3] <= traffic[2] / 1.5  # registers
        for name in ("conv2d_input", "conv2d_weight"):
            assert climbed[name][1].traffic < climbed[name][0].traffic / 6
            assert climbed[name][2].traffic < climbed[name][1].traffic / 2
        pool = [step.waste for step in climbed["max_pool"]]
        assert pool[0] > 5  # a sector for each number, of four bytes
        assert max(pool[1:]) < 1.1

    def test_the_shipped_kernels_waste_no_sector_and_hardly_a_bank(self, climbed):
        for exact in (step for steps in climbed.values() for step in steps if "exact" in step.rung):
            assert exact.waste < 1.05
            assert exact.conflicts < 1.2  # 1.15 in the weight gradient

    def test_it_prints(self, capsys, monkeypatch):
        monkeypatch.setattr(command, "count_registers", lambda chosen, steps: "registers need nvcc: none today")
        assert main(["ladder", "conv2d_weight"]) == 0
        out = capsys.readouterr().out
        assert [line.split()[0] for line in out.splitlines()[1:3]] == [
            "conv2d_weight_1_naive",
            "conv2d_weight_2_shared",
        ]
        assert "conv2d_gemm_weight, tf32 64x64" in out
        assert "registers need nvcc: none today" in out

    def test_as_json(self, capsys, monkeypatch):
        monkeypatch.setattr(command, "count_registers", lambda chosen, steps: "")
        assert main(["ladder", "matmul", "--json"]) == 0
        rungs = json.loads(capsys.readouterr().out)["rungs"]
        assert [r["rung"] for r in rungs][:2] == ["matmul_1_naive", "matmul_2_coalesced"]
        assert all(r["sectors"] > 0 for r in rungs)

    def test_an_unknown_ladder(self, capsys):
        assert main(["ladder", "conv9d"]) == 2
        assert "there is no ladder for 'conv9d'; choose one of batch_norm, conv2d, " in capsys.readouterr().err

    def test_without_the_emulator(self, monkeypatch):
        monkeypatch.setattr(dispatch, "absence", lambda name: "no g++")
        assert command.count_accesses(ladders.MATMUL, []) == "sectors and conflicts need the emulator: no g++"
        assert command.measure(ladders.MATMUL, []) == "time needs a GPU: no g++"


class TestRegisters:
    LOG = "".join(
        f"ptxas info    : Compiling entry function '{entry}' for 'sm_80'\n    0 bytes stack frame, {spill} bytes spill "
        f"stores, 0 bytes spill loads\nptxas info    : Used {registers} registers, used 1 barriers\n"
        for entry, registers, spill in (
            ("_ZN50_GLOBAL__N__2d89b049_17_matmul_1_naive_cu_2edd2bee12naive_kernelEPfPKfS2_iii", 32, 0),
            ("_ZN6ladder18shared_tile_kernelINS_8MatricesEEEvT_", 31, 8),
            ("_ZN4gemm12exact_kernelILi64ELi64ELi16EN44_GLOBAL__N__1_9_matmul_cu_27ProductILb0ELb0EEEEEvT2_", 55, 0),
        )
    )

    def test_from_the_build(self, monkeypatch):
        from tinymed.cuda import modules

        monkeypatch.setattr(modules, "record", lambda: {"_cuda": {"log": self.LOG}})
        steps = [command.Step(rung.label) for rung in ladders.MATMUL.rungs]
        assert command.count_registers(ladders.MATMUL, steps) == ""
        assert [(s.registers, s.spilled) for s in steps[:5]] == [(32, 0), (None, None), (31, 8), (None, None), (55, 0)]

    def test_compiled_on_demand(self):
        try:
            build.find_nvcc()
        except build.Absent as reason:
            pytest.skip(f"nvcc: {reason}")
        one = ladders.MATMUL._replace(rungs=ladders.MATMUL.rungs[:3])
        steps = [command.Step(rung.label) for rung in one.rungs]
        assert command.count_registers(one, steps) == ""
        assert all(0 < step.registers < 64 and step.spilled == 0 for step in steps)


@pytest.fixture
def clocked(cuda, monkeypatch):
    """The stand-in for a GPU, with a clock that says 1 ms for every span between two events."""
    import cupy

    event = SimpleNamespace(record=lambda: None, synchronize=lambda: None)
    monkeypatch.setattr(cupy.cuda, "Event", lambda: event)
    monkeypatch.setattr(cupy.cuda, "get_elapsed_time", lambda start, end: 1.0, raising=False)
    attributes = {"MultiProcessorCount": 132, "ClockRate": 1_980_000}
    gpu_there = SimpleNamespace(compute_capability="90", attributes=attributes)
    monkeypatch.setattr(cupy.cuda, "Device", lambda: gpu_there)
    monkeypatch.setattr(command, "COPIED", 1024)


def test_time_and_roof_on_a_gpu(clocked):
    one = ladders.MATMUL._replace(large=(16, 16, 16))
    steps = [command.Step(rung.label) for rung in one.rungs]
    with reading_allowed():
        assert command.measure(one, steps) == ""
    assert all(step.seconds == pytest.approx(1e-4) for step in steps)
    products, cycles = 16**3, 132 * 1.98e9
    assert steps[0].roof == pytest.approx(max(products / (128 * cycles), 3 * 1024 / (2 * 4096 / 1e-4)) / 1e-4)


def test_a_rung_that_computes_something_else_is_not_timed(clocked):
    first, second, *_ = ladders.MATMUL.rungs
    swapped = second._replace(arguments=lambda a, b: second.arguments(b, a))
    one = ladders.MATMUL._replace(large=(16, 16, 16), rungs=(first, swapped))
    steps = [command.Step(rung.label) for rung in one.rungs]
    with reading_allowed():
        said = command.measure(one, steps)
    assert re.fullmatch(
        rf"{re.escape(second.label)} differs from {re.escape(first.label)} by \S+ of the largest value", said
    )
    assert steps[0].seconds
    assert steps[1].seconds is None
