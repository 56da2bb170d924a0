"""From a file to checked parts: what an ONNX model may hold, and a clear refusal of everything else.

A file is data from anywhere.  Nothing in it is run, no other file is opened (external data is refused), and nothing is
allocated before its declared size has been held against the bytes that are there.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import UserError
from .table import DTYPES, MOST_ELEMENTS, NEWEST, OLDEST, TABLE, Node

MOST_BYTES = (1 << 31) - 1  # protobuf's own limit
STANDARD = ("", "ai.onnx")


@dataclass
class Value:
    """A declared input or output: its name, dtype, and shape (None: a length that is free, or the whole shape)."""

    name: str
    dtype: np.dtype[Any]
    shape: tuple[int | None, ...] | None


@dataclass
class Parts:
    """A checked model: its nodes in order, its initialisers, what it takes and returns, its metadata."""

    nodes: list[Node]
    initialisers: dict[str, np.ndarray]
    inputs: list[Value]
    outputs: list[Value]
    opset: int
    metadata: dict[str, str]


def library() -> Any:
    """The onnx package, which only this room needs.  Raises UserError if it is missing."""
    try:
        import onnx
        import onnx.checker
        import onnx.numpy_helper
    except ImportError:
        raise UserError("ONNX files need the onnx package: pip install 'tinymed[onnx]'") from None
    return onnx


def read_file(path: str | Path) -> Parts:
    """The parts of a model file.  Raises UserError naming the file if it cannot be read or is not supported."""
    library()
    path = Path(path)
    try:
        if path.stat().st_size > MOST_BYTES:
            raise UserError(f"{path}: {path.stat().st_size:,} bytes; an ONNX file has at most {MOST_BYTES:,}")
        content = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None
    return read_bytes(content, str(path))


def read_bytes(content: bytes, where: str) -> Parts:
    """The parts of a serialised model.  Raises UserError beginning with `where`."""
    onnx = library()
    try:
        model = onnx.load_model_from_string(content)
    except Exception as error:  # protobuf's DecodeError, whatever version made it
        raise UserError(f"{where}: is not an ONNX model: {' '.join(str(error).split())}") from None
    try:
        return take_apart(model)
    except (ValueError, KeyError, TypeError, OverflowError) as error:
        raise UserError(f"{where}: {' '.join(str(error).split())}") from None


def take_apart(model: Any) -> Parts:
    """Check a ModelProto and take its parts.  Raises ValueError."""
    graph = model.graph
    if not graph.node and not graph.output:
        raise ValueError("is not an ONNX model: it has neither nodes nor outputs")
    opset = opset_of(model)
    refuse(graph.sparse_initializer, "sparse initialisers are not supported; it takes dense ones")
    initialisers = {t.name: array(t, f"initialiser {t.name!r}") for t in graph.initializer}
    nodes = [node_of(n, opset) for n in graph.node]
    inputs = [value(v) for v in graph.input if v.name not in initialisers]
    outputs = [value(v) for v in graph.output]
    check_flow(nodes, {*initialisers, *(v.name for v in inputs)}, outputs)
    check_nodes(graph.node, model)
    return Parts(nodes, initialisers, inputs, outputs, opset, {p.key: p.value for p in model.metadata_props})


def check_flow(nodes: Sequence[Node], known: set[str], outputs: Sequence[Value]) -> None:
    """Raise ValueError unless every value is made once, and before it is used."""
    for node in nodes:
        missing = [name for name in node.inputs if name and name not in known]
        twice = [name for name in node.outputs if name and name in known]
        refuse(missing, f"{node}: takes {missing}, which nothing before it makes")
        refuse(twice or not any(node.outputs), f"{node}: makes {twice or 'nothing'}; it takes new values")
        known.update(node.outputs)
    missing = [v.name for v in outputs if v.name not in known]
    refuse(missing or not outputs, f"the outputs {missing} are made by no node")


def check_nodes(nodes: Sequence[Any], model: Any) -> None:
    """Let ONNX's checker see each node: how many inputs, which attributes of which type.  Raises ValueError."""
    checker = library().checker
    context = checker.C.CheckerContext()
    context.ir_version = model.ir_version
    context.opset_imports = {o.domain: o.version for o in model.opset_import}
    for n in nodes:
        try:
            checker.check_node(n, context)
        except checker.ValidationError as error:
            message = str(error).strip().splitlines()[0]
            raise ValueError(f"node {n.name or ', '.join(n.output)!r} ({n.op_type}): {message}") from None


def refuse(found: Any, message: str) -> None:
    """Raise ValueError if there is any."""
    if found:
        raise ValueError(message)


