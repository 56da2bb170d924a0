"""TensorBoard's event files: of a run while it trains, or of one that is finished.

Written by the package `tensorboard` itself, so that the viewer and the files are of one version.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..errors import UserError
from ..train.trainer import Callback, Trainer

EVERY = 10  # steps between two losses of a step


class EventFile:
    """A file of scalars below a folder.  Raises UserError where the package is missing or the folder is not writable.

    folder: made where it is not there.  step: what other files of the folder have of this step and later is void, since
    a run that was interrupted goes on from there.
    """

    def __init__(self, folder: Path, step: int = 0):
        try:
            from tensorboard.compat.proto import event_pb2
            from tensorboard.summary.writer.event_file_writer import EventFileWriter
        except ImportError:
            raise UserError("--tensorboard: needs the package tensorboard: pip install 'tinymed[tensorboard]'") from None
        self.proto: Any = event_pb2
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self.writer: Any = EventFileWriter(str(folder))
        except OSError as error:
            raise UserError(f"--tensorboard {folder}: cannot be written: {error.strerror}") from None
        if step:
            start = event_pb2.SessionLog(status=event_pb2.SessionLog.START)
            self.writer.add_event(event_pb2.Event(step=step, session_log=start))

    def add(self, step: int, values: Mapping[str, Any], time: float | None = None) -> None:
        """Write the numbers among these values, at a step; time: in seconds since 1970, by default now."""
        import time as clock

        event = self.proto.Event(step=step, wall_time=clock.time() if time is None else time)
        for name, value in values.items():
            if isinstance(value, int | float) and not isinstance(value, bool):
                event.summary.value.add(tag=name, simple_value=float(value))
        if event.summary.value:
            self.writer.add_event(event)

    def close(self) -> None:
        """Write what is left and close the file."""
        self.writer.close()


def scalars(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row of the history under TensorBoard's names: "train/loss", "val/accuracy", "rate"."""
    named: dict[str, Any] = {}
    for key, value in row.items():
        if key.startswith("val_"):
            named[f"val/{key.removeprefix('val_')}"] = value
        elif key == "lr":
            named["rate"] = value
        elif key not in ("epoch", "step", "seconds"):
            named[f"train/{key}"] = value
    return named


class TensorBoard(Callback):
    """Writes the loss of every tenth step and each epoch's measures while a run trains."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.file: EventFile | None = None

    def on_start(self, trainer: Trainer) -> None:
        step = trainer.progress.step
        self.file = EventFile(self.folder, step + 1 if step else 0)

    def late(self, step: int) -> bool:
        return True

    def on_step(self, trainer: Trainer, loss: float) -> None:
        if self.file is not None and trainer.progress.step % EVERY == 0:
            self.file.add(trainer.progress.step, {"train/step_loss": loss, "rate": trainer.learning_rate})

    def on_epoch(self, trainer: Trainer, row: dict[str, Any]) -> None:
        if self.file is not None:
            self.file.add(row["step"], scalars(row) | {"epoch": row["epoch"]})

    def close(self) -> None:
        if self.file is not None:
            self.file.close()
            self.file = None


def write_events(folder: Path, history: Sequence[Mapping[str, Any]]) -> None:
    """Write the epochs of a finished run as an event file.  Raises UserError if the folder has one already."""
    if folder.exists() and any(folder.glob("events.out.*")):
        raise UserError(f"--tensorboard {folder}: has events already; name a new folder, or remove them")
    file = EventFile(folder)
    for row in history:
        file.add(int(row["step"]), scalars(row) | {"epoch": row["epoch"]}, float(row.get("seconds", 0.0)))
    file.close()
