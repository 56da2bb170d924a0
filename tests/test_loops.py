"""The upper storey of the CPU: loops keep the rules that make them readable, train, and step through in Python."""

import ast
import inspect
import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
from commands import NETWORK, command
from datasets import shared_data
from derived import DIFFERENTIABLE, OPS, has_empty, sample, tolerance

import tinymed
from tinymed import check, dispatch, models, optim
from tinymed.dispatch import LOOPS, REFERENCE
from tinymed.nn import functional

FOLDER = Path(tinymed.__file__).parent / "cpu" / "loops"
FILES = sorted(FOLDER.glob("*.py"))
LINES = 40  # a loop and the helpers it calls
# No ops of a CNN: three modes, three paddings and two corner rules in one loop; three terms of a score with a norm, a
# table of distances and gates, and the way back through all of it.
LONGER = {"grid_sample": 96, "axial_attention": 154}

# What a CNN is made of, and the kernels that each needs: every one has a loop.
CNN = {
    "conv1d and conv2d": ["conv2d_forward", "conv2d_backward_input", "conv2d_backward_weight", "channel_sum"],
    "conv3d": ["conv3d_forward", "conv3d_backward_input", "conv3d_backward_weight"],
    "transposed convolution": ["conv2d_backward_input", "conv3d_backward_input", "add_channels"],
    "max_pool2d": ["max_pool2d_forward", "max_pool2d_backward", "tap_to_flat"],
    "max_pool3d": ["max_pool3d_forward", "max_pool3d_backward"],
    "avg_pool2d": ["avg_pool2d_forward", "avg_pool2d_backward"],
    "avg_pool3d": ["avg_pool3d_forward", "avg_pool3d_backward"],
    "adaptive_avg_pool2d": ["adaptive_avg_pool2d_forward", "adaptive_avg_pool2d_backward"],
    "adaptive_avg_pool3d": ["adaptive_avg_pool3d_forward", "adaptive_avg_pool3d_backward"],
    "adaptive_max_pool": ["adaptive_max_pool_forward", "scatter_flat"],
    "batch_norm": ["batch_norm_forward", "batch_norm_inference", "batch_norm_backward"],
    "group_norm and instance_norm": ["group_norm_forward", "group_norm_backward"],
    "layer_norm": ["layer_norm_forward", "layer_norm_backward"],
    "local_response_norm": ["local_response_norm_forward", "local_response_norm_backward"],
    "relu": ["relu_forward", "relu_backward"],
    "leaky_relu": ["leaky_relu_forward", "leaky_relu_backward"],
    "prelu": ["prelu_forward", "prelu_backward"],
    "elu and selu": ["elu_forward", "elu_backward"],
    "gelu": ["gelu_forward", "gelu_backward"],
    "silu": ["silu_forward", "silu_backward"],
    "mish": ["mish_forward", "mish_backward"],
    "hardswish": ["hardswish_forward", "hardswish_backward"],
    "sigmoid": ["sigmoid_forward", "sigmoid_backward"],
    "tanh": ["tanh_forward", "tanh_backward"],
    "softplus": ["softplus_forward", "softplus_backward"],
    "softmax": ["softmax_forward", "softmax_backward"],
    "log_softmax": ["log_softmax_forward", "log_softmax_backward"],
    "dropout": ["dropout_forward", "dropout_backward"],
    "dropout2d": ["dropout_channels_forward", "dropout_channels_backward"],
    "linear": ["linear_forward", "matmul", "matmul_ta", "matmul_tb"],
    "cross_entropy": ["cross_entropy_forward", "cross_entropy_backward"],
    "binary_cross_entropy": ["binary_cross_entropy_forward", "binary_cross_entropy_backward"],
    "binary_cross_entropy_with_logits": ["bce_with_logits_forward", "bce_with_logits_backward"],
    "nll_loss": ["nll_loss_forward", "nll_loss_backward"],
    "mse_loss and overlap losses": ["add", "sub", "mul", "div", "neg", "sum_to", "pow_forward", "abs_forward"],
    "sum, mean, max": ["sum_forward", "amax_forward", "var_forward"],
    "cat": ["concat"],
    "pad": ["pad_constant", "pad_border", "pad_border_backward"],
    "upsample": [
        *("upsample_nearest2d_forward", "upsample_nearest2d_backward"),
        *("upsample_bilinear2d_forward", "upsample_bilinear2d_backward"),
        *("upsample_nearest3d_forward", "upsample_nearest3d_backward"),
        *("upsample_trilinear3d_forward", "upsample_trilinear3d_backward"),
    ],
    "SGD, Adam, RMSprop, Adagrad": [
        *("sgd_step", "sgd_flat", "momentum_step", "momentum_flat", "adam_step", "adam_flat"),
        *("rmsprop_step", "adagrad_step", "scale_gradient"),
    ],
}


