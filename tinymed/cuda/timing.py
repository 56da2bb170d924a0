"""A prediction of a kernel's time on a GPU that is not there: a roofline of every unit, and Little's law.

The emulator counts what a few blocks ask of the memories (csrc/emulator/traffic.cpp), nvcc says what the instructions
are (machine_code.py), gpus.py what a GPU can do.  Each unit of a multiprocessor then needs so many cycles for a block
(`throughputs`); a warp alone needs so many for its dependent instructions and loads (`alone`).  Blocks that share a
multiprocessor hide each other's waiting, so that a wave of blocks takes the largest of them all, rounded at the corner;
waves follow each other, and the memory of the whole GPU bounds them all.

It is a prediction: its error on published measurements is in docs/timing.md.

References: Williams, Waterman and Patterson 2009, Roofline, CACM 52(4); Volkov 2016, Understanding Latency Hiding on
GPUs, UC Berkeley; Little 1961, Operations Research 9(3); Hong and Kim 2009, ISCA 36.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import ceil, exp, prod
from statistics import median
from typing import Any

from .gpus import GPU
from .machine_code import BasicBlock, Kernel

SCHEDULERS = 4  # of a multiprocessor: each issues one instruction of a warp a cycle
NUMBERS = (  # as csrc/emulator/emulator.h orders them
    *("load_sectors", "store_sectors", "load_tags", "store_tags", "atomic_lanes"),
    *("load_passes", "store_passes", "load_merged", "store_merged"),
    *("l1_8", "l1_16", "l1_32", "l1_64", "l1_128"),
    *("footprint", "fresh_x", "fresh_y", "fresh_both", "stored"),
)
CACHES = (8, 16, 32, 64, 128)  # KiB, of which the emulator counts misses


@dataclass(frozen=True)
class Constants:
    """What no white paper says, fitted on one public ladder (benchmarks/timing.py) and held for all others.

    corner: the exponent that joins bounds: (a^p + b^p + ...)^(1/p).  dram: the share of the memory's peak that a kernel
    reaches.  l2_bytes: of the second-level cache, to a multiprocessor, a cycle.  load: cycles of the load unit for a
    request to global memory.  l1_latency, l2_latency, dram_latency: cycles until a load's result is there.  launch:
    seconds.
    """

    corner: float = 2.0
    dram: float = 0.85
    l2_bytes: float = 32.0
    load: float = 2.0
    l1_latency: float = 33.0
    l2_latency: float = 320.0
    dram_latency: float = 480.0
    launch: float = 3e-6


FITTED = Constants()
ERROR = 0.175  # median of |log(predicted / measured)| where nothing was fitted: docs/timing.md


def doubt_text(share: float) -> str:
    """Return what is said of a prediction whose accesses lie on other lines than nvcc's."""
    return (
        f"{share:.0%} of its accesses are on other lines for nvcc than for the emulator, so its time is not to be "
        "believed: write each statement that reads or writes memory on one line"
    )


def error_text() -> str:
    """Return what is said beside every prediction."""
    return f"a model's, off by a factor of {exp(ERROR):.1f} or less on half of the published kernels it was tried on"


@dataclass(frozen=True)
class Launch:
    """A launch as the emulator sampled it: numbers are of one block, on average over those that ran.

    rows: (file, line, shared, write, requests of warps, bytes of one lane over these requests), for one block too;
    places: (file, line, barrier, warps that came).  types: of the arguments, a mangled std::tuple, or nothing.
    """

    kernel: str
    grid: tuple[int, int, int]
    block: tuple[int, int, int]
    dynamic: int
    numbers: dict[str, float]
    rows: tuple[tuple[str, int, bool, bool, float, float], ...]
    places: tuple[tuple[str, int, bool, float], ...]
    types: str = ""

    @property
    def warps(self) -> int:
        """Warps of a block."""
        return ceil(prod(self.block) / 32)


