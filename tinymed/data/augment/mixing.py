"""Mixup and cutmix: images of a batch that are partly others of it, with labels that are shared likewise.

What is drawn for an image depends on (seed, epoch, image) alone, with whom it is mixed on its batch too: its partner is
the next in the order of a number that is drawn for each.
"""

import math
from dataclasses import dataclass

import numpy as np

from ...errors import UserError

CHOICE, BETA, MIDDLE, ORDER = 30, slice(32, 34), slice(34, 36), 36  # places in a row of `draw`


@dataclass(frozen=True)
class Mixing:
    """How images of a batch are mixed.  The default mixes nothing; with both, chance decides for each image.

    Args:
        mixup: Of lambda, which is drawn from Beta(mixup, mixup): x = lambda x1 + (1 - lambda) x2.
        cutmix: Of lambda, from Beta(cutmix, cutmix): a box of the share 1 - lambda of the area comes from the other.

    Raises:
        UserError: A value is negative or not finite.

    Example:
        >>> Mixing(mixup=0.2).any, Mixing().any
        (True, False)

    Reference:
        Zhang et al., ICLR 2018 (mixup); Yun et al., ICCV 2019 (cutmix).
    """

    mixup: float = 0.0
    cutmix: float = 0.0

    def __post_init__(self) -> None:
        for name in ("mixup", "cutmix"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0):
                raise UserError(f"augment: {name} is a finite number, 0 or more, got {value}")

    @property
    def any(self) -> bool:
        """Say whether anything is mixed."""
        return self.mixup > 0 or self.cutmix > 0


def symmetric_beta(alpha: float, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Return numbers of Beta(alpha, alpha), alpha > 0, of uniform ones u and v: no rejection, so one draw each.

    With q = (u^(-1/alpha) - 1) cos^2(2 pi v), 1/2 (1 +- sqrt(q / (1 + q))), the sign that of the cosine; the smaller
    of the two is 1 / (2 (1 + q) (1 + sqrt(q / (1 + q)))), which loses no digits.

    Reference:
        Devroye, Proceedings of the Winter Simulation Conference 1996, "Random variate generation in one line of code".
    """
    cosine = np.cos(2 * np.pi * v)
    with np.errstate(over="ignore", divide="ignore"):  # of a small alpha: the numbers are then 0 or 1
        q = np.expm1(-np.log(u) / alpha) * cosine**2
        smaller = 0.5 / (1 + q) / (1 + np.sqrt(1 / (1 + 1 / q)))
    drawn: np.ndarray = np.where(cosine < 0, smaller, 1 - smaller)
    return drawn


def mixing_of(mixing: Mixing, uniform: np.ndarray, height: int, width: int) -> tuple[np.ndarray, ...]:
    """Return how each image of a batch is mixed, of its row of `draw`.

    Returns:
        (partners int64 [n], shares float64 [n] that each keeps of itself, boxes int64 [n, 4] as (top, bottom, left,
        right) that come from the partner, without area where images are blended).
    """
    order = np.argsort(uniform[:, ORDER], kind="stable")
    partners = np.empty(len(uniform), np.int64)
    partners[order] = np.roll(order, -1)
    pasted = (uniform[:, CHOICE] < 0.5) if mixing.mixup and mixing.cutmix else np.full(len(uniform), mixing.cutmix > 0)
    shares, boxes = np.empty(len(uniform)), np.zeros((len(uniform), 4), np.int64)
    for cut, alpha in ((False, mixing.mixup), (True, mixing.cutmix)):
        chosen = pasted == cut
        if chosen.any():
            shares[chosen] = symmetric_beta(alpha, *uniform[chosen, BETA].T)
    sides = np.sqrt(1 - shares[pasted])
    for axis, size in enumerate((height, width)):
        lengths = np.rint(sides * size).astype(np.int64)
        start = (uniform[pasted, MIDDLE.start + axis] * size).astype(np.int64) - lengths // 2
        boxes[pasted, 2 * axis] = np.clip(start, 0, size)
        boxes[pasted, 2 * axis + 1] = np.clip(start + lengths, 0, size)
    area = (boxes[pasted, 1] - boxes[pasted, 0]) * (boxes[pasted, 3] - boxes[pasted, 2])
    shares[pasted] = 1 - area / (height * width)
    return partners, shares, boxes


def mix_batch(
    images: np.ndarray, labels: np.ndarray, mixing: Mixing, uniform: np.ndarray, *, reference: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Mix the images of a batch with each other, and their labels by the same shares.

    Args:
        images: float32 [n, height, width, channels].
        labels: float32 [n, classes], one-hot or soft.
        mixing: How.
        uniform: Each image's row of `draw`.
        reference: Compute by the definition in NumPy, not by the compiled loop.

    Returns:
        (images, labels) of the same shapes; those that were given are not changed.

    Example:
        >>> from tinymed.data.augment import draw
        >>> images, labels = np.zeros((2, 4, 4, 1), np.float32), np.eye(2, dtype=np.float32)
        >>> mixed = mix_batch(images, labels, Mixing(mixup=1.0), draw(0, 0, np.arange(2)))[1]
        >>> mixed.sum(axis=1)
        array([1., 1.], dtype=float32)
    """
    partners, shares, boxes = mixing_of(mixing, uniform, *images.shape[1:3])
    kept = shares.astype(np.float32)
    soft = kept[:, None] * labels + (1 - kept)[:, None] * labels[partners]
    if reference or images.dtype != np.float32:
        return mix_images(images, partners, kept, boxes), soft
    from . import loops_mixing

    mixed = np.empty(images.shape, np.float32)
    loops_mixing.mix_images(mixed, np.ascontiguousarray(images), partners, kept, boxes)
    return mixed, soft


def mix_images(images: np.ndarray, partners: np.ndarray, shares: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Return each image blended with its partner, or with a box of it."""
    mixed = images.copy()
    for i, (top, bottom, left, right) in enumerate(boxes.tolist()):
        other = images[partners[i]]
        if bottom > top and right > left:
            mixed[i, top:bottom, left:right] = other[top:bottom, left:right]
        elif shares[i] != 1:
            mixed[i] = shares[i] * images[i] + (1 - shares[i]) * other
    return mixed
