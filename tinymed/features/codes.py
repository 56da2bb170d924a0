"""Compact binary codes on which linear classifiers work, after PiCoDes (Bergamo, Torresani & Fitzgibbon, 2011).

    h_c(x) = [ a_c . x > 0 ]                                        bit c of an image, a_c its hyper-plane
    E = sum_k  |w_k|^2 / 2  +  C sum_i max(0, 1 - y_ik (w_k . h(x_i) + b_k))^2

E is lowered in turns, and never raised.  For fixed bits each w_k is a linear machine, class k against the rest.  For
fixed w each bit is learned by itself: a row wants the value that makes E smaller, as much as it makes it smaller, and
a_c is the weighted linear machine for these wishes; it is kept where E falls.

The publication lifts the rows by an approximate kernel map and takes other solvers; here the rows are their principal
components, and the machines are solved by Newton's method (Chapelle, 2007).
"""

import numpy as np

from .. import random
from ..baselines.scaling import Columns
from ..errors import UserError

COMPONENTS = 128
STEPS = 30  # of Newton's method; a few are enough


class BinaryCodes:
    """A learner of bits.

    Args:
        bits: Length of a code.
        turns: How often all machines and all bits are learned.
        C: Weight of the errors.
        components: Principal components of the rows that the hyper-planes see, at most.
        seed: Of the first hyper-planes.

    Attributes:
        energies: E before the first turn and after each.

    Raises:
        UserError: An argument is out of range.

    Example:
        >>> rows = np.concatenate([np.random.default_rng(c).normal(2 * c, 1, (30, 5)) for c in (0, 1)])
        >>> learned = BinaryCodes(bits=16, turns=2).fit(rows, np.repeat([0, 1], 30), 2)
        >>> learned.encode(rows[:1]).shape, learned.energies[0] >= learned.energies[-1]
        ((1, 16), True)

    Reference:
        Bergamo, Torresani & Fitzgibbon, "PiCoDes: learning a compact code for novel-category recognition", NIPS 2011.
        Chapelle, "Training a support vector machine in the primal", Neural Computation 19, 2007.
    """

    def __init__(self, bits: int = 128, turns: int = 3, C: float = 0.1, components: int = COMPONENTS, seed: int = 0):
        if not 1 <= bits <= 4096 or turns < 0 or not 0 < C < np.inf or components < 1:
            raise UserError(
                f"binary codes: bits is from 1 to 4096, turns at least 0, C positive, components at least 1; "
                f"got {bits}, {turns}, {C}, {components}"
            )
        self.bits, self.turns, self.C, self.components, self.seed = bits, turns, C, components, seed
        self.energies: list[float] = []

    def fit(self, features: np.ndarray, labels: np.ndarray, classes: int) -> "BinaryCodes":
        """Learn the hyper-planes from rows [n, d] with class numbers [n]."""
        self.scaling = Columns(features)
        self.axes = principal_axes(self.scaling.apply(features), self.components)
        x = self.project(features)
        wanted = [1] if classes == 2 else range(classes)
        signs = np.stack([np.where(np.asarray(labels) == c, 1.0, -1.0) for c in wanted])
        drawn = random.normal(self.bits * x.shape[1], self.seed, random.INITIALISE).reshape(self.bits, -1)
        drawn[:, -1] = -np.median(x[:, :-1] @ drawn[:, :-1].T, axis=0)  # half of the rows on each side
        self.planes = drawn
        codes = self.bits_of(x)
        machines = np.zeros((len(signs), self.bits + 1))
        self.energies = [energy(machines, codes, signs, self.C)]
        for _ in range(self.turns):
            machines = np.stack(
                [fit_machine(with_one(codes), y, self.C, w) for y, w in zip(signs, machines, strict=True)]
            )
            self.learn_bits(x, codes, machines, signs)
            self.energies.append(energy(machines, codes, signs, self.C))
        return self

    def learn_bits(self, x: np.ndarray, codes: np.ndarray, machines: np.ndarray, signs: np.ndarray) -> None:
        """Learn each hyper-plane once for fixed machines; changes `planes` and codes [n, bits] in place."""
        outputs = machines @ with_one(codes).T  # [machines, n]
        for c in range(self.bits):
            weight = machines[:, c : c + 1]
            without = outputs - weight * codes[:, c]
            zero, one = (self.C * (hinge(signs * (without + weight * bit)) ** 2).sum(axis=0) for bit in (0, 1))
            wish, strength = np.where(one < zero, 1.0, -1.0), np.abs(one - zero)
            if not strength.max() > 0:
                continue
            plane = fit_machine(x, wish, strength / strength.mean(), self.planes[c])
            bit = (x @ plane > 0).astype(np.float64)
            if np.where(bit > 0, one, zero).sum() < np.where(codes[:, c] > 0, one, zero).sum():
                self.planes[c], codes[:, c] = plane, bit
                outputs = without + weight * bit

    def project(self, features: np.ndarray) -> np.ndarray:
        """Return rows as the hyper-planes see them: principal components, and 1."""
        return with_one(self.scaling.apply(features) @ self.axes)

    def bits_of(self, projected: np.ndarray) -> np.ndarray:
        """Return the bits of projected rows, float64 [n, bits] of 0 and 1."""
        bits: np.ndarray = (projected @ self.planes.T > 0).astype(np.float64)
        return bits

    def encode(self, features: np.ndarray) -> np.ndarray:
        """Return the codes of rows [n, d], uint8 [n, bits] of 0 and 1."""
        return self.bits_of(self.project(features)).astype(np.uint8)


