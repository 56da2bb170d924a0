"""ONNX: models of other programs as modules, and modules as ONNX files.

    module = tinymed.onnx.load("model.onnx")          trainable; called with the graph's inputs in order
    tinymed.onnx.export(module, example, "model.onnx")

Needs the `onnx` extra; nothing of it is imported before it is used.
"""

from pathlib import Path
from typing import Any

from ..nn.module import Module


def load(path: str | Path) -> Module:
    """An ONNX file as a module, in evaluation mode.

    Called with the graph's inputs in order (tensors or arrays), it returns its output, or a tuple of its outputs.
    Floating-point initialisers are parameters, so it can be trained on.  Opsets 7 to 28 of the standard domain,
    element types that NumPy has.  Raises UserError, naming the file and the node, for anything else: unknown
    operators, external data, shapes that the file's bytes do not fill.
    """
    from . import operators  # noqa: F401  fills the table
    from .graph import Graph
    from .read import read_file

    return Graph(read_file(path)).eval()


def export(model: Module, example_input: Any, path: str | Path, **options: Any) -> None:
    """Placeholder replaced below."""
    raise NotImplementedError
