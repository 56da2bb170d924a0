"""Budgets of the products' main loops: passes over shared memory, issue slots for each mma, blocks a multiprocessor.

The passes are counted here by the emulator, so a change of a kernel is seen at once, with no nvcc.  What only nvcc
knows was read from its machine code by benchmarks/machine_code.py, for sm_80 and sm_90 (sm_90a's is the same, byte for
byte); where there is nvcc a test compiles anew and compares.
"""

import contextlib
import functools

import numpy as np
import pytest
from conftest import absence

from tinymed import dispatch, use_precision
from tinymed.cuda import build, emulated, machine_code, prediction, stages, tiles
from tinymed.cuda.gpus import GPUS
from tinymed.cuda.machine_code import BasicBlock, Kernel, blocks_of
from tinymed.cuda.ptxas import Usage
from tinymed.cuda.timing import Launch, launch_of, resident_blocks
from tinymed.tape import Op
from tinymed.tensor import Tensor

needs_emulator = pytest.mark.skipif(bool(absence("emulated")), reason=f"backend emulated: {absence('emulated')}")
# Of bfloat16's tiles the smallest and the largest at every commit, as in test_cuda_conv.py.
TILES = [pytest.param(t, marks=pytest.mark.full) if t in tiles.BF16[1:-1] else t for t in tiles.TILES]

# Passes of a block in a stage of 64 bytes of depth (exact 128x128: 32), as they are.
PASSES = {
    "forward": (1348, 1314, 292, 324, 420, 708, 456, 504, 584, 1032),
    "input": (1284, 1218, 324, 356, 452, 772, 392, 424, 520, 904),
    "weight": (1412, 1410, 260, 292, 388, 644, 520, 568, 776, 1416),
}
# Instructions that a block issues for each mma, at most, on either generation: tf32's tiles, then bfloat16's.
SLOTS = {
    "forward": (15.2, 17.5, 10.7, 9.2, 9.8, 10.4, 6.5, 5.1),
    "input": (14.7, 17.0, 10.6, 9.1, 9.8, 10.5, 6.5, 5.0),
    "weight": (17.0, 19.1, 11.1, 10.0, 9.9, 11.0, 6.6, 5.2),
}
# Blocks that a multiprocessor holds of each tile, at least; an A100 has no shared memory for four of 128 x 32.
BLOCKS = {"80": (4, 2, 4, 3, 3, 2, 4, 3, 3, 2), "90": (4, 2, 4, 4, 3, 2, 4, 4, 3, 2)}
SPILLS = {("90", "weight", "exact 128x128"): 8}  # bytes, for two blocks instead of one: docs/cuda-review.md, 15
ARCHITECTURES = {"80": GPUS["a100"], "90": GPUS["h100"]}


ADDED = 64  # depths that the longer launch sums beyond the base
BASE = (("weight", 8, 16), ("forward", 128, 1), ("input", 128, 1))  # width, channels, filters: depths that one more is


def passes(direction: str, tile: str) -> float:
    """Return the passes over the banks of shared memory that a block makes in one stage of 64 bytes of depth."""
    small, large = sampled(tile, "nothing")[direction], sampled(tile, direction)[direction]
    return (passes_of(large) - passes_of(small)) / (ADDED / depth(tile))


def passes_of(launch: Launch) -> float:
    """Return the passes of one block of a launch."""
    return launch.numbers["load_passes"] + launch.numbers["store_passes"]


def depth(tile: str) -> int:
    """Return the depths of a stage."""
    return {"exact 128x128": 8, "exact 64x64": 16}.get(tile, 32 if tile in tiles.BF16 else 16)


def warps(tile: str) -> int:
    """Return the warps of a block."""
    return 8 if tile.startswith("exact") or tile.endswith("128x128") else 4


def dynamic(direction: str, tile: str) -> int:
    """Return the bytes of shared memory that a launch asks for beside what its kernel declares."""
    return sampled(tile, "nothing")[direction].dynamic


