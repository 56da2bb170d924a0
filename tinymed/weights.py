"""Weights in files: `tinymed.save` and `tinymed.load`.

A file is safetensors, {name: array} and nothing else, so weights written here are read elsewhere and the reverse.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from . import devices
from .errors import UserError
from .files import write_atomic
from .tape import Node
from .tensor import Tensor

__all__ = ["load", "save"]

MAX_BYTES = 16 << 30
PICKLED = (b"PK\x03\x04", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")  # how PyTorch's own files begin


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
    """Read the tensors of a safetensors file.

    As `torch.load`, which reads pickles; those are refused, since they can run code, with how to convert them.

    Args:
        path: The file.

    Returns:
        {name: tensor}, in the file's dtypes.

    Raises:
        UserError: The file is missing, not safetensors, damaged, or of a type that NumPy lacks (names it).

    Example:
        >>> layer = tinymed.nn.Linear(3, 2)
        >>> save(layer, "layer.safetensors")
        >>> sorted(load("layer.safetensors"))
        ['bias', 'weight']
    """
    return {name: Tensor(array) for name, array in read_arrays(Path(path)).items()}


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """Return the arrays of a safetensors file; its library checks offsets, sizes and overlaps."""
    from safetensors import SafetensorError
    from safetensors.numpy import load as decode

    try:
        if path.stat().st_size > MAX_BYTES:
            raise UserError(f"{path}: {path.stat().st_size:,} bytes, more than the limit of {MAX_BYTES:,}")
        content = path.read_bytes()
        if content.startswith(PICKLED) and content[8:9] != b"{":  # a header of 640 bytes begins like a pickle
            raise UserError(f"{path}: {pickle_advice(path)}")
        return dict(decode(content))
    except UserError:
        raise
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from None
    except KeyError as error:
        raise UserError(f"{path}: holds numbers of type {error}, which NumPy lacks; convert them to F32") from None
    except (SafetensorError, ValueError) as error:
        raise UserError(f"{path}: not a safetensors file, or damaged ({error})") from None


def pickle_advice(path: Path) -> str:
    """Say how a file of `torch.save` becomes one that can be read."""
    return (
        "a pickle of PyTorch, which could run any code when read; convert it once, where PyTorch is installed: "
        f"state = torch.load({path.name!r}, weights_only=True); "
        f"safetensors.torch.save_file(state, {path.with_suffix('.safetensors').name!r})"
    )
