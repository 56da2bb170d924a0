"""The papers' systems that no other benchmark trains, by the command line: the rows of docs/systems.md that name it.

    python benchmarks/systems.py DATA RUNS              trains what RUNS does not hold yet, then collects
    python benchmarks/systems.py DATA RUNS --only NAME  trains one row, and collects
    python benchmarks/systems.py DATA RUNS --list       prints the commands, and trains nothing
    python benchmarks/systems.py DATA RUNS --collect    only collects: benchmarks/results/systems.json

DATA holds one folder a data set.  Small sizes, narrow widths and few epochs: minutes of one core each, chosen before
the test part was looked at, one seed.  A row of which RUNS holds no run stays in the results as it was.
"""

import argparse
import csv
import functools
import json
import os
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import derived_volumes
import restoration
from peers import machine, save
from PIL import Image

RESULT = Path(__file__).resolve().parent / "results" / "systems.json"
THREADS = ("NUMBA_NUM_THREADS", "OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS")
MALARIA = "--data DATA/malaria --positive parasitized"
PATCHES = "--task reconstruction --data DATA/hippocampus_3d --patches 40 --size 16 --batch 100 --epochs 10 --lr 2e-3"
TUMOUR = (
    "--task segmentation --data DATA/busi_ultrasound --labels 0=tissue,255=tumour --horizontal-flip --rotate 10 "
    "--scale 0.9,1.1 --contrast 0.2"
)
LESION = TUMOUR.replace("busi_ultrasound --labels 0=tissue,255=tumour", "skin_lesion_isic --labels 0=skin,255=lesion")
LONGER = "--size 64 --batch 16 --epochs 20"
LARGER = "--size 128 --batch 16 --epochs 20"
MEMBRANE = "--task segmentation --data DATA/em_membranes_isbi2012"
OBJECTS = "--patch 128 --batch 4 --per-image 8 --flip --normalise"
DIGITS = (
    "--recipe paper --data DATA/mnist --positive 1 --size 28 --grey --head softmax --batch 100 --epochs 2 "
    "--option hidden=300 --backend numpy"
)
SAMPLED = (
    "train lenet5_modern --recipe paper --label-column label --positive malignant --size 32 --grey --batch 32 "
    "--epochs 10 --head softmax --flip --schedule cosine --seed 1 --backend numpy "
    "--data DATA/busi_ultrasound/splits.csv"
)
VOLUME = "--task segmentation --data DATA/hippocampus_3d --patch 32,48,32"
PARTS = "--labels 0=background,1=anterior,2=posterior"
WARPED = "--rotate 10 --elastic 1.5 --contrast 0.1"
UNET3D = f"train unet3d {VOLUME} --option padding=same --option base=4 --lr 0.003 --batch 4"
TISSUE = TUMOUR.replace("--task", "--size 64 --batch 16 --task", 1)
BREAST = "--data DATA/breast_histology_idc --positive idc"
TRANSFER = "--size 50 --option width=0.25 --head softmax --lr 5e-4 --flip"
WINDOWS = "--per-image 192 --foreground 0 --epochs 3 --flip --normalise"
COARSE = f"{TUMOUR} --size 64 --batch 8 --option width=0.125 --epochs 12 --lr 0.0005"
NOISE = "train denoising_autoencoder --task denoising --data DATA/chest_xray --option base=32 --per-image 2 --flip"
SHAPE = (
    "--task segmentation --data DATA/busi_ultrasound --labels 0=tissue,255=tumour --size 64 --head sigmoid --grey "
    "--batch 32 --loss dice --flip --rotate 15 --normalise"
)
FEW = TUMOUR.replace("DATA/busi_ultrasound", "RUNS/few")
STREAMS = "--data DATA/skin_lesion_isic/splits.csv --label-column label --positive melanoma"
CENTRES = (
    f"--task segmentation --data DATA/hippocampus_3d {PARTS} --option width=0.25 --per-image 32 --batch 64 --epochs 2"
)
CELLS = f"{MEMBRANE} --labels 0=membrane,255=cell --flip --normalise --foreground 0"
ROWS = {  # name of the run -> command
    "alexnet": f"train alexnet {MALARIA} --size 64 --option width=0.25 --epochs 12",
    "vgg16": f"train vgg16 {MALARIA} --size 64 --option width=0.25 --option pooled=2 --epochs 6 --lr 5e-4",
    "lrfind": "lr-find DATA/malaria --positive parasitized --size 50 --range-steps 60",
    "convae": f"train conv_autoencoder --option channels=1 {PATCHES}",
    "saesparse": (f"train sae --option hidden=128 --option code=same --sparsity 0.1 --sparsity-weight 0.03 {PATCHES}"),
    "mtann": (
        f"train mtann {MEMBRANE} --labels 255=cell,0=membrane --head sigmoid --patch 72 --per-image 16 "
        "--batch 8 --epochs 5 --lr 0.01 --flip --normalise --foreground 0 --overlap 0 --blend uniform"
    ),
    "slices": (
        "train cnn_bigru --task segmentation --data DATA/hippocampus_3d --labels "
        "0=background,1=hippocampus,2=hippocampus --batch 8 --epochs 3 --lr 0.003"
    ),
    "multires": (
        f"train multiresunet {TUMOUR} --option filters=8 --head sigmoid --loss focal_tversky --size 32 "
        "--batch 16 --epochs 10"
    ),
    "pretrained": (
        "pretrain avendi_sae --by autoencoder --sparsity-weight 3 --normalise --grey --epochs 20 "
        "--data DATA/busi_ultrasound"
    ),
    "saepre": f"train avendi_sae {SHAPE} --epochs 30 --backend numpy --init RUNS/pretrained/weights.safetensors",
    "rbm": "pretrain mlp --data DATA/mnist --epochs 3 --option hidden=300",
    "rbmrandom": f"train mlp {DIGITS}",
    "rbmtuned": f"train mlp {DIGITS} --init RUNS/rbm/weights.safetensors",
    "dcan": f"train dcan {MEMBRANE} --labels 0=membrane,255=cell {OBJECTS} --epochs 10 --option width=0.125",
    "dcan-objects": "evaluate RUNS/dcan --postprocess auto-objects --json",
    "two-classes": f"train unet_bn {MEMBRANE} --labels 0=membrane,255=cell {OBJECTS} --epochs 10 --option base=8",
    "two-classes-objects": "evaluate RUNS/two-classes --postprocess auto-objects --json",
    "organ": f"{UNET3D} --labels 0=background,1=hippocampus,2=hippocampus --epochs 3",
    "organs": "predict RUNS/organ DATA/hippocampus_3d/images --postprocess largest,fill",
    "alone": f"{UNET3D} --labels 0=background,1=background,2=posterior --epochs 3",
    "inside": f"{UNET3D} --labels 0=background,1=background,2=posterior --epochs 3 --inside RUNS/organs",
    "cascade": "compare RUNS/inside RUNS/alone",
    "cascade-crf": "evaluate RUNS/inside --crf auto --json",
    "sweep": "sweep DATA/malaria --model dcnn --positive parasitized --size 50 --grid lr=1e-4,1e-3,1e-2 --epochs 10",
    "swept": "evaluate RUNS/sweep/lr=0.01/seed-0 --json",  # what val chose
    "vnet": f"train vnet {VOLUME} {PARTS} {WARPED} --option base=4 --loss dice --epochs 5 --lr 0.0003 "
    "--no-include-background",
    "vnet-entropy": f"train vnet {VOLUME} {PARTS} {WARPED} --option base=4 --epochs 4 --lr 0.001",
    "convlstm": f"train unet_convlstm {VOLUME} {PARTS} {WARPED} --option base=4 --loss jaccard --epochs 4 --lr 0.001 "
    "--no-include-background",
    "convlstm-entropy": f"train unet_convlstm {VOLUME} {PARTS} {WARPED} --option base=4 --epochs 3 --lr 0.003",
    "triplanar": (
        f"train triplanar --task segmentation --data DATA/hippocampus_3d {PARTS} --per-image 32 --batch 64 --epochs 4"
    ),
    "unetsmall": f"train unet_small {TISSUE} --epochs 6",
    "fcn8s": f"train fcn8s {COARSE}",
    "fcn16s": f"train fcn16s {COARSE}",
    "fcn32s": f"train fcn32s {COARSE}",
    "fcn8s-vgg19": f"train fcn8s {COARSE} --option encoder=vgg19",
    "denoise-gaussian": f"{NOISE} --epochs 6",
    "denoise-poisson": f"{NOISE} --epochs 3 --corruption poisson",
    "denoise-speckle": f"{NOISE} --epochs 3 --corruption speckle",
    "denoise-salt": f"{NOISE} --epochs 3 --corruption salt_pepper",
    "handmade": (
        "compare --models dcnn svm@hog+lbp --data DATA/busi_ultrasound/splits.csv --positive malignant --size 64 --grey"
    ),
    "localiser": f"train avendi_localiser --option full_size=true {SHAPE} --epochs 20 --lr 0.0001",
    "n4": (f"train ciresan_n4 {MEMBRANE} --labels 255=cell,0=membrane --option width=0.25 --batch 32 {WINDOWS}"),
    "cnn3": (
        "train kumar_cnn3 --task segmentation --data RUNS/middles --labels 0=membrane,255=cell --boundary 2 "
        "--option width=0.25 --batch 32 --per-image 384 --epochs 1 --flip"
    ),
    "cnn3-objects": "evaluate RUNS/cnn3 --postprocess auto-objects --json",
    "base": f"train dcnn_vgg16 {MALARIA} {TRANSFER} --epochs 6",
    "frozen": f"train dcnn_vgg16 {BREAST} {TRANSFER} --epochs 4 --init RUNS/base --freeze features",
    "unfrozen": f"train dcnn_vgg16 {BREAST} {TRANSFER} --epochs 4 --init RUNS/base",
    "scratch": f"train dcnn_vgg16 {BREAST} {TRANSFER} --epochs 4",
    "gated": f"train gated_axial_unet {TUMOUR} --size 32 --batch 16 --epochs 10",
    "gated-64": f"train gated_axial_unet {TUMOUR} {LONGER}",
    "lesions-unet": f"train unet_bn {LESION} {LONGER} --option base=8",
    "lesions-gated": f"train gated_axial_unet {LESION} {LONGER}",
    "axial-64": f"train axial_unet {TUMOUR} {LONGER}",
    "lesions-axial": f"train axial_unet {LESION} {LONGER}",
    "axial": f"train axial_unet {TUMOUR} --size 32 --batch 16 --epochs 10",
    "logo": f"train logo {TUMOUR} --size 128 --batch 4 --epochs 1",
    "unet-128": f"train unet_bn {TUMOUR} {LARGER} --option base=8",
    "medt-128": f"train medt {TUMOUR} {LARGER}",
    "logo-128": f"train logo {TUMOUR} {LARGER}",
    "cls-none": SAMPLED,
    "cls-swa": f"{SAMPLED} --average swa",
    "cls-under": f"{SAMPLED} --sampling under",
    "cls-effective": f"{SAMPLED} --sampling effective --effective-beta 0.99",
    "cls-over": f"{SAMPLED} --sampling over",
    "cls-balanced": f"{SAMPLED} --sampling balanced",
    "multistream": f"train multistream {STREAMS} --size 224 --option auxiliary=true --epochs 20",
    "multistream-malaria": f"train multistream {MALARIA} --size 128 --option auxiliary=true --epochs 12",
    "zhang": f"train zhang2015 {CENTRES.replace('DATA/hippocampus_3d', 'RUNS/modalities')}",
    "zhang-alone": f"train zhang2015 {CENTRES}",
    "deepmedic": (
        f"train deepmedic --task segmentation --data DATA/hippocampus_3d {PARTS} --patch 57 --batch 8 --per-image 4 "
        "--option widths=[8,8,10,10,10,10,12,12] --option hidden=38 --optimizer rmsprop_nesterov --l1 1e-6 "
        "--weight-decay 1e-4 --epochs 4"
    ),
    "transunet": f"train transunet {FEW} --size 224 --batch 4 --epochs 1 --lr 0.0003",
    "unet-cells": (
        f"train unet {CELLS} --border-class cell --rotate 180 --elastic 10 --contrast 0.2 --option base=8 "
        "--option dropout=0.2 --patch 284 --per-image 4 --batch 2 --epochs 12 --border-weight 10 --overlap 0 "
        "--blend uniform --lr 0.002"
    ),
    "unet-cells-objects": "evaluate RUNS/unet-cells --postprocess auto-objects --json",
    "n4-cells": f"train ciresan_n4 {CELLS} --option width=0.25 --batch 32 --per-image 192 --epochs 3",
    "n4-cells-objects": "evaluate RUNS/n4-cells --postprocess auto-objects --json",
    "vox": f"train voxresnet {VOLUME} {PARTS} {WARPED} --option base=4 --epochs 2 --lr 0.003",
    "vox-context": (
        f"train voxresnet {VOLUME.replace('DATA/hippocampus_3d', 'RUNS/context')} {PARTS} {WARPED} --option base=4 "
        "--epochs 2 --lr 0.003"
    ),
    "vox-gain": "compare RUNS/vox-context RUNS/vox",
    "vox-longer": f"train voxresnet {VOLUME} {PARTS} {WARPED} --option base=4 --epochs 4 --lr 0.003",
    "vox-longer-gain": "compare RUNS/vox-context RUNS/vox-longer",
    "vox-context-longer": (
        f"train voxresnet {VOLUME.replace('DATA/hippocampus_3d', 'RUNS/context-longer')} {PARTS} {WARPED} "
        "--option base=4 --epochs 4 --lr 0.003"
    ),
    "vox-context-longer-gain": "compare RUNS/vox-context-longer RUNS/vox-longer",
}
FIGURES = (
    *(
        "n",
        "accuracy",
        "balanced_accuracy",
        "auc",
        "dice",
        "aji",
        "rand_error",
        "warping_error",
        "map",
        "precision@1",
        "psnr",
        "ssim",
        "mse",
        "best_filter",
    ),
    *("per_class", "floors", "suggestion", "lowest_at", "history", "rows", "differences", "measures", "refinement"),
)
PRINTED = "evaluate.json"  # what `evaluate` and nothing else prints
KINDS = ("metrics.json", "lr_find.json", "pretrain.json", "sweep.json", "compare.json", "paired.json", PRINTED)


