"""The timing model: each term against a case computed by hand, and that a changed term changes the prediction."""

import json
import re
import shutil
from dataclasses import asdict, replace
from math import ceil
from pathlib import Path

import numpy as np
import pytest
from conftest import absence

from tinymed import dispatch
from tinymed.cli import ladder as command
from tinymed.cli import main, predicting_files, predicting_rungs
from tinymed.cuda import build, emulated, ladders, machine_code, prediction, timing
from tinymed.cuda.gpus import GPU, GPUS
from tinymed.cuda.machine_code import BasicBlock, Instruction, Kernel, blocks_of, scoreboard
from tinymed.cuda.ptxas import Usage

needs_emulator = pytest.mark.skipif(bool(absence("emulated")), reason=f"backend emulated: {absence('emulated')}")
ROUND = GPU("round", "80", 10, 1e9, 1e12, 1 << 20, 128 << 10, 100 << 10, 2048, 32, 2, 4, 8)  # numbers for the head
C = timing.Constants(corner=4, dram=0.5, l2_bytes=64, load=2, l1_latency=30, l2_latency=200, dram_latency=500, launch=0)


def kernel(*blocks, registers=32, shared=0):
    return Kernel("_Z4k", Usage(registers, 0, shared), list(blocks))


def launch(grid=(100, 1, 1), block=(256, 1, 1), rows=(), places=(), dynamic=0, **numbers):
    return timing.Launch(
        "k", grid, block, dynamic, dict.fromkeys(timing.NUMBERS, 0.0) | numbers, tuple(rows), tuple(places)
    )


class TestOccupancy:
    """NVIDIA's occupancy calculator, by hand."""

    @pytest.mark.parametrize(
        ("threads", "registers", "shared", "resident", "why"),
        [
            (256, 32, 0, 8, "2048 threads"),
            (256, 64, 0, 4, "65536 / (64 32 8) registers"),
            (256, 65, 0, 3, "72 registers: units of 256 for a warp"),
            (256, 32, 49152, 2, "(48 + 1) KiB twice in 100"),
            (32, 16, 0, 32, "32 blocks"),
            (1024, 65, 0, 0, "28 warps by registers, 32 wanted"),
            (256, 32, 101 << 10, 0, "more than there is"),
        ],
    )
    def test_by_hand(self, threads, registers, shared, resident, why):
        assert timing.resident_blocks(ROUND, threads, registers, shared) == resident, why


class TestCounts:
    """How often basic blocks run, from what was seen of their lines."""

    LOOP = BasicBlock({"global": 2, "fp32": 2, "int": 1}, {("a.cu", 5, False, False): 8}, loops=(1,))
    REST = BasicBlock({"global": 1, "fp32": 1}, {("a.cu", 5, False, False): 4}, loops=(2,))

    def test_a_loop_and_its_remainder_count_as_the_loop(self):
        """96 requests of 4 bytes are 32 rounds of three loads, whichever loop they were."""
        seen = launch(rows=[("a.cu", 5, False, False, 96, 96 * 4)])
        assert timing.times_run(kernel(self.LOOP, self.REST), seen) == [32, 32]

    def test_blocks_without_memory_follow_their_loop(self):
        add = BasicBlock({"fp32": 7}, loops=(1,))
        head = BasicBlock({"int": 3})
        seen = launch(rows=[("a.cu", 5, False, False, 64, 64 * 4)])
        assert timing.times_run(kernel(head, self.LOOP, add), seen) == [8, 32, 32]  # 8 warps

    def test_what_no_thread_touched_did_not_run(self):
        other = BasicBlock({"store": 1}, {("a.cu", 9, False, True): 4})
        seen = launch(rows=[("a.cu", 5, False, False, 64, 64 * 4)])
        assert timing.times_run(kernel(self.LOOP, other), seen)[1] == 0

    def test_barriers_count_too(self):
        wait = BasicBlock({"barrier": 1}, places={("a.cu", 7, True): 1}, loops=(1,))
        assert timing.times_run(kernel(wait), launch(places=[("a.cu", 7, True, 40.0)])) == [40]


