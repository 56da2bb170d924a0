"""Networks whose weights are published, written once more in PyTorch: oracles of test_models_public.

Names and order of the state are those of torchvision and MONAI; numbers are read from the papers' tables in a form of
their own, so that a wrong number here or there does not cancel.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F
from torch_classification import Basic, Bottleneck, DenseLayer, Net, conv, stem

Wide = Callable[[float], int]


def resnet(depth: int, w: Sequence[int], classes: int) -> nn.Module:
    counts = {18: "2222", 34: "3463", 50: "3463", 101: "3 4 23 3", 152: "3 8 36 3"}[depth]
    times = [int(n) for n in (counts.split() if " " in counts else counts)]
    a, stages = w[0], {}
    for i, (b, n) in enumerate(zip(w, times, strict=True), 1):
        blocks: list[nn.Module] = []
        for j in range(n):
            stride = 2 if i > 1 and j == 0 else 1
            blocks.append(Basic(a, b, stride, "projection") if depth < 50 else Bottleneck(a, b, stride, False))
            a = b if depth < 50 else 4 * b
        stages[f"layer{i}"] = nn.Sequential(*blocks)
    return Net(
        lambda n, x: n.fc(n.layer4(n.layer3(n.layer2(n.layer1(stem(n, x))))).mean((2, 3))),
        conv1=conv(3, w[0], 7, 2, 3),
        bn1=nn.BatchNorm2d(w[0]),
        **stages,
        fc=nn.Linear(a, classes),
    )


def densenet(counts: Sequence[int], growth: int, classes: int) -> nn.Module:
    a = 2 * growth
    parts: dict[str, nn.Module] = {"conv0": conv(3, a, 7, 2, 3), "norm0": nn.BatchNorm2d(a), "relu0": nn.ReLU()}
    parts["pool0"] = nn.MaxPool2d(3, 2, 1)
    for i, n in enumerate(counts, 1):
        block = nn.Sequential()
        for j in range(1, n + 1):
            block.add_module(f"denselayer{j}", DenseLayer(a, growth))
            a += growth
        parts[f"denseblock{i}"] = block
        if i < len(counts):
            transition = nn.Sequential()
            transition.add_module("norm", nn.BatchNorm2d(a))
            transition.add_module("relu", nn.ReLU())
            transition.add_module("conv", conv(a, a // 2, 1))
            transition.add_module("pool", nn.AvgPool2d(2))
            parts[f"transition{i}"] = transition
            a //= 2
    parts["norm5"] = nn.BatchNorm2d(a)
    features = nn.Sequential()
    for name, part in parts.items():
        features.add_module(name, part)
    head = nn.Linear(a, classes)
    return Net(lambda n, x: n.classifier(F.relu(n.features(x)).mean((2, 3))), features=features, classifier=head)


# ------------------------------------------------------------------------------- MobileNets and EfficientNet


def eights(width: float) -> Wide:
    """The next multiple of 8, by a rule of its own: nearest, but not less than nine tenths."""

    def of(channels: float) -> int:
        wanted = channels * width
        near = max(8, 8 * math.floor(wanted / 8 + 0.5))
        return near + 8 if near < 0.9 * wanted else near

    return of


class Formula(nn.Module):
    """An activation by its formula in double precision; PyTorch's kernels use a float32 sixth."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind

    def forward(self, x: Any) -> Any:
        gate = (x + 3).clamp(0, 6) / 6
        return {"hardswish": x * gate, "hardsigmoid": gate}[self.kind]


def activation(kind: str) -> nn.Module:
    return {"relu": nn.ReLU, "relu6": nn.ReLU6, "silu": nn.SiLU, "sigmoid": nn.Sigmoid}.get(
        kind, lambda: Formula(kind)
    )()


