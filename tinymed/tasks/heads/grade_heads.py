"""What the outputs of a network that grades mean: probabilities of ordered grades.

corn       one output a threshold: sigmoid(z_k) = P(grade > k | grade >= k), so that P(grade > k) is the product of
the first k + 1 sigmoids, which can only fall with k (Shi, Cao & Raschka 2023).  CORAL (Cao, Mirjalili &
Raschka 2020) reaches the same consistency by one shared weight vector, which asks for a layer of its own
and binds all thresholds to one direction of the features; this one takes any network for classes
softmax    one output a grade, cross-entropy: knows nothing of the order but what it learns
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ...data.device_batches import as_array
from ...metrics.grades import decide
from ...nn import functional as F
from ...tensor import Tensor
from .class_heads import SoftmaxHead
from .class_weights import check_weights

HEADS = ("corn", "softmax")


class CornHead:
    """Loss and meaning of outputs [n, grades - 1].

    loss = sum over images i and thresholds k <= grade_i of w[grade_i] bce(z_ik, grade_i > k) / sum of these weights
    """

    def __init__(self, classes: int, class_weights: Sequence[float] | None = None, decision: str = "median"):
        self.classes, self.decision = classes, decision
        self.weights = check_weights(class_weights, classes)

    def targets(self, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return (whether the grade is above each threshold, weights that add up to 1), float32 [n, grades - 1]."""
        thresholds = np.arange(self.classes - 1)
        above, asked = labels[:, None] > thresholds, labels[:, None] >= thresholds
        weight = asked * (1.0 if self.weights is None else self.weights[labels][:, None])
        return above.astype(np.float32), (weight / weight.sum()).astype(np.float32)

    def __call__(self, outputs: Tensor, targets: tuple[Tensor, Tensor]) -> Tensor:
        """Return the loss, a scalar tensor."""
        above, share = targets
        result: Tensor = F.binary_cross_entropy_with_logits(outputs, above, share, reduction="sum")
        return result

    def scores(self, outputs: np.ndarray) -> np.ndarray:
        """Return the probabilities of the grades, float64 [n, grades]; each row adds up to 1."""
        z = outputs.astype(np.float64)
        small = np.exp(-np.abs(z))
        conditional = np.where(z >= 0, 1, small) / (1 + small)
        one = np.ones((len(z), 1))
        above = np.concatenate([one, np.cumprod(conditional, axis=1), np.zeros((len(z), 1))], axis=1)
        result: np.ndarray = above[:, :-1] - above[:, 1:]
        return result

    def correct(self, outputs: Any, labels: np.ndarray) -> float:
        """Count the images whose grade is found."""
        return float((decide(self.scores(as_array(outputs)), self.decision) == labels).sum())

    def unweighted(self) -> "CornHead":
        """Return the same without class weights, for validation."""
        return CornHead(self.classes, None, self.decision)


def make_grade_head(
    name: str, grades: int, class_weights: Sequence[float] | None, decision: str
) -> CornHead | SoftmaxHead:
    """Return the head of this name."""
    return CornHead(grades, class_weights, decision) if name == "corn" else SoftmaxHead(grades, class_weights)


def outputs_for(name: str, grades: int) -> int:
    """Return how many outputs a network has under the head of this name."""
    return grades - 1 if name == "corn" else grades
