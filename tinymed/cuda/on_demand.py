"""The emulated kernels that were not compiled beforehand: a file of csrc/ is compiled when one is first called.

A plain installation compiles nothing, and a module built beforehand holds no ladder.  The first call of a kernel takes
the seconds that its file needs; what was compiled lies in the user's cache and serves every later process.
"""

import os
import re
import sys
import tempfile
import threading
from pathlib import Path
from types import ModuleType
from typing import Any

from .build import CSRC, Absent, build, find_gxx, includes, kernels, rungs
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
    """The launchers of one emulated module, each file of csrc/ that was not built beforehand a module of its own.

    Args:
        name: The module's, _cuda_emulated or _cuda_checked.
        folder: Of what is compiled; by default the user's cache.
        whole: The module that was built beforehand, of the engine's kernels.
    """

    def __init__(self, name: str, folder: Path | None = None, whole: ModuleType | None = None):
        self.name, self.whole = name, whole
        self.chosen_folder = folder
        self.files: dict[str, Path] = {}  # by launcher
        self.parameters: dict[str, str] = {}
        for path in [*kernels(CSRC), *rungs(CSRC)]:
            for launcher, names in BOUND.findall(path.read_text()):
                self.files[launcher], self.parameters[launcher] = path, names
        self.parts: dict[Path, ModuleType] = {}  # what was compiled and loaded, by source
        self.settings: dict[str, Any] = {}
        self.lock = threading.Lock()

    def part(self, launcher: str) -> ModuleType:
        """Return the module that holds a launcher, compiled or taken from the cache where it is not loaded yet."""
        if self.whole is not None and hasattr(self.whole, launcher):
            return self.whole
        if launcher not in self.files:
            raise AttributeError(f"no file of csrc/ binds {launcher!r}")
        path = self.files[launcher]
        with self.lock:
            if path not in self.parts:
                self.parts[path] = self.compiled(path)
                self.parts[path].configure(**self.settings)
            return self.parts[path]

    def loaded(self) -> list[ModuleType]:
        """Return the modules that are loaded."""
        return [*([] if self.whole is None else [self.whole]), *list(self.parts.values())]

    @property
    def folder(self) -> Path:
        """The folder of what is compiled; looked for when something has to be."""
        return self.chosen_folder or writable_folder()

    def __getattr__(self, launcher: str) -> Any:
        """Return a launcher, compiled or taken from the cache where it is not loaded yet."""
        if launcher.startswith("_") or launcher not in self.__dict__.get("files", {}):
            raise AttributeError(launcher)
        return getattr(self.part(launcher), launcher)

    def compiled(self, path: Path) -> ModuleType:
        """Return the module of one source file."""
        target = self.folder / f"{self.name}-{path.stem}{SUFFIX}"
        if not target.exists():
            sys.stderr.write(f"tinymed: compiling csrc/{path.name} for the emulator, once\n")
            sys.stderr.flush()
            build(self.name, CSRC, target.parent, target, [path], emulator=emulator_objects())
        return load(self.name, target, f"tinymed.{path.stem}")

    def configure(self, **settings: Any) -> None:
        """Set how kernels run from now on, those that are yet to be compiled included."""
        self.settings = settings
        for module in self.loaded():
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


def emulator_objects() -> Path:
    """Return the folder of the emulator's own object files: whatever is compiled for it shares them."""
    return writable_folder() / "emulator"


def temporary() -> tempfile.TemporaryDirectory[str]:
    """Return the folder of this process, made when first asked for."""
    if not KEPT:
        KEPT.append(tempfile.TemporaryDirectory(prefix="tinymed-csrc-"))
    return KEPT[0]


KEPT: list[tempfile.TemporaryDirectory[str]] = []
