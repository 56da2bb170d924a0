"""What the outputs of a network that embeds pictures mean: places on a sphere, near for pictures of one class.

Distances are Euclidean between outputs divided by their lengths, so from 0 to 2; their order is that of the cosine.
Every image of a batch is compared with every other, so a batch must hold several of each class (`ClassBatches`).
"""

from typing import Any

import numpy as np

from ...data.device_batches import as_array
from ...nn import functional as F
from ...tensor import Tensor

LOSSES = ("triplet", "contrastive")
MARGINS = {"triplet": 0.2, "contrastive": 1.0}
SMALLEST = 1e-6  # of squared distances: the root of 0 has no slope
Pairs = tuple[Any, Any]  # float32 [n, n] each: 1 where two different images are of one class; of two classes


def distances(outputs: Tensor) -> Tensor:
    """Return the distances [n, n] between the outputs [n, d] as points of the unit sphere."""
    unit = F.normalize(outputs, dim=1)
    squared = 2 - 2 * (unit @ unit.transpose(0, 1))
    found: Tensor = squared.clamp(min=SMALLEST).sqrt()
    return found


def triplet_loss(distance: Tensor, pairs: Pairs, margin: float) -> Tensor:
    """Compute the mean of d(a, p) - d(a, n) + margin over the triplets of a batch for which it is above 0.

    a and p are different images of one class, n is of another.  All triplets are formed; those that are in order
    already would only make the mean small.

    Args:
        distance: Distances [n, n].
        pairs: (same, different) as float [n, n].
        margin: By how much strangers are to be farther.

    Reference:
        Schroff, Kalenichenko & Philbin, CVPR 2015; Hermans, Beyer & Leibe, arXiv 1703.07737, 2017 (batch all).
    """
    same, different = pairs
    excess = distance.unsqueeze(2) - distance.unsqueeze(1) + margin
    hinge = F.relu(excess) * (same.unsqueeze(2) * different.unsqueeze(1))
    active = (hinge.detach() > 0).to(hinge.dtype)
    loss: Tensor = hinge.sum() / active.sum().clamp(min=1)
    return loss


def contrastive_loss(distance: Tensor, pairs: Pairs, margin: float) -> Tensor:
    """Compute the mean of d^2 over pairs of one class, and of max(0, margin - d)^2 over pairs of two, and add them.

    The paper sums over the pairs of a list; here either kind is averaged by itself, since most pairs are of two
    classes.

    Args:
        distance: Distances [n, n].
        pairs: (same, different) as float [n, n].
        margin: Distance from which strangers are far enough.

    Reference:
        Hadsell, Chopra & LeCun, CVPR 2006, equation 4.
    """
    same, different = pairs
    pull = (distance * distance * same).sum() / same.sum().clamp(min=1)
    short = F.relu(margin - distance)
    loss: Tensor = pull + (short * short * different).sum() / different.sum().clamp(min=1)
    return loss


class EmbeddingHead:
    """Loss and meaning of outputs [n, d]: points of the unit sphere.

    Args:
        size: Numbers of an embedding.
        loss: "triplet" or "contrastive".
        margin: Of the loss; by default 0.2 and 1.
    """

    measure = "nearest_right"

    def __init__(self, size: int, loss: str = "triplet", margin: float | None = None):
        self.classes, self.loss = size, loss
        self.margin = MARGINS[loss] if margin is None else margin

    def targets(self, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return (same, different): which pairs of a batch are of one class and which of two, float32 [n, n]."""
        alike = labels[:, None] == labels[None, :]
        same = alike & ~np.eye(len(labels), dtype=bool)
        return same.astype(np.float32), (~alike).astype(np.float32)

    def __call__(self, outputs: Tensor, targets: Pairs) -> Tensor:
        """Return the loss, a scalar tensor."""
        function = {"triplet": triplet_loss, "contrastive": contrastive_loss}[self.loss]
        return function(distances(outputs), targets, self.margin)

    def scores(self, outputs: np.ndarray) -> np.ndarray:
        """Return the outputs divided by their lengths."""
        unit: np.ndarray = F.normalize(Tensor(np.ascontiguousarray(outputs)), dim=1).array
        return unit

    def correct(self, outputs: Any, labels: np.ndarray) -> float:
        """Return how many images of a batch have one of their class as the nearest."""
        unit = self.scores(as_array(outputs))
        likeness = unit @ unit.T
        np.fill_diagonal(likeness, -np.inf)
        return float((labels[likeness.argmax(axis=1)] == labels).sum())

    def unweighted(self) -> "EmbeddingHead":
        """Return itself: there are no class weights."""
        return self
