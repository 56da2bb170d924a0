"""What each storey buys: one training step of the papers' CNN at every altitude, and how well each trains.

    python benchmarks/altitudes.py [--threads 1 2] [--rounds 5]
    python benchmarks/altitudes.py --pairs 5 --data DATA [--steps 150]

The step: 3x64x64, batch 32, Adam, dropout, batch norm; a new process each, in turns, the median of some rounds.  The
reference is NumPy's, on its BLAS.  Writes the README's table.  With --pairs, trains on malaria from the same seeds
on `loops` and on `numba` and prints the difference of their test accuracies with its 95 % interval (Student's t over
the pairs).  Both go to benchmarks/results/altitudes.json, each beside what was measured of the other.
"""

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from peers import into_results, machine, save

RESULTS = Path(__file__).resolve().parent / "results" / "altitudes.json"
README = RESULTS.parents[2] / "README.md"
BATCH, SIZE = 32, 64
ALTITUDES = {  # what is read there: the backend, and whether the step is captured
    "reference (NumPy)": ("numpy", False),
    "loops": ("loops", False),
    "numba, eager": ("numba", False),
    "numba, captured": ("numba", True),
}
STUDENT = {2: 12.706, 3: 4.303, 4: 3.182, 5: 2.776, 6: 2.571, 7: 2.447, 8: 2.365, 9: 2.306, 10: 2.262}  # 97.5 %


def steps(name: str, captured: bool, count: int) -> list[float]:
    """Seconds of each step of this process, the first ones, which compile, left out."""
    import numpy as np

    import tinymed
    from tinymed import models, optim
    from tinymed.nn import functional

    tinymed.use_backend(name)
    tinymed.manual_seed(0)
    model = models.create("dcnn", num_classes=2, size=SIZE)
    optimizer = optim.Adam(model.train().parameters())
    images = tinymed.tensor(np.random.default_rng(0).random((BATCH, 3, SIZE, SIZE), np.float32))
    labels = tinymed.tensor(np.arange(BATCH) % 2)

    def step(x: Any, y: Any) -> Any:
        optimizer.zero_grad()
        loss = functional.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        return loss

    run, found = tinymed.capture(step) if captured else step, []
    for _ in range(count + 3):
        start = time.perf_counter()
        run(images, labels).item()
        found.append(time.perf_counter() - start)
    return found[3:]


def in_process(name: str, captured: bool, count: int, threads: int) -> list[float]:
    """Return `steps` in a new process."""
    limits = dict.fromkeys(("NUMBA_NUM_THREADS", "OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"), str(threads))
    code = f"import json, altitudes; print(json.dumps(altitudes.steps({name!r}, {captured}, {count})))"
    path = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    done = subprocess.run(
        [sys.executable, "-c", code],
        check=True,
        capture_output=True,
        text=True,
        env=os.environ | limits | {"PYTHONPATH": path, "TINYMED_PRECISION": "exact"},
    )
    return [float(s) for s in json.loads(done.stdout)]


def measure(threads: list[int], rounds: int, count: int) -> list[dict[str, Any]]:
    """Return one row per altitude: milliseconds of a step by the number of threads."""
    found: dict[tuple[str, int], list[float]] = {}
    for _ in range(rounds):
        for name, how in ALTITUDES.items():
            for t in threads:
                found.setdefault((name, t), []).extend(in_process(*how, count, t))
    return [
        {"altitude": name} | {f"ms, {t} thread{'s' * (t > 1)}": milliseconds(found[name, t]) for t in threads}
        for name in ALTITUDES
    ]


def milliseconds(seconds: list[float]) -> float:
    """Return the median."""
    return round(1e3 * statistics.median(seconds), 1)


def table(rows: list[dict[str, Any]]) -> str:
    """Return rows as a table of Markdown."""
    heads = list(rows[0])
    lines = [heads, ["---"] + ["---:"] * (len(heads) - 1), *([str(row[h]) for h in heads] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def accuracy(name: str, seed: int, data: Path, count: int) -> float:
    """Test accuracy of the papers' CNN on malaria after some steps on a backend, the rate a half cosine to 0."""
    import tinymed
    from tinymed import models, optim
    from tinymed.data import Loader, open_dataset
    from tinymed.optim.lr_scheduler import CosineAnnealingLR
    from tinymed.tasks.heads.class_heads import make_head
    from tinymed.tasks.inference.class_scores import predict_scores
    from tinymed.train.callbacks import Schedule
    from tinymed.train.trainer import Trainer

    sets, head = open_dataset(data, verify=False), make_head("sigmoid", 2)
    with tinymed.use_backend(name):
        tinymed.manual_seed(seed)
        model = models.create("dcnn", num_classes=2, size=SIZE, bn_momentum=0.1)
        loader = Loader(sets["train"], BATCH, SIZE, shuffle=True, seed=seed, workers=0)
        optimizer = optim.Adam(model.parameters(), lr=1e-3)
        schedule = Schedule(CosineAnnealingLR(optimizer, count), every="step")
        trainer = Trainer(model, optimizer, head, loader, callbacks=[schedule])
        trainer.fit(steps=count)
        scores, labels, _ = predict_scores(model, Loader(sets["test"], BATCH, SIZE, workers=0), head)
    return float((scores.argmax(1) == labels).mean())


def pairs(seeds: int, data: Path, count: int) -> dict[str, Any]:
    """Test accuracies on both backends by seed, and the mean difference with its interval."""
    rows = []
    for seed in range(seeds):
        rows.append({"seed": seed} | {name: accuracy(name, seed, data, count) for name in ("loops", "numba")})
        print(rows[-1], flush=True)
    differences = [row["loops"] - row["numba"] for row in rows]
    mean = statistics.mean(differences)
    half = STUDENT[seeds] * statistics.stdev(differences) / math.sqrt(seeds)
    return {"steps": count, "batch": BATCH, "rows": rows, "difference": mean, "interval": [mean - half, mean + half]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--count", type=int, default=10, help="steps of a process that are timed")
    parser.add_argument("--pairs", type=int, default=0, choices=[0, *STUDENT], metavar="N", help="train N paired seeds")
    parser.add_argument("--data", type=Path, help="the folder of the malaria set")
    parser.add_argument("--steps", type=int, default=150)
    parser.add_argument("--note", default="", help="what else ran on the machine")
    o = parser.parse_args()
    if o.pairs and o.data is None:
        parser.error("--pairs needs --data, the folder of the malaria set")
    found: dict[str, Any] = {"machine": machine(), "note": o.note}
    if o.pairs:
        malaria = found["malaria"] = pairs(o.pairs, o.data, o.steps)
        low, high = malaria["interval"]
        print(f"accuracy, loops - numba: {malaria['difference']:+.4f} (95 % interval {low:+.4f} to {high:+.4f})")
    else:
        found["step, 3x64x64, batch 32"] = rows = measure(o.threads, o.rounds, o.count)
        print(table(rows))
        into_results("altitudes", table(rows), README)
    kept = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    save(RESULTS, kept | found)


if __name__ == "__main__":
    main()
