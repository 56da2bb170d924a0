"""A GPU made of the stand-in for CuPy and of csrc's own kernels, emulated."""

import sys
from typing import Any

import fake_cupy
import fake_streams
import pytest

import tinymed
from tinymed import dispatch
from tinymed.cuda import emulated, gpu
from tinymed.data import device_prefetch
from tinymed.dispatch import BackendError


class Module:
    """tinymed._cuda, its kernels run by the emulator; remembers the stream of every launch."""

    device_count = 1

    def __init__(self, emulator: Any):
        self._emulator, self.launched = emulator, []

    def __getattr__(self, name: str) -> Any:
        launcher = getattr(self._emulator, name)

        def launch(stream: int, *args: Any) -> None:
            self.launched.append((name, stream))
            # What is launched holds no array: as on a GPU, it knows addresses.
            seen = [fake_cupy.ndarray.of(a._a, owned=False) if isinstance(a, fake_cupy.ndarray) else a for a in args]
            fake_streams.perform(lambda: launcher(stream, *seen), fake_cupy.arrays(args))

        return launch


def install(monkeypatch: pytest.MonkeyPatch) -> Module:
    """Put the fake in place of CuPy and of the compiled module; skips where the emulator is missing."""
    try:
        emulated.load()
    except BackendError as reason:
        pytest.skip(f"backend emulated: {reason}")
    fake_streams.reset()
    device_prefetch.flying.clear()
    module = Module(emulated.module)
    monkeypatch.setitem(sys.modules, "cupy", fake_cupy.FakeCupy())
    monkeypatch.setattr(gpu, "module", module)
    monkeypatch.setattr(gpu, "why_not", lambda: "")
    monkeypatch.setattr(
        dispatch.tables, "opened", {k: t for k, t in dispatch.tables.opened.items() if t.device == "cpu"}
    )
    monkeypatch.setattr(dispatch.tables, "default", None)
    monkeypatch.setattr(dispatch.tables.chosen, "table", None)
    monkeypatch.setattr(tinymed.random.default_generator, "on_gpu", None)
    return module
