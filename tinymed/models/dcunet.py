"""DC-UNet (Lou, Guan & Loew, SPIE 2021) and its parent MultiResUNet (Ibtehaj & Rahman, Neural Networks 121, 2020).

Encoder: five blocks (32, 64, 128, 256, 512 filters) with max-pool 2x2 between.  Each skip passes a ResPath of 4, 3, 2,
1 steps.  Decoder: transposed convolution 2x2 to the filters of the level, concatenation with the skip, a block.  Head:
1x1 convolution and batch norm.  A block's channels follow from its filters by the alpha rule (`chain_widths`): 51, 105,
212, 426, 853.  The blocks are MultiRes blocks in one network and dual channel blocks in the other; nothing else
differs.

Built as the first release of DC-UNet's code: batch norm inside a block has an offset and no scale, Keras's constants.
The authors' later port has a third, 1x1 branch, reflection padding and tanh.  The sigmoid (or softmax) of the head is
left to the loss.  Sides that are not multiples of 16 are taken too: what was up-sampled is padded to the skip.
"""

from collections.abc import Callable
from typing import Any

from .. import nn
from ..nn import init
from ..nn.blocks_segmentation import ConvBN, DCBlock, MultiResBlock, ResPath, join
from ..tensor import Tensor
from .registry import register

LEVELS = 5


class MultiResUNet(nn.Module):
    """MultiResUNet: a U-Net of MultiRes blocks, its skips passing through residual paths.

    Weights are Glorot-uniform, as in Keras.

    Args:
        num_classes: Number of classes, hence of score maps.
        in_channels: Channels of the image, such as 1 (grey) or 3 (RGB).
        filters: Filters of the first level, doubled at each pooling.
        alpha: Multiplier of the filters inside a block.
        block: Class of the blocks.

    Shape:
        Images (N, in_channels, H, W), of any size from 16 up, to scores (N, num_classes, H, W).

    Example:
        >>> MultiResUNet(filters=4)(tinymed.zeros(2, 3, 16, 32)).shape
        (2, 1, 16, 32)

    Reference:
        Ibtehaj & Rahman, Neural Networks 121, 2020.
    """

    def __init__(
        self,
        num_classes: int = 1,
        in_channels: int = 3,
        filters: int = 32,
        alpha: float = 1.67,
        block: Callable[..., Any] = MultiResBlock,
    ):
        super().__init__()
        widths = [filters << i for i in range(LEVELS)]
        self.down, self.path, self.up, self.join = (nn.ModuleList() for _ in range(4))
        channels = in_channels
        for width in widths:
            self.down.append(block(channels, width, alpha))
            channels = self.down[-1].out_channels
        for level, width in enumerate(widths[:-1]):
            self.path.append(ResPath(self.down[level].out_channels, width, LEVELS - 1 - level))
        for width in reversed(widths[:-1]):
            self.up.append(nn.ConvTranspose2d(channels, width, 2, 2))
            self.join.append(block(2 * width, width, alpha))
            channels = self.join[-1].out_channels
        self.pool, self.head = nn.MaxPool2d(2), ConvBN(channels, num_classes, 1, activation=False)
        self.apply(glorot)

    def forward(self, input: Tensor) -> Any:
        """Compute the output; the class names the shapes."""
        skips: list[Any] = []
        y: Any = input
        for level, block in enumerate(self.down):
            y = block(self.pool(y) if level else y)
            skips.append(y)
        skips.pop()
        paths = list(self.path)
        for up, block in zip(self.up, self.join, strict=True):
            y = block(join(paths.pop()(skips.pop()), up(y), crop=False))
        return self.head(y)


class DCUNet(MultiResUNet):
    """DC-UNet: MultiResUNet with dual channel blocks.

    Args:
        num_classes: Number of classes, hence of score maps.
        in_channels: Channels of the image, such as 1 (grey) or 3 (RGB).
        filters: Filters of the first level, doubled at each pooling.
        alpha: Multiplier of the filters inside a block.

    Shape:
        Images (N, in_channels, H, W), of any size from 16 up, to scores (N, num_classes, H, W).

    Example:
        >>> DCUNet(filters=4)(tinymed.zeros(2, 3, 16, 16)).shape
        (2, 1, 16, 16)

    Reference:
        Lou, Guan & Loew, SPIE Medical Imaging 2021.
    """

    def __init__(self, num_classes: int = 1, in_channels: int = 3, filters: int = 32, alpha: float = 1.67):
        super().__init__(num_classes, in_channels, filters, alpha, DCBlock)


def glorot(module: nn.Module) -> None:
    """Set Glorot-uniform weights and zero biases."""
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
        init.xavier_uniform_(module.weight)
        if module.bias is not None:
            init.zeros_(module.bias)


register("dcunet", "Lou, Guan & Loew 2021", (3, 192, 256), "map")(DCUNet)
register("multiresunet", "Ibtehaj & Rahman 2020", (3, 192, 256), "map")(MultiResUNet)
