"""Convolution over two and three axes on the GPU, any size, stride, padding, dilation and groups: csrc/conv*.cu.

The public kernels are composites: they choose depthwise loops or an implicit matrix product, and its tile by shape and
precision.  Kernels see images as NHWC and volumes as NDHWC, filters as HWIO ([kernel row][kernel column][C / groups]
[O]) and DHWIO.
"""

from math import prod
from typing import Any

from ..dispatch import kernel
from ..ops.space import slides
from ..program import define
from . import depthwise  # noqa: F401  (declares the kernels for one channel a group)
from .matmul import MOST
from .reduce import rows_of, sums_work
from .tiles import across, choose, partial

# ------------------------------------------------------------------------------------------------- composites


def takes(*arrays: Any, ndim: int = 4) -> bool:
    """float32 images, or volumes where ndim is 5."""
    return bool(arrays[0].ndim == ndim) and all(a is None or (a.dtype.char == "f" and a.size < MOST) for a in arrays)


def before(padding: Any) -> tuple[int, ...]:
    """Return zeros above and left of the image: with the sizes, all that a kernel needs to know of the padding."""
    return tuple(first for first, _ in padding)


@kernel(backend="csrc", composite=True, when=lambda x, weight, bias, *_: takes(x, weight, bias))
def conv2d_forward(
    k: Any, x: Any, weight: Any, bias: Any, stride: Any, padding: Any, dilation: Any, groups: Any
) -> Any:
    """depthwise2d_forward or conv2d_gemm."""
    if is_depthwise(weight.shape, groups):
        size = slides(x.shape[2:], weight.shape[2:], stride, padding, dilation)
        return k.depthwise2d_forward(x, weight, bias, size, stride, before(padding), dilation)
    return forward(k, k.conv2d_gemm, x, weight, bias, stride, padding, dilation, groups)


@kernel(backend="csrc", composite=True, when=lambda dy, weight, x_shape, *_: takes(dy, weight) and prod(x_shape) < MOST)
def conv2d_backward_input(
    k: Any, dy: Any, weight: Any, x_shape: Any, stride: Any, padding: Any, dilation: Any, groups: Any
) -> Any:
    """depthwise2d_backward_input or conv2d_gemm_input."""
    if is_depthwise(weight.shape, groups):
        return k.depthwise2d_backward_input(dy, weight, x_shape, stride, before(padding), dilation)
    return backward_input(k, k.conv2d_gemm_input, dy, weight, x_shape, stride, padding, dilation, groups)


@kernel(backend="csrc", composite=True, when=lambda dy, x, *_: takes(dy, x))
def conv2d_backward_weight(
    k: Any, dy: Any, x: Any, weight_shape: Any, stride: Any, padding: Any, dilation: Any, groups: Any
) -> Any:
    """depthwise2d_backward_weight or conv2d_gemm_weight."""
    if is_depthwise(weight_shape, groups):
        return k.depthwise2d_backward_weight(dy, x, weight_shape, stride, before(padding), dilation)
    return backward_weight(k, k.conv2d_gemm_weight, dy, x, weight_shape, stride, padding, dilation, groups)


@kernel(backend="csrc", composite=True, when=lambda x, weight, bias, *_: takes(x, weight, bias, ndim=5))
def conv3d_forward(k: Any, x: Any, weight: Any, bias: Any, *how: Any) -> Any:
    """conv3d_gemm."""
    return forward(k, k.conv3d_gemm, x, weight, bias, *how)


@kernel(
    backend="csrc",
    composite=True,
    when=lambda dy, weight, x_shape, *_: takes(dy, weight, ndim=5) and prod(x_shape) < MOST,
)
def conv3d_backward_input(k: Any, dy: Any, weight: Any, x_shape: Any, *how: Any) -> Any:
    """conv3d_gemm_input."""
    return backward_input(k, k.conv3d_gemm_input, dy, weight, x_shape, *how)


@kernel(backend="csrc", composite=True, when=lambda dy, x, *_: takes(dy, x, ndim=5))
def conv3d_backward_weight(k: Any, dy: Any, x: Any, weight_shape: Any, *how: Any) -> Any:
    """conv3d_gemm_weight."""
    return backward_weight(k, k.conv3d_gemm_weight, dy, x, weight_shape, *how)


