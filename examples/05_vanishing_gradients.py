"""Why deep networks would not train, and what ReLU, its variants and residual blocks do about it.

    python examples/05_vanishing_gradients.py

Teaches: how the gradient shrinks from layer to layer when each multiplies it by a slope of at most 1/4 (sigmoid); that
ReLU with weights of the right size keeps it, and with weights too small does not; that a shortcut keeps it even with
sigmoids; and that a deep plain network fits its own training images worse than a shallow one, while the same network
with shortcuts does not ("degradation").
"""

import numpy as np

import tinymed
from tinymed import Tensor, nn, optim
from tinymed.data import Loader, synthetic_smear
from tinymed.nn import functional as F

DEPTH, WIDTH, SIDE = 20, 8, 16

ACTIVATIONS = {"sigmoid": nn.Sigmoid, "tanh": nn.Tanh, "relu": nn.ReLU, "leaky_relu": nn.LeakyReLU, "elu": nn.ELU}

KINDS = [
    ("sigmoid", "xavier", False),
    ("tanh", "xavier", False),
    ("relu", "xavier", False),
    ("relu", "he", False),
    ("leaky_relu", "he", False),
    ("elu", "he", False),
    ("sigmoid", "xavier", True),
]


class Layer(nn.Module):
    """A 3x3 convolution and its activation; with shortcut, added to the input."""

    def __init__(self, activation: str, init: str, shortcut: bool):
        super().__init__()
        self.conv = nn.Conv2d(WIDTH, WIDTH, 3, padding=1)
        self.activation, self.shortcut = ACTIVATIONS[activation](), shortcut
        nn.init.zeros_(self.conv.bias)
        if init == "he":  # variance 2 / fan_in: makes up for the half of the values that ReLU sets to 0
            nn.init.kaiming_normal_(self.conv.weight, nonlinearity="relu")
        else:  # variance 2 / (fan_in + fan_out): keeps a linear layer's variance
            nn.init.xavier_normal_(self.conv.weight)

    def forward(self, input: Tensor) -> Tensor:
        y = self.activation(self.conv(input))
        return input + y if self.shortcut else y


def deep_network(depth: int, activation: str, init: str, shortcut: bool) -> nn.Sequential:
    """Return a first convolution to WIDTH channels, `depth` layers, the mean of each channel, two logits."""
    tinymed.manual_seed(0)
    layers = [Layer(activation, init, shortcut) for _ in range(depth)]
    stem = nn.Conv2d(3, WIDTH, 3, padding=1)
    return nn.Sequential(stem, *layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(WIDTH, 2))


def layers_of(network: nn.Sequential) -> list[Layer]:
    """Return the layers between the stem and the head."""
    return [m for m in network if isinstance(m, Layer)]


def gradient_norms(network: nn.Sequential, images: Tensor, labels: Tensor) -> np.ndarray:
    """|dloss / dweight| of every layer, from the first to the last."""
    F.cross_entropy(network(images), labels).backward()
    return np.array([np.linalg.norm(layer.conv.weight.grad.numpy()) for layer in layers_of(network)])


def smears(count: int, difficulty: float) -> tuple[Tensor, Tensor]:
    """(images [count, 3, SIDE, SIDE], labels [count]) of synthetic blood smears, mean 0 and deviation 1."""
    loader = Loader(synthetic_smear(count, 32, seed=0, difficulty=difficulty), count, SIDE, workers=0)
    images, labels, _ = next(iter(loader))
    return Tensor((images - images.mean()) / images.std()), Tensor(labels)


def lesson_norms() -> None:
    images, labels = smears(16, 0.3)
    shown = [0, 4, 9, 14, 19]
    print(f"1. |dloss/dweight| in a network of {DEPTH} 3x3 convolutions, before training, by layer\n")
    print(f"   {'network':38s}" + "".join(f"{f'layer {i + 1}':>11s}" for i in shown) + f"{'first/last':>12s}")
    found = {}
    for activation, init, shortcut in KINDS:
        norms = gradient_norms(deep_network(DEPTH, activation, init, shortcut), images, labels)
        found[activation, init, shortcut] = norms
        title = f"{activation}, {init} weights{', shortcuts' if shortcut else ''}"
        print(f"   {title:38s}" + "".join(f"{norms[i]:11.1e}" for i in shown) + f"{norms[0] / norms[-1]:12.1e}")
    print(f"\n   A sigmoid's slope is at most 1/4, and {DEPTH} of them multiply.  ReLU's is 0 or 1: with He's weights")
    print("   the size stays; with Xavier's, of half the variance, values shrink on the way up and gradients on the")
    print("   way down, so all layers learn slowly.  x + f(x) passes the gradient on, whatever f does to it.")
    first_last = {kind: norms[0] / norms[-1] for kind, norms in found.items()}
    assert first_last["sigmoid", "xavier", False] < 1e-6
    assert all(0.05 < first_last[name, "he", False] < 20 for name in ("relu", "leaky_relu", "elu"))
    assert first_last["sigmoid", "xavier", True] > 0.05
    assert found["relu", "xavier", False].max() < 0.1 * found["relu", "he", False].min()


def residual_network(blocks: int, residual: bool) -> nn.Sequential:
    """Return a stem, `blocks` blocks of two convolutions with batch norm (He et al.

    2016), channel means, two logits.
    """
    tinymed.manual_seed(0)
    body = [nn.BasicBlock(WIDTH, WIDTH, residual=residual) for _ in range(blocks)]
    return nn.Sequential(nn.ConvBNReLU(3, WIDTH), *body, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(WIDTH, 2))


def training_loss(network: nn.Sequential, images: Tensor, labels: Tensor, steps: int) -> tuple[float, float]:
    """Mean training loss over the first and over the last ten steps, all images in one batch."""
    optimizer = optim.SGD(network.parameters(), lr=0.1, momentum=0.9)
    losses = []
    for _ in range(steps):
        optimizer.zero_grad()
        loss = F.cross_entropy(network(images), labels)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return float(np.mean(losses[:10])), float(np.mean(losses[-10:]))


def lesson_degradation(steps: int = 60) -> None:
    images, labels = smears(64, 0.0)
    print(f"\n2. Degradation: the loss on 64 training images, batch norm everywhere, after {steps} steps of SGD\n")
    print(f"   {'convolutions':>12s} {'shortcuts':>10s} {'steps 1-10':>11s} {f'steps {steps - 9}-{steps}':>12s}")
    final = {}
    for blocks, residual in ((2, False), (16, False), (16, True)):
        start, end = training_loss(residual_network(blocks, residual), images, labels, steps)
        final[blocks, residual] = end
        print(f"   {2 * blocks + 1:12d} {'yes' if residual else 'no':>10s} {start:11.3f} {end:12.3f}")
    print("\n   The deep plain network could be the shallow one and layers that do nothing; it does not find that.")
    print("   With a shortcut, doing nothing is where a block starts.")
    assert final[16, True] < final[16, False]
    assert final[2, False] < final[16, False]


def main() -> None:
    lesson_norms()
    lesson_degradation()
    print("\nLesson: keep the product of the layers' slopes near 1: activation, size of the weights, or a shortcut.")


if __name__ == "__main__":
    main()
