"""Showing a run while it trains, in plain lines; on a terminal `tinymed/runs/dashboard.py` takes their place."""

import math
from collections.abc import Callable
from typing import Any

from ..debug import to_stderr
from .trainer import Callback, Trainer

WARM = 3  # steps of a process that tell nothing of the pace
SLOW = 10  # images a second, below which tenths are said
SOON = 3.0  # seconds of training after which the time that is left is first said
SHOWN = 3  # values of a validation that the line of an epoch has: the first that the task measures


class Pace:
    """Images a second and the time that is left, over the steps of this process but its first ones.

    These load kernels, and are recorded to be replayed; of a run that ends soon only the first is left out.
    """

    def __init__(self) -> None:
        self.origin: tuple[int, int, float] | None = None  # step, images, seconds
        self.taken = 0

    def step(self, trainer: Trainer) -> None:
        """Note the end of a step."""
        p, self.taken = trainer.progress, self.taken + 1
        if self.taken <= min(WARM, max(1, total_steps(trainer) // 4)):
            self.origin = p.step, p.images, p.seconds

    def passed(self, trainer: Trainer) -> tuple[int, int, float]:
        """Return Steps, images and seconds since the origin."""
        p = trainer.progress
        step, images, seconds = self.origin or (p.step, p.images, p.seconds)
        return p.step - step, p.images - images, p.seconds - seconds

    def rate(self, trainer: Trainer) -> float:
        """Return images a second; nan before two steps were taken."""
        _, images, seconds = self.passed(trainer)
        return images / seconds if seconds > 0 else math.nan

    def left(self, trainer: Trainer) -> float:
        """Return seconds of training to go, validation not counted; nan before two steps were taken."""
        steps, _, seconds = self.passed(trainer)
        return (total_steps(trainer) - trainer.progress.step) * seconds / steps if steps else math.nan

    def text(self, trainer: Trainer) -> str:
        """Such as "812 images/s, 1:40 left"."""
        left = self.left(trainer)
        if not math.isfinite(left):
            return "measuring the pace"
        rate = self.rate(trainer)
        return f"{rate:.{int(rate < SLOW)}f} images/s, {clock(left)} left"


def total_steps(trainer: Trainer) -> float:
    """Return steps from the run's beginning to its end."""
    return min(trainer.steps, trainer.epochs * trainer.steps_per_epoch)


def clock(seconds: float) -> str:
    """Such as 0:07, 1:40, 1:02:03."""
    minutes, second = divmod(round(max(seconds, 0)), 60)
    hour, minute = divmod(minutes, 60)
    return f"{hour}:{minute:02}:{second:02}" if hour else f"{minute}:{second:02}"


def epoch_text(row: dict[str, Any], trainer: Trainer) -> str:
    """Return a row of the history as a line."""
    goal = f"/{trainer.epochs}" if math.isfinite(trainer.epochs) else ""
    counted = trainer.counted
    text = f"epoch {row['epoch']}{goal}  step {row['step']}  loss {row['loss']:.4f}  {counted} {row[counted]:.4f}"
    for name in [key for key in row if key.startswith("val_")][:SHOWN]:
        text += "" if row[name] is None else f"  {name.replace('_', ' ')} {row[name]:.4f}"
    return text


class Lines(Callback):
    """Plain lines: one an epoch, and one every `seconds` of training within long epochs.  For logs and pipes.

    The first comes once the pace is known, `SOON` seconds after the first step.
    """

    def __init__(self, write: Callable[[str], None] | None = None, seconds: float = 20.0):
        self.write = write or to_stderr
        self.seconds, self.last, self.pace, self.began = seconds, 0.0, Pace(), False

    def on_start(self, trainer: Trainer) -> None:
        self.last = trainer.progress.seconds

    def late(self, step: int) -> bool:
        return True

    def on_step(self, trainer: Trainer, loss: float) -> None:
        p = trainer.progress
        self.pace.step(trainer)
        known, quiet = self.pace.passed(trainer)[2], p.seconds - self.last
        if known and (quiet >= self.seconds or (known >= SOON and not self.began)):
            self.last, self.began = p.seconds, True
            where = f"epoch {p.epoch + 1}  batch {p.batch}/{len(trainer.train_loader)}  step {p.step}"
            self.write(f"{where}  loss {p.loss_sum / p.seen:.4f}  {self.pace.text(trainer)}")

    def on_epoch(self, trainer: Trainer, row: dict[str, Any]) -> None:
        self.last, self.began = trainer.progress.seconds, True
        self.write(f"{epoch_text(row, trainer)}  {self.pace.text(trainer)}")
