"""Fully convolutional networks (Long, Shelhamer & Darrell, CVPR 2015) on VGG: FCN-32s, FCN-16s and FCN-8s.

VGG's dense layers become convolutions: fc6 7x7, 4096; fc7 1x1, 4096, each with ReLU and dropout .5; score 1x1, one map
per class at a 32nd of the side.  The image is padded by 100, so that 7x7 fits a small one, and crops align the maps
again.

    32s    score, enlarged 32 times (transposed convolution 64x64)
    16s    score, enlarged twice, + 1x1 score of pool4; 16 times (32x32)
    8s     that sum enlarged twice, + 1x1 score of pool3; 8 times (16x16)

As in the authors' release the enlarging kernels are bilinear interpolation and stay so (learned_upsampling=True lets
them learn), the pools round up, and crop offsets are 19; 5 and 27; 5, 9 and 31.  There the loss is the pixels' softmax
cross-entropy summed, not averaged, without those labelled 255: `cross_entropy(..., ignore_index=255, reduction="sum")`.
`features` has VGG's names; `convolutional(state)` makes a VGG's weights fit fc6 and fc7 too.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from .. import nn
from ..nn import init
from ..tensor import Tensor
from .registry import register
from .sizes import one_of, scale_channels
from .vgg import WIDTHS, he_normal, vgg_features

SOURCE = "Long, Shelhamer & Darrell 2015"
SKIPS = {32: (), 16: (3,), 8: (3, 2)}  # the pools whose scores are added, counted from 0
OFFSETS = {32: (19,), 16: (5, 27), 8: (5, 9, 31)}  # of the crops: of each pool's scores, then of the result


class BilinearUpsampling(nn.ConvTranspose2d):
    """A map `factor` times larger by bilinear interpolation: a transposed convolution 2 factor x 2 factor.

    Without padding the result is factor pixels larger, half of them on each side.  The weight is dense, channel by
    channel, as published, and frozen unless `learned`.
    """

    def __init__(self, channels: int, factor: int, padding: int = 0, learned: bool = False):
        super().__init__(channels, channels, 2 * factor, factor, padding, bias=False)
        init.bilinear_(self.weight)
        self.weight.requires_grad_(learned)


def crop(scores: Any, offset: int, like: Any) -> Any:
    """Return the part of a map that begins at `offset` and is as large as `like`."""
    height, width = like.shape[2:]
    return scores[:, :, offset : offset + height, offset : offset + width]


class FCN(nn.Module):
    """Fully convolutional VGG: scores of every pixel from the maps at strides 32, 16 and 8.

    Args:
        stride: 32, 16 or 8, of the finest map that is scored.
        num_classes: Number of classes, hence of score maps.
        in_channels: Channels of the image, such as 1 (grey) or 3 (RGB).
        width: Multiplier of all channels and dense units; 1 is the published network.
        encoder: "vgg16" or "vgg19".
        dropout: Probability of dropping a unit.
        learned_upsampling: Let the bilinear enlarging kernels learn.

    Shape:
        Images (N, in_channels, H, W) of any size to scores (N, num_classes, H, W).

    Raises:
        UserError: The encoder is unknown, or width is not positive.

    Example:
        >>> FCN(8, num_classes=2, width=1 / 32)(tinymed.zeros(1, 3, 20, 24)).shape
        (1, 2, 20, 24)

    Reference:
        Long, Shelhamer & Darrell, CVPR 2015.
    """

    def __init__(
        self,
        stride: int = 32,
        num_classes: int = 21,
        in_channels: int = 3,
        width: float = 1.0,
        encoder: str = "vgg16",
        dropout: float = 0.5,
        learned_upsampling: bool = False,
    ):
        super().__init__()
        depth = {"vgg16": 16, "vgg19": 19}[one_of("fcn", "encoder", encoder, ("vgg16", "vgg19"))]
        self.stride = stride
        self.features = vgg_features(depth, in_channels, width, first_padding=100, ceil_mode=True)
        dense = scale_channels(4096, width)
        self.fc6, self.fc7 = nn.Conv2d(scale_channels(WIDTHS[-1], width), dense, 7), nn.Conv2d(dense, dense, 1)
        self.relu, self.dropout = nn.ReLU(), nn.Dropout(dropout)
        self.score = nn.Conv2d(dense, num_classes, 1)
        for pool in SKIPS[stride]:
            self.register_module(
                f"score_pool{pool + 1}", nn.Conv2d(scale_channels(WIDTHS[pool], width), num_classes, 1)
            )
        factors = [2] * len(SKIPS[stride]) + [stride]
        self.upscore = nn.ModuleList(BilinearUpsampling(num_classes, f, learned=learned_upsampling) for f in factors)
        self.start()

    @staticmethod
    def adapted_state(state: Mapping[str, Any]) -> dict[str, Any]:
        """Return a VGG's state under FCN's names for loading by name, or an FCN's as it is."""
        return convolutional(state)

    def start(self) -> None:
        """Set He's normal weights for the convolutions; scores begin at 0, as in the authors' release."""
        self.apply(he_normal)
        for name, layer in self.named_children():
            if name.startswith("score"):
                init.zeros_(layer.weight)

    def forward(self, input: Tensor) -> Any:
        """Compute the output; the class names the shapes."""
        y: Any = input
        pools = []
        for layer in self.features:
            y = layer(y)
            if isinstance(layer, nn.MaxPool2d):
                pools.append(y)
        y = self.dropout(self.relu(self.fc7(self.dropout(self.relu(self.fc6(y))))))
        y = self.upscore[0](self.score(y))
        *offsets, last = OFFSETS[self.stride]
        for pool, offset, enlarge in zip(SKIPS[self.stride], offsets, list(self.upscore)[1:], strict=True):
            skip = self.get_submodule(f"score_pool{pool + 1}")(pools[pool])
            y = enlarge(y + crop(skip, offset, y))
        return crop(y, last, input)


def convolutional(state: Mapping[str, Any]) -> dict[str, Any]:
    """Return a VGG's state under the names of FCN: dense layers as convolutions, the last layer left out.

    state: {name: array} with VGG's names (`features.*`, `classifier.0`, `.3`, `.6`).
    """
    names = {"classifier.0": ("fc6", 7), "classifier.3": ("fc7", 1)}
    result: dict[str, Any] = {}
    for name, value in state.items():
        layer, _, kind = name.rpartition(".")
        if layer in names:
            new, side = names[layer]
            array = np.asarray(value.array if isinstance(value, Tensor) else value)
            result[f"{new}.{kind}"] = array.reshape(len(array), -1, side, side) if kind == "weight" else array
        elif not layer.startswith("classifier"):
            result[name] = value
    return result


def add(stride: int) -> None:
    """Register the network of one stride."""

    def build(
        num_classes: int = 21,
        in_channels: int = 3,
        width: float = 1.0,
        encoder: str = "vgg16",
        dropout: float = 0.5,
        learned_upsampling: bool = False,
    ) -> FCN:
        return FCN(stride, num_classes, in_channels, width, encoder, dropout, learned_upsampling)

    register(f"fcn{stride}s", f"{SOURCE}, on VGG-16", (3, 224, 224), "map")(build)


for stride in SKIPS:
    add(stride)
