"""Deep Boltzmann machines: an undirected stack of binary layers, learnt by mean field and persistent chains.

    E(h0, ..., hL) = -sum_l b_l.h_l - sum_l h_(l-1).W_l h_l,  h0 = v the visible units
    given its neighbours a layer is independent:  p(h_l = 1) = sigmoid(b_l + h_(l-1) W_l + W_(l+1) h_(l+1))
    mean field   mu_l = the same with mu for h, repeated: the best factorising q(h | v)
    bound        log p(v) >= -E(v, mu) + entropy(mu) - log Z
    gradient     of the bound: <h_(l-1) h_l'> of the chains - mu_(l-1) mu_l' of the data

Layers of even number are drawn together, given those of odd number, and the reverse.  Salakhutdinov & Hinton, AISTATS
2009.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from .. import devices, random
from ..errors import UserError
from .learning import Descent
from .rbm import Gradients
from .units import Array, array_module, binary_states, log_sum_exp, sample_bernoulli, sigmoid, softplus, state_blocks

TINY = 1e-12  # a probability, before its logarithm


class DBM:
    """A deep Boltzmann machine of binary units.

    Args:
        sizes: Units of the layers, the visible first: three or more numbers.
        seed: Of initial weights and of all samples that the machine draws.
        std: Standard deviation of the initial weights; biases begin at 0.
        dtype: Of the parameters.

    Attributes:
        weights: W_1, ..., W_L, each [units below, units above].
        biases: b_0, ..., b_L.

    Raises:
        UserError: There are fewer than two hidden layers, or one has no unit.

    Example:
        >>> machine = DBM([6, 4, 3])
        >>> [mu.shape for mu in machine.mean_field(np.zeros((2, 6), np.float32))]
        [(2, 4), (2, 3)]

    Reference:
        Salakhutdinov & Hinton, AISTATS 2009.
    """

    def __init__(self, sizes: Sequence[int], seed: int = 0, std: float = 0.01, dtype: Any = np.float32):
        if len(sizes) < 3 or min(sizes) < 1:
            raise UserError(f"DBM: needs the visible and two or more hidden layers with units, got {list(sizes)}")
        self.sizes = list(sizes)
        self.weights: list[Array] = [
            (std * random.normal(m * n, seed, random.INITIALISE, i).reshape(m, n)).astype(dtype)
            for i, (m, n) in enumerate(pairwise(sizes))
        ]
        self.biases: list[Array] = [np.zeros(n, dtype) for n in sizes]
        self.generator = random.Generator(seed, random.GIBBS)

    def __repr__(self) -> str:
        return f"DBM({self.sizes})"

    @property
    def parameters(self) -> Gradients:
        """Return the parameters by name: weight1, ..., layer0_bias, ...."""
        named = {f"weight{i + 1}": w for i, w in enumerate(self.weights)}
        return named | {f"layer{i}_bias": b for i, b in enumerate(self.biases)}

    def to(self, device: str) -> "DBM":
        """Move the parameters to "cpu" or "cuda", in place; returns the machine."""
        self.weights = [devices.move(w, device) for w in self.weights]
        self.biases = [devices.move(b, device) for b in self.biases]
        return self

    def check(self, v: Array) -> Array:
        """Return visible values as the parameters' type.  Raises UserError unless they are [n, visible]."""
        if v.ndim != 2 or v.shape[1] != self.sizes[0] or not len(v):
            raise UserError(f"{self!r}: takes values [n, {self.sizes[0]}] with n >= 1, got shape {list(v.shape)}")
        return v.astype(self.biases[0].dtype, copy=False)

    def layer_input(self, layers: Sequence[Array], i: int) -> Array:
        """Return b_i + what the neighbours of layer i send it."""
        total = self.biases[i]
        if i > 0:
            total = total + layers[i - 1] @ self.weights[i - 1]
        if i < len(self.weights):
            total = total + layers[i + 1] @ self.weights[i].T
        return total

    # ------------------------------------------------------------------------------------------- inference, sampling

    def mean_field(self, v: Array, iterations: int = 15) -> list[Array]:
        """Return mu of each hidden layer given v, by coordinate ascent on the bound.

        It begins with a pass upwards in which inputs are doubled, for what the layer above does not send yet.
        """
        layers = [self.check(v)]
        for i in range(1, len(self.sizes)):
            factor = 2 if i < len(self.weights) else 1
            layers.append(sigmoid(self.biases[i] + factor * (layers[i - 1] @ self.weights[i - 1])))
        for _ in range(iterations):
            for i in range(1, len(self.sizes)):
                layers[i] = sigmoid(self.layer_input(layers, i))
        return layers[1:]

    def start_chains(self, chains: int) -> list[Array]:
        """Return states of all layers, drawn from the biases alone."""
        return [
            sample_bernoulli(sigmoid(array_module(b).broadcast_to(b, (chains, len(b)))), self.generator)
            for b in self.biases
        ]

    def gibbs(self, layers: Sequence[Array], steps: int = 1) -> list[Array]:
        """Return states of all layers after `steps` rounds: odd layers given even ones, then even given odd."""
        layers = list(layers)
        for _ in range(steps):
            for parity in (1, 0):
                for i in range(parity, len(self.sizes), 2):
                    layers[i] = sample_bernoulli(sigmoid(self.layer_input(layers, i)), self.generator)
        return layers

    # ---------------------------------------------------------------------------------------------------- energies

    def energy(self, layers: Sequence[Array]) -> Array:
        """Return E of each row of states, or of means, [n]."""
        total = -(layers[0] @ self.biases[0])
        for i, w in enumerate(self.weights):
            total = total - layers[i + 1] @ self.biases[i + 1] - ((layers[i] @ w) * layers[i + 1]).sum(1)
        return total

    def bound(self, v: Array, iterations: int = 15) -> Array:
        """Return the mean-field bound on -F(v) = log p(v) + log Z of each row, [n]."""
        means = self.mean_field(v, iterations)
        entropy = sum(-(m * np.log(m + TINY) + (1 - m) * np.log(1 - m + TINY)).sum(1) for m in means)
        return entropy - self.energy([self.check(v), *means])

    def log_partition(self) -> float:
        """Return log Z exactly, by a sum over the states of the even or the odd layers, whichever are fewer units.

        Raises UserError where they are more than 20.
        """
        return float(self.log_sum(None)[0])

    def free_energy(self, v: Array) -> np.ndarray:
        """Return F(v) = -log sum over all hidden states of exp(-E), exactly, [n]; of small machines only."""
        return -self.log_sum(devices.move(self.check(v), "cpu"))

    def log_sum(self, v: np.ndarray | None) -> np.ndarray:
        """Return log of the sum of exp(-E) over all states, or over those with these visible states, by row."""
        first = 0 if v is None else 1
        weights = [devices.move(w, "cpu").astype(np.float64) for w in self.weights]
        biases = [devices.move(b, "cpu").astype(np.float64) for b in self.biases]
        parity = min((0, 1), key=lambda p: sum(self.sizes[i] for i in range(first, len(self.sizes)) if i % 2 == p))
        visited = [i for i in range(first, len(self.sizes)) if i % 2 == parity]
        ends = np.cumsum([0, *(self.sizes[i] for i in visited)])
        result = []
        for row in [None] if v is None else v.astype(np.float64):
            terms = []
            for start, stop in state_blocks(int(ends[-1]), "DBM.log_sum"):
                states = binary_states(int(ends[-1]), start, stop)
                known = {i: states[:, a:b] for i, a, b in zip(visited, ends[:-1], ends[1:], strict=True)}
                if row is not None:
                    known[0] = np.broadcast_to(row, (len(states), len(row)))
                total = sum(known[i] @ biases[i] for i in known)
                if row is not None and 1 in known:  # both ends of W_1 are known
                    total = total + ((known[0] @ weights[0]) * known[1]).sum(1)
                for i in set(range(len(self.sizes))) - set(known):
                    inputs = biases[i] + (known[i - 1] @ weights[i - 1] if i else 0)
                    total = total + softplus(inputs + (known[i + 1] @ weights[i].T if i + 1 in known else 0)).sum(1)
                terms.append(log_sum_exp(total))
            result.append(log_sum_exp(np.array(terms)))
        return np.array(result)

    # ---------------------------------------------------------------------------------------------------- gradients

    def mean_statistics(self, layers: Sequence[Array]) -> Gradients:
        """Return the means over rows of -dE/dparameter."""
        n = len(layers[0])
        found = {f"weight{i + 1}": layers[i].T @ layers[i + 1] / n for i in range(len(self.weights))}
        return found | {f"layer{i}_bias": layer.mean(0) for i, layer in enumerate(layers)}

    def gradients(self, v: Array, chains: Sequence[Array], iterations: int = 15) -> Gradients:
        """Return the gradient of minus the mean bound on log p(v), estimated with states of the model."""
        positive = self.mean_statistics([self.check(v), *self.mean_field(v, iterations)])
        negative = self.mean_statistics(chains)
        return {name: negative[name] - positive[name] for name in positive}

    def state(self) -> dict[str, Any]:
        """Return everything that the next draw depends on, for `save_checkpoint`."""
        held = {name: devices.move(p, "cpu").copy() for name, p in self.parameters.items()}
        return held | {"generator": self.generator.get_state()}

    def restore(self, state: dict[str, Any]) -> None:
        """Take up what `state` returned.  Raises UserError for parameters of other shapes."""
        for name, own in self.parameters.items():
            if state[name].shape != own.shape:
                raise UserError(f"{self!r}: {name} has the shape {list(state[name].shape)}, needed {list(own.shape)}")
            own[...] = devices.move(state[name].astype(own.dtype), devices.of(own))
        self.generator.set_state(state["generator"])


