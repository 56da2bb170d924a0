"""What the instructions of bf16_product compute, in NumPy, to the last bit: the order of sums, and what is flushed.

x is (rows, terms), w (terms, columns), both bfloat16 as bits (uint16); the sums are float32.

    tdpbf16ps   the first numbers of a tile's pairs and the second ones are two sums from zero; then first + second,
                and that to what the tile held
    vdpbf16ps   to what the vector held, the second product of a pair and then the first
    float32     to what the vector held, the first product of a pair and then the second

Both instructions take a subnormal number, read or made, as zero, and round to nearest even whatever the processor's
mode.  A product of two numbers of 8 digits is exact in float32, so a fused multiply-add is one rounding of a sum.
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from .bf16_product import TERMS

Bits = npt.NDArray[np.uint16]
Floats = npt.NDArray[np.float32]
TINY = np.finfo(np.float32).tiny


def to_bits(x: Floats) -> Bits:
    """Return float32 rounded to the nearest bfloat16, to even in the middle, as bits; a NaN stays one."""
    bits = np.ascontiguousarray(x, np.float32).view(np.uint32)
    near = bits + np.uint32(0x7FFF) + (bits >> np.uint32(16) & np.uint32(1))
    return (np.where(np.isnan(x), bits | np.uint32(0x400000), near) >> np.uint32(16)).astype(np.uint16)


def to_floats(bits: Bits) -> Floats:
    """Return numbers of bfloat16 as float32, exactly."""
    return (bits.astype(np.uint32) << np.uint32(16)).view(np.float32)


def flushed(x: Floats) -> Floats:
    """Return numbers with zeros of their sign for subnormal ones."""
    return np.where(np.abs(x) < TINY, np.copysign(np.float32(0), x), x)


def multiply_add(total: Floats, a: Floats, b: Floats, flush: bool) -> Floats:
    """Return total + a b, rounded once: in float64 the product is exact, and its 53 digits round a sum of two well."""
    with np.errstate(all="ignore"):
        made = (total.astype(np.float64) + a.astype(np.float64) * b.astype(np.float64)).astype(np.float32)
    return flushed(made) if flush else made


def pairs(x: Bits, w: Bits) -> tuple[Floats, Floats]:
    """Return x (rows, blocks, pairs, 2), w (blocks, pairs, 2, columns) as float32, zeros behind the end."""
    short = -x.shape[1] % TERMS
    wide, high = np.pad(to_floats(x), ((0, 0), (0, short))), np.pad(to_floats(w), ((0, short), (0, 0)))
    blocks = wide.shape[1] // TERMS
    return wide.reshape(len(x), blocks, TERMS // 2, 2), high.reshape(blocks, TERMS // 2, 2, w.shape[1])


def tdpbf16ps(x: Bits, w: Bits) -> Floats:
    """Return the product as AMX makes it, block of TERMS by block."""
    a, b = (flushed(v) for v in pairs(x, w))
    total = np.zeros((len(x), w.shape[1]), np.float32)
    for block in range(a.shape[1]):
        sums = [np.zeros_like(total), np.zeros_like(total)]
        for pair in range(a.shape[2]):
            for second in (0, 1):
                left, right = a[:, block, pair, second, None], b[block, pair, second]
                sums[second] = multiply_add(sums[second], left, right, True)
        with np.errstate(all="ignore"):
            total = flushed(flushed(total) + flushed(sums[0] + sums[1]))
    return total


def in_turn(x: Bits, w: Bits, order: tuple[int, int], flush: bool) -> Floats:
    """Return the product as vectors make it: pair by pair into one sum, in this order within a pair."""
    a, b = (flushed(v) if flush else v for v in pairs(x, w))
    total = np.zeros((len(x), w.shape[1]), np.float32)
    for block in range(a.shape[1]):
        for pair in range(a.shape[2]):
            for second in order:
                total = multiply_add(total, a[:, block, pair, second, None], b[block, pair, second], flush)
    return total


def vdpbf16ps(x: Bits, w: Bits) -> Floats:
    """Return the product as AVX512-BF16 makes it."""
    return in_turn(x, w, (1, 0), True)


def float32(x: Bits, w: Bits) -> Floats:
    """Return the product as float32's multiply-add makes it."""
    return in_turn(x, w, (0, 1), False)


TWINS: dict[str, Callable[[Bits, Bits], Floats]] = {"amx": tdpbf16ps, "avx512_bf16": vdpbf16ps, "float32": float32}
