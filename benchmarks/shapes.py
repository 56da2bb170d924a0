"""The shapes that networks of the papers run, written from their layer tables: what `ops.py` times.

Networks: DCNN at 50 and 64 pixels, ResNet-50 and DenseNet-121 at 224, Xception at 299, U-Net at 256 (base 32 and 64).
A case is a function that `torch.nn.functional` (or `torch`) and ours share, the shapes of its tensors and its options.
Layers of the same shape are one case that names every network it occurs in.

    python benchmarks/shapes.py        prints the list
"""

import itertools
from collections.abc import Iterator
from typing import Any, NamedTuple

Shape = tuple[int, ...]
PARAMETERS = ("conv2d", "conv_transpose2d", "linear")  # gradients of input and weight are timed apart
KINDS = {
    "conv2d": "conv",
    "conv_transpose2d": "conv",
    "linear": "dense",
    "max_pool2d": "pool",
    "avg_pool2d": "pool",
    "adaptive_avg_pool2d": "pool",
    "batch_norm": "norm",
    "group_norm": "norm",
    "layer_norm": "norm",
    "dropout": "dropout",
    "add": "join",
    "cat": "join",
    "interpolate": "resample",
    "cross_entropy": "loss",
    "binary_cross_entropy_with_logits": "loss",
    "binary_cross_entropy": "loss",
    "adam": "optim",
    "sgd": "optim",
    "exp": "elementwise",
    "log": "elementwise",
    "abs": "elementwise",
    "clamp": "elementwise",
    "mul": "elementwise",
}