class TestUnits:
    """Cycles of each unit for a block."""

    BUSY = BasicBlock(
        {"fp32": 10, "int": 6, "mufu": 1, "tensor": 2, "fp64": 1, "global": 1, "shared": 3},
        {("a.cu", 5, False, False): 4},
    )
    SEEN = launch(
        rows=[("a.cu", 5, False, False, 8, 32)],
        load_sectors=32,
        load_tags=8,
        load_merged=40,
        store_merged=4,
        store_sectors=8,
        store_tags=2,
        l1_8=32,
        l1_16=32,
        l1_32=32,
        l1_64=16,
        l1_128=16,
    )

    def test_by_hand(self):
        """Eight warps pass the block once; a quarter of each pipe's work goes to each of four parts."""
        cycles = timing.throughputs(kernel(self.BUSY), self.SEEN, ROUND, 1, C)
        assert cycles["issue"] == 8 * 24 / 4
        assert cycles["fp32"] == 8 * 10 * 2 / 4
        assert cycles["int"] == 8 * 6 * 2 / 4
        assert cycles["mufu"] == 8 * 8 / 4
        assert cycles["tensor"] == 8 * 2 * 8 / 4
        assert cycles["fp64"] == 8 * 4 / 4
        assert cycles["shared"] == 44
        assert cycles["tags"] == 10
        assert cycles["load"] == 2 * 8 + 8 * 3
        assert cycles["l1"] == (32 + 8) / 4
        assert cycles["l2"] == 32 * (16 + 8) / 64  # a cache of 127 KiB: half of the loads miss

    def test_a_smaller_share_of_the_cache_misses_more(self):
        assert timing.l1_misses(self.SEEN, 128) == 16
        assert timing.l1_misses(self.SEEN, 48) == 24  # between 32 and 64 KiB
        assert timing.l1_misses(self.SEEN, 8) == 32
        crowded = timing.throughputs(kernel(self.BUSY), self.SEEN, ROUND, 8, C)
        assert crowded["l2"] == 32 * (32 + 8) / 64  # 8 blocks share 120 KiB

    def test_little(self):
        """A warp alone waits for two loads, the second of which was issued 150 cycles before its use."""
        block = BasicBlock({"global": 2, "fp32": 4}, {("a.cu", 5, False, False): 4}, alone=70, slacks=[0, 150])
        waiting = 0.5 * 30 + 0.5 * (0.25 * 200 + 0.75 * 500)
        found = timing.alone(kernel(block), launch(rows=[("a.cu", 5, False, False, 16, 64)]), C, 0.5, 0.25)
        assert found == 2 * (70 + waiting + waiting - 150)

    def test_corner(self):
        assert timing.joined([3, 4], 2) == pytest.approx(5)
        assert timing.joined([0, 4], 9) == 4
        assert timing.joined([0, 0], 3) == 0


class TestMemory:
    """What blocks share, and what memory has to bring."""

    SEEN = launch(grid=(4, 4, 1), footprint=100, fresh_x=60, fresh_y=50, fresh_both=10, stored=5)

    def test_union(self):
        assert timing.union(self.SEEN, 1) == 100
        assert timing.union(self.SEEN, 4) == 100 + 3 * 60
        assert timing.union(self.SEEN, 6) == 280 + 50 + 10  # a new row begins
        assert timing.union(self.SEEN, 16) == 280 + 3 * 50 + 9 * 10
        assert timing.union(self.SEEN, 99) == timing.union(self.SEEN, 16)

    def test_a_cache_that_holds_all_brings_all_once(self):
        assert timing.dram_bytes(self.SEEN, ROUND, 1, 1e9) == 32 * (520 + 16 * 5)

    def test_a_small_cache_brings_what_each_wave_reads(self):
        small = replace(ROUND, l2=1000, sms=4)
        assert timing.dram_bytes(self.SEEN, small, 1, 1e9) == 32 * (4 * 280 + 16 * 5)

    def test_never_more_than_was_asked_for(self):
        small = replace(ROUND, l2=1000, sms=4)
        assert timing.dram_bytes(self.SEEN, small, 1, 700) == 32 * (700 + 16 * 5)