def launch_of(sample: dict[str, Any]) -> Launch:
    """Return a launch from what emulated.sampling() gave."""
    n = sample["blocks"]
    middle = NUMBERS.index("footprint")
    numbers = {
        name: value if i >= middle else value / n
        for i, (name, value) in enumerate(zip(NUMBERS, sample["numbers"], strict=True))
    }
    rows = tuple((f, at, bool(s), bool(w), r / n, b / n) for f, at, s, w, r, b in sample["rows"])
    lanes = min(32, prod(sample["block"]))
    places = tuple(
        (re.sub(".*/", "", f), at, bool(barrier), threads / n / lanes) for f, at, barrier, threads in sample["places"]
    )
    grid, block = tuple(sample["grid"]), tuple(sample["block"])
    return Launch(sample["kernel"], grid, block, sample["dynamic"], numbers, rows, places, sample.get("types", ""))


@dataclass(frozen=True)
class Prediction:
    """The predicted seconds of one launch, and the cycles of a multiprocessor that each unit needs for a block.

    resident: blocks a multiprocessor.  waves: of blocks, the last one perhaps in part; tail: the waves that would be if
    blocks could be divided, over those.  bound: what sets the pace.  misplaced: see the function of that name.
    """

    kernel: str
    seconds: float
    bound: str
    resident: int
    waves: float
    tail: float
    cycles: dict[str, float]
    dram_bytes: float
    l2_bytes: float
    misplaced: float = 0.0


# ------------------------------------------------------------------------------------------------------ occupancy


