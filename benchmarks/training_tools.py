"""Training tools and post-processing on real images, each beside its absence on the same test images.

    python benchmarks/training_tools.py DATA RUNS             trains and evaluates what RUNS does not hold yet, collects
    python benchmarks/training_tools.py DATA RUNS --list      prints the commands, and runs nothing
    python benchmarks/training_tools.py DATA RUNS --collect   only collects

DATA holds one folder a data set.  Writes benchmarks/results/training_tools.json and a picture beside it.  One thread,
short trainings: the figures compare two ways of one recipe, and are no best results.
"""

import argparse
import csv
import json
import os
import shlex
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from peers import machine, save

from tinymed.metrics.intervals import bootstrap_values
from tinymed.metrics.mask_cases import paired_difference

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results"
THREADS = ("NUMBA_NUM_THREADS", "OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS")

BUSI = "--task segmentation --size 96 --batch 16 --labels 0=tissue,255=tumour --horizontal-flip --rotate 10"
EM = "--task segmentation --labels 0=membrane,255=cell --patch 128 --batch 4 --per-image 8 --epochs 10 --flip"
VOLUME = "--task segmentation --patch 32,48,32 --model unet3d --option padding=same --option base=4 --lr 0.003"
PART = f"{VOLUME} --steps 30 --batch 4 --labels 0=background,1=background,2=posterior"
FOURTH = "every fourth volume of hippocampus_3d"
CLASSES = "lenet5_modern --label-column label --positive malignant --size 32 --grey --batch 32 --epochs 10"
TRAININGS = {  # name -> (data, options)
    "busi": ("busi_ultrasound", f"{BUSI} --scale 0.9,1.1 --contrast 0.2 --model unet_bn --option base=8 --epochs 12"),
    "hippo": ("hippocampus_3d", f"{VOLUME} --labels 0=background,1=anterior,2=posterior --epochs 6"),
    "em2": ("em_membranes_isbi2012", f"{EM} --normalise --model unet_bn --option base=8"),
    "em3": ("em_membranes_isbi2012", f"{EM} --normalise --model unet_bn --option base=8 --boundary 3"),
    "dcan": ("em_membranes_isbi2012", f"{EM} --normalise --model dcan --option width=0.125"),
    "organ": (FOURTH, f"{VOLUME} --steps 30 --batch 4 --labels 0=background,1=hippocampus,2=hippocampus"),
    "inside": (FOURTH, f"{PART} --inside RUNS/organs"),
    "alone": (FOURTH, PART),
    **{
        f"cls-{name}": (
            "busi_ultrasound/splits.csv",
            f"{CLASSES} --recipe paper --head softmax --flip --schedule cosine --seed 1 --backend numpy {more}".strip(),
        )
        for name, more in {
            "none": "",
            "ema": "--average ema --average-decay 0.95",
            "under": "--sampling under",
            "swa": "--average swa",
            "effective": "--sampling effective --effective-beta 0.99",
        }.items()
    },
}
EVALUATIONS = {  # file -> (run, options)
    "busi-post": ("busi", "--postprocess auto"),
    "hippo-post": ("hippo", "--postprocess auto"),
    "hippo-largest": ("hippo", "--postprocess largest,fill"),
    "busi-crf": ("busi", "--crf auto"),
    "hippo-crf": ("hippo", "--crf auto"),
    **{f"{run}-objects": (run, "--postprocess auto-objects") for run in ("em2", "em3", "dcan")},
}


def every_fourth(data: Path, runs: Path) -> Path:
    """Return a list of every fourth volume of each part of hippocampus_3d, written into RUNS."""
    path, root = runs / "fourth.csv", data / "hippocampus_3d"
    if not path.exists() and root.is_dir():
        with (root / "splits.csv").open(newline="") as file:
            rows = list(csv.DictReader(file))
        chosen = [row for part in ("train", "val", "test") for row in [r for r in rows if r["split"] == part][::4]]
        runs.mkdir(parents=True, exist_ok=True)
        with path.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["path", "mask", "split"])
            writer.writerows([root / row["path"], root / row["mask"], row["split"]] for row in chosen)
    return path


