"""Where csrc's kernels run: emulated on this processor, and on a GPU where there is one; the same tests ask both."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from conftest import absence

from tinymed import dispatch
from tinymed.cuda import emulated

HOMES = [name for name in ("emulated", "cuda") if not absence(name)]
everywhere = pytest.mark.parametrize("home", HOMES)  # no GPU: nothing is skipped, test_backend.py says why


@contextlib.contextmanager
def run_first(home: str) -> Iterator[None]:
    """Use a backend, on the emulator under its checker."""
    with dispatch.use_backend(home), emulated.checking() if home == "emulated" else contextlib.nullcontext():
        yield


@contextlib.contextmanager
def run_again(home: str) -> Iterator[None]:
    """Use it again, on the emulator with threads in another order; a GPU's order is another each time."""
    with dispatch.use_backend(home), emulated.scheduled(7) if home == "emulated" else contextlib.nullcontext():
        yield


def twice(home: str, run: Callable[[], Any]) -> tuple[Any, Any]:
    """What a run gives, and gives again: the bits must be the same."""
    with run_first(home):
        first = run()
    with run_again(home):
        return first, run()
