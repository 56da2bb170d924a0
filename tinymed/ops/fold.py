"""Blocks added up to images: what undoes, and is the transpose of, unfold."""

from math import prod
from typing import Any

from ..annotations import Padding, Size, Tensor
from ..dispatch import Array
from ..tape import Op
from .pad import Window, positions
from .space import Sizes, per_axis


class Fold(Op):
    """y[n, c, place] = the sum of x over all blocks that hold the place;  dx = dy's blocks (unfold)."""

    def forward(self, x: Array, size: Sizes, window: Window) -> Array:
        self.save(window)
        return self.k.unfold_backward(x, (x.shape[0], x.shape[1] // prod(window[0]), *size), window)

    def backward(self, dy: Array) -> Any:
        return self.k.unfold_forward(dy, *self.saved), None, None

    @staticmethod
    def samples(draw: Any) -> tuple[Any, ...]:
        def two(low: int, high: int) -> tuple[int, int]:
            return draw.integer(low, high), draw.integer(low, high)

        window = (two(1, 3), two(1, 2), two(0, 2), two(1, 3))
        down, across = (draw.integer(d * (k - 1) + 1, 7) for k, d in zip(window[0], window[1], strict=True))
        n, c = draw.integer(1, 2), draw.integer(1, 3)
        count = prod(positions((n, c, down, across), window))
        return draw.array((n, c * prod(window[0]), count)), (down, across), window

    @staticmethod
    def oracle(torch: Any, x: Any, size: Any, window: Window) -> Any:
        return torch.nn.functional.fold(x, size, *window)


def fold(
    input: Tensor, output_size: Size, kernel_size: Size, dilation: Size = 1, padding: Padding = 0, stride: Size = 1
) -> Tensor:
    """Add columns up to images, where unfold copied blocks into columns.

    Args:
        input: (N, C kernel_h kernel_w, blocks), or without N.
        output_size: (H, W) in pixels.
        kernel_size, dilation, padding, stride: In pixels, an int or one per axis.

    Returns:
        (N, C, H, W), or without N.

    Raises:
        ValueError: The shape does not fit the blocks of output_size.

    Example:
        >>> import tinymed
        >>> from tinymed.nn import functional as F
        >>> F.fold(tinymed.ones(1, 4, 4), (3, 3), 2)[0, 0].tolist()
        [[1.0, 2.0, 1.0], [2.0, 4.0, 2.0], [1.0, 2.0, 1.0]]
    """
    window: Any = (
        per_axis("fold", "kernel_size", kernel_size, 2),
        per_axis("fold", "dilation", dilation, 2),
        per_axis("fold", "padding", padding, 2, 0),
        per_axis("fold", "stride", stride, 2),
    )
    size, shape = per_axis("fold", "output_size", output_size, 2), input.shape
    if len(shape) not in (2, 3) or shape[-2] % prod(window[0]):
        raise ValueError(
            f"fold: input is (N, C x {prod(window[0])}, blocks) or the same without N for blocks of {window[0]}, got "
            f"{list(shape)}"
        )
    down, across = positions((1, 1, *size), window)
    if min(down, across) < 1 or down * across != shape[-1]:
        raise ValueError(
            f"fold: output_size {list(size)} has {down} x {across} blocks of {window[0]}, the input {shape[-1]}"
        )
    return Fold.apply(input, size, window) if len(shape) == 3 else Fold.apply(input[None], size, window)[0]


__all__ = ["fold"]
