"""Restricted Boltzmann machines: binary hidden units above binary or Gaussian visible ones.

    Bernoulli   E(v, h) = -a.v - b.h - v.W h                 p(v = 1 | h) = sigmoid(a + W h)
    Gaussian    E(v, h) = |v - a|^2 / 2 - b.h - v.W h        v | h is normal about a + W h with variance 1
    both        p(h = 1 | v) = sigmoid(b + v W)
                F(v) = -log sum_h exp(-E(v, h)) = (-a.v or |v - a|^2 / 2) - sum_j softplus(b_j + (v W)_j)
                p(v) = exp(-F(v)) / Z

The gradient of the mean of -log p(v) is a difference of two means of dF/dparameter: over the data, and over the
model's own v.  It is written out here; no tape is used, since the second mean is over samples, not a function that
could be differentiated.  Smolensky 1986; Hinton, Neural Computation 14, 2002; Gaussian units: Hinton & Salakhutdinov,
Science 313, 2006.
"""

from typing import Any

import numpy as np

from .. import devices, random
from ..errors import UserError
from .units import (
    Array,
    array_module,
    binary_states,
    log_sum_exp,
    sample_bernoulli,
    sample_normal,
    sigmoid,
    softplus,
    state_blocks,
)

Gradients = dict[str, Array]
KINDS = ("bernoulli", "gaussian")


