"""Recurrent cells: one step of RNN, LSTM and GRU, for loops of one's own."""

import math
from typing import Any, ClassVar

from ..annotations import Tensor
from ..ops.recurrent import GRUSequence, LSTMSequence, RNNSequence
from . import functional as F
from . import init
from .module import Module, new_parameter
from .recurrent import joined


class Cell(Module):
    """What the cells share: parameters, and a step as a sequence of one."""

    _makes_tensors = True
    gates: ClassVar[int] = 1
    states: ClassVar[int] = 1

    def __init__(self, input_size: int, hidden_size: int, bias: bool = True):
        super().__init__()
        self.input_size, self.hidden_size, self.bias = input_size, hidden_size, bias
        self.weight_ih = new_parameter(self.gates * hidden_size, input_size)
        self.weight_hh = new_parameter(self.gates * hidden_size, hidden_size)
        self.bias_ih = new_parameter(self.gates * hidden_size) if bias else None
        self.bias_hh = new_parameter(self.gates * hidden_size) if bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw all parameters uniformly from +-1 / sqrt(hidden_size), PyTorch's default."""
        bound = 1 / math.sqrt(self.hidden_size) if self.hidden_size else 0.0
        for p in self.parameters():
            init.uniform_(p, -bound, bound)

    def forward(self, input: Any, hx: Any = None) -> Any:
        """Return the state after one step."""
        name, single = type(self).__name__, len(input.shape) == 1
        if len(input.shape) not in (1, 2) or input.shape[-1] != self.input_size:
            raise ValueError(
                f"{name}: input has shape {list(input.shape)}; it takes (N, I) or (I,), with I = {self.input_size}"
            )
        x = F.unsqueeze(input, 0) if single else input
        state = self.state_of(x, hx, single)
        _, *after = self.step(F.unsqueeze(x, 0), state)
        after = [F.squeeze(s, 0) for s in after] if single else after
        return after[0] if self.states == 1 else tuple(after)

    def state_of(self, x: Any, hx: Any, single: bool) -> list[Any]:
        """Return the state before the step, (N, H) each; None where none is given."""
        shape = (x.shape[0], self.hidden_size)
        if hx is None:
            return [None] * self.states
        given = list(hx) if self.states > 1 and isinstance(hx, tuple | list) else [hx]
        wanted = shape[1:] if single else shape
        if len(given) != self.states or any(tuple(getattr(s, "shape", ())) != wanted for s in given):
            what = [list(getattr(s, "shape", ())) for s in given]
            kind = "a tuple (h, c) of tensors" if self.states > 1 else "a tensor"
            raise ValueError(f"{type(self).__name__}: hx has shape {what}; it takes {kind} of shape {list(wanted)}")
        return [F.unsqueeze(s, 0) for s in given] if single else given

    def step(self, x: Any, state: list[Any]) -> Any:
        """Run the cell's recurrence over one step: (output, state...)."""
        raise NotImplementedError

    def extra_repr(self) -> str:
        return f"{self.input_size}, {self.hidden_size}" + ("" if self.bias else ", bias=False")


class RNNCell(Cell):
    """Compute one step of an Elman network: h' = f(W x + b + U h + b').

    Args:
        input_size: numbers of the input.
        hidden_size: units.
        bias: whether b and b' are learned.  Default: True.
        nonlinearity: f, "tanh" or "relu".  Default: "tanh".

    Shape:
        Input (N, I) or (I,); hx (N, H) or (H,), zeros by default; output as hx.

    Raises:
        ValueError: nonlinearity is neither; when called, for shapes that do not fit.

    Example:
        >>> from tinymed import nn, ones
        >>> nn.RNNCell(8, 5)(ones(2, 8)).shape
        (2, 5)

    As `torch.nn.RNNCell`.
    """

    def __init__(self, input_size: int, hidden_size: int, bias: bool = True, nonlinearity: str = "tanh"):
        if nonlinearity not in ("tanh", "relu"):
            raise ValueError(f"RNNCell: nonlinearity is {nonlinearity!r}; it takes 'tanh' or 'relu'")
        super().__init__(input_size, hidden_size, bias)
        self.nonlinearity = nonlinearity

    def step(self, x: Tensor, state: list[Any]) -> Any:
        sums = F.linear(x, self.weight_ih, joined(self.bias_ih, self.bias_hh))
        return RNNSequence.apply(sums, self.weight_hh, *state, None, False, self.nonlinearity == "relu")


class LSTMCell(Cell):
    """Compute one step of long short-term memory: c' = f c + i g, h' = o tanh(c').

    Args:
        input_size: numbers of the input.
        hidden_size: units.
        bias: whether biases are learned.  Default: True.

    Shape:
        Input (N, I) or (I,); hx a tuple (h, c) of (N, H) or (H,), zeros by default; output (h', c').

    Raises:
        ValueError: when called, for shapes that do not fit.

    Example:
        >>> from tinymed import nn, ones
        >>> h, c = nn.LSTMCell(8, 5)(ones(2, 8))
        >>> h.shape, c.shape
        ((2, 5), (2, 5))

    As `torch.nn.LSTMCell`.
    """

    gates, states = 4, 2

    def step(self, x: Tensor, state: list[Any]) -> Any:
        sums = F.linear(x, self.weight_ih, joined(self.bias_ih, self.bias_hh))
        return LSTMSequence.apply(sums, self.weight_hh, *state, None, False)


class GRUCell(Cell):
    """Compute one step of a gated recurrent unit: h' = (1 - u) n + u h.

    Args:
        input_size: numbers of the input.
        hidden_size: units.
        bias: whether biases are learned.  Default: True.

    Shape:
        Input (N, I) or (I,); hx (N, H) or (H,), zeros by default; output as hx.

    Raises:
        ValueError: when called, for shapes that do not fit.

    Example:
        >>> from tinymed import nn, ones
        >>> nn.GRUCell(8, 5)(ones(2, 8)).shape
        (2, 5)

    As `torch.nn.GRUCell`.
    """

    gates = 3

    def step(self, x: Tensor, state: list[Any]) -> Any:
        sums = F.linear(x, self.weight_ih, self.bias_ih)
        own = x.new_zeros(3 * self.hidden_size) if self.bias_hh is None else self.bias_hh
        return GRUSequence.apply(sums, self.weight_hh, own, *state, None, False)
