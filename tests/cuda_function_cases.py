"""Arguments for launchers of functions, optimisers, losses, bits, views and windows: the third part of CASES."""

from collections.abc import Callable
from typing import Any

import numpy as np
from cuda_line_cases import alike, lines, with_each

from tinymed.cuda.resample import bits
from tinymed.ops.space import slides


def beside_number(d: Any, count: int) -> tuple[Any, ...]:
    """Lines of one length, of which the last two are operands: one of them may be a number instead."""
    *xs, a, b = d.lines(count)
    which = d.pick((0, 1, 2))
    return *xs, None if which == 1 else a, None if which == 2 else b, 0.5 if which else 0.0


def doubles(d: Any, n: int) -> Any:
    """The bits of float64 numbers."""
    return d.array(n).astype(np.float64).view(np.int64)


def counted(d: Any, kept: int, active: bool = False) -> tuple[Any, ...]:
    """(numbers kept of each parameter, step counts, perhaps which are active, a group's numbers)."""
    n = d.pick((5, 1, 257, 0))
    t = d.integers(n)
    return *(doubles(d, n) for _ in range(kept)), t, *([d.integers(n, high=2)] if active else []), doubles(d, 8)


def stepped(d: Any, arrays: int, rates: int) -> tuple[Any, ...]:
    return *d.lines(arrays), d.array(rates)


def of_targets(d: Any) -> tuple[Any, Any, Any]:
    """(x, target, weight) of rows of classes; a target may be ignored or name no class."""
    x = d.matrix()
    target = d.integers(len(x), high=x.shape[1])
    target[::5], target[3::7] = -100, x.shape[1] + 1000
    return x, target, d.maybe(x.shape[1])


def likelihood_gradient(d: Any) -> tuple[Any, ...]:
    x, target, weight = of_targets(d)
    dy = d.array(*d.pick(((1,), (len(x),))))
    return dy, target, weight, d.array() if d.flag() else None, x.shape, -100


def labelled(d: Any, backward: bool) -> tuple[Any, ...]:
    """Rows of classes, and the labels that each lists before a -1."""
    x = d.array(d.pick((5, 1, 33, 0)), d.pick((4, 1, 17)))
    target = d.integers(*x.shape, high=x.shape[1] + 1) - 1
    return (d.array(len(x)), x, target) if backward else (x, target)


def reduced_target(d: Any, optional: int) -> tuple[Any, ...]:
    (x,) = d.lines()
    return d.array(*d.pick(((), x.shape))), x, *(d.maybe(x.size) for _ in range(optional)), 0.5


def combined_bits(d: Any, low: int, high: int, operations: int, dtype: Any) -> tuple[Any, ...]:
    n = d.pick((7, 0, 300))
    a, b = (np.asarray(d.rng.integers(low, high, n)).astype(dtype) for _ in range(2))
    return a, b if d.flag() else None, 1, d.pick(range(operations))


def matched(d: Any) -> tuple[Any, ...]:
    """(dy, index, n): one place of n for each number."""
    n, dy = d.pick((5, 1, 33)), d.array(d.pick((3, 1)), d.pick((7, 1, 300, 0)))
    return dy, d.integers(*dy.shape, high=n), n


def unpooled(d: Any) -> tuple[Any, ...]:
    """(x, index, size), where places may be named twice and from the end."""
    x, size = d.array(d.pick((3, 1, 0)), d.pick((5, 1, 300))), d.pick((9, 1, 600))
    return x, d.integers(*x.shape, high=size) - d.pick((0, size)), size


def placed_maxima(d: Any, dtype: Any) -> tuple[Any, ...]:
    """Numbers of taps, and the windows that they belong to."""
    rank = d.pick((2, 3))
    kernel = tuple(d.pick((2, 1, 3)) for _ in range(rank))
    shape = d.pick((2, 0)), d.pick((3, 1, 17)), *(d.pick((4, 1, 5)) for _ in range(rank))
    index = d.integers(*shape, high=int(np.prod(kernel))).astype(dtype)
    return index, (9,) * rank, kernel, (2,) * rank, (1,) * rank, (1,) * rank


