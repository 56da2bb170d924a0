"""A run folder: what `tinymed train` leaves, and what `evaluate`, `predict` and `--resume` take up.

    config.json                        every value that decides the result
    log.jsonl                          a line every few steps, a line an epoch
    checkpoints/last.safetensors       where the run stands (previous.safetensors: the one before)
    checkpoints/best.safetensors       the best validation so far
    metrics.json                       val, and test where there is one, with intervals
    curves.png  roc.png  confusion.png

The configuration and one checkpoint are enough to use a run; the rest is for people.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .. import dispatch
from ..data.dataset import Dataset
from ..data.image import prepare
from ..data.readers import open_dataset
from ..data.transform import normalise, to_float, to_nchw
from ..errors import UserError
from ..tape import no_grad
from .build import Splits, fingerprint, make_loader, make_model, make_run_head, make_trainer, open_splits
from .callbacks import Checkpoints, Interrupt, JsonLog
from .checkpoint import BEST, NEWEST, CheckpointError, load_checkpoint, load_newest
from .config import RunConfig, checked, read_config
from .feed import as_array, as_tensors, device_of
from .files import remove_temporaries, write_json
from .metrics import evaluate_scores
from .trainer import Callback, Trainer, predict_scores
from .transfer import initialise

CONFIG, LOG, METRICS, CHECKPOINTS = "config.json", "log.jsonl", "metrics.json", "checkpoints"


class Run:
    """A folder and its configuration."""

    def __init__(self, folder: Path, config: RunConfig):
        self.folder, self.config = folder, config
        self.checkpoints = folder / CHECKPOINTS

    @classmethod
    def create(cls, folder: Path, config: RunConfig) -> "Run":
        """Begin a new run.  Raises UserError if the folder holds anything."""
        refuse_occupied(folder)
        run = kind(config)(folder, config)
        run.checkpoints.mkdir(parents=True, exist_ok=True)
        write_json(folder / CONFIG, config.model_dump())
        return run

    @classmethod
    def open(cls, folder: Path) -> "Run":
        """A run that was begun.  Raises UserError if the folder is none."""
        config = read_config(folder / CONFIG)
        return kind(config)(folder, config)

    def update(self, **changes: Any) -> None:
        """Change values that a resumed run may change, such as epochs, and write them down."""
        content = self.config.model_dump() | changes
        self.config = checked(lambda: RunConfig.model_validate(content))
        write_json(self.folder / CONFIG, self.config.model_dump())

    # ---------------------------------------------------------------------------------------- training

    def open_data(self) -> Splits:
        """The images of the run's data set, divided."""
        return open_splits(self.config.data, self.config.seed)

    def fingerprint(self, sets: Splits) -> str:
        """What tells these images and labels from others."""
        return fingerprint(sets, self.config.data.path)

    def splits(self) -> Splits:
        """The run's images.  Raises UserError if they are not those the run began with."""
        data = self.config.data
        sets = self.open_data()
        if data.fingerprint and self.fingerprint(sets) != data.fingerprint:
            raise UserError(
                f"{data.path or 'the synthetic set'}: the images or labels are not those that the run {self.folder} "
                "began with, so it cannot go on to the same result; restore them, or begin a new run"
            )
        return sets

    def trainer(self, sets: Splits, display: Sequence[Callback] = ()) -> tuple[Trainer, Interrupt]:
        """A trainer that logs and saves into the folder and stops cleanly on SIGINT and SIGTERM."""
        config, interrupt = self.config, Interrupt()
        log = JsonLog(self.folder / LOG)
        save = Checkpoints(self.checkpoints, config.model_dump(), config.checkpoint_every, config.monitor)
        return self.make_trainer(sets, [interrupt, log, *display, save]), interrupt

    def make_trainer(self, sets: Splits, callbacks: list[Callback]) -> Trainer:
        """The trainer of the run's task."""
        return make_trainer(self.config, sets, callbacks)

    def restore(self, trainer: Trainer) -> str:
        """Bring a trainer to the run's newest whole checkpoint; returns a note if that is not the newest file, or "".

        A run that was killed before its first checkpoint starts anew.
        """
        remove_temporaries(self.checkpoints)
        if not any(self.checkpoints.glob("*.safetensors")):
            initialise(self.config, trainer.model)
            return "there is no checkpoint yet; the run starts from its beginning"
        tree, path, note = load_newest(self.checkpoints)
        self.check_same(tree["config"], path)
        trainer.restore(tree)
        return note

    def check_same(self, other: dict[str, Any], path: Path) -> None:
        """Raise UserError if a checkpoint was made by another configuration, values that may change aside."""
        mine = self.config.model_dump(mode="json")
        differ = sorted(k for k in mine.keys() | other.keys() if k not in CHANGEABLE and mine.get(k) != other.get(k))
        if differ:
            raise UserError(f"{path}: was made with another {', '.join(differ)} than {self.folder / CONFIG} says")

    def finish(self, trainer: Trainer, sets: Splits) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """Evaluate the weights to keep on val, and test if there is one.

        Returns (what metrics.json now holds, scores by part).
        """
        if self.config.keep == "best" and (self.checkpoints / BEST).exists():
            trainer.model.load_state_dict(load_checkpoint(self.checkpoints / BEST)["model"])
        p = trainer.progress
        c = self.config
        result: dict[str, Any] = {"model": c.model, "positive": c.positive, "weights": c.keep, "seed": c.seed}
        result |= {"epochs": p.epoch, "steps": p.step, "training_seconds": round(p.seconds, 3), "stopped": p.stopped}
        scores: dict[str, np.ndarray] = {}
        for name in ("val", "test"):
            if name in sets:
                result[name], scores[name] = self.measure(trainer.model, sets[name])
        write_json(self.folder / METRICS, result)
        return result, scores

    # -------------------------------------------------------------------------------------- afterwards

    def images(self, path: str | None = None, split: str | None = None, skip_bad: bool = False) -> Dataset:
        """One set of images to measure the run on: of a path, or of the run's own data.

        Without a split: the test part if there is one, else val of the run's own data; a path without parts is taken
        whole.  Raises UserError for a part that does not exist.
        """
        data = self.config.data
        if path is None:
            sets, where = self.splits(), data.path or "the run's synthetic set"
            default = "test" if "test" in sets else "val"
        else:
            sets, where = (
                open_dataset(
                    path,
                    label_column=data.label_column,
                    group_column=data.group_column,
                    merge=data.merge or None,
                    classes=data.classes,
                    skip_bad=skip_bad,
                    leaks="ignore",
                ),
                path,
            )
            default = "all" if "all" in sets else "test"
        name = split or default
        if name not in sets:
            raise UserError(f"{where}: has no part {name!r}; choose --split {' or '.join(sets)}")
        return sets[name]

    def measure(self, model: Any, dataset: Dataset) -> tuple[dict[str, Any], np.ndarray]:
        """(metrics with intervals and the loss, scores) of a model on a whole set."""
        config = self.config
        scores, labels, loss = predict_scores(model, make_loader(dataset, config), make_run_head(config, model))
        metrics = evaluate_scores(scores, labels, config.data.classes, config.positive, config.seed)
        return {"loss": loss, **metrics}, scores

    def load_model(self, which: str | None = None) -> Any:
        """The trained network: "best" or "last" weights, by default those that the run keeps."""
        which = which or self.config.keep
        path = self.checkpoints / (BEST if which == "best" else NEWEST)
        if which == "last" and not path.exists() and not any(self.checkpoints.glob("*.safetensors")):
            raise UserError(f"{self.folder}: has no checkpoint yet; train it first")
        try:
            tree = load_checkpoint(path)
        except CheckpointError as error:
            raise UserError(f"{error}; the run's other weights may be whole: --weights best or last") from None
        model = make_model(self.config)
        try:
            model.load_state_dict(tree["model"])
        except (ValueError, KeyError) as error:
            raise UserError(f"{path}: {error}") from None
        return model.eval()

    def predict(self, model: Any, images: Sequence[str | Path]) -> np.ndarray:
        """Scores [n, classes] of image files: read, resized, a batch axis, /255 (Senthil Kumar et al. 2022)."""
        data, head, rows = self.config.data, make_run_head(self.config, model), []
        with no_grad():
            for path in images:
                pixels = to_float(prepare(path, data.size, data.channels))[None]
                if data.mean is not None or data.std is not None:
                    pixels = normalise(pixels, data.mean or 0.0, data.std or 1.0)
                rows.append(head.scores(as_array(model(as_tensors(to_nchw(pixels), device_of(model))))))
        return np.concatenate(rows)


def kind(config: RunConfig) -> type[Run]:
    """The class of runs of the configuration's task."""
    if config.task == "segmentation":
        from .segmentation import SegmentationRun

        return SegmentationRun
    if config.task == "detection":
        from .detection import DetectionRun

        return DetectionRun
    return Run


CHANGEABLE = frozenset(("epochs", "steps", "backend", "workers", "checkpoint_every"))  # when a run is resumed


def refuse_occupied(folder: Path) -> None:
    """Raise UserError if a run cannot begin in this folder."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"{folder}: is not empty; choose another --out, or continue a run with --resume {folder}")


def new_folder(root: Path, name: str) -> Path:
    """The next free runs/<name>-<number>."""
    numbers = [int(p.name.rpartition("-")[2]) for p in root.glob(f"{name}-*") if p.name.rpartition("-")[2].isdigit()]
    return root / f"{name}-{max(numbers, default=0) + 1:03}"


def choose_backend(name: str) -> None:
    """Use a backend from here on.  Raises UserError naming those there are, or why this one cannot work here."""
    try:
        dispatch.use_backend(name)
    except (ValueError, ImportError, dispatch.BackendError) as error:
        raise UserError(f"--backend {name}: {error}") from None
