"""Checkpoints: everything a run needs to go on to the same bits, in one safetensors file.

A checkpoint is a tree of dictionaries whose leaves are arrays and JSON values:

    {"model": {name: array}, "optimizer": {...}, "schedule": ..., "generators": ..., "progress": ..., "config": ...}

Arrays become tensors named by their path ("model.conv1.weight"), so any safetensors reader opens the weights; the rest
is JSON in the file's metadata, beside a SHA-256 over both.  The format holds data only: nothing is executed on load.
The writer keeps one older generation, and `load_newest` falls back to it, saying so, when the newest is damaged.
"""

import hashlib
import json
import os
import re
import struct
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import UserError
from ..files import sync_directory, write_atomic

FORMAT = "tinymed checkpoint 1"
NEWEST, PREVIOUS, BEST = "last.safetensors", "previous.safetensors", "best.safetensors"
MAX_TENSORS = 20_000
MAX_HEADER = 64 << 20  # bytes of names and metadata
MAX_BYTES = 16 << 30
NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.\-]{0,255}")
DTYPES = {
    "F64": "float64",
    "F32": "float32",
    "F16": "float16",
    "I64": "int64",
    "I32": "int32",
    "I16": "int16",
    "I8": "int8",
    "U64": "uint64",
    "U32": "uint32",
    "U16": "uint16",
    "U8": "uint8",
    "BOOL": "bool",
}
ARRAY = "$array"  # {"$array": name} stands for an array in the JSON tree


class CheckpointError(UserError):
    """A file that is no checkpoint of tinymed, or is damaged."""


def save_checkpoint(path: str | Path, tree: dict[str, Any], *, keep_previous: bool = False) -> None:
    """Write a tree of arrays and JSON values, whole or not at all.

    keep_previous: what was at `path` stays beside it as PREVIOUS.  Raises ValueError for a value that is neither, or a
    name that a path cannot spell.
    """
    from safetensors.numpy import save

    path = Path(path)
    arrays: dict[str, np.ndarray] = {}
    state = json.dumps(take_apart(tree, "", arrays))
    metadata = {"format": FORMAT, "state": state, "sha256": digest(arrays, state)}
    payload = save(arrays, metadata)
    if keep_previous and path.exists():
        keep(path)
    write_atomic(path, [payload])


def keep(path: Path) -> None:
    """Let the file at `path` be PREVIOUS as well; at every moment both names hold a whole file."""
    previous, temporary = path.with_name(PREVIOUS), path.with_name(f".{PREVIOUS}.link.tmp")
    temporary.unlink(missing_ok=True)
    try:
        os.link(path, temporary)
    except OSError:  # a file system without hard links: for a moment only PREVIOUS exists
        os.replace(path, previous)
    else:
        os.replace(temporary, previous)
        temporary.unlink(missing_ok=True)  # renaming a link over another link to the same file does nothing
    sync_directory(path.parent)


