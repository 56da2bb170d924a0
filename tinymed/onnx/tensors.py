"""Tensors of a file: their values, their element types, and those that lie in a second file beside the model.

Nothing is allocated before its declared size has been held against the bytes that are there.  A second file is read
only if it lies in the model's own folder, links followed.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import prod
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import numpy as np

from ..errors import UserError
from .table import ACCEPTED, DTYPES, HALVES, MOST_ELEMENTS, to_bfloat16, type_name


@dataclass
class Source:
    """Where a model comes from: its folder (None: from memory), its opset, and what is to be said of its values."""

    folder: Path | None
    opset: int
    notes: list[str] = field(default_factory=list)


def library() -> Any:
    """Return the onnx package, which only this room needs.  Raises UserError if it is missing."""
    try:
        import onnx
        import onnx.checker
        import onnx.numpy_helper
    except ImportError:
        raise UserError("ONNX files need the onnx package: pip install 'tinymed[onnx]'") from None
    return onnx


def array(t: Any, where: str, source: Source) -> np.ndarray:
    """Return a TensorProto's values, float16 and bfloat16 as float32.

    Raises ValueError for other element types, and for a shape that its bytes do not fill.
    """
    onnx = library()
    if t.HasField("segment"):
        raise ValueError(f"{where} is stored in segments, which are not supported")
    dtype, shape = stored(t.data_type, where), tuple(t.dims)
    if min(shape, default=0) < 0 or prod(shape) > MOST_ELEMENTS:
        raise ValueError(
            f"{where} declares the shape {list(shape)}; it takes lengths >= 0 and at most {MOST_ELEMENTS:,} elements"
        )
    if t.data_location == onnx.TensorProto.EXTERNAL or t.external_data:
        values = external(t, where, source, dtype.itemsize * prod(shape)).view(dtype.newbyteorder("<"))
    else:
        values = inline(t, where, dtype, shape)
    values = values.reshape(shape)
    if t.data_type == 16:
        values = (values.astype(np.uint32) << 16).view(np.float32)
    if t.data_type in HALVES and shape:
        source.notes.append(f"{where}: {HALVES[t.data_type]} is held, and computed with, in float32")
    return np.array(values.astype(np.float32 if t.data_type in HALVES else dtype, copy=False))


def inline(t: Any, where: str, dtype: np.dtype[Any], shape: tuple[int, ...]) -> np.ndarray:
    """Return the values that a TensorProto holds itself; bfloat16 as its bits."""
    there = (
        len(t.raw_data) // dtype.itemsize
        if t.HasField("raw_data")
        else max(len(t.float_data), len(t.int32_data), len(t.int64_data), len(t.double_data), len(t.uint64_data))
    )
    if there != prod(shape):
        raise ValueError(f"{where} declares the shape {list(shape)}, {prod(shape):,} elements, but holds {there:,}")
    if t.data_type == 16:
        return np.frombuffer(t.raw_data, "<u2") if t.HasField("raw_data") else np.asarray(t.int32_data).astype("<u2")
    return np.asarray(library().numpy_helper.to_array(t))


def stored(number: int, where: str) -> np.dtype[Any]:
    """NumPy's dtype of the bytes of an element type.  Raises ValueError for text, 4 and 8 bit floats, and others."""
    if number not in DTYPES and number not in HALVES:
        raise ValueError(f"{where}: element type {type_name(number)} is not supported; it takes {ACCEPTED}")
    return DTYPES.get(number, np.dtype(np.uint16))


# ----------------------------------------------------------------------------------------------- a second file


def external(t: Any, where: str, source: Source, nbytes: int) -> np.ndarray:
    """Return the bytes of a tensor that lies in another file of the model's folder.

    Raises ValueError naming that file.
    """
    entries = {e.key: e.value for e in t.external_data}
    name = entries.get("location", "")
    path = inside(name, where, source.folder)
    offset, length = number_of(entries, "offset", 0, where), number_of(entries, "length", nbytes, where)
    try:
        size = path.stat().st_size
        if not path.is_file():
            raise ValueError(f"{where} lies in {name!r}, which is not a file")
        if length != nbytes:
            raise ValueError(f"{where} has {length:,} bytes in {name!r}; its shape and element type take {nbytes:,}")
        if offset + length > size:
            raise ValueError(
                f"{where} is bytes {offset:,} to {offset + length:,} of {name!r}, which has {size:,} bytes"
            )
        with path.open("rb") as file:
            file.seek(offset)
            content = file.read(length)
    except OSError as error:
        raise ValueError(f"{where} lies in {name!r}, which cannot be read: {error.strerror}") from None
    if len(content) != length:
        raise ValueError(f"{where}: {name!r} became shorter while it was read")
    return np.frombuffer(content, np.uint8)


def inside(name: str, where: str, folder: Path | None) -> Path:
    """Return a file within the model's folder.  Raises ValueError for a path, or a link, that leads out of it."""
    if folder is None:
        raise ValueError(f"{where} lies in another file ({name!r}), and a model in memory has no folder to look in")
    parts = (*PurePosixPath(name).parts, *PureWindowsPath(name).parts)
    absolute = PurePosixPath(name).is_absolute() or bool(PureWindowsPath(name).anchor)
    if not name or "\0" in name or absolute or ".." in parts:
        raise ValueError(f"{where} lies in {name!r}; it takes a file in the model's own folder, named from there")
    try:
        home, path = folder.resolve(), (folder / name).resolve()
    except (OSError, RuntimeError):
        raise ValueError(f"{where} lies in {name!r}, a link that leads nowhere") from None
    if not path.is_relative_to(home):
        raise ValueError(f"{where} lies in {name!r}, a link out of the model's folder; it takes files within it")
    return path


def number_of(entries: Mapping[str, str], key: str, default: int, where: str) -> int:
    """Return an offset or a length of a tensor in another file."""
    text = entries.get(key, str(default))
    if not (text.isascii() and text.isdigit() and len(text) < 20):
        raise ValueError(f"{where}: {key} {text!r} in {entries.get('location')!r}; it takes a number of bytes")
    return int(text)


def to_half(values: np.ndarray, kind: int) -> np.ndarray:
    """Return a float32 result as the graph declares it.

    Float16, or float32 with bfloat16's digits, which NumPy lacks.
    """
    with np.errstate(over="ignore"):
        return values.astype(np.float16) if kind == 10 else np.asarray(to_bfloat16(values))
