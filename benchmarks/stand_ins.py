"""Where a loop stands in for the reference on the backend `numba`: each kernel that numba has not got, both ways.

    python benchmarks/stand_ins.py [--rounds 7] [--only upsample]

A small call has as many elements as a loop is asked for at all (`dispatch.select.LARGE`), a large one sixteen times
as many.  Prints microseconds of the reference and of the loop, on the threads that NUMBA_NUM_THREADS allows; what is
declared as `worth=` in tinymed/cpu/loops follows from it.
"""

import argparse
import functools
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from tinymed import dispatch, optim  # noqa: F401  (declares the kernels of optimisers)

rng = np.random.default_rng(0)
NOTHING = ((0, 0),) * 3


def floats(*shape: int) -> Any:
    """Positive numbers, an image channels-last in memory."""
    a = rng.random(shape, np.float32) + 0.1
    order = (0, *range(2, a.ndim), 1) if a.ndim > 2 else tuple(range(a.ndim))
    return np.ascontiguousarray(a.transpose(order)).transpose(np.argsort(order))


def cases(n: int) -> dict[str, tuple[Any, ...]]:
    """Arguments of each kernel; n: the number of elements over 2^16."""
    v = [floats(n, 64, 32, 32) for _ in range(4)]
    matrix, mask = floats(64 * n, 1024), v[0] > 0.5
    volume, half, double = floats(1, 16 * n, 16, 16, 16), floats(1, 16 * n, 8, 8, 8), floats(1, 16 * n, 32, 32, 32)
    twice = double.shape[2:]
    labels = rng.integers(0, 64, (n, 32, 32))
    ticket, one = np.zeros(5, np.uint32), np.float32(1).reshape(())
    pool = ((2, 2, 2), (2, 2, 2), NOTHING)
    index = rng.integers(0, 4, (n, 64, 16, 16)).astype(np.uint8)
    edges = ((0, 0), (0, 0), (1, 1), (1, 1))
    wide = floats(n, 64, 34, 34)
    forward = ["hardsigmoid", "expm1", "log1p", "rsqrt", "sin", "cos", "erf", "gelu_tanh"]
    backward = ["hardsigmoid", "rsqrt", "reciprocal", "erf", "gelu_tanh"]
    per_line, picked = floats(64 * n), rng.integers(0, 1024, 64 * n)
    return {
        **{f"{name}_forward": (v[0],) for name in forward},
        **{f"{name}_backward": (v[0], v[1]) for name in backward},
        "softtanh_forward": (v[0], 2.0),
        "softtanh_backward": (v[0], v[1], 2.0),
        "pow_forward": (v[0], 2.5),
        "pow_backward_base": (v[0], v[1], 2.5),
        "pow_backward_exponent": (v[0], v[1], v[2], v[3]),
        "maximum_forward": (v[0], v[1]),
        "minimum_forward": (v[0], v[1]),
        "larger_backward": (v[0], v[1], v[2]),
        "where_forward": (mask, v[0], v[1]),
        "alpha_dropout_forward": (v[0], ticket.copy(), 0.5, False),
        "alpha_dropout_backward": (v[0], ticket, 0.5, False),
        "ratio": (v[0], v[1]),
        "prod_forward": (matrix, (1,)),
        "cumsum_forward": (matrix, 1),
        "cumsum_backward": (matrix, 1),
        "logsumexp_forward": (matrix, (1,)),
        "logsumexp_backward": (per_line, matrix, per_line, (1,)),
        "norm_forward": (matrix, 3.0, (1,)),
        "var_forward": (matrix, (1,), 1.0),
        "amax_forward": (matrix, (1,)),
        "amin_forward": (matrix, (1,)),
        "argextreme_forward": (matrix, 1, "max"),
        "pick_forward": (matrix, picked, 1),
        "nll_loss_forward": (v[0], labels, None, -100, "mean"),
        "nll_loss_backward": (one, v[0], labels, None, one, -100, "mean"),
        "binary_cross_entropy_backward_target": (one, v[0] / 2, None, "mean"),
        "bce_with_logits_backward_target": (one, v[0], None, None, "mean"),
        "avg_pool3d_forward": (volume, *pool, half.shape[2:], True, 0),
        "avg_pool3d_backward": (half, volume.shape, *pool, True, 0),
        "adaptive_avg_pool3d_forward": (volume, (4, 4, 4)),
        "adaptive_avg_pool3d_backward": (floats(1, 16 * n, 4, 4, 4), volume.shape),
        "adaptive_max_pool_forward": (v[0], (4, 4)),
        "scatter_flat": (floats(n, 64, 16, 16), rng.integers(0, 1024, (n, 64, 16, 16)), v[0].shape),
        "tap_to_flat": (index, (32, 32), (2, 2), (2, 2), (0, 0), (1, 1)),
        "upsample_nearest3d_forward": (volume, twice, (0.5,) * 3, 0.0),
        "upsample_nearest3d_backward": (double, volume.shape, (0.5,) * 3, 0.0),
        "upsample_trilinear3d_forward": (volume, twice, (0.5,) * 3, False),
        "upsample_trilinear3d_backward": (double, volume.shape, (0.5,) * 3, False),
        "pad_border": (v[0], edges, "reflect"),
        "pad_border_backward": (wide, v[0].shape, edges, "reflect"),
        "clip_gradient": (v[0], 0.5),
    }


def seconds(call: Callable[[], Any], rounds: int) -> float:
    """Return the least of some rounds, after one that compiles."""
    call()
    found = []
    for _ in range(rounds):
        start = time.perf_counter()
        call()
        found.append(time.perf_counter() - start)
    return min(found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--only", default="", help="part of a kernel's name")
    o = parser.parse_args()
    loops, reference = dispatch.table("loops"), dispatch.table("numpy")
    print(f"{'kernel':40} {'reference':>10} {'loop':>10} {'reference':>10} {'loop':>10}  worth")
    sizes = [cases(1), cases(16)]
    for name in sizes[0]:
        if o.only in name:
            calls = [functools.partial(getattr(k, name), *case[name]) for case in sizes for k in (reference, loops)]
            us = [1e6 * seconds(call, o.rounds) for call in calls]
            declared = dispatch.implementations["loops", name].worth is not None
            faster = us[1] < us[0] and us[3] < us[2]
            figures = " ".join(f"{v:10.0f}" for v in us)
            print(f"{name:40} {figures}  {faster}{'' if faster == declared else ', declared otherwise'}", flush=True)


if __name__ == "__main__":
    main()
