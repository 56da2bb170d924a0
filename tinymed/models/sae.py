"""A stacked auto-encoder of dense layers: pixels to a short code and back.

    encoder    h_1 = f(W_1 x + b_1), h_2 = f(W_2 h_1 + b_2), ..., the last is the code
    decoder    the same layers in reverse order, with weights of their own; the last gives the pixels

Trained as a whole by `tinymed train sae --task reconstruction`, sparse (Kullback-Leibler penalty) and denoising too, or
layer by layer first by `tinymed pretrain sae`.  Hinton & Salakhutdinov, Science 313, 2006; Vincent, Larochelle, Lajoie,
Bengio & Manzagol, JMLR 11, 2010; sparsity: Lee, Ekanadham & Ng, NIPS 2007.
"""

from itertools import pairwise
from typing import Any

from .. import nn
from ..tensor import Tensor
from .mlp import ACTIVATIONS, dense_initial, layer_widths
from .registry import register
from .sizes import one_of


class StackedAutoencoder(nn.Module):
    """A stacked auto-encoder of dense layers.

    Args:
        in_channels: Channels of the image, such as 1 (grey) or 3 (RGB).
        size: Side of the image in pixels.
        hidden: Units of each layer of the encoder, the code last: a number, several, or a text such as "500,32".
        activation: sigmoid, tanh or relu.
        code: "linear" leaves the activation of the code out; "same" keeps it.
        codes: Answer (images, hidden values of each encoder layer), as a sparse auto-encoder learns from.

    Shape:
        Images (N, in_channels, size, size) to the same; with codes also (N, units) of each encoder layer.

    Raises:
        UserError: hidden, activation or code is not as above.

    Example:
        >>> model = StackedAutoencoder(hidden="30,5", size=8)
        >>> model(tinymed.zeros(2, 1, 8, 8)).shape, model.code_size
        ((2, 1, 8, 8), 5)

    Reference:
        Hinton & Salakhutdinov, Science 313, 2006.
    """

    def __init__(
        self,
        in_channels: int = 1,
        size: int = 28,
        hidden: Any = "500,250,32",
        activation: str = "sigmoid",
        code: str = "linear",
        codes: bool = False,
    ):
        super().__init__()
        squash = ACTIVATIONS[one_of("sae", "activation", activation, tuple(ACTIVATIONS))]
        one_of("sae", "code", code, ("linear", "same"))
        widths = [in_channels * size**2, *layer_widths("sae", hidden)]
        self.input_shape, self.activation, self.codes = (in_channels, size, size), activation, codes
        self.code, self.code_size = code, widths[-1]
        pairs = list(pairwise(widths))
        up = [[nn.Linear(a, b), squash()] for a, b in pairs]
        down = [[nn.Linear(b, a), squash()] for a, b in pairs]
        self.stack = [layer for layer, _ in up]  # what greedy pre-training learns, and what leads back down
        self.mirror = [layer for layer, _ in down]
        if code == "linear":
            up[-1].pop()
        down[0].pop()
        self.flatten = nn.Flatten()
        self.encoder = nn.Sequential(*(nn.Sequential(*layers) for layers in up))
        self.decoder = nn.Sequential(*(nn.Sequential(*layers) for layers in reversed(down)))
        self.unflatten = nn.Unflatten(1, (in_channels, size, size))
        self.apply(dense_initial(activation))

    def encode(self, input: Tensor) -> list[Any]:
        """Return the values of each encoder layer, the code last."""
        values, x = [], self.flatten(input)
        for layer in self.encoder:
            x = layer(x)
            values.append(x)
        return values

    def forward(self, input: Tensor) -> Any:
        """Compute the output; the class names the shapes."""
        values = self.encode(input)
        images = self.unflatten(self.decoder(values[-1]))
        return (images, *values) if self.codes else images


register("sae", "Hinton & Salakhutdinov 2006", (1, 28, 28), "picture")(StackedAutoencoder)
