"""What a task is: all that tells classification from segmentation, detection and the tasks to come.

A task is one file of `tinymed/tasks/` that ends in `TASK = ...`.  Everything else asks the task, never for its name.
The life of a run, in the order of the methods:

    config_from_options -> read_data -> divide -> complete -> head, training_batches, validation -> measure -> show
                                                                                      -> evaluate, predict, export
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Generic, Protocol, TypeVar

import numpy as np

from ...data.dicom.privacy import is_hidden, pseudonym
from ...errors import UserError
from ...metrics.measures import Measure
from ..heads.head import Head
from ..inference.views import Place, View, read_pixels, whole_view
from ..results.rows import Cases, Row
from .config import RunConfig, Shortcuts
from .division import fold_of
from .network import Outputs, default_networks, gives_picture, make_model, output_shapes, takes_several
from .options import Option, Options, task_options

C = TypeVar("C", bound=RunConfig)
Data = TypeVar("Data")  # one set of images with what is to be learnt of them
Ask = Callable[[str], str]
Asked = tuple[str | None, str | None]  # --postprocess and --crf, as they were written


class Batches(Protocol):
    """What the trainer asks of a loader: see `tinymed.data.Loader`."""

    dataset: Any

    def __len__(self) -> int: ...

    def epoch(self, epoch: int = 0, start_batch: int = 0) -> Any: ...


class Fitted(Protocol):
    """What validation sees of a trainer."""

    model: Any
    forward: Callable[[Any], Any]  # the model, captured
    stop: bool


Validate = Callable[[Fitted], dict[str, Any]]  # {"loss": ..., name: ...} of the validation set; {} when told to stop


@dataclass
class Predictions:
    """What `tinymed predict` prints: rows for JSON, the same as lines of text, and what could not be read."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)


