"""The ladders of csrc/ladders: from a naive kernel, one idea a rung, to the kernel that the engine runs.

The first rungs are kernels of the table that no op calls: `tinymed ladder` and the tests do.  The last ones are the
engine's own.  All rungs of a ladder solve one problem.
"""

from collections.abc import Callable
from math import prod
from typing import Any, NamedTuple

import numpy as np

from ..dispatch import kernel
from ..ops.max_pool import winner_shapes
from ..ops.space import slides
from .conv import forward_flops, forward_out
from .tiles import TILES

Problem = tuple[Any, ...]


class Rung(NamedTuple):
    """One step of a ladder.

    kernel: its name in the table.  entry: what names it in ptxas' output (mangled), in file `source` of csrc/.
    arguments: the problem as this kernel takes it.
    """

    kernel: str
    entry: str
    source: str
    arguments: Callable[..., Problem]
    label: str


class Ladder(NamedTuple):
    """problem(rng, *sizes) draws arguments: of `small` sizes for the emulator, of `large` ones for a GPU."""

    rungs: tuple[Rung, ...]
    problem: Callable[..., Problem]
    small: tuple[Any, ...]
    large: tuple[Any, ...]


def own(name: str, entry: str = "") -> Rung:
    """Return a rung with a file of its own; entry: of a kernel that rungs share, else the file's only one."""
    return Rung(name, entry or f"{name}_cu", f"ladders/{name}.cu", lambda *problem: problem, name)


def engine(name: str, tile: str, entry: str, source: str, arguments: Callable[..., Problem]) -> Rung:
    """Return a kernel of the engine, in one of its TILES."""
    number = TILES.index(tile)
    return Rung(name, entry, source, lambda *problem: (*arguments(*problem), number), f"{name}, {tile}")


EXACT, TF32 = "exact_kernelILi64ELi64ELi16E", "tf32_kernelILi128ELi64ELi64E"


