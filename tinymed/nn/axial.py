"""Axial attention, with gates or without: a map attends along its columns, then its rows (Wang et al., ECCV 2020).

Along an axis of length K each head has queries and keys of half its features.  A learned table has a vector for each
distance i - j, from which come r_q, r_k, r_v (K x K of them).  Scores are q . k + q . r_q + k . r_k, each normalised by
a batch norm of its own; the values are v + r_v.  Gates weigh the terms with positions (Valanarasu et al., MICCAI 2021):
on small sets positions are learned badly, so they begin at 0.1.

On the CPU scores, their batch norm, softmax and what it weighs are one op, `ops/axial_attention.py`, which reads
queries, keys and values where the projection left them.  `AxialAttention.composed` is the same written out, op by op:
on a GPU and its emulator, in bf16, and where somebody looks at the scores.
"""

from math import sqrt
from typing import Any

import numpy as np

from .. import dispatch, precision
from ..ops.axial_attention import axial_attention
from ..ops.products import einsum
from ..tensor import Tensor
from . import functional as F
from . import init
from .activation import ReLU
from .container import Sequential
from .conv import Conv1d, Conv2d
from .module import Module, new_parameter
from .norm import BatchNorm1d, BatchNorm2d
from .pool import AvgPool2d

POSITIONS = ("none", "plain", "gated")
GATES = {"gate_query": 0.1, "gate_key": 0.1, "gate_value_position": 0.1, "gate_value": 1.0}


class ScoreNorm(BatchNorm2d):
    """Batch norm of scores: of those it is given, or of a map of queries, keys and values, with which it attends."""

    def forward(self, input: Tensor, attention: Any = None, axis: int = 0) -> Any:
        """Normalise scores; or attend along an axis of a map (N, 2 channels, H, W), see `AxialAttention`."""
        if attention is None:
            return super().forward(input)
        self.unchecked |= self.training
        training = self.training and not (self.frozen and self.running_mean is not None)
        rule = "corrected" if self.momentum is None else self.statistics
        distances, gates = attention
        return axial_attention(
            input,
            distances,
            gates,
            self.weight,
            self.bias,
            self.running_mean,
            self.running_var,
            self.num_batches_tracked,
            training,
            self.momentum or 0.0,
            self.eps,
            rule,
            self.num_features,
            axis,
        )

    def watched(self) -> bool:
        """Return whether somebody looks at its input or output, which are then to be scores."""
        return bool(self._pre_hooks or self._hooks or self._backward_pre_hooks or self._backward_hooks)