class Task(Generic[C, Data]):
    """A task.  Methods take the configuration, so that one object serves all runs."""

    name: ClassVar[str]
    several: ClassVar[bool] = False  # whether `predict` gives a row for each thing in an image, not one for the image
    needs: ClassVar[str] = ""  # what --data must be, where there is no built-in set
    wants: ClassVar[str]  # what it asks of a network, for messages
    marks: ClassVar[tuple[str, ...]] = ()  # columns of a list, or names in a folder, that speak for this task
    embeds: ClassVar[bool] = False  # whether the outputs are an embedding, to be compared by the cosine
    instead: ClassVar[str] = ""  # of a task without an answer about one image: what is done instead, {run} the folder
    pictures: ClassVar[bool] = False  # whether the outputs are a picture, not scores
    Config: type[C]
    Shortcuts: type[Shortcuts]

    @property
    def options(self) -> dict[str, Option]:
        """Return the options of the command line that it uses."""
        return task_options(self.Config, self.Shortcuts)

    # ------------------------------------------------------------------------------------- the configuration

    def config_from_options(self, given: Options) -> C:
        """Return the configuration as far as the options decide it, before an image is read in full.

        Raises UserError for an option that would have no effect, or a network that does not serve the task.
        """
        raise NotImplementedError

    def complete(self, config: C, sets: dict[str, Data], given: Options, ask: Ask | None) -> tuple[C, list[str]]:
        """Return (the configuration with what depends on the data, lines that tell the user what will be learnt).

        What depends on the data: classes, weights, statistics, the fingerprint.  Raises UserError.
        """
        raise NotImplementedError

    # --------------------------------------------------------------------------------------------- the data

    def read_data(self, config: C) -> dict[str, Data]:
        """Return the data as they divide themselves: {"all": ...}, or {"train": ..., ...}.  Raises UserError."""
        raise NotImplementedError

    def divide(self, config: C, sets: dict[str, Data]) -> dict[str, Data]:
        """Return {"train": ..., "val": ..., perhaps "test": ...}: what the data do not divide is cut."""
        raise NotImplementedError

    def open_data(self, config: C) -> dict[str, Data]:
        """Return the data, divided.  Raises UserError."""
        return self.divide(config, self.fold(config, self.read_data(config)))

    def fold(self, config: C, sets: dict[str, Data]) -> dict[str, Data]:
        """Return the sets, or those of the fold that a run of a cross-validation is of.  Raises UserError."""
        return fold_of(sets, config.data, config.seed)

    def fingerprint(self, config: C, sets: dict[str, Data]) -> str:
        """Return what tells these images and labels from others, in hex."""
        raise NotImplementedError

    def open_path(self, config: C, path: str, skip_bad: bool = False) -> dict[str, Data]:
        """Return the sets of a path that a trained run is measured on."""
        raise NotImplementedError

    def choose_part(self, sets: dict[str, Data], split: str | None, where: str, own: bool) -> Data:
        """Return one of the sets: `split`, else the whole of a path, else test, else val.  Raises UserError.

        own: whether they are the run's own data, of which the training part is not measured unless asked for.
        """
        order = ["test", "val"] if own else ["all", "test", *sets]
        name = split or next((n for n in order if n in sets), "test")
        if name not in sets:
            raise UserError(f"{where}: has no part {name!r}; choose --split {' or '.join(sets)}")
        return sets[name]

    # ------------------------------------------------------------------------------------------ the network

    def model_arguments(self, config: C) -> dict[str, Any]:
        """Return the keyword arguments that it wants of a network; those that a network lacks are left out."""
        raise NotImplementedError

    def make_model(self, config: C) -> Any:
        """Return a new network.  Raises UserError for a name or option that it lacks."""
        return make_model(config.model, config.seed, config.model_options, self.model_arguments(config))

    def sees(self, config: C) -> tuple[int, ...]:
        """Return (channels, *space) of what the network is shown."""
        return (config.data.channels, config.data.size, config.data.size)

    def serves(self, image: tuple[int, ...], outputs: Outputs) -> bool:
        """Say whether a network with these outputs for an image [channels, *space] is one for this task."""
        raise NotImplementedError

    def check_model(self, config: C, model: Any) -> Outputs:
        """Return the shapes of the network's outputs.  Raises UserError where it does not serve the task.

        model: may be made without memory for its weights.
        """
        if takes_several(config.model):
            raise UserError(f"{config.model}: takes several images at once; {self.advise(config)}")
        if not self.pictures and gives_picture(config.model):
            raise UserError(
                f"{config.model}: is no network for {self.wants}: it restores pictures; {self.advise(config)}"
            )
        image = self.sees(config)
        try:
            outputs = output_shapes(model, image[0], image[1:])
        except (ValueError, TypeError, IndexError) as error:
            if not self.fits_somewhere(config, image):
                raise UserError(f"{config.model}: is no network for {self.wants}; {self.advise(config)}") from None
            sides = ", ".join(map(str, image[1:]))
            raise UserError(f"--size or --patch {sides}: {config.model} takes no such images: {error}") from None
        if not self.serves(image, outputs):
            raise UserError(
                f"{config.model}: is no network for {self.wants}: for an image {list(image)} it gives "
                f"{' and '.join(str(list(o)) for o in outputs)}; {self.advise(config)}"
            )
        return outputs

    def fits_somewhere(self, config: C, image: tuple[int, ...]) -> bool:
        """Say whether a network serves the task at the size that it takes by default."""
        return config.model in self.networks(len(image))

    def networks(self, axes: int) -> list[str]:
        """Return the names of the networks that serve the task as they are made by default.

        axes: 3 of pictures (channels, rows, columns), 4 of volumes.
        """
        return self.networks_by_axes().get(axes, [])

    def networks_by_axes(self) -> dict[int, list[str]]:
        """Return `networks` of each number of axes."""
        found: dict[int, list[str]] = {}
        for name, image, outputs in default_networks():
            if self.serves(image, outputs) and (self.pictures or not gives_picture(name)):
                found.setdefault(len(image), []).append(name)
        return found

    def advise(self, config: C) -> str:
        """Return which networks to choose instead, for a message."""
        return f"choose one of {', '.join(self.networks(len(self.sees(config))))}"

    def head(self, config: C, model: Any, weighted: bool = True) -> Head:
        """Return the loss and the meaning of outputs; weighted: with the class weights of training."""
        raise NotImplementedError

    # -------------------------------------------------------------------------------- training and measuring

    def training_batches(self, config: C, dataset: Data, model: Any) -> Batches:
        """Return shuffled and augmented batches."""
        raise NotImplementedError

    def optimizer(self, config: C, model: Any) -> Any:
        """Return the optimiser of a task that trains in its own way; None: the one that the configuration names."""
        return None

    def step(self, config: C, model: Any, optimizer: Any) -> Callable[[Any, Any], tuple[Any, Any]] | None:
        """Return the step (images, targets) -> (loss, outputs) of such a task; None: the loss of its head falls."""
        return None

    def validation(self, config: C, dataset: Data) -> tuple[Batches | None, Validate | None]:
        """Return (a loader, None) where a classifier's measures serve, or (None, a function that measures)."""
        raise NotImplementedError

    def measure(self, config: C, model: Any, dataset: Data) -> tuple[dict[str, Any], Any]:
        """Return (metrics with intervals, what they were computed from) of a model on a whole set."""
        raise NotImplementedError

    # ---------------------------------------------------------------------------------------------- results

    def text(self, config: C, result: dict[str, Any], title: str) -> str:
        """Return an evaluation as text."""
        raise NotImplementedError

    def save_results(
        self, folder: Path, config: C, model: Any, dataset: Data, result: dict[str, Any], details: Any, title: str
    ) -> None:
        """Write pictures and tables of one part, the last that was measured, into the run's folder."""
        raise NotImplementedError

    def case_rows(self, folder: Path, config: C, dataset: Data, details: Any) -> list[Row]:
        """Return what was predicted of each image beside what is true, as predictions.csv lists it; "path" first.

        details: what `measure` computed its metrics from.
        """
        raise NotImplementedError

    def groups_of(self, dataset: Data) -> np.ndarray | None:
        """Return the group, such as a patient, of each row of `case_rows`; None where each stands alone."""
        groups: np.ndarray | None = dataset.groups  # type: ignore[attr-defined]
        return groups

    def figures(self, config: C, cases: Cases) -> dict[str, Measure]:
        """Return the measures of a list of predictions, the one that is looked at first being the first.

        cases: the columns of predictions.csv; a column "fold" is there where they are of several networks.
        """
        raise NotImplementedError

    def tables(self, config: C, cases: Cases) -> dict[str, dict[str, dict[str, Measure]]]:
        """Return the measures of a list of predictions that the metrics have in tables: table -> row -> measures."""
        return {}

    def class_scores(self, config: C, cases: Cases) -> tuple[np.ndarray, np.ndarray] | None:
        """Return (scores [n, classes], class numbers [n]) of a list of predictions; None where images have no class."""
        return None

    def case_errors(self, config: C, cases: Cases) -> np.ndarray | None:
        """Return how wrong each image of a list of predictions is, the worst being the largest; None where untold."""
        return None

    def predict(
        self, folder: Path, config: C, model: Any, files: Sequence[Path], out: Path | None, overlays: bool
    ) -> Predictions:
        """Return what the network says of files, and write it into `out` where the task makes files.

        A file that cannot be read is named in the errors; the others are predicted.
        """
        raise NotImplementedError

    def check_answers(self, folder: Path) -> None:
        """Raise UserError where a run of this task has no answer about one image: before `predict` and `serve`."""
        if self.instead:
            raise UserError(f"{folder}: {self.instead.format(run=folder)}")

    def measure_refined(
        self, folder: Path, config: C, model: Any, dataset: Data, val: Callable[[], Data], wanted: Asked
    ) -> dict[str, Any]:
        """Return metrics of a set after post-processing, and what it changes, paired by image.

        val: returns the validation set, on which "auto" chooses; the choice is written into the run's folder.  wanted:
        --postprocess and --crf.  Raises UserError for a task without post-processing.
        """
        raise UserError(f"--postprocess, --crf: have no effect here: they are of segmentations, this is {self.name}")

    def predict_refined(
        self,
        folder: Path,
        config: C,
        model: Any,
        files: Sequence[Path],
        out: Path | None,
        overlays: bool,
        wanted: Asked,
        masks: str | None = None,
    ) -> Predictions:
        """Return what `predict` does, after post-processing, with masks in a format of one's own choice.

        masks: png, nifti or dicom-seg; None: as the images are.  Raises UserError for a task without masks.
        """
        raise UserError(
            f"--postprocess, --crf, --masks: have no effect here: they are of segmentations, this is {self.name}"
        )

    def output_names(self, config: C) -> list[str]:
        """Return what each number that the network gives for an image stands for; [] where it gives something else."""
        return []

    def map_names(self, config: C) -> list[str]:
        """Return what explanations can be of: numbers of an image, classes of its mask or boxes; [] of nothing."""
        return self.output_names(config)

    def without_maps(self, config: C) -> str:
        """Return why a run has nothing that an explanation could be of, and what to do, where `map_names` is empty."""
        return (
            f"{self.name} gives neither numbers of an image nor a mask or boxes of it; explanations are of runs with "
            "classes, grades, findings or a number for each image, and of masks and boxes"
        )

    def explained(self, config: C, model: Any, image: np.ndarray) -> Any:
        """Return the network as one with an output for each of `map_names`, asked about an image as it sees it."""
        return model

    def place_form(self, config: C) -> str:
        """Return how one place of an image is written, for which there is an answer; "" where there are none."""
        return ""

    def place_names(self, config: C) -> list[str]:
        """Return what an explanation of one place can be of."""
        return []

    def views(self, config: C, model: Any, path: Path, place: Place | None = None) -> list[View]:
        """Return what the network sees of a file, each view with the network as it is asked about it.

        place: what is asked about, as `place_form` says, one of `place_names`; None: all of it, one of `map_names`.
        Raises UserError for what cannot be read, or for a place outside it.
        """
        pixels = read_pixels(path, config.data)
        return [whole_view(pixels, config.data, lambda image: self.explained(config, model, image))]

    def exported(self, config: C, model: Any, averaged: bool | None) -> tuple[Any, dict[str, Any]]:
        """Return (the network as an exported file has it, what the file's metadata say of that).

        averaged: whether outputs are averaged over mirrors; None: as the run answers.  Raises UserError.
        """
        if averaged is not None:
            raise UserError(f"--average-flips: has no effect here: a run of {self.name} averages nothing over mirrors")
        return model, {}

    def export_metadata(self, config: C) -> dict[str, Any]:
        """Return what a program must know to use the exported network: {"preparation": ..., "scores": text, ...}."""
        raise NotImplementedError


