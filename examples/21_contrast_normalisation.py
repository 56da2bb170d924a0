"""Pictures from many machines, brought to one contrast before a network sees them: Arevalo's normalisation.

    python examples/21_contrast_normalisation.py             lesions made on the spot, each under a light of its own
    python examples/21_contrast_normalisation.py FOLDER      FOLDER is busi_ultrasound: splits.csv, images, masks; the
                                                             lesion and its surroundings are cut out

Teaches: global and local contrast normalisation, and features of a network under a support vector machine.

    global   (x - mean) / max(deviation, e)                         of the whole picture
    local    (x - mean) / max(deviation, e)                         of a Gaussian window around each pixel

The network is trained three times, on pictures as they are and normalised both ways; each time the layer before its
output is what a linear support vector machine sees.  Its C is the best of the validation pictures.

Arevalo, Gonzalez, Ramos-Pollan, Oliveira & Guevara Lopez, "Representation learning for mammography mass lesion
classification with convolutional neural networks", Computer Methods and Programs in Biomedicine 127, 2016.
"""

import argparse
import csv
from pathlib import Path

import numpy as np

import tinymed
from tinymed import baselines, models, optim
from tinymed.data import Augment, Dataset, Loader, resize, split_dataset
from tinymed.data.image import decode, decode_mask
from tinymed.errors import UserError
from tinymed.metrics.classification import evaluate_scores
from tinymed.tasks.inference.embedding import embed
from tinymed.train import Schedule, SoftmaxHead, Trainer

SIDE, BATCH, STEPS, SEED, SIGMA, LEAST = 32, 32, 300, 0, 4.0, 4.0


def made(count=1000):
    """Return parts of made-up lesions, round or with spikes, each under a light of its own that falls to one side."""
    rng = np.random.default_rng(SEED)
    labels = np.arange(count) % 2
    y, x = (axis - SIDE / 2 for axis in np.mgrid[:SIDE, :SIDE])
    centre = rng.uniform(-4, 4, (2, count, 1, 1))
    distance, angle = np.hypot(y - centre[0], x - centre[1]), np.arctan2(y - centre[0], x - centre[1])
    spikes, turn = rng.integers(5, 9, (count, 1, 1)), rng.uniform(0, 6, (count, 1, 1))
    radius = rng.uniform(7, 10, (count, 1, 1)) * (1 + 0.3 * labels[:, None, None] * np.cos(spikes * angle + turn))
    lesion = 1 / (1 + np.exp(distance - radius)) + rng.normal(0, 0.15, (count, SIDE, SIDE))
    light = rng.normal(0, 40, (count, 1, 1)) * np.linspace(-1, 1, SIDE)
    seen = rng.uniform(60, 190, (count, 1, 1)) + light + rng.uniform(-60, 60, (count, 1, 1)) * lesion
    pictures = np.clip(seen, 0, 255).astype(np.uint8)[..., None]
    return split_dataset(Dataset(pictures, labels, ["round", "spiked"]), seed=SEED)


