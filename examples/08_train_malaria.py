"""Training on real images through the Python API: what `tinymed train --data DIR` does, in sixty lines.

    python examples/08_train_malaria.py DIR          DIR holds a folder of images for each class, for example the NIH
                                                     malaria cells: DIR/parasitized/*.png, DIR/uninfected/*.png
    python examples/08_train_malaria.py              without DIR: synthetic smears, made on the spot
    python examples/08_train_malaria.py DIR --positive parasitized --png roc.png

Teaches: data sets, splits, loaders, augmentation, a model, an optimiser and the trainer; that the positive class is
named, never guessed; that a rate from a few hundred images comes with its interval.  Kept under a minute by small
images and few steps: `tinymed train` runs the papers' full recipe and leaves a run folder.
"""

import argparse
from pathlib import Path

import tinymed
from tinymed import models, optim
from tinymed.data import Augment, Dataset, Loader, open_dataset, split_dataset, synthetic_smear
from tinymed.errors import UserError
from tinymed.metrics.positive_class import choose_positive
from tinymed.report.plots import save_roc
from tinymed.train import Lines, Schedule, SigmoidHead, Trainer, evaluate_scores, predict_scores

SIZE, BATCH, STEPS, SEED = 48, 32, 200, 0


def arguments() -> argparse.Namespace:
    """Return what the command line asks for."""
    parser = argparse.ArgumentParser(description="Train the papers' CNN on a folder of images for each class.")
    parser.add_argument("data", nargs="?", type=Path, metavar="DIR", help="class folders; default: synthetic smears")
    parser.add_argument("--positive", metavar="CLASS", help="the class that sensitivity speaks of")
    parser.add_argument("--steps", type=int, default=STEPS, help=f"optimiser steps (default {STEPS})")
    parser.add_argument("--png", type=Path, metavar="FILE", help="draw the ROC curve")
    return parser.parse_args()


def open_sets(folder: Path | None) -> dict[str, Dataset]:
    """{"train": ..., "val": ..., "test": ...}: the folder's own split where it has one, else 70 / 15 / 15 %."""
    if folder is None:
        print("No folder given: training on synthetic blood smears.  Their scores say nothing about real ones.\n")
        sets = {"all": synthetic_smear(2000, SIZE, SEED, difficulty=0.0)}
    else:
        sets = open_dataset(folder)
    return split_dataset(sets["all"], seed=SEED) if "all" in sets else sets


def train(sets: dict[str, Dataset], positive: str, steps: int) -> Trainer:
    """Return the papers' CNN: Adam, one sigmoid a class with binary cross-entropy.

    Flips double what a cell can look like.
    """
    tinymed.manual_seed(SEED)
    flips = Augment(horizontal_flip=True, vertical_flip=True)
    training = Loader(sets["train"], BATCH, SIZE, shuffle=True, augment=flips, seed=SEED)
    classes = len(sets["train"].classes)
    # The running statistics of batch norm remember ten batches, not a hundred: see 06_batch_norm_statistics.py.
    model = models.create("dcnn", in_channels=3, num_classes=classes, size=SIZE, bn_momentum=0.1)
    optimizer = optim.Adam(model.parameters(), lr=1e-3, eps=1e-7)
    # The rate falls to 0 along a half cosine: the weights come to rest, and the running statistics catch up with them.
    cosine = Schedule(optim.lr_scheduler.CosineAnnealingLR(optimizer, steps), every="step")
    head = SigmoidHead(classes)
    trainer = Trainer(model, optimizer, head, training, callbacks=[cosine, Lines(print)], positive=positive)
    trainer.fit(steps=steps)
    return trainer


def main() -> None:
    options = arguments()
    sets = open_sets(options.data)
    name = "test" if "test" in sets else "val"
    classes = sets["train"].classes
    positive = choose_positive(classes, options.positive)
    print(", ".join(f"{part}: {len(images):,} images" for part, images in sets.items()), f"of {' and '.join(classes)}")
    trainer = train(sets, positive, options.steps)

    scores, labels, _ = predict_scores(trainer.model, Loader(sets[name], BATCH, SIZE), trainer.loss)
    result = evaluate_scores(scores, labels, classes, positive)
    print(f"\n{name} set, {result['n']} images, positive: {positive}; 95 % intervals in brackets\n")
    for metric in ("sensitivity", "specificity", "accuracy", "auc"):
        low, high = result[f"{metric}_interval"]
        print(f"   {metric:12s} {result[metric]:.3f}  [{low:.3f}, {high:.3f}]")
        assert low <= result[metric] <= high
    if options.png:
        print(f"   ROC curve:   {save_roc(scores, labels, classes, positive, options.png, result)}")
    if options.data is None:
        assert result["auc"] > 0.8, "the network must have learnt something"
    low, high = result["sensitivity_interval"]
    print(f"\nLesson: {result['n']} images say of the sensitivity only that it lies between {low:.2f} and {high:.2f}.")


if __name__ == "__main__":
    try:
        main()
    except UserError as error:  # a wrong folder, an unreadable image, an unclear positive class: one line, no traceback
        raise SystemExit(f"08_train_malaria.py: {error}") from None
