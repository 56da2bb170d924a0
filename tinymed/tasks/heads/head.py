"""What the trainer asks of a head: the meaning of a network's last layer."""

from collections.abc import Callable
from typing import Any, Protocol, Self

import numpy as np

from ...tensor import Tensor


class Head(Protocol):
    """What the trainer asks of a task's head; each task has its own.

    A head whose `correct` sums something else than images that are right names it in an attribute `measure`, which is
    "accuracy" by default: the training's log has its mean over images under this name.
    """

    classes: int

    def targets(self, labels: Any) -> Any:
        """Return what the loss compares with, an array or a tuple of them, from the labels of a batch."""

    def __call__(self, outputs: Any, targets: Any) -> Tensor:
        """Return the loss, a scalar tensor."""

    def scores(self, outputs: np.ndarray) -> np.ndarray:
        """Return what the outputs mean: probabilities, or the like."""

    def correct(self, outputs: Any, labels: Any) -> float:
        """Return how many images of a batch are right, for the accuracy of the training; an image may count in part."""

    def unweighted(self) -> Self:
        """Return the same without class weights, for validation."""


def loss_of_equals(loss: Callable[[Tensor, Tensor], Any], outputs: Tensor, targets: Tensor) -> Tensor:
    """Return a loss of outputs and targets of one shape: a loss itself broadcasts others, and only warns.

    Raises:
        ValueError: The shapes differ.
    """
    if outputs.shape != targets.shape:
        raise ValueError(f"the network gives {list(outputs.shape)} where the targets have {list(targets.shape)}")
    result: Tensor = loss(outputs, targets)
    return result
