"""Normal random numbers of images: those of `tinymed.random.normal` to rounding.  Imported at first use."""

from typing import Any

import numpy as np

from ...cpu.compiler.exact_loops import compiled
from ...cpu.simd.draws import minus_log, turn_parts, words_of

f4 = np.float32


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
