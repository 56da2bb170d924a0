"""Convolution and matrix products of csrc/: every tile, every direction, at awkward sizes, under the checker."""

import contextlib
import math

import numpy as np
import pytest
from conftest import absence
from derived import HypothesisDraw
from hypothesis import given, settings
from hypothesis import strategies as st
from kernel_homes import HOMES, everywhere, run_first, twice

from tinymed import check, devices, dispatch, use_precision
from tinymed.cpu.simd import bf16_twins
from tinymed.cuda import emulated, tiles
from tinymed.program import capture
from tinymed.tape import Op
from tinymed.tensor import Tensor

pytestmark = pytest.mark.skipif(not HOMES, reason=f"backend emulated: {absence('emulated')}")


# Of bfloat16's tiles the smallest and the largest at every commit.
TILES = [pytest.param(t, marks=pytest.mark.full) if t in tiles.BF16[1:-1] else t for t in tiles.TILES]
ONE_DIGIT = 2.0**-7  # of bfloat16: what is rounded may go to the other neighbour where sums differ in the last digits


def accuracy(tile):
    """Relative to the largest value: of float32 sums, and of products of 11 bits."""
    return 2e-3 if tile.startswith("tf32") else 1e-5


def precision_of(tile):
    """Use the precision whose products a tile is for: mixed, or what is in use."""
    return use_precision("bf16") if tile in tiles.BF16 else contextlib.nullcontext()


def results(op, args, tile=None, home="emulated"):
    """Outputs and gradients of an op, products in the given tile."""
    with dispatch.use_backend(home), tiles.use_tile(tile), precision_of(tile):
        return check.results(op.apply, args, np.float32)


def reference(op, args, tile=None):
    """What is right: in float64, or of mixed precision, whose products take rounded numbers and sum in float32."""
    with dispatch.use_backend("numpy"), precision_of(tile):
        return check.results(op.apply, args, np.float32 if tile in tiles.BF16 else np.float64)


def agree(ours, op, args, tile, what):
    """Compare with the reference; what mixed precision rounds, one digit off at most."""
    true = reference(op, args, tile)
    if tile not in tiles.BF16:
        check.compare(ours, true, accuracy(tile), what)
        return
    check.compare((ours[0], []), (true[0], []), ONE_DIGIT, what)
    rounded = op.__name__ == "ConvTranspose"  # its gradient is a forward pass, which rounds
    check.compare(([], ours[1]), ([], true[1]), ONE_DIGIT if rounded else accuracy(tile), what)


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
@pytest.mark.parametrize("tile", TILES)
@pytest.mark.parametrize("shape", SHAPES)
def test_convolution(shape, tile, home, rng):
    """Three directions: silent under the checker, right, and the same bits again, in other orders of threads."""
    args = SHAPES[shape](rng)
    ours, again = twice(home, lambda: results(CONV, args, tile, home))
    agree(ours, CONV, args, tile, f"{shape}, {tile}")
    check.compare(again, ours, 0.0, f"{shape}, {tile}: again")


@everywhere
@pytest.mark.parametrize("tile", TILES)
def test_drawn_convolutions(tile, home):
    """Whatever Hypothesis draws: sizes, strides, padding, dilation, groups; also one axis and three, and no batch."""

    @settings(max_examples=12)
    @given(st.data())
    def checked(data):
        for name in ("Conv", "ConvTranspose"):
            args = Op.registry[name].samples(HypothesisDraw(data))
            with run_first(home):
                ours = results(Op.registry[name], args, tile, home)
            agree(ours, Op.registry[name], args, tile, f"{name}, {tile}")

    checked()


@everywhere
@pytest.mark.parametrize("tile", TILES)
def test_matrix_product(tile, home):
    """Every transposition, lengths that are no multiple of anything, and depths that are cut into parts."""

    @settings(max_examples=12)
    @given(*[st.sampled_from((0, 1, 3, 4, 16, 65, 131))] * 2, st.sampled_from((0, 1, 5, 16, 40, 515)))
    def checked(m, n, depth):
        rng = np.random.default_rng(m + n + depth)
        a, b = rng.normal(size=(m, depth)).astype(np.float32), rng.normal(size=(depth, n)).astype(np.float32)
        bias, true = rng.normal(size=n).astype(np.float32), taken(a, tile).astype(np.float64) @ taken(b, tile)
        for ta, tb, c in ((False, False, None), (True, False, bias), (False, True, bias)):
            left, right = a.T.copy() if ta else a, b.T.copy() if tb else b
            y, again = product_twice(home, "matrix_product", tile, left, right, (c,), ta, tb)
            wanted = true if c is None else true + c
            assert y.shape == (m, n)
            bound = accuracy(tile) * max(1.0, np.abs(wanted).max(initial=0))
            assert np.abs(y - wanted).max(initial=0) < bound
            assert y.tobytes() == again.tobytes()

    checked()


