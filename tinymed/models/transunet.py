"""TransUNet (J. Chen et al., 2021): a convolutional trunk, a transformer on its last map, a decoder.

Trunk: ResNet-50 of three stages with standardised weights and group norm: root 7x7 of stride 2 and max-pool 3x3 of
stride 2 without padding, then 3, 4 and 9 bottlenecks, 1024 channels at a sixteenth.  Tokens: 1x1 convolution to the
width of the transformer, learned positions, dropout.  Encoder: layers that normalise first (GELU), a last norm.
Decoder: 3x3 to 512, then four times bilinear x2 with aligned corners, concatenation with a map of the trunk (the last
time none), two 3x3 convolutions with batch norm and ReLU.  Head: 3x3 to classes.

    transunet        R50-ViT-B/16; 105,277,081 parameters at 224 pixels and 9 classes
    transunet_tiny   the same structure with 2 layers of width 64 and a trunk of an eighth of the channels

The pool without padding makes of the root's 112 pixels 55; the copy that is carried across is padded with zeros to 56.
A grey image is repeated to three channels by the authors; here the network takes as many as it is told.
"""

from typing import Any

from .. import nn
from ..errors import UserError
from ..nn import functional as F
from ..nn import init
from ..nn.module import new_parameter
from ..nn.standardised import StandardisedConv2d
from ..tensor import Tensor
from .axial_unet import check_image
from .registry import register

BLOCKS = (3, 4, 9)
DECODER = (256, 128, 64, 16)
SOURCE = "J. Chen et al. 2021"


class Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolution with standardised weights and group norm, added to the (projected) input.

    The projection's norm has one channel a group.

    Args:
        in_channels: Channels of the input.
        mid: Channels of the first two convolutions; the output has four times as many.
        stride: Of the 3x3 convolution.
        groups: Of the norms.
    """

    def __init__(self, in_channels: int, mid: int, stride: int, groups: int):
        super().__init__()
        out = 4 * mid
        self.conv1, self.norm1 = StandardisedConv2d(in_channels, mid, 1, bias=False), nn.GroupNorm(groups, mid, 1e-6)
        self.conv2 = StandardisedConv2d(mid, mid, 3, stride, 1, bias=False)
        self.norm2 = nn.GroupNorm(groups, mid, 1e-6)
        self.conv3, self.norm3 = StandardisedConv2d(mid, out, 1, bias=False), nn.GroupNorm(groups, out, 1e-6)
        self.relu, self.shortcut = nn.ReLU(), None
        if stride > 1 or in_channels != out:
            self.shortcut = nn.Sequential(
                StandardisedConv2d(in_channels, out, 1, stride, bias=False), nn.GroupNorm(out, out)
            )

    def forward(self, input: Tensor) -> Any:
        """Compute the output; the class names the shapes."""
        y = self.relu(self.norm1(self.conv1(input)))
        y = self.norm3(self.conv3(self.relu(self.norm2(self.conv2(y)))))
        return self.relu(y + (input if self.shortcut is None else self.shortcut(input)))


class Trunk(nn.Module):
    """The convolutional part: images (N, C, H, W) to a map of a sixteenth, and those that are carried across.

    Args:
        in_channels: Channels of the image.
        width: Channels of the root.
        blocks: Bottlenecks of each stage.
        groups: Of the norms.
    """

    def __init__(self, in_channels: int, width: int, blocks: tuple[int, ...], groups: int):
        super().__init__()
        self.root = nn.Sequential(
            StandardisedConv2d(in_channels, width, 7, 2, 3, bias=False), nn.GroupNorm(groups, width, 1e-6), nn.ReLU()
        )
        self.pool, self.stages, channels = nn.MaxPool2d(3, 2), nn.ModuleList(), width
        for level, count in enumerate(blocks):
            mid = width << level
            layers = []
            for n in range(count):
                layers.append(Bottleneck(channels, mid, 2 if level and not n else 1, groups))
                channels = 4 * mid
            self.stages.append(nn.Sequential(*layers))

    def forward(self, input: Tensor) -> Any:
        """Return the last map, and those before it, the smallest first."""
        y = self.root(input)
        skips, side = [y], input.shape[2] // 4
        y = self.pool(y)
        for level, stage in enumerate(self.stages):
            y = stage(y)
            missing = (side >> level) - y.shape[2]
            skips.append(F.pad(y, (0, missing, 0, missing)) if missing else y)
        return y, skips[-2::-1]


class TransUNet(nn.Module):
    """TransUNet: a transformer on the last map of a residual net, and a decoder that sees the net's earlier maps.

    Args:
        num_classes: Number of classes, hence of score maps.
        in_channels: Channels of the image, such as 1 (grey) or 3 (RGB).
        size: Side of the image in pixels, a multiple of 16 from 32 up.
        width: Channels of the trunk's root, a multiple of 4.
        blocks: Bottlenecks of each of the trunk's three stages.
        features: Features of a token, a multiple of heads.
        layers: Layers of the transformer.
        heads: Heads of its attention.
        hidden: Features between its dense layers.
        decoder: Channels of the decoder's steps.
        dropout: Probability of dropping in tokens and dense layers.

    Shape:
        Images (N, in_channels, size, size) to scores (N, num_classes, size, size), not yet a softmax.

    Raises:
        UserError: size, width or heads do not fit.
        ValueError: `forward` is given an image of another size.

    Example:
        >>> TransUNet(2, 1, 32, 8, (1, 1, 1), 16, 1, 2, 32, (16, 8, 8, 4))(tinymed.zeros(2, 1, 32, 32)).shape
        (2, 2, 32, 32)

    Reference:
        J. Chen et al., "TransUNet: transformers make strong encoders for medical image segmentation", 2021.
    """

    def __init__(
        self,
        num_classes: int = 9,
        in_channels: int = 3,
        size: int = 224,
        width: int = 64,
        blocks: tuple[int, ...] = BLOCKS,
        features: int = 768,
        layers: int = 12,
        heads: int = 12,
        hidden: int = 3072,
        decoder: tuple[int, ...] = DECODER,
        dropout: float = 0.1,
    ):
        super().__init__()
        if size < 32 or size % 16:
            raise UserError(f"model transunet: size is {size}; it takes a multiple of 16 from 32 up")
        groups = min(32, width // 2)
        if groups < 1 or width % groups:
            raise UserError(f"model transunet: width is {width}; it takes an even number, from 64 up a multiple of 32")
        if features % heads:
            raise UserError(f"model transunet: {features} features for {heads} heads; it takes a multiple of heads")
        self.size, self.side, self.input_shape = size, size // 16, (in_channels, size, size)
        self.trunk = Trunk(in_channels, width, blocks, groups)
        last = 4 * width << (len(blocks) - 1)
        self.embed = nn.Conv2d(last, features, 1)
        self.positions, self.dropout = new_parameter(1, self.side**2, features), nn.Dropout(dropout)
        layer = nn.TransformerEncoderLayer(
            features, heads, hidden, dropout, "gelu", 1e-6, batch_first=True, norm_first=True
        )
        self.encoder = nn.TransformerEncoder(layer, layers, nn.LayerNorm(features, 1e-6))
        first = 2 * decoder[0]
        self.begin = double(features, first)
        skips = [8 * width, 4 * width, width, 0]
        self.up, self.join = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True), nn.ModuleList()
        for before, skip, out in zip([first, *decoder], skips, decoder, strict=False):
            self.join.append(nn.Sequential(double(before + skip, out), double(out, out)))
        self.head = nn.Conv2d(decoder[-1], num_classes, 3, 1, 1)
        init.zeros_(self.positions)
        for one in self.encoder.layers:
            one.self_attn.dropout = one.dropout1.p = 0.0  # the authors drop in the dense layers, not in attention

    def forward(self, input: Tensor) -> Any:
        """Compute the scores; the class names the shapes."""
        check_image(self, input, self.size)
        y, skips = self.trunk(input)
        tokens = F.swapaxes(F.flatten(self.embed(y), 2), 1, 2) + self.positions
        tokens = F.swapaxes(self.encoder(self.dropout(tokens)), 1, 2)
        y = self.begin(F.reshape(tokens, (tokens.shape[0], -1, self.side, self.side)))
        for block, skip in zip(self.join, [*skips, None], strict=True):
            y = self.up(y)
            y = block(y if skip is None else F.cat([y, skip], 1))
        return self.head(y)


def double(in_channels: int, out_channels: int) -> nn.Sequential:
    """Return a 3x3 convolution with batch norm and ReLU."""
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, 3, 1, 1, bias=False), nn.BatchNorm2d(out_channels), nn.ReLU()
    )


def transunet(num_classes: int = 9, in_channels: int = 3, size: int = 224, dropout: float = 0.1) -> TransUNet:
    """Build TransUNet, R50-ViT-B/16: 105,277,081 parameters at 224 pixels, 3 channels and 9 classes.

    Args:
        num_classes: Number of classes, hence of score maps.
        in_channels: Channels of the image, such as 1 (grey) or 3 (RGB).
        size: Side of the image in pixels, a multiple of 16 from 32 up.
        dropout: Probability of dropping in tokens and dense layers.

    Returns:
        A network of images (N, in_channels, size, size) to scores (N, num_classes, size, size).

    Raises:
        UserError: size does not fit.

    Example:
        >>> from tinymed import models
        >>> with nn.init.no_weights():
        ...     models.count_parameters(transunet())
        105277081

    Reference:
        J. Chen et al., 2021.
    """
    return TransUNet(num_classes, in_channels, size, dropout=dropout)


def transunet_tiny(num_classes: int = 2, in_channels: int = 3, size: int = 96, dropout: float = 0.1) -> TransUNet:
    """Build a TransUNet of 2 layers of 64 features, on a trunk of 8 channels with 1, 1 and 2 bottlenecks.

    Args:
        num_classes: Number of classes, hence of score maps.
        in_channels: Channels of the image, such as 1 (grey) or 3 (RGB).
        size: Side of the image in pixels, a multiple of 16 from 32 up.
        dropout: Probability of dropping in tokens and dense layers.

    Returns:
        A network of images (N, in_channels, size, size) to scores (N, num_classes, size, size).

    Raises:
        UserError: size does not fit.

    Example:
        >>> transunet_tiny(size=32)(tinymed.zeros(1, 3, 32, 32)).shape
        (1, 2, 32, 32)

    Reference:
        J. Chen et al., 2021, made small.
    """
    return TransUNet(num_classes, in_channels, size, 8, (1, 1, 2), 64, 2, 4, 128, (32, 16, 8, 8), dropout)


register("transunet", SOURCE, (3, 224, 224), "map")(transunet)
register("transunet_tiny", f"{SOURCE}, 2 layers of width 64", (3, 96, 96), "map")(transunet_tiny)
