"""Passes that memory bounds: 16 bytes an access where arrays allow it, whole sectors, and the same bits where not."""

import numpy as np
import pytest
from conftest import absence

import tinymed
from tinymed import dispatch, models
from tinymed.cuda import emulated
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


PASSES = {
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


def test_the_papers_step_has_no_pass_that_a_neighbour_makes(rng):
    """Three blocks of convolution, ReLU, pooling, batch norm and dropout; biases are summed before unpooling."""
    with tinymed.use_backend("emulated"), tinymed.use_precision("exact"):
        model = models.create("dcnn").train()

        def step(images):
            model.zero_grad()
            loss = (model(images) ** 2).mean()
            loss.backward()
            return loss

        x = tinymed.tensor(rng.normal(size=(2, 3, 50, 50)).astype(np.float32))
        lines = str(capture(step).find((x,)).program).splitlines()
    called = [line.partition(" = ")[2].partition("(")[0] for line in lines]
    assert called.count("batch_norm_dropout") == called.count("norm_gradient_relu") == 3
    assert "batch_norm_apply" not in called
    assert "batch_norm_apply_gradient" not in called
    unpooled = {line.partition(" = ")[0] for line in lines if " = max_pool_2x2_backward(" in line}
    assert not [line for line in lines if " = channel_sum(" in line and line.split("(")[1].split(")")[0] in unpooled]
