"""From a file to checked parts: what an ONNX model may hold, and a clear refusal of everything else.

A file is data from anywhere.  Nothing in it is run, no file outside the model's folder is opened, and nothing is
allocated before its declared size has been held against the bytes that are there.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import UserError
from .table import ACCEPTED, DTYPES, HALVES, NEWEST, OLDEST, TABLE, Node, type_name
from .tensors import Source, array, library

MOST_BYTES = (1 << 31) - 1  # protobuf's own limit
STANDARD = ("", "ai.onnx")


@dataclass
class Value:
    """A declared input or output: its name, dtype, and shape (None: a length that is free, or the whole shape).

    kind: "tensor", "sequence" (a list of tensors) or "optional" (one of these, or None).  half: ONNX's number of
    float16 or bfloat16, whose values are held in float32, else 0.
    """

    name: str
    dtype: np.dtype[Any]
    shape: tuple[int | None, ...] | None
    kind: str = "tensor"
    half: int = 0


@dataclass
class Parts:
    """A checked graph: its nodes in order, its initialisers, what it takes and returns; of a whole model also the rest.

    An attribute of a node that is a graph (the branches of If, the body of Loop) is of this type, too.
    """

    nodes: list[Node]
    initialisers: dict[str, np.ndarray]
    inputs: list[Value]
    outputs: list[Value]
    opset: int
    metadata: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def read_file(path: str | Path) -> Parts:
    """Return the parts of a model file.  Raises UserError naming the file if it cannot be read or is not supported."""
    library()
    path = Path(path)
    try:
        if path.stat().st_size > MOST_BYTES:
            raise UserError(f"{path}: {path.stat().st_size:,} bytes; an ONNX file has at most {MOST_BYTES:,}")
        content = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None
    return read_bytes(content, str(path), path.parent)


def read_bytes(content: bytes, where: str, folder: Path | None = None) -> Parts:
    """Return the parts of a serialised model; folder: where its further files may lie.

    Raises UserError beginning `where`.
    """
    onnx = library()
    try:
        model = onnx.load_model_from_string(content)
    except Exception as error:  # protobuf's DecodeError, whatever version made it
        raise UserError(f"{where}: is not an ONNX model: {' '.join(str(error).split())}") from None
    try:
        return take_apart(model, folder)
    except (ValueError, KeyError, TypeError, OverflowError, IndexError, AttributeError, RecursionError) as error:
        raise UserError(f"{where}: {' '.join(str(error).split())}") from None


def take_apart(model: Any, folder: Path | None = None) -> Parts:
    """Check a ModelProto and take its parts.  Raises ValueError."""
    graph = model.graph
    if not graph.node and not graph.output:
        raise ValueError("is not an ONNX model: it has neither nodes nor outputs")
    refuse(model.functions, "functions of its own are not supported; it takes the standard's operators (onnx.inliner)")
    source = Source(folder, opset_of(model))
    parts = parts_of(graph, source)
    refuse([] if parts.outputs else ["none"], "it returns nothing")
    check_flow(parts, set())
    context = library().checker.C.CheckerContext()
    context.ir_version = model.ir_version
    context.opset_imports = {o.domain: o.version for o in model.opset_import}
    check_nodes(graph, context)
    parts.metadata = {p.key: p.value for p in model.metadata_props}
    parts.notes = source.notes
    return parts


def parts_of(graph: Any, source: Source) -> Parts:
    """Return the parts of a GraphProto: the model's, or one in an attribute of a node."""
    refuse(graph.sparse_initializer, "sparse initialisers are not supported; it takes dense ones")
    initialisers = {t.name: array(t, f"initialiser {t.name!r}", source) for t in graph.initializer}
    nodes = [node_of(n, source) for n in graph.node]
    inputs = [value(v) for v in graph.input if v.name not in initialisers]
    return Parts(nodes, initialisers, inputs, [value(v) for v in graph.output], source.opset)


def check_flow(parts: Parts, around: set[str]) -> None:
    """Raise ValueError unless every value is made once, and before it is used.  around: values a body also sees."""
    known = {*parts.initialisers, *(v.name for v in parts.inputs)}
    refuse(len(known) < len(parts.initialisers) + len(parts.inputs), "an input has the name of another")
    known |= around
    for node in parts.nodes:
        missing = [name for name in node.inputs if name and name not in known]
        twice = [name for i, name in enumerate(node.outputs) if name and name in {*known, *node.outputs[:i]}]
        refuse(missing, f"{node}: takes {missing}, which nothing before it makes")
        refuse(twice or not any(node.outputs), f"{node}: makes {twice or 'nothing'}; it takes new values")
        for body in node.bodies.values():
            check_flow(body, known)
        known.update(node.outputs)
    missing = [v.name for v in parts.outputs if v.name not in known]
    refuse(missing, f"the outputs {missing} are made by no node")