class TestPrediction:
    """All together."""

    BLOCK = BasicBlock({"fp32": 1000, "global": 1}, {("a.cu", 5, False, False): 4}, alone=100.0)
    SEEN = launch(grid=(85, 1, 1), rows=[("a.cu", 5, False, False, 8, 32)], load_sectors=32, footprint=32, fresh_x=32)

    def test_waves_and_tail(self):
        """85 blocks, 8 on each of 10 multiprocessors: a whole wave, and 5 blocks on 5 of them."""
        found = timing.predict(kernel(self.BLOCK), self.SEEN, ROUND, C)
        units = timing.throughputs(kernel(self.BLOCK), self.SEEN, ROUND, 8, C)
        assert units["fp32"] == max(units.values()) == 8 * 1000 * 2 / 4
        assert found.resident == 8
        assert found.waves == 85 / 80
        assert found.tail == 85 / 160
        waves = [timing.joined([100, *(held * unit for unit in units.values())], 4) for held in (8, 1)]
        assert found.seconds == pytest.approx(timing.joined([sum(waves) / 1e9, 85 * 32 * 32 / (0.5 * 1e12)], 4))
        assert found.bound == "fp32"

    @pytest.mark.parametrize(
        ("change", "slower"),
        [
            (lambda k, s, g: (k, s, replace(g, clock=g.clock / 2)), True),
            (lambda k, s, g: (k, s, replace(g, fp32=2 * g.fp32)), True),
            (lambda k, s, g: (replace_usage(k, 128), s, g), True),  # half of the blocks: the rest waits
            (lambda k, s, g: (k, replace(s, grid=(160, 1, 1)), g), True),
            (lambda k, s, g: (k, replace(s, numbers=s.numbers | {"load_merged": 1e5}), g), True),
            (lambda k, s, g: (k, replace(s, numbers=s.numbers | {"load_tags": 1e5}), g), True),
            (lambda k, s, g: (k, replace(s, numbers=s.numbers | {"stored": 1e6}), g), True),
            (lambda k, s, g: (k, s, replace(g, sms=20)), False),
        ],
    )
    def test_a_changed_term_changes_it(self, change, slower):
        code = kernel(replace(self.BLOCK, alone=20000.0))
        before = timing.predict(code, self.SEEN, ROUND, C).seconds
        after = timing.predict(*change(code, self.SEEN, ROUND), C).seconds
        assert (after > 1.05 * before) if slower else (after < 0.95 * before)

    def test_what_sets_the_pace(self):
        code = kernel(self.BLOCK)
        assert (
            timing.predict(code, replace(self.SEEN, numbers=self.SEEN.numbers | {"stored": 1e6}), ROUND, C).bound
            == "dram"
        )
        assert timing.predict(kernel(replace(self.BLOCK, alone=1e6)), self.SEEN, ROUND, C).bound == "latency"

    def test_a_block_that_does_not_fit(self):
        with pytest.raises(
            ValueError, match="a block of 256 threads with 32 registers and 200000 bytes of shared memory"
        ):
            timing.predict(kernel(self.BLOCK), replace(self.SEEN, dynamic=200000), ROUND, C)


def replace_usage(code, registers):
    return replace(code, usage=code.usage._replace(registers=registers))


LISTING = """
	//## File "/there/k.cu", line 4
        /*0000*/                   MOV R1, c[0x0][0x28] ;
.L_x_0:
	//## File "/there/ptx.cuh", line 9 inlined at "/there/tile.cuh", line 6
	//## File "/there/tile.cuh", line 6 inlined at "/there/k.cu", line 5
	//## File "/there/k.cu", line 5
        /*0010*/                   LDG.E.128 R4, [R2.64] ;
        /*0020*/                   FFMA R8, R9, R10, R8 ;
        /*0030*/                   FADD R8, R8, R7 ;
	//## File "/there/k.cu", line 6
        /*0040*/              @!PT LDS RZ, [RZ] ;
        /*0050*/                   LDS.64 R12, [R20] ;
        /*0060*/                   BAR.SYNC 0x0 ;
        /*0070*/               @P0 BRA `(.L_x_0) ;
	//## File "/there/k.cu", line 7
        /*0080*/                   STG.E [R2.64], R8 ;
        /*0090*/                   EXIT ;
"""


