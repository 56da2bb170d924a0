"""Who watches: observers belong to the thread that asked for them, or to the whole process.

As grad mode, backend and precision are a thread's own, so is what a debugger, a recorder or a tracer sees.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Observers(Generic[T]):
    """Hold observers; iterate over those that watch the present thread, in the order in which they came.

    entries: Pairs of (the thread's number or None, observer), of all threads.  The list is never replaced: what is
    called for every kernel asks it first whether anybody watches at all.

    Example:
        >>> observers = Observers()
        >>> with observers.watching("a debugger"):
        ...     list(observers)
        ['a debugger']
        >>> bool(observers)
        False
    """

    def __init__(self) -> None:
        self.entries: list[tuple[int | None, T]] = []
        self.lock = threading.Lock()

    @contextmanager
    def watching(self, observer: T) -> Iterator[T]:
        """Let an observer watch this thread for a block."""
        entry = threading.get_ident(), observer
        with self.lock:
            self.entries.append(entry)
        try:
            yield observer
        finally:
            self.drop(lambda other: other is entry)

    @contextmanager
    def unheard(self) -> Iterator[None]:
        """Let nobody watch this thread for a block, but those who watch all."""
        mine = threading.get_ident()
        silenced = [entry for entry in self.entries if entry[0] == mine]
        self.drop(lambda other: other in silenced)
        try:
            yield
        finally:
            with self.lock:
                self.entries[:0] = silenced

    def everywhere(self, observer: T) -> None:
        """Let an observer watch every thread, from here on."""
        with self.lock:
            self.entries.append((None, observer))

    def drop(self, chosen: Callable[[tuple[int | None, T]], bool]) -> None:
        """Take off the entries that a function chooses."""
        with self.lock:
            self.entries[:] = [entry for entry in self.entries if not chosen(entry)]

    def __iter__(self) -> Iterator[T]:
        mine = threading.get_ident()
        return iter([observer for thread, observer in self.entries if thread is None or thread == mine])

    def __bool__(self) -> bool:
        return bool(self.entries) and any(True for _ in self)


class TapeObserver:
    """Sees ops as they run forward and backward, and modules as they are called: the debugger derives from it."""

    def module(self, module: Any) -> None: ...

    def optimizer(self, optimizer: Any) -> None: ...

    def forward(self, op: Any, inputs: Sequence[Any], outputs: Sequence[Any]) -> None: ...

    def backward(self, op: Any, dys: Sequence[Any], dxs: Sequence[Any]) -> None: ...
