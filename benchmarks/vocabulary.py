"""PyTorch's vocabulary beside PyTorch: one call of each function on about a million numbers, and its gradient.

    python benchmarks/vocabulary.py [NAME ...] [--turns 7] [--out FILE]

`ops.py` has the shapes of the papers' networks; this looks for what stands beside them: a function of a user's own loss
or layer that takes a hundred times as long as PyTorch's and is called once a step.  One thread, float32, process CPU
time, ours and PyTorch's in turns, the least of them.  Written to benchmarks/results/vocabulary.json; what takes more
than LIMIT of PyTorch's time is marked, and stays marked in the file.
"""

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numba
import numpy as np
import torch
import torch.nn.functional as TF
from peers import machine, save

import tinymed
from tinymed import Tensor
from tinymed.nn import functional as F

RESULT = Path(__file__).resolve().parent / "results" / "vocabulary.json"
LIMIT = 1.5
SECONDS = 0.1  # a pair of calls takes turns for that long at least
Call = Callable[..., Any]


@dataclass
class Row:
    """A function of some arrays, as ours and as PyTorch's."""

    name: str
    arrays: list[np.ndarray]
    ours: Call
    theirs: Call
    gradient: bool = True


def named(name: str, *args: Any, **more: Any) -> tuple[Call, Call]:
    """Return the function of a name, of nn.functional or the package, of both."""
    ours = getattr(F, name) if hasattr(F, name) else getattr(tinymed, name)
    theirs = getattr(TF, name) if hasattr(TF, name) else getattr(torch, name)
    return (lambda *arrays: ours(*arrays, *args, **more)), (lambda *arrays: theirs(*arrays, *args, **more))


def method(name: str, *args: Any, **more: Any) -> tuple[Call, Call]:
    """Return a method of a tensor, for both."""
    return (lambda a: getattr(a, name)(*args, **more),) * 2


def alike(call: Call) -> tuple[Call, Call]:
    """Return a call that is written in the same words for both."""
    return call, call


ACTIVATIONS = """relu relu6 elu selu celu gelu silu mish softplus softsign tanh sigmoid hardtanh hardsigmoid hardswish
    leaky_relu logsigmoid tanhshrink softshrink hardshrink"""
FORMULAS = "exp abs neg sin cos square floor round sign erf expm1 tan atan sinh cosh exp2"
FORMULAS_ABOVE_0 = "log sqrt reciprocal rsqrt log1p log2"
NO_GRADIENT = {"floor", "round", "sign", "argsort", "any", "less than"}


def elementwise(rng: Any) -> list[Row]:
    """Return activations, formulas and arithmetic."""
    images = normal(rng, 8, 32, 64, 64)
    rows, others = normal(rng, 4096, 256), np.abs(normal(rng, 4096, 256)) + np.float32(0.1)
    found = [Row(name, [images], *named(name)) for name in ACTIVATIONS.split()]
    found += [Row(name, [rows], *method(name)) for name in FORMULAS.split()]
    found += [Row(name, [others], *method(name)) for name in FORMULAS_ABOVE_0.split()]
    pairs: dict[str, Call] = {
        "add": lambda a, b: a + b,
        "multiply": lambda a, b: a * b,
        "divide": lambda a, b: a / b,
        "less than": lambda a, b: a < b,
        "times a row": lambda a, b: a * b[0],
        "times a column": lambda a, b: a * b[:, :1],
    }
    found += [Row(name, [rows, others], *alike(call)) for name, call in pairs.items()]
    found += [Row(name, [rows, others], *named(name)) for name in ("maximum", "minimum")]
    singles: dict[str, Call] = {
        "times a number": lambda a: a * 2.5 + 1,
        "power 2": lambda a: a**2,
        "power 3": lambda a: a**3,
        "power -1": lambda a: a**-1,
        "clamp": lambda a: a.clamp(-0.5, 0.5),
        "masked_fill": lambda a: a.masked_fill(a > 0, 1.0),
    }
    found += [Row(name, [rows], *alike(call)) for name, call in singles.items()]
    found += [Row(f"power {p}", [others], *alike(lambda a, p=p: a**p)) for p in (0.5, 1.7)]
    return found


