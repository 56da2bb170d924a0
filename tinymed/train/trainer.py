"""The training loop: it reads in a minute, and can stop after any step and go on to the same bits.

What a step sees is a function of (seed, epoch, batch) and of the state in `Trainer.state()`: the order of images and
their augmentation are drawn by (seed, epoch, image), dropout by its counter, and everything else is an array.
"""

import math
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext, suppress
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any

from .. import random
from ..data.device_batches import as_arrays, device_batches, device_of
from ..data.device_reading import Reading, SideReader
from ..errors import LeftValidation
from ..program import Captured, capture
from ..tasks.base.lone_image import without_lone_image
from ..tasks.base.steps import Step, accumulated_step, grouped, train_step, update_step
from ..tasks.base.task import Batches
from ..tasks.heads.head import Head
from ..tasks.inference.class_scores import forward_pass, measure_classes
from ..tensor import Tensor

Measure = Callable[["Trainer"], dict[str, Any]]


class Diverged(RuntimeError):
    """The loss is no longer a number."""


@dataclass
class Progress:
    """How far a run has come.  A checkpoint holds it, so resuming needs nothing else."""

    epoch: int = 0  # epochs finished
    batch: int = 0  # batches of the current epoch done
    step: int = 0  # optimiser steps since the start
    images: int = 0  # images trained on since the start
    seen: int = 0  # images since the last row of the history, and what was summed over them
    correct: float = 0
    loss_sum: float = 0.0
    seconds: float = 0.0
    stopped: str = ""  # why training ended early
    history: list[dict[str, Any]] = field(default_factory=list)


@dataclass
class Taken:
    """A step that was given to the device, and what is to be read of it."""

    loss: Tensor
    outputs: Sequence[Any]
    labels: Sequence[Any]
    images: int
    rate: float
    reading: Reading
    told: bool = False  # whether on_taken was called


class Callback:
    """Something that watches a run.  The trainer calls these, in the order of its list of callbacks."""

    def on_start(self, trainer: "Trainer") -> None:
        """Before the first step of this process."""

    def on_taken(self, trainer: "Trainer") -> None:
        """Before the next step, for what acts on the network or the rate; the loss of this one may not be known yet."""

    def on_step(self, trainer: "Trainer", loss: float) -> None:
        """After a step, when its loss is known."""

    def late(self, step: int) -> bool:
        """Say whether on_step of a step may come when the next one was taken: it uses loss, progress and rate alone.

        Then a GPU need not wait for the loss to be read.
        """
        return type(self).on_step is Callback.on_step

    def on_trained(self, trainer: "Trainer") -> None:
        """After the last step of an epoch, before it is validated; again where that was interrupted."""

    def measuring(self, trainer: "Trainer") -> AbstractContextManager[None]:
        """Return what surrounds the validation of the network."""
        return nullcontext()

    def on_epoch(self, trainer: "Trainer", row: dict[str, Any]) -> None:
        """After an epoch was validated and `row` was added to the history."""

    def on_end(self, trainer: "Trainer") -> None:
        """When training ends in order: finished, or stopped between two steps (trainer.interrupted)."""

    def close(self) -> None:
        """However training ends: give back what on_start took."""

    def state(self) -> dict[str, Any]:
        """Return what must survive a restart: arrays and JSON values."""
        return {}

    def restore(self, state: dict[str, Any]) -> None:
        """Take up what `state` returned."""


