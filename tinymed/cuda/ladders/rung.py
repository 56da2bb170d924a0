"""What a ladder is made of: rungs that solve one problem, from a naive kernel to the engine's own."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from ..tiles import TILES

Problem = tuple[Any, ...]
EXACT, TF32 = "exact_kernelILi64ELi64ELi16E", "tf32_kernelILi128ELi64ELi64E"


class Rung(NamedTuple):
    """One step of a ladder.

    kernel: its name in the table.  entry: what names it in ptxas' output (mangled), in file `source` of csrc/.
    arguments: the problem as this kernel takes it.  tf32: its operands are rounded to 10 bits of mantissa.
    """

    kernel: str
    entry: str
    source: str
    arguments: Callable[..., Problem]
    label: str
    tf32: bool = False


class Ladder(NamedTuple):
    """Rungs that solve one problem.

    problem(rng, *sizes) draws arguments: of `small` sizes for the emulator, of `large` ones for a GPU.  reference: what
    all rungs compute, in float64.
    """

    rungs: tuple[Rung, ...]
    problem: Callable[..., Problem]
    small: tuple[Any, ...]
    large: tuple[Any, ...]
    reference: Callable[..., Any]


def own(name: str, entry: str = "", tf32: bool = False) -> Rung:
    """Return a rung with a file of its own; entry: of a kernel that rungs share, else the file's only one."""
    return Rung(name, entry or f"{name}_cu", f"ladders/{name}.cu", lambda *problem: problem, name, tf32)


def engine(name: str, tile: str, entry: str, source: str, arguments: Callable[..., Problem]) -> Rung:
    """Return a kernel of the engine, in one of its TILES."""
    number, tf32 = TILES.index(tile), tile.startswith("tf32")
    return Rung(name, entry, source, lambda *problem: (*arguments(*problem), number), f"{name}, {tile}", tf32)


def products(op: str, operands: str) -> tuple[Rung, ...]:
    """Return the rungs of a matrix product over operands as csrc/ladders/*_tile.cuh takes them.

    Args:
        op: matmul or conv2d, the beginning of the rungs' names.
        operands: The C++ struct of the operands, as it is mangled.
    """
    shared = f"NS_{operands}"
    return (
        own(f"{op}_1_naive"),
        own(f"{op}_2_coalesced"),
        own(f"{op}_3_shared", f"shared_tile_kernelI{shared}"),
        own(f"{op}_4_column", f"column_tile_kernelI{shared}"),
        own(f"{op}_5_registers", f"register_tile_kernelI{shared}"),
        own(f"{op}_6_float4", f"float4_tile_kernelI{shared}"),
        own(f"{op}_7_swizzle", f"swizzle_tile_kernelI{shared}"),
        own(f"{op}_8_double_buffer", f"buffer_tile_kernelI{shared}"),
        own(f"{op}_9_warp_tile", f"warp_tile_kernelI{shared}"),
        own(f"{op}_10_mma", f"mma_tile_kernelINS_7ByWordsE{shared}", tf32=True),
        own(f"{op}_11_ldmatrix", f"mma_tile_kernelINS_8ByMatrixE{shared}", tf32=True),
        own(f"{op}_12_two_stages", f"async_tile_kernelILi2E{shared}", tf32=True),
        own(f"{op}_13_three_stages", f"async_tile_kernelILi3E{shared}", tf32=True),
        own(f"{op}_14_split", f"split_tile_kernelI{shared}", tf32=True),
        own(f"{op}_15_raster", f"raster_tile_kernelI{shared}", tf32=True),
    )


def parts_work(rows: int, columns: int, depth: int) -> list[Any]:
    """Return the workspace of a product whose depth is cut: enough parts for 256 blocks, of 64 depths or more."""
    tiles = -(-rows // 64) * -(-columns // 64)
    return [(max(1, min(depth // 64, 256 // max(1, tiles))), rows, columns)]


def normal(rng: np.random.Generator, *shape: int) -> Any:
    """float32 numbers of variance 1."""
    return rng.standard_normal(shape, dtype=np.float32)


def widened(a: Any) -> Any:
    """Return an array in float64, anything else as it is."""
    return a.astype(np.float64) if isinstance(a, np.ndarray) else a


def ready(launch: Any, args: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return the arguments in the memory orders that the kernel takes, so that only it is counted and timed."""
    plan = launch.plan_for(args)
    orders = dict(plan.relayouts)
    return tuple(launch.table.canonical(a, orders[i]) if i in orders else a for i, a in enumerate(args))
