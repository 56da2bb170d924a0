"""PyTorch's default values of linear and convolution layers, and how a network that replaces them draws once."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from .. import devices, random
from ..tensor import Tensor
from .init import calculate_fans, kaiming_uniform_, uniform_


@contextmanager
def drawn_once() -> Iterator[None]:
    """Put off the default weights of layers made inside, and draw in the end those that nothing else has written.

    A network that sets initial values of its own then draws its weights once.  Every draw keeps its place in the
    generator's order, so the weights are those of a network built outside.

    Example:
        >>> from tinymed import manual_seed, nn
        >>> manual_seed(0)
        >>> a = nn.Linear(3, 2).weight
        >>> manual_seed(0)
        >>> with drawn_once():
        ...     layer = nn.Linear(3, 2)
        >>> layer.weight.tolist() == a.tolist()
        True
    """
    global put_off
    before, put_off = put_off, []
    try:
        yield
        for weight, version, state in put_off:
            if weight.version.value == version and is_undrawn(weight):
                now = random.init_generator.get_state()
                random.init_generator.set_state(state)
                kaiming_uniform_(weight, a=math.sqrt(5))
                random.init_generator.set_state(now)
    finally:
        put_off = before


put_off: list[Any] | None = None  # (weight, its version, the generator's state) of default weights that wait


def is_undrawn(weight: Tensor) -> bool:
    """Return whether a weight still begins with the NaN of one that was put off."""
    return bool(weight.array.size and np.isnan(float(weight.array[(0,) * weight.array.ndim])))


def build_drawn_once(build: Callable[[], Any]) -> Any:
    """Return the network that a function builds, its weights drawn once.

    One that reads or copies default weights while it is built, as a stack of deep copies does, is built again without
    putting anything off.
    """
    state = random.init_generator.get_state()
    with drawn_once():
        model = build()
    if any(map(is_undrawn, model.parameters())):
        random.init_generator.set_state(state)
        model = build()
    return model


def draw_default(weight: Tensor, bias: Tensor | None) -> None:
    """Draw a layer's weight and bias uniformly from +-1 / sqrt(fan_in), PyTorch's default; see `drawn_once`.

    Args:
        weight: (O, I, *space), written in place.
        bias: (O,), or None.
    """
    if put_off is None or weight.array.size == 0 or not devices.writeable(weight.array):
        kaiming_uniform_(weight, a=math.sqrt(5))
    else:
        weight.array[(0,) * weight.array.ndim] = math.nan  # which any other initial value replaces
        put_off.append((weight, weight.version.value, random.init_generator.get_state()))
        random.init_generator.ticket()
    if bias is not None:
        bound = 1 / math.sqrt(max(calculate_fans(weight)[0], 1))
        uniform_(bias, -bound, bound)
