"""What the outputs of a network for several findings mean: one sigmoid each, learnt where the finding is known."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ...data.device_batches import Constant, as_array
from ...errors import UserError
from ...nn import functional as F
from ...tensor import Tensor
from .class_weights import check_weights


class FindingHead:
    """Loss and meaning of outputs [n, findings].

    loss = mean over the known pairs of image and finding of the binary cross-entropy, positives times their weight
    """

    def __init__(self, classes: int, positive_weights: Sequence[float] | None = None):
        weights = check_weights(positive_weights, classes)
        self.classes, self.weights = classes, None if weights is None else Constant(weights)

    def targets(self, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return (findings with 0 where not known, shares that add up to 1 over the known), float32 [n, findings]."""
        known = np.isfinite(labels)
        share = known / max(int(known.sum()), 1)
        return np.where(known, labels, 0).astype(np.float32), share.astype(np.float32)

    def __call__(self, outputs: Tensor, targets: tuple[Tensor, Tensor]) -> Tensor:
        """Return the loss, a scalar tensor."""
        there, share = targets
        weight = None if self.weights is None else self.weights.beside(outputs)
        result: Tensor = F.binary_cross_entropy_with_logits(outputs, there, share, reduction="sum", pos_weight=weight)
        return result

    def scores(self, outputs: np.ndarray) -> np.ndarray:
        """Return sigmoids of the logits, float64 [n, findings]."""
        z = outputs.astype(np.float64)
        small = np.exp(-np.abs(z))
        result: np.ndarray = np.where(z >= 0, 1, small) / (1 + small)
        return result

    def correct(self, outputs: Any, labels: np.ndarray) -> float:
        """Return the share of each image's known findings that are right at 0.5, summed over a batch."""
        known = np.isfinite(labels)
        right = ((as_array(outputs) >= 0) == (labels == 1)) & known
        return float((right.sum(axis=1) / np.maximum(known.sum(axis=1), 1)).sum())

    def unweighted(self) -> "FindingHead":
        """Return the same without weights, for validation."""
        return FindingHead(self.classes)


def positive_weights(
    text: str, findings: Sequence[str], positives: Sequence[int], known: Sequence[int]
) -> list[float] | None:
    """Return --class-weights as the weight of a positive of each finding.

    none; balanced: negatives / positives, so that both weigh alike; tempered: the root of that; or numbers in the order
    of the findings.
    """
    if text == "none":
        return None
    if text in ("balanced", "tempered"):
        ratios = [(n - p) / p for p, n in zip(positives, known, strict=True)]
        return ratios if text == "balanced" else [math.sqrt(ratio) for ratio in ratios]
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) != len(findings):
        raise UserError(
            f"--class-weights {text!r}: write none, balanced, tempered, or {len(findings)} numbers in the order of the "
            f"findings ({', '.join(findings)})"
        )
    check_weights(numbers, len(findings))
    return numbers
