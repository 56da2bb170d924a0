"""What one output pixel sees: its receptive field by formula, and measured by its gradient.

    python examples/04_receptive_field.py

Teaches: how kernel, stride and dilation decide which input pixels an output can depend on; that the gradient of one
output pixel measures it in any network; that the papers' CNN sees 46 x 46 pixels, which is also its smallest image;
that a pixel in the middle counts for much more than one at the rim ("effective receptive field").
"""

from typing import Any

import numpy as np

import tinymed
from tinymed import Tensor, models, nn, random

WINDOWS = (nn.Conv2d, nn.MaxPool2d, nn.AvgPool2d)  # the layers that look at several pixels

# ------------------------------------------------------------------------------------------------- by formula


def first(value: Any) -> int:
    """Kernel sizes and strides are the same along both axes here."""
    return int(value[0] if isinstance(value, tuple) else value)


def windows(network: nn.Module) -> list[tuple[str, int, int, int]]:
    """(layer, kernel, stride, dilation) of every layer with a window, in the order they run."""
    return [
        (type(m).__name__, first(m.kernel_size), first(m.stride), first(getattr(m, "dilation", 1)))
        for m in network.modules()
        if isinstance(m, WINDOWS)
    ]


def receptive_field(layers: list[tuple[str, int, int, int]]) -> tuple[int, int]:
    """(side of the receptive field, jump): r += dilation (k - 1) jump, then jump *= stride, layer after layer.

    The jump is how far apart in the image two neighbouring outputs lie.
    """
    field, jump = 1, 1
    for _, kernel, stride, dilation in layers:
        field += dilation * (kernel - 1) * jump
        jump *= stride
    return field, jump


# ------------------------------------------------------------------------------------------------- by gradient


def pixel_gradient(network: nn.Module, image: Tensor) -> np.ndarray:
    """|d (middle pixel of the last window layer's output) / d image|, summed over channels: [height, width]."""
    outputs: list[Tensor] = []
    last = [m for m in network.modules() if isinstance(m, WINDOWS)][-1]
    with last.register_forward_hook(lambda module, args, result: outputs.append(result)):
        network(image)
    feature = outputs[0]
    cotangent = np.zeros(feature.shape, np.float32)  # 1 at one place of the map, in every channel, 0 elsewhere
    cotangent[:, :, feature.shape[2] // 2, feature.shape[3] // 2] = 1
    feature.backward(tinymed.tensor(cotangent))
    return np.abs(image.grad.numpy()[0]).sum(0)


def measured(network: nn.Module, channels: int, side: int) -> tuple[int, int, int, int]:
    """First and last row, first and last column of the image that have a gradient."""
    image = tinymed.randn(1, channels, side, side, seed=1, requires_grad=True)
    rows, columns = np.nonzero(pixel_gradient(network.eval(), image))
    return int(rows.min()), int(rows.max()), int(columns.min()), int(columns.max())


def stack(*dilations: int, kernel: int = 3, channels: int = 8) -> nn.Sequential:
    """Convolutions one after the other, without padding and of equal width."""
    return nn.Sequential(*[nn.Conv2d(channels, channels, kernel, dilation=d) for d in dilations])


# ----------------------------------------------------------------------------------------------------- the lessons


def lesson_layers(network: nn.Module) -> None:
    print("1. The papers' CNN, layer by layer\n")
    print(f"   {'layer':10s} {'kernel':>6s} {'stride':>6s} {'field':>6s} {'jump':>5s}")
    layers = windows(network)
    for i, (name, kernel, stride, _) in enumerate(layers):
        field, jump = receptive_field(layers[: i + 1])
        print(f"   {name:10s} {kernel:6d} {stride:6d} {field:6d} {jump:5d}")
    field, _ = receptive_field(layers)
    print(f"\n   One number of the last feature map sees {field} x {field} pixels: without padding that is also the")
    print("   smallest image the network takes.")
    assert field == 46


def lesson_measure(dcnn: nn.Module, side: int) -> None:
    networks = [
        ("one 7x7", 8, stack(1, kernel=7)),
        ("three 3x3 (VGG's argument)", 8, stack(1, 1, 1)),
        ("3x3 dilated 1, 2, 4, 8", 8, stack(1, 2, 4, 8)),
        (
            "LeNet-5's two stages",
            1,
            nn.Sequential(nn.Conv2d(1, 6, 5), nn.AvgPool2d(2), nn.Conv2d(6, 16, 5), nn.AvgPool2d(2)),
        ),
        ("the papers' CNN", 3, dcnn),
    ]
    print("\n2. By formula, and by the gradient of one output pixel (a 3 x 3 map of outputs, its middle)\n")
    print(f"   {'network':28s} {'formula':>8s} {'rows with a gradient':>22s} {'measured':>9s} {'weights':>8s}")
    for title, channels, network in networks:
        field, jump = receptive_field(windows(network))
        size = side if network is dcnn else field + 2 * jump
        top, bottom, left, right = measured(network, channels, size)
        weights = sum(m.weight.array.size for m in network.modules() if isinstance(m, nn.Conv2d))
        print(f"   {title:28s} {field:8d} {f'{top} to {bottom} of {size}':>22s} {bottom - top + 1:9d} {weights:8,d}")
        assert (top, bottom) == (left, right) == (jump, jump + field - 1), f"{title}: the formula is wrong"


def lesson_effective() -> None:
    print("\n3. Not every pixel of the field counts alike: n random 3x3 convolutions, mean square gradient by column\n")
    print("   n    field   95 % of the gradient   deviation   sqrt(2 n / 3)")
    profiles = {n: gradient_profile(n) for n in (2, 4, 8, 16)}
    for n, profile in profiles.items():
        place = np.arange(len(profile)) - n
        deviation = float(np.sqrt((profile * place**2).sum()))
        inner = next(w for w in range(n + 1) if profile[n - w : n + w + 1].sum() >= 0.95)
        print(f"   {n:2d}   {2 * n + 1:5d}   {2 * inner + 1:20d}   {deviation:9.2f}   {np.sqrt(2 * n / 3):13.2f}")
        assert abs(deviation / np.sqrt(2 * n / 3) - 1) < 0.1, "the profile is not the n-fold convolution of a box"
    print("\n   n = 8, column by column:\n")
    for place, value in enumerate(profiles[8]):
        print(f"   {place - 8:+3d} {value:6.3f} {'#' * round(250 * value)}")
    print("\n   The field grows like n, what counts like sqrt(n): n boxes convolved give a bell.  Luo et al. 2016.")


def gradient_profile(n: int, repeats: int = 12, channels: int = 6) -> np.ndarray:
    """Mean square gradient of one output pixel by input column, adding up to 1, over several random networks."""
    side, total = 2 * n + 1, np.zeros(2 * n + 1)
    for seed in range(repeats):
        random.manual_seed(seed)
        network = stack(*[1] * n, channels=channels)
        for layer in network:
            nn.init.kaiming_normal_(layer.weight)
        image = tinymed.zeros(1, channels, side, side, requires_grad=True)
        total += (pixel_gradient(network, image) ** 2).sum(0)
    return total / total.sum()


def main() -> None:
    tinymed.use_backend("numpy")  # a handful of small images: not worth compiling for
    tinymed.manual_seed(0)
    side = 46 + 2 * 16  # a 3 x 3 map at the end
    dcnn = models.create("dcnn", in_channels=3, num_classes=2, size=side)
    lesson_layers(dcnn)
    lesson_measure(dcnn, side)
    lesson_effective()
    print("\nLesson: strides multiply the receptive field, depth adds to it, and the middle of it counts most.")


if __name__ == "__main__":
    main()
