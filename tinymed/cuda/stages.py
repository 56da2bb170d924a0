"""What one stage of a product's main loop costs: the instructions for each mma, read from the machine code.

A warp can take several ways through a round of the loop.  The passes over shared memory are the emulator's to count:
tests/test_cuda_stages.py holds both to their budgets.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from . import tiles
from .machine_code import BasicBlock, Kernel

SOURCES = {"forward": "conv.cu", "input": "conv_input.cu", "weight": "conv_weight.cu"}  # by direction
IMAGES = "_kernelILi.*Lb0E"  # in the mangled names of their products; volumes have Lb1E
LOOKING = 2  # warps of a block that look the depths of a later stage up (csrc/gemm.cuh)


class Issue(NamedTuple):
    """Instructions of a warp in one round of the main loop, with copies of 16 bytes.

    mma: tensor-core instructions among them.  least: of a warp that copies and multiplies.  most: of one that also
    looks depths up.
    """

    mma: int
    least: int
    most: int

    def slots(self, warps: int) -> float:
        """Return the instructions that a block of so many warps issues for each mma."""
        looking = min(LOOKING, warps)
        return ((warps - looking) * self.least + looking * self.most) / (warps * self.mma)


def issue(kernel: Kernel) -> Issue | None:
    """Return what a warp issues for one stage; None for a kernel without tensor cores.

    A round with copies of four bytes, which unaligned operands need, is not counted, nor one that copies nothing.
    """
    blocks = kernel.blocks
    inner = [b for b in blocks if b.count.get("tensor") and b.loops]
    if not inner:
        return None
    head = inner[0].loops[-1]
    ways = list(rounds(blocks, head, (head,)))
    copied = max(copies(blocks, way) for way in ways)
    counts = [total(blocks, way) for way in ways if copies(blocks, way) == copied]
    mma = sum(b.count["tensor"] for b in inner if b.loops[-1] == head)
    return Issue(mma, min(counts), max(counts))


def rounds(blocks: Sequence[BasicBlock], head: int, way: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
    """Yield the ways through one round of the loop that begins at a block, around the loops inside it."""
    for i in blocks[way[-1]].follows:
        if i == head:
            yield way
        elif i > way[-1] and blocks[i].loops and blocks[i].loops[-1] == head:
            yield from rounds(blocks, head, (*way, i))


def copies(blocks: Sequence[BasicBlock], way: Sequence[int]) -> int:
    """Return the bytes that a lane copies from global memory on a way."""
    return sum(n for i in way for (_, _, shared, write), n in blocks[i].bytes.items() if not shared and not write)


def total(blocks: Sequence[BasicBlock], way: Sequence[int]) -> int:
    """Return the instructions on a way."""
    return sum(sum(blocks[i].count.values()) for i in way)


def issued(kernels: Sequence[Kernel]) -> dict[str, Any]:
    """{tile: [registers, bytes spilled, bytes of static shared memory, mma, least, most]} of images, for JSON."""
    found = {}
    for tile in tiles.TILES:
        (kernel,) = [k for k in kernels if re.search(entry(tile), k.name)]
        found[tile] = [*kernel.usage, *(issue(kernel) or (0, 0, 0))]
    return found


def entry(tile: str) -> str:
    """Return what the mangled name of a tile's kernel for images is searched for."""
    kind, _, size = tile.partition(" ")
    rows, _, columns = size.partition("x")
    return rf"{kind}_kernelILi{rows}ELi{columns}E.*Lb0E"
