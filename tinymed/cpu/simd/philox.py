"""Philox4x32-10 as LLVM vectorises it: many blocks of one draw side by side.  The definition is tinymed/random.py."""

from typing import Any

import numpy as np

from ...random import MASK, MULTIPLIERS, ROUNDS, WEYL
from ..compiler.jit import inline, serial

u4, u8 = np.uint32, np.uint64
M0, M1, W0, W1, LOW, HIGH = (u8(v) for v in (*MULTIPLIERS, *WEYL, MASK, 32))
BLOCKS = 256  # drawn at a time: 4 KiB of words, which stay in the first-level cache
WORDS = 4 * BLOCKS


@inline
def philox(c0: Any, c1: Any, c2: Any, c3: Any, k0: Any, k1: Any) -> Any:
    """Return the four words of one counter; every argument is a 32-bit number in a uint64, where products are exact."""
    for _ in range(ROUNDS):
        p0, p1 = M0 * c0, M1 * c2
        c0, c1, c2, c3 = (p1 >> HIGH) ^ c1 ^ k0, p1 & LOW, (p0 >> HIGH) ^ c3 ^ k1, p0 & LOW
        k0, k1 = (k0 + W0) & LOW, (k1 + W1) & LOW
    return u4(c0), u4(c1), u4(c2), u4(c3)


@serial
def draw(words: Any, first: Any, ticket: Any) -> None:
    """Write words[lane, i] = word `lane` of block first + i."""
    w0, w1, w2, w3 = words[0], words[1], words[2], words[3]
    k0, k1, stream, low, high = u8(ticket[0]), u8(ticket[1]), u8(ticket[2]), u8(ticket[3]), u8(ticket[4])
    for i in range(w0.size):
        w0[i], w1[i], w2[i], w3[i] = philox(u8(first + i), low, high, stream, k0, k1)


@serial
def take_ticket(ticket: Any, state: Any) -> None:
    """Copy the generator's state, and advance it to its next draw."""
    for i in range(5):
        ticket[i] = state[i]
    step = (u8(state[3]) | u8(state[4]) << HIGH) + u8(1)
    state[3], state[4] = u4(step & LOW), u4(step >> HIGH)
