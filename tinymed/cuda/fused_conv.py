"""A convolution and what follows it in one kernel: ReLU and 2 x 2 max-pooling, or a sum with another map and ReLU.

csrc/conv_pool.cu and conv_add.cu; the map between them is never written.  In programs that learn nothing batch norm is
folded into the filters before it, as on the CPU (tinymed/cpu/fused/fold.py), so that residual blocks end so.
"""

from typing import Any

from .. import precision
from ..dispatch import kernel
from ..program import define
from . import conv, mixed


def with_pool(samples: Any) -> Any:
    """Return samples of a convolution and of the pooled size of its map."""

    def drawn(draw: Any) -> dict[str, Any]:
        """Draw them."""
        v: dict[str, Any] = samples(draw)
        h, w = v["size"] if "size" in v else v["shape"][2:]
        return v | {"pooled": (h // 2, w // 2)}

    return drawn


def pooled_shapes(x: Any, weight: Any, bias: Any, size: Any, *args: Any) -> list[Any]:
    """Return the rule of the pooled map and its argmax."""
    shape = x.shape[0], size[1] if len(size) == 4 else weight.shape[0], *args[-1]
    return [(shape, "float32"), (shape, "uint8")]


CONV_RELU_POOL = define(
    "convolution + relu + pool",
    """
    c = conv2d_relu(x, weight, bias, size, stride, before, dilation, groups, tile)
    p, i = max_pool_2x2(c, pooled)
""",
    "p, i = conv2d_relu_pool(x, weight, bias, size, stride, before, dilation, groups, tile, pooled)",
    backend="csrc",
    samples=with_pool(conv.relu_samples),
)


@kernel(backend="csrc", image="y index x", filter="weight", out=pooled_shapes, flops=conv.forward_flops)
def conv2d_relu_pool(
    y: Any,
    index: Any,
    x: Any,
    weight: Any,
    bias: Any,
    size: Any,
    stride: Any,
    before: Any,
    dilation: Any,
    groups: Any,
    tile: Any,
    pooled: Any,
) -> None:
    """y, index = max_pool_2x2(conv2d_relu(...), pooled)."""


BF16_CONV_RELU_POOL = define(
    "convolution in bfloat16 + relu + pool",
    """
    c = bf16_conv2d_relu(x, weight, bias, shape, stride, before, dilation, groups, tile)
    p, i = max_pool_2x2(c, pooled)
""",
    "p, i = bf16_conv2d_relu_pool(x, weight, bias, shape, stride, before, dilation, groups, tile, pooled)",
    backend="csrc",
    samples=with_pool(mixed.relu_samples),
)


@kernel(
    backend="csrc",
    image="y index x",
    filter="weight",
    when=lambda *_: True,  # packed numbers alone, without a bias
    out=pooled_shapes,
    flops=mixed.forward_flops,
)
def bf16_conv2d_relu_pool(
    y: Any,
    index: Any,
    x: Any,
    weight: Any,
    bias: Any,
    shape: Any,
    stride: Any,
    before: Any,
    dilation: Any,
    groups: Any,
    tile: Any,
    pooled: Any,
) -> None:
    """y, index = max_pool_2x2(bf16_conv2d_relu(...), pooled)."""


def unpooled(draw: Any) -> dict[str, Any]:
    """Draw a pooled gradient, its argmax, and the shape of the map."""
    n, c, h, w = draw.choice(((2, 3, 4, 6), (1, 16, 5, 7), (2, 12, 3, 2)))
    shape = (n, c, h // 2, w // 2)
    index = draw.integers(shape, 0, 3).astype("uint8")
    return {"dy": draw.array(shape), "i": index, "shape": (n, c, h, w), "groups": 1}


UNPOOLED_PIXELS = define(
    "unpooled where it is packed",
    "u = max_pool_2x2_backward(dy, i, shape)\ny = bf16_pixels(u, groups)",
    "y = bf16_unpool_pixels(dy, i, shape, groups)",
    backend="csrc",
    samples=unpooled,
)


@kernel(
    backend="csrc",
    image="y dy index",
    out=lambda dy, index, shape, groups: mixed.packed_pixels(shape, groups),
    flops=lambda dy, *_: dy.size,
)
def bf16_unpool_pixels(y: Any, dy: Any, index: Any, shape: Any, groups: Any) -> None:
    """bf16_pixels(max_pool_2x2_backward(dy, index, shape), groups)."""


# ---------------------------------------------------------------------------------------- batch norm, and a sum

GEMM = "x, weight, bias, size, stride, before, dilation, groups, tile"
DEPTHWISE = "x, weight, bias, size, stride, before, dilation"


def with_statistics(samples: Any) -> Any:
    """Return samples of a convolution and of the running statistics behind it."""

    def drawn(draw: Any) -> dict[str, Any]:
        """Draw them."""
        v: dict[str, Any] = samples(draw)
        filters = (v["weight"].shape[0],)
        v |= {name: draw.array(filters) for name in ("running_mean", "scale", "shift", "bias")}
        return v | {"running_var": draw.array(filters, low=0.5, high=2), "eps": 1e-3}

    return drawn


def depthwise_samples(draw: Any) -> dict[str, Any]:
    """Draw a depthwise convolution."""
    channels = draw.choice((3, 16, 33))
    v = {"x": draw.array((2, channels, 7, 6)), "weight": draw.array((channels, 1, 3, 3)), "size": (7, 6)}
    return v | {"stride": (1, 1), "before": (1, 1), "dilation": (1, 1)}


def fold(convolution: str, arguments: str, samples: Any) -> Any:
    """Return the rewrite of a convolution and batch norm by running statistics."""
    given = "mean, rstd, map = batch_norm_map(running_mean, running_var, scale, shift, eps)"
    instead = arguments.replace("weight, bias", "folded, start")
    return define(
        "batch norm folded into the filters",
        f"y = {convolution}({arguments})\n{given}\nn = batch_norm_apply(y, map)",
        f"{given}\nfolded, start = fold_norm_filter(weight, bias, map)\nn = {convolution}({instead})",
        backend="csrc",
        when=lambda v: precision.in_use() != "exact",
        samples=with_statistics(samples),
        predicting=True,
    )


FOLD = (
    fold("conv2d_gemm", GEMM, conv.relu_samples),
    fold("depthwise2d_forward", DEPTHWISE, depthwise_samples),
)


@kernel(
    backend="csrc",
    filter="folded w",
    out=lambda w, bias, map: [w.shape, (w.shape[0],)],
    flops=lambda w, *_: w.size,
)
def fold_norm_filter(folded: Any, start: Any, w: Any, bias: Any, map: Any) -> None:
    """folded = w map[1], start = (bias - map[0]) map[1] + map[2]: the filters and the bias of both together."""


def with_shortcut(draw: Any) -> dict[str, Any]:
    """Draw a convolution, and a map of the shape of its output."""
    v = conv.relu_samples(draw)
    return v | {"other": draw.array((v["x"].shape[0], v["weight"].shape[0], *v["size"]))}


CONV_ADD = tuple(
    define(
        "convolution + " + ending.replace("_arrays", "").replace("_", " + "),
        f"c = conv2d_gemm({GEMM})\ny = {ending}({terms})",
        f"y = conv2d_add({GEMM.replace('bias', 'bias, other')}, {relu})",
        backend="csrc",
        samples=with_shortcut,
    )
    for ending, relu in (("add_relu", 1), ("add_arrays", 0))
    for terms in ("c, other", "other, c")
)


@kernel(
    backend="csrc",
    image="y x other",
    filter="weight",
    out=lambda x, weight, bias, other, size, *_: conv.forward_out(x, weight, bias, size),
    flops=lambda x, weight, bias, other, size, *_: conv.forward_flops(x, weight, bias, size),
)
def conv2d_add(
    y: Any,
    x: Any,
    weight: Any,
    bias: Any,
    other: Any,
    size: Any,
    stride: Any,
    before: Any,
    dilation: Any,
    groups: Any,
    tile: Any,
    relu: Any,
) -> None:
    """y = conv2d_gemm(...) + other, and ReLU of it where relu says so."""
