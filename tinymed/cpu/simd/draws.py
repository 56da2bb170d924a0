"""Random numbers as compiled loops: those of `tinymed.random`, by position.  Imported at first use.

Philox is computed for many blocks side by side, and logarithm, sine and cosine are polynomials: LLVM vectorises them,
and it cannot vectorise a call of libm's.
"""

from typing import Any

import numpy as np

from ... import random
from ..compiler.exact_loops import compiled
from ..compiler.jit import inline
from .elementary import log_of_parts
from .philox import BLOCKS, philox

f4, i4, u4, u8 = np.float32, np.int32, np.uint32, np.uint64
QUARTER, EIGHTH = u4(1 << 30), u4(1 << 29)  # of a turn, as words
UNIT, TURN = f4(2.0**-32), f4(np.pi / 2**31)


def ticket_words(seed: int, stream: int, step: int) -> np.ndarray:
    """Return uint64 [5]: seed low and high, stream, step low and high, as `philox` takes them."""
    seed &= 2**64 - 1
    return np.array([seed & random.MASK, seed >> 32, stream, step & random.MASK, step >> 32], u8)


@compiled
def draw_words(words: Any, ticket: Any, first: Any) -> None:
    """words[4 block + lane] = word `lane` of block first + block of the draw."""
    for block in range(words.size // 4):
        a, b, c, d = philox(u8(first + block), ticket[3], ticket[4], ticket[2], ticket[0], ticket[1])
        words[4 * block], words[4 * block + 1], words[4 * block + 2], words[4 * block + 3] = a, b, c, d


@inline
def minus_log(word: Any) -> Any:
    """Return -ln u of u = (word + 1/2) / 2^32, in float32 and exact near u = 1, where u itself would be rounded."""
    u, rest = (f4(word) + f4(0.5)) * UNIT, (f4(~word) + f4(0.5)) * UNIT
    bits = i4(f4(u).view(i4))
    n = f4(bits >> i4(23)) - f4(126)
    m = i4((bits & i4(0x007FFFFF)) | i4(0x3F000000)).view(f4)  # u = m 2^n, 1/2 <= m < 1
    low = f4(1) if m < f4(0.70710678) else f4(0)
    near = u > f4(0.70710678)
    return -log_of_parts(-rest if near else m * (f4(1) + low) - f4(1), f4(0) if near else n - low)


@inline
def turn_parts(word: Any) -> Any:
    """Return cos and sin of 2 pi u, u = (word + 1/2) / 2^32.

    The angle is brought to +-pi/4 in integers, which is exact; the polynomials are those of Cephes (sinf.c, 1989).
    """
    quarter = (word + EIGHTH) >> u4(30)
    x = (f4(i4(word - (quarter << u4(30)))) + f4(0.5)) * TURN
    z = x * x
    sine = ((f4(-1.9515295891e-4) * z + f4(8.3321608736e-3)) * z - f4(1.6666654611e-1)) * z * x + x
    cosine = ((f4(2.443315711809948e-5) * z - f4(1.388731625493765e-3)) * z + f4(4.166664568298827e-2)) * z * z
    cosine = cosine - f4(0.5) * z + f4(1)
    swapped, quarter = quarter & u4(1), quarter & u4(3)
    c, s = sine if swapped else cosine, cosine if swapped else sine
    return -c if quarter == u4(1) or quarter == u4(2) else c, -s if quarter >= u4(2) else s


@inline
def normal_pair(radius_word: Any, angle_word: Any) -> Any:
    """Return two standard normal numbers by Box and Muller's rule."""
    radius = f4(np.sqrt(f4(2) * minus_log(radius_word)))
    cosine, sine = turn_parts(angle_word)
    return radius * cosine, radius * sine


@compiled
def draw_uniform(values: Any, words: Any, block: Any, ticket: Any, low: Any, width: Any) -> None:
    """values[4 b + lane] = low + width u of word `lane` of block b of the draw, in float64 and rounded once.

    words: uint32 [8, BLOCKS], scratch, of which four rows are used.
    """
    w0, w1, w2, w3 = words[0], words[1], words[2], words[3]
    blocks = values.size // 4
    for start in range(0, blocks, w0.size):
        count = min(w0.size, blocks - start)
        for i in range(count):
            counter = u8(block + start + i)
            w0[i], w1[i], w2[i], w3[i] = philox(counter, ticket[3], ticket[4], ticket[2], ticket[0], ticket[1])
        for i in range(count):
            first = 4 * (start + i)
            values[first] = f4(low + width * ((w0[i] + 0.5) * 2.0**-32))
            values[first + 1] = f4(low + width * ((w1[i] + 0.5) * 2.0**-32))
            values[first + 2] = f4(low + width * ((w2[i] + 0.5) * 2.0**-32))
            values[first + 3] = f4(low + width * ((w3[i] + 0.5) * 2.0**-32))


@compiled
def draw_normal(values: Any, words: Any, block: Any, ticket: Any, mean: Any, deviation: Any) -> None:
    """values[4 b + lane] = mean + deviation times number `lane` of block b of the draw, from a block on.

    words: uint32 [8, BLOCKS], scratch: four rows of words, and four of the numbers that they give.
    """
    w0, w1, w2, w3 = words[0], words[1], words[2], words[3]
    n0, n1, n2, n3 = words[4].view(f4), words[5].view(f4), words[6].view(f4), words[7].view(f4)
    blocks = values.size // 4
    for start in range(0, blocks, w0.size):
        count = min(w0.size, blocks - start)
        for i in range(count):
            counter = u8(block + start + i)
            w0[i], w1[i], w2[i], w3[i] = philox(counter, ticket[3], ticket[4], ticket[2], ticket[0], ticket[1])
        for i in range(count):
            n0[i], n1[i] = normal_pair(w0[i], w1[i])
        for i in range(count):
            n2[i], n3[i] = normal_pair(w2[i], w3[i])
        for i in range(count):
            first = 4 * (start + i)
            values[first], values[first + 1] = mean + deviation * n0[i], mean + deviation * n1[i]
            values[first + 2], values[first + 3] = mean + deviation * n2[i], mean + deviation * n3[i]


def words_of(count: int, seed: int, stream: int, step: int, first: int = 0) -> np.ndarray:
    """Return uint32 words of one draw, from number `first`, a multiple of 4: as many whole blocks as hold `count`."""
    words = np.empty(-(-count // 4) * 4, np.uint32)
    draw_words(words, ticket_words(seed, stream, step), first // 4)
    return words


def write_uniform(values: np.ndarray, first: int, ticket: tuple[int, int, int], low: float, high: float) -> None:
    """Write the numbers of `random.write_uniform`: the same bits."""
    write_blocks(draw_uniform, values, first, ticket, float(low), float(high) - float(low))


def write_normal(values: np.ndarray, first: int, ticket: tuple[int, int, int], mean: float, std: float) -> None:
    """Write the numbers of `random.write_normal`: the same bits."""
    write_blocks(draw_normal, values, first, ticket, f4(mean), f4(std))


def write_blocks(draw: Any, values: np.ndarray, first: int, ticket: tuple[int, int, int], *scale: Any) -> None:
    """Write whole blocks of a draw in place, and what is needed of the blocks at both ends."""
    scratch, words, last = np.empty((8, BLOCKS), np.uint32), ticket_words(*ticket), first + values.size
    start, end = -(-first // 4) * 4, last // 4 * 4
    if start < end:
        draw(values[start - first : end - first], scratch, start // 4, words, *scale)
    for low, high in ((first, min(start, last)), (max(end, start), last)):
        if low < high:
            block = np.empty(4, np.float32)
            draw(block, scratch, low // 4, words, *scale)
            values[low - first : high - first] = block[low % 4 : low % 4 + high - low]
