"""Random networks, written once and built from PyTorch or from tinymed, whichever is given as `lib`.

A network is a list of blocks drawn from a seed.  Each has one of the habits in which faults have hidden: two layers
with one gradient, an operand broadcast over space, a write in place, a shared layer, a concatenation, windows and
expanded arrays; between them stand the usual layers.  Activations are smooth, but for a few networks, so that two
float32 runs of one network differ by rounding alone.
"""

from typing import Any

import numpy as np

HABITS = ("shared_gradient", "broadcast_gate", "in_place")
OTHERS = (
    "conv",
    "norm",
    "activation",
    "concat",
    "shared_layer",
    "pool",
    "window",
    "centre",
    "film",
    "expand",
    "resample",
)
OPTIMIZERS = ("SGD", "momentum", "Adam", "AdamW", "RMSprop")


def draw(seed: int) -> dict[str, Any]:
    """What a network is made of: each habit with probability one half, and two to five other blocks, in any order."""
    rng = np.random.default_rng(seed)
    kinds = [h for h in HABITS if rng.random() < 0.5] + [str(k) for k in rng.choice(OTHERS, rng.integers(2, 6))]
    rng.shuffle(kinds)
    return {
        "seed": seed,
        "kinds": kinds,
        "choices": [int(c) for c in rng.integers(0, 2**31, len(kinds))],
        "shape": (int(rng.integers(2, 4)), int(rng.integers(1, 5)), int(rng.integers(4, 9)), int(rng.integers(4, 9))),
        "width": int(rng.integers(2, 7)),
        "kinks": bool(rng.random() < 0.1),
        "losses": int(rng.integers(1, 8)),
        "optimizer": OPTIMIZERS[rng.integers(len(OPTIMIZERS))],
    }


