"""The two figures by which MedMNIST's own evaluator compares methods, so that they can stand beside published ones.

Reference: Yang et al., MedMNIST v2, Scientific Data 10, 41 (2023), and `Evaluator` of the package medmnist.
"""

import numpy as np

from .curves import roc_auc

THRESHOLD = 0.5


def evaluator_figures(scores: np.ndarray, truth: np.ndarray) -> dict[str, float | None]:
    """Return {"AUC": ..., "ACC": ...} as MedMNIST's evaluator defines them.

    Two classes: the AUC of the second's score, and the share of images that a threshold of 0.5 on it gets right.  More
    classes: the mean of the AUC of each against the rest, and the share where the largest score is right.  Several
    findings an image: the mean over findings of both, a finding being there from a score above 0.5.

    Args:
        scores: Probabilities [n, classes].
        truth: Class numbers [n], or findings of 0 and 1 [n, classes].

    Returns:
        Both figures; the AUC is None where a class or finding has no image, or every image.

    Example:
        >>> evaluator_figures(np.array([[0.8, 0.2], [0.4, 0.6], [0.6, 0.4]]), np.array([0, 1, 1]))
        {'AUC': 1.0, 'ACC': 0.6666666666666666}
    """
    several = truth.ndim == 2
    if not several and scores.shape[1] == 2:
        right = (scores[:, 1] > THRESHOLD) == (truth == 1)
        return {"AUC": area(truth == 1, scores[:, 1]), "ACC": float(right.mean())}
    there = truth == 1 if several else truth[:, None] == np.arange(scores.shape[1])
    areas = [area(there[:, k], scores[:, k]) for k in range(scores.shape[1])]
    known = [area for area in areas if area is not None]
    right = (scores > THRESHOLD) == there if several else scores.argmax(axis=1) == truth
    return {"AUC": float(np.mean(known)) if len(known) == len(areas) else None, "ACC": float(right.mean())}


def area(there: np.ndarray, scores: np.ndarray) -> float | None:
    """Return an area under the ROC curve, None where all or no images are positive."""
    return None if there.all() or not there.any() else float(roc_auc(there, scores))


def evaluator_line(figures: dict[str, float | None]) -> str:
    """Return the figures as a line of text."""
    shown = ", ".join(f"{name} {'not defined' if v is None else f'{v:.4f}'}" for name, v in figures.items())
    return f"as MedMNIST's evaluator defines them: {shown}"
