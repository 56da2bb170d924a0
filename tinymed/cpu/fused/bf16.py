"""Mixed precision between its products: what is rounded there is rounded by the pass that makes it, or by a product.

Rounding to bfloat16 keeps the order of numbers, and zero: ReLU of a rounded number is the rounded ReLU.  A product
rounds what it takes, and of a number that is rounded already nothing changes.  So each pass here gives the bits of the
kernels that it stands for, but for the argmax of pixels that rounding makes equal, see RELU_POOL_ROUNDED.
"""

from typing import Any

from numba import prange

from ...dispatch import kernel
from ...program import define
from ..norm import CHUNKS, GRAIN, fill_map, map_work
from ..simd.bf16_product import COLUMNS, TERMS, rounded
from ..simd.partition import pieces
from ..simd.passes import AFFINE, above_zero, affine, elementwise, row_pass
from ..simd.streaming import exceeds_cache
from ..simd.vectors import address
from .norm import rows_like


def images(draw: Any) -> dict[str, Any]:
    """Draw images and what surrounds them."""
    edge = draw.choice((0, 1))
    return {"x": draw.array(draw.choice(((2, 3, 5, 7), (1, 33, 4, 4)))), "padding": ((edge, edge), (edge, edge))}


def far_apart(draw: Any) -> dict[str, Any]:
    """Draw a map of even sides whose numbers rounding keeps apart, and its pooled size."""
    n, c, h, w = draw.choice(((1, 3, 2, 2), (2, 5, 4, 6)))
    return {"y": draw.array((n, c, h, w), avoid=(0.0,), distinct=True), "size": (h // 2, w // 2)}


ROUND_ONCE = define(
    "rounded by the product that takes it",
    "r = bf16_round(x)\ny = bf16_images(r, padding)",
    "y = bf16_images(x, padding)",
    backend="numba",
    samples=images,
)
NORM_RELU = define(
    "batch norm, rounded, + relu",
    "n = batch_norm_apply(x, map)\nr = bf16_round(n)\ny = relu_forward(r)",
    "y = bf16_norm_relu(x, map)",
    backend="numba",
    samples=rows_like,
)
NORM_ADD_RELU = tuple(
    define(
        "batch norm, rounded, + add, rounded, + relu",
        f"n = batch_norm_apply(x, map)\nr = bf16_round(n)\ns = add({terms})\nt = bf16_round(s)\ny = relu_forward(t)",
        "y = bf16_norm_add_relu(x, map, z)",
        backend="numba",
        when=lambda v: getattr(v["z"], "shape", None) == v["x"].shape,
        samples=lambda draw: (v := rows_like(draw)) | {"z": draw.array(v["x"].shape)},
    )
    for terms in ("r, z", "z, r")
)
# After a product in float32: rounded behind what keeps the order of numbers, so that the pair, or the three, are one
# pass.  Of pixels that rounding makes equal the largest is the one of before: a product may be told more exactly.
RELU_POOL_ROUNDED = define(
    "rounded after relu and pooling",
    "r = bf16_round(y)\nz = relu_forward(r)\np, i = max_pool_2x2(z, size)",
    "a = relu_forward(y)\nq, i = max_pool_2x2(a, size)\np = bf16_round(q)",
    backend="numba",
    samples=far_apart,
)
RELU_ROUNDED = define(
    "rounded after relu",
    "r = bf16_round(y)\nz = relu_forward(r)",
    "a = relu_forward(y)\nz = bf16_round(a)",
    backend="numba",
    samples=far_apart,
)
NORM = define(
    "batch norm, rounded",
    "n = batch_norm_apply(x, map)\nr = bf16_round(n)",
    "r = bf16_norm(x, map)",
    backend="numba",
    samples=rows_like,
)


def two_arrays(draw: Any) -> dict[str, Any]:
    """Draw two arrays of one shape."""
    shape = draw.choice(((2, 3, 4, 5), (1, 33, 2, 3), (5, 7)))
    return {"a": draw.array(shape), "b": draw.array(shape)}


def alike(v: Any) -> bool:
    """Return whether two arrays are added, none of them along an axis of the other."""
    return all(getattr(v[n], "shape", None) == v["s"].shape for n in "ab")


ADD_RELU = define(
    "add, rounded, + relu",
    "s = add(a, b)\nt = bf16_round(s)\ny = relu_forward(t)",
    "y = bf16_add_relu(a, b)",
    backend="numba",
    when=alike,
    samples=two_arrays,
)
ADD = define(
    "add, rounded",
    "s = add(a, b)\nt = bf16_round(s)",
    "t = bf16_add(a, b)",
    backend="numba",
    when=alike,
    samples=two_arrays,
)


def windows(draw: Any) -> dict[str, Any]:
    """Draw what conv_bf16 takes."""
    n, c, k = draw.choice(((2, 3, 5), (1, 32, 33)))
    kh, kw = draw.choice(((1, 1), (3, 3)))
    bits = (draw.array((n, c, 6, 7)).astype("float32").view("uint32") >> 16).astype("uint16")
    blocks = -(-kh * kw * c // TERMS)
    pairs = draw.array((-(-k // COLUMNS), blocks * TERMS // 2 * COLUMNS, 2)).astype("float32").view("uint32") >> 16
    return {
        "x": bits,
        "packed": (pairs[..., 0] | pairs[..., 1] << 16).astype("uint32"),
        "bias": draw.array((k,)),
        "shape": (k, c, kh, kw),
        "stride": (1, 1),
        "dilation": (1, 1),
    }


CONV_RELU = define(
    "conv, rounded, + relu",
    "y = conv_bf16(x, packed, bias, shape, stride, dilation, 1)\nz = relu_forward(y)",
    "z = conv_bf16(x, packed, bias, shape, stride, dilation, 3)",
    backend="numba",
    samples=windows,
)

ROUNDED_BY_CONV = define(
    "rounded by the conv",
    "y = conv_bf16(x, packed, bias, shape, stride, dilation, 1)\nr = bf16_round(y)",
    "r = conv_bf16(x, packed, bias, shape, stride, dilation, 1)",
    backend="numba",
    samples=windows,
)

pass_norm = row_pass("bf16_norm", "x", "y", AFFINE, "", lambda v, *args: ((rounded(v, affine(v, *args)),), ()))
pass_norm_relu = row_pass(
    "bf16_norm_relu", "x", "y", AFFINE, "", lambda v, *args: ((above_zero(v, rounded(v, affine(v, *args))),), ())
)
pass_norm_add_relu = row_pass(
    "bf16_norm_add_relu",
    "x z",
    "y",
    AFFINE,
    "",
    lambda v, x, z, *map: ((above_zero(v, rounded(v, v.b.fadd(rounded(v, affine(v, x, *map)), z))),), ()),
)
positive_sum = elementwise("bf16_add_relu", "a b", lambda v, a, b: above_zero(v, rounded(v, v.b.fadd(a, b))))
near_sum = elementwise("bf16_add", "a b", lambda v, a, b: rounded(v, v.b.fadd(a, b)))


def norm_flops(x: Any, *_: Any) -> int:
    """Count four operations for each number."""
    return int(4 * x.size)


@kernel(backend="numba", rows="y x", out=lambda x, map: [x.shape], work=map_work, flops=norm_flops)
def bf16_norm(y: Any, strips: Any, x: Any, map: Any) -> None:
    """y = (x - map[0]) map[1] + map[2], rounded"""
    (n, c), chunks = x.shape, max(1, min(CHUNKS, x.size // GRAIN))
    xs, ys = x.reshape(x.size), y.reshape(y.size)
    fill_map(strips, map)
    for t in prange(chunks):
        a, b = t * n // chunks * c, (t + 1) * n // chunks * c
        pass_norm(b - a, 0, strips.shape[1], address(xs[a:]), address(ys[a:]), address(strips), 0, exceeds_cache(y))


@kernel(backend="numba", rows="y x", out=lambda x, map: [x.shape], work=map_work, flops=norm_flops)
def bf16_norm_relu(y: Any, strips: Any, x: Any, map: Any) -> None:
    """y = max((x - map[0]) map[1] + map[2], 0), rounded"""
    (n, c), chunks = x.shape, max(1, min(CHUNKS, x.size // GRAIN))
    xs, ys = x.reshape(x.size), y.reshape(y.size)
    fill_map(strips, map)
    for t in prange(chunks):
        a, b = t * n // chunks * c, (t + 1) * n // chunks * c
        pass_norm_relu(
            b - a, 0, strips.shape[1], address(xs[a:]), address(ys[a:]), address(strips), 0, exceeds_cache(y)
        )


@kernel(backend="numba", rows="y x z", out=lambda x, *_: [x.shape], work=map_work, flops=norm_flops)
def bf16_norm_add_relu(y: Any, strips: Any, x: Any, map: Any, z: Any) -> None:
    """y = max(n + z, 0), rounded, n = (x - map[0]) map[1] + map[2], rounded"""
    (n, c), chunks = x.shape, max(1, min(CHUNKS, x.size // GRAIN))
    xs, ys, zs = x.reshape(x.size), y.reshape(y.size), z.reshape(z.size)
    fill_map(strips, map)
    for t in prange(chunks):
        a, b = t * n // chunks * c, (t + 1) * n // chunks * c
        pass_norm_add_relu(
            b - a,
            0,
            strips.shape[1],
            address(xs[a:]),
            address(zs[a:]),
            address(ys[a:]),
            address(strips),
            0,
            exceeds_cache(y),
        )


@kernel(backend="numba", flat="y a b", out=lambda a, b: [a.shape], flops=lambda a, b: 2 * a.size)
def bf16_add_relu(y: Any, a: Any, b: Any) -> None:
    """y = max(a + b, 0), rounded"""
    for t in prange(pieces(y)):
        positive_sum(t, y, a, b)


@kernel(backend="numba", flat="y a b", out=lambda a, b: [a.shape], flops=lambda a, b: a.size)
def bf16_add(y: Any, a: Any, b: Any) -> None:
    """y = a + b, rounded"""
    for t in prange(pieces(y)):
        near_sum(t, y, a, b)
