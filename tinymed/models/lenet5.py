"""LeNet-5, as published (LeCun, Bottou, Bengio & Haffner 1998, section II.B) and as it is built today."""

from typing import Any

import numpy as np

from .. import nn
from ..errors import UserError
from ..factories import full
from ..nn import functional as F
from ..nn import init
from ..nn.module import new_parameter
from ..tensor import Tensor
from .bitmaps import DIGITS
from .registry import register

# Table I of the paper: which of S2's 6 maps each of C3's 16 maps sees.
CONNECTIONS = (
    (0, 1, 2),
    (1, 2, 3),
    (2, 3, 4),
    (3, 4, 5),
    (0, 4, 5),
    (0, 1, 5),
    (0, 1, 2, 3),
    (1, 2, 3, 4),
    (2, 3, 4, 5),
    (0, 3, 4, 5),
    (0, 1, 4, 5),
    (0, 1, 2, 5),
    (0, 1, 3, 4),
    (1, 2, 4, 5),
    (0, 2, 3, 5),
    (0, 1, 2, 3, 4, 5),
)


def uniform_by_fan_in(tensor: Tensor, fan_in: float) -> None:
    """Draw uniformly in +-2.4 / fan_in: the paper's initial weights (appendix A)."""
    init.uniform_(tensor, -2.4 / fan_in, 2.4 / fan_in)


class Subsampling(nn.Module):
    """Per channel: weight x the sum of each 2x2 window + bias, both learned."""

    def __init__(self, channels: int):
        super().__init__()
        self.weight, self.bias = new_parameter(channels, 1, 1), new_parameter(channels, 1, 1)
        uniform_by_fan_in(self.weight, 4)
        init.zeros_(self.bias)

    def forward(self, input: Tensor) -> Any:
        """Compute the output; the class names the shapes."""
        return F.avg_pool2d(input, 2) * 4.0 * self.weight + self.bias

    def macs(self, input: tuple[int, ...], output: tuple[int, ...]) -> int:
        """Return one product for every output element."""
        return int(np.prod(output[1:]))


class PartialConv2d(nn.Module):
    """A convolution in which each output map sees some input maps only; the absent filters do not exist.

    connections: for each output map the input maps it sees.  weight: (connections in all, k, k), bias: (maps).
    """

    def __init__(self, in_channels: int, connections: tuple[tuple[int, ...], ...], kernel_size: int):
        super().__init__()
        self.in_channels, self.connections, k = in_channels, connections, kernel_size
        pairs = [(o, i) for o, seen in enumerate(connections) for i in seen]
        self.weight, self.bias = new_parameter(len(pairs), k, k), new_parameter(len(connections))
        place = np.zeros((len(connections) * in_channels, len(pairs)), np.float32)
        place[[o * in_channels + i for o, i in pairs], range(len(pairs))] = 1
        self.register_buffer("place", Tensor(place), persistent=False)
        start = 0
        for seen in connections:  # a map's fan-in depends on how many maps it sees
            stop = start + len(seen)
            uniform_by_fan_in(Tensor(self.weight.array[start:stop]), len(seen) * k * k)
            start = stop
        init.zeros_(self.bias)

    def dense_weight(self) -> Any:
        """Return the weight of an ordinary convolution, 0 where there is no connection: a product with a 0/1 matrix."""
        n, k, _ = self.weight.shape
        full = F.matmul(self.place, F.reshape(self.weight, (n, k * k)))
        return F.reshape(full, (len(self.connections), self.in_channels, k, k))

    def forward(self, input: Tensor) -> Any:
        """Compute the output; the class names the shapes."""
        return F.conv2d(input, self.dense_weight(), self.bias)

    def macs(self, input: tuple[int, ...], output: tuple[int, ...]) -> int:
        """Return the products of the connections that exist."""
        return int(np.prod(output[2:]) * self.weight.array.size)

    def extra_repr(self) -> str:
        """Return what the printed network says of the layer."""
        return f"{self.in_channels}, {len(self.connections)} maps, {self.weight.shape[0]} connections"


class RadialBasis(nn.Module):
    """Minus the squared distance to each class's fixed target of +-1: y_i = -sum_j (x_j - w_ij)^2.

    Negated, so that the nearest target has the largest output and softmax(output) is the posterior of equation 9.
    """

    def __init__(self, targets: np.ndarray):
        super().__init__()
        self.register_buffer("targets", Tensor(np.array(targets, np.float32)))

    def forward(self, input: Tensor) -> Any:
        """Compute the output; the class names the shapes."""
        difference = F.reshape(input, (input.shape[0], 1, input.shape[1])) - self.targets
        return -(difference * difference).sum(-1)

    def macs(self, input: tuple[int, ...], output: tuple[int, ...]) -> int:
        """Return one square for every element of every target."""
        return int(self.targets.array.size)


