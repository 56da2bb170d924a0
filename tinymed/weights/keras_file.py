"""Weights that Keras keeps in HDF5 files, under PyTorch's names and in its layout; needs h5py.

    .weights.h5   Keras 3: each layer's variables in order, .../LAYER/vars/0, 1, ...
    .h5           Keras 1 and 2: attributes layer_names and weight_names, perhaps below model_weights

A convolution's filters lie there as (height, width, in, out), a dense layer's weights as (in, out): both are turned.
Batch norm is gamma, beta, moving_mean, moving_variance: weight, bias, running_mean, running_var.  A variable that none
of these rules tells is refused with its name, so that nothing is turned wrongly.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import UserError
from .weight_file import WeightFile

KINDS = {
    "kernel": "weight",
    "depthwise_kernel": "weight",
    "bias": "bias",
    "gamma": "weight",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}
ASIDE = ("optimizer", "seed_generator")  # groups that hold no weights
IN_ORDER = {  # variables of a Keras 3 layer by the axes of each
    (1, 1, 1, 1): ("gamma", "beta", "moving_mean", "moving_variance"),
    (2, 1): ("kernel", "bias"),
    (2,): ("kernel",),
    (3, 1): ("kernel", "bias"),
    (3,): ("kernel",),
    (4, 1): ("kernel", "bias"),
    (4,): ("kernel",),
    (5, 1): ("kernel", "bias"),
    (5,): ("kernel",),
}


def read_keras_file(path: Path) -> WeightFile:
    """Return the weights of a file.  Raises UserError: h5py is missing, or the file is damaged or of another kind."""
    try:
        import h5py
    except ImportError:
        raise UserError(f"{path}: an HDF5 file, for which h5py is needed: pip install h5py") from None
    try:
        with h5py.File(path, "r") as file:
            inner = "model_weights" in file
            root = child(file, "model_weights", h5py) if inner else file
            rows = old_layers(root, h5py) if "layer_names" in root.attrs else new_layers(root, h5py)
            arrays = dict(converted(path, layer, kind, values) for layer, kind, values in rows)
    except (OSError, KeyError, ValueError, RuntimeError, TypeError, AttributeError) as error:
        if isinstance(error, UserError):
            raise
        raise UserError(f"{path}: no whole HDF5 file of Keras ({' '.join(str(error).split())[:200]})") from None
    if not arrays:
        raise UserError(f"{path}: an HDF5 file without weights of Keras; save them with model.save_weights")
    return WeightFile(arrays, ["weights of Keras: filters and dense layers turned to PyTorch's layout"])


def old_layers(root: Any, h5py: Any) -> Iterator[tuple[str, str, np.ndarray]]:
    """Yield (layer, kind of variable, values) of the older form."""
    for layer in map(as_text, root.attrs["layer_names"]):
        group = child(root, layer, h5py)
        for name in map(as_text, group.attrs["weight_names"]):
            yield layer, name.rpartition("/")[2].partition(":")[0], values_of(child(group, name, h5py), h5py)


def new_layers(root: Any, h5py: Any) -> Iterator[tuple[str, str, np.ndarray]]:
    """Yield (layer, kind of variable, values) of Keras 3's form, the kind told by the number of axes of each."""
    groups: list[tuple[str, Any]] = [("", root)]
    while groups:
        path, group = groups.pop()
        for name in sorted(group, reverse=True):
            link = group.get(name, getlink=True)
            if not isinstance(link, h5py.HardLink) or path.count("/") > 20:
                raise UserError(f"{group.file.filename}: leads to another file, or to itself; refused")
            if name == "vars":
                variables = group[name]
                values = [values_of(child(variables, str(i), h5py), h5py) for i in range(len(variables))]
                kinds = IN_ORDER.get(tuple(each.ndim for each in values), ()) if values else ()
                if values and len(kinds) != len(values):
                    raise UserError(
                        f"{group.file.filename}: layer {path!r} has variables of {[v.shape for v in values]}, which is "
                        "no dense layer, convolution or batch norm; convert it where Keras is installed"
                    )
                for kind, each in zip(kinds, values, strict=True):
                    yield path.replace("/", ".").removeprefix("layers."), kind, each
            elif isinstance(group[name], h5py.Group) and name not in ASIDE:
                groups.append((f"{path}/{name}" if path else name, group[name]))


def child(group: Any, name: str, h5py: Any) -> Any:
    """Return what a path in a group names, each step of which is in this file.  Raises UserError."""
    for step in [part for part in name.split("/") if part]:
        if not isinstance(group.get(step, getlink=True), h5py.HardLink):
            raise UserError(f"{group.file.filename}: {name!r} is missing, or leads to another file; refused")
        group = group[step]
    return group


def values_of(dataset: Any, h5py: Any) -> np.ndarray:
    """Return the numbers of a dataset that lie in this file.  Raises UserError for others."""
    file = dataset.file.filename
    if (
        not isinstance(dataset, h5py.Dataset)
        or dataset.external
        or dataset.is_virtual
        or dataset.dtype.kind not in "fiu"
    ):
        raise UserError(f"{file}: {dataset.name} is not an array of numbers that lies in the file")
    if dataset.size * dataset.dtype.itemsize > 8 * Path(file).stat().st_size + (64 << 20):
        raise UserError(f"{file}: {dataset.name} would take more than 8 times the memory of the file")
    return np.asarray(dataset[()])


def converted(path: Path, layer: str, kind: str, values: np.ndarray) -> tuple[str, np.ndarray]:
    """Return a variable under PyTorch's name and in its layout.  Raises UserError for a kind that is not known."""
    if kind not in KINDS:
        raise UserError(f"{path}: layer {layer!r} has a variable {kind!r}, which no layer here has")
    name = f"{layer}.{KINDS[kind]}"
    if KINDS[kind] != "weight" or values.ndim < 2:
        return name, values
    if kind == "depthwise_kernel" or layer.rpartition(".")[2].startswith("depthwise"):
        *window, channels, times = values.shape  # -> [channels * times, 1, *window]
        moved = np.moveaxis(values, (-2, -1), (0, 1))
        return name, np.ascontiguousarray(moved.reshape(channels * times, 1, *window))
    return name, np.ascontiguousarray(np.moveaxis(values, (-1, -2), (0, 1)))


def as_text(name: Any) -> str:
    """Return a name that may be stored as bytes."""
    return name.decode("utf-8", "replace") if isinstance(name, bytes) else str(name)