@functools.cache
def sampled(tile: str, longer: str) -> dict[str, Launch]:
    """The launches of a convolution by direction, the sum of one of them longer than the base."""
    width, channels, filters = (n + ADDED // m * (longer == d) for d, n, m in BASE)
    x, weight = np.ones((1, channels, 16, width), np.float32), np.ones((filters, channels, 1, 1), np.float32)
    mixed = tile in tiles.BF16
    arguments = (None, (1, 1), ((0, 0), (0, 0)), (1, 1), 1)
    with contextlib.ExitStack() as inside:
        inside.enter_context(dispatch.use_backend("emulated"))
        inside.enter_context(tiles.use_tile(tile))
        inside.enter_context(use_precision("bf16" if mixed else "exact"))
        found = inside.enter_context(emulated.sampling(lines=False))
        given = (Tensor(a, requires_grad=True) for a in (x, weight))
        Op.registry["Conv"].apply(*given, *arguments).sum().backward()
        launches = [launch_of(one) for one in found()]
    products = [one for one in launches if tile.split()[0] + "_kernel" in one.kernel]
    return dict(zip(stages.SOURCES, products, strict=True))


def shipped(direction, arch):
    """{tile: what benchmarks/machine_code.py read of it}; skipped if that was of another text."""
    source = stages.SOURCES[direction]
    table = prediction.tables().get(source, {})
    if table.get("digest") != prediction.digest(source):
        pytest.skip(f"{source} has changed: benchmarks/machine_code.py reads it anew, which takes nvcc")
    return table["stages"][arch]


@needs_emulator
@pytest.mark.parametrize("tile", TILES)
@pytest.mark.parametrize("direction", stages.SOURCES)
def test_passes_over_shared_memory(direction, tile):
    """No more than the budget; and not far below it, for then the budget is to be lowered."""
    budget = PASSES[direction][tiles.TILES.index(tile)]
    assert 0.9 * budget <= passes(direction, tile) <= budget


@pytest.mark.parametrize("arch", ARCHITECTURES)
@pytest.mark.parametrize("direction", stages.SOURCES)
def test_issue_slots_for_each_mma(direction, arch):
    found = shipped(direction, arch)
    for tile, budget in zip((t for t in tiles.TILES if not t.startswith("exact")), SLOTS[direction], strict=True):
        slots = stages.Issue(*found[tile][3:]).slots(warps(tile))
        assert 0.9 * budget <= slots <= budget, tile


@needs_emulator
@pytest.mark.parametrize("arch", ARCHITECTURES)
@pytest.mark.parametrize("direction", stages.SOURCES)
def test_blocks_of_a_multiprocessor(direction, arch):
    """By registers and shared memory, static and dynamic; nothing spills but what is known to."""
    found = shipped(direction, arch)
    for tile, least in zip(tiles.TILES, BLOCKS[arch], strict=True):
        registers, spilled, static = found[tile][:3]
        shared = static + dynamic(direction, tile)
        assert resident_blocks(ARCHITECTURES[arch], 32 * warps(tile), registers, shared) >= least, tile
        assert spilled <= SPILLS.get((arch, direction, tile), 0), tile


@pytest.mark.parametrize("arch", ["90", pytest.param("80", marks=pytest.mark.full)])
@pytest.mark.parametrize(
    "direction", ["forward", *(pytest.param(d, marks=pytest.mark.full) for d in ("input", "weight"))]
)
def test_the_figures_that_ship_are_those_of_nvcc(direction, arch):
    try:
        machine_code.find_nvdisasm()
    except build.Absent as reason:
        pytest.skip(f"nvdisasm: {reason}")
    ships, source = shipped(direction, arch), build.CSRC / stages.SOURCES[direction]
    assert stages.issued(machine_code.compiled(source, arch, [f"-I{build.CSRC}"], [stages.IMAGES])) == ships


LOOP = """
	//## File "/there/tile.cuh", line 1
        /*0000*/                   MOV R1, c[0x0][0x28] ;
.L_x_head:
        /*0010*/                   BAR.SYNC 0x0 ;
        /*0020*/               @P0 BRA `(.L_x_narrow) ;
        /*0030*/                   IADD3 R2, R2, 0x1, RZ ;
        /*0040*/                   LDGSTS.E.BYPASS.128 [R4], [R2.64] ;
        /*0050*/                   BRA `(.L_x_copied) ;
.L_x_narrow:
        /*0060*/                   LDGSTS.E [R4], [R2.64] ;
        /*0070*/               @P1 BRA `(.L_x_narrow) ;
.L_x_copied:
        /*0080*/               @P2 BRA `(.L_x_multiply) ;
        /*0090*/                   MUFU.RCP R8, R9 ;
        /*00a0*/                   STS.128 [R4], R8 ;
.L_x_multiply:
        /*00b0*/                   LDSM.16.M88.4 R4, [R9] ;
        /*00c0*/                   HMMA.1688.F32.TF32 R8, R4, R5, R8 ;
        /*00d0*/                   HMMA.1688.F32.TF32 R8, R4, R5, R8 ;
        /*00e0*/               @P3 BRA `(.L_x_head) ;
        /*00f0*/                   EXIT ;
"""


def test_the_ways_through_a_loop():
    """By hand: 2 + 3 + 1 + 4 instructions with a wide copy, 2 more where depths are looked up."""
    found = stages.issue(Kernel("k", Usage(32, 0, 0), blocks_of(LOOP.splitlines())))
    assert found == stages.Issue(mma=2, least=10, most=12)
    assert found.slots(4) == (2 * 10 + 2 * 12) / (4 * 2)
    assert found.slots(1) == 12 / 2


def test_a_kernel_without_tensor_cores_has_no_slots():
    assert stages.issue(Kernel("k", Usage(32, 0, 0), [BasicBlock({"fp32": 4}, loops=(0,))])) is None
