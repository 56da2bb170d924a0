"""Registration: a transform's parameters, searched by gradient descent from coarse to fine."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .. import optim
from ..nn import functional as F
from ..tape import no_grad
from ..tensor import Tensor
from .config import RegisterConfig
from .similarity import LOSSES, local_ncc_loss, mutual_information_loss
from .spaces import Image, centre_of_mass, check_pair
from .transforms import Affine, Dense, Rigid, constant, displacement_in_world, jacobian_determinant, warp

SMALLEST = 8  # pixels a side of the coarsest resolution, unless the image has fewer
PATIENCE, GAIN = 15, 1e-4  # steps without so much less loss, after which a resolution is done

Loss = Callable[[Any, Any], Any]


@dataclass
class Stage:
    """What happened at one resolution.

    Attributes:
        transform: "rigid", "affine" or "dense".
        size: Pixels along each axis.
        losses: After each step, the smoothness included.
    """

    transform: str
    size: tuple[int, ...]
    losses: list[float] = field(default_factory=list)


@dataclass
class Registration:
    """A transform that was found, and what it does.

    Attributes:
        transform: A Rigid, Affine or Dense.
        before, after: The metric's loss on the whole images, before and after.
        stages: What happened at each resolution.
        moved: The moving image on the fixed one's pixels, values as in its file: [*space, channels].
        jacobian: By how much space grows around each pixel, [*space].
        displacement: How far each pixel moves in the world, [*space, axes].
    """

    transform: Rigid | Dense
    before: float
    after: float
    stages: list[Stage]
    moved: np.ndarray
    jacobian: np.ndarray
    displacement: np.ndarray

    @property
    def folded(self) -> float:
        """Return the share of pixels around which the map turns space inside out."""
        return float((self.jacobian <= 0).mean())


def register(fixed: Image, moving: Image, config: RegisterConfig | None = None) -> Registration:
    """Find the map that brings a moving image onto a fixed one.

    Args:
        fixed, moving: Two pictures or two volumes, from `read_image`.
        config: How; the default is an affine map by correlation.

    Returns:
        A Registration.

    Raises:
        UserError: One is a picture, the other a volume.

    Example:
        >>> from pathlib import Path
        >>> from tinymed.registration.spaces import Image, Space
        >>> y, x = np.mgrid[:32, :32]
        >>> blob = lambda row: np.exp(-((y - row) ** 2) / 40 - (x - 16) ** 2 / 200).astype(np.float32)
        >>> images = [Image(b[..., None], b, Space(b.shape, np.eye(3)), None, Path()) for b in (blob(14), blob(17))]
        >>> found = register(*images, RegisterConfig(transform="rigid", levels=2, backend="numpy"))
        >>> np.round(found.transform.world()[:2, 2]).tolist()
        [3.0, 0.0]
    """
    config = config or RegisterConfig()
    check_pair(fixed, moving)
    loss, stages = loss_of(config), []
    pair = [tensor_of(image) for image in (fixed, moving)]
    offset = first_offset(fixed, moving, config.init)
    start = Rigid(fixed.space, moving.space, np.zeros(fixed.space.rank))
    before = value(loss, pair, start)
    transform: Any = (Rigid if config.transform == "rigid" else Affine)(fixed.space, moving.space, offset)
    name = "rigid" if config.transform == "rigid" else "affine"
    for factor in factors(fixed, config.levels):
        stages.append(descend(transform, name, loss, pair, factor, config))
    if config.transform == "dense":
        transform = Dense(transform, reduced(fixed.space.size, factors(fixed, config.levels)[0]))
        for factor in factors(fixed, config.levels):
            transform.refine(reduced(fixed.space.size, factor))
            stages.append(descend(transform, "dense", loss, pair, factor, config))
    return finished(transform, before, value(loss, pair, transform), stages, fixed, moving)


def finished(
    transform: Any, before: float, after: float, stages: list[Stage], fixed: Image, moving: Image
) -> Registration:
    """Return a transform that was found with what it does to the images and to space."""
    by = displacement_in_world(transform, fixed.space)
    moved, change = warp(moving.values, transform, fixed.space.size), jacobian_determinant(by, fixed.space)
    return Registration(transform, before, after, stages, moved, change, by)


def registered_by(ask: Any, fixed: Image, moving: Image, config: RegisterConfig, begin: Any) -> Registration:
    """Return what a network that was trained to register finds, without a search of the field.

    Args:
        ask: A `FieldPredictor`.
        fixed, moving: Two pictures or two volumes.
        config: Its metric is reported.
        begin: The `Beginning` that the network was trained behind.

    Raises:
        UserError: One is a picture, the other a volume.
    """
    check_pair(fixed, moving)
    loss, pair = loss_of(config), [tensor_of(image) for image in (fixed, moving)]
    before = value(loss, pair, Rigid(fixed.space, moving.space, np.zeros(fixed.space.rank)))
    transform = ask(fixed, moving, begin(fixed, moving))
    return finished(transform, before, value(loss, pair, transform), [], fixed, moving)


def loss_of(config: RegisterConfig) -> Loss:
    """Return the loss that the configuration names."""
    if config.metric == "local-ncc":
        return lambda a, b: local_ncc_loss(a, b, config.window)
    if config.metric == "mi":
        return lambda a, b: mutual_information_loss(a, b, config.bins)
    return LOSSES[config.metric]


def tensor_of(image: Image) -> Tensor:
    """Return an image's grey values as (1, 1, *space)."""
    return constant(image.grey[None, None])


