"""Zeros around images, for the algorithms that do not find the borders themselves."""

from typing import Any

from numba import prange

from ...dispatch import kernel

NO_PADDING = ((0, 0), (0, 0))


def padded(k: Any, x: Any, padding: Any) -> Any:
    """Return x with its padding, or x itself where there is none."""
    return x if padding == NO_PADDING else k.pad(x, padding)


def grown(x: Any, padding: Any) -> list[Any]:
    """Return the shape of padded images."""
    (top, bottom), (left, right) = padding
    return [(*x.shape[:2], x.shape[2] + top + bottom, x.shape[3] + left + right)]


@kernel(backend="numba", double="numba", image="y x", out=grown)
def pad(y: Any, x: Any, padding: Any) -> None:
    """Write zeros around each image; a negative number of them cuts pixels off."""
    (top, _), (left, _) = padding
    n, h, w, c = y.shape
    to, rows = y.reshape(n * h, w * c), x.reshape(n * x.shape[1], x.shape[2] * c)
    for t in prange(n * h):
        i = t % h - top
        row = t // h * x.shape[1] + i
        begin = end = 0
        if 0 <= i < x.shape[1]:
            begin, end = max(0, left) * c, max(0, min(w, x.shape[2] + left)) * c
        inside, source = to[t, begin:end], rows[row, begin - left * c : end - left * c]
        for e in range(inside.size):
            inside[e] = source[e]
        for e in range(begin):
            to[t, e] = 0
        behind = to[t, max(begin, end) :]
        for e in range(behind.size):
            behind[e] = 0
