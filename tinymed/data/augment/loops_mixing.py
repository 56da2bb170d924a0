"""The mixing of a batch as a compiled loop, imported at first use: what `mix_images` of mixing.py defines."""

from typing import Any

import numpy as np

from ...cpu.compiler.exact_loops import compiled


@compiled
def mix_images(mixed: Any, images: Any, partners: Any, shares: Any, boxes: Any) -> None:
    """mixed[n] = images[n] with a box of its partner, or blended with it where the box has no area."""
    count, height, width, channels = images.shape
    for n in range(count):
        other, share = partners[n], shares[n]
        rest = np.float32(1) - share
        top, bottom, left, right = boxes[n, 0], boxes[n, 1], boxes[n, 2], boxes[n, 3]
        pasted = bottom > top and right > left
        for i in range(height):
            for j in range(width):
                inside = pasted and top <= i < bottom and left <= j < right
                for c in range(channels):
                    if pasted:
                        mixed[n, i, j, c] = images[other, i, j, c] if inside else images[n, i, j, c]
                    else:
                        mixed[n, i, j, c] = share * images[n, i, j, c] + rest * images[other, i, j, c]
