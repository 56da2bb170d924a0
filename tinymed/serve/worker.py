"""One thread for the network and a queue of fixed length before it.

A network uses all cores already, so that a second one at the same time gains nothing.  Who finds the queue full is told
when to come again; who has waited too long is told so, and is taken out of the queue where the network has not begun.
"""

import asyncio
import math
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

Result = TypeVar("Result")


class QueueFull(Exception):
    """Report that no more images may wait; `seconds` is when to come again."""

    def __init__(self, seconds: int):
        super().__init__(f"come again in {seconds} s")
        self.seconds = seconds


class Worker:
    """A thread that does one thing after the other.

    Args:
        length: Things that may wait or be done at a time.
    """

    def __init__(self, length: int):
        self.length, self.inside, self.mean_seconds = length, 0, 1.0
        self.thread = ThreadPoolExecutor(1, "tinymed-serve")

    async def run(self, work: Callable[..., Result], *arguments: Any, timeout: float) -> Result:
        """Return work(*arguments), done in the thread.

        Raises:
            QueueFull: As many wait as may.
            TimeoutError: It was not done in `timeout` seconds.  What the thread has begun it ends, and nobody hears.
        """
        if self.inside >= self.length:
            raise QueueFull(max(1, math.ceil(self.inside * self.mean_seconds)))
        self.inside += 1
        loop = asyncio.get_running_loop()
        task = self.thread.submit(self.timed, work, arguments)
        task.add_done_callback(lambda done: self.leave(loop, done))
        try:
            return await asyncio.wait_for(asyncio.wrap_future(task), timeout)
        except TimeoutError:
            task.cancel()
            raise

    def timed(self, work: Callable[..., Result], arguments: tuple[Any, ...]) -> Result:
        """Do one thing, and note how long such things take."""
        start = time.monotonic()
        try:
            return work(*arguments)
        finally:
            self.mean_seconds += 0.2 * (time.monotonic() - start - self.mean_seconds)

    def leave(self, loop: asyncio.AbstractEventLoop, _: "Future[Any]") -> None:
        """Make room in the queue, in the thread of the event loop."""

        def count() -> None:
            self.inside -= 1

        if not loop.is_closed():
            loop.call_soon_threadsafe(count)

    def close(self) -> None:
        """Begin nothing more."""
        self.thread.shutdown(wait=False, cancel_futures=True)
