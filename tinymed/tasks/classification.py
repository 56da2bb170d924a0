"""Classification: one class for each image, with a positive class that sensitivity speaks of."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BeforeValidator

from ..data.arrays import is_archive
from ..data.augment import Mixing
from ..data.dataset import Dataset, parse_merge
from ..data.device_batches import as_array, as_tensors, device_of
from ..data.loader import Loader
from ..data.planes import NETWORK
from ..data.readers import open_dataset
from ..data.remarks import patients_of
from ..data.sampling import BETA
from ..data.synthetic import DIFFICULTY, synthetic_smear
from ..errors import UserError, printable
from ..metrics.classification import evaluate_scores
from ..metrics.measures import Measure
from ..metrics.medmnist import evaluator_figures, evaluator_line
from ..metrics.patients import evaluate_patients
from ..metrics.positive_class import choose_positive
from ..models import default_size, entry
from ..nn.init import no_weights
from ..report.paths import below
from ..schema import checked, setting
from ..tape import no_grad
from .base.augmentation import augmentation_rules
from .base.config import AugmentConfig, DataConfig, RunConfig, Shortcuts, named_columns
from .base.division import divide, share_skipped
from .base.network import Outputs, default_channels, default_outputs, sees_volumes
from .base.options import Options, config_from_options, data_folder, model_options, refuse_foreign, refuse_idle
from .base.picture import picture_loader
from .base.preprocess import statistics
from .base.rare_classes import rare_lines
from .base.recipes import (
    RECIPES,
    Recipe,
    recipe_line,
    recipe_model_options,
    recipe_network,
    recipe_options,
)
from .base.steady import steady_values, upright_line
from .base.task import (
    Ask,
    Batches,
    Predictions,
    Task,
    Validate,
    fingerprint_samples,
    picture_preparation,
)
from .base.training import training_rules
from .heads.class_heads import SigmoidHead, SoftmaxHead, make_head
from .heads.class_weights import parse_weights
from .inference.class_scores import predict_scores
from .inference.mirrors import HORIZONTAL, VERTICAL, Axes, average_in_place, averaged, mirrors_of
from .inference.views import read_picture
from .results.class_results import class_figures, class_rows, class_text, save_class_pictures
from .results.rows import Cases, Row

Sets = dict[str, Dataset]

# What a network's paper feeds it: white -0.1, black 1.175 (LeCun et al. 1998, section III.A; MNIST's ink is 1).
INPUTS = {"lenet5": {"mean": [0.1 / 1.275], "std": [1 / 1.275]}}


class ClassificationData(DataConfig):
    """What classification reads beside images."""

    label_column: str | None = setting(None, "Column of the label in a list; by default found by its usual names.")
    merge: Annotated[dict[str, list[str]], BeforeValidator(lambda v: parse_merge(v) if isinstance(v, list) else v)] = (
        setting({}, "Put classes together: NEW=OLD,OLD; for every new class.", repeat=True)
    )
    skip_bad: bool = setting(False, "Leave unreadable images out and list them.")
    planes: bool = setting(False, "The images are volumes: learn from their three middle planes, as three channels.")
    whole: bool = False  # the images are volumes, and the network sees all of them
    synthetic_images: int = setting(3600, "How many synthetic smears there are.", ge=8, le=1_000_000)
    difficulty: float = setting(DIFFICULTY, "Of the synthetic smears, 0 to 1.", ge=0, le=1)


class ClassificationAugment(AugmentConfig):
    """How images of a batch are mixed, with their labels, beside what happens to each."""

    mixup: float = setting(
        0.0, "Blend images and labels: alpha of the share, drawn from Beta(alpha, alpha).", ge=0, allow_inf_nan=False
    )
    cutmix: float = setting(
        0.0, "Put a part of another image in, labels likewise: alpha of its share.", ge=0, allow_inf_nan=False
    )

    @property
    def mixing(self) -> Mixing:
        """Return how images are mixed, as loaders take it."""
        return Mixing(self.mixup, self.cutmix)


class ClassificationConfig(RunConfig):
    """A run that classifies."""

    task: Literal["classification"] = setting("classification", "What the network learns.", panel="Run")
    head: Literal["sigmoid", "softmax", "own"] = setting(
        "sigmoid",
        "What the outputs mean: one sigmoid per class, one distribution, or the model's own loss",
        panel="Model",
        shown="own where the model has a loss, else the recipe's: steady softmax, paper sigmoid",
    )
    data: ClassificationData
    augment: ClassificationAugment = ClassificationAugment()
    recipe: Recipe = setting(
        "paper",
        "How to train where no option says",
        panel="Run",
        shown="steady; without --data quick; of a network that is named and segments paper",
    )
    positive: str = setting("", "The class that sensitivity speaks of.", panel="Run", shown="the second class")
    balanced: bool = setting(False, "Draw every class equally often: the same as --sampling over.")
    sampling: Literal["over", "under", "balanced", "effective"] | None = setting(
        None, "How often an epoch shows each class; without it every image once"
    )
    effective_beta: float = setting(
        BETA, "Of --sampling effective: 0 leaves classes as they are, near 1 balances.", ge=0, lt=1
    )
    focal: float = setting(
        0.0, "Gamma of the focal loss, which counts easy images less; 0: cross-entropy.", ge=0, allow_inf_nan=False
    )
    average_flips: bool = setting(
        False,
        "Answer with the mean of an image and the mirrors that training shows",
        switch="--average-flips/--no-average-flips",
        shown="done by --recipe steady",
    )
    monitor: Literal["val_loss", "val_accuracy", "val_auc", "val_sensitivity", "val_specificity"] = setting(
        "val_loss", "What improves."
    )


def averaged_mirrors(config: ClassificationConfig) -> list[Axes]:
    """Return the mirrors whose answers are averaged with an image's."""
    return mirrors_of(config.augment) if config.average_flips and not config.data.whole else []


