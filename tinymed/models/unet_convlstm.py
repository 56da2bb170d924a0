"""A U-Net of slices and a bidirectional convolutional LSTM along z (J. Chen et al., 2016; Cai et al., 2017).

A volume's resolution along z is often a tenth of that within a slice, which filters in three axes take for the same.
Here a 2-D U-Net makes features of each slice, the same weights for all, and a convolutional LSTM passes along the
slices in both directions and joins them to scores.  Cai et al. train it by the Jaccard loss.

The papers' networks are deeper in the recurrent part; the widths are our choice.
"""

from typing import Any

from .. import nn
from ..nn import functional as F
from ..tensor import Tensor
from .registry import register
from .unet import UNet


class UNetConvLSTM(nn.Module):
    """A U-Net of slices and a bidirectional ConvLSTM along z.

    Args:
        num_classes: Number of classes, hence of score maps.
        in_channels: Channels of the volume, one per modality.
        base: Channels of the U-Net's first convolution, and of its features.
        depth: Number of poolings within a slice.
        hidden: Channels of the recurrent state, in each direction.
        dropout: Probability of dropping a value at the bottom of the U-Net.

    Shape:
        Volumes (N, in_channels, D, H, W) to scores (N, num_classes, D, H, W).

    Raises:
        ValueError: `forward` is given something else than volumes.

    Example:
        >>> UNetConvLSTM(base=2, depth=1, hidden=3)(tinymed.zeros(1, 1, 3, 8, 8)).shape
        (1, 2, 3, 8, 8)

    Reference:
        Chen, Yang, Zhang, Alber & Chen, "Combining fully convolutional and recurrent neural networks for 3D biomedical
        image segmentation", 2016.
    """

    def __init__(
        self,
        num_classes: int = 2,
        in_channels: int = 1,
        base: int = 16,
        depth: int = 3,
        hidden: int = 16,
        dropout: float = 0.0,
    ):
        super().__init__()
        self.slices = UNet(base, in_channels, base=base, depth=depth, padding="same", dropout=dropout)
        self.along = nn.ConvLSTM2d(base, hidden, batch_first=True, bidirectional=True)
        self.head = nn.Conv2d(2 * hidden, num_classes, 1)

    def forward(self, input: Tensor) -> Any:
        """Compute the output; the class names the shapes."""
        if len(input.shape) != 5:
            raise ValueError(f"unet_convlstm: takes volumes (N, C, D, H, W), got shape {list(input.shape)}")
        n, c, depth, *sides = input.shape
        features = self.slices(F.reshape(F.permute(input, (0, 2, 1, 3, 4)), (n * depth, c, *sides)))
        outputs, _ = self.along(F.reshape(F.relu(features), (n, depth, *features.shape[1:])))
        scores = self.head(F.flatten(outputs, 0, 1))
        return F.permute(F.reshape(scores, (n, depth, *scores.shape[1:])), (0, 2, 1, 3, 4))


register("unet_convlstm", "J. Chen, Yang, Zhang, Alber & D. Chen 2016", (1, 16, 64, 64), "map")(UNetConvLSTM)
