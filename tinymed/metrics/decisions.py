"""From probabilities to decisions: a threshold chosen by a stated rule, and what it is worth (net benefit)."""

import re
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ..errors import UserError
from .clusters import proportion_interval
from .curves import Float, Warn, check_binary, threshold_counts, warn_undefined

__all__ = ["NetBenefit", "at_threshold", "choose_threshold", "net_benefit"]

RULE = re.compile(r"(sensitivity|specificity)\s*>=\s*([0-9.]+)")


def choose_threshold(labels: npt.ArrayLike, scores: npt.ArrayLike, rule: str = "youden") -> float:
    """Choose the threshold of "positive from this score on" by a rule, on images that are not the test's.

    Args:
        labels: Integers or booleans (n,), 1 for positive; both occur.
        scores: Numbers (n,), higher for more positive.
        rule: "youden": sensitivity + specificity is largest.  "sensitivity>=S": the largest specificity that keeps
            sensitivity at S or above.  "specificity>=S": the largest sensitivity that keeps specificity there.
            Of equally good thresholds the highest.

    Returns:
        One of the scores, or a number above all of them where nothing may be called positive.

    Raises:
        UserError: The rule is another, or a class is absent.

    Example:
        >>> choose_threshold([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8])
        0.8
        >>> choose_threshold([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8], "sensitivity>=0.9")
        0.35

    Reference:
        Youden, Cancer 3, 1950; Habibzadeh, Habibzadeh & Yadollahie, Biochemia Medica 26, 2016.
    """
    name, least = parse_rule(rule)
    y, s = check_binary("choose_threshold", labels, scores)
    if y.all() or not y.any():
        raise UserError(f"a threshold needs both classes; {int(y.sum())} of {y.size} images are positive")
    tp, fp, thresholds = threshold_counts(y, s)
    tp, fp = np.append(0, tp), np.append(0, fp)
    thresholds = np.append(np.nextafter(thresholds[0], np.inf), thresholds)
    sensitivity, specificity = tp / tp[-1], 1 - fp / fp[-1]
    if name == "youden":
        return float(thresholds[np.argmax(sensitivity + specificity)])
    kept, wanted = (sensitivity, specificity) if name == "sensitivity" else (specificity, sensitivity)
    allowed = kept >= least - 1e-12
    best = np.flatnonzero(allowed & (wanted == wanted[allowed].max()))
    return float(thresholds[best[0]])


def parse_rule(rule: str) -> tuple[str, float]:
    """Return ("youden", 0), ("sensitivity", s) or ("specificity", s).  Raises UserError for another text."""
    if rule.strip().lower() == "youden":
        return "youden", 0.0
    match = RULE.fullmatch(rule.strip().lower())
    try:
        least = float(match.group(2)) if match else -1.0
    except ValueError:
        least = -1.0
    if match is None or not 0 < least <= 1:
        raise UserError(f"--threshold {rule!r}: write youden, 'sensitivity>=0.95' or 'specificity>=0.9'")
    return match.group(1), least


def at_threshold(
    labels: npt.ArrayLike,
    scores: npt.ArrayLike,
    threshold: float,
    groups: npt.ArrayLike | None = None,
    level: float = 0.95,
    warn: Warn = warn_undefined,
) -> dict[str, Any]:
    """Return the rates of a decision with their intervals, ready for JSON.

    Args:
        labels: Integers or booleans (n,), 1 for positive.
        scores: Numbers (n,).
        threshold: Positive from this score on.
        groups: Group of each image (n,), or None.
        level: Confidence level, above 0 and below 1.
        warn: Called with a message where an interval is known to be rough.

    Returns:
        {"threshold", "tp", "fp", "fn", "tn", and of accuracy, sensitivity, specificity, precision, npv each its value
        (None: 0/0) and `<name>_interval`}.

    Example:
        >>> found = at_threshold([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8], 0.35, warn=lambda remark: None)
        >>> found["sensitivity"], found["specificity"], found["tp"]
        (1.0, 0.5, 2)
    """
    y, s = check_binary("at_threshold", labels, scores)
    called, place = s >= threshold, None if groups is None else np.asarray(groups)
    result: dict[str, Any] = {"threshold": float(threshold)}
    cells = {"tp": y & called, "fp": ~y & called, "fn": y & ~called, "tn": ~y & ~called}
    result |= {name: int(cell.sum()) for name, cell in cells.items()}
    counted = {
        "accuracy": np.ones(y.size, bool),
        "sensitivity": y,
        "specificity": ~y,
        "precision": called,
        "npv": ~called,
    }
    for name, chosen in counted.items():
        right = (called == y)[chosen]
        ends = proportion_interval(right, None if place is None else place[chosen], level, warn)
        result[name] = float(right.mean()) if right.size else None
        result[f"{name}_interval"] = list(ends) if right.size else None
    return result


class NetBenefit(NamedTuple):
    """What deciding by a model is worth, at each threshold of the probability from which one would act.

    Attributes:
        thresholds: float64 (points,).
        model: Net benefit of acting on images at or above the threshold, in true positives an image.
        everyone: That of acting on every image.

    Example:
        >>> net_benefit([0, 1], [0.2, 0.8], [0.5]).model
        array([0.5])
    """

    thresholds: Float
    model: Float
    everyone: Float


def net_benefit(
    labels: npt.ArrayLike, probabilities: npt.ArrayLike, thresholds: npt.ArrayLike | None = None
) -> NetBenefit:
    """Compute the decision curve: TP/n - FP/n x t/(1-t) at thresholds t; acting on nobody is worth 0.

    Args:
        labels: Integers or booleans (n,), 1 for positive.
        probabilities: Numbers (n,) in 0 to 1; they must be calibrated for t to mean what it says.
        thresholds: Numbers above 0 and below 1; 0.01 to 0.99 by default.

    Returns:
        NetBenefit.

    Raises:
        ValueError: A threshold or probability is out of range.

    Example:
        >>> curve = net_benefit([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8], [0.2, 0.5])
        >>> curve.model.round(4), curve.everyone.round(4)
        (array([0.4375, 0.25  ]), array([0.375, 0.   ]))

    Reference:
        Vickers & Elkin, Medical Decision Making 26, 2006.
    """
    y, p = check_binary("net_benefit", labels, probabilities)
    t = np.arange(1, 100) / 100 if thresholds is None else np.asarray(thresholds, np.float64)
    if t.min() <= 0 or t.max() >= 1 or p.min() < 0 or p.max() > 1:
        raise ValueError("net_benefit: thresholds lie between 0 and 1, probabilities in 0 to 1")
    called = p[None, :] >= t[:, None]
    cost = t / (1 - t)
    model = (called & y).mean(axis=1) - (called & ~y).mean(axis=1) * cost
    return NetBenefit(t, model, y.mean() - (1 - y.mean()) * cost)