COLUMNS = ("path_column", "label_column", "split_column", "group_column", "suffix")
LISTS = "only a list has columns: a .csv, or a folder with splits.csv"
READING = ("white", "window", "page")  # of files


def is_listed(path: Path) -> bool:
    """Say whether a list tells the images of a path: it is one, or a folder that has one."""
    return path.suffix.lower() in (".csv", ".tsv") or (path / "splits.csv").is_file()


def read_sets(data: ClassificationData, seed: int) -> Sets:
    """Return the images as the data divide them: {"all": ...}, or {"train": ..., ...}.  Raises UserError."""
    if data.path is None:
        return {"all": synthetic_smear(data.synthetic_images, data.size, seed, data.difficulty)}
    try:
        return open_images(data, data.path, data.classes or None, data.skip_bad, data.leaks)
    except UserError as error:
        network = {f"model='{NETWORK}'": "or classify them whole, such as with {}"}
        raise UserError(error.message, error.ways | (network if "whole=True" in error.ways else {})) from None


def open_images(data: ClassificationData, path: str, classes: Any, skip_bad: bool, leaks: str) -> Sets:
    """Return the images of a path, read as the configuration says.  Raises UserError."""
    return open_dataset(
        path,
        **named_columns(data, "label_column"),
        **data.reading(),
        planes=data.planes,
        whole=data.whole,
        merge=data.merge or None,
        classes=classes,
        skip_bad=skip_bad,
        leaks=leaks,
        form=(data.size, data.channels),
    )


def open_splits(data: ClassificationData, seed: int) -> Sets:
    """Return the images as {"train": ..., "val": ..., perhaps "test": ...}.

    Splits that the data name are kept; what has none is divided by data.split and the fractions.  Raises UserError.
    """
    sets = read_sets(data, seed)
    return share_skipped(sets, divide(sets, data, seed))


def sampling_of(config: ClassificationConfig) -> dict[str, Any]:
    """Return how often training shows each class, as loaders take it."""
    return {"sampling": "over" if config.balanced else config.sampling, "beta": config.effective_beta}


def make_loader(dataset: Dataset, config: ClassificationConfig, *, training: bool = False) -> Loader:
    """Return the loader of a set; shuffled, augmented and perhaps sampled for training."""
    mixing = config.augment.mixing if training else None
    return picture_loader(dataset, config, training=training, mixing=mixing, **sampling_of(config))