def volumes(path: Path) -> list[str]:
    """Return the images of a list."""
    if not path.exists():
        return ["VOLUMES"]
    with path.open(newline="") as file:
        return [row["path"] for row in csv.DictReader(file)]


def commands(data: Path, runs: Path) -> dict[Path, list[str]]:
    """Return the arguments of `tinymed` by what each leaves: a run's metrics, a folder of masks, or a JSON file."""
    found: dict[Path, list[str]] = {}
    for name, (source, options) in TRAININGS.items():
        where = every_fourth(data, runs) if source == FOURTH else data / source
        if name == "inside":  # the masks of the organ, before the run that looks inside it
            steps = ["--out", str(runs / "organs"), "--postprocess", "largest,fill"]
            found[runs / "organs"] = ["predict", str(runs / "organ"), *volumes(where), *steps]
        given = [part.replace("RUNS", str(runs)) for part in shlex.split(options)]
        out = ["--data", str(where), "--workers", "0", "--out", str(runs / name)]
        found[runs / name / "metrics.json"] = ["train", *given, *out]
    for name, (run, options) in EVALUATIONS.items():
        found[runs / f"{name}.json"] = ["evaluate", str(runs / run), *shlex.split(options), "--json"]
    return found


def execute(left: Path, arguments: list[str]) -> None:
    """Run a command unless what it leaves is there."""
    if left.exists() and (left.is_dir() or left.stat().st_size):
        return
    environment = os.environ | dict.fromkeys(THREADS, "1")
    done = subprocess.run(
        [sys.executable, "-m", "tinymed", *arguments], env=environment, check=True, stdout=subprocess.PIPE, text=True
    )
    if left.suffix == ".json" and not left.exists():
        left.write_text(done.stdout, "utf-8")


# ------------------------------------------------------------------------------------------------ what is collected


def refined(runs: Path) -> list[dict[str, Any]]:
    """Return a row for each evaluation with post-processing that is there."""
    rows = []
    for name, (_, options) in EVALUATIONS.items():
        path = runs / f"{name}.json"
        if path.exists() and path.stat().st_size:
            result = json.loads(path.read_text("utf-8"))
            kept = {key: result[key] for key in ("n", "dice", "dice_interval", "aji", "aji_interval") if key in result}
            rows.append({"row": name, "options": options, **kept, **result["refinement"]})
    return rows


def object_rows(runs: Path) -> list[dict[str, Any]]:
    """Return the aggregated Jaccard index of every way to tell cells apart, paired with the two-class network's."""
    from tinymed.tasks.inference.case_scores import measure_scored, scored_cases
    from tinymed.tasks.inference.refinement import Wanted, chosen_before
    from tinymed.train.run import Run

    found: dict[str, list[float]] = {}
    for name in ("em2", "em3", "dcan"):
        if not (runs / name / "refinement.json").exists():
            continue
        run = Run.open(runs / name)
        model, task = run.load_model(), run.task
        refine = chosen_before(run.folder, Wanted("auto-objects", None))
        head = task.head(run.config, model, weighted=False)
        boundary = bool(run.config.mask.boundary)
        cases = scored_cases(task.predictor(run.config, model), run.images())
        found[f"{name}: {refine.text()}"] = [measure_scored(c, head, refine, boundary)["aji"] for c in cases]
    rows = []
    for name, values in found.items():
        first = next(iter(found.values()))
        rows.append(
            {"row": name, "aji": float(np.mean(values)), **paired_difference(list(zip(values, first, strict=True)))}
        )
    return rows


def cascade(runs: Path) -> dict[str, Any]:
    """Return Dice of the part inside the organ with and without the cascade, paired by volume."""
    columns = []
    for name in ("inside", "alone"):
        path = runs / name / "cases.csv"
        if not path.exists():
            return {}
        with path.open(newline="") as file:
            columns.append([float(r["dice posterior"] or "nan") for r in csv.DictReader(file)])
    inside, alone = columns
    return {"inside": float(np.mean(inside)), "alone": float(np.mean(alone))} | paired_difference(
        list(zip(inside, alone, strict=True))
    )


