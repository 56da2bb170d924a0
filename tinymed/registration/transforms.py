"""Maps of the world that registration searches: rigid, affine, dense; what they do to an image, whether they fold.

Parameters are numbers without a unit near 0, so that one learning rate suits all: a turn in radians, a shift in radii
of the image.
"""

from typing import Any

import numpy as np

from .. import nn
from ..nn import functional as F
from ..tensor import Tensor, tensor
from .spaces import Space, as_tensor_axes, grid_frames, shift


class Rigid(nn.Module):
    """Turn about the fixed image's centre, then shift.

    Args:
        fixed, moving: Where the images lie.
        offset: A shift to begin with, in the world's unit.

    Example:
        >>> space = Space((8, 8), np.eye(3))
        >>> Rigid(space, space, np.zeros(2)).world().tolist()
        [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]
    """

    def __init__(self, fixed: Space, moving: Space, offset: np.ndarray) -> None:
        super().__init__()
        self.fixed, self.moving, self.rank = fixed, moving, fixed.rank
        left, right = grid_frames(fixed, moving)
        self.register_buffer("left", constant(left[:-1]))
        self.register_buffer("right", constant(right))
        self.register_buffer("offset", constant(np.asarray(offset)[:, None]))
        self.register_buffer("last", constant(np.eye(self.rank + 1)[-1:]))
        self.register_buffer("one", constant(np.eye(self.rank)))
        self.declare()

    def declare(self) -> None:
        """Make the parameters, all 0."""
        self.turns = nn.Parameter(constant(np.zeros(1 if self.rank == 2 else 3)))
        self.shift = nn.Parameter(constant(np.zeros((self.rank, 1))))
        self.register_buffer("axes", constant(rotation_axes(self.rank)))

    def linear(self) -> Any:
        """Return the matrix of the map, without its shift: one turn about each axis after the other."""
        total = self.one
        for i in range(self.turns.shape[0]):
            axis, angle = self.axes[i], self.turns[i]
            total = F.matmul(self.one + angle.sin() * axis + (1 - angle.cos()) * F.matmul(axis, axis), total)
        return total

    def matrix(self) -> Any:
        """Return the map [axes + 1, axes + 1] of points relative to the fixed centre."""
        moved = self.offset + self.shift * self.fixed.radius
        return F.cat([F.cat([self.linear(), moved], 1), self.last], 0)

    def theta(self) -> Any:
        """Return affine_grid's (1, axes, axes + 1)."""
        return F.matmul(F.matmul(self.left, self.matrix()), self.right).reshape(1, self.rank, self.rank + 1)

    def forward(self, size: tuple[int, ...]) -> Any:
        """Return the grid of a fixed image of this size, at any resolution."""
        return F.affine_grid(self.theta(), (1, 1, *size), align_corners=False)

    def world(self) -> np.ndarray:
        """Return the map from the fixed image's world to the moving one's, a matrix in float64."""
        relative = self.matrix().detach().cpu().numpy().astype(np.float64)
        result: np.ndarray = shift(self.fixed.centre) @ relative @ shift(-self.fixed.centre)
        return result


class Affine(Rigid):
    """Turn, stretch and shear about the fixed image's centre, then shift.

    Args:
        fixed, moving: Where the images lie.
        offset: A shift to begin with, in the world's unit.

    Example:
        >>> space = Space((8, 8, 8), np.eye(4))
        >>> sum(p.array.size for p in Affine(space, space, np.zeros(3)).parameters())
        12
    """

    def declare(self) -> None:
        """Make the parameters, all 0."""
        self.change = nn.Parameter(constant(np.zeros((self.rank, self.rank))))
        self.shift = nn.Parameter(constant(np.zeros((self.rank, 1))))

    def linear(self) -> Any:
        """Return the matrix of the map, without its shift."""
        return self.one + self.change

    def start_from(self, other: Rigid) -> None:
        """Take over what another map of the same images does."""
        self.change.array[...] = (other.linear() - other.one).array
        self.change.version.value += 1
        self.shift.array[...] = other.shift.array
        self.shift.version.value += 1


