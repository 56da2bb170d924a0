"""What each op of the tape becomes in ONNX, on the op's own samples: ONNX Runtime gives the op's result."""

import numpy as np
import pytest
from derived import OPS, sample

import tinymed
import tinymed.onnx
from tinymed import nn
from tinymed.errors import UserError
from tinymed.tape import Node, Op
from tinymed.tensor import Tensor

pytest.importorskip("onnx", reason="onnx is not installed: pip install '.[test]'")
ort = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed: pip install '.[test]'")

from tinymed.onnx import emit  # noqa: E402, F401  fills the table
from tinymed.onnx.writer import EMITS  # noqa: E402

SAMPLES = 8
# Ops that no evaluation pass of a network has, and why they have no ONNX form here.
ABSENT = {
    "CTC": "a loss",
    "MultiLabelMargin": "a loss",
    "NuclearNorm": "not yet: the standard has no singular values",
    "Embedding": "not yet: Gather",
    "Erfinv": "the standard has none",
    "Fold": "not yet: Col2Im of opset 18",
    "Hardshrink": "not yet: Shrink without its bias",
    "MaxUnpool": "not yet: its indices count as PyTorch's, not ONNX's",
    "ResampleWide": "not yet: bicubic and antialiased, which Resize has with other borders",
    "Softshrink": "not yet: Shrink",
    "Threshold": "not yet: Where",
    "Move": "a change of device, of which a file knows nothing",
    "Dropout": "acts in training only",
    "DropoutChannels": "acts in training only",
    "AlphaDropout": "acts in training only",
    "RReLU": "random in training only; LeakyReLU otherwise",
    "BinaryCrossEntropy": "a loss",
    "BCEWithLogits": "a loss",
    "CrossEntropy": "a loss",
    "NLLLoss": "a loss",
    "Huber": "a loss",
    "SetItem": "writes in place",
    "SetWindow": "writes in place",
    "ScatterAdd": "no network scatters",
    "OneHot": "of targets",
    "DivRounded": "not differentiable",
    "Truth": "of conditions",
    "Scatter": "no network scatters",
    "SearchSorted": "not differentiable",
    "Cumprod": "no network of the registry has it",
    "Diagonal": "no network of the registry has it",
    "DiagonalEmbed": "no network of the registry has it",
    "Triangle": "no network of the registry has it",
    "Windows": "no network of the registry has it",
    "Rounded": "its gradient is 0",
    "Modulo": "no network of the registry has it",
    "Atan2": "no network of the registry has it",
    "Hypot": "no network of the registry has it",
    "FMax": "no network of the registry has it",
    "ClampBetween": "no network of the registry has it",
    "Sort": "no network of the registry has it",
    "SortPart": "no network of the registry has it",
    "Logit": "no network of the registry has it",
}


class One(nn.Module):
    """A module that applies one op to its input and to constants."""

    def __init__(self, op: type[Op], arguments: tuple, place: int):
        super().__init__()
        self.op, self.arguments, self.place = op, arguments, place

    def forward(self, x):
        return self.op.apply(*self.arguments[: self.place], x, *self.arguments[self.place + 1 :])


def single(a):
    """An argument as a network of float32 has it."""
    if isinstance(a, np.ndarray):
        return Tensor(np.array(a, np.float32 if a.dtype.kind == "f" else a.dtype))
    return a


def stepping(arguments):
    """Arguments whose sequences have a step each: of one without, ONNX Runtime forgets the initial state.

    `pack_padded_sequence` refuses such a sequence, as PyTorch's does, so no network exports it.
    """
    return tuple(np.maximum(a, 1) if isinstance(a, np.ndarray) and a.dtype == np.int64 else a for a in arguments)


def export(module, x, path):
    """Write a module; the message of a refusal, or nothing."""
    try:
        tinymed.onnx.export(module, x, path, opset=19, dynamic_batch=False)
    except UserError as refusal:
        return str(refusal)
    return ""


def runtime(path, x):
    """ONNX Runtime's outputs."""
    options = ort.SessionOptions()
    options.log_severity_level, options.intra_op_num_threads = 4, 1
    session = ort.InferenceSession(path.read_bytes(), options)
    return session.run(None, {i.name: x for i in session.get_inputs()})


def test_every_op_is_exported_or_has_a_reason():
    names = {op.__name__ for op in OPS if op.__module__.startswith("tinymed.ops")}
    assert names == set(EMITS) | set(ABSENT)
    assert not set(EMITS) & set(ABSENT)


@pytest.mark.parametrize("name", sorted(EMITS))
def test_as_onnx_runtime(name, tmp_path):
    """The op's samples in float32.  A refusal must say why; of each op some sample is accepted."""
    op, passed = Op.registry[name], 0
    for seed in range(SAMPLES):
        given = sample(op, seed)
        arguments = tuple(single(a) for a in (stepping(given) if name.endswith(("Sequence", "LSTMLayer")) else given))
        place = next(i for i, a in enumerate(arguments) if isinstance(a, Node))
        x = arguments[place].array
        if not x.ndim or any(isinstance(a, Node) and not a.array.size for a in arguments):
            continue
        path = tmp_path / f"{seed}.onnx"
        module = One(op, arguments, place).eval()
        with tinymed.use_backend("numpy"):
            refusal = export(module, tinymed.tensor(x), path)
            if refusal:
                assert f"op {name}" in refusal
                assert "has no ONNX form at opset 19" in refusal
                continue
            expected = module(tinymed.tensor(x))
        for want, got in zip(expected if isinstance(expected, tuple) else (expected,), runtime(path, x), strict=True):
            assert got.shape == want.shape, (seed, arguments)
            size = np.abs(want.array).max(initial=0)
            np.testing.assert_allclose(got, want.array, rtol=1e-4, atol=1e-5 * size, err_msg=f"sample {seed}")
        passed += 1
    assert passed
