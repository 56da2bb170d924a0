"""The papers' networks written in PyTorch: rivals with the same weights, for parity tests and benchmarks."""

from typing import Any

import numpy as np


def dcnn(
    torch: Any,
    classes: int = 2,
    channels: int = 3,
    size: int = 50,
    padding: int = 0,
    dropout: tuple[float, float] = (0.25, 0.5),
    momentum: float = 0.01,
    eps: float = 1e-3,
) -> Any:
    """SYSTEMS section 1: three times conv, ReLU, pool, batch norm, dropout; conv, ReLU, pool; four dense; logits."""
    nn = torch.nn
    layers: list[Any] = []
    for i, width in enumerate((32, 64, 128, 256)):
        layers += [nn.Conv2d(channels, width, 3, padding=padding), nn.ReLU(), nn.MaxPool2d(2)]
        if i < 3:
            layers += [nn.BatchNorm2d(width, eps=eps, momentum=momentum), nn.Dropout(dropout[0])]
        channels, size = width, (size - 2 * (1 - padding)) // 2
    layers.append(nn.Flatten())
    features = channels * size * size
    for width in (256, 128, 64):
        layers += [nn.Linear(features, width), nn.ReLU()]
        features = width
    return nn.Sequential(*layers, nn.Dropout(dropout[1]), nn.Linear(features, classes))


def lenet5_modern(torch: Any, classes: int = 10, channels: int = 1) -> Any:
    """SYSTEMS section 7, modern variant: 61,706 parameters."""
    nn = torch.nn
    return nn.Sequential(
        nn.Conv2d(channels, 6, 5),
        nn.Tanh(),
        nn.AvgPool2d(2),
        nn.Conv2d(6, 16, 5),
        nn.Tanh(),
        nn.AvgPool2d(2),
        nn.Conv2d(16, 120, 5),
        nn.Tanh(),
        nn.Flatten(),
        nn.Linear(120, 84),
        nn.Tanh(),
        nn.Linear(84, classes),
    )


def resnet20(
    torch: Any, classes: int = 10, channels: int = 3, widths: tuple[int, int, int] = (16, 32, 64), blocks: int = 3
) -> Any:
    """He et al. 2016, section 4.2, with shortcuts free of parameters (option A)."""
    nn, functional = torch.nn, torch.nn.functional

    class Block(nn.Module):  # type: ignore[name-defined, misc]
        def __init__(self, a: int, b: int, stride: int) -> None:
            super().__init__()
            self.conv1, self.bn1 = nn.Conv2d(a, b, 3, stride, 1, bias=False), nn.BatchNorm2d(b)
            self.conv2, self.bn2 = nn.Conv2d(b, b, 3, 1, 1, bias=False), nn.BatchNorm2d(b)
            self.stride, self.more = stride, b - a

        def forward(self, x: Any) -> Any:
            y = self.bn2(self.conv2(functional.relu(self.bn1(self.conv1(x)))))
            low = self.more // 2
            skip = functional.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, low, self.more - low))
            return functional.relu(y + skip)

    layers: list[Any] = [nn.Conv2d(channels, widths[0], 3, 1, 1, bias=False), nn.BatchNorm2d(widths[0]), nn.ReLU()]
    a = widths[0]
    for stage, b in enumerate(widths):
        for i in range(blocks):
            layers.append(Block(a, b, 2 if stage and not i else 1))
            a = b
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(a, classes))


def copy_weights(torch: Any, ours: Any, theirs: Any) -> None:
    """Our parameters, in their order, into PyTorch's."""
    pairs = list(zip(ours.parameters(), theirs.parameters(), strict=True))
    with torch.no_grad():
        for p, q in pairs:
            assert p.array.size == q.numel(), f"{p.shape} against {tuple(q.shape)}"
            q.copy_(torch.from_numpy(np.ascontiguousarray(p.array)).reshape(q.shape))


def unet(
    torch: Any,
    classes: int = 2,
    channels: int = 1,
    base: int = 64,
    depth: int = 4,
    padded: bool = True,
    norm: bool = True,
    dropout: float = 0.0,
) -> Any:
    """SYSTEMS section 11: U-Net with up-convolutions, dropout after the last two levels; parameters have our names."""
    nn, functional = torch.nn, torch.nn.functional

    def pair(a: int, b: int) -> Any:
        layers: list[Any] = []
        for c in (a, b):
            layers.append(nn.Conv2d(c, b, 3, padding=int(padded), bias=not norm))
            layers += [nn.BatchNorm2d(b)] if norm else []
            layers.append(nn.ReLU())
        return nn.Sequential(*layers)

    widths = [base << level for level in range(depth + 1)]

    class UNet(nn.Module):  # type: ignore[name-defined, misc]
        def __init__(self) -> None:
            super().__init__()
            self.down = nn.ModuleList(pair(a, b) for a, b in zip([channels, *widths], widths, strict=False))
            self.up = nn.ModuleList(nn.ConvTranspose2d(2 * w, w, 2, 2) for w in reversed(widths[:-1]))
            self.join = nn.ModuleList(pair(2 * w, w) for w in reversed(widths[:-1]))
            self.head, self.dropout = nn.Conv2d(base, classes, 1), nn.Dropout(dropout)

        def forward(self, x: Any) -> Any:
            skips = []
            for level, block in enumerate(self.down):
                x = block(functional.max_pool2d(x, 2) if level else x)
                x = self.dropout(x) if level >= depth - 1 else x
                skips.append(x)
            skips.pop()
            for up, block in zip(self.up, self.join, strict=True):
                x, skip = up(x), skips.pop()
                low = [(s - n) // 2 for s, n in zip(skip.shape[2:], x.shape[2:], strict=True)]
                skip = skip[:, :, low[0] : low[0] + x.shape[2], low[1] : low[1] + x.shape[3]]
                x = block(torch.cat([skip, x], 1))
            return self.head(x)

    return UNet()


def unet3d(torch: Any, classes: int = 3, channels: int = 1, base: int = 32, depth: int = 3) -> Any:
    """Build a 3D U-Net (Cicek et al. 2016), padded: channels double before each pooling; parameters have our names."""
    nn, functional = torch.nn, torch.nn.functional

    def pair(a: int, mid: int, b: int) -> Any:
        layers: list[Any] = []
        for c, d in ((a, mid), (mid, b)):
            layers += [nn.Conv3d(c, d, 3, padding=1), nn.BatchNorm3d(d), nn.ReLU()]
        return nn.Sequential(*layers)

    widths = [2 * base << level for level in range(depth + 1)]

    class UNet3d(nn.Module):  # type: ignore[name-defined, misc]
        def __init__(self) -> None:
            super().__init__()
            self.down = nn.ModuleList(pair(a, b // 2, b) for a, b in zip([channels, *widths], widths, strict=False))
            self.up = nn.ModuleList(nn.ConvTranspose3d(w, w, 2, 2, bias=False) for w in reversed(widths[1:]))
            self.join = nn.ModuleList(pair(3 * w, w, w) for w in reversed(widths[:-1]))
            self.head = nn.Conv3d(widths[0], classes, 1)

        def forward(self, x: Any) -> Any:
            skips = []
            for level, block in enumerate(self.down):
                x = block(functional.max_pool3d(x, 2) if level else x)
                skips.append(x)
            skips.pop()
            for up, block in zip(self.up, self.join, strict=True):
                x = block(torch.cat([skips.pop(), up(x)], 1))
            return self.head(x)

    return UNet3d()
