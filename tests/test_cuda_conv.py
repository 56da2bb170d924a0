"""Convolution and matrix products of csrc/: every tile, every direction, at awkward sizes, under the checker."""

import math

import numpy as np
import pytest
from conftest import absence
from derived import HypothesisDraw
from hypothesis import given, settings
from hypothesis import strategies as st
from kernel_homes import HOMES, everywhere, run_first, twice

from tinymed import check, devices, dispatch, use_precision
from tinymed.cuda import emulated, tiles
from tinymed.program import capture
from tinymed.tape import Op
from tinymed.tensor import Tensor

pytestmark = pytest.mark.skipif(not HOMES, reason=f"backend emulated: {absence('emulated')}")


def accuracy(tile):
    """Relative to the largest value: of float32 sums, and of products of 11 bits."""
    return 2e-3 if tile.startswith("tf32") else 1e-5


def results(op, args, tile=None, home="emulated"):
    """Outputs and gradients of an op, products in the given tile."""
    with dispatch.use_backend(home), tiles.use_tile(tile):
        return check.results(op.apply, args, np.float32)


def reference(op, args):
    with dispatch.use_backend("numpy"):
        return check.results(op.apply, args, np.float64)


def convolution(rng, n, c, o, space, kernel, stride=(1, 1), padding=((0, 0), (0, 0)), dilation=(1, 1), groups=1):
    """Arguments of Conv."""
    x, weight = rng.normal(size=(n, c, *space)), rng.normal(size=(o, c // groups, *kernel))
    arrays = (a.astype(np.float32) for a in (x, weight, rng.normal(size=o)))
    return *arrays, stride, padding, dilation, groups


CONV, PRODUCT = Op.registry["Conv"], Op.registry["MatMul"]
SAME = ((1, 1), (1, 1))
VOLUME = (1, 1, 1), ((1, 1), (1, 1), (1, 1)), (1, 1, 1)  # stride, padding, dilation
SHAPES = {
    "aligned": lambda rng: convolution(rng, 2, 8, 36, (9, 8), (3, 3), padding=SAME),
    "first layer": lambda rng: convolution(rng, 1, 3, 32, (17, 16), (7, 7), (2, 2), ((3, 3), (3, 3))),
    "many places": lambda rng: convolution(rng, 3, 5, 7, (20, 19), (3, 3), padding=SAME),
    "many channels": lambda rng: convolution(rng, 1, 132, 68, (4, 3), (1, 1)),
    "strided, dilated": lambda rng: convolution(rng, 2, 4, 8, (13, 11), (3, 4), (3, 2), ((2, 0), (1, 3)), (2, 3)),
    "stride past the kernel": lambda rng: convolution(rng, 2, 4, 4, (7, 8), (1, 1), (2, 3)),
    "groups": lambda rng: convolution(rng, 2, 16, 24, (5, 6), (3, 3), padding=SAME, groups=2),
    "odd groups": lambda rng: convolution(rng, 2, 6, 9, (5, 6), (3, 2), (2, 1), padding=SAME, groups=3),
    "depthwise": lambda rng: convolution(rng, 2, 36, 36, (12, 11), (5, 3), (1, 2), SAME, groups=36),
    "depthwise, twice": lambda rng: convolution(rng, 2, 5, 10, (18, 19), (3, 3), padding=SAME, groups=5),
    "volumes": lambda rng: convolution(rng, 2, 8, 36, (5, 6, 4), (3, 3, 3), *VOLUME),
    "volumes, strided": lambda rng: convolution(
        rng, 2, 3, 5, (7, 6, 9), (3, 2, 3), (2, 3, 1), ((0, 1), (2, 0), (1, 1)), (1, 2, 2)
    ),
    "volumes in groups": lambda rng: convolution(rng, 1, 4, 6, (5, 3, 4), (2, 1, 3), (1, 2, 2), *VOLUME[1:], groups=2),
    "many voxels": lambda rng: convolution(rng, 1, 2, 7, (9, 8, 10), (3, 3, 3), *VOLUME),
    "no images": lambda rng: convolution(rng, 0, 4, 4, (5, 5), (3, 3)),
}


@everywhere
@pytest.mark.parametrize("tile", tiles.TILES)
@pytest.mark.parametrize("shape", SHAPES)
def test_convolution(shape, tile, home, rng):
    """Three directions: silent under the checker, right, and the same bits again, in other orders of threads."""
    args = SHAPES[shape](rng)
    ours, again = twice(home, lambda: results(CONV, args, tile, home))
    check.compare(ours, reference(CONV, args), accuracy(tile), f"{shape}, {tile}")
    check.compare(again, ours, 0.0, f"{shape}, {tile}: again")


@everywhere
@pytest.mark.parametrize("tile", tiles.TILES)
def test_drawn_convolutions(tile, home):
    """Whatever Hypothesis draws: sizes, strides, padding, dilation, groups; also one axis and three, and no batch."""

    @settings(max_examples=12)
    @given(st.data())
    def checked(data):
        for name in ("Conv", "ConvTranspose"):
            args = Op.registry[name].samples(HypothesisDraw(data))
            with run_first(home):
                ours = results(Op.registry[name], args, tile, home)
            check.compare(ours, reference(Op.registry[name], args), accuracy(tile), f"{name}, {tile}")

    checked()


@everywhere
@pytest.mark.parametrize("tile", tiles.TILES)
def test_matrix_product(tile, home):
    """Every transposition, lengths that are no multiple of anything, and depths that are cut into parts."""

    @settings(max_examples=12)
    @given(*[st.sampled_from((0, 1, 3, 4, 16, 65, 131))] * 2, st.sampled_from((0, 1, 5, 16, 40, 515)))
    def checked(m, n, depth):
        rng = np.random.default_rng(m + n + depth)
        a, b = rng.normal(size=(m, depth)).astype(np.float32), rng.normal(size=(depth, n)).astype(np.float32)
        bias, true = rng.normal(size=n).astype(np.float32), a.astype(np.float64) @ b
        for ta, tb, c in ((False, False, None), (True, False, bias), (False, True, bias)):
            left, right = a.T.copy() if ta else a, b.T.copy() if tb else b
            y, again = product_twice(home, "matrix_product", (left, right, c, ta, tb, tiles.TILES.index(tile)))
            wanted = true if c is None else true + c
            assert y.shape == (m, n)
            bound = accuracy(tile) * max(1.0, np.abs(wanted).max(initial=0))
            assert np.abs(y - wanted).max(initial=0) < bound
            assert y.tobytes() == again.tobytes()

    checked()


@everywhere
@pytest.mark.parametrize("tile", tiles.TILES)
@pytest.mark.parametrize("counts", [(3, 3), (1, 2), (2, 1), (0, 1)])
def test_batches_of_products(tile, counts, home, rng):
    """Pairs of matrices, one for all of the others, none; every transposition; a depth that is cut into parts."""
    for rows, columns, depth in ((5, 7, 3), (68, 36, 16), (3, 5, 1025), (4, 4, 0)):
        a, b = (rng.normal(size=s).astype(np.float32) for s in ((counts[0], rows, depth), (counts[1], depth, columns)))
        true = a.astype(np.float64) @ b
        for ta, tb in ((False, False), (True, False), (False, True)):
            left, right = (np.ascontiguousarray(x.swapaxes(1, 2)) if t else x for x, t in ((a, ta), (b, tb)))
            y, again = product_twice(home, "batched_product", (left, right, ta, tb, tiles.TILES.index(tile)))
            assert y.shape == true.shape
            assert np.abs(y - true).max(initial=0) < accuracy(tile) * max(1.0, np.abs(true).max(initial=0))
            assert y.tobytes() == again.tobytes()


def product_twice(home, name, args):
    """What a kernel gives twice, for arrays of the host."""
    place = dispatch.BACKENDS[home].device
    moved = [devices.move(a, place) if isinstance(a, np.ndarray) else a for a in args]
    return [devices.move(y, "cpu") for y in twice(home, lambda: getattr(dispatch.table(home), name)(*moved))]


@everywhere
def test_each_precision_chooses_a_tile_that_runs(home, rng):
    """Nothing forced: the rule asks the GPU what it can, and each precision gives what it promises."""
    args = SHAPES["many places"](rng)
    for precision, bound in (("exact", 1e-5), ("tf32", 2e-3)):
        with use_precision(precision):
            ours, again = twice(home, lambda: results(CONV, args, None, home))
        check.compare(ours, reference(CONV, args), bound, precision)
        check.compare(again, ours, 0.0, f"{precision}: again")


@everywhere
def test_tf32_rounds_operands_and_exact_does_not(home, rng):
    args = SHAPES["aligned"](rng)
    y = reference(CONV, args)[0][0]
    off = {name: np.abs(results(CONV, args, name, home)[0][0] - y).max() / np.abs(y).max() for name in tiles.TILES}
    assert all(e < 1e-6 for name, e in off.items() if name.startswith("exact")), off
    assert all(1e-5 < e < 1e-3 for name, e in off.items() if name.startswith("tf32")), off


@everywhere
@pytest.mark.parametrize("tile", tiles.TILES)
def test_a_nan_reaches_what_sees_it(tile, home, rng):
    args = SHAPES["aligned"](rng)
    args[0][0, 0, 0, 0] = np.nan
    for ours, true in zip(results(CONV, args, tile, home), reference(CONV, args), strict=True):
        for a, b in zip(ours, true, strict=True):
            assert b is None or np.array_equal(np.isnan(a), np.isnan(b))


class TestParts:
    """A long sum is cut into a number of parts that the shape alone decides."""

    def test_the_gradient_of_the_filter_is_cut(self, rng):
        args = convolution(rng, 2, 3, 5, (24, 24), (3, 3), padding=SAME)
        seen = []

        class Watch(dispatch.Observer):
            def after(self, dispatcher, kernel, args, outs):
                if dispatcher.name == "conv2d_gemm_weight":
                    seen.append(dispatcher.plan_for(args).work[0][0])

        with dispatch.observing(Watch()):
            ours = results(CONV, args)
        assert seen == [(4, 3 * 3 * 3 * 5)]
        check.compare(ours, reference(CONV, args), 1e-5, "cut into 4 parts")

    def test_empty_parts_add_nothing(self):
        """5 parts of 17 depths, in grains of 16: three have nothing to add."""
        rng = np.random.default_rng(0)
        y, partial = emulated.empty((3, 2), np.float32), emulated.empty((5, 6), np.float32)
        a, b = (rng.normal(size=s).astype(np.float32) for s in ((3, 17), (17, 2)))
        with emulated.checking():
            emulated.launch("matrix_product", (y, partial, a, b, None, False, False, 0))
        np.testing.assert_allclose(y, a @ b, rtol=1e-5)

    @pytest.mark.parametrize("depth", [0, 1, 255, 256, 257, 10**6])
    def test_no_more_than_fill_the_gpu_and_none_too_small(self, depth):
        for rows, columns in ((1, 1), (27, 32), (1152, 256)):
            cut = tiles.parts(rows, columns, depth)
            assert 1 <= cut <= tiles.RESIDENT * tiles.PROCESSORS
            assert cut == 1 or depth / cut >= tiles.GRAIN

    @pytest.mark.parametrize(("rows", "columns"), [(27, 32), (288, 64), (576, 128), (1152, 256)])
    def test_no_multiprocessor_works_much_longer_than_the_mean(self, rows, columns):
        """The filters of the papers' CNN: its blocks were 1.37 to 1.5 times the mean where the fullest was."""
        blocks = tiles.count(rows, columns, 64, 64) * tiles.parts(rows, columns, 10**6)
        fullest = -(-blocks // tiles.PROCESSORS)
        assert fullest <= tiles.RESIDENT
        assert fullest / (blocks / tiles.PROCESSORS) <= 1.1


class TestChoice:
    """Which tile, by shape and precision."""

    @pytest.mark.parametrize(
        ("rows", "columns", "exact", "tf32"),
        [
            (524288, 32, "exact 128x128", "tf32 128x32"),  # the papers' CNN at batch 128, layer by layer
            (131072, 64, "exact 128x128", "tf32 128x64"),
            (32768, 128, "exact 128x128", "tf32 128x128"),
            (8192, 256, "exact 64x64", "tf32 128x64"),
            (10, 10, "exact 64x64", "tf32 128x32"),
            (10, 100, "exact 64x64", "tf32 64x64"),
        ],
    )
    def test_the_rule(self, rows, columns, exact, tf32):
        assert tiles.TILES[tiles.choose("emulated", rows, columns)] == exact
        with use_precision("tf32"):
            assert tiles.TILES[tiles.choose("emulated", rows, columns)] == tf32
            assert tiles.TILES[tiles.choose("emulated", rows, columns, exact=True)] == exact

    def test_the_precision_reaches_the_kernel(self, rng):
        args = SHAPES["aligned"](rng)
        exact = results(CONV, args)
        with use_precision("tf32"):
            rounded = results(CONV, args)
        y = np.abs(exact[0][0] - rounded[0][0]).max() / np.abs(exact[0][0]).max()
        assert 1e-5 < y < 1e-3

    def test_an_unknown_tile(self):
        with pytest.raises(ValueError, match=r"tile 'tf32 16x16' is unknown; choose one of exact 64x64, "):
            tiles.use_tile("tf32 16x16")


class TestFused:
    def test_a_captured_step_runs_convolution_and_relu_as_one(self, rng):
        x, weight, bias, *how = SHAPES["many places"](rng)

        def step(x, weight, bias):
            k = dispatch.table()
            return Tensor(k.relu_forward(k.conv2d_forward(x.array, weight.array, bias.array, *how)))

        with dispatch.use_backend("emulated"), emulated.checking():
            tensors = [Tensor(a) for a in (x, weight, bias)]
            expected = step(*tensors).array
            captured = capture(step)
            again = captured(*tensors).array
        names = [c.dispatcher.name for c in captured.program.calls]
        assert "conv2d_relu" in names
        assert not {"conv2d_gemm", "relu_forward"} & set(names)
        np.testing.assert_array_equal(expected, again)


class TestRefused:
    """Host checks name the kernel and the shapes."""

    @pytest.mark.parametrize(
        ("changed", "message"),
        [
            ({"weight": (3, 3, 4, 8)}, r"conv2d_gemm: x \(N, space, C\) \[1, 5, 5, 3\], weight .*\[3, 3, 4, 8\]"),
            ({"y": (2, 3, 3, 8)}, r"conv2d_gemm: .*y \(N, space, O\) \[2, 3, 3, 8\] do not fit"),
            ({"bias": (7,)}, r"conv2d_gemm: bias of shape \[7\] for 8 filters"),
            ({"stride": (0, 1)}, r"conv2d_gemm: stride \[0, 1\] .* must be positive"),
            ({"groups": 2}, r"do not fit in 2 groups"),
            ({"tile": 6}, r"conv2d_gemm: no kernel has the number 6"),
        ],
    )
    def test_convolution(self, changed, message):
        given = {
            "y": (1, 3, 3, 8),
            "x": (1, 5, 5, 3),
            "weight": (3, 3, 3, 8),
            "bias": (8,),
            "size": (3, 3),
            "stride": (1, 1),
            "before": (0, 0),
            "dilation": (1, 1),
            "groups": 1,
            "tile": 0,
        } | changed
        args = [np.zeros(v, np.float32) if n in ("y", "x", "weight", "bias") else v for n, v in given.items()]
        with pytest.raises(ValueError, match=message):
            emulated.launch("conv2d_gemm", tuple(args))

    def test_product(self):
        y, a, b = (np.zeros(s, np.float32) for s in ((3, 2), (3, 4), (5, 2)))
        with pytest.raises(ValueError, match=r"matrix_product: operands of shapes \[3, 4\] and \[5, 2\] do not fit"):
            emulated.launch("matrix_product", (y, np.zeros((1, 0), np.float32), a, b, None, False, False, 0))


@pytest.mark.parametrize("shape", [(1, 1), (7, 3), (600, 4), (1030, 37), (0, 5)])
def test_channel_sum(shape, rng):
    dy = rng.normal(size=shape).astype(np.float32)
    with emulated.checking():
        total = dispatch.table("emulated").channel_sum(dy)
    np.testing.assert_allclose(total, dy.sum(0, dtype=np.float64), atol=1e-5 * math.sqrt(max(1, shape[0])))
