"""Detection: a network slides over an image and scores, at every pixel, which object has its middle there.

Any network for segmentation that pads serves: it gives one score for the background and one for each class (a softmax),
and the logarithm of the box's width and height, over those of its class's usual box.  Peaks of the scores become boxes,
and non-maximum suppression keeps the best of those that overlap (`inference/box_peaks.py`).
"""

import hashlib
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal, cast

import numpy as np

from ..data.box_loader import BoxLoader, refuse_turned
from ..data.boxes import BoxDataset, open_boxes
from ..data.device_batches import as_array, as_tensors, device_batches, device_of
from ..data.device_reading import read_late
from ..data.image import decode, prepare
from ..data.splits import leak_check, split_dataset
from ..data.transform import normalise, to_float, to_nchw
from ..data.volumes import case_name
from ..errors import UserError, printable
from ..explain.places import Places
from ..files import read_json
from ..metrics.boxes import Detections
from ..metrics.detection import evaluate_detections
from ..metrics.measures import Measure
from ..nn.init import no_weights
from ..report.boxes import Boxes, BoxExample, save_boxes
from ..report.paths import below
from ..schema import Strict, checked, setting
from ..tape import no_grad
from ..tensor import Tensor
from .base.augmentation import augmentation_rules
from .base.config import DataConfig, RunConfig, Shortcuts, named_columns
from .base.network import Outputs
from .base.options import Options, config_from_options, data_folder, model_options, refuse_foreign, refuse_idle
from .base.preprocess import statistics
from .base.task import (
    Ask,
    Batches,
    Fitted,
    Predictions,
    Task,
    Validate,
    fingerprint_samples,
    picture_preparation,
)
from .base.training import training_rules
from .heads.box_head import LIMIT, PRIOR, BoxHead
from .heads.class_weights import parse_weights
from .inference.box_peaks import detect
from .results.box_results import above, box_figures, box_rows, box_text, image_rows, save_box_pictures, write_boxes
from .results.rows import Cases, Row

Sets = dict[str, BoxDataset]
METRICS = "metrics.json"  # of a run, which holds the best thresholds
SHOWN = 0.3  # the least score of a box that is shown, where validation has found no better one
COLUMNS = ("path_column", "label_column", "split_column", "group_column", "suffix")
NARROW = {"base": 16}  # of the default network: at its published 64 a step on four images takes a core 20 seconds
DEFAULTS = {
    "model": "unet_bn",
    "size": 256,
    "batch": 4,
    "epochs": 40,
    "keep": "best",
    "schedule": "cosine",
    "class_weights": "tempered",
}


class BoxConfig(Strict):
    """What a detection has beyond other tasks."""

    panel: ClassVar[str] = "Detection"
    radius: float = setting(0.3, "Of the disc in the middle of a box, as a share of its sides.", gt=0, le=0.5)
    size_weight: float = setting(0.2, "Of the error of the boxes' sides in the loss.", ge=0, allow_inf_nan=False)
    reference: list[tuple[float, float]] = []  # width and height of each class's usual box, as shares of the image
    smooth: int = setting(2, "Pixels over which the scores are averaged before peaks are sought.", ge=0)
    least: float = setting(0.05, "Score below which nothing is a box.", ge=0, lt=1)
    suppress: float = setting(0.5, "Overlap of two boxes of which the worse is dropped.", gt=0, le=1)


class DetectionData(DataConfig):
    """What detection reads beside images."""

    label_column: str | None = setting(None, "Column of the label in a list; by default found by its usual names.")


class DetectionConfig(RunConfig):
    """A run that finds objects."""

    data: DetectionData

    task: Literal["detection"] = setting("detection", "What the network learns.", panel="Run")
    head: Literal["softmax"] = "softmax"
    monitor: Literal["val_ap", "val_loss", "val_accuracy"] = setting("val_ap", "What improves.")
    boxes: BoxConfig = BoxConfig()