@pytest.fixture
def loops():
    with dispatch.use_backend(LOOPS) as table:
        yield table


def implementation(name):
    """A kernel of the backend; importing it declares it."""
    dispatch.table(LOOPS)
    return dispatch.implementations.get((LOOPS, name))


def loops_of(name):
    """The loops behind a public name: its own, or those that its composite calls."""
    found = implementation(name)
    if not found.composite:
        return [found.fn]
    if own := implementation(f"{name}_loop"):
        return [own.fn]
    source = ast.parse(textwrap.dedent(inspect.getsource(found.fn)))
    called = [n.attr for n in ast.walk(source) if isinstance(n, ast.Attribute) and ast.unparse(n.value) == "k"]
    return [loop for n in dict.fromkeys(called) if implementation(n) for loop in loops_of(n)]


def function(fn):
    """The definition of a function, without its decorators."""
    node = ast.parse(textwrap.dedent(inspect.getsource(fn))).body[0]
    node.decorator_list = []
    return node


def helpers(fn):
    """The functions of the folder that a loop calls, and those that they call."""
    found = {}
    names = {n.func.id for n in ast.walk(function(fn)) if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)}
    for name in names:
        inner = fn.__globals__.get(name)
        inner = getattr(inner, "py_func", inner)
        if inspect.isfunction(inner) and inner.__module__.startswith("tinymed."):
            found |= {inner: None} | helpers(inner)
    return found


LOOP_NAMES = sorted({name for names in CNN.values() for name in names})


def test_the_list_has_forty_ops():
    assert len(CNN) == 40
    missing = [name for name in LOOP_NAMES if implementation(name) is None]
    assert not missing


def faults(node):
    """What breaks the rules in a loop or a helper: array arithmetic instead of scalar statements."""
    for n in ast.walk(node):
        if isinstance(n, ast.Slice):
            yield n, "a slice"
        elif isinstance(n, ast.MatMult):
            yield n, "@"
        elif isinstance(n, ast.Attribute) and ast.unparse(n.value) in ("np", "numpy"):
            if n.attr not in SCALARS:
                yield n, f"np.{n.attr}"
        elif isinstance(n, ast.Attribute) and n.attr in (
            "sum",
            "dot",
            "mean",
            "max",
            "min",
            "ravel",
            "reshape",
            "fill",
        ):
            yield n, f".{n.attr}()"


SCALARS = {"inf", "float32", "float64", "int64", "uint32", "uint64"}


def every_loop():
    """Each compiled kernel of the folder, with its helpers."""
    dispatch.table(LOOPS)
    found = [k for (where, _), k in dispatch.implementations.items() if where == LOOPS and k.compiled_kind]
    return sorted((k for k in found if k.fn.__module__.startswith("tinymed.cpu.loops.")), key=lambda k: k.name)


@pytest.mark.parametrize("kernel", every_loop(), ids=lambda k: k.name)
def test_a_loop_is_scalar_arithmetic_in_forty_lines(kernel):
    parts = [function(fn) for fn in (kernel.fn, *helpers(kernel.fn))]
    for part in parts:
        assert not [f"line {n.lineno} of {part.name}: {what}" for n, what in faults(part)]
        assert ast.get_docstring(part), f"{part.name}: say the formula"
    assert sum(p.end_lineno - p.lineno + 1 for p in parts) <= LONGER.get(kernel.fn.__module__.rpartition(".")[2], LINES)


@pytest.mark.parametrize("kernel", every_loop(), ids=lambda k: k.name)
def test_threads_share_the_outermost_loop_only(kernel):
    """A prange stands in the body of the function, never inside another loop; no sum is shared between threads."""
    node = function(kernel.fn)
    assert any(isinstance(n, ast.For) for n in node.body), "no loop"
    for part in (node, *map(function, helpers(kernel.fn))):
        outermost = [n for n in part.body if isinstance(n, ast.For)] if part is node else []
        for n in ast.walk(part):
            if isinstance(n, ast.Name) and n.id == "prange":
                assert any(isinstance(o.iter, ast.Call) and o.iter.func is n for o in outermost)
    for outer in [n for n in node.body if isinstance(n, ast.For) and ast.unparse(n.iter).startswith("prange")]:
        own = {t.id for n in ast.walk(outer) for t in names_bound(n)}
        for n in ast.walk(outer):
            if isinstance(n, ast.AugAssign) and isinstance(n.target, ast.Name):
                assert n.target.id in own, f"{n.target.id} would be summed over threads in no fixed order"


