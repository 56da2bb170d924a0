"""The fully connected conditional random field: every pixel is joined to every other, by Gaussians.

    E(x) = sum_i -log p_i(x_i)  +  sum_{i<j} [x_i != x_j] ( w_1 k_1(i, j) + w_2 k_2(i, j) )
    k_1  = exp(-|s_i - s_j|^2 / 2 alpha^2 - |v_i - v_j|^2 / 2 beta^2)     near, and of one colour
    k_2  = exp(-|s_i - s_j|^2 / 2 gamma^2)                                near

s is the position, in pixels or millimetres, v the values of the image, p what a network says.  Mean field: start from
Q = p, then repeat Q_i(l) ~ p_i(l) exp(sum_m w_m sum_j k_m(i, j) Q_j(l)).  The inner sum over all j is a Gaussian filter
of the maps Q: by its definition O(pixels^2), on the permutohedral lattice O(pixels).  As in the authors' program each
kernel is normalised, k(i, j) / sqrt(n_i n_j) with n_i = sum_j k(i, j), and a pixel's own value is part of its sum.

Krähenbühl & Koltun, "Efficient inference in fully connected CRFs with Gaussian edge potentials", NIPS 2011; in space:
Kamnitsas et al., "Efficient multi-scale 3D CNN with fully connected CRF", Medical Image Analysis 36, 2017.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from ..errors import UserError
from .lattice import ExactFilter, LatticeFilter

__all__ = ["CrfSettings", "dense_crf"]

SMALLEST = 1e-5  # a probability, before its logarithm
NAMES = {"appearance": "w", "distance": "d", "contrast": "c", "smoothness": "sw", "reach": "sd", "steps": "n"}


@dataclass(frozen=True)
class CrfSettings:
    """Weights and widths of the field.

    Args:
        appearance: w_1, the weight of pixels that are near and alike.
        distance: alpha, how near, in pixels or the unit of the spacing.
        contrast: beta, how much alike, on the scale of values from 0 to 255.
        smoothness: w_2, the weight of pixels that are near.
        reach: gamma, how near, in pixels or the unit of the spacing.
        steps: Rounds of mean field.

    Raises:
        UserError: A number lies outside its range.

    Example:
        >>> CrfSettings.parse("w=5,d=30,n=3").text()
        'w=5,d=30,c=15,sw=3,sd=3,n=3'
    """

    appearance: float = 4.0
    distance: float = 40.0
    contrast: float = 15.0
    smoothness: float = 3.0
    reach: float = 3.0
    steps: int = 5

    def __post_init__(self) -> None:
        weights, widths = (self.appearance, self.smoothness), (self.distance, self.contrast, self.reach)
        fine = all(0 <= w < np.inf for w in weights) and all(0 < w < np.inf for w in widths)
        if not fine or not 1 <= self.steps <= 1000:
            raise UserError(f"crf: weights are at least 0, widths positive, steps from 1 to 1000; got {self.text()}")

    @classmethod
    def parse(cls, text: str) -> "CrfSettings":
        """Return settings written as w=4,d=40,c=15,sw=3,sd=3,n=5; what is left out has its default."""
        short = {name: field for field, name in NAMES.items()}
        values: dict[str, Any] = {}
        for part in filter(None, text.split(",")):
            name, _, number = part.partition("=")
            try:
                field = short[name.strip()]
                values[field] = int(number) if field == "steps" else float(number)
            except (KeyError, ValueError):
                raise UserError(
                    f"crf: {part!r}: write NAME=NUMBER with w, d, c (weight, distance and contrast of pixels that are "
                    "alike), sw, sd (weight and distance of near ones), n (rounds), such as w=4,d=40,c=15,sw=3,sd=3,n=5"
                ) from None
        return cls(**values)

    def text(self) -> str:
        """Return the settings as `parse` reads them."""
        return ",".join(f"{NAMES[field.name]}={getattr(self, field.name):g}" for field in fields(self))


def dense_crf(
    scores: np.ndarray,
    image: np.ndarray,
    settings: CrfSettings | None = None,
    *,
    spacing: Sequence[float] | None = None,
    exact: bool = False,
) -> np.ndarray:
    """Refine the probabilities of a segmentation by what lies near and looks alike.

    Args:
        scores: [classes, *space], probabilities of each pixel or voxel, in the plane or in space.
        image: [*space, channels], values from 0 to 255.
        settings: Weights and widths; None for the defaults.
        spacing: Distance between neighbouring pixels along each axis; None for 1.
        exact: Sum over all pairs of pixels, for small images; otherwise on the permutohedral lattice.

    Returns:
        float32 [classes, *space], probabilities.

    Raises:
        ValueError: The image does not have the space of the scores.

    Example:
        >>> image = np.zeros((4, 6, 1))
        >>> image[:, 3:] = 255
        >>> scores = np.where(image[None, ..., 0] > 0, [[[0.4]], [[0.6]]], [[[0.6]], [[0.4]]])
        >>> scores[:, 1, 1] = 0.45, 0.55  # a pixel that the network takes for the other side
        >>> dense_crf(scores, image, exact=True).argmax(axis=0)[1].tolist()
        [0, 0, 0, 1, 1, 1]
    """
    s, space = settings or CrfSettings(), scores.shape[1:]
    if image.shape[:-1] != space:
        raise ValueError(f"dense_crf: the image has {image.shape[:-1]} pixels, the scores {space}")
    steps = np.ones(len(space)) if spacing is None else np.asarray(spacing, np.float64)
    places = np.stack(np.meshgrid(*map(np.arange, space), indexing="ij"), axis=-1).reshape(-1, len(space)) * steps
    values = image.reshape(len(places), -1).astype(np.float64)
    kernels = []
    if s.appearance:
        alike = np.concatenate([places / s.distance, values / s.contrast], axis=1)
        kernels.append((s.appearance, normalised(alike, exact)))
    if s.smoothness:
        kernels.append((s.smoothness, normalised(places / s.reach, exact)))
    logs = np.log(np.maximum(scores.reshape(len(scores), -1).T.astype(np.float64), SMALLEST))
    q = softmax(logs)
    for _ in range(s.steps):
        message = np.zeros_like(q)
        for weight, kernel in kernels:
            message += weight * kernel(q)
        q = softmax(logs + message)
    return np.ascontiguousarray(q.T.reshape(scores.shape), dtype=np.float32)


def normalised(features: np.ndarray, exact: bool) -> Callable[[np.ndarray], np.ndarray]:
    """Return the Gaussian filter of these features, k(i, j) / sqrt(n_i n_j)."""
    gaussian = ExactFilter(features) if exact else LatticeFilter(features)
    scale = 1 / np.sqrt(np.maximum(gaussian(np.ones((len(features), 1))), 1e-20))
    return lambda values: scale * gaussian(scale * values)


def softmax(logs: np.ndarray) -> np.ndarray:
    """Return exp(logs) of each row, scaled to the sum 1."""
    e = np.exp(logs - logs.max(axis=1, keepdims=True))
    return np.asarray(e / e.sum(axis=1, keepdims=True))
