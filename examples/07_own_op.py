"""An op of one's own in one file: rule, reference, compiled kernels, samples, oracle.

    python examples/07_own_op.py               checks it as below, then lets a network learn with it
    tinymed check examples/07_own_op.py        gradient, backends, PyTorch, over many samples
    tinymed bench examples/07_own_op.py        time against PyTorch, share of the roofline
    tinymed show SwishBeta                     is for ops of the package; this file is already the whole of it

Teaches: how an op is declared, and what follows from the declaration.  The op is swish with a slope that is learnt,
y = x sigmoid(beta x): beta = 0 halves x, beta = 1 is SiLU, a large beta approaches ReLU.  Ramachandran, Zoph & Le 2017.
"""

import importlib.util
from typing import Any

import numpy as np
from numba import prange

import tinymed
from tinymed import Tensor, check, optim, random
from tinymed.dispatch import Array, kernel, table
from tinymed.draw import Draw
from tinymed.nn import functional as F
from tinymed.tape import Op

# ------------------------------------------------------------------------------------------- reference kernels
# Written once against the array module xp, so they run on NumPy and CuPy and in float64.  They are the definition.


@kernel(out=lambda x, beta: [x.shape], flops=lambda x, beta: 5 * x.size)
def swish_beta_forward(xp: Any, x: Array, beta: Array) -> Array:
    """y = x / (1 + exp(-beta x))"""
    return x / (1 + xp.exp(-beta[0] * x))


@kernel(out=lambda dy, x, beta: [x.shape, beta.shape], flops=lambda dy, x, beta: 13 * x.size)
def swish_beta_backward(xp: Any, dy: Array, x: Array, beta: Array) -> tuple[Array, Array]:
    """dx = dy (s + beta x s (1 - s)), dbeta = sum of dy x^2 s (1 - s), with s = sigmoid(beta x)"""
    s = 1 / (1 + xp.exp(-beta[0] * x))
    slope = x * s * (1 - s)
    return dy * (s + beta[0] * slope), (dy * x * slope).sum().reshape(1)


# ------------------------------------------------------------------------------------------- the rule


class SwishBeta(Op):
    """y = x s, s = sigmoid(beta x);  dx = dy (s + beta x s (1 - s)), dbeta = sum of dy x^2 s (1 - s).

    beta has shape [1].  Smooth everywhere, so there is no corner to decide.  Ramachandran et al. 2017, section 4.
    """

    tolerance = 2e-4  # in float32: the terms of dbeta have both signs, and their sum may be small

    def forward(self, x: Array, beta: Array) -> Array:
        self.save(x, beta)  # the only way to keep something for backward; s is cheaper to compute again than to hold
        return self.k.swish_beta_forward(x, beta)

    def backward(self, dy: Array) -> Any:
        x, beta = self.saved
        return self.k.swish_beta_backward(dy, x, beta)  # one gradient for each argument of forward

    @staticmethod
    def samples(draw: Any) -> tuple[Any, ...]:
        """One set of arguments.  Drawn by a seed or by Hypothesis; awkward shapes included: (), empty, prime sides."""
        shape = draw.choice(((7,), (), (0,), (1, 1), (2, 3, 5), (3, 17, 4, 4)))
        return draw.array(shape, -4, 4), draw.array((1,), -2, 3)

    @staticmethod
    def oracle(torch: Any, x: Any, beta: Any) -> Any:
        """Return the same in PyTorch, to check against."""
        return x * torch.sigmoid(beta[0] * x)

    @staticmethod
    def workloads() -> list[tuple[str, tuple[Any, ...]]]:
        """Return what `tinymed bench` times: the first feature maps of the papers' CNN, batch 128."""
        return [("128x32x31x31", (normal(128, 32, 31, 31), np.ones(1)))]


def swish_beta(input: Any, beta: Any) -> Any:
    """x sigmoid(beta x), element-wise; beta is a tensor of shape [1] that may require a gradient."""
    if tuple(beta.shape) != (1,):
        raise ValueError(f"swish_beta: beta has shape {list(beta.shape)}; it takes [1], one slope for all elements")
    return SwishBeta.apply(input, beta)


# ------------------------------------------------------------------------------------------- compiled kernels
# The same names on the backend "numba": outputs, then workspaces, then inputs; they allocate nothing.  `flat` arrays
# arrive as one-dimensional views in whatever order they share in memory.  They come last: the names above are taken.

