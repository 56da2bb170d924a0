"""The segmentation networks written once more, in PyTorch, from their papers: the oracles of test_models_segmentation.

Parameter names are ours, so that a state loads; what is computed with them is spelled out here.
"""

from typing import Any

import torch
from torch import nn
from torch.nn import functional as F


def crop(x: Any, size: Any) -> Any:
    """The centre of a map."""
    for axis, want in enumerate(size, 2):
        x = x.narrow(axis, (x.shape[axis] - want) // 2, want)
    return x


def two_convs(conv: Any, norm: Any, a: int, mid: int, b: int, padding: int, bias: bool) -> nn.Sequential:
    layers = []
    for i, o in ((a, mid), (mid, b)):
        layers += [conv(i, o, 3, padding=padding, bias=bias)] + ([norm(o)] if norm else []) + [nn.ReLU()]
    return nn.Sequential(*layers)


class UNet(nn.Module):
    """Four levels down and up, side by side with figure 1 of the paper."""

    def __init__(self, classes: int, channels: int, base: int, same: bool, norm: bool, bilinear: bool = False) -> None:
        super().__init__()
        b, half = base, 2 if bilinear else 1
        bn, pad = (nn.BatchNorm2d if norm else None), int(same)

        def block(a: int, mid: int, out: int) -> nn.Sequential:
            return two_convs(nn.Conv2d, bn, a, mid, out, pad, not norm)

        self.down = nn.ModuleList(
            [
                block(channels, b, b),
                block(b, 2 * b, 2 * b),
                block(2 * b, 4 * b, 4 * b),
                block(4 * b, 8 * b, 8 * b),
                block(8 * b, 16 * b // half, 16 * b // half),
            ]
        )
        self.up = nn.ModuleList(
            nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True)
            if bilinear
            else nn.ConvTranspose2d(2 * w, w, 2, 2)
            for w in (8 * b, 4 * b, 2 * b, b)
        )
        self.join = nn.ModuleList(
            [
                block(16 * b, 8 * b, 8 * b // half),
                block(8 * b, 4 * b, 4 * b // half),
                block(4 * b, 2 * b, 2 * b // half),
                block(2 * b, b, b),
            ]
        )
        self.head = nn.Conv2d(b, classes, 1)

    def forward(self, x: Any) -> Any:
        a = self.down[0](x)
        b = self.down[1](F.max_pool2d(a, 2))
        c = self.down[2](F.max_pool2d(b, 2))
        d = self.down[3](F.max_pool2d(c, 2))
        y = self.down[4](F.max_pool2d(d, 2))
        for skip, up, join in zip((d, c, b, a), self.up, self.join, strict=True):
            y = up(y)
            y = join(torch.cat([crop(skip, y.shape[2:]), y], 1))
        return self.head(y)


class OffsetNorm(nn.Module):
    """Batch norm that learns an offset and no scale."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(channels))
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))
        self.register_buffer("num_batches_tracked", torch.tensor(0))

    def forward(self, x: Any) -> Any:
        ones = torch.ones_like(self.bias)
        return F.batch_norm(x, self.running_mean, self.running_var, ones, self.bias, self.training, 0.01, 1e-3)


def conv_bn(a: int, b: int, k: int, relu: bool = True) -> nn.Sequential:
    conv = nn.Conv2d(a, b, k, padding=k // 2, bias=False)
    return nn.Sequential(conv, OffsetNorm(b), *([nn.ReLU()] if relu else []))


def keras_norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, 1e-3, 0.01)


class Chain(nn.Module):
    def __init__(self, a: int, w: tuple[int, int, int]) -> None:
        super().__init__()
        self.convs = nn.ModuleList([conv_bn(a, w[0], 3), conv_bn(w[0], w[1], 3), conv_bn(w[1], w[2], 3)])
        self.norm = keras_norm(sum(w))

    def forward(self, x: Any) -> Any:
        a = self.convs[0](x)
        b = self.convs[1](a)
        return self.norm(torch.cat([a, b, self.convs[2](b)], 1))


class DualBlock(nn.Module):
    """dual: two chains; else a chain and a 1x1 shortcut."""

    def __init__(self, a: int, w: tuple[int, int, int], dual: bool) -> None:
        super().__init__()
        self.dual = dual
        if dual:
            self.left, self.right = Chain(a, w), Chain(a, w)
        else:
            self.shortcut, self.chain = conv_bn(a, sum(w), 1, False), Chain(a, w)
        self.norm = keras_norm(sum(w))

    def forward(self, x: Any) -> Any:
        y = self.left(x) + self.right(x) if self.dual else self.shortcut(x) + self.chain(x)
        return self.norm(torch.relu(y))


class PathStep(nn.Module):
    def __init__(self, a: int, f: int) -> None:
        super().__init__()
        self.shortcut, self.conv, self.norm = conv_bn(a, f, 1, False), conv_bn(a, f, 3), keras_norm(f)

    def forward(self, x: Any) -> Any:
        return self.norm(torch.relu(self.shortcut(x) + self.conv(x)))


class MultiRes(nn.Module):
    """DC-UNet (dual) or MultiResUNet, from a table of widths."""

    def __init__(
        self, classes: int, channels: int, table: list[tuple[int, int, int]], filters: list[int], dual: bool
    ) -> None:
        super().__init__()
        out = [sum(t) for t in table]
        self.down = nn.ModuleList(DualBlock(a, t, dual) for a, t in zip([channels, *out[:4]], table, strict=True))
        self.path = nn.ModuleList(
            nn.Sequential(*(PathStep(out[i] if j == 0 else filters[i], filters[i]) for j in range(4 - i)))
            for i in range(4)
        )
        self.up = nn.ModuleList(nn.ConvTranspose2d(out[i + 1], filters[i], 2, 2) for i in (3, 2, 1, 0))
        self.join = nn.ModuleList(DualBlock(2 * filters[i], table[i], dual) for i in (3, 2, 1, 0))
        self.head = conv_bn(out[0], classes, 1, False)

    def forward(self, x: Any) -> Any:
        skips = []
        for i, block in enumerate(self.down):
            x = block(F.max_pool2d(x, 2) if i else x)
            skips.append(x)
        for level, up, join in zip((3, 2, 1, 0), self.up, self.join, strict=True):
            x = join(torch.cat([self.path[level](skips[level]), up(x)], 1))
        return self.head(x)


class UNet3d(nn.Module):
    def __init__(self, classes: int, channels: int, b: int, same: bool) -> None:
        super().__init__()

        def block(i: int, mid: int, o: int) -> nn.Sequential:
            return two_convs(nn.Conv3d, nn.BatchNorm3d, i, mid, o, int(same), True)

        self.down = nn.ModuleList(
            [
                block(channels, b, 2 * b),
                block(2 * b, 2 * b, 4 * b),
                block(4 * b, 4 * b, 8 * b),
                block(8 * b, 8 * b, 16 * b),
            ]
        )
        self.up = nn.ModuleList(nn.ConvTranspose3d(w, w, 2, 2, bias=False) for w in (16 * b, 8 * b, 4 * b))
        self.join = nn.ModuleList(
            [block(24 * b, 8 * b, 8 * b), block(12 * b, 4 * b, 4 * b), block(6 * b, 2 * b, 2 * b)]
        )
        self.head = nn.Conv3d(2 * b, classes, 1)

    def forward(self, x: Any) -> Any:
        a = self.down[0](x)
        b = self.down[1](F.max_pool3d(a, 2))
        c = self.down[2](F.max_pool3d(b, 2))
        y = self.down[3](F.max_pool3d(c, 2))
        for skip, up, join in zip((c, b, a), self.up, self.join, strict=True):
            y = up(y)
            y = join(torch.cat([crop(skip, y.shape[2:]), y], 1))
        return self.head(y)


class VoxRes(nn.Module):
    def __init__(self, c: int) -> None:
        super().__init__()
        self.bn1, self.conv1 = nn.BatchNorm3d(c), nn.Conv3d(c, c, 3, padding=1)
        self.bn2, self.conv2 = nn.BatchNorm3d(c), nn.Conv3d(c, c, 3, padding=1)

    def forward(self, x: Any) -> Any:
        return x + self.conv2(torch.relu(self.bn2(self.conv1(torch.relu(self.bn1(x))))))


class VoxResNet(nn.Module):
    """Returns (sum, the four taps' scores)."""

    def __init__(self, classes: int, channels: int, b: int) -> None:
        super().__init__()
        self.conv1a, self.bn1a = nn.Conv3d(channels, b, 3, padding=1), nn.BatchNorm3d(b)
        self.conv1b = nn.Conv3d(b, b, 3, padding=1)
        self.stages = nn.ModuleList(
            nn.Sequential(
                nn.BatchNorm3d(i), nn.ReLU(), nn.Conv3d(i, 2 * b, 3, stride=2, padding=1), VoxRes(2 * b), VoxRes(2 * b)
            )
            for i in (b, 2 * b, 2 * b)
        )
        sizes = ((b, 3, 1), (2 * b, 4, 2), (2 * b, 6, 4), (2 * b, 10, 8))
        self.heads = nn.ModuleList(
            nn.Sequential(
                nn.ConvTranspose3d(c, c, k, stride=s, padding=1), nn.ReLU(), nn.Conv3d(c, classes, 3, padding=1)
            )
            for c, k, s in sizes
        )

    def forward(self, x: Any) -> Any:
        y = self.conv1b(torch.relu(self.bn1a(self.conv1a(x))))
        scores = [self.heads[0](y)]
        for stage, head in zip(self.stages, self.heads[1:], strict=True):
            y = stage(y)
            scores.append(head(y))
        return sum(scores), *scores


class VStage(nn.Module):
    def __init__(self, first: int, c: int, count: int) -> None:
        super().__init__()
        self.convs = nn.ModuleList(nn.Conv3d(first if i == 0 else c, c, 5, padding=2) for i in range(count))
        self.activations = nn.ModuleList(nn.PReLU(c) for _ in range(count))

    def forward(self, x: Any) -> Any:
        y = x
        for conv, prelu in zip(self.convs[:-1], self.activations[:-1], strict=True):
            y = prelu(conv(y))
        return self.activations[-1](self.convs[-1](y) + x)


class VNet(nn.Module):
    def __init__(self, classes: int, b: int, down: tuple[int, ...], up: tuple[int, ...], released: bool) -> None:
        super().__init__()
        w = [b, 2 * b, 4 * b, 8 * b, 16 * b]
        self.down = nn.ModuleList(VStage(1 if i == 0 else w[i], w[i], n) for i, n in enumerate(down))
        self.halve = nn.ModuleList(nn.Sequential(nn.Conv3d(a, 2 * a, 2, stride=2), nn.PReLU(2 * a)) for a in w[:4])
        self.enlarge = nn.ModuleList(
            nn.Sequential(nn.ConvTranspose3d(i, o, 2, stride=2), nn.PReLU(o))
            for i, o in ((w[4], w[3]), (w[4], w[2]), (w[3], w[1]), (w[2], w[0]))
        )
        self.up = nn.ModuleList(VStage(c, c, n) for c, n in zip((w[4], w[3], w[2], w[1]), up, strict=True))
        self.head = (
            nn.Sequential(nn.Conv3d(w[1], classes, 5, padding=2), nn.PReLU(classes), nn.Conv3d(classes, classes, 1))
            if released
            else nn.Conv3d(w[1], classes, 1)
        )

    def forward(self, x: Any) -> Any:
        skips = [self.down[0](x)]
        for halve, stage in zip(self.halve, self.down[1:], strict=True):
            skips.append(stage(halve(skips[-1])))
        y = skips[4]
        for level, enlarge, stage in zip((3, 2, 1, 0), self.enlarge, self.up, strict=True):
            y = stage(torch.cat([enlarge(y), skips[level]], 1))
        return self.head(y)


class DeepMedic(nn.Module):
    def __init__(self, classes: int, channels: int, widths: list[int], hidden: int) -> None:
        super().__init__()

        def pathway() -> nn.Sequential:
            layers: list[nn.Module] = []
            for a, b in zip([channels, *widths], widths, strict=False):
                layers += [nn.Conv3d(a, b, 3), nn.BatchNorm3d(b), nn.PReLU(b)]
            return nn.Sequential(*layers)

        def mix(a: int) -> list[nn.Module]:
            return [nn.Conv3d(a, hidden, 1), nn.BatchNorm3d(hidden), nn.PReLU(hidden), nn.Dropout(0.0)]

        self.fine, self.coarse = pathway(), pathway()
        self.head = nn.Sequential(*mix(2 * widths[-1]), *mix(hidden), nn.Conv3d(hidden, classes, 1))

    def forward(self, fine: Any, coarse: Any) -> Any:
        near, far = self.fine(fine), self.coarse(coarse)
        for axis in (2, 3, 4):
            far = far.repeat_interleave(3, axis)
        return self.head(torch.cat([near, crop(far, near.shape[2:])], 1))


class MultiStream(nn.Module):
    """Returns (scores, those of the tract at full size, those of the tract at half size)."""

    def __init__(self, classes: int, w: tuple[int, ...], hidden: int) -> None:
        super().__init__()
        self.tracts = nn.ModuleList()
        for _ in range(2):
            tract = nn.Module()
            tract.trunk = nn.Sequential(
                nn.Conv2d(3, w[0], 11, stride=4, padding=2),
                nn.ReLU(),
                nn.MaxPool2d(3, 2),
                nn.Conv2d(w[0], w[1], 5, padding=2),
                nn.ReLU(),
                nn.MaxPool2d(3, 2),
                nn.Conv2d(w[1], w[2], 3, padding=1),
                nn.ReLU(),
                nn.Conv2d(w[2], w[3], 3, padding=1),
                nn.ReLU(),
                nn.Conv2d(w[3], w[4], 3, padding=1),
                nn.ReLU(),
                nn.MaxPool2d(3, 2),
            )
            tract.dense = nn.Sequential(nn.Flatten(), nn.Dropout(0.0), nn.Linear(36 * w[4], hidden), nn.ReLU())
            self.tracts.append(tract)
        self.auxiliary = nn.ModuleList(nn.Linear(hidden, classes) for _ in range(2))
        self.merge = nn.Sequential(nn.Dropout(0.0), nn.Linear(2 * hidden, hidden), nn.ReLU())
        self.classifier = nn.Linear(hidden, classes)

    def forward(self, x: Any) -> Any:
        full, half = self.tracts
        a = full.dense(F.adaptive_avg_pool2d(full.trunk(x), 6))
        b = half.dense(F.adaptive_avg_pool2d(half.trunk(F.avg_pool2d(x, 2)), 6))
        scores = self.classifier(self.merge(torch.cat([a, b], 1)))
        return scores, self.auxiliary[0](a), self.auxiliary[1](b)
