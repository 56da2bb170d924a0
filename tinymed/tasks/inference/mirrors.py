"""Answers averaged over an image and its mirrors, those that its training has seen (test-time augmentation).

The outputs of the last layer are averaged, before they become scores: a network that has learnt from mirrors as well
should say the same of them, and where it does not, the mean errs less than either.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

from ...ops.join import flip
from ...tensor import Tensor

Axes = tuple[int, ...]
HORIZONTAL, VERTICAL = -1, -2


def mirrors_of(augment: Any) -> list[Axes]:
    """Return the axes of each mirror that an augmentation has, beside the image itself.

    Example:
        >>> from types import SimpleNamespace
        >>> mirrors_of(SimpleNamespace(horizontal_flip=True, vertical_flip=True))
        [(-1,), (-2,), (-1, -2)]
    """
    across = [HORIZONTAL] if augment.horizontal_flip else []
    over = [VERTICAL] if augment.vertical_flip else []
    return [(axis,) for axis in across + over] + ([(*across, *over)] if across and over else [])


def averaged(forward: Callable[[Any], Any], mirrors: Sequence[Axes]) -> Callable[[Any], Any]:
    """Return a function of images as the mean of what it answers for them and for their mirrors.

    Args:
        forward: From images (N, channels, height, width), or a tuple of such, to outputs.
        mirrors: Axes of each mirror, see `mirrors_of`; without any the function itself is returned.
    """
    if not mirrors:
        return forward

    @functools.wraps(forward, updated=())
    def answer(images: Any) -> Tensor:
        total: Any = forward(images)
        for axes in mirrors:
            total = total + forward(flipped(images, axes))
        mean: Tensor = total * (1 / (1 + len(mirrors)))
        return mean

    return answer


def flipped(images: Any, axes: Axes) -> Any:
    """Return images, or a tuple of such, with axes reversed."""
    return tuple(flip(part, axes) for part in images) if isinstance(images, tuple) else flip(images, axes)


def average_in_place(model: Any, mirrors: Sequence[Axes]) -> Any:
    """Let a network's own forward pass average over mirrors, so that its weights keep their names; returns it."""
    if mirrors:
        model.forward = averaged(model.forward, mirrors)
    return model
