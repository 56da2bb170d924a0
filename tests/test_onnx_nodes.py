"""ONNX's own node tests: each case of the groups below runs, or is left out for a reason that the list gives."""

import re
import warnings
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tinymed import dispatch

pytest.importorskip("onnx", reason="onnx is not installed: pip install '.[test]'")

from onnx import TensorProto, numpy_helper

from tinymed.onnx import operators  # noqa: F401  fills the table
from tinymed.onnx.graph import Graph
from tinymed.onnx.read import read_bytes
from tinymed.onnx.table import TABLE

LIST = Path(__file__).with_name("onnx_node_cases.txt")
GROUPS = {
    "convolution": "Conv ConvTranspose",
    "pooling": "MaxPool AveragePool LpPool GlobalAveragePool GlobalMaxPool GlobalLpPool MaxUnpool",
    "normalisation": "BatchNormalization InstanceNormalization GroupNormalization LayerNormalization LRN "
    "LpNormalization MeanVarianceNormalization",
    "activation": "Relu LeakyRelu PRelu Elu Selu Celu Gelu Mish Swish HardSigmoid HardSwish ThresholdedRelu Softplus "
    "Softsign Tanh Sigmoid Softmax LogSoftmax Hardmax Clip Shrink",
    "dropout": "Dropout",
    "dense": "Gemm MatMul",
    "reduce": "ReduceMean ReduceSum ReduceMax ReduceMin ReduceProd ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp "
    "ReduceSumSquare ArgMax ArgMin",
    "shape": "Flatten Reshape Transpose Squeeze Unsqueeze Concat Split Slice Pad Expand Tile Gather Identity Shape "
    "Size Constant ConstantOfShape DepthToSpace SpaceToDepth Where CenterCropPad",
    "resample": "Resize Upsample",
    "element-wise": "Add Sub Mul Div Pow Mod Max Min Sum Mean Equal Less LessOrEqual Greater GreaterOrEqual And Or Xor "
    "Not Abs Neg Sign Sqrt Exp Log Erf Reciprocal Floor Ceil Round IsNaN IsInf",
    "recurrent": "RNN GRU LSTM",
    "control flow": "If Loop Scan SequenceMap",
    "sequence": "SequenceEmpty SequenceConstruct SequenceAt SequenceInsert SequenceErase SequenceLength "
    "SplitToSequence ConcatFromSequence Optional OptionalHasElement OptionalGetElement",
    "index": "GatherElements GatherND Scatter ScatterElements ScatterND TensorScatter TopK NonZero OneHot Trilu "
    "EyeLike Compress ReverseSequence Unique",
    "detection": "GridSample AffineGrid RoiAlign NonMaxSuppression",
    "quantised": "QuantizeLinear DequantizeLinear DynamicQuantizeLinear ConvInteger MatMulInteger QLinearConv "
    "QLinearMatMul",
    "attention": "Attention RMSNormalization RotaryEmbedding SwiGLU Einsum",
    "bits": "BitShift BitwiseAnd BitwiseOr BitwiseXor BitwiseNot",
    "loss": "SoftmaxCrossEntropyLoss NegativeLogLikelihoodLoss",
    "trigonometry": "Sin Cos Tan Asin Acos Atan Sinh Cosh Asinh Acosh Atanh HannWindow HammingWindow BlackmanWindow",
    "cast": "Cast CastLike",
    "others": "CumSum CumProd Range",
    "several nodes": "",
}


@cache
def cases() -> dict[str, Any]:
    """ONNX's node cases by name; they are built in memory."""
    from onnx.backend.test.loader import load_node_model_tests

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the generators: divisions by zero, overflowing casts
        return {case.name: case for case in load_node_model_tests()}


@cache
def listed() -> dict[str, dict[str, str]]:
    """{group: {case: why it is left out, or ""}}, from the committed list."""
    groups: dict[str, dict[str, str]] = {}
    for line in LIST.read_text().splitlines():
        if line.startswith("["):
            group = groups.setdefault(line.strip("[]"), {})
        elif line and not line.startswith("#"):
            name, _, reason = line.partition(":")
            assert name not in group, f"{name} is listed twice"
            group[name] = reason.strip()
    return groups


def array(value: Any) -> Any:
    """A value of a case as a test holds it: an array, or a list of them, or None.  bfloat16 becomes float32."""
    if value is None or isinstance(value, list):
        return value and [array(v) for v in value]
    found = numpy_helper.to_array(value) if isinstance(value, TensorProto) else np.asarray(value)
    return found.astype(np.float32) if found.dtype.name == "bfloat16" else found


