"""Networks of volumes, training and inference: ours, captured and eager, and PyTorch, eager and at its best.

    python benchmarks/volumes.py [--only unet3d,train] [--rounds 15] [--threads 2] [--label "before ..."]

unet3d (base 16 on 64^3, base 4 on 4 volumes of 48 x 64 x 48), voxresnet on 48^3, vnet (base 4, 8 and 16) on
32 x 64 x 64 and deepmedic on 4 wide segments of 57^3; SGD with momentum, cross-entropy of every voxel (of every tap of
voxresnet).  The networks in PyTorch are those of the tests.  A row of benchmarks/results/volumes_t1.json is a task at a
commit: what was measured before a change stays beside what was measured after it.
"""

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from models import MALLOC, RESULTS, against
from peers import Peer, compare, machine, save, table, traps

TESTS = Path(__file__).resolve().parent.parent / "tests"
RATE, MOMENTUM = 0.01, 0.9
WIDTHS = [30, 30, 40, 40, 40, 40, 50, 50]
NETWORKS: dict[str, dict[str, Any]] = {
    "unet3d base 4": {"network": "unet3d", "options": {"base": 4}, "classes": 3, "shape": (4, 1, 48, 64, 48)},
    "unet3d base 16": {"network": "unet3d", "options": {"base": 16}, "classes": 3, "shape": (1, 1, 64, 64, 64)},
    "voxresnet": {"network": "voxresnet", "options": {}, "classes": 3, "shape": (1, 1, 48, 48, 48)},
    **{
        f"vnet base {base}": {"network": "vnet", "options": {"base": base}, "classes": 2, "shape": (1, 1, 32, 64, 64)}
        for base in (4, 8, 16)
    },
    "deepmedic": {"network": "deepmedic", "options": {}, "classes": 5, "shape": (4, 4, 57, 57, 57)},
}
TASKS = {f"{name} {mode}": task | {"mode": mode} for name, task in NETWORKS.items() for mode in ("train", "infer")}
EXTRA = {"unet3d": {"padding": "same"}, "voxresnet": {"auxiliary": True}, "deepmedic": {"dropout": 0.0}}
# by mode: {rival: the ratio of times to stay below}; inference of base 4 and of deepmedic may take .9
GOALS = {"train": {"eager": 0.7, "best tuned": 0.8}, "infer": {"best tuned": 0.75}}
Step = Callable[[], float]


def data(task: dict[str, Any], size: Any) -> tuple[Any, Any]:
    """Return seeded volumes, and a class for each voxel of scores of this size."""
    import numpy as np

    rng = np.random.default_rng(0)
    x = rng.standard_normal(task["shape"]).astype(np.float32)
    return x, rng.integers(0, task["classes"], (task["shape"][0], *size))


def scored(task: dict[str, Any]) -> Any:
    """Return the axes of space of the scores: deepmedic's are those of its fine pathway's centre."""
    return (9, 9, 9) if task["network"] == "deepmedic" else task["shape"][2:]


def total(cross_entropy: Callable[[Any, Any], Any], scores: Any, labels: Any) -> Any:
    """Return the loss of the scores, and of every tap's where there are several."""
    if not isinstance(scores, tuple):
        return cross_entropy(scores, labels)
    loss = cross_entropy(scores[0], labels)
    for tap in scores[1:]:
        loss = loss + cross_entropy(tap, labels)
    return loss


def make_eager(task: dict[str, Any], wrap: Callable[[Any], Any] = lambda step: step) -> Step:
    """Return a step of ours."""
    import tinymed
    from tinymed import models, optim
    from tinymed.nn import functional

    options = {"num_classes": task["classes"], "in_channels": task["shape"][1], **task["options"]}
    model = models.create(task["network"], **options, **EXTRA.get(task["network"], {}))
    x, y = map(tinymed.tensor, data(task, scored(task)))
    if task["mode"] == "infer":
        with tinymed.no_grad():
            model.train()(x)  # running statistics that fit: a fresh model's would be warned of
        forward = wrap(model.eval())

        def infer() -> float:
            with tinymed.no_grad():
                return float(forward(x).numpy()[0, 0, 0, 0, 0])

        return infer
    optimizer = optim.SGD(model.train().parameters(), lr=RATE, momentum=MOMENTUM)

    def step(x: Any, y: Any) -> Any:
        optimizer.zero_grad()
        loss = total(functional.cross_entropy, model(x), y)
        loss.backward()
        optimizer.step()
        return loss

    run = wrap(step)
    return lambda: float(run(x, y).item())


def make_captured(task: dict[str, Any]) -> Step:
    """Return the same through tinymed.capture."""
    import tinymed

    return make_eager(task, tinymed.capture)


