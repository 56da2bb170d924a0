"""Philox4x32-10: random numbers as a pure function of (seed, stream, step, position).

A counter-based generator has no hidden state to lose: the number drawn at a position does not depend on which
thread, worker or backend asks for it, nor on what was drawn before.  Salmon et al., "Parallel random numbers: as
easy as 1, 2, 3", SC 2011.

    key     = (seed low, seed high)
    counter = (block, step low, step high, stream);  one block gives four 32-bit words

`stream` says what the numbers are for (the constants below), `step` counts draws of that kind, and the block is the
position in one draw divided by four.
"""

import operator
from typing import Any

import numpy as np

from . import devices

__all__ = [
    "Generator",
    "bits",
    "manual_seed",
    "normal",
    "permutation",
    "philox4x32",
    "uniform",
    "write_normal",
    "write_uniform",
]

# What numbers are drawn for.  Two purposes never share a stream, so adding one does not move the others.
DROPOUT, INITIALISE, SHUFFLE, AUGMENT, SPLIT, SYNTHETIC, BOOTSTRAP, NOISE, ELASTIC, PATCHES = range(10)
GIBBS, CORRUPTION, TRIPLETS, CLUSTERS, LATENT, TRIVIAL = range(10, 16)

# Polynomials of S. Moshier's Cephes library, highest power first: of ln(1 + m) - m + m^2 / 2, of sine and of cosine.
LOG = (
    *(7.0376836292e-2, -1.1514610310e-1, 1.1676998740e-1, -1.2420140846e-1, 1.4249322787e-1, -1.6668057665e-1),
    *(2.0000714765e-1, -2.4999993993e-1, 3.3333331174e-1),
)
LN2 = (0.693359375, -2.12194440e-4)  # ln 2 in two parts, the first with few bits
SINE = (-1.9515295891e-4, 8.3321608736e-3, -1.6666654611e-1)
COSINE = (2.443315711809948e-5, -1.388731625493765e-3, 4.166664568298827e-2)

ROUNDS = 10
MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
WEYL = (0x9E3779B9, 0xBB67AE85)
MASK = 0xFFFFFFFF


def philox4x32(xp: Any, counter: tuple[Any, Any, Any, Any], key: tuple[Any, Any]) -> tuple[Any, Any, Any, Any]:
    """Return four 32-bit words for each 128-bit counter under a 64-bit key: the published Philox4x32-10.

    Args:
        xp: The array module, NumPy or CuPy.
        counter: Four integer arrays that broadcast, each taken as uint32.
        key: Two integers, each taken as uint32.

    Returns:
        Four uint32 arrays.

    Example:
        >>> [hex(int(word)) for word in philox4x32(np, (0, 0, 0, 0), (0, 0))]
        ['0x6627e8d5', '0xe169c58d', '0xbc57ac4c', '0x9b00dbd8']

    Reference:
        Salmon, Moraes, Dror & Shaw, SC 2011; the example is its known answer.
    """
    c0, c1, c2, c3 = (xp.asarray(c).astype(xp.uint64) for c in counter)
    k0, k1 = (xp.asarray(k).astype(xp.uint64) for k in key)
    m0, m1, mask, shift = (xp.uint64(v) for v in (*MULTIPLIERS, MASK, 32))
    w0, w1 = (xp.uint64(w) for w in WEYL)
    for _ in range(ROUNDS):
        p0, p1 = m0 * c0, m1 * c2  # 32 x 32 -> 64 bits: exact in uint64
        c0, c1, c2, c3 = (p1 >> shift) ^ c1 ^ k0, p1 & mask, (p0 >> shift) ^ c3 ^ k1, p0 & mask
        k0, k1 = (k0 + w0) & mask, (k1 + w1) & mask
    return c0.astype(xp.uint32), c1.astype(xp.uint32), c2.astype(xp.uint32), c3.astype(xp.uint32)


