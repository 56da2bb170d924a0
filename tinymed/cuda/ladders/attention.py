"""The ladder of attention of one head: csrc/ladders/attention_*.cu."""

from typing import Any

import numpy as np

from ...dispatch import kernel
from .rung import Ladder, Problem, Rung, normal, own, widened

QUERIES, KEYS, BLOCKS = 32, 64, 256  # of a block, of a tile, and blocks that are enough for a GPU


def attended(q: Any, k: Any, v: Any) -> list[Any]:
    """Return the shape of the queries: keys and values have as many numbers."""
    return [q.shape]


def products(q: Any, k: Any, v: Any) -> float:
    """Return the multiplications and additions of both products."""
    return float(4 * q.size * k.shape[2])


def square(q: Any, k: Any, v: Any) -> list[Any]:
    """Return the workspace of all scores."""
    return [(q.shape[2], k.shape[2])]


def parts(q: Any, k: Any, v: Any) -> list[Any]:
    """Return the workspace of the parts: for each query its sums, its largest score and its total."""
    tiles, blocks = -(-k.shape[2] // KEYS), max(1, -(-q.shape[2] // QUERIES))
    return [(max(1, min(tiles, BLOCKS // blocks)), q.shape[2], q.shape[3] + 2)]


attends = kernel(backend="csrc", out=attended, flops=products)


@kernel(backend="csrc", out=attended, flops=products, work=square)
def attention_1_naive(y: Any, scores: Any, q: Any, k: Any, v: Any) -> None:
    """Store all scores."""


@attends
def attention_2_online(y: Any, q: Any, k: Any, v: Any) -> None:
    """Launch a warp for each query, with an online softmax."""


@attends
def attention_3_tiles(y: Any, q: Any, k: Any, v: Any) -> None:
    """Bring tiles of keys and values into shared memory."""


@attends
def attention_4_registers(y: Any, q: Any, k: Any, v: Any) -> None:
    """4 x 4 scores a thread."""


@kernel(backend="csrc", out=attended, flops=products, work=parts)
def attention_5_split(y: Any, partial: Any, q: Any, k: Any, v: Any) -> None:
    """Launch a block for each part of the keys, then merge."""


def head(rng: np.random.Generator, queries: int, keys: int, size: int) -> Problem:
    """(q, k, v) of one image and one head."""
    return normal(rng, 1, 1, queries, size), normal(rng, 1, 1, keys, size), normal(rng, 1, 1, keys, size)


def attention_in_float64(q: Any, k: Any, v: Any) -> Any:
    """Return what the rungs compute."""
    q, k, v = widened(q), widened(k), widened(v)
    scores = q @ k.swapaxes(2, 3) / np.sqrt(q.shape[3])
    raised = np.exp(scores - scores.max(3, keepdims=True))
    return raised / raised.sum(3, keepdims=True) @ v


ATTENTION = Ladder(
    (
        own("attention_1_naive", "attention_1_naive_cu.*scores_kernel"),
        own("attention_2_online"),
        own("attention_3_tiles"),
        own("attention_4_registers"),
        own("attention_5_split", "attention_5_split_cu.*part_kernel"),
        Rung(
            "attention_forward",
            "attention_kernelILNS.*RoleE0E",
            "attention.cu",
            lambda q, k, v: (q, k, v, None, None, float(q.shape[3] ** -0.5), False, 0, 1.0),
            "attention_forward",
        ),
    ),
    head,
    (64, 256, 64),
    (2048, 2048, 64),
    attention_in_float64,
)
