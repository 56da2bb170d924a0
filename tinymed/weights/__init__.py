"""Weights in files: `tinymed.save` and `tinymed.load`.

What is written is safetensors, {name: array} and nothing else, so weights written here are read elsewhere.  What is
read is that, files of PyTorch (`.pth`, `.pt`) and of Keras (`.weights.h5`, `.h5`); no file can make the reader import
or run anything.  See docs/weights.md.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from .. import devices
from ..errors import UserError
from ..files import write_atomic
from ..tape import Node
from ..tensor import Tensor
from .reading import read_arrays, read_file
from .weight_file import WeightFile

__all__ = ["WeightFile", "load", "read_file", "save"]


def save(state: Any, path: str | Path) -> None:
    """Write weights as safetensors, whole or not at all.

    As `torch.save` of a state_dict, in a format that cannot run code.

    Args:
        state: {name: tensor or array}, or a module, whose `state_dict()` is taken.
        path: The file.

    Raises:
        UserError: The file cannot be written.

    Example:
        >>> save({"weight": tinymed.ones(2, 3)}, "weights.safetensors")
        >>> load("weights.safetensors")["weight"].shape
        (2, 3)
    """
    from safetensors.numpy import save as encode

    named: Mapping[str, Any] = state if isinstance(state, Mapping) else state.state_dict()
    arrays = {
        n: np.ascontiguousarray(devices.move(v.array, "cpu") if isinstance(v, Node) else v).reshape(np.shape(v))
        for n, v in named.items()
    }
    try:
        write_atomic(Path(path), [encode(arrays)])
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({error.strerror})") from None


def load(path: str | Path) -> dict[str, Tensor]:
    """Read the tensors of a file of weights: safetensors, PyTorch's or Keras's.

    As `torch.load(path, weights_only=True)`, with two differences: of a checkpoint that holds more than weights these
    alone are returned, without the words that wrappers put before names (`read_file` tells what was left aside), and
    each tensor has memory of its own, also where the file shares it.

    Args:
        path: The file; its format is told by its content.

    Returns:
        {name: tensor}, in the file's dtypes; bfloat16, which NumPy lacks, becomes float32.

    Raises:
        UserError: The file is missing, damaged, or holds anything but tensors, numbers, text and containers of these
            (names it).

    Example:
        >>> layer = tinymed.nn.Linear(3, 2)
        >>> save(layer, "layer.safetensors")
        >>> sorted(load("layer.safetensors"))
        ['bias', 'weight']
    """
    return {name: Tensor(array) for name, array in read_arrays(Path(path)).items()}
