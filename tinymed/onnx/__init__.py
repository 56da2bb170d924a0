"""ONNX: models of other programs as modules, and modules as ONNX files.

    module = tinymed.onnx.load("model.onnx")          trainable; called with the graph's inputs in order
    tinymed.onnx.export(module, example, "model.onnx")

Needs the `onnx` extra; nothing of it is imported before it is used.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..nn.module import Module


def load(path: str | Path) -> Module:
    """Return an ONNX file as a module, in evaluation mode.

    Called with the graph's inputs in order (tensors or arrays), it returns its output, or a tuple of its outputs; a
    sequence is a list of tensors.  Floating-point initialisers are parameters, so it can be trained on.  Opsets 1 to
    28 of the standard domain, with the bodies of If, Loop and Scan; element types that NumPy has.  float16 and
    bfloat16 are held, and computed with, in float32; an output declared float16 is cast to it, one declared bfloat16
    is rounded to its digits.  A length declared as -1 or 0 is free.

    Weights in a second file are read if it lies in the model's own folder.  Raises UserError, naming the file and the
    node, for anything else: unknown operators, files elsewhere, shapes that the file's bytes do not fill.  Calling the
    module raises UserError, naming the node, for what an operator does not take, for results of more than 536,870,912
    elements, and for more than 100,000 trips of its loops in one call.
    """
    from ..errors import UserError
    from . import operators  # noqa: F401  fills the table
    from .graph import Graph
    from .read import read_file

    parts = read_file(path)
    try:
        return Graph(parts).eval()
    except ValueError as error:  # a constant that is none
        raise UserError(f"{path}: {error}") from None


def export(
    model: Module,
    example_input: Any,
    path: str | Path,
    opset: int = 18,
    dynamic_batch: bool = True,
    metadata: Mapping[str, Any] | None = None,
) -> None:
    """Write a module's evaluation pass as an ONNX file.

    example_input: a tensor (N, ...), or a tuple of them, of the shapes to be written; the batch axis stays free unless
    dynamic_batch is False.  opset: 17 to 25.  metadata: texts for the file, or values written as JSON.

    Parameters and buffers keep their names in the `state_dict`.  The graph is checked by ONNX's checker, and run beside
    the module, on the example and on a batch of one sample more, before a file is written, which is whole or not there.
    Raises UserError naming the op for what ONNX cannot express, such as numbers that follow the batch size where a
    constant is needed, and for work outside the ops of the tape.
    """
    from .save import save

    save(model, example_input, path, opset, dynamic_batch, metadata)
