"""What the synthetic smears ask for at their default difficulty: a random forest on 32 px beside the papers' CNN.

    python benchmarks/synthetic.py           writes benchmarks/results/synthetic.json

The network is trained as `tinymed train` does without arguments.  The forest gets the same images, train and val
together, resized to 32 px as 3,072 numbers each: 500 trees, the rest scikit-learn's defaults.  Both are scored on the
test part, once.  The generator's promise is at most .75 for the forest and at least .95 for the network.
"""

import json
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import peers

from tinymed.cli.start_run import config_from_options, with_data_fields
from tinymed.data import Dataset
from tinymed.data.image import resize
from tinymed.metrics.intervals import wilson_interval
from tinymed.tasks.classification import open_splits
from tinymed.train import Lines, Run
from tinymed.train.run import choose_backend

OUT = Path(__file__).parent / "results" / "synthetic.json"
SIDE, TREES = 32, 500


def forest(sets: dict[str, Dataset]) -> dict[str, Any]:
    """Return a random forest's accuracy on the test part, with its interval."""
    from sklearn.ensemble import RandomForestClassifier

    def table(*parts: str) -> tuple[np.ndarray, np.ndarray]:
        chosen = [sets[name] for name in parts]
        rows = [resize(d.image(i), SIDE).reshape(-1) for d in chosen for i in range(len(d))]
        return np.stack(rows), np.concatenate([d.labels for d in chosen])

    model = RandomForestClassifier(TREES, random_state=0, n_jobs=1).fit(*table("train", "val"))
    images, labels = table("test")
    right = int((model.predict(images) == labels).sum())
    interval = list(wilson_interval(right, len(labels)))
    return {"trees": TREES, "side": SIDE, "accuracy": right / len(labels), "accuracy_interval": interval}


def network(sets: dict[str, Dataset], config: Any) -> dict[str, Any]:
    """Return the papers' CNN by the default recipe: accuracy and AUC on the test part, seconds, images a second."""
    with tempfile.TemporaryDirectory() as folder:
        run = Run.create(Path(folder) / "run", config)
        trainer, _ = run.trainer(sets, [Lines()])
        wall, cpu = time.perf_counter(), time.process_time()
        trainer.fit(config.epochs, config.steps)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        result, _ = run.finish(trainer, sets)
    p, test = trainer.progress, result["test"]
    names = ("accuracy", "accuracy_interval", "auc", "auc_interval", "sensitivity", "specificity")
    return {
        "recipe": {name: getattr(config, name) for name in ("epochs", "batch", "lr", "schedule", "keep")},
        "wall_seconds": round(wall, 1),
        "cpu_seconds": round(cpu, 1),
        "images_per_second": round(p.images / p.seconds),
        **{name: test[name] for name in names},
        "val_accuracies": [row["val_accuracy"] for row in p.history],
    }


def main() -> None:
    config = config_from_options({})
    choose_backend(config.backend)
    sets = open_splits(config.data, config.seed)
    config, _ = with_data_fields(config, sets, {})
    report = {
        "difficulty": config.data.difficulty,
        "size": config.data.size,
        "images": {name: len(part) for name, part in sets.items()},
        "random_forest": forest(sets),
        "dcnn": network(sets, config),
    }
    import numba

    report["threads"] = numba.get_num_threads()
    print(json.dumps(report, indent=1))
    peers.save(OUT, report)
    assert report["random_forest"]["accuracy"] <= 0.75
    assert report["dcnn"]["accuracy"] >= 0.95


if __name__ == "__main__":
    main()