@everywhere
@pytest.mark.parametrize("tile", TILES)
@pytest.mark.parametrize(
    "counts", [(3, 3), (1, 2), *(pytest.param(c, marks=pytest.mark.full) for c in ((2, 1), (0, 1)))]
)
def test_batches_of_products(tile, counts, home, rng):
    """Pairs of matrices, one for all of the others, none; every transposition; a depth that is cut into parts."""
    for rows, columns, depth in ((5, 7, 3), (68, 36, 16), (3, 5, 1025), (4, 4, 0)):
        a, b = (rng.normal(size=s).astype(np.float32) for s in ((counts[0], rows, depth), (counts[1], depth, columns)))
        true = taken(a, tile).astype(np.float64) @ taken(b, tile)
        for ta, tb in ((False, False), (True, False), (False, True)):
            left, right = (np.ascontiguousarray(x.swapaxes(1, 2)) if t else x for x, t in ((a, ta), (b, tb)))
            y, again = product_twice(home, "batched_product", tile, left, right, (), ta, tb)
            assert y.shape == true.shape
            assert np.abs(y - true).max(initial=0) < accuracy(tile) * max(1.0, np.abs(true).max(initial=0))
            assert y.tobytes() == again.tobytes()


def taken(a, tile):
    """What a product multiplies: rounded, if it is one of bfloat16."""
    return bf16_twins.to_floats(bf16_twins.to_bits(a)) if tile in tiles.BF16 else a


def product_twice(home, name, tile, left, right, bias, ta, tb, rounds=False):
    """What a kernel gives twice, for arrays of the host."""
    place, number = dispatch.BACKENDS[home].device, tiles.TILES.index(tile)
    left, right, *bias = (None if a is None else devices.move(a, place) for a in (left, right, *bias))

    def run():
        k = dispatch.table(home)
        if tile not in tiles.BF16:
            return getattr(k, name)(left, right, *bias, ta, tb, number)
        shape = left.shape[-1 if ta else -2], right.shape[-2 if tb else -1]
        if name == "batched_product":
            shape = 0 if 0 in (len(left), len(right)) else max(len(left), len(right)), *shape
        packed = k.bf16_lines(left), k.bf16_lines(right)
        return getattr(k, f"bf16_{name}")(*packed, *bias, shape, ta, tb, number, rounds)

    return [devices.move(y, "cpu") for y in twice(home, run)]


@everywhere
@pytest.mark.parametrize("tile", tiles.BF16)
@pytest.mark.parametrize("shape", [(5, 3, 7), (70, 40, 66), (129, 33, 17), (3, 1030, 5)], ids=str)
def test_a_product_of_bfloat16_rounds_what_it_gives(shape, tile, home, rng):
    """With a bias; at a depth that is cut into parts the sum of the parts is rounded, not each of them."""
    m, depth, n = shape
    a, b, bias = (rng.normal(size=s).astype(np.float32) for s in ((m, depth), (depth, n), n))
    exact, _ = product_twice(home, "matrix_product", tile, a, b, (bias,), False, False)
    y, again = product_twice(home, "matrix_product", tile, a, b, (bias,), False, False, True)
    np.testing.assert_array_equal(y, taken(exact, tile))
    assert y.tobytes() == again.tobytes()


@pytest.mark.skipif(bool(absence("emulated")), reason=f"backend emulated: {absence('emulated')}")
@pytest.mark.parametrize("tile", tiles.BF16)
def test_sums_of_bfloat16_are_those_of_the_twin(tile, rng):
    """Of every tile to the last bit: one product after another, as bf16_twins' `float32` adds them."""
    for m, depth, n in ((5, 3, 7), (70, 200, 66)):
        a, b = (bf16_twins.to_bits(rng.normal(size=s).astype(np.float32)) for s in ((m, depth), (depth, n)))
        left, right = bf16_twins.to_floats(a), bf16_twins.to_floats(b)
        true = bf16_twins.float32(a, b)
        for ta, tb in ((False, False), (True, False), (False, True)):
            operands = left.T.copy() if ta else left, right.T.copy() if tb else right
            y, _ = product_twice("emulated", "matrix_product", tile, *operands, (None,), ta, tb)
            np.testing.assert_array_equal(y, true)


