"""The configuration of a run: every value that decides its result, checked, with no default left open.

`RunConfig` is what all tasks share; each task extends it by what it uses and by nothing else.  A field with a
description is an option of the command line too: its name, its help, its check and its key in config.json come from
here (see `options.py`).
"""

import math
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from ...data.augment import Augment
from ...data.augment.settings import COLOUR
from ...dispatch.tables import default_name
from ...errors import UserError
from ...files import read_json
from ...precision import default_name as default_precision
from ...schema import PositiveRate, Strict, checked, setting


class FoldConfig(Strict):
    """The fold of a cross-validation that a run tests, and the parts of the data that are divided into folds."""

    parts: list[str]
    folds: int = Field(ge=2)
    fold: int = Field(ge=1)
    repeat: int = Field(default=1, ge=1)
    inner_folds: int = Field(default=0, ge=0)  # of what is left for training: the fold `inner` is then tested instead
    inner: int = Field(default=0, ge=0)
    images: int | None = Field(default=None, ge=0)  # by whose number recipes choose the network, the same in all folds


def parse_window(value: Any) -> Any:
    """Turn the text CENTRE,WIDTH of the command line into two numbers, the second above 0."""
    if not isinstance(value, str):
        return value
    try:
        centre, width = (float(part) for part in value.split(","))
    except ValueError:
        raise UserError(f"--window {value!r}: write CENTRE,WIDTH such as 40,400") from None
    if not (math.isfinite(centre) and 0 < width < math.inf):
        raise UserError(f"--window {value!r}: the centre is a finite number, and the width is one above 0")
    return centre, width


class DataConfig(Strict):
    """Which images, and how they are divided and prepared."""

    panel: ClassVar[str] = "Data"
    path: str | None = setting(
        None,
        "Folder of class folders, perhaps in train, val, test; .csv; .npz; MNIST's; for the other tasks see README. "
        "Without it: built-in synthetic blood smears.",
        option="data",
    )
    path_column: str | None = setting(None, "Column of the image's file in a list; by default found by usual names.")
    split_column: str | None = setting(None, "Column of train, val or test in a list; by default found by its name.")
    group_column: str | None = setting(
        None,
        "Column of the patient in a list, whom no split divides (by default found by usual names), or, of a folder of "
        "DICOM files, the keyword of a field of their headers.",
    )
    suffix: str | None = setting(None, "Ending that a list leaves out of the names of images, such as .jpg.")
    white: float | None = setting(
        None, "Value that is white in pictures deeper than 8 bits, such as 4095.", gt=0, allow_inf_nan=False
    )
    window: Annotated[tuple[float, float] | None, BeforeValidator(parse_window)] = setting(
        None, "Centre and width of what is to be seen of deeper pictures and of volumes, such as 40,400."
    )
    page: int | None = setting(None, "Page to read of TIFF and DICOM files that hold several.", ge=1)
    leaks: Literal["error", "warn", "ignore"] = setting(
        "error", "What to do about an image or patient on two sides of a split."
    )
    split: Literal["auto", "stratified", "grouped", "last"] = setting("auto", "How to divide what is not divided.")
    val_fraction: float = setting(..., "Part for validation.", shown="0.15; last: 0.3", gt=0, lt=1)
    test_fraction: float = setting(..., "Part for the test.", shown="0.15; last: 0", ge=0, lt=1)
    size: int = setting(
        ...,
        "Side that images are resized to, in pixels.",
        shown="the model's own; of the recipe's or the task's network, theirs",
        ge=1,
        le=4096,
    )
    fold: FoldConfig | None = None
    channels: int = Field(default=3, ge=1, le=64)  # 1 or 3 of pictures, any number where files are put together
    mean: list[float] | None = None
    std: list[float] | None = None
    classes: list[str] = []  # in the order of their numbers
    fingerprint: str = ""  # of names and labels, so that a run is not resumed on other images

    def reading(self) -> dict[str, Any]:
        """Return how files become pictures, as arguments of a reader or of `decode`."""
        return {"white": self.white, "window": self.window, "page": self.page}

    @model_validator(mode="after")
    def check_window(self) -> Self:
        if self.white is not None and self.window is not None:
            raise UserError("--white: has no effect here: --window says what is white; leave one out")
        return self


