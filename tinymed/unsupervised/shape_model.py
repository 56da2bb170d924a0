"""Models of shape from landmarks: shapes laid over one another, their mean, and how they vary.

A shape is the same points on every patient, [points, 2 or 3].  Procrustes analysis takes place, size and turn out of
it; principal components of what is left are the modes of variation.  A shape found in an image is then replaced by the
nearest one that the model knows, with each mode within so many standard deviations: the active shape model.
"""

from typing import Any

import numpy as np

from ..data.principal import PrincipalComponents
from ..errors import UserError

SAME = 1e-10  # change of the mean at which aligning ends
MOST_ROUNDS = 100


def check_shapes(name: str, shapes: Any) -> np.ndarray:
    """Return shapes as float64 [n, points, 2 or 3].  Raises UserError for others, or a shape that is one point."""
    s = np.asarray(shapes, np.float64)
    if s.ndim != 3 or s.shape[2] not in (2, 3) or s.shape[1] < 2 or not len(s) or not np.isfinite(s).all():
        raise UserError(f"{name}: takes finite shapes [n, points, 2 or 3] of at least 2 points, got shape {s.shape}")
    if (np.ptp(s, axis=1).max(1) == 0).any():
        raise UserError(f"{name}: all points of a shape are one")
    return s


def align_shape(shape: np.ndarray, onto: np.ndarray) -> tuple[np.ndarray, float, np.ndarray, np.ndarray]:
    """Return (shape laid over another, scale s, rotation R, shift t): s * shape R + t is nearest to it.

    Distances are summed squares over points; mirroring is no rotation.  Umeyama, IEEE TPAMI 13, 1991.

    Example:
        >>> square = np.array([[0.0, 0], [1, 0], [1, 1], [0, 1]])
        >>> moved, scale, _, _ = align_shape(2 * square[:, ::-1] * [1, -1] + 5, square)
        >>> bool(np.allclose(moved, square)), round(scale, 6)
        (True, 0.5)
    """
    centre, target = shape.mean(0), onto.mean(0)
    x, y = shape - centre, onto - target
    u, sizes, vt = np.linalg.svd(x.T @ y)
    sign = np.ones(len(sizes))
    sign[-1] = np.sign(np.linalg.det(u @ vt))
    rotation = (u * sign) @ vt
    scale = float((sizes * sign).sum() / (x**2).sum())
    shift = target - scale * centre @ rotation
    return scale * shape @ rotation + shift, scale, rotation, shift


def align_shapes(shapes: Any) -> tuple[np.ndarray, np.ndarray]:
    """Lay shapes over one another: generalised Procrustes analysis.

    Args:
        shapes: [n, points, 2 or 3].

    Returns:
        (aligned shapes [n, points, dims], their mean [points, dims], centred and of size 1: the root of the sum of
        squares over all coordinates).

    Raises:
        UserError: The shapes have another form, or all points of one are the same.

    Example:
        >>> square = np.array([[0.0, 0], [1, 0], [1, 1], [0, 1]])
        >>> aligned, mean = align_shapes([square, 3 * square + 2])
        >>> bool(np.allclose(aligned[0], aligned[1]))
        True

    Reference:
        Gower, Psychometrika 40, 1975; Cootes, Taylor, Cooper & Graham, CVIU 61, 1995.
    """
    s = check_shapes("align_shapes", shapes)
    mean = unit(s[0])
    for _ in range(MOST_ROUNDS):
        aligned = np.stack([align_shape(shape, mean)[0] for shape in s])
        renewed = unit(align_shape(aligned.mean(0), mean)[0])
        moved = np.abs(renewed - mean).max()
        mean = renewed
        if moved < SAME:
            break
    return np.stack([align_shape(shape, mean)[0] for shape in s]), mean


def unit(shape: np.ndarray) -> np.ndarray:
    """Return a shape about the origin, of size 1."""
    centred = shape - shape.mean(0)
    found: np.ndarray = centred / np.sqrt((centred**2).sum())
    return found


class ShapeModel:
    """The mean of shapes and their modes of variation.

    Args:
        shapes: [n, points, 2 or 3], n >= 2.
        share: Of the variance that the modes keep, above 0 and at most 1.

    Attributes:
        mean: [points, dims], of size 1.
        variances: Of the modes' values, largest first.

    Raises:
        UserError: The shapes have another form, or share is out of range.

    Example:
        >>> square = np.array([[0.0, 0], [1, 0], [1, 1], [0, 1]])
        >>> model = ShapeModel([square * [1, w] for w in (0.6, 0.8, 1.0, 1.2)])
        >>> len(model.variances), bool(np.allclose(model.fit_to(square * [1, 0.7]), square * [1, 0.7], atol=0.02))
        (1, True)

    Reference:
        Cootes, Taylor, Cooper & Graham, "Active shape models: their training and application", CVIU 61, 1995.
    """

    def __init__(self, shapes: Any, share: float = 0.98):
        if not 0 < share <= 1:
            raise UserError(f"ShapeModel: share is above 0 and at most 1, got {share}")
        aligned, self.mean = align_shapes(shapes)
        if len(aligned) < 2:
            raise UserError("ShapeModel: needs at least two shapes to learn how they vary")
        rows = aligned.reshape(len(aligned), -1)
        self.components = PrincipalComponents(rows, min(rows.shape))
        total = np.cumsum(self.components.variances)
        kept = int((total < share * total[-1] * (1 - 1e-9)).sum()) + 1 if len(total) else 0
        self.components.basis = self.components.basis[:kept]
        self.components.variances = self.components.variances[:kept]

    @property
    def variances(self) -> np.ndarray:
        """Return the variances of the modes."""
        return self.components.variances

    def shape(self, values: Any) -> np.ndarray:
        """Return the shape, of size about 1, whose modes have these values in standard deviations."""
        b = np.zeros(len(self.variances))
        given = np.asarray(values, np.float64)
        b[: len(given)] = given
        return self.components.decode(b * np.sqrt(self.variances)).reshape(self.mean.shape)

    def fit_to(self, points: Any, limit: float = 3.0) -> np.ndarray:
        """Return the nearest shape that the model allows, where the points are.

        Each mode is kept within `limit` standard deviations.
        """
        (p,) = check_shapes("ShapeModel.fit_to", np.asarray(points, np.float64)[None])
        if p.shape != self.mean.shape:
            raise UserError(f"ShapeModel.fit_to: the model's shapes are {self.mean.shape}, got {p.shape}")
        aligned, scale, rotation, shift = align_shape(p, self.mean)
        bound = limit * np.sqrt(self.variances)
        code = np.clip(self.components.encode(aligned.reshape(1, -1))[0], -bound, bound)
        known = self.components.decode(code).reshape(self.mean.shape)
        found: np.ndarray = (known - shift) @ rotation.T / scale
        return found
