"""Drawing an op's arguments: what `Op.samples(draw)` is written against."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from . import random


class Constant(np.ndarray):
    """A sample's array that is not differentiated: class weights, running statistics."""


class Draw:
    """Draws an op's arguments.  Built on `integer`; a subclass backs it by Hypothesis, so that failures shrink.

    Args:
        seed: The same seed gives the same arguments.

    Example:
        >>> draw = Draw(seed=3)
        >>> draw.array((2, 3)).shape, 1 <= draw.integer(1, 5) <= 5
        ((2, 3), True)
    """

    def __init__(self, seed: int = 0):
        self.seed, self.count = seed, 0

    def integer(self, low: int, high: int) -> int:
        """Return an integer from low to high, both included."""
        self.count += 1
        return low + int(random.bits(1, self.seed, random.NOISE, self.count)[0]) % (high - low + 1)

    def choice(self, options: Sequence[Any]) -> Any:
        """Return one of the options; put the simplest first."""
        return options[self.integer(0, len(options) - 1)]

    def boolean(self) -> bool:
        """Return False or True."""
        return bool(self.integer(0, 1))

    def number(self, low: float, high: float) -> float:
        """Return a number of two or three digits from low to high."""
        return round(low + (high - low) * self.integer(0, 64) / 64, 3)

    def shape(self, min_axes: int = 0, max_axes: int = 4, min_side: int = 1, max_side: int = 5) -> tuple[int, ...]:
        """Return a shape with the numbers of axes and the sides inside these limits."""
        return tuple(self.integer(min_side, max_side) for _ in range(self.integer(min_axes, max_axes)))

    def array(
        self,
        shape: Sequence[int],
        low: float = -2.0,
        high: float = 2.0,
        avoid: Sequence[float] = (),
        margin: float = 0.02,
        distinct: bool = False,
        constant: bool = False,
    ) -> np.ndarray:
        """Return float64 numbers from low to high, none within `margin` of the kinks to avoid.

        distinct: no ties.  constant: not to be differentiated.
        """
        size, seed = int(np.prod(shape, dtype=np.int64)), self.integer(0, 2**31 - 1)
        if distinct:
            order = random.permutation(size, seed, random.NOISE)
            a = low + (high - low) * (order + 0.5) / max(size, 1)
        else:
            a = low + (high - low) * random.uniform(size, seed, random.NOISE)
        for kink in avoid:
            near = np.abs(a - kink) < margin
            a = np.where(near, kink + np.where(a < kink, -margin, margin) * (1 + np.abs(a - kink) / margin), a)
        a = a.reshape(tuple(shape))
        return a.view(Constant) if constant else a

    def integers(self, shape: Sequence[int], low: int, high: int) -> np.ndarray:
        """Return an int64 array of numbers from low to high, both included."""
        size, seed = int(np.prod(shape, dtype=np.int64)), self.integer(0, 2**31 - 1)
        return (low + random.bits(size, seed, random.NOISE).astype(np.int64) % (high - low + 1)).reshape(tuple(shape))