def parse_scale(value: Any) -> Any:
    """Turn the text LOW,HIGH of the command line into two numbers."""
    if not isinstance(value, str):
        return value
    try:
        low, high = (float(part) for part in value.split(","))
    except ValueError:
        raise UserError(f"--scale {value!r}: write LOW,HIGH such as 0.9,1.1") from None
    return low, high


def parse_names(value: Any) -> Any:
    """Turn the text A,B,C of the command line into names."""
    return [name.strip() for name in value.split(",") if name.strip()] if isinstance(value, str) else value


class AugmentConfig(Strict):
    """How far images are changed in training.  See tinymed.data.Augment."""

    panel: ClassVar[str] = "Augmentation"
    horizontal_flip: bool = setting(False, "Mirror left-right.", switch="--horizontal-flip/--no-horizontal-flip")
    vertical_flip: bool = setting(False, "Mirror up-down.", switch="--vertical-flip/--no-vertical-flip")
    rotate: float = setting(0.0, "Turn by up to so many degrees either way.", ge=0, allow_inf_nan=False)
    shift: float = setting(0.0, "Shift by up to this fraction of the side.", ge=0, allow_inf_nan=False)
    scale: Annotated[tuple[float, float], BeforeValidator(parse_scale)] = setting(
        (1.0, 1.0), "Resize things, from and to, such as 0.9,1.1.", shown="1,1"
    )
    noise: float = setting(0.0, "Standard deviation of noise, images being 0 to 1.", ge=0, allow_inf_nan=False)
    brightness: float = setting(0.0, "Added, up to this either way.", ge=0, allow_inf_nan=False)
    contrast: float = setting(0.0, "Factor 1 plus or minus up to this.", ge=0, le=1)
    elastic: float = setting(
        0.0, "Bend: deviation in pixels of displacements on a coarse grid.", ge=0, allow_inf_nan=False
    )
    elastic_grid: int = setting(3, "Points a side of that grid.", ge=2, le=64)
    border: Literal["reflect", "edge", "constant"] = setting("reflect", "What lies outside an image.")
    fill: float = setting(0.0, "Value outside, with --border constant, images being 0 to 1.", allow_inf_nan=False)
    turns: bool = setting(
        False, "Turn by 0, 90, 180 or 270 degrees; what is not square by 0 or 180.", switch="--turns/--no-turns"
    )
    shear: float = setting(0.0, "Lean by up to so many degrees either way.", ge=0, le=89)
    crop: float = setting(1.0, "Cut out at least this share of each side, anywhere, and enlarge it.", gt=0, le=1)
    gamma: float = setting(
        0.0, "Exponent of the values between 1 / (1 + this) and 1 + this.", ge=0, allow_inf_nan=False
    )
    saturation: float = setting(0.0, "Factor of the colours' strength, 1 plus or minus up to this.", ge=0, le=1)
    hue: float = setting(0.0, "Turn colours on their circle by up to this share of it either way.", ge=0, le=0.5)
    pca_colour: float = setting(
        0.0, "Deviation of a shift along the principal axes of an image's colours.", ge=0, allow_inf_nan=False
    )
    stain: float = setting(
        0.0, "Haematoxylin, eosin and DAB: each times 1 plus or minus this, plus or minus this.", ge=0, le=1
    )
    cutout: float = setting(0.0, "Cover a square of this share of the side by the image's mean.", ge=0, le=1)

    def settings(self) -> Augment | None:
        """Return how far images are changed, as loaders take it; None where nothing is."""
        made = Augment(**{name: getattr(self, name) for name in AugmentConfig.model_fields})
        return None if made == Augment() else made

    @model_validator(mode="after")
    def check_scale(self) -> Self:
        low, high = self.scale
        if not 0 < low <= high < float("inf"):
            raise UserError(f"--scale {low:g},{high:g}: write LOW,HIGH with 0 < LOW <= HIGH, such as 0.9,1.1")
        return self


def parse_rates(value: Any) -> Any:
    """Turn the texts PATTERN=RATE of the command line into {pattern: rate}."""
    if not isinstance(value, list):
        return value
    rates: dict[str, float] = {}
    for item in value:
        pattern, equals, number = str(item).rpartition("=")
        try:
            rates[pattern] = float(number)
        except ValueError:
            equals = ""
        if not (equals and pattern):
            raise UserError(f"--lr-for {item!r}: write PATTERN=RATE, such as 'features.*=1e-4'")
        if not 0 < rates[pattern] < float("inf"):
            raise UserError(
                f"--lr-for {item!r}: a learning rate is positive; --freeze {pattern} stops it from learning"
            )
    return rates