def ready(launch: Any, args: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return the arguments in the memory orders that the kernel takes, so that only it is counted and timed."""
    plan = launch.plan_for(args)
    orders = dict(plan.relayouts)
    return tuple(launch.table.canonical(a, orders[i]) if i in orders else a for i, a in enumerate(args))


# ------------------------------------------------------------------------------------------------ matrix product


def normal(rng: np.random.Generator, *shape: int) -> Any:
    """float32 numbers of variance 1."""
    return rng.standard_normal(shape, dtype=np.float32)


def product_out(a: Any, b: Any) -> list[Any]:
    """(rows, columns)."""
    return [(a.shape[0], b.shape[1])]


def product_flops(a: Any, b: Any) -> float:
    """Return a multiplication and an addition for each depth of each sum."""
    return float(2 * a.size * b.shape[1])


@kernel(backend="csrc", out=product_out, flops=product_flops)
def matmul_1_naive(y: Any, a: Any, b: Any) -> None:
    """Neighbouring threads take neighbouring rows."""


@kernel(backend="csrc", out=product_out, flops=product_flops)
def matmul_2_coalesced(y: Any, a: Any, b: Any) -> None:
    """Neighbouring threads take neighbouring columns."""


@kernel(backend="csrc", out=product_out, flops=product_flops)
def matmul_3_shared(y: Any, a: Any, b: Any) -> None:
    """Tiles in shared memory."""


@kernel(backend="csrc", out=product_out, flops=product_flops)
def matmul_4_registers(y: Any, a: Any, b: Any) -> None:
    """4 x 4 sums a thread."""


def plain(a: Any, b: Any) -> Problem:
    """As matrix_product takes it, but for the tile."""
    return a, b, None, False, False


MATMUL = Ladder(
    (
        own("matmul_1_naive"),
        own("matmul_2_coalesced"),
        own("matmul_3_shared", "shared_tile_kernelINS_8Matrices"),
        own("matmul_4_registers", "register_tile_kernelINS_8Matrices"),
        engine("matrix_product", "exact 64x64", f"{EXACT}.*ProductILb0ELb0E", "matmul.cu", plain),
        engine("matrix_product", "tf32 128x64", f"{TF32}.*ProductILb0ELb0E", "matmul.cu", plain),
    ),
    lambda rng, m, n, depth: (normal(rng, m, depth), normal(rng, depth, n)),
    (64, 64, 64),
    (4096, 4096, 4096),
)

# --------------------------------------------------------------------------------------------------- convolution

SMALL, LARGE = (1, 16, 8, 8, 32, 3, 1, 1), (128, 64, 32, 32, 128, 3, 1, 1)
STRIDED = (1, 16, 8, 8, 32, 3, 2, 1), (128, 64, 32, 32, 128, 3, 2, 1)


def convolution(
    rng: np.random.Generator, n: int, c: int, h: int, w: int, o: int, k: int, stride: int, padding: int
) -> Problem:
    """(x, weight, size of y, stride, zeros before)."""
    size = slides((h, w), (k, k), (stride,) * 2, ((padding,) * 2,) * 2, (1, 1))
    return normal(rng, n, c, h, w), normal(rng, o, c, k, k), size, (stride,) * 2, (padding,) * 2


def input_gradient(rng: np.random.Generator, *sizes: int) -> Problem:
    """(dy, weight, shape of x, stride, zeros before)."""
    x, weight, size, *how = convolution(rng, *sizes)
    return normal(rng, x.shape[0], weight.shape[0], *size), weight, x.shape, *how


def weight_gradient(rng: np.random.Generator, *sizes: int) -> Problem:
    """(dy, x, shape of the weight, stride, zeros before)."""
    x, weight, size, *how = convolution(rng, *sizes)
    return normal(rng, x.shape[0], weight.shape[0], *size), x, weight.shape, *how


def undilated(*problem: Any) -> Problem:
    """As the engine's kernels take it, but for the tile."""
    return *problem, (1, 1), 1


def without_bias(x: Any, weight: Any, *how: Any) -> Problem:
    """As conv2d_gemm takes it, but for the tile."""
    return undilated(x, weight, None, *how)


def windows_out(x: Any, weight: Any, size: Any, *_: Any) -> list[Any]:
    """(N, O, *size)."""
    return forward_out(x, weight, None, size)


def windows_flops(x: Any, weight: Any, size: Any, *_: Any) -> float:
    """Return a multiplication and an addition for each weight at each place."""
    return forward_flops(x, weight, None, size)


@kernel(backend="csrc", image="y x", filter="weight", out=windows_out, flops=windows_flops)
def conv2d_1_naive(y: Any, x: Any, weight: Any, size: Any, stride: Any, before: Any) -> None:
    """Neighbouring threads take neighbouring places."""


@kernel(backend="csrc", image="y x", filter="weight", out=windows_out, flops=windows_flops)
def conv2d_2_coalesced(y: Any, x: Any, weight: Any, size: Any, stride: Any, before: Any) -> None:
    """Neighbouring threads take neighbouring filters."""


@kernel(backend="csrc", image="y x", filter="weight", out=windows_out, flops=windows_flops)
def conv2d_3_shared(y: Any, x: Any, weight: Any, size: Any, stride: Any, before: Any) -> None:
    """Launch an implicit matrix product by tiles in shared memory."""


@kernel(backend="csrc", image="y x", filter="weight", out=windows_out, flops=windows_flops)
def conv2d_4_registers(y: Any, x: Any, weight: Any, size: Any, stride: Any, before: Any) -> None:
    """4 x 4 sums a thread."""


CONV2D = Ladder(
    (
        own("conv2d_1_naive"),
        own("conv2d_2_coalesced"),
        own("conv2d_3_shared", "shared_tile_kernelINS_7Windows"),
        own("conv2d_4_registers", "register_tile_kernelINS_7Windows"),
        engine("conv2d_gemm", "exact 64x64", f"{EXACT}.*conv_cu.*Forward", "conv.cu", without_bias),
        engine("conv2d_gemm", "tf32 128x64", f"{TF32}.*conv_cu.*Forward", "conv.cu", without_bias),
    ),
    convolution,
    SMALL,
    LARGE,
)


@kernel(
    backend="csrc",
    image="dx dy",
    filter="weight",
    out=lambda dy, weight, x_shape, *_: [x_shape],
    flops=lambda dy, weight, *_: 2 * prod(weight.shape[1:]) * dy.size,
)
def conv2d_input_1_naive(dx: Any, dy: Any, weight: Any, x_shape: Any, stride: Any, before: Any) -> None:
    """Launch a thread for each number, which tries every tap."""


@kernel(
    backend="csrc",
    image="dx dy",
    filter="weight",
    out=lambda dy, weight, x_shape, *_: [x_shape],
    flops=lambda dy, weight, *_: 2 * prod(weight.shape[1:]) * dy.size,
)
def conv2d_input_2_shared(dx: Any, dy: Any, weight: Any, x_shape: Any, stride: Any, before: Any) -> None:
    """Launch an implicit matrix product by tiles in shared memory, zeros included."""


CONV2D_INPUT = Ladder(
    (
        own("conv2d_input_1_naive"),
        own("conv2d_input_2_shared"),
        engine("conv2d_gemm_input", "exact 64x64", f"{EXACT}.*conv_input_cu.*Input", "conv_input.cu", undilated),
        engine("conv2d_gemm_input", "tf32 128x64", f"{TF32}.*conv_input_cu.*Input", "conv_input.cu", undilated),
    ),
    input_gradient,
    *STRIDED,
)


@kernel(
    backend="csrc",
    image="dy x",
    filter="dweight",
    out=lambda dy, x, shape, *_: [shape],
    flops=lambda dy, x, shape, *_: 2 * prod(shape[1:]) * dy.size,
)
def conv2d_weight_1_naive(dweight: Any, dy: Any, x: Any, weight_shape: Any, stride: Any, before: Any) -> None:
    """Launch a thread for each number."""


@kernel(
    backend="csrc",
    image="dy x",
    filter="dweight",
    out=lambda dy, x, shape, *_: [shape],
    flops=lambda dy, x, shape, *_: 2 * prod(shape[1:]) * dy.size,
)
def conv2d_weight_2_shared(dweight: Any, dy: Any, x: Any, weight_shape: Any, stride: Any, before: Any) -> None:
    """Launch an implicit matrix product by tiles in shared memory, a block for each tile."""


CONV2D_WEIGHT = Ladder(
    (
        own("conv2d_weight_1_naive"),
        own("conv2d_weight_2_shared"),
        engine("conv2d_gemm_weight", "exact 64x64", f"{EXACT}.*conv_weight_cu.*Weight", "conv_weight.cu", undilated),
        engine("conv2d_gemm_weight", "tf32 64x64", "tf32_kernelILi64.*Weight", "conv_weight.cu", undilated),
    ),
    weight_gradient,
    (2, 16, 16, 16, 32, 3, 1, 1),
    LARGE,
)

# ------------------------------------------------------------------------------------------ pooling, batch norm


def argmax_shapes(x: Any, size: Any) -> list[Any]:
    """Return the outputs of a 2 x 2 pooling."""
    return winner_shapes(x, (2, 2), size)


@kernel(backend="csrc", image="y index x", out=argmax_shapes, flops=lambda x, size: x.size)
def max_pool_1_naive(y: Any, index: Any, x: Any, size: Any) -> None:
    """Neighbouring threads take neighbouring pixels."""


@kernel(backend="csrc", image="y index x", out=argmax_shapes, flops=lambda x, size: x.size)
def max_pool_2_coalesced(y: Any, index: Any, x: Any, size: Any) -> None:
    """Neighbouring threads take neighbouring channels."""


MAX_POOL = Ladder(
    (
        own("max_pool_1_naive"),
        own("max_pool_2_coalesced"),
        Rung("max_pool_2x2", "max_pool_2x2_kernelILi4E", "pool.cu", lambda *problem: problem, "max_pool_2x2"),
    ),
    lambda rng, n, c, h, w: (normal(rng, n, c, h, w), (h // 2, w // 2)),
    (1, 64, 16, 16),
    (128, 64, 64, 64),
)


def moments(x: Any, *_: Any) -> list[Any]:
    """mean and rstd of each channel."""
    return [(x.shape[1],), (x.shape[1],)]


@kernel(backend="csrc", rows="x", out=moments, flops=lambda x, eps: 4 * x.size)
def batch_norm_1_naive(mean: Any, rstd: Any, x: Any, eps: Any) -> None:
    """Launch a thread for each channel."""


@kernel(backend="csrc", rows="x", out=moments, flops=lambda x, eps: 4 * x.size)
def batch_norm_2_blocks(mean: Any, rstd: Any, x: Any, eps: Any) -> None:
    """Launch a block for each channel."""


@kernel(backend="csrc", rows="x", out=moments, flops=lambda x, eps: 5 * x.size)
def batch_norm_3_tiles(mean: Any, rstd: Any, x: Any, eps: Any) -> None:
    """Launch a block for 32 channels, in one pass."""


def unweighted(x: Any, eps: float) -> Problem:
    """As batch_norm_moments takes it: no weight, bias or running moments."""
    none = x.reshape(-1)[:0]
    return x, None, None, none, none, none.astype("int64"), 0.1, eps, False, False


BATCH_NORM = Ladder(
    (
        own("batch_norm_1_naive"),
        own("batch_norm_2_blocks"),
        own("batch_norm_3_tiles"),
        Rung("batch_norm_moments", "norm_cu.*14moments_kernel", "norm.cu", unweighted, "batch_norm_moments"),
    ),
    lambda rng, rows, channels: (normal(rng, rows, channels), 1e-5),
    (512, 64),
    (131072, 64),
)

LADDERS = {
    "batch_norm": BATCH_NORM,
    "conv2d": CONV2D,
    "conv2d_input": CONV2D_INPUT,
    "conv2d_weight": CONV2D_WEIGHT,
    "matmul": MATMUL,
    "max_pool": MAX_POOL,
}
