"""What the comments of the rungs promise, as the emulator counts it: test_cuda_ladders.py has the older ones."""

import functools
import importlib.util
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import absence

from tinymed import dispatch
from tinymed.cli import ladder as command
from tinymed.cli.predicting_rungs import predict_rungs
from tinymed.cuda import emulated, ladders, prediction, timing
from tinymed.cuda.gpus import GPUS
from tinymed.cuda.machine_code import BasicBlock, Kernel
from tinymed.cuda.ptxas import Usage
from tinymed.report import ladder_plot

ROOT = Path(__file__).parents[1]
COUNTED = json.loads((ROOT / "benchmarks" / "results" / "ladders.json").read_text("utf-8"))["ladders"]
NEW = "attention", "depthwise", "depthwise_small", "layouts", "layouts_rgb", "layouts_rgb_back", "scan", "winograd"
pytestmark = pytest.mark.skipif(bool(absence("emulated")), reason=f"backend emulated: {absence('emulated')}")


@functools.cache
def counted(name, *sizes):
    """The rungs of a ladder on its small problem, or on one of other sizes."""
    one = ladders.LADDERS[name]
    one = one._replace(small=sizes or one.small)
    steps = [command.Step(rung.label) for rung in one.rungs]
    assert command.count_accesses(one, steps) == ""
    return steps


def requests(step):
    """How many requests of global memory a rung makes."""
    return step.moved / step.sectors


@pytest.mark.full
class TestScan:
    def test_fewer_passes_over_shared_memory(self):
        naive, hillis, blelloch, padded, shuffle, wide, *_ = counted("scan")
        assert naive.waste > 4 > 1.01 > max(step.waste for step in counted("scan")[1:])
        assert blelloch.conflicts > 3 > 1.01 > padded.conflicts
        assert padded.waited < 0.5 * hillis.waited
        assert shuffle.waited < 0.2 * padded.waited
        assert wide.waited < 0.3 * shuffle.waited
        assert requests(wide) < 0.6 * requests(shuffle)

    def test_four_passes_over_the_array_then_three_then_two(self):
        *_, wide, three, chain, look_back = counted("scan")
        array = ladders.SCAN.small[0] * 4 / 32  # sectors
        for step, passes in ((wide, 4), (three, 3), (chain, 2), (look_back, 2)):
            assert passes <= step.moved / array < passes + 0.1


def test_a_scan_in_one_pass_has_the_same_bits_in_any_order_of_blocks():
    """A block takes its stretch by a counter; 70 stretches are three groups."""
    x = np.random.default_rng(0).standard_normal(70 * 1024 + 5, dtype=np.float32)
    with emulated.checking():
        first = dispatch.table("emulated").scan_9_look_back(x)
    for seed in (1, 2, 7):
        with emulated.scheduled(seed):
            again = dispatch.table("emulated").scan_9_look_back(x)
        assert first.tobytes() == again.tobytes()


@pytest.mark.full
class TestDepthwise:
    def test_on_large_maps_each_rung_asks_for_less(self):
        naive, shared, window, wide, run, _ = counted("depthwise")
        moved = [step.moved for step in (naive, shared, window, wide)]
        assert moved == sorted(moved, reverse=True)
        assert shared.moved < 0.5 * naive.moved
        assert window.waited < 0.5 * shared.waited
        assert wide.passes is None
        assert requests(wide) < 0.6 * requests(window)
        assert run.moved > wide.moved
        assert run.waited > 2 * window.waited

    def test_on_small_maps_a_run_does(self):
        *tiles, run, _ = counted("depthwise_small")
        assert run.moved < 0.6 * min(step.moved for step in tiles)
        assert run.sectors > 1.5 * max(step.sectors for step in tiles[1:3])  # requests are whole
        assert run.conflicts < 1.01