class RunConfig(Strict):
    """What every run has.  The defaults are the recipe of Senthil Kumar et al. 2022 where the paper gives one."""

    panel: ClassVar[str] = "Training"
    schema_version: Literal[1, 2] = 2
    task: str = setting("classification", "What the network learns.", panel="Run")
    model: str = setting(
        "dcnn",
        "The network, instead of the argument.",
        panel="Model",
        shown="the recipe's: steady resnet18 of a quarter's width, of few images dcnn; paper dcnn; or the task's",
    )
    model_options: dict[str, Any] = {}
    head: str = setting("sigmoid", "What the outputs mean.", panel="Model")
    data: DataConfig
    augment: AugmentConfig = AugmentConfig()
    init: str | None = setting(
        None, "Begin with the weights of this run, checkpoint or safetensors file.", panel="Transfer"
    )
    init_sha256: str = ""  # of those weights
    freeze: list[str] = setting(
        [], "Layers that keep these weights: a name or pattern; may be repeated.", panel="Transfer", repeat=True
    )
    freeze_statistics: bool = setting(
        False, "Batch norm that is frozen evaluates with its running statistics.", panel="Transfer"
    )
    lr_for: Annotated[dict[str, PositiveRate], BeforeValidator(parse_rates)] = setting(
        {}, "Rate of layers: PATTERN=RATE; may be repeated.", panel="Transfer", repeat=True
    )
    epochs: int | None = setting(
        20, "Passes over the training set.", shown="the recipe's: steady by the number of images, paper 20", ge=1
    )
    steps: int | None = setting(None, "Optimiser steps, instead of epochs.", ge=1)
    batch: int = setting(128, "Images in a step.", shown="the recipe's: steady 32, paper 128", ge=1)
    optimizer: Literal["adam", "adamw", "sgd", "momentum", "nesterov", "rmsprop", "rmsprop_nesterov", "adagrad"] = (
        setting("adam", "The optimiser.", shown="the recipe's: steady adamw, paper adam")
    )
    lr: float = setting(1e-3, "Learning rate.", gt=0, allow_inf_nan=False)
    weight_decay: float = setting(
        0.0, "L2 penalty; decoupled with adamw.", shown="the recipe's: steady 0.01", ge=0, allow_inf_nan=False
    )
    l1: float = setting(0.0, "L1 penalty of weights, not of biases and norms.", ge=0, allow_inf_nan=False)
    schedule: Literal["constant", "cosine", "plateau"] = setting(
        "constant", "Of the learning rate.", shown="the recipe's: steady cosine, paper constant"
    )
    warmup: float = setting(
        0.0,
        "Share of the steps in which the rate rises, before a cosine.",
        shown="the recipe's: steady 0.05",
        ge=0,
        lt=1,
        allow_inf_nan=False,
    )
    accumulate: int = setting(1, "Batches of an optimiser step, in the memory of one.", ge=1, le=1024)
    average: Literal["ema", "swa"] | None = setting(
        None, "Evaluate a mean of the weights: exponential, after every step, or equal, of the last epochs"
    )
    average_decay: float = setting(0.99, "Of --average ema: the weight of the past.", ge=0, lt=1)
    average_start: float = setting(0.75, "Of --average swa: the share of the training before it.", ge=0, lt=1)
    clip_norm: float | None = setting(None, "Largest norm of the gradients.", gt=0)
    class_weights: list[float] | None = None
    seed: int = setting(0, "Of weights, order, augmentation, dropout and splits.", panel="Run", ge=0, lt=2**63)
    backend: str = setting(
        default_name,
        "numba, loops, numpy, cuda, cupy or emulated, see `tinymed doctor`.",
        panel="Run",
    )
    precision: Literal["exact", "tf32", "bf16"] = setting(
        default_precision,
        "Of products; bf16: mixed precision, see docs/precision.md.",
        shown="tf32, or TINYMED_PRECISION",
        panel="Run",
    )
    workers: int = setting(2, "Threads that prepare images.", panel="Run", ge=0, le=64)
    early_stop: int | None = setting(None, "Stop after so many epochs without improvement.", ge=1)
    monitor: str = setting("val_loss", "What improves.")
    keep: Literal["best", "last"] = setting(
        "last", "Weights to evaluate: the last, or the best on val.", shown="the recipe's: steady best, paper last"
    )
    checkpoint_every: int = setting(100, "Steps between checkpoints; 0: only after epochs.", panel="Run", ge=0)

    @model_validator(mode="after")
    def check_colour(self) -> Self:
        for name in COLOUR:
            if getattr(self.augment, name) and self.data.channels != 3:
                raise UserError(
                    f"--{name}: changes red, green and blue, and the images have {self.data.channels} channel(s); "
                    "leave it out, or read pictures as colours with --rgb"
                )
        return self

    @model_validator(mode="after")
    def check_warmup(self) -> Self:
        if self.warmup and self.schedule != "cosine":
            raise UserError("--warmup: has no effect here: the rate rises before --schedule cosine")
        return self

    @model_validator(mode="after")
    def check_length(self) -> Self:
        if self.epochs is None and self.steps is None:
            raise ValueError("say how long to train: epochs or steps")
        return self


