"""Which dark place is the lesion?  MTANNs beside a CNN, after Tajbakhsh & Suzuki 2017, on busi_ultrasound.

    python benchmarks/candidates.py DATA/busi_ultrasound [--epochs 15]

Theirs are nodules and polyps in CT; lesions of the breast stand in.  Candidates are the places that are darkest beside
their surroundings (the difference of two blurs), at most PLACES an image and SIDE / 8 pixels apart; one inside the
lesion's mask is a true one, one near its border is left out.  An MTANN learns images in which a Gaussian lies on the
lesion and nothing elsewhere; a candidate's score is the sum of its map times a Gaussian about the candidate.  Two
experts, against false candidates of the upper and of the lower half, are merged by a mixing network.  The CNN learns
patches about the candidates.  The floor is how dark the candidate is.  Measured on the test images: AUC over
candidates, and false ones an image where SENSITIVITY of the lesions with a candidate are found; intervals resample
images.  Writes benchmarks/results/candidates.json.
"""

import argparse
import csv
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from figures import RESULTS, keep
from PIL import Image

import tinymed
from tinymed import nn, optim
from tinymed.metrics.curves import roc_auc
from tinymed.models.mtann import MTANN, MixtureOfMTANNs, gaussian
from tinymed.nn import functional as F

SIDE, PLACES, PATCH, WINDOW, NEAR = 64, 6, 25, 9, 3
TARGET, SCORE = 5.0, 4.0  # deviations in pixels: of the Gaussian that is learnt, and of the one that scores
SENSITIVITY = (1.0, 0.9)


class Candidate(NamedTuple):
    """A dark place of an image, and whether it is the lesion."""

    image: int
    row: int
    column: int
    true: bool


