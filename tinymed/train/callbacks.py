"""What acts on a run: the log, checkpoints, early stopping, schedules, signals.  Each a few lines over `Callback`."""

import json
import math
import signal
import threading
from pathlib import Path
from types import FrameType
from typing import Any

from ..data.device_batches import as_arrays
from ..data.large_sets import compare_pixels
from ..errors import LeftValidation, UserError
from ..files import json_value, write_atomic
from ..metrics import lower_is_better
from .checkpoint import BEST, NEWEST, save_checkpoint
from .trainer import Callback, Progress, Trainer


def improves(monitor: str, value: float | None, best: float | None, min_delta: float = 0.0) -> bool:
    """Say whether a monitored value is better than the best so far by more than min_delta.

    Losses fall, the rest rises.
    """
    if value is None or not math.isfinite(value):
        return False
    if best is None:
        return True
    return value < best - min_delta if lower_is_better(monitor) else value > best + min_delta


class PixelCheck(Callback):
    """Compares the pixels of a set that was too large for it before the first step, see `tinymed.data.large_sets`."""

    def __init__(self, sets: dict[str, Any]):
        self.sets = sets

    def on_trained(self, trainer: Trainer) -> None:
        compare_pixels(self.sets)


class JsonLog(Callback):
    """One JSON object a line: every `every`-th step, every epoch.

    After a resume the lines that the interrupted process wrote past its last checkpoint are dropped, so a log reads as
    if nothing had happened.
    """

    def __init__(self, path: str | Path, every: int = 10):
        self.path, self.every = Path(path), every

    def on_start(self, trainer: Trainer) -> None:
        if self.path.exists():
            kept = [
                line for line in self.path.read_text("utf-8", "replace").splitlines() if belongs(line, trainer.progress)
            ]
            write_atomic(self.path, ["".join(line + "\n" for line in kept).encode()])

    def late(self, step: int) -> bool:
        return True

    def on_step(self, trainer: Trainer, loss: float) -> None:
        p = trainer.progress
        if p.step % self.every == 0:
            row = {"event": "step", "step": p.step, "epoch": p.epoch, "batch": p.batch, "loss": loss}
            self.write(row | {"lr": trainer.learning_rate, "seconds": round(p.seconds, 3)})

    def on_epoch(self, trainer: Trainer, row: dict[str, Any]) -> None:
        self.write({"event": "epoch", **row})

    def write(self, row: dict[str, Any]) -> None:
        """Append a line."""
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(json_value(row)) + "\n")


def belongs(line: str, progress: Progress) -> bool:
    """Say whether a log line lies before the point that a run continues from."""
    try:
        row = json.loads(line)
        if row["event"] == "epoch":
            return any(done["step"] == row["step"] for done in progress.history)
        return bool(row["step"] <= progress.step)
    except (ValueError, KeyError, TypeError, RecursionError):  # the last line of a killed process may be cut
        return False


class Checkpoints(Callback):
    """Saves NEWEST every `every` steps (0: never in between), after every epoch and when interrupted.

    BEST when the monitored value improves.  Comes last in the list of callbacks, so that the others' state is up to
    date.
    """

    def __init__(self, folder: str | Path, config: dict[str, Any], every: int = 0, monitor: str = "val_loss"):
        self.folder, self.config, self.every, self.monitor = Path(folder), config, every, monitor
        self.best: float | None = None
        self.best_epoch: float | None = None

    def late(self, step: int) -> bool:
        return not self.every or step % self.every != 0

    def on_step(self, trainer: Trainer, loss: float) -> None:
        p = trainer.progress
        if self.every and p.step % self.every == 0 and p.batch < len(trainer.train_loader):
            self.save(trainer, NEWEST)

    def on_epoch(self, trainer: Trainer, row: dict[str, Any]) -> None:
        if self.monitor in row and improves(self.monitor, row[self.monitor], self.best):
            self.best, self.best_epoch = row[self.monitor], row["epoch"]
            self.save(trainer, BEST)
        self.save(trainer, NEWEST)

    def on_end(self, trainer: Trainer) -> None:
        if trainer.interrupted:
            self.save(trainer, NEWEST)

    def save(self, trainer: Trainer, name: str) -> None:
        """Write a checkpoint."""
        tree = trainer.state() | {"config": self.config}
        save_checkpoint(self.folder / name, tree, keep_previous=name == NEWEST)

    def state(self) -> dict[str, Any]:
        return {"best": self.best, "best_epoch": self.best_epoch}

    def restore(self, state: dict[str, Any]) -> None:
        self.best, self.best_epoch = state.get("best"), state.get("best_epoch")