class Shortcuts(Strict):
    """Options that are no value of the configuration: they set several of its values, or need the data to do so."""

    panel: ClassVar[str] = "Training"
    padding: str | None = setting(None, "Of the convolutions: valid or same.", panel="Model")
    statistics: str | None = setting(
        None, "Batch norm's running statistics: corrected, keras or torch.", panel="Model", shown="corrected"
    )
    option: list[str] = setting([], "Any option of the model: NAME=VALUE; may be repeated.", panel="Model", repeat=True)
    grey: bool | None = setting(
        None,
        "One grey channel, or three of RGB.",
        panel="Data",
        switch="--grey/--rgb",
        shown="the model's own, or the images'",
    )
    normalise: bool = setting(
        False,
        "Subtract the training set's mean, divide by its deviation.",
        panel="Data",
        switch="--normalise/--no-normalise",
        shown="done by --recipe steady",
    )
    preprocess: Literal["imagenet", "half"] | None = setting(
        None,
        "Statistics of public weights, taken by themselves when --init names a classifier of ImageNet",
        panel="Data",
    )
    augment: bool = setting(
        False,
        "A mild mixture: flips, rotate 15, shift .05, scale .9 to 1.1, brightness .05, contrast .1.",
        panel="Augmentation",
        switch="--augment/--no-augment",
        shown="done by --recipe steady",
    )
    flip: bool = setting(
        False,
        "Mirror left-right and up-down.",
        panel="Augmentation",
        switch="--flip/--no-flip",
        shown="done by the recipes steady and quick",
    )
    class_weights: str = setting("none", "In the loss: none, balanced, tempered, effective=.99 or 1,3.5.")


def named_columns(data: DataConfig, *more: str) -> dict[str, Any]:
    """Return the columns of a list that were named, as arguments of a reader, which finds the others itself.

    more: fields of the columns that only some tasks have.
    """
    columns = {name: getattr(data, name) for name in ("path_column", "split_column", "group_column", "suffix", *more)}
    return {name: column for name, column in columns.items() if column is not None}


def read_run_config(path: Path) -> dict[str, Any]:
    """Return the content of a run's config.json.  Raises UserError naming the file."""
    try:
        return read_json(path)
    except FileNotFoundError:
        message = f"{path.parent}: no run: it has no {path.name}; give a folder that `tinymed train` made"
        raise UserError(message) from None


def parse_config(kind: type[RunConfig], content: dict[str, Any], source: Path | None = None) -> Any:
    """Return a configuration of a task from the content of a config.json, of this version or an earlier one.

    Raises UserError naming the file and the key.
    """
    if content.get("schema_version", 1) == 1:
        content = {**without_foreign(kind, content), "schema_version": 2}
    return checked(lambda: kind.model_validate(content), source)


FOREIGN = ("mask", "boxes", "positive", "balanced")
FOREIGN_DATA = ("label_column", "merge", "skip_bad", "synthetic_images", "difficulty")


def without_foreign(kind: type[RunConfig], content: dict[str, Any]) -> dict[str, Any]:
    """Drop what version 1 wrote down for every task alike from the configuration of a task that does not use it."""
    taken = kind.model_fields
    kept = {key: value for key, value in content.items() if key in taken or key not in FOREIGN}
    if isinstance(content.get("data"), dict):
        known = taken["data"].annotation.model_fields  # type: ignore[union-attr]
        kept["data"] = {k: v for k, v in content["data"].items() if k in known or k not in FOREIGN_DATA}
    return kept
