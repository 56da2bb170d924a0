"""Networks that take noise off real pictures, by the command line, beside the classical filters of OpenCV.

    python benchmarks/restoration.py DATA RUNS            trains what RUNS does not hold yet, then collects
    python benchmarks/restoration.py DATA RUNS --collect  only collects: benchmarks/results/restoration.json and .md

DATA holds one folder a data set.  Each filter is given the same noisy pictures as the network, and the settings that
have the highest PSNR on TUNED pictures of the validation part; the best filter is the one that has it there.  Figures
are means over the test part, and gains are paired, picture by picture, with the interval of the bootstrap.
"""

import argparse
import csv
import itertools
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from peers import machine, save

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results"
sys.path.insert(0, str(HERE.parent))

RECIPE = ["--task", "denoising", "--workers", "1", "--per-image", "2", "--flip"]
NETWORKS = {
    "dncnn": ["--model", "dncnn", "--option", "width=32", "--option", "depth=8", "--epochs", "10"],
    "ae": ["--model", "denoising_autoencoder", "--option", "width=32", "--epochs", "10"],
}
SETS = {"chest": "chest_xray", "brain": "brain_tumor_mri"}
TUNED = 60  # pictures of the validation part on which filters are tuned
FILTERS: dict[str, dict[str, tuple[float, ...]]] = {
    "median": {"side": (3, 5, 7)},
    "bilateral": {"colour": (0.15, 0.25, 0.4, 0.6), "space": (1.5, 2.5, 4.0)},
    "non-local means": {"h": (0.06, 0.08, 0.1, 0.12, 0.15), "patch": (5, 7)},
}


