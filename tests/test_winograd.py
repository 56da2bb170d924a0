"""Winograd's convolution: its matrices, its transforms, three directions over awkward shapes, accuracy, the chooser."""

import os
import subprocess
import sys
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from instruments import Conv, guarded, machine_code, normal

from tinymed import dispatch
from tinymed.cpu.convolution import choose
from tinymed.cpu.simd import tile, vectors, winograd_products
from tinymed.cpu.simd.winograd_transforms import MATRICES, PARAMETERS, emitter, transposed, winograd_matrices
from tinymed.precision import use_precision

FORCED = ("direct", "winograd2", "winograd4")
ONE = (1, 1)


def relative(actual, expected):
    """Largest error over largest value; NaN where NaN leaked in."""
    assert actual.shape == expected.shape
    return float(np.abs(actual - expected).max(initial=0) / max(np.abs(expected).max(initial=0), 1e-30))


# ------------------------------------------------------------------------------------------------- the transforms


@pytest.mark.parametrize(
    ("points", "taps"),
    [((0, 1, -1), 3), ((0, 1, -1, 2, -2), 3), ((0, 1, -1, 2), 3), ((0, 1), 2), ((0, 1, -1, 2, -2, 3), 5)],
)
def test_matrices_give_a_filter_exactly(points, taps):
    """For each unit signal and unit filter: A^T [(G g) * (B^T d)] is the correlation, in exact arithmetic."""
    signal, filter, inverse = winograd_matrices(points, taps)
    for a in range(taps):
        for b in range(len(signal)):
            y = [sum(row[q] * filter[q][a] * signal[q][b] for q in range(len(signal))) for row in inverse]
            assert y == [Fraction(i + a == b) for i in range(len(signal) + 1 - taps)]


def test_bias_enters_at_the_point_one():
    """conv_winograd starts the products of point (1, 1) with the bias: that must reach every pixel, once."""
    for m in (2, 4):
        assert all(row[1] == 1 for row in MATRICES[m].inverse)


SHAPES = [vectors.Shape(6, 2, 8, True), vectors.Shape(4, 2, 4, False), vectors.SHAPE, vectors.DOUBLE]


