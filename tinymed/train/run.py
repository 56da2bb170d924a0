"""A run folder: what `tinymed train` leaves, and what `evaluate`, `predict` and `--resume` take up.

    config.json                        every value that decides the result (environment.json: by which versions)
    log.jsonl                          one line every few steps, one line per epoch
    checkpoints/last.safetensors       where the run stands (previous.safetensors: the one before)
    checkpoints/best.safetensors       the best validation so far
    metrics.json                       val, and test where there is one, with intervals
    predictions.csv                    what was said of each image of the test part, or of val where there is none
    predictions-val.csv                the same of val, where there is a test part
    curves.png, and what the task draws and lists

The configuration and one checkpoint are enough to use a run; the rest is for people.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .. import dispatch, tasks
from ..errors import UserError
from ..files import refuse_occupied, remove_temporaries, write_json
from ..metrics.measures import intervals_by_groups, tables_by_groups
from ..precision import use_precision
from ..tasks.base.options import own_ways
from ..tasks.inference.class_scores import sharing
from ..tasks.results.rows import Cases, as_cases, with_groups, write_rows
from .assemble import describe_rest, make_trainer
from .averaging import evaluated_weights
from .callbacks import Checkpoints, Interrupt, JsonLog
from .checkpoint import BEST, NEWEST, CheckpointError, load_checkpoint, load_newest
from .trainer import Callback, Trainer
from .transfer import CHECKPOINTS, CONFIG, initialise

LOG, METRICS, PREDICTIONS = "log.jsonl", "metrics.json", "predictions.csv"
CHANGEABLE = frozenset(("epochs", "steps", "backend", "workers", "checkpoint_every"))  # when a run is resumed


class Run:
    """A folder, its configuration and its task.

    Example:
        >>> run = Run.open(Path("runs/dcnn-001"))  # doctest: +SKIP
        >>> metrics, scores = run.measure(run.load_model(), run.images())  # doctest: +SKIP
    """

    def __init__(self, folder: Path, config: Any):
        self.folder, self.config = folder, config
        self.task = tasks.find(config.task)
        self.checkpoints = folder / CHECKPOINTS

    @classmethod
    def create(cls, folder: Path, config: Any) -> "Run":
        """Begin a new run.  Raises UserError if the folder holds anything, or cannot be written."""
        refuse_occupied(folder)
        run = cls(folder, config)
        run.checkpoints.mkdir(parents=True, exist_ok=True)
        write_json(folder / CONFIG, config.model_dump())
        return run

    @classmethod
    def open(cls, folder: Path) -> "Run":
        """Return a run that was begun.  Raises UserError if the folder is none."""
        return cls(folder, tasks.read_config(folder / CONFIG))

    def update(self, **changes: Any) -> None:
        """Change values that a resumed run may change, such as epochs, and write them down."""
        self.config = tasks.config_from_json(self.config.model_dump() | changes)
        write_json(self.folder / CONFIG, self.config.model_dump())

    # ---------------------------------------------------------------------------------------- training

    def splits(self) -> dict[str, Any]:
        """Return the run's images, divided.  Raises UserError if they are not those the run began with."""
        data = self.config.data
        sets = self.task.open_data(self.config)
        if data.fingerprint and self.task.fingerprint(self.config, sets) != data.fingerprint:
            raise UserError(
                f"{data.path or 'the synthetic set'}: the images or labels are not those that the run {self.folder} "
                "began with, so it cannot go on to the same result; restore them, or begin a new run"
            )
        return dict(sets)

    def trainer(self, sets: dict[str, Any], display: Sequence[Callback] = ()) -> tuple[Trainer, Interrupt]:
        """Return a trainer that logs and saves into the folder and stops cleanly on SIGINT and SIGTERM."""
        config, interrupt = self.config, Interrupt()
        log = JsonLog(self.folder / LOG)
        save = Checkpoints(self.checkpoints, config.model_dump(), config.checkpoint_every, config.monitor)
        return make_trainer(config, sets, [interrupt, log, *display, save]), interrupt

    def restore(self, trainer: Trainer) -> str:
        """Bring a trainer to the run's newest whole checkpoint; returns notes on what is not as it was, or "".

        A run that was killed before its first checkpoint starts anew.
        """
        remove_temporaries(self.checkpoints)
        if not any(self.checkpoints.glob("*.safetensors")):
            initialise(self.config, trainer.model)
            started = (self.folder / LOG).exists()
            return "there is no checkpoint yet; the run starts from its beginning" if started else ""
        tree, path, note = load_newest(self.checkpoints)
        before = self.check_same(tree["config"], path)
        trainer.restore(tree)
        return "; ".join(filter(None, [note, describe_rest(trainer, self.config, before)]))

    def check_same(self, other: dict[str, Any], path: Path) -> Any:
        """Return the configuration of a checkpoint.

        Raises UserError if it is another than the run's, values that may change aside; the data may have been moved,
        since their fingerprint is compared.
        """
        before = tasks.config_from_json(other, path)
        mine, theirs = (flat(c) for c in (self.config, before))
        if self.config.data.fingerprint:
            theirs["data.path"] = mine["data.path"]
        differ = sorted(k for k in mine.keys() | theirs.keys() if k not in CHANGEABLE and mine.get(k) != theirs.get(k))
        if differ:
            raise UserError(f"{path}: was made with another {', '.join(differ)} than {self.folder / CONFIG} says")
        return before

    def finish(self, trainer: Trainer, sets: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        """Evaluate the weights to keep on val, and test if there is one.

        Returns (what metrics.json now holds, what the metrics were computed from by part).
        """
        if self.config.keep == "best" and (self.checkpoints / BEST).exists():
            trainer.model.load_state_dict(evaluated_weights(load_checkpoint(self.checkpoints / BEST)))
        elif self.config.average is not None:
            trainer.model.load_state_dict(evaluated_weights(trainer.state()))
        p, c = trainer.progress, self.config
        result: dict[str, Any] = {"model": c.model, "positive": getattr(c, "positive", ""), "weights": c.keep}
        result |= {"seed": c.seed, "epochs": p.epoch, "steps": p.step}
        result |= {"training_seconds": round(p.seconds, 3), "stopped": p.stopped}
        details: dict[str, Any] = {}
        with sharing(trainer.model, trainer.forward):
            for name in ("val", "test"):
                if name in sets:
                    result[name], details[name] = self.measure(trainer.model, sets[name])
        write_json(self.folder / METRICS, result)
        return result, details

    # -------------------------------------------------------------------------------------- afterwards

    def images(self, path: str | None = None, split: str | None = None, skip_bad: bool = False) -> Any:
        """Return one set of images to measure the run on: of a path, or of the run's own data.

        Without a split: the test part if there is one, else val of the run's own data; a path without parts is taken
        whole.  Raises UserError for a part that does not exist.
        """
        if path is None:
            where = self.config.data.path or "the run's synthetic set"
            return self.task.choose_part(self.splits(), split, where, own=True)
        with own_ways(self.task.options):
            sets = self.task.open_path(self.config, path, skip_bad)
        return self.task.choose_part(sets, split, path, own=False)

    def measure(self, model: Any, dataset: Any) -> tuple[dict[str, Any], Any]:
        """Return (metrics with intervals, what they were computed from) of a model on a whole set.

        Where images come in groups, such as patients, the intervals count them, as wherever these figures are shown.
        """
        result, details = self.task.measure(self.config, model, dataset)
        groups = self.task.groups_of(dataset)
        groups = groups if groups is not None and 1 < len(set(groups.tolist())) < len(dataset) else None
        cases = self.cases(dataset, details)
        result |= intervals_by_groups(result, self.task.figures(self.config, cases), groups)
        result |= tables_by_groups(result, self.task.tables(self.config, cases), groups)
        return result, details

    def cases(self, dataset: Any, details: Any) -> Cases:
        """Return what was predicted of each image of a set; details: what `measure` returned with the metrics."""
        rows = self.task.case_rows(self.folder, self.config, dataset, details)
        return as_cases(with_groups(rows, self.task.groups_of(dataset)))

    def list_cases(self, dataset: Any, details: Any, path: Path) -> None:
        """Write what was predicted of each image of a set, see `cases`."""
        rows = self.task.case_rows(self.folder, self.config, dataset, details)
        write_rows(path, with_groups(rows, self.task.groups_of(dataset)))

    def checkpoint(self, which: str | None = None) -> Path:
        """Return the file of the "best" or "last" weights, by default of those that the run keeps."""
        return self.checkpoints / (BEST if (which or self.config.keep) == "best" else NEWEST)

    def measure_refined(self, model: Any, dataset: Any, postprocess: str | None, crf: str | None) -> dict[str, Any]:
        """Return metrics after post-processing, beside those without it; "auto" chooses on the run's validation set."""
        asked = (postprocess, crf)
        measured: dict[str, Any] = self.task.measure_refined(
            self.folder, self.config, model, dataset, lambda: self.splits()["val"], asked
        )
        return measured

    def load_model(self, which: str | None = None) -> Any:
        """Return the trained network: "best" or "last" weights, by default those that the run keeps."""
        which = which or self.config.keep
        path = self.checkpoint(which)
        if which == "last" and not path.exists() and not any(self.checkpoints.glob("*.safetensors")):
            raise UserError(f"{self.folder}: has no checkpoint yet; train it first")
        try:
            tree = load_checkpoint(path)
        except CheckpointError as error:
            raise UserError(f"{error}; the run's other weights may be whole: --weights best or last") from None
        model = self.task.make_model(self.config)
        try:
            model.load_state_dict(evaluated_weights(tree))
        except (ValueError, KeyError) as error:
            raise UserError(f"{path}: {error}") from None
        return model.eval()


def flat(config: Any) -> dict[str, Any]:
    """Return the values of a configuration as {"data.size": 64, ...}."""
    result: dict[str, Any] = {}
    for key, value in config.model_dump(mode="json").items():
        if isinstance(value, dict):
            result |= {f"{key}.{inner}": item for inner, item in value.items()}
        else:
            result[key] = value
    return result


def choose_backend(name: str, precision: str | None = None) -> None:
    """Use a backend and a precision from here on.  Raises UserError: there is no such backend, or it cannot work."""
    if precision is not None:
        use_precision(precision)
    try:
        dispatch.use_backend(name)
    except (ValueError, ImportError, dispatch.BackendError) as error:
        raise UserError(f"--backend {name}: {error}") from None