def unit(a: int, b: int, k: int, stride: int = 1, groups: int = 1, act: str = "", **norm: float) -> nn.Sequential:
    layers = [conv(a, b, k, stride, k // 2, groups), nn.BatchNorm2d(b, **norm)]  # type: ignore[arg-type]
    return nn.Sequential(*layers, *([activation(act)] if act else []))


class Squeeze(nn.Module):
    def __init__(self, a: int, b: int, act: str, gate: str) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Conv2d(a, b, 1), nn.Conv2d(b, a, 1)
        self.act, self.gate = activation(act), activation(gate)

    def forward(self, x: Any) -> Any:
        return x * self.gate(self.fc2(self.act(self.fc1(x.mean((2, 3), keepdim=True)))))


class Residual(nn.Module):
    def __init__(self, name: str, layers: list[nn.Module], added: bool) -> None:
        super().__init__()
        self.add_module(name, nn.Sequential(*layers))
        self.name, self.added = name, added

    def forward(self, x: Any) -> Any:
        y = getattr(self, self.name)(x)
        return x + y if self.added else y


def pooled(features: nn.Module, classifier: nn.Module) -> nn.Module:
    return Net(lambda n, x: n.classifier(n.features(x).mean((2, 3))), features=features, classifier=classifier)


def mobilenet_v2(width: float, classes: int) -> nn.Module:
    wide = eights(width)
    a = wide(32)
    layers: list[nn.Module] = [unit(3, a, 3, 2, act="relu6")]
    for row in ("1 16 1 1", "6 24 2 2", "6 32 3 2", "6 64 4 2", "6 96 3 1", "6 160 3 2", "6 320 1 1"):
        t, c, n, s = map(int, row.split())
        for j in range(n):
            b, e, stride = wide(c), t * a, s if j == 0 else 1
            parts = [unit(a, e, 1, act="relu6")] if t > 1 else []
            parts += [unit(e, e, 3, stride, e, "relu6"), conv(e, b, 1), nn.BatchNorm2d(b)]
            layers.append(Residual("conv", parts, stride == 1 and a == b))
            a = b
    last = eights(max(1.0, width))(1280)
    layers.append(unit(a, last, 1, act="relu6"))
    return pooled(nn.Sequential(*layers), nn.Sequential(nn.Dropout(0), nn.Linear(last, classes)))


V3 = {
    "large": "3 16 16 - r 1;3 64 24 - r 2;3 72 24 - r 1;5 72 40 s r 2;5 120 40 s r 1;5 120 40 s r 1;3 240 80 - h 2;"
    "3 200 80 - h 1;3 184 80 - h 1;3 184 80 - h 1;3 480 112 s h 1;3 672 112 s h 1;5 672 160 s h 2;5 960 160 s h 1;"
    "5 960 160 s h 1",
    "small": "3 16 16 s r 2;3 72 24 - r 2;3 88 24 - r 1;5 96 40 s h 2;5 240 40 s h 1;5 240 40 s h 1;5 120 48 s h 1;"
    "5 144 48 s h 1;5 288 96 s h 2;5 576 96 s h 1;5 576 96 s h 1",
}


def mobilenet_v3(variant: str, width: float, classes: int) -> nn.Module:
    wide, norm = eights(width), {"eps": 1e-3, "momentum": 0.01}
    a = wide(16)
    layers: list[nn.Module] = [unit(3, a, 3, 2, act="hardswish", **norm)]
    for row in V3[variant].split(";"):
        k, exp, out, squeeze, letter, s = row.split()
        e, b, act = wide(int(exp)), wide(int(out)), {"r": "relu", "h": "hardswish"}[letter]
        parts = [unit(a, e, 1, act=act, **norm)] if e != a else []
        parts.append(unit(e, e, int(k), int(s), e, act, **norm))
        parts += [Squeeze(e, eights(1)(e // 4), "relu", "hardsigmoid")] if squeeze == "s" else []
        parts.append(unit(e, b, 1, **norm))
        layers.append(Residual("block", parts, s == "1" and a == b))
        a = b
    layers.append(unit(a, 6 * a, 1, act="hardswish", **norm))
    dense = wide({"large": 1280, "small": 1024}[variant])
    classifier = nn.Sequential(nn.Linear(6 * a, dense), Formula("hardswish"), nn.Dropout(0), nn.Linear(dense, classes))
    return pooled(nn.Sequential(*layers), classifier)


def efficientnet_b0(width: float, classes: int) -> nn.Module:
    wide = eights(width)
    a = wide(32)
    layers: list[nn.Module] = [unit(3, a, 3, 2, act="silu")]
    for row in ("1 3 1 16 1", "6 3 2 24 2", "6 5 2 40 2", "6 3 2 80 3", "6 5 1 112 3", "6 5 2 192 4", "6 3 1 320 1"):
        t, k, s, c, n = map(int, row.split())
        stage: list[nn.Module] = []
        for j in range(n):
            b, e, stride = wide(c), a if t == 1 else eights(1)(t * a), s if j == 0 else 1
            parts = [unit(a, e, 1, act="silu")] if t > 1 else []
            parts += [unit(e, e, k, stride, e, "silu"), Squeeze(e, max(1, a // 4), "silu", "sigmoid"), unit(e, b, 1)]
            stage.append(Residual("block", parts, stride == 1 and a == b))
            a = b
        layers.append(nn.Sequential(*stage))
    layers.append(unit(a, 4 * a, 1, act="silu"))
    return pooled(nn.Sequential(*layers), nn.Sequential(nn.Dropout(0), nn.Linear(4 * a, classes)))


# ------------------------------------------------------------------------------------------------ MONAI's U-Net


def named(**parts: nn.Module) -> nn.Sequential:
    made = nn.Sequential()
    for name, part in parts.items():
        made.add_module(name, part)
    return made


class Unit(nn.Module):
    def __init__(self, conv: nn.Module, residual: nn.Module) -> None:
        super().__init__()
        self.conv, self.residual = conv, residual

    def forward(self, x: Any) -> Any:
        return self.conv(x) + self.residual(x)


class Joined(nn.Module):
    def __init__(self, submodule: nn.Module) -> None:
        super().__init__()
        self.submodule = submodule

    def forward(self, x: Any) -> Any:
        return torch.cat((x, self.submodule(x)), 1)


def unet_monai(
    axes: int, norm: str, channels: Sequence[int], strides: Sequence[int], units: int, classes: int
) -> nn.Module:
    plain, transposed = ((nn.Conv2d, nn.ConvTranspose2d), (nn.Conv3d, nn.ConvTranspose3d))[axes - 2]
    norms = {"instance": (nn.InstanceNorm2d, nn.InstanceNorm3d), "batch": (nn.BatchNorm2d, nn.BatchNorm3d)}[norm]

    def after(b: int) -> nn.Module:
        return named(N=norms[axes - 2](b), D=nn.Dropout(0), A=nn.PReLU())

    def down(a: int, b: int, s: int) -> nn.Module:
        parts = []
        for i in range(max(1, units)):
            parts.append(named(conv=plain(b if i else a, b, 3, 1 if i else s, 1), adn=after(b)))
        if not units:
            return parts[0]
        beside: nn.Module = nn.Identity()
        if s > 1:
            beside = plain(a, b, 3, s, 1)
        elif a != b:
            beside = plain(a, b, 1)
        return Unit(named(**{f"unit{i}": part for i, part in enumerate(parts)}), beside)

    def up(a: int, b: int, s: int, top: bool) -> nn.Module:
        conv = transposed(a, b, 3, s, 1, s - 1)
        if not units:
            return named(conv=conv) if top else named(conv=conv, adn=after(b))
        last = named(conv=plain(b, b, 3, 1, 1)) if top else named(conv=plain(b, b, 3, 1, 1), adn=after(b))
        return nn.Sequential(named(conv=conv, adn=after(b)), Unit(named(unit0=last), nn.Identity()))

    def level(a: int, b: int, i: int) -> nn.Module:
        c = channels[i]
        deepest = i == len(channels) - 2
        below = down(c, channels[i + 1], 1) if deepest else level(c, c, i + 1)
        joined = c + channels[i + 1] if deepest else 2 * c
        return nn.Sequential(down(a, c, strides[i]), Joined(below), up(joined, b, strides[i], i == 0))

    return Net(lambda n, x: n.model(x), model=level(1, classes, 0))