def check_nodes(graph: Any, context: Any) -> None:
    """Let ONNX's checker see each node: how many inputs, which attributes of which type.  Raises ValueError."""
    checker, onnx = library().checker, library()
    for n in graph.node:
        try:
            checker.check_node(alone(n), context)
        except checker.ValidationError as error:
            message = (str(error).strip().splitlines() or ["is not valid"])[0]
            raise ValueError(f"node {n.name or ', '.join(n.output)!r} ({n.op_type}): {message}") from None
        for a in n.attribute:
            if a.type == onnx.AttributeProto.GRAPH:
                check_nodes(a.g, context)


def alone(n: Any) -> Any:
    """Return a node as the checker may see it: bodies, whose surroundings it lacks, empty.

    Values in other files left out.
    """
    onnx = library()
    if not any(a.type == onnx.AttributeProto.GRAPH or a.t.external_data for a in n.attribute):
        return n
    copy = onnx.NodeProto()
    copy.CopyFrom(n)
    for a in copy.attribute:
        if a.type == onnx.AttributeProto.GRAPH:
            a.g.CopyFrom(onnx.helper.make_graph([], "body", [], []))
        if a.t.external_data:
            a.t.CopyFrom(onnx.TensorProto(data_type=a.t.data_type, dims=[0], name=a.t.name))
    return copy


def refuse(found: Any, message: str) -> None:
    """Raise ValueError if there is any."""
    if found:
        raise ValueError(message)


def opset_of(model: Any) -> int:
    """Return the version of the standard operators.  Raises ValueError if it is not one that the functions know."""
    versions = [o.version for o in model.opset_import if o.domain in STANDARD]
    if len(versions) != 1 or not OLDEST <= versions[0] <= NEWEST:
        given = versions[0] if len(versions) == 1 else versions or "none"
        raise ValueError(
            f"opset {given} is not supported; it takes {OLDEST} to {NEWEST} of the standard domain "
            "(onnx.version_converter converts others)"
        )
    return int(versions[0])


def node_of(n: Any, source: Source) -> Node:
    """Return a NodeProto as a node.  Raises ValueError naming it if its operator or an attribute is not supported."""
    name = f"node {n.name or ', '.join(n.output)!r}"
    if n.domain not in STANDARD:
        raise ValueError(f"{name}: operator {n.domain}.{n.op_type} is not supported; it takes the standard domain's")
    if n.op_type not in TABLE:
        raise ValueError(f"{name}: operator {n.op_type} is not supported; it takes {', '.join(sorted(TABLE))}")
    attributes = {a.name: attribute(a, f"{name} ({n.op_type})", source) for a in n.attribute}
    return Node(n.op_type, n.name, tuple(n.input), tuple(n.output), attributes, source.opset)


def attribute(a: Any, where: str, source: Source) -> Any:
    """Return an attribute's value: numbers, text, lists of them, an array, or the parts of a graph."""
    onnx = library()
    kinds = onnx.AttributeProto
    if a.type in (kinds.FLOAT, kinds.INT, kinds.FLOATS, kinds.INTS):
        found = onnx.helper.get_attribute_value(a)
        return list(found) if a.type in (kinds.FLOATS, kinds.INTS) else found
    if a.type == kinds.STRING:
        return a.s.decode("utf-8", "replace")
    if a.type == kinds.STRINGS:
        return [s.decode("utf-8", "replace") for s in a.strings]
    if a.type == kinds.TENSOR:
        return array(a.t, f"{where}, attribute {a.name!r}", source)
    if a.type == kinds.GRAPH:
        return parts_of(a.g, source)
    if a.type == kinds.TYPE_PROTO:
        return value_of("", a.tp)
    raise ValueError(
        f"{where}: attribute {a.name!r} is of kind {kinds.AttributeType.Name(a.type)}; it takes numbers, "
        "text, lists of them, dense tensors and graphs"
    )


def value(v: Any) -> Value:
    """Return a declared input or output."""
    return value_of(v.name, v.type)


def value_of(name: str, kind: Any) -> Value:
    """Return a declared type.  Raises ValueError if it is none of tensors, sequences of them, and these as optional."""
    which = kind.WhichOneof("value") or "nothing"
    if which == "optional_type":
        inner = value_of(name, kind.optional_type.elem_type)
        return Value(name, inner.dtype, None, "optional", inner.half)
    if which == "sequence_type":
        inner = value_of(name, kind.sequence_type.elem_type)
        refuse(inner.kind != "tensor", f"{name!r} is a sequence of {inner.kind}s; it takes sequences of tensors")
        return Value(name, inner.dtype, None, "sequence", inner.half)
    if which == "nothing":  # the outputs of a body need no type
        return Value(name, np.dtype(np.float32), None)
    refuse(which != "tensor_type", f"{name!r} is declared as {which}; it takes tensors and sequences of them")
    tensor, number = kind.tensor_type, kind.tensor_type.elem_type
    if number not in DTYPES and number not in HALVES:
        raise ValueError(f"{name!r}: element type {type_name(number)} is not supported; it takes {ACCEPTED}")
    shape = None
    if tensor.HasField("shape"):  # some exporters write a free length as -1 or 0
        shape = tuple(d.dim_value if d.dim_value > 0 else None for d in tensor.shape.dim)
    return Value(name, DTYPES.get(number, np.dtype(np.float32)), shape, half=number if number in HALVES else 0)