def picture_preparation(config: RunConfig) -> dict[str, Any]:
    """Return how a picture is prepared for a network that sees it whole, for `export_metadata`."""
    data = config.data
    whole, triangle = getattr(data, "whole", False), "the triangle filter, widened when shrinking"
    planes = {"planes": "of a volume in RAS+ the middle ones across z, y and x, as channels"}
    axes = "in RAS+, depth along z, rows along -y, columns along x"
    volume = {"volume": axes, "range": "0 to 255 is the window, without one the .5th to the 99.5th percentile"}
    return (volume if whole else planes if getattr(data, "planes", False) else {}) | {
        "layout": f"N, channels, {'depth, ' if whole else ''}height, width",
        "channels": data.channels,
        "colour": {1: "grey", 3: "RGB"}.get(data.channels, "as stored"),
        "size": [data.size] * (3 if whole else 2),
        "resize": f"{triangle}, along each axis" if whole else f"Pillow BILINEAR ({triangle}), on 8-bit values",
        "scale": "divide 8-bit values by 255",
        "normalise": "(x - mean) / std",
        "mean": data.mean or 0.0,
        "std": data.std or 1.0,
    }


def fingerprint_samples(sets: dict[str, Any], root: str | None) -> str:
    """Return SHA-256, in hex, of every image's name below `root` (or pixels, of an array) and label, split by split."""
    import hashlib

    sha = hashlib.sha256()
    for name, dataset in sets.items():
        sha.update(f"{name} {len(dataset)} {dataset.classes}\n".encode())
        if isinstance(dataset.samples, np.ndarray):
            sha.update(np.ascontiguousarray(dataset.samples).data)
        else:
            base = Path(root or ".")
            for i, path in enumerate(map(Path, dataset.samples)):
                shown = (path.relative_to(base) if path.is_relative_to(base) else path).as_posix()
                if is_hidden(path):  # by its content, which is the same whatever it is called and whoever has the key
                    shown = dataset.hashes[i].hex() if dataset.hashes else pseudonym("file", shown)
                sha.update(os.fsencode(f"{shown}\n"))
        sha.update(dataset.labels.astype("<i8").data)
    return sha.hexdigest()


def refuse_divided(given: Options, sets: Sequence[str], where: str) -> None:
    """Raise UserError for options of the division of data that are divided already; sets: the parts that they have."""
    unused = ["split", "val_fraction", "test_fraction"] if {"train", "val"} <= set(sets) else []
    if "train" in sets and "val" not in sets:
        unused = ["test_fraction"]
    for name in unused:
        if name in given:
            raise UserError(
                f"--{name.replace('_', '-')}: has no effect here: {where} is divided already, into {', '.join(sets)}"
            )