class AxialAttention(Module):
    """Attend along one axis of a map.

    Args:
        channels: channels of input and output, a multiple of 2 heads.
        side: length of the axis; without positions any length is taken.
        axis: 2 for columns, 3 for rows.
        positions: "none", "plain" (a learned vector for each distance) or "gated" (each term times a learned number).
        heads: number of heads.  Default: 8.

    Shape:
        Input (N, channels, H, W); output the same.

    Raises:
        ValueError: channels or positions do not fit; when called, for an axis of another length.
    """

    _makes_tensors = True

    def __init__(self, channels: int, side: int, axis: int, positions: str = "plain", heads: int = 8):
        super().__init__()
        if channels % (2 * heads) or positions not in POSITIONS:
            raise ValueError(
                f"AxialAttention: {channels} channels, positions {positions!r}; it takes a multiple of {2 * heads} and "
                f"one of {', '.join(POSITIONS)}"
            )
        self.side, self.axis, self.positions, self.heads = side, axis, positions, heads
        self.size = channels // heads
        terms = 1 if positions == "none" else 3
        self.project, self.project_norm = Conv1d(channels, 2 * channels, 1, bias=False), BatchNorm1d(2 * channels)
        self.score_norm = ScoreNorm(terms * heads)
        self.output_norm = BatchNorm1d(channels if positions == "none" else 2 * channels)
        init.normal_(self.project.weight, 0.0, sqrt(1 / channels))
        if positions != "none":
            self.distances = new_parameter(2 * self.size, 2 * side - 1)
            init.normal_(self.distances, 0.0, sqrt(1 / self.size))
            rows = np.arange(side)  # made once: a captured step keeps it
            self.register_buffer("apart", Tensor((rows[:, None] - rows + side - 1).reshape(-1)), persistent=False)
        if positions == "gated":
            for name, start in GATES.items():
                gate = new_parameter(1)
                init.constant_(gate, start)
                setattr(self, name, gate)

    def forward(self, input: Tensor) -> Any:
        """Attend, in one op where that serves."""
        length = input.shape[self.axis]
        if self.positions != "none" and length != self.side:
            raise ValueError(f"AxialAttention: an axis of {length}; its positions are learned for {self.side}")
        return self.fused(input) if self.fuses(input) else self.composed(input)

    def fuses(self, input: Tensor) -> bool:
        """Return whether the op serves: on the CPU, in float32 or float64, where nobody looks at the scores.

        csrc has no kernel for it: `cuda` composes, and `emulated`, which is to run what `cuda` runs.
        Evaluation compares the first large batch with the running statistics, for which scores are written down.
        """
        norm = self.score_norm
        norms = self.project_norm, norm, self.output_norm
        table = dispatch.table()
        compared = not self.training and any(n.unchecked for n in norms) and table.skipped is None
        here = table.device == "cpu" and "csrc" not in dispatch.BACKENDS[table.name].chain
        plain = here and input.array.dtype.kind == "f" and input.array.size > 0
        complete = norm.weight is not None and norm.bias is not None and norm.running_mean is not None
        return plain and complete and not compared and not norm.watched() and precision.in_use() != "bf16"

    def fused(self, input: Tensor) -> Any:
        """Attend in one op, on the map as it lies."""
        (n, c), space = input.shape[:2], input.shape[2:]
        pixels = F.reshape(input, (n, c, space[0] * space[1]))  # a convolution of one tap cares for no axis
        both = F.reshape(self.project_norm(self.project(pixels)), (n, 2 * c, *space))
        table, gates = None if self.positions == "none" else self.distances, None
        if self.positions == "gated":
            gates = F.cat([self.gate_query, self.gate_key, self.gate_value_position, self.gate_value])
        y = self.score_norm(both, (table, gates), self.axis)
        y = self.output_norm(F.reshape(y, (n, y.shape[1], pixels.shape[2])))
        if table is not None:
            y = F.sum(F.reshape(y, (n, c, 2, pixels.shape[2])), 2)
        return F.reshape(y, (n, c, *space))

    def composed(self, input: Tensor) -> Any:
        """Fold the other axis into the batch, attend, fold it back."""
        other = 5 - self.axis
        n, c, folded, length = input.shape[0], input.shape[1], input.shape[other], input.shape[self.axis]
        lines = F.reshape(F.permute(input, (0, other, 1, self.axis)), (n * folded, c, length))
        y = F.reshape(self.attend(lines), (n, folded, c, length))
        return F.permute(y, (0, 2, 1, 3) if self.axis == 3 else (0, 2, 3, 1))

    def attend(self, lines: Any) -> Any:
        """Attend along lines (B, channels, K)."""
        b, c, length = lines.shape
        both = F.reshape(self.project_norm(self.project(lines)), (b, self.heads, 2 * self.size, length))
        half = self.size // 2
        q, k, v = F.split(both, [half, half, self.size], 2)
        terms, values = [F.matmul(F.swapaxes(q, 2, 3), k)], None
        if self.positions != "none":
            r_q, r_k, r_v = F.split(self.by_distance(), [half, half, self.size], 0)
            terms += [
                self.gated("gate_query", einsum("bgci,cij->bgij", q, r_q)),
                self.gated("gate_key", F.swapaxes(einsum("bgci,cij->bgij", k, r_k), 2, 3)),
            ]
            values = r_v
        scores = self.score_norm(F.cat(terms, 1) if len(terms) > 1 else terms[0])
        if len(terms) > 1:
            scores = F.sum(F.reshape(scores, (b, len(terms), self.heads, length, length)), 1)
        weights = F.softmax(scores, 3)
        y = self.gated("gate_value", F.matmul(v, F.swapaxes(weights, 2, 3)))
        if values is None:
            return self.output_norm(F.reshape(y, (b, c, length)))
        placed = self.gated("gate_value_position", einsum("bgij,cij->bgci", weights, values))
        pairs = self.output_norm(F.reshape(F.stack([y, placed], 3), (b, 2 * c, length)))
        return F.sum(F.reshape(pairs, (b, c, 2, length)), 2)

    def gated(self, gate: str, term: Any) -> Any:
        """Return a term times its gate, where there are gates."""
        return term * getattr(self, gate) if self.positions == "gated" else term

    def by_distance(self) -> Any:
        """Return the table as (2 size, K, K): element i, j is that of the distance i - j."""
        return F.reshape(F.index_select(self.distances, 1, self.apart), (-1, self.side, self.side))


class AxialBlock(Module):
    """Apply 1x1 down, attention along columns and rows, 1x1 up to twice the width; add the (projected) input.

    Args:
        in_channels: channels of the input.
        width: channels of the attention; the output has twice as many.
        side: side of the map that attention sees; pooling follows it.
        positions: as of `AxialAttention`.  A block without positions owns a 1x1 convolution that nothing uses, as in
            the authors' code, so that counts agree.
        stride: 2 pools 2x2 after the attention.
    """

    def __init__(self, in_channels: int, width: int, side: int, positions: str, stride: int = 1):
        super().__init__()
        self.down, self.down_norm = Conv2d(in_channels, width, 1, bias=False), BatchNorm2d(width)
        if positions == "none":
            self.unused = Conv2d(width, width, 1)
        self.columns = AxialAttention(width, side, 2, positions)
        self.rows = AxialAttention(width, side, 3, positions)
        self.pool = AvgPool2d(stride) if stride > 1 else None
        self.up, self.up_norm, self.relu = Conv2d(width, 2 * width, 1, bias=False), BatchNorm2d(2 * width), ReLU()
        self.shortcut = None
        if stride > 1 or in_channels != 2 * width:
            self.shortcut = Sequential(
                Conv2d(in_channels, 2 * width, 1, stride=stride, bias=False), BatchNorm2d(2 * width)
            )

    def forward(self, input: Tensor) -> Any:
        """Compute the output; the class names the shapes."""
        y = self.rows(self.columns(self.relu(self.down_norm(self.down(input)))))
        y = self.relu(y if self.pool is None else self.pool(y))
        y = self.up_norm(self.up(y))
        return self.relu(y + (input if self.shortcut is None else self.shortcut(input)))


def axial_stage(in_channels: int, width: int, blocks: int, side: int, positions: str, stride: int = 1) -> Sequential:
    """Return several blocks, of which the first may halve the map."""
    layers = [AxialBlock(in_channels, width, side, positions, stride)]
    for _ in range(blocks - 1):
        layers.append(AxialBlock(2 * width, width, side // stride, positions))
    return Sequential(*layers)
