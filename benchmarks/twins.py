"""The papers' networks written in PyTorch: rivals with the same weights, for parity tests and benchmarks."""

from typing import Any

import numpy as np


def dcnn(torch: Any, classes: int = 2, channels: int = 3, size: int = 50, padding: int = 0,
         dropout: tuple[float, float] = (0.25, 0.5), momentum: float = 0.01, eps: float = 1e-3) -> Any:  # fmt: skip
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
        nn.Conv2d(channels, 6, 5), nn.Tanh(), nn.AvgPool2d(2), nn.Conv2d(6, 16, 5), nn.Tanh(), nn.AvgPool2d(2),
        nn.Conv2d(16, 120, 5), nn.Tanh(), nn.Flatten(), nn.Linear(120, 84), nn.Tanh(), nn.Linear(84, classes),
    )  # fmt: skip


def copy_weights(torch: Any, ours: Any, theirs: Any) -> None:
    """Our parameters, in their order, into PyTorch's."""
    pairs = list(zip(ours.parameters(), theirs.parameters(), strict=True))
    with torch.no_grad():
        for p, q in pairs:
            assert p.data.size == q.numel(), f"{p.shape} against {tuple(q.shape)}"
            q.copy_(torch.from_numpy(np.ascontiguousarray(p.data)).reshape(q.shape))
