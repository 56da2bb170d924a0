"""A run's configuration: every value that decides its result, checked, with no default left open."""

import json
import os
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from ..backend import DEFAULT
from ..data.synthetic import DIFFICULTY
from ..errors import UserError

Fraction = Field(gt=0, lt=1)
PositiveRate = Annotated[float, Field(gt=0, allow_inf_nan=False)]
SYNTHETIC = "synthetic"


class Strict(BaseModel):
    """Unknown keys are errors: a mistyped one would otherwise be ignored."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class DataConfig(Strict):
    """Which images, and how they are divided and prepared."""

    path: str | None = None  # None: the built-in synthetic smears
    label_column: str = "label"
    group_column: str | None = None
    merge: dict[str, list[str]] = {}
    skip_bad: bool = False
    leaks: Literal["error", "warn", "ignore"] = "error"
    split: Literal["auto", "stratified", "grouped", "last"] = "auto"
    val_fraction: float = Fraction
    test_fraction: float = Field(ge=0, lt=1)
    size: int = Field(ge=1, le=4096)
    channels: int = Field(default=3, ge=1, le=64)  # 1 or 3 of pictures, any number where files are put together
    mean: list[float] | None = None
    std: list[float] | None = None
    synthetic_images: int = Field(default=3600, ge=8, le=1_000_000)
    difficulty: float = Field(default=DIFFICULTY, ge=0, le=1)
    classes: list[str] = []  # in the order of their numbers
    fingerprint: str = ""  # of names and labels, so that a run is not resumed on other images


class AugmentConfig(Strict):
    """See tinymed.data.Augment."""

    horizontal_flip: bool = False
    vertical_flip: bool = False
    rotate: float = Field(default=0.0, ge=0)
    shift: float = Field(default=0.0, ge=0)
    scale: tuple[float, float] = (1.0, 1.0)
    noise: float = Field(default=0.0, ge=0)
    brightness: float = Field(default=0.0, ge=0)
    contrast: float = Field(default=0.0, ge=0, le=1)
    elastic: float = Field(default=0.0, ge=0)
    elastic_grid: int = Field(default=3, ge=2, le=64)


class MaskConfig(Strict):
    """What a segmentation has beyond a classification."""

    values: list[tuple[int, str]] = []  # what the values in the masks mean, in the order of the classes
    ignore: int | None = None  # the value of pixels that do not count
    dimensions: Literal[2, 3] = 2
    modalities: int = Field(default=1, ge=1)  # files of a case
    planes: Literal[1, 3] = 1  # through a voxel of a volume, for networks that classify the middle of a patch
    loss: Literal["cross_entropy", "dice_cross_entropy", "focal", "dice", "jaccard", "tversky", "focal_tversky"] = (
        "cross_entropy"
    )
    auxiliary: float = Field(default=0.3, ge=0)  # weight of the losses on a network's further outputs
    patch: list[int] | None = None  # sides of the patches to train on; None: whole images, resized
    per_image: int = Field(default=1, ge=1)  # patches of each image in an epoch
    foreground: float = Field(default=0.5, ge=0, le=1)  # share of patches centred on a class other than the background
    overlap: float = Field(default=0.5, ge=0, lt=1)  # of neighbouring tiles in prediction
    blend: Literal["gaussian", "uniform"] = "gaussian"
    border_weight: float = Field(default=0.0, ge=0)  # w0 of U-Net's weight map; 0: no map
    border_sigma: float = Field(default=5.0, gt=0)
    border_class: str | None = None  # the class whose components are cells; None: all but the background


class BoxConfig(Strict):
    """What a detection has beyond a classification."""

    radius: float = Field(default=0.3, gt=0, le=0.5)  # of the disc in the middle of a box, as a share of its sides
    size_weight: float = Field(default=0.2, ge=0)  # of the error of the boxes' sides in the loss
    reference: list[tuple[float, float]] = []  # width and height of each class's usual box, as shares of the image
    smooth: int = Field(default=2, ge=0)  # pixels over which the scores are averaged before peaks are sought
    least: float = Field(default=0.05, ge=0, lt=1)  # score below which nothing is a box
    suppress: float = Field(default=0.5, gt=0, le=1)  # overlap of two boxes of which the worse is dropped


class RunConfig(Strict):
    """All of a run.  The defaults are the recipe of Senthil Kumar et al. 2022 where the paper gives one."""

    schema_version: Literal[1] = 1
    task: Literal["classification", "segmentation", "detection"] = "classification"
    model: str = "dcnn"
    model_options: dict[str, Any] = {}
    head: Literal["sigmoid", "softmax", "own"] = "sigmoid"
    positive: str = ""
    data: DataConfig
    augment: AugmentConfig = AugmentConfig()
    mask: MaskConfig = MaskConfig()
    boxes: BoxConfig = BoxConfig()
    init: str | None = None  # initial weights: a run folder or a file
    init_sha256: str = ""  # of those weights
    freeze: list[str] = []  # patterns of what does not learn
    freeze_statistics: bool = False  # batch norm there evaluates in training too
    lr_for: dict[str, PositiveRate] = {}  # learning rates by pattern
    epochs: int | None = Field(default=20, ge=1)
    steps: int | None = Field(default=None, ge=1)
    batch: int = Field(default=128, ge=1)
    optimizer: Literal["adam", "adamw", "sgd", "momentum", "nesterov", "rmsprop", "adagrad"] = "adam"
    lr: float = Field(default=1e-3, gt=0, allow_inf_nan=False)
    weight_decay: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    schedule: Literal["constant", "cosine", "plateau"] = "constant"
    clip_norm: float | None = Field(default=None, gt=0)
    class_weights: list[float] | None = None
    balanced: bool = False
    seed: int = Field(default=0, ge=0, lt=2**63)
    backend: str = Field(default_factory=lambda: os.environ.get("TINYMED_BACKEND") or DEFAULT)
    workers: int = Field(default=2, ge=0, le=64)
    early_stop: int | None = Field(default=None, ge=1)
    monitor: Literal["val_loss", "val_accuracy", "val_auc", "val_dice", "val_ap"] = "val_loss"
    keep: Literal["best", "last"] = "last"
    checkpoint_every: int = Field(default=100, ge=0)

    @property
    def outputs(self) -> int:
        """The channels of the network's output."""
        if self.task == "detection":  # the background, the classes, width and height
            return len(self.data.classes) + 3
        return 1 if self.task == "segmentation" and self.head == "sigmoid" else len(self.data.classes)

    @model_validator(mode="after")
    def how_long(self) -> Self:
        if self.epochs is None and self.steps is None:
            raise ValueError("say how long to train: epochs or steps")
        return self


def checked(make: Any, source: Path | None = None) -> Any:
    """What make() returns; a value that the schema refuses becomes one line that names the file's key or the option."""
    try:
        return make()
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"]) or "configuration"
        shown = f", got {first['input']!r}" if first["loc"] and not isinstance(first["input"], dict) else ""
        where = f"{source}: {key}" if source else f"--{key.rpartition('.')[2].replace('_', '-')}"
        raise UserError(f"{where}: {first['msg'][:1].lower()}{first['msg'][1:]}{shown}") from None


def read_config(path: Path) -> RunConfig:
    """A run's config.json.  Raises UserError naming file and key."""
    try:
        content = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        message = f"{path.parent}: no run: it has no {path.name}; give a folder that `tinymed train` made"
        raise UserError(message) from None
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read as JSON ({error})") from None
    config: RunConfig = checked(lambda: RunConfig.model_validate(content), path)
    return config
