"""Training steps of the large networks, batch 8: ours, captured and eager, and PyTorch, eager and at its best.

    python benchmarks/networks.py [--only resnet50] [--rounds 5] [--threads 2]

ResNet-50 and DenseNet-121 on 3x224x224 with 1000 classes, U-Net (base 32, batch norm) on 1x128x128 with two; SGD with
momentum.  The networks in PyTorch are those of the tests and of twins.py.  Written to
benchmarks/results/networks_t1.json.
"""

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from models import MALLOC, RESULTS, against
from peers import Peer, as_json, compare, machine, save, table, traps

TESTS = Path(__file__).resolve().parent.parent / "tests"
BATCH, RATE, MOMENTUM = 8, 0.01, 0.9
TASKS: dict[str, dict[str, Any]] = {
    "resnet50 3x224x224 b8": {"network": "resnet50", "shape": (3, 224, 224), "classes": 1000, "options": {}},
    "densenet121 3x224x224 b8": {"network": "densenet121", "shape": (3, 224, 224), "classes": 1000, "options": {}},
    "unet, base 32 1x128x128 b8": {"network": "unet_bn", "shape": (1, 128, 128), "classes": 2, "options": {"base": 32}},
}
# (ours, rival): the ratio of times to stay below
GOALS = {("tinymed captured", "eager"): 0.6, ("tinymed captured", "best tuned"): 1.0}
Step = Callable[[], float]


def data(task: dict[str, Any]) -> tuple[Any, Any]:
    """Seeded images, and a class for each or for each of its pixels."""
    import numpy as np

    rng, shape, batch = np.random.default_rng(0), task["shape"], task.get("batch", BATCH)
    labels = (batch, *shape[1:]) if task["network"].startswith("unet") else (batch,)
    images = rng.standard_normal((batch, *shape)).astype(task.get("dtype", "float32"))
    return images, rng.integers(0, task["classes"], labels)


def make_eager(task: dict[str, Any], wrap: Callable[[Any], Any] = lambda step: step) -> Step:
    """Ours."""
    import tinymed
    from tinymed import models, optim
    from tinymed.nn import functional

    model = models.create(task["network"], in_channels=task["shape"][0], num_classes=task["classes"], **task["options"])
    model.to(task.get("dtype", "float32"))
    optimizer = optim.SGD(model.train().parameters(), lr=RATE, momentum=MOMENTUM)
    x, y = map(tinymed.tensor, data(task))

    def step(x: Any, y: Any) -> Any:
        optimizer.zero_grad()
        loss = functional.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        return loss

    run = wrap(step)
    return lambda: float(run(x, y).item())


def make_captured(task: dict[str, Any]) -> Step:
    """Ours, through tinymed.capture."""
    import tinymed

    return make_eager(task, tinymed.capture)


def twin(task: dict[str, Any]) -> tuple[Any, Any]:
    """(torch, the network in PyTorch)."""
    import torch

    sys.path.append(str(TESTS))
    import torch_classification
    import twins

    torch.set_num_threads(task["threads"])
    torch.manual_seed(0)
    if task["network"] == "resnet50":
        return torch, torch_classification.resnet50((64, 128, 256, 512), task["classes"], False)
    if task["network"] == "densenet121":
        return torch, torch_classification.densenet121(32, task["classes"])
    if task["network"] == "dcnn":
        return torch, twins.dcnn(torch, channels=task["shape"][0], size=task["shape"][1], padding=1)
    if task["network"] == "resnet20":
        return torch, twins.resnet20(torch, task["classes"], task["shape"][0])
    return torch, twins.unet(torch, task["classes"], task["shape"][0], **task["options"])


def make_torch(task: dict[str, Any], layout: str = "contiguous_format", tuned: bool = False) -> Step:
    """PyTorch eager."""
    torch, model = twin(task)
    x, y = (torch.from_numpy(a) for a in data(task))
    memory_format = getattr(torch, layout)
    model = model.train().to(dtype=x.dtype, memory_format=memory_format)
    x = x.contiguous(memory_format=memory_format)
    optimizer = torch.optim.SGD(model.parameters(), lr=RATE, momentum=MOMENTUM, fused=tuned)

    def step() -> float:
        optimizer.zero_grad(set_to_none=True)
        loss = torch.nn.functional.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        return float(loss.item())

    return step


def make_torch_fused(task: dict[str, Any]) -> Step:
    """NCHW, fused SGD."""
    return make_torch(task, tuned=True)


def make_torch_channels_last(task: dict[str, Any]) -> Step:
    """Channels-last, fused SGD."""
    return make_torch(task, "channels_last", tuned=True)


PEERS = [
    Peer("torch eager NCHW", "networks", "make_torch"),
    Peer("torch NCHW, malloc", "networks", "make_torch_fused", MALLOC),
    Peer("torch channels_last, malloc", "networks", "make_torch_channels_last", MALLOC),
    Peer("tinymed eager", "networks", "make_eager", {"TINYMED_BACKEND": "numba"}),
    Peer("tinymed captured", "networks", "make_captured", {"TINYMED_BACKEND": "numba"}),
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="part of a task's name")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", default="", help="another file for the results")
    o = parser.parse_args()
    path = Path(o.out) if o.out else RESULTS / f"networks_t{o.threads}.json"
    kept = json.loads(path.read_text())["tasks"] if path.exists() else {}
    head = {"machine": machine(), "traps": traps(o.threads), "threads": o.threads}
    for name, task in TASKS.items():
        if o.only in name:
            results = compare(PEERS, task, o.threads, o.rounds)
            ours = against(results)
            missed = {
                f"{who} to {rival}": ours[who][rival] for (who, rival), goal in GOALS.items() if ours[who][rival] > goal
            }
            kept[name] = {
                "peers": as_json(results),
                "ours": ours,
                "missed": missed,
                "commit": head["machine"]["commit"],
            }
            save(path, head | {"tasks": kept})
            print(f"\n{name}, {o.threads} thread(s)\n{table(results)}\n{ours}\nmissed: {missed or 'nothing'}")


if __name__ == "__main__":
    main()
