"""The classifiers and FCNs written once more, in PyTorch, from their papers: oracles of test_models_classification.

Names of the state are torchvision's where it has the network, else ours, so that a state loads strictly.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F


def conv(a: int, b: int, k: int, stride: int = 1, padding: int = 0, groups: int = 1) -> nn.Conv2d:
    """Without bias."""
    return nn.Conv2d(a, b, k, stride, padding, groups=groups, bias=False)


class Net(nn.Module):
    """Named parts and what is computed with them."""

    def __init__(self, forward: Callable[[Any, Any], Any], **parts: nn.Module) -> None:
        super().__init__()
        self.compute = forward
        for name, part in parts.items():
            self.add_module(name, part)

    def forward(self, x: Any) -> Any:
        return self.compute(self, x)


# ------------------------------------------------------------------------------------------------ VGG, AlexNet

POOL = 0
D = (64, 64, POOL, 128, 128, POOL, 256, 256, 256, POOL, 512, 512, 512, POOL, 512, 512, 512, POOL)
E = (64, 64, POOL, 128, 128, POOL, *[256] * 4, POOL, *[512] * 4, POOL, *[512] * 4, POOL)


def vgg_layers(
    plan: Sequence[int], wide: Callable[[int], int], norm: bool = False, pad: int = 1, ceil: bool = False
) -> nn.Sequential:
    layers: list[Any] = []
    a = 3
    for item in plan:
        if item == POOL:
            layers.append(nn.MaxPool2d(2, ceil_mode=ceil))
            continue
        b = wide(item)
        layers += [nn.Conv2d(a, b, 3, padding=1 if layers else pad), *([nn.BatchNorm2d(b)] if norm else []), nn.ReLU()]
        a = b
    return nn.Sequential(*layers)


def vgg(plan: Sequence[int], wide: Callable[[int], int], classes: int, norm: bool) -> nn.Module:
    dense = wide(4096)
    return Net(
        lambda n, x: n.classifier(torch.flatten(F.adaptive_avg_pool2d(n.features(x), 7), 1)),
        features=vgg_layers(plan, wide, norm),
        classifier=nn.Sequential(
            nn.Linear(49 * wide(512), dense),
            nn.ReLU(),
            nn.Dropout(0),
            nn.Linear(dense, dense),
            nn.ReLU(),
            nn.Dropout(0),
            nn.Linear(dense, classes),
        ),
    )


def dcnn_vgg16(wide: Callable[[int], int], classes: int, size: int) -> nn.Module:
    layers: list[Any] = []
    a = wide(512) * (size // 32) ** 2
    for b in (256, 128, 64):
        layers += [nn.Linear(a, b), nn.ReLU()]
        a = b
    return Net(
        lambda n, x: n.classifier(torch.flatten(n.features(x), 1)),
        features=vgg_layers(D, wide),
        classifier=nn.Sequential(*layers, nn.Dropout(0), nn.Linear(64, classes)),
    )


def alexnet_tower(wide: Callable[[int], int], classes: int) -> nn.Module:
    a, b, c, d, e, f = (wide(n) for n in (64, 192, 384, 256, 256, 4096))
    return Net(
        lambda n, x: n.classifier(torch.flatten(F.adaptive_avg_pool2d(n.features(x), 6), 1)),
        features=nn.Sequential(
            nn.Conv2d(3, a, 11, 4, 2),
            nn.ReLU(),
            nn.MaxPool2d(3, 2),
            nn.Conv2d(a, b, 5, padding=2),
            nn.ReLU(),
            nn.MaxPool2d(3, 2),
            nn.Conv2d(b, c, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(c, d, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(d, e, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(3, 2),
        ),
        classifier=nn.Sequential(
            nn.Dropout(0),
            nn.Linear(36 * e, f),
            nn.ReLU(),
            nn.Dropout(0),
            nn.Linear(f, f),
            nn.ReLU(),
            nn.Linear(f, classes),
        ),
    )


def alexnet_2012(wide: Callable[[int], int], classes: int, groups: int) -> nn.Module:
    a, b, c, d, e, f = (wide(n) for n in (96, 256, 384, 384, 256, 4096))

    def lrn() -> nn.Module:
        return nn.LocalResponseNorm(5, 5e-4, 0.75, 2.0)

    return Net(
        lambda n, x: n.classifier(torch.flatten(F.adaptive_avg_pool2d(n.features(x), 6), 1)),
        features=nn.Sequential(
            nn.Conv2d(3, a, 11, 4),
            nn.ReLU(),
            lrn(),
            nn.MaxPool2d(3, 2),
            nn.Conv2d(a, b, 5, padding=2, groups=groups),
            nn.ReLU(),
            lrn(),
            nn.MaxPool2d(3, 2),
            nn.Conv2d(b, c, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(c, d, 3, padding=1, groups=groups),
            nn.ReLU(),
            nn.Conv2d(d, e, 3, padding=1, groups=groups),
            nn.ReLU(),
            nn.MaxPool2d(3, 2),
        ),
        classifier=nn.Sequential(
            nn.Linear(36 * e, f),
            nn.ReLU(),
            nn.Dropout(0),
            nn.Linear(f, f),
            nn.ReLU(),
            nn.Dropout(0),
            nn.Linear(f, classes),
        ),
    )


# ------------------------------------------------------------------------------------------------------ ResNets


class Bottleneck(nn.Module):
    def __init__(self, a: int, mid: int, stride: int, v1: bool) -> None:
        super().__init__()
        self.conv1, self.bn1 = conv(a, mid, 1, stride if v1 else 1), nn.BatchNorm2d(mid)
        self.conv2, self.bn2 = conv(mid, mid, 3, 1 if v1 else stride, 1), nn.BatchNorm2d(mid)
        self.conv3, self.bn3 = conv(mid, 4 * mid, 1), nn.BatchNorm2d(4 * mid)
        self.downsample = None
        if stride != 1 or a != 4 * mid:
            self.downsample = nn.Sequential(conv(a, 4 * mid, 1, stride), nn.BatchNorm2d(4 * mid))

    def forward(self, x: Any) -> Any:
        y = F.relu(self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x))))))
        return F.relu(self.bn3(self.conv3(y)) + (x if self.downsample is None else self.downsample(x)))


def bottleneck_stages(w: Sequence[int], v1: bool) -> dict[str, nn.Module]:
    a, stages = w[0], {}
    for i, (mid, times) in enumerate(zip(w, (3, 4, 6, 3), strict=True), 1):
        blocks = []
        for j in range(times):
            blocks.append(Bottleneck(a, mid, 2 if i > 1 and j == 0 else 1, v1))
            a = 4 * mid
        stages[f"layer{i}"] = nn.Sequential(*blocks)
    return stages


def stem(n: Any, x: Any) -> Any:
    return F.max_pool2d(F.relu(n.bn1(n.conv1(x))), 3, 2, 1)


def resnet50(w: Sequence[int], classes: int, v1: bool) -> nn.Module:
    return Net(
        lambda n, x: n.fc(n.layer4(n.layer3(n.layer2(n.layer1(stem(n, x))))).mean((2, 3))),
        conv1=conv(3, w[0], 7, 2, 3),
        bn1=nn.BatchNorm2d(w[0]),
        **bottleneck_stages(w, v1),
        fc=nn.Linear(4 * w[3], classes),
    )


def fixed_bilinear(y: Any, factor: int, padding: int) -> Any:
    """Each channel by itself, by a triangle's values."""
    centre = factor - 0.5
    side = 1 - (torch.arange(2 * factor, dtype=y.dtype) - centre).abs() / factor
    weight = torch.outer(side, side).expand(y.shape[1], 1, -1, -1)
    return F.conv_transpose2d(y, weight, stride=factor, padding=padding, groups=y.shape[1])


