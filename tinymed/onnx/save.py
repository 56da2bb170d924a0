"""From a module to a file: trace it, write a node or a few for each op, check the result, put it in its place."""

import inspect
import json
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import UserError
from ..files import write_atomic
from ..models.summary import mode
from ..nn.module import Module
from ..nn.norm import StatisticsWarning
from ..tape import Node, no_grad
from ..tensor import Tensor
from .graph import Graph
from .read import MOST_BYTES, take_apart
from .table import BUFFERS
from .tensors import library
from .trace import Trace, named_outputs, trace, trace_twice
from .writer import Writer

OPSETS = (17, 25)  # that the written nodes are valid in
RTOL = 1e-4  # of the largest output: how far the file, read back, may be from the module


def save(
    model: Module,
    example_input: Any,
    path: str | Path,
    opset: int = 18,
    dynamic_batch: bool = True,
    metadata: Mapping[str, Any] | None = None,
) -> None:
    """See `tinymed.onnx.export`."""
    path = Path(path)
    if not OPSETS[0] <= opset <= OPSETS[1]:
        raise UserError(f"onnx.export: opset is {opset}; it takes {OPSETS[0]} to {OPSETS[1]}")
    if not path.parent.is_dir():
        raise UserError(f"{path}: the folder {path.parent} does not exist")
    inputs = example_arrays(example_input)
    first, second = trace_twice(model, inputs) if dynamic_batch else (trace(model, inputs), None)
    proto = build(model, first, second, opset, metadata or {})
    batches = [inputs, [np.concatenate([a, a[:1]]) for a in inputs]]
    check(model, proto, batches[: 1 if second is None else 2])
    write_atomic(path, [proto.SerializeToString()])


def example_arrays(example: Any) -> list[np.ndarray]:
    """Return the arrays of one input, or of a tuple or list of them."""
    several = example if isinstance(example, tuple | list) else (example,)
    arrays = [e.array if isinstance(e, Node) else e for e in several]
    if not arrays or any(not isinstance(a, np.ndarray) or a.ndim == 0 or not a.size for a in arrays):
        given = ", ".join(str(getattr(a, "shape", type(a).__name__)) for a in arrays) or "nothing"
        raise UserError(
            f"onnx.export: example_input is {given}; it takes a tensor with a batch axis, or a tuple of them"
        )
    return arrays


def build(model: Module, first: Trace, second: Trace | None, opset: int, metadata: Mapping[str, Any]) -> Any:
    """Return the ModelProto of a traced module."""
    from . import emit  # noqa: F401  fills the table

    onnx = library()
    w = Writer(model, opset)
    names = [w.own(a, name) for a, name in zip(first.inputs, input_names(model, len(first.inputs)), strict=True)]
    for call in first.calls:
        w.emit(call)
    others = second or first
    taken = [info(w, n, a, b) for n, a, b in zip(names, first.inputs, others.inputs, strict=True)]
    returned = []
    for (base, a), (_, b) in zip(first.outputs, others.outputs, strict=True):
        name = w.fresh(base)  # a node of its own: an output may also be an input, a parameter, or returned twice
        w.nodes.append(onnx.helper.make_node("Identity", [w.value(a)], [name], f"/{name}"))
        returned.append(info(w, name, a, b))
    initialisers = [w.tensor(a, name) for name, a in w.initialisers.items()]
    nodes = without_dead(w.nodes, [v.name for v in returned])
    graph = onnx.helper.make_graph(nodes, type(model).__name__, taken, returned, initialisers)
    imports = [onnx.helper.make_opsetid("", opset)]
    proto = onnx.helper.make_model(
        graph,
        opset_imports=imports,
        producer_name="tinymed",
        producer_version=version(),
        ir_version=onnx.helper.find_min_ir_version_for(imports),
    )
    buffers = [name for name in w.buffers if name in w.initialisers]
    if proto.ByteSize() > MOST_BYTES:
        raise UserError(f"onnx.export: the model takes {proto.ByteSize():,} bytes; one file has at most {MOST_BYTES:,}")
    texts = {k: v if isinstance(v, str) else json.dumps(v) for k, v in ({BUFFERS: buffers} | dict(metadata)).items()}
    onnx.helper.set_model_props(proto, texts)
    onnx.checker.check_model(proto)
    return proto


def version() -> str:
    """Return this package's version."""
    from .. import __version__

    return __version__


def input_names(model: Module, n: int) -> list[str]:
    """Return the names of forward's parameters; of a starred one, numbered."""
    parameters = list(inspect.signature(model.forward).parameters.values())
    names = [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    starred = next((p.name for p in parameters if p.kind == p.VAR_POSITIONAL), "input")
    return [names[i] if i < len(names) else f"{starred}_{i}" for i in range(n)]


def info(w: Writer, name: str, a: np.ndarray, b: np.ndarray) -> Any:
    """Return a declared input or output: lengths that differ between the passes are free, the batch's is named so."""
    shape = [
        n if n == m else "batch" if i == 0 else f"{name}_{i}"
        for i, (n, m) in enumerate(zip(a.shape, b.shape, strict=True))
    ]
    return w.onnx.helper.make_tensor_value_info(name, w.onnx.helper.np_dtype_to_tensor_dtype(a.dtype), shape)


def without_dead(nodes: Sequence[Any], outputs: Sequence[str]) -> list[Any]:
    """Return the nodes that the outputs need, in order."""
    needed, kept = set(outputs), []
    for node in reversed(nodes):
        if needed.intersection(node.output):
            needed.update(node.input)
            kept.append(node)
    return kept[::-1]


def check(model: Module, proto: Any, batches: Sequence[Sequence[np.ndarray]]) -> None:
    """Run the written model beside the module.  Raises UserError if an output differs."""
    from . import operators  # noqa: F401  fills the table

    graph = Graph(take_apart(proto)).eval()
    for inputs in batches:
        with no_grad(), mode(model, False), warnings.catch_warnings():
            warnings.simplefilter("ignore", StatisticsWarning)  # numbers that are no pictures say nothing of statistics
            outputs, results = named_outputs(model(*[Tensor(a) for a in inputs])), graph(*inputs)
        for (name, wanted), got in zip(outputs, results if isinstance(results, tuple) else (results,), strict=True):
            if wanted.shape != got.shape or wanted.dtype != got.dtype:
                raise UserError(
                    f"onnx.export: output {name!r} is {got.dtype}{list(got.shape)} in the written model, "
                    f"{wanted.dtype}{list(wanted.shape)} in the module"
                )
            size = float(np.abs(wanted).max(initial=0)) if wanted.dtype.kind == "f" else 0.0
            if not np.allclose(got.array, wanted, rtol=RTOL, atol=RTOL * size, equal_nan=True):
                raise UserError(
                    f"onnx.export: output {name!r} of the written model differs from the module's: part of "
                    "its forward pass is computed outside the ops of the tape"
                )
