"""float64 on the numba backend: the kernels of a CNN, instantiated from float32's source, against the reference.

The reference is the oracle, to 1e-12 of the largest value; test_ops.py asks every op, here are the sizes and the memory
orders that its samples are too small for.
"""

import os
import subprocess
import sys

import numba
import numpy as np
import pytest
from derived import LAYOUTS, EachItsOwn, sample, with_nan

import tinymed
from tinymed import check, dispatch, models, nn, optim
from tinymed.cpu.compiler import elements
from tinymed.cpu.convolution import choose
from tinymed.draw import Draw
from tinymed.program import PATTERNS, passes
from tinymed.program.patterns import Name
from tinymed.tape import Op
from tinymed.tensor import Tensor

BOUND = 1e-12
NATIVE = (  # their kernels are all declared for float64, at least for images
    *("Abs", "AdaptiveAvgPool", "Add", "AvgPool", "BCEWithLogits", "BatchNorm", "BinaryCrossEntropy", "Cat", "Clamp"),
    *("Conv", "CrossEntropy", "Div", "Dropout", "DropoutChannels", "Exp", "Hardtanh", "LeakyReLU", "Linear", "Log"),
    *("LogSoftmax", "MatMul", "MaxPool", "Mul", "Neg", "PReLU", "PadConstant", "ReLU", "Sign", "Softmax", "Sqrt"),
    *("Sub", "Sum", "UpsampleLinear", "UpsampleNearest"),
)
OFTEN = ("BatchNorm", "Conv", "Linear", "MaxPool")  # asked in every run of the tests, the others in a full one
by_name = pytest.mark.parametrize(
    "name", [n if n in OFTEN else pytest.param(n, marks=pytest.mark.full) for n in NATIVE]
)


def agree(ours, theirs, what):
    check.compare(ours, theirs, BOUND, what)


def both(op, args, **options):
    """Outputs and gradients in float64 on numba, and on the reference."""
    with dispatch.use_backend("numba"):
        ours = check.results(op.apply, args, np.float64, **options)
    with dispatch.use_backend("numpy"):
        return ours, check.results(op.apply, args, np.float64, **options)


class Served(dispatch.Observer):
    """By which implementation each kernel was served."""

    def __init__(self):
        self.by = {}

    def after(self, dispatcher, kernel, args, outs):
        self.by.setdefault(kernel.backend, set()).add(dispatcher.name)


# ---------------------------------------------------------------------------------------------------- one op


@by_name
def test_in_any_memory_order(name):
    op = Op.registry[name]
    for seed in range(4):
        args = sample(op, seed)
        for layout, arrange in LAYOUTS.items():
            agree(*both(op, args, arrange=arrange), f"{name}, sample {seed}, {layout}")
        with dispatch.use_backend("numba"):
            ours = check.results(op.apply, args, np.float64, arrange=EachItsOwn(seed))
        with dispatch.use_backend("numpy"):
            theirs = check.results(op.apply, args, np.float64, arrange=EachItsOwn(seed))
        agree(ours, theirs, f"{name}, sample {seed}, each in an order of its own")


@by_name
def test_a_nan_comes_out(name):
    op = Op.registry[name]
    for seed in range(3):
        if (args := with_nan(sample(op, seed))) is None:
            continue
        for ours, theirs in zip(*both(op, args), strict=True):
            for a, b in zip(ours, theirs, strict=True):
                assert b is None or b.dtype.kind != "f" or np.array_equal(np.isnan(a), np.isnan(b)), name


@pytest.mark.full
def test_several_threads_give_the_same_bits(monkeypatch):
    """The variant of each loop that large arrays run, on one thread and on two, and beside the reference."""
    monkeypatch.setattr(dispatch.select, "SMALL", 0)
    rng, before = np.random.default_rng(0), numba.get_num_threads()
    wide = rng.normal(size=(4, 24, 33, 31)), rng.normal(size=(40, 24, 3, 3)), rng.normal(size=40)
    with dispatch.use_backend("numba") as table:
        table.forget()
        try:
            for name in ("Conv", "BatchNorm", "CrossEntropy", "MaxPool", "Linear", "Dropout", "ReLU"):
                op = Op.registry[name]
                args = [sample(op, 0)]
                args += [(*wide, (1, 1), ((1, 1), (1, 1)), (1, 1), 1)] if name == "Conv" else []
                for each in args:
                    found = []
                    for threads in (1, min(2, before)):
                        numba.set_num_threads(threads)
                        found.append(check.results(op.apply, each, np.float64))
                    for ones, twos in zip(*found, strict=True):
                        for one, two in zip(ones, twos, strict=True):
                            assert (one is None) == (two is None)
                            assert one is None or np.array_equal(one, two, equal_nan=one.dtype.kind == "f"), name
                    agree(*both(op, each), name)
        finally:
            numba.set_num_threads(before)
            table.forget()


# ------------------------------------------------------------------------------------------------ convolution