class TestMachineCode:
    """nvdisasm's output in basic blocks."""

    def test_blocks(self):
        first, loop, last = blocks_of(LISTING.splitlines())
        assert first.count == {"move": 1}
        assert first.loops == ()
        assert loop.count == {"global": 1, "fp32": 2, "shared": 1, "barrier": 1, "branch": 1}
        assert loop.bytes == {("tile.cuh", 6, False, False): 16, ("k.cu", 6, True, False): 8}
        assert loop.places == {("k.cu", 6, True): 1}
        assert len(loop.loops) == 1
        assert last.bytes == {("k.cu", 7, False, True): 4}

    def test_a_warp_alone(self):
        """FADD reads R7, the last register of the load; it is issued when the FFMA before it is done."""
        load, multiply, add = (
            Instruction("LDG.E.128", "R4, [R2.64]", "k.cu", 5),
            Instruction("FFMA", "R8, R9, R10, R8", "k.cu", 5),
            Instruction("FADD", "R8, R8, R7", "k.cu", 5),
        )
        cycles, slacks, left = scoreboard([load, multiply, add])
        assert cycles == 1 + 1 + 4
        assert slacks == [5]
        assert set(left) == {"R4", "R5", "R6"} - {"R4", "R5", "R6"}  # they came with the one that was waited for

    def test_a_load_that_the_next_block_waits_for(self):
        text = LISTING.replace("FADD R8, R8, R7", "FADD R8, R8, R11").replace("STG.E [R2.64], R8", "STG.E [R2.64], R7")
        text = text.replace("`(.L_x_0)", "`(.L_x_1)").replace(".L_x_0:", "")
        first, last = blocks_of(text.splitlines())
        assert (len(first.slacks), last.slacks) == (1, [])
        assert first.slacks[0] > 30  # the barrier and the branch lie between

    def test_tables(self):
        one = kernel(*blocks_of(LISTING.splitlines()))
        again = prediction.from_table(json.loads(json.dumps(prediction.as_table(one))))
        assert [b.bytes for b in again.blocks] == [b.bytes for b in one.blocks]
        assert again.usage == one.usage

    def test_of_two_instances_the_one_that_moves_as_many_bytes(self):
        single = Kernel("_Z3addIfEvv", Usage(8, 0, 0), [BasicBlock({}, {("a.cu", 5, False, False): 4})])
        double = Kernel("_Z3addIdEvv", Usage(8, 0, 0), [BasicBlock({}, {("a.cu", 5, False, False): 8})])
        for width, expected in ((4, single), (8, double)):
            seen = replace(launch(rows=[("a.cu", 5, False, False, 10, 10 * width)]), kernel="add<T>")
            assert prediction.code_of([single, double], seen) is expected
        with pytest.raises(prediction.Unknown, match="no machine code of the kernel sub"):
            prediction.code_of([single], replace(launch(), kernel="sub"))


@needs_emulator
class TestSampled:
    """What the emulator counts of a few blocks."""

    def test_a_product_of_full_size_by_hand(self):
        """1024 x 1024 numbers of a depth of 64: two blocks of 256 sums run."""
        rng = np.random.default_rng(0)
        a, b = (emulated.placed(rng.standard_normal(s, dtype=np.float32)) for s in ((1024, 64), (64, 1024)))
        with emulated.sampling() as sampled:
            dispatch.table("emulated").matmul_2_coalesced(a, b)
        (sample,) = sampled()
        found = timing.launch_of(sample)
        assert found.grid == (4096, 1, 1)
        n, warps = found.numbers, 8
        assert n["load_tags"] == warps * 64 * 2  # a number of a, and 32 neighbours of b
        assert n["load_sectors"] == warps * 64 * (1 + 4)
        assert n["store_sectors"] == warps * 4
        assert n["footprint"] == 8 + 64 * 32  # a row of a, and 256 columns of b
        assert n["fresh_x"] == n["footprint"]  # the middle block begins a row, and the one before ends another
        assert n["l1_128"] == n["footprint"]
        assert sum(row[4] for row in found.rows) == warps * (64 * 2 + 1)

    def test_only_three_blocks_run(self):
        x = np.ones((1, 512, 512), np.float32)
        with emulated.sampling() as sampled:
            y = dispatch.table("emulated").transpose_3_padded(x)
        assert np.count_nonzero(y == 1) == 3 * 32 * 32
        (found,) = map(timing.launch_of, sampled())
        assert found.numbers["load_merged"] == found.numbers["store_merged"] == 32  # one pass a row of the tile
        assert [(barrier, warps) for *_, barrier, warps in found.places] == [(True, 8.0)]

    def test_unlike_a_run_under_the_checker(self):
        """After sampling everything runs again, and is checked."""
        x = np.ones((1, 64, 64), np.float32)
        with emulated.checking():
            assert np.all(dispatch.table("emulated").transpose_3_padded(x) == 1)


def absent(*_):
    raise build.Absent("no nvcc in PATH")


def needs_nvcc():
    try:
        machine_code.find_nvdisasm()
    except build.Absent as reason:
        pytest.skip(f"nvdisasm: {reason}")