def take_apart(value: Any, name: str, arrays: dict[str, np.ndarray]) -> Any:
    """Return the tree as JSON, with its arrays moved to `arrays` under their paths."""
    if isinstance(value, np.ndarray):
        if not NAME.fullmatch(name) or name in arrays or value.dtype.name not in DTYPES.values():
            raise ValueError(f"checkpoint: cannot store an array {value.dtype} under the name {name!r}")
        arrays[name] = np.ascontiguousarray(value).reshape(value.shape)
        return {ARRAY: name}
    if isinstance(value, dict):
        inside = f"{name}." if name else ""
        return {str(key): take_apart(item, f"{inside}{key}", arrays) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [take_apart(item, f"{name}.{i}", arrays) for i, item in enumerate(value)]
    if isinstance(value, np.generic):
        return value.item()
    if value is None or isinstance(value, str | bool | int | float):
        return value
    raise ValueError(f"checkpoint: {name} is a {type(value).__name__}; only arrays and JSON values can be stored")


def put_together(value: Any, arrays: dict[str, np.ndarray]) -> Any:
    """Return the tree again."""
    if isinstance(value, dict):
        if value.keys() == {ARRAY}:
            return arrays[value[ARRAY]]
        return {key: put_together(item, arrays) for key, item in value.items()}
    return [put_together(item, arrays) for item in value] if isinstance(value, list) else value


def digest(arrays: dict[str, np.ndarray], state: str = "") -> str:
    """Return SHA-256, in hex, of names, types, shapes and bytes of arrays, in order of name, and of a text."""
    sha = hashlib.sha256(state.encode())
    for name in sorted(arrays):
        a = arrays[name]
        sha.update(f"\n{name} {a.dtype.name} {list(a.shape)}\n".encode())
        sha.update(np.ascontiguousarray(a).data)
    return sha.hexdigest()


def load_checkpoint(path: str | Path) -> dict[str, Any]:
    """Return the tree that `save_checkpoint` wrote, after its header, names, types and SHA-256 were checked.

    Raises CheckpointError naming the file: missing, cut short, altered, another program's, or beyond the limits.
    """
    path = Path(path)
    try:
        if path.stat().st_size > MAX_BYTES:
            raise CheckpointError(f"{path}: {path.stat().st_size:,} bytes, more than a checkpoint may have")
        content = path.read_bytes()
    except FileNotFoundError:
        raise CheckpointError(f"{path}: no such checkpoint") from None
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read ({error.strerror})") from None
    metadata = check_header(path, content)
    arrays = parse(path, content)
    if digest(arrays, metadata["state"]) != metadata["sha256"]:
        raise CheckpointError(f"{path}: damaged: its content does not have the SHA-256 it was written with")
    try:
        tree: dict[str, Any] = put_together(json.loads(metadata["state"]), arrays)
    except (ValueError, KeyError, RecursionError) as error:
        raise CheckpointError(f"{path}: damaged: its state does not fit its tensors ({error})") from None
    return tree


def check_header(path: Path, content: bytes) -> dict[str, str]:
    """Return the metadata, after the header was checked against the limits.  Raises CheckpointError."""
    length = struct.unpack("<Q", content[:8])[0] if len(content) >= 8 else 0
    if not 2 <= length <= min(MAX_HEADER, len(content) - 8):
        raise CheckpointError(f"{path}: not a safetensors file, or cut short; tinymed's checkpoints are *.safetensors")
    try:
        header = json.loads(content[8 : 8 + length], object_pairs_hook=unique)
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{path}: not a safetensors file, or damaged: its header is not JSON ({error})") from None
    metadata = header.pop("__metadata__", None) if isinstance(header, dict) else None
    if not isinstance(metadata, dict) or metadata.get("format") != FORMAT or {"state", "sha256"} - metadata.keys():
        raise CheckpointError(
            f"{path}: holds no training state of tinymed (its metadata lacks format = {FORMAT!r}); "
            "give a file from a run's checkpoints folder"
        )
    if len(header) > MAX_TENSORS:
        raise CheckpointError(f"{path}: {len(header):,} tensors, more than the limit of {MAX_TENSORS:,}")
    for name, entry in header.items():
        if not NAME.fullmatch(name) or not isinstance(entry, dict) or entry.get("dtype") not in DTYPES:
            raise CheckpointError(f"{path}: tensor {name[:80]!r} has a name or type that no checkpoint of tinymed has")
    return metadata


def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return a JSON object, unless a key occurs twice: which one counts would depend on the reader."""
    if len({key for key, _ in pairs}) < len(pairs):
        raise ValueError("a key occurs twice")
    return dict(pairs)


def parse(path: Path, content: bytes) -> dict[str, np.ndarray]:
    """Return the tensors of a safetensors file; its library checks offsets, sizes and overlaps."""
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        return dict(load(content))
    except (SafetensorError, ValueError) as error:
        raise CheckpointError(f"{path}: damaged: {error}") from None


def load_newest(folder: str | Path) -> tuple[dict[str, Any], Path, str]:
    """Return (tree, file, note) of the newest whole checkpoint of a folder.

    The note is empty, or says that NEWEST was damaged or missing and PREVIOUS was taken.  Raises CheckpointError when
    neither can be read.
    """
    newest, previous = Path(folder) / NEWEST, Path(folder) / PREVIOUS
    try:
        return load_checkpoint(newest), newest, ""
    except CheckpointError as error:
        if not previous.exists():
            raise
        tree = load_checkpoint(previous)
        return tree, previous, f"{error}; went back to the checkpoint before it, {previous.name}"


def is_checkpoint(path: Path) -> bool:
    """Say whether a file is a run's checkpoint, by the metadata in its header."""
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(length)) if 2 <= length <= MAX_HEADER else {}
    except (OSError, ValueError, RecursionError):
        return False  # the reader says what is wrong
    metadata = header.get("__metadata__") if isinstance(header, dict) else None
    return isinstance(metadata, dict) and metadata.get("format") == FORMAT
