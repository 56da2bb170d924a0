"""How loops are cut into tasks: by the shape alone, so that the bits do not depend on the number of threads."""

from typing import Any

from ..compiler.jit import serial
from .streaming import CACHE_BYTES
from .vectors import BYTES, LANES, ceil_div

TASKS = 32  # pieces of work a loop is cut into, about; the shape decides, never the number of threads


@serial
def partition_work(blocks: Any, panels: Any) -> Any:
    """Return how a loop over blocks and panels is cut: (tasks over blocks, tasks over panels)."""
    over_blocks = max(1, min(blocks, 2 * TASKS))
    return over_blocks, max(1, min(panels, TASKS // over_blocks))


GRAIN, STRIP = 4096, 1024  # numbers of a piece of a pass at least; numbers that one strip of constants serves


@serial
def pieces(y: Any) -> Any:
    """Return how many pieces a pass is cut into."""
    return max(1, min(TASKS, y.size // GRAIN))


@serial
def piece(t: Any, y: Any) -> Any:
    """Return (bytes before piece t, its numbers, whether it bypasses the caches): whole vectors but for the last."""
    vectors, partitions = ceil_div(y.size, LANES), pieces(y)
    low, high = t * vectors // partitions * LANES, min(y.size, (t + 1) * vectors // partitions * LANES)
    return BYTES * low, high - low, BYTES * y.size >= 4 * CACHE_BYTES
