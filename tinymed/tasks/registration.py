"""Registration: a network that predicts how one image is to be bent onto another, learnt without labels.

It is shown two images of different patients, their centres lying together, and gives a displacement for each pixel; the
loss compares the images after it, and holds the field smooth (Balakrishnan et al. 2019).  Labels are looked at by the
measures alone: how well a structure of the one image lies on that of the other, before and after.  Without masks the
measures are how unlike the images are, before and after, and how much of space folds.  With --align affine each pair is
first aligned by a quick affine search, wherever pairs are seen.  A trained network registers a pair in one pass, where
`tinymed register` otherwise searches: its option --network names the run.
"""

import hashlib
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np

from ..data.dataset import Dataset
from ..data.device_batches import as_array, as_tensors, device_of
from ..data.labels import parse_labels
from ..data.masks import MaskDataset, check_pairs
from ..errors import UserError
from ..metrics.measures import Measure
from ..metrics.segmentation import label_metrics
from ..nn.init import no_weights
from ..registration.beginning import Beginning
from ..registration.fields import FieldPredictor, brought, dense
from ..registration.optimise import finished
from ..registration.output import draw
from ..registration.pairs import Pairs
from ..registration.sets import has_masks, masks_of, open_images, size_of
from ..registration.spaces import Image, read_image
from ..registration.transforms import displacement_in_world, jacobian_determinant, warp
from ..report.paths import below
from ..schema import Strict, checked, setting
from ..tape import no_grad
from .base.config import AugmentConfig, DataConfig, RunConfig, Shortcuts, named_columns
from .base.division import divide
from .base.network import Outputs
from .base.options import Option, Options, config_from_options, data_folder, model_options, refuse_foreign, refuse_idle
from .base.task import Ask, Batches, Fitted, Task, Validate, fingerprint_samples
from .heads.field_head import FieldHead
from .inference.class_scores import predict_scores
from .results.registered_results import (
    FLOOR,
    evaluate_pairs,
    pair_figures,
    registered_figures,
    registered_rows,
    registered_text,
)
from .results.rows import Cases, Row

DEFAULTS: dict[str, Any] = {
    "model": "field_unet",
    "head": "field",
    "epochs": 40,
    "batch": 4,
    "keep": "best",
    "schedule": "cosine",
}
COLUMNS = ("path_column", "mask_column", "split_column", "group_column", "suffix")
UNUSED = frozenset(  # options of other tasks: images are shown as they are, each at its own size
    [
        *AugmentConfig.model_fields,
        "augment",
        "flip",
        "size",
        "grey",
        "normalise",
        "preprocess",
        "class_weights",
        "white",
        "window",
        "page",
    ]
)
BEGINNINGS = {"centre": "centres together", "mass": "centres of mass together", "none": "headers' places"}
Sets = dict[str, Dataset]


class FieldConfig(Strict):
    """What makes two images alike, and what the network is shown."""

    panel: ClassVar[str] = "Registration"
    loss: Literal["ncc", "local-ncc", "mi", "ssd"] = setting(
        "ncc", "What is made small; mi for images of different kinds.", shown="the task's own"
    )
    smoothness: float = setting(1.0, "Weight of the field's mean squared derivative.", ge=0, allow_inf_nan=False)
    ncc_window: int = setting(9, "Side of the window of --loss local-ncc, in pixels, odd.", ge=3, le=101)
    init: Literal["centre", "mass", "none"] = setting(
        "centre", "What lies together before: centres, centres of mass, the headers' places.", option="begin"
    )
    align: Literal["none", "affine"] = setting(
        "none", "Search an affine map of each pair behind that, quickly, before the field is predicted."
    )
    values: list[tuple[int, str]] = []  # what the masks' values mean
    sides: list[int] = []  # of what the network is shown in training: the largest image's


class RegistrationData(DataConfig):
    """What registration reads beside images."""

    mask_column: str | None = setting(None, "Column of the mask's file in a list; by default found by usual names.")


