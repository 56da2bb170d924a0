"""What two ways of building the same thing cost: CPU seconds of a network's pass over an image, in turns.

    python benchmarks/patch_networks.py [--rounds 5]

windows  a network of patches slid over every place of a picture, and the same weights as one fully convolutional pass
kernels  DeepMedic of 3 x 3 x 3 kernels, and with as large a field by 5 x 5 x 5

One thread, process CPU time, medians of turns.  Written to benchmarks/results/patch_networks.json.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from peers import machine, save

import tinymed
from tinymed import models
from tinymed.models.fully_convolutional import FullyConvolutional
from tinymed.tasks.inference.dense_inference import slid
from tinymed.tensor import Tensor

RESULT = Path(__file__).resolve().parent / "results" / "patch_networks.json"
PATCH, PICTURE, FIELD = 65, 96, 57


def in_turns(rounds: int, *calls: Callable[[], Any]) -> list[float]:
    """Return the median CPU seconds of each call, after one of each to compile."""
    seconds: list[list[float]] = [[] for _ in calls]
    for turn in range(rounds + 1):
        for call, taken in zip(calls, seconds, strict=True):
            start = time.process_time()
            call()
            if turn:
                taken.append(time.process_time() - start)
    return [statistics.median(taken) for taken in seconds]


def windows(rounds: int) -> dict[str, Any]:
    """Return the seconds of both ways over a picture, and how far their scores differ."""
    model = models.create("ciresan_n4", size=PATCH, width=0.25).eval()
    image = np.random.default_rng(0).normal(size=(1, 1, PICTURE, PICTURE)).astype(np.float32)
    dense = FullyConvolutional(model, PATCH)
    each, whole = in_turns(rounds, lambda: slid(model, PATCH, image), lambda: dense(Tensor(image)).numpy())
    apart = np.abs(slid(model, PATCH, image) - dense(Tensor(image)).numpy()).max()
    places = (PICTURE - PATCH + 1) ** 2
    return {"places": places, "windows_s": each, "dense_s": whole, "gain": each / whole, "apart": float(apart)}


def kernels(rounds: int) -> dict[str, Any]:
    """Return parameters, multiply-accumulates and seconds of a segment by either kernel."""
    image = Tensor(np.random.default_rng(0).normal(size=(1, 4, FIELD, FIELD, FIELD)).astype(np.float32))
    networks = {kernel: models.create("deepmedic", kernel=kernel).eval() for kernel in (3, 5)}
    seconds = in_turns(rounds, *(lambda m=model: m(image).numpy() for model in networks.values()))
    told = {kernel: models.describe("deepmedic", kernel=kernel) for kernel in networks}
    rows = {
        f"kernel {kernel}": {"parameters": told[kernel]["parameters"], "macs": told[kernel]["macs"], "s": taken}
        for kernel, taken in zip(networks, seconds, strict=True)
    }
    return rows | {"ratio": seconds[1] / seconds[0]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    tinymed.manual_seed(0)
    with tinymed.no_grad():
        found = {"machine": machine(), "windows": windows(rounds), "kernels": kernels(rounds)}
    save(RESULT, found)
    print(found)


if __name__ == "__main__":
    main()
