"""Every declared op x backend x dtype x memory order x oracle.  Derived: adding an op edits nothing."""

import math

import numpy as np
import pytest
from conftest import absence
from derived import (
    DIFFERENTIABLE,
    LAYOUTS,
    OPS,
    EachItsOwn,
    HypothesisDraw,
    Signatures,
    command,
    has_empty,
    refuses_to_write,
    sample,
    tolerance,
    with_nan,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from tinymed import check, dispatch
from tinymed.program import PATTERNS

SEEDS = range(8)

# Kernels that write in place and belong to no op, and the tests that run them on every backend.
ELSEWHERE = {
    "max_window_wide": "test_pool.py",
    "max_window_wide_backward": "test_pool.py",
    "instance_norm_update": "test_norm.py",
    "instance_norm_update_loop": "test_norm.py",
    "follow_instances": "test_norm.py",
    "follow_statistics": "test_norm.py",
    "positions_of_words": "test_pool.py",
    "pad3d": "test_conv3d.py",
    "conv_packed_weight": "test_conv_packed.py",
    "take_channels": "test_backend.py",
    "copy": "test_backend.py",
    **dict.fromkeys(("lstm_layer_answer", "lstm_layer_run"), "test_recurrent.py"),  # without gradients
    "copy_dense": "test_caches.py",
    "flip_transpose_filter": "test_conv.py",
} | dict.fromkeys(("conv_winograd", "conv_winograd_weight", "winograd_filter"), "test_winograd.py")
VOLUMES = (
    "conv3d_few_filters pack_filter_rows conv3d_winograd conv3d_winograd_weight winograd_filter3d "
    "conv3d_winograd_five conv3d_winograd_five_weight winograd_filter_five"
)
OPERANDS = (  # other dtypes, numbers beside tensors, volumes pooled by wide windows
    "cast cast_from_bool cast_from_byte cast_from_int cast_from_long cast_to_bool cast_to_int cast_to_long "
    "larger_number smaller_number max_volume_wide max_volume_wide_backward"
)
REPEATED = "mul sub div"  # with an operand that lies repeated along some axes, of some thousands of numbers
ELSEWHERE |= {f"{name}_repeated": "test_elementwise.py" for name in REPEATED.split()}
ELSEWHERE |= dict.fromkeys(
    ("mul_beside", "sub_beside", "sub_from_beside", "div_beside", "div_into_beside", "mul_outer", "mul_lines"),
    "test_elementwise.py",
)
ELSEWHERE |= dict.fromkeys(VOLUMES.split(), "test_conv3d.py") | dict.fromkeys(OPERANDS.split(), "test_operands.py")


def name(op):
    return op.__name__


def reference(op, args):
    """Outputs and gradients of the float64 reference."""
    with dispatch.use_backend("numpy"):
        return check.results(op.apply, args, np.float64)


@pytest.mark.parametrize("op", DIFFERENTIABLE, ids=name)
def test_gradient(op):
    """Finite differences in float64 on the reference, under a random cotangent."""
    with dispatch.use_backend("numpy"):
        for seed in SEEDS:
            if not has_empty(args := sample(op, seed)):
                try:
                    check.gradcheck(op.apply, args, seed=seed)
                except check.GradientError as e:
                    pytest.fail(f"{e} ({command(op, seed)})")


@pytest.mark.parametrize("op", OPS, ids=name)
def test_float32(op, backend_name):
    """Outputs and gradients in float32 on each backend against the float64 reference; twice the same bits."""
    for seed in SEEDS:
        args = sample(op, seed)
        ours, again = (check.results(op.apply, args, np.float32) for _ in range(2))
        check.compare(ours, reference(op, args), tolerance(op), f"{backend_name}: {command(op, seed)}")
        check.compare(again, ours, 0.0, f"{backend_name}, a second time: {command(op, seed)}")
        floats = [a for a in (*ours[0], *ours[1]) if a is not None and a.dtype.kind == "f"]
        assert name(op) == "Cast" or all(a.dtype == np.float32 for a in floats), (
            "float32 went in, something else came out"
        )


@pytest.mark.parametrize("op", OPS, ids=name)
def test_float64_stays_float64(op):
    """A backend of float32 kernels falls back for float64 instead of losing digits."""
    for seed in SEEDS[:2]:
        args = sample(op, seed)
        with dispatch.use_backend("numba"):
            ours = check.results(op.apply, args, np.float64)
        check.compare(ours, reference(op, args), 1e-12, command(op, seed))


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("op", OPS, ids=name)
def test_memory_order(op, layout, backend_name):
    """The values do not depend on how an argument lies in memory."""
    for seed in SEEDS[:3]:
        args = sample(op, seed)
        ours = check.results(op.apply, args, np.float32, arrange=LAYOUTS[layout])
        check.compare(ours, reference(op, args), tolerance(op), f"{backend_name}, {layout}: {command(op, seed)}")


@pytest.mark.parametrize("op", OPS, ids=name)
def test_every_argument_in_an_order_of_its_own(op, backend_name):
    """Operands are broadcast, expanded, reversed, transposed, windows of larger arrays, each beside the others."""
    for seed in SEEDS:
        args = sample(op, seed)
        for draw in range(4):
            order = 10 * seed + draw
            try:
                ours = check.results(op.apply, args, np.float32, arrange=EachItsOwn(order))
            except RuntimeError as refusal:  # as PyTorch refuses to write to expanded memory
                if refuses_to_write(op, refusal):
                    continue
                raise
            with dispatch.use_backend("numpy"):
                true = check.results(op.apply, args, np.float64, arrange=EachItsOwn(order))
            check.compare(ours, true, tolerance(op), f"{backend_name}, orders {order}: {command(op, seed)}")


@pytest.mark.parametrize("op", OPS, ids=name)
def test_kernels_return_what_they_declare(op):
    """Shapes and dtypes as `out` says, from which compiled kernels get their memory, and a count of operations."""
    with dispatch.use_backend("numpy"), dispatch.observing(Signatures()) as calls:
        for seed in SEEDS:
            for dtype in (np.float32, np.float64):
                check.results(op.apply, sample(op, seed), dtype)
    for kernel, args, outs in calls.seen:
        said, given = kernel.specs(args), [(o.shape, o.dtype) for o in outs]
        assert given == said, f"{kernel.name} of {dispatch.declare.describe(args)} returns {given}, out= says {said}"
        assert kernel.rule.flops is not None, f"{kernel.name} declares no flops"
        flops = kernel.rule.flops(*args)
        assert 0 <= flops < math.inf, f"{kernel.name} of {dispatch.declare.describe(args)}: {flops} operations"


def test_every_kernel_is_entered():
    """The samples reach every reference of `ops`, every loop of `cpu` and every kernel of `cuda`, in float32."""
    entered = set()
    for used in ("numpy", "loops", "numba", *(["emulated"] if not absence("emulated") else [])):
        with dispatch.use_backend(used), dispatch.observing(Signatures()) as calls:
            for op in OPS:
                for seed in SEEDS:
                    check.results(op.apply, sample(op, seed), np.float32)
        entered |= {(kernel.backend, kernel.name) for kernel, _, _ in calls.seen}
    fused = {line.kernel for p in PATTERNS for line in p.added}  # entered by tests/test_patterns.py
    declared = {
        key
        for key, kernel in dispatch.implementations.items()
        if kernel.fn.__module__.startswith(("tinymed.ops.", "tinymed.cpu.", "tinymed.cuda."))
        and key[1] not in {*ELSEWHERE, *fused}
        and "bf16" not in key[1]  # entered by tests/test_bf16_conv.py and test_mixed.py
        and ".optim" not in kernel.fn.__module__  # entered by tests/test_optim.py and test_cuda_optim.py
        and ".ladders" not in kernel.fn.__module__  # entered by tests/test_cuda_ladders.py
        and ".imaging" not in kernel.fn.__module__  # entered by tests/test_imaging_kernels.py
    }
    missed = sorted(declared - entered)
    assert not missed, "no sample reaches these kernels: widen the samples of their op"


@pytest.mark.parametrize("part", [0, *(pytest.param(part, marks=pytest.mark.full) for part in range(1, 6))])
def test_kernels_compile_for_several_threads(part, monkeypatch):
    """What samples are too small for: the variant of every loop that large arrays run, with the same results."""
    monkeypatch.setattr(dispatch.select, "SMALL", 0)
    with dispatch.use_backend("numba") as table:
        table.forget()  # plans were made for small arrays
        for op in OPS[part::6]:
            args = sample(op, SEEDS[0])
            check.compare(check.results(op.apply, args, np.float32), reference(op, args), tolerance(op), command(op, 0))
        table.forget()


@pytest.mark.parametrize("op", OPS, ids=name)
def test_a_nan_comes_out(op, backend_name):
    """Where the reference gives NaN every backend does, else a training that diverged looks healthy."""
    for seed in SEEDS[:4]:
        if (args := with_nan(sample(op, seed))) is None:
            continue
        with dispatch.use_backend("numpy"):
            true = check.results(op.apply, args, np.float32)
        for kind, ours, theirs in zip(
            ("output", "gradient"), check.results(op.apply, args, np.float32), true, strict=True
        ):
            for i, (a, b) in enumerate(zip(ours, theirs, strict=True)):
                if b is not None and b.dtype.kind == "f":
                    assert np.array_equal(np.isnan(a), np.isnan(b)), (
                        f"{backend_name}: {kind} {i} has {np.isnan(a).sum()} NaN, the reference {np.isnan(b).sum()}, "
                        f"from one NaN in the first array ({command(op, seed)})"
                    )


@pytest.mark.parametrize("op", [op for op in OPS if op.oracle is not None], ids=name)
def test_oracle(op):
    """Forward and all gradients against PyTorch in float64, over arguments that Hypothesis draws and shrinks."""
    pytest.importorskip("torch", reason="PyTorch is the oracle: pip install '.[test]'")

    @settings(max_examples=20)
    @given(st.data())
    def against_torch(data):
        args = op.samples(HypothesisDraw(data))
        check.compare(reference(op, args), check.oracle_results(op, args), 1e-9, name(op))

    against_torch()
