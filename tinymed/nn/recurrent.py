"""Recurrent layers over whole sequences: RNN, LSTM and GRU.

A layer multiplies all steps of its input by the input's weight at once, and hands the sums to one kernel that walks
through the sequence (`tinymed.ops.recurrent`).
"""

import math
from typing import Any, ClassVar

import numpy as np

from .. import devices, precision
from ..ops.lstm_gates import LSTMGates
from ..ops.lstm_layer import LSTMLayer
from ..ops.recurrent import GRUSequence, LSTMSequence, RNNSequence
from ..tensor import Tensor
from . import functional as F
from . import init
from .module import Module, new_parameter
from .utils.rnn import PackedSequence, host_integers, packed_rows, unpacked


class Recurrent(Module):
    """What RNN, LSTM and GRU share: parameters, the stack of layers and directions, and the forms of the input."""

    _makes_tensors = True
    gates: ClassVar[int] = 1
    states: ClassVar[int] = 1  # tensors of a state: h, or h and c

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
    ):
        super().__init__()
        name = type(self).__name__
        sizes = {"input_size": input_size, "hidden_size": hidden_size, "num_layers": num_layers}
        wrong = {k: v for k, v in sizes.items() if isinstance(v, bool) or not isinstance(v, int) or v < 1}
        if wrong:
            raise ValueError(f"{name}: {wrong}; sizes and layers are integers of at least 1")
        if isinstance(dropout, bool) or not 0 <= dropout <= 1:
            raise ValueError(f"{name}: dropout is {dropout!r}; it is a probability from 0 to 1")
        if isinstance(proj_size, bool) or not isinstance(proj_size, int) or not 0 <= proj_size < hidden_size:
            raise ValueError(f"{name}: proj_size is {proj_size!r}; it is an integer from 0 to hidden_size - 1")
        self.proj_size = proj_size
        self.input_size, self.hidden_size, self.num_layers = input_size, hidden_size, num_layers
        self.bias, self.batch_first, self.dropout, self.bidirectional = bias, batch_first, float(dropout), bidirectional
        for layer in range(num_layers):
            width = self.outputs * (1 + bidirectional) if layer else input_size
            for end in self.directions():
                for kind, columns in (("ih", width), ("hh", self.outputs)):
                    setattr(self, f"weight_{kind}_l{layer}{end}", new_parameter(self.gates * hidden_size, columns))
                for kind in ("ih", "hh") if bias else ():
                    setattr(self, f"bias_{kind}_l{layer}{end}", new_parameter(self.gates * hidden_size))
                if proj_size:
                    setattr(self, f"weight_hr_l{layer}{end}", new_parameter(proj_size, hidden_size))
        self.reset_parameters()

    @property
    def outputs(self) -> int:
        """Return the numbers of a state: hidden_size, or proj_size."""
        return self.proj_size or self.hidden_size

    def directions(self) -> tuple[str, ...]:
        """Return how the names of each direction's parameters end."""
        return ("", "_reverse") if self.bidirectional else ("",)

    def reset_parameters(self) -> None:
        """Draw all parameters uniformly from +-1 / sqrt(hidden_size), PyTorch's default."""
        bound = 1 / math.sqrt(self.hidden_size)
        for p in self.parameters():
            init.uniform_(p, -bound, bound)

    def flatten_parameters(self) -> None:
        """Do nothing: parameters are used where they lie."""

    @property
    def all_weights(self) -> list[list[Any]]:
        """Return the parameters of each layer and direction."""
        names = ["weight_ih", "weight_hh", *(["bias_ih", "bias_hh"] if self.bias else [])]
        names += ["weight_hr"] if self.proj_size else []
        places = [f"_l{layer}{end}" for layer in range(self.num_layers) for end in self.directions()]
        return [[getattr(self, name + place) for name in names] for place in places]

    def forward(self, input: Any, hx: Any = None) -> Any:
        """Return the outputs of the last layer for every step, and the last state of every layer and direction."""
        if isinstance(input, PackedSequence):
            return self.packed(input, hx)
        name = type(self).__name__
        if len(input.shape) not in (2, 3) or input.shape[-1] != self.input_size:
            form = "(N, T, I)" if self.batch_first else "(T, N, I)"
            raise ValueError(
                f"{name}: input has shape {list(input.shape)}; it takes {form}, or (T, I) of one sequence, with "
                f"I = {self.input_size}"
            )
        single = len(input.shape) == 2
        x = F.unsqueeze(input, 1) if single else F.swapaxes(input, 0, 1) if self.batch_first else input
        if not x.shape[0]:
            raise ValueError(f"{name}: the sequence has no step; it takes at least one")
        state = self.state_of(x, hx, single)
        y, last = self.layers(x, state, None)
        if single:
            return F.squeeze(y, 1), self.as_given([F.squeeze(s, 1) for s in last])
        return F.swapaxes(y, 0, 1) if self.batch_first else y, self.as_given(last)

    def packed(self, input: PackedSequence, hx: Any) -> Any:
        """Run over a packed batch: padded inside, with a length for each sequence."""
        sizes = host_integers(type(self).__name__, input.batch_sizes)
        if len(input.data.shape) != 2 or input.data.shape[1] != self.input_size or not len(sizes):
            raise ValueError(
                f"{type(self).__name__}: the packed data have shape {list(input.data.shape)}; they are steps with "
                f"{self.input_size} numbers each"
            )
        x, lengths = unpacked(input.data, sizes, len(sizes), 0.0)
        state = self.state_of(x, hx, False)
        if hx is not None and input.sorted_indices is not None:
            state = [F.index_select(s, 1, input.sorted_indices) for s in state]
        y, last = self.layers(x, state, devices.move(lengths, devices.of(x.array)))
        if input.unsorted_indices is not None:
            last = [F.index_select(s, 1, input.unsorted_indices) for s in last]
        return input._replace(data=packed_rows(y, sizes)), self.as_given(last)

    def state_of(self, x: Tensor, hx: Any, single: bool) -> list[Any]:
        """Return the states before the first step, (layers * directions, N, H) each; None where none is given."""
        many = self.num_layers * len(self.directions())
        shapes = [(many, x.shape[1], size) for size in (self.outputs, self.hidden_size)[: self.states]]
        if hx is None:
            return [None] * self.states
        given = list(hx) if self.states > 1 and isinstance(hx, tuple | list) else [hx]
        wanted = [shape[::2] if single else shape for shape in shapes]
        found = [tuple(getattr(s, "shape", ())) for s in given]
        if found != wanted:
            kind = "a tuple (h, c) of tensors" if self.states > 1 else "a tensor"
            raise ValueError(f"{type(self).__name__}: hx has shapes {found}; it takes {kind} of shapes {wanted}")
        return [F.unsqueeze(s, 1) for s in given] if single else given

    def as_given(self, states: list[Any]) -> Any:
        """Return a state as the layer's caller has it: a tensor, or a tuple of them."""
        return states[0] if self.states == 1 else tuple(states)

    def layers(self, x: Any, state: list[Any], lengths: Any) -> tuple[Any, list[Any]]:
        """Run all layers over (T, N, I): the outputs of the last one, and the states after the last step."""
        ends, last = self.directions(), []
        for layer in range(self.num_layers):
            if layer and self.dropout:
                x = F.dropout(x, self.dropout, self.training)
            outputs = []
            for d, end in enumerate(ends):
                first = [None if s is None else F.select(s, 0, layer * len(ends) + d) for s in state]
                y, *after = self.direction(x, f"_l{layer}{end}", first, lengths, bool(d))
                outputs.append(y)
                last.append(after)
            x = F.cat(outputs, 2) if len(outputs) > 1 else outputs[0]
        if len(last) == 1:
            return x, [F.unsqueeze(part, 0) for part in last[0]]
        return x, [F.stack(parts, 0) for parts in zip(*last, strict=True)]

    def direction(self, x: Any, place: str, first: list[Any], lengths: Any, reverse: bool) -> Any:
        """Run one direction of one layer: (outputs, last state...)."""
        names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh", "weight_hr")
        w, u, b, own, projection = (getattr(self, name + place, None) for name in names)
        if self.proj_size:
            return projected(x, w, u, b, own, projection, first, lengths, reverse)
        return self.sequence(x, w, u, b, own, first, lengths, reverse)

    def sequence(
        self,
        x: Any,
        weight_ih: Any,
        weight_hh: Any,
        bias_ih: Any,
        bias_hh: Any,
        first: list[Any],
        lengths: Any,
        reverse: bool,
    ) -> Any:
        """Run the layer's own recurrence."""
        raise NotImplementedError

    def extra_repr(self) -> str:
        said = [f"{self.input_size}, {self.hidden_size}"]
        defaults = {
            "proj_size": 0,
            "num_layers": 1,
            "bias": True,
            "batch_first": False,
            "dropout": 0,
            "bidirectional": False,
        }
        said += [f"{name}={getattr(self, name)}" for name, value in defaults.items() if getattr(self, name) != value]
        return ", ".join(said)