def classes(runs: Path) -> list[dict[str, Any]]:
    """Return balanced accuracy and AUC of each classifying run, and paired differences to the one without a tool."""
    from tinymed.metrics.intervals import percentile_interval
    from tinymed.train.run import Run

    answers: dict[str, np.ndarray] = {}
    labels = np.zeros(0, np.int64)
    aucs: dict[str, float] = {}
    for name in (n for n in TRAININGS if n.startswith("cls-")):
        if (runs / name / "metrics.json").exists():
            run = Run.open(runs / name)
            dataset = run.images()
            result, scores = run.measure(run.load_model(), dataset)
            answers[name], labels, aucs[name] = scores.argmax(axis=1), dataset.labels, result["auc"]
    rows = []
    for name, found in answers.items():
        right, plain = found == labels, answers["cls-none"] == labels

        def balanced(index: np.ndarray, right: np.ndarray = right) -> np.ndarray:
            parts = [(right[index] & (labels[index] == k)).sum(1) / (labels[index] == k).sum(1) for k in (0, 1)]
            return np.mean(parts, axis=0)

        def gain(index: np.ndarray, right: np.ndarray = right, plain: np.ndarray = plain) -> np.ndarray:
            return balanced(index, right) - balanced(index, plain)

        everyone = np.arange(len(labels))[None]
        drawn = bootstrap_values({"value": balanced, "gain": gain}, len(labels), groups=labels)
        row: dict[str, Any] = {"row": name, "options": TRAININGS[name][1], "auc": aucs[name]}
        for key, statistic in (("value", balanced), ("gain", gain)):
            low, high = percentile_interval(key, drawn[key], 0.95, lambda _: None)
            row |= {f"balanced_{key}": float(statistic(everyone)[0]), f"balanced_{key}_interval": [low, high]}
        rows.append(row)
    return rows


def memory() -> list[dict[str, Any]]:
    """Return the memory of a captured step of 32 images of 96 pixels through a U-Net, by the batches it is cut into."""
    import tinymed
    from tinymed import Tensor, models, optim
    from tinymed.program import capture
    from tinymed.tasks.base.steps import accumulated_step, update_step
    from tinymed.tasks.heads.mask_head import MaskHead

    rows = []
    tinymed.use_backend("numpy")
    for count in (1, 4, 16):
        tinymed.manual_seed(0)
        model = models.create("unet_small", num_classes=2, base=8)
        optimizer = optim.Adam(model.parameters(), lr=1e-3)
        step = capture(accumulated_step(model, MaskHead(2), update_step(model, optimizer, None)))
        rng = np.random.default_rng(0)
        images = rng.random((32, 1, 96, 96), np.float32)
        targets = rng.integers(0, 2, (32, 96, 96))
        cut = [tuple(Tensor(part) for part in np.split(array, count)) for array in (images, targets)]
        losses = [step(*cut)[0].item() for _ in range(2)]
        rows.append({"batches": count, "mib": round(step.program.arena.nbytes / 2**20, 2), "losses": losses})
    return rows


def clusters(data: Path) -> dict[str, Any]:
    """Return inertia and seconds of k-means on patches of ultrasound, ours and scikit-learn's from the same centres."""
    from PIL import Image
    from sklearn.cluster import KMeans

    from tinymed.unsupervised.kmeans import kmeans, seed_centres

    rng, rows = np.random.default_rng(0), []
    for path in sorted((data / "busi_ultrasound" / "images").iterdir())[:100]:
        pixels = np.asarray(Image.open(path).convert("L"), np.float64)
        for r, c in rng.integers(0, 256 - 9, (40, 2)):
            patch = pixels[r : r + 9, c : c + 9].ravel()
            rows.append((patch - patch.mean()) / (patch.std() + 1))
    points = np.array(rows)
    initial = seed_centres(points, 32)
    started = time.perf_counter()
    ours = kmeans(points, 32, initial=initial)
    middle = time.perf_counter()
    theirs = KMeans(32, init=initial, n_init=1, max_iter=100).fit(points)
    ended = time.perf_counter()
    uniform = kmeans(points, 32, initial=points[rng.permutation(len(points))[:32]])
    return {
        "points": len(points),
        "inertia": ours.inertia,
        "scikit-learn": float(theirs.inertia_),
        "from uniform centres": uniform.inertia,
        "seconds": round(middle - started, 2),
        "scikit-learn seconds": round(ended - middle, 2),
    }


