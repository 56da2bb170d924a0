"""Dropout: elements, whole channels, or SELU's alpha dropout.

What is dropped is a function of the generator's state and the element's position, so no mask is kept: the op saves
its ticket (a copy of the state it drew with) and backward draws the same bits again.  The state is an array that the
kernel advances, so a captured program drops anew at every step.

Element i in memory order takes the i-th 16 bits of the draw, a word's low half before its high half; images count
channels-last whatever the memory they lie in, so all backends drop the same.  An element is kept where its bits are
>= limit = p 2^16, rounded: half the words that a comparison of 32 bits would draw, and p is off by 2^-17 at most.
"""

import math
import warnings
from typing import Any

import numpy as np

from .. import random
from ..annotations import Tensor
from ..dispatch import Array, kernel
from ..memory import canonical_order, inverse_order
from ..tape import Op
from .overwrite import overwritable
from .shape import reshape

ALPHA = -1.7580993408473766  # what SELU tends to on the left: -scale * alpha
TICKET = ((5,), np.uint32)
RANGE = 1 << 16  # of the bits that decide about an element
RATES = (0.5, 0.1, 0.0, 1.0, 0.25)  # tried by the samples


def drawn_words(xp: Any, count: int, ticket: Array) -> Array:
    """Return the first `count` uint32 words of a ticket's draw."""
    t = ticket.astype(xp.uint64)
    return random.words(xp, count, t[0] | t[1] << xp.uint64(32), t[2], t[3] | t[4] << xp.uint64(32))


