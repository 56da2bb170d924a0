"""A U-Net run of `tinymed train --task segmentation` repeated in PyTorch: the same weights, batches, loss and schedule.

    python benchmarks/torch_segmentation.py RUN         writes RUN/torch.json in the form of RUN/metrics.json

A network's dropout draws masks of PyTorch's own.  After training, PyTorch's weights go back into our network and the
same code measures them, so the difference in Dice is that of the two trainings.  Kept are the weights of the last epoch
and, for comparison, ours of the last epoch too.
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
from torch_recipe import corrected_momentum

from tinymed.data.labels import IGNORED
from tinymed.train.run import Run


def loss_of(outputs: Any, classes: Any, weights: Any) -> Any:
    """Cross-entropy plus 1 - Dice of the classes but the background, over the batch, smoothed by 1."""
    entropy = torch.nn.functional.cross_entropy(outputs, classes, ignore_index=IGNORED, reduction="none")
    counted = (classes != IGNORED).float()
    share = counted if weights is None else counted * weights
    entropy = (entropy * share).sum() / share.sum()
    known = classes.where(classes != IGNORED, torch.zeros_like(classes))
    truth = torch.nn.functional.one_hot(known, outputs.shape[1]).movedim(-1, 1) * share[:, None]
    found = outputs.softmax(1)
    axes = (0, *range(2, outputs.ndim))
    total = (found * share[:, None]).sum(axes) + truth.sum(axes)
    dice = (2 * (found * truth).sum(axes) + 1) / (total + 1)
    return entropy + 1 - dice[1:].mean()


def twin_of(name: str, options: dict[str, Any], classes: int, channels: int) -> Any:
    """Return PyTorch's network of this name and these options; end the program where there is none."""
    allowed = {"base", "depth"} | ({"padding"} if name == "unet3d" else {"dropout"})
    if name not in ("unet", "unet_bn", "unet_small", "unet3d") or not set(options) <= allowed or "base" not in options:
        raise SystemExit(f"no PyTorch twin of {name} with {options}: a U-Net with base, depth and dropout is needed")
    given = {key: value for key, value in options.items() if key != "padding"}
    if name == "unet3d":
        if options.get("padding") != "same":
            raise SystemExit("the twin of unet3d is padded: --option padding=same")
        return twins.unet3d(torch, classes, channels, **given)
    given["dropout"] = options.get("dropout", 0.5 if name == "unet" else 0.0)
    return twins.unet(torch, classes, channels, padded=name != "unet", norm=name == "unet_bn", **given)


def train(run: Any, threads: int) -> dict[str, Any]:
    """Train as the run's configuration says; metrics of val and test."""
    torch.set_num_threads(threads)
    c = run.config
    if c.mask.loss != "dice_cross_entropy" or c.optimizer != "adam":
        raise SystemExit(f"{run.folder}: a U-Net trained with Adam and dice_cross_entropy is needed")
    torch.manual_seed(c.seed)
    sets, ours = run.splits(), run.task.make_model(c)
    model = twin_of(c.model, c.model_options, len(c.data.classes), c.data.channels)
    twins.copy_weights(torch, ours, model)
    optimizer = torch.optim.Adam(model.parameters(), lr=c.lr, eps=1e-7, weight_decay=c.weight_decay)
    loader, step, started = run.task.training_batches(c, sets["train"], ours), 0, time.perf_counter()
    total, cpu = c.epochs * len(loader), time.process_time()
    for epoch in range(c.epochs):
        model.train()
        for images, labels, _ in loader.epoch(epoch):
            classes, weights = labels if isinstance(labels, tuple) else (labels, None)
            if c.schedule == "cosine":
                optimizer.param_groups[0]["lr"] = c.lr * (1 + math.cos(math.pi * step / total)) / 2
            step += 1
            corrected_momentum(model, 0.1, step)
            optimizer.zero_grad(set_to_none=True)
            outputs = model(torch.from_numpy(np.ascontiguousarray(images)))
            loss = loss_of(outputs, torch.from_numpy(classes), None if weights is None else torch.from_numpy(weights))
            loss.backward()
            optimizer.step()
        print(f"epoch {epoch + 1}  loss {loss.item():.4f}  {time.perf_counter() - started:.0f} s", flush=True)
    seconds, cpu = round(time.perf_counter() - started, 1), round(time.process_time() - cpu, 1)
    state = {name: value.numpy() for name, value in model.state_dict().items()}
    ours.load_state_dict({name: state[name] for name in ours.state_dict()})
    result: dict[str, Any] = {"framework": f"torch {torch.__version__}", "steps": step, "threads": threads}
    result |= {"training_seconds": seconds, "cpu_seconds": cpu}
    last = run.load_model("last")
    for name in ("val", "test"):
        if name in sets:
            result[name] = run.measure(ours, sets[name])[0]
            result[f"tinymed {name}, last epoch"] = run.measure(last, sets[name])[0]
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--threads", type=int, default=1)
    o = parser.parse_args()
    result = train(Run.open(o.run), o.threads)
    (o.run / "torch.json").write_text(json.dumps(result, indent=1))
    for name in ("val", "test"):
        if name in result:
            mine = result[f"tinymed {name}, last epoch"]["dice"]
            print(f"{o.run.name} {name}: Dice {result[name]['dice']:.4f} in PyTorch, {mine:.4f} in tinymed")


if __name__ == "__main__":
    main()