def fields() -> list[dict[str, Any]]:
    """Return seconds of the exact and the fast field by pixels, and how often their classes agree."""
    from tinymed.postprocess.dense_crf import CrfSettings, dense_crf

    rows = []
    for side in (24, 48, 256):
        rng = np.random.default_rng(0)
        y, x = np.mgrid[:side, :side] / side
        inside = np.hypot(y - 0.5, x - 0.5) < 0.3
        image = (inside * 100 + 60 + rng.normal(size=inside.shape) * 20)[..., None]
        share = np.clip(0.5 + 0.2 * (2 * inside - 1) + rng.normal(size=inside.shape) * 0.25, 0.02, 0.98)
        scores, found, seconds = np.stack([1 - share, share]), [], []
        for exact in (False, True) if side < 100 else (False,):
            started = time.perf_counter()
            found.append(dense_crf(scores, image, CrfSettings(distance=20), exact=exact).argmax(axis=0))
            seconds.append(round(time.perf_counter() - started, 3))
        agree = float((found[0] == found[-1]).mean()) if len(found) > 1 else None
        rows.append({"side": side, "lattice": seconds[0], "exact": seconds[-1] if agree else None, "agree": agree})
    return rows


def pictures(runs: Path) -> None:
    """Draw a test section with its objects, true and found by each way, as docs/training-tools.md shows it."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    from tinymed.data.components import components
    from tinymed.tasks.inference.case_scores import scored_cases
    from tinymed.tasks.inference.refinement import Wanted, chosen_before
    from tinymed.train.run import Run

    def coloured(objects: np.ndarray) -> np.ndarray:
        table = np.random.default_rng(1).random((int(objects.max()) + 1, 3)) * 0.8 + 0.2
        table[0] = 0
        return np.asarray(table[objects])

    panels: list[tuple[str, np.ndarray]] = []
    for name in ("em2", "em3", "dcan"):
        if not (runs / name / "refinement.json").exists():
            continue
        run = Run.open(runs / name)
        refine = chosen_before(run.folder, Wanted("auto-objects", None))
        case = next(scored_cases(run.task.predictor(run.config, run.load_model()), run.images()))
        if not panels:
            panels = [("section", case.image[..., 0]), ("truth", coloured(components(case.mask > 0)))]
        panels.append((f"{name}: {refine.text()}", coloured(refine.objects(refine.labels(case.scores), case.scores))))
    if not panels:
        return
    figure, axes = plt.subplots(1, len(panels), figsize=(3 * len(panels), 3.3))
    for ax, (title, image) in zip(axes, panels, strict=True):
        ax.imshow(image[:256, :256], cmap="gray", interpolation="nearest")
        ax.set_title(title, fontsize=8)
        ax.axis("off")
    figure.tight_layout()
    figure.savefig(RESULTS / "em-objects.png", dpi=75)


def collect(data: Path, runs: Path) -> dict[str, Any]:
    """Return and save all figures, and draw the picture."""
    shown = [shlex.join(["tinymed", *part]) for part in commands(Path("DATA"), Path("RUNS")).values()]
    content = {
        "machine": machine(),
        "postprocess": refined(runs),
        "objects": object_rows(runs),
        "cascade": cascade(runs),
        "classes": classes(runs),
        "accumulation": memory(),
        "kmeans": clusters(data),
        "field": fields(),
        "commands": shown,
    }
    save(RESULTS / "training_tools.json", content)
    pictures(runs)
    return content


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("runs", type=Path)
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--collect", action="store_true")
    o = parser.parse_args()
    if not o.collect:
        for left, arguments in commands(o.data, o.runs).items():
            if o.list:
                print(shlex.join(["tinymed", *arguments]))
            else:
                execute(left, arguments)
    if not o.list:
        print(json.dumps(collect(o.data, o.runs), indent=1))


if __name__ == "__main__":
    main()