@pytest.mark.full
class TestLayouts:
    def test_many_channels(self):
        naive, tile, padded, wide, swizzled, few, _ = counted("layouts")
        assert naive.waste > 4 > 1.1 > max(step.waste for step in counted("layouts")[1:])
        assert tile.conflicts > 10 > 1.01 > max(step.conflicts for step in (padded, wide, swizzled, few))
        assert requests(wide) < 0.3 * requests(padded)
        assert swizzled.waited / swizzled.passes < 0.7 * wide.waited / wide.passes  # requests of shared memory
        assert few.moved == swizzled.moved

    @pytest.mark.parametrize("name", ["layouts_rgb", "layouts_rgb_back"])
    def test_three_channels(self, name):
        naive, *tiles, few, _ = counted(name)
        assert min(step.moved for step in tiles) > naive.moved  # three rows of a tile are in use
        assert few.moved < 0.85 * naive.moved
        assert few.waste < 1.05
        assert few.conflicts < 1.01

    @pytest.mark.parametrize("channels", [2, 4, 8])
    def test_an_even_number_of_channels_has_no_conflicts(self, channels):
        assert counted("layouts_rgb", 2, channels, 500)[-2].conflicts < 1.05


@pytest.mark.full
class TestAttention:
    def test_no_square_then_tiles_then_registers(self):
        naive, online, tiles, registers, split, _ = counted("attention")
        assert naive.waste > 3 > 1.01 > max(step.waste for step in (online, tiles, registers))
        assert online.moved < 0.25 * naive.moved
        assert tiles.moved < 0.05 * online.moved
        assert registers.moved == tiles.moved
        assert registers.waited < 0.4 * tiles.waited
        assert max(step.conflicts for step in (tiles, registers, split)) < 1.02
        assert split.moved > registers.moved  # the workspace

    def test_a_merge_of_parts_is_right_where_scores_lie_far_apart(self):
        """The largest scores of two parts differ by 200: without their tops the sums would not fit a float."""
        rng = np.random.default_rng(0)
        q, k, v = ladders.ATTENTION.problem(rng, 5, 192, 8)
        k[:, :, 100] *= 200
        true = ladders.ATTENTION.reference(q, k, v)
        for rung in ladders.ATTENTION.rungs[1:5]:
            with emulated.checking():
                y = getattr(dispatch.table("emulated"), rung.kernel)(q, k, v)
            np.testing.assert_allclose(y, true, atol=2e-4)


@pytest.mark.full
class TestWinograd:
    def test_each_rung_moves_less(self):
        naive, tiles, once, fused, epilogue, direct = counted("winograd")
        n, c, h, w, filters = ladders.WINOGRAD.small
        moved = [step.moved for step in (naive, tiles, once, fused, epilogue)]
        assert moved == sorted(moved, reverse=True)
        assert tiles.moved < 0.2 * naive.moved
        assert tiles.moved - once.moved == 25 * c * filters * 4 / 32  # nine numbers read and sixteen written
        # v is neither written nor read by two blocks, but the patches are read by both
        assert once.moved - fused.moved == pytest.approx(32 * n * h * w / 4 * c * 4 / 32, rel=0.15)
        # m four times, y three times, and the bias, are not
        assert fused.moved - epilogue.moved == pytest.approx((8 + 2) * n * h * w * filters * 4 / 32, rel=0.15)
        assert epilogue.moved < direct.moved
        assert epilogue.waited < 0.4 * direct.waited  # 16 multiplications where the definition has 36
        assert max(step.conflicts for step in (tiles, once, fused, epilogue)) < 1.01

    def test_a_nan_comes_out_of_relu(self):
        x, weight, bias = ladders.WINOGRAD.problem(np.random.default_rng(0), 1, 2, 5, 5, 3)
        x[0, 1, 0, 0] = np.nan
        for rung in ladders.WINOGRAD.rungs[:5]:
            y = getattr(dispatch.table("emulated"), rung.kernel)(*rung.arguments(x, weight, bias))
            assert np.isnan(y[0, :, :2, :2]).all()
            assert not np.isnan(y[0, :, 4:]).any()