class Dense(nn.Module):
    """A displacement for each pixel of the fixed image, in the world's unit, after an affine map that stays.

    Args:
        base: The affine map.
        size: Pixels of the displacement field along each axis.

    Example:
        >>> space = Space((8, 6), np.eye(3))
        >>> Dense(Affine(space, space, np.zeros(2)), (4, 3))((8, 6)).shape
        (1, 8, 6, 2)
    """

    def __init__(self, base: Rigid, size: tuple[int, ...]) -> None:
        super().__init__()
        self.base, self.fixed = base, base.fixed
        for parameter in base.parameters():
            parameter.requires_grad = False
        self.field = nn.Parameter(constant(np.zeros((1, base.rank, *size))))

    def displacement(self, size: tuple[int, ...]) -> Any:
        """Return the field (1, axes, *size) at a resolution."""
        if tuple(self.field.shape[2:]) == size:
            return self.field
        mode = "bilinear" if self.base.rank == 2 else "trilinear"
        return F.interpolate(self.field, size, mode=mode, align_corners=False)

    def forward(self, size: tuple[int, ...]) -> Any:
        """Return the grid of a fixed image of this size, at any resolution."""
        by = F.movedim(self.displacement(size), 1, -1).reshape(-1, self.base.rank)
        moved = F.matmul(by, self.base.left[:, : self.base.rank].transpose(0, 1))
        return self.base(size) + moved.reshape(1, *size, self.base.rank)

    def refine(self, size: tuple[int, ...]) -> None:
        """Bring the field to another resolution."""
        self.field = nn.Parameter(self.displacement(size).detach().clone())

    def roughness(self) -> Any:
        """Return the mean squared derivative of the field by the world's axes: its strain and turning."""
        scale = np.asarray(self.fixed.size) / np.asarray(self.field.shape[2:]) * self.fixed.spacing
        return roughness(self.field, scale.tolist())


def roughness(field: Any, spacing: list[float]) -> Any:
    """Return the sum over axes of the mean squared difference of neighbours over their distance.

    Args:
        field: (N, axes, *space), in the unit of the spacing.
        spacing: Distance of neighbouring pixels along each axis.

    Returns:
        A tensor of no axes, 0 for a field that is the same everywhere.

    Example:
        >>> import tinymed
        >>> roughness(tinymed.ones(1, 2, 4, 4), [1.0, 1.0]).item()
        0.0
    """
    total: Any = 0
    for axis, step in enumerate(spacing, 2):
        n = field.shape[axis]
        if n > 1:
            change = field.narrow(axis, 1, n - 1) - field.narrow(axis, 0, n - 1)
            total = total + (change / step).square().mean()
    return total if isinstance(total, Tensor) else (field * 0).sum()


def rotation_axes(rank: int) -> np.ndarray:
    """Return the cross products with each axis about which a space of this rank turns."""
    if rank == 2:
        return np.asarray([[[0.0, -1.0], [1.0, 0.0]]])
    result = np.zeros((3, 3, 3))
    for axis, (i, j) in enumerate(((1, 2), (2, 0), (0, 1))):
        result[axis, i, j], result[axis, j, i] = -1, 1
    return result


def constant(values: np.ndarray) -> Tensor:
    """Return numbers as a float32 tensor on the device in use."""
    return tensor(np.asarray(values, np.float32))


def displacement_in_world(transform: Any, fixed: Space) -> np.ndarray:
    """Return how far each pixel of the fixed image moves in the world: [*size, axes], in its unit."""
    base = transform.base if isinstance(transform, Dense) else transform
    points, matrix = fixed.points(), base.world()
    moved = points @ matrix[:-1, :-1].T + matrix[:-1, -1] - points
    if isinstance(transform, Dense):
        field = transform.displacement(fixed.size).detach().cpu().numpy()[0]
        moved = moved + np.moveaxis(field, 0, -1).astype(np.float64)
    result: np.ndarray = moved
    return result


def jacobian_determinant(displacement: np.ndarray, space: Space) -> np.ndarray:
    """Return by how much a map enlarges the space around each pixel; at most 0 where it folds.

    Args:
        displacement: [*size, axes], in the world's unit.
        space: Where the pixels lie; at least two along each axis that is to be differentiated.

    Returns:
        float64 [*size]: the determinant of the derivative of point + displacement, by central differences.

    Example:
        >>> space = Space((5, 5), np.eye(3))
        >>> doubled = space.points()
        >>> float(jacobian_determinant(doubled, space)[2, 2])
        4.0
    """
    places = space.points() + displacement
    along = np.zeros((*space.size, space.rank, space.rank))
    for axis, n in enumerate(space.size):
        alone = np.broadcast_to(space.affine[:-1, axis], places.shape)
        along[..., axis] = np.gradient(places, axis=axis) if n > 1 else alone
    result: np.ndarray = np.linalg.det(along) / np.linalg.det(space.affine[:-1, :-1])
    return result


def warp(values: np.ndarray, transform: Any, size: tuple[int, ...], mode: str = "bilinear") -> np.ndarray:
    """Bring the moving image onto the fixed one.

    Args:
        values: The moving image or its labels [*space, channels].
        transform: A Rigid, Affine or Dense.
        size: Pixels of the fixed image.
        mode: "bilinear", or "nearest" for labels.

    Returns:
        float32 [*size, channels]; 0 where the moving image has nothing.
    """
    moving = Tensor(as_tensor_axes(values)).to(transform(size).device)
    moved = F.grid_sample(moving, transform(size).detach(), mode, "zeros", align_corners=False)
    result: np.ndarray = np.moveaxis(moved.detach().cpu().numpy()[0], 0, -1)
    return result
