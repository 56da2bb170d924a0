"""A run of `tinymed train` repeated in PyTorch: the same images, batches, augmentation, weights and statistics.

    tinymed train dcnn --data DIR --positive CLASS --out RUN
    python benchmarks/torch_recipe.py RUN              writes RUN/torch.json in the form of RUN/metrics.json

Only the arithmetic and the dropout masks differ, so the difference in test accuracy is the engines'.
"""

import argparse
import json
import math
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
import twins

from tinymed.metrics.classification import evaluate_scores
from tinymed.tasks.classification import make_loader
from tinymed.train.run import Run


def corrected_momentum(model: Any, momentum: float, step: int) -> None:
    """Follow the bias-corrected rule: at update t the new statistics weigh max(momentum, 1/t)."""
    for m in model.modules():
        if isinstance(m, torch.nn.BatchNorm2d | torch.nn.BatchNorm3d):
            m.momentum = max(momentum, 1 / step)


def scores(model: Any, loader: Any, head: str) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities and labels of a whole set, batch norm on its running statistics."""
    model.eval()
    found, labels = [], []
    with torch.no_grad():
        for images, truth, _ in loader.epoch(0):
            z = model(torch.from_numpy(images)).double()
            found.append((torch.sigmoid(z) if head == "sigmoid" else torch.softmax(z, 1)).numpy())
            labels.append(truth)
    return np.concatenate(found), np.concatenate(labels)


def train(run: Run, threads: int, steps: int | None, also_at: int) -> dict[str, Any]:
    """Train as the run's configuration says; metrics of val and test."""
    torch.set_num_threads(threads)
    c = run.config
    torch.manual_seed(c.seed)
    sets, ours, classes = run.splits(), run.task.make_model(c), c.data.classes
    momentum = c.model_options.get("bn_momentum", 0.1 if c.model == "resnet20" else 0.01)
    if c.model == "dcnn":
        padding = int(c.model_options.get("padding", "valid") == "same")
        model = twins.dcnn(torch, len(classes), c.data.channels, c.data.size, padding)
    elif c.model == "resnet20" and not set(c.model_options) - {"bn_momentum"}:
        model = twins.resnet20(torch, len(classes), c.data.channels)
    elif c.model == "lenet5_modern":
        model = twins.lenet5_modern(torch, len(classes), c.data.channels)
    else:
        raise SystemExit(f"no PyTorch twin of {c.model}")
    twins.copy_weights(torch, ours, model)
    optimizer = torch.optim.Adam(model.parameters(), lr=c.lr, eps=1e-7, weight_decay=c.weight_decay)
    loader, step, epoch, loss_sum = make_loader(sets["train"], c, training=True), 0, 0, 0.0
    early: dict[str, Any] = {}
    total = steps or c.steps or (c.epochs or 0) * len(loader)
    started, cpu = time.perf_counter(), time.process_time()
    while step < total:
        model.train()
        for images, labels, _ in loader.epoch(epoch):
            if c.schedule == "cosine":
                optimizer.param_groups[0]["lr"] = c.lr * (1 + math.cos(math.pi * step / total)) / 2
            step += 1
            corrected_momentum(model, momentum, step)
            optimizer.zero_grad(set_to_none=True)
            z = model(torch.from_numpy(images))
            if c.head == "sigmoid":
                targets = torch.from_numpy(np.eye(len(classes), dtype=np.float32)[labels])
                loss = torch.nn.functional.binary_cross_entropy_with_logits(z, targets)
            else:
                loss = torch.nn.functional.cross_entropy(z, torch.from_numpy(labels))
            loss.backward()
            optimizer.step()
            loss_sum += loss.item()
            if step == also_at:
                early = measure(model, run, sets)
                model.train()
            if step == total:
                break
        epoch += 1
    result: dict[str, Any] = {"framework": f"torch {torch.__version__}", "steps": step, "threads": threads}
    result |= {"seconds": round(time.perf_counter() - started, 1), "mean_loss": loss_sum / step}
    result["cpu_seconds"] = round(time.process_time() - cpu, 1)
    if early:
        result[f"at {also_at}"] = early
    return result | measure(model, run, sets)


def measure(model: Any, run: Run, sets: Any) -> dict[str, Any]:
    """Metrics of val and test."""
    c, result = run.config, {}
    for name in ("val", "test"):
        if name in sets:
            found, labels = scores(model, make_loader(sets[name], c), c.head)
            result[name] = evaluate_scores(found, labels, c.data.classes, c.positive, c.seed)
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--steps", type=int, help="instead of the run's")
    parser.add_argument("--also-at", type=int, default=0, help="measure after this many steps too")
    o = parser.parse_args()
    result = train(Run.open(o.run), o.threads, o.steps, o.also_at)
    (o.run / "torch.json").write_text(json.dumps(result, indent=1))
    for name in ("val", "test"):
        if name in result:
            m = result[name]
            auc = "-" if m.get("auc") is None else f"{m['auc']:.4f}"
            print(f"{o.run.name} torch {name}: accuracy {m['accuracy']:.4f} auc {auc}")


if __name__ == "__main__":
    main()