def projected(
    x: Any,
    weight_ih: Any,
    weight_hh: Any,
    bias_ih: Any,
    bias_hh: Any,
    weight_hr: Any,
    first: list[Any],
    lengths: Any,
    reverse: bool,
) -> Any:
    """Run long short-term memory whose state is weight_hr o tanh(c), step by step: (outputs, last h, last c)."""
    sums, steps = F.linear(x, weight_ih, joined(bias_ih, bias_hh)), x.shape[0]
    sizes = (weight_hr.shape[0], weight_hr.shape[1])
    h, c = (x.new_zeros(x.shape[1], size) if s is None else s for s, size in zip(first, sizes, strict=True))
    lengths = devices.move(np.full(x.shape[1], steps), devices.of(x.array)) if lengths is None else lengths
    outputs: list[Any] = [None] * steps
    for t in reversed(range(steps)) if reverse else range(steps):
        new, cell = LSTMGates.apply(F.select(sums, 0, t) + F.linear(h, weight_hh), c)
        new = F.linear(new, weight_hr)
        running = F.unsqueeze(x.result_class(t < lengths), 1)
        outputs[t] = F.where(running, new, 0.0)
        h, c = F.where(running, new, h), F.where(running, cell, c)
    return F.stack(outputs, 0), h, c