def unlike(got: Any, want: Any, case: Any) -> str:
    """What is wrong with one output, or nothing: values, dtype and shape must be ONNX's."""
    if want is None or isinstance(want, list):
        if want is None or not isinstance(got, list) or len(got) != len(want):
            return "" if got is want else f"{got}, expected {want}"
        return "; ".join(filter(None, (unlike(g, w, case) for g, w in zip(got, want, strict=True))))
    if (got.dtype, got.shape) != (want.dtype, want.shape):
        return f"{got.dtype}{got.shape}, expected {want.dtype}{want.shape}"
    if not np.allclose(got.numpy(), want, rtol=case.rtol, atol=case.atol, equal_nan=True):
        return f"{got.numpy().reshape(-1)[:6]}, expected {want.reshape(-1)[:6]}"
    return ""


def disagreement(case: Any) -> str:
    """What is wrong with our outputs of a case, or nothing."""
    graph = Graph(read_bytes(case.model.SerializeToString(), case.name)).eval()
    for inputs, expected in case.data_sets:
        results = graph(*[array(i) for i in inputs])
        results = results if isinstance(results, tuple) else (results,)
        if len(results) != len(expected):
            return f"{len(results)} outputs, {len(expected)} expected"
        for got, want in zip(results, expected, strict=True):
            if wrong := unlike(got, array(want), case):
                return wrong
    return ""


def failures(group: str) -> dict[str, str]:
    """{case: what is wrong} of a group's cases that do not pass."""
    found = {}
    for name, reason in listed()[group].items():
        if not reason:
            try:
                wrong = disagreement(cases()[name])
            except Exception as error:
                wrong = f"{type(error).__name__}: {error}"
            if wrong:
                found[name] = wrong
    return found


@pytest.mark.parametrize("group", GROUPS)
def test_every_listed_case_passes(group):
    """On the reference kernels: what is tested is the mapping; other kernels have tests of their own."""
    with dispatch.use_backend("numpy"):
        assert failures(group) == {}


@pytest.mark.full
@pytest.mark.parametrize("group", GROUPS)
def test_every_listed_case_passes_compiled(group):
    with dispatch.use_backend("numba"):
        assert failures(group) == {}


def direct(case: Any) -> str:
    """The operator that a case is about; "several" if it has more nodes than one, all of known operators; else ""."""
    nodes = case.model.graph.node
    if any(n.domain for n in nodes):
        return ""
    if len(nodes) == 1:
        return str(nodes[0].op_type)
    return "several" if all(n.op_type in TABLE for n in nodes) else ""


def belonging(group: str) -> set[str]:
    """The cases of a group's operators, and their expanded twins."""
    kinds = {name: direct(case) for name, case in cases().items()}
    wanted = GROUPS[group].split() or ["several"]
    return {name for name in kinds if kinds.get(re.sub("_expanded.*", "", name)) in wanted}


@pytest.mark.parametrize("group", GROUPS)
def test_the_list_is_complete(group):
    """Each case of the group's operators is on the list, its expanded twins too, and nothing else is."""
    assert belonging(group) == set(listed()[group])
    assert set(listed()) == set(GROUPS)


def test_every_operator_belongs_to_a_group():
    """But for those of which ONNX has no case of one node."""
    grouped = {name for names in GROUPS.values() for name in names.split()}
    assert set(TABLE) - grouped == {"Constant"} - grouped
    assert grouped <= set(TABLE)


def test_few_cases_are_left_out():
    """The figures of the README: direct cases and expanded ones that run, and how many do not."""
    every = {name: reason for group in listed().values() for name, reason in group.items()}
    run = [name for name, reason in every.items() if not reason]
    assert len([name for name in run if "_expanded" not in name]) == 1150
    assert len([name for name in run if "_expanded" in name]) == 385
    assert len(every) - len(run) == 182


def test_a_wrong_result_is_noticed():
    """The comparison itself: another case's expectation does not pass."""
    case = cases()["test_relu"]
    assert disagreement(case) == ""
    inputs, outputs = case.data_sets[0]
    for wrong in (outputs[0] + 0.01, outputs[0].astype(np.float64), outputs[0][:1]):
        assert disagreement(SimpleNamespace(**vars(case) | {"data_sets": [(inputs, [wrong])]})) != ""