class TestCommitted:
    """What `python benchmarks/ladders.py` wrote, and docs/ladders.md shows."""

    def test_every_rung_has_counters(self):
        for name, one in ladders.LADDERS.items():
            assert [row["rung"] for row in COUNTED[name]["rungs"]] == [rung.label for rung in one.rungs]
            assert all(row["sectors"] and row["registers"] for row in COUNTED[name]["rungs"])
            unpredicted = [row["rung"] for row in COUNTED[name]["rungs"] if not row["predicted_us"]]
            assert [note.split(" is not")[0] for note in COUNTED[name]["notes"]] == unpredicted

    def test_the_page_shows_them(self):
        spec = importlib.util.spec_from_file_location("ladders_benchmark", ROOT / "benchmarks" / "ladders.py")
        benchmark = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(benchmark)
        page = (ROOT / "docs" / "ladders.md").read_text("utf-8")
        for name in ladders.LADDERS:
            assert "\n".join(benchmark.table(COUNTED[name])) in page, f"benchmarks/ladders.py --tables {name}"

    @pytest.mark.full
    @pytest.mark.parametrize("name", NEW)
    def test_they_are_what_is_counted_now(self, name):
        for row, step, rung in zip(COUNTED[name]["rungs"], counted(name), ladders.LADDERS[name].rungs, strict=True):
            if rung.source.startswith("ladders/"):
                assert row["sectors"] == pytest.approx(step.moved, rel=0.02)
                assert row["passes"] == pytest.approx(step.waited, rel=0.02)


@pytest.mark.full
@pytest.mark.parametrize("name", NEW)
def test_every_rung_is_predicted(name):
    """From three blocks of a launch: those of a scan in one pass take the stretches 0 and 1 then."""
    one = ladders.LADDERS[name]
    large = {"scan": (1 << 22,)}.get(name, one.small)
    steps = [command.Step(rung.label) for rung in one.rungs]
    assert len(predict_rungs(one._replace(large=large), steps, GPUS["h100"])) == 1  # nothing but the model's error
    assert all(step.predicted_us > 0 for step in steps)


@pytest.mark.full
@pytest.mark.parametrize(("name", "fewer"), [("depthwise", 1), ("attention", 1), ("winograd", 36 / 16)])
def test_a_prediction_counts_the_multiplications(name, fewer):
    """Where two compilers give an access to two lines, a basic block counts as never run and a time is too short."""
    one = ladders.LADDERS[name]
    problem = [emulated.placed(a) for a in one.problem(np.random.default_rng(0), *one.small)]
    for rung in one.rungs[:5]:
        dispatcher = getattr(dispatch.table("emulated"), rung.kernel)
        args = ladders.ready(dispatcher, rung.arguments(*problem))
        with emulated.sampling() as sampled:
            dispatcher(*args)
        count, kernels = 0.0, prediction.shipped(rung.source, GPUS["a100"])
        for launch in map(timing.launch_of, sampled()):
            kernel = prediction.code_of(kernels, launch)
            times = timing.times_run(kernel, launch)
            a_block = sum(b.count.get("fp32", 0) * n for b, n in zip(kernel.blocks, times, strict=True))
            count += 32 * a_block * float(np.prod(launch.grid))
        wanted = dispatcher.plan_for(args).kernel.rule.flops(*args) / 2 / fewer
        assert count > 0.95 * wanted, rung.label


def sampled_rungs(chosen, rungs):
    """(rung, its launch, its machine code, operations of a multiplication and a sum) on the small problem."""
    problem = [emulated.placed(a) for a in chosen.problem(np.random.default_rng(0), *chosen.small)]
    for rung in rungs:
        dispatcher = getattr(dispatch.table("emulated"), rung.kernel)
        args = ladders.ready(dispatcher, rung.arguments(*problem))
        with emulated.sampling() as sampled:
            dispatcher(*args)
        flops = dispatcher.plan_for(args).kernel.rule.flops(*args)
        kernels = prediction.shipped(rung.source, GPUS["a100"])
        for launch in map(timing.launch_of, sampled()):
            yield rung, launch, prediction.code_of(kernels, launch), flops / 2


needs_tables = pytest.mark.skipif(not prediction.SHIPPED.exists(), reason="benchmarks/machine_code.py makes them")