def train(data: Path, runs: Path) -> None:
    """Train what is not there yet."""
    environment = os.environ | dict.fromkeys(("NUMBA_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    for (short, name), (network, options) in itertools.product(SETS.items(), NETWORKS.items()):
        folder = runs / f"{short}-{network}"
        if not (folder / "metrics.json").exists():
            command = [sys.executable, "-m", "tinymed", "train", *RECIPE, *options, "--data", str(data / name)]
            subprocess.run([*command, "--out", str(folder)], env=environment, check=True, stdout=subprocess.DEVNULL)


def filtered(name: str, noisy: np.ndarray, **settings: float) -> np.ndarray:
    """Return a grey picture [height, width] in 0...1 after a classical filter of OpenCV."""
    import cv2

    cv2.setNumThreads(1)
    pixels = np.rint(255 * noisy).astype(np.uint8)
    if name == "median":
        return np.asarray(cv2.medianBlur(pixels, int(settings["side"])) / 255.0)
    if name == "bilateral":
        return np.asarray(cv2.bilateralFilter(noisy.astype(np.float32), -1, settings["colour"], settings["space"]))
    h = 255 * settings["h"]
    return np.asarray(cv2.fastNlMeansDenoising(pixels, None, h, int(settings["patch"]), 21) / 255.0)


def choices(name: str) -> Iterator[dict[str, float]]:
    """Yield the settings of a filter that are tried."""
    for values in itertools.product(*FILTERS[name].values()):
        yield dict(zip(FILTERS[name], values, strict=True))


def tune(name: str, pairs: list[tuple[np.ndarray, np.ndarray]]) -> tuple[dict[str, float], float]:
    """Return (the settings of the highest mean PSNR, that PSNR)."""
    from tinymed.metrics.restoration import psnr

    def quality(settings: dict[str, float]) -> float:
        return float(np.mean([psnr(clean, filtered(name, noisy, **settings), 1) for clean, noisy in pairs]))

    best = max(choices(name), key=quality)
    return best, quality(best)


def measured(name: str, pairs: Callable[[], Iterator[Any]], settings: dict[str, float]) -> dict[str, list[float]]:
    """Return PSNR and SSIM of every picture after a filter."""
    from tinymed.metrics.restoration import psnr, ssim

    found: dict[str, list[float]] = {"psnr": [], "ssim": []}
    for clean, noisy in pairs():
        restored = filtered(name, noisy, **settings)
        found["psnr"].append(psnr(clean, restored, 1))
        found["ssim"].append(ssim(clean, restored, 1))
    return found


def collect(runs: Path) -> list[dict[str, Any]]:
    """Return a row for each run that there is; runs of one set and noise share the filters' figures."""
    from tinymed.metrics.restoration import evaluate_restoration, psnr
    from tinymed.train.run import Run

    rows, known = [], {}
    for folder in sorted(path.parent for path in runs.glob("*/metrics.json")):
        run = Run.open(folder)
        if run.config.task != "denoising":
            continue
        c, task = run.config, run.task
        sets = run.splits()

        def pairs(part: Any = None, config: Any = c, task: Any = task, most: int | None = None) -> Iterator[Any]:
            for i in range(min(len(part), most or len(part))):
                clean, noisy = task.pair(config, part, i)
                yield clean[..., 0], noisy[..., 0]

        key = (c.data.path, c.restoration.corruption, c.restoration.sigma, c.seed)
        if key not in known:
            known[key] = {}
            val = list(pairs(sets["val"], most=TUNED))
            for name in FILTERS:
                settings, quality = tune(name, val)
                figures = measured(name, lambda part=sets["test"]: pairs(part), settings)
                known[key][name] = (settings, quality, figures)
        with (folder / "predictions.csv").open(newline="") as file:
            listed = list(csv.DictReader(file))
        clean, noisy = next(pairs(sets["test"]))
        assert abs(psnr(clean, noisy, 1) - float(listed[0]["noisy_psnr"])) < 1e-9, "the noise is not the run's"
        own = {m: [float(row[f"restored_{m}"]) for row in listed] for m in ("psnr", "ssim")}
        floors = {"noisy": {m: [float(row[f"noisy_{m}"]) for row in listed] for m in ("psnr", "ssim")}}
        floors |= {name: figures for name, (_, _, figures) in known[key].items()}
        result = evaluate_restoration(own, floors, c.seed)
        best = max(known[key], key=lambda name: known[key][name][1])
        settings = {name: chosen for name, (chosen, _, _) in known[key].items()}
        row = {"run": folder.name, "network": c.model, "options": c.model_options, "data": Path(c.data.path).name}
        row |= {"corruption": c.restoration.corruption, "sigma": c.restoration.sigma, "epochs": c.epochs}
        rows.append(row | {"best_filter": best, "filter_settings": settings, **result})
    return rows


def with_interval(value: float, bounds: list[float] | None, digits: int) -> str:
    """Return a figure with its interval."""
    shown = f"{value:.{digits}f}"
    return shown if bounds is None else f"{shown} ({bounds[0]:.{digits}f} to {bounds[1]:.{digits}f})"


def text(rows: list[dict[str, Any]]) -> str:
    """Return the table of the figures."""
    heads = ["set, noise", "network", "PSNR, dB", "SSIM", "best filter", "gain in PSNR", "gain in SSIM", "noisy"]
    lines = ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
    for row in rows:
        best, noisy = row["floors"][row["best_filter"]], row["floors"]["noisy"]
        cells = [f"{row['data']}, {row['corruption']} {row['sigma']:g}", row["network"]]
        cells += [with_interval(row[m], row[f"{m}_interval"], d) for m, d in (("psnr", 2), ("ssim", 3))]
        cells.append(f"{row['best_filter']}: {best['psnr']:.2f}, {best['ssim']:.3f}")
        for m, digits in (("psnr", 2), ("ssim", 3)):
            cells.append(with_interval(best[f"{m}_gain"], best[f"{m}_gain_interval"], digits))
        lines.append("| " + " | ".join([*cells, f"{noisy['psnr']:.2f}, {noisy['ssim']:.3f}"]) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("runs", type=Path)
    parser.add_argument("--collect", action="store_true")
    o = parser.parse_args()
    if not o.collect:
        train(o.data, o.runs)
    rows = collect(o.runs)
    save(RESULTS / "restoration.json", {"machine": machine(), "rows": rows})
    table = text(rows)
    (RESULTS / "restoration.md").write_text(f"# Noise taken off, beside classical filters\n\n{table}\n", "utf-8")
    print(table)


if __name__ == "__main__":
    main()