def read(folder):
    """Return parts of lesions: a square around each mask, one and a half times as wide, at 32 pixels."""
    found = {"train": [], "val": [], "test": []}
    with (folder / "splits.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            pixels = decode(folder / row["path"])[..., :1]
            rows, columns = np.nonzero(decode_mask(folder / row["mask"]))
            middle = [(v.min() + v.max()) // 2 for v in (rows, columns)]
            half = int(0.75 * max(np.ptp(rows), np.ptp(columns))) + 4
            padded = np.pad(pixels, ((half, half), (half, half), (0, 0)), mode="edge")
            square = padded[middle[0] : middle[0] + 2 * half, middle[1] : middle[1] + 2 * half]
            found[row["split"]].append((resize(square, SIDE), row["label"]))
    classes = sorted({label for rows in found.values() for _, label in rows})
    return {
        part: Dataset(np.stack([p for p, _ in rows]), [classes.index(c) for _, c in rows], classes, split=part)
        for part, rows in found.items()
    }


def blurred(pictures):
    """Return pictures [n, h, w, 1] under a Gaussian window of deviation SIGMA, mirrored at the border."""
    reach = int(3 * SIGMA)
    kernel = np.exp(-(np.arange(-reach, reach + 1) ** 2) / (2 * SIGMA**2))
    kernel /= kernel.sum()
    for axis in (1, 2):
        widths = [(reach, reach) if a == axis else (0, 0) for a in range(4)]
        padded = np.pad(pictures, widths, mode="symmetric")
        pictures = np.tensordot(np.lib.stride_tricks.sliding_window_view(padded, len(kernel), axis), kernel, 1)
    return pictures


def normalised(part, way):
    """Return a part with its pictures normalised, as bytes whose middle is 128 and whose deviation is 42."""
    x = np.asarray(part.samples, np.float64)
    if way == "global":
        mean, deviation = x.mean((1, 2), keepdims=True), x.std((1, 2), keepdims=True)
    elif way == "local":
        mean = blurred(x)
        deviation = np.sqrt(blurred((x - mean) ** 2))
    else:
        return part
    bytes_of = np.clip(128 + 42 * (x - mean) / np.maximum(deviation, LEAST), 0, 255).astype(np.uint8)
    return Dataset(bytes_of, part.labels, part.classes, split=part.split)


def judge(parts, positive, steps):
    """Return the measures on test of a machine on features of a network that is trained here."""
    tinymed.manual_seed(SEED)
    model = models.create("lenet5_modern", in_channels=1, num_classes=2)
    optimizer = optim.Adam(model.parameters(), lr=2e-3)
    pixels = np.asarray(parts["train"].samples) / 255
    scale = {"mean": pixels.mean(), "std": pixels.std()}  # one for the whole set, as any network is fed
    flips = Augment(horizontal_flip=True)
    training = Loader(parts["train"], BATCH, SIDE, 1, shuffle=True, augment=flips, seed=SEED, **scale)
    falling = Schedule(optim.lr_scheduler.CosineAnnealingLR(optimizer, steps), every="step")
    Trainer(model, optimizer, SoftmaxHead(2), training, callbacks=[falling], positive=positive).fit(steps=steps)
    rows = {name: embed(model, Loader(part, BATCH, SIDE, 1, **scale), normalise=True) for name, part in parts.items()}
    val = rows["val"], parts["val"].labels
    machine = baselines.fit_best("svm_linear", rows["train"], parts["train"].labels, 2, val=val, scale="overall")
    return evaluate_scores(machine.scores(rows["test"]), parts["test"].labels, parts["test"].classes, positive)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", nargs="?", type=Path, help="busi_ultrasound; default: lesions made on the spot")
    parser.add_argument("--steps", type=int, default=STEPS, help=f"optimiser steps (default {STEPS})")
    options = parser.parse_args()
    parts = read(options.folder) if options.folder else made()
    positive = "malignant" if options.folder else parts["train"].classes[1]
    print(", ".join(f"{name} {len(part)}" for name, part in parts.items()), f"pictures; positive: {positive}")
    areas = {}
    try:
        for way in ("as it is", "global", "local"):
            result = judge({name: normalised(part, way) for name, part in parts.items()}, positive, options.steps)
            areas[way], (low, high) = result["auc"], result["auc_interval"]
            accuracy, ends = result["accuracy"], result["accuracy_interval"]
            print(f"    {way:10s} AUC {areas[way]:.3f} [{low:.3f}, {high:.3f}]  ", end="")
            print(f"accuracy {accuracy:.3f} [{ends[0]:.3f}, {ends[1]:.3f}]")
    except UserError as error:
        if "scikit-learn" not in str(error):
            raise
        print(f"skipped: {error}")
        return
    if options.folder is None:
        assert areas["local"] > areas["as it is"] + 0.1, "normalising must help where light varies"
    print("Lesson: what differs between machines and not between patients is taken away before the network sees it.")


if __name__ == "__main__":
    main()
