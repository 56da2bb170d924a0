"""A training step in mixed precision: ours in bf16 and in float32, captured, and PyTorch's autocast in bfloat16.

    python benchmarks/bf16.py [--only resnet50] [--rounds 7] [--isa avx512_bf16]

ResNet-50 and Xception on 3x224x224 (batch 8, 1000 classes), the papers' CNN on 3x64x64 (batch 128); SGD with momentum.
PyTorch as fast as it can be made: channels-last, a malloc that keeps its pages, fused SGD; its weights stay float32, as
ours do.  One thread, processor time, in turns.  Written to benchmarks/results/bf16.json with the processor's name and
the path of our products; `--products` times the products alone, by layers of ResNet-50 at batch 8.
"""

import argparse
import functools
import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import networks
from models import MALLOC, RESULTS
from peers import Peer, Result, as_json, compare, machine, save, table, traps, use_checkout

LARGE = {"shape": (3, 224, 224), "classes": 1000, "batch": 8, "options": {}}
TASKS: dict[str, dict[str, Any]] = {
    "resnet50 3x224x224 b8": {"network": "resnet50", **LARGE},
    "xception 3x224x224 b8": {"network": "xception", **LARGE},
    "dcnn 3x64x64 b128": {
        "network": "dcnn",
        "shape": (3, 64, 64),
        "classes": 2,
        "batch": 128,
        "options": {"size": 64, "padding": "same"},
    },
}
OURS, SINGLE, AUTOCAST = "tinymed bf16", "tinymed float32", "torch autocast bf16"
GOALS = {SINGLE: 1.0, AUTOCAST: 1.0}  # times of ours in bf16 over theirs, at most
# images of batch 8: channels, filters, size of x, kernel, stride, padding
LAYERS = (
    (3, 64, 224, 7, 2, 3),
    (64, 64, 56, 1, 1, 0),
    (64, 64, 56, 3, 1, 1),
    (256, 64, 56, 1, 1, 0),
    (256, 512, 56, 1, 2, 0),
    (128, 128, 28, 3, 1, 1),
    (256, 256, 28, 3, 2, 1),
    (1024, 256, 14, 1, 1, 0),
    (256, 256, 14, 3, 1, 1),
    (512, 512, 7, 3, 1, 1),
    (2048, 512, 7, 1, 1, 0),
)


def make_single(task: dict[str, Any]) -> networks.Step:
    """Ours in float32, captured."""
    return networks.make_captured(task)


def make_ours(task: dict[str, Any]) -> networks.Step:
    """Ours in bf16, captured."""
    import tinymed

    tinymed.use_precision("bf16")
    return networks.make_captured(task)