def opset_of(model: Any) -> int:
    """The version of the standard operators.  Raises ValueError if it is not one that the functions know."""
    versions = [o.version for o in model.opset_import if o.domain in STANDARD]
    if len(versions) != 1 or not OLDEST <= versions[0] <= NEWEST:
        given = versions[0] if len(versions) == 1 else versions or "none"
        raise ValueError(
            f"opset {given} is not supported; it takes {OLDEST} to {NEWEST} of the standard domain "
            "(onnx.version_converter converts others)"
        )
    return int(versions[0])


def node_of(n: Any, opset: int) -> Node:
    """A NodeProto as a node.  Raises ValueError naming it if its operator or an attribute is not supported."""
    name = f"node {n.name or ', '.join(n.output)!r}"
    if n.domain not in STANDARD:
        raise ValueError(f"{name}: operator {n.domain}.{n.op_type} is not supported; it takes the standard domain's")
    if n.op_type not in TABLE:
        raise ValueError(f"{name}: operator {n.op_type} is not supported; it takes {', '.join(sorted(TABLE))}")
    attributes = {a.name: attribute(a, f"{name} ({n.op_type})") for a in n.attribute}
    return Node(n.op_type, n.name, tuple(n.input), tuple(n.output), attributes, opset)


def attribute(a: Any, where: str) -> Any:
    """An attribute's value: numbers, text, lists of them, or an array."""
    onnx = library()
    kinds = onnx.AttributeProto
    if a.type in (kinds.FLOAT, kinds.INT, kinds.FLOATS, kinds.INTS):
        found = onnx.helper.get_attribute_value(a)
        return list(found) if a.type in (kinds.FLOATS, kinds.INTS) else found
    if a.type == kinds.STRING:
        return a.s.decode("utf-8", "replace")
    if a.type == kinds.TENSOR:
        return array(a.t, f"{where}, attribute {a.name!r}")
    raise ValueError(
        f"{where}: attribute {a.name!r} is of kind {kinds.AttributeType.Name(a.type)}; it takes numbers, "
        "text, lists of numbers and dense tensors"
    )


def array(t: Any, where: str) -> np.ndarray:
    """A TensorProto's values.  Raises ValueError for external data, other dtypes, and a shape its bytes do not fill."""
    onnx = library()
    if t.data_location == onnx.TensorProto.EXTERNAL or t.external_data:
        files = [e.value for e in t.external_data if e.key == "location"]
        raise ValueError(
            f"{where} lies in another file ({', '.join(files) or 'unnamed'}); external data is refused: "
            "store the model in one file"
        )
    refuse(t.HasField("segment"), f"{where} is stored in segments, which are not supported")
    dtype = dtype_of(t.data_type, where)
    shape = tuple(t.dims)
    if min(shape, default=0) < 0 or prod(shape) > MOST_ELEMENTS:
        raise ValueError(
            f"{where} declares the shape {list(shape)}; it takes lengths >= 0 and at most {MOST_ELEMENTS:,} elements"
        )
    there = (
        len(t.raw_data) // dtype.itemsize
        if t.HasField("raw_data")
        else max(len(t.float_data), len(t.int32_data), len(t.int64_data), len(t.double_data), len(t.uint64_data))
    )
    if there != prod(shape):
        raise ValueError(f"{where} declares the shape {list(shape)}, {prod(shape):,} elements, but holds {there:,}")
    values = onnx.numpy_helper.to_array(t)
    return np.array(values.astype(dtype, copy=False).reshape(shape))


def dtype_of(number: int, where: str) -> np.dtype[Any]:
    """NumPy's dtype.  Raises ValueError for strings, bfloat16 and the other types that NumPy has not."""
    if number not in DTYPES:
        kinds = library().TensorProto.DataType
        name = kinds.Name(number) if number in kinds.values() else number
        raise ValueError(
            f"{where}: element type {name} is not supported; it takes {', '.join(str(d) for d in DTYPES.values())}"
        )
    return DTYPES[number]


def value(v: Any) -> Value:
    """A declared input or output.  Raises ValueError if it is not a tensor."""
    if v.type.WhichOneof("value") != "tensor_type":
        kind = v.type.WhichOneof("value") or "nothing"
        raise ValueError(f"{v.name!r} is declared as {kind}; it takes tensors")
    tensor = v.type.tensor_type
    shape = None
    if tensor.HasField("shape"):
        shape = tuple(d.dim_value if d.HasField("dim_value") else None for d in tensor.shape.dim)
    return Value(v.name, dtype_of(tensor.elem_type, repr(v.name)), shape)
