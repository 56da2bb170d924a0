"""Every rung of every ladder computes the same, under the checker; and the ladder's table says what its rungs gain."""

import functools
import json
import re
from contextlib import nullcontext
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import absence
from fake_cupy import reading_allowed
from hypothesis import given, settings
from hypothesis import strategies as st
from kernel_homes import everywhere
from PIL import Image

from tinymed import devices, dispatch
from tinymed.cli import ladder as command
from tinymed.cli import main, rung_sources
from tinymed.cuda import build, emulated, ladders

pytestmark = pytest.mark.skipif(bool(absence("emulated")), reason=f"backend emulated: {absence('emulated')}")
RUNGS = [(name, rung) for name, one in ladders.LADDERS.items() for rung in one.rungs]
OWN = [rung.label for _, rung in RUNGS if rung.source.startswith("ladders/")]
# Those of CI: each rung is compiled for its test.
SLICE = {
    *np.random.default_rng(17).choice(OWN, 5, replace=False).tolist(),
    "matmul_15_raster",
    "scan_9_look_back",
}
SLICED = [
    pytest.param(name, rung, id=rung.label, marks=() if rung.label in SLICE or "," in rung.label else pytest.mark.full)
    for name, rung in RUNGS
]
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
LENGTH, ROWS = st.sampled_from((0, 1, 3, 16, 33, 68, 132)), st.sampled_from((0, 1, 5, 70))
MAPS, LAYOUT = st.sampled_from((1, 3, 4, 7, 33, 68)), st.sampled_from((0, 1, 2, 3, 4, 8, 9, 35, 64))
SIZES = {
    "attention": st.tuples(
        st.sampled_from((0, 1, 33)), st.sampled_from((1, 7, 64, 130)), st.sampled_from((1, 3, 32, 33, 64))
    ),
    "batch_norm": st.tuples(st.sampled_from((1, 7, 600)), st.sampled_from((1, 3, 32, 37))),
    "conv2d": CONVOLUTION,
    "conv2d_input": CONVOLUTION,
    "conv2d_weight": CONVOLUTION,
    "depthwise": st.tuples(st.sampled_from((0, 1, 2)), st.sampled_from((1, 3, 4)), MAPS, MAPS),
    "depthwise_small": st.tuples(st.sampled_from((1, 3)), st.sampled_from((1, 5, 32)), SIDE, SIDE),
    "histogram": st.tuples(st.sampled_from((0, 1, 255, 4099, 8193))),
    "layer_norm": st.tuples(ROWS, st.sampled_from((1, 3, 37, 128, 1100))),
    "layouts": st.tuples(st.sampled_from((0, 1, 3)), LAYOUT, LAYOUT),
    "layouts_rgb": st.tuples(st.sampled_from((1, 7)), st.sampled_from((1, 2, 3, 4, 8)), st.sampled_from((1, 49, 300))),
    "layouts_rgb_back": st.tuples(
        st.sampled_from((1, 7)), st.sampled_from((1, 2, 3, 4, 8)), st.sampled_from((1, 49, 300))
    ),
    "matmul": st.tuples(LENGTH, LENGTH, LENGTH),
    "max_pool": st.tuples(st.sampled_from((0, 1, 3)), st.sampled_from((1, 3, 4, 33)), SIDE, SIDE),
    "reduction": st.tuples(st.sampled_from((0, 1, 255, 513, 4097, 70001))),
    "scan": st.tuples(st.sampled_from((0, 1, 255, 513, 4097, 70001))),
    "softmax": st.tuples(ROWS, st.sampled_from((1, 3, 37, 128, 300))),
    "transpose": st.tuples(LENGTH, LENGTH),
    "winograd": st.tuples(st.sampled_from((0, 1, 2)), CHANNELS, SIDE, SIDE, st.sampled_from((1, 3, 33))),
}


def outputs(results):
    """The arrays that a kernel and its ladder's reference share: the engine's may return more."""
    return results if isinstance(results, tuple) else (results,)


def placed(home, aligned):
    """What moves an array to where a kernel runs; not aligned: its memory begins 4 bytes after a multiple of 16."""
    place = dispatch.BACKENDS[home].device

    def move(a):
        if not isinstance(a, np.ndarray):
            return a
        if place == "cpu":
            room = emulated.empty((a.size + (not aligned),), a.dtype)[int(not aligned) :]
            room[...] = a.reshape(-1)
            return room.reshape(a.shape)
        return devices.move(a, place)

    return move


