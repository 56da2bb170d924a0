"""A line search for the strong Wolfe conditions: how far to go along a direction that leads down.

A step t is taken if the loss falls by at least a share of what the first slope promises (Armijo), and the slope at its
end is flatter than the first (curvature).  First the step grows until a step of that kind is found or two steps enclose
one; then the two close in on it.  Trial steps are the minima of cubics through losses and slopes.

Nocedal and Wright, "Numerical Optimization", 2006, algorithms 3.5 and 3.6.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

FALL = 1e-4  # c1, share of the promised fall
FLATNESS = 0.9  # c2, share of the first slope
NEAR = 0.1  # of the bracket's length: a minimum nearer to an end than that is suspect


class Trial(NamedTuple):
    """A step along the direction, the loss and the gradient at its end, and the slope there along the direction."""

    step: float
    loss: float
    gradient: Any
    slope: float


def strong_wolfe(
    evaluate: Callable[[float], Trial], start: Trial, step: float, reach: float, shortest: float, most: int
) -> tuple[Trial, int]:
    """Find a step that fulfils the strong Wolfe conditions, or the best that was tried.

    Args:
        evaluate: Returns the trial at a step.
        start: The trial at step 0; its slope is negative.
        step: The first to try.
        reach: The direction's largest component.
        shortest: A bracket in which no parameter changes by more than this is not divided further.
        most: Steps to try after the first.

    Returns:
        The trial, and how many were evaluated.
    """
    bracket, tried = enclose(evaluate, start, step, most)
    if len(bracket) == 2:
        best, tried = close_in(evaluate, start, bracket, tried, reach, shortest, most)
    else:
        best = bracket[0]
    return best, tried + 1


def too_high(trial: Trial, start: Trial) -> bool:
    """Return whether the loss falls too little for the length of the step."""
    return trial.loss > start.loss + FALL * trial.step * start.slope


def flat(trial: Trial, start: Trial) -> bool:
    """Return whether the slope is flat enough."""
    return abs(trial.slope) <= -FLATNESS * start.slope


def enclose(evaluate: Callable[[float], Trial], start: Trial, step: float, most: int) -> tuple[list[Trial], int]:
    """Lengthen the step; return the one that will do, or two that enclose one, and how often it was lengthened."""
    before, at = start, evaluate(step)
    for tried in range(most):
        if too_high(at, start) or (tried > 1 and at.loss >= before.loss):
            return [before, at], tried
        if flat(at, start):
            return [at], tried
        if at.slope >= 0:
            return [before, at], tried
        least = at.step + 0.01 * (at.step - before.step)
        before, at = at, evaluate(cubic_minimum(before, at, least, 10 * at.step))
    return [start, at], max(most, 0)


def close_in(
    evaluate: Callable[[float], Trial],
    start: Trial,
    ends: list[Trial],
    tried: int,
    reach: float,
    shortest: float,
    most: int,
) -> tuple[Trial, int]:
    """Divide a bracket until its lower end will do; return that end and how many trials there were, with `tried`."""
    suspect = False
    low = lower(ends)
    while tried < most and not abs(ends[1].step - ends[0].step) * reach < shortest:
        least, largest = sorted(end.step for end in ends)
        step, suspect = inside(cubic_minimum(ends[0], ends[1], least, largest), least, largest, suspect)
        at = evaluate(step)
        tried += 1
        if too_high(at, start) or at.loss >= ends[low].loss:
            ends[1 - low] = at
            low = lower(ends)
            continue
        enough = flat(at, start)
        if not enough and at.slope * (ends[1 - low].step - ends[low].step) >= 0:
            ends[1 - low] = ends[low]
        ends[low] = at
        if enough:
            break
    return ends[low], tried


def lower(ends: list[Trial]) -> int:
    """Return which end has the lower loss."""
    return 0 if ends[0].loss <= ends[1].loss else 1


def inside(step: float, least: float, largest: float, suspect: bool) -> tuple[float, bool]:
    """Keep a trial step off the ends of a bracket; return it and whether it is suspect.

    A step near an end is tried once; one that follows such a step, or lies at the end, is moved off.
    """
    margin = NEAR * (largest - least)
    if not min(largest - step, step - least) < margin:
        return step, False
    if not (suspect or step >= largest or step <= least):
        return step, True
    return (largest - margin if abs(step - largest) < abs(step - least) else least + margin), False


def cubic_minimum(a: Trial, b: Trial, least: float, largest: float) -> float:
    """Return where the cubic through two trials has its minimum, within bounds; their middle if it has none."""
    if a.step > b.step:
        a, b = b, a
    loss, slope, end, length = np.float64(a.loss), np.float64(a.slope), np.float64(b.slope), b.step - a.step
    with np.errstate(all="ignore"):  # NaN and infinity go on as IEEE has them
        mean = slope + end - 3 * (loss - b.loss) / -length
        square = mean**2 - slope * end
        if not square >= 0:
            return (least + largest) / 2
        root = np.sqrt(square)
        found = float(b.step - length * ((end + root - mean) / (end - slope + 2 * root)))
    return min(max(found, least), largest)
