"""Mixed precision: what is of bfloat16 and what is not, the same on every backend, eager or captured."""

import os
import subprocess
import sys

import numpy as np
import pytest
from conftest import absence

import tinymed
from tinymed import dispatch, mixed, nn, optim, precision
from tinymed.cpu.simd.bf16_twins import to_bits, to_floats
from tinymed.nn import functional as F
from tinymed.tape import Op


def rounded(a):
    """Return an array with each number rounded to bfloat16."""
    return to_floats(to_bits(np.ascontiguousarray(a)))


def draw(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


class Block(nn.Module):
    """A residual block, what stands around it, and a head."""

    def __init__(self):
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(3, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU(), nn.MaxPool2d(3, 2, 1))
        self.body = nn.Sequential(
            nn.Conv2d(32, 32, 3, padding=1, bias=False), nn.BatchNorm2d(32), nn.ReLU(), nn.Conv2d(32, 32, 1),
            nn.BatchNorm2d(32),
        )  # fmt: skip
        self.down = nn.Sequential(nn.Conv2d(32, 64, 3, stride=2, padding=1), nn.ReLU(), nn.LeakyReLU(0.1))
        self.up = nn.ConvTranspose2d(64, 16, 2, stride=2)
        self.head = nn.Linear(16, 5)

    def forward(self, x):
        x = self.first(x)
        x = F.relu(self.body(x) + x)
        x = self.up(self.down(x))
        return self.head(F.adaptive_avg_pool2d(x, 1).flatten(1))


def run(backend, name="bf16", captured=False, steps=1):
    """Return loss, logits and gradients of a step."""
    with tinymed.use_backend(backend), tinymed.use_precision(name):
        tinymed.manual_seed(0)
        net = Block()
        optimizer = optim.SGD(net.parameters(), lr=0.01)
        images, labels = tinymed.tensor(draw(4, 3, 20, 20)), tinymed.tensor(np.arange(4) % 5)

        def step(images, labels):
            optimizer.zero_grad()
            logits = net(images)
            loss = F.cross_entropy(logits, labels)
            loss.backward()
            optimizer.step()
            return loss, logits

        go = tinymed.capture(step) if captured else step
        for _ in range(steps):
            loss, logits = go(images, labels)
        return [loss.numpy(), logits.detach().numpy(), *(p.grad.numpy() for p in net.parameters())], net


def test_backends_agree():
    """Sums run in other orders, so a number here and there is rounded to its other neighbour."""
    reference, _ = run("numpy")
    for backend in ("numba", "loops", *(() if absence("emulated") else ("emulated",))):
        for ours, right in zip(run(backend)[0], reference, strict=True):
            assert np.abs(ours - right).max() <= 0.03 * np.abs(right).max() + 2e-3


def test_a_captured_step_has_the_bits_of_an_eager_one():
    eager, _ = run("numba", steps=3)
    replayed, _ = run("numba", captured=True, steps=3)
    for a, b in zip(eager, replayed, strict=True):
        np.testing.assert_array_equal(a, b)


def test_results_are_of_bfloat16_and_gradients_of_leaves_are_not():
    (loss, logits, *_), net = run("numba")
    np.testing.assert_array_equal(rounded(logits), logits)
    for name, p in net.named_parameters():
        assert p.dtype == np.float32
        assert p.grad.dtype == np.float32
        if "weight" in name:
            assert (rounded(p.grad.numpy()) != p.grad.numpy()).any(), name
    assert loss.dtype == np.float32
    assert rounded(loss) != loss


@pytest.mark.parametrize("backend", ["numpy", "numba"])
def test_what_a_result_is_follows_the_table(backend):
    with tinymed.use_backend(backend), tinymed.use_precision("bf16"):
        image = tinymed.tensor(draw(2, 3, 8, 8))
        assert not image.stored
        assert not F.relu(image).stored  # of a float32 input stays float32
        x = F.conv2d(image, tinymed.tensor(draw(4, 3, 3, 3), requires_grad=True))
        assert x.stored
        for made in (F.relu(x), F.gelu(x), F.avg_pool2d(x, 2), x + x, x.flatten(1), F.max_pool2d(x, 2)):
            assert made.stored
            np.testing.assert_array_equal(rounded(made.detach().numpy()), made.detach().numpy())
        for made in (F.softmax(x, 1), x.exp(), x.sum(), x.mean(), x.sigmoid(), x + image[:, :1, :6, :6]):
            assert not made.stored
    with tinymed.use_backend(backend):
        assert not F.conv2d(image, tinymed.tensor(draw(4, 3, 3, 3))).stored


def test_a_write_in_place_changes_what_a_tensor_is():
    with tinymed.use_backend("numba"), tinymed.use_precision("bf16"):
        image, w = tinymed.tensor(draw(2, 3, 6, 6)), tinymed.tensor(draw(3, 3, 1, 1))
        for write, stays in (
            (lambda y: y.add_(y), True),
            (lambda y: y.add_(image), False),
            (lambda y: y.__setitem__(0, image[0]), False),
            (lambda y: F.relu_(y), True),
        ):
            y = F.conv2d(image, w)
            write(y)
            assert y.stored == stays
            assert np.array_equal(rounded(y.numpy()), y.numpy()) == stays


def test_float64_is_left_alone():
    x, w = tinymed.tensor(draw(2, 3, 8, 8).astype(np.float64)), tinymed.tensor(draw(4, 3, 3, 3).astype(np.float64))
    right = F.conv2d(x, w)
    with tinymed.use_precision("bf16"):
        y = F.conv2d(x, w)
    assert not y.stored
    np.testing.assert_array_equal(y.numpy(), right.numpy())


def test_the_table_names_ops():
    named = mixed.NAMED | precision.PRODUCTS
    assert named <= Op.registry.keys()
    parts = [precision.PRODUCTS, precision.ROUNDED_AS_FIRST, precision.ROUNDED_AS_ALL, precision.MOVED]
    assert sum(map(len, [*parts, precision.MOVED_AND_ADDED])) == len(named)  # none twice


@pytest.mark.parametrize("how", [(1, 1), (2, 1), (1, 2), (2, 2)], ids=str)
@pytest.mark.parametrize("groups", [1, 2, 4])
def test_convolution_agrees_with_the_reference(how, groups):
    stride, dilation = how
    x, w, b = draw(3, 32, 17, 15), draw(40, 32 // groups, 3, 3, seed=1), draw(40, seed=2)
    made = []
    for backend in ("numpy", "numba"):
        with tinymed.use_backend(backend), tinymed.use_precision("bf16"):
            tensors = [tinymed.tensor(a, requires_grad=True) for a in (x, w, b)]
            y = F.conv2d(*tensors, stride=stride, padding=(1, 0), dilation=dilation, groups=groups)
            y.backward(tinymed.tensor(draw(*y.shape, seed=3)))
            made.append([y.detach().numpy(), *(t.grad.numpy() for t in tensors)])
    for ours, right in zip(*made[::-1], strict=True):
        assert np.abs(ours - right).max() <= 2.0**-7 * np.abs(right).max()


@pytest.mark.parametrize("shape", [(1, 7, 3), (40, 64, 33), (5, 300, 200), (0, 4, 4)], ids=str)
def test_products_of_matrices_agree_with_the_reference(shape):
    m, depth, n = shape
    a, b, c = draw(m, depth), draw(depth, n, seed=1), draw(n, depth, seed=2)
    for name, args in {
        "bf16_matmul": (a, b),
        "bf16_matmul_tb": (a, c),
        "bf16_matmul_ta": (a, draw(m, n, seed=3)),
        "bf16_batched_matmul": (a[None], b[None]),
    }.items():
        for rounds in (True, False):
            ours, right = (getattr(dispatch.table(t), name)(*args, rounds) for t in ("numba", "numpy"))
            tolerance = 2.0**-7 if rounds else 1e-5
            assert np.abs(ours - right).max(initial=0) <= tolerance * np.abs(right).max(initial=0), name


@pytest.mark.parametrize("name", ["float16", "fp16", "half"])
def test_training_in_float16_is_refused(name):
    with pytest.raises(ValueError, match="float16 is for storage, and training in it would need a loss scaler; bf16"):
        tinymed.use_precision(name)


def test_threads_do_not_change_a_bit():
    code = (
        "import sys, hashlib; sys.path.insert(0, 'tests'); import test_mixed as t\n"
        "made, _ = t.run('numba', captured=True, steps=2)\n"
        "print(hashlib.sha256(b''.join(a.tobytes() for a in made)).hexdigest())"
    )
    told = {
        subprocess.run(
            [sys.executable, "-c", code],
            env=os.environ | {"NUMBA_NUM_THREADS": threads},
            capture_output=True,
            text=True,
            check=True,
            cwd=os.path.dirname(os.path.dirname(os.path.abspath(__file__))),
        ).stdout
        for threads in ("1", "2")
    }
    assert len(told) == 1


@pytest.mark.parametrize("path", ["float32", pytest.param("avx512_bf16", marks=pytest.mark.full)])
def test_every_path_trains(path):
    """The other paths compute the same products, in another order or in float32."""
    from tinymed.cpu.compiler import isa

    if isa.lacking(path):
        pytest.skip(isa.lacking(path))
    code = (
        "import sys; sys.path.insert(0, 'tests'); import test_mixed as t, numpy as np\n"
        "made, _ = t.run('numba'); right, _ = t.run('numpy')\n"
        "print(all(np.abs(a - b).max() <= 0.03 * np.abs(b).max() + 2e-3 for a, b in zip(made, right)))"
    )
    folder = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    told = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | {"TINYMED_ISA": path}, capture_output=True, text=True, cwd=folder
    )
    assert told.stdout.strip() == "True", told.stderr