def read(folder: Path) -> dict[str, tuple[np.ndarray, np.ndarray, list[Candidate]]]:
    """Return {part: (images [n, SIDE, SIDE] of mean 0 and deviation 1, masks, candidates)}."""
    found: dict[str, list[Any]] = {}
    with (folder / "splits.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            pair = [Image.open(folder / row[key]).convert("L").resize((SIDE, SIDE)) for key in ("path", "mask")]
            image, mask = (np.asarray(each, np.float32) for each in pair)
            found.setdefault(row["split"], []).append(((image - image.mean()) / image.std(), mask > 127))
    return {
        part: (
            np.stack([i for i, _ in pairs]),
            np.stack([m for _, m in pairs]),
            [c for n, (i, m) in enumerate(pairs) for c in candidates(n, i, m)],
        )
        for part, pairs in found.items()
    }


def blurred(image: np.ndarray, deviation: float) -> np.ndarray:
    """Return an image after a Gaussian, by two products; the weights of what lies inside add up to 1."""
    at = np.arange(SIDE)
    kernel = np.exp(-((at[:, None] - at) ** 2) / (2 * deviation**2))
    kernel /= kernel.sum(1, keepdims=True)
    return np.asarray(kernel @ image @ kernel.T)


def darkness(image: np.ndarray) -> np.ndarray:
    """Return how much darker each place is than its surroundings."""
    return blurred(image, 9) - blurred(image, 3)


def candidates(number: int, image: np.ndarray, mask: np.ndarray) -> list[Candidate]:
    """Return the places that are darkest beside their surroundings, the darkest first; not where there is no image."""
    dark, rows, columns = darkness(image), *np.mgrid[:SIDE, :SIDE]
    free = (rows >= 4) & (rows < SIDE - 4) & (columns >= 4) & (columns < SIDE - 4)
    free &= blurred(np.float32(image <= image.min() + 0.02), 3) < 0.3
    wide = np.lib.stride_tricks.sliding_window_view(np.pad(mask, NEAR), (2 * NEAR + 1,) * 2).any((2, 3))
    found: list[Candidate] = []
    for _ in range(PLACES):
        if not free.any():
            break
        row, column = np.unravel_index(np.where(free, dark, -np.inf).argmax(), free.shape)
        free &= np.hypot(rows - row, columns - column) >= SIDE / 8
        if mask[row, column] or not wide[row, column]:
            found.append(Candidate(number, int(row), int(column), bool(mask[row, column])))
    return found


def padded(images: np.ndarray) -> np.ndarray:
    """Return images [n, 1, ...] with a border that a window loses."""
    return np.pad(images, ((0, 0), (WINDOW // 2,) * 2, (WINDOW // 2,) * 2), mode="reflect")[:, None]


def target(mask: np.ndarray) -> np.ndarray:
    """Return what an MTANN is to give: a Gaussian on the mask's middle."""
    row, column = np.argwhere(mask).mean(0)
    return gaussian(SIDE, SIDE, TARGET, (row, column))


def train_expert(images: np.ndarray, masks: np.ndarray, weights: np.ndarray, o: Any) -> MTANN:
    """Return an MTANN that has learnt the targets, each pixel with its weight."""
    tinymed.manual_seed(o.seed)
    model = MTANN(window=WINDOW)
    optimizer, rng = optim.Adam(model.parameters(), lr=5e-3), np.random.default_rng(o.seed)
    wanted = np.stack([target(mask) for mask in masks])
    for _ in range(o.epochs):
        for chosen in np.array_split(rng.permutation(len(images)), len(images) // 8):
            optimizer.zero_grad()
            error = model(tinymed.tensor(padded(images[chosen])))[:, 0] - tinymed.tensor(wanted[chosen])
            (error * error * tinymed.tensor(weights[chosen])).mean().backward()
            optimizer.step()
    return model.eval()


def maps(model: MTANN, images: np.ndarray) -> np.ndarray:
    """Return the output of an MTANN at each pixel."""
    with tinymed.no_grad():
        return np.concatenate(
            [model(tinymed.tensor(padded(images[i : i + 16]))).numpy()[:, 0] for i in range(0, len(images), 16)]
        )


def scores_of(found: np.ndarray, places: list[Candidate]) -> np.ndarray:
    """Return the sum of a map times a Gaussian about each candidate."""
    return np.array([(found[c.image] * gaussian(SIDE, SIDE, SCORE, (c.row, c.column))).sum() for c in places])


def crops(images: np.ndarray, places: list[Candidate], side: int) -> np.ndarray:
    """Return patches [n, 1, side, side] about candidates."""
    half = side // 2
    wide = np.pad(images, ((0, 0), (half, half), (half, half)), mode="reflect")
    return np.stack([wide[c.image, c.row : c.row + side, c.column : c.column + side] for c in places])[:, None]


def taught_on(count: int, masks: np.ndarray, places: list[Candidate], used: Any) -> np.ndarray:
    """Return weights of pixels: 1 near the lesion and near the false candidates that `used` says."""
    rows, columns = np.mgrid[:SIDE, :SIDE]
    weights = np.zeros((count, SIDE, SIDE), np.float32)
    for i, mask in enumerate(masks):
        row, column = np.argwhere(mask).mean(0)
        weights[i][np.hypot(rows - row, columns - column) < PATCH / 2] = 1
    for c in places:
        if not c.true and used(c):
            weights[c.image][np.hypot(rows - c.row, columns - c.column) < PATCH / 2] = 1
    return weights


def train_classifier(model: Any, patches: np.ndarray, true: np.ndarray, learnt: Any, epochs: int, o: Any) -> Any:
    """Return a network of patches that has learnt which are lesions; the CNN's patches are mirrored at random."""
    optimizer, rng = optim.Adam(learnt, lr=2e-3), np.random.default_rng(o.seed)
    for _ in range(epochs):
        for chosen in np.array_split(rng.permutation(len(patches)), len(patches) // 64):
            seen = patches[chosen][..., :: rng.choice([-1, 1])]
            scores = model(tinymed.tensor(np.ascontiguousarray(seen)))
            optimizer.zero_grad()
            wanted = tinymed.tensor(true[chosen].astype(np.float32))
            F.binary_cross_entropy_with_logits(scores[:, 0], wanted).backward()
            optimizer.step()
    return model.eval()


def answers(model: Any, patches: np.ndarray) -> np.ndarray:
    """Return a network's score of each patch."""
    with tinymed.no_grad():
        return np.asarray(model(tinymed.tensor(patches)).numpy()[:, 0], np.float64)


def cnn() -> Any:
    """Return a network of patches of PATCH pixels."""
    return nn.Sequential(
        *(nn.Conv2d(1, 16, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(16, 32, 3), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Flatten(), nn.Dropout(0.5), nn.Linear(32 * 16, 64), nn.ReLU(), nn.Linear(64, 1)),
    )


def false_ones(scores: np.ndarray, places: list[Candidate], chosen: np.ndarray, share: float) -> float:
    """Return false candidates an image at the threshold that finds a share of the lesions with a candidate."""
    best: dict[int, float] = {}
    for score, c in zip(scores, places, strict=True):
        if c.true:
            best[c.image] = max(score, best.get(c.image, -np.inf))
    found = np.sort([best[i] for i in chosen if i in best])
    threshold = found[int(np.floor((1 - share) * len(found) + 1e-9))]
    counts = np.bincount(
        [c.image for s, c in zip(scores, places, strict=True) if s >= threshold and not c.true],
        minlength=chosen.max() + 1,
    )
    return float(counts[chosen].mean())


def measure(scores: dict[str, np.ndarray], places: list[Candidate], count: int) -> dict[str, Any]:
    """Return the figures of each way, and of the MTANN less each other, with intervals over images."""
    true, image = np.array([c.true for c in places]), np.array([c.image for c in places])
    of_image = [np.flatnonzero(image == i) for i in range(count)]
    rng = np.random.default_rng(0)
    draws = [np.arange(count), *rng.integers(0, count, (1000, count))]
    kept: dict[str, dict[str, list[float]]] = {name: {} for name in scores}
    for chosen in draws:
        rows = np.concatenate([of_image[i] for i in chosen])
        for name, values in scores.items():
            kept[name].setdefault("auc", []).append(roc_auc(true[rows], values[rows]))
            for share in SENSITIVITY:
                kept[name].setdefault(f"false_at_{share:g}", []).append(false_ones(values, places, chosen, share))
    found: dict[str, Any] = {}
    first = next(iter(scores))
    for name, measures in kept.items():
        found[name] = {key: shown(np.array(values)) for key, values in measures.items()}
        if name != first:
            less = {key: shown(np.array(kept[first][key]) - values) for key, values in measures.items()}
            found[f"{first} less {name}"] = less
    return found


def shown(values: np.ndarray) -> dict[str, Any]:
    """Return the first value, and the 95 % interval of the others."""
    low, high = np.percentile(values[1:], [2.5, 97.5])
    return {"value": round(float(values[0]), 4), "interval": [round(float(low), 4), round(float(high), 4)]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--seed", type=int, default=0)
    o = parser.parse_args()
    sets = read(o.folder)
    (images, masks, places), (seen, _, asked) = sets["train"], sets["test"]
    true = np.array([c.true for c in places])
    print({part: (len(s[0]), len(s[2]), sum(c.true for c in s[2])) for part, s in sets.items()}, flush=True)
    single = train_expert(images, masks, taught_on(len(images), masks, places, lambda c: True), o)
    mixture = MixtureOfMTANNs(experts=2, window=WINDOW, std=SCORE)
    for i, used in enumerate((lambda c: c.row < SIDE / 2, lambda c: c.row >= SIDE / 2)):
        expert = train_expert(images, masks, taught_on(len(images), masks, places, used), o)
        mixture.experts[i].load_state_dict(expert.state_dict())
    around = PATCH + WINDOW - 1
    learnt = [*mixture.mixing.parameters(), *mixture.output.parameters()]
    mixture = train_classifier(mixture, crops(images, places, around), true, learnt, o.epochs, o)
    network = cnn()
    network = train_classifier(network, crops(images, places, PATCH), true, network.parameters(), o.epochs, o)
    scores = {
        "mtann": scores_of(maps(single, seen), asked),
        "two mtanns": answers(mixture, crops(seen, asked, around)),
        "cnn": answers(network, crops(seen, asked, PATCH)),
        "darkness": np.array([darkness(seen[c.image])[c.row, c.column] for c in asked]),
    }
    content = {
        "images": len(seen),
        "candidates": len(asked),
        "true": sum(c.true for c in asked),
        "images_with_a_true_one": len({c.image for c in asked if c.true}),
        "epochs": o.epochs,
        "seed": o.seed,
        "parameters": {"mtann": 1661, "cnn": sum(p.numel() for p in network.parameters())},
        "results": measure(scores, asked, len(seen)),
    }
    keep(RESULTS / "candidates.json", "busi_ultrasound", content)


if __name__ == "__main__":
    main()
