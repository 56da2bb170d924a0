"""The network of a configuration, and whether a task can use it."""

import contextlib
import functools
import inspect
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from ... import devices, random
from ...data.device_batches import as_tensors, device_of
from ...errors import UserError
from ...tape import no_grad

if TYPE_CHECKING:
    from ...models.registry import Entry

Outputs = list[tuple[int, ...]]  # the shape of each output of a network


def make_model(name: str, seed: int, options: dict[str, Any], wanted: dict[str, Any]) -> Any:
    """Return a new network with initial weights drawn by the run's seed.

    Args:
        name: of the network, see `tinymed models`.
        seed: of its initial weights.
        options: keyword arguments that the user chose; an unknown one is refused.
        wanted: keyword arguments that the task would like; those that the network does not take are left out.

    Raises:
        UserError: for a name or option that it lacks, or a value that it refuses.
    """
    from ... import models

    random.manual_seed(seed)
    takes = models.entry(name).options
    check_options(name, options)
    arguments = {key: value for key, value in wanted.items() if key in takes} | options
    try:
        return models.create(name, **arguments).to(devices.default())
    except UserError:
        raise
    except (TypeError, ValueError, KeyError) as error:
        raise UserError(f"model {name}: {error}") from None


def check_options(model: str, options: dict[str, Any]) -> None:
    """Raise UserError for a value of another kind than the option's default: text for a number, one for several."""
    from ... import models

    for name, parameter in inspect.signature(models.entry(model).build).parameters.items():
        default, value = parameter.default, options.get(name, parameter.default)
        number = isinstance(default, int | float) and not isinstance(default, bool)
        if number and not (isinstance(value, int | float) and not isinstance(value, bool)):
            raise UserError(f"model {model}: {name} is a number such as {default:g}, got {value!r}")
        if isinstance(default, tuple) and not (isinstance(value, list | tuple) and len(value) == len(default)):
            raise UserError(f"model {model}: {name} is a list such as {list(default)}, got {value!r}")


def default_channels(model: str) -> int:
    """Return the channels that a network takes by default, of its first input."""
    from ...models import entry
    from ...models.summary import input_shapes

    return input_shapes(entry(model).input)[0][0]


def default_outputs(model: str) -> int:
    """Return the outputs that a network has by default: 1 of one that predicts a number, 0 where it does not say."""
    from ... import models

    parameter = inspect.signature(models.entry(model).build).parameters.get("num_classes")
    return int(parameter.default) if parameter is not None else 0


def output_shapes(model: Any, channels: int, space: Sequence[int]) -> Outputs:
    """Return the shapes of a network's outputs for one image [channels, *space], from shapes alone.

    Raises ValueError or TypeError as the network does for a size or number of channels that it does not take.
    """
    from ...models.shapes import blank, shapes_only

    mode, place = model.training, device_of(model)
    try:
        with no_grad(), shapes_only() if place == "cpu" else contextlib.nullcontext():
            outputs = model.eval()(as_tensors(blank((1, channels, *space)), place))
    finally:
        model.train(mode)
    return [tuple(o.shape) for o in (outputs if isinstance(outputs, tuple | list) else (outputs,))]


def default_networks(names: Sequence[str] | None = None) -> Iterator[tuple[str, tuple[int, ...], Outputs]]:
    """Yield (name, shape of its image, shapes of its outputs) of each network of one input, as it is made by default.

    names: of which networks; by default of all.
    """
    from ... import models

    for name in models.available() if names is None else names:
        found = default_shapes(models.entry(name))
        if found is not None:
            yield name, *found


def default_shapes(known: "Entry") -> tuple[tuple[int, ...], Outputs] | None:
    """Return the shapes of image and outputs of a network as it is made by default; None of one that takes several.

    They are those that the network declares; others are found by making it, which takes a tenth of a second.
    """
    from ...models.summary import input_shapes

    image = input_shapes(known.input)[0]
    if not known.gives:
        return made_shapes(known)
    if known.gives == "picture":
        return image, [(1, *image)]
    if known.gives == "field":
        return image, [(1, len(image) - 1, *image[1:])]
    space = image[1:] if known.gives == "map" else ()
    return image, [(1, default_outputs(known.name), *space)]


@functools.cache  # ten tasks ask for all networks
def made_shapes(known: "Entry") -> tuple[tuple[int, ...], Outputs] | None:
    """Return `default_shapes`, as the network itself shows them when it is made."""
    from ...models.summary import input_shapes
    from ...nn.init import no_weights

    shapes = input_shapes(known.input)
    if len(shapes) != 1:
        return None
    with no_weights():
        model = known.build()
    try:
        return shapes[0], output_shapes(model, shapes[0][0], shapes[0][1:])
    except (ValueError, TypeError):
        return None


def sees_volumes(model: str) -> bool:
    """Say whether a network's image has three axes of space."""
    from ...models import entry
    from ...models.summary import input_shapes

    return len(input_shapes(entry(model).input)[0]) == 4


def takes_several(model: str) -> bool:
    """Say whether a network takes several images at once."""
    from ... import models
    from ...models.summary import input_shapes

    return len(input_shapes(models.entry(model).input)) > 1


def gives_picture(name: str) -> bool:
    """Say whether a network gives a picture of its input's shape, or a field, and so has no scores of classes."""
    from ... import models

    if models.entry(name).gives == "field":
        return True

    if "num_classes" in models.entry(name).options:
        return False
    return any(outputs == [(1, *image)] for _, image, outputs in default_networks([name]))


def answers_slices(name: str) -> bool:
    """Say whether a network can answer for every slice of a volume."""
    from ... import models

    return "per_slice" in models.entry(name).options


def classifies_middle(name: str) -> bool:
    """Say whether a network classifies the middle of a patch: a picture of its own size has one row of scores."""
    return any(model == name and len(outputs[0]) == 2 for model, image, outputs in default_networks([name]))