class RBM:
    """A restricted Boltzmann machine.

    Args:
        visible: Visible units.
        hidden: Hidden units, binary.
        kind: "bernoulli" for values in 0 to 1, "gaussian" for standardised ones (mean 0, deviation 1 each).
        seed: Of initial weights and of all samples that the machine draws.
        std: Standard deviation of the initial weights; biases begin at 0.
        dtype: Of the parameters.

    Attributes:
        weight: [visible, hidden].
        visible_bias: a, [visible].
        hidden_bias: b, [hidden].
        generator: The stream of its samples; its counter is part of `state`.

    Raises:
        UserError: The kind is unknown, or a layer has no unit.

    Example:
        >>> machine = RBM(6, 3)
        >>> v = np.eye(6, dtype=np.float32)
        >>> machine.hidden_mean(v).shape, machine.free_energy(v).shape
        ((6, 3), (6,))

    Reference:
        Hinton, "A practical guide to training restricted Boltzmann machines", UTML TR 2010-003.
    """

    def __init__(
        self,
        visible: int,
        hidden: int,
        kind: str = "bernoulli",
        seed: int = 0,
        std: float = 0.01,
        dtype: Any = np.float32,
    ):
        if kind not in KINDS:
            raise UserError(f"RBM: kind is one of {', '.join(KINDS)}, got {kind!r}")
        if visible < 1 or hidden < 1:
            raise UserError(f"RBM: each layer has at least one unit, got {visible} visible and {hidden} hidden")
        self.visible, self.hidden, self.kind, self.seed = visible, hidden, kind, seed
        drawn = random.normal(visible * hidden, seed, random.INITIALISE, 0).reshape(visible, hidden)
        self.weight: Array = (std * drawn).astype(dtype)
        self.visible_bias: Array = np.zeros(visible, dtype)
        self.hidden_bias: Array = np.zeros(hidden, dtype)
        self.generator = random.Generator(seed, random.GIBBS)

    def __repr__(self) -> str:
        return f"RBM({self.visible}, {self.hidden}, {self.kind!r})"

    @property
    def parameters(self) -> Gradients:
        """Return the parameters by name."""
        return {"weight": self.weight, "visible_bias": self.visible_bias, "hidden_bias": self.hidden_bias}

    def check(self, v: Array) -> Array:
        """Return visible values as the parameters' type.  Raises UserError unless they are [n, visible]."""
        if v.ndim != 2 or v.shape[1] != self.visible or not len(v):
            raise UserError(f"{self!r}: takes values [n, {self.visible}] with n >= 1, got shape {list(v.shape)}")
        return v.astype(self.weight.dtype, copy=False)

    def to(self, device: str) -> "RBM":
        """Move the parameters to "cpu" or "cuda", in place; returns the machine."""
        self.weight, self.visible_bias, self.hidden_bias = (devices.move(p, device) for p in self.parameters.values())
        return self

    # ------------------------------------------------------------------------------- one layer given the other

    def hidden_input(self, v: Array) -> Array:
        """Return b + v W."""
        return self.check(v) @ self.weight + self.hidden_bias

    def hidden_mean(self, v: Array) -> Array:
        """Return p(h = 1 | v), [n, hidden]."""
        return sigmoid(self.hidden_input(v))

    def visible_mean(self, h: Array) -> Array:
        """Return the mean of v given h, [n, visible]: a probability of binary units."""
        total = h @ self.weight.T + self.visible_bias
        return total if self.kind == "gaussian" else sigmoid(total)

    def sample_hidden(self, v: Array) -> Array:
        """Return states of the hidden units drawn given v."""
        return sample_bernoulli(self.hidden_mean(v), self.generator)

    def sample_visible(self, h: Array) -> Array:
        """Return states of the visible units drawn given h."""
        draw = sample_normal if self.kind == "gaussian" else sample_bernoulli
        return draw(self.visible_mean(h), self.generator)

    def gibbs(self, v: Array, steps: int = 1) -> Array:
        """Return the visible states after `steps` rounds of drawing all h given v, then all v given h."""
        for _ in range(steps):
            v = self.sample_visible(self.sample_hidden(v))
        return v

    def reconstruct(self, v: Array) -> Array:
        """Return the mean of v given the mean of h given v: what the machine keeps of each row."""
        return self.visible_mean(self.hidden_mean(v))

    # ------------------------------------------------------------------------------------------------ energies

    def energy(self, v: Array, h: Array) -> Array:
        """Return E(v, h) of each pair of rows, [n]."""
        own = -(v @ self.visible_bias)
        if self.kind == "gaussian":
            own = 0.5 * ((v - self.visible_bias) ** 2).sum(1)
        return own - h @ self.hidden_bias - ((v @ self.weight) * h).sum(1)

    def free_energy(self, v: Array) -> Array:
        """Return F(v) of each row, [n]: lower is more probable."""
        v = self.check(v)
        own = -(v @ self.visible_bias)
        if self.kind == "gaussian":
            own = 0.5 * ((v - self.visible_bias) ** 2).sum(1)
        return own - softplus(self.hidden_input(v)).sum(1)

    def log_partition(self) -> float:
        """Return log Z exactly, by a sum over the states of the hidden units, or of a smaller binary layer.

        Raises UserError where that layer has more than 20 units.
        """
        w, a, b = (devices.move(p, "cpu").astype(np.float64) for p in self.parameters.values())
        if self.kind == "bernoulli" and self.visible < self.hidden:
            w, a, b = w.T, b, a
        units = w.shape[1]  # summed one by one; the other layer in closed form
        terms = []
        for start, stop in state_blocks(units, "log_partition"):
            h = binary_states(units, start, stop)
            inputs = h @ w.T + a
            if self.kind == "gaussian":  # the integral of exp(-|v - a|^2 / 2 + v.W h) over v
                other = 0.5 * (inputs**2 - a**2).sum(1) + 0.5 * len(a) * np.log(2 * np.pi)
            else:
                other = softplus(inputs).sum(1)
            terms.append(log_sum_exp(h @ b + other))
        return log_sum_exp(np.array(terms))

    def log_likelihood(self, v: Array) -> Array:
        """Return log p(v) of each row, exactly; as `log_partition`, of small machines only."""
        return -self.free_energy(v) - self.log_partition()

    def pseudo_log_likelihood(self, v: Array) -> Array:
        """Return sum_i log p(v_i | the other v) of each row of 0 and 1, [n], which needs no Z.

        log p(v_i | others) = log sigmoid(F(v with v_i flipped) - F(v)).  Besag 1975.  Raises UserError for Gaussian
        units.
        """
        if self.kind == "gaussian":
            raise UserError("pseudo_log_likelihood: flips binary visible units; these are Gaussian")
        v = self.check(v)
        xp = array_module(v)
        inputs, here = self.hidden_input(v), self.free_energy(v)
        total = xp.zeros(len(v), v.dtype)
        for i in range(self.visible):  # flipping v_i adds 1 - 2 v_i times row i of W to the hidden inputs
            change = 1 - 2 * v[:, i]
            flipped = -(v @ self.visible_bias) - change * self.visible_bias[i]
            flipped = flipped - softplus(inputs + change[:, None] * self.weight[i]).sum(1)
            total = total - softplus(here - flipped)
        return total

    # ----------------------------------------------------------------------------------------------- gradients

    def mean_statistics(self, v: Array) -> Gradients:
        """Return the means over rows of -dF/dparameter: of v h', of v (v - a of Gaussian units) and of h."""
        v = self.check(v)
        h = self.hidden_mean(v)
        own = v.mean(0)
        if self.kind == "gaussian":
            own = own - self.visible_bias
        return {"weight": v.T @ h / len(v), "visible_bias": own, "hidden_bias": h.mean(0)}

    def gradients(self, data: Array, model: Array) -> Gradients:
        """Return the gradient of mean F(data) - mean F(model) with `model` held fixed, by parameter.

        With samples of the model it estimates the gradient of the mean of -log p(data), without bias.
        """
        positive, negative = self.mean_statistics(data), self.mean_statistics(model)
        return {name: negative[name] - positive[name] for name in positive}

    def exact_gradients(self, data: Array) -> Gradients:
        """Return the gradient of the mean of -log p(data), by a sum over all states of the visible units.

        Raises UserError for Gaussian units, or more than 20.
        """
        if self.kind == "gaussian":
            raise UserError("exact_gradients: sums over states of binary visible units; these are Gaussian")
        positive, log_z = self.mean_statistics(data), self.log_partition()
        negative = {name: np.zeros(p.shape, np.float64) for name, p in self.parameters.items()}
        for start, stop in state_blocks(self.visible, "exact_gradients"):
            v = devices.move(binary_states(self.visible, start, stop), devices.of(self.weight))
            p = devices.move(self.free_energy(v), "cpu").astype(np.float64)
            p = np.exp(-p - log_z)
            h, states = (devices.move(x, "cpu").astype(np.float64) for x in (self.hidden_mean(v), v))
            negative["weight"] += (states * p[:, None]).T @ h
            negative["visible_bias"] += p @ states
            negative["hidden_bias"] += p @ h
        place, dtype = devices.of(self.weight), self.weight.dtype
        return {name: devices.move(n.astype(dtype), place) - positive[name] for name, n in negative.items()}

    # --------------------------------------------------------------------------------------------------- state

    def state(self) -> dict[str, Any]:
        """Return everything that the next draw and step depend on, for `save_checkpoint`."""
        held = {name: devices.move(p, "cpu").copy() for name, p in self.parameters.items()}
        return held | {"generator": self.generator.get_state()}

    def restore(self, state: dict[str, Any]) -> None:
        """Take up what `state` returned.  Raises UserError for parameters of other shapes."""
        place = devices.of(self.weight)
        for name, own in self.parameters.items():
            if state[name].shape != own.shape:
                raise UserError(f"{self!r}: {name} has the shape {list(state[name].shape)}, needed {list(own.shape)}")
            setattr(self, name, devices.move(state[name].astype(own.dtype), place))
        self.generator.set_state(state["generator"])
