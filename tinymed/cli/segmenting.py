"""`tinymed train --task segmentation`, and what evaluate and predict do with such a run."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from ..data.labels import parse_labels
from ..data.mask_trees import open_segmentation, stem
from ..data.masks import MaskDataset, check_pairs
from ..data.volumes import read_volume
from ..errors import UserError
from ..report.overlays import Example, save_overlays
from ..train.config import RunConfig, checked
from ..train.files import write_atomic
from ..train.heads import parse_weights
from ..train.mask_measures import Row
from ..train.run import Run, new_folder, refuse_occupied
from ..train.segmentation import Predictor, SegmentationRun, mask_fingerprint, open_pairs
from ..train.segmentation_metrics import mean_over_labels
from .app import WRONG_INPUT, complain, say
from .tables import interval, number, table

# Where the options do not say otherwise.  Small batches, since an image is as many examples as it has pixels.
DEFAULTS = {
    "head": "softmax",
    "batch": 8,
    "epochs": 40,
    "loss": "dice_cross_entropy",
    "monitor": "val_dice",
    "keep": "best",
    "schedule": "cosine",
}
VOLUME_DEFAULTS = {"model": "unet3d", "batch": 2}
MASK_NAMES = (
    "ignore",
    "loss",
    "per_image",
    "foreground",
    "overlap",
    "blend",
    "border_weight",
    "border_sigma",
    "border_class",
    "auxiliary",
)
SIDE, STEP = 64, 16  # a volume's patch is at most so large a side, and a multiple of STEP


def begun_segmentation(options: dict[str, Any]) -> tuple[Run, Any]:
    """A new run folder from the options, and its pairs of images and masks."""
    from .training import draft

    if "data" not in options:
        raise UserError("--task segmentation needs --data: a folder with images and masks")
    values = parse_labels(options["labels"]) if "labels" in options else None
    found = open_segmentation(options["data"], values=values, ignore=options.get("ignore"), verify=False)
    first = next(iter(found.values()))
    volumes = first.dimensions == 3
    given: dict[str, Any] = DEFAULTS | (VOLUME_DEFAULTS if volumes else {"model": "unet_small"}) | options
    given |= {"mask": mask_options(given, found), "channels": image_channels(given, first)}
    config = draft(given)
    folder = given.get("out") or new_folder(Path("runs"), config.model)
    refuse_occupied(folder)
    sets = open_pairs(config)
    config, counts = completed(config, sets, given)
    kind = "volumes" if config.mask.dimensions == 3 else "images"
    say(
        f"{config.model}, {', '.join(f'{name} {len(part)}' for name, part in sets.items())} {kind} with masks from "
        f"{sets['train'].source}, {config.data.channels} channel(s)"
    )
    share = counts.sum(axis=0) / max(counts.sum(), 1)
    shown = (f"{value} {name} {100 * s:.2f} %" for (value, name), s in zip(config.mask.values, share, strict=False))
    say(f"labels: {', '.join(shown)}" + (f"; {config.mask.ignore} ignored" if config.mask.ignore is not None else ""))
    patch = config.mask.patch
    say(f"{'whole images of ' + str(config.data.size) + ' px' if patch is None else f'patches of {patch}'}")
    run = Run.create(folder, config)
    return run, sets


def mask_options(given: dict[str, Any], found: dict[str, MaskDataset]) -> dict[str, Any]:
    """The options as MaskConfig takes them."""
    first = next(iter(found.values()))
    chosen = {name: given[name] for name in MASK_NAMES if name in given}
    chosen |= {"dimensions": first.dimensions, "modalities": len(first.more) + 1}
    chosen["values"] = list(first.meaning.values.items())
    if "patch" in given:
        sides = given["patch"].split(",")
        if not all(side.strip().isdecimal() and int(side) for side in sides) or len(sides) not in (1, first.dimensions):
            raise UserError(f"--patch {given['patch']!r}: write a side, or one an axis such as 48,64,48")
        chosen["patch"] = [int(side) for side in sides] * (first.dimensions if len(sides) == 1 else 1)
    elif patch_model(given["model"]):
        chosen |= {"per_image": 64} | chosen | {"planes": 3 if given["model"] == "triplanar" else 1}
    elif first.dimensions == 3:
        shapes = np.array([found[name].mask(i).shape for name in found for i in range(min(len(found[name]), 20))])
        middle = np.ceil(np.median(shapes, axis=0) / STEP) * STEP
        chosen["patch"] = [int(side) for side in np.minimum(middle, SIDE)]
    if "border_class" in given and given["border_class"] not in first.classes:
        raise UserError(f"--border-class {given['border_class']!r} is none of {', '.join(first.classes)}")
    return chosen


def patch_model(name: str) -> bool:
    """Whether a network classifies the middle of a patch: a picture of its own size has one row of scores."""
    from ..models import entry, shapes_only
    from ..models.shapes import blank
    from ..models.summary import input_shapes
    from ..nn.init import no_weights
    from ..tape import no_grad
    from ..tensor import Tensor

    found = entry(name)
    shapes = input_shapes(found.input)
    if len(shapes) > 1 or len(shapes[0]) != 3:
        return False
    with no_weights(), no_grad(), shapes_only():
        outputs = found.build().eval()(Tensor(blank((1, *shapes[0]))))
    return len((outputs[0] if isinstance(outputs, tuple) else outputs).shape) == 2


def image_channels(given: dict[str, Any], dataset: MaskDataset) -> int:
    """The channels of the images: as --grey or --rgb say, else as the first image has them."""
    if "grey" in given and dataset.dimensions == 2 and not dataset.more:
        return 1 if given["grey"] else 3
    return int(dataset.image(0).shape[-1])


def completed(config: RunConfig, sets: dict[str, MaskDataset], given: dict[str, Any]) -> tuple[RunConfig, np.ndarray]:
    """(the configuration with what depends on the data, pixels of each class in each training mask)."""
    from ..data.loader import channel_statistics

    train = sets["train"]
    pixels = {name: check_pairs(part) for name, part in sets.items()}["train"]
    counts = dict(zip(train.classes, pixels.sum(axis=0).tolist(), strict=True))
    data = config.data.model_dump() | {
        "classes": train.classes,
        "fingerprint": mask_fingerprint(sets, config.data.path),
    }
    if given.get("normalise") and train.dimensions == 2 and not train.more:
        data["mean"], data["std"] = channel_statistics(train, config.data.size, config.data.channels)
    content = config.model_dump() | {
        "data": data,
        "class_weights": parse_weights(given.get("class_weights", "none"), train.classes, counts),
    }
    result: RunConfig = checked(lambda: RunConfig.model_validate(content))
    return result, pixels


# --------------------------------------------------------------------------------------------------- results


def mask_text(result: dict[str, Any], title: str, volumes: bool = False) -> str:
    """An evaluation as text: a row a class, and the mean over the classes but the background."""
    lines = [f"{title}: n = {result['n']} cases, {100 * result['level']:g} % intervals over cases"]
    names = [key for key in ("dice", "jaccard", "hd95", "asd") if key in result]
    unit = "mm" if volumes else "px"
    heads = [f"{name} {unit}" if name in ("hd95", "asd") else name for name in names]
    rows = [("class", *(cell for head in heads for cell in (head, "", "median")))]
    classes = {name: result["per_class"][name] for name in result["classes"]}
    for name, row in {**classes, "mean without background": result}.items():
        cells = [(number(row[key]), interval(row[f"{key}_interval"]), number(row[f"{key}_median"])) for key in names]
        rows.append((name, *(cell for triple in cells for cell in triple)))
    lines.append(table(rows))
    lines.append(f"pixel accuracy {number(result['accuracy'])} {interval(result['accuracy_interval'])}")
    lines += [f"note: {note}" for note in result["warnings"]]
    return "\n".join(lines)


def draw_overlays(
    run: SegmentationRun, model: Any, dataset: MaskDataset, rows: list[dict[str, Any]], title: str
) -> None:
    """overlays.png: five cases from the worst to the best by their mean Dice."""
    means = [mean_over_labels(row["dice"]) for row in rows]
    order = np.argsort([1.0 if mean is None else mean for mean in means], kind="stable")
    chosen = dict.fromkeys(order[np.rint(np.linspace(0, len(order) - 1, 5)).astype(int)].tolist())
    predict = Predictor(model, run.head(), run.config)
    examples = []
    for index in chosen:
        image, mask = dataset.pair(index)
        found = predict(image, dataset.name(index)).argmax(axis=0).astype(np.uint8)
        name = f"{stem(Path(dataset.name(index)))}, Dice {number(means[index], 3)}"
        examples.append(Example(image, mask, found, name, dataset.spacing(index)))
    save_overlays(examples, dataset.classes, run.folder / "overlays.png", title)


def write_cases(path: Path, rows: list[Row], classes: list[str]) -> None:
    """cases.csv: the measures of every case, a column a measure and class."""
    import csv
    import io

    names = [name for name, value in rows[0].items() if isinstance(value, list)]
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["name", "loss", "accuracy", *(f"{name} {label}" for name in names for label in classes)])
    for row in rows:
        values = [value for name in names for value in row[name]]
        writer.writerow([row["name"], row["loss"], row["accuracy"], *("" if v is None else v for v in values)])
    write_atomic(path, [text.getvalue().encode()])


def show_segmentation(run: Any, model: Any, result: dict[str, Any], rows: Any, sets: Any) -> None:
    """Tables, overlays and the list of cases of a finished run."""
    for name in rows:
        print(
            mask_text(result[name], f"{name}, {result['weights']} weights", run.config.mask.dimensions == 3), end="\n\n"
        )
    part = "test" if "test" in rows else "val"
    write_cases(run.folder / "cases.csv", rows[part], run.config.data.classes)
    draw_overlays(run, model, sets[part], rows[part], f"{run.config.model} on {part}")


# -------------------------------------------------------------------------------------------------- predict


def case_files(cases: list[str], modalities: int, out: Path) -> dict[str, list[Path]]:
    """name -> the files of a case.  Raises UserError: another number of files, or two cases of one name."""
    named: dict[str, list[Path]] = {}
    for case in cases:
        files = [Path(part) for part in case.split(",")] if modalities > 1 else [Path(case)]
        name = stem(files[0])
        if len(files) != modalities:
            raise UserError(f"{case}: the run takes {modalities} files a case, separated by commas")
        if name in named:
            raise UserError(f"{case} and {named[name][0]}: both would become {out / name}; give them in two calls")
        named[name] = files
    return named


def segment_files(run: Any, model: Any, cases: list[str], out: Path | None, overlays: bool) -> list[Row]:
    """Write the mask of each case into `out`; a row each, one with "error" for what could not be read."""
    if out is None:
        raise UserError("this run segments images: say where the masks go with --out DIR")
    files = case_files(cases, run.config.mask.modalities, out)
    out.mkdir(parents=True, exist_ok=True)
    predict, classes = Predictor(model, run.head(), run.config), run.config.data.classes
    rows: list[Row] = []
    for name, case in files.items():
        try:
            image, found = run.segment(predict, case)
            file = run.write_mask(out / name, found, case[0])
        except UserError as error:
            rows.append({"image": str(case[0]), "error": str(error).partition("; ")[0]})
            continue
        pixels = np.bincount(found.ravel(), minlength=len(classes)).tolist()
        row: Row = {"image": str(case[0]), "mask": str(file), "pixels": dict(zip(classes, pixels, strict=True))}
        spacing: tuple[float, ...] = (1.0, 1.0)
        if found.ndim == 3:
            spacing = read_volume(case[0]).spacing
            row["millilitres"] = {label: n * float(np.prod(spacing)) / 1000 for label, n in row["pixels"].items()}
        if overlays:
            example = Example(image, None, found, name, spacing)
            row["overlay"] = str(save_overlays([example], classes, out / f"{name}-overlay.png"))
        rows.append(row)
    return rows


def show_masks(rows: list[Row], as_json: bool) -> int:
    """Print what was written; returns the exit code."""
    failed = [row for row in rows if "error" in row]
    for row in failed:
        complain(row["error"], WRONG_INPUT)
    written = [row for row in rows if "error" not in row]
    if as_json:
        print(json.dumps(written))
    for row in () if as_json else written:
        total = sum(row["pixels"].values())
        print(f"{row['mask']}: {', '.join(f'{name} {100 * n / total:.2f} %' for name, n in row['pixels'].items())}")
    return WRONG_INPUT if failed else 0