CHUNKS = 64  # of the sum for beta: a fixed number, so that any number of threads adds in the same order


@kernel(backend="numba", flat="y x")
def swish_beta_forward(y: Any, x: Any, beta: Any) -> None:  # noqa: F811
    """One pass over memory."""
    for i in prange(x.size):
        y[i] = x[i] / (np.float32(1) + np.exp(-beta[0] * x[i]))


@kernel(backend="numba", flat="dx dy x", work=lambda dy, x, beta: [((CHUNKS,), np.float64)])
def swish_beta_backward(dx: Any, dbeta: Any, partial: Any, dy: Any, x: Any, beta: Any) -> None:  # noqa: F811
    """Both gradients in one pass: each chunk writes its part of dx and one partial sum."""
    one, b = np.float32(1), beta[0]
    for chunk in prange(CHUNKS):
        total = 0.0
        for i in range(chunk * x.size // CHUNKS, (chunk + 1) * x.size // CHUNKS):
            s = one / (one + np.exp(-b * x[i]))
            slope = x[i] * s * (one - s)
            dx[i] = dy[i] * (s + b * slope)
            total += dy[i] * x[i] * slope
        partial[chunk] = total
    dbeta[0] = partial.sum()


# ------------------------------------------------------------------------------------------- using it


def normal(*shape: int, step: int = 0) -> Array:
    """Return standard normal float64 numbers."""
    return random.normal(int(np.prod(shape)), 0, random.NOISE, step).reshape(shape)


def check_it(samples: int = 12) -> None:
    """Do what `tinymed check` does, by hand."""
    torch = importlib.util.find_spec("torch") is not None
    worst = {"numpy": 0.0, "numba": 0.0, "PyTorch": 0.0}
    for seed in range(samples):
        args = SwishBeta.samples(Draw(seed))
        if args[0].size:
            with tinymed.use_backend("numpy"):
                check.gradcheck(swish_beta, args, seed=seed)
        errors = check.compare_backends(swish_beta, args, ["numpy", "numba"], rtol=SwishBeta.tolerance, seed=seed)
        worst |= {name: max(worst[name], error) for name, error in errors.items()}
        if torch:
            with tinymed.use_backend("numpy"):
                ours = check.results(swish_beta, args, np.float64, seed)
            theirs = check.oracle_results(SwishBeta, args, np.float64, seed)
            worst["PyTorch"] = max(worst["PyTorch"], check.compare(ours, theirs, 1e-9, "SwishBeta"))
    print(f"{samples} samples, forward and both gradients; largest error relative to the largest value")
    print("   gradient against finite differences   passed")
    print(f"   numpy float32 against float64         {worst['numpy']:.1e}")
    print(f"   numba float32 against float64         {worst['numba']:.1e}")
    print(f"   float64 against PyTorch               {worst['PyTorch']:.1e}" if torch else "   (no PyTorch here)")
    dispatchers = [table("numba").dispatchers[name] for name in ("swish_beta_forward", "swish_beta_backward")]
    native, fallback = sum(n.native for n in dispatchers), sum(n.fallback for n in dispatchers)
    print(f"   kernel calls on numba                 {native} native, {fallback} fell back to the reference")
    assert native > 0
    assert fallback == 0


def learn_beta(target: float = 2.5, steps: int = 60) -> float:
    """Find the slope that made some data, by gradient descent through the op."""
    x = Tensor(normal(2048, step=1).astype(np.float32))
    wanted = swish_beta(x, tinymed.full((1,), target))
    beta = tinymed.full((1,), 0.5, requires_grad=True)
    optimizer = optim.Adam([beta], lr=0.1)
    for step in range(steps):
        optimizer.zero_grad()
        loss = F.mse_loss(swish_beta(x, beta), wanted)
        loss.backward()
        optimizer.step()
        if step % 15 == 0 or step == steps - 1:
            print(f"   step {step:3d}   loss {loss.item():.2e}   beta {float(beta.numpy()[0]):.3f}")
    return float(beta.numpy()[0])


def main() -> None:
    check_it()
    print("\nThe data were made with beta = 2.5; learning starts at 0.5:")
    assert abs(learn_beta() - 2.5) < 0.1
    print("\nLesson: declare a rule, a reference, samples and an oracle; checks, timings and fallback follow.")


if __name__ == "__main__":
    main()
