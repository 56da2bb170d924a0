"""The papers' CNN as a whole: training step and inference, ours and the rivals', in the same run.

    python benchmarks/models.py [--only train,3x64] [--rounds 9] [--threads 2] [--quick]

Tasks: a step of Adam on 3x64x64 and 1x50x50 (batch 128) and 3x224x224 (batch 16); inference on 3x64x64, batch 128 and
1.  Peers: ours eager and captured; PyTorch eager in NCHW (ratio 1), and as fast as it can be made: channels-last, a
malloc that keeps its pages, fused Adam, torch.compile; ONNX Runtime; JAX.  One process each, in turns.  Written to
benchmarks/results/models_t1.json after each task.
"""

import argparse
import json
import os
import shutil
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

from peers import TUNED_MALLOC, Absent, Peer, Result, as_json, compare, machine, save, table, traps

RESULTS = Path(__file__).resolve().parent / "results"
TASKS = {
    "train 3x64x64 b128": {"mode": "train", "channels": 3, "size": 64, "batch": 128},
    "train 1x50x50 b128": {"mode": "train", "channels": 1, "size": 50, "batch": 128},
    "train 3x224x224 b16": {"mode": "train", "channels": 3, "size": 224, "batch": 16},
    "infer 3x64x64 b128": {"mode": "infer", "channels": 3, "size": 64, "batch": 128},
    "infer 3x64x64 b1": {"mode": "infer", "channels": 3, "size": 64, "batch": 1},
}
Step = Callable[[], Any]


def images(task: dict[str, Any]) -> tuple[Any, Any]:
    """Seeded images and one-hot targets."""
    import numpy as np

    rng = np.random.default_rng(0)
    x = rng.standard_normal((task["batch"], task["channels"], task["size"], task["size"])).astype(np.float32)
    return x, np.eye(2, dtype=np.float32)[rng.integers(0, 2, task["batch"])]


def make_tinymed(task: dict[str, Any], wrap: Callable[[Any], Any] = lambda step: step) -> Step:
    """Return one step: zero_grad, forward, loss, backward, Adam; or the logits of an evaluating model."""
    import tinymed
    from tinymed import models, optim
    from tinymed.nn import functional

    model = models.create("dcnn", num_classes=2, in_channels=task["channels"], size=task["size"], padding="same")
    x, y = (tinymed.tensor(a) for a in images(task))
    if task["mode"] == "infer":
        with tinymed.no_grad():
            model(x)  # running statistics that fit the images: a fresh model's would be warned of
        model.eval()
        run = wrap(lambda x: model(x))

        def infer() -> Any:
            with tinymed.no_grad():
                return run(x).numpy()

        return infer
    model.train()
    optimizer = optim.Adam(model.parameters(), lr=1e-3)

    def step(x: Any, y: Any) -> Any:
        optimizer.zero_grad()
        loss = functional.binary_cross_entropy_with_logits(model(x), y)
        loss.backward()
        optimizer.step()
        return loss

    run = wrap(step)
    return lambda: float(run(x, y).item())


def make_captured(task: dict[str, Any]) -> Step:
    """Return the same through tinymed.capture."""
    import tinymed

    if not hasattr(tinymed, "capture"):
        raise Absent("tinymed.capture does not exist in this version")
    return make_tinymed(task, tinymed.capture)


def twin(task: dict[str, Any]) -> Any:
    """(torch, the network in PyTorch) with seeded weights and as many threads as the task says."""
    import torch
    import twins

    torch.set_num_threads(task["threads"])
    torch.manual_seed(0)
    return torch, twins.dcnn(torch, channels=task["channels"], size=task["size"], padding=1).train(
        task["mode"] == "train"
    )


def make_torch(
    task: dict[str, Any], layout: str = "contiguous_format", compiled: bool = False, fused: bool = False
) -> Step:
    """Return the same in PyTorch."""
    torch, model = twin(task)
    x, y = (torch.from_numpy(a) for a in images(task))
    memory_format = getattr(torch, layout)
    model, x = model.to(memory_format=memory_format), x.contiguous(memory_format=memory_format)
    if compiled and not (shutil.which("g++") or shutil.which("clang++")):
        raise Absent("torch.compile needs a C++ compiler")
    run = torch.compile(model) if compiled else model
    if task["mode"] == "infer":

        def infer() -> Any:
            with torch.no_grad() if compiled else torch.inference_mode():
                return run(x).numpy()

        return infer
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=fused)

    def step() -> float:
        optimizer.zero_grad(set_to_none=True)
        loss = torch.nn.functional.binary_cross_entropy_with_logits(run(x), y)
        loss.backward()
        optimizer.step()
        return float(loss.item())

    return step


def make_torch_fused(task: dict[str, Any]) -> Step:
    """NCHW, fused Adam."""
    return make_torch(task, fused=True)


def make_torch_channels_last(task: dict[str, Any]) -> Step:
    """Channels-last, fused Adam."""
    return make_torch(task, "channels_last", fused=True)