def along_axes(rng: Any) -> list[Row]:
    """Return reductions, cumulative sums, and what moves numbers."""
    rows, others = normal(rng, 4096, 256), normal(rng, 4096, 256)
    chosen, columns = rng.integers(0, 4096, 2000), rng.integers(0, 256, (4096, 16))
    singles: dict[str, Call] = {
        "sum of all": lambda a: a.sum(),
        "sum of rows": lambda a: a.sum(1),
        "sum of columns": lambda a: a.sum(0),
        "mean": lambda a: a.mean(),
        "var": lambda a: a.var(1),
        "std": lambda a: a.std(0),
        "max": lambda a: a.max(1)[0],
        "min": lambda a: a.min(0)[0],
        "amax": lambda a: a.amax(0),
        "prod": lambda a: a.prod(1),
        "any": lambda a: (a > 3).any(1),
        "cumsum": lambda a: a.cumsum(1),
        "cumsum down": lambda a: a.cumsum(0),
        "cumprod": lambda a: a.cumprod(1),
        "logsumexp": lambda a: a.logsumexp(1),
        "softmax": lambda a: a.softmax(1),
        "softmax down": lambda a: a.softmax(0),
        "log_softmax": lambda a: a.log_softmax(1),
        "norm": lambda a: a.norm(),
        "norm of rows": lambda a: a.norm(dim=1),
        "transposed copy": lambda a: a.T.contiguous(),
        "every second": lambda a: a[:, ::2] * 1,
        "flip": lambda a: a.flip(1),
        "roll": lambda a: a.roll(3, 1),
        "repeat": lambda a: a.repeat(1, 2),
        "tril": lambda a: a.tril(),
        "sort": lambda a: a.sort(1)[0],
        "argsort": lambda a: a.argsort(1),
        "topk": lambda a: a.topk(5, 1)[0],
        "median": lambda a: a.median(1)[0],
        "rows by number": lambda a: a[chosen],
    }
    found = [Row(name, [rows], *alike(call)) for name, call in singles.items()]
    found += [
        Row("cat", [rows, others], lambda a, b: tinymed.cat([a, b], 1), lambda a, b: torch.cat([a, b], 1)),
        Row("stack", [rows, others], lambda a, b: tinymed.stack([a, b], 1), lambda a, b: torch.stack([a, b], 1)),
        Row("gather", [rows], lambda a: a.gather(1, Tensor(columns)), lambda a: a.gather(1, torch.tensor(columns))),
        Row(
            "embedding",
            [rows],
            lambda a: F.embedding(Tensor(chosen), a),
            lambda a: TF.embedding(torch.tensor(chosen), a),
        ),
    ]
    return found


def products(rng: Any) -> list[Row]:
    """Return products of matrices, and convolutions that the papers' networks do not have."""
    square, batch, images = normal(rng, 512, 512), normal(rng, 32, 64, 64), normal(rng, 8, 32, 64, 64)
    volumes, lines = normal(rng, 2, 8, 32, 32, 32), normal(rng, 8, 32, 1000)
    volume_filters = normal(rng, 8, 8, 3, 3, 3)
    filters = normal(rng, 32, 32, 3, 3)
    einsum = "bij,bjk->bik"
    return [
        Row("matmul", [square, square], *alike(lambda a, b: a @ b)),
        Row("bmm", [batch, batch], *alike(lambda a, b: a @ b)),
        Row(
            "einsum",
            [batch, batch],
            lambda a, b: tinymed.einsum(einsum, a, b),
            lambda a, b: torch.einsum(einsum, a, b),
        ),
        Row("outer", [square[0], square[1]], *named("outer")),
        Row("linear", [normal(rng, 4096, 256), normal(rng, 512, 256)], *named("linear")),
        Row("bilinear", [normal(rng, 256, 256), normal(rng, 256, 256), normal(rng, 16, 256, 256)], *named("bilinear")),
        Row("conv1d", [lines, normal(rng, 32, 32, 3)], *named("conv1d", padding=1)),
        Row("conv2d, dilated", [images, filters], *named("conv2d", None, 1, 2, 2)),
        Row("conv2d, four groups", [images, normal(rng, 32, 8, 3, 3)], *named("conv2d", None, 1, 1, 1, 4)),
        Row("conv2d, depthwise 5 x 5", [images, normal(rng, 32, 1, 5, 5)], *named("conv2d", None, 1, 2, 1, 32)),
        Row("conv_transpose2d", [images, filters], *named("conv_transpose2d", None, 2, 1, 1)),
        Row("conv3d", [volumes, volume_filters], *named("conv3d", None, 1, 1)),
        Row("conv_transpose3d", [volumes, volume_filters], *named("conv_transpose3d", None, 2, 1, 1)),
    ]


