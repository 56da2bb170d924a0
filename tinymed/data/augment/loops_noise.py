"""Normal random numbers as compiled loops: those of `tinymed.random.normal`, by position, to rounding.

Imported at first use.  Philox is computed for many blocks side by side, and logarithm, sine and cosine are polynomials:
LLVM vectorises them, and it cannot vectorise a call of libm's.
"""

from typing import Any

import numpy as np

from ... import random
from ...cpu.compiler.jit import inline
from ...cpu.simd.elementary import log_of_parts
from ...cpu.simd.philox import philox
from .compiled import compiled

f4, i4, u4, u8 = np.float32, np.int32, np.uint32, np.uint64
QUARTER, EIGHTH = u4(1 << 30), u4(1 << 29)  # of a turn, as words
UNIT, TURN = f4(2.0**-32), f4(np.pi / 2**31)


def ticket_words(seed: int, stream: int, step: int) -> np.ndarray:
    """Return uint64 [5]: seed low and high, stream, step low and high, as `philox` takes them."""
    seed &= 2**64 - 1
    return np.array([seed & random.MASK, seed >> 32, stream, step & random.MASK, step >> 32], u8)


@compiled
def draw_words(words: Any, ticket: Any) -> None:
    """words[4 block + lane] = word `lane` of a block of the draw."""
    for block in range(words.size // 4):
        a, b, c, d = philox(u8(block), ticket[3], ticket[4], ticket[2], ticket[0], ticket[1])
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


@compiled
def noise_of_words(noise: Any, words: Any, deviation: Any) -> None:
    """noise = deviation times normal numbers: radius by the first half of the words, angle by the second."""
    pairs = noise.size // 2
    for p in range(pairs):
        radius = deviation * f4(np.sqrt(f4(2) * minus_log(words[p])))
        cosine, sine = turn_parts(words[pairs + p])
        noise[p] = radius * cosine
        noise[pairs + p] = radius * sine


@compiled
def normal_of_words(normal: Any, words: Any) -> None:
    """Write standard normal numbers in float64: radius by the first half of the words, angle by the second."""
    pairs = normal.size // 2
    for p in range(pairs):
        radius = np.sqrt(-2 * np.log((words[p] + 0.5) / 2.0**32))
        angle = 2 * np.pi * ((words[pairs + p] + 0.5) / 2.0**32)
        normal[p], normal[pairs + p] = radius * np.cos(angle), radius * np.sin(angle)


def words_of(count: int, seed: int, stream: int, step: int) -> np.ndarray:
    """Return uint32 words of one draw, as many whole blocks as hold `count`."""
    words = np.empty(-(-count // 4) * 4, np.uint32)
    draw_words(words, ticket_words(seed, stream, step))
    return words


def normal(count: int, seed: int, stream: int, step: int = 0) -> np.ndarray:
    """Return float64 [count], random.normal(count, seed, stream, step) to rounding."""
    found = np.empty(count + count % 2)
    normal_of_words(found, words_of(found.size, seed, stream, step))
    return found[:count]


def noise(count: int, deviation: float, seed: int, stream: int, step: int = 0) -> np.ndarray:
    """Return float32 [count], deviation times random.normal(count, seed, stream, step), within 1e-6 deviations."""
    found = np.empty(count + count % 2, np.float32)
    noise_of_words(found, words_of(found.size, seed, stream, step), f4(deviation))
    return found[:count]