def names_bound(n):
    """Names that a statement gives a value without reading it."""
    targets = n.targets if isinstance(n, ast.Assign) else [n.target] if isinstance(n, ast.For) else []
    return [t for target in targets for t in ast.walk(target) if isinstance(t, ast.Name)]


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_loops_know_nothing_of_the_machine(path):
    for n in ast.walk(ast.parse(path.read_text())):
        if isinstance(n, ast.Import | ast.ImportFrom):
            names = [a.name for a in n.names] + [getattr(n, "module", None) or ""]
            assert not any("llvmlite" in name or "simd" in name for name in names)
            lower = isinstance(n, ast.ImportFrom) and n.level == 2
            assert not lower or names == ["ready", "compiler"], f"{path.name} imports from the lower storey: {names}"


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_loops_use_the_family_names(path):
    """loops/pool.py holds the loops of ops/pool.py."""
    families = {p.stem for p in (FOLDER.parents[1] / "ops").glob("*.py")} | {"__init__", "views", "optim", "imaging"}
    assert path.stem.removesuffix("3d") in families


@pytest.mark.parametrize("name", LOOP_NAMES)
def test_every_op_of_a_cnn_has_a_loop_with_the_arguments_of_its_reference(name):
    found, reference = implementation(name), dispatch.implementations[REFERENCE, name]
    assert loops_of(name), f"{name} ends in no loop"
    if not found.composite and reference.parameters[1:2] != ["args"]:
        inputs = reference.parameters[1:]
        assert found.parameters[len(found.parameters) - len(inputs) :] == inputs


@pytest.mark.parametrize("op", ["Conv", "BatchNorm", "MaxPool", "CrossEntropy", "Linear"])
def test_loops_keep_the_digits_of_float64(op, loops):
    """A gradient check runs on them."""
    op = next(o for o in DIFFERENTIABLE if o.__name__ == op)
    for seed in range(3):
        if not has_empty(args := sample(op, seed)):
            check.gradcheck(op.apply, args, seed=seed)


@pytest.mark.parametrize("name", ["BatchNorm", pytest.param("Conv", marks=pytest.mark.full)])
def test_the_same_bits_on_one_thread_and_on_several(name, loops, monkeypatch):
    """Also by the variant that large arrays run."""
    op = next(o for o in DIFFERENTIABLE if o.__name__ == name)
    ours = check.results(op.apply, sample(op, 1), np.float32)
    with monkeypatch.context() as m:
        m.setattr(dispatch.select, "SMALL", 0)
        loops.forget()
        check.compare(check.results(op.apply, sample(op, 1), np.float32), ours, 0.0, name)
    loops.forget()


def network():
    """A tiny network with one of each, its optimiser, and a batch."""
    tinymed.manual_seed(0)
    model = tinymed.nn.Sequential(
        tinymed.nn.Conv2d(1, 4, 3, padding=1),
        tinymed.nn.BatchNorm2d(4),
        tinymed.nn.ReLU(),
        tinymed.nn.MaxPool2d(2),
        tinymed.nn.Dropout(0.25),
        tinymed.nn.Flatten(),
        tinymed.nn.Linear(4 * 4 * 4, 2),
    )
    rng = np.random.default_rng(0)
    x = tinymed.tensor(rng.random((6, 1, 8, 8), np.float32))
    return model.train(), optim.Adam(model.parameters(), lr=0.01), x, tinymed.tensor(np.arange(6) % 2)


def losses(steps, wrap=lambda step: step):
    """The first losses of the tiny network."""
    model, optimizer, x, y = network()

    def step(x, y):
        optimizer.zero_grad()
        loss = functional.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        return loss

    run = wrap(step)
    return [float(run(x, y).item()) for _ in range(steps)]


def test_a_captured_step_runs_loops(loops):
    before = {name: dispatcher.fallback for name, dispatcher in loops.dispatchers.items()}
    eager = losses(4)
    assert np.allclose(losses(4, tinymed.capture), eager, rtol=1e-5)
    fell = {n for n, dispatcher in loops.dispatchers.items() if dispatcher.fallback > before.get(n, 0)}
    assert fell <= {"canonical", "full", "cast", "copy", "adam_rates", "advance_steps"}
    with dispatch.use_backend("numba"):
        assert np.allclose(losses(4), eager, rtol=1e-4)


@pytest.mark.full
def test_the_command_line_trains_on_loops_where_the_environment_says_so(cells, tmp_path, monkeypatch):
    monkeypatch.setenv("TINYMED_BACKEND", LOOPS)
    at = NETWORK.index("--backend")
    options = [*NETWORK[:at], *NETWORK[at + 2 :], "--steps", "2", "--out", tmp_path / "run"]
    process = command("train", "--data", cells, "--flip", *options)
    _, err = process.communicate()
    assert process.returncode == 0, err
    assert json.loads((tmp_path / "run" / "config.json").read_text())["backend"] == LOOPS