def put(d: Any) -> tuple[Any, ...]:
    """(line, value, shape, strides, start): to every second column of some rows, perhaps from the last on."""
    rows, columns, backwards = d.pick((3, 1, 7)), d.pick((5, 1, 40, 0)), d.flag()
    width = 2 * columns + 3
    start = (rows - 1) * width + 1 if backwards else 1
    return d.array(rows * width), d.array(rows, columns), (rows, columns), (-width if backwards else width, 2), start


def sliced(d: Any) -> tuple[Any, ...]:
    """(dy, shape, start, step, count)."""
    axes = []
    for _ in range(d.pick((2, 1, 3, 0))):
        n = d.pick((5, 1, 17))
        start, stop, step = slice(*d.pick(((None, None, 2), (1, None, 1), (None, None, -1), (0, 1, 1)))).indices(n)
        axes.append((n, start, step, len(range(start, stop, step))))
    shape, start, step, count = zip(*axes, strict=True) if axes else ((), (), (), ())
    return d.array(*count), shape, start, step, count


def going_round(d: Any) -> tuple[Any, ...]:
    x = d.array(*(d.pick((3, 1, 17)) for _ in range(d.pick((2, 1, 4, 0)))))
    offsets = tuple(int(d.rng.integers(0, n)) for n in x.shape)
    return x, tuple(n * d.pick((1, 2)) for n in x.shape), offsets


def diagonal(d: Any) -> tuple[Any, ...]:
    shape, offset = (d.pick((3, 1, 0)), d.pick((5, 1, 33)), d.pick((4, 1, 40))), d.pick((0, 2, -3))
    row, column = max(0, -offset), max(0, offset)
    length = max(0, min(shape[1] - row, shape[2] - column))
    return d.array(shape[0], length), shape, row, column


def slid(d: Any) -> tuple[Any, ...]:
    """(dy, n, step) of windows of one axis."""
    n, step = d.pick((9, 1, 40)), d.pick((1, 2, 5))
    size = d.pick(range(1, min(n, 5) + 1))
    windows = (n - size) // step + 1
    return d.array(d.pick((3, 1, 0)), windows, d.pick((4, 1, 33)), size), n, step


def blocks(d: Any, backward: bool) -> tuple[Any, ...]:
    """Planes, and how blocks lie on them."""
    planes, space = d.pick((4, 1, 0)), (d.pick((7, 5, 13)), d.pick((6, 9)))
    kernel, dilation = (d.pick((2, 1, 3)), d.pick((3, 1))), (d.pick((1, 2)), 1)
    padding, stride = (d.pick((0, 1)), 1), (d.pick((1, 2)), d.pick((3, 1)))
    counts = slides(space, kernel, stride, tuple((p, p) for p in padding), dilation)
    how = kernel, dilation, padding, stride, tuple(counts)
    if not backward:
        return d.array(planes, *space), *how
    return d.array(planes, kernel[0] * kernel[1], counts[0] * counts[1]), (planes, *space), *how


def resampled(d: Any) -> tuple[Any, ...]:
    """(lines, the length wanted, filter, step)."""
    x, size = d.array(d.pick((2, 1, 0)), d.pick((5, 1, 17)), d.pick((3, 1, 35))), d.pick((7, 1, 30))
    return x, size, d.pick(range(4)), bits((x.shape[1] / size,))[0]


def resampled_back(d: Any) -> tuple[Any, ...]:
    x, size, mode, _ = resampled(d)
    return d.array(x.shape[0], size, x.shape[2]), x.shape[1], mode, bits((x.shape[1] / size,))[0]


NORMS = ((0.0, 0), (1.0, 1), (2.0, 2), (np.inf, 3), (-np.inf, 4), (1.5, 5))


