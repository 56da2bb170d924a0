"""Mixed precision without bfloat16's tiles: rounding in the pass that makes the numbers, the same as in one alone."""

import itertools
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import absence

import tinymed
from tinymed import dispatch, nn, optim
from tinymed.composites.mixed import once
from tinymed.nn import functional as F
from tinymed.program import capture
from tinymed.tensor import Tensor

FOLDER = Path(__file__).resolve().parent.parent
ALONE = ((1, 1), (1, 1), 1)  # stride, dilation, groups


def draw(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def image(a):
    """As activations lie in a network."""
    return np.ascontiguousarray(a.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)


def pooled_alone(k, y, size):
    """Round, ReLU and pool, a pass each."""
    return k.max_pool_2x2(k.relu_forward(k.bf16_round(y)), size)


class Net(nn.Module):
    """The beginning of the papers' CNN, and its end."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(3, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.BatchNorm2d(16), nn.Dropout(0.25),
            nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.BatchNorm2d(32), nn.Dropout(0.25),
            nn.Conv2d(32, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(288, 5),
        )  # fmt: skip

    def forward(self, x):
        return self.body(x)


def steps(captured):
    """Return losses and gradients of three training steps on the path `float32`, and the program's calls."""
    tinymed.manual_seed(0)
    net = Net()
    optimizer = optim.SGD(net.parameters(), lr=0.01)
    images, labels = tinymed.tensor(draw(6, 3, 24, 24)), tinymed.tensor(np.arange(6) % 5)

    def step(images, labels):
        optimizer.zero_grad()
        loss = F.cross_entropy(net(images), labels)
        loss.backward()
        optimizer.step()
        return loss

    go = capture(step) if captured else step
    made = [float(go(images, labels).numpy()) for _ in range(3)]
    calls = [(c.dispatcher.name, str(c)) for c in go.program.calls] if captured else []
    return made, [p.grad.numpy().copy() for p in net.parameters()], calls


def check_a_step():
    """Run by a process of its own, whose path is `float32`."""
    with tinymed.use_backend("numba"), tinymed.use_precision("bf16"):
        eager, gradients, _ = steps(False)
        replayed, others, calls = steps(True)
    names = [name for name, _ in calls]
    for kernel in ("bf16_turned", "bf16_direct_relu_pool", "bf16_dropout_norm_sums", "bf16_packed_gradient_relu"):
        assert kernel in names, (kernel, names)
    assert names.count("bf16_winograd_relu_pool") == 2
    for gone in ("pad", "max_pool_2x2", "dropout_batch_norm_sums", "bf16_norm_gradient_relu"):
        assert gone not in names, gone
    lone = [text for name, text in calls if name == "bf16_round" and ".weight" not in text]
    assert len(lone) == 3, lone  # of the logits, of their gradient and of that of the last linear layer's input
    np.testing.assert_allclose(replayed, eager, rtol=2e-6)
    for a, b in zip(gradients, others, strict=True):
        assert np.abs(a - b).max() <= 2e-5 * np.abs(a).max()


@pytest.mark.parametrize("threads", ["1", pytest.param("2", marks=pytest.mark.full)])
def test_a_captured_step_rounds_in_the_passes_that_make_the_numbers(threads):
    code = "import sys; sys.path.insert(0, 'tests'); import test_mixed_pool as t; t.check_a_step()"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"TINYMED_ISA": "float32", "NUMBA_NUM_THREADS": threads},
        capture_output=True,
        text=True,
        cwd=FOLDER,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("m", [2, 4])
def test_of_pixels_that_rounding_makes_equal_the_first_is_the_maximum(m):
    k = dispatch.table("numba")
    x, w, b = image(1 + draw(3, 8, 14, 18) / 256), draw(40, 8, 3, 3, seed=1), draw(40, seed=2)
    u, padding, size = k.winograd_filter(w, m), ((1, 1), (1, 1)), (7, 9)
    y = k.conv_winograd(x, u, b, 40, padding)
    p, i = k.bf16_winograd_relu_pool(x, u, b, 40, padding, size)
    want, where = pooled_alone(k, y, size)
    np.testing.assert_array_equal(p, want)
    np.testing.assert_array_equal(i, where)
    assert (i != k.max_pool_2x2(k.relu_forward(y), size)[1]).any()  # some are


