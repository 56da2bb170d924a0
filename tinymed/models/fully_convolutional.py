"""A patch network run over a whole image at once: the scores of sliding it, without computing anything twice.

A dense layer over the maps of a patch is a convolution by filters of the maps' size, and those that follow are 1x1
convolutions (Long, Shelhamer & Darrell 2015).  A layer of stride s makes a network see every s-th place only; to have
all of them its stride is dropped and every later layer takes pixels s apart: dilation, or "a trous" (Giusti et al.,
ICIP 2013, whose fragments hold the same numbers; Sermanet et al. 2014; Chen et al. 2015).

    FullyConvolutional(model, patch)(image (N, C, H, W)) = scores (N, classes, H - patch + 1, W - patch + 1)

Its weights are the model's own parameters, so it follows their training, and gradients flow through it.
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from .. import nn, tape
from ..nn import functional as F
from ..nn.conv import Conv, spread
from ..nn.pool import AdaptiveAvgPool, AvgPool, MaxPool
from ..tensor import Tensor
from .shapes import blank, shapes_only
from .triplanar import Triplanar

Step = Callable[[Any], Any]
CONVOLVE = (F.conv1d, F.conv2d, F.conv3d)
POINTWISE: tuple[type, ...] = (
    nn.LocalResponseNorm,
    nn.BatchNorm2d,
    nn.BatchNorm3d,
    nn.Dropout,
    nn.Dropout2d,
    nn.Dropout3d,
    nn.AlphaDropout,
    nn.Identity,
)


class FullyConvolutional(nn.Module):
    """A patch network run over whole images: the scores of `model` at every place, without computing anything twice.

    Its weights are the model's own parameters, so it follows their training, and gradients flow through it.

    Args:
        model: A chain of convolutions, poolings, activations, normalisations and dense layers without padding; its
            modules run in the order in which they were made.
        patch: Side of the model's input in pixels.
        channels: Channels of its input; by default those of its first layer.

    Shape:
        Images (N, channels, H, W) to scores (N, classes, H - patch + 1, W - patch + 1).

    Raises:
        ValueError: A layer's answer depends on the patch's border, the model is not such a chain, or `forward` is
            given an image smaller than the patch.

    Example:
        >>> from tinymed.models import LeNet5Modern
        >>> model = FullyConvolutional(LeNet5Modern(num_classes=2, size=16), patch=16)
        >>> model(tinymed.zeros(1, 1, 20, 24)).shape
        (1, 2, 5, 9)

    Reference:
        Long, Shelhamer & Darrell, CVPR 2015; Giusti et al., ICIP 2013.
    """

    def __init__(self, model: nn.Module, patch: int, channels: int | None = None):
        super().__init__()
        self.model, self.patch = model, patch
        layers = list(chain(model))
        first = next(m for m in layers if hasattr(m, "weight"))
        channels = channels or int(first.weight.shape[1]) * getattr(first, "groups", 1)
        self.steps, _ = plan(layers, shapes_of(layers, (channels, patch, patch)))
        self.check(channels)

    def forward(self, input: Tensor) -> Any:
        """Compute the output; the class names the shapes."""
        short = [side for side in input.shape[2:] if side < self.patch]
        if short:
            raise ValueError(
                f"FullyConvolutional: an image of {list(input.shape[2:])} is smaller than the patch of "
                f"{self.patch}; pad it"
            )
        result: Any = input
        for step in self.steps:
            result = step(result)
        for axis, side in enumerate(input.shape[2:], start=2):  # a patch whose last pixels no pooling reached
            result = F.narrow(result, axis, 0, side - self.patch + 1)
        return result

    def check(self, channels: int) -> None:
        """Compare with the model on one patch, in evaluation mode; raise ValueError where they differ."""
        weight = next(iter(self.model.parameters()))
        place = np.arange(channels * self.patch**2, dtype=np.float64)
        image = Tensor(np.sin(place * place).reshape(1, channels, self.patch, self.patch).astype(weight.dtype)).to(
            weight.device
        )
        modes = [(m, m.training) for m in self.model.modules()]
        self.model.eval()
        with tape.no_grad():
            ours, theirs = self(image).cpu().array, self.model(image).cpu().array
        for module, mode in modes:
            module.training = mode
        scale = max(float(np.abs(theirs).max()), 1e-6)
        if ours.shape != (*theirs.shape, 1, 1) or np.abs(ours[..., 0, 0] - theirs).max() > 1e-3 * scale:
            raise ValueError(
                f"{type(self.model).__name__} is no plain chain of its layers, so it cannot be run fully "
                "convolutionally; slide it over the image instead"
            )


class DenseTriplanar(nn.Module):
    """A triplanar network run over a whole volume.

    Each plane's network runs over its slices; a plane's scores are its part of the classifier, and they are added up.

    Args:
        model: A Triplanar network.
        patch: p, the side of its patches in voxels, which for voxel (x, y, z) of the result lie about (x, y, z) + (p
            - 1) // 2.

    Shape:
        Volume (channels, X + p - 1, Y + p - 1, Z + p - 1) to scores (classes, X, Y, Z).

    Example:
        >>> model = DenseTriplanar(Triplanar(size=16, width=1 / 16), patch=16)
        >>> model(tinymed.zeros(1, 16, 17, 18)).shape
        (2, 1, 2, 3)

    Reference:
        Prasoon et al., MICCAI 2013.
    """

    def __init__(self, model: Triplanar, patch: int):
        super().__init__()
        self.model, self.patch, self.planes = model, patch, []
        for plane in model.planes:
            layers = list(chain(plane))
            shapes = shapes_of(layers, (model.in_channels, patch, patch))
            self.planes.append((*plan(layers, shapes), shapes[-2]))

    def forward(self, volume: Tensor) -> Any:
        """Compute the output; the class names the shapes."""
        bias: Any = self.model.classifier.bias
        total: Any = bias.reshape(-1, 1, 1, 1)
        for axes in ((0, 1, 2), (1, 2, 0), (2, 0, 1)):  # rows, columns and third axis: planes xy, yz, zx
            inner = [side - self.patch + 1 for side in volume.shape[1:]]
            slices = F.narrow(volume, axes[2] + 1, (self.patch - 1) // 2, inner[axes[2]])
            scores = self.plane(axes[0], F.permute(slices, (axes[2] + 1, 0, axes[0] + 1, axes[1] + 1)))
            place = {axes[0]: 2, axes[1]: 3, axes[2]: 0}  # scores are (third, classes, rows, columns)
            total = total + F.permute(scores, (1, place[0], place[1], place[2]))
        return total

    def plane(self, number: int, slices: Any) -> Any:
        """Return one plane's part of the scores, at every place of slices (n, channels, rows, columns)."""
        steps, apart, maps = self.planes[number]
        for step in steps:
            slices = step(slices)
        whole, features = self.model.classifier.weight, int(np.prod(maps))
        part = F.reshape(F.narrow(whole, 1, number * features, features), (-1, *maps))
        return F.conv2d(slices, part, dilation=apart)


