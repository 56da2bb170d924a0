"""Long short-term memory of images: the products of an LSTM become convolutions."""

import math
from typing import Any

from ..annotations import Size
from ..ops.lstm_gates import LSTMGates
from ..tensor import Tensor
from . import functional as F
from . import init
from .module import Module, new_parameter


class ConvLSTM2d(Module):
    """Run long short-term memory over a sequence of images: i, f, g, o = W * x_t + U * h_(t-1) + b, * a convolution.

    The slices of a volume are such a sequence.  All steps go through W at once; a step is a convolution of the state
    and one kernel for the gates.  For back-propagation through a part of a long sequence, hand the state of one part to
    the next detached: `state = tuple(s.detach() for s in state)`.

    Args:
        in_channels: channels of an image.
        hidden_channels: channels of the state.
        kernel_size: side of both filters, odd, an integer or two; borders are padded with zeros.  Default: 3.
        bias: whether b is learned.  Default: True.
        batch_first: whether inputs and outputs are (N, T, ...), not (T, N, ...).  Default: False.
        bidirectional: whether a second set of filters walks from the end.  Default: False.

    Shape:
        Input (T, N, C, H, W); state a tuple (h, c) of (D, N, F, H, W) for D directions, zeros by default; output
        (T, N, D F, H, W), and the last (h, c).

    Raises:
        ValueError: the kernel is even; when called, for shapes that do not fit.

    Example:
        >>> from tinymed import nn, ones
        >>> y, (h, c) = nn.ConvLSTM2d(3, 4, bidirectional=True)(ones(5, 2, 3, 8, 8))
        >>> y.shape, c.shape
        ((5, 2, 8, 8, 8), (2, 2, 4, 8, 8))

    Reference:
        Shi et al., "Convolutional LSTM network: a machine learning approach for precipitation nowcasting", 2015,
        without peepholes.
    """

    _makes_tensors = True

    def __init__(
        self,
        in_channels: int,
        hidden_channels: int,
        kernel_size: Size = 3,
        bias: bool = True,
        batch_first: bool = False,
        bidirectional: bool = False,
    ):
        super().__init__()
        sides = (kernel_size, kernel_size) if isinstance(kernel_size, int) else tuple(kernel_size)
        if len(sides) != 2 or any(side % 2 == 0 or side < 1 for side in sides):
            raise ValueError(f"ConvLSTM2d: kernel_size is {kernel_size}; it takes odd sides, which keep the size")
        self.in_channels, self.hidden_channels, self.kernel_size = in_channels, hidden_channels, sides
        self.batch_first, self.bidirectional = batch_first, bidirectional
        for end in self.directions():
            for kind, channels in (("ih", in_channels), ("hh", hidden_channels)):
                weight = new_parameter(4 * hidden_channels, channels, *sides, kind="filter")
                setattr(self, f"weight_{kind}{end}", weight)
            if bias:
                setattr(self, f"bias{end}", new_parameter(4 * hidden_channels))
        self.reset_parameters()

    def directions(self) -> tuple[str, ...]:
        """Return how the names of each direction's parameters end."""
        return ("", "_reverse") if self.bidirectional else ("",)

    def reset_parameters(self) -> None:
        """Draw filters uniformly from +-1 / sqrt(taps of the state); biases are 0, those of the forget gate 1."""
        bound, n = 1 / math.sqrt(self.hidden_channels * math.prod(self.kernel_size)), self.hidden_channels
        for name, p in self.named_parameters():
            if name.startswith("weight"):
                init.uniform_(p, -bound, bound)
            else:
                init.zeros_(p)
                if 0 not in p.array.strides:  # a parameter of a model without weights has no memory
                    p.data[n : 2 * n] = 1.0

    def forward(self, input: Tensor, state: Any = None) -> Any:
        """Return the outputs of every step, and the last state of every direction."""
        if len(input.shape) != 5 or input.shape[2] != self.in_channels or not input.shape[int(self.batch_first)]:
            form = "(N, T, C, H, W)" if self.batch_first else "(T, N, C, H, W)"
            raise ValueError(
                f"ConvLSTM2d: input has shape {list(input.shape)}; it takes {form} of at least one step, "
                f"C = {self.in_channels}"
            )
        x = F.swapaxes(input, 0, 1) if self.batch_first else input
        ends = self.directions()
        shape = (len(ends), x.shape[1], self.hidden_channels, *x.shape[3:])
        if state is not None and [tuple(s.shape) for s in state] != [shape] * 2:
            raise ValueError(
                f"ConvLSTM2d: state has shapes {[list(s.shape) for s in state]}; it takes (h, c) of {list(shape)}"
            )
        outputs, last = [], []
        for d, end in enumerate(ends):
            y, *after = self.walk(
                x, end, [None, None] if state is None else [F.select(s, 0, d) for s in state], bool(d)
            )
            outputs.append(y)
            last.append(after)
        y = F.cat(outputs, 2) if len(outputs) > 1 else outputs[0]
        return (F.swapaxes(y, 0, 1) if self.batch_first else y), tuple(F.stack(s, 0) for s in zip(*last, strict=True))

    def walk(self, x: Tensor, end: str, state: list[Any], reverse: bool) -> tuple[Any, Any, Any]:
        """Run one direction: (outputs of every step, last h, last c)."""
        steps, batch = x.shape[:2]
        padding = tuple(side // 2 for side in self.kernel_size)
        bias = getattr(self, f"bias{end}", None)
        sums = F.conv2d(F.flatten(x, 0, 1), getattr(self, f"weight_ih{end}"), bias, padding=padding)
        own = F.reshape(sums, (steps, batch, *sums.shape[1:]))
        h, c = state
        outputs: list[Any] = [None] * steps
        for t in reversed(range(steps)) if reverse else range(steps):
            known = F.select(own, 0, t)
            if h is not None:
                known = known + F.conv2d(h, getattr(self, f"weight_hh{end}"), None, padding=padding)
            h, c = LSTMGates.apply(known, c)
            outputs[t] = h
        return F.stack(outputs, 0), h, c

    def extra_repr(self) -> str:
        said = f"{self.in_channels}, {self.hidden_channels}, kernel_size={self.kernel_size}"
        return said + (", bidirectional=True" if self.bidirectional else "")
