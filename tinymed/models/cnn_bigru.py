"""Features of slices, and a bidirectional recurrent layer along them (Cheng & Liu, 2017).

A 2-D network, the same for all slices, makes a vector of each slice of a volume.  Gated recurrent units walk along the
slices in both directions, so that each slice is seen with all others around it.

    each slice    (conv 3x3, batch norm, ReLU, max-pool 2) for 16, 32 and 64 channels, mean of the rest
    along z       bidirectional GRU, 64 units each way
    answer        of the volume: the two last states; of each slice: its two outputs

The paper's volumes are PET of the brain, its answer is Alzheimer's disease.  The widths are our choice.
"""

from typing import Any

from .. import nn
from ..errors import UserError
from ..nn import functional as F
from ..tensor import Tensor
from .registry import register
from .sizes import scale_channels

WIDTHS = (16, 32, 64)


class CNNBiGRU(nn.Module):
    """A network of slices and a bidirectional GRU along them.

    Args:
        num_classes: Number of classes, hence of outputs.
        in_channels: Channels of the volume.
        hidden: Units of the recurrent layer, in each direction.
        width: Multiplier of the convolutions' channels.
        per_slice: Answer for every slice, not for the volume.

    Shape:
        Volumes (N, in_channels, D, H, W) of any sides of at least 8 pixels in H and W to logits (N, num_classes), or
        (N, num_classes, D) of every slice.

    Raises:
        UserError: hidden is not positive.
        ValueError: `forward` is given something else than volumes.

    Example:
        >>> CNNBiGRU(hidden=8, width=1 / 4)(tinymed.zeros(2, 1, 5, 16, 16)).shape
        (2, 2)

    Reference:
        Cheng & Liu, "Combining convolutional and recurrent neural networks for Alzheimer's disease diagnosis using PET
        images", 2017.
    """

    def __init__(
        self,
        num_classes: int = 2,
        in_channels: int = 1,
        hidden: int = 64,
        width: float = 1.0,
        per_slice: bool = False,
    ):
        super().__init__()
        if hidden < 1:
            raise UserError(f"cnn_bigru: hidden is the number of units, at least 1; got {hidden}")
        self.per_slice = per_slice
        layers, channels = [], in_channels
        for wanted in WIDTHS:
            made = scale_channels(wanted, width)
            layers += [nn.Conv2d(channels, made, 3, padding=1), nn.BatchNorm2d(made), nn.ReLU(), nn.MaxPool2d(2)]
            channels = made
        self.features = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.along = nn.GRU(channels, hidden, batch_first=True, bidirectional=True)
        self.classifier = nn.Linear(2 * hidden, num_classes)

    def forward(self, input: Tensor) -> Any:
        """Compute the output; the class names the shapes."""
        if len(input.shape) != 5:
            raise ValueError(f"cnn_bigru: takes volumes (N, C, D, H, W), got shape {list(input.shape)}")
        n, c, depth, *sides = input.shape
        slices = F.reshape(F.permute(input, (0, 2, 1, 3, 4)), (n * depth, c, *sides))
        outputs, last = self.along(F.reshape(self.features(slices), (n, depth, self.along.input_size)))
        if self.per_slice:
            return F.permute(self.classifier(outputs), (0, 2, 1))
        return self.classifier(F.cat([F.select(last, 0, 0), F.select(last, 0, 1)], 1))


register("cnn_bigru", "Cheng & Liu 2017", (1, 12, 32, 32), "scores")(CNNBiGRU)
