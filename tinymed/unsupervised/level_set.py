"""Chan and Vese's level set: a contour without edges, in 2-D and 3-D, with or without a shape to stay near.

    energy    length * |contour| + inside * sum (image - c1)^2 over phi > 0 + outside * sum (image - c2)^2 over the rest
              + prior_weight / 2 * sum (phi - prior)^2
    descent   d phi / dt = delta(phi) (length * div(grad phi / |grad phi|) - inside * (image - c1)^2
              + outside * (image - c2)^2) - prior_weight * (phi - prior)

c1 and c2 are the means of the image on both sides, delta(t) = 1 / (pi (1 + t^2)).  A step is implicit in phi at the
pixel itself and explicit in its neighbours, so that it is stable for any size.  The shape term is that of Avendi,
Kheradvar & Jafarkhani (Medical Image Analysis 30, 2016, section 2.4), whose prior is what an auto-encoder drew.
Chan & Vese, IEEE TIP 10, 2001; Getreuer, "Chan-Vese segmentation", IPOL 2, 2012, equation 22.
"""

from typing import Any

import numpy as np

from ..errors import UserError

TINY = 1e-16  # under the root of a gradient that vanishes


def evolve(
    phi: np.ndarray,
    image: np.ndarray,
    length: float = 0.25,
    inside: float = 1.0,
    outside: float = 1.0,
    step: float = 0.5,
    prior: np.ndarray | None = None,
    prior_weight: float = 0.0,
) -> np.ndarray:
    """Return the level set after one step.

    Args:
        phi: Positive inside the contour, [*space].
        image: Of the same shape, best scaled to 0 to 1.
        length: Weight of the contour's length.
        inside: Weight of the squared distance from the mean inside.
        outside: The same outside.
        step: Of time.
        prior: A level set to stay near, such as a signed distance.
        prior_weight: How near.

    Returns:
        float64 [*space].
    """
    padded = np.pad(phi, 1, mode="edge")
    axes = range(phi.ndim)
    ahead, behind = ([shifted(padded, axis, by) for axis in axes] for by in (1, -1))
    central = [(a - b) / 2 for a, b in zip(ahead, behind, strict=True)]
    pull, total = np.zeros_like(phi), np.zeros_like(phi)
    for axis in axes:
        across = sum((central[other] ** 2 for other in axes if other != axis), np.zeros_like(phi))
        for neighbour in (ahead[axis], behind[axis]):
            weight = 1 / np.sqrt(TINY + (neighbour - phi) ** 2 + across)
            pull += weight * neighbour
            total += weight
    low, high = region_means(phi, image)
    force = outside * (image - low) ** 2 - inside * (image - high) ** 2
    delta = step / (np.pi * (1 + phi**2))
    near = 0.0 if prior is None else step * prior_weight
    numerator = phi + delta * (length * pull + force) + (0 if prior is None else near * prior)
    result: np.ndarray = numerator / (1 + length * delta * total + near)
    return result


def shifted(padded: np.ndarray, axis: int, by: int) -> np.ndarray:
    """Return the neighbours along an axis of every pixel of an array that was padded by one."""
    window = [slice(1, -1)] * padded.ndim
    window[axis] = slice(1 + by, padded.shape[axis] - 1 + by)
    return padded[tuple(window)]


def region_means(phi: np.ndarray, image: np.ndarray) -> tuple[float, float]:
    """Return the means of the image outside and inside; 0 of a side without pixels."""
    positive = phi > 0
    outside, inside = image[~positive], image[positive]
    return float(outside.mean()) if outside.size else 0.0, float(inside.mean()) if inside.size else 0.0


def chan_vese(
    image: Any,
    start: Any,
    length: float = 0.25,
    inside: float = 1.0,
    outside: float = 1.0,
    step: float = 0.5,
    iterations: int = 500,
    tolerance: float = 1e-3,
    prior: Any = None,
    prior_weight: float = 0.0,
) -> np.ndarray:
    """Divide an image in two by a contour that moves until both sides are even inside and the contour is short.

    As `skimage.segmentation.chan_vese` with mu = length, lambda1 = inside, lambda2 = outside and dt = step / pi, but
    the image keeps its scale, may be a volume, and a prior may hold the contour.

    Args:
        image: [*space], two axes or three, best scaled to 0 to 1.
        start: A level set or a mask [*space]; a mask becomes +1 inside and -1 outside.
        length: Weight of the contour's length.
        inside: Weight of the squared distance from the mean inside.
        outside: The same outside.
        step: Of time.
        iterations: Most steps.
        tolerance: Root mean squared change of the level set at which it ends.
        prior: A level set to stay near, or None.
        prior_weight: How near.

    Returns:
        The level set, float64 [*space], positive inside.

    Raises:
        UserError: Shapes differ, or a number is out of range.

    Example:
        >>> image = np.zeros((16, 16))
        >>> image[4:12, 5:11] = 1
        >>> start = np.zeros((16, 16), bool)
        >>> start[6:10, 2:8] = True
        >>> bool(((chan_vese(image, start, length=0.1) > 0) == (image > 0)).all())
        True

    Reference:
        Chan & Vese, "Active contours without edges", IEEE TIP 10, 2001.
    """
    pixels, phi = np.asarray(image, np.float64), np.asarray(start)
    phi = np.where(phi, 1.0, -1.0) if phi.dtype == bool else phi.astype(np.float64)
    held = None if prior is None else np.asarray(prior, np.float64)
    if pixels.ndim not in (2, 3) or phi.shape != pixels.shape or (held is not None and held.shape != pixels.shape):
        raise UserError(
            f"chan_vese: image, start and prior have one shape of two or three axes, got {pixels.shape}, {phi.shape}"
            + ("" if held is None else f", {held.shape}")
        )
    if min(length, inside, outside, prior_weight) < 0 or step <= 0 or iterations < 1:
        raise UserError("chan_vese: weights are at least 0, step above 0 and iterations at least 1")
    for _ in range(iterations):
        moved = evolve(phi, pixels, length, inside, outside, step, held, prior_weight)
        change = float(np.sqrt(((moved - phi) ** 2).mean()))
        phi = moved
        if change < tolerance:
            break
    return phi
