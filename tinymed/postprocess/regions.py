"""Masks cleaned by what hangs together: the largest components, small ones away, holes filled, regions grown.

All work in the plane and in space.  Pixels hang together by faces; a hole is background that does not reach the border.
"""

import heapq
import itertools

import numpy as np

from ..data.components import components

__all__ = ["fill_holes", "grow", "grow_to_size", "largest_components", "region_growing", "remove_small"]


def component_sizes(numbered: np.ndarray) -> np.ndarray:
    """Return the pixels of each component, int64 [components + 1], with 0 for what lies outside."""
    sizes = np.bincount(numbered.ravel(), minlength=1)
    sizes[0] = 0
    return sizes


def largest_components(mask: np.ndarray, count: int = 1) -> np.ndarray:
    """Keep the largest connected components of a mask.

    Args:
        mask: Booleans of any shape.
        count: How many stay; of equal ones the first in reading order.

    Returns:
        Booleans of the same shape.

    Example:
        >>> largest_components(np.array([1, 1, 0, 1], bool)).astype(int).tolist()
        [1, 1, 0, 0]
    """
    numbered = components(mask)
    sizes = component_sizes(numbered)
    kept = np.zeros(len(sizes), bool)
    kept[np.argsort(-sizes, kind="stable")[:count]] = True
    kept[sizes == 0] = False
    result: np.ndarray = kept[numbered]
    return result


def remove_small(mask: np.ndarray, least: int) -> np.ndarray:
    """Remove the components of a mask that have fewer than `least` pixels.

    Example:
        >>> remove_small(np.array([1, 1, 0, 1], bool), 2).astype(int).tolist()
        [1, 1, 0, 0]
    """
    numbered = components(mask)
    result: np.ndarray = (component_sizes(numbered) >= max(least, 1))[numbered]
    return result


def fill_holes(mask: np.ndarray, most: int | None = None) -> np.ndarray:
    """Fill the holes of a mask: background that does not hang together with the image's border.

    Args:
        mask: Booleans of any shape.
        most: The largest hole that is filled, in pixels; None for every one.

    Returns:
        Booleans of the same shape.

    Example:
        >>> fill_holes(np.array([[1, 1, 1], [1, 0, 1], [1, 1, 1]], bool)).all()
        np.True_
    """
    mask = np.asarray(mask, bool)
    if not mask.size:
        return mask
    numbered = components(~mask)
    sizes = component_sizes(numbered)
    hole = sizes > 0 if most is None else (sizes > 0) & (sizes <= most)
    for axis in range(mask.ndim):
        for end in (0, -1):
            hole[np.take(numbered, end, axis)] = False
    hole[0] = False
    result: np.ndarray = mask | hole[numbered]
    return result


def grow(seeds: np.ndarray, allowed: np.ndarray) -> np.ndarray:
    """Return what of `allowed` hangs together with a seed: a region grown from seeds as far as it may go.

    With seeds where a probability is high and `allowed` where it is not low, it is Canny's hysteresis.

    Args:
        seeds: Booleans of any shape.
        allowed: Booleans of the same shape; the seeds themselves are allowed.

    Returns:
        Booleans of the same shape.

    Example:
        >>> grow(np.array([0, 1, 0, 0, 0], bool), np.array([1, 1, 1, 0, 1], bool)).astype(int).tolist()
        [1, 1, 1, 0, 0]

    Reference:
        Canny, "A computational approach to edge detection", IEEE TPAMI 8, 1986.
    """
    numbered = components(np.asarray(seeds, bool) | np.asarray(allowed, bool))
    reached = np.zeros(int(numbered.max(initial=0)) + 1, bool)
    reached[numbered[np.asarray(seeds, bool)]] = True
    result: np.ndarray = reached[numbered]
    return result


