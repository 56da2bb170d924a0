"""Random numbers for many images at once: row i is what image i would draw alone."""

import numpy as np

from .. import random


def word_rows(count: int, seed: int, stream: int, step_low: np.ndarray, step_high: int = 0) -> np.ndarray:
    """Return uint32 [n, count]; row i is random.bits(count, seed, stream, step_high << 32 | step_low[i])."""
    seed &= 2**64 - 1
    counter = (np.arange((count + 3) // 4), np.asarray(step_low, np.uint64)[:, None], step_high, stream)
    four = random.philox4x32(np, counter, (seed & random.MASK, seed >> 32))
    blocks = np.stack(np.broadcast_arrays(*four), axis=-1)
    words: np.ndarray = blocks.reshape(len(step_low), blocks.shape[1] * 4)[:, :count]
    return words


def uniform_rows(count: int, seed: int, stream: int, step_low: np.ndarray, step_high: int = 0) -> np.ndarray:
    """Return float64 [n, count] in (0, 1), a row per step.

    Row i is random.uniform(count, seed, stream, step_high << 32 | step_low[i]).
    """
    rows: np.ndarray = (word_rows(count, seed, stream, step_low, step_high) + 0.5) / 2.0**32
    return rows


def normal_rows(count: int, seed: int, stream: int, step_low: np.ndarray, step_high: int = 0) -> np.ndarray:
    """Return standard normal float64 [n, count], a row per step, by Box and Muller's rule as `random.normal`."""
    pairs = uniform_rows(2 * ((count + 1) // 2), seed, stream, step_low, step_high).reshape(len(step_low), 2, -1)
    radius, angle = np.sqrt(-2 * np.log(pairs[:, 0])), 2 * np.pi * pairs[:, 1]
    return np.concatenate([radius * np.cos(angle), radius * np.sin(angle)], axis=1)[:, :count]
