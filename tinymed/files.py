"""Files that are whole or not there, written beside their place, synced, then renamed over it; and new folders."""

import json
import math
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .errors import UserError


def cache_folder() -> Path:
    """Return where what was compiled is kept: TINYMED_CACHE, or tinymed's folder in the user's cache.

    RuntimeError where neither is given and the user has no home.
    """
    chosen = os.environ.get("TINYMED_CACHE")
    return Path(chosen) if chosen else Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "tinymed"


def write_atomic(path: Path, parts: Sequence[bytes | memoryview]) -> None:
    """Write the parts, one after the other, as one file: a crash leaves the old file or the new one, never half.

    A temporary file in the same directory is written and synced, renamed over `path`, and the directory is synced so
    that the rename itself survives a power failure.
    """
    try:
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from None  # the file that was wanted, not the temporary
    try:
        with os.fdopen(handle, "wb") as file:
            for part in parts:
                file.write(part)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException as error:
        Path(temporary).unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno is not None:
            raise OSError(error.errno, error.strerror, str(path)) from None
        raise
    sync_directory(path.parent)


def sync_directory(folder: Path) -> None:
    """Make renames in a directory durable, where the system can open one (not on Windows)."""
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def remove_temporaries(folder: Path) -> None:
    """Delete what a killed process left half written."""
    for path in folder.glob(".*.tmp"):
        path.unlink(missing_ok=True)


def write_json(path: Path, value: Any) -> None:
    """Write a value as indented JSON, whole or not at all; nan and infinity become null."""
    text = json.dumps(json_value(value), indent=2, allow_nan=False, ensure_ascii=False)
    write_atomic(path, [text.encode() + b"\n"])


def read_json(path: Path) -> dict[str, Any]:
    """Return the object that a JSON file holds.

    Raises:
        FileNotFoundError: There is none.
        UserError: It cannot be read, is no JSON, or holds something else; the message names the file.
    """
    try:
        content = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise
    except (OSError, ValueError, RecursionError) as error:
        why = " ".join(str(error).split())
        raise UserError(f"{path}: cannot be read as JSON ({why})") from None
    if not isinstance(content, dict):
        raise UserError(f"{path}: holds a JSON {type(content).__name__}, expected an object of names and values")
    return content


def json_value(value: Any) -> Any:
    """Return the value as strict JSON has it: no nan, no infinity, lists for tuples."""
    if isinstance(value, dict):
        return {str(key): json_value(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [json_value(item) for item in value]
    if hasattr(value, "item") and not isinstance(value, str | bytes):  # a NumPy number
        return json_value(value.item())
    return None if isinstance(value, float) and not math.isfinite(value) else value


RESUMED = {"config.json": "train", "pretrain.json": "pretrain"}  # file of a folder -> the command that goes on there


def refuse_occupied(folder: Path) -> None:
    """Raise UserError if a run cannot begin in this folder: it holds something, or nothing can be written there."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        begun = [command for file, command in RESUMED.items() if (folder / file).is_file()]
        more = f", or continue what was begun there: tinymed {begun[0]} --resume {folder}" if begun else ""
        raise UserError(f"{folder}: is not empty; choose another --out{more}")
    parent = next(p for p in [folder, *folder.absolute().parents] if p.exists())
    if not parent.is_dir() or not os.access(parent, os.W_OK | os.X_OK):
        raise UserError(f"{folder}: cannot be written, since {parent} cannot; choose another --out")


def new_folder(root: Path, name: str) -> Path:
    """Return the next free runs/<name>-<number>."""
    numbers = [int(p.name.rpartition("-")[2]) for p in root.glob(f"{name}-*") if p.name.rpartition("-")[2].isdigit()]
    return root / f"{name}-{max(numbers, default=0) + 1:03}"


def claim_folder(root: Path, name: str) -> Path:
    """Make the next free runs/<name>-<number>: a folder that no other run that starts meanwhile gets."""
    while True:
        folder = new_folder(root, name)
        root.mkdir(parents=True, exist_ok=True)
        try:
            folder.mkdir()
        except FileExistsError:
            continue
        return folder
