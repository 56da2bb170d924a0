"""Hand-made descriptors by name.  Each file of this room registers its own; no other list names them."""

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..errors import UserError

LUMA = (0.299, 0.587, 0.114)


class Learnt(NamedTuple):
    """What the registry knows of a descriptor that is learnt from images first.

    Attributes:
        name: What it is called.
        make: Of a seed, an object with `learn(dataset, size, channels, workers)`, which then gives rows of images.
        source: The publication.
        side: Least side of an image, in pixels.
    """

    name: str
    make: Callable[..., Any]
    source: str
    side: int


class Descriptor(NamedTuple):
    """What the registry knows of a descriptor.

    Attributes:
        name: What `describe` calls it.
        function: Images float64 [n, height, width, channels] in 0...1 to rows float64 [n, d].
        source: The publication.
        side: Least side of an image, in pixels.
    """

    name: str
    function: Callable[[np.ndarray], np.ndarray]
    source: str
    side: int


registry: dict[str, Descriptor] = {}
learners: dict[str, Learnt] = {}
Function = Callable[..., np.ndarray]


def descriptor(name: str, source: str, side: int = 1) -> Callable[[Function], Function]:
    """Register a function of images as a descriptor, so that `describe(name, images)` finds it.

    Args:
        name: What it is called.
        source: The publication.
        side: Least side of an image, in pixels.

    Returns:
        A decorator that gives back the function, which takes images alone or has defaults for the rest.

    Raises:
        ValueError: The name belongs to a descriptor of another module.

    Example:
        >>> @descriptor("brightness_example", "this docstring")
        ... def brightness(images):
        ...     return images.mean(axis=(1, 2))
        >>> describe("brightness_example", np.ones((2, 4, 4, 1))).tolist()
        [[1.0], [1.0]]
        >>> del registry["brightness_example"]
    """

    def add(function: Function) -> Function:
        if name in registry and registry[name].function.__module__ != function.__module__:
            raise ValueError(f"features: the name {name!r} is taken by {registry[name].function.__module__}")
        registry[name] = Descriptor(name, function, source, side)
        return function

    return add


def learnt(name: str, source: str, side: int = 1) -> Callable[[type], type]:
    """Register a class as a descriptor that is learnt from a training part before it describes images.

    Args:
        name: What it is called.
        source: The publication.
        side: Least side of an image, in pixels.

    Returns:
        A decorator that gives back the class; see `Learnt.make`.
    """

    def add(made: type) -> type:
        learners[name] = Learnt(name, made, source, side)
        return made

    return add


def to_be_learnt() -> list[str]:
    """Return the names of the descriptors that are learnt from images first, sorted.

    Example:
        >>> to_be_learnt()
        ['words']
    """
    available()
    return sorted(learners)


def available() -> list[str]:
    """Return the names of the descriptors that need nothing but an image, sorted.

    Returns:
        Names that `describe` takes.

    Example:
        >>> available()
        ['gist', 'glcm', 'histogram', 'hog', 'lbp', 'pixels']
    """
    for path in sorted(Path(__file__).parent.glob("[!_]*.py")):
        import_module(f"{__package__}.{path.stem}")
    return sorted(registry)


def describe(name: str, images: np.ndarray) -> np.ndarray:
    """Compute a descriptor of each image.

    Args:
        name: One of `available()`.
        images: Float [n, height, width, channels] in 0...1, with 1 or 3 channels.

    Returns:
        float64 [n, d].

    Raises:
        UserError: The name is unknown, or images are too small for it.
        ValueError: These are not images.

    Example:
        >>> describe("histogram", np.zeros((2, 16, 16, 1))).shape
        (2, 32)
    """
    known = available()
    if name in learners:
        raise UserError(f"descriptor {name!r} is learnt on a training part first; see `Sources.learn`")
    if name not in registry:
        raise UserError(f"descriptor {name!r} is unknown; choose one of {', '.join(known)}")
    pixels = np.asarray(images, np.float64)
    if pixels.ndim != 4 or pixels.shape[-1] not in (1, 3):
        raise ValueError(f"describe: needs images [n, height, width, 1 or 3], got shape {pixels.shape}")
    check_side(registry[name], pixels.shape[1:3])
    return registry[name].function(pixels)


def check_side(found: Descriptor | Learnt, sides: tuple[int, ...]) -> None:
    """Raise UserError where images are too small for a descriptor."""
    if min(sides) < found.side:
        raise UserError(
            f"{found.name}: needs images of at least {found.side} pixels a side, got {sides[0]} x {sides[1]}"
        )


def grey(images: np.ndarray) -> np.ndarray:
    """Return images as one channel, float64 [n, height, width]: the luma of colours."""
    one: np.ndarray = images[..., 0] if images.shape[-1] == 1 else images @ np.array(LUMA)
    return one


def cells(size: tuple[int, int], grid: int) -> np.ndarray:
    """Return for each pixel the number of its cell of a grid over the image, int64 [height, width]."""
    rows, columns = (np.arange(side) * grid // side for side in size)
    numbers: np.ndarray = rows[:, None] * grid + columns[None]
    return numbers
