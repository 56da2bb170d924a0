"""Explanations in the image's own pixels: guided back-propagation and integrated gradients."""

from typing import Any

import numpy as np

from .. import tape
from ..data.device_batches import as_array
from ..errors import UserError
from ..gradients import grad
from ..models.shapes import blank, shapes_only
from ..nn.module import Module
from ..tensor import Tensor
from .layers import as_images, evaluating, score_of
from .settings import Settings

RECTIFIERS = {"ReLU", "LeakyReLU", "PReLU", "RReLU", "ELU"}  # ops whose gradients guided back-propagation cuts


class Guide(tape.Observer):
    """Let rectifiers pass back only what is positive: dy becomes relu(dy) before their own backward."""

    def __init__(self) -> None:
        self.seen = 0

    def forward(self, op: tape.Op, inputs: Any, outputs: Any) -> None:
        """Put the cut before the backward of one call of a rectifier."""
        if type(op).__name__ in RECTIFIERS:
            self.seen += 1
            own = op.backward
            op.backward = lambda dy: own(op.k.relu_forward(dy))


def has_rectifiers(model: Module, shape: tuple[int, ...]) -> bool:
    """Say whether a network has a rectifier, from shapes alone; shape: (channels, *space) of an image."""
    guide, dtype = Guide(), next((p.dtype for p in model.parameters()), np.dtype(np.float32))
    with tape.observers.watching(guide), evaluating(model), tape.no_grad(), shapes_only():
        model(Tensor(blank((1, *shape), dtype)))
    return guide.seen > 0


def input_gradients(model: Module, images: Any, target: int) -> np.ndarray:
    """Return the gradient of output number `target` of every image with respect to the image, [n, channels, *space]."""
    x = as_images(model, images)
    with evaluating(model), tape.enable_grad():
        score = score_of(model(x), target).sum()
    (found,) = grad(score, [x])
    return np.zeros(x.shape, x.dtype) if found is None else as_array(found)


def guided_backprop(model: Module, images: Any, target: int) -> np.ndarray:
    """Compute guided back-propagation: the gradient, where each rectifier passes back only positive values.

    It draws what in an image excites the path to an output.  It depends little on the output's own weights: see
    `randomisation` before it is believed.

    Args:
        model: A network with one row of outputs for each image, and rectifiers (ReLU and its leaky variants, ELU).
        images: [n, channels, *space], as the network sees them.
        target: The output that is explained.

    Returns:
        Gradients [n, channels, *space].

    Raises:
        UserError: The network has no rectifier, or no such output.

    Example:
        >>> from tinymed.models import create
        >>> guided_backprop(create("dcnn"), np.ones((1, 3, 50, 50)), 1).shape
        (1, 3, 50, 50)

    Reference:
        Springenberg, Dosovitskiy, Brox & Riedmiller, "Striving for simplicity: the all convolutional net", 2015.
    """
    guide = Guide()
    with tape.observers.watching(guide):
        found = input_gradients(model, images, target)
    if not guide.seen:
        raise UserError(
            "guided_backprop: cuts the gradients of rectifiers (ReLU, LeakyReLU, PReLU, ELU), and this network has "
            "none; choose integrated_gradients or grad_cam"
        )
    return found


def integrated_gradients(
    model: Module, images: Any, target: int, settings: Settings | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Compute integrated gradients along the straight line from a baseline to the image.

    (x - x0) times the mean gradient on the line, by Gauss and Legendre's rule.  Their sum is the output's difference
    between image and baseline (completeness); what is missing tells whether there were enough steps.

    Args:
        model: A network with one row of outputs for each image.
        images: [n, channels, *space], as the network sees them.
        target: The output that is explained.
        settings: Its baseline, steps and batch.

    Returns:
        (attributions [n, channels, *space], how much each image's sum differs from the output's difference [n]).

    Raises:
        UserError: steps is less than 1, the baseline does not fit, or no such output.

    Example:
        >>> from tinymed.models import create
        >>> found, gap = integrated_gradients(create("lenet5_modern"), np.ones((1, 1, 32, 32)), 3)
        >>> found.shape, bool(abs(gap[0]) < 1e-3)
        ((1, 1, 32, 32), True)

    Reference:
        Sundararajan, Taly & Yan, "Axiomatic attribution for deep networks", 2017.
    """
    settings = settings or Settings()
    if settings.steps < 1:
        raise UserError(f"steps: points on the path, at least 1, got {settings.steps}")
    x = as_array(as_images(model, images))
    start = baseline_of(settings, x.shape[1:], x.dtype)
    points, weights = np.polynomial.legendre.leggauss(settings.steps)
    points, weights = ((points + 1) / 2).astype(x.dtype), (weights / 2).astype(x.dtype)
    parts = []
    for image in x:
        mean = np.zeros_like(image)
        for low in range(0, len(points), settings.batch):
            chosen = slice(low, low + settings.batch)
            shares = points[chosen].reshape(-1, *[1] * image.ndim)
            mean += np.tensordot(weights[chosen], input_gradients(model, start + shares * (image - start), target), 1)
        parts.append((image - start) * mean)
    found = np.stack(parts)
    ends = scores(model, np.concatenate([x, start[None]]), target, settings.batch)
    return found, found.sum(axis=tuple(range(1, found.ndim))) - (ends[:-1] - ends[-1])


def baseline_of(settings: Settings, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    """Return the baseline as one image [channels, *space].  Raises UserError where it does not fit."""
    try:
        return np.broadcast_to(np.asarray(settings.baseline, dtype), shape)
    except ValueError:
        given = np.shape(settings.baseline)
        raise UserError(f"baseline: of shape {list(given)} does not fit an image {list(shape)}") from None


def scores(model: Module, images: np.ndarray, target: int, batch: int) -> np.ndarray:
    """Return output number `target` of every image, [n], without gradients."""
    found = []
    for low in range(0, len(images), batch):
        with evaluating(model), tape.no_grad():
            outputs = model(as_images(model, images[low : low + batch]))
        found.append(as_array(score_of(outputs, target)))
    return np.concatenate(found)
