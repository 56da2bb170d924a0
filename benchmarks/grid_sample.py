"""CPU time of grid_sample beside PyTorch's: one thread, float32, medians of 15 interleaved calls.

    NUMBA_NUM_THREADS=1 python benchmarks/grid_sample.py

Ours lies channels-last, PyTorch's as it likes best (NCHW).  Rows: forward; the same captured, beside PyTorch's eager
call; forward and backward to input and grid, eager and captured; forward and backward to the grid alone, what
registration does.  Times are the processor's, which other programs lengthen less than the clock's.  Writes
benchmarks/results/grid_sample.json.
"""

import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from peers import machine, save

import tinymed
from tinymed.memory import canonical_order, inverse_order
from tinymed.nn import functional as F

RESULT = Path(__file__).resolve().parent / "results" / "grid_sample.json"
TURNS = 15
CASES = [
    ((1, 1, 256, 256), ("bilinear", "nearest", "bicubic")),
    ((8, 3, 224, 224), ("bilinear", "nearest")),
    ((8, 64, 56, 56), ("bilinear", "nearest", "bicubic")),
    ((1, 1, 64, 64, 64), ("bilinear", "nearest")),
    ((2, 16, 32, 32, 32), ("bilinear",)),
]


def medians(calls: Sequence[Callable[[], Any]]) -> list[float]:
    """Return each call's median processor time in milliseconds, all taken in turn."""
    times: list[list[float]] = [[] for _ in calls]
    for turn in range(TURNS + 2):
        for call, found in zip(calls, times, strict=True):
            start = time.process_time()
            call()
            if turn > 1:
                found.append(time.process_time() - start)
    return [1e3 * statistics.median(found) for found in times]


def channels_last(a: np.ndarray) -> np.ndarray:
    """Return an image laid out as compiled kernels take it."""
    order = canonical_order("image", a.ndim)
    return np.ascontiguousarray(a.transpose(order)).transpose(inverse_order(order))


def row(shape: tuple[int, ...], mode: str, padding: str) -> dict[str, Any]:
    """Return ours over PyTorch's time for one case."""
    rng, rank = np.random.default_rng(0), len(shape) - 2
    x, dy = (rng.normal(size=shape).astype(np.float32) for _ in range(2))
    theta = np.concatenate([np.eye(rank) + rng.normal(size=(rank, rank)) * 0.05, rng.normal(size=(rank, 1)) * 0.05], 1)
    theirs_theta = torch.tensor(theta[None].repeat(shape[0], 0), dtype=torch.float32)
    grid = torch.nn.functional.affine_grid(theirs_theta, list(shape), align_corners=False).numpy()
    grid = grid + rng.normal(size=grid.shape).astype(np.float32) * np.float32(0.005)

    def ours(to_input: bool, backward: bool) -> Callable[[], Any]:
        image = tinymed.Tensor(channels_last(x), to_input)
        places = tinymed.Tensor(grid.copy(), backward)
        cotangent = tinymed.Tensor(channels_last(dy))

        def call() -> None:
            image.grad = places.grad = None
            y = F.grid_sample(image, places, mode, padding, False)
            if backward:
                y.backward(cotangent)

        return call

    def captured(to_input: bool, backward: bool) -> Callable[[], Any]:
        image, places = tinymed.Tensor(channels_last(x), to_input), tinymed.Tensor(grid.copy(), backward)
        cotangent = tinymed.Tensor(channels_last(dy))
        if not backward:
            run = tinymed.capture(lambda image, places: F.grid_sample(image, places, mode, padding, False))
            return lambda: run(image, places)

        def step(cotangent: Any) -> Any:
            image.grad = places.grad = None
            y = F.grid_sample(image, places, mode, padding, False)
            y.backward(cotangent)
            return y

        replayed = tinymed.capture(step)
        return lambda: replayed(cotangent)

    def theirs(to_input: bool, backward: bool) -> Callable[[], Any]:
        image, places = torch.tensor(x, requires_grad=to_input), torch.tensor(grid, requires_grad=backward)
        cotangent = torch.tensor(dy)

        def call() -> None:
            image.grad = places.grad = None
            y = torch.nn.functional.grid_sample(image, places, mode, padding, False)
            if backward:
                y.backward(cotangent)

        return call

    result: dict[str, Any] = {"x": list(shape), "mode": mode, "padding": padding}
    for name, make, how in (
        ("forward", ours, (False, False)),
        ("captured", captured, (False, False)),
        ("both", ours, (True, True)),
        ("both captured", captured, (True, True)),
        ("grid", ours, (False, True)),
    ):
        mine, other = medians([make(*how), theirs(*how)])
        result |= {f"{name}_ms": round(mine, 3), f"{name}_torch_ms": round(other, 3), name: round(mine / other, 2)}
    return result


def main() -> None:
    torch.set_num_threads(1)
    rows = [row(shape, mode, padding) for shape, modes in CASES for mode in modes for padding in ("zeros", "border")]
    for r in rows:
        print(r["x"], r["mode"], r["padding"], r["forward"], r["captured"], r["both"], r["both captured"], r["grid"])
    save(RESULT, machine() | {"what": "ours / PyTorch, one thread, medians of 15 interleaved", "rows": rows})


if __name__ == "__main__":
    main()
