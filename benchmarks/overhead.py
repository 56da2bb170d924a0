"""What tape and dispatch cost: microseconds an op, forward and backward, on 8x8 tensors, against PyTorch.

    python benchmarks/overhead.py [--rounds 9] [OP ...]

A chain of 20 equal ops and its backward walk, divided by 20; one process each, in turns, process CPU time on one
thread.  On 64 numbers the arithmetic is next to nothing: what is timed is everything around it.  Written to
benchmarks/results/overhead.json.
"""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from peers import Peer, compare, machine, save

from tinymed.report.tables import table

LENGTH, REPEATS = 20, 25
Layer = tuple[tuple[int, ...], tuple[tuple[int, ...], ...], Callable[..., Any]]  # input, parameters, (F, x, *p) -> y

OPS: dict[str, Layer] = {
    "relu": ((8, 8), (), lambda f, x: f.relu(x)),
    "add": ((8, 8), ((8, 8),), lambda f, x, y: x + y),
    "mul": ((8, 8), ((8, 8),), lambda f, x, y: x * y),
    "linear": ((8, 8), ((8, 8), (8,)), lambda f, x, w, b: f.linear(x, w, b)),
    "conv2d": ((1, 1, 8, 8), ((1, 1, 3, 3), (1,)), lambda f, x, w, b: f.conv2d(x, w, b, padding=1)),
    "batch_norm": ((1, 1, 8, 8), ((1,), (1,)), lambda f, x, w, b: f.batch_norm(x, None, None, w, b, training=True)),
    "max_pool2d": ((1, 1, 8, 8), (), lambda f, x: f.max_pool2d(x, 3, 1, 1)),
}


def arrays(task: dict[str, Any]) -> tuple[Any, Any, list[list[Any]]]:
    """Return the chain's input, the gradient of its output, and the parameters of each op, seeded."""
    import numpy as np

    shape, parameters, _ = OPS[task["op"]]
    rng = np.random.default_rng(0)
    x, dy, *rest = (
        rng.uniform(0.9, 1.1, s).astype(np.float32) for s in (shape, shape, *parameters * LENGTH)
    )  # products of 20 numbers near 1 stay near 1
    each = len(parameters)
    return x, dy, [rest[i * each : (i + 1) * each] for i in range(LENGTH)]


def chain(make: Callable[[Any], Any], functional: Any, task: dict[str, Any]) -> Callable[[], None]:
    """REPEATS times forward through the chain and back.  make: an array -> a leaf that requires a gradient."""
    x, dy, parameters = arrays(task)
    run = OPS[task["op"]][2]
    x, dy, layers = make(x), make(dy).detach(), [[make(p) for p in layer] for layer in parameters]
    leaves = [x, *(p for layer in layers for p in layer)]

    def step() -> None:
        for _ in range(REPEATS):
            y = x
            for layer in layers:
                y = run(functional, y, *layer)
            y.backward(dy)
            for leaf in leaves:
                leaf.grad = None

    return step


def make_tinymed(task: dict[str, Any]) -> Callable[[], None]:
    """Return the chain in tinymed."""
    import tinymed
    from tinymed.nn import functional

    return chain(lambda a: tinymed.tensor(a, requires_grad=True), functional, task)


def make_torch(task: dict[str, Any]) -> Callable[[], None]:
    """Return the chain in PyTorch."""
    import torch

    torch.set_num_threads(task["threads"])
    return chain(lambda a: torch.from_numpy(a).requires_grad_(), torch.nn.functional, task)


PEERS = [
    Peer("torch", "overhead", "make_torch"),
    Peer("numpy", "overhead", "make_tinymed", {"TINYMED_BACKEND": "numpy"}),
    Peer("numba", "overhead", "make_tinymed", {"TINYMED_BACKEND": "numba"}),
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("ops", nargs="*", default=list(OPS), metavar="OP", help=", ".join(OPS))
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args()
    rows, cells = [], [("op", "torch us", "numpy us", "of torch's", "numba us", "of torch's")]
    for op in options.ops:
        torch, ours, compiled = compare(PEERS, {"op": op}, rounds=options.rounds, steps=3)
        each = {r.peer: 1e3 * r.median_ms / (LENGTH * REPEATS) for r in (torch, ours, compiled)}
        rows.append(
            {
                "op": op,
                "microseconds": each,
                "ratio": {r.peer: r.ratio for r in (ours, compiled)},
                "spread": {r.peer: [r.ratio_low, r.ratio_high] for r in (ours, compiled)},
            }
        )
        cells.append(
            (
                op,
                f"{each['torch']:.2f}",
                f"{each['numpy']:.2f}",
                f"{ours.ratio:.2f}",
                f"{each['numba']:.2f}",
                f"{compiled.ratio:.2f}",
            )
        )
    print(table(cells))
    if set(options.ops) == set(OPS):
        save(Path(__file__).parent / "results" / "overhead.json", {"machine": machine(), "ops": rows})


if __name__ == "__main__":
    main()