def first_offset(fixed: Image, moving: Image, init: str) -> np.ndarray:
    """Return the shift to begin with."""
    result = np.zeros(fixed.space.rank)
    if init == "centre":
        result = moving.space.centre - fixed.space.centre
    if init == "mass":
        result = centre_of_mass(moving) - centre_of_mass(fixed)
    return result


def factors(fixed: Image, levels: int) -> list[int]:
    """Return by how much each resolution is coarser than the image, the coarsest first."""
    useful = max(1, int(math.log2(max(max(fixed.space.size) / SMALLEST, 1))) + 1)
    return [1 << level for level in reversed(range(min(levels, useful)))]


def reduced(size: tuple[int, ...], factor: int) -> tuple[int, ...]:
    """Return a size at a coarser resolution."""
    return tuple(-(-n // factor) for n in size)


def coarse(image: Tensor, factor: int) -> Any:
    """Return an image at a coarser resolution: the mean of the pixels that each of its own covers."""
    size = reduced(tuple(image.shape[2:]), factor)
    return image if factor == 1 else F.interpolate(image, size, mode="area")


def value(loss: Loss, pair: list[Tensor], transform: Any) -> float:
    """Return the loss of a transform on (fixed, moving) at full resolution."""
    fixed, moving = pair
    with no_grad():
        return float(loss(fixed, moved_by(transform, fixed, moving)).item())


def moved_by(transform: Any, fixed: Any, moving: Any) -> Any:
    """Return the moving image on the fixed one's pixels; beyond its border it goes on as it ends."""
    grid = transform(tuple(fixed.shape[2:]))
    return F.grid_sample(moving, grid, padding_mode="border", align_corners=False)


def descend(transform: Any, name: str, loss: Loss, pair: list[Tensor], factor: int, config: RegisterConfig) -> Stage:
    """Search at one resolution by Adam; the transform is left at the best point met."""
    fixed, moving = (coarse(image, factor) for image in pair)
    stage = Stage(name, tuple(fixed.shape[2:]))
    parameters = [p for p in transform.parameters() if p.requires_grad]
    dense = isinstance(transform, Dense)
    rate = config.field_lr * factor * float(transform.fixed.spacing.mean()) if dense else config.lr
    optimizer = optim.Adam(parameters, lr=rate)
    best, kept, waited = math.inf, [p.detach().clone() for p in parameters], 0
    for _ in range(config.steps):
        optimizer.zero_grad()
        total = loss(fixed, moved_by(transform, fixed, moving))
        if dense and config.smoothness:
            total = total + config.smoothness * transform.roughness()
        now = float(total.item())
        stage.losses.append(now)
        waited = 0 if now < best - GAIN * abs(best) or math.isinf(best) else waited + 1
        if now < best:
            best, kept = now, [p.detach().clone() for p in parameters]
        if waited >= PATIENCE:
            break
        total.backward()
        optimizer.step()
    with no_grad():
        for parameter, values in zip(parameters, kept, strict=True):
            parameter.copy_(values)
    return stage
