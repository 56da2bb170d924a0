"""Connected components: which pixels of a mask hang together."""

from itertools import product

import numpy as np


def components(mask: np.ndarray, diagonal: bool = False) -> np.ndarray:
    """Return the connected components of a mask: int32 of its shape, 0 outside, then 1, 2, ... by their first pixels.

    Pixels hang together by faces, or with `diagonal` by edges and corners too (8 neighbours in the plane, 26 in space).
    Runs along the last axis are joined by union-find.  Rosenfeld and Pfaltz, J. ACM 13, 1966.
    """
    inside = np.asarray(mask, bool)
    if not inside.any():
        return np.zeros(inside.shape, np.int32)
    begins = inside.copy()
    begins[..., 1:] &= ~inside[..., :-1]
    run = np.cumsum(begins.ravel()).reshape(inside.shape) * inside  # 1, 2, ... numbers the runs
    parent = np.arange(int(run.max()) + 1)
    for a, b in touching(run, diagonal):
        join(parent, a, b)
    while not np.array_equal(parent, parent[parent]):
        parent = parent[parent]
    roots = np.unique(parent[1:])
    number = np.zeros(len(parent), np.int32)
    number[roots] = np.arange(1, len(roots) + 1)
    numbered: np.ndarray = number[parent[run]]
    return numbered


def touching(run: np.ndarray, diagonal: bool) -> list[tuple[int, int]]:
    """Return the different pairs of runs that are neighbours."""
    pairs = []
    for step in product((-1, 0, 1), repeat=run.ndim):
        if not any(step[:-1]) or step < (0,) * run.ndim or (not diagonal and np.abs(step).sum() > 1):
            continue
        here = tuple(slice(max(0, -s), run.shape[i] - max(0, s)) for i, s in enumerate(step))
        there = tuple(slice(max(0, s), run.shape[i] - max(0, -s)) for i, s in enumerate(step))
        a, b = run[here].ravel(), run[there].ravel()
        both = (a > 0) & (b > 0)
        pairs.append(np.unique(a[both].astype(np.int64) << 32 | b[both]))
    found = np.unique(np.concatenate(pairs)) if pairs else np.zeros(0, np.int64)
    return list(zip((found >> 32).tolist(), (found & 0xFFFFFFFF).tolist(), strict=True))


def join(parent: np.ndarray, a: int, b: int) -> None:
    """Put two runs into one tree, under the smaller root."""
    while parent[a] != a:
        parent[a] = parent[parent[a]]
        a = parent[a]
    while parent[b] != b:
        parent[b] = parent[parent[b]]
        b = parent[b]
    parent[max(a, b)] = min(a, b)
