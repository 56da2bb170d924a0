"""Batches on their way to where the network is: to a GPU through pinned memory, one ahead of the batch in use."""

import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from ..devices import table_on
from ..memory import dense_order, inverse_order
from ..tensor import Tensor

Arrays = Any  # an array, or a tuple of Arrays


def upload_batches(batches: Iterable[tuple[Arrays, Any]], device: str) -> Iterator[tuple[Any, Any]]:
    """Bring batches to where the network is.

    To a GPU a batch is copied on a stream of its own, through pinned memory, while the step on the batch before it
    computes; the current stream waits for the copy, the host for nothing.

    Args:
        batches: Pairs (arrays, rest); arrays is an array or a tuple of such.
        device: "cpu" or "cuda".

    Yields:
        (tensors on the device, rest) of every pair, in order; axes keep their order in memory.

    Raises:
        BackendError: There is no GPU; says why.

    Example:
        >>> images, labels = next(upload_batches([(np.zeros((2, 3), np.float32), [0, 1])], "cpu"))
        >>> images.shape, images.device, labels
        ((2, 3), device(type='cpu'), [0, 1])
    """
    if device == "cpu":
        for arrays, rest in batches:
            yield each(arrays, Tensor), rest
        return
    lane = Lane()
    ahead: tuple[Any, Any, Any] | None = None
    try:
        for arrays, rest in batches:
            sent = (*lane.send(arrays), rest)
            if ahead is not None:
                yield lane.arrived(*ahead)
            ahead = sent
        if ahead is not None:
            yield lane.arrived(*ahead)
    finally:
        lane.close()


def each(arrays: Arrays, function: Callable[[Any], Any]) -> Any:
    """Return the same tuples with a function of every array."""
    return tuple(each(a, function) for a in arrays) if isinstance(arrays, tuple) else function(arrays)


flying: list[tuple[Any, list[np.ndarray]]] = []  # of all lanes: (when a copy is done, the pinned memory it reads)
guard = threading.Lock()


def keep(event: Any, pinned: list[np.ndarray]) -> None:
    """Hold pinned memory until a copy out of it is done, whoever has ended meanwhile: a pool hands it out again."""
    with guard:
        flying[:] = [(e, held) for e, held in flying if not e.done]
        flying.append((event, pinned))


class Lane:
    """A stream that copies from pinned memory to the GPU.

    Memory there belongs to the stream that computes: the copy begins when what that has been given is done, so that it
    overwrites nothing in use.  Pinned memory is kept until the copy out of it is done.
    """

    def __init__(self) -> None:
        self.cupy = table_on("cuda").xp
        self.stream = self.cupy.cuda.Stream(non_blocking=True)
        self.last: Any = None  # event of the last copy

    def send(self, arrays: Arrays) -> tuple[Any, Any]:
        """Return tensors whose contents are on their way, and the event of their arrival."""
        pinned: list[np.ndarray] = []
        there: list[tuple[Any, np.ndarray]] = []

        def begin(a: np.ndarray) -> Tensor:
            order = dense_order(a) or tuple(range(a.ndim))
            laid = a.transpose(order)
            staged = self.pinned(laid.shape, laid.dtype)
            staged[...] = laid
            there.append((self.cupy.empty(laid.shape, laid.dtype), staged))
            pinned.append(staged)
            return Tensor(there[-1][0].transpose(inverse_order(order)))

        tensors = each(arrays, begin)
        self.stream.wait_event(self.cupy.cuda.get_current_stream().record())
        for array, staged in there:
            array.set(staged, stream=self.stream)
        self.last = self.stream.record()
        keep(self.last, pinned)
        return tensors, self.last

    def close(self) -> None:
        """Let the current stream wait for the last copy: it gets back the memory of a batch that nobody took."""
        if self.last is not None:
            self.cupy.cuda.get_current_stream().wait_event(self.last)

    def arrived(self, tensors: Any, event: Any, rest: Any) -> tuple[Any, Any]:
        """Let the current stream wait for a batch, and give it out."""
        self.cupy.cuda.get_current_stream().wait_event(event)
        return tensors, rest

    def pinned(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> np.ndarray:
        """Return an array in host memory that the GPU reads without the host's help."""
        count = int(np.prod(shape, dtype=np.int64))
        memory = self.cupy.cuda.alloc_pinned_memory(max(count * dtype.itemsize, 1))
        return np.frombuffer(memory, dtype, count).reshape(shape)
