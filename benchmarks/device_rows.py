"""What `device_ops.py` times: each row as a step of ours and as the same work in PyTorch, on copies of its arrays."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from math import prod
from typing import Any, NamedTuple

import numpy as np
from shapes import Case, dcnn, resnet50

Shape = tuple[int, ...]
ITEM = 4  # bytes of a float32
DRAWN = 1 << 22  # different random numbers; longer arrays repeat them
# PyTorch's time over ours, or the share of a copy's bandwidth, that is hoped for: by kind and way.
GOALS = {
    ("conv, first layer", "forward"): ("ratio", 1.0),
    ("conv", "forward"): ("ratio", 0.7),
    ("conv", "input"): ("ratio", 0.65),
    ("conv", "weight"): ("ratio", 0.5),
    ("conv, first layer", "weight"): ("ratio", 0.5),
    ("conv, first layer", "with bias and ReLU"): ("ratio", 2.0),
    ("element-wise", "forward"): ("copy_share", 0.9),
    ("element-wise", "backward"): ("copy_share", 0.9),
    ("optimiser", "step"): ("copy_share", 0.9),
    ("batch norm", "forward"): ("copy_share", 0.8),
    ("batch norm", "backward"): ("copy_share", 0.8),
    ("pool", "forward"): ("copy_share", 0.85),
}


class Drawn(NamedTuple):
    """Random numbers of a shape: those of a filter, which lies otherwise in either library, or positive ones."""

    shape: Shape
    kind: str = "filter"


Given = Shape | Drawn | np.ndarray  # random numbers of a shape, or these numbers


@dataclass
class Row:
    """One kernel at one shape.

    given: the arrays that each copy has.  compute: (table, functional, tensors) -> a tensor.  peer: (torch, tensors) ->
    a tensor.  nbytes: the least that must be moved.  compared: whether the two results are the same numbers.
    """

    label: str
    kind: str
    way: str
    given: Sequence[Given]
    nbytes: int
    compute: Callable[[Any, Any, Sequence[Any]], Any]
    peer: Callable[[Any, Sequence[Any]], Any]
    compared: bool = True

    def ours(self, copies: int) -> tuple[Any, ...]:
        """(step, its inputs): the work on every copy."""
        from tinymed import dispatch
        from tinymed.nn import functional

        table = dispatch.table()
        sets = [tuple(tensor(table, g, 7919 * i) for g in self.given) for i in range(copies)]
        return lambda *sets: tuple(self.compute(table, functional, s) for s in sets), *sets

    def theirs(self, torch: Any, sets: Sequence[Sequence[Any]]) -> tuple[Callable[[], Any], Callable[[], Any]]:
        """Return (the work on every copy of the arrays of ours, the first copy's result)."""
        there = [[peer_tensor(torch, t) for t in s] for s in sets]
        made: list[Any] = []

        def work() -> None:
            with torch.no_grad():
                made[:] = [self.peer(torch, s) for s in there]

        return work, lambda: made[0]

    def judged(self, found: dict[str, Any]) -> dict[str, Any]:
        """Return the goal of such a row, and whether it was met."""
        what, least = GOALS.get((self.kind, self.way), ("", 0.0))
        return {"goal": f"{what} >= {least:g}", "met": found[what] >= least} if what in found else {}


@cache
def numbers(xp: Any) -> Any:
    """Seeded normal numbers, on the device."""
    return xp.asarray(np.random.default_rng(0).standard_normal(DRAWN, dtype=np.float32))


def tensor(table: Any, given: Given, first: int) -> Any:
    """Return a tensor on the backend's device: images channels-last, filters as a layer's.

    Random from number `first` on.
    """
    from tinymed import devices
    from tinymed.tensor import Tensor

    if isinstance(given, np.ndarray):
        return Tensor(devices.move(given, table.device))
    shape, kind = given if isinstance(given, Drawn) else (given, "")
    flat = table.xp.tile(numbers(table.xp), -(-(first + prod(shape)) // DRAWN))[first : first + prod(shape)].copy()
    if kind == "filter":
        o, i, h, w = shape
        return Tensor((0.05 * flat).reshape(h, w, i, o).transpose(3, 2, 0, 1))
    if len(shape) == 4:
        n, c, h, w = shape
        return Tensor(flat.reshape(n, h, w, c).transpose(0, 3, 1, 2))
    return Tensor((abs(flat) if kind == "positive" else flat).reshape(shape))


def peer_tensor(torch: Any, t: Any) -> Any:
    """PyTorch's tensor on the same memory; a filter's is a copy in channels_last."""
    there = torch.from_dlpack(t)
    return there.contiguous(memory_format=torch.channels_last) if there.ndim == 4 else there


def wrapped(array: Any) -> Any:
    """Return a kernel's (first) result as a tensor."""
    from tinymed.tensor import Tensor

    return Tensor(array[0] if isinstance(array, tuple) else array)


# ------------------------------------------------------------------------------------------------- convolutions


def convolutions(cases: Sequence[Case]) -> Iterator[Row]:
    """Three directions of each; the first layer has no gradient of its input, and is timed with bias and ReLU too."""
    for case in cases:
        x, weight = case.tensors[0] or (), case.tensors[1] or ()
        stride, padding = dict(case.options)["stride"], dict(case.options)["padding"]
        side = (x[2] + 2 * padding - weight[2]) // stride + 1
        y = (x[0], weight[0], side, side)
        kind = "conv, first layer" if case.first else "conv"
        moved = ITEM * (prod(x) + prod(weight) + prod(y))
        ours, torchs = (stride, stride), ((padding, padding),) * 2
        how = ours, torchs, (1, 1), 1
        back = [stride] * 2, [padding] * 2, [1, 1], False, [0, 0], 1

        def gradient(torch: Any, dy: Any, x: Any, w: Any, back: Any = back, which: int = 0) -> Any:
            mask = [which == 0, which == 1, False]
            return torch.ops.aten.convolution_backward(dy, x, w, None, *back, mask)[which]

        yield Row(
            case.label,
            kind,
            "forward",
            (x, Drawn(weight)),
            moved,
            lambda k, f, s, how=how: wrapped(k.conv2d_forward(s[0].array, s[1].array, None, *how)),
            lambda torch, s, a=stride, p=padding: torch.conv2d(s[0], s[1], None, a, p),
        )
        if case.first:
            yield Row(
                case.label,
                kind,
                "with bias and ReLU",
                (x, Drawn(weight), (weight[0],)),
                moved,
                lambda k, f, s, a=stride, p=padding: f.relu(f.conv2d(s[0], s[1], s[2], a, p)),
                lambda torch, s, a=stride, p=padding: torch.conv2d(s[0], s[1], s[2], a, p).relu(),
            )
        else:
            yield Row(
                case.label,
                kind,
                "input",
                (y, Drawn(weight), x),
                moved,
                lambda k, f, s, x=x, how=how: wrapped(k.conv2d_backward_input(s[0].array, s[1].array, x, *how)),
                lambda torch, s, g=gradient: g(torch, s[0], s[2], s[1], which=0),
            )
        yield Row(
            case.label,
            kind,
            "weight",
            (y, x, Drawn(weight)),
            moved,
            lambda k, f, s, w=weight, how=how: wrapped(k.conv2d_backward_weight(s[0].array, s[1].array, w, *how)),
            lambda torch, s, g=gradient: g(torch, s[0], s[1], s[2], which=1),
        )


# ----------------------------------------------------------------------------------- what memory's speed decides


def streams(n: int, c: int, side: int) -> Iterator[Row]:
    """Element-wise ops, pooling and batch norm of one map."""
    x, half = (n, c, side, side), (n, c, side // 2, side // 2)
    size, small = ITEM * prod(x), ITEM * prod(half)
    label, where = f"{c} @{side} b{n}", (c,)
    yield Row(
        f"relu {label}",
        "element-wise",
        "forward",
        (x,),
        2 * size,
        lambda k, f, s: f.relu(s[0]),
        lambda torch, s: torch.relu(s[0]),
    )
    yield Row(
        f"relu {label}",
        "element-wise",
        "backward",
        (x, x),
        3 * size,
        lambda k, f, s: wrapped(k.relu_backward(s[0].array, s[1].array)),
        lambda torch, s: torch.ops.aten.threshold_backward(s[0], s[1], 0),
    )
    yield Row(
        f"add {label}",
        "element-wise",
        "forward",
        (x, x),
        3 * size,
        lambda k, f, s: s[0] + s[1],
        lambda torch, s: s[0] + s[1],
    )
    yield Row(
        f"max_pool 2x2 {label}",
        "pool",
        "forward",
        (x,),
        size + small,
        lambda k, f, s: f.max_pool2d(s[0], 2),
        lambda torch, s: torch.max_pool2d(s[0], 2),
    )
    index = np.zeros((n, side // 2, side // 2, c), np.uint8).transpose(0, 3, 1, 2)  # the first of each window won
    yield Row(
        f"max_pool 2x2 {label}",
        "pool",
        "backward",
        (half, index, x),
        size + small + index.nbytes,
        lambda k, f, s, x=x: wrapped(k.max_pool2d_backward(s[0].array, s[1].array, x, *WINDOWS)),
        peer_pool_backward,
        compared=False,
    )
    yield Row(
        f"batch_norm {label}",
        "batch norm",
        "forward",
        (x, where, where),
        3 * size,
        lambda k, f, s: f.batch_norm(s[0], None, None, s[1], s[2], training=True),
        lambda torch, s: torch.batch_norm(s[0], s[1], s[2], None, None, True, 0.1, 1e-5, True),
    )
    moments = np.zeros(c, np.float32), np.ones(c, np.float32)
    yield Row(
        f"batch_norm {label}",
        "batch norm",
        "backward",
        (x, x, where, *moments),
        5 * size,
        lambda k, f, s: wrapped(k.batch_norm_backward(*(t.array for t in s), True)),
        lambda torch, s: torch.ops.aten.native_batch_norm_backward(
            *s[:3], None, None, *s[3:], True, 1e-5, [True, True, True]
        )[0],
    )


WINDOWS = (2, 2), (2, 2), (0, 0), (1, 1)  # size, stride, padding, dilation


def peer_pool_backward(torch: Any, s: Sequence[Any]) -> Any:
    """In PyTorch, with the windows' true argmax, found once."""
    if not hasattr(s[2], "max_index"):
        s[2].max_index = torch.nn.functional.max_pool2d(s[2], 2, return_indices=True)[1]
    return torch.ops.aten.max_pool2d_with_indices_backward(s[0], s[2], *map(list, WINDOWS), False, s[2].max_index)


def losses(n: int, classes: int) -> Iterator[Row]:
    """Softmax cross-entropy."""
    yield Row(
        f"cross_entropy {classes} b{n}",
        "loss",
        "forward",
        ((n, classes), np.zeros(n, np.int64)),
        ITEM * n * classes,
        lambda k, f, s: f.cross_entropy(s[0], s[1]),
        lambda torch, s: torch.nn.functional.cross_entropy(s[0], s[1]),
    )


def optimisers(count: int) -> Iterator[Row]:
    """Yield one pass over a flat buffer: Adam reads p, m, v, g and writes p, m, v; SGD with momentum p, buffer, g."""
    import tinymed.optim  # noqa: F401  declares the kernels

    one, rates = (count,), np.array([0.9, 0.1, 0.999, 0.001, 1e-8, 1e-3, 1.0, 0.0], np.float32)
    yield Row(
        f"adam {count}",
        "optimiser",
        "step",
        (one, one, Drawn(one, "positive"), one, rates),
        7 * ITEM * count,
        lambda k, f, s: (k.adam_step(*(t.array for t in s), False), s[0])[1],
        peer_adam,
        compared=False,
    )
    rates = np.array([1e-3, 0.9, 1.0, 0.0], np.float32)
    yield Row(
        f"momentum {count}",
        "optimiser",
        "step",
        (one, one, one, rates),
        5 * ITEM * count,
        lambda k, f, s: (k.momentum_step(*(t.array for t in s), False), s[0])[1],
        peer_momentum,
        compared=False,
    )


def peer_adam(torch: Any, s: Sequence[Any]) -> Any:
    """PyTorch's Adam on the same buffers, fused on a GPU."""
    p, m, v, g, _ = s
    if not hasattr(p, "steps"):
        p.steps = torch.ones((), device=p.device)
    import_module("torch.optim.adam").adam(
        [p],
        [g],
        [m],
        [v],
        [],
        [p.steps],
        foreach=False,
        capturable=p.is_cuda,
        differentiable=False,
        fused=p.is_cuda,
        amsgrad=False,
        beta1=0.9,
        beta2=0.999,
        lr=1e-3,
        weight_decay=0.0,
        eps=1e-8,
        maximize=False,
    )
    return p


def peer_momentum(torch: Any, s: Sequence[Any]) -> Any:
    """PyTorch's SGD, fused on a GPU."""
    p, buffer, g, _ = s
    import_module("torch.optim.sgd").sgd(
        [p],
        [g],
        [buffer],
        foreach=False,
        fused=p.is_cuda,
        weight_decay=0.0,
        momentum=0.9,
        lr=1e-3,
        dampening=0.0,
        nesterov=False,
        maximize=False,
    )
    return p


# ------------------------------------------------------------------------------------------------------ the list


def rows(quick: bool) -> Iterator[Row]:
    """Yield the papers' CNN first, then what memory decides, then ResNet-50."""
    small, large = (2, 4) if quick else (128, 32)
    networks = dcnn(small, 3, 16 if quick else 64, 1), () if quick else resnet50(large)
    papers, residual = ([*dict.fromkeys(c for c in n if c.op == "conv2d")] for n in networks)
    yield from convolutions(papers)
    yield from streams(small, 4 if quick else 32, 8 if quick else 64)
    yield from optimisers(1000 if quick else 1 << 24)
    yield from losses(small, 5 if quick else 1000)
    yield from convolutions([plain(c) for c in residual])
    if not quick:
        yield from streams(large, 256, 56)


def plain(case: Case) -> Case:
    """Without a bias."""
    return case._replace(tensors=(*case.tensors[:2], None))