class TestPacked:
    """What a product of bfloat16 reads: two bytes a number, each group's filled up with zeros to a multiple of 8."""

    @everywhere
    @pytest.mark.parametrize("shape", [(2, 6, 5, 3), (1, 16, 4, 4), (2, 34, 3, 2, 2), (0, 4, 2, 2)], ids=str)
    def test_images_and_filters(self, shape, home, rng):
        place, groups = dispatch.BACKENDS[home].device, 2
        x = rng.normal(size=shape).astype(np.float32)
        x.reshape(-1)[1:2] = np.nan
        n, c, *space = shape
        wide = -(-c // groups // 8) * 8
        pixels = np.zeros((n, groups, wide, *space), np.float32)
        pixels[:, :, : c // groups] = x.reshape(n, groups, c // groups, *space)
        filters = np.zeros((groups, wide, -(-n // 8) * 8, *space), np.float32)
        filters[:, : c // groups, :n] = x.swapaxes(0, 1).reshape(groups, c // groups, n, *space)
        with run_first(home):
            k, moved = dispatch.table(home), devices.move(x, place)
            made = [k.bf16_pixels(moved, groups), k.bf16_filters(moved.swapaxes(0, 1), groups)]
        for y, true in zip(made, (pixels, filters), strict=True):
            y = devices.move(y, "cpu")
            assert y.dtype == np.uint16
            np.testing.assert_array_equal(y.reshape(true.shape), bf16_twins.to_bits(true).reshape(true.shape))

    @everywhere
    @pytest.mark.parametrize("shape", [(3, 8), (5, 13), (2, 3, 17), (0, 4), (7, 0)], ids=str)
    def test_lines(self, shape, home, rng):
        x = rng.normal(size=shape).astype(np.float32)
        with run_first(home):
            y = dispatch.table(home).bf16_lines(devices.move(x, dispatch.BACKENDS[home].device))
        true = np.zeros((*shape[:-1], -(-shape[-1] // 8) * 8), np.float32)
        true[..., : shape[-1]] = x
        np.testing.assert_array_equal(devices.move(y, "cpu"), bf16_twins.to_bits(true).reshape(true.shape))

    @everywhere
    def test_rounding_is_the_references(self, home):
        """To even in the middle; infinities, numbers that become infinite, subnormal ones."""
        bits = np.array([0, 1, 0x8000, 0x8001, 0x7FFF, 0xFFFF, 0x18000, 0x3F808000, 0x3F818000, 0x7F7FFFFF], np.uint32)
        x = np.concatenate([bits, bits | np.uint32(1 << 31), np.uint32([0x7F800000, 0xFF800000])]).view(np.float32)
        with run_first(home):
            y = dispatch.table(home).bf16_round(devices.move(x, dispatch.BACKENDS[home].device))
        true = dispatch.table("numpy").bf16_round(x)
        np.testing.assert_array_equal(devices.move(y, "cpu").view(np.uint32), true.view(np.uint32))

    @pytest.mark.skipif(bool(absence("emulated")), reason=f"backend emulated: {absence('emulated')}")
    def test_what_does_not_begin_at_16_bytes_is_refused(self):
        line = emulated.empty((3 * 8 + 1,), np.uint16)
        a, b, y = line[1:].reshape(3, 8), emulated.empty((8, 8), np.uint16), emulated.empty((3, 5), np.float32)
        given = (y, np.zeros((1, 0), np.float32), a, b, None, (3, 5), False, False, tiles.TILES.index("bf16 64x64"))
        with pytest.raises(ValueError, match="bf16_matrix_product: packed operands begin at a multiple of 16 bytes"):
            emulated.launch("bf16_matrix_product", (*given, False))


@pytest.mark.skipif(bool(absence("emulated")), reason=f"backend emulated: {absence('emulated')}")
def test_mixed_precision_multiplies_in_bfloat16(rng, monkeypatch):
    """Products run on the tensor cores; a filter for each channel, and a GPU that has none, round around float32."""

    def launched(args):
        seen = set()

        class Watch(dispatch.Observer):
            def after(self, dispatcher, kernel, args, outs):
                seen.add(dispatcher.name)

        with dispatch.observing(Watch()), use_precision("bf16"), dispatch.use_backend("emulated"):
            check.results(CONV.apply, args, np.float32)
        return seen

    three = {"", "_input", "_weight"}
    assert {f"bf16_conv2d_gemm{d}" for d in three} <= launched(SHAPES["aligned"](rng))
    assert {f"bf16_conv3d_gemm{d}" for d in three} <= launched(SHAPES["volumes"](rng))
    assert "depthwise2d_forward" in launched(SHAPES["depthwise"](rng))
    monkeypatch.setattr(tiles, "tensor_cores", lambda backend: False)
    assert {f"conv2d_gemm{d}" for d in three} <= launched(SHAPES["aligned"](rng))


@everywhere
def test_each_precision_chooses_a_tile_that_runs(home, rng):
    """Nothing forced: the rule asks the GPU what it can, and each precision gives what it promises."""
    args = SHAPES["many places"](rng)
    for precision, bound in (("exact", 1e-5), ("tf32", 2e-3), ("bf16", 2e-2)):
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
    assert all(1e-3 < e < 2e-2 for name, e in off.items() if name.startswith("bf16")), off


@everywhere
@pytest.mark.parametrize("tile", TILES)
def test_a_nan_reaches_what_sees_it(tile, home, rng):
    args = SHAPES["aligned"](rng)
    args[0][0, 0, 0, 0] = np.nan
    for ours, true in zip(results(CONV, args, tile, home), reference(CONV, args, tile), strict=True):
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


TF32 = "tf32 64x64"


def channels_last(a):
    """As images lie in a network."""
    return np.ascontiguousarray(a.astype(np.float32).transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)


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
        bf16 = tiles.TILES[tiles.choose("emulated", rows, columns, bf16=True)]
        assert bf16 == tf32.replace("tf32", "bf16")
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
