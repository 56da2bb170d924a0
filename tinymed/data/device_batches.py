"""Between a network on any device and the arrays around it: batches go to the network, values come back."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from .. import devices
from ..tensor import Tensor
from .device_prefetch import each, upload_batches


def device_of(model: Any) -> str:
    """Return where a network's weights are; without weights, where the backend in use works."""
    for p in model.parameters():
        return devices.of(p.array)
    return devices.default()


def as_tensors(value: Any, place: str = "cpu") -> Any:
    """Return an array as a tensor on a device, a tuple of arrays as a tuple of tensors."""
    return each(value, lambda a: Tensor(devices.move(a, place)))


def as_array(value: Any) -> np.ndarray:
    """Return the values of a tensor, or an array of any device, as a NumPy array."""
    a: np.ndarray = devices.move(value.array if isinstance(value, Tensor) else value, "cpu")
    return a


def as_arrays(value: Any) -> Any:
    """Return a tree of dictionaries and lists with NumPy arrays where tensors were."""
    if isinstance(value, dict):
        return {key: as_arrays(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [as_arrays(item) for item in value]
    return as_array(value) if isinstance(value, Tensor) else value


def device_batches(
    batches: Iterable[tuple[Any, Any, np.ndarray]], targets: Callable[[Any], Any], place: str
) -> Iterator[tuple[Any, Any, Any, np.ndarray]]:
    """Yield (images, targets, labels, indices) of a loader's batches; the first two are tensors on a device."""
    prepared = (((images, targets(labels)), (labels, indices)) for images, labels, indices in batches)
    for (images, wanted), (labels, indices) in upload_batches(prepared, place):
        yield images, wanted, labels, indices


class Constant:
    """Numbers of a loss, on any device: one array for each, so that a captured step keeps it."""

    def __init__(self, array: np.ndarray):
        self.there = {"cpu": Tensor(array)}

    def beside(self, t: Tensor) -> Tensor:
        """Return the numbers on the tensor's device."""
        if t.device not in self.there:
            self.there[t.device] = Tensor(devices.move(self.there["cpu"].array, t.device))
        return self.there[t.device]
