"""Checking a gradient, and why sum() is no cotangent.

    python examples/03_gradcheck.py

Teaches: how a backward is compared with finite differences; that a check whose loss is sum(y) accepts a softmax or
batch norm backward that returns zeros, because their outputs have a constant sum; that a random cotangent rejects it;
which step size and precision the difference quotient needs; what a kink does to it.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

import tinymed
from tinymed import check, random
from tinymed.nn import functional as F
from tinymed.tape import Op

Array = np.ndarray
Change = Callable[[Array], Array]

# Ways to get a backward wrong.  All keep the gradient's shape, so nothing crashes.
WRONG: dict[str, Change] = {
    "zeros": np.zeros_like,
    "wrong sign": lambda dx: -dx,
    "1 % too large": lambda dx: 1.01 * dx,
    "off by one place": lambda dx: np.roll(dx, 1),
}


class Spoiled(Op):
    """y = x;  dx = change(dy): put before a function, it spoils the gradient that the function hands back."""

    oracle = None
    oracle_reason = "wrong on purpose"

    def forward(self, x: Array, change: Change) -> Array:
        self.save(change)
        return x.copy()

    def backward(self, dy: Array) -> Any:
        (change,) = self.saved
        return change(dy), None

    @staticmethod
    def samples(draw: Any) -> tuple[Any, ...]:
        return draw.array(draw.shape()), np.negative


def softmax(x: Any) -> Any:
    """Rows of probabilities: each row sums to 1, whatever x is."""
    return F.softmax(x, -1)


def batch_norm(x: Any) -> Any:
    """Columns of mean 0: each column sums to 0, whatever x is."""
    return F.batch_norm(x, None, None, training=True)


def tanh(x: Any) -> Any:
    """Return outputs that do not depend on each other."""
    return F.tanh(x)


def normal(*shape: int, step: int) -> Array:
    """Return standard normal float64 numbers."""
    return random.normal(int(np.prod(shape)), 0, random.NOISE, step).reshape(shape)


# ------------------------------------------------------------------------------------ a gradient check in ten lines


def slopes(function: Any, x: Array, cotangent: Array, direction: Array, eps: float = 1e-6) -> tuple[float, float]:
    """(difference quotient, what backward gives) of <cotangent, function(x)> along a direction.

    The loss is L(x) = sum_i cotangent_i y_i(x); its slope along v is (L(x + eps v) - L(x - eps v)) / (2 eps), and
    backward, started with dy = cotangent, must give <dL/dx, v>.
    """

    def loss(x: Array) -> float:
        return float((cotangent * function(tinymed.tensor(x)).numpy()).sum())

    leaf = tinymed.tensor(x, requires_grad=True)
    function(leaf).backward(tinymed.tensor(cotangent))
    analytic = float((leaf.grad.numpy() * direction).sum())
    return (loss(x + eps * direction) - loss(x - eps * direction)) / (2 * eps), analytic


def accepted(function: Any, x: Array, cotangent: Array) -> bool:
    """Whether the two slopes agree to 1e-5, along a random direction."""
    numeric, analytic = slopes(function, x, cotangent, normal(*x.shape, step=1))
    return abs(numeric - analytic) <= 1e-5 * max(abs(numeric), abs(analytic)) + 1e-8


# ----------------------------------------------------------------------------------------------------- the lessons


def lesson_cotangent() -> None:
    x = normal(5, 4, step=0)
    ones, drawn = np.ones_like(x), normal(5, 4, step=2)
    print("1. Five backwards of three functions, checked with the loss sum(y) and with a random cotangent\n")
    print(f"   {'function':12s} {'backward':18s} {'sum(y)':>10s} {'random':>10s}")
    for function in (softmax, batch_norm, tanh):
        for title, change in {"right": None, **WRONG}.items():
            spoiled = function if change is None else lambda x, f=function, c=change: f(Spoiled.apply(x, c))
            by_sum, by_random = accepted(spoiled, x, ones), accepted(spoiled, x, drawn)
            words = ["accepted" if ok else "rejected" for ok in (by_sum, by_random)]
            print(f"   {function.__name__:12s} {title:18s} {words[0]:>10s} {words[1]:>10s}")
            assert by_random == (change is None), "the random cotangent must tell right from wrong"
            assert by_sum or function is tanh, "sum(y) of softmax and batch norm must be blind"
    numeric, analytic = slopes(softmax, x, ones, normal(5, 4, step=1))
    print(f"\n   The slope of sum(softmax(x)) is {numeric:.1e} by differences, {analytic:.1e} by the right backward:")
    print("   the sum of a softmax is constant, and a constant has no gradient to compare with.")


def lesson_gradcheck() -> None:
    x = normal(5, 4, step=0)
    check.gradcheck(softmax, [x])
    print("\n2. tinymed.check.gradcheck: float64, a random cotangent, every coordinate of small inputs\n")
    print("   softmax: passed")
    for title, change in WRONG.items():
        try:
            check.gradcheck(lambda x, c=change: softmax(Spoiled.apply(x, c)), [x])
        except check.GradientError as error:
            print(f"   {title}: {error}")
        else:
            raise AssertionError(f"gradcheck let pass: {title}")


def lesson_step() -> None:
    x, cotangent, direction = normal(5, 4, step=0), normal(5, 4, step=2), normal(5, 4, step=1)
    print("\n3. The step of the difference quotient: relative error of the slope of softmax\n")
    print(f"   {'eps':>8s} {'float64':>10s} {'float32':>10s}")
    errors: dict[float, tuple[float, float]] = {}
    for eps in (1e-1, 1e-2, 1e-3, 1e-4, 1e-6, 1e-8, 1e-10):
        both = []
        for dtype in (np.float64, np.float32):
            values = [np.asarray(a, dtype) for a in (x, cotangent, direction)]
            numeric, analytic = slopes(softmax, *values, eps=dtype(eps))
            both.append(abs(numeric - analytic) / abs(analytic))
        errors[eps] = both[0], both[1]
        print(f"   {eps:8.0e} {both[0]:10.1e} {both[1]:10.1e}")
    print("\n   Large steps see the curvature (error ~ eps^2), small ones the rounding (error ~ precision / eps).")
    best64, best32 = (min(e[i] for e in errors.values()) for i in (0, 1))
    assert best64 < 1e-8 < best32, "float64 must do better than float32 can"
    assert errors[1e-10][0] > errors[1e-6][0] < errors[1e-1][0]


def lesson_kink() -> None:
    x, one = np.zeros(1), np.ones(1)
    numeric, analytic = slopes(F.relu, x, one, one)
    print(
        "\n4. At a kink there is nothing to check: the slope of relu at 0 is "
        f"{numeric:g} by differences, {analytic:g} by convention."
    )
    print("   So samples for a check stay away from kinks and ties: draw.array(shape, avoid=(0.0,)).")
    assert (round(numeric, 6), analytic) == (0.5, 0.0)


def main() -> None:
    tinymed.use_backend("numpy")  # the definition, in float64
    lesson_cotangent()
    lesson_gradcheck()
    lesson_step()
    lesson_kink()
    print("\nLesson: weigh the outputs at random; a plain sum cannot see the gradient of anything normalised.")


if __name__ == "__main__":
    main()