STEP = """
import sys, numpy as np
sys.path.insert(0, {tests!r})
import test_loops, tinymed
from tinymed import dispatch
code = dispatch.implementations["loops", "conv2d_forward"].compiled(small=True)
assert not hasattr(code, "overloads"), "compiled after all"
print(*test_loops.losses(2))
"""


def test_loops_step_through_in_python(loops):
    """With NUMBA_DISABLE_JIT=1 a debugger sees every statement: a kernel is the Python function that is in the file."""
    environment = os.environ | {"NUMBA_DISABLE_JIT": "1", "TINYMED_BACKEND": LOOPS}
    environment["PYTHONPATH"] = os.pathsep.join([*sys.path, str(Path(__file__).parent)])
    code = STEP.format(tests=str(Path(__file__).parent))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    assert np.allclose([float(v) for v in done.stdout.split()], losses(2), rtol=1e-4)


def test_numba_asks_for_loops_only_where_it_has_nothing_and_the_call_is_large(rng):
    """A loop that stands in counts as a fallback; what numba has of its own never becomes a loop."""
    code = (
        "import sys, numpy as np; from tinymed import dispatch, ops; k = dispatch.table('numba');"
        "x = np.ones((4, 5), np.float32); k.relu_forward(x); k.relu_forward(np.ones((4, 5)));"
        "k.reciprocal_backward(x, x);"
        "print('tinymed.cpu.loops' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False"]
    k, x, y = dispatch.table("numba"), *rng.normal(size=(2, 300, 300)).astype(np.float32)
    seen = []

    class Kernels(dispatch.Observer):
        def after(self, dispatcher, kernel, args, outs):
            seen.append((dispatcher.name, kernel.backend))

    before = k.reciprocal_backward.fallback
    with dispatch.observing(Kernels()):
        dx = k.reciprocal_backward(x, y)
        k.reciprocal_backward(x.astype(np.float64), y)  # digits are the reference's to keep
        k.relu_forward(x.astype(np.float64))  # numba's own, for float64
    served = ("reciprocal_backward", LOOPS), ("reciprocal_backward", REFERENCE), ("relu_forward", "numba")
    assert seen == [*served]
    assert k.reciprocal_backward.fallback == before + 2
    assert np.allclose(dx, -x * y * y, atol=1e-6)


@pytest.mark.parametrize("op", DIFFERENTIABLE, ids=lambda op: op.__name__)
def test_a_nan_in_any_argument_comes_out(op, loops):
    """Padding included: 0 times NaN is NaN."""
    for seed in range(3):
        args = sample(op, seed)
        for i, a in enumerate(args):
            if isinstance(a, np.ndarray) and a.dtype.kind == "f" and a.size:
                broken = a.copy()
                broken.reshape(-1)[a.size // 2] = np.nan
                given = (*args[:i], broken, *args[i + 1 :])
                ours = check.results(op.apply, given, np.float32)
                with dispatch.use_backend("numpy"):
                    true = check.results(op.apply, given, np.float32)
                for a, b in zip((*ours[0], *ours[1]), (*true[0], *true[1]), strict=True):
                    if b is not None and b.dtype.kind == "f":
                        assert np.array_equal(np.isnan(a), np.isnan(b)), f"sample {seed}, NaN in argument {i}"


@pytest.mark.full
def test_loops_compile_for_several_threads(loops, monkeypatch):
    """What large arrays run: minutes of compiling.  A thread's index is unsigned, and mixes badly."""
    monkeypatch.setattr("tinymed.dispatch.select.SMALL", 0)
    loops.forget()
    for op in OPS:
        args = sample(op, 0)
        with dispatch.use_backend("numpy"):
            true = check.results(op.apply, args, np.float64)
        check.compare(check.results(op.apply, args, np.float32), true, tolerance(op), op.__name__)
    loops.forget()


def test_malaria_starts_as_on_numba(monkeypatch):
    """The losses of the first 20 steps of the papers' CNN; loops on one thread, as all other tests compile them."""
    from tinymed.data import Loader, open_dataset

    batches = list(Loader(open_dataset(shared_data("malaria"), verify=False)["train"], 16, 50, workers=0).epoch())[:20]

    def first(name):
        with dispatch.use_backend(name):
            tinymed.manual_seed(0)
            model = models.create("dcnn", num_classes=2, size=50)
            optimizer, found = optim.Adam(model.train().parameters(), lr=1e-4), []
            for images, labels, _ in batches:
                optimizer.zero_grad()
                loss = functional.cross_entropy(model(tinymed.tensor(images)), tinymed.tensor(labels))
                loss.backward()
                optimizer.step()
                found.append(float(loss.item()))
            return found

    numba = first("numba")
    monkeypatch.setattr(dispatch.select, "SMALL", 1 << 40)
    assert np.allclose(first(LOOPS), numba, atol=1e-4, rtol=0)
    dispatch.table(LOOPS).forget()
