"""Arguments for every launcher of csrc/, of sizes that Hypothesis draws: tests/test_cuda_silence.py runs them checked.

Lengths lie around the sizes of warps, blocks and tiles, so that every kernel runs in part of a block and in several.
The first choice is what Hypothesis tries first and shrinks to: a size of some use.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from cuda_function_cases import CASES as FUNCTIONS
from cuda_line_cases import CASES as LINES
from hypothesis import strategies as st
from imaging_cases import CASES as IMAGING
from imaging_cases import Cases as ImagingCases

from tinymed import dispatch
from tinymed.cuda.resample import bits
from tinymed.cuda.tiles import BF16, FLOAT32, TILES
from tinymed.ops.space import slides

LINE = (1028, 1, 3, 31, 255, 256, 1023, 4099, 0)
ROWS, CHANNELS = (33, 1, 7, 257, 600, 0), (3, 1, 2, 4, 17, 32, 36, 65)
SIDES = (5, 1, 2, 8, 13)


class Cases:
    """What an example is made of; numbers lie between 0.05 and 0.95, where every op is smooth."""

    def __init__(self, data: st.DataObject):
        self.data = data
        self.rng = np.random.default_rng(self.pick(range(100)))

    def pick(self, choices: Any) -> Any:
        return self.data.draw(st.sampled_from(tuple(choices)))

    def flag(self) -> bool:
        return bool(self.pick((False, True)))

    def array(self, *shape: int) -> Any:
        return self.rng.uniform(0.05, 0.95, shape).astype(np.float32)

    def maybe(self, *shape: int) -> Any:
        return self.array(*shape) if self.flag() else None

    def lines(self, count: int = 1) -> tuple[Any, ...]:
        n = self.pick(LINE)
        return tuple(self.array(n) for _ in range(count))

    def matrix(self) -> Any:
        return self.array(self.pick(ROWS), self.pick(CHANNELS))

    def matrices(self, count: int = 1) -> tuple[Any, ...]:
        x = self.matrix()
        return (x, *(self.array(*x.shape) for _ in range(count - 1)))

    def image(self) -> Any:
        return self.array(self.pick((1, 3, 0)), self.pick(CHANNELS), self.pick(SIDES), self.pick(SIDES))

    def words(self) -> Any:
        return self.rng.integers(0, 1 << 32, 5).astype(np.uint32)

    def integers(self, *shape: int, high: int = 9) -> Any:
        return self.rng.integers(0, high, shape)


# ----------------------------------------------------------------------------------------------------- several axes


def windows(d: Cases) -> tuple[Any, tuple[int, ...], tuple[Any, ...]]:
    """(x, size of y, (kernel, stride, zeros before, dilation)) of a pooling."""
    x = d.image()
    kernel, stride = (d.pick((3, 1, 2)), d.pick((3, 1, 2))), (d.pick((2, 1, 3)), d.pick((2, 1)))
    before, dilation = (d.pick((0, kernel[0] // 2)), d.pick((0, kernel[1] // 2))), (1, d.pick((1, 2)))
    size = slides(x.shape[2:], kernel, stride, tuple((n, n) for n in before), dilation)
    size = tuple(max(n, 0) for n in size)
    return x, size, (kernel, stride, before, dilation)


def large_windows(d: Cases) -> tuple[Any, tuple[int, ...], tuple[Any, ...]]:
    """The same with windows of more taps than a byte can count."""
    x = d.array(d.pick((1, 2, 0)), d.pick((3, 1, 33)), d.pick((18, 19)), d.pick((17, 20)))
    kernel, stride, before = (17, 16), (d.pick((1, 2)), 1), (d.pick((0, 8)), d.pick((0, 2)))
    size = slides(x.shape[2:], kernel, stride, tuple((n, n) for n in before), (1, 1))
    return x, size, (kernel, stride, before, (1, 1))


def max_forward(x: Any, size: Any, how: Any) -> tuple[Any, ...]:
    return x, *how, size


def max_backward(d: Cases, x: Any, size: Any, how: Any) -> tuple[Any, ...]:
    dy, taps = d.array(*x.shape[:2], *size), how[0][0] * how[0][1]
    index = d.integers(*dy.shape, high=taps)
    return dy, index.astype(np.uint8 if taps <= 256 else np.int32), x.shape, *how


def halves(d: Cases) -> tuple[Any, ...]:
    x = d.image()
    return x, tuple(n // 2 for n in x.shape[2:])


def halves_backward(d: Cases) -> tuple[Any, ...]:
    x, size = halves(d)
    dy = d.array(*x.shape[:2], *size)
    return dy, d.integers(*dy.shape, high=4).astype(np.uint8), x.shape


def means(d: Cases, backward: bool) -> tuple[Any, ...]:
    x, size, (kernel, stride, before, _) = windows(d)
    size = tuple(max(n, 0) for n in slides(x.shape[2:], kernel, stride, tuple((n, n) for n in before), (1, 1)))
    padding = before[0], before[0], before[1], before[1]
    rest = d.flag(), d.pick((0, 5))
    if backward:
        return d.array(*x.shape[:2], *size), x.shape, kernel, stride, padding, *rest
    return x, kernel, stride, padding, size, *rest


def resized(d: Cases, backward: bool, rest: tuple[Any, ...]) -> tuple[Any, ...]:
    x, size = d.image(), (d.pick(SIDES), d.pick(SIDES))
    steps = bits(tuple(a / b for a, b in zip(x.shape[2:], size, strict=True)))
    return (d.array(*x.shape[:2], *size), x.shape, steps, *rest) if backward else (x, size, steps, *rest)


def placed(d: Cases, rank: int, kind: str) -> tuple[Any, ...]:
    """Sampling at places inside and outside of an image; where whole numbers are added, some are not numbers.

    Which NaN a sum of floats gives is the compiler's choice, so the bits of others could not be compared.
    """
    x = d.array(d.pick((1, 3, 0)), d.pick(CHANNELS[:5]), *(d.pick(SIDES[: 7 - rank]) for _ in range(rank)))
    grid = 4 * d.array(x.shape[0], *(d.pick((9, 1, 17)) for _ in range(rank)), rank) - 2
    dy = d.array(*x.shape[:2], *grid.shape[1:-1]) - np.float32(0.5)
    for a in (grid, dy) if kind == "input" else ():
        a.reshape(-1)[5::67], a.reshape(-1)[7::71] = np.nan, np.inf
    how = d.pick((0, 1, 2) if rank == 2 else (0, 1)), d.pick((0, 1, 2)), d.flag()
    if kind == "forward":
        return x, grid, *how
    return (dy, grid, x.shape, *how) if kind == "input" else (dy, x, grid, d.pick((0, 2)[: 4 - rank]), *how[1:])


def convolution(d: Cases, kind: str, groups: int, per: int | None = None) -> tuple[Any, ...]:
    """The arguments of one direction, up to the dilation; per: filters of a group, drawn if not given."""
    channels = groups * (1 if per else d.pick((3, 1, 4, 17)))
    filters = groups * (per or d.pick((3, 1, 4, 17, 36)))
    x = d.array(d.pick((2, 1, 0)), channels, d.pick((5, 2, 8, 13)), d.pick((5, 2, 8, 13)))
    weight = d.array(filters, channels // groups, d.pick((3, 1, 2)), d.pick((3, 1)))
    stride, before = (d.pick((1, 2, 3)), d.pick((1, 2))), (d.pick((0, 1, 2)), d.pick((1, 2)))
    dilation = (d.pick((1, 2)), 1)
    size = slides(x.shape[2:], weight.shape[2:], stride, tuple((n, n) for n in before), dilation)
    size = tuple(max(n, 0) for n in size)
    how = (stride, before, dilation)
    dy = d.array(x.shape[0], filters, *size)
    if kind == "forward":
        return x, weight, size, *how
    return (dy, weight, x.shape, *how) if kind == "input" else (dy, x, weight.shape, *how)


def product(d: Cases, kind: str) -> tuple[Any, ...]:
    """A convolution as an implicit product, in any tile."""
    groups, tile = d.pick((1, 2)), d.pick(range(len(FLOAT32)))
    a, b, *rest = convolution(d, kind, groups)
    bias = (d.maybe(b.shape[0]),) if kind == "forward" else ()
    return a, b, *bias, *rest, groups, tile


def bf16_tile(d: Any) -> int:
    """The number of a tile that multiplies numbers of bfloat16."""
    return TILES.index(d.pick(BF16))


def bf16_product(d: Any, kind: str, made: tuple[Any, ...]) -> tuple[Any, ...]:
    """A convolution, given as a product of float32, of packed numbers."""
    k = dispatch.table("emulated")
    a, b, *rest, groups, _ = made
    bias = ()
    if kind == "forward":
        bias, size, *rest = rest
        bias, rest = (bias,), [(a.shape[0], b.shape[0], *size), *rest]
    pack = k.bf16_pixels if kind == "weight" else k.bf16_filters
    rounds = (d.flag(),) if kind == "input" else ()
    return k.bf16_pixels(a, groups), pack(b, groups), *bias, *rest, groups, bf16_tile(d), *rounds


def depthwise(d: Cases, kind: str) -> tuple[Any, ...]:
    a, b, *rest = convolution(d, kind, d.pick((1, 3, 4, 36)), per=d.pick((1, 1, 2)))
    bias = (d.maybe(b.shape[0]),) if kind == "forward" else ()
    return a, b, *bias, *rest


def factors(d: Cases) -> tuple[Any, Any]:
    length = (1, 16, 17, 67, 0)
    m, n = d.pick(length), d.pick(length)
    k = d.pick((40, 1, 17, 90, 0, 4099 if m < 20 else 33))  # 4099: summed in parts
    return d.array(m, k), d.array(k, n)


def matrix_product(d: Cases) -> tuple[Any, ...]:
    a, b = factors(d)
    ta, tb = d.pick(((False, False), (True, False), (False, True)))
    a, b = (a.T.copy() if ta else a), (b.T.copy() if tb else b)
    return a, b, d.maybe(b.shape[0 if tb else 1]), ta, tb, d.pick(range(len(FLOAT32)))


def bf16_lines(d: Any, made: tuple[Any, ...]) -> tuple[Any, ...]:
    """A product of matrices or of batches, given as one of float32, of packed lines."""
    k = dispatch.table("emulated")
    a, b, *bias, ta, tb, _ = made
    shape = a.shape[-1 if ta else -2], b.shape[-2 if tb else -1]
    if a.ndim > 2:
        shape = 0 if 0 in (len(a), len(b)) else max(len(a), len(b)), *shape
    return k.bf16_lines(a), k.bf16_lines(b), *bias, shape, ta, tb, bf16_tile(d), d.flag()


def gathered(d: Cases) -> tuple[Any, ...]:
    shape = tuple(d.pick((17, 1, 3, 0)) for _ in range(d.pick((1, 2, 3))))
    strides = tuple(int(n) for n in d.rng.integers(-3, 4, len(shape)))
    reach = [(n - 1) * s for n, s in zip(shape, strides, strict=True) if n]
    start = -sum(r for r in reach if r < 0)
    return d.array(start + sum(r for r in reach if r > 0) + 1), shape, strides, start


def padded(d: Cases) -> tuple[Any, ...]:
    x = d.array(*(d.pick((1, 3, 17)) for _ in range(d.pick((1, 2, 4)))))
    return x, tuple(d.pick((-1, 0, 2)) for _ in x.shape), tuple(d.pick((0, 1)) for _ in x.shape), 0.5


# ------------------------------------------------------------------------------------------------------ rows, numbers


def of_rows(d: Cases, before: int, *after: str) -> tuple[Any, ...]:
    """Matrices of one shape, then arrays of a number (or three: map) a channel; a name with ? may be absent."""
    xs = d.matrices(before)
    c = xs[0].shape[1]
    shapes = {"map": (3, c)}
    return *xs, *((d.maybe if n.endswith("?") else d.array)(*shapes.get(n, (c,))) for n in after)


def moments(d: Cases) -> tuple[Any, ...]:
    x, weight, bias = of_rows(d, 1, "weight?", "bias?")
    c, running = x.shape[1], d.flag()
    count = np.array([3], np.int64)[: d.pick((0, 1))]
    return x, weight, bias, *(d.array(c if running else 0) for _ in "mv"), count, 0.1, 1e-5, d.flag(), d.flag()


def entropy(d: Cases) -> tuple[Any, ...]:
    """(x, target, weight, weight_map); a target may be ignored or name no class."""
    x = d.matrix()
    n, c = x.shape
    target = d.integers(n, high=c)
    target[::5], target[3::7] = -100, c + 1000
    return x, target, d.maybe(c), d.maybe(n)


def entropy_gradient(d: Cases) -> tuple[Any, ...]:
    x, target, weight, weight_map = entropy(d)
    n = len(target)
    dy = d.array(*d.pick(((), (n,))))
    return x, dy, target, weight, weight_map, d.array(n), d.array(), -100, d.pick((0.0, 0.1)), d.flag()


def bce(d: Cases, *optional: str) -> tuple[Any, ...]:
    x, target = d.lines(2)
    return x, target, *(d.maybe(x.size) for _ in optional)


def bce_gradient(d: Cases, *optional: str) -> tuple[Any, ...]:
    x, target, *rest = bce(d, *optional)
    return d.array(*d.pick(((), x.shape))), x, target, *rest, 0.5


def updated(d: Cases, arrays: int, rates: int) -> tuple[Any, ...]:
    return *d.lines(arrays), d.array(rates)


def flat(d: Cases, arrays: int, rates: int) -> tuple[Any, ...]:
    """Parameters one after the other in a buffer, with gaps."""
    spans, at = [], 0
    for row in range(d.pick((1, 2, 4))):
        start = at + d.pick((0, 3, 1500))
        at = start + d.pick((1, 2, 255, 1024))
        spans.append((row, start, at))
    xs = tuple(d.array(at + d.pick((0, 5))) for _ in range(1))
    return *xs, *(d.array(xs[0].size) for _ in range(arrays - 1)), d.array(len(spans), rates), np.array(spans)


def steps(d: Cases) -> tuple[Any, Any]:
    t = d.integers(d.pick(LINE))
    return t, d.array(8).astype(np.float64).view(np.int64)


def rmsprop(d: Cases) -> tuple[Any, ...]:
    centered, momentum = d.flag(), d.flag()
    p, square, mean, buffer, g = d.lines(5)
    return (
        p,
        square + 1,
        mean if centered else mean[:0],
        buffer if momentum else buffer[:0],
        g,
        d.array(6),
        centered,
        momentum,
    )


def joined(d: Cases) -> tuple[Any, ...]:
    y = d.matrix()
    start = d.pick(range(y.shape[1]))
    return y, d.array(y.shape[0], d.pick(range(1, y.shape[1] - start + 1))), start


def wider(d: Cases) -> tuple[Any, ...]:
    x = d.matrix()
    return x, x.shape[1] + d.pick((0, 1, 5))


def attended(d: Cases) -> tuple[Any, ...]:
    """Queries, keys, values, mask, ticket and options of attention."""
    n, heads, tokens = d.pick((1, 2, 0)), d.pick((2, 1)), (5, 1, 64, 67, 130, 0)
    queries, keys, size, width = d.pick(tokens), d.pick(tokens), d.pick((4, 1, 17, 0)), d.pick((4, 1, 70))
    causal = d.flag()
    mask = None if causal or d.flag() else d.array(d.pick((1, n)), d.pick((1, heads)), d.pick((1, queries)), keys)
    ticket = d.words() if d.flag() else None
    arrays = d.array(n, heads, queries, size), d.array(n, heads, keys, size), d.array(n, heads, keys, width)
    return *arrays, mask, ticket, 0.5, causal, 1 << 15, 2.0


def attended_backward(d: Cases) -> tuple[Any, ...]:
    """The same, with the output, its gradient, top and total."""
    q, k, v, mask, ticket, *how = attended(d)
    y = (*q.shape[:3], v.shape[3])
    of_queries = [d.array(*q.shape[:3]) + above for above in (3, 2)]
    return d.array(*y), q, k, v, mask, d.array(*y), *of_queries, ticket, *how, mask is not None


def recurrence(d: Cases, gates: int, backward: bool) -> tuple[Any, ...]:
    """Arguments of an RNN (1 gate), GRU (3) or LSTM (4), some sequences shorter, in either direction."""
    steps, batch, hidden = d.pick((3, 1, 0)), d.pick((3, 1, 5, 0)), d.pick((5, 1, 33, 65, 257))
    weight, state = d.array(gates * hidden, hidden) / hidden, [d.array(batch, hidden) for _ in range(2)]
    rest = (d.integers(batch, high=steps + 1), d.flag(), *([d.flag()] if gates == 1 else []))
    wide = [d.array(steps, batch, n * hidden) for n in (gates, 4)]
    states = d.array(steps + 1, batch, hidden)
    if not backward:
        between = {1: (), 3: (d.array(3 * hidden),), 4: ()}[gates]
        return (wide[0], weight, *between, state[0], *state[1 : 1 + (gates == 4)], *rest)
    kept = {1: (states,), 3: (wide[1], states), 4: (wide[1], states)}[gates]
    return (d.array(steps, batch, hidden), state[0], *state[1 : 1 + (gates == 4)], *kept, weight, *rest)


def four_gates(d: Cases, backward: bool) -> tuple[Any, ...]:
    c0 = d.matrix()
    gates = d.array(c0.shape[0], 4 * c0.shape[1])
    return (*(d.array(*c0.shape) for _ in range(2)), gates, d.array(*c0.shape), c0) if backward else (gates, c0)


def pictured(d: Cases, name: str) -> tuple[Any, ...]:
    """Arguments of a launcher of image processing, which knows by its name whether to round."""
    kernel, _, kind = name.rpartition("_")
    case = next(c for c in (name, OF_LAUNCHERS.get(kernel), kernel, f"{kernel}_filter") if c in IMAGING)
    args = IMAGING[case][1](ImagingCases(d.pick(range(14)), "uint8" if kind == "bytes" else "float32"))
    if kernel == "map_densities":
        x, matrix, light, top, _ = args
        return x, matrix, light, top, light * top
    if kernel == "count_bins":
        return args[0], args[1].view(np.int64)
    if kernel == "count_tiles_of":
        return args[:-1]
    if kernel == "look_up":
        return args[0], args[1].astype(np.uint8)
    return args[:-1] if kernel in ("separable", "unsharp", "bilateral", "non_local", "count") else args


OF_LAUNCHERS = {
    "count": "count_values",
    "look_up": "apply_table",
    "extreme_box": "extreme_box",
    "luma": "luma",
    "map_densities": "map_densities",
    "count_bins": "count_bins",
    "count_tiles_of": "count_tiles",
    "blend_tables_of": "blend_tables",
    "sobel": "sobel_magnitude",
}
COLOURS = "rgb_to_hsv hsv_to_rgb rgb_to_cmyk cmyk_to_rgb rgb_to_lab lab_to_rgb linear_map power_map interpolate_line"
OF_BYTES = "count luma map_densities count_bins count_tiles_of blend_tables_of sobel mean_filter"
LAUNCHERS = [
    f"{kernel}_{kind}"
    for kernel in ("separable", "unsharp", "median", "bilateral", "non_local", "extreme_box", "extreme")
    for kind in ("bytes", "floats")
]
LAUNCHERS += [f"{kernel}_bytes" for kernel in ("look_up", *OF_BYTES.split())]
LAUNCHERS += ["map_densities_floats", "count_bins_floats", "sobel_floats", *COLOURS.split()]
LIMIT = 1 << 31
CASES: dict[str, Callable[[Cases], tuple[Any, ...]]] = {
    "relu_forward neg copy gelu_forward silu_forward mish_forward hardswish_forward sigmoid_forward logsigmoid_forward "
    "softsign_forward exp_forward log_forward sqrt_forward abs_forward sign_forward sum_all bf16_round": lambda d: (
        d.lines()
    ),
    "gelu_backward silu_backward mish_backward hardswish_backward softsign_backward relu_backward sigmoid_backward "
    "logsigmoid_backward add_arrays sub_arrays mul_arrays div_arrays": lambda d: d.lines(2),
    "leaky_relu_forward add_number mul_number div_number sub_from_number div_from_number": lambda d: (*d.lines(), 0.1),
    "leaky_relu_backward": lambda d: (*d.lines(2), 0.1),
    "hardtanh_forward tanh_forward softplus_forward": lambda d: (*d.lines(), 0.2, 0.6),
    "hardtanh_backward clamp_gradient tanh_backward softplus_backward": lambda d: (*d.lines(2), 0.2, 0.6),
    "elu_forward": lambda d: (*d.lines(), 1.0, 1.1, 0.9),
    "elu_backward": lambda d: (*d.lines(2), 1.0, 1.1, 0.9),
    "softmax_rows log_softmax_rows sum_outer channel_sum sum_rows": lambda d: d.matrices(),
    "softmax_rows_backward log_softmax_rows_backward": lambda d: d.matrices(2),
    "attention_forward": attended,
    "attention_backward": attended_backward,
    "prelu_forward": lambda d: of_rows(d, 1, "weight"),
    "prelu_backward": lambda d: of_rows(d, 2, "weight"),
    "rrelu_forward": lambda d: (d.matrix(), d.words(), 0.1, 0.3),
    "rrelu_backward": lambda d: (*d.matrices(2), d.words(), 0.1, 0.3),
    "dropout_forward dropout_backward bf16_dropout_backward": lambda d: (d.matrix(), d.words(), LIMIT, 2.0),
    "dropout_channels_forward dropout_channels_backward": lambda d: (d.image(), d.words(), LIMIT, 2.0),
    "bce_each": lambda d: bce(d, "weight"),
    "bce_sum": lambda d: (*bce(d, "weight"), 0.5),
    "bce_gradient": lambda d: bce_gradient(d, "weight"),
    "bce_logits_each": lambda d: bce(d, "weight", "pos_weight"),
    "bce_logits_sum": lambda d: (*bce(d, "weight", "pos_weight"), 0.5),
    "bce_logits_gradient": lambda d: bce_gradient(d, "weight", "pos_weight"),
    "cross_entropy_rows": lambda d: (*entropy(d), -100, d.pick((0.0, 0.1)), d.flag()),
    "cross_entropy_gradient": entropy_gradient,
    "max_pool_2x2": halves,
    "max_pool_2x2_backward": halves_backward,
    "max_window": lambda d: max_forward(*windows(d)),
    "max_window_backward": lambda d: max_backward(d, *windows(d)),
    "max_window_wide": lambda d: max_forward(*large_windows(d)),
    "max_window_wide_backward": lambda d: max_backward(d, *large_windows(d)),
    "avg_window": lambda d: means(d, backward=False),
    "avg_window_backward": lambda d: means(d, backward=True),
    "adaptive_avg_pool2d_forward": lambda d: (d.image(), (d.pick(SIDES), d.pick(SIDES))),
    "adaptive_avg_pool2d_backward": lambda d: (lambda x: (d.array(*x.shape[:2], d.pick(SIDES), 3), x.shape))(d.image()),
    "nearest_resize": lambda d: resized(d, False, (0.0,)),
    "nearest_resize_backward": lambda d: resized(d, True, (0.0,)),
    "bilinear_resize": lambda d: resized(d, False, (d.flag(),)),
    "bilinear_resize_backward": lambda d: resized(d, True, (d.flag(),)),
    "grid_sample2d_forward": lambda d: placed(d, 2, "forward"),
    "grid_sample3d_forward": lambda d: placed(d, 3, "forward"),
    "grid_sample2d_backward_input": lambda d: placed(d, 2, "input"),
    "grid_sample3d_backward_input": lambda d: placed(d, 3, "input"),
    "grid_sample2d_backward_grid": lambda d: placed(d, 2, "grid"),
    "grid_sample3d_backward_grid": lambda d: placed(d, 3, "grid"),
    "pad_box": padded,
    "concat_first": wider,
    "concat_next": joined,
    "transpose": lambda d: (d.array(d.pick((2, 1, 0)), d.pick(CHANNELS), d.pick(CHANNELS)),),
    "gather_strided": gathered,
    "fill": lambda d: ((d.pick(LINE),), 0.5),
    "add_channels": lambda d: of_rows(d, 1, "bias"),
    "conv2d_gemm conv2d_relu": lambda d: product(d, "forward"),
    "conv2d_gemm_input": lambda d: product(d, "input"),
    "conv2d_gemm_weight": lambda d: product(d, "weight"),
    "depthwise2d_forward": lambda d: depthwise(d, "forward"),
    "depthwise2d_backward_input": lambda d: depthwise(d, "input"),
    "depthwise2d_backward_weight": lambda d: depthwise(d, "weight"),
    "matrix_product": matrix_product,
    "bf16_conv2d_gemm bf16_conv2d_relu": lambda d: bf16_product(d, "forward", product(d, "forward")),
    "bf16_conv2d_gemm_input": lambda d: bf16_product(d, "input", product(d, "input")),
    "bf16_conv2d_gemm_weight": lambda d: bf16_product(d, "weight", product(d, "weight")),
    "bf16_conv3d_gemm": lambda d: bf16_product(d, "forward", LINES["conv3d_gemm"](d)),
    "bf16_conv3d_gemm_input": lambda d: bf16_product(d, "input", LINES["conv3d_gemm_input"](d)),
    "bf16_conv3d_gemm_weight": lambda d: bf16_product(d, "weight", LINES["conv3d_gemm_weight"](d)),
    "bf16_matrix_product": lambda d: bf16_lines(d, matrix_product(d)),
    "bf16_batched_product": lambda d: bf16_lines(d, LINES["batched_product"](d)),
    "bf16_pixels": lambda d: (d.array(d.pick((2, 0)), 2 * d.pick(CHANNELS), d.pick(SIDES), d.pick(SIDES)), 2),
    "bf16_filters": lambda d: (d.array(2 * d.pick(CHANNELS), d.pick(CHANNELS), d.pick((3, 1)), d.pick((3, 1))), 2),
    "bf16_lines": lambda d: (d.matrix(),),
    "batch_norm_moments": moments,
    "batch_norm_map": lambda d: (*of_rows(d, 1, "mean", "var", "weight?", "bias?")[1:], 1e-5),
    "batch_norm_apply batch_norm_relu bf16_norm bf16_norm_relu": lambda d: of_rows(d, 1, "map"),
    "batch_norm_add_relu": lambda d: (lambda x, z, m: (x, m, z))(*of_rows(d, 2, "map")),
    "batch_norm_sums": lambda d: (*of_rows(d, 2, "weight?", "mean", "rstd"), d.flag()),
    "relu_batch_norm_sums": lambda d: (*of_rows(d, 3, "weight?", "mean", "rstd"), d.flag()),
    "batch_norm_apply_gradient bf16_norm_gradient": lambda d: (*of_rows(d, 2, "mean", "map"), d.flag()),
    "rnn_forward": lambda d: recurrence(d, 1, False),
    "rnn_backward": lambda d: recurrence(d, 1, True),
    "gru_forward": lambda d: recurrence(d, 3, False),
    "gru_backward": lambda d: recurrence(d, 3, True),
    "lstm_forward": lambda d: recurrence(d, 4, False),
    "lstm_backward": lambda d: recurrence(d, 4, True),
    "lstm_gates_forward": lambda d: four_gates(d, False),
    "lstm_gates_backward": lambda d: four_gates(d, True),
    "sgd_step": lambda d: updated(d, 2, 4),
    "momentum_step": lambda d: (*updated(d, 3, 4), d.flag()),
    "adam_step": lambda d: (*updated(d, 4, 8), d.flag()),
    "adagrad_step": lambda d: updated(d, 3, 3),
    "rmsprop_step": rmsprop,
    "sgd_flat": lambda d: flat(d, 2, 4),
    "momentum_flat": lambda d: (*flat(d, 3, 4), d.flag()),
    "adam_flat": lambda d: (*flat(d, 4, 8), d.flag()),
    "advance_steps": lambda d: (d.integers(n := d.pick(LINE)), d.integers(n, high=2)),
    "sgd_rows adagrad_rows": steps,
    "adam_rows": lambda d: (*steps(d), d.flag()),
    "rmsprop_row": lambda d: steps(d)[1:],
    **LINES,
    **FUNCTIONS,
    **{name: lambda d, name=name: pictured(d, name) for name in LAUNCHERS},
}