class RegistrationConfig(RunConfig):
    """A run that registers."""

    task: Literal["registration"] = setting("registration", "What the network learns.", panel="Run")
    head: Literal["field"] = "field"
    data: RegistrationData
    field: FieldConfig = FieldConfig()
    monitor: Literal["val_loss"] = setting("val_loss", "What improves.")


class RegistrationShortcuts(Shortcuts):
    """Options that need the data."""

    labels: str | None = setting(None, "What the masks' values mean: 0=background,255=lesion.", panel="Segmentation")


class Registration(Task[RegistrationConfig, Dataset]):
    """A field that brings one image onto another."""

    name = "registration"
    instead = "brings one image onto another: tinymed register FIXED MOVING --network {run}"
    pictures = True
    needs = "a folder or a list of images; masks, where there are any, are looked at by the measures alone"
    wants = "registration (a displacement for each pixel of a pair of images)"
    Config = RegistrationConfig
    Shortcuts = RegistrationShortcuts

    @property
    def options(self) -> dict[str, Option]:
        return {name: option for name, option in super().options.items() if name not in UNUSED}

    # ------------------------------------------------------------------------------------- the configuration

    def config_from_options(self, given: Options) -> RegistrationConfig:
        refuse_foreign(given, self.options, self.name, self.options)
        local = given.get("loss") == "local-ncc"
        refuse_idle(
            given,
            {
                "ncc_window": (local, "it is of --loss local-ncc"),
                "freeze_statistics": ("freeze" in given, "it is of the layers that --freeze names"),
            },
        )
        values = parse_labels(given["labels"]) if "labels" in given else None
        columns = {name: given[name] for name in COLUMNS if name in given}
        found = open_images(given["data"], values, "error", verify=False, **dict.fromkeys(COLUMNS) | columns)
        first = next(iter(found.values()))
        if isinstance(first, MaskDataset) and first.more:
            raise UserError(f"{given['data']}: cases have several modalities; a pair of images has one each")
        last = given.get("split") == "last"
        wanted: dict[str, Any] = {"val_fraction": 0.3 if last else 0.15, "test_fraction": 0.0 if last else 0.15}
        wanted |= DEFAULTS | dict(given) | {"data": data_folder(given)}
        if "steps" in given and "epochs" not in given:
            wanted["epochs"] = None
        sides = np.max([size_of(part, i) for part in found.values() for i in range(len(part))], axis=0).tolist()
        meaning = first.meaning.values if isinstance(first, MaskDataset) else {}
        field = {"sides": sides, "values": list(meaning.items())}
        wanted["detected"] = {
            "model_options": model_options(given),
            "data": {"channels": 1, "size": max(sides)},
            "field": field,
        }
        config: RegistrationConfig = config_from_options(RegistrationConfig, self.options, wanted)
        with no_weights():
            self.check_model(config, self.make_model(config))
        return config

    def complete(
        self, config: RegistrationConfig, sets: Sets, given: Options, ask: Ask | None
    ) -> tuple[RegistrationConfig, list[str]]:
        for name, part in sets.items():
            if len(part) < 2:
                raise UserError(
                    f"{config.data.path} [{name}]: {len(part)} image; a pair needs two: give more images, or divide "
                    "them otherwise by --val-fraction and --test-fraction"
                )
            if isinstance(part, MaskDataset):
                check_pairs(part)
        fields = {"classes": sets["train"].classes, "fingerprint": self.fingerprint(config, sets)}
        content = config.model_dump() | {"data": config.data.model_dump() | fields}
        result = checked(lambda: RegistrationConfig.model_validate(content))
        shown = ", ".join(f"{name} {len(part)}" for name, part in sets.items())
        kind = "volumes" if len(config.field.sides) == 3 else "images"
        sides = " x ".join(map(str, config.field.sides))
        labels = (
            "labels are not learnt from"
            if masks_of(sets["train"])
            else "there are no masks, so that figures are of similarity and folding alone, without Dice"
        )
        first = ", aligned affinely before" if config.field.align == "affine" else ""
        return result, [
            f"{config.model}, {shown} {kind}, each beside another{first}, on {sides} pixels",
            f"compared by {config.field.loss}, smoothness {config.field.smoothness:g}; {labels}",
        ]

    # --------------------------------------------------------------------------------------------- the data

    def read_data(self, config: RegistrationConfig) -> Sets:
        return self.open(config, str(config.data.path), config.data.leaks)

    def open(self, config: RegistrationConfig, path: str, leaks: str) -> Sets:
        """Return the sets of a path.  Raises UserError."""
        values = dict(config.field.values) if has_masks(Path(path)) else {}
        return open_images(path, values or None, leaks, **named_columns(config.data, "mask_column"))

    def divide(self, config: RegistrationConfig, sets: Sets) -> Sets:
        return divide(sets, config.data, config.seed, every_class=False)

    def fingerprint(self, config: RegistrationConfig, sets: Sets) -> str:
        sha = hashlib.sha256(fingerprint_samples(sets, config.data.path).encode())
        for part in sets.values():
            for path in masks_of(part):
                sha.update(hashlib.sha256(path.read_bytes()).digest())
        return sha.hexdigest()

    def open_path(self, config: RegistrationConfig, path: str, skip_bad: bool = False) -> Sets:
        return self.open(config, path, "ignore")

    # ------------------------------------------------------------------------------------------ the network

    def model_arguments(self, config: RegistrationConfig) -> dict[str, Any]:
        return {"rank": len(config.field.sides)}

    def sees(self, config: RegistrationConfig) -> tuple[int, ...]:
        return (2, *config.field.sides)

    def serves(self, image: tuple[int, ...], outputs: Outputs) -> bool:
        return image[0] == 2 and len(outputs) == 1 and outputs[0][1:] == (len(image) - 1, *image[1:])

    def head(self, config: RegistrationConfig, model: Any, weighted: bool = True) -> FieldHead:
        return FieldHead(config.field.loss, config.field.ncc_window, config.field.smoothness)

    # -------------------------------------------------------------------------------- training and measuring

    def begin(self, config: RegistrationConfig) -> Beginning:
        """Return what lies together before the network is asked."""
        part = config.field
        return Beginning(part.init, part.align, part.loss, part.ncc_window)

    def pairs(self, config: RegistrationConfig, dataset: Dataset, training: bool) -> Pairs:
        """Return pairs of a set: for training new ones each epoch, else each image with the next."""
        sides, begin = tuple(config.field.sides), self.begin(config)
        more: dict[str, Any] = {"shuffle": training, "seed": config.seed, "workers": config.workers}
        return Pairs(dataset, config.batch, sides, begin, **more)

    def training_batches(self, config: RegistrationConfig, dataset: Dataset, model: Any) -> Batches:
        return self.pairs(config, dataset, training=True)

    def validation(self, config: RegistrationConfig, dataset: Dataset) -> tuple[Batches | None, Validate | None]:
        loader, head = self.pairs(config, dataset, training=False), self.head(config, None)

        def validate(trainer: Fitted) -> dict[str, Any]:
            """Return the loss of each image beside the next."""
            shape = (0, len(config.field.sides), *config.field.sides)
            found = predict_scores(trainer.model, loader, head, lambda: trainer.stop, trainer.forward, empty=shape)
            return {} if trainer.stop else {"loss": found[2]}

        return None, validate

    def measure(self, config: RegistrationConfig, model: Any, dataset: Dataset) -> tuple[dict[str, Any], list[Row]]:
        ask, head, begin = FieldPredictor(model), self.head(config, model), self.begin(config)
        pairs = self.pairs(config, dataset, training=False)
        rows: list[Row] = []
        for index, other in enumerate(pairs.partners(0).tolist()):
            fixed, moving = (read_any(dataset, i) for i in (index, other))
            start = begin(fixed, moving)
            pair = np.stack([fixed.grey, brought(fixed, moving, start)])
            field = ask.field(pair)
            transform = dense(start, field)
            names = (below(dataset.name(i), config.data.path) for i in (index, other))
            row: Row = dict(zip(("path", "moving"), names, strict=True))
            row |= losses(head, pair, field, device_of(model))
            row["displacement"] = float(np.sqrt((field.astype(np.float64) ** 2).sum(0)).mean())
            change = jacobian_determinant(displacement_in_world(transform, fixed.space), fixed.space)
            row["folded"] = float((change <= 0).mean())
            for name, how in (("dice", transform), (FLOOR, start)):
                row |= overlaps(dataset, index, other, how, fixed, name)
            rows.append(row)
        return evaluate_pairs(rows, structures(dataset), config.seed), rows

    # ---------------------------------------------------------------------------------------------- results

    def text(self, config: RegistrationConfig, result: dict[str, Any], title: str) -> str:
        part = config.field
        return registered_text(result, title, "aligned affinely" if part.align == "affine" else BEGINNINGS[part.init])

    def save_results(
        self,
        folder: Path,
        config: RegistrationConfig,
        model: Any,
        dataset: Dataset,
        result: dict[str, Any],
        details: Any,
        title: str,
    ) -> None:
        order = np.argsort(pair_figures(details, structures(dataset)), kind="stable")
        index = int(order[len(order) // 2])  # the pair in the middle
        other = int(self.pairs(config, dataset, training=False).partners(0)[index])
        fixed, moving = (read_any(dataset, i) for i in (index, other))
        transform = FieldPredictor(model)(fixed, moving, self.begin(config)(fixed, moving))
        draw(finished(transform, 0.0, 0.0, [], fixed, moving), fixed, moving, folder / "registered.png")

    def case_rows(self, folder: Path, config: RegistrationConfig, dataset: Dataset, details: Any) -> list[Row]:
        return registered_rows(details, structures(dataset))

    def figures(self, config: RegistrationConfig, cases: Cases) -> dict[str, Measure]:
        return registered_figures(cases)

    def case_errors(self, config: RegistrationConfig, cases: Cases) -> np.ndarray:
        return -cases.numbers("dice") if "dice" in cases else cases.numbers("unlike")

    def export_metadata(self, config: RegistrationConfig) -> dict[str, Any]:
        steps = {
            "layout": "N, 2 (the image that stays, the one that moves on its pixels), then space",
            "scale": "the 1st percentile of each image is 0, the 99th 1",
            "begin": f"the images' {config.field.init} lie together, then an affine map: {config.field.align}",
        }
        return {"positive": "", "preparation": steps, "scores": "displacements in pixels, in the order of the axes"}


def read_any(dataset: Dataset, index: int) -> Image:
    """Return an image of a set with its place in space."""
    return read_image(Path(str(dataset.samples[index])))


def structures(dataset: Dataset) -> list[str]:
    """Return the names of the labels that are compared: all but the background; none without masks."""
    return list(dataset.classes[1:]) if masks_of(dataset) else []


def losses(head: FieldHead, pair: np.ndarray, field: np.ndarray, place: Any) -> dict[str, float]:
    """Return the loss of a field, and how unlike the pair's images are after it and before."""
    alike = FieldHead(head.loss, head.window, 0.0)
    shown = as_tensors(pair[None], place)
    with no_grad():
        return {
            name: float(as_array(by(as_tensors(moved[None], place), shown)))
            for name, by, moved in (
                ("loss", head, field),
                ("unlike", alike, field),
                ("unlike before", alike, 0 * field),
            )
        }


def overlaps(dataset: Any, index: int, other: int, how: Any, fixed: Image, name: str) -> Row:
    """Return Dice of each structure after the other image's labels were brought over by the nearest pixel."""
    if not structures(dataset):
        return {}
    moved = warp(dataset.mask(other)[..., None], how, fixed.space.size, "nearest")[..., 0].astype(np.uint8)
    found = label_metrics(dataset.mask(index), moved, len(dataset.classes), distances=False)["dice"]
    return {f"{name} {c}": np.nan if d is None else d for c, d in zip(dataset.classes[1:], found[1:], strict=True)}


TASK = Registration()