COPY = """
#include <cstdio>
__global__ void copy(float* y, const float* x, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) y[i] = x[i];
}
int main() {
    float *x, *y;
    int n = 1 << 20;
    cudaMalloc(&x, 4 * n), cudaMalloc(&y, 4 * n);
    cudaMemset(x, 0, 4 * n);
    copy<<<n / 256, 256>>>(y, x, n);
    cudaDeviceSynchronize();
}
"""


@needs_emulator
class TestCommands:
    """`tinymed ladder OP --predict GPU` and `tinymed emulate FILE --predict GPU`."""

    def test_a_ladder_by_the_tables_that_ship(self, capsys, monkeypatch):
        """Without nvcc: where they ship it is not even looked for."""
        if prediction.SHIPPED.exists():
            monkeypatch.setattr(machine_code, "compiled", absent)
        else:
            needs_nvcc()
        monkeypatch.setattr(command, "count_registers", lambda chosen, steps: "")
        small = ladders.TRANSPOSE._replace(large=(512, 512))
        monkeypatch.setitem(ladders.LADDERS, "transpose", small)
        assert main(["ladder", "transpose", "--predict", "a100", "--json"]) == 0
        found = json.loads(capsys.readouterr().out)
        times = [rung["predicted_us"] for rung in found["rungs"]]
        assert all(t > 0 for t in times)
        assert times[0] >= max(times[2:])  # sectors wasted
        assert any("predicted: a model's, " in note and "no GPU was asked" in note for note in found["notes"])

    def test_a_ladder_without_nvcc_and_tables(self, monkeypatch):
        """No time, and the reason: never a number made up."""

        monkeypatch.setattr(predicting_rungs, "machine_code", absent)
        one = ladders.TRANSPOSE._replace(large=(64, 64), rungs=ladders.TRANSPOSE.rungs[2:3])
        steps = [command.Step(rung.label) for rung in one.rungs]
        _, said = predicting_rungs.predict_rungs(one, steps, GPUS["a100"])
        assert said == "transpose_3_padded is not predicted: no nvcc in PATH"
        assert steps[0].predicted_us is None

    def test_a_file(self, capsys, monkeypatch, tmp_path):
        """A copy moves 8 MB: 5.4 us of an A100's memory, which the model may only exceed."""
        file = tmp_path / "copy.cu"
        file.write_text(COPY)
        load = BasicBlock({"global": 1, "int": 8}, {("copy.cu", 5, False, False): 4}, alone=40.0, slacks=[10.0])
        store = BasicBlock({"store": 1}, {("copy.cu", 5, False, True): 4}, alone=4.0)
        code = [Kernel("_Z4copyPfPKfi", Usage(10, 0, 0), [load, store])]
        monkeypatch.setattr(predicting_files, "compiled_code", lambda file, gpu, flags: code)
        assert main(["emulate", str(file), "--predict", "a100", "--json"]) == 0
        (found,) = json.loads(capsys.readouterr().out)["launches"]
        least = 8 * 2**20 / 1555e9
        assert least < found["seconds"] < 3 * least
        assert found["dram_bytes"] == 8 * 2**20
        assert found["resident"] == 8
        assert found["waves"] == 4096 / (108 * 8)

    @pytest.mark.parametrize(
        ("given", "said"),
        [
            (["ladder", "transpose", "--predict", "abacus"], "--predict abacus: the timing model knows a100, h100"),
            (["ladder", "transpose", "--predict", "a100", "--diff", "1", "2"], "--diff prints text alone"),
            (["emulate", "x.cu", "--predict", "abacus"], "--predict abacus: the timing model knows"),
            (["emulate", "x.cu", "--predict", "a100", "--check"], "leave out --check, --profile and --seed"),
        ],
    )
    def test_what_cannot_be_predicted(self, given, said, capsys):
        assert main(given) == 2
        assert said in capsys.readouterr().err

    def test_without_nvcc(self, capsys, monkeypatch, tmp_path):
        (tmp_path / "copy.cu").write_text(COPY)
        monkeypatch.setattr(predicting_files, "compiled_code", absent)
        assert main(["emulate", str(tmp_path / "copy.cu"), "--predict", "a100"]) == 2
        said = capsys.readouterr().err
        assert "no nvcc in PATH; pip install nvidia-cuda-nvcc nvidia-cuda-nvdisasm brings both" in said


