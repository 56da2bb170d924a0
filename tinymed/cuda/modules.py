"""The compiled modules of csrc/: beside the package or in the user's cache, and why one is missing."""

import functools
import hashlib
import importlib.util
import json
import sys
import sysconfig
from pathlib import Path
from types import ModuleType
from typing import Any

from ..files import cache_folder
from .build import CSRC, RECORD

PACKAGE = Path(__file__).parents[1]
SUFFIX = str(sysconfig.get_config_var("EXT_SUFFIX"))
COMMANDS = {"_cuda": "cuda", "_cuda_emulated": "emulated", "_cuda_checked": "emulated"}  # what `tinymed build` calls it


def record() -> dict[str, Any]:
    """Return {module: {"built", "why", "log"}} as written by setup.py; empty if this package was never built."""
    path = PACKAGE / RECORD
    found: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    return found


@functools.cache
def own_folder() -> Path:
    """Return where modules of these sources, for this Python, lie in the user's cache.

    RuntimeError where the user has no home and TINYMED_CACHE names no folder.
    """
    digest = hashlib.sha256(SUFFIX.encode())
    for source in sorted(path for path in CSRC.rglob("*") if path.suffix in (".cu", ".cuh", ".h", ".cpp", ".ld")):
        digest.update(source.read_bytes())
    return cache_folder() / "csrc" / digest.hexdigest()[:16]


def find(module: str) -> Path | None:
    """Return the file of a compiled module: setup.py's beside the package, or `tinymed build`'s; None if neither is."""
    packaged = PACKAGE / f"{module}{SUFFIX}"
    if packaged.exists():
        return packaged
    try:
        cached = own_folder() / f"{module}{SUFFIX}"
    except RuntimeError:
        return None
    return cached if cached.exists() else None


def load(module: str, path: Path, name: str = "tinymed") -> ModuleType:
    """Return the compiled module in a file, imported as name.module, once in a process."""
    known = sys.modules.get(f"{name}.{module}")
    if known is not None and known.__file__ == str(path):
        return known
    spec = importlib.util.spec_from_file_location(f"{name}.{module}", path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is not a module")
    found = sys.modules[f"{name}.{module}"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


def why_not_built(module: str) -> str:
    """Why tinymed.<module> is missing, or nothing if it is there."""
    if find(module) is not None:
        return ""
    why = record().get(module, {}).get("why", "")
    how = f"`tinymed build {COMMANDS[module]}` builds it or says why not"
    return f"tinymed.{module} was not built{f': {why}' if why else ''}; {how}"
