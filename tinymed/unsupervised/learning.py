"""Learning of restricted Boltzmann machines: contrastive divergence and persistent chains, with momentum.

CD-k    the model's samples are k rounds of Gibbs sampling away from the data      Hinton 2002
PCD-k   k rounds away from where chains of their own stood after the last step     Tieleman, ICML 2008
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from .. import devices, random
from ..errors import UserError
from .rbm import RBM, Gradients
from .units import Array


class Descent:
    """Gradient descent with momentum on the parameters of a machine, in place.

    velocity = momentum * velocity - lr * (gradient + weight_decay * weight);  parameter += velocity

    Args:
        machine: Has `parameters`, a dictionary of arrays.
        lr: Learning rate.
        momentum: Share of the last step that is kept.
        weight_decay: L2 penalty of what is no bias.
    """

    def __init__(self, machine: Any, lr: float, momentum: float, weight_decay: float):
        if lr <= 0 or not 0 <= momentum < 1 or weight_decay < 0:
            raise UserError(
                f"learning: lr > 0, 0 <= momentum < 1 and weight_decay >= 0; got {lr}, {momentum}, {weight_decay}"
            )
        self.machine, self.lr, self.momentum, self.weight_decay = machine, lr, momentum, weight_decay
        self.velocity: Gradients = {name: 0 * p for name, p in machine.parameters.items()}

    def step(self, gradients: Gradients) -> None:
        """Change the parameters by one step."""
        for name, parameter in self.machine.parameters.items():
            gradient = gradients[name]
            if self.weight_decay and not name.endswith("bias"):
                gradient = gradient + self.weight_decay * parameter
            velocity = self.velocity[name]
            velocity *= self.momentum
            velocity -= self.lr * gradient
            parameter += velocity

    def state(self) -> dict[str, np.ndarray]:
        """Return the velocities."""
        return {name: devices.move(v, "cpu").copy() for name, v in self.velocity.items()}

    def restore(self, state: dict[str, np.ndarray]) -> None:
        """Take up what `state` returned."""
        for name, own in self.velocity.items():
            own[...] = devices.move(state[name], devices.of(own))


class ContrastiveDivergence:
    """One step of learning a restricted Boltzmann machine after the other.

    Args:
        machine: The machine, whose parameters change in place.
        lr: Learning rate.
        momentum: Share of the last step that is kept.
        weight_decay: L2 penalty of the weights.
        steps: Rounds k of Gibbs sampling for each step of learning.
        chains: 0 for CD-k, which begins at the data; otherwise the number of persistent chains of PCD-k.

    Raises:
        UserError: A number is out of range.

    Example:
        >>> machine = RBM(4, 2)
        >>> learning = ContrastiveDivergence(machine, lr=0.1)
        >>> error = learning(np.tile(np.array([[1, 1, 0, 0]], np.float32), (8, 1)))
        >>> bool(machine.visible_bias[0] > 0 > machine.visible_bias[3])
        True

    Reference:
        Hinton, Neural Computation 14, 2002; Tieleman, ICML 2008.
    """

    def __init__(
        self,
        machine: RBM,
        lr: float = 0.05,
        momentum: float = 0.5,
        weight_decay: float = 0.0,
        steps: int = 1,
        chains: int = 0,
    ):
        if steps < 1 or chains < 0:
            raise UserError(f"ContrastiveDivergence: steps >= 1 and chains >= 0, got {steps} and {chains}")
        self.machine, self.steps = machine, steps
        self.descent = Descent(machine, lr, momentum, weight_decay)
        self.chains: Array | None = None
        if chains:
            start = np.zeros((chains, machine.hidden), machine.weight.dtype) + 0.5
            self.chains = machine.sample_visible(devices.move(start, devices.of(machine.weight)))

    def __call__(self, data: Array) -> float:
        """Learn from one batch [n, visible]; return the mean squared error of reconstructing it beforehand."""
        machine = self.machine
        data = machine.check(data)
        begin = data if self.chains is None else self.chains
        model = machine.gibbs(begin, self.steps)
        if self.chains is not None:
            self.chains = model
        error = float(((data - machine.reconstruct(data)) ** 2).mean())
        if not np.isfinite(error):
            raise UserError(
                f"{machine!r}: has diverged; lower the learning rate (it is {self.descent.lr:g}), and standardise "
                "the values of Gaussian units"
            )
        self.descent.step(machine.gradients(data, model))
        return error

    def state(self) -> dict[str, Any]:
        """Return everything that the next step depends on, the machine included."""
        state: dict[str, Any] = {"machine": self.machine.state(), "velocity": self.descent.state()}
        return state if self.chains is None else state | {"chains": devices.move(self.chains, "cpu").copy()}

    def restore(self, state: dict[str, Any]) -> None:
        """Take up what `state` returned."""
        self.machine.restore(state["machine"])
        self.descent.restore(state["velocity"])
        if self.chains is not None:
            self.chains = devices.move(state["chains"], devices.of(self.machine.weight))


def fit(
    learning: Callable[[Array], float],
    data: Array,
    epochs: int,
    batch: int = 100,
    seed: int = 0,
    start: int = 0,
    watch: Callable[[int, float], None] | None = None,
) -> list[float]:
    """Let a machine learn from shuffled batches.

    Args:
        learning: Called with each batch; returns an error to report.
        data: [n, visible].
        epochs: Passes over the data, counted from the beginning.
        batch: Rows of a batch; a last, smaller one is used too.
        seed: Of the order, which is a function of (seed, epoch) alone.
        start: Epochs that were done before, of a run that goes on.
        watch: Called with (epoch, mean error) after each epoch.

    Returns:
        The mean error of each epoch that was done now.

    Example:
        >>> v = np.tile(np.array([[1, 1, 0, 0]], np.float32), (32, 1))
        >>> errors = fit(ContrastiveDivergence(RBM(4, 2), lr=0.5), v, epochs=20, batch=8)
        >>> errors[-1] < errors[0]
        True
    """
    errors = []
    for epoch in range(start, epochs):
        order = random.permutation(len(data), seed, random.SHUFFLE, epoch)
        total = 0.0
        for first in range(0, len(data), batch):
            rows = order[first : first + batch]
            total += len(rows) * learning(data[rows])
        errors.append(total / len(data))
        if watch:
            watch(epoch + 1, errors[-1])
    return errors
