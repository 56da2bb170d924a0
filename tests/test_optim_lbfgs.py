"""L-BFGS beside PyTorch's: the same evaluations, the same trajectory, a state that resumes it."""

from typing import Any

import numpy as np
import pytest
import torch

import tinymed
from tinymed import nn, optim

OPTIONS: list[dict[str, Any]] = [
    {"max_iter": 12},
    {"lr": 0.1, "max_iter": 7, "history_size": 2},
    {"line_search_fn": "strong_wolfe"},
    {"line_search_fn": "strong_wolfe", "lr": 5.0, "history_size": 3},
    {"line_search_fn": "strong_wolfe", "max_iter": 4, "max_eval": 6},
    {"line_search_fn": "strong_wolfe", "lr": 0.3, "tolerance_grad": 1e-3},
]


def valley(lib: Any, parameter: Any) -> tuple[list[Any], Any]:
    """Rosenbrock's function: a curved valley."""
    x = parameter(np.array([-1.2, 1.0, 0.5]))
    return [x], lambda: (100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum()


def network(lib: Any, parameter: Any) -> tuple[list[Any], Any]:
    """A small CNN on a fixed batch, and a parameter that nothing reads."""
    rng = np.random.default_rng(1)
    x = lib.tensor(rng.normal(size=(6, 2, 5, 5)))
    parameters = [parameter(rng.normal(size=shape)) for shape in ((3, 2, 3, 3), (3,), (27, 1), (4,))]
    filters, bias, weight, _ = parameters
    conv = lib.nn.functional.conv2d
    return parameters, lambda: ((lib.tanh(conv(x, filters, bias)).reshape(6, 27) @ weight) ** 2).mean()


def nowhere(lib: Any, parameter: Any) -> tuple[list[Any], Any]:
    """A loss that falls for ever, and becomes -inf."""
    x = parameter(np.array([1.0, 2.0]))
    return [x], lambda: (-lib.exp(x)).sum()


class Run:
    """An optimizer on a problem, on one side."""

    def __init__(self, problem: Any, options: dict[str, Any], lib: Any, parameter: Any, cls: Any):
        self.parameters, self.objective = problem(lib, parameter)
        self.optimizer = cls(self.parameters, **options)
        self.evaluations = 0

    def closure(self) -> Any:
        self.optimizer.zero_grad()
        loss = self.objective()
        loss.backward()
        self.evaluations += 1
        return loss

    def step(self) -> float:
        return float(self.optimizer.step(self.closure).detach().numpy())

    def values(self) -> np.ndarray:
        return np.concatenate([p.detach().numpy().ravel() for p in self.parameters])


def sides(problem: Any, options: dict[str, Any]) -> tuple[Run, Run]:
    ours = Run(problem, options, tinymed, lambda a: nn.Parameter(tinymed.tensor(a)), optim.LBFGS)
    theirs = Run(problem, options, torch, lambda a: torch.nn.Parameter(torch.tensor(a)), torch.optim.LBFGS)
    return ours, theirs


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize(("problem", "error"), [(valley, 2e-6), (network, 1e-9), (nowhere, 1e-9)])
def test_the_trajectory_is_pytorchs(problem, error, options):
    """The valley is steep and flat at once: there the last bit of a dot product comes out as 1e-6 in the end."""
    with tinymed.use_backend("numpy"):
        ours, theirs = sides(problem, options)
        for _ in range(4):
            a, b = ours.step(), theirs.step()
            assert ours.evaluations == theirs.evaluations
            np.testing.assert_allclose(a, b, rtol=error, atol=error)
            np.testing.assert_allclose(ours.values(), theirs.values(), rtol=error, atol=error)


def test_the_state_is_pytorchs_and_resumes():
    options = {"line_search_fn": "strong_wolfe", "max_iter": 5, "history_size": 3}
    with tinymed.use_backend("numpy"):
        ours, theirs = sides(valley, options)
        for _ in range(2):
            ours.step()
            theirs.step()
        state = ours.optimizer.state_dict()
        true = theirs.optimizer.state_dict()["state"][0]
        assert {f"state.0.{name}" for name in true if name != "al"} == {n for n in state if n.startswith("state")}
        assert (state["state.0.func_evals"], state["state.0.n_iter"]) == (true["func_evals"], true["n_iter"])
        for name in ("d", "prev_flat_grad", "t", "prev_loss", "H_diag"):
            np.testing.assert_allclose(state[f"state.0.{name}"], np.asarray(true[name]), rtol=1e-8)
        for name in ("old_dirs", "old_stps", "ro"):
            np.testing.assert_allclose(
                state[f"state.0.{name}"], np.array([np.asarray(v) for v in true[name]]), rtol=1e-8
            )
        other, _ = sides(valley, {})
        for p, q in zip(other.parameters, ours.parameters, strict=True):
            p.data.copy_(q.data)
        other.optimizer.load_state_dict(state)
        for _ in range(3):
            assert ours.step() == other.step()
        np.testing.assert_array_equal(ours.values(), other.values())


def test_what_does_not_fit_is_refused():
    p, q = nn.Parameter(tinymed.ones(2)), nn.Parameter(tinymed.ones(3))
    with pytest.raises(ValueError, match="one group"):
        optim.LBFGS([{"params": [p]}, {"params": [q]}])
    with pytest.raises(RuntimeError, match="'strong_wolfe', got 'armijo'"):
        optim.LBFGS([p], line_search_fn="armijo")
    with pytest.raises(TypeError, match="needs a closure"):
        optim.LBFGS([p]).step()
    a, b = optim.LBFGS([p]), optim.LBFGS([q])
    a.step(closure_of(a, p))
    state = a.state_dict()
    with pytest.raises(ValueError, match="not of 3 parameters"):
        b.load_state_dict(state)


def test_a_captured_step_is_refused_by_name():
    p = nn.Parameter(tinymed.ones(2))
    optimizer = optim.LBFGS([p])
    step = tinymed.capture(lambda: optimizer.step(closure_of(optimizer, p)))
    with pytest.raises(RuntimeError, match="LBFGS"):
        step()


def closure_of(optimizer: Any, p: Any) -> Any:
    """The sum of squares, evaluated again at each call."""

    def closure():
        optimizer.zero_grad()
        loss = (p**2).sum()
        loss.backward()
        return loss

    return closure
