"""Errors of segmented membranes, as the challenge of ISBI 2012 measures them: of Rand, and of warping.

Both ask whether cells are told apart, and not where exactly a border runs.
"""

import heapq
from collections.abc import Iterator
from functools import cache

import numpy as np

__all__ = ["rand_error", "separated", "warping_error"]

AROUND = ((-1, -1), (-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1))  # the neighbours of a pixel, in turn


def rand_error(truth: np.ndarray, prediction: np.ndarray) -> float:
    """Compute the adapted Rand error of two label images: 1 - F of the pairs of pixels that lie in one object.

    Of all pairs of two pixels inside true objects, p are in one object of both images, s in one of the prediction, and
    t in one of the truth; the error is 1 - 2 p / (s + t).  Pixels outside the true objects do not count, and what the
    prediction leaves outside is taken as one object, as scikit-image's `adapted_rand_error` does.

    Args:
        truth: Integers of any shape: 0 outside, else an object's number.
        prediction: Integers of the same shape.

    Returns:
        A number from 0 to 1; 0 where there is no true object, since there is nothing to tell apart.

    Raises:
        ValueError: The shapes differ, or a number is negative.

    Example:
        >>> rand_error(np.array([1, 1, 2, 2, 0]), np.array([1, 1, 1, 1, 1]))  # 2 pairs of the truth, 6 of the other
        0.5

    Reference:
        Arganda-Carreras et al., Frontiers in Neuroanatomy 9, 2015.
    """
    t, p = checked("rand_error", truth, prediction)
    inside = t > 0
    if not inside.any():
        return 0.0
    _, a = np.unique(t[inside], return_inverse=True)
    names, b = np.unique(p[inside], return_inverse=True)
    _, both = np.unique(a * np.int64(len(names)) + b, return_counts=True)
    pairs, of_truth, of_other = (float((n * (n - 1.0)).sum()) for n in (both, np.bincount(a), np.bincount(b)))
    return 1 - 2 * pairs / (of_truth + of_other) if of_truth + of_other else 0.0


def warping_error(truth: np.ndarray, prediction: np.ndarray) -> float:
    """Compute the share of pixels at which the prediction still differs from the truth after the truth was warped.

    The truth's pixels are turned over, one after the other, where they differ from the prediction and are simple: no
    object is split, merged, made or lost, and no hole.  Objects hang together by edges of pixels, what lies between
    them by corners too, and outside the image there is no object.  What cannot be turned over are splits, mergers,
    objects and holes of one image alone, and borders so far off that pixels which agree lie between them.  The least
    that any order of the pixels leaves is not searched for: they are tried from the upper left on and from the lower
    right on, and the better end is taken.

    Args:
        truth: Mask [rows, columns], booleans or 0 and 1, or the numbers of objects: then pixels of neighbouring objects
            are first separated, see `separated`.
        prediction: The same of the prediction.

    Returns:
        A number from 0 to 1.

    Raises:
        ValueError: The shapes differ or have not two axes, or a number is negative.

    Example:
        >>> truth = np.array([[1, 1, 0, 1, 1]] * 3)
        >>> moved, merged = np.array([[1, 0, 1, 1, 1]] * 3), np.array([[1, 1, 0, 1, 1], [1] * 5, [1, 1, 0, 1, 1]])
        >>> warping_error(truth, moved), round(warping_error(truth, merged), 4)
        (0.0, 0.0667)

    Reference:
        Jain et al., "Boundary learning by optimization with topological constraints", CVPR 2010.
    """
    t, p = checked("warping_error", truth, prediction)
    if t.ndim != 2:
        raise ValueError(f"warping_error: images have two axes, got shape {t.shape}; measure a volume slice by slice")
    first, wanted = (np.pad(separated(each), 1) for each in (t, p))
    left = min(differing(warped(first, wanted, way), wanted) for way in (1, -1))
    return left / max(t.size, 1)


def differing(one: np.ndarray, two: np.ndarray) -> int:
    """Return at how many pixels two masks differ."""
    return int((one != two).sum())


