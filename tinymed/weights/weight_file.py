"""What a reader of weights gives."""

from typing import NamedTuple

import numpy as np


class WeightFile(NamedTuple):
    """What a file of weights holds.

    Attributes:
        arrays: {name: array}.
        notes: What was chosen, left aside or renamed, for people.

    Example:
        >>> WeightFile({"weight": np.ones(3)}, []).arrays["weight"].shape
        (3,)
    """

    arrays: dict[str, np.ndarray]
    notes: list[str]
