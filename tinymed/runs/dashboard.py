"""A run as it trains, on a terminal: a line stays for each epoch, and below them what moves.

    epoch 7/20  step 399  loss 0.2410  accuracy 0.9110  val loss 0.2630  val accuracy 0.9020
    epoch 8  ━━━━━━━━━━━━━━━━━━━━━━ 421/1140  loss 0.2287  812 images/s, 0:53 left
    train loss █▆▅▄▃▂▂▂ 0.241    val loss █▅▄▃▃▂▁▂ 0.263    rate 8.3e-04
    best: val loss 0.2580, epoch 6
"""

import math
from collections.abc import Sequence
from typing import Any

from ..train.display import Pace, epoch_text, total_steps
from ..train.trainer import Callback, Trainer
from .advice import best_row, known

BARS = "▁▂▃▄▅▆▇█"
WIDTH = 24  # epochs that a small curve shows


def small_curve(values: Sequence[Any], width: int = WIDTH) -> str:
    """Return the last values as a line of bars, from the lowest to the highest of them; nothing of no values.

    Example:
        >>> small_curve([1.0, 0.5, 0.0]), small_curve([2.0, 2.0]), small_curve([])
        ('█▅▁', '▁▁', '')
    """
    shown = [float(value) for value in values if known(value)][-width:]
    if not shown:
        return ""
    low, span = min(shown), max(shown) - min(shown)
    return "".join(BARS[round((value - low) / span * (len(BARS) - 1)) if span else 0] for value in shown)


def curve_text(history: Sequence[dict[str, Any]], rate: float) -> str:
    """Return the losses of the epochs as small curves, and the learning rate."""
    parts = []
    for key, name in (("loss", "train loss"), ("val_loss", "val loss")):
        values = [row[key] for row in history if known(row.get(key))]
        if values:
            parts.append(f"{name} {small_curve(values)} {values[-1]:.3f}")
    return "    ".join([*parts, f"rate {rate:.1e}"])


def best_text(history: Sequence[dict[str, Any]], monitor: str) -> str:
    """Return which epoch is the best so far."""
    rows = [row for row in history if known(row.get(monitor))]
    if not rows:
        return f"best: the first epoch is not over ({monitor.replace('_', ' ')} decides)"
    best = best_row(rows, monitor)
    return f"best: {monitor.replace('_', ' ')} {best[monitor]:.4f}, epoch {best['epoch']}"


class Dashboard(Callback):
    """A bar over all steps with loss, pace and time left, small curves of the losses, and the best epoch.

    console: rich's.  monitor: what decides which epoch is the best.
    """

    def __init__(self, console: Any, monitor: str = "val_loss"):
        from rich.console import Group
        from rich.live import Live
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
        from rich.text import Text

        self.console, self.monitor, self.pace = console, monitor, Pace()
        self.bar = Progress(
            TextColumn("epoch {task.fields[epoch]}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("loss {task.fields[loss]}  {task.fields[pace]}"),
            console=console,
        )
        self.curves, self.best = Text(""), Text("")
        self.live = Live(Group(self.bar, self.curves, self.best), console=console, transient=True)

    def on_start(self, trainer: Trainer) -> None:
        p, steps = trainer.progress, total_steps(trainer)
        total = steps if math.isfinite(steps) else None
        self.task = self.bar.add_task("", total=total, completed=p.step, epoch=p.epoch + 1, loss="-", pace="")
        self.show(trainer)
        self.live.start()

    def late(self, step: int) -> bool:
        return True

    def on_step(self, trainer: Trainer, loss: float) -> None:
        p = trainer.progress
        self.pace.step(trainer)
        pace, mean = self.pace.text(trainer), f"{p.loss_sum / p.seen:.4f}"
        self.bar.update(self.task, completed=p.step, epoch=p.epoch + 1, loss=mean, pace=pace)

    def on_epoch(self, trainer: Trainer, row: dict[str, Any]) -> None:
        self.console.print(epoch_text(row, trainer), highlight=False)
        self.show(trainer)

    def show(self, trainer: Trainer) -> None:
        """Draw curves and best epoch anew."""
        history = trainer.progress.history
        self.curves.plain = curve_text(history, trainer.learning_rate)
        self.best.plain = best_text(history, self.monitor)

    def close(self) -> None:
        self.live.stop()