def fcrn50(w: Sequence[int], classes: int) -> nn.Module:
    def compute(n: Any, x: Any) -> Any:
        c = n.layer2(n.layer1(stem(n, x)))
        d = n.layer3(c)
        y = fixed_bilinear(n.score32(n.layer4(d)), 2, 1)[:, :, : d.shape[2], : d.shape[3]] + n.score16(d)
        y = fixed_bilinear(y, 2, 1)[:, :, : c.shape[2], : c.shape[3]] + n.score8(c)
        return fixed_bilinear(y, 8, 4)[:, :, : x.shape[2], : x.shape[3]]

    scores = {f"score{s}": nn.Conv2d(4 * m, classes, 1) for s, m in zip((8, 16, 32), w[1:], strict=True)}
    return Net(compute, conv1=conv(3, w[0], 7, 2, 3), bn1=nn.BatchNorm2d(w[0]), **bottleneck_stages(w, False), **scores)


class Basic(nn.Module):
    """shortcut: "pad" (option A), "projection" or "none" (a plain network)."""

    def __init__(self, a: int, b: int, stride: int, shortcut: str) -> None:
        super().__init__()
        self.conv1, self.bn1 = conv(a, b, 3, stride, 1), nn.BatchNorm2d(b)
        self.conv2, self.bn2 = conv(b, b, 3, 1, 1), nn.BatchNorm2d(b)
        self.stride, self.extra, self.shortcut = stride, b - a, shortcut
        if shortcut == "projection" and stride != 1:
            self.downsample = nn.Sequential(conv(a, b, 1, stride), nn.BatchNorm2d(b))

    def forward(self, x: Any) -> Any:
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        if self.shortcut == "none":
            return F.relu(y)
        if self.stride == 1:
            return F.relu(x + y)
        if self.shortcut == "projection":
            return F.relu(y + self.downsample(x))
        half = self.extra // 2
        return F.relu(y + F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, half, self.extra - half)))