def region_growing(image: np.ndarray, seeds: np.ndarray, tolerance: float) -> np.ndarray:
    """Grow a region from seeds over pixels whose value is near to the seeds' mean.

    Args:
        image: Numbers of any shape.
        seeds: Booleans of the same shape, at least one of them true.
        tolerance: How far from the mean over the seeds a value may lie, in the image's unit.

    Returns:
        Booleans of the same shape, the seeds among them.

    Raises:
        ValueError: There is no seed, or the shapes differ.

    Example:
        >>> image = np.array([5.0, 5.2, 9.0, 5.1])
        >>> region_growing(image, np.array([1, 0, 0, 0], bool), 0.5).astype(int).tolist()
        [1, 1, 0, 0]

    Reference:
        Adams & Bischof, "Seeded region growing", IEEE TPAMI 16, 1994; the mean stays that of the seeds.
    """
    seeds = np.asarray(seeds, bool)
    if image.shape != seeds.shape or not seeds.any():
        raise ValueError(f"region_growing: takes seeds of the image's shape {image.shape}, at least one of them true")
    near = np.abs(image - np.mean(image[seeds], dtype=np.float64)) <= tolerance
    return grow(seeds, near)


def grow_to_size(image: np.ndarray, seed: tuple[int, ...], size: int, compact: float = 1.0) -> np.ndarray:
    """Grow a region from one pixel until it has a known size: a mask for a thing of which place and size are known.

    The pixel beside the region that costs least is taken next: |value - m| / s + compact * distance / r.  m is the mean
    of the pixels around the seed, s the image's deviation, r the radius of a disc or ball of that size; of equal costs
    the pixel that was met first.

    Args:
        image: Numbers [*space], in the plane or in space.
        seed: Index of a pixel of the thing.
        size: Pixels that it has.
        compact: How much being near to the seed counts.

    Returns:
        Booleans of the image's shape, of which `size` hang together with the seed.

    Raises:
        ValueError: The seed lies outside, or the size is not from 1 to the number of pixels.

    Example:
        >>> image = np.array([[0.0, 0.0, 9.0], [0.0, 9.0, 9.0]])
        >>> grow_to_size(image, (1, 2), 3).astype(int).tolist()
        [[0, 0, 1], [0, 1, 1]]

    Reference:
        Adams & Bischof, "Seeded region growing", IEEE TPAMI 16, 1994; as weak labels Anirudh, Thiagarajan, Bremer &
        Kim, SPIE Medical Imaging, 2016.
    """
    space = image.shape
    if len(seed) != len(space) or not all(0 <= i < n for i, n in zip(seed, space, strict=True)):
        raise ValueError(f"grow_to_size: the seed {seed} is not a pixel of an image of {space}")
    if not 1 <= size <= image.size:
        raise ValueError(f"grow_to_size: size is from 1 to the image's {image.size} pixels, got {size}")
    middle = image[tuple(slice(max(0, i - 1), i + 2) for i in seed)].mean(dtype=np.float64)
    radius = size / np.pi if len(space) == 2 else 0.75 * size / np.pi
    radius = radius ** (1 / len(space))
    away = sum((at - i) ** 2 for at, i in zip(np.ogrid[tuple(slice(n) for n in space)], seed, strict=True))
    cost = np.abs(image - middle) / (image.std(dtype=np.float64) or 1.0) + compact * np.sqrt(away) / radius
    result, met = np.zeros(space, bool), np.zeros(space, bool)
    met[seed] = True
    order = itertools.count()
    queue = [(0.0, next(order), tuple(seed))]
    for _ in range(size):
        _, _, pixel = heapq.heappop(queue)
        result[pixel] = True
        for axis, step in itertools.product(range(len(space)), (-1, 1)):
            near = (*pixel[:axis], pixel[axis] + step, *pixel[axis + 1 :])
            if 0 <= near[axis] < space[axis] and not met[near]:
                met[near] = True
                heapq.heappush(queue, (float(cost[near]), next(order), near))
    return result
