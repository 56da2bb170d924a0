"""Weights in files: `tinymed.save` and `tinymed.load`, and what a run folder or checkpoint holds of a network.

A file is safetensors, {name: array} and nothing else, so weights written here are read elsewhere and the reverse.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from .. import device
from ..errors import UserError
from ..tape import Node
from ..tensor import Tensor
from .files import write_atomic

MAX_BYTES = 16 << 30


def save(state: Any, path: str | Path) -> None:
    """Write a state, {name: tensor or array}, or a module's, as safetensors, whole or not at all.

    Raises UserError where the file cannot be written.
    """
    from safetensors.numpy import save as encode

    given: Mapping[str, Any] = state if isinstance(state, Mapping) else state.state_dict()
    arrays = {
        n: np.ascontiguousarray(device.move(v.array, "cpu") if isinstance(v, Node) else v).reshape(np.shape(v))
        for n, v in given.items()
    }
    try:
        write_atomic(Path(path), [encode(arrays)])
    except OSError as error:
        raise UserError(f"{path}: cannot be written ({error.strerror})") from None


def load(path: str | Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file by name.

    Raises UserError naming the file: missing, no safetensors, damaged, or of a type that NumPy lacks.
    """
    return {name: Tensor(array) for name, array in read_arrays(Path(path)).items()}


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """The arrays of a safetensors file; its library checks offsets, sizes and overlaps."""
    from safetensors import SafetensorError
    from safetensors.numpy import load as decode

    try:
        if path.stat().st_size > MAX_BYTES:
            raise UserError(f"{path}: {path.stat().st_size:,} bytes, more than the limit of {MAX_BYTES:,}")
        return dict(decode(path.read_bytes()))
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from None
    except KeyError as error:
        raise UserError(f"{path}: holds numbers of type {error}, which NumPy lacks; convert them to F32") from None
    except (SafetensorError, ValueError) as error:
        raise UserError(f"{path}: not a safetensors file, or damaged ({error})") from None


def read_weights(source: str | Path) -> dict[str, np.ndarray]:
    """A network's state from a run folder (the weights that the run keeps), a checkpoint of one, or safetensors.

    Raises UserError naming the folder or file.
    """
    path = Path(source)
    if path.is_dir():
        path = kept(path)
    if checkpointed(path):
        from .checkpoint import load_checkpoint

        state: dict[str, np.ndarray] = load_checkpoint(path)["model"]
        return state
    return read_arrays(path)


def kept(folder: Path) -> Path:
    """The checkpoint with the weights that a run keeps."""
    from .checkpoint import BEST, NEWEST
    from .run import Run

    run = Run.open(folder)
    best = run.checkpoints / BEST
    path = best if run.config.keep == "best" and best.exists() else run.checkpoints / NEWEST
    if not path.exists():
        raise UserError(f"{folder}: has no checkpoint yet; train it first")
    return path


def checkpointed(path: Path) -> bool:
    """Whether a file is a run's checkpoint, by the metadata in its header."""
    from .checkpoint import FORMAT, MAX_HEADER

    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(length)) if 2 <= length <= MAX_HEADER else {}
    except (OSError, ValueError, RecursionError):
        return False  # the reader says what is wrong
    metadata = header.get("__metadata__") if isinstance(header, dict) else None
    return isinstance(metadata, dict) and metadata.get("format") == FORMAT