def inputs(spec: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """Images and labels, in float64."""
    rng = np.random.default_rng(spec["seed"])
    x = rng.standard_normal(spec["shape"])
    return x, rng.integers(0, 3, spec["shape"][0])


def build(lib: Any, spec: dict[str, Any]) -> Any:
    """The network as a module of the library; `network.loss(x, labels)` is its loss."""
    nn, F = lib.nn, lib.nn.functional

    class Network(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            width = spec["width"]
            self.stem = nn.Conv2d(spec["shape"][1], width, 3, padding=1)
            self.blocks = nn.ModuleList()
            for kind, choice in zip(spec["kinds"], spec["choices"], strict=True):
                self.blocks.append(BLOCKS[kind](nn, width, choice))
            self.head = nn.Linear(width, 3)

        def forward(self, x: Any) -> tuple[Any, Any]:
            y = self.stem(x)
            for kind, choice, block in zip(spec["kinds"], spec["choices"], self.blocks, strict=True):
                y = RULES[kind](lib, F, block, y, choice, spec["kinks"])
            return self.head(y.mean((2, 3))), y

        def loss(self, x: Any, labels: Any) -> Any:
            logits, maps = self(x)
            terms = [
                F.cross_entropy(logits, labels),
                (maps * maps).mean(),
                F.smooth_l1_loss(logits, logits.detach() * 0),
            ]
            chosen = [t for i, t in enumerate(terms) if spec["losses"] >> i & 1]
            total = chosen[0]
            for t in chosen[1:]:
                total = total + t
            return total

    return Network()


def make_optimizer(lib: Any, spec: dict[str, Any], network: Any) -> Any:
    """The network's optimizer."""
    parameters, kind = network.parameters(), spec["optimizer"]
    if kind == "momentum":
        return lib.optim.SGD(parameters, lr=0.02, momentum=0.9)
    return getattr(lib.optim, kind)(parameters, lr=0.02 if kind == "SGD" else 0.002)


# ---------------------------------------------------------------------------------------- what blocks hold


def pair(nn: Any, width: int, choice: int) -> Any:
    """Two layers whose outputs will be added: their biases get one gradient."""
    sizes = (1, 3) if choice % 2 else (1, 1)
    return nn.ModuleList([nn.Conv2d(width, width, k, padding=k // 2, bias=choice % 5 > 0) for k in sizes])


def gate(nn: Any, width: int, choice: int) -> Any:
    """Squeeze and excitation, or one factor for each image and channel from a table of embeddings."""
    return nn.Sequential(nn.Linear(width, 3), nn.SiLU(), nn.Linear(3, width))


def conv(nn: Any, width: int, choice: int) -> Any:
    groups = width if choice % 4 == 0 else 1
    kernel, dilation = (1, 3, 3, 5)[choice // 4 % 4], 1 + choice // 16 % 2
    reach = dilation * (kernel - 1) // 2
    return nn.Conv2d(width, width, kernel, padding=reach, dilation=dilation, groups=groups, bias=choice % 3 > 0)


def norm(nn: Any, width: int, choice: int) -> Any:
    return nn.BatchNorm2d(width) if choice % 2 else nn.GroupNorm(1, width)


def nothing(nn: Any, width: int, choice: int) -> Any:
    return nn.Identity()


def merge(nn: Any, width: int, choice: int) -> Any:
    return nn.Conv2d(2 * width, width, 1)


BLOCKS = dict.fromkeys((*HABITS, *OTHERS), nothing) | {
    "shared_gradient": pair,
    "broadcast_gate": gate,
    "film": gate,
    "conv": conv,
    "shared_layer": conv,
    "norm": norm,
    "concat": merge,
    "expand": merge,
    "in_place": conv,
}


# ---------------------------------------------------------------------------------------- what blocks compute


def smooth(F: Any, y: Any, choice: int, kinks: bool) -> Any:
    """An activation."""
    if kinks:
        return F.relu(y) if choice % 2 else F.leaky_relu(y, 0.1)
    return (F.silu, F.elu, F.gelu, F.softplus)[choice % 4](y)


def shared_gradient(lib: Any, F: Any, block: Any, y: Any, choice: int, kinks: bool) -> Any:
    total = block[0](y) + block[1](y)
    return smooth(F, total if choice % 7 else total + y, choice, kinks)


def broadcast_gate(lib: Any, F: Any, block: Any, y: Any, choice: int, kinks: bool) -> Any:
    n, c = y.shape[:2]
    factor = lib.sigmoid(block(y.mean((2, 3))))
    if choice % 3 == 0:
        return y * factor.reshape(n, c, 1, 1)
    if choice % 3 == 1:
        return y * factor[:, :, None, None].expand(*y.shape)
    return factor.reshape(n, c, 1, 1) * y + y


def film(lib: Any, F: Any, block: Any, y: Any, choice: int, kinks: bool) -> Any:
    shift = block(y.mean((2, 3))).unsqueeze(2).unsqueeze(3)
    return y * (1 + shift) - shift if choice % 2 else lib.maximum(y, shift) if kinks else y / (1 + shift * shift)


def in_place(lib: Any, F: Any, block: Any, y: Any, choice: int, kinks: bool) -> Any:
    z = block(y)
    if choice % 3 == 0:
        z += y
    elif choice % 3 == 1:
        z *= 0.5
        z += 0.1
    else:
        z[:, :1] = y[:, :1] * 2
    return z


def concat(lib: Any, F: Any, block: Any, y: Any, choice: int, kinks: bool) -> Any:
    return block(lib.cat([y, smooth(F, y, choice, kinks)] if choice % 2 else [lib.tanh(y), y], 1))


def expand(lib: Any, F: Any, block: Any, y: Any, choice: int, kinks: bool) -> Any:
    mean = y.mean((2, 3), keepdim=True) if choice % 2 else y[:1, :, :1, :1]
    return block(lib.cat([y, mean.expand(*y.shape)], 1))


def shared_layer(lib: Any, F: Any, block: Any, y: Any, choice: int, kinks: bool) -> Any:
    return block(lib.tanh(block(y)))


def pool(lib: Any, F: Any, block: Any, y: Any, choice: int, kinks: bool) -> Any:
    if kinks and choice % 2:
        return F.max_pool2d(y, 3, 1, 1)
    return F.avg_pool2d(y, 3, 1, 1) if choice % 3 else F.adaptive_avg_pool2d(y, 3)


def window(lib: Any, F: Any, block: Any, y: Any, choice: int, kinks: bool) -> Any:
    size = y.shape[3]
    forms = [y[:, :, :, : size - 1], y.transpose(2, 3), y[:, :, 1:], lib.flip(y, (3,))]
    return forms[choice % 4]


def centre(lib: Any, F: Any, block: Any, y: Any, choice: int, kinks: bool) -> Any:
    return y - y.mean((2, 3), keepdim=True) if choice % 2 else y - y.mean(1, keepdim=True)


def resample(lib: Any, F: Any, block: Any, y: Any, choice: int, kinks: bool) -> Any:
    if choice % 2:
        return F.interpolate(y, scale_factor=2, mode="nearest")
    return F.interpolate(y, size=(5, 6), mode="bilinear", align_corners=False)


RULES = {name: globals()[name] for name in (*HABITS, *OTHERS) if name in globals() and name not in ("conv", "norm")} | {
    "conv": lambda lib, F, block, y, choice, kinks: block(y),
    "norm": lambda lib, F, block, y, choice, kinks: block(y),
    "activation": lambda lib, F, block, y, choice, kinks: smooth(F, y, choice, kinks),
}
