"""What the methods can be told; each takes of it what concerns it."""

from typing import NamedTuple

import numpy as np


class Settings(NamedTuple):
    """What an explanation is made with.

    Attributes:
        layer: Name of the layer of class activation maps; None: the last with spatial extent, see `choose_layer`.
        baseline: What "nothing there" is, in the network's input: a number or an array that fits one image
            [channels, *space].  Integrated gradients begin there, occlusion covers with it.
        steps: Points on the path of integrated gradients.
        window: Side of what occlusion covers, in pixels; None: an eighth of the shortest side.
        stride: Pixels from one window to the next; None: half a window.
        batch: Images that pass the network at once.

    Example:
        >>> Settings(steps=16).steps
        16
    """

    layer: str | None = None
    baseline: float | np.ndarray = 0.0
    steps: int = 64
    window: int | None = None
    stride: int | None = None
    batch: int = 16