class Detection(Task[DetectionConfig, BoxDataset]):
    """Boxes round objects."""

    name = "detection"
    several = True
    needs = "a folder with boxes.csv"
    marks = ("boxes.csv", "xmin")
    wants = "detection (a score for every pixel of the image)"
    Config = DetectionConfig
    Shortcuts = Shortcuts

    def config_from_options(self, given: Options) -> DetectionConfig:
        refuse_foreign(given, self.options, self.name, self.options)
        refuse_idle(
            given,
            {
                **augmentation_rules(given),
                **training_rules(given),
            },
        )
        columns = {name: given[name] for name in COLUMNS if name in given}
        first = next(iter(open_boxes(given["data"], verify=False, **columns).values()))
        grey = given["grey"] if "grey" in given else first.image(0).shape[2] == 1
        last = given.get("split") == "last"
        wanted: dict[str, Any] = {"val_fraction": 0.3 if last else 0.15, "test_fraction": 0.0 if last else 0.15}
        wanted |= DEFAULTS | ({"rotate": 0.0} if given.get("augment") else {})  # the mixture without its rotation
        wanted |= dict(given) | {"data": data_folder(given)}
        if "steps" in given and "epochs" not in given:
            wanted["epochs"] = None
        channels = 1 if grey else 3
        chosen = ({} if "model" in given else NARROW) | model_options(given)
        wanted["detected"] = {"model_options": chosen, "data": {"channels": channels}}
        config: DetectionConfig = config_from_options(DetectionConfig, self.options, wanted)
        refuse_turned(config.augment.rotate, config.augment.shear)
        with no_weights():
            self.check_model(config, self.make_model(config))
        return config

    def complete(
        self, config: DetectionConfig, sets: Sets, given: Options, ask: Ask | None
    ) -> tuple[DetectionConfig, list[str]]:
        train = sets["train"]
        counts = train.box_counts()
        absent = [name for name, count in counts.items() if not count]
        if absent:
            raise UserError(f"{config.data.path}: the training images have no box of class {', '.join(absent)}")
        shares = []
        for index, boxes in enumerate(train.boxes):
            height, width = train.image(index).shape[:2]
            shares.append((boxes[:, 2:] - boxes[:, :2]) / (width, height))
        sides, kinds = np.log(np.concatenate(shares)), np.concatenate(train.kinds)
        reference = [np.exp(sides[kinds == k].mean(axis=0)).tolist() for k in range(len(train.classes))]
        data = config.data.model_dump() | {"classes": train.classes, "fingerprint": self.fingerprint(config, sets)}
        data |= statistics(train, config.data, given)
        radius, side = config.boxes.radius, config.data.size
        areas = [
            math.pi * radius**2 * side**2 * np.exp(sides[kinds == k]).prod(axis=1).sum() for k in range(len(counts))
        ]
        pixels = [
            max(len(train) * side**2 - sum(areas), 1.0),
            *areas,
        ]  # of the discs that are learnt, if none overlapped
        names = ["background", *train.classes]
        of_class = {name: max(round(n), 1) for name, n in zip(names, pixels, strict=True)}
        content = config.model_dump() | {
            "data": data,
            "boxes": config.boxes.model_dump() | {"reference": reference},
            "class_weights": parse_weights(given.get("class_weights", DEFAULTS["class_weights"]), names, of_class),
        }
        result = checked(lambda: DetectionConfig.model_validate(content))
        with no_weights():
            self.check_model(result, self.make_model(result))
        shown = ", ".join(f"{name} {len(part)}" for name, part in sets.items())
        found = ", ".join(f"{name} {count}" for name, count in counts.items())
        return result, [
            f"{config.model}, {shown} images of {config.data.size} px with boxes from {train.source}",
            f"boxes to learn from: {found}",
        ]

    # --------------------------------------------------------------------------------------------- the data

    def read_data(self, config: DetectionConfig) -> Sets:
        data = config.data
        columns = named_columns(data, "label_column")
        return open_boxes(str(data.path), classes=data.classes or None, leaks=data.leaks, **data.reading(), **columns)

    def divide(self, config: DetectionConfig, sets: Sets) -> Sets:
        data = config.data
        if "train" in sets and "val" in sets:
            return sets
        whole = "train" if "train" in sets else "all"
        if whole not in sets:
            raise UserError(f"{data.path}: has {', '.join(sets)} but no train images to learn from")
        shares = {"val": data.val_fraction} | ({"test": data.test_fraction} if whole == "all" else {})
        shares = {"train": 1 - sum(shares.values())} | {name: share for name, share in shares.items() if share > 0}
        cut = cast(Sets, split_dataset(sets[whole], shares, config.seed, data.split))
        leak_check(cut, rule=data.leaks)
        return cut | {name: part for name, part in sets.items() if name != whole}

    def fingerprint(self, config: DetectionConfig, sets: Sets) -> str:
        sha = hashlib.sha256(fingerprint_samples(sets, config.data.path).encode())
        for part in sets.values():
            for boxes, kinds in zip(part.boxes, part.kinds, strict=True):
                sha.update(boxes.astype("<f8").tobytes() + kinds.astype("<i8").tobytes())
        return sha.hexdigest()

    def open_path(self, config: DetectionConfig, path: str, skip_bad: bool = False) -> Sets:
        refuse_idle({"skip_bad": True} if skip_bad else {}, {"skip_bad": (False, "every image is needed")})
        data, columns = config.data, named_columns(config.data, "label_column")
        return open_boxes(path, classes=data.classes, leaks="ignore", **data.reading(), **columns)

    # ------------------------------------------------------------------------------------------ the network

    def model_arguments(self, config: DetectionConfig) -> dict[str, Any]:
        data = config.data
        wanted: dict[str, Any] = {"in_channels": data.channels, "size": data.size, "head": config.head}
        # the background, the classes, width and height
        return wanted | ({"num_classes": len(data.classes) + 3} if data.classes else {})

    def serves(self, image: tuple[int, ...], outputs: Outputs) -> bool:
        return len(image) == 3 and outputs[0][2:] == image[1:]

    def head(self, config: DetectionConfig, model: Any, weighted: bool = True) -> BoxHead:
        weights = config.class_weights if weighted else None
        return BoxHead(len(config.data.classes), config.boxes.size_weight, weights)

    # -------------------------------------------------------------------------------- training and measuring

    def batches(self, config: DetectionConfig, dataset: BoxDataset, training: bool = False) -> BoxLoader:
        """Return batches; shuffled and augmented for training."""
        c = config
        return BoxLoader(
            dataset,
            c.batch,
            c.data.size,
            c.data.channels,
            radius=c.boxes.radius,
            reference=c.boxes.reference,
            shuffle=training,
            augment=c.augment.settings() if training else None,
            seed=c.seed,
            workers=c.workers,
            mean=c.data.mean,
            std=c.data.std,
        )

    def training_batches(self, config: DetectionConfig, dataset: BoxDataset, model: Any) -> Batches:
        return self.batches(config, dataset, training=True)

    def validation(self, config: DetectionConfig, dataset: BoxDataset) -> tuple[Batches | None, Validate | None]:
        return None, lambda trainer: self.validate(config, trainer, dataset)

    def validate(self, config: DetectionConfig, trainer: Fitted, dataset: BoxDataset) -> dict[str, Any]:
        """Return loss, accuracy of the pixels and mean average precision."""
        head, total, right = self.head(config, trainer.model, weighted=False), 0.0, 0.0
        trainer.model.eval()
        found: list[Detections] = []
        batches, place = self.batches(config, dataset).epoch(), device_of(trainer.model)

        def computed() -> Iterator[tuple[Any, Tensor, Any, np.ndarray]]:
            for images, targets, labels, indices in device_batches(batches, head.targets, place):
                with no_grad():
                    outputs = trainer.forward(images)
                    value = head(outputs, targets)
                yield outputs, value, labels, indices

        for outputs, value, labels, indices in read_late(computed(), place):
            total += value.item() * len(indices)
            right += head.correct(outputs, labels)
            sizes = [dataset.image(int(i)).shape for i in indices]
            scores = head.scores(as_array(outputs))
            found += [self.boxes(config, score, shape) for score, shape in zip(scores, sizes, strict=True)]
            if trainer.stop:
                return {}
        result = evaluate_detections(found, dataset.boxes, dataset.kinds, dataset.classes, resamples=0)
        return {"loss": total / len(dataset), "accuracy": right / len(dataset), "ap": result["ap"]}

    def boxes(self, config: DetectionConfig, scores: np.ndarray, shape: Sequence[int]) -> Detections:
        """Return boxes in pixels of an image of this shape (height, width, ...) from its maps of scores."""
        c = config.boxes
        side, kinds = scores.shape[1], len(config.data.classes)
        sizes = scores[None, kinds:] * (np.array(c.reference) * side)[:, :, None, None]
        found = detect(scores[:kinds], sizes, c.smooth, c.least, c.suppress)
        stretch = np.array([shape[1], shape[0]] * 2) / side
        return found._replace(boxes=np.clip(found.boxes * stretch, 0, np.array([shape[1], shape[0]] * 2)))

    def find_boxes(self, config: DetectionConfig, model: Any, image: np.ndarray) -> Detections:
        """Return the boxes of a decoded image [height, width, channels]."""
        data = config.data
        small = to_float(prepare(image, data.size, data.channels))[None]
        if data.mean is not None or data.std is not None:
            small = normalise(small, data.mean or 0.0, data.std or 1.0)
        with no_grad():
            outputs = model.eval()(as_tensors(to_nchw(small), device_of(model)))
        return self.boxes(config, self.head(config, model).scores(as_array(outputs))[0], image.shape)

    def measure(
        self, config: DetectionConfig, model: Any, dataset: BoxDataset
    ) -> tuple[dict[str, Any], list[Detections]]:
        found = [self.find_boxes(config, model, dataset.image(index)) for index in range(len(dataset))]
        return evaluate_detections(found, dataset.boxes, dataset.kinds, dataset.classes, config.seed), found

    # ---------------------------------------------------------------------------------------------- results

    def text(self, config: DetectionConfig, result: dict[str, Any], title: str) -> str:
        return box_text(result, title)

    def thresholds(self, folder: Path, config: DetectionConfig) -> np.ndarray:
        """Return the least score of a box to show, for each class: that of the best F1 on the validation set."""
        file = folder / METRICS
        if not file.is_file():
            return np.full(len(config.data.classes), SHOWN)
        found = read_json(file)
        try:
            val = found.get("val", {}).get("per_class", {})
            values = [val.get(name, {}).get("threshold") for name in config.data.classes]
            return np.array([SHOWN if value is None else float(value) for value in values])
        except (AttributeError, TypeError, ValueError):
            raise UserError(f"{file}: holds no measures of a detection; evaluate the run again") from None

    def save_results(
        self,
        folder: Path,
        config: DetectionConfig,
        model: Any,
        dataset: BoxDataset,
        result: dict[str, Any],
        details: Any,
        title: str,
    ) -> None:
        rows = [
            row
            for index, found in enumerate(details)
            for row in box_rows(below(dataset.name(index), config.data.path), found, dataset.classes)
        ]
        write_boxes(folder / "boxes.csv", rows)
        save_box_pictures(details, dataset, self.thresholds(folder, config), folder / "overlays.png", title)

    def case_rows(
        self, folder: Path, config: DetectionConfig, dataset: BoxDataset, details: Sequence[Detections]
    ) -> list[Row]:
        names = [below(dataset.name(i), config.data.path) for i in range(len(dataset))]
        return image_rows(details, dataset, self.thresholds(folder, config), names)

    def figures(self, config: DetectionConfig, cases: Cases) -> dict[str, Measure]:
        return box_figures(cases, config.seed)

    def predict(
        self,
        folder: Path,
        config: DetectionConfig,
        model: Any,
        files: Sequence[Path],
        out: Path | None,
        overlays: bool,
    ) -> Predictions:
        if overlays and out is None:
            raise UserError("--overlays: say where the pictures go with --out DIR")
        least, classes, result = self.thresholds(folder, config), config.data.classes, Predictions()
        if out is not None:
            out.mkdir(parents=True, exist_ok=True)
        for file in files:
            try:
                image = decode(file, **config.data.reading())
                best = above(self.find_boxes(config, model, image), least)
            except UserError as error:
                result.errors.append(str(error).partition("; ")[0])
                continue
            result.rows += box_rows(printable(file), best, classes)
            counts = np.bincount(best.kinds, minlength=len(classes))
            shown = (f"{name} {count}" for name, count in zip(classes, counts, strict=True))
            result.lines.append(f"{printable(file)}: {', '.join(shown)}")
            if overlays and out is not None:
                example = BoxExample(image, None, Boxes(best.boxes, best.kinds, best.scores), file.name)
                save_boxes([example], classes, out / f"{case_name(file)}-overlay.png")
        if out is not None:
            write_boxes(out / "boxes.csv", result.rows)
        return result

    def case_errors(self, config: DetectionConfig, cases: Cases) -> np.ndarray:
        boxes, found, right = (cases.numbers(name) for name in ("boxes", "found", "right"))
        errors: np.ndarray = boxes + found - 2 * right  # missed, and found where none is
        return errors

    def map_names(self, config: DetectionConfig) -> list[str]:
        return config.data.classes

    def explained(self, config: DetectionConfig, model: Any, image: np.ndarray) -> Any:
        return Places(model, image, first=1, classes=len(config.data.classes))

    def export_metadata(self, config: DetectionConfig) -> dict[str, Any]:
        boxes = config.boxes.model_dump(include={"reference", "smooth", "least", "suppress"})
        return {
            "positive": "",
            "preparation": picture_preparation(config),
            "boxes": {"background_prior": PRIOR, "log_limit": LIMIT, **boxes},
            "scores": MEANING,
        }


MEANING = (
    "the first 1 + classes channels are the background's and the classes': softmax, with background_prior "
    "added to the first; the last two, at most log_limit either way, are the logarithms of a box's width and height "
    "over those of its class's reference, which are shares of the image"
)
TASK = Detection()