def chain(module: nn.Module) -> Iterator[Any]:
    """Yield the modules without further ones in them, in the order in which they were made."""
    if not module._modules:
        yield module
    for child in module._modules.values():
        if child is not None:
            yield from chain(child)


def shapes_of(layers: list[Any], shape: tuple[int, ...]) -> list[tuple[int, ...]]:
    """Return the shape that each layer is given, without the batch axis, and last the result's."""
    shapes, dtype = [shape], next((p.dtype for layer in layers for p in layer.parameters()), np.dtype(np.float32))
    with tape.no_grad(), shapes_only():
        y: Any = Tensor(blank((1, *shape), dtype))
        for layer in layers:
            mode, layer.training = layer.training, False
            y = layer(y)
            layer.training = mode
            shapes.append(tuple(y.shape[1:]))
    return shapes


def plan(layers: list[Any], shapes: list[tuple[int, ...]]) -> tuple[list[Step], int]:
    """Return each layer as a function of maps computed at every place, and how far apart neighbours are at the end."""
    steps: list[Step] = []
    apart = 1
    flat: tuple[int, ...] = ()
    for layer, before, result in zip(layers, shapes, shapes[1:], strict=False):
        if isinstance(layer, Conv):
            steps.append(dilate_convolution(layer, apart))
            apart *= common_value(layer, "stride")
        elif isinstance(layer, MaxPool | AvgPool):
            steps.append(dilate_pooling(layer, apart, before[1:], result[1:]))
            apart *= common_value(layer, "stride")
        elif isinstance(layer, AdaptiveAvgPool):
            if set(result[1:]) != {1}:
                raise ValueError(f"{type(layer).__name__} to {result[1:]} cannot be run fully convolutionally")
            steps.append(average_windows(before[1:], apart, before[0]))
        elif isinstance(layer, nn.Flatten):
            flat = before
        elif isinstance(layer, nn.Linear):
            steps.append(dense(layer, flat or (before[0], 1, 1), apart))
            flat = ()
        elif isinstance(layer, nn.BatchNorm1d):
            steps.append(on_maps(layer))
        elif isinstance(layer, POINTWISE) or result == before:
            steps.append(layer)
        else:
            raise ValueError(f"{type(layer).__name__} cannot be run fully convolutionally")
    return steps, apart


