"""Products of mixed precision on tensor cores: csrc/mixed.cu packs what they take, csrc/gemm_mma.cuh multiplies.

Numbers of bfloat16 lie in float32.  A product reads them packed, two bytes a number, each group's filled up with zeros
to a multiple of 8, so that 16 bytes are one access whatever the number of channels.  What has no such product (a filter
for each channel, a GPU before Ampere) is computed in float32 on rounded numbers, as composites/mixed.py says.
"""

from math import prod
from typing import Any

import numpy as np

from ..composites import mixed
from ..composites.mixed import takes
from ..dispatch import kernel
from ..ops.matmul import batch_shape
from ..ops.space import slides
from ..program import define
from .conv import before, is_depthwise, weight_product, weight_work
from .matmul import BLOCKS, MOST, is_turned, one_batch, takes_batches
from .tiles import across, choose, multiplies_bf16, partial

GRAIN = 8  # numbers of 16 bytes, in csrc/bf16.cuh


def filled_up(n: int) -> int:
    """Return the next multiple of GRAIN."""
    return -(-n // GRAIN) * GRAIN


def on_tensor_cores(k: Any, *arrays: Any) -> bool:
    """Return whether the GPU multiplies in bfloat16, and offsets into these matrices fit, packed, into 32 bits."""
    return multiplies_bf16(k.name) and all(prod(a.shape[:-1]) * filled_up(a.shape[-1]) < MOST for a in arrays)


def convolves(k: Any, weight_shape: Any, groups: int, *images: Any) -> bool:
    """Return whether a convolution is a product of bfloat16; images: shapes, into which offsets have to fit, packed."""
    small = all(prod(s[:1]) * (s[1] + GRAIN * groups) * prod(s[2:]) < MOST for s in images)
    depthwise = len(weight_shape) == 4 and is_depthwise(weight_shape, groups)
    return small and not depthwise and multiplies_bf16(k.name)


# ------------------------------------------------------------------------------------------ rounded, and packed


@kernel(backend="csrc", flat="y x", flops=lambda x: x.size, when=takes)
def bf16_round(y: Any, x: Any) -> None:
    """y = the number of bfloat16 nearest to x, of two the one whose last digit is even; NaN stays NaN."""


def packed_pixels(shape: Any, groups: int) -> list[Any]:
    """Return the rule of images of a shape, packed."""
    return [((shape[0], groups * filled_up(shape[1] // groups), *shape[2:]), np.uint16)]


def pixels_out(x: Any, groups: int) -> list[Any]:
    """Return the rule of packed images."""
    return packed_pixels(x.shape, groups)


def filters_out(x: Any, groups: int) -> list[Any]:
    """Return the shape of a packed filter."""
    filters, channels, *space = x.shape
    return [((groups * filled_up(filters // groups), filled_up(channels), *space), np.uint16)]


@kernel(backend="csrc", image="y x", out=pixels_out)
def bf16_pixels(y: Any, x: Any, groups: Any) -> None:
    """Round images or volumes and pack the channels of each group."""


@kernel(backend="csrc", filter="y x", out=filters_out)
def bf16_filters(y: Any, x: Any, groups: Any) -> None:
    """Round a filter and pack the filters of each group, zeros for channels that are not there."""


@kernel(backend="csrc", out=lambda x: [((*x.shape[:-1], filled_up(x.shape[-1])), np.uint16)])
def bf16_lines(y: Any, x: Any) -> None:
    """Round matrices and pack their lines."""


def images(draw: Any) -> dict[str, Any]:
    """Draw images and their groups."""
    groups = draw.choice((1, 2))
    return {"x": draw.array(draw.choice(((2, 4, 5, 3), (1, 34, 2, 2)))), "groups": groups}


ROUNDED_BY_PRODUCT = tuple(
    define(
        "rounded by the product that takes it",
        f"r = bf16_round(x)\ny = {packing}(r{more})",
        f"y = {packing}(x{more})",
        backend="csrc",
        samples=samples,
    )
    for packing, more, samples in (
        ("bf16_pixels", ", groups", images),
        ("bf16_lines", "", lambda draw: {"x": draw.array(draw.choice(((2, 5), (3, 16), (2, 3, 9))))}),
    )
)


# ------------------------------------------------------------------------------------------------- convolution


def forward(k: Any, product: Any, x: Any, weight: Any, bias: Any, *how: Any) -> Any:
    """Compute a convolution as an implicit product of packed numbers."""
    stride, padding, dilation, groups = how
    size = slides(x.shape[2:], weight.shape[2:], stride, padding, dilation)
    shape = x.shape[0], weight.shape[0], *size
    tile = choose(k.name, x.shape[0] * prod(size), weight.shape[0] // groups, groups, bf16=True)
    if prod(weight.shape[2:]) * groups == 1:
        tile = across(tile, x.shape[0] * prod(size), weight.shape[0], weight.shape[1], 2)
    x, weight = k.bf16_pixels(x, groups), k.bf16_filters(weight, groups)
    return product(x, weight, bias, shape, stride, before(padding), dilation, groups, tile)


def backward_input(k: Any, product: Any, dy: Any, weight: Any, x_shape: Any, rounds: bool, *how: Any) -> Any:
    """Compute an input's gradient as an implicit product of packed numbers for each phase of the stride."""
    stride, padding, dilation, groups = how
    phases = prod(stride)
    tile = choose(k.name, x_shape[0] * prod(x_shape[2:]) // phases, weight.shape[1], groups * phases, bf16=True)
    if prod(weight.shape[2:]) * groups * phases == 1:
        tile = across(tile, x_shape[0] * prod(x_shape[2:]), weight.shape[1], weight.shape[0], 2)
    dy, weight = k.bf16_pixels(dy, groups), k.bf16_filters(weight, groups)
    return product(dy, weight, tuple(x_shape), stride, before(padding), dilation, groups, tile, bool(rounds))


def backward_weight(k: Any, product: Any, dy: Any, x: Any, weight_shape: Any, *how: Any) -> Any:
    """Compute a filter's gradient as an implicit product of packed numbers, cut into parts."""
    stride, padding, dilation, groups = how
    cut = weight_work(dy, x, weight_shape, *how)[0][0]
    tile = choose(k.name, *weight_product(weight_shape, groups), groups * cut, bf16=True)
    dy, x = k.bf16_pixels(dy, groups), k.bf16_pixels(x, groups)
    return product(dy, x, tuple(weight_shape), stride, before(padding), dilation, groups, tile)


@kernel(backend="csrc", composite=True, when=takes)
def bf16_conv2d_forward(k: Any, x: Any, weight: Any, bias: Any, known: bool, *how: Any) -> Any:
    """bf16_conv2d_gemm of packed numbers."""
    if not convolves(k, weight.shape, how[3], x.shape):
        return mixed.convolve(k, 2, x, weight, bias, known, *how)
    return forward(k, k.bf16_conv2d_gemm, x, weight, bias, *how)


@kernel(backend="csrc", composite=True, when=takes)
def bf16_conv2d_backward_input(k: Any, dy: Any, weight: Any, x_shape: Any, rounds: bool, *how: Any) -> Any:
    """bf16_conv2d_gemm_input of packed numbers."""
    if not convolves(k, weight.shape, how[3], dy.shape, x_shape):
        return mixed.convolve_back(k, 2, dy, weight, x_shape, rounds, *how)
    return backward_input(k, k.bf16_conv2d_gemm_input, dy, weight, x_shape, rounds, *how)


@kernel(backend="csrc", composite=True, when=takes)
def bf16_conv2d_backward_weight(k: Any, dy: Any, x: Any, weight_shape: Any, known: bool, *how: Any) -> Any:
    """bf16_conv2d_gemm_weight of packed numbers."""
    if not convolves(k, weight_shape, how[3], dy.shape, x.shape):
        return mixed.correlate(k, 2, dy, x, weight_shape, known, *how)
    return backward_weight(k, k.bf16_conv2d_gemm_weight, dy, x, weight_shape, *how)


@kernel(backend="csrc", composite=True, when=takes)
def bf16_conv3d_forward(k: Any, x: Any, weight: Any, bias: Any, known: bool, *how: Any) -> Any:
    """bf16_conv3d_gemm of packed numbers."""
    if not convolves(k, weight.shape, how[3], x.shape):
        return mixed.convolve(k, 3, x, weight, bias, known, *how)
    return forward(k, k.bf16_conv3d_gemm, x, weight, bias, *how)


@kernel(backend="csrc", composite=True, when=takes)
def bf16_conv3d_backward_input(k: Any, dy: Any, weight: Any, x_shape: Any, rounds: bool, *how: Any) -> Any:
    """bf16_conv3d_gemm_input of packed numbers."""
    if not convolves(k, weight.shape, how[3], dy.shape, x_shape):
        return mixed.convolve_back(k, 3, dy, weight, x_shape, rounds, *how)
    return backward_input(k, k.bf16_conv3d_gemm_input, dy, weight, x_shape, rounds, *how)


@kernel(backend="csrc", composite=True, when=takes)
def bf16_conv3d_backward_weight(k: Any, dy: Any, x: Any, weight_shape: Any, known: bool, *how: Any) -> Any:
    """bf16_conv3d_gemm_weight of packed numbers."""
    if not convolves(k, weight_shape, how[3], dy.shape, x.shape):
        return mixed.correlate(k, 3, dy, x, weight_shape, known, *how)
    return backward_weight(k, k.bf16_conv3d_gemm_weight, dy, x, weight_shape, *how)


def forward_flops(x: Any, weight: Any, bias: Any, shape: Any, *_: Any) -> float:
    """Return a multiplication and an addition for each number of the packed filter at each place."""
    return float(2 * shape[0] * prod(shape[2:]) * prod(weight.shape))


def single(shape: Any) -> list[Any]:
    """Return the rule of one output of float32."""
    return [(tuple(shape), np.float32)]


@kernel(
    backend="csrc",
    image="y x",
    filter="weight",
    out=lambda x, weight, bias, shape, *_: single(shape),
    flops=forward_flops,
)
def bf16_conv2d_gemm(
    y: Any, x: Any, weight: Any, bias: Any, shape: Any, stride: Any, before: Any, dilation: Any, groups: Any, tile: Any
) -> None:
    """conv2d_gemm of packed numbers, rounded."""


def relu_samples(draw: Any) -> dict[str, Any]:
    """Return a small convolution, packed."""
    c, o, groups = draw.choice(((8, 5, 1), (16, 8, 1), (16, 12, 2)))
    numbers = {
        "x": draw.array((2, c, 5, 6)),
        "weight": draw.array((groups * filled_up(o // groups), c // groups, 3, 2)),
    }
    stride = draw.choice(((1, 1), (2, 1)))
    return {
        **{name: (a.astype(np.float32).view(np.uint32) >> 16).astype(np.uint16) for name, a in numbers.items()},
        "bias": draw.array((o,)),
        "shape": (2, o, *slides((5, 6), (3, 2), stride, ((1, 0), (0, 1)), (1, 1))),
        "stride": stride,
        "before": (1, 0),
        "dilation": (1, 1),
        "groups": groups,
        "tile": 6,
    }


CONV_RELU = define(
    "convolution in bfloat16 + relu",
    """
    c = bf16_conv2d_gemm(x, weight, bias, shape, stride, before, dilation, groups, tile)
    y = relu_forward(c)
""",
    "y = bf16_conv2d_relu(x, weight, bias, shape, stride, before, dilation, groups, tile)",
    backend="csrc",
    samples=relu_samples,
)


@kernel(
    backend="csrc",
    image="y x",
    filter="weight",
    out=lambda x, weight, bias, shape, *_: single(shape),
    flops=forward_flops,
)
def bf16_conv2d_relu(
    y: Any, x: Any, weight: Any, bias: Any, shape: Any, stride: Any, before: Any, dilation: Any, groups: Any, tile: Any
) -> None:
    """y = max(bf16_conv2d_gemm(...), 0)."""


@kernel(
    backend="csrc",
    image="y x",
    filter="weight",
    out=lambda x, weight, bias, shape, *_: single(shape),
    flops=forward_flops,
)
def bf16_conv3d_gemm(
    y: Any, x: Any, weight: Any, bias: Any, shape: Any, stride: Any, before: Any, dilation: Any, groups: Any, tile: Any
) -> None:
    """bf16_conv2d_gemm with one axis more."""


def gradient_flops(dy: Any, other: Any, shape: Any, *_: Any) -> float:
    """Return a multiplication and an addition for each weight at each place."""
    return float(2 * prod(shape) * dy.size // max(1, dy.shape[1]))


def input_flops(dy: Any, weight: Any, *_: Any) -> float:
    """Return a multiplication and an addition for each number of the packed filter at each place."""
    return float(2 * prod(weight.shape) * dy.size // max(1, dy.shape[1]))


@kernel(
    backend="csrc",
    image="dx dy",
    filter="weight",
    out=lambda dy, weight, x_shape, *_: single(x_shape),
    flops=input_flops,
)
def bf16_conv2d_gemm_input(
    dx: Any,
    dy: Any,
    weight: Any,
    x_shape: Any,
    stride: Any,
    before: Any,
    dilation: Any,
    groups: Any,
    tile: Any,
    rounds: Any,
) -> None:
    """conv2d_gemm_input of packed numbers, rounded if `rounds`."""


@kernel(
    backend="csrc",
    image="dx dy",
    filter="weight",
    out=lambda dy, weight, x_shape, *_: single(x_shape),
    flops=input_flops,
)
def bf16_conv3d_gemm_input(
    dx: Any,
    dy: Any,
    weight: Any,
    x_shape: Any,
    stride: Any,
    before: Any,
    dilation: Any,
    groups: Any,
    tile: Any,
    rounds: Any,
) -> None:
    """bf16_conv2d_gemm_input with one axis more."""


@kernel(
    backend="csrc",
    image="dy x",
    filter="dweight",
    work=weight_work,
    out=lambda dy, x, shape, *_: single(shape),
    flops=gradient_flops,
)
def bf16_conv2d_gemm_weight(
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
    """conv2d_gemm_weight of packed numbers; a gradient of a weight stays float32."""


@kernel(
    backend="csrc",
    image="dy x",
    filter="dweight",
    work=weight_work,
    out=lambda dy, x, shape, *_: single(shape),
    flops=gradient_flops,
)
def bf16_conv3d_gemm_weight(
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
    """bf16_conv2d_gemm_weight with one axis more."""


# ---------------------------------------------------------------------------------------------------- matrices


def product(k: Any, a: Any, b: Any, bias: Any, ta: bool, tb: bool, rounds: bool) -> Any:
    """bf16_matrix_product of packed lines in the tile that suits it."""
    shape = a.shape[ta], b.shape[not tb]
    tile = choose(k.name, *shape, bf16=True)
    return k.bf16_matrix_product(k.bf16_lines(a), k.bf16_lines(b), bias, shape, ta, tb, tile, bool(rounds))


@kernel(backend="csrc", composite=True, when=takes)
def bf16_matmul(k: Any, a: Any, b: Any, rounds: bool) -> Any:
    """y[i, j] = sum_k a[i, k] b[k, j], a and b rounded."""
    if not on_tensor_cores(k, a, b):
        return mixed.rounded_if(k, k.matmul(k.bf16_round(a), k.bf16_round(b)), rounds)
    return product(k, a, b, None, False, False, rounds)


@kernel(backend="csrc", composite=True, when=takes)
def bf16_matmul_ta(k: Any, a: Any, b: Any, rounds: bool) -> Any:
    """y[i, j] = sum_k a[k, i] b[k, j], a and b rounded."""
    if not on_tensor_cores(k, a, b):
        return mixed.rounded_if(k, k.matmul_ta(k.bf16_round(a), k.bf16_round(b)), rounds)
    return product(k, a, b, None, True, False, rounds)


@kernel(backend="csrc", composite=True, when=takes)
def bf16_matmul_tb(k: Any, a: Any, b: Any, rounds: bool) -> Any:
    """y[i, j] = sum_k a[i, k] b[j, k], a and b rounded."""
    if not on_tensor_cores(k, a, b):
        return mixed.rounded_if(k, k.matmul_tb(k.bf16_round(a), k.bf16_round(b)), rounds)
    return product(k, a, b, None, False, True, rounds)


@kernel(backend="csrc", composite=True, when=takes)
def bf16_linear_forward(k: Any, x: Any, weight: Any, bias: Any) -> Any:
    """y[n, o] = sum_i x[n, i] weight[o, i] + bias[o], x and weight rounded, and y."""
    if not on_tensor_cores(k, x, weight):
        return k.bf16_round(k.linear_forward(k.bf16_round(x), k.bf16_round(weight), bias))
    return product(k, x, weight, bias, False, True, True)


@kernel(backend="csrc", composite=True, when=takes)
def bf16_batched_matmul(k: Any, a: Any, b: Any, rounds: bool) -> Any:
    """bf16_batched_product of batches along one axis, as batched_matmul has them."""
    if not (takes_batches(a, b) and on_tensor_cores(k, a, b)):
        return mixed.rounded_if(k, k.batched_matmul(k.bf16_round(a), k.bf16_round(b)), rounds)
    *leading, rows, columns = batch_shape(a, b)[0]
    a, b = (one_batch(k, x, tuple(leading)) for x in (a, b))
    ta = is_turned(a)
    tb = not ta and is_turned(b)
    a, b = (x.swapaxes(1, 2) if turned else x for x, turned in ((a, ta), (b, tb)))
    tile = choose(k.name, rows, columns, prod(leading), bf16=True)
    count = 0 if 0 in (len(a), len(b)) else max(len(a), len(b))
    shape = count, rows, columns
    y = k.bf16_batched_product(k.bf16_lines(a), k.bf16_lines(b), shape, ta, tb, tile, bool(rounds))
    return y.reshape(*leading, rows, columns)


def depth_of(a: Any, b: Any, ta: bool, tb: bool) -> int:
    """Return how many numbers a sum adds up; a packed line's zeros may be among them."""
    return int(a.shape[-2] if ta else b.shape[-1 if tb else -2])


def product_work(a: Any, b: Any, bias: Any, shape: Any, ta: bool, tb: bool, *_: Any) -> list[tuple[int, ...]]:
    """Partial sums."""
    rows, columns = shape
    return [partial(rows * columns, rows, columns, depth_of(a, b, ta, tb))]


def product_flops(a: Any, b: Any, bias: Any, shape: Any, ta: bool, tb: bool, *_: Any) -> float:
    """Return a multiplication and an addition for each depth of each sum."""
    return float(2 * prod(shape) * depth_of(a, b, ta, tb))


@kernel(backend="csrc", out=lambda a, b, bias, shape, *_: single(shape), work=product_work, flops=product_flops)
def bf16_matrix_product(
    y: Any, partial: Any, a: Any, b: Any, bias: Any, shape: Any, ta: Any, tb: Any, tile: Any, rounds: Any
) -> None:
    """matrix_product of packed lines, rounded if `rounds`."""


def batched_work(a: Any, b: Any, shape: Any, ta: bool, tb: bool, *_: Any) -> list[tuple[int, ...]]:
    """Partial sums."""
    batches, rows, columns = shape
    cut, size = partial(prod(shape), rows, columns, depth_of(a, b, ta, tb), batches)
    return [(cut, size) if batches * cut <= BLOCKS else (1, 0)]


def batched_flops(a: Any, b: Any, shape: Any, ta: bool, tb: bool, *_: Any) -> float:
    """Return a multiplication and an addition for each depth of each sum."""
    return float(2 * prod(shape) * depth_of(a, b, ta, tb))


@kernel(backend="csrc", out=lambda a, b, shape, *_: single(shape), work=batched_work, flops=batched_flops)
def bf16_batched_product(
    y: Any, partial: Any, a: Any, b: Any, shape: Any, ta: Any, tb: Any, tile: Any, rounds: Any
) -> None:
    """bf16_matrix_product of each pair of a batch; one matrix may serve the whole batch."""
