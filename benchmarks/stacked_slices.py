"""What lies at this place of a volume?  A network of slices, its features stacked, and a support vector machine.

    python benchmarks/stacked_slices.py DATA/hippocampus_3d [--epochs 6]

After H. Chen et al. 2015, whose places are microbleeds in MRI and whatever looks like them; here they are places inside
the hippocampus, and as many outside within NEAR voxels of it.  A 2-D network learns the class of a place from single
slices about it, each of the SLICES of a patch being an example; a machine with a radial kernel then learns from the
features of all slices of a patch, side by side.  Beside it: the network on the middle slice alone, its mean over the
slices, and the machine on the features of the middle slice.  The floor is a linear machine on the voxels.  Intervals of
accuracy resample volumes.  Writes benchmarks/results/stacked_slices.json.
"""

import argparse
import csv
from pathlib import Path
from typing import Any

import numpy as np
from figures import RESULTS, figures, keep

import tinymed
from tinymed import baselines, nn, optim
from tinymed.data.volumes import read_values, read_volume
from tinymed.metrics.distance_transform import distance_transform
from tinymed.nn import functional as F

SIDE, SLICES, NEAR, EACH, BATCH = 15, 5, 4, 10, 64  # EACH: places inside of a volume, and as many outside


def read(folder: Path, seed: int) -> dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Return {part: (patches [n, SLICES, SIDE, SIDE], 1 inside or 0, number of the volume)}."""
    found: dict[str, list[Any]] = {}
    with (folder / "splits.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    for number, row in enumerate(rows):
        rng = np.random.default_rng((seed, number))
        volume = np.asarray(read_volume(folder / row["path"]).values[..., 0], np.float32)
        volume = np.moveaxis((volume - volume.mean()) / volume.std(), 2, 0)
        label = np.moveaxis(read_values(folder / row["mask"])[0].squeeze() > 0, 2, 0)
        wide = np.pad(volume, [(SLICES // 2,) * 2, (SIDE // 2,) * 2, (SIDE // 2,) * 2], mode="reflect")
        around = (distance_transform(label) <= NEAR) & ~label
        for inside, where in ((1, label), (0, around)):
            places = np.argwhere(where)
            for z, y, x in places[rng.choice(len(places), EACH, replace=False)]:
                patch = wide[z : z + SLICES, y : y + SIDE, x : x + SIDE]
                found.setdefault(row["split"], []).append((patch, inside, number))
    return {
        part: (np.stack([p for p, _, _ in each]), *(np.array(column) for column in list(zip(*each, strict=True))[1:]))
        for part, each in found.items()
    }


class SliceNet(nn.Module):
    """A small network of slices: `features` are what its last layer is given."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            *(nn.Conv2d(1, 16, 3), nn.ReLU(), nn.Conv2d(16, 16, 3), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Conv2d(16, 32, 3), nn.ReLU(), nn.Flatten(), nn.Linear(32 * 9, 32), nn.ReLU()),
        )
        self.classifier = nn.Linear(32, 2)

    def forward(self, input: Any) -> Any:
        """Compute the scores of slices."""
        return self.classifier(self.features(input))


def train(model: SliceNet, patches: np.ndarray, labels: np.ndarray, epochs: int, seed: int) -> None:
    """Let the network learn the class of a patch from each of its slices alone."""
    slices, wanted = patches.reshape(-1, 1, SIDE, SIDE), np.repeat(labels, SLICES)
    optimizer, rng = optim.Adam(model.parameters(), lr=1e-3), np.random.default_rng(seed)
    for _ in range(epochs):
        for chosen in np.array_split(rng.permutation(len(slices)), len(slices) // BATCH):
            optimizer.zero_grad()
            F.cross_entropy(model(tinymed.tensor(slices[chosen])), tinymed.tensor(wanted[chosen])).backward()
            optimizer.step()
    model.eval()


def seen(network: Any, patches: np.ndarray) -> np.ndarray:
    """Return what a network gives for each slice, [n, SLICES, numbers]."""
    slices = patches.reshape(-1, 1, SIDE, SIDE)
    with tinymed.no_grad():
        found = [network(tinymed.tensor(slices[i : i + 500])).numpy() for i in range(0, len(slices), 500)]
    return np.concatenate(found).reshape(len(patches), SLICES, -1).astype(np.float64)


def right(scores: np.ndarray, labels: np.ndarray, volumes: np.ndarray) -> np.ndarray:
    """Return the share of right answers of each volume; all have as many places."""
    hits = scores.argmax(1) == labels
    return np.array([hits[volumes == v].mean() for v in np.unique(volumes)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--seed", type=int, default=0)
    o = parser.parse_args()
    parts = read(o.folder, o.seed)
    tinymed.manual_seed(o.seed)
    model = SliceNet()
    train(model, parts["train"][0], parts["train"][1], o.epochs, o.seed)
    features = {part: seen(model.features, each[0]) for part, each in parts.items()}
    answers = seen(model, parts["test"][0])
    rows = {
        "stacked features, machine": ("svm", {part: each.reshape(len(each), -1) for part, each in features.items()}),
        "middle slice's features, machine": ("svm", {part: each[:, SLICES // 2] for part, each in features.items()}),
        "voxels, linear machine": (
            "svm_linear",
            {part: each[0].reshape(len(each[0]), -1).astype(np.float64) for part, each in parts.items()},
        ),
    }
    _, labels, volumes = parts["test"]
    values: dict[str, np.ndarray] = {}
    for name, (machine, x) in rows.items():
        val = (x["val"], parts["val"][1])
        fitted = baselines.fit_best(machine, x["train"], parts["train"][1], 2, val=val, scale="overall")
        values[name] = right(fitted.scores(x["test"]), labels, volumes)
    values["network, middle slice"] = right(answers[:, SLICES // 2], labels, volumes)
    values["network, mean of slices"] = right(answers.mean(1), labels, volumes)
    content = {"places": len(labels), "volumes": len(np.unique(volumes)), "epochs": o.epochs, "seed": o.seed}
    keep(
        RESULTS / "stacked_slices.json",
        "hippocampus_3d",
        content | {"accuracy": figures(values, "stacked features, machine")},
    )


if __name__ == "__main__":
    main()
