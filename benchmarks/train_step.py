"""The papers' CNN, one eager train step, against PyTorch in the same run.

    python benchmarks/train_step.py [--size 64] [--channels 3] [--batch 128] [--threads 1]

One process each, in turns.  On one thread the figure is process CPU time, on more it is wall time.
"""

import argparse
from pathlib import Path
from typing import Any

from peers import TUNED_MALLOC, Peer, as_json, compare, into_readme, machine, markdown, save, table


def images(task: dict[str, Any]) -> tuple[Any, Any]:
    """Seeded images and one-hot targets."""
    import numpy as np

    rng = np.random.default_rng(0)
    x = rng.standard_normal((task["batch"], task["channels"], task["size"], task["size"])).astype(np.float32)
    return x, np.eye(2, dtype=np.float32)[rng.integers(0, 2, task["batch"])]


def make_tinymed(task: dict[str, Any]) -> Any:
    """One step: zero_grad, forward, loss, backward, Adam."""
    import tinymed
    from tinymed import models, optim
    from tinymed.nn import functional

    model = models.create(
        "dcnn", num_classes=2, in_channels=task["channels"], size=task["size"], padding=task["padding"]
    )
    model.train()
    optimizer = optim.Adam(model.parameters(), lr=1e-3)
    x, y = (tinymed.tensor(a) for a in images(task))

    def step() -> float:
        optimizer.zero_grad()
        loss = functional.binary_cross_entropy_with_logits(model(x), y)
        loss.backward()
        optimizer.step()
        return float(loss.item())

    return step


def make_torch(task: dict[str, Any]) -> Any:
    """The same in PyTorch; task["channels_last"] sets the memory format."""
    import torch
    import twins

    torch.set_num_threads(task["threads"])
    model = twins.dcnn(
        torch, channels=task["channels"], size=task["size"], padding=int(task["padding"] == "same")
    ).train()
    x, y = (torch.from_numpy(a) for a in images(task))
    if task.get("channels_last"):
        model, x = model.to(memory_format=torch.channels_last), x.contiguous(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)

    def step() -> float:
        optimizer.zero_grad(set_to_none=True)
        loss = torch.nn.functional.binary_cross_entropy_with_logits(model(x), y)
        loss.backward()
        optimizer.step()
        return float(loss.item())

    return step


def make_torch_channels_last(task: dict[str, Any]) -> Any:
    """PyTorch in channels-last memory."""
    return make_torch(task | {"channels_last": True})


PEERS = [
    Peer("torch eager NCHW", "train_step", "make_torch"),
    Peer("torch channels_last, malloc", "train_step", "make_torch_channels_last", {"GLIBC_TUNABLES": TUNED_MALLOC}),
    Peer("tinymed eager, numba", "train_step", "make_tinymed", {"TINYMED_BACKEND": "numba"}),
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("size", 64), ("channels", 3), ("batch", 128), ("threads", 1), ("rounds", 7)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--padding", choices=["same", "valid"], default="same")
    o = parser.parse_args()
    task = {"size": o.size, "channels": o.channels, "batch": o.batch, "padding": o.padding}
    results = compare(PEERS, task, o.threads, o.rounds)
    print(f"train step, {o.channels}x{o.size}x{o.size}, batch {o.batch}, {o.padding} padding, {o.threads} thread(s)")
    print(table(results))
    name = f"train_step_{o.channels}x{o.size}_b{o.batch}_{o.padding}_t{o.threads}.json"
    save(Path(__file__).parent / "results" / name, {"machine": machine(), "task": task, "threads": o.threads,
                                                    "rows": as_json(results)})  # fmt: skip
    if (o.size, o.channels, o.batch, o.padding, o.threads) == (64, 3, 128, "same", 1):
        into_readme("train_step", markdown(results))


if __name__ == "__main__":
    main()
