"""What tasks share whose network sees a whole picture and gives one row of outputs for it.

A task says how its data are opened, how many outputs it wants, what they mean (its head) and how they are measured;
options, division, loaders, validation and prediction are the same for all of them.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

import numpy as np

from ...data.augment import Mixing
from ...data.dataset import Dataset
from ...data.device_batches import as_array, as_tensors, device_of
from ...data.loader import Loader
from ...errors import UserError, printable
from ...models import default_size
from ...nn.init import no_weights
from ...report.paths import below
from ...schema import setting
from ...tape import no_grad
from ..inference.class_scores import predict_scores
from ..inference.views import read_picture
from .augmentation import augmentation_rules
from .config import DataConfig, RunConfig, Shortcuts
from .division import divide, share_skipped
from .network import Outputs, default_channels
from .options import Options, config_from_options, data_folder, model_options, refuse_foreign, refuse_idle
from .preprocess import statistics
from .task import Batches, Fitted, Predictions, Task, Validate, fingerprint_samples, picture_preparation
from .training import training_rules

COLUMNS = ("path_column", "label_column", "split_column", "group_column", "suffix")
DEFAULTS = {"model": "dcnn", "epochs": 40, "batch": 32, "keep": "best", "schedule": "cosine"}


class UnlabelledData(DataConfig):
    """What these tasks read beside images."""

    skip_bad: bool = setting(False, "Leave unreadable images out and list them.")


class PictureData(UnlabelledData):
    """What those with a label a picture read besides."""

    label_column: str | None = setting(None, "Column of the label in a list; by default found by its usual names.")


class PictureConfig(RunConfig):
    """A run whose network sees a whole picture."""

    data: UnlabelledData


C = TypeVar("C", bound=PictureConfig)
D = TypeVar("D", bound=Dataset)


def picture_loader(
    dataset: Any, config: Any, *, training: bool = False, mixing: Mixing | None = None, **sampling: Any
) -> Loader:
    """Return the loader of a set; for training it is shuffled and augmented, and may be sampled and mix pictures.

    sampling: `sampling` and `beta` of `Loader`, of training.
    """
    data = config.data
    return Loader(
        dataset,
        config.batch,
        data.size,
        data.channels,
        shuffle=training,
        augment=config.augment.settings() if training else None,
        mixing=mixing,
        seed=config.seed,
        workers=config.workers,
        mean=data.mean,
        std=data.std,
        **(sampling if training else {}),
    )


class PictureTask(Task[C, D], Generic[C, D]):
    """A task whose network sees a whole picture and gives one row of outputs."""

    needs = "a .csv list of images, or a folder with splits.csv"
    Shortcuts = Shortcuts
    defaults: ClassVar[dict[str, Any]] = DEFAULTS
    every_class: ClassVar[bool] = False  # whether each part that is cut off must have each class
    epoch_measures: ClassVar[tuple[str, ...]]  # of the validation set, besides the loss

    # --------------------------------------------------------------------------- what each task says for itself

    def open(self, config: C, path: str, leaks: str, skip_bad: bool) -> dict[str, D]:
        """Return the sets of a path.  Raises UserError."""
        raise NotImplementedError

    def outputs(self, config: C) -> int:
        """Return how many outputs the network has; 0 while the data are not known."""
        raise NotImplementedError

    def evaluate(self, config: C, scores: np.ndarray, truth: np.ndarray, resamples: int) -> dict[str, Any]:
        """Return the measures of what the head makes of the outputs, against what `Dataset.targets` gives."""
        raise NotImplementedError

    def row(self, config: C, scores: np.ndarray) -> tuple[dict[str, Any], str]:
        """Return (what is said of one picture for JSON, the same as text) from its row of scores."""
        raise NotImplementedError

    # ------------------------------------------------------------------------------------- the configuration

    def config_from_options(self, given: Options) -> C:
        refuse_foreign(given, self.options, self.name, self.options)
        self.refuse_useless(given)
        model, last = given.get("model", self.defaults["model"]), given.get("split") == "last"
        wanted: dict[str, Any] = {"val_fraction": 0.3 if last else 0.15, "test_fraction": 0.0 if last else 0.15}
        wanted |= self.defaults | dict(given)
        wanted |= {"model": model, "size": given.get("size", default_size(model)), "data": data_folder(given)}
        if "steps" in given and "epochs" not in given:
            wanted["epochs"] = None
        grey = given.get("grey")
        channels = default_channels(model) if grey is None else 1 if grey else 3
        wanted["detected"] = {"model_options": model_options(given), "data": {"channels": channels}}
        config: C = config_from_options(self.Config, self.options, wanted)
        return self.try_model(config)

    def refuse_useless(self, given: Options) -> None:
        """Raise UserError for an option that the others leave without effect."""
        path = Path(str(given["data"]))
        listed = path.suffix.lower() in (".csv", ".tsv") or (path / "splits.csv").is_file()
        refuse_idle(
            given,
            {
                **dict.fromkeys(COLUMNS, (listed, "only a list has columns: a .csv, or a folder with splits.csv")),
                "group_column": (listed or path.is_dir(), "only a list has columns, and DICOM files fields"),
                **augmentation_rules(given),
                **training_rules(given),
            },
        )

    def try_model(self, config: C) -> C:
        """Return the configuration, once a network could be made by it."""
        with no_weights():
            model = self.make_model(config)
        if hasattr(model, "loss"):
            raise UserError(
                f"{config.model}: has a loss of its own, for classes: no network for {self.wants}; "
                f"choose another, such as {self.defaults['model']}"
            )
        self.check_model(config, model)
        return config

    def check_model(self, config: C, model: Any) -> Outputs:
        found, wanted = super().check_model(config, model), self.outputs(config)
        if wanted and found[0][1] != wanted:
            raise UserError(
                f"{config.model}: gives {found[0][1]} outputs an image, and {self.name} needs {wanted} here; choose "
                f"another network, such as {self.defaults['model']}"
            )
        return found

    def data_fields(self, config: C, sets: dict[str, D], given: Options) -> dict[str, Any]:
        """Return the part "data" of the configuration with what depends on the images."""
        data = config.data.model_dump() | {"classes": sets["train"].classes}
        data["fingerprint"] = self.fingerprint(config, sets)
        data |= statistics(sets["train"], config.data, given)
        return data

    def describe(self, config: C, sets: dict[str, D]) -> list[str]:
        """Return lines that say which images there are, and which files were left out."""
        lines = [f"skipped {name}: {reason}" for part in sets.values() for name, reason in part.skipped]
        hashes = [key for part in sets.values() for key in part.hashes or ()]
        if copies := len(hashes) - len(set(hashes)):
            lines.append(f"note: {copies} images are copies of others, pixel for pixel")
        shown = ", ".join(f"{name} {len(part)}" for name, part in sets.items())
        return [*lines, f"{config.model}, {shown} images of {config.data.size} px"]

    # --------------------------------------------------------------------------------------------- the data

    def read_data(self, config: C) -> dict[str, D]:
        return self.open(config, str(config.data.path), config.data.leaks, config.data.skip_bad)

    def divide(self, config: C, sets: dict[str, D]) -> dict[str, D]:
        return share_skipped(sets, divide(sets, config.data, config.seed, self.every_class))

    def fingerprint(self, config: C, sets: dict[str, D]) -> str:
        sha = hashlib.sha256(fingerprint_samples(sets, config.data.path).encode())
        for part in sets.values():
            targets = part.targets(np.arange(len(part)))
            sha.update(np.ascontiguousarray(targets.astype(targets.dtype.newbyteorder("<"))).data)
        return sha.hexdigest()

    def open_path(self, config: C, path: str, skip_bad: bool = False) -> dict[str, D]:
        return self.open(config, path, "ignore", skip_bad)

    # ------------------------------------------------------------------------------------------ the network

    def model_arguments(self, config: C) -> dict[str, Any]:
        wanted: dict[str, Any] = {"in_channels": config.data.channels, "size": config.data.size}
        return wanted | ({"num_classes": self.outputs(config)} if self.outputs(config) else {})

    def serves(self, image: tuple[int, ...], outputs: Outputs) -> bool:
        return len(image) == 3 and len(outputs) == 1 and len(outputs[0]) == 2

    # -------------------------------------------------------------------------------- training and measuring

    def training_batches(self, config: C, dataset: D, model: Any) -> Batches:
        return picture_loader(dataset, config, training=True)

    def validation(self, config: C, dataset: D) -> tuple[Batches | None, Validate | None]:
        loader = picture_loader(dataset, config)

        def validate(trainer: Fitted) -> dict[str, Any]:
            head = self.head(config, trainer.model)
            found = predict_scores(trainer.model, loader, head, lambda: trainer.stop, trainer.forward)
            if trainer.stop:
                return {}
            scores, truth, loss = found
            result = self.evaluate(config, scores, truth, resamples=0)
            return {"loss": loss} | {name: result[name] for name in self.epoch_measures}

        return None, validate

    def measure(self, config: C, model: Any, dataset: D) -> tuple[dict[str, Any], Any]:
        scores, truth, loss = predict_scores(model, picture_loader(dataset, config), self.head(config, model))
        return {"loss": loss, **self.evaluate(config, scores, truth, resamples=1000)}, (scores, truth)

    # ---------------------------------------------------------------------------------------------- results

    def names(self, config: C, dataset: D) -> list[str]:
        """Return what to call the images of a set in a list: their paths below the data."""
        return [below(dataset.name(i), config.data.path) for i in range(len(dataset))]

    def predict(
        self, folder: Path, config: C, model: Any, files: Sequence[Path], out: Path | None, overlays: bool
    ) -> Predictions:
        nothing = {key: value for key, value in (("out", out), ("overlays", overlays)) if value}
        refuse_idle(nothing, {"out": (False, "no files are written"), "overlays": (False, "there is nothing to draw")})
        result, head = Predictions(), self.head(config, model)
        for file in files:
            try:
                picture = read_picture(file, config.data)
            except UserError as error:
                result.errors.append(str(error).partition("; ")[0])
                continue
            with no_grad():
                outputs = model(as_tensors(picture, device_of(model)))
            row, text = self.row(config, head.scores(as_array(outputs))[0])
            result.rows.append({"image": printable(file), **row})
            result.lines.append(f"{printable(file)}: {text}")
        return result

    def export_metadata(self, config: C) -> dict[str, Any]:
        return {"positive": "", "preparation": picture_preparation(config)}
