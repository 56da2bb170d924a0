"""One reader for every format of weights, chosen by how a file begins."""

from pathlib import Path

import numpy as np

from ..errors import UserError
from .weight_file import WeightFile

MAX_BYTES = 16 << 30
ZIP, HDF = b"PK\x03\x04", b"\x89HDF\r\n\x1a\n"
PICKLED = (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")  # how PyTorch's older files begin


def read_file(path: str | Path) -> WeightFile:
    """Read a file of weights, and say how its content was understood.

    Args:
        path: safetensors, a file of `torch.save`, or Keras's .h5; told apart by their content.

    Returns:
        The arrays by name, and notes for people.

    Raises:
        UserError: The file is missing, too large, damaged, or holds what is not accepted; names it.

    Example:
        >>> tinymed.save({"weight": tinymed.ones(2, 3)}, "weights.safetensors")
        >>> content = read_file("weights.safetensors")
        >>> content.arrays["weight"].shape, content.notes
        ((2, 3), [])
    """
    path = Path(path)
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise UserError(f"{path}: {size:,} bytes, more than the limit of {MAX_BYTES:,}")
        with path.open("rb") as file:
            head = file.read(9)
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from None
    # the header's length begins a safetensors file: one of 640 bytes begins like a pickle
    if head.startswith((ZIP, *PICKLED)) and head[8:9] != b"{":
        return read_pytorch(path)
    return read_keras(path) if head.startswith(HDF) else WeightFile(read_safetensors(path), [])


def read_arrays(path: str | Path) -> dict[str, np.ndarray]:
    """Return the arrays of a file of weights, see `read_file`."""
    return read_file(path).arrays


def read_safetensors(path: Path) -> dict[str, np.ndarray]:
    """Return the arrays of a safetensors file; its library checks offsets, sizes and overlaps."""
    from safetensors import SafetensorError
    from safetensors.numpy import load as decode

    try:
        return dict(decode(path.read_bytes()))
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from None
    except KeyError as error:
        raise UserError(f"{path}: holds numbers of type {error}, which NumPy lacks; convert them to F32") from None
    except (SafetensorError, ValueError) as error:
        raise UserError(f"{path}: not a safetensors file, or damaged ({error})") from None


def read_pytorch(path: Path) -> WeightFile:
    """Return the weights in a file of `torch.save`."""
    from .checkpoints import find_state
    from .pickle_machine import Refused
    from .torch_file import read_torch

    try:
        file = read_torch(path)
        named, notes = find_state(file.root)
        return WeightFile({name: file.array(tensor) for name, tensor in named.items()}, notes)
    except Refused as error:
        raise UserError(
            f"{path}: {error}. Nothing of it was run. Read are state dictionaries that torch.save wrote: dictionaries "
            "of tensors, perhaps beside numbers, text and containers of these"
        ) from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from None


def read_keras(path: Path) -> WeightFile:
    """Return the weights in an HDF5 file of Keras, under PyTorch's names and in its layout."""
    from .keras_file import read_keras_file

    return read_keras_file(path)