def twin(task: dict[str, Any]) -> tuple[Any, Any]:
    """Return (torch, the network in PyTorch)."""
    import torch

    sys.path.insert(0, str(TESTS))  # before the benchmark of the same name
    import torch_segmentation

    torch.set_num_threads(task["threads"])
    torch.manual_seed(0)
    classes, channels, base = task["classes"], task["shape"][1], task["options"].get("base", 32)
    if task["network"] == "unet3d":
        return torch, torch_segmentation.UNet3d(classes, channels, base, True)
    if task["network"] == "voxresnet":
        return torch, torch_segmentation.VoxResNet(classes, channels, base)
    if task["network"] == "vnet":
        return torch, torch_segmentation.VNet(classes, base, (1, 1, 2, 3, 3), (3, 2, 1, 1), True)
    return torch, torch_segmentation.DeepMedic(classes, channels, WIDTHS, 150)


def wide_split(torch: Any, x: Any) -> tuple[Any, ...]:
    """Return deepmedic's two inputs of a wide segment: its centre, and all of it at a third of the resolution."""
    side = x.shape[2] - 32
    return x[:, :, 16 : 16 + side, 16 : 16 + side, 16 : 16 + side], torch.nn.functional.avg_pool3d(x, 3)


def make_torch(task: dict[str, Any], layout: str = "contiguous_format", tuned: bool = False) -> Step:
    """Return a step of PyTorch, eager."""
    torch, model = twin(task)
    x, y = (torch.from_numpy(a) for a in data(task, scored(task)))
    memory_format = getattr(torch, layout)
    model, x = model.train().to(memory_format=memory_format), x.contiguous(memory_format=memory_format)

    def forward() -> Any:
        return model(*wide_split(torch, x)) if task["network"] == "deepmedic" else model(x)

    if task["mode"] == "infer":
        model.eval()

        def infer() -> float:
            with torch.inference_mode():
                scores = forward()
                return float((scores[0] if isinstance(scores, tuple) else scores)[0, 0, 0, 0, 0])

        return infer
    optimizer = torch.optim.SGD(model.parameters(), lr=RATE, momentum=MOMENTUM, fused=tuned)

    def step() -> float:
        optimizer.zero_grad(set_to_none=True)
        loss = total(torch.nn.functional.cross_entropy, forward(), y)
        loss.backward()
        optimizer.step()
        return float(loss.item())

    return step


def make_torch_fused(task: dict[str, Any]) -> Step:
    """Return NCDHW with fused SGD."""
    return make_torch(task, tuned=True)


def make_torch_channels_last(task: dict[str, Any]) -> Step:
    """Return channels-last with fused SGD."""
    return make_torch(task, "channels_last_3d", tuned=True)


PEERS = [
    Peer("torch eager NCDHW", "volumes", "make_torch"),
    Peer("torch NCDHW, malloc", "volumes", "make_torch_fused", MALLOC),
    Peer("torch channels_last_3d, malloc", "volumes", "make_torch_channels_last", MALLOC),
    Peer("tinymed eager", "volumes", "make_eager", {"TINYMED_BACKEND": "numba"}),
    Peer("tinymed captured", "volumes", "make_captured", {"TINYMED_BACKEND": "numba"}),
]


def missed(task: str, ratios: dict[str, float]) -> dict[str, float]:
    """Return the goals that a captured step misses, with its ratio."""
    goals = dict(GOALS[task.split()[-1]])
    if task in ("unet3d base 4 infer", "deepmedic infer"):
        goals["best tuned"] = 0.9
    return {rival: ratios[rival] for rival, goal in goals.items() if ratios[rival] > goal}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="words that a task's name must all contain, separated by commas")
    parser.add_argument("--peers", default="", help="words, separated by commas: peers whose name contains one")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--label", default="", help="what the row is called beside its commit")
    parser.add_argument("--out", default="", help="another file for the results")
    o = parser.parse_args()
    path = Path(o.out) if o.out else RESULTS / f"volumes_t{o.threads}.json"
    head = {"machine": machine(), "traps": traps(o.threads), "threads": o.threads}
    rows = json.loads(path.read_text())["rows"] if path.exists() else []
    peers = [p for p in PEERS if not o.peers or any(word in p.name for word in o.peers.split(","))]
    for name, task in TASKS.items():
        if all(word in name for word in o.only.split(",")):
            results = compare(peers, task, o.threads, o.rounds)
            ours = against(results)
            rows.append(
                {
                    "task": name,
                    "label": o.label,
                    "commit": head["machine"]["commit"],
                    "rounds": o.rounds,
                    "ms": {r.peer: round(r.median_ms, 1) for r in results},
                    "peak_mib": {r.peer: round(r.peak_mib) for r in results},
                    "ours": {who: {k: round(v, 3) for k, v in ratios.items()} for who, ratios in ours.items()},
                    "missed": missed(name, ours["tinymed captured"]),
                }
            )
            save(path, head | {"rows": rows})
            print(f"\n{name}, {o.threads} thread(s)\n{table(results)}\n{ours}", flush=True)


if __name__ == "__main__":
    main()