@pytest.mark.parametrize("filters", [1, 16, 35])
def test_numbers_that_are_none_pass_through(filters):
    """NaN of any digits, infinities, zeros of both signs, subnormal numbers, and the middle between two neighbours."""
    k = dispatch.table("numba")
    odd = np.array(
        [0x7FFFFFFF, 0xFFFFFFFF, 0xFFC00000, 0x7F800001, 0x7F800000, 0xFF800000, 0x80000000, 0, 1], np.uint32
    )
    odd = np.concatenate([odd, np.array([0x3F808000, 0x3F818000, 0x3F808001, 0x7F7FFFFF, 0x00008000], np.uint32)])
    x = np.random.default_rng(0).choice(odd, (2, filters, 12, 10)).view(np.float32)
    index, below = np.zeros_like(x[:, :, ::2, ::2], np.uint8), image(x)
    y = np.empty_like(x[:, :, ::2, ::2])
    fill(image(y), image(index), below, y, index)
    want, where = pooled_alone(k, below, (6, 5))
    np.testing.assert_array_equal(y, want)
    np.testing.assert_array_equal(index, where)
    assert np.array_equal(np.signbit(y[y == 0]), np.signbit(want[want == 0]))


def fill(y, index, x, to, where):
    """Pool by the vectors' function, row of windows by row of windows."""
    import numba

    from tinymed.cpu.compiler import llvm_functions
    from tinymed.cpu.simd.pool_windows import bf16_relu_max_pool_2x2
    from tinymed.cpu.simd.vectors import address

    llvm_functions.load([bf16_relu_max_pool_2x2.symbol])

    @numba.njit
    def run(y, index, x):
        for b in range(y.shape[0]):
            for i in range(y.shape[1]):
                bf16_relu_max_pool_2x2(
                    address(y[b, i]),
                    address(index[b, i]),
                    address(x[b, 2 * i]),
                    address(x[b, 2 * i + 1]),
                    y.shape[2],
                    y.shape[3],
                )

    arrays = [np.ascontiguousarray(a.transpose(0, 2, 3, 1)) for a in (y, index, x)]
    run(*arrays)
    to[...], where[...] = (a.transpose(0, 3, 1, 2) for a in arrays[:2])


@pytest.mark.parametrize(
    "padding", [((0, 0), (0, 0)), ((1, 2), (3, 0)), ((-1, 0), (1, -2)), ((-9, 0), (0, 0))], ids=str
)
@pytest.mark.parametrize("shape", [(2, 3, 6, 5), (1, 3, 8, 40), (0, 3, 8, 4)], ids=str)
def test_images_are_turned_rounded_and_padded_at_once(shape, padding):
    k, x = dispatch.table("numba"), draw(*shape)
    if shape[2] + sum(padding[0]) < 0:
        return
    want = k.pad(image(k.bf16_round(x)), padding)
    np.testing.assert_array_equal(k.bf16_turned(x, padding), want)
    np.testing.assert_array_equal(k.bf16_pad(image(x), padding), want)


def test_what_is_rounded_is_not_rounded_again():
    def twice(x):
        k = dispatch.table()
        return Tensor(k.exp_forward(k.bf16_round(k.relu_forward(k.bf16_round(x.array)))))

    def computed(x):
        k = dispatch.table()
        return Tensor(k.exp_forward(k.bf16_round(k.exp_forward(k.bf16_round(x.array)))))

    def returned(x):
        k = dispatch.table()
        return Tensor(k.bf16_round(k.bf16_round(x.array)))

    x = Tensor(draw(4, 5))
    with dispatch.use_backend("numba"):
        for step, left in ((twice, 1), (computed, 2), (returned, 2)):
            captured = capture(step)
            np.testing.assert_array_equal(captured(x).array, step(x).array)
            names = [c.dispatcher.name for c in captured.program.calls]
            assert sum(name == "bf16_round" for name in names) == left, (step.__name__, names)


@pytest.mark.parametrize("backend", ["numpy", "loops", "numba", "emulated"])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_images_are_rounded_on_every_backend(backend, channels):
    """What rounds a convolution's images stands in where csrc has no product; only the CPU turns them in that pass."""
    if why := absence(backend):
        pytest.skip(f"backend {backend}: {why}")
    x = np.random.default_rng(0).standard_normal((2, channels, 5, 7), np.float32)
    table = dispatch.table(backend)
    wide = np.repeat(x, 2, axis=3)
    turned = [x.transpose(order).copy().transpose(np.argsort(order)) for order in itertools.permutations(range(4))]
    for given in (x, *turned, wide[..., ::2], x[::-1].copy()[::-1], x[:, ::-1].copy()[:, ::-1]):
        np.testing.assert_array_equal(once(table, given, False), dispatch.table("numpy").bf16_round(x))
        assert once(table, given, True) is given