def layers(rng: Any) -> list[Row]:
    """Return norms, pooling, resampling, padding and dropout."""
    images, volumes, lines = normal(rng, 8, 32, 64, 64), normal(rng, 2, 8, 32, 32, 32), normal(rng, 8, 1000, 32)
    rows = normal(rng, 4096, 256)
    found = [
        Row("layer_norm", [rows], *named("layer_norm", (256,))),
        Row("group_norm", [images], *named("group_norm", 8)),
        Row("instance_norm", [images], *named("instance_norm")),
        Row("local_response_norm", [images], *named("local_response_norm", 5)),
        Row("normalize", [rows], *named("normalize")),
        Row("max_pool1d", [lines], *named("max_pool1d", 2)),
        Row("max_pool2d", [images], *named("max_pool2d", 2)),
        Row("max_pool2d 3/2", [images], *named("max_pool2d", 3, 2, 1)),
        Row("max_pool3d", [volumes], *named("max_pool3d", 2)),
        Row("avg_pool2d", [images], *named("avg_pool2d", 2)),
        Row("avg_pool3d", [volumes], *named("avg_pool3d", 2)),
        Row("lp_pool2d", [images], *named("lp_pool2d", 2, 2)),
        Row("adaptive_avg_pool2d 1", [images], *named("adaptive_avg_pool2d", 1)),
        Row("adaptive_avg_pool2d 7", [images], *named("adaptive_avg_pool2d", 7)),
        Row("adaptive_max_pool2d 7", [images], *named("adaptive_max_pool2d", 7)),
        Row("interpolate down, antialias", [images], *named("interpolate", (20, 20), mode="bilinear", antialias=True)),
        Row("interpolate trilinear", [volumes], *named("interpolate", scale_factor=2, mode="trilinear")),
        Row("pixel_shuffle", [images], *named("pixel_shuffle", 2)),
        Row("unfold", [images], *named("unfold", 3, padding=1)),
        Row("dropout", [images], *named("dropout", 0.4)),
        Row("glu", [rows], *named("glu", 1)),
    ]
    for mode in ("nearest", "bilinear", "bicubic"):
        found.append(Row(f"interpolate {mode}", [images], *named("interpolate", scale_factor=2, mode=mode)))
    for mode in ("constant", "reflect", "replicate", "circular"):
        found.append(Row(f"pad {mode}", [images], *named("pad", (1, 2, 1, 2), mode=mode)))
    return found


NORMED = {
    "early": (4, 32, 128, 128),
    "deep": (4, 256, 16, 16),
    "early 3-D": (1, 16, 48, 64, 48),
    "deep 3-D": (2, 128, 8, 8, 8),
}


def by_name(norm: Call, **given: Any) -> Call:
    """Return a norm as a function of images, weight and bias."""
    return lambda x, weight, bias: norm(x, weight=weight, bias=bias, **given)


def norms(rng: Any) -> list[Row]:
    """Return the norms of U-Nets: ours of images that lie channels-last, as in networks, theirs in C order."""
    found = []
    for where, (n, c, *space) in NORMED.items():
        x = np.moveaxis(normal(rng, n, *space, c), -1, 1)
        vectors = [normal(rng, c), normal(rng, c)]
        for name, given in (("group_norm", {"num_groups": 8}), ("instance_norm", {})):
            pair = (by_name(getattr(lib, name), **given) for lib in (F, TF))
            found.append(Row(f"{name} {where}", [x, *vectors], *pair))
    return found