CASES = (  # images, channels, filters, side, kernel, stride, padding, dilation, groups
    (2, 1, 5, (7, 9), (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1), 1),
    (1, 3, 30, (11, 8), (3, 3), (2, 2), ((1, 0), (0, 1)), (1, 1), 1),
    (2, 5, 17, (9, 9), (5, 3), (2, 1), ((2, 2), (1, 1)), (1, 1), 1),
    (1, 30, 33, (10, 13), (3, 3), (1, 1), ((2, 2), (2, 2)), (2, 2), 1),
    (2, 30, 5, (8, 8), (1, 1), (1, 1), ((0, 0), (0, 0)), (1, 1), 1),
    (1, 32, 48, (12, 12), (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1), 4),
    (2, 20, 20, (9, 7), (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1), 20),
    (2, 64, 72, (14, 15), (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1), 1),
    (3, 64, 64, (6, 7), (2, 2), (2, 2), ((0, 0), (0, 0)), (1, 1), 1),
    (1, 128, 16, (17, 5), (3, 3), (1, 1), ((0, 0), (1, 1)), (1, 1), 1),
)


@pytest.mark.parametrize("algorithm", [None, "direct", "winograd2", "winograd4", "naive"])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_convolution(case, algorithm):
    """Odd sides, strides, dilation, groups, few and many channels, by each algorithm that can be forced."""
    n, c, k, side, kernel, *params = case
    if algorithm in ("winograd2", "winograd4") and (kernel, params[0], *params[2:]) != ((3, 3), (1, 1), (1, 1), 1):
        pytest.skip("it is done directly")
    rng, groups = np.random.default_rng(3), params[3]
    x, w = rng.standard_normal((n, c, *side)), rng.standard_normal((k, c // groups, *kernel))
    bias = rng.standard_normal(k)
    results = {}
    for backend in ("numba", "numpy"):
        with (
            dispatch.use_backend(backend) as table,
            choose.use_algorithm(algorithm),
            dispatch.observing(Served()) as seen,
        ):
            y = table.conv2d_forward(x, w, bias, *params)
            dy = np.random.default_rng(4).standard_normal(y.shape)
            dx = table.conv2d_backward_input(dy, w, x.shape, *params)
            results[backend] = [y, dx, table.conv2d_backward_weight(dy, x, w.shape, *params)]
        assert backend == "numpy" or seen.by.get("reference", set()) <= {"canonical"}, seen.by
    for ours, theirs in zip(results["numba"], results["numpy"], strict=True):
        assert ours.dtype == np.float64
        assert np.abs(ours - theirs).max() < BOUND * np.abs(theirs).max()


def test_the_rule_leaves_out_what_float64_has_not():
    ask = ("forward", (8, 64, 64, 64), (64, 64, 3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1), 1)
    with tinymed.use_precision("tf32"):
        assert choose.choose(*ask) == "winograd4"
        assert choose.choose(*ask, double=True) == "winograd2"
    assert choose.choose(*ask, double=True) == "winograd2"
    assert choose.choose("forward", (1, 8, 9, 9), (8, 1, 3, 3), groups=8) == "depthwise"
    assert choose.choose("forward", (1, 8, 9, 9), (8, 1, 3, 3), groups=8, double=True) == "direct"


# ---------------------------------------------------------------------------------------------------- rewrites


def takes_double(pattern):
    """Whether all that a pattern's right side calls on the CPU is declared for float64."""
    found = [dispatch.implementations.get(("numba", line.kernel)) for line in pattern.added]
    return pattern.backend == "numba" and all(k is None or k.double for k in found)


@pytest.mark.full
@pytest.mark.parametrize("p", [p for p in PATTERNS if takes_double(p)], ids=lambda p: f"{p.note}: {p.left[0].kernel}")
def test_a_rewrite_computes_the_same(p, monkeypatch):
    """Its samples are of the widths that panels of float64 have."""
    monkeypatch.setattr(passes, "PATTERNS", [p])
    rewritten, draw = 0, elements.doubled(p.samples)
    with dispatch.use_backend("numba"), tinymed.use_precision("tf32"):
        for seed in range(6):
            env = {n: v.astype(np.float64) if is_float(v) else v for n, v in draw(Draw(seed)).items()}
            varied = [n for n in p.inputs if is_float(env[n])]
            shown = {o for line in p.right for o in line.outs} & {o for line in p.left for o in line.outs}
            states = {n: v.copy() for n, v in env.items() if isinstance(v, np.ndarray) and v.dtype == np.uint32}

            def step(*tensors, env=env, varied=varied, shown=shown):
                values = env | {n: t.array for n, t in zip(varied, tensors, strict=True)}
                for line in p.left:
                    made = getattr(dispatch.table(), line.kernel)(
                        *[values[a] if isinstance(a, Name) else a for a in line.args]
                    )
                    values |= zip(line.outs, made if isinstance(made, tuple) else (made,), strict=True)
                return {n: Tensor(values[n]) for n in sorted(shown)}

            tensors = [Tensor(channels_last(env[n])) for n in varied]
            expected = {n: t.numpy().copy() for n, t in step(*tensors).items()}
            for n, before in states.items():
                env[n][...] = before
            captured = tinymed.capture(step)
            for n, got in captured(*tensors).items():
                assert got.numpy().dtype == expected[n].dtype
                close = np.abs(got.numpy() - expected[n]).max(initial=0) <= BOUND * np.abs(expected[n]).max(
                    initial=1e-30
                )
                assert close, f"{n}, seed {seed}"
            rewritten += any(p.note in c.note for c in captured.program.calls)
    assert rewritten >= 3


def is_float(a):
    return isinstance(a, np.ndarray) and a.dtype.kind == "f"


def channels_last(a):
    return dispatch.table().canonical(a, (0, *range(2, a.ndim), 1)) if a.ndim > 2 else a


# ---------------------------------------------------------------------------------------------------- networks


def network(name):
    """A network in float64 with its optimiser, and a batch."""
    tinymed.manual_seed(1)
    if name == "dcnn":
        model = models.create("dcnn", num_classes=2, in_channels=3, size=32, padding="same")
        model, optimizer = model.to("float64"), lambda m: optim.Adam(m.parameters())
    elif name == "resnet20":
        model = models.create("resnet20", num_classes=2).to("float64")
        optimizer = lambda m: optim.SGD(m.parameters(), lr=0.05, momentum=0.9)  # noqa: E731
    else:
        model = models.create("unet_bn", num_classes=2, in_channels=3, base=8, depth=2).to("float64")
        optimizer = lambda m: optim.AdamW(m.parameters())  # noqa: E731
    rng = np.random.default_rng(0)
    labels = (4, 32, 32) if name == "unet_bn" else (4,)
    return model.train(), optimizer(model), rng.standard_normal((4, 3, 32, 32)), rng.integers(0, 2, labels)


def train(name, backend, wrap, steps=3):
    """Losses and weights after some steps, and what served the kernels."""
    with dispatch.use_backend(backend):
        model, optimizer, x, y = network(name)

        def step(x, y):
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(model(x), y)
            loss.backward()
            optimizer.step()
            return loss

        run, x, y = wrap(step), tinymed.tensor(x), tinymed.tensor(y)
        losses = [float(run(x, y).item()) for _ in range(steps)]
        return losses, [p.array.copy() for p in model.parameters()], run


@pytest.mark.full
@pytest.mark.parametrize("name", ["dcnn", "resnet20", "unet_bn"])
def test_a_network_trains_as_on_the_reference(name):
    """Eager and captured; a captured step of each network uses fused kernels, and nearly no reference."""
    true, weights, _ = train(name, "numpy", lambda step: step)
    for wrap in (lambda step: step, tinymed.capture):
        losses, ours, run = train(name, "numba", wrap)
        np.testing.assert_allclose(losses, true, rtol=1e-9)
        for a, b in zip(ours, weights, strict=True):
            assert a.dtype == np.float64
            np.testing.assert_allclose(a, b, rtol=0, atol=1e-7 * max(1, np.abs(b).max()))
    served = {c.plan.kernel.name for c in run.program.calls if c.plan.fallback}
    assert served <= {"full", "advance_steps", "sgd_rates", "adam_rates", "getitem_backward", "canonical", "copy"}, (
        served
    )


BITS = """
import hashlib, sys
sys.path[:0] = ["tests"]
import tinymed
from test_float64 import train
digest = hashlib.sha256()
for name in ("dcnn", "unet_bn"):
    losses, weights, _ = train(name, "numba", tinymed.capture)
    for a in weights:
        digest.update(a.tobytes())
print(digest.hexdigest())
"""


@pytest.mark.full
def test_bits_do_not_depend_on_the_number_of_threads():

    found = {
        subprocess.run(
            [sys.executable, "-c", BITS],
            env=os.environ | {"NUMBA_NUM_THREADS": str(n)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for n in (1, 2)
    }
    assert len(found) == 1


# ---------------------------------------------------------------------------------------------- instantiation


FLOAT32 = """
import numpy as np
import tinymed
from tinymed.cpu.compiler import elements
k = tinymed.dispatch.table("numba")
x = np.ones((1, 8, 9, 9), np.float32)
k.conv2d_forward(x, np.ones((8, 8, 3, 3), np.float32), None, (1, 1), ((1, 1), (1, 1)), (1, 1), 1)
print(elements.doubled.cache_info().currsize)
k.relu_forward(x.astype(np.float64))
print(elements.doubled.cache_info().currsize > 0)
"""


def test_nothing_of_float64_is_made_before_it_is_used():
    run = subprocess.run([sys.executable, "-c", FLOAT32], capture_output=True, text=True, check=True)
    assert run.stdout.split() == ["0", "True"]


def test_code_written_for_float32_alone_says_so():
    from tinymed.cpu.convolution import depthwise

    with pytest.raises(TypeError, match="written for float32 alone"):
        elements.doubled(depthwise.depthwise_forward)


def test_what_a_kernel_does_not_name_differently_is_the_same_function():
    from tinymed.cpu.simd.vectors import ceil_div

    assert elements.doubled(ceil_div) is ceil_div
    assert elements.doubled(np.float32) is np.float64