def resnet20(w: Sequence[int], classes: int, n: int, shortcut: str) -> nn.Module:
    a, stages = w[0], {}
    for i, b in enumerate(w, 1):
        blocks = [Basic(a if j == 0 else b, b, 2 if i > 1 and j == 0 else 1, shortcut) for j in range(n)]
        stages[f"layer{i}"], a = nn.Sequential(*blocks), b
    return Net(
        lambda m, x: m.fc(m.layer3(m.layer2(m.layer1(F.relu(m.bn1(m.conv1(x)))))).mean((2, 3))),
        conv1=conv(3, w[0], 3, 1, 1),
        bn1=nn.BatchNorm2d(w[0]),
        **stages,
        fc=nn.Linear(a, classes),
    )


# ------------------------------------------------------------------------------------------ DenseNet, Xception


class DenseLayer(nn.Module):
    def __init__(self, a: int, growth: int) -> None:
        super().__init__()
        self.norm1, self.conv1 = nn.BatchNorm2d(a), conv(a, 4 * growth, 1)
        self.norm2, self.conv2 = nn.BatchNorm2d(4 * growth), conv(4 * growth, growth, 3, 1, 1)

    def forward(self, x: Any) -> Any:
        return torch.cat([x, self.conv2(F.relu(self.norm2(self.conv1(F.relu(self.norm1(x))))))], 1)