def test_the_error_that_is_said_is_the_one_that_was_found():
    """And the constants are those of the committed run, fitted on its first ladder alone."""
    found = json.loads((Path(__file__).parents[1] / "benchmarks" / "results" / "timing.json").read_text())
    assert found["held_out"]["median_log_ratio"] == timing.ERROR
    assert found["constants"] == asdict(timing.FITTED)
    assert [ladder["fitted"] for ladder in found["ladders"].values()].count(True) == 1


needs_tables = pytest.mark.skipif(not prediction.SHIPPED.exists(), reason="benchmarks/machine_code.py makes them")
RUNGS = [rung for ladder in ladders.LADDERS.values() for rung in ladder.rungs]


@needs_tables
@pytest.mark.parametrize("gpu", [GPUS["a100"], GPUS["h100"]], ids=lambda gpu: gpu.name)
def test_a_table_ships_for_each_rung(gpu):
    """Of the text that csrc/ has now: after a change there, python benchmarks/machine_code.py writes them anew."""
    stale = {rung.source for rung in RUNGS if not prediction.shipped(rung.source, gpu)}
    assert not stale, "python benchmarks/machine_code.py"
    for rung in RUNGS:
        names = [kernel.name for kernel in prediction.shipped(rung.source, gpu)]
        assert any(re.search(rung.entry, name) for name in names), rung.label


@pytest.mark.skipif(shutil.which("c++filt") is None, reason="binutils bring c++filt")
def test_the_types_of_arguments_tell_instances_apart():
    """Of half and float the lines are the same; a template's name in a launch says T."""
    half = "_Z1kI6__halfLi2EEvmT_PKS1_PS1_"
    single, double = (f"_Z1kI{t}Li2EEvmT_PKS0_PS0_" for t in "fd")
    assert prediction.mismatches([half, single, double], "St5tupleIJmfPfS0_EE") == [3, 0, 3]
    assert prediction.mismatches([half, single, double], "St5tupleIJmiPKdPdEE") == [3, 3, 1]
    assert prediction.mismatches([half, single], "") == [0, 0]
    assert prediction.mismatches(["_Z1jv", "_Z1jIiEvv"], "St5tupleIJEE") == [0, 0]
    kernels = [replace(kernel(*blocks_of(LISTING.splitlines())), name=name) for name in (half, single)]
    assert prediction.code_of(kernels, replace(launch(), types="St5tupleIJmfPfS0_EE")).name == single


def test_a_table_of_another_text_is_not_taken(monkeypatch, tmp_path):
    one = kernel(*blocks_of(LISTING.splitlines()))
    table = {"digest": prediction.digest("transpose.cu"), "80": [prediction.as_table(one)]}
    monkeypatch.setattr(prediction, "SHIPPED", tmp_path / "tables.json")
    prediction.SHIPPED.write_text(json.dumps({"files": {"transpose.cu": table}}))
    assert [k.name for k in prediction.shipped("transpose.cu", GPUS["a100"])] == [one.name]
    assert prediction.shipped("transpose.cu", GPUS["h100"]) == []  # that generation's is not there
    assert prediction.shipped("reduce.cu", GPUS["a100"]) == []
    monkeypatch.setattr(prediction, "digest", lambda source: "another")
    assert prediction.shipped("transpose.cu", GPUS["a100"]) == []


def test_a_digest_is_of_all_that_a_file_includes(monkeypatch, tmp_path):
    monkeypatch.setattr(prediction, "CSRC", tmp_path)
    (tmp_path / "ladders").mkdir()
    (tmp_path / "ladders" / "a.cu").write_text('#include "b.cuh"\n#include <vector>\n')
    (tmp_path / "b.cuh").write_text('#pragma once\n#include "ladders/c.cuh"\n')
    (tmp_path / "ladders" / "c.cuh").write_text("int c;\n")
    before = prediction.digest("ladders/a.cu")
    assert before == prediction.digest("ladders/a.cu")
    (tmp_path / "ladders" / "c.cuh").write_text("int d;\n")
    assert before != prediction.digest("ladders/a.cu")


def test_gpus():
    """The rungs' tables are of a generation like each GPU's; shared memory is a part of the first-level cache."""
    for gpu in GPUS.values():
        assert gpu.arch in prediction.GENERATIONS
        assert ceil(gpu.l1 / 1024) * 1024 == gpu.l1 >= gpu.shared
