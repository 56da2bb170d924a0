"""The networks of tests/test_cuda_train.py in PyTorch, their parameters named as ours, for bf16_steps.py."""

from typing import Any

import torch
from torch import nn
from torch.nn import functional as F


def twin_of(name: str, ours: Any) -> nn.Module:
    """Return a network in PyTorch with the layers of ours."""
    if name == "resnet20":
        from torch_classification import resnet20

        return resnet20([2, 4, 8], ours.fc.weight.shape[0], 3, "pad")
    if name in TWINS:
        return TWINS[name](ours)
    return mirrored(ours) if name == "DCNN" else UShape(ours)


def mirrored(module: Any) -> Any:
    """Return the layers of a sequence, or one layer, by their class's name."""
    kind = type(module).__name__
    if kind in ("Sequential", "DoubleConv"):
        return nn.Sequential(*(mirrored(m) for m in module))
    if kind.startswith("Conv"):
        shape = module.weight.shape
        i, o = shape[:2] if "Transpose" in kind else shape[1::-1]
        how = {"stride": module.stride, "bias": module.bias is not None, "padding": plain_padding(module.padding)}
        return getattr(nn, kind)(i, o, tuple(shape[2:]), **how)
    if kind.startswith("BatchNorm"):
        return getattr(nn, kind)(module.num_features, module.eps)
    if kind == "Linear":
        return nn.Linear(*module.weight.shape[::-1], bias=module.bias is not None)
    if kind.startswith("MaxPool"):
        return getattr(nn, kind)(2)
    if kind.startswith("Upsample"):
        return nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True)
    return {"ReLU": nn.ReLU, "Flatten": nn.Flatten}.get(kind, nn.Identity)()


def plain_padding(padding: Any) -> Any:
    """Return a convolution's padding as PyTorch takes it."""
    if isinstance(padding, str | int):
        return padding
    return tuple(p if isinstance(p, int) else p[0] for p in padding)


class UShape(nn.Module):
    """The U-Nets: blocks down, blocks up, a map of every level carried across."""

    def __init__(self, ours: Any) -> None:
        super().__init__()
        for part in ("down", "up", "join"):
            setattr(self, part, nn.ModuleList(mirrored(m) for m in getattr(ours, part)))
        self.head = mirrored(ours.head)

    def forward(self, x: Any) -> Any:
        """Compute the scores."""
        pool, skips = (F.max_pool3d if x.ndim == 5 else F.max_pool2d), []
        for level, block in enumerate(self.down):
            x = block(pool(x, 2) if level else x)
            skips.append(x)
        skips.pop()
        for up, block in zip(self.up, self.join, strict=True):
            x = block(torch.cat([skips.pop(), up(x)], 1))
        return self.head(x)


class Residual(nn.Module):
    """A ResNet's basic block and a head."""

    def __init__(self, ours: Any) -> None:
        super().__init__()
        for part in ("conv1", "norm1", "conv2", "norm2", "head"):
            setattr(self, part, mirrored(getattr(ours, part)))

    def forward(self, x: Any) -> Any:
        """Compute the scores."""
        y = F.relu(self.norm1(self.conv1(x)))
        return self.head(F.relu(self.norm2(self.conv2(y)) + x).mean((2, 3)))


class Recurrent(nn.Module):
    """An LSTM over rows of an image, and a head."""

    def __init__(self, ours: Any) -> None:
        super().__init__()
        self.lstm, self.head = nn.LSTM(6, 5, batch_first=True), mirrored(ours.head)

    def forward(self, x: Any) -> Any:
        """Compute the scores."""
        return self.head(self.lstm(x)[0][:, -1])


class Attending(nn.Module):
    """An attention block of two heads, and a head."""

    def __init__(self, ours: Any) -> None:
        super().__init__()
        self.block = nn.TransformerEncoderLayer(8, 2, 12, dropout=0.0, activation="gelu", batch_first=True)
        self.head = mirrored(ours.head)

    def forward(self, x: Any) -> Any:
        """Compute the scores."""
        return self.head(self.block(x).mean(1))


class Papers(nn.Module):
    """The papers' CNN."""

    def __init__(self, ours: Any) -> None:
        super().__init__()
        self.features, self.classifier = mirrored(ours.features), mirrored(ours.classifier)

    def forward(self, x: Any) -> Any:
        """Compute the scores."""
        return self.classifier(self.features(x).flatten(1))


TWINS = {"ResNet block": Residual, "LSTM": Recurrent, "attention block": Attending, "dcnn": Papers}