class EarlyStopping(Callback):
    """Ends training after `patience` epochs without an improvement by more than min_delta.  Prechelt 1998."""

    def __init__(self, patience: int, monitor: str = "val_loss", min_delta: float = 0.0):
        self.patience, self.monitor, self.min_delta = patience, monitor, min_delta
        self.best: float | None = None
        self.waited = 0

    def on_epoch(self, trainer: Trainer, row: dict[str, Any]) -> None:
        if improves(self.monitor, row.get(self.monitor), self.best, self.min_delta):
            self.best, self.waited = row[self.monitor], 0
        else:
            self.waited += 1
        if self.waited >= self.patience:
            trainer.progress.stopped = f"{self.monitor} has not improved for {self.waited} epochs"

    def state(self) -> dict[str, Any]:
        return {"best": self.best, "waited": self.waited}

    def restore(self, state: dict[str, Any]) -> None:
        self.best, self.waited = state.get("best"), state.get("waited", 0)


class Schedule(Callback):
    """Steps a learning-rate scheduler after every epoch, or after every step; a plateau scheduler sees `monitor`."""

    def __init__(self, scheduler: Any, every: str = "epoch", monitor: str | None = None):
        self.scheduler, self.every, self.monitor = scheduler, every, monitor
        self.planned = int(getattr(scheduler, scheduler.horizon)) if scheduler.horizon else 0  # steps of the whole run
        self.taken = 0

    def on_taken(self, trainer: Trainer) -> None:
        if self.every == "step":
            self.scheduler.step()
            self.taken += 1

    def on_epoch(self, trainer: Trainer, row: dict[str, Any]) -> None:
        if self.every == "epoch":
            self.scheduler.step(*(() if self.monitor is None else (row[self.monitor],)))
            self.taken += 1

    def state(self) -> dict[str, Any]:
        state: dict[str, Any] = as_arrays(self.scheduler.state_dict())
        return state | {"planned": self.planned, "taken": self.taken}

    def restore(self, state: dict[str, Any]) -> None:
        """Take up a run's schedule, for another length planned anew; one that has ended `stays`, or is refused."""
        own = dict(state)
        before, taken = own.pop("planned", None), own.pop("taken", None)
        self.scheduler.load_state_dict(own)
        self.taken = int(self.scheduler.last_epoch if taken is None else taken)
        horizon = self.scheduler.horizon
        if not horizon or not state:
            return
        before = int(getattr(self.scheduler, horizon) if before is None else before)
        if self.planned == before or self.taken >= self.planned:
            return
        name = type(self.scheduler).__name__
        if self.taken >= before:
            if self.scheduler.stays and max(self.scheduler.current()) > 0:
                return
            raise UserError(
                f"the run's schedule, {name}, has ended after {before} steps at the learning rate "
                f"{max(self.scheduler.current()):.3g}, and cannot be lengthened to {self.planned} steps; train a new "
                "run of the length you want",
                {"init='RUN'": "its weights begin one with {}"},
            )
        try:
            self.scheduler.replan(self.planned - self.taken)
        except ValueError as error:
            raise UserError(f"{error}; resume the run with the epochs it was begun with") from None


class Interrupt(Callback):
    """SIGINT and SIGTERM finish the step that runs, and leave a validation; a second one ends at once.

    signal: the number received, or 0.  Works in the main thread only; elsewhere signals are left alone.
    """

    def __init__(self) -> None:
        self.signal = 0
        self.before: dict[int, Any] = {}

    def on_start(self, trainer: Trainer) -> None:
        if threading.current_thread() is not threading.main_thread():
            return

        def handle(number: int, frame: FrameType | None) -> None:
            if self.signal:
                raise KeyboardInterrupt
            self.signal, trainer.stop = number, True
            if trainer.validating:
                raise LeftValidation

        for number in (signal.SIGINT, signal.SIGTERM):
            self.before[number] = signal.signal(number, handle)

    def close(self) -> None:
        while self.before:
            signal.signal(*self.before.popitem())
