"""Visual and temporal sparse auto-encoders, stacked: patches of a dynamic study (Shin et al., TPAMI 35, 2013).

Each patch is an image at several times, after a contrast agent was given.  A first auto-encoder, the same at all times,
learns visual features of an image; a second learns, of each visual feature, how it changes with time.

    visual      patch of size x size pixels -> `visual` sigmoid units, at each time
    temporal    the `times` values of a visual unit -> `temporal` sigmoid units: the code, visual x temporal numbers
    decoder     the same two steps back, with weights of their own

The paper's plan is known, not its sizes: those here, and weights shared over times and over units, are ours.
Parameters by default: (256 64 + 64) + (8 4 + 4) + (4 8 + 8) + (64 256 + 256) = 33,164.
"""

from typing import Any

from .. import nn
from ..nn import functional as F
from ..tensor import Tensor
from .mlp import dense_initial
from .registry import register


class ShinAutoencoder(nn.Module):
    """A visual auto-encoder with a temporal one above it.

    Args:
        in_channels: Times of a study, or neighbouring slices of a volume.
        size: Side of the patch in pixels.
        visual: Hidden units of the visual auto-encoder.
        temporal: Hidden units of the temporal one, for each visual unit.
        codes: Answer (images, visual values, temporal values), as a sparse auto-encoder learns from.

    Shape:
        Patches (N, in_channels, size, size) to the same; with codes also (N, in_channels * visual) and
        (N, visual * temporal).

    Example:
        >>> model = ShinAutoencoder(in_channels=5, size=8, visual=6, temporal=2)
        >>> model(tinymed.zeros(3, 5, 8, 8)).shape, model.code_size
        ((3, 5, 8, 8), 12)

    Reference:
        Shin, Orton, Collins, Doran & Leach, IEEE TPAMI 35(8), 2013.
    """

    def __init__(self, in_channels: int = 8, size: int = 16, visual: int = 64, temporal: int = 4, codes: bool = False):
        super().__init__()
        self.input_shape, self.codes, self.code_size = (in_channels, size, size), codes, visual * temporal
        self.visual_encoder, self.visual_decoder = nn.Linear(size**2, visual), nn.Linear(visual, size**2)
        self.temporal_encoder = nn.Linear(in_channels, temporal)
        self.temporal_decoder = nn.Linear(temporal, in_channels)
        self.apply(dense_initial("sigmoid"))

    def forward(self, input: Tensor) -> Any:
        """Compute the output; the class names the shapes."""
        n, times, height, width = input.shape
        seen = F.sigmoid(self.visual_encoder(F.reshape(input, (n, times, height * width))))
        code = F.sigmoid(self.temporal_encoder(F.transpose(seen, 1, 2)))  # (N, visual, temporal)
        back = F.transpose(F.sigmoid(self.temporal_decoder(code)), 1, 2)
        images = F.reshape(self.visual_decoder(back), (n, times, height, width))
        return (images, F.flatten(seen, 1), F.flatten(code, 1)) if self.codes else images


register("sae_shin", "Shin et al. 2013, by its plan", (8, 16, 16), "picture")(ShinAutoencoder)