def forward(
    k: Any, product: Any, x: Any, weight: Any, bias: Any, stride: Any, padding: Any, dilation: Any, groups: int
) -> Any:
    """Compute a convolution as an implicit product, in the tile that suits it."""
    size = slides(x.shape[2:], weight.shape[2:], stride, padding, dilation)
    tile = choose(k.name, x.shape[0] * prod(size), weight.shape[0] // groups, groups)
    if prod(weight.shape[2:]) * groups == 1:
        tile = across(tile, x.shape[0] * prod(size), weight.shape[0], weight.shape[1])
    return product(x, weight, bias, size, stride, before(padding), dilation, groups, tile)


def backward_input(
    k: Any, product: Any, dy: Any, weight: Any, x_shape: Any, stride: Any, padding: Any, dilation: Any, groups: int
) -> Any:
    """Compute an input's gradient as an implicit product for each phase of the stride."""
    phases = prod(stride)
    tile = choose(k.name, x_shape[0] * prod(x_shape[2:]) // phases, weight.shape[1], groups * phases)
    if prod(weight.shape[2:]) * groups * phases == 1:
        tile = across(tile, x_shape[0] * prod(x_shape[2:]), weight.shape[1], weight.shape[0])
    return product(dy, weight, x_shape, stride, before(padding), dilation, groups, tile)


def backward_weight(
    k: Any, product: Any, dy: Any, x: Any, weight_shape: Any, stride: Any, padding: Any, dilation: Any, groups: int
) -> Any:
    """Compute a filter's gradient as an implicit product, cut into parts."""
    rows, columns = weight_product(weight_shape, groups)
    cut = weight_work(dy, x, weight_shape, stride, padding, dilation, groups)[0][0]
    tile = choose(k.name, rows, columns, groups * cut)
    return product(dy, x, weight_shape, stride, before(padding), dilation, groups, tile)


def is_depthwise(weight_shape: Any, groups: int) -> bool:
    """Return whether each channel has filters of its own."""
    return bool(groups > 1 and weight_shape[1] == 1)


# ------------------------------------------------------------------------------------------- implicit products


def forward_out(x: Any, weight: Any, bias: Any, size: Any, *_: Any) -> list[Any]:
    """(N, O, *size)."""
    return [(x.shape[0], weight.shape[0], *size)]


def forward_flops(x: Any, weight: Any, bias: Any, size: Any, *_: Any) -> float:
    """Return a multiplication and an addition for each weight at each place."""
    return float(2 * x.shape[0] * prod(size) * prod(weight.shape))


@kernel(backend="csrc", image="y x", filter="weight", out=forward_out, flops=forward_flops)
def conv2d_gemm(
    y: Any, x: Any, weight: Any, bias: Any, size: Any, stride: Any, before: Any, dilation: Any, groups: Any, tile: Any
) -> None:
    """y[n, i, j, o] = bias[o] + sum_rsc x[n, i sh + r dh - top, j sw + s dw - left, c] weight[r, s, c, o]."""


def relu_samples(draw: Any) -> dict[str, Any]:
    """Return a small convolution."""
    c, o, groups = draw.choice(((3, 5, 1), (4, 8, 1), (8, 4, 2)))
    x, stride = draw.array((2, c, 5, 6)), draw.choice(((1, 1), (2, 1)))
    size = slides((5, 6), (3, 2), stride, ((1, 0), (0, 1)), (1, 1))
    return {
        "x": x,
        "weight": draw.array((o, c // groups, 3, 2)),
        "bias": draw.array((o,)),
        "size": size,
        "stride": stride,
        "before": (1, 0),
        "dilation": (1, 1),
        "groups": groups,
        "tile": 0,
    }


CONV_RELU = define(
    "convolution + relu",
    """
    c = conv2d_gemm(x, weight, bias, size, stride, before, dilation, groups, tile)
    y = relu_forward(c)
""",
    "y = conv2d_relu(x, weight, bias, size, stride, before, dilation, groups, tile)",
    backend="csrc",
    samples=relu_samples,
)


@kernel(backend="csrc", image="y x", filter="weight", out=forward_out, flops=forward_flops)
def conv2d_relu(
    y: Any, x: Any, weight: Any, bias: Any, size: Any, stride: Any, before: Any, dilation: Any, groups: Any, tile: Any
) -> None:
    """y = max(conv2d_gemm(...), 0)."""


@kernel(
    backend="csrc",
    image="dx dy",
    filter="weight",
    out=lambda dy, weight, x_shape, *_: [x_shape],
    flops=lambda dy, weight, *_: 2 * prod(weight.shape) * dy.size // dy.shape[1],
)
def conv2d_gemm_input(
    dx: Any, dy: Any, weight: Any, x_shape: Any, stride: Any, before: Any, dilation: Any, groups: Any, tile: Any
) -> None:
    """dx[n, i sh + r dh - top, j sw + s dw - left, c] += sum_o dy[n, i, j, o] weight[r, s, c, o]."""


def weight_product(shape: Any, groups: int) -> tuple[int, int]:
    """Return rows and columns of one group's gradient: taps and channels, by filters."""
    return prod(shape[1:]), shape[0] // groups


def weight_work(dy: Any, x: Any, shape: Any, stride: Any, before: Any, dilation: Any, groups: int, *_: Any) -> Any:
    """Partial sums."""
    return [partial(prod(shape), *weight_product(shape, groups), dy.size // dy.shape[1], groups)]


@kernel(
    backend="csrc",
    image="dy x",
    filter="dweight",
    work=weight_work,
    out=lambda dy, x, shape, *_: [shape],
    flops=lambda dy, x, shape, *_: 2 * prod(shape) * dy.size // dy.shape[1],
)
def conv2d_gemm_weight(
    dweight: Any,
    partial: Any,
    dy: Any,
    x: Any,
    weight_shape: Any,
    stride: Any,
    before: Any,
    dilation: Any,
    groups: Any,
    tile: Any,
) -> None:
    """dweight[r, s, c, o] = sum_nij x[n, i sh + r dh - top, j sw + s dw - left, c] dy[n, i, j, o]."""


# ---------------------------------------------------------------------------------------- those over three axes


@kernel(backend="csrc", image="y x", filter="weight", out=forward_out, flops=forward_flops)
def conv3d_gemm(
    y: Any, x: Any, weight: Any, bias: Any, size: Any, stride: Any, before: Any, dilation: Any, groups: Any, tile: Any
) -> None:
    """conv2d_gemm with one axis more."""


@kernel(
    backend="csrc",
    image="dx dy",
    filter="weight",
    out=lambda dy, weight, x_shape, *_: [x_shape],
    flops=lambda dy, weight, *_: 2 * prod(weight.shape) * dy.size // dy.shape[1],
)
def conv3d_gemm_input(
    dx: Any, dy: Any, weight: Any, x_shape: Any, stride: Any, before: Any, dilation: Any, groups: Any, tile: Any
) -> None:
    """conv2d_gemm_input with one axis more."""


@kernel(
    backend="csrc",
    image="dy x",
    filter="dweight",
    work=weight_work,
    out=lambda dy, x, shape, *_: [shape],
    flops=lambda dy, x, shape, *_: 2 * prod(shape) * dy.size // dy.shape[1],
)
def conv3d_gemm_weight(
    dweight: Any,
    partial: Any,
    dy: Any,
    x: Any,
    weight_shape: Any,
    stride: Any,
    before: Any,
    dilation: Any,
    groups: Any,
    tile: Any,
) -> None:
    """conv2d_gemm_weight with one axis more."""


# -------------------------------------------------------------------------------------------------------- bias


@kernel(
    backend="csrc",
    rows="dy",
    out=lambda dy: [(dy.shape[1],)],
    work=lambda dy: [sums_work(1, *rows_of(dy))],
    flops=lambda dy: dy.size,
)
def channel_sum(total: Any, partial: Any, dy: Any) -> None:
    """Sum over the pixels of dy, channels last."""


BIAS_BEFORE_UNPOOL = define(
    "bias before unpooling",
    "du = max_pool_2x2_backward(dq, i, shape)\ndbias = channel_sum(du)",
    "du = max_pool_2x2_backward(dq, i, shape)\ndbias = channel_sum(dq)",
    backend="csrc",
    samples=lambda draw: {
        "i": draw.integers((2, 3, 4, 5), 0, 3).astype("uint8"),
        "dq": draw.array((2, 3, 4, 5)),
        "shape": (2, 3, 8, 11),
    },
)