def losses(rng: Any) -> list[Row]:
    """Return losses and distances."""
    rows, others, images = normal(rng, 4096, 256), normal(rng, 4096, 256), normal(rng, 8, 32, 64, 64)
    labels, of_pixels = rng.integers(0, 256, 4096), rng.integers(0, 32, (8, 64, 64))
    truth = (rng.random(rows.shape) > 0.5).astype(np.float32)
    smooth = {"label_smoothing": 0.1}
    found = [Row(name, [rows, others], *named(name)) for name in ("mse_loss", "l1_loss", "smooth_l1_loss")]
    found += [Row(name, [rows, others], *named(name)) for name in ("huber_loss", "kl_div", "poisson_nll_loss")]
    found += [
        Row("cosine_similarity", [rows, others], *named("cosine_similarity")),
        Row("pairwise_distance", [rows, others], *named("pairwise_distance")),
        Row("triplet_margin_loss", [rows, others, normal(rng, 4096, 256)], *named("triplet_margin_loss")),
    ]
    for name, x, y, more in (
        ("cross_entropy", rows, labels, {}),
        ("cross_entropy", rows, labels, smooth),
        ("cross_entropy", images, of_pixels, {}),
        ("binary_cross_entropy_with_logits", rows, truth, {}),
        ("soft_margin_loss", rows, 2 * truth - 1, {}),
    ):
        kind = "".join([name, ", smoothed" if more else "", " of pixels" if x.ndim == 4 else ""])
        ours, theirs = named(name, **more)
        mine, other = Tensor(y), torch.tensor(y)
        found.append(
            Row(kind, [x], lambda a, f=ours, y=mine: f(a, y), lambda a, f=theirs, y=other: f(a, y))  # type: ignore[misc]
        )
    return found


def normal(rng: Any, *shape: int) -> Any:
    """Return normal numbers in float32."""
    return rng.normal(size=shape).astype(np.float32)


def in_turns(ours: Call, theirs: Call, turns: int) -> tuple[float, float]:
    """Return the least microseconds of each: at least so many turns, and SECONDS, after two that are not counted."""
    taken: tuple[list[int], list[int]] = ([], [])
    for call in (ours, ours, theirs, theirs):
        call()
    begin = time.monotonic()
    while len(taken[0]) < turns or time.monotonic() - begin < SECONDS:
        for call, to in zip((ours, theirs), taken, strict=True):
            start = time.process_time_ns()
            call()
            to.append(time.process_time_ns() - start)
    return min(taken[0]) / 1e3, min(taken[1]) / 1e3


def with_gradient(call: Call, tensors: list[Any], ones: Any) -> Call:
    """Return the call with its gradients."""

    def both() -> None:
        for t in tensors:
            t.grad = None
        call(*tensors).backward(ones)

    return both


def measured(row: Row, turns: int) -> dict[str, Any]:
    """Return the times of a row, and the ratios."""
    wanted = row.gradient and row.name not in NO_GRADIENT
    ours = [Tensor(a, requires_grad=wanted) for a in row.arrays]
    theirs = [torch.tensor(a, requires_grad=wanted) for a in row.arrays]
    with tinymed.no_grad(), torch.no_grad():
        mine, other = in_turns(lambda: row.ours(*ours), lambda: row.theirs(*theirs), turns)
        shape = tuple(row.theirs(*theirs).shape)
    found = {"forward_us": round(mine, 1), "torch_us": round(other, 1), "ratio": round(mine / other, 2)}
    if wanted:
        ones = np.ones(shape, np.float32)
        if not row.arrays[0].flags.c_contiguous:  # the gradient lies as the result does
            ones = np.moveaxis(np.ascontiguousarray(np.moveaxis(ones, 1, -1)), -1, 1)
        both = with_gradient(row.ours, ours, Tensor(ones))
        mine, other = in_turns(both, with_gradient(row.theirs, theirs, torch.ones(shape)), turns)
        found |= {"both_us": round(mine, 1), "torch_both_us": round(other, 1), "both_ratio": round(mine / other, 2)}
    found["slow"] = max(found["ratio"], found.get("both_ratio", 0)) > LIMIT
    return found


def main() -> None:
    """Measure, write and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="only rows of these names")
    parser.add_argument("--turns", type=int, default=7)
    parser.add_argument("--out", type=Path, default=RESULT)
    options = parser.parse_args()
    torch.set_num_threads(1)
    numba.set_num_threads(1)
    rows = json.loads(options.out.read_text())["rows"] if options.out.exists() else {}
    rng = np.random.default_rng(0)
    for row in [*elementwise(rng), *along_axes(rng), *products(rng), *layers(rng), *norms(rng), *losses(rng)]:
        if not options.names or row.name in options.names:
            rows[row.name] = found = measured(row, options.turns)
            print(
                f"{row.name:34s} {found['ratio']:7.2f} {found.get('both_ratio', ''):>7} {'slow' * found['slow']}",
                flush=True,
            )
    save(options.out, {"machine": machine(), "threads": 1, "limit": LIMIT, "rows": rows})


if __name__ == "__main__":
    main()
