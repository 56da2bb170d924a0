"""Averages of the weights that a run passes through, which are evaluated in place of the last ones.

    ema    after every step: d a + (1 - d) w, with d = min(decay, (1 + n) / (10 + n)) at the n-th, so that the first,
           random weights are soon forgotten
    swa    after every epoch from a share of the training on: the equal mean; batch norm's statistics, which no training
           has seen for these weights, are then taken anew over the training set

The run goes on training its own weights; validation, the best checkpoint and everything after the run see the average.
Polyak & Juditsky, "Acceleration of stochastic approximation by averaging", 1992; Izmailov et al., "Averaging weights
leads to wider optima and better generalization", 2018.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from ..data.device_batches import as_arrays, device_batches, device_of
from ..optim.swa_utils import AveragedModel, get_ema_avg_fn, update_bn
from .trainer import Callback, Trainer


def warmed_decay(decay: float, count: int) -> float:
    """Return the decay after `count` updates: min(decay, (1 + count) / (10 + count)).

    Example:
        >>> warmed_decay(0.99, 0), warmed_decay(0.99, 10), warmed_decay(0.99, 10_000)
        (0.1, 0.55, 0.99)
    """
    return min(decay, (1 + count) / (10 + count))


class WeightAverage(Callback):
    """Averages a trainer's weights: after every step (ema), or every epoch from `start` on (swa).

    kind: "ema" or "swa".  decay: of the exponential average.  start: the first epoch, counted from 0, whose weights an
    equal average takes.  Stands before the callback that saves, as its state is part of the checkpoint.
    """

    def __init__(self, model: Any, kind: str, decay: float = 0.99, start: float = 0):
        self.kind, self.start, self.taken_at = kind, start, 0

        def exponential(average: Any, value: Any, count: Any) -> Any:
            return get_ema_avg_fn(warmed_decay(decay, int(count.item())))(average, value, count)

        self.model = AveragedModel(model, avg_fn=exponential if kind == "ema" else None)
        self.model.n_averaged = self.model.n_averaged.cpu()  # the host asks for it after every step

    def on_taken(self, trainer: Trainer) -> None:
        if self.kind == "ema":
            self.model.update_parameters(trainer.model)
            self.taken_at = trainer.taken

    def on_trained(self, trainer: Trainer) -> None:
        p = trainer.progress
        if self.kind == "ema" or p.epoch < self.start or self.taken_at == p.step:  # a resumed run comes here again
            return
        self.model.update_parameters(trainer.model)
        self.taken_at = p.step
        batches = device_batches(trainer.train_loader.epoch(p.epoch), trainer.loss.targets, device_of(trainer.model))
        update_bn((images for images, *_ in batches), self.model)

    @contextmanager
    def measuring(self, trainer: Trainer) -> Iterator[None]:
        """Give the network the average while it is measured, and then its own weights again."""
        if not self.taken_at:
            yield
            return
        model = trainer.model
        own = {name: value.copy() for name, value in as_arrays(model.state_dict()).items()}
        model.load_state_dict(self.weights())
        try:
            yield
        finally:
            model.load_state_dict(own)

    def weights(self) -> Any:
        """Return the average as arrays by name."""
        return as_arrays(self.model.module.state_dict())

    def state(self) -> dict[str, Any]:
        state = {"taken_at": self.taken_at, "n": int(self.model.n_averaged.item())}
        return state | ({"weights": self.weights()} if self.taken_at else {})

    def restore(self, state: dict[str, Any]) -> None:
        self.taken_at = int(state.get("taken_at", 0))
        if self.taken_at:
            self.model.module.load_state_dict(state["weights"])
            self.model.n_averaged.fill_(int(state["n"]))


def evaluated_weights(tree: Mapping[str, Any]) -> Any:
    """Return the weights of a checkpoint that its run is evaluated with: the average where there is one."""
    return tree["callbacks"].get(WeightAverage.__name__, {}).get("weights") or tree["model"]