@needs_tables
@pytest.mark.parametrize("name", ["matmul", "conv2d", "conv2d_input", "conv2d_weight"])
def test_a_prediction_counts_the_multiplications_of_the_engines_tiles(name):
    """In float32 and on tensor cores, of which an instruction multiplies 16 x 8 x 8."""
    one, count = ladders.LADDERS[name], {}
    for rung, launch, kernel, wanted in sampled_rungs(one, one.rungs[-2:]):
        kind, each = ("tensor", 16 * 8 * 8) if rung.tf32 else ("fp32", 32)
        times = timing.times_run(kernel, launch)
        a_block = sum(b.count.get(kind, 0) * n for b, n in zip(kernel.blocks, times, strict=True))
        before = count.setdefault(rung.label, [0.0, wanted])
        before[0] += each * a_block * float(np.prod(launch.grid))
    for label, (found, wanted) in count.items():
        assert found > 0.95 * wanted, label


LIGHT = {"matmul", "conv2d", "conv2d_input", "conv2d_weight", "layer_norm", "max_pool"}
KNOWN = {
    "conv2d_13_three_stages",
    "conv2d_14_split",
    "conv2d_15_raster",
    "scan_7_three_kernels",
}  # none where time goes


@needs_tables
@pytest.mark.parametrize(
    "name", [n if n in LIGHT else pytest.param(n, marks=pytest.mark.full) for n in ladders.LADDERS]
)
def test_accesses_are_on_the_lines_that_nvcc_has_them_on(name):
    """A statement of several lines is given to one of them, and two compilers choose differently: write it on one."""
    one = ladders.LADDERS[name]
    rungs = one.rungs if name not in LIGHT else one.rungs[-2:]
    for rung, launch, kernel, _ in sampled_rungs(one, rungs):
        share = timing.misplaced(kernel, launch)
        assert share <= timing.MISPLACED or rung.label in KNOWN, f"{rung.label}, {launch.kernel}: {share:.0%}"


def test_a_statement_on_two_lines_is_seen():
    """gemm_exact.cuh as it was: the emulator had the reads of shared memory on line 48, nvcc on 49."""
    code = [BasicBlock({"shared": 2, "fp32": 64}, {("a.cuh", 49, True, False): 32}, loops=(1,))]
    kernel = Kernel("k", Usage(64, 0, 0), [*code, BasicBlock({"store": 1}, {("a.cuh", 60, False, True): 4})])
    rows = (("a.cuh", 48, True, False, 100.0, 1600.0), ("a.cuh", 60, False, True, 10.0, 40.0))
    launch = timing.Launch("k", (1, 1, 1), (256, 1, 1), 0, {}, rows, ())
    assert timing.misplaced(kernel, launch) == 1600 / 1640
    assert timing.times_run(kernel, launch)[0] == 0  # as if it never ran
    moved = replace(launch, rows=(("a.cuh", 49, True, False, 100.0, 1600.0), rows[1]))
    assert timing.misplaced(kernel, moved) == 0
    merged = replace(launch, rows=(*moved.rows, ("a.cuh", 52, True, False, 10.0, 160.0)))
    assert timing.misplaced(kernel, merged) == 0  # nvcc made two reads one
    assert "98% of its accesses are on other lines" in timing.doubt_text(1600 / 1640)


def test_a_chart_says_its_numbers(monkeypatch, tmp_path):
    """A tick of a logarithmic axis came out as its formula, $\\mathdefault{10^{4}}$."""
    drawn = []
    write = ladder_plot.write_png
    monkeypatch.setattr(ladder_plot, "write_png", lambda figure, path: drawn.append(figure) or write(figure, path))
    rungs = [{"rung": "naive", "moved": 149977, "waited": 0}, {"rung": "shared", "moved": 35065, "waited": 53199}]
    ladder_plot.save_ladder(rungs, tmp_path / "rungs.png")
    texts = {text.get_text() for axes in drawn[0].axes for text in axes.texts}
    ticks = [tick.get_text() for axes in drawn[0].axes for tick in axes.get_xticklabels(which="both")]
    assert {"149,977", "35,065", "53,199"} <= texts
    assert not any("$" in text for text in ticks)