class LeNet5(nn.Module):
    """LeNet-5 as published: trained subsampling, partial connections, radial basis outputs; 60,000 learned values.

    C1 6@28, S2, C3 16@10 (partly connected), S4, C5 120, F6 84, 10 radial basis units; 1.7159 tanh(2x/3) after each
    layer up to F6.

    Args:
        num_classes: Number of digits, 10.
        in_channels: 1.
        size: Side of the image in pixels, 32.
        competing: The constant of the paper's loss that competes with the wrong classes.

    Shape:
        Images (N, 1, 32, 32), background -0.1 and ink 1.175, to (N, 10): minus the squared distance of F6 to each
        digit's bitmap of 7 x 12.

    Raises:
        UserError: Another number of classes or channels, or another size.

    Example:
        >>> LeNet5()(tinymed.zeros(2, 1, 32, 32)).shape
        (2, 10)

    Reference:
        LeCun, Bottou, Bengio & Haffner, Proceedings of the IEEE 86(11), 1998, section II.B.
    """

    def __init__(self, num_classes: int = 10, in_channels: int = 1, size: int = 32, competing: float = 1.0):
        super().__init__()
        if (num_classes, in_channels, size) != (10, 1, 32):
            raise UserError(
                "lenet5: the published network takes 10 classes and 1 channel of 32 x 32 pixels (its "
                f"targets are bitmaps of digits), got {num_classes} classes, {in_channels} channels, size "
                f"{size}; lenet5_modern takes any"
            )
        self.competing = competing
        self.c1, self.s2 = nn.Conv2d(1, 6, 5), Subsampling(6)
        self.c3, self.s4 = PartialConv2d(6, CONNECTIONS, 5), Subsampling(16)
        self.c5, self.f6 = nn.Conv2d(16, 120, 5), nn.Linear(120, 84)
        self.squash, self.output = nn.ScaledTanh(), RadialBasis(DIGITS)
        for layer, fan_in in ((self.c1, 25), (self.c5, 400), (self.f6, 120)):
            uniform_by_fan_in(layer.weight, fan_in)
            if layer.bias is not None:
                init.zeros_(layer.bias)

    def forward(self, input: Tensor) -> Any:
        """Compute the output; the class names the shapes."""
        y = self.squash(self.s2(self.squash(self.c1(input))))
        y = self.squash(self.s4(self.squash(self.c3(y))))
        y = F.flatten(self.squash(self.c5(y)), 1)
        return self.output(self.squash(self.f6(y)))

    def loss(self, outputs: Tensor, target: Tensor) -> Any:
        """Compute equation 9: mean of y_target + log(e^-j + sum_i e^-y_i), y the distances; target (N,) class indices.

        The sum raises the distance to wrong classes; j (`competing`, positive; the paper gives no value) stops it
        from
        raising those further that are far already.  It is a cross-entropy with one more class, of distance j.
        """
        rubbish = full((outputs.shape[0], 1), -self.competing, dtype=outputs.dtype, device=outputs.device)
        return F.cross_entropy(F.cat([outputs, rubbish], 1), target)


class LeNet5Modern(nn.Module):
    """LeNet-5 as it is built today: ordinary pooling, a full C3, a linear output; 61,706 parameters by default.

    Args:
        num_classes: Number of classes, hence of outputs per image.
        in_channels: Channels of the image, such as 1 (grey) or 3 (RGB).
        size: Side of the image in pixels, at least 16.
        pool: "avg" or "max".
        activation: "tanh" or "relu".

    Shape:
        Images (N, in_channels, size, size) to logits (N, num_classes).

    Raises:
        UserError: The image is too small, or an option is unknown.

    Example:
        >>> LeNet5Modern(num_classes=2, size=28)(tinymed.zeros(3, 1, 28, 28)).shape
        (3, 2)

    Reference:
        LeCun, Bottou, Bengio & Haffner, Proceedings of the IEEE 86(11), 1998.
    """

    def __init__(
        self, num_classes: int = 10, in_channels: int = 1, size: int = 32, pool: str = "avg", activation: str = "tanh"
    ):
        super().__init__()
        side = ((size - 4) // 2 - 4) // 2
        if side < 1:
            raise UserError(f"lenet5_modern: an image of side {size} is too small; the smallest is 16")
        if pool not in ("avg", "max") or activation not in ("tanh", "relu"):
            raise UserError(
                f"lenet5_modern: pool is avg or max and activation tanh or relu, got {pool!r} and {activation!r}"
            )
        pooling = nn.AvgPool2d if pool == "avg" else nn.MaxPool2d
        squash = nn.Tanh if activation == "tanh" else nn.ReLU
        self.features = nn.Sequential(
            nn.Conv2d(in_channels, 6, 5), squash(), pooling(2), nn.Conv2d(6, 16, 5), squash(), pooling(2), nn.Flatten()
        )
        self.classifier = nn.Sequential(
            nn.Linear(16 * side * side, 120), squash(), nn.Linear(120, 84), squash(), nn.Linear(84, num_classes)
        )

    def forward(self, input: Tensor) -> Any:
        """Compute the output; the class names the shapes."""
        return self.classifier(self.features(input))


SOURCE = "LeCun, Bottou, Bengio & Haffner 1998"
register("lenet5", f"{SOURCE}, section II.B", (1, 32, 32), "scores")(LeNet5)
register("lenet5_modern", f"{SOURCE}, as built today", (1, 32, 32), "scores")(LeNet5Modern)
