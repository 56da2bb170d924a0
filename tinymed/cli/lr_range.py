"""What `tinymed lr-find` does: the learning-rate range test (L. Smith, WACV 2017)."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import UserError
from ..files import write_json
from ..report.sweep import save_range
from ..tasks.results.rows import write_rows
from ..train.assemble import make_trainer
from ..train.callbacks import Interrupt
from ..train.run import choose_backend
from ..train.trainer import Callback, Diverged, Trainer
from ..train.transfer import initialise
from .app import say
from .options import Given
from .start_run import config_from_options, display, open_sets, report_stopped, with_data_fields

OWN = ("low", "high", "range_steps", "out", "as_json")
MEMORY = 0.9  # of the smoothed loss for what was before
TOO_HIGH = 4.0  # times the lowest smoothed loss, where the test ends
REACH = 1 / 15  # of the steps, to either side of one, over which the fall of the loss is taken
FEWEST = 10  # steps that a suggestion needs
RULE = "the rate where the smoothed loss falls most steeply against the logarithm of the rate, before it is lowest"


class RisingRate(Callback):
    """Raises the learning rate by a factor after every step, and notes the losses."""

    def __init__(self, low: float, high: float, steps: int):
        self.low, self.factor = low, (high / low) ** (1 / max(steps - 1, 1))
        self.rates: list[float] = []
        self.losses: list[float] = []
        self.base: list[float] = []
        self.mean = 0.0

    def on_start(self, trainer: Trainer) -> None:
        groups = trainer.optimizer.param_groups
        self.base = [float(group["lr"]) / float(groups[0]["lr"]) for group in groups]  # --lr-for keeps its ratio
        self.set_rate(trainer, self.low)

    def set_rate(self, trainer: Trainer, rate: float) -> None:
        """Give every group its share of a rate."""
        for group, share in zip(trainer.optimizer.param_groups, self.base, strict=True):
            group["lr"] = rate * share

    def on_step(self, trainer: Trainer, loss: float) -> None:
        self.rates.append(trainer.learning_rate)
        self.losses.append(loss)
        if len(self.losses) > FEWEST and smoothed(self.losses)[-1] > TOO_HIGH * smoothed(self.losses).min():
            trainer.stop = True
        self.set_rate(trainer, self.low * self.factor ** len(self.rates))


def smoothed(losses: list[float]) -> np.ndarray:
    """Return the exponential moving average of losses, corrected for its beginning at 0."""
    mean, result = 0.0, []
    for step, loss in enumerate(losses, 1):
        mean = MEMORY * mean + (1 - MEMORY) * loss
        result.append(mean / (1 - MEMORY**step))
    return np.array(result)


def suggest(rates: np.ndarray, smooth: np.ndarray) -> float:
    """Return the rate that RULE names.  Raises UserError: too few steps, or the loss never falls."""
    if rates.size < FEWEST:
        raise UserError(f"lr-find: the loss was lost after {rates.size} steps; begin lower with --low, or give --high")
    end, reach = int(smooth.argmin()), max(1, round(rates.size * REACH))
    slope = slopes(np.log(rates), smooth, reach)[: max(end + 1 - reach, 0)]
    if end < 2 or not slope.size or slope.min() >= 0:
        raise UserError(f"lr-find: the loss does not fall between {rates[0]:g} and {rates[-1]:g}; try a wider range")
    return float(rates[int(slope.argmin()) + reach])


def slopes(x: np.ndarray, y: np.ndarray, reach: int) -> np.ndarray:
    """Return the slope of the line that fits y best about each x, `reach` points to either side; none at the ends.

    One step's losses tell chance: at the beginning, where the mean is of few, it falls by chance as steeply as ever.
    """
    windows = np.lib.stride_tricks.sliding_window_view(np.stack([x, y]), 2 * reach + 1, axis=1)
    apart = windows - windows.mean(axis=2, keepdims=True)
    found: np.ndarray = (apart[0] * apart[1]).sum(axis=1) / (apart[0] ** 2).sum(axis=1)
    return found


def lr_find_command(given: Given) -> int:
    """Run the test, write and print what it found; returns the exit code."""
    low, high, steps = given.get("low", 1e-6), given.get("high", 1.0), given.get("range_steps", 150)
    if not 0 < low < high < math.inf or steps < FEWEST:
        raise UserError(f"--low {low:g} --high {high:g}: 0 < LOW < HIGH, and --range-steps at least {FEWEST}")
    out = given.get("out", Path("runs/lr-find"))
    options = {name: value for name, value in given.items() if name not in OWN} | {"schedule": "constant"}
    config = config_from_options(options)
    sets = open_sets(config, options)
    config, lines = with_data_fields(config, sets, options)
    for line in lines:
        say(line)
    choose_backend(config.backend, config.precision)
    rising, interrupt = RisingRate(low, high, steps), Interrupt()
    trainer = make_trainer(config, sets, [interrupt, display(), rising])
    trainer.measure = None  # nothing is validated
    initialise(config, trainer.model)
    try:
        trainer.fit(steps=steps)
    except Diverged:
        say("the loss is no number any more; the test ends there")
    if interrupt.signal:
        return report_stopped(interrupt)
    rates, losses = np.array(rising.rates), np.array(rising.losses)
    smooth = smoothed(rising.losses)
    suggestion = suggest(rates, smooth)
    report: dict[str, Any] = {"suggestion": suggestion, "rule": RULE, "lowest_at": float(rates[smooth.argmin()])}
    report |= {"model": config.model, "batch": config.batch, "optimizer": config.optimizer, "steps": len(losses)}
    out.mkdir(parents=True, exist_ok=True)
    columns = zip(rates.tolist(), losses.tolist(), smooth.tolist(), strict=True)
    write_rows(out / "lr_find.csv", [dict(zip(("lr", "loss", "smoothed"), row, strict=True)) for row in columns])
    write_json(out / "lr_find.json", report)
    save_range(rates, losses, smooth, suggestion, out / "lr_find.png")
    if given.get("as_json"):
        print(json.dumps(report))
    else:
        print(f"suggested: --lr {suggestion:.2g}\n({RULE}; the loss is lowest at {report['lowest_at']:.2g})")
    say(f"lr_find.json, .csv and .png: {out}")
    return 0