class Classification(Task[ClassificationConfig, Dataset]):
    """One class for each image."""

    name = "classification"
    wants = "classification (one row of scores for each image)"
    Config = ClassificationConfig
    Shortcuts = Shortcuts

    def config_from_options(self, given: Options) -> ClassificationConfig:
        options = self.options
        refuse_foreign(given, options, self.name, options)
        recipe, last = given.get("recipe", "steady" if "data" in given else "quick"), given.get("split") == "last"
        if recipe not in RECIPES:
            raise UserError(f"--recipe {recipe!r}: choose {', '.join(RECIPES)}")
        model, sized, own = recipe_network(recipe, given, self.name)
        whole = sees_volumes(model)
        self.refuse_useless(given, model, whole)
        wanted = recipe_options(recipe, given) | {"recipe": recipe}
        wanted = {"val_fraction": 0.3 if last else 0.15, "test_fraction": 0.0 if last else 0.15} | wanted
        wanted |= {"model": model, "size": default_size(model)} | sized | {"data": data_folder(given)}
        wanted |= {"size": given["size"]} if "size" in given else {}
        if "steps" in given and "epochs" not in given:
            wanted["epochs"] = None
        if "early_stop" in given:
            wanted.setdefault("keep", "best")
        chosen = recipe_model_options(recipe, model, entry(model).options) | own | model_options(given)
        grey = given.get("grey")
        channels = default_channels(model) if grey is None else 1 if grey else 3
        channels = 3 if given.get("planes") else 1 if whole else channels
        data = {"channels": channels, "whole": whole, **INPUTS.get(model, {})}
        wanted["detected"] = {"model_options": chosen, "data": data}
        config: ClassificationConfig = config_from_options(ClassificationConfig, options, wanted)
        return self.try_model(config, fixed="head" in given)  # a wrong option is refused before images are read

    def advise(self, config: ClassificationConfig) -> str:
        """Return which networks to choose instead: whether the data are pictures or volumes is not known yet."""
        found = self.networks_by_axes()
        return f"choose one of {', '.join(found[3])}; of whole volumes {', '.join(found[4])}"

    def refuse_useless(self, given: Options, model: str, whole: bool) -> None:
        """Raise UserError for an option that the others leave without effect; whole: the network sees volumes."""
        if whole and "data" not in given:
            raise UserError(
                f"{model}: sees volumes, and the built-in smears are pictures; give volumes with --data, or choose a "
                "network of pictures, such as dcnn"
            )
        data = str(given.get("data", ""))
        listed = "data" in given and is_listed(Path(data))
        planes, smear = bool(given.get("planes")), "a synthetic smear is a picture; give --data"
        values = dict.fromkeys(("white", "page"), (False, "volumes have values; --window cuts them off"))
        refuse_idle(
            given,
            {
                **dict.fromkeys(COLUMNS, (listed, LISTS)),
                "group_column": (listed or Path(data).is_dir(), "only a list has columns, and DICOM files fields"),
                **dict.fromkeys(READING, ("data" in given, "the synthetic smears have 8 bits; give --data")),
                "merge": ("data" in given, "the synthetic smears have two classes; give --data"),
                "planes": ("data" in given and not whole, f"{model} sees whole volumes" if whole else smear),
                "grey": (
                    not (planes or whole),
                    "--planes are three channels" if planes else "a volume has the one channel of its values",
                ),
                **(values if planes or whole else {}),
                "skip_bad": ("data" in given, "every synthetic smear can be read; give --data"),
                "difficulty": ("data" not in given, "it is of the synthetic smears, without --data"),
                "synthetic_images": ("data" not in given, "it is of the synthetic smears, without --data"),
                **augmentation_rules(given, volumes=planes or whole),
                "sampling": ("balanced" not in given, "--balanced is --sampling over; leave one out"),
                "effective_beta": (given.get("sampling") == "effective", "it is of --sampling effective"),
                **training_rules(given),
            },
        )

    def try_model(self, config: ClassificationConfig, fixed: bool = True) -> ClassificationConfig:
        """Return the configuration, once a network could be made by it.

        Its head is the network's own loss if not `fixed`.
        """
        with no_weights():
            model = self.make_model(config)
        if not fixed and hasattr(model, "loss"):
            config = config.model_copy(update={"head": "own"})
        self.check_model(config, model)
        if config.augment.mixing.any and config.head == "own":
            raise UserError(
                f"--mixup, --cutmix: the loss of {config.model} is of one class an image, and mixed images have shares "
                "of several; leave them out, or give --head softmax"
            )
        if config.focal and (config.head != "softmax" or config.augment.mixing.any):
            raise UserError("--focal: it is a loss of one class an image: give --head softmax, no --mixup, no --cutmix")
        known = config if config.data.classes else config.model_copy(update={"class_weights": None})
        self.head(known, model)
        return config

    def complete(
        self, config: ClassificationConfig, sets: Sets, given: Options, ask: Ask | None
    ) -> tuple[ClassificationConfig, list[str]]:
        train, steady = sets["train"], config.recipe == "steady"
        data = config.data.model_dump() | {"classes": train.classes, "fingerprint": self.fingerprint(config, sets)}
        data |= statistics(train, config.data, given, by_default=steady and config.data.mean is None)
        planned = steady_values(config, train, given) if steady else {}
        content = (
            config.model_dump()
            | planned
            | {
                "data": data,
                "positive": choose_positive(train.classes, given.get("positive"), ask),
                "class_weights": parse_weights(given.get("class_weights", "none"), train.classes, train.counts()),
            }
        )
        result = self.try_model(checked(lambda: ClassificationConfig.model_validate(content)))
        parts = {name: part.counts() for name, part in sets.items()}
        counts = parts.pop("train")
        if given.get("average_flips") and not averaged_mirrors(result):
            raise UserError("--average-flips: has no effect here: training shows no mirrors of images; give --flip")
        lines = [*self.describe(result, sets), *rare_lines(counts, parts, result, given)]
        return result, [*lines, *upright_line(config, result)]

    def describe(self, config: ClassificationConfig, sets: Sets) -> list[str]:
        """Return lines that say what will be learnt, and which files were left out."""
        lines = [f"skipped {name}: {reason}" for part in sets.values() for name, reason in part.skipped]
        hashes = [key for part in sets.values() for key in part.hashes or ()]
        if copies := len(hashes) - len(set(hashes)):
            lines.append(f"note: {copies} images are copies of others, pixel for pixel")
        shown = ", ".join(f"{name} {len(dataset)}" for name, dataset in sets.items())
        data = config.data
        kind = "volumes, their three middle planes" if data.planes else "volumes" if data.whole else "images"
        sides = " x ".join([str(data.size)] * 3) if data.whole else str(data.size)
        lines.append(f"{config.model}, {shown} {kind} of {sides} px, classes {', '.join(data.classes)}")
        if config.augment.mixing.any:
            lines.append(
                "labels are mixed: in training an image counts as right by the share of its label that the answer has, "
                "so that accuracy stays below 1"
            )
        lines.append(recipe_line(config))
        return [*lines, f"positive class: {config.positive} (sensitivity is the share of it that is found)"]

    # --------------------------------------------------------------------------------------------- the data

    def read_data(self, config: ClassificationConfig) -> Sets:
        return read_sets(config.data, config.seed)

    def divide(self, config: ClassificationConfig, sets: Sets) -> Sets:
        return share_skipped(sets, divide(sets, config.data, config.seed))

    def fingerprint(self, config: ClassificationConfig, sets: Sets) -> str:
        return fingerprint_samples(sets, config.data.path)

    def open_path(self, config: ClassificationConfig, path: str, skip_bad: bool = False) -> Sets:
        return open_images(config.data, path, config.data.classes, skip_bad, "ignore")

    # ------------------------------------------------------------------------------------------ the network

    def model_arguments(self, config: ClassificationConfig) -> dict[str, Any]:
        data = config.data
        wanted: dict[str, Any] = {"in_channels": data.channels, "size": data.size, "head": config.head}
        if data.classes:
            return wanted | {"num_classes": len(data.classes)}
        return wanted | ({"num_classes": 2} if default_outputs(config.model) == 1 else {})  # classes are not known yet

    def sees(self, config: ClassificationConfig) -> tuple[int, ...]:
        return (config.data.channels, *[config.data.size] * (3 if config.data.whole else 2))

    def serves(self, image: tuple[int, ...], outputs: Outputs) -> bool:
        return len(image) in (3, 4) and len(outputs) == 1 and len(outputs[0]) == 2 and outputs[0][1] > 1

    def head(self, config: ClassificationConfig, model: Any, weighted: bool = True) -> SigmoidHead | SoftmaxHead:
        weights = config.class_weights if weighted else None
        return make_head(config.head, len(config.data.classes), weights, model, config.focal)

    # -------------------------------------------------------------------------------- training and measuring

    def training_batches(self, config: ClassificationConfig, dataset: Dataset, model: Any) -> Batches:
        return make_loader(dataset, config, training=True)

    def validation(self, config: ClassificationConfig, dataset: Dataset) -> tuple[Batches | None, Validate | None]:
        return make_loader(dataset, config), None

    def measure(self, config: ClassificationConfig, model: Any, dataset: Dataset) -> tuple[dict[str, Any], np.ndarray]:
        head, mirrors = self.head(config, model), averaged_mirrors(config)
        scores, labels, loss = predict_scores(model, make_loader(dataset, config), head, mirrors=mirrors)
        chosen = config.data.classes, config.positive, config.seed
        metrics = evaluate_scores(scores, labels, *chosen)
        if is_archive(config.data.path):
            metrics["medmnist"] = evaluator_figures(scores, labels)
        if (patients := patients_of(dataset)) is not None:
            metrics["patients"] = evaluate_patients(scores, labels, patients, *chosen)
        return {"loss": loss, **metrics}, scores

    # ---------------------------------------------------------------------------------------------- results

    def text(self, config: ClassificationConfig, result: dict[str, Any], title: str) -> str:
        text = class_text(result, title)
        return f"{text}\n{evaluator_line(result['medmnist'])}" if "medmnist" in result else text

    def save_results(
        self,
        folder: Path,
        config: ClassificationConfig,
        model: Any,
        dataset: Dataset,
        result: dict[str, Any],
        details: Any,
        title: str,
    ) -> None:
        save_class_pictures(folder, result, details, dataset, title)

    def case_rows(self, folder: Path, config: ClassificationConfig, dataset: Dataset, details: np.ndarray) -> list[Row]:
        names = [below(dataset.name(i), config.data.path) for i in range(len(dataset))]
        return class_rows(names, dataset.labels, details, config.data.classes)

    def figures(self, config: ClassificationConfig, cases: Cases) -> dict[str, Measure]:
        return class_figures(cases, config.data.classes, config.positive, config.seed)

    def tables(self, config: ClassificationConfig, cases: Cases) -> dict[str, dict[str, dict[str, Measure]]]:
        classes = config.data.classes
        return {"per_class": {name: class_figures(cases, classes, name, config.seed) for name in classes}}

    def class_scores(self, config: ClassificationConfig, cases: Cases) -> tuple[np.ndarray, np.ndarray]:
        classes = config.data.classes
        return cases.table("score", classes), cases.number_of("true", classes)

    def scores_of(self, config: ClassificationConfig, model: Any, images: Sequence[str | Path]) -> np.ndarray:
        """Return scores [n, classes] of image files: read, resized, /255 (Senthil Kumar et al. 2022)."""
        data, head, rows = config.data, self.head(config, model), []
        answer = averaged(model, averaged_mirrors(config))
        with no_grad():
            for path in images:
                picture = as_tensors(read_picture(Path(path), data), device_of(model))
                rows.append(head.scores(as_array(answer(picture))))
        return np.concatenate(rows)

    def predict(
        self,
        folder: Path,
        config: ClassificationConfig,
        model: Any,
        files: Sequence[Path],
        out: Path | None,
        overlays: bool,
    ) -> Predictions:
        refuse_idle(
            {key: value for key, value in (("out", out), ("overlays", overlays)) if value},
            {"out": (False, "a classification writes no files"), "overlays": (False, "there is nothing to draw")},
        )
        result, classes = Predictions(), config.data.classes
        for file in files:
            try:
                scores = self.scores_of(config, model, [file])[0]
            except UserError as error:
                result.errors.append(str(error).partition("; ")[0])
                continue
            best = int(scores.argmax())
            percentage = round(100 * float(scores[best]), 4)
            each = {name: float(score) for name, score in zip(classes, scores, strict=True)}
            result.rows.append(
                {"image": printable(file), "label": classes[best], "percentage": percentage, "scores": each}
            )
            result.lines.append(f"{printable(file)}: {classes[best]} {percentage:.2f} %")
        return result

    def case_errors(self, config: ClassificationConfig, cases: Cases) -> np.ndarray:
        scores, labels = self.class_scores(config, cases)
        rest = np.where(np.eye(scores.shape[1], dtype=bool)[labels], -np.inf, scores).max(axis=1)
        errors: np.ndarray = rest - scores[np.arange(len(labels)), labels]
        return errors

    def output_names(self, config: ClassificationConfig) -> list[str]:
        return config.data.classes

    def exported(self, config: ClassificationConfig, model: Any, averaged: bool | None) -> tuple[Any, dict[str, Any]]:
        mirrors = averaged_mirrors(config)
        if averaged is not None and not mirrors:
            raise UserError("--average-flips: has no effect here: the run answers for an image as it is")
        if not mirrors:
            return model, {}
        if averaged is False:
            return model, {"mirrors": "not averaged, though the run's own answers and figures are means over mirrors"}
        names: dict[Axes, str] = {(HORIZONTAL,): "left-right", (VERTICAL,): "up-down"}
        told = ", ".join(names.get(axes, "both") for axes in mirrors)
        return average_in_place(model, mirrors), {"mirrors": f"averaged in the graph: the image, {told}"}

    def export_metadata(self, config: ClassificationConfig) -> dict[str, Any]:
        meaning = MEANING[config.head]
        return {"positive": config.positive, "preparation": picture_preparation(config), "scores": meaning}


MEANING = {
    "sigmoid": "sigmoid of each output; the largest is the answer",
    "softmax": "softmax over the outputs; the largest is the answer",
    "own": "the largest output is the answer",
}
TASK = Classification()