class Trainer:
    """Fits a network where its weights are, on the CPU or a GPU, one epoch of batches after the other.

    loss: a head of `tinymed.tasks.heads`, or any object with its methods. val_loader: validated on the whole set after
    every epoch. accumulate: batches of an optimiser step, of which an epoch's last may have fewer. clip_norm: largest
    norm of all gradients together. positive: the class that sensitivity speaks of. step: replaces `train_step`, for a
    captured one. measure: what to validate, by default a classifier's loss and metrics; answers {"loss": ..., name:
    ...} of the validation set. Set `stop` to end after the current step.
    """

    def __init__(
        self,
        model: Any,
        optimizer: Any,
        loss: Head,
        train_loader: Batches,
        val_loader: Batches | None = None,
        *,
        callbacks: Sequence[Callback] = (),
        accumulate: int = 1,
        clip_norm: float | None = None,
        positive: str | None = None,
        step: Step | None = None,
        measure: Measure | None = None,
    ):
        self.model, self.optimizer, self.loss = model, optimizer, loss
        self.train_loader, note = without_lone_image(train_loader, model)
        self.notes = [note] if note else []  # what was decided before the first step, for the user
        self.val_loader = val_loader
        self.callbacks, self.positive = list(callbacks), positive
        self.accumulate = accumulate
        if step is None and accumulate > 1:
            step = capture(accumulated_step(model, loss, update_step(model, optimizer, clip_norm)), fallback=True)
        self.step = step or capture(train_step(model, optimizer, loss, clip_norm), fallback=True)
        self.forward = capture(forward_pass(model), fallback=True)
        self.measure = measure or (None if val_loader is None else measure_classes)
        self.progress = Progress()
        self.unread: list[Taken] = []  # steps whose loss is not read yet, the oldest first
        self.stop, self.validating = False, False
        self.started = 0.0  # when the clock of the training last began to run
        self.epochs = self.steps = math.inf

    def __repr__(self) -> str:
        p, batches = self.progress, len(self.train_loader)
        return (
            f"Trainer({type(self.model).__name__}, {type(self.optimizer).__name__}, {type(self.loss).__name__}, "
            f"{batches} batches an epoch, epoch {p.epoch}, step {p.step})"
        )

    # ------------------------------------------------------------------------------------------- the loop

    def fit(self, epochs: int | None = None, steps: int | None = None) -> Progress:
        """Train until this many epochs or optimiser steps are done, counted from the run's beginning."""
        if epochs is None and steps is None:
            raise ValueError("fit: say how long, epochs=20 or steps=3000")
        self.epochs, self.steps = epochs or math.inf, steps or math.inf
        try:
            for callback in self.callbacks:
                callback.on_start(self)
            while not self.finished and not self.stop:
                self.train_epoch()
                if not self.stop:
                    for callback in self.callbacks:
                        callback.on_trained(self)
                    self.end_epoch()
            for callback in self.callbacks:
                callback.on_end(self)
        finally:
            for callback in self.callbacks:
                callback.close()
        return self.progress

    def train_epoch(self) -> None:
        """Take steps from where the epoch stands to its end, or to the last step asked for.

        On a GPU a step's loss is read when the step after it is on its way, so that the device never waits for the
        host, unless a callback wants to see the network in between.
        """
        p, place = self.progress, device_of(self.model)
        if p.step >= self.steps:
            return
        self.model.train()
        side, captured = SideReader(place), isinstance(self.step, Captured)  # which returns copies of its results
        batches = self.train_loader.epoch(p.epoch, p.batch)
        self.started = time.perf_counter()
        try:
            for group in grouped(device_batches(batches, self.loss.targets, place), self.accumulate):
                self.take_step(group, side)
                self.finish_steps(1)
                if place == "cuda" and captured and self.patient:
                    self.unread[0].told = True
                    self.tell(lambda callback: callback.on_taken(self))
                else:
                    self.finish_steps()
                if self.stop or self.taken >= self.steps:
                    break
        finally:  # what has been taken is counted, however the epoch ends
            self.finish_steps()

    def take_step(self, group: list[Any], side: SideReader) -> None:
        """Take an optimiser step on the batches (images, targets, labels, indices) of a group."""
        images, targets, labels, indices = zip(*group, strict=True)
        rate = self.learning_rate
        if self.accumulate == 1:
            value, answers = self.step(images[0], targets[0])
            outputs = [answers]
        else:
            value, outputs = self.step(images, targets)
        self.unread.append(Taken(value, outputs, labels, sum(map(len, indices)), rate, side.moment()))

    def finish_steps(self, but: int = 0) -> None:
        """Read the losses of the steps taken, of all but the last ones, count them, and tell the callbacks.

        Raises Diverged when a loss is no number.
        """
        p = self.progress
        while len(self.unread) > but:
            taken = self.unread[0]
            with taken.reading():
                correct = sum(self.loss.correct(o, label) for o, label in zip(taken.outputs, taken.labels, strict=True))
                loss = float(taken.loss.item())
            if not math.isfinite(loss):
                self.unread.clear()
                raise Diverged(
                    f"the loss is {loss} at step {p.step + 1}: training has diverged; lower the learning rate "
                    f"(it is {taken.rate:g}) or clip gradients"
                )
            del self.unread[0]
            p.batch, p.step = p.batch + len(taken.labels), p.step + 1
            p.images, p.seen = p.images + taken.images, p.seen + taken.images
            p.loss_sum += loss * taken.images
            p.correct += correct
            self.tell(partial(self.tell_of, taken, loss))

    def tell_of(self, taken: Taken, loss: float, callback: Callback) -> None:
        """Tell a callback of a step whose loss is known."""
        if not taken.told:
            callback.on_taken(self)
        callback.on_step(self, loss)

    def tell(self, call: Callable[[Callback], None]) -> None:
        """Call every callback, while the clock of the training stands."""
        self.progress.seconds += time.perf_counter() - self.started
        for callback in self.callbacks:
            call(callback)
        self.started = time.perf_counter()

    def end_epoch(self) -> None:
        """Validate, add a row to the history, and begin the next epoch if this one is whole."""
        p, whole = self.progress, len(self.train_loader)
        row: dict[str, Any] = {"epoch": p.epoch + 1 if p.batch == whole else round(p.epoch + p.batch / whole, 4)}
        row |= {"step": p.step, "lr": self.learning_rate, "loss": p.loss_sum / p.seen, self.counted: p.correct / p.seen}
        row |= self.validate()
        if self.stop:  # interrupted while validating: a resumed run validates first
            return
        row["seconds"] = round(p.seconds, 3)
        p.history.append(row)
        if p.batch == whole:
            p.epoch, p.batch = p.epoch + 1, 0
        p.seen, p.correct, p.loss_sum = 0, 0, 0.0
        for callback in self.callbacks:
            callback.on_epoch(self, row)

    # ------------------------------------------------------------------------------------------ the parts

    @property
    def finished(self) -> bool:
        """Say whether all is trained and validated."""
        p = self.progress
        return p.seen == 0 and (bool(p.stopped) or p.epoch >= self.epochs or p.step >= self.steps)

    @property
    def interrupted(self) -> bool:
        """Say whether `fit` was told to stop before it had finished."""
        return self.stop and not self.finished

    @property
    def taken(self) -> int:
        """Return the steps given to the device: those of the progress, and those whose loss is not read yet."""
        return self.progress.step + len(self.unread)

    @property
    def patient(self) -> bool:
        """Say whether all callbacks can be told late of the last step; who acts before the next one must come first."""
        looked = False
        for callback in self.callbacks:
            acts = type(callback).on_taken is not Callback.on_taken
            if (looked and acts) or not callback.late(self.taken):
                return False
            looked |= type(callback).on_step is not Callback.on_step
        return True

    @property
    def steps_per_epoch(self) -> int:
        """Return the optimiser steps of an epoch."""
        return -(-len(self.train_loader) // self.accumulate)

    @property
    def counted(self) -> str:
        """Return the name of what the head's `correct` sums over the images of the training."""
        return str(getattr(self.loss, "measure", "accuracy"))

    @property
    def learning_rate(self) -> float:
        """Of the first parameter group."""
        return float(self.optimizer.param_groups[0]["lr"])

    def validate(self) -> dict[str, Any]:
        """Return loss and metrics over the whole validation set, as val_loss, ...; empty without one, or when left."""
        found: dict[str, Any] = {}
        with ExitStack() as stack, suppress(LeftValidation):
            for callback in self.callbacks:
                stack.enter_context(callback.measuring(self))
            try:
                self.validating = True
                found = {} if self.measure is None else self.measure(self)
            finally:
                self.validating = False
        return {} if self.stop else {f"val_{name}": value for name, value in found.items()}

    # ------------------------------------------------------------------------------------------ the state

    def state(self) -> dict[str, Any]:
        """Everything the next step depends on, as a tree of arrays and JSON values for `save_checkpoint`.

        Raises RuntimeError between a step and the reading of its loss, where weights and progress do not go together.
        """
        if self.unread:
            raise RuntimeError(
                f"Trainer.state: the network is after step {self.taken}, the progress after {self.progress.step}; "
                "a callback asks for the state in on_step, and answers False to late(step)"
            )
        generators = {"dropout": random.default_generator, "initialise": random.init_generator}
        return {
            "model": as_arrays(self.model.state_dict()),
            "optimizer": as_arrays(self.optimizer.state_dict()),
            "generators": {name: g.get_state() for name, g in generators.items()},
            "progress": asdict(self.progress),
            "callbacks": {type(c).__name__: as_arrays(c.state()) for c in self.callbacks},
        }

    def restore(self, tree: dict[str, Any]) -> None:
        """Take up the state that `state` returned, in a trainer built from the same configuration."""
        self.model.load_state_dict(tree["model"])
        self.optimizer.load_state_dict(tree["optimizer"])
        random.default_generator.set_state(tree["generators"]["dropout"])
        random.init_generator.set_state(tree["generators"]["initialise"])
        self.unread.clear()
        self.progress = Progress(**tree["progress"])
        for callback in self.callbacks:
            callback.restore(tree["callbacks"].get(type(callback).__name__, {}))