class DBMLearning:
    """One step of learning a deep Boltzmann machine after the other: mean field of the data, persistent chains.

    Args:
        machine: The machine, whose parameters change in place.
        lr: Learning rate.
        momentum: Share of the last step that is kept.
        weight_decay: L2 penalty of the weights.
        iterations: Of mean field for each batch.
        chains: Persistent chains.
        steps: Rounds of Gibbs sampling of the chains for each step.

    Example:
        >>> learning = DBMLearning(DBM([4, 3, 2]), lr=0.1, chains=8)
        >>> bool(0 <= learning(np.tile(np.array([[1, 1, 0, 0]], np.float32), (8, 1))) <= 1)
        True
    """

    def __init__(
        self,
        machine: DBM,
        lr: float = 0.01,
        momentum: float = 0.5,
        weight_decay: float = 0.0,
        iterations: int = 15,
        chains: int = 100,
        steps: int = 5,
    ):
        if min(iterations, chains, steps) < 1:
            raise UserError(f"DBMLearning: iterations, chains, steps >= 1, got {iterations}, {chains}, {steps}")
        self.machine, self.iterations, self.steps = machine, iterations, steps
        self.descent = Descent(machine, lr, momentum, weight_decay)
        self.chains = machine.start_chains(chains)

    def __call__(self, data: Array) -> float:
        """Learn from one batch [n, visible]; return the mean squared error of v given the means of layer 1."""
        machine = self.machine
        data = machine.check(data)
        self.chains = machine.gibbs(self.chains, self.steps)
        means = machine.mean_field(data, self.iterations)
        error = float(((data - sigmoid(machine.layer_input([data, *means], 0))) ** 2).mean())
        if not np.isfinite(error):
            raise UserError(f"{machine!r}: has diverged; lower the learning rate (it is {self.descent.lr:g})")
        self.descent.step(machine.gradients(data, self.chains, self.iterations))
        return error

    def state(self) -> dict[str, Any]:
        """Return everything that the next step depends on, the machine included."""
        chains = {str(i): devices.move(c, "cpu").copy() for i, c in enumerate(self.chains)}
        return {"machine": self.machine.state(), "velocity": self.descent.state(), "chains": chains}

    def restore(self, state: dict[str, Any]) -> None:
        """Take up what `state` returned."""
        self.machine.restore(state["machine"])
        self.descent.restore(state["velocity"])
        place = devices.of(self.machine.biases[0])
        self.chains = [devices.move(state["chains"][str(i)], place) for i in range(len(self.chains))]