def command(name: str, data: Path, runs: Path) -> list[str]:
    """Return the arguments of `tinymed` of a row."""
    words = [word.replace("DATA/", f"{data}/").replace("RUNS/", f"{runs}/") for word in shlex.split(ROWS[name])]
    kind, paired = words[0], words[0] == "compare" and "--models" not in words
    threads = [] if kind in ("pretrain", "predict") or paired else ["--threads", "1"]
    workers = [] if kind in ("pretrain", "predict", "evaluate") or paired else ["--workers", "0"]
    return [*words, *threads, *workers, *([] if kind == "evaluate" else ["--out", str(runs / name)])]


def write_middles(data: Path, folder: Path, side: int = 80) -> None:
    """Write em_membranes_isbi2012 with the middle of its val and test sections alone: windows there are slid."""
    rows = listed(data / "em_membranes_isbi2012")
    for row in rows:
        for key in ("path", "mask"):
            with Image.open(row[key]) as image:
                left, top = ((n - side) // 2 for n in image.size)
                box = (0, 0, *image.size) if row["split"] == "train" else (left, top, left + side, top + side)
                row[key] = str((folder / key / Path(row[key]).name).relative_to(folder))
                (folder / key).mkdir(parents=True, exist_ok=True)
                image.crop(box).save(folder / row[key])
    write_list(folder / "splits.csv", rows)


def listed(root: Path) -> list[dict[str, str]]:
    """Return the rows of a data set's list, with the whole paths of its files."""
    with (root / "splits.csv").open(newline="") as file:
        return [row | {key: str(root / row[key]) for key in ("path", "mask")} for row in csv.DictReader(file)]


def write_list(path: Path, rows: Iterable[dict[str, str]]) -> None:
    """Write a list of images, masks and parts."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, ["path", "mask", "split"], extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)


def write_few(data: Path, folder: Path) -> None:
    """Write a list of some images of busi_ultrasound: each 12th to learn from, each 8th of val, each 4th of test."""
    rows = listed(data.absolute() / "busi_ultrasound")
    chosen = [
        [row for row in rows if row["split"] == part][::n] for part, n in (("train", 12), ("val", 8), ("test", 4))
    ]
    write_list(folder / "splits.csv", [row for part in chosen for row in part])


WRITTEN: dict[str, Callable[[Path, Path], None]] = {  # what rows need in RUNS
    "middles": write_middles,
    "few": write_few,
    "modalities": derived_volumes.write_modalities,
    "context": derived_volumes.write_context,
    "context-longer": functools.partial(derived_volumes.write_context, name="vox-longer"),
}


def result(folder: Path) -> Path:
    """Return the file that a finished run of a row leaves; of masks the folder."""
    if folder.is_dir() and not (folder / "config.json").exists() and any(folder.glob("*.nii.gz")):
        return folder
    return next((folder / kind for kind in KINDS if (folder / kind).exists()), folder / KINDS[0])


def train(name: str, data: Path, runs: Path) -> None:
    """Run a row's command unless its result is there."""
    if not result(runs / name).exists():
        for what, write in WRITTEN.items():
            if f"RUNS/{what} " in ROWS[name] and not (runs / what).exists():
                write(data, runs / what)
        line = [sys.executable, "-m", "tinymed", *command(name, data, runs)]
        environment = os.environ | dict.fromkeys(THREADS, "1")
        done = subprocess.run(line, env=environment, check=True, stdout=subprocess.PIPE, text=True)
        if ROWS[name].startswith("evaluate"):
            (runs / name).mkdir(parents=True, exist_ok=True)
            (runs / name / PRINTED).write_text(done.stdout, "utf-8")


def figures(found: dict[str, Any]) -> dict[str, Any]:
    """Return of a part's measures those that the page has, with their intervals."""
    kept = {key: found[key] for key in FIGURES if key in found}
    return kept | {f"{key}_interval": found[f"{key}_interval"] for key in kept if f"{key}_interval" in found}


def measured(file: Path) -> dict[str, Any]:
    """Return what a finished run reached on test, or where none is looked at; of noise, beside classical filters."""
    found: dict[str, Any] = json.loads(file.read_text("utf-8"))
    config = file.parent / "config.json"
    if config.exists() and json.loads(config.read_text("utf-8")).get("task") == "denoising":
        kept = file.parent / restoration.KEPT
        if not kept.exists():
            kept.write_text(json.dumps(restoration.compare(file.parent)), "utf-8")
        return dict(json.loads(kept.read_text("utf-8")))
    return dict(found.get("test", found))


def collect(runs: Path, before: list[dict[str, Any]], now: dict[str, Any]) -> list[dict[str, Any]]:
    """Return a row for each finished run: the command, what it reached, and where and when it was measured.

    before: The rows that there were.  One of which RUNS holds no run, or the same figures, stays as it is.
    """
    rows, old = [], {row["row"]: row for row in before}
    for name, options in ROWS.items():
        file, row = result(runs / name), old.get(name)
        if file.is_file():
            found = {"row": name, "command": f"tinymed {options}", **figures(measured(file))}
            if row is None or {key: row[key] for key in row if key != "measured"} != found:
                row = found | {"measured": now}
        if row is not None:
            rows.append(row)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("runs", type=Path)
    parser.add_argument("--only", choices=ROWS)
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--collect", action="store_true")
    o = parser.parse_args()
    chosen = [o.only] if o.only else list(ROWS)
    if o.list:
        print("\n".join(f"{name}: tinymed {shlex.join(command(name, o.data, o.runs))}" for name in chosen))
        return
    for name in [] if o.collect else chosen:
        train(name, o.data, o.runs)
    before = json.loads(RESULT.read_text("utf-8")) if RESULT.exists() else {"rows": []}
    now = machine()
    rows = collect(o.runs, before["rows"], {key: now[key] for key in ("processor", "date", "commit")})
    save(RESULT, {"machine": before.get("machine", now), "rows": rows})


if __name__ == "__main__":
    main()