def densenet121(growth: int, classes: int) -> nn.Module:
    a = 2 * growth
    f = nn.Sequential()
    f.add_module("conv0", conv(3, a, 7, 2, 3))
    f.add_module("norm0", nn.BatchNorm2d(a))
    f.add_module("relu0", nn.ReLU())
    f.add_module("pool0", nn.MaxPool2d(3, 2, 1))
    for i, times in enumerate((6, 12, 24, 16), 1):
        block = nn.Sequential()
        for j in range(1, times + 1):
            block.add_module(f"denselayer{j}", DenseLayer(a, growth))
            a += growth
        f.add_module(f"denseblock{i}", block)
        if i < 4:
            f.add_module(
                f"transition{i}",
                Net(
                    lambda n, x: F.avg_pool2d(n.conv(F.relu(n.norm(x))), 2),
                    norm=nn.BatchNorm2d(a),
                    conv=conv(a, a // 2, 1),
                ),
            )
            a //= 2
    f.add_module("norm5", nn.BatchNorm2d(a))
    return Net(
        lambda n, x: n.classifier(F.relu(n.features(x)).mean((2, 3))), features=f, classifier=nn.Linear(a, classes)
    )


def separable(a: int, b: int) -> nn.Module:
    return Net(lambda n, x: n.pointwise(n.depthwise(x)), depthwise=conv(a, a, 3, 1, 1, a), pointwise=conv(a, b, 1))


def bn(channels: int) -> nn.Module:
    return nn.BatchNorm2d(channels, eps=1e-3, momentum=0.01)


def xception_block(a: int, widths: Sequence[int], stride: int, activated: bool) -> nn.Module:
    layers: list[Any] = []
    first = a
    for i, b in enumerate(widths):
        layers += [nn.ReLU()] if i or activated else []
        layers += [separable(a, b), bn(b)]
        a = b
    parts: dict[str, nn.Module] = {"body": nn.Sequential(*layers)}
    if stride == 2:
        parts["downsample"] = nn.Sequential(conv(first, a, 1, 2), bn(a))

    def compute(n: Any, x: Any) -> Any:
        y = n.body(x)
        if stride == 1:
            return y + x
        edges = []
        for side in reversed(y.shape[2:]):  # TensorFlow's rule, the odd one at the end
            total = max(0, (-(-side // 2) - 1) * 2 + 3 - side)
            edges += [total // 2, total - total // 2]
        return F.max_pool2d(F.pad(y, edges, value=float("-inf")), 3, 2) + n.downsample(x)

    return Net(compute, **parts)


def xception(wide: Callable[[int], int], classes: int) -> nn.Module:
    a, b, c, d, e, f, g, h = (wide(n) for n in (32, 64, 128, 256, 728, 1024, 1536, 2048))
    blocks: dict[str, nn.Module] = {
        "block1": nn.Sequential(conv(3, a, 3, 2), bn(a), nn.ReLU(), conv(a, b, 3), bn(b), nn.ReLU()),
        "block2": xception_block(b, (c, c), 2, False),
        "block3": xception_block(c, (d, d), 2, True),
        "block4": xception_block(d, (e, e), 2, True),
        **{f"block{i}": xception_block(e, (e, e, e), 1, True) for i in range(5, 13)},
        "block13": xception_block(e, (e, f), 2, True),
        "block14": nn.Sequential(separable(f, g), bn(g), nn.ReLU(), separable(g, h), bn(h), nn.ReLU()),
    }

    def compute(n: Any, x: Any) -> Any:
        for name in blocks:
            x = getattr(n, name)(x)
        return n.fc(x.mean((2, 3)))

    return Net(compute, **blocks, fc=nn.Linear(h, classes))


# ----------------------------------------------------------------------------------------------------------- FCN


def fcn(stride: int, wide: Callable[[int], int], classes: int, plan: Sequence[int] = D) -> nn.Module:
    dense = wide(4096)

    def compute(n: Any, x: Any) -> Any:
        pools, y = [], x
        for layer in n.features:
            y = layer(y)
            pools += [y] if isinstance(layer, nn.MaxPool2d) else []
        y = n.score(F.relu(n.fc7(F.relu(n.fc6(y)))))
        if stride <= 16:
            y = fixed_bilinear(y, 2, 0)
            y = y + n.score_pool4(pools[3])[:, :, 5 : 5 + y.shape[2], 5 : 5 + y.shape[3]]
        if stride == 8:
            y = fixed_bilinear(y, 2, 0)
            y = y + n.score_pool3(pools[2])[:, :, 9 : 9 + y.shape[2], 9 : 9 + y.shape[3]]
        offset = {32: 19, 16: 27, 8: 31}[stride]
        y = fixed_bilinear(y, stride, 0)
        return y[:, :, offset : offset + x.shape[2], offset : offset + x.shape[3]]

    skips = {"score_pool4": nn.Conv2d(wide(512), classes, 1)} if stride <= 16 else {}
    skips |= {"score_pool3": nn.Conv2d(wide(256), classes, 1)} if stride == 8 else {}
    return Net(
        compute,
        features=vgg_layers(plan, wide, pad=100, ceil=True),
        fc6=nn.Conv2d(wide(512), dense, 7),
        fc7=nn.Conv2d(dense, dense, 1),
        score=nn.Conv2d(dense, classes, 1),
        **skips,
    )


# ------------------------------------------------------------------------------------------------ patch networks


def zhang2015(wide: Callable[[int], int], classes: int) -> nn.Module:
    layers: list[Any] = []
    a = 3
    for b in map(wide, (64, 256, 768)):
        layers += [nn.Conv2d(a, b, 5), nn.ReLU(), nn.LocalResponseNorm(5, 5e-4, 0.75, 2.0)]
        a = b
    return Net(
        lambda n, x: n.classifier(n.features(x)),
        features=nn.Sequential(*layers),
        classifier=nn.Sequential(nn.Flatten(), nn.Dropout(0), nn.Linear(a, classes)),
    )


class Deformation(nn.Module):
    """PyTorch's own grid and sampling; the transform is the identity plus what a dense net says."""

    def __init__(self, channels: int, side: int) -> None:
        super().__init__()
        self.localisation = nn.Sequential(nn.Flatten(), nn.Linear(channels * side**2, 32), nn.ReLU(), nn.Linear(32, 6))

    def forward(self, x: Any) -> Any:
        theta = self.localisation(x).view(-1, 2, 3) + torch.eye(2, 3, dtype=x.dtype)
        return F.grid_sample(x, F.affine_grid(theta, list(x.shape), align_corners=False), align_corners=False)


def bonet(wide: Callable[[int], int], classes: int, size: int) -> nn.Module:
    layers: list[Any] = []
    a, side = 3, size // 16
    for i, b in enumerate(map(wide, (32, 64, 128, 128, 128))):
        layers += [nn.Conv2d(a, b, 3, padding=1), nn.ReLU(), *([nn.MaxPool2d(2)] if i < 4 else [])]
        a = b
    dense = wide(256)
    return Net(
        lambda n, x: n.classifier(n.deformation(n.features(x))),
        features=nn.Sequential(*layers),
        deformation=Deformation(a, side),
        classifier=nn.Sequential(
            nn.Flatten(), nn.Linear(a * side**2, dense), nn.ReLU(), nn.Dropout(0), nn.Linear(dense, classes)
        ),
    )


def triplanar(wide: Callable[[int], int], classes: int) -> nn.Module:
    a, b = wide(32), wide(64)
    planes = nn.ModuleList(
        nn.Sequential(
            nn.Conv2d(1, a, 5), nn.ReLU(), nn.AvgPool2d(2), nn.Conv2d(a, b, 5), nn.ReLU(), nn.AvgPool2d(2), nn.Flatten()
        )
        for _ in range(3)
    )
    return Net(
        lambda n, x: n.classifier(torch.cat([p(x[:, i : i + 1]) for i, p in enumerate(n.planes)], 1)),
        planes=planes,
        classifier=nn.Linear(3 * 16 * b, classes),
    )


def mtann(window: int, hidden: int) -> nn.Module:
    """The sliding network as two convolutions: the same numbers under other shapes."""

    def compute(n: Any, x: Any) -> Any:
        weight = n.hidden.weight.reshape(hidden, 1, window, window)
        y = torch.sigmoid(F.conv2d(x, weight, n.hidden.bias))
        return F.conv2d(y, n.output.weight.reshape(1, hidden, 1, 1), n.output.bias)

    return Net(compute, hidden=nn.Linear(window**2, hidden), output=nn.Linear(hidden, 1))


def ciresan_n4(wide: Callable[[int], int], classes: int) -> nn.Module:
    c = wide(48)
    layers: list[Any] = []
    for i, k in enumerate((4, 5, 4, 4)):
        layers += [nn.Conv2d(c if i else 1, c, k), nn.ReLU(), nn.MaxPool2d(2)]
    return Net(
        lambda n, x: n.classifier(n.features(x)),
        features=nn.Sequential(*layers),
        classifier=nn.Sequential(nn.Flatten(), nn.Linear(9 * c, wide(200)), nn.ReLU(), nn.Linear(wide(200), classes)),
    )


def kumar_cnn3(wide: Callable[[int], int], classes: int) -> nn.Module:
    a, b, c, f = (wide(n) for n in (25, 50, 80, 1024))
    return Net(
        lambda n, x: n.classifier(n.features(x)),
        features=nn.Sequential(
            nn.Conv2d(3, a, 4),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(a, b, 5),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(b, c, 6),
            nn.ReLU(),
            nn.MaxPool2d(2, ceil_mode=True),
        ),
        classifier=nn.Sequential(
            nn.Flatten(),
            nn.Linear(9 * c, f),
            nn.ReLU(),
            nn.Dropout(0),
            nn.Linear(f, f),
            nn.ReLU(),
            nn.Dropout(0),
            nn.Linear(f, classes),
        ),
    )
