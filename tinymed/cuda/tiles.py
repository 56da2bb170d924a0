"""Which tile a matrix product runs in, and into how many parts a long sum is cut: rules on shapes and precision.

    exact 64x64, exact 128x128                          float32 on ordinary cores (csrc/gemm_exact.cuh)
    tf32 64x64, 128x32, 128x64, 128x128                 float32 rounded to tf32 on tensor cores (csrc/gemm_mma.cuh)
    bf16 64x64, 128x32, 128x64, 128x128                 packed bfloat16 on tensor cores (csrc/gemm_mma.cuh)

A tile is the block of the result that one block of threads sums.  A large one reads less, many small ones keep more of
the GPU busy.  The rules never look at a GPU: the same shapes give the same bits on all of one kind.
"""

import functools
import math

from .. import precision

MMA = ("64x64", "128x32", "128x64", "128x128")
FLOAT32 = ("exact 64x64", "exact 128x128", *(f"tf32 {tile}" for tile in MMA))  # what products of float32 run in
BF16 = tuple(f"bf16 {tile}" for tile in MMA)  # what products of packed bfloat16 run in
TILES = FLOAT32 + BF16
PROCESSORS = 132  # multiprocessors of the GPU that the rules have in mind, an H100 or H200
RESIDENT = 4  # blocks of the smallest tile that a multiprocessor holds: blocks_for in csrc/gemm.cuh
GRAIN = 256  # depths, pixels, below which a part of a sum is not worth a launch's second pass
ACROSS = 16  # added to a tile's number: blocks go across the columns first (csrc/tiles.cuh)
CACHED = 37 << 20  # bytes that stay in that GPU's L2 while others pass: three quarters of it
MOST_TILES = 65535  # of rows, where they are a grid's second axis

forced: str | None = None


class use_tile:
    """Force a tile wherever it has a kernel, for tests and benchmarks; None goes back to the rule.

    A tile of float32 makes products of mixed precision be computed in float32, on rounded numbers.
    """

    def __init__(self, name: str | None):
        global forced
        if name is not None and name not in TILES:
            raise ValueError(f"tile {name!r} is unknown; choose one of {', '.join(TILES)}")
        self.before, forced = forced, name

    def __enter__(self) -> str | None:
        return forced

    def __exit__(self, *_: object) -> None:
        global forced
        forced = self.before


@functools.cache
def tensor_cores(backend: str) -> bool:
    """Return whether a backend can multiply in tf32 and bfloat16: a GPU before Ampere (8.0) cannot."""
    if backend == "emulated":
        return True
    import cupy

    return int(cupy.cuda.Device().compute_capability) >= 80


def multiplies_bf16(backend: str) -> bool:
    """Return whether products of mixed precision are products of bfloat16."""
    return (forced is None or forced in BF16) and tensor_cores(backend)


def count(rows: int, columns: int, height: int, width: int) -> int:
    """Tiles of height x width that cover a result of rows x columns."""
    return -(-rows // height) * -(-columns // width)


def choose(backend: str, rows: int, columns: int, batches: int = 1, exact: bool = False, bf16: bool = False) -> int:
    """Return the number of the tile, in TILES, for `batches` products of rows x columns.

    exact: whatever the precision in use.  bf16: of packed numbers of bfloat16.
    """
    if forced is not None and (forced in BF16) == bf16:
        return TILES.index(forced)
    enough, kind = 1.5 * PROCESSORS, "bf16" if bf16 else "tf32"
    if not bf16 and (exact or precision.in_use() == "exact" or not tensor_cores(backend)):
        return TILES.index("exact 128x128" if batches * count(rows, columns, 128, 128) >= enough else "exact 64x64")
    if columns <= 32:
        return TILES.index(f"{kind} 128x32")
    if columns > 64 and batches * count(rows, columns, 128, 128) >= enough:
        return TILES.index(f"{kind} 128x128")
    return TILES.index(f"{kind} 128x64" if batches * count(rows, columns, 128, 64) >= enough else f"{kind} 64x64")


def across(tile: int, rows: int, columns: int, depth: int, number: int = 4) -> int:
    """Return the tile's number, with ACROSS where the left operand is then read from memory once: of 1 x 1 filters.

    Blocks go down the rows first, and read the left operand once for every column of tiles.  Where it is larger than
    L2 each sweep brings it from memory again; across the columns first all blocks that need a panel run together, and
    the right operand, which is small, stays.  The sums are the same, and so are their bits.

    Args:
        tile: what choose() has returned.
        rows, columns, depth: of the product.
        number: bytes of an operand's numbers.
    """
    height, width = map(int, TILES[tile].split()[1].split("x"))
    left, right = rows * depth * number, columns * depth * number
    pays = columns > width and left > CACHED and right < CACHED // 2 and -(-rows // height) <= MOST_TILES
    return tile | ACROSS if pays else tile


def parts(rows: int, columns: int, depth: int, batches: int = 1) -> int:
    """Into how many parts to cut the depth of a product so that its blocks fill the GPU, and none is left over.

    All run at once, RESIDENT on each multiprocessor: one more would take as long as all of them.
    """
    tiles = max(1, batches * count(rows, columns, 64, 64))
    return max(1, min(RESIDENT * PROCESSORS // tiles, depth // GRAIN))


def partial(size: int, rows: int, columns: int, depth: int, batches: int = 1) -> tuple[int, int]:
    """Return the shape of the workspace for partial sums of `size` numbers.

    Empty where one part makes the result itself.
    """
    cut = parts(rows, columns, depth, batches)
    return cut, size if cut > 1 else 0


def pixel_parts(pixels: int, channels: int) -> int:
    """Into how many parts to cut a sum over pixels that 32 channels a block share."""
    return max(1, min(4 * PROCESSORS // max(1, math.ceil(channels / 32)), pixels // GRAIN))