def make_autocast(task: dict[str, Any], autocast: bool = True) -> networks.Step:
    """PyTorch under autocast."""
    if task["network"] == "xception":
        import torch

        sys.path.append(str(networks.TESTS))
        import torch_classification

        torch.set_num_threads(task["threads"])
        torch.manual_seed(0)
        model = torch_classification.xception(lambda n: n, task["classes"])
    else:
        torch, model = networks.twin(task)
    x, y = (torch.from_numpy(a) for a in networks.data(task))
    model, x = model.train().to(memory_format=torch.channels_last), x.contiguous(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(model.parameters(), lr=networks.RATE, momentum=networks.MOMENTUM, fused=True)

    def step() -> float:
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            loss = torch.nn.functional.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        return float(loss.item())

    return step


def make_torch_single(task: dict[str, Any]) -> networks.Step:
    """PyTorch in float32."""
    return make_autocast(task, autocast=False)


def peers(isa: str) -> list[Peer]:
    """Return who takes part; isa: the path that ours is forced to, if any."""
    numba = {"TINYMED_BACKEND": "numba"}
    return [
        Peer(AUTOCAST, "bf16", "make_autocast", MALLOC),
        Peer("torch float32", "bf16", "make_torch_single", MALLOC),
        Peer(SINGLE, "bf16", "make_single", numba),
        Peer(OURS, "bf16", "make_ours", numba | ({"TINYMED_ISA": isa} if isa else {})),
    ]


def against(results: list[Result]) -> dict[str, float]:
    """Return the medians over the turns of our time in bf16 over each other's."""
    turns = {r.peer: r.turns_ms for r in results}
    if OURS not in turns:
        return {}
    return {
        name: statistics.median(a / b for a, b in zip(turns[OURS], other, strict=True))
        for name, other in turns.items()
        if name != OURS
    }


def fastest(call: Callable[[], Any], times: int = 7) -> float:
    """Return the seconds of the shortest of some calls, after one that compiles."""
    call()
    found = []
    for _ in range(times):
        start = time.process_time()
        call()
        found.append(time.process_time() - start)
    return min(found)


def products(isa: str) -> dict[str, Any]:
    """Return GFLOP/s of a layer's three products in bf16, rounding and packing included, and in float32."""
    if isa:
        os.environ["TINYMED_ISA"] = isa
    os.environ.setdefault("NUMBA_NUM_THREADS", "1")
    import numpy as np

    from tinymed import dispatch
    from tinymed.cpu.compiler import isa as paths

    k, rng, rows = dispatch.table("numba"), np.random.default_rng(0), {}

    def draw(*shape: int) -> Any:
        return rng.standard_normal(shape, dtype=np.float32)

    for c, o, size, kernel, stride, edge in LAYERS:
        how = (stride, stride), ((edge, edge), (edge, edge)), (1, 1), 1
        x, w = draw(8, size, size, c).transpose(0, 3, 1, 2), draw(kernel, kernel, c, o).transpose(3, 2, 0, 1)
        dy = k.conv2d_forward(x, w, None, *how)
        flops, row = 2 * dy.size * c * kernel**2, {}
        calls = {
            "conv2d_forward": (x, w, None),
            "conv2d_backward_input": (dy, w, x.shape),
            "conv2d_backward_weight": (dy, x, w.shape),
        }
        for name, arguments in calls.items():
            ours = functools.partial(getattr(k, f"bf16_{name}"), *arguments, True, *how)
            times = fastest(ours), fastest(functools.partial(getattr(k, name), *arguments, *how))
            row[name] = {
                "bf16": round(flops / times[0] / 1e9),
                "float32": round(flops / times[1] / 1e9),
                "ratio of times": round(times[0] / times[1], 3),
            }
        rows[f"{c} to {o}, {size}x{size}, kernel {kernel}, stride {stride}"] = row
        print(list(rows)[-1], row, flush=True)
    return {"path": paths.path(), "layers": rows}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="part of a task's name")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--isa", default="", help="the path that ours is forced to")
    parser.add_argument("--products", action="store_true", help="time the products alone")
    parser.add_argument("--out", default=str(RESULTS / "bf16.json"), help="another file for the results")
    o = parser.parse_args()
    path = Path(o.out)
    kept = json.loads(path.read_text()) if path.exists() else {}
    use_checkout()
    from tinymed.cpu.compiler import isa

    where = machine() | {"path": o.isa or isa.path()}
    if o.products:
        kept.setdefault("products", {})[where["path"]] = {"machine": where} | products(o.isa)
        save(path, kept)
        return
    for name, task in TASKS.items():
        if o.only not in name:
            continue
        absent: dict[str, str] = {}
        results = compare(peers(o.isa), task, 1, o.rounds, absent=absent)
        ours = against(results)
        missed = [rival for rival, most in GOALS.items() if ours.get(rival, 9.0) > most]
        row = {"machine": where, "peers": as_json(results), "ours over": ours, "missed": missed, "absent": absent}
        kept.setdefault("steps", {}).setdefault(where["path"], {})[name] = row
        save(path, kept | {"threads": 1, "traps": traps(1), "goals": GOALS})
        print(f"\n{name}, {where['path']}\n{table(results)}\n{ours}\nmissed: {missed} {absent}", flush=True)


if __name__ == "__main__":
    main()