def joined(bias_ih: Any, bias_hh: Any) -> Any:
    """Return both biases as one, which every step's sums begin with; None without."""
    return None if bias_ih is None else bias_ih + bias_hh


class RNN(Recurrent):
    """Run an Elman network over sequences: h_t = f(W x_t + b + U h_(t-1) + b').

    Args:
        input_size: numbers of a step.
        hidden_size: units.
        num_layers: layers, each over the outputs of the one before.  Default: 1.
        nonlinearity: f, "tanh" or "relu".  Default: "tanh".
        bias: whether b and b' are learned.  Default: True.
        batch_first: whether inputs and outputs are (N, T, .), not (T, N, .).  Default: False.
        dropout: probability of dropping an output between two layers.  Default: 0.
        bidirectional: whether a second set of weights walks from the end.  Default: False.

    Shape:
        Input (T, N, I), (N, T, I) with batch_first, (T, I) of one sequence, or a PackedSequence; hx (L D, N, H) for L
        layers and D directions, zeros by default; output (T, N, D H) in the input's form, and the state (L D, N, H).

    Raises:
        ValueError: a size, dropout or nonlinearity is none; when called, for shapes that do not fit.

    Example:
        >>> from tinymed import nn, ones
        >>> y, h = nn.RNN(8, 5, bidirectional=True)(ones(7, 2, 8))
        >>> y.shape, h.shape
        ((7, 2, 10), (2, 2, 5))

    Reference:
        Elman, "Finding structure in time", 1990.

    As `torch.nn.RNN`.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
    ):
        if nonlinearity not in ("tanh", "relu"):
            raise ValueError(f"RNN: nonlinearity is {nonlinearity!r}; it takes 'tanh' or 'relu'")
        super().__init__(input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional)
        self.nonlinearity = nonlinearity

    def sequence(
        self,
        x: Tensor,
        weight_ih: Tensor,
        weight_hh: Tensor,
        bias_ih: Tensor,
        bias_hh: Tensor,
        first: list[Any],
        lengths: Any,
        reverse: bool,
    ) -> Any:
        sums = F.linear(x, weight_ih, joined(bias_ih, bias_hh))
        return RNNSequence.apply(sums, weight_hh, *first, lengths, reverse, self.nonlinearity == "relu")


class LSTM(Recurrent):
    """Run long short-term memory over sequences: gates i, f, o, candidate g; c_t = f c_(t-1) + i g, h_t = o tanh(c_t).

    Args:
        input_size: numbers of a step.
        hidden_size: units.
        num_layers: layers, each over the outputs of the one before.  Default: 1.
        bias: whether biases are learned, one of the input's sums and one of the state's.  Default: True.
        batch_first: whether inputs and outputs are (N, T, .), not (T, N, .).  Default: False.
        dropout: probability of dropping an output between two layers.  Default: 0.
        bidirectional: whether a second set of weights walks from the end.  Default: False.
        proj_size: numbers of h, W' o tanh(c) with a learned W'; 0: h is o tanh(c).  Such a layer walks step by step.
            Default: 0.

    Shape:
        Input (T, N, I), (N, T, I) with batch_first, (T, I) of one sequence, or a PackedSequence; hx a tuple (h, c) of
        (L D, N, H) for L layers and D directions, zeros by default; output (T, N, D H) in the input's form, and (h, c).
        With proj_size, h and the output have that many numbers instead of H.

    Raises:
        ValueError: a size, dropout or proj_size is none; when called, for shapes that do not fit.

    Example:
        >>> from tinymed import nn, ones
        >>> y, (h, c) = nn.LSTM(8, 5, num_layers=2)(ones(7, 2, 8))
        >>> y.shape, h.shape, c.shape
        ((7, 2, 5), (2, 2, 5), (2, 2, 5))

    Reference:
        Hochreiter & Schmidhuber, "Long short-term memory", 1997.

    As `torch.nn.LSTM`.
    """

    gates, states = 4, 2

    def sequence(
        self,
        x: Tensor,
        weight_ih: Tensor,
        weight_hh: Tensor,
        bias_ih: Tensor,
        bias_hh: Tensor,
        first: list[Any],
        lengths: Any,
        reverse: bool,
    ) -> Any:
        bias = joined(bias_ih, bias_hh)
        if precision.in_use() == "bf16":  # whose products are ops of their own
            return LSTMSequence.apply(F.linear(x, weight_ih, bias), weight_hh, *first, lengths, reverse)
        return LSTMLayer.apply(x, weight_ih, bias, weight_hh, *first, lengths, reverse)


class GRU(Recurrent):
    """Run gated recurrent units over sequences: gates r and u, a candidate n; h_t = (1 - u) n + u h_(t-1).

    Args:
        input_size: numbers of a step.
        hidden_size: units.
        num_layers: layers, each over the outputs of the one before.  Default: 1.
        bias: whether biases are learned, one of the input's sums and one of the state's.  Default: True.
        batch_first: whether inputs and outputs are (N, T, .), not (T, N, .).  Default: False.
        dropout: probability of dropping an output between two layers.  Default: 0.
        bidirectional: whether a second set of weights walks from the end.  Default: False.

    Shape:
        Input (T, N, I), (N, T, I) with batch_first, (T, I) of one sequence, or a PackedSequence; hx (L D, N, H) for L
        layers and D directions, zeros by default; output (T, N, D H) in the input's form, and the state (L D, N, H).

    Raises:
        ValueError: a size or dropout is none; when called, for shapes that do not fit.

    Example:
        >>> from tinymed import nn, ones
        >>> y, h = nn.GRU(8, 5, batch_first=True)(ones(2, 7, 8))
        >>> y.shape, h.shape
        ((2, 7, 5), (1, 2, 5))

    Reference:
        Cho et al., "Learning phrase representations using RNN encoder-decoder", 2014.

    As `torch.nn.GRU`.
    """

    gates = 3

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
    ):
        super().__init__(input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional)

    def sequence(
        self,
        x: Tensor,
        weight_ih: Tensor,
        weight_hh: Tensor,
        bias_ih: Tensor,
        bias_hh: Tensor,
        first: list[Any],
        lengths: Any,
        reverse: bool,
    ) -> Any:
        sums = F.linear(x, weight_ih, bias_ih)
        own = x.new_zeros(3 * self.hidden_size) if bias_hh is None else bias_hh
        return GRUSequence.apply(sums, weight_hh, own, *first, lengths, reverse)
