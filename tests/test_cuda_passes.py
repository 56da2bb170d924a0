"""Passes that memory bounds: 16 bytes an access where arrays allow it, whole sectors, and the same bits where not."""

import contextlib

import numpy as np
import pytest
from conftest import absence

import tinymed
from tinymed import dispatch, models
from tinymed.cuda import emulated, tiles
from tinymed.program import capture

pytestmark = pytest.mark.skipif(bool(absence("emulated")), reason=f"backend emulated: {absence('emulated')}")
LIMIT, SCALE = 30000, 2.0  # of 65536: what dropout drops


def image(rng, shape, aligned):
    """Numbers [n, h, w, c] seen as [n, c, h, w], which begin at 256 bytes or 4 after that; some of them no number."""
    n, c, h, w = shape
    line = emulated.empty((n * h * w * c + 1,), np.float32)[0 if aligned else 1 :]
    a = line[: n * h * w * c].reshape(n, h, w, c)
    a[...] = rng.normal(size=a.shape)
    a.flat[::97] = np.nan
    return a.transpose(0, 3, 1, 2)


def ticket():
    return np.array([1, 2, 3, 4, 5], np.uint32)


def windows(k, x):
    """Pooling and its gradient by windows that overlap, with padding."""
    kernel, stride, before, dilation = (3, 3), (2, 2), (1, 1), (1, 1)
    size = tuple((length - 1) // 2 + 1 for length in x.shape[2:])
    y, index = k.max_window(x, kernel, stride, before, dilation, size)
    mean = k.avg_window(x, kernel, stride, (1, 1, 1, 1), size, False, 0)
    return [
        *(y, index, k.max_window_backward(y, index, x.shape, kernel, stride, before, dilation), mean),
        k.avg_window_backward(mean, x.shape, kernel, stride, (1, 1, 1, 1), False, 0),
    ]


def halves(k, x):
    """The largest of 2 x 2 pixels and its gradient."""
    y, index = k.max_pool_2x2(x, tuple(length // 2 for length in x.shape[2:]))
    return [y, index, k.max_pool_2x2_backward(y, index, x.shape)]


def maps(k, x):
    """Batch norm's maps of numbers, by channel."""
    map = np.arange(3 * x.shape[1], dtype=np.float32).reshape(3, -1)
    return [k.batch_norm_apply(x, map), k.batch_norm_relu(x, map), k.batch_norm_apply_gradient(x, x, map[0], map, True)]


def normalised_and_dropped(k, x):
    """Batch norm and dropout in one pass, in float32 and rounded; its gradient and ReLU's in one."""
    map = np.arange(3 * x.shape[1], dtype=np.float32).reshape(3, -1)
    return [
        *k.batch_norm_dropout(x, map, ticket(), LIMIT, SCALE, 0),
        *k.batch_norm_dropout(x, map, ticket(), LIMIT, SCALE, 1),
        k.norm_gradient_relu(x, x, map[0], map, True, x),
    ]


def gradients_of_norm(k, x):
    """Gradients through batch norm, its neighbours in the same pass."""
    c, map = (1 + np.arange(x.shape[1], dtype=np.float32)), np.arange(3 * x.shape[1], dtype=np.float32).reshape(3, -1)
    return [
        *k.batch_norm_relu_backward_sums(x, x, map, c, c, c, True),
        k.batch_norm_relu_backward(x, x, map, c, map, True),
        *k.add_relu_batch_norm_sums(x, x, x, x, c, c, c, True),
        *k.dropout_batch_norm_sums(x, ticket(), LIMIT, SCALE, x, c, c, c, True, 0),
        *k.norm_gradient_relu_sum(x, x, c, map, True, x, 1),
        k.add_relu(x, x),
        k.bf16_norm_add_relu(x, map, x),
    ]


PASSES = {
    "gradients of batch norm": gradients_of_norm,
    "dropout": lambda k, x: [*k.dropout_forward(x, ticket(), LIMIT, SCALE)],
    "dropout's gradient": lambda k, x: [k.dropout_backward(x, ticket(), LIMIT, SCALE)],
    "dropout's gradient, rounded": lambda k, x: [k.bf16_dropout_backward(x, ticket(), LIMIT, SCALE)],
    "alpha dropout": lambda k, x: [k.alpha_drop(x, ticket(), LIMIT, 0.9, 0.1, -1.7)],
    "dropout of channels": lambda k, x: [k.dropout_channels_backward(x, ticket(), LIMIT, SCALE)],
    "alpha dropout of channels": lambda k, x: [k.alpha_drop_channels(x, ticket(), LIMIT, 0.9, 0.1, -1.7)],
    "2 x 2": halves,
    "windows": windows,
    "batch norm": maps,
    "batch norm and its neighbours": normalised_and_dropped,
}


@pytest.mark.parametrize("shape", [(2, 8, 9, 8), (1, 4, 3, 1), (3, 5, 7, 6), (1, 32, 16, 17), (2, 12, 5, 5)], ids=str)
@pytest.mark.parametrize("name", PASSES)
def test_the_same_bits_whatever_arrays_begin_at(name, shape, rng):
    """Aligned by fours and a tail, unaligned one by one; under the checker, and in another order of threads."""
    if name in ("2 x 2", "windows") and min(shape[2:]) < 2:
        pytest.skip("no window fits")
    seed, k = rng.integers(2**31), dispatch.table("emulated")
    made = []
    for aligned, inside in ((True, emulated.checking()), (False, emulated.checking()), (True, emulated.scheduled(5))):
        x = image(np.random.default_rng(seed), shape, aligned)
        with inside:
            made.append([np.ascontiguousarray(a).tobytes() for a in PASSES[name](k, x)])
    assert made[0] == made[1] == made[2]


@pytest.mark.parametrize("shape", [(2, 8, 9, 8), (3, 5, 7, 6), (1, 4, 3, 1)], ids=str)
def test_dropout_draws_what_the_reference_draws(shape, rng):
    """Neighbouring threads exchange bits: those of an element are its own, also in a tail."""
    x = image(rng, shape, True)
    for name in ("dropout_forward", "dropout_backward"):
        ours, wanted = (getattr(dispatch.table(b), name)(x, ticket(), LIMIT, SCALE) for b in ("emulated", "numpy"))
        for a, b in zip(*((r if isinstance(r, tuple) else (r,)) for r in (ours, wanted)), strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("name", ["dropout", "dropout's gradient", "alpha dropout", "dropout of channels", "2 x 2"])
def test_whole_sectors_are_moved(name, rng):
    """No sector of a request is moved for a part of it: as many as the same bytes need, 32 bytes each."""
    x = image(rng, (2, 32, 16, 16), True)
    with emulated.profiling() as counts:
        PASSES[name](dispatch.table("emulated"), x)
    rows = [row for row in counts() if row.space == "global" and row.requests > 1]
    assert sum(row.moved for row in rows) <= 1.05 * sum(row.ideal for row in rows)


def test_a_pixel_of_a_window_is_read_once(rng):
    """The gradient of 2 x 2 windows: dy and indices once, dx once, each four channels an access."""
    k, x = dispatch.table("emulated"), image(rng, (2, 32, 16, 16), True)
    y, index = k.max_pool_2x2(x, (8, 8))
    with emulated.profiling(blocks=1000) as counts:
        k.max_pool_2x2_backward(y, index, x.shape)
    moved = sum(row.moved for row in counts())
    assert moved == (x.nbytes + y.nbytes + index.nbytes) // 32


def test_fused_passes_have_the_bits_of_their_parts(rng):
    k, x = dispatch.table("emulated"), image(rng, (3, 5, 7, 6), True)
    map = rng.normal(size=(3, 5)).astype(np.float32)
    dropped, _ = k.dropout_forward(k.batch_norm_apply(x, map), ticket(), LIMIT, SCALE)
    np.testing.assert_array_equal(k.batch_norm_dropout(x, map, ticket(), LIMIT, SCALE, 0)[0], dropped)
    gradient = k.relu_backward(k.batch_norm_apply_gradient(x, x, map[0], map, True), x)
    np.testing.assert_array_equal(k.norm_gradient_relu(x, x, map[0], map, True, x), gradient)
    both = k.norm_gradient_relu_sum(x, x, map[0], map, True, x, 0)
    same((gradient, k.channel_sum(gradient)), both)
    statistics = map[0], map[1], map[2], True
    for rounds, backward in ((0, k.dropout_backward), (1, k.bf16_dropout_backward)):
        g = backward(x, ticket(), LIMIT, SCALE)
        fused = k.dropout_batch_norm_sums(x, ticket(), LIMIT, SCALE, x, *statistics, rounds)
        same((g, *k.batch_norm_sums(g, x, *statistics)), fused)
    g = k.relu_backward(k.add_arrays(x, gradient), x)
    same((g, *k.batch_norm_sums(g, x, *statistics)), k.add_relu_batch_norm_sums(x, gradient, x, x, *statistics))
    y = k.batch_norm_relu(x, map)
    g, *sums = k.relu_batch_norm_sums(x, y, x, *statistics)
    same(sums, k.batch_norm_relu_backward_sums(x, x, map, *statistics))
    dx = k.batch_norm_apply_gradient(g, x, map[0], sums[2], True)
    same((dx,), (k.batch_norm_relu_backward(x, x, map, map[0], sums[2], True),))
    same((k.relu_forward(k.add_arrays(x, y)),), (k.add_relu(x, y),))


def same(parts, fused):
    """The same numbers, bit by bit but for which NaN."""
    for a, b in zip(parts, fused, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("tile", [*range(6)], ids=[*tiles.FLOAT32])
@pytest.mark.parametrize("size", [(9, 8), (4, 7)], ids=str)
def test_what_follows_a_convolution_in_its_kernel(tile, size, rng):
    """ReLU and pooling, or a sum: the bits of the parts; odd sides, filters that are no multiple of four, NaN, ties."""
    k = dispatch.table("emulated")
    for channels, filters, groups in ((4, 68, 1), (6, 10, 2)):
        x = image(rng, (2, channels, *size), True)
        weight = rng.normal(size=(filters, channels // groups, 3, 3)).astype(np.float32)
        weight[: filters // 4] = 0  # windows of four alike
        bias = rng.normal(size=filters).astype(np.float32)
        how = (size, (1, 1), (1, 1), (1, 1), groups, tile)
        pooled = tuple(length // 2 for length in size)
        map = k.conv2d_relu(x, weight, bias, *how)
        same(k.max_pool_2x2(map, pooled), k.conv2d_relu_pool(x, weight, bias, *how, pooled))
        plain, other = k.conv2d_gemm(x, weight, bias, *how), image(rng, map.shape, True)
        for relu, ending in ((0, k.add_arrays), (1, k.add_relu)):
            same((ending(plain, other),), (k.conv2d_add(x, weight, bias, other, *how, relu),))


@pytest.mark.parametrize("tile", [*range(6, 10)], ids=[*tiles.BF16])
def test_pooling_in_a_product_of_bfloat16(tile, rng):
    k = dispatch.table("emulated")
    x, w = image(rng, (2, 5, 9, 8), True), rng.normal(size=(20, 5, 3, 3)).astype(np.float32)
    packed = k.bf16_pixels(x, 1), k.bf16_filters(w, 1), rng.normal(size=20).astype(np.float32)
    how = ((2, 20, 9, 8), (1, 1), (1, 1), (1, 1), 1, tile)
    y, index = k.max_pool_2x2(k.bf16_conv2d_relu(*packed, *how), (4, 4))
    same((y, index), k.bf16_conv2d_relu_pool(*packed, *how, (4, 4)))
    back = k.bf16_pixels(k.max_pool_2x2_backward(y, index, (2, 20, 9, 8)), 1)
    same((back,), (k.bf16_unpool_pixels(y, index, (2, 20, 9, 8), 1),))


def calls_of(name, precision, images, rng, train=True, **options):
    """The kernels that a captured step calls, in order."""
    with tinymed.use_backend("emulated"), tinymed.use_precision(precision):
        model = models.create(name, **options).train(train)

        def step(images):
            if not train:
                return model(images)
            model.zero_grad()
            loss = (model(images) ** 2).mean()
            loss.backward()
            return loss

        x = tinymed.tensor(rng.normal(size=images).astype(np.float32))
        with contextlib.nullcontext() if train else tinymed.no_grad():
            lines = str(capture(step).find((x,)).program).splitlines()
    called = [line.partition(" = ")[2].partition("(")[0] for line in lines]
    return called, lines


@pytest.mark.parametrize("precision", ["tf32", "bf16"])
def test_the_papers_step_has_no_pass_that_a_neighbour_makes(precision, rng):
    """Convolution, ReLU, pooling; batch norm, dropout; back: dropout with sums, the norm's gradient, ReLU and bias."""
    called, lines = calls_of("dcnn", precision, (2, 3, 50, 50), rng)
    prefix = "bf16_" if precision == "bf16" else ""
    assert called.count(f"{prefix}conv2d_relu_pool") == 4
    threes = ("batch_norm_dropout", "dropout_batch_norm_sums", "norm_gradient_relu_sum")
    assert [called.count(name) for name in threes] == [3, 3, 3]
    gone = {"max_pool_2x2", "batch_norm_apply", "batch_norm_apply_gradient", "conv2d_relu", "bf16_conv2d_relu"}
    assert not gone & set(called)
    unpooled = {line.partition(" = ")[0] for line in lines if " = max_pool_2x2_backward(" in line}
    assert bool(unpooled) == (precision == "tf32")
    assert not [line for line in lines if " = channel_sum(" in line and line.split("(")[1].split(")")[0] in unpooled]


def test_residual_blocks(rng):
    """Their mask is found again or their sum made on the way; to predict, batch norm is in the filters."""
    called, _ = calls_of("resnet20", "tf32", (2, 3, 16, 16), rng, width=0.125)
    assert called.count("batch_norm_relu_backward") == called.count("batch_norm_relu_backward_sums") == 9
    assert called.count("add_relu_batch_norm_sums") == 9
    assert called.count("relu_batch_norm_sums") == 1  # the last block's gradient is not a sum
    called, _ = calls_of("resnet20", "tf32", (2, 3, 16, 16), rng, train=False, width=0.125)
    assert called.count("conv2d_add") == 9
    assert not {"batch_norm_apply", "batch_norm_relu", "relu_forward", "add_arrays"} & set(called)