def warped(mask: np.ndarray, wanted: np.ndarray, way: int) -> np.ndarray:
    """Return a mask after all simple pixels that differ from what is wanted were turned over, until none is left.

    mask, wanted: With a border of one pixel outside.
    way: 1 tries the pixels from the upper left on, -1 from the lower right on.
    """
    now, simple = mask.copy(), simple_pixels()
    differ = now != wanted
    waiting = [(way * int(row), way * int(column)) for row, column in np.argwhere(differ)]
    heapq.heapify(waiting)
    queued = differ.copy()
    while waiting:
        first, second = heapq.heappop(waiting)
        row, column = way * first, way * second
        queued[row, column] = False
        if not simple[sum(1 << i for i, (y, x) in enumerate(AROUND) if now[row + y, column + x])]:
            continue
        now[row, column], differ[row, column] = wanted[row, column], False
        for y, x in AROUND:
            place = row + y, column + x
            if differ[place] and not queued[place]:
                queued[place] = True
                heapq.heappush(waiting, (way * place[0], way * place[1]))
    return now


def separated(objects: np.ndarray) -> np.ndarray:
    """Return the mask of objects without the pixels that touch another object, so that it keeps them apart.

    A pixel is left out where its neighbour on the right or below belongs to another object.

    Args:
        objects: Integers [rows, columns]: 0 outside, else an object's number; of a mask all is one object.

    Example:
        >>> separated(np.array([[1, 1, 2, 0]])).astype(int).tolist()
        [[1, 0, 1, 0]]
    """
    mask = objects > 0
    for axis in (0, 1):
        here, other = np.moveaxis(objects, axis, 0)[:-1], np.moveaxis(objects, axis, 0)[1:]
        np.moveaxis(mask, axis, 0)[:-1] &= (other == 0) | (other == here)
    return mask


@cache
def simple_pixels() -> tuple[bool, ...]:
    """Return for each of the 256 neighbourhoods whether the pixel in its middle is simple.

    It is where the neighbours inside an object that touch it by an edge hang together by edges within the
    neighbourhood, as one piece, and so do those outside, by corners too; there is at least one of each.
    Kong & Rosenfeld, "Digital topology", 1989.
    """
    return tuple(
        pieces([i for i in range(8) if code >> i & 1], diagonal=False) == 1
        and pieces([i for i in range(8) if not code >> i & 1], diagonal=True) == 1
        for code in range(256)
    )


def pieces(places: list[int], diagonal: bool) -> int:
    """Return how many pieces neighbours of a pixel form that touch it: by an edge, or with diagonal by a corner too."""
    left, count = set(places), 0
    for start in places:
        if start in left and (diagonal or start % 2):
            count += 1
            todo = [start]
            left.discard(start)
            while todo:
                for other in neighbours(todo.pop(), diagonal):
                    if other in left:
                        left.discard(other)
                        todo.append(other)
    return count


def neighbours(place: int, diagonal: bool) -> Iterator[int]:
    """Yield the places of AROUND that touch one of them by an edge, or with diagonal by a corner too."""
    row, column = AROUND[place]
    for other, (y, x) in enumerate(AROUND):
        apart = abs(y - row), abs(x - column)
        if sum(apart) == 1 or (diagonal and max(apart) == 1):
            yield other


def checked(name: str, truth: np.ndarray, prediction: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return both as integers of one shape; raise ValueError otherwise."""
    t, p = (np.asarray(each) for each in (truth, prediction))
    t, p = (each.astype(np.int64) if each.dtype == np.bool_ else each for each in (t, p))
    if t.shape != p.shape:
        raise ValueError(f"{name}: truth has shape {t.shape}, prediction {p.shape}; they must be equal")
    if t.dtype.kind not in "iu" or p.dtype.kind not in "iu":
        raise ValueError(f"{name}: takes masks or whole numbers of objects, got {t.dtype} and {p.dtype}")
    if min(t.min(initial=0), p.min(initial=0)) < 0:
        raise ValueError(f"{name}: an object's number is positive, and 0 is outside")
    return t, p