def written(emit, shape):
    """The function of a shape, as `machine_code` takes it, and the dtype of its numbers."""
    return (lambda builder, arguments: emit(builder, arguments, shape)), np.dtype("f8" if shape.double else "f4")


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("m", [2, 4])
def test_transforms_of_every_instruction_set(shape, m):
    """At a corner, at an edge and inside of an image, for parts of a vector of channels and for several."""
    signal, filter, inverse = MATRICES[m]
    for matrix, gather in (
        (signal, True),
        (filter, True),
        (transposed(inverse), True),
        (inverse, False),
        (transposed(filter), False),
    ):
        emit, dtype = written(emitter(matrix, gather), shape)
        square = machine_code(PARAMETERS, emit)
        rng, (rows, columns), exact = np.random.default_rng(0), np.shape(matrix), np.array(matrix, float)
        for channels, i, j in ((1, -1, -1), (shape.lanes, 0, 2), (2 * shape.lanes + 1, 3, 1), (shape.lanes, 4, -2)):
            room, h, w = -(-channels // shape.lanes) * shape.lanes, 6, 5
            with guarded() as guards:
                image = guards.place(normal(rng, h, w, channels).astype(dtype))
                other = guards.place(np.zeros(columns * channels, dtype))
                planes = guards.place(normal(rng, (rows if gather else columns) ** 2, room).astype(dtype))
                around = np.pad(image, ((9, 9), (9, 9), (0, 0))).astype(float)
                square(
                    image.ctypes.data,
                    h,
                    w,
                    dtype.itemsize * channels,
                    other.ctypes.data,
                    i,
                    j,
                    planes.ctypes.data,
                    dtype.itemsize * room,
                    channels,
                )
                side = columns if gather else rows
                here = slice(9 + i, 9 + i + side), slice(9 + j, 9 + j + side)
                source = around[here] if gather else planes[:, :channels].reshape(columns, columns, channels)
                expected = np.einsum("ia,abc,jb->ijc", exact, source, exact)
                if gather:
                    assert relative(planes[:, :channels].reshape(rows, rows, channels), expected) < 5e-7
                else:
                    around[here] = expected
                    assert relative(image, around[9:-9, 9:-9]) < 5e-7


def spread(pooled, winners):
    """The map that max-pooling's gradient writes: a value at the pixel that won."""
    h, w, channels = pooled.shape
    full = np.zeros((h, 2, w, 2, channels))
    for q in range(4):
        full[:, q // 2, :, q % 2] = np.where(winners == q, pooled, 0)
    return full.reshape(2 * h, 2 * w, channels)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("m", [2, 4])
def test_transforms_of_pooled_pixels(shape, m):
    """Reading gradients where they lie in windows; writing only the largest of ReLU of each window."""
    signal, _, inverse = MATRICES[m]
    for matrix, gather, parity in (
        (signal, True, 0),
        (signal, True, 1),
        (transposed(inverse), True, 0),
        (inverse, False, 0),
    ):
        emit, dtype = written(emitter(matrix, gather, parity), shape)
        square = machine_code([*PARAMETERS, "index"], emit)
        rng, (rows, columns), exact = np.random.default_rng(0), np.shape(matrix), np.array(matrix, float)
        for channels, i, j in ((1, -1, -1), (shape.lanes, 0, 1), (2 * shape.lanes + 1, 2, 0), (3, 1, 2)):
            room, h, w, side = -(-channels // shape.lanes) * shape.lanes, 3, 4, columns if gather else rows
            with guarded() as guards:
                image = guards.place(normal(rng, h, w, channels).astype(dtype))
                other = guards.place(np.zeros(4 * channels, dtype))
                index = guards.place(rng.integers(0, 4, (h, w, channels)).astype(np.uint8))
                planes = guards.place(normal(rng, (rows if gather else columns) ** 2, room).astype(dtype))
                around = np.pad(spread(image, index), ((9, 9), (9, 9), (0, 0)))
                kept = image.copy(), index.copy()
                square(
                    image.ctypes.data,
                    h,
                    w,
                    dtype.itemsize * channels,
                    other.ctypes.data,
                    i,
                    j,
                    planes.ctypes.data,
                    dtype.itemsize * room,
                    channels,
                    index.ctypes.data,
                )
                top, left = 9 + 2 * i + parity, 9 + 2 * j + parity
                if gather:
                    source = around[top : top + side, left : left + side]
                else:
                    source = planes[:, :channels].reshape(columns, columns, channels)
                expected = np.einsum("ia,abc,jb->ijc", exact, source, exact)
                if gather:
                    assert relative(planes[:, :channels].reshape(rows, rows, channels), expected) < 5e-7
                    continue
                windows = np.maximum(expected, 0).reshape(m // 2, 2, m // 2, 2, channels).transpose(0, 2, 4, 1, 3)
                windows = windows.reshape(m // 2, m // 2, channels, 4)
                for r, s in np.ndindex(h, w):
                    inside = 0 <= r - i < m // 2 and 0 <= s - j < m // 2
                    values = windows[r - i, s - j] if inside else None
                    assert relative(image[r, s], kept[0][r, s] if values is None else values.max(-1)) < 1e-6
                    assert np.array_equal(index[r, s], kept[1][r, s] if values is None else values.argmax(-1))


@pytest.mark.parametrize("start", ["zeros", "what y holds", "a vector"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_products_of_every_instruction_set(shape, start):
    """Rows of tiles, far apart, and rows of channels, side by side; what is fetched may be anywhere."""
    emit, dtype = written(winograd_products.emit_product, shape)
    product = machine_code(winograd_products.PARAMETERS, emit)
    rng, size = np.random.default_rng(0), dtype.itemsize
    wide = vectors.TILE_COLUMNS * vectors.BYTES // size
    for groups, count, tail in ((1, 1, 1), (3, 5, shape.lanes), (2, 17, shape.lanes - 1)):
        rows, columns = groups * shape.rows, (shape.vectors - 1) * shape.lanes + tail
        for by_row in (True, False):
            with guarded() as guards:
                x = guards.place(normal(rng, *((rows, count) if by_row else (count, rows))).astype(dtype))
                w, y, bias = (
                    guards.place(normal(rng, *s).astype(dtype)) for s in ((count, wide), (rows, wide), (columns,))
                )
                before = y.copy()
                begin = {"zeros": tile.ZERO, "what y holds": tile.ACCUMULATE}.get(start, bias.ctypes.data)
                row, step = (size * count, size) if by_row else (size, size * rows)
                product(x.ctypes.data, row, step, w.ctypes.data, y.ctypes.data, begin, tail, count, groups, 0, -1, 64)
                expected = (x if by_row else x.T).astype(float) @ w
                expected += {"zeros": 0, "what y holds": before}.get(start, np.pad(bias, (0, wide - columns)))
                assert relative(y[:, :columns], expected[:, :columns]) < 5e-7
                assert np.array_equal(y[:, columns:], before[:, columns:])


# ------------------------------------------------------------------------------------------------ three directions


def bound(algorithm, direction):
    return (5e-5 if direction == "weight" else 2e-5) if algorithm == "winograd4" else 2e-6


SIDES = st.tuples(st.integers(1, 13), st.integers(1, 13))
CHANNELS = st.sampled_from([1, 3, 17, 33, 64])
PADDING = st.tuples(*[st.tuples(st.integers(0, 2), st.integers(0, 2))] * 2)


@pytest.mark.parametrize("algorithm", FORCED)
@settings(max_examples=20)
@given(n=st.integers(1, 3), c=CHANNELS, k=CHANNELS, size=SIDES, padding=PADDING)
@example(n=70, c=3, k=33, size=(4, 5), padding=((1, 1), (1, 1)))  # many blocks of tiles
@example(n=2, c=64, k=64, size=(26, 26), padding=((1, 1), (1, 1)))
@example(n=1, c=64, k=300, size=(30, 31), padding=((0, 0), (1, 1)))  # sums that leave L2, filters in parts
@example(n=1, c=5, k=7, size=(3, 3), padding=((4, 3), (3, 5)))  # more padding than filter: dy is cropped
def test_three_directions_over_awkward_shapes(algorithm, n, c, k, size, padding):
    size = tuple(max(s, 3 - sum(p)) for s, p in zip(size, padding, strict=True))
    rng, how = np.random.default_rng(1), (ONE, padding, ONE, 1)
    x, weight, bias = normal(rng, n, c, *size), normal(rng, k, c, 3, 3), normal(rng, k)
    expected, numba = Conv(x, weight, *how), dispatch.table("numba")
    with use_precision("tf32"), choose.use_algorithm(algorithm), guarded() as guards:
        dy = guards.place(normal(rng, n, k, *expected.out), "image")
        xs, ws, bs = guards.place(x, "image"), guards.place(weight, "filter"), guards.place(bias)
        y = numba.conv2d_forward(xs, ws, bs, *how)
        assert relative(y, expected.forward(bias)) < bound(algorithm, "forward")
        assert relative(numba.conv2d_forward(xs, ws, None, *how), expected.forward(0 * bias)) < 2e-5
        dx, dw = expected.backward(dy)
        assert relative(numba.conv2d_backward_input(dy, ws, x.shape, *how), dx) < bound(algorithm, "input")
        assert relative(numba.conv2d_backward_weight(dy, xs, weight.shape, *how), dw) < bound(algorithm, "weight")


def test_empty_batch():
    numba, how = dispatch.table("numba"), (ONE, (ONE, ONE), ONE, 1)
    x, w = np.zeros((0, 3, 5, 5), np.float32), np.ones((4, 3, 3, 3), np.float32)
    for algorithm in FORCED:
        with use_precision("tf32"), choose.use_algorithm(algorithm):
            y = numba.conv2d_forward(x, w, None, *how)
            assert y.shape == (0, 4, 5, 5)
            assert numba.conv2d_backward_input(y, w, x.shape, *how).shape == x.shape
            assert (numba.conv2d_backward_weight(y, x, w.shape, *how) == 0).all()


def test_a_nan_stays_in_the_tile_it_went_into():
    """Elsewhere nothing may be lost: the lines of zeros and of waste beside the tiles are shared by all."""
    x, w = np.ones((1, 16, 9, 9), np.float32), np.ones((16, 16, 3, 3), np.float32)
    x[0, 3, 8, 8] = np.nan
    for algorithm in FORCED:
        with use_precision("tf32"), choose.use_algorithm(algorithm):
            y = dispatch.table("numba").conv2d_forward(x, w, None, ONE, (ONE, ONE), ONE, 1)
        assert np.isnan(y[:, :, 7:, 7:]).all()
        assert not np.isnan(y[:, :, :4, :]).any()


@pytest.mark.parametrize(("n", "c", "k", "side"), [(32, 32, 64, 32), (8, 128, 64, 14), (2, 256, 256, 14)])
def test_accuracy_against_float64_and_pytorch(n, c, k, side):
    """On shapes of real networks: the bounds of `exact` and `tf32`; exact weight gradients within twice PyTorch's."""
    torch = pytest.importorskip("torch")
    rng, how = np.random.default_rng(3), (ONE, (ONE, ONE), ONE, 1)
    x, w, dy = normal(rng, n, c, side, side), normal(rng, k, c, 3, 3), normal(rng, n, k, side, side)
    tensors = [torch.from_numpy(a) for a in (dy, x, w)]
    rest = None, [1, 1], [1, 1], [1, 1], False, [0, 0], 1, [True, True, False]
    exact = [a.numpy() for a in torch.ops.aten.convolution_backward(*(t.double() for t in tensors), *rest)[:2]]
    theirs = relative(torch.ops.aten.convolution_backward(*tensors, *rest)[1].numpy(), exact[1])
    y = torch.nn.functional.conv2d(*(t.double() for t in tensors[1:]), padding=1).numpy()
    numba = dispatch.table("numba")
    for precision, near, far in (("exact", 2e-6, 2 * theirs), ("tf32", 2e-5, 5e-5)):
        for algorithm in (None, *FORCED):
            with use_precision(precision), choose.use_algorithm(algorithm):
                assert relative(numba.conv2d_forward(x, w, None, *how), y) < near
                assert relative(numba.conv2d_backward_input(dy, w, x.shape, *how), exact[0]) < near
                assert relative(numba.conv2d_backward_weight(dy, x, w.shape, *how), exact[1]) < far


PROGRAM = """
import hashlib, numba, numpy as np
from tinymed import dispatch
from tinymed.cpu.convolution import choose
k, rng = dispatch.table("numba"), np.random.default_rng(0)
normal = lambda *s: rng.standard_normal(s, dtype=np.float32)
for threads in (1, 2):
    numba.set_num_threads(threads)
    digest, rng = hashlib.sha256(), np.random.default_rng(0)
    for name in ("winograd2", "winograd4"):
        for n, c, filters, side in ((9, 24, 40, 17), (1, 64, 160, 9), (5, 64, 128, 21)):
            how = ((1, 1), ((1, 1), (1, 0)), (1, 1), 1)
            x, w = normal(n, c, side, side), normal(filters, c, 3, 3)
            with choose.use_algorithm(name):
                y = k.conv2d_forward(x, w, None, *how)
                dx = k.conv2d_backward_input(y, w, x.shape, *how)
                dw = k.conv2d_backward_weight(y, x, w.shape, *how)
            for a in (y, dx, dw):
                digest.update(np.ascontiguousarray(a).tobytes())
    print(digest.hexdigest())
"""


def test_one_and_two_threads_give_the_same_bits():
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "NUMBA_NUM_THREADS": "2", "TINYMED_PRECISION": "tf32"},
    )
    assert done.returncode == 0, done.stderr
    one, two = done.stdout.split()
    assert one == two


# ------------------------------------------------------------------------------------------------------ the chooser


IMAGES, FILTER = (128, 64, 32, 32), (64, 64, 3, 3)


def test_exact_forbids_four_by_four():
    for direction in choose.DIRECTIONS:
        with use_precision("tf32"):
            assert choose.choose(direction, IMAGES, FILTER, padding=(ONE, ONE)) == "winograd4"
        for name in (None, *FORCED):
            with use_precision("exact"), choose.use_algorithm(name):
                assert choose.choose(direction, IMAGES, FILTER, padding=(ONE, ONE)) != "winograd4"


@pytest.mark.parametrize(
    ("weight", "how", "expected"),
    [
        ((64, 64, 5, 5), {}, "direct"),
        ((64, 64, 1, 1), {}, "direct"),
        (FILTER, {"stride": (2, 2)}, "direct"),
        (FILTER, {"dilation": (1, 2)}, "direct"),
        ((64, 32, 3, 3), {"groups": 2}, "direct"),
        ((64, 1, 3, 3), {"groups": 64}, "depthwise"),
        ((128, 1, 3, 3), {"groups": 64}, "direct"),  # two filters to a channel
    ],
)
def test_what_winograd_cannot_do(weight, how, expected):
    for name in (None, *FORCED):
        with use_precision("tf32"), choose.use_algorithm(name):
            assert {choose.choose(d, IMAGES, weight, **how) for d in choose.DIRECTIONS} == {expected}


def test_little_work_is_plain():
    """Up to so many multiply-adds, whatever slides how; one more, and it is not."""
    little = choose.LITTLE // (8 * 9)
    how = {"stride": (2, 2), "dilation": (1, 2), "padding": (ONE, (2, 2)), "groups": 2}
    for n, expected in ((little, "naive"), (little + 1, "direct")):
        for direction in choose.DIRECTIONS:
            assert choose.choose(direction, (n, 4, 2, 2), (4, 2, 3, 3), **how) == expected
    with choose.use_algorithm("naive"):
        assert choose.choose("forward", IMAGES, FILTER) == "naive"


@pytest.mark.parametrize(
    ("images", "channels", "side", "expected"),
    [
        (1, 128, 28, "winograd4"),
        (1, 256, 14, "winograd2"),  # F(4x4) would have 9 MB of transformed filter for 16 tiles
        (1, 512, 7, "direct"),
        (8, 512, 7, "winograd4"),  # the same filter serves eight images
    ],
)
def test_a_large_transformed_filter_wants_many_tiles(images, channels, side, expected):
    how = {"padding": (ONE, ONE)}
    with use_precision("tf32"):
        assert choose.choose("forward", (images, channels, side, side), (channels, channels, 3, 3), **how) == expected


def test_forcing_is_undone_and_checked():
    with use_precision("tf32"):
        before = choose.choose("forward", IMAGES, FILTER)
        with choose.use_algorithm("direct"):
            assert choose.choose("forward", IMAGES, FILTER) == "direct"
            with choose.use_algorithm(None):
                assert choose.choose("forward", IMAGES, FILTER) == before
        assert choose.choose("forward", IMAGES, FILTER) == before
    with pytest.raises(ValueError, match=r"fft.*direct, winograd2, winograd4"):
        choose.use_algorithm("fft")
    with pytest.raises(ValueError, match=r"backwards.*forward, input, weight"):
        choose.choose("backwards", IMAGES, FILTER)
    code = (
        "from tinymed.cpu.convolution import choose; print(choose.choose('forward', (8, 64, 32, 32), (64, 64, 3, 3)))"
    )
    for name, expected in (("direct", "direct"), ("winograd2", "winograd2"), ("", "winograd4")):
        done = subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "TINYMED_CONV": name, "TINYMED_PRECISION": "tf32"},
        )
        assert done.stdout.strip() == expected


def test_the_composites_follow_the_chooser():
    calls = []

    class Watch(dispatch.Observer):
        def after(self, dispatcher, kernel, args, outs):
            calls.append(dispatcher.name)

    rng, how = np.random.default_rng(0), (ONE, (ONE, ONE), ONE, 1)
    x, w, numba = normal(rng, 1, 32, 8, 8), normal(rng, 32, 32, 3, 3), dispatch.table("numba")
    parts = {
        "naive": {"conv_naive", "conv_naive_input", "conv_naive_weight"},
        "direct": {"conv_direct", "conv_direct_weight"},
        "winograd2": {"conv_winograd", "conv_winograd_weight"},
    }
    parts["winograd4"] = parts["winograd2"]
    for name in (*FORCED, "naive"):
        calls.clear()
        with use_precision("tf32"), choose.use_algorithm(name), dispatch.observing(Watch()):
            y = numba.conv2d_forward(x, w, None, *how)
            numba.conv2d_backward_input(y, w, x.shape, *how)
            numba.conv2d_backward_weight(y, x, w.shape, *how)
        assert {c for c in calls if c.startswith("conv_")} == parts[name]


def test_the_table_can_be_printed():
    with use_precision("tf32"):
        head, first, *rest = choose.table().splitlines()
        assert head.split() == ["channels", "filters", "height", "width", *choose.DIRECTIONS]
        assert first.split() == ["3", "32", "64", "64", "direct", "direct", "direct"]
        assert "winograd4" in rest[0]
        with choose.use_algorithm("direct"):
            assert "winograd" not in choose.table()
        assert choose.table([(64, 64, 5, 7)], images=2).splitlines()[1].split()[:4] == ["64", "64", "5", "7"]
