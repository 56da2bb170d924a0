"""The emulated kernels where no module was compiled beforehand: a file of csrc/ is compiled when one is first called.

A plain installation compiles nothing.  The first call of a kernel takes the seconds that its file needs; what was
compiled lies in the user's cache and serves every later process.
"""

import os
import re
import sys
import tempfile
import threading
from pathlib import Path
from types import ModuleType
from typing import Any

from .build import CSRC, Absent, build, find_gxx, includes, kernels
from .modules import SUFFIX, load, own_folder

BOUND = re.compile(r'^BIND\((\w+),\s*"([^"]*)"\);', re.MULTILINE)


def why_not() -> str:
    """Why kernels cannot be compiled for the emulator here, or nothing."""
    try:
        find_gxx()
        includes()
    except Absent as error:
        return str(error)
    return ""


class OnDemand:
    """The launchers of one emulated module, each file of csrc/ a module of its own."""

    def __init__(self, name: str, folder: Path | None = None):
        """Name the module to be, _cuda_emulated or _cuda_checked, and the folder of what is compiled."""
        self.name, self.folder = name, folder or writable_folder()
        self.files: dict[str, Path] = {}  # by launcher
        self.parameters: dict[str, str] = {}
        for path in kernels(CSRC):
            for launcher, names in BOUND.findall(path.read_text()):
                self.files[launcher], self.parameters[launcher] = path, names
        self.parts: dict[Path, ModuleType] = {}  # what was compiled and loaded, by source
        self.settings: dict[str, Any] = {}
        self.lock = threading.Lock()

    def part(self, launcher: str) -> ModuleType:
        """Return the module that holds a launcher, compiled or taken from the cache where it is not loaded yet."""
        path = self.files[launcher]
        with self.lock:
            if path not in self.parts:
                self.parts[path] = self.compiled(path)
                self.parts[path].configure(**self.settings)
            return self.parts[path]

    def compiled(self, path: Path) -> ModuleType:
        """Return the module of one source file."""
        target = self.folder / f"{self.name}-{path.stem}{SUFFIX}"
        if not target.exists():
            sys.stderr.write(f"tinymed: compiling csrc/{path.name} for the emulator, once\n")
            sys.stderr.flush()
            build(self.name, CSRC, self.folder, target, [path])
        return load(self.name, target, f"tinymed.{path.stem}")

    def configure(self, **settings: Any) -> None:
        """Set how kernels run from now on, those that are yet to be compiled included."""
        self.settings = settings
        for module in list(self.parts.values()):
            module.configure(**settings)


def writable_folder() -> Path:
    """Return the folder of the user's cache, or one that ends with the process where that cannot be written."""
    try:
        folder = own_folder()
        folder.mkdir(parents=True, exist_ok=True)
        if os.access(folder, os.W_OK):
            return folder
    except (OSError, RuntimeError):
        pass
    return Path(temporary().name)


def temporary() -> tempfile.TemporaryDirectory[str]:
    """Return the folder of this process, made when first asked for."""
    if not KEPT:
        KEPT.append(tempfile.TemporaryDirectory(prefix="tinymed-csrc-"))
    return KEPT[0]


KEPT: list[tempfile.TemporaryDirectory[str]] = []