class Case(NamedTuple):
    """One function at one shape.  tensors: None stands for an absent bias."""

    op: str
    tensors: tuple[Shape | None, ...]
    options: tuple[tuple[str, Any], ...] = ()
    first: bool = False  # reads the image: no gradient of the input is wanted

    @property
    def kind(self) -> str:
        """conv, dense, pool, norm, activation, ..."""
        return KINDS.get(self.op, "activation")

    @property
    def ways(self) -> tuple[str, ...]:
        """What is timed."""
        if self.kind == "optim":
            return ("step",)
        if self.op not in PARAMETERS:
            return ("forward", "backward")
        return ("forward", "backward weight") if self.first else ("forward", "backward input", "backward weight")

    @property
    def label(self) -> str:
        """For people: `conv2d 3x3 64->128 @16 b128`."""
        x, how = self.tensors[0] or (), dict(self.options)
        size = "x".join(map(str, x[1:] or x)) if len(x) < 3 else f"{x[1]} @{x[2]}"
        detail = "".join(f" {k}={v}" for k, v in self.options if k in ("training", "num_groups", "p", "mode"))
        if self.op.startswith("conv"):
            weight = self.tensors[1] or ()
            groups, pad = how.get("groups", 1), how.get("padding", 0)
            outs = weight[1] if "transpose" in self.op else weight[0]
            size = f"{weight[2]}x{weight[3]} {x[1]}->{outs} @{x[2]}"
            detail = f" s{how['stride']}" * (how["stride"] != 1) + f" p{pad}" * (pad != weight[2] // 2)
            detail += " depthwise" * (groups > 1)
        elif self.op == "linear":
            size = f"{x[1]}->{(self.tensors[1] or ())[0]}"
        elif self.op.endswith("pool2d") and "kernel_size" in how:
            detail = f" {how['kernel_size']}x{how['kernel_size']} s{how['stride']}"
        elif self.op == "cat":
            size += "".join(f" + {t[1]}" for t in self.tensors[1:] if t)
        return f"{self.op} {size}{detail}" + f" b{x[0]}" * (self.kind != "optim")


def conv(
    n: int, c: int, side: int, k: int, r: int, stride: int = 1, padding: int = -1, groups: int = 1, bias: bool = False
) -> Case:
    """Return a square convolution; padding r // 2 unless said."""
    padding = r // 2 if padding < 0 else padding
    options = (("stride", stride), ("padding", padding), ("groups", groups))
    return Case("conv2d", ((n, c, side, side), (k, c // groups, r, r), (k,) if bias else None), options, c <= 4)


def batch_norm(n: int, c: int, side: int, training: bool = True) -> Case:
    """Training statistics, or running ones."""
    statistics = ((c,), (c,)) if not training else (None, None)
    return Case("batch_norm", ((n, c, side, side), *statistics, (c,), (c,)), (("training", training),))


def image(op: str, n: int, c: int, side: int, **options: Any) -> Case:
    """Return a function of one feature map."""
    return Case(op, ((n, c, side, side),), tuple(options.items()))


def pool(op: str, n: int, c: int, side: int, r: int, stride: int, padding: int = 0) -> Case:
    """Return a pooling window."""
    return image(op, n, c, side, kernel_size=r, stride=stride, padding=padding)


def linear(n: int, i: int, o: int) -> Case:
    """Return a dense layer with bias."""
    return Case("linear", ((n, i), (o, i), (o,)))


def after_conv(n: int, c: int, side: int) -> Iterator[Case]:
    """Batch norm, ReLU."""
    yield batch_norm(n, c, side)
    yield image("relu", n, c, side)


def dcnn(n: int, channels: int, side: int, padding: int) -> Iterator[Case]:
    """SYSTEMS section 1: (conv, ReLU, pool, batch norm, dropout) three times, conv, ReLU, pool, four dense."""
    for i, width in enumerate((32, 64, 128, 256)):
        yield conv(n, channels, side, width, 3, padding=padding, bias=True)
        side -= 2 * (1 - padding)
        yield image("relu", n, width, side)
        yield pool("max_pool2d", n, width, side, 2, 2)
        side, channels = side // 2, width
        if i < 3:
            yield batch_norm(n, width, side)
            yield batch_norm(n, width, side, training=False)
            yield image("dropout", n, width, side, p=0.25)
    sizes = (256 * side * side, 256, 128, 64, 2)
    for a, b in itertools.pairwise(sizes):
        yield linear(n, a, b)
        if b > 2:
            yield Case("relu", ((n, b),))
    yield Case("dropout", ((n, 64),), (("p", 0.5),))
    yield Case("binary_cross_entropy_with_logits", ((n, 2), (n, 2)))


def stem(n: int) -> Iterator[Case]:
    """Of ResNet and DenseNet: 7x7 stride 2, batch norm, ReLU, max pool 3x3 stride 2."""
    yield conv(n, 3, 224, 64, 7, stride=2)
    yield from after_conv(n, 64, 112)
    yield pool("max_pool2d", n, 64, 112, 3, 2, 1)


def head(n: int, c: int, side: int) -> Iterator[Case]:
    """Global average pooling, dense, softmax cross-entropy."""
    yield image("adaptive_avg_pool2d", n, c, side, output_size=1)
    yield linear(n, c, 1000)
    yield Case("cross_entropy", ((n, 1000), (n,)))


def resnet50(n: int = 8) -> Iterator[Case]:
    """SYSTEMS section 4, stride on the 3x3."""
    yield from stem(n)
    channels, side = 64, 56
    for stage, blocks in enumerate((3, 4, 6, 3)):
        mid, out = 64 << stage, 256 << stage
        for block in range(blocks):
            stride = 2 if stage and not block else 1
            yield conv(n, channels, side, mid, 1)
            yield from after_conv(n, mid, side)
            yield conv(n, mid, side, mid, 3, stride)
            if not block:
                yield conv(n, channels, side, out, 1, stride)
            side, channels = side // stride, out
            yield from after_conv(n, mid, side)
            yield conv(n, mid, side, out, 1)
            yield from after_conv(n, out, side)
            yield Case("add", ((n, out, side, side),) * 2)
    yield from head(n, 2048, 7)


def densenet121(n: int = 8) -> Iterator[Case]:
    """SYSTEMS section 6: every layer's 1x1 has its own number of channels.

    What follows a concatenation only for the first and the last layer of a block.
    """
    yield from stem(n)
    channels, side = 64, 56
    for block, layers in enumerate((6, 12, 24, 16)):
        for layer in range(layers):
            yield conv(n, channels, side, 128, 1)
            yield from after_conv(n, 128, side)
            yield conv(n, 128, side, 32, 3)
            if layer in (0, layers - 1):
                yield from after_conv(n, channels, side)
                yield Case("cat", ((n, channels, side, side), (n, 32, side, side)), (("dim", 1),))
            channels += 32
        yield from after_conv(n, channels, side)
        if block < 3:
            yield conv(n, channels, side, channels // 2, 1)
            yield pool("avg_pool2d", n, channels // 2, side, 2, 2)
            channels, side = channels // 2, side // 2
    yield from head(n, 1024, 7)


def separable(n: int, c: int, side: int, k: int) -> Iterator[Case]:
    """Depthwise 3x3, pointwise 1x1, batch norm, ReLU."""
    yield conv(n, c, side, c, 3, groups=c)
    yield conv(n, c, side, k, 1)
    yield from after_conv(n, k, side)


def xception(n: int = 8) -> Iterator[Case]:
    """SYSTEMS section 5, 299 pixels; its stride-2 "same" windows are taken with padding 1."""
    yield conv(n, 3, 299, 32, 3, stride=2, padding=0)
    yield from after_conv(n, 32, 149)
    yield conv(n, 32, 149, 64, 3, padding=0)
    yield from after_conv(n, 64, 147)
    channels, side = 64, 147
    for width in (128, 256, 728):
        yield from separable(n, channels, side, width)
        yield from separable(n, width, side, width)
        yield pool("max_pool2d", n, width, side, 3, 2, 1)
        yield conv(n, channels, side, width, 1, stride=2)
        channels, side = width, (side + 1) // 2
        yield Case("add", ((n, width, side, side),) * 2)
    for _ in range(8 * 3 + 1):  # the middle modules, and the first of the exit
        yield from separable(n, 728, side, 728)
    yield from separable(n, 728, side, 1024)
    yield pool("max_pool2d", n, 1024, side, 3, 2, 1)
    yield conv(n, 728, side, 1024, 1, stride=2)
    yield from separable(n, 1024, 10, 1536)
    yield from separable(n, 1536, 10, 2048)
    yield from head(n, 2048, 10)


def unet(base: int, n: int = 8, side: int = 256) -> Iterator[Case]:
    """SYSTEMS section 11 with "same" padding and batch norm: five levels, up-convolutions, skips."""
    channels = 1 if base == 32 else 3
    for level in range(5):
        width = base << level
        yield conv(n, channels, side, width, 3)
        yield from after_conv(n, width, side)
        yield conv(n, width, side, width, 3)
        yield from after_conv(n, width, side)
        channels = width
        if level < 4:
            yield pool("max_pool2d", n, width, side, 2, 2)
            side //= 2
    for _ in range(4):
        half = channels // 2
        yield Case("conv_transpose2d", ((n, channels, side, side), (channels, half, 2, 2), (half,)), (("stride", 2),))
        side *= 2
        yield Case("cat", ((n, half, side, side),) * 2, (("dim", 1),))
        for inputs in (channels, half):
            yield conv(n, inputs, side, half, 3)
            yield from after_conv(n, half, side)
        channels = half
    yield image("interpolate", n, base, side // 2, scale_factor=2, mode="nearest")
    yield image("interpolate", n, base, side // 2, scale_factor=2, mode="bilinear", align_corners=True)
    yield conv(n, base, side, 2, 1, bias=True)
    yield Case("cross_entropy", ((n, 2, side, side), (n, side, side)))


def others(n: int = 128) -> Iterator[Case]:
    """Yield what users swap in: other activations, norms, losses and optimisers, on a map of the papers' CNN."""
    for op in (
        "leaky_relu",
        "elu",
        "selu",
        "gelu",
        "silu",
        "mish",
        "softplus",
        "logsigmoid",
        "softsign",
        "sigmoid",
        "tanh",
        "hardswish",
        "hardtanh",
        "exp",
        "log",
        "abs",
    ):
        yield image(op, n, 64, 32)
    yield image("clamp", n, 64, 32, min=-1.0, max=1.0)
    yield Case("mul", ((n, 64, 32, 32),) * 2)
    yield Case("prelu", ((n, 64, 32, 32), (64,)))
    yield Case("group_norm", ((n, 64, 32, 32),), (("num_groups", 8),))
    yield Case("group_norm", ((n, 64, 32, 32),), (("num_groups", 64),))
    yield Case("layer_norm", ((8 * 196, 768),), (("normalized_shape", (768,)),))
    yield Case("layer_norm", ((n, 256),), (("normalized_shape", (256,)),))
    yield Case("softmax", ((n * 64, 64),), (("dim", -1),))
    yield Case("log_softmax", ((n, 1000),), (("dim", -1),))
    yield Case("binary_cross_entropy_with_logits", ((8, 1, 256, 256),) * 2)
    yield Case("binary_cross_entropy", ((8, 1, 256, 256),) * 2)
    yield linear(1, 1024, 256)
    yield linear(1, 2048, 1000)
    for op in ("adam", "sgd"):
        yield Case(op, ((1_500_000,),))
        yield Case(op, ((64, 32, 3, 3),))


NETWORKS = {
    "dcnn64": lambda: dcnn(128, 3, 64, 1),
    "dcnn50": lambda: dcnn(128, 3, 50, 1),
    "dcnn50valid": lambda: dcnn(128, 3, 50, 0),
    "resnet50": resnet50,
    "densenet121": densenet121,
    "xception": xception,
    "unet32": lambda: unet(32),
    "unet64": lambda: unet(64),
    "others": others,
}


def cases(networks: str = "", kinds: str = "") -> dict[Case, list[str]]:
    """{case: networks it occurs in}, of the networks and kinds (or functions) named, separated by commas; or of all."""
    wanted = [w for w in networks.split(",") if w] or list(NETWORKS)
    kept = [k for k in kinds.split(",") if k]
    found: dict[Case, list[str]] = {}
    for name in wanted:
        if name not in NETWORKS:
            raise SystemExit(f"--model {name}: choose from {', '.join(NETWORKS)}")
        for case in NETWORKS[name]():
            names = found.setdefault(case, [])
            if name not in names:
                names.append(name)
    return {c: names for c, names in found.items() if not kept or c.kind in kept or c.op in kept}


if __name__ == "__main__":
    listed = cases()
    for one, names in listed.items():
        print(f"{one.kind:12s} {one.label:55s} {', '.join(names)}")
    print(f"{len(listed)} cases, {sum(len(one.ways) for one in listed)} rows")
