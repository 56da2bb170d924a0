"""Weights of the classes in the loss."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ...data.sampling import BETA, effective_number
from ...errors import UserError


def check_weights(weights: Sequence[float] | None, classes: int) -> np.ndarray | None:
    """Return class weights as float32.  Raises UserError unless there is one positive number a class."""
    if weights is None:
        return None
    array = np.asarray(weights, np.float32)
    if array.shape != (classes,) or not (np.isfinite(array) & (array > 0)).all():
        raise UserError(f"class weights: expected {classes} positive numbers, one a class, got {list(weights)}")
    return array


def balanced_weights(counts: dict[str, int]) -> list[float]:
    """n / (classes * n_k): classes weigh alike in total, the mean weight of an image is 1.  King & Zeng 2001."""
    if min(counts.values(), default=0) < 1:
        raise UserError(f"balanced class weights need an image of every class in the training set, got {counts}")
    total = sum(counts.values())
    return [total / (len(counts) * n) for n in counts.values()]


def tempered_weights(counts: dict[str, int]) -> list[float]:
    """n / (sqrt(n_k) * sum of sqrt(n_j)): half way, in logarithms, from equal weights to balanced ones; mean 1.

    For classes so rare that balanced weights would let a handful of images or pixels rule the loss.
    """
    balanced_weights(counts)  # refuses a class without images
    root = {name: math.sqrt(n) for name, n in counts.items()}
    return [sum(counts.values()) / (r * sum(root.values())) for r in root.values()]


def effective_weights(counts: dict[str, int], beta: float = BETA) -> list[float]:
    """w_k = 1 / E_k, scaled to mean 1 over the images, E the effective number of a class's images.  Cui et al. 2019.

    beta: 0 weighs classes alike, near 1 gives balanced weights.
    """
    balanced_weights(counts)  # refuses a class without images
    raw = {name: 1 / effective_number(n, beta) for name, n in counts.items()}
    scale = sum(counts.values()) / sum(raw[name] * n for name, n in counts.items())
    return [scale * w for w in raw.values()]


def parse_weights(text: str, classes: Sequence[str], counts: dict[str, int]) -> list[float] | None:
    """Return the command line's --class-weights.

    "none", "balanced", "tempered", "effective" or "effective=BETA", or numbers in class order such as 1,3.5.
    """
    if text == "none":
        return None
    if text == "balanced":
        return balanced_weights(counts)
    if text == "tempered":
        return tempered_weights(counts)
    rule, equals, beta = text.partition("=")
    if rule == "effective":
        try:
            number = float(beta) if equals else BETA
        except ValueError:
            raise UserError(f"--class-weights {text!r}: write effective, or effective=BETA such as 0.99") from None
        return effective_weights(counts, number)
    try:
        numbers: list[Any] = [float(part) for part in text.split(",")]
    except ValueError:
        raise UserError(
            f"--class-weights {text!r}: write none, balanced, tempered, effective, or {len(classes)} numbers in the "
            f"order of the classes ({', '.join(classes)})"
        ) from None
    check_weights(numbers, len(classes))
    return numbers
