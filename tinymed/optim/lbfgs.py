"""L-BFGS: steps along directions that a few remembered gradients bend towards Newton's."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from .. import devices, tape
from ..dispatch import Table
from ..ops.join import cat
from ..ops.shape import reshape
from ..tape import enable_grad, host_read, no_grad
from ..tensor import Tensor
from .line_search import Trial, strong_wolfe
from .memory import GroupMemory, ParamGroup, Slot
from .optimizer import Optimizer, plain

CURVATURE = 1e-10  # a pair with less says nothing of the curvature and is not kept


class History:
    """The last changes of the gradient, y, with the steps, s, that made them: an estimate of the inverse Hessian."""

    def __init__(self) -> None:
        self.changes: list[Any] = []
        self.steps: list[Any] = []
        self.inverses: list[float] = []  # 1 / y.s
        self.scale = 1.0  # of the estimate that no pair has changed

    def keep(self, change: Any, step: Any, most: int) -> None:
        """Add a pair, in place of the oldest where there are `most`."""
        curvature = number(change.dot(step))
        if not curvature > CURVATURE:
            return
        if len(self.changes) == most:
            for kept in (self.changes, self.steps, self.inverses):
                kept.pop(0)
        self.changes.append(change)
        self.steps.append(step)
        self.inverses.append(1.0 / curvature)
        self.scale = curvature / number(change.dot(change))

    def direction(self, gradient: Any) -> Any:
        """Return minus the inverse Hessian times a gradient, by the recursion of two loops."""
        pairs = list(zip(self.changes, self.steps, self.inverses, strict=True))
        d, shares = -gradient, []
        for change, step, inverse in reversed(pairs):
            shares.append(number(step.dot(d)) * inverse)
            d = d - change * shares[-1]
        d = d * self.scale
        for (change, step, inverse), share in zip(pairs, reversed(shares), strict=True):
            d = d + step * (share - number(change.dot(d)) * inverse)
        return d


class LBFGS(Optimizer):
    """Step along directions bent by the curvature that earlier gradients show; for few parameters and whole batches.

    A step evaluates the closure many times.  The direction is -H g: g the gradient, H an estimate of the inverse
    Hessian from the last changes of the gradient.

    Args:
        params: tensors that require a gradient; one group only.
        lr: the length of steps; of the line search's first trial.  Default: 1.
        max_iter: the iterations of one `step`.  Default: 20.
        max_eval: evaluations of the closure in one `step`.  Default: 5/4 of max_iter.
        tolerance_grad: the step ends where no component of the gradient is larger.  Default: 1e-7.
        tolerance_change: the step ends where neither a parameter nor the loss changes by more.  Default: 1e-9.
        history_size: the changes of the gradient that are remembered.  Default: 100.
        line_search_fn: "strong_wolfe", or None for steps of length lr.  Default: None.

    Raises:
        ValueError: several groups, an option outside its range, or parameters that are none, not leaves or given twice.
        RuntimeError: an unknown line search, or a step inside tinymed.capture: values decide how often it evaluates.

    Example:
        >>> from tinymed import nn, ones, optim
        >>> p = nn.Parameter(ones(1))
        >>> optimizer = optim.LBFGS([p], line_search_fn="strong_wolfe")
        >>> def closure():
        ...     optimizer.zero_grad()
        ...     loss = (p - 3).square().sum()
        ...     loss.backward()
        ...     return loss
        >>> optimizer.step(closure).item()
        4.0
        >>> print(f"{p.item():.3f}")
        3.000

    Reference:
        Liu and Nocedal, "On the limited memory BFGS method for large scale optimization", 1989.

    As `torch.optim.LBFGS`.
    """

    layout = ("lr",)

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1,
        max_iter: int = 20,
        max_eval: int | None = None,
        tolerance_grad: float = 1e-7,
        tolerance_change: float = 1e-9,
        history_size: int = 100,
        line_search_fn: str | None = None,
    ):
        if line_search_fn not in (None, "strong_wolfe"):
            raise RuntimeError(f"LBFGS: line_search_fn is None or 'strong_wolfe', got {line_search_fn!r}")
        super().__init__(
            params,
            {
                "lr": lr,
                "max_iter": max_iter,
                "max_eval": max_iter * 5 // 4 if max_eval is None else max_eval,
                "tolerance_grad": tolerance_grad,
                "tolerance_change": tolerance_change,
                "history_size": history_size,
                "line_search_fn": line_search_fn,
            },
        )
        self.evaluations = self.iterations = 0  # of all steps
        self.history = History()
        self.direction: Any = None  # of the last iteration, with its length, gradient and loss:
        self.length = self.loss = 0.0
        self.gradient: Any = None

    def add_param_group(self, group: Mapping[str, Any]) -> None:
        if self.param_groups:
            raise ValueError("LBFGS: takes one group of parameters: a direction is made of all of them")
        super().add_param_group(group)

    def update(self, k: Table, group: ParamGroup, memory: GroupMemory, active: list[Slot]) -> None:
        raise NotImplementedError("LBFGS moves all parameters together: see step")

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Go down until the gradient is small, nothing changes, or max_iter or max_eval is reached.

        Args:
            closure: computes loss and gradients and returns the loss; it is called many times.

        Returns:
            What the first call of closure returned.

        Raises:
            TypeError: no closure is given.
        """
        if closure is None:
            raise TypeError(
                "LBFGS: step(closure) needs a closure that computes loss and gradients again and returns it"
            )
        for o in tape.observers:
            o.optimizer(self)
        host_read("a step of LBFGS, which evaluates the loss as often as its values ask for,")
        self.memory[0].sync()
        self.param_groups[0].follow()
        with no_grad():
            return self.descend(enable_grad()(closure))

    def descend(self, closure: Callable[[], Any]) -> Any:
        """Iterate; return the loss before."""
        group = self.param_groups[0]
        first = closure()
        loss, gradient, evaluated = number(first), self.flat_gradient(), 1
        self.evaluations += 1
        if largest(gradient) <= group["tolerance_grad"]:
            return first
        for iteration in range(1, group["max_iter"] + 1):
            self.iterations += 1
            self.turn(gradient)
            self.gradient, self.loss = gradient, loss
            self.length = float(group["lr"])
            if self.iterations == 1:
                self.length *= min(1.0, 1.0 / number(gradient.abs().sum()))
            slope = number(gradient.dot(self.direction))
            if slope > -group["tolerance_change"]:
                break
            if group["line_search_fn"]:
                best, count = self.search(closure, Trial(0.0, loss, gradient, slope), group["max_eval"] - evaluated)
                self.length, loss, gradient = best.step, best.loss, best.gradient
                self.move(self.length)
            else:
                self.move(self.length)
                count = int(iteration < group["max_iter"])  # the next step evaluates first of all
                if count:
                    loss, gradient = number(closure()), self.flat_gradient()
            evaluated += count
            self.evaluations += count
            if evaluated >= group["max_eval"] or largest(gradient) <= group["tolerance_grad"]:
                break
            if self.stands_still(loss, group["tolerance_change"]):
                break
        return first

    def turn(self, gradient: Any) -> None:
        """Set the direction from what is remembered and how the gradient has changed."""
        if self.iterations == 1:
            self.history, self.direction = History(), -gradient
            return
        step = self.direction * self.length
        self.history.keep(gradient - self.gradient, step, self.param_groups[0]["history_size"])
        self.direction = self.history.direction(gradient)

    def stands_still(self, loss: float, tolerance: float) -> bool:
        """Return whether the last iteration changed no parameter, or not the loss."""
        return largest(self.direction * self.length) <= tolerance or abs(loss - self.loss) < tolerance

    def search(self, closure: Callable[[], Any], start: Trial, most: int) -> tuple[Trial, int]:
        """Search along the direction; the parameters stay where they are."""
        parameters = self.param_groups[0]["params"]
        here = [p.clone() for p in parameters]

        def evaluate(step: float) -> Trial:
            self.move(step)
            loss, gradient = number(closure()), self.flat_gradient()
            for p, value in zip(parameters, here, strict=True):
                p.copy_(value)
            return Trial(step, loss, gradient, number(gradient.dot(self.direction)))

        tolerance = self.param_groups[0]["tolerance_change"]
        return strong_wolfe(evaluate, start, self.length, largest(self.direction), tolerance, most)

    def move(self, step: float) -> None:
        """Add a step along the direction to the parameters."""
        at = 0
        for p in self.param_groups[0]["params"]:
            p.add_(reshape(self.direction[at : at + p.numel()], p.shape), alpha=float(step))
            at += p.numel()

    def flat_gradient(self) -> Any:
        """Return all gradients one after the other, zeros where there is none: memory of its own."""
        found = [p.grad if p.grad is not None else p * 0 for p in self.param_groups[0]["params"]]
        return cat([reshape(g, -1) for g in found]).clone()

    # --------------------------------------------------------------------------------------------- state

    def state_dict(self) -> dict[str, np.ndarray]:
        """Return the state as NumPy arrays by name, for one safetensors file.

        Returns:
            {name: array}: group.0.<option>, and state.0.<kind> under PyTorch's names, pairs of the history stacked.
        """
        state = {n: a for n, a in super().state_dict().items() if n.startswith("group.")}
        state["group.0.line_search_fn"] = np.array(self.param_groups[0]["line_search_fn"] is not None)
        state |= {"state.0.func_evals": np.array(self.evaluations), "state.0.n_iter": np.array(self.iterations)}
        if self.direction is not None:
            state |= {
                "state.0.d": array(self.direction),
                "state.0.t": np.array(self.length),
                "state.0.prev_flat_grad": array(self.gradient),
                "state.0.prev_loss": np.array(self.loss),
                "state.0.H_diag": np.array(self.history.scale),
                "state.0.ro": np.array(self.history.inverses, np.float64),
            }
            for name, kept in (("old_dirs", self.history.changes), ("old_stps", self.history.steps)):
                state[f"state.0.{name}"] = np.array([array(v) for v in kept]).reshape(len(kept), -1)
        return state

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what `state_dict` returned.

        Args:
            state: arrays by name, for the same parameters.

        Raises:
            ValueError: says what does not fit.
        """
        group, size = self.param_groups[0], sum(p.numel() for p in self.param_groups[0]["params"])
        found = np.shape(state.get("state.0.d", np.zeros(size)))
        if "state.0.n_iter" not in state or found != (size,):
            raise ValueError(
                f"LBFGS: the state is of another optimizer, or not of {size} parameters, got {list(found)}"
            )
        for name, value in state.items():
            if name.startswith("group.0."):
                group[name[8:]] = plain(value)
        group["line_search_fn"] = "strong_wolfe" if group["line_search_fn"] else None
        self.evaluations, self.iterations = int(state["state.0.func_evals"]), int(state["state.0.n_iter"])
        self.history, self.direction, self.gradient = History(), None, None
        if "state.0.d" not in state:
            return
        self.direction, self.gradient = self.vector(state["state.0.d"]), self.vector(state["state.0.prev_flat_grad"])
        self.length, self.loss = float(state["state.0.t"]), float(state["state.0.prev_loss"])
        self.history.scale = float(state["state.0.H_diag"])
        self.history.inverses = [float(v) for v in state["state.0.ro"]]
        self.history.changes = [self.vector(v) for v in state["state.0.old_dirs"]]
        self.history.steps = [self.vector(v) for v in state["state.0.old_stps"]]

    def vector(self, values: Any) -> Any:
        """Return numbers of a state as a tensor where the parameters are."""
        return Tensor(devices.move(np.array(values), self.memory[0].device))


def array(vector: Any) -> np.ndarray:
    """Return a tensor's numbers for a state."""
    copied: np.ndarray = np.array(devices.move(vector.array, "cpu"))
    return copied


def number(value: Any) -> float:
    """Return a tensor of one element, or a number, as a number."""
    return float(value.item() if isinstance(value, Tensor) else value)


def largest(vector: Any) -> float:
    """Return the largest absolute component."""
    return number(vector.abs().max())