def drawn_halves(xp: Any, count: int, ticket: Array) -> Array:
    """Return the first `count` numbers of 16 bits of a ticket's draw: each word's low half, then its high half."""
    words = drawn_words(xp, (count + 1) // 2, ticket)
    return xp.stack([words & xp.uint32(0xFFFF), words >> xp.uint32(16)], axis=-1).reshape(-1)[:count]


def in_image_order(flat: Array, shape: tuple[int, ...]) -> Array:
    """Return a number for every element of an array of this shape, which count channels-last."""
    order = canonical_order("image", len(shape))
    return flat.reshape([shape[i] for i in order]).transpose(inverse_order(order))


def take_ticket(xp: Any, state: Array) -> Array:
    """Return a copy of the generator's state, which moves on to its next draw."""
    ticket = state.copy()
    step = (state[3].astype(xp.uint64) | state[4].astype(xp.uint64) << xp.uint64(32)) + xp.uint64(1)
    state[3], state[4] = step & xp.uint64(random.MASK), step >> xp.uint64(32)
    return ticket


def kept(xp: Any, shape: tuple[int, ...], ticket: Array, limit: int) -> Any:
    """Return which elements of an array of this shape are kept."""
    return in_image_order(drawn_halves(xp, math.prod(shape), ticket) >= xp.uint64(limit), shape)


def mask_shape(shape: tuple[int, ...], channels: bool) -> tuple[int, ...]:
    """Return the shape of a draw for each element, or for each channel of each sample."""
    return shape[:2] + (1,) * (len(shape) - 2) if channels else shape


def limit_of(p: float) -> tuple[int, float]:
    """Return (limit, scale): elements whose 16 bits are >= limit are kept, scaled by 1 / (1 - p), p as it is drawn."""
    limit = round(p * RANGE)
    return limit, RANGE / (RANGE - limit) if limit < RANGE else 0.0


def drawn(torch: Any, shape: tuple[int, ...], state: Any, p: float) -> Any:
    """Return which elements are kept, as torch's booleans: what the oracles share."""
    return torch.tensor(kept(np, tuple(shape), state, limit_of(p)[0]))


def generator_state(draw: Any) -> np.ndarray:
    """Return the state of a generator somewhere on its way."""
    state: np.ndarray = draw.integers((5,), 0, 2**32 - 1).astype(np.uint32)
    return state


@kernel(out=lambda x, *_: [x.shape, TICKET], writes="state", flops=lambda x, *_: x.size)
def dropout_forward(xp: Any, x: Array, state: Array, limit: int, scale: float) -> Any:
    """y = scale x where the element's bits are >= limit, else 0; also the ticket of the draw."""
    ticket = take_ticket(xp, state)
    return x * (kept(xp, x.shape, ticket, limit) * x.dtype.type(scale)), ticket


@kernel(flops=lambda dy, *_: dy.size)
def dropout_backward(xp: Any, dy: Array, ticket: Array, limit: int, scale: float) -> Array:
    """dx = scale dy where the bits that the ticket draws again are >= limit, else 0."""
    return dy * (kept(xp, dy.shape, ticket, limit) * dy.dtype.type(scale))


class Dropout(Op):
    """y = x keep / (1 - p);  dx = dy keep / (1 - p): each element is kept with probability 1 - p, p rounded to 2^-16.

    Srivastava et al., JMLR 15, 2014; scaled in training ("inverted"), so evaluation is the identity.
    """

    def forward(self, x: Array, state: Array, p: float) -> Array:
        y, ticket = self.k.dropout_forward(x, state, *limit_of(p))
        self.save(ticket, p)
        return y

    def backward(self, dy: Array) -> Any:
        ticket, p = self.saved
        return self.k.dropout_backward(dy, ticket, *limit_of(p)), None, None

    @staticmethod
    def samples(draw: Any) -> tuple[Any, ...]:
        return draw.array(draw.choice((draw.shape(0, 5), (2, 3, 41, 23)))), generator_state(draw), draw.choice(RATES)

    @staticmethod
    def oracle(torch: Any, x: Any, state: Any, p: float) -> Any:
        return x * drawn(torch, x.shape, state, p) * limit_of(p)[1]


@kernel(out=lambda x, *_: [x.shape, TICKET], writes="state", flops=lambda x, *_: x.size)
def dropout_channels_forward(xp: Any, x: Array, state: Array, limit: int, scale: float) -> Any:
    """y[n, c] = scale x[n, c] where the bits of (n, c) are >= limit, else 0; also the ticket of the draw."""
    ticket = take_ticket(xp, state)
    return x * (kept(xp, mask_shape(x.shape, True), ticket, limit) * x.dtype.type(scale)), ticket


@kernel(flops=lambda dy, *_: dy.size)
def dropout_channels_backward(xp: Any, dy: Array, ticket: Array, limit: int, scale: float) -> Array:
    """dx[n, c] = scale dy[n, c] where the bits of (n, c) drawn again are >= limit, else 0."""
    return dy * (kept(xp, mask_shape(dy.shape, True), ticket, limit) * dy.dtype.type(scale))


class DropoutChannels(Op):
    """Dropout of whole channels of each sample: y[n, c] = x[n, c] keep[n, c] / (1 - p).  Tompson et al., CVPR 2015."""

    def forward(self, x: Array, state: Array, p: float) -> Array:
        y, ticket = self.k.dropout_channels_forward(x, state, *limit_of(p))
        self.save(ticket, p)
        return y

    def backward(self, dy: Array) -> Any:
        ticket, p = self.saved
        return self.k.dropout_channels_backward(dy, ticket, *limit_of(p)), None, None

    @staticmethod
    def samples(draw: Any) -> tuple[Any, ...]:
        shape = (draw.integer(1, 4), draw.choice((3, 1, 16, 33)), *draw.shape(0, 3, 0, 3))
        return draw.array(shape), generator_state(draw), draw.choice(RATES)

    @staticmethod
    def oracle(torch: Any, x: Any, state: Any, p: float) -> Any:
        return x * drawn(torch, mask_shape(tuple(x.shape), True), state, p) * limit_of(p)[1]


def alpha_map(p: float) -> tuple[float, float]:
    """Return (a, b) of a x + b, which restores mean 0 and variance 1 after dropping to ALPHA."""
    a = 1 / math.sqrt((ALPHA**2 * p + 1) * (1 - p)) if p < 1 else 0.0
    return a, -a * ALPHA * p


@kernel(out=lambda x, *_: [x.shape, TICKET], writes="state", flops=lambda x, *_: 2 * x.size)
def alpha_dropout_forward(xp: Any, x: Array, state: Array, p: float, channels: bool) -> Any:
    """y = a x + b where kept, else a ALPHA + b, (a, b) = alpha_map(p); also the ticket of the draw."""
    (a, b), ticket = alpha_map(p), take_ticket(xp, state)
    return xp.where(kept(xp, mask_shape(x.shape, channels), ticket, limit_of(p)[0]), a * x + b, a * ALPHA + b), ticket


@kernel(flops=lambda dy, *_: dy.size)
def alpha_dropout_backward(xp: Any, dy: Array, ticket: Array, p: float, channels: bool) -> Array:
    """dx = a dy where the ticket's draw kept x, else 0, a from alpha_map(p)."""
    return xp.where(kept(xp, mask_shape(dy.shape, channels), ticket, limit_of(p)[0]), alpha_map(p)[0] * dy, 0)


class AlphaDropout(Op):
    """y = a x + b where kept, a ALPHA + b where dropped: mean 0 and variance 1 stay;  dx = a dy keep.

    ALPHA = -1.7581 is SELU's limit on the left.  channels: whole channels at a time.  Klambauer et al., NIPS 2017.
    """

    def forward(self, x: Array, state: Array, p: float, channels: bool) -> Array:
        y, ticket = self.k.alpha_dropout_forward(x, state, p, channels)
        self.save(ticket, p, channels)
        return y

    def backward(self, dy: Array) -> Any:
        return self.k.alpha_dropout_backward(dy, *self.saved), None, None, None

    @staticmethod
    def samples(draw: Any) -> tuple[Any, ...]:
        x = draw.array((draw.integer(1, 4), *draw.shape(1, 4)))
        return x, generator_state(draw), draw.choice(RATES), draw.boolean()

    @staticmethod
    def oracle(torch: Any, x: Any, state: Any, p: float, channels: bool) -> Any:
        a, b = alpha_map(p)
        return torch.where(drawn(torch, mask_shape(tuple(x.shape), channels), state, p), a * x + b, a * ALPHA + b)


# ------------------------------------------------------------------------------------------------ public functions


@overwritable
def dropout(input: Tensor, p: float = 0.5, training: bool = True) -> Tensor:
    """Zero each element with probability p in training, and scale the others by 1 / (1 - p).

    Elements are drawn from manual_seed's generator, in steps of 1/65536 of probability.

    Args:
        input: Floating-point tensor of any shape.
        p: The probability of zeroing, from 0 to 1.
        training: Return the input unchanged if False.
        inplace: Write the result into input.

    Returns:
        A tensor of the input's shape and dtype.

    Raises:
        ValueError: p is not from 0 to 1.

    Example:
        >>> import tinymed
        >>> from tinymed.nn import functional as F
        >>> sorted(set(F.dropout(tinymed.ones(64), 0.5).tolist()))
        [0.0, 2.0]
        >>> F.dropout(tinymed.ones(3), 0.5, training=False).tolist()
        [1.0, 1.0, 1.0]

    Reference:
        Srivastava et al., JMLR 2014.
    """
    return dropped(Dropout, "dropout", input, p, training)


@overwritable
def dropout1d(input: Tensor, p: float = 0.5, training: bool = True) -> Tensor:
    """Zero whole channels with probability p in training, and scale the others by 1 / (1 - p).

    Args:
        input: (N, C, L) or (C, L), floating point.
        p: The probability of zeroing a channel, from 0 to 1.
        training: Return the input unchanged if False.
        inplace: Write the result into input.

    Returns:
        A tensor of the input's shape and dtype.

    Raises:
        ValueError: p is not from 0 to 1, or the shape does not fit.

    Example:
        >>> import tinymed
        >>> from tinymed.nn import functional as F
        >>> F.dropout1d(tinymed.ones(2, 3, 4), training=False).shape
        (2, 3, 4)

    Reference:
        Tompson et al., CVPR 2015, section 3.2.
    """
    return dropped_channels("dropout1d", input, p, training, 3)


@overwritable
def dropout2d(input: Tensor, p: float = 0.5, training: bool = True) -> Tensor:
    """Zero whole channels with probability p in training, and scale the others by 1 / (1 - p).

    Args:
        input: (N, C, H, W), floating point.  Three axes are (N, C, L), with a warning: PyTorch may change what they
            mean there.
        p: The probability of zeroing a channel, from 0 to 1.
        training: Return the input unchanged if False.
        inplace: Write the result into input.

    Returns:
        A tensor of the input's shape and dtype.

    Raises:
        ValueError: p is not from 0 to 1, or the shape does not fit.

    Example:
        >>> import tinymed
        >>> from tinymed.nn import functional as F
        >>> sorted(set(F.dropout2d(tinymed.ones(8, 4, 2, 2)).sum((2, 3)).flatten().tolist()))
        [0.0, 8.0]

    Reference:
        Tompson et al., CVPR 2015, section 3.2.
    """
    return dropped_channels("dropout2d", input, p, training, 4)


@overwritable
def dropout3d(input: Tensor, p: float = 0.5, training: bool = True) -> Tensor:
    """Zero whole channels with probability p in training, and scale the others by 1 / (1 - p).

    Args:
        input: (N, C, D, H, W) or (C, D, H, W), floating point.
        p: The probability of zeroing a channel, from 0 to 1.
        training: Return the input unchanged if False.
        inplace: Write the result into input.

    Returns:
        A tensor of the input's shape and dtype.

    Raises:
        ValueError: p is not from 0 to 1, or the shape does not fit.

    Example:
        >>> import tinymed
        >>> from tinymed.nn import functional as F
        >>> F.dropout3d(tinymed.ones(2, 3, 2, 2, 2)).shape
        (2, 3, 2, 2, 2)

    Reference:
        Tompson et al., CVPR 2015, section 3.2.
    """
    return dropped_channels("dropout3d", input, p, training, 5)


@overwritable
def alpha_dropout(input: Tensor, p: float = 0.5, training: bool = False) -> Tensor:
    """Drop elements of a SELU network so that mean 0 and variance 1 are kept.

    Dropped elements take SELU's limit for x to -inf; an affine map then restores the moments.

    Args:
        input: Floating-point tensor of any shape.
        p: The probability of dropping, from 0 to 1.
        training: Return the input unchanged if False.
        inplace: Write the result into input.

    Returns:
        A tensor of the input's shape and dtype.

    Raises:
        ValueError: p is not from 0 to 1.

    Example:
        >>> import tinymed
        >>> from tinymed.nn import functional as F
        >>> F.alpha_dropout(tinymed.ones(2, 3), 0.5, training=True).shape
        (2, 3)

    Reference:
        Klambauer et al., NeurIPS 2017.
    """
    return dropped(AlphaDropout, "alpha_dropout", input, p, training, False)


@overwritable
def feature_alpha_dropout(input: Tensor, p: float = 0.5, training: bool = False) -> Tensor:
    """Drop whole channels as alpha_dropout drops elements.

    Args:
        input: (N, C, ...), floating point.
        p: The probability of dropping a channel, from 0 to 1.
        training: Return the input unchanged if False.
        inplace: Write the result into input.

    Returns:
        A tensor of the input's shape and dtype.

    Raises:
        ValueError: p is not from 0 to 1, or the input has fewer than two axes.

    Example:
        >>> import tinymed
        >>> from tinymed.nn import functional as F
        >>> F.feature_alpha_dropout(tinymed.ones(2, 3, 4), 0.5, training=True).shape
        (2, 3, 4)
    """
    if len(input.shape) < 2 and training and p > 0:
        raise ValueError(f"feature_alpha_dropout: input must have at least 2 axes (N, C, ...), got {list(input.shape)}")
    return dropped(AlphaDropout, "feature_alpha_dropout", input, p, training, True)


def dropped(op: type[Op], name: str, input: Any, p: float, training: bool, *options: Any) -> Any:
    """Apply a dropout op with the default generator's state."""
    if not 0 <= p <= 1:
        raise ValueError(f"{name}: p is a probability from 0 to 1, got {p}")
    return (
        op.apply(input, random.default_generator.beside(input.array), float(p), *options)
        if training and p > 0
        else input
    )


def dropped_channels(name: str, input: Any, p: float, training: bool, axes: int) -> Any:
    """Drop channels of a batch, or of one sample without the batch axis where that is unambiguous."""
    n = len(input.shape)
    if n == 3 and axes == 4:
        warnings.warn(
            f"{name}: input {list(input.shape)} is taken as (N, C, L); for one image give (1, C, H, W), for this "
            "call dropout1d",
            stacklevel=4,
        )
        return dropped(DropoutChannels, name, input, p, training)
    if n == axes - 1:
        if not (training and p > 0):
            return dropped(DropoutChannels, name, input, p, training)
        one = dropped(DropoutChannels, name, reshape(input, 1, *input.shape), p, training)
        return reshape(one, *input.shape)
    if n != axes:
        raise ValueError(f"{name}: input must have {axes} axes (N, C, ...), got {list(input.shape)}")
    return dropped(DropoutChannels, name, input, p, training)


__all__ = ["alpha_dropout", "dropout", "dropout1d", "dropout2d", "dropout3d", "feature_alpha_dropout"]