def resident_blocks(gpu: GPU, threads: int, registers: int, shared: int) -> int:
    """Return how many blocks a multiprocessor holds; 0 if not even one fits.

    Registers are given to warps in units of 256, shared memory in units of 128 bytes with 1024 of the system's a block
    (CUDA C++ Programming Guide, table of technical specifications; the occupancy calculator).
    """
    warps = ceil(threads / 32)
    by_warp = ceil(registers * 32 / 256) * 256
    limits = [gpu.blocks, gpu.threads // (warps * 32)]
    if by_warp:
        limits.append(gpu.registers // by_warp // SCHEDULERS * SCHEDULERS // warps)
    if shared:
        limits.append(gpu.shared // (ceil((shared + 1024) / 128) * 128))
    return max(0, min(limits))


# ------------------------------------------------------------------------------------------- how often a block runs


def times_run(kernel: Kernel, launch: Launch) -> list[float]:
    """Return how often warps of one block of threads pass each basic block.

    What the emulator saw of a line is shared out among the basic blocks that access memory on it: an unrolled loop and
    its remainder then count together as the loop.  A basic block without memory is taken to run as often as its
    neighbours in the innermost loop around it that has any, and once a warp outside of loops.
    """
    seen: dict[Any, float] = {}
    for file, line, shared, write, _, moved in launch.rows:
        seen[file, line, shared, write] = seen.get((file, line, shared, write), 0.0) + moved
    came = {(file, line, barrier): warps for file, line, barrier, warps in launch.places}
    lanes: dict[Any, int] = {}
    for block in kernel.blocks:
        for key, width in (*block.bytes.items(), *block.places.items()):
            lanes[key] = lanes.get(key, 0) + width
    known: list[float | None] = []
    for block in kernel.blocks:
        found = [seen[key] / lanes[key] for key in block.bytes if key in seen]
        found += [came[key] / lanes[key] for key in block.places if key in came]
        unseen = 0.0 if block.bytes else None  # accesses that no thread made
        known.append(median(found) if found else unseen)
    return [
        value if value is not None else from_neighbours(kernel.blocks, known, i, float(launch.warps))
        for i, value in enumerate(known)
    ]


MISPLACED = 0.2  # of what warps access, from which a prediction is not to be believed


def misplaced(kernel: Kernel, launch: Launch) -> float:
    """Return the share of a launch's accesses that the emulator counts on other lines than nvcc has them on.

    A statement of several lines is given to one of them, and compilers choose differently: its basic block is then
    taken never to run.  Counted are lines that nvcc has no such access on, in files where it has some on lines that
    the emulator has none on; where it has no such line, it made two accesses one.
    """
    has = {key for block in kernel.blocks for key in block.bytes}
    seen = {(file, line, bool(shared), bool(write)) for file, line, shared, write, _, _ in launch.rows}
    elsewhere = {(file, shared, write) for file, _, shared, write in has - seen}
    total = lost = 0.0
    for file, line, shared, write, _, moved in launch.rows:
        total += moved
        lost += moved * ((file, line, shared, write) not in has and (file, shared, write) in elsewhere)
    return lost / total if total else 0.0


def from_neighbours(blocks: Sequence[BasicBlock], known: Sequence[float | None], i: int, once: float) -> float:
    """Return how often a basic block runs of which nothing was counted."""
    loops = blocks[i].loops
    for depth in range(len(loops), 0, -1):
        same = [n for b, n in zip(blocks, known, strict=True) if n is not None and b.loops[:depth] == loops[:depth]]
        if same:
            exact = [n for b, n in zip(blocks, known, strict=True) if n is not None and b.loops == loops[:depth]]
            return median(exact or same) if exact else min(same)
    return once


# --------------------------------------------------------------------------------------------------- the units


def l1_misses(launch: Launch, kib: float) -> float:
    """Return the sectors that a block asks the second-level cache for, with so much of the first for itself.

    Between the sizes that the emulator counts, in proportion.
    """
    counted = [(0.5, launch.numbers["load_sectors"]), *((size, launch.numbers[f"l1_{size}"]) for size in CACHES)]
    for (small, more), (large, less) in pairwise(counted):
        if kib <= large:
            return more + (less - more) * max(0.0, (kib - small) / (large - small))
    return counted[-1][1]


def throughputs(kernel: Kernel, launch: Launch, gpu: GPU, resident: int, c: Constants) -> dict[str, float]:
    """Return the cycles that each unit of a multiprocessor is busy with one block.

    issue: instructions of warps, by four schedulers.  fp32, int, mufu, fp64, tensor: their pipes.  shared: passes over
    the banks, fewer by as much as nvcc brought neighbouring accesses of a thread together.  tags: lines of 128 bytes
    looked up, one a cycle.  load: requests to the load unit.  l1: sectors, four a cycle.  l2: bytes from and to the
    second-level cache.
    """
    counts: dict[str, float] = {}
    for block, times in zip(kernel.blocks, times_run(kernel, launch), strict=True):
        for kind, n in block.count.items():
            counts[kind] = counts.get(kind, 0.0) + n * times
    numbers = launch.numbers
    shared = kernel.usage.shared + launch.dynamic
    cache = max(0, gpu.l1 - resident * (shared + 1024)) / resident / 1024
    missed = l1_misses(launch, cache)
    requests = sum(row[4] for row in launch.rows if not row[2])
    near = sum(counts.get(kind, 0.0) for kind in ("shared", "shuffle"))
    asked = sum(row[4] for row in launch.rows if row[2])
    merged = min(1.0, counts.get("shared", 0.0) / asked) if asked else 1.0  # accesses that nvcc made one
    per_part = {"fp32": gpu.fp32, "int": 2.0, "mufu": gpu.mufu, "fp64": gpu.fp64, "tensor": gpu.tensor, "convert": 8.0}
    cycles = {kind: counts.get(kind, 0.0) * cost / SCHEDULERS for kind, cost in per_part.items()}
    return cycles | {
        "issue": sum(counts.values()) / SCHEDULERS,
        "shared": merged * (numbers["load_merged"] + numbers["store_merged"]),
        "tags": numbers["load_tags"] + numbers["store_tags"],
        "load": c.load * requests + near,
        "l1": (numbers["load_sectors"] + numbers["store_sectors"]) / 4,
        "l2": 32 * (missed + numbers["store_sectors"]) / c.l2_bytes,
    }


def union(launch: Launch, blocks: int) -> float:
    """Return the sectors that so many neighbouring blocks read together.

    A block reads all its sectors where it has no neighbour before it, and only those that are new where it has one
    along x, along y, or both.
    """
    across, n = launch.grid[0], launch.numbers
    blocks = min(blocks, prod(launch.grid))
    if not blocks:
        return 0.0
    first_row = min(across, blocks)
    rest = blocks - first_row
    heads = ceil(rest / across) if across else 0  # the first block of each further row
    total = n["footprint"] + (first_row - 1) * n["fresh_x"] + heads * n["fresh_y"] + (rest - heads) * n["fresh_both"]
    return float(total)


def dram_bytes(launch: Launch, gpu: GPU, resident: int, l2_sectors: float) -> float:
    """Return the bytes that a launch moves between memory and the second-level cache.

    What all blocks read is brought once if the cache holds it; else what each wave reads, since it shares it; never
    more than is asked for.  What is written is written once.
    """
    blocks = prod(launch.grid)
    wave = gpu.sms * resident
    everything = union(launch, blocks)
    if 32 * everything > gpu.l2:
        everything = max(everything, union(launch, wave) * blocks / min(wave, blocks))
    return 32 * (min(everything, l2_sectors) + blocks * launch.numbers["stored"])


def alone(kernel: Kernel, launch: Launch, c: Constants, l1_hits: float, l2_hits: float) -> float:
    """Return the cycles of a warp that has the multiprocessor for itself: its dependent instructions and its loads.

    Little's law: with W warps resident, a multiprocessor gets through W / alone of them a cycle at most.
    """
    waiting = l1_hits * c.l1_latency + (1 - l1_hits) * (l2_hits * c.l2_latency + (1 - l2_hits) * c.dram_latency)
    total = 0.0
    for block, times in zip(kernel.blocks, times_run(kernel, launch), strict=True):
        total += times / launch.warps * (block.alone + sum(max(0.0, waiting - slack) for slack in block.slacks))
    return total


def joined(bounds: Iterable[float], corner: float) -> float:
    """Return the largest of several bounds, more where others are near.

    It is their p-norm: units that are both busy cannot always be so at the same time.

    Example:
        >>> round(joined([3.0, 4.0], 2.0), 6)
        5.0
    """
    values = list(bounds)
    largest = max(values)
    return float(largest * sum((v / largest) ** corner for v in values) ** (1 / corner)) if largest else 0.0


# ---------------------------------------------------------------------------------------------------- all together


def predict(kernel: Kernel, launch: Launch, gpu: GPU, constants: Constants = FITTED) -> Prediction:
    """Return the predicted time of one launch of a kernel.

    Args:
        kernel: Its machine code, for a generation like the GPU's.
        launch: What the emulator sampled of it.
        gpu: The GPU.
        constants: What was fitted.

    Raises:
        ValueError: A block does not fit on this GPU.
    """
    c, blocks = constants, prod(launch.grid)
    shared = kernel.usage.shared + launch.dynamic
    resident = resident_blocks(gpu, prod(launch.block), kernel.usage.registers, shared)
    if not resident:
        raise ValueError(
            f"{launch.kernel}: a block of {prod(launch.block)} threads with {kernel.usage.registers} registers and "
            f"{shared} bytes of shared memory does not fit on {gpu.name}"
        )
    cycles = throughputs(kernel, launch, gpu, resident, c)
    l2_sectors = cycles["l2"] * c.l2_bytes / 32 * blocks
    written = launch.numbers["store_sectors"] * blocks
    moved = dram_bytes(launch, gpu, resident, l2_sectors - written)
    loads = launch.numbers["load_sectors"] * blocks
    l1_hits = 1 - (l2_sectors - written) / loads if loads else 0.0
    l2_hits = 1 - min(1.0, moved / 32 / l2_sectors) if l2_sectors else 0.0
    waiting = alone(kernel, launch, c, l1_hits, l2_hits)
    busiest = max(cycles, key=lambda unit: cycles[unit])
    whole, rest = divmod(blocks, gpu.sms * resident)

    def wave(held: int) -> float:
        return joined([waiting, *(held * unit for unit in cycles.values())], c.corner)

    spent = whole * wave(resident) + (wave(ceil(rest / gpu.sms)) if rest else 0.0)
    on_chip, in_memory = spent / gpu.clock, moved / (c.dram * gpu.dram)
    waves = blocks / (gpu.sms * resident)
    bound = "dram" if in_memory > on_chip else "latency" if waiting > resident * cycles[busiest] else busiest
    seconds = joined([on_chip, in_memory], c.corner) + c.launch
    return Prediction(
        launch.kernel,
        seconds,
        bound,
        resident,
        waves,
        waves / ceil(waves),
        cycles | {"latency": waiting},
        moved,
        32 * l2_sectors,
        misplaced(kernel, launch),
    )