@everywhere
@pytest.mark.parametrize(("name", "rung"), SLICED)
def test_every_rung_computes_the_same(name, rung, home):
    """Right, silent under the checker, and the same bits in another order of threads."""
    dispatcher = getattr(dispatch.table(home), rung.kernel)

    @settings(max_examples=8)
    @given(SIZES[name], st.booleans())
    def checked(sizes, aligned):
        problem = ladders.LADDERS[name].problem(np.random.default_rng(0), *sizes)
        args = rung.arguments(*map(placed(home, aligned), problem))
        found = []
        for seed in (0, 7):
            with dispatch.use_backend(home), emulated.checking(seed) if home == "emulated" else nullcontext():
                found.append([devices.move(a, "cpu") for a in outputs(dispatcher(*args))])
        tolerance = 2e-3 if rung.tf32 else 1e-5
        for true, y, twin in zip(outputs(ladders.LADDERS[name].reference(*problem)), *found, strict=False):
            np.testing.assert_allclose(y, true, atol=tolerance * max(1.0, np.abs(true).max(initial=0)), rtol=0)
            assert np.array_equal(y, twin)

    checked()


@pytest.mark.full
@pytest.mark.parametrize("rung", ladders.BATCH_NORM.rungs, ids=lambda rung: rung.label)
@pytest.mark.parametrize(("rows", "mean"), [(0, 0.0), (600, 1e3)])
def test_moments_far_from_zero_and_of_nothing(rung, rows, mean):
    x = np.random.default_rng(0).normal(mean, 1, (rows, 37)).astype(np.float32)
    with emulated.checking():
        ours = getattr(dispatch.table("emulated"), rung.kernel)(*rung.arguments(x, 1e-5))
    true = x.astype(np.float64)
    np.testing.assert_allclose(ours[0], true.mean(0) if rows else np.zeros(37), rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(ours[1], 1 / np.sqrt((true.var(0) if rows else np.zeros(37)) + 1e-5), rtol=2e-4)


@pytest.mark.full
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
        assert re.search(r"^// .+, rung \d+: ", text), f"{path.name} says what it adds"
        assert f"BIND({path.stem}," in text


def test_the_last_rung_is_the_engines():
    """What an op enters, captured or not; and no op enters the rungs before.  Two ladders have none at their end."""
    engines = {
        "conv2d_relu",
        "attention_forward",
        "depthwise2d_forward",
        "layer_norm_forward",
        "softmax_rows",
        "sum_all",
        "transpose",
        "conv2d_gemm",
        "conv2d_gemm_input",
        "conv2d_gemm_weight",
        "matrix_product",
        "max_pool_2x2",
        "batch_norm_moments",
    }
    alone = "histogram", "scan"
    assert {one.rungs[-1].kernel for name, one in ladders.LADDERS.items() if name not in alone} == engines
    assert all(r.source.startswith("ladders/") == (r.kernel not in engines) for _, r in RUNGS)


@functools.cache
def all_counted():
    """{ladder: its rungs}, counted by the emulator alone."""
    steps = {}
    for name, one in ladders.LADDERS.items():
        steps[name] = [command.Step(rung.label) for rung in one.rungs]
        assert command.count_accesses(one, steps[name]) == ""
    return steps


class TestTable:
    """`tinymed ladder`."""

    @pytest.mark.full
    def test_each_rung_of_the_product_asks_memory_for_less(self):
        """What the comments of the rungs promise, counted."""
        climbed = all_counted()
        for name in ("matmul", "conv2d"):
            traffic = [step.traffic for i, step in enumerate(climbed[name][:6]) if i != 4]
            assert climbed[name][4].traffic > traffic[4]  # 4 x 4 sums stored one by one: a quarter of each sector
            assert traffic == sorted(traffic, reverse=True)
            assert traffic[1] < traffic[0] / 4  # neighbours
            assert traffic[2] < traffic[1] / 6  # shared memory
            assert traffic[3] <= traffic[2] / 1.5  # a block owns 64 x 64 sums
        for name in ("conv2d_input", "conv2d_weight"):
            assert climbed[name][1].traffic < climbed[name][0].traffic / 6
            assert climbed[name][2].traffic < climbed[name][1].traffic / 2
        pool = [step.waste for step in climbed["max_pool"]]
        assert pool[0] > 5  # a sector for each number, of four bytes
        assert max(pool[1:]) < 1.1

    @pytest.mark.full
    def test_each_rung_keeps_the_promise_of_its_comment(self):
        """The counts that a rung's comment claims, beside those of the rung before."""
        climbed = all_counted()
        rungs = {step.rung: step for steps in climbed.values() for step in steps}
        for op in ("matmul", "conv2d"):
            requests = {n: rungs[f"{op}_{n}"] for n in ("6_float4", "7_swizzle", "8_double_buffer", "9_warp_tile")}
            assert rungs[f"{op}_5_registers"].sectors < requests["6_float4"].sectors  # 16 bytes a load
            assert requests["6_float4"].conflicts > 1.02 > 1.01 > requests["7_swizzle"].conflicts
            assert requests["8_double_buffer"].waited == pytest.approx(requests["7_swizzle"].waited, rel=0.3)
            assert rungs[f"{op}_11_ldmatrix"].waited <= rungs[f"{op}_10_mma"].waited
            assert rungs[f"{op}_13_three_stages"].waited == rungs[f"{op}_12_two_stages"].waited
            assert rungs[f"{op}_14_split"].moved > rungs[f"{op}_13_three_stages"].moved  # the workspace
            assert rungs[f"{op}_15_raster"].moved == rungs[f"{op}_13_three_stages"].moved
        sums = [rungs[f"reduction_{n}"] for n in ("2_strided", "3_sequential", "4_first_add", "5_shuffle", "6_many")]
        assert sums[0].conflicts > 1.5 > 1.01 > sums[1].conflicts
        assert sums[1].waited > sums[2].waited > sums[3].waited > sums[4].waited
        for name in ("softmax", "layer_norm"):
            first, second, *_ = climbed[name]
            assert first.waste > 4 > 1.1 > second.waste
        passes = [step.moved for step in climbed["softmax"]]
        assert passes[2] < 0.8 * passes[1]  # two passes over a row where there were three
        assert rungs["layer_norm_4_held"].moved < 0.6 * rungs["layer_norm_3_warp"].moved
        counts = [step.moved for step in climbed["histogram"]]
        assert counts[1] < counts[0] / 4
        assert rungs["histogram_4_words"].sectors > 2 * rungs["histogram_3_copies"].sectors

    def test_a_transposes_rungs_keep_theirs(self):
        one = ladders.TRANSPOSE
        steps = [command.Step(rung.label) for rung in one.rungs]
        assert command.count_accesses(one, steps) == ""
        naive, shared, padded, swizzled, shipped = steps
        assert naive.waste > 4 > 1.01 > max(step.waste for step in (shared, padded, swizzled, shipped))
        assert shared.conflicts > 10 > 1.01 > max(step.conflicts for step in (padded, swizzled, shipped))

    def test_a_wrong_rung_is_not_counted(self):
        first, second, *_ = ladders.TRANSPOSE.rungs
        wrong = second._replace(arguments=lambda x: (x + 1,))
        steps = [command.Step(first.label), command.Step(second.label)]
        said = command.count_accesses(ladders.TRANSPOSE._replace(rungs=(first, wrong)), steps)
        assert re.fullmatch(r"transpose_2_shared differs from the reference by \S+ of the largest value", said)
        assert steps[0].moved
        assert steps[1].moved is None

    @pytest.mark.full
    def test_the_shipped_kernels_waste_no_sector_and_hardly_a_bank(self):
        climbed = all_counted()
        for exact in (step for steps in climbed.values() for step in steps if "exact" in step.rung):
            assert exact.waste < (1.2 if "relu" in exact.rung else 1.05)  # each thread reads its biases one by one
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
        assert main(["ladder", "transpose", "--json"]) == 0
        rungs = json.loads(capsys.readouterr().out)["rungs"]
        assert [r["rung"] for r in rungs][:2] == ["transpose_1_naive", "transpose_2_shared"]
        assert all(r["sectors"] > 0 for r in rungs)

    def test_a_chart(self, capsys, monkeypatch, tmp_path):
        monkeypatch.setattr(command, "count_registers", lambda chosen, steps: "")
        assert main(["ladder", "transpose", "--plot", str(tmp_path / "rungs.png")]) == 0
        assert "rungs.png" in capsys.readouterr().err
        with Image.open(tmp_path / "rungs.png") as image:
            assert np.asarray(image.convert("L")).std() > 10

    def test_an_unknown_ladder(self, capsys):
        assert main(["ladder", "conv9d"]) == 2
        assert "there is no ladder for 'conv9d'; choose one of attention, batch_norm, " in capsys.readouterr().err

    def test_without_the_emulator(self, monkeypatch):
        monkeypatch.setattr(dispatch, "absence", lambda name: "no g++")
        assert command.count_accesses(ladders.MATMUL, []) == "sectors and conflicts need the emulator: no g++"
        assert command.measure(ladders.MATMUL, []) == "time needs a GPU: no g++"


class TestDiff:
    """`tinymed ladder OP --diff N M`."""

    def test_what_changes(self, capsys):
        assert main(["ladder", "transpose", "--diff", "2", "3"]) == 0
        out = capsys.readouterr().out
        assert "-    __shared__ float tile[TILE][TILE];" in out
        assert "+    __shared__ float tile[TILE][TILE + 1];" in out

    @pytest.mark.parametrize("name", ladders.LADDERS)
    def test_neighbours_differ_by_what_is_theirs(self, name):
        """A rung of tiles is shown with the header that it stands on, where its idea is."""
        own = [rung for rung in ladders.LADDERS[name].rungs if rung.source.startswith("ladders/")]
        for i in range(1, len(own)):
            text = rung_sources.difference_of_rungs(name, i, i + 1)
            assert text.startswith(f"--- {own[i - 1].label}\n+++ {own[i].label}\n")
            assert "__global__" in rung_sources.source_of(own[i].source)

    @pytest.mark.parametrize(
        ("given", "said"),
        [
            (["matmul", "--diff", "0", "1"], "--diff 0: the ladder of matmul has rungs 1 to 17"),
            (["matmul", "--diff", "15", "16"], "is the engine's own kernel, in csrc/matmul.cu; choose 1 to 15"),
            (["matmul", "--diff", "1", "2", "--json"], "leave out --plot, --predict and --json"),
            (["conv9d", "--diff", "1", "2"], "there is no ladder for 'conv9d'"),
        ],
    )
    def test_what_cannot_be_shown(self, given, said, capsys):
        assert main(["ladder", *given]) == 2
        assert said in capsys.readouterr().err


class TestRegisters:
    LOG = "".join(
        f"ptxas info    : Compiling entry function '{entry}' for 'sm_80'\n    0 bytes stack frame, {spill} bytes spill "
        f"stores, 0 bytes spill loads\nptxas info    : Used {registers} registers, used 1 barriers\n"
        for entry, registers, spill in (
            ("_ZN50_GLOBAL__N__2d89b049_17_matmul_1_naive_cu_2edd2bee12naive_kernelEPfPKfS2_iii", 32, 0),
            ("_ZN6ladder18shared_tile_kernelINS_8MatricesEEEvT_", 31, 8),
            ("_ZN4gemm12exact_kernelILi64ELi64ELi16EN44_GLOBAL__N__1_9_matmul_cu_27ProductIfLb0ELb0EEEEEvT2_", 55, 0),
        )
    )

    def test_from_the_build(self, monkeypatch):
        from tinymed.cuda import modules

        monkeypatch.setattr(modules, "record", lambda: {"_cuda": {"log": self.LOG}})
        steps = [command.Step(rung.label) for rung in ladders.MATMUL.rungs]
        assert command.count_registers(ladders.MATMUL, steps) == ""
        known = [(steps[i].registers, steps[i].spilled) for i in (0, 1, 2, 3, -2)]
        assert known == [(32, 0), (None, None), (31, 8), (None, None), (55, 0)]

    @pytest.mark.parametrize("built", [False, True])
    def test_compiled_on_demand(self, built, monkeypatch):
        """Where no module was built, or one without the ladders."""
        try:
            build.find_nvcc()
        except build.Absent as reason:
            pytest.skip(f"nvcc: {reason}")
        from tinymed.cuda import modules

        engine = self.LOG[self.LOG.index("ptxas info    : Compiling entry function '_ZN4gemm") :]
        monkeypatch.setattr(modules, "record", lambda: {"_cuda": {"log": engine}} if built else {})
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
    one = ladders.MATMUL._replace(large=(16, 16, 16), rungs=ladders.MATMUL.rungs[:2] + ladders.MATMUL.rungs[-2:])
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