def common_value(layer: Any, name: str, default: int | None = None) -> int:
    """Return a value of a layer that must be the same on every axis; raise ValueError otherwise."""
    value = getattr(layer, name)
    values = {value} if isinstance(value, str) else set(spread(value, layer.axes, name))
    if len(values) > 1 or (default is not None and values != {default}):
        wanted = "the same on every axis" if default is None else default
        raise ValueError(
            f"{type(layer).__name__}: {name}={value}; run fully convolutionally it must be "
            f"{wanted}, since inside an image there is no border of the patch"
        )
    return int(values.pop())


def dilate_convolution(layer: Any, apart: int) -> Step:
    """Return a convolution without its stride, its taps further apart."""
    if layer.padding != "valid":
        common_value(layer, "padding", 0)
    far = common_value(layer, "dilation") * apart
    convolve = CONVOLVE[layer.axes - 1]
    return lambda y: convolve(y, layer.weight, layer.bias, dilation=far, groups=layer.groups)


def dilate_pooling(layer: Any, apart: int, before: tuple[int, ...], result: tuple[int, ...]) -> Step:
    """Return a pooling without its stride, its window's pixels further apart."""
    common_value(layer, "padding", 0)
    sides, stride = spread(layer.kernel_size, layer.axes, "kernel_size"), common_value(layer, "stride")
    far = common_value(layer, "dilation") if isinstance(layer, MaxPool) else 1
    for n, m, k in zip(before, result, sides, strict=True):
        if (m - 1) * stride + far * (k - 1) + 1 > n:
            raise ValueError(
                f"{type(layer).__name__} with ceil_mode: its last window hangs over the border of a map "
                f"of {n}, which inside an image is not there; slide the network instead"
            )
    if isinstance(layer, AvgPool):
        return average_windows(sides, apart)
    pool = (F.max_pool1d, F.max_pool2d, F.max_pool3d)[layer.axes - 1]
    return lambda y: pool(y, sides, 1, 0, far * apart)


def on_maps(layer: nn.Module) -> Step:
    """Return a layer of (N, channels, places) as a function of maps."""
    return lambda y: F.reshape(layer(F.flatten(y, 2)), y.shape)


def average_windows(sides: tuple[int, ...], apart: int, channels: int | None = None) -> Step:
    """Return the mean of a window whose pixels are `apart`, as a convolution of each channel by equal weights."""

    def mean(y: Any) -> Any:
        each = y.shape[1]
        weight = Tensor(np.full((each, 1, *sides), 1 / np.prod(sides), y.dtype)).to(y.device)
        return CONVOLVE[len(sides) - 1](y, weight, dilation=apart, groups=each)

    return mean


def dense(layer: Any, maps: tuple[int, ...], apart: int) -> Step:
    """Return a dense layer over maps (channels, *space) as a convolution."""
    convolve = CONVOLVE[len(maps) - 2]
    return lambda y: convolve(y, F.reshape(layer.weight, (-1, *maps)), layer.bias, dilation=apart)
