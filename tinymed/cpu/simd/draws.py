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
from .philox import philox

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


@compiled
def scale_uniform(values: Any, words: Any, low: Any, width: Any) -> None:
    """values = low + width u, u = (word + 1/2) / 2^32 in float64: the bits of its definition, rounded once."""
    for i in range(values.size):
        values[i] = f4(low + width * ((words[i] + 0.5) * 2.0**-32))


@compiled
def scale_normal(values: Any, radii: Any, angles: Any, second: Any, mean: Any, deviation: Any) -> None:
    """values = mean + deviation times the first, or the second, number of each pair of Box and Muller."""
    for i in range(values.size):
        cosine, sine = turn_parts(angles[i])
        values[i] = mean + deviation * (f4(np.sqrt(f4(2) * minus_log(radii[i]))) * (sine if second else cosine))


def words_of(count: int, seed: int, stream: int, step: int, first: int = 0) -> np.ndarray:
    """Return uint32 words of one draw, from number `first`, a multiple of 4: as many whole blocks as hold `count`."""
    words = np.empty(-(-count // 4) * 4, np.uint32)
    draw_words(words, ticket_words(seed, stream, step), first // 4)
    return words


def words_at(first: int, count: int, ticket: tuple[int, int, int]) -> np.ndarray:
    """Return uint32 [count], the words of one draw from any number on."""
    lead = first % 4
    return words_of(lead + count, *ticket, first=first - lead)[lead : lead + count]


class Uniform:
    """Numbers of `low + (high - low) random.uniform(count, *ticket)` by position, in float32: the same bits."""

    def __init__(self, ticket: tuple[int, int, int], low: float, high: float):
        self.ticket, self.low, self.width = ticket, low, high - low

    def write(self, values: np.ndarray, first: int) -> None:
        """Write the numbers from number `first` on into a vector."""
        scale_uniform(values, words_at(first, values.size, self.ticket), float(self.low), float(self.width))


class Normal:
    """Numbers of `mean + std random.normal(count, *ticket)` by position, in float32: within 1e-6 deviations.

    count: of the whole draw, whose first half are the cosines of its pairs and whose second half their sines.
    """

    def __init__(self, ticket: tuple[int, int, int], count: int, mean: float, std: float):
        self.ticket, self.pairs, self.mean, self.std = ticket, (count + 1) // 2, f4(mean), f4(std)

    def write(self, values: np.ndarray, first: int) -> None:
        """Write the numbers from number `first` on into a vector."""
        middle = min(max(self.pairs - first, 0), values.size)
        for part, start, second in ((values[:middle], first, False), (values[middle:], first + middle, True)):
            if part.size:
                pair = start - self.pairs if second else start
                radii = words_at(pair, part.size, self.ticket)
                angles = words_at(self.pairs + pair, part.size, self.ticket)
                scale_normal(part, radii, angles, second, self.mean, self.std)