def with_one(rows: np.ndarray) -> np.ndarray:
    """Return rows with a last column of ones, which a threshold multiplies."""
    return np.concatenate([rows, np.ones((len(rows), 1))], axis=1)


def principal_axes(rows: np.ndarray, most: int) -> np.ndarray:
    """Return axes [d, r] that bring centred rows to components of mean square 1 on average; those near 0 are left out.

    r is at most `most`; each axis points so that its largest entry is positive.
    """
    _, lengths, axes = np.linalg.svd(rows, full_matrices=False)
    kept = max(1, min(most, int(np.count_nonzero(lengths > 1e-9 * lengths[0]))))
    axes = axes[:kept].T
    largest = axes[np.abs(axes).argmax(axis=0), np.arange(kept)]
    mean_square = float(np.sum(lengths[:kept] ** 2)) / (len(rows) * kept)
    scaled: np.ndarray = axes * np.where(largest < 0, -1, 1) / np.sqrt(mean_square or 1.0)
    return scaled


def hinge(margins: np.ndarray) -> np.ndarray:
    """Return max(0, 1 - margin)."""
    loss: np.ndarray = np.maximum(0, 1 - margins)
    return loss


def energy(machines: np.ndarray, codes: np.ndarray, signs: np.ndarray, C: float) -> float:
    """Return E of the module's docstring."""
    losses = hinge(signs * (machines @ with_one(codes).T)) ** 2
    return float((machines[:, :-1] ** 2).sum() / 2 + C * losses.sum())


def fit_machine(rows: np.ndarray, signs: np.ndarray, cost: float | np.ndarray, start: np.ndarray) -> np.ndarray:
    """Return v that minimises |v without its last entry|^2 / 2 + sum of cost * max(0, 1 - sign * row . v)^2.

    Newton's method on the rows inside the margin, with steps halved until the objective falls; the last column of the
    rows is 1.  It never ends above `start`.

    Example:
        >>> rows = np.array([[-1.0, 1.0], [1.0, 1.0]])
        >>> fit_machine(rows, np.array([-1.0, 1.0]), 1e6, np.zeros(2)).round(3) + 0.0
        array([1., 0.])
    """
    penalty = np.ones(rows.shape[1])
    penalty[-1] = 1e-9  # the threshold is free; this keeps the system solvable
    weight = np.broadcast_to(np.asarray(cost, np.float64), signs.shape)

    def objective(v: np.ndarray) -> float:
        return float((penalty * v * v).sum() / 2 + (weight * hinge(signs * (rows @ v)) ** 2).sum())

    v, value = start, objective(start)
    for _ in range(STEPS):
        inside = signs * (rows @ v) < 1
        near, pull = rows[inside], 2 * weight[inside]
        system = (near * pull[:, None]).T @ near + np.diag(penalty)
        move = np.linalg.solve(system, near.T @ (pull * signs[inside])) - v
        step = 1.0
        while step > 1e-6 and not objective(v + step * move) < value:
            step /= 2
        new = objective(v + step * move)
        if not new < value - 1e-9 * abs(value):
            break
        v, value = v + step * move, new
    return v