def masked(d: Any) -> tuple[Any, ...]:
    """(dy, x, mean, map, training, y) of batch norm's gradient and the ReLU before it."""
    dy, x, y = d.matrices(3)
    c = x.shape[1]
    return dy, x, d.array(c), d.array(3, c), d.flag(), y


def rows_and(d: Any, before: int, *after: int) -> tuple[Any, ...]:
    """Matrices of one shape, then arrays of so many numbers a channel."""
    xs = d.matrices(before)
    c = xs[0].shape[1]
    return *xs, *(d.array(*((n, c) if n > 1 else (c,))) for n in after)


def dropped(d: Any) -> tuple[Any, ...]:
    """A gradient, a ticket and its numbers, and what batch norm has kept."""
    dy, x, *kept = rows_and(d, 2, 1, 1, 1)
    return dy, d.words(), 1 << 15, 2.0, x, *kept, d.flag(), d.flag()


def pooled(d: Any, mixed: bool = False) -> tuple[Any, ...]:
    """A convolution and the size of its map after pooling."""
    from cuda_cases import bf16_product, product

    made = product(d, "forward")
    size = made[3]
    return *(bf16_product(d, "forward", made) if mixed else made), tuple(n // 2 for n in size)


def added(d: Any) -> tuple[Any, ...]:
    """A convolution, and a map of its shape."""
    from cuda_cases import product

    x, weight, bias, size, *how = product(d, "forward")
    return x, weight, bias, d.array(x.shape[0], weight.shape[0], *size), size, *how, d.flag()


def unpooled_2x2(d: Any) -> tuple[Any, ...]:
    """A pooled gradient, its argmax, and the shape of the map."""
    n, c, h, w = d.pick((1, 2)), 2 * d.pick((1, 4, 5)), d.pick((2, 5)), d.pick((3, 4))
    dy = d.array(n, c, h // 2, w // 2)
    return dy, (np.abs(dy) * 7 % 4).astype(np.uint8), (n, c, h, w), 2


CASES: dict[str, Callable[[Any], tuple[Any, ...]]] = {
    "add_relu bf16_add": lambda d: tuple(d.lines(2)),
    "bf16_norm_add_relu": lambda d: (lambda x, z, m: (x, m, z))(*rows_and(d, 2, 3)),
    "add_relu_batch_norm_sums": lambda d: (*rows_and(d, 4, 1, 1, 1), d.flag()),
    "dropout_batch_norm_sums": dropped,
    "batch_norm_relu_backward_sums": lambda d: (*rows_and(d, 2, 3, 1, 1, 1), d.flag()),
    "batch_norm_relu_backward": lambda d: (*rows_and(d, 2, 3, 1, 3), d.flag()),
    "norm_gradient_relu_sum": lambda d: (*masked(d), d.flag()),
    "fold_norm_filter": lambda d: (d.array(5, 3, 2, 2), d.array(5), d.array(3, 5)),
    "conv2d_relu_pool": pooled,
    "bf16_conv2d_relu_pool": lambda d: pooled(d, True),
    "conv2d_add": added,
    "bf16_unpool_pixels": unpooled_2x2,
    "batch_norm_dropout": lambda d: (x := d.matrix(), d.array(3, x.shape[1]), d.words(), 1 << 15, 2.0, d.flag()),
    "norm_gradient_relu": masked,
    "pair_function": lambda d: (*beside_number(d, 2), d.pick(range(9))),
    "pair_slope": lambda d: (*beside_number(d, 3), d.pick(range(4))),
    "atan2_gradient fmax_gradient": lambda d: beside_number(d, 3),
    "clamp_between_forward": lambda d: d.lines(3),
    "clamp_between_gradient": lambda d: (*d.lines(4), d.flag()),
    "analytic_function": lambda d: (*d.lines(), d.pick(range(16))),
    "analytic_slope": lambda d: (*d.lines(3), d.pick(range(12))),
    "logit_between": lambda d: (*d.lines(), 0.2, 0.8),
    "logit_gradient": lambda d: (*d.lines(2), 0.2, 0.8, d.flag()),
    "erfinv_forward luma_floats": lambda d: (d.array(d.pick((33, 1, 0, 300)), 3),),
    "erfinv_backward": lambda d: d.lines(2),
    "take_ticket": lambda d: (d.words(),),
    "alpha_drop": lambda d: (d.matrix(), d.words(), 1 << 15, 1.1, 0.2, -0.5),
    "alpha_drop_channels": lambda d: (d.image(), d.words(), 1 << 15, 1.1, 0.2, -0.5),
    "amsgrad_step": lambda d: (*stepped(d, 5, 8), d.flag()),
    "nadam_step radam_step": lambda d: (*stepped(d, 4, 8), d.flag()),
    "adamax_step": lambda d: stepped(d, 4, 6),
    "adadelta_step rprop_step": lambda d: stepped(d, 4, 4),
    "asgd_step": lambda d: stepped(d, 3, 4),
    "adamax_rows": lambda d: counted(d, 0),
    "nadam_product": lambda d: counted(d, 1, active=True),
    "nadam_rows": lambda d: (lambda product, t, hyper: (t, hyper, product, d.flag()))(*counted(d, 1)),
    "radam_rows": lambda d: (*counted(d, 0), d.flag()),
    "asgd_numbers": lambda d: counted(d, 2, active=True),
    "asgd_rows": lambda d: (lambda eta, mu, t, hyper: (t, hyper, eta, mu))(*counted(d, 2)),
    "group_numbers": lambda d: (doubles(d, 5), d.pick((0, 1))),
    "bce_target_gradient": lambda d: reduced_target(d, 1),
    "bce_logits_target_gradient": lambda d: reduced_target(d, 2),
    "nll_rows": lambda d: (*of_targets(d), -100),
    "nll_gradient": likelihood_gradient,
    "multilabel_margin_rows": lambda d: labelled(d, backward=False),
    "multilabel_margin_gradient": lambda d: labelled(d, backward=True),
    "bitwise_bools": lambda d: combined_bits(d, 0, 2, 3, bool),
    "bitwise_longs": lambda d: combined_bits(d, -70, 70, 5, np.int64),
    "product_of_lines_backward": lambda d: with_each(d)[::-1],
    "variance_of_lines_backward": lambda d: (*with_each(d)[::-1], 3.0),
    "truth_of_lines": lambda d: (lines(d), d.flag()),
    "truth_of_bools": lambda d: (lines(d) > 0.9, d.flag()),
    "norm_of_lines": lambda d: (lines(d), *d.pick(NORMS)),
    "norm_of_lines_backward": lambda d: (lambda x, dy, y: (dy, x, y, *d.pick((NORMS[1], NORMS[2], NORMS[5]))))(
        *with_each(d, 2)
    ),
    "put_each": matched,
    "unpool_planes": unpooled,
    "adaptive_max_pool_forward": lambda d: (
        (d.image(), (d.pick((3, 1)), 2)) if d.flag() else (d.array(d.pick((2, 0)), 3, 4, 5, 3), (d.pick((2, 5)), 3, 1))
    ),
    "positions_of_bytes": lambda d: placed_maxima(d, np.uint8),
    "positions_of_words": lambda d: placed_maxima(d, np.int32),
    "put_strided": put,
    "put_slices": sliced,
    "go_round": going_round,
    "triangle_of_matrices": lambda d: (
        d.array(d.pick((3, 1, 0)), d.pick((5, 1, 33)), d.pick((4, 1, 40))),
        d.pick((0, 2, -3, 900)),
        d.flag(),
    ),
    "diagonal_of_matrices": diagonal,
    "windows_of_lines_backward": slid,
    "unfold_planes": lambda d: blocks(d, backward=False),
    "unfold_planes_backward": lambda d: blocks(d, backward=True),
    "resample_line": resampled,
    "resample_line_backward": resampled_back,
    "follow_statistics": lambda d: (*alike(d, 4), 0.1),
}