def words(xp: Any, count: int, seed: Any, stream: Any, step: Any, block: int = 0) -> Any:
    """Return `count` uint32 words of one draw from a block on.  seed and step are 64-bit, stream 32-bit."""
    low, high = xp.uint64(MASK), xp.uint64(32)
    seed, step = xp.asarray(seed).astype(xp.uint64), xp.asarray(step).astype(xp.uint64)
    blocks = xp.arange(block, block + (count + 3) // 4, dtype=xp.uint64)
    counter = (blocks, step & low, step >> high, xp.asarray(stream).astype(xp.uint64))
    four = philox4x32(xp, counter, (seed & low, seed >> high))
    return xp.stack(xp.broadcast_arrays(*four), axis=-1).reshape(-1)[:count]


def bits(count: int, seed: int, stream: int, step: int = 0) -> np.ndarray:
    """Draw random words.

    Args:
        count: How many.
        seed: 64-bit integer.
        stream: What the numbers are for, one of this module's constants.
        step: Random counter of the draw, 64-bit.

    Returns:
        uint32 [count], a function of the arguments alone.

    Example:
        >>> bits(2, seed=0, stream=SHUFFLE).dtype, bits(2, 0, SHUFFLE).tolist() == bits(4, 0, SHUFFLE)[:2].tolist()
        (dtype('uint32'), True)
    """
    found: np.ndarray = words(np, count, np.uint64(seed & (2**64 - 1)), np.uint64(stream), np.uint64(step))
    return found


def uniform(count: int, seed: int, stream: int, step: int = 0) -> np.ndarray:
    """Draw uniform numbers in (0, 1): (word + 0.5) / 2^32, so neither end is ever drawn.

    Args:
        count: How many.
        seed: 64-bit integer.
        stream: What the numbers are for, one of this module's constants.
        step: Random counter of the draw, 64-bit.

    Returns:
        float64 [count].

    Example:
        >>> u = uniform(1000, seed=0, stream=SHUFFLE)
        >>> bool(u.min() > 0), bool(u.max() < 1), bool(abs(u.mean() - 0.5) < 0.05)
        (True, True, True)
    """
    return (bits(count, seed, stream, step) + 0.5) / 2.0**32


def normal(count: int, seed: int, stream: int, step: int = 0) -> np.ndarray:
    """Draw standard normal numbers.

    Args:
        count: How many.
        seed: 64-bit integer.
        stream: What the numbers are for, one of this module's constants.
        step: Random counter of the draw, 64-bit.

    Returns:
        float64 [count].

    Example:
        >>> bool(abs(normal(1000, seed=0, stream=NOISE).std() - 1) < 0.1)
        True

    Reference:
        Box & Muller, Annals of Mathematical Statistics 29, 1958.
    """
    pairs = (count + 1) // 2
    u = uniform(2 * pairs, seed, stream, step).reshape(2, pairs)
    radius, angle = np.sqrt(-2 * np.log(u[0])), 2 * np.pi * u[1]
    return np.concatenate([radius * np.cos(angle), radius * np.sin(angle)])[:count]


def words_at(first: int, count: int, ticket: tuple[int, int, int]) -> np.ndarray:
    """Return uint32 [count], the words of one draw from any position on."""
    lead = first % 4
    seed, stream, step = ticket
    found: np.ndarray = words(np, lead + count, np.uint64(seed), np.uint64(stream), np.uint64(step), first // 4)[lead:]
    return found


def write_uniform(values: np.ndarray, first: int, ticket: tuple[int, int, int], low: float, high: float) -> None:
    """Write uniform numbers in float32: low + (high - low) (word + 0.5) / 2^32, computed in float64 and rounded once.

    Args:
        values: float32 [count], written.
        first: The position in the draw of the first of them.
        ticket: Seed, stream and step of the draw, as `Generator.ticket` gives them.
        low: The lower end.
        high: The upper end.

    Example:
        >>> values = np.empty(3, np.float32)
        >>> write_uniform(values, 5, (7, NOISE, 0), 0.0, 1.0)
        >>> bool((values == uniform(8, 7, NOISE)[5:].astype(np.float32)).all())
        True
    """
    values[...] = low + (high - low) * ((words_at(first, values.size, ticket) + 0.5) * 2.0**-32)


def write_normal(values: np.ndarray, first: int, ticket: tuple[int, int, int], mean: float, std: float) -> None:
    """Write normal numbers in float32, by sums, products and roots alone, which are rounded alike everywhere.

    The four words of a block are two pairs (radius, angle), which give the four numbers of the same positions: so a
    number depends on its position, and not on how many are drawn.  It is within 1e-6 deviations of the exact one.

    Args:
        values: float32 [count], written.
        first: The position in the draw of the first of them.
        ticket: Seed, stream and step of the draw, as `Generator.ticket` gives them.
        mean: Their mean.
        std: Their standard deviation.

    Example:
        >>> few, many = np.empty(2, np.float32), np.empty(7, np.float32)
        >>> write_normal(few, 5, (7, NOISE, 0), 0.0, 1.0)
        >>> write_normal(many, 0, (7, NOISE, 0), 0.0, 1.0)
        >>> bool((few == many[5:]).all())
        True

    Reference:
        Box & Muller, Annals of Mathematical Statistics 29, 1958.
    """
    lead = first % 4
    pairs = words_at(first - lead, -(-(lead + values.size) // 4) * 4, ticket).reshape(-1, 2)
    radius = np.sqrt(np.float32(2) * minus_log(pairs[:, 0]))
    numbers = (radius[:, None] * np.stack(turn_parts(pairs[:, 1]), axis=1)).reshape(-1)
    values[...] = np.float32(mean) + np.float32(std) * numbers[lead : lead + values.size]


def minus_log(word: np.ndarray) -> np.ndarray:
    """Return -ln u of u = (word + 1/2) / 2^32, in float32 and exact near u = 1, where u itself would be rounded.

    The polynomial is that of S. Moshier's Cephes library (logf.c, 1989).
    """
    f4 = np.float32
    u, rest = ((w.astype(f4) + f4(0.5)) * f4(2.0**-32) for w in (word, ~word))
    m, n = np.frexp(u)
    low = (m < f4(0.70710678)).astype(f4)
    near = u > f4(0.70710678)
    m, n = np.where(near, -rest, m * (f4(1) + low) - f4(1)), np.where(near, f4(0), n.astype(f4) - low)
    p = f4(LOG[0]) * m + f4(LOG[1])
    for coefficient in LOG[2:]:
        p = p * m + f4(coefficient)
    square = m * m
    found: np.ndarray = -(m + (n * f4(LN2[1]) + (p * m * square - f4(0.5) * square)) + n * f4(LN2[0]))
    return found


def turn_parts(word: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return cos and sin of 2 pi u, u = (word + 1/2) / 2^32, in float32.

    The angle is brought to +-pi/4 in integers, which is exact; the polynomials are those of Cephes (sinf.c, 1989).
    """
    f4, u4 = np.float32, np.uint32
    quarter = (word + u4(1 << 29)) >> u4(30)
    x = ((word - (quarter << u4(30))).view(np.int32).astype(f4) + f4(0.5)) * f4(np.pi / 2**31)
    z = x * x
    sine = ((f4(SINE[0]) * z + f4(SINE[1])) * z + f4(SINE[2])) * z * x + x
    cosine = ((f4(COSINE[0]) * z + f4(COSINE[1])) * z + f4(COSINE[2])) * z * z - f4(0.5) * z + f4(1)
    swapped, quarter = (quarter & u4(1)).astype(bool), quarter & u4(3)
    c, s = np.where(swapped, sine, cosine), np.where(swapped, cosine, sine)
    return np.where((quarter == 1) | (quarter == 2), -c, c), np.where(quarter >= 2, -s, s)


def permutation(count: int, seed: int, stream: int, step: int = 0) -> np.ndarray:
    """Draw a random order of 0 ... count - 1: the stable sort of 64-bit random keys.

    Args:
        count: How many.
        seed: 64-bit integer.
        stream: What the order is for, one of this module's constants.
        step: Random counter of the draw, 64-bit.

    Returns:
        int64 [count].

    Example:
        >>> sorted(permutation(4, seed=0, stream=SHUFFLE).tolist())
        [0, 1, 2, 3]
    """
    keys = bits(2 * count, seed, stream, step).astype(np.uint64)
    return np.argsort(keys[::2] << np.uint64(32) | keys[1::2], kind="stable")


class Generator:
    """A seed and a random counter, as one array, so that a kernel can advance it in place.

    As `torch.Generator`, by Philox.  `state` is uint32 [5]: seed low, seed high, stream, step low, step high; a
    captured
    program reads it anew each time.  A GPU has a copy of its own, which its kernels advance: each device counts its
    own
    draws.

    Args:
        seed: 64-bit integer.
        stream: What the numbers are for, one of this module's constants.

    Raises:
        ValueError: The seed is outside 0 to 2^64 - 1.

    Example:
        >>> generator = Generator(seed=7)
        >>> generator.ticket(), generator.ticket()
        ((7, 0, 0), (7, 0, 1))
    """

    def __init__(self, seed: int = 0, stream: int = DROPOUT):
        self.state = np.zeros(5, np.uint32)
        self.state[2] = stream
        self.on_gpu: Any = None  # made when a kernel there first draws
        self.manual_seed(seed)

    def manual_seed(self, seed: int) -> None:
        """Start again: the same seed gives the same draws."""
        seed = operator.index(seed)
        if not 0 <= seed < 2**64:
            raise ValueError(f"manual_seed: a seed is an integer from 0 to 2^64 - 1, got {seed}")
        self.set_state(np.array([seed & MASK, seed >> 32, self.state[2], 0, 0], np.uint32))

    def beside(self, a: Any) -> Any:
        """Return the state on the device of an array, for a kernel that takes both."""
        if devices.of(a) == "cpu":
            return self.state
        if self.on_gpu is None:
            self.on_gpu = devices.move(self.state, "cuda")
        return self.on_gpu

    def get_state(self) -> np.ndarray:
        """Return a copy of the state that draws, which is the GPU's where it has drawn."""
        words: np.ndarray = devices.move(self.state if self.on_gpu is None else self.on_gpu, "cpu")
        return words.copy()

    def set_state(self, words: np.ndarray) -> None:
        """Go on from what get_state returned, on every device."""
        self.state[:] = words
        if self.on_gpu is not None:
            self.on_gpu[...] = devices.move(self.state, "cuda")

    def ticket(self) -> tuple[int, int, int]:
        """Return the random counter (seed, stream, step) of the next draw; the step is then taken."""
        seed, stream, step = split_state(self.state)
        self.state[3:] = (step + 1) & MASK, (step + 1) >> 32
        return seed, stream, step


def split_state(state: np.ndarray) -> tuple[int, int, int]:
    """Return (seed, stream, step) as integers."""
    s0, s1, stream, t0, t1 = (int(v) for v in state)
    return s0 | s1 << 32, stream, t0 | t1 << 32


default_generator = Generator(0, DROPOUT)
init_generator = Generator(0, INITIALISE)


def manual_seed(seed: int) -> None:
    """Seed dropout and parameter initialisation.

    As `torch.manual_seed`; the numbers drawn are not PyTorch's.  Data order and augmentation take their own seed
    argument.

    Args:
        seed: Integer from 0 to 2^64 - 1.

    Raises:
        ValueError: The seed is out of range.

    Example:
        >>> tinymed.manual_seed(1)
        >>> a = tinymed.nn.Linear(3, 2).weight
        >>> tinymed.manual_seed(1)
        >>> bool((a.array == tinymed.nn.Linear(3, 2).weight.array).all())
        True
    """
    default_generator.manual_seed(seed)
    init_generator.manual_seed(seed)
