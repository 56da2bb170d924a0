"""Values on their way back from a GPU: read while the work that was given after them runs."""

import functools
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, TypeVar

from ..devices import table_on

Reading = Callable[[], AbstractContextManager[None]]
T = TypeVar("T")


class SideReader:
    """Reads what a GPU has computed by some moment, beside the work that was given to it since.

    A value that is read on the stream that computes comes after everything that stream was given, the next step with
    it.  This reads on a stream of its own, which waits for what had been given by the moment, and for no more.

    device: "cpu" or "cuda"; on the CPU everything is there, and nothing is waited for.

    Example:
        >>> import tinymed
        >>> side, x = SideReader("cpu"), tinymed.ones(2)
        >>> total = x.sum()
        >>> reading = side.moment()
        >>> later = x * 2
        >>> with reading():
        ...     total.item()
        2.0
    """

    def __init__(self, device: str):
        self.cupy = table_on(device).xp if device == "cuda" else None

    def moment(self) -> Reading:
        """Return what surrounds the reading, later on, of values that the work given by now computes.

        Nobody may write them in between.
        """
        if self.cupy is None:
            return nullcontext
        return functools.partial(self.after, self.cupy.cuda.get_current_stream().record())

    @contextmanager
    def after(self, event: Any) -> Iterator[None]:
        """Let what is done inside come after an event, and after nothing else.

        What it made has been used when the host leaves, since a read waits for it: its memory may go back to the pool.
        """
        stream = reading_stream(self.cupy)
        stream.wait_event(event)
        with stream:
            yield
            stream.synchronize()


@functools.cache
def reading_stream(cupy: Any) -> Any:
    """Return the stream that values are read on, one for the process: CuPy's pool keeps memory by stream."""
    return cupy.cuda.Stream(non_blocking=True)


def read_late(results: Iterable[T], device: str) -> Iterator[T]:
    """Yield what is computed batch by batch, on a GPU each result when the next one is on its way.

    What the loop reads of a result, which nobody may write again, waits for that result alone.

    Args:
        results: Gives the work of a batch to the device when it is asked for the next result.
        device: "cpu" or "cuda".

    Example:
        >>> import tinymed
        >>> [total.item() for total in read_late((tinymed.ones(n).sum() for n in (1, 2)), "cpu")]
        [1.0, 2.0]
    """
    side, behind = SideReader(device), int(device == "cuda")
    computed: list[tuple[Reading, T]] = []
    for result in results:
        computed.append((side.moment(), result))
        if len(computed) > behind:
            reading, first = computed.pop(0)
            with reading():
                yield first
    for reading, last in computed:
        with reading():
            yield last


def taken_late(results: Iterable[Callable[[], T]], device: str) -> Iterator[T]:
    """Yield what each of some functions returns, on a GPU each called when the next one is there.

    As `read_late`, for a loop that computes with what was read: only the reading waits on a stream of its own.

    Args:
        results: Gives the work of a batch to the device when it is asked for the next function, which reads its result.
        device: "cpu" or "cuda".

    Example:
        >>> import tinymed
        >>> list(taken_late((tinymed.ones(n).sum().item for n in (1, 2)), "cpu"))
        [1.0, 2.0]
    """
    side, behind = SideReader(device), int(device == "cuda")
    computed: list[tuple[Reading, Callable[[], T]]] = []

    def first() -> T:
        reading, take = computed.pop(0)
        with reading():
            return take()

    for result in results:
        computed.append((side.moment(), result))
        if len(computed) > behind:
            yield first()
    while computed:
        yield first()
