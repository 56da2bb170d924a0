"""Landmarks and boxes under the map that `apply_geometry` and `augment_volume` give images.

An image is read backwards, from each pixel of the output; a point is moved forwards.  Where bending enters, its new
place q is found by q <- F(p) - d(q), which converges as long as the image is not folded on itself.
"""

from collections.abc import Sequence
from itertools import product

import numpy as np

from ..elastic import displacements_at, grid_vectors
from .drawing import Parameters
from .geometry import plane_map, quarter_turns
from .volume_map import volume_map

ITERATIONS, CLOSE = 200, 1e-9  # of the search under bending; pixels
ALONG = 9  # points along the side of a box that is bent


def apply_points(points: np.ndarray, drawn: Parameters, shape: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """Move landmarks as `apply_geometry` moves an image, or `augment_volume` a volume.

    Args:
        points: [n, 2] as (x, y) of a picture or [n, 3] as (x, y, z) of a volume, in pixels; the middle of the first
            pixel is 0.
        drawn: What `parameters` drew.
        shape: (height, width) of the picture, or (x, y, z) of the volume.

    Returns:
        (float64 points of the same shape, whether each lies in the image, its outer pixels included).  None is
        dropped: which landmark one is, its place in the list says.

    Raises:
        ValueError: The points have not as many coordinates as the image has axes.

    Example:
        >>> moved, inside = apply_points(np.array([[0.0, 1.0]]), Parameters(flip_x=True), (4, 6))
        >>> moved.tolist(), inside.tolist()
        ([[5.0, 1.0]], [True])
    """
    space, values = tuple(shape), np.asarray(points, np.float64)
    if values.ndim != 2 or values.shape[1] != len(space) or len(space) not in (2, 3):
        raise ValueError(f"apply_points: points [n, {len(space)}] of an image of {space}, got {list(values.shape)}")
    moved = move_in_plane(values[:, ::-1], drawn, space)[:, ::-1] if len(space) == 2 else move(values, drawn, space)
    sides = np.array(space[::-1] if len(space) == 2 else space)
    margin = np.minimum(moved + 0.5, sides - 0.5 - moved).min(axis=1)
    return moved, margin >= 0


def move_in_plane(points: np.ndarray, drawn: Parameters, space: tuple[int, ...]) -> np.ndarray:
    """Return where points (y, x) of a picture go: F(p - end) + middle + shift - d(q)."""
    plane = plane_map(drawn, *space)
    forward = np.linalg.inv(np.array(plane.matrix).reshape(2, 2))
    middle = (np.array(space) - 1) / 2
    start = (points - np.array(plane.end)) @ forward.T + middle + np.array(plane.shift)
    return search(start, np.eye(2), drawn, space)


def move(points: np.ndarray, drawn: Parameters, space: tuple[int, ...]) -> np.ndarray:
    """Return where points (x, y, z) of a volume go: flipped and turned, then F(p - end - d(q)) + middle + shift."""
    sides, moved = np.array(space), points.copy()
    for axis, flipped in ((0, drawn.flip_x), (1, drawn.flip_y)):
        if flipped:
            moved[:, axis] = sides[axis] - 1 - moved[:, axis]
    first, second = space[:2]
    for _ in range(quarter_turns(drawn, first, second)):  # as np.rot90 turns the axes 0 and 1, which change places
        moved[:, 0], moved[:, 1] = second - 1 - moved[:, 1], moved[:, 0].copy()
        first, second = second, first
    volume = volume_map(drawn, space)
    forward = np.linalg.inv(volume.matrix)
    start = (moved - volume.end) @ forward.T + (sides - 1) / 2 + volume.shift
    return search(start, forward, drawn, space)


def search(start: np.ndarray, forward: np.ndarray, drawn: Parameters, space: tuple[int, ...]) -> np.ndarray:
    """Return the places q with q = start - forward d(q)."""
    if not drawn.elastic:
        return start
    vectors = grid_vectors(len(space), drawn.elastic, drawn.elastic_grid, drawn.ticket)
    places = start
    for _ in range(ITERATIONS):
        before, places = places, start - displacements_at(places, space, vectors) @ forward.T
        if np.abs(places - before).max(initial=0) < CLOSE:
            break
    return places


def apply_boxes(
    boxes: np.ndarray, drawn: Parameters, shape: Sequence[int], least: float = 0.25
) -> tuple[np.ndarray, np.ndarray]:
    """Move boxes as their image is moved: each becomes the box about what it becomes, cut at the image's edges.

    Args:
        boxes: [n, 4] as (left, top, right, bottom) of a picture, or [n, 6] as (x, y, z) first and last of a volume, in
            pixels from the outer edge of the first: pixel i lies from i to i + 1.
        drawn: What `parameters` drew.
        shape: (height, width) of the picture, or (x, y, z) of the volume.
        least: Share of a box's area, or volume, that must remain in the image; else it is dropped.

    Returns:
        (float64 boxes of the same shape, cut; whether each is kept).

    Raises:
        ValueError: The boxes have not twice as many numbers as the image has axes.

    Example:
        >>> moved, kept = apply_boxes(np.array([[0, 0, 2, 1], [4, 0, 6, 1]]), Parameters(shift_x=-0.25), (4, 8))
        >>> moved.tolist(), kept.tolist()
        ([[0.0, 0.0, 0.0, 1.0], [2.0, 0.0, 4.0, 1.0]], [False, True])
    """
    axes, values = len(shape), np.asarray(boxes, np.float64)
    if values.ndim != 2 or values.shape[1] != 2 * axes:
        raise ValueError(f"apply_boxes: boxes [n, {2 * axes}] of an image of {tuple(shape)}, got {list(values.shape)}")
    low, high = values[:, None, :axes], values[:, None, axes:]
    outline = low + (high - low) * outline_shares(axes, ALONG if drawn.elastic else 2)
    moved = apply_points(outline.reshape(-1, axes) - 0.5, drawn, shape)[0].reshape(outline.shape) + 0.5
    about = np.concatenate([moved.min(axis=1), moved.max(axis=1)], axis=1) if len(values) else values
    sides = np.array(shape[::-1] if axes == 2 else shape)
    cut = np.clip(about, 0, np.concatenate([sides, sides]))
    whole = np.prod(about[:, axes:] - about[:, :axes], axis=1)
    left = np.prod(cut[:, axes:] - cut[:, :axes], axis=1)
    return cut, (left > 0) & (left >= least * whole)


def outline_shares(axes: int, along: int) -> np.ndarray:
    """Return points on the surface of a unit square or cube, [points, axes]; its corners for along = 2."""
    line = np.linspace(0, 1, along)
    every = np.array(list(product(line, repeat=axes)))
    surface: np.ndarray = every[((every == 0) | (every == 1)).any(axis=1)]
    return surface


def box_factors(drawn: Parameters, size: int) -> np.ndarray:
    """Return the matrix [2, 2] that takes (width, height) of a box to those of the box about it, on a square image."""
    forward = np.linalg.inv(np.array(plane_map(drawn, size, size).matrix).reshape(2, 2))
    factors: np.ndarray = np.abs(forward[::-1, ::-1])
    return factors
