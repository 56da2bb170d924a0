"""The massive-training artificial neural network (Suzuki; Tajbakhsh & Suzuki, Pattern Recognition 63, 2017).

A small regression network slides over the image: the 81 pixels of a 9x9 window, hidden sigmoid units (20, our choice),
one linear output.  It is taught an image that holds a Gaussian over each lesion and 0 elsewhere, by mean squared error.
A candidate's score is the sum of the output map times a Gaussian about the candidate.  Several experts, each taught
against one kind of false positive, are merged by a mixing network on their scores.
"""

from typing import Any

import numpy as np

from .. import nn
from ..errors import UserError
from ..nn import functional as F
from ..tensor import Tensor
from .registry import register


def gaussian(height: int, width: int, std: float, centre: tuple[float, float] | None = None) -> np.ndarray:
    """Return float32 (height, width): exp(-d^2 / (2 std^2)) about a centre (row, column), the middle by default."""
    row, column = ((height - 1) / 2, (width - 1) / 2) if centre is None else centre
    square = np.subtract.outer(np.arange(height), row)[:, None] ** 2 + (np.arange(width) - column)[None] ** 2
    values: np.ndarray = np.exp(-square / (2 * std**2)).astype(np.float32)
    return values


class MTANN(nn.Module):
    """A massive-training artificial neural network: a small regression network slid over an image.

    Args:
        in_channels: Channels of the image, such as 1 (grey) or 3 (RGB).
        window: Odd side of the window in pixels.
        hidden: Hidden sigmoid units.

    Shape:
        Images (N, in_channels, H, W) to a map (N, 1, H - window + 1, W - window + 1): the output at every window.

    Raises:
        UserError: The window is even or below 1.

    Example:
        >>> model = MTANN()
        >>> model.score(model(tinymed.zeros(2, 1, 19, 19))).shape
        (2,)

    Reference:
        Suzuki et al., Medical Physics 30, 2003; Tajbakhsh & Suzuki, Pattern Recognition 63, 2017.
    """

    def __init__(self, in_channels: int = 1, window: int = 9, hidden: int = 20):
        super().__init__()
        if window < 1 or window % 2 == 0:
            raise UserError(f"mtann: window is an odd side, so that a pixel is its middle; got {window}")
        self.input_shape = (in_channels, window, window)
        self.window, self.unfold = window, nn.Unfold(window)
        self.hidden, self.output = nn.Linear(in_channels * window**2, hidden), nn.Linear(hidden, 1)

    def forward(self, input: Tensor) -> Any:
        """Compute the output; the class names the shapes."""
        n, _, height, width = input.shape
        windows = F.transpose(self.unfold(input), 1, 2)  # (N, places, pixels of a window)
        y = self.output(F.sigmoid(self.hidden(windows)))
        return F.reshape(y, (n, 1, height - self.window + 1, width - self.window + 1))

    def score(self, scores: Tensor, std: float = 3.0) -> Any:
        """Return (N,): the sum of an output map (N, 1, h, w) times a Gaussian about its middle; std in pixels."""
        height, width = scores.shape[2:]
        weights = Tensor(gaussian(height, width, std).astype(scores.dtype)).to(scores.device)
        return (scores * weights).sum((1, 2, 3))


class MixtureOfMTANNs(nn.Module):
    """Several MTANNs, each an expert on one kind of false positive, merged by a mixing network on their scores.

    The mixing network has one hidden layer of sigmoids and a linear output; experts are trained first, each on its
    own.

    Args:
        experts: Number of MTANNs.
        in_channels: Channels of the image, such as 1 (grey) or 3 (RGB).
        window: Odd side of their window in pixels.
        hidden: Their hidden units.
        mixing: Hidden units of the mixing network.
        std: Deviation of the scores' Gaussian in pixels.

    Shape:
        Candidates (N, in_channels, H, W) to (N, 1), higher for a lesion.

    Raises:
        UserError: The window is even or below 1.

    Example:
        >>> MixtureOfMTANNs(experts=2)(tinymed.zeros(3, 1, 15, 15)).shape
        (3, 1)

    Reference:
        Tajbakhsh & Suzuki, Pattern Recognition 63, 2017.
    """

    def __init__(
        self,
        experts: int = 4,
        in_channels: int = 1,
        window: int = 9,
        hidden: int = 20,
        mixing: int = 10,
        std: float = 3.0,
    ):
        super().__init__()
        self.std = std
        self.experts = nn.ModuleList(MTANN(in_channels, window, hidden) for _ in range(experts))
        self.mixing, self.output = nn.Linear(experts, mixing), nn.Linear(mixing, 1)

    def forward(self, input: Tensor) -> Any:
        """Compute the output; the class names the shapes."""
        scores = F.stack([expert.score(expert(input), self.std) for expert in self.experts], 1)
        return self.output(F.sigmoid(self.mixing(scores)))


register("mtann", "Tajbakhsh & Suzuki 2017", (1, 9, 9))(MTANN)