def make_torch_compile(task: dict[str, Any]) -> Step:
    """Compiled, NCHW."""
    return make_torch(task, compiled=True, fused=True)


def make_torch_compile_channels_last(task: dict[str, Any]) -> Step:
    """Compiled, channels-last."""
    return make_torch(task, "channels_last", compiled=True, fused=True)


def make_onnxruntime(task: dict[str, Any]) -> Step:
    """ONNX Runtime on the twin's graph; inference only."""
    if task["mode"] == "train":
        raise Absent("ONNX Runtime does not train")
    try:
        import onnx  # noqa: F401
        import onnxruntime  # noqa: F401
    except ImportError as reason:
        raise Absent(f"{reason}: pip install onnx onnxruntime") from None
    from twins_onnx import graph, session

    x, _ = images(task)
    torch, model = twin(task)
    run = session(graph(torch, model, x.shape), task["threads"])
    return lambda: run.run(None, {"input": x})[0]


def make_jax(task: dict[str, Any]) -> Step:
    """JAX, compiled, channels-last."""
    if hasattr(os, "sched_setaffinity"):  # XLA sizes its pool by the cores it may use
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: task["threads"]])
    try:
        import jax  # noqa: F401
    except ImportError:
        raise Absent("JAX is not installed: pip install jax") from None
    from twins_jax import inference, training

    torch, model = twin(task)
    x, y = images(task)
    return inference(torch, model, x, "SAME") if task["mode"] == "infer" else training(torch, model, x, y, "SAME")


MALLOC = {"GLIBC_TUNABLES": TUNED_MALLOC}
PEERS = [
    Peer("torch eager NCHW", "models", "make_torch"),
    Peer("torch channels_last", "models", "make_torch_channels_last"),
    Peer("torch NCHW, malloc", "models", "make_torch_fused", MALLOC),
    Peer("torch channels_last, malloc", "models", "make_torch_channels_last", MALLOC),
    Peer("torch.compile NCHW, malloc", "models", "make_torch_compile", MALLOC | {"TORCHINDUCTOR_FREEZING": "1"}),
    Peer(
        "torch.compile channels_last, malloc",
        "models",
        "make_torch_compile_channels_last",
        MALLOC | {"TORCHINDUCTOR_FREEZING": "1"},
    ),
    Peer("ONNX Runtime", "models", "make_onnxruntime", MALLOC),
    Peer("JAX", "models", "make_jax", MALLOC),
    Peer("tinymed eager", "models", "make_tinymed", {"TINYMED_BACKEND": "numba"}),
    Peer("tinymed captured", "models", "make_captured", {"TINYMED_BACKEND": "numba"}),
]


def against(results: list[Result]) -> dict[str, dict[str, float]]:
    """{ours: {eager, best tuned PyTorch, ONNX Runtime, JAX: ratio of times, peak memory to eager's}}."""
    turns = {r.peer: r.turns_ms for r in results}
    torch = [r for r in results if r.peer.startswith("torch") and r is not results[0]]
    rivals = {"eager": results[0].peer, "ONNX Runtime": "ONNX Runtime", "JAX": "JAX"}
    rivals["best tuned"] = min(torch, key=lambda r: r.median_ms).peer if torch else ""
    found: dict[str, dict[str, float]] = {}
    for r in results:
        if r.peer.startswith("tinymed"):
            found[r.peer] = {
                name: statistics.median(a / b for a, b in zip(r.turns_ms, turns[other], strict=True))
                for name, other in rivals.items()
                if other in turns
            }
            found[r.peer]["memory"] = r.peak_mib / results[0].peak_mib
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="words that a task's name must all contain, separated by commas")
    parser.add_argument("--peers", default="", help="words, separated by commas: peers whose name contains one")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--quick", action="store_true", help="three rounds, no torch.compile, to a scratch file")
    parser.add_argument("--out", default="", help="another file for the results")
    o = parser.parse_args()
    path = Path(o.out) if o.out else RESULTS / ("quick_models.tmp" if o.quick else f"models_t{o.threads}.json")
    words = [w for w in o.peers.split(",") if w]
    peers = [p for p in PEERS if p is PEERS[0] or not words or any(w in p.name for w in words)]
    peers = [p for p in peers if not (o.quick and "compile" in p.name)]
    kept = json.loads(path.read_text())["tasks"] if path.exists() else {}
    head = {"machine": machine(), "traps": traps(o.threads), "threads": o.threads}
    for name, text in head["traps"].items():
        print(f"{name}: {text}")
    for name, task in TASKS.items():
        if all(w in name for w in o.only.split(",")):
            absent: dict[str, str] = {}
            results = compare(peers, task, o.threads, 3 if o.quick else o.rounds, seconds=0.2, absent=absent)
            kept[name] = {
                "peers": as_json(results),
                "ours": against(results),
                "absent": absent,
                "commit": head["machine"]["commit"],
            }
            save(path, head | {"tasks": kept})
            print(f"\n{name}, {o.threads} thread(s)\n{table(results)}")
            print("\n".join(f"absent: {peer}: {why}" for peer, why in absent.items()))


if __name__ == "__main__":
    main()
