"""What a network that segments is shown about one place of an image, and how it is asked about that place.

Seen, and asked for:

    whole images            the image, resized; the score of the pixel that the place comes to
    the middle of a patch   the patch about the place, of volumes in one plane or in three
    patches                 the patch about the place, kept inside the image as in training
    slices of volumes       the same; the score of the slice that the place lies in
"""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ...data.mask_loader import fit_image
from ...data.masks import by
from ...data.patch_classification import PLANES, cut, square
from ...data.patches import Cases, output_starts, patch_index
from ...data.volumes import open_image, turned_place
from ...errors import UserError, printable
from ...explain.pictures import Surroundings
from ...explain.places import OnePlace, OnePlane
from .mask_files import read_seen
from .mask_predictor import EMPTY
from .views import Place, View, black_and_white, whole_view

FORMS = {2: "ROW,COLUMN", 3: "I,J,K"}  # of a place in a picture, and of a voxel as the file's array has it
NAMES = {(0, 1): "xy", (1, 2): "yz", (2, 0): "zx"}
Axes = tuple[int, int]


def place_views(
    config: Any, model: Any, output: Sequence[int], classes: int, files: Sequence[Path], place: Place
) -> list[View]:
    """Return what the network sees about a place: one view, of networks of three planes one for each.

    Args:
        config: Of the run.
        model: Its network.
        output: Sides of what is scored of an image that it sees; () where that is the middle alone.
        classes: How many channels of its scores are classes.
        files: Of the case, one for each modality.
        place: Index of the pixel or voxel in the file, from 0.

    Raises:
        UserError: The files cannot be read, or the place does not lie in them.
    """
    image, _ = read_seen(config, files)
    at = place_in(image, files[0], config.mask.dimensions, place)
    ask = partial(OnePlace, model, classes=classes)
    if output and config.mask.patch is None:
        return [resized_view(config.data, image, at, ask)]
    data = config.data
    cases = Cases(EMPTY, data.channels, data.mean, data.std)
    ready = cases.normal(cases.prepare(image, printable(files[0])))
    ends = black_and_white(data) if image.ndim == 3 else (ready.min(axis=(0, 1, 2)), ready.max(axis=(0, 1, 2)))
    if not output:
        return middle_views(config, model, image, ready, at, ends)
    return [patch_view(config.mask, output, image, ready, at, ends, ask)]


def place_in(image: np.ndarray, path: Path, dimensions: int, place: Place) -> Place:
    """Return a place of a file as a place of its image [*space, channels], which is turned.  Raises UserError."""
    space, name = image.shape[:-1], printable(path)
    if len(space) != dimensions:
        kinds = {2: "pictures", 3: "volumes"}
        raise UserError(f"{name}: {by(space)} pixels, and the run takes {kinds[dimensions]}")
    opened = open_image(path) if dimensions == 3 else None
    stored = space if opened is None else tuple(opened.shape[:3])
    if any(not 0 <= at < side for at, side in zip(place, stored, strict=True)):
        what = "rows and columns" if dimensions == 2 else "voxels along I, J and K"
        raise UserError(f"{name}: --at {','.join(map(str, place))} lies outside its {by(stored)} {what}, from 0")
    return place if opened is None else turned_place(opened, place)


def resized_view(data: Any, image: np.ndarray, at: Place, ask: Callable[[Sequence[int]], Any]) -> View:
    """Return the view of a picture that the network sees whole."""
    space = image.shape[:-1]
    pixels = fit_image(image, (data.size, data.size), data.channels)
    index = [place * data.size // side for place, side in zip(at, space, strict=True)]
    view = whole_view(pixels, data, lambda _: ask(index))
    view.around = Surroundings(image, np.zeros(space, bool), (at[0], at[1]))
    return view


def middle_views(
    config: Any, model: Any, image: np.ndarray, ready: np.ndarray, at: Place, ends: tuple[np.ndarray, np.ndarray]
) -> list[View]:
    """Return the views of a network that classifies the middle of a patch; ready: the image as networks take it."""
    side, volume, planes = config.data.size, image.ndim == 4, config.mask.planes
    whole = as_batch(cut(ready, at, side, planes > 1))
    views = []
    for number, axes in enumerate(PLANES[:planes]):
        asked = model
        if planes > 1:
            asked = OnePlane(model, whole, number, ready.shape[-1], f"planes.{number}.")
        shown = partial(upright, axes=axes) if volume else np.asarray
        starts = [at[axis] - (side - 1) // 2 for axis in axes]
        views.append(
            View(
                as_batch(square(ready, at, side, axes)),
                shown(square(image, at, side, axes)),
                asked,
                *ends,
                shown=shown,
                plane=NAMES[axes] if volume else "",
                around=surroundings(image, at, axes, starts, [side, side]),
            )
        )
    return views


def patch_view(
    mask: Any,
    output: Sequence[int],
    image: np.ndarray,
    ready: np.ndarray,
    at: Place,
    ends: tuple[np.ndarray, np.ndarray],
    ask: Callable[[Sequence[int]], Any],
) -> View:
    """Return the view of a network that sees patches; of a volume the plane of the patch through the place is drawn."""
    space, patch = image.shape[:-1], mask.patch
    starts = output_starts(at, output, space)
    index = patch_index(starts, patch, output, space)
    among = [place - start for place, start in zip(at, starts, strict=True)]
    corner = [start - (p - o) // 2 for start, p, o in zip(starts, patch, output, strict=True)]
    axes: Axes = (1, 2) if mask.slices else (0, 1)
    level = [place - start for place, start in zip(at, corner, strict=True)]

    def shown(a: np.ndarray) -> np.ndarray:
        return a if image.ndim == 3 else upright(plane_of(a, level, axes), axes)

    return View(
        as_batch(ready[index]),
        shown(image[index]),
        ask(among[:1] if mask.slices else among),
        *ends,
        shown=shown,
        around=surroundings(image, at, axes, [corner[a] for a in axes], [patch[a] for a in axes]),
    )


def as_batch(patch: np.ndarray) -> np.ndarray:
    """Return a patch [*space, channels] as a batch of one, [1, channels, *space]."""
    return np.ascontiguousarray(np.moveaxis(patch, -1, 0)[None])


def plane_of(a: np.ndarray, at: Sequence[int], axes: Axes) -> np.ndarray:
    """Return the plane of an array [x, y, z, ...] through a place, with these axes first."""
    (rest,) = {0, 1, 2} - set(axes)
    plane = np.take(a, at[rest], axis=rest)
    return plane if axes[0] < axes[1] else np.swapaxes(plane, 0, 1)


def upright(plane: np.ndarray, axes: Axes) -> np.ndarray:
    """Return a plane of a volume in RAS+ as pictures lie: head or front up, the patient's left on the left."""
    rows_last = axes[0] < axes[1]  # the plane zx has its rows, z, first
    return (np.swapaxes(plane, 0, 1) if rows_last else plane)[::-1]


def surroundings(image: np.ndarray, at: Place, axes: Axes, starts: Sequence[int], sides: Sequence[int]) -> Surroundings:
    """Return the image, or its plane through a place, and which part of it is seen: from `starts`, of these sides."""
    pixels = image if image.ndim == 3 else plane_of(image, at, axes)
    inside, here = np.zeros(pixels.shape[:2], bool), np.zeros(pixels.shape[:2], bool)
    inside[tuple(slice(max(start, 0), start + side) for start, side in zip(starts, sides, strict=True))] = True
    here[tuple(at[axis] for axis in axes)] = True
    if image.ndim == 4:
        pixels, inside, here = (upright(a, axes) for a in (pixels, inside, here))
    row, column = (int(i) for i in np.argwhere(here)[0])
    return Surroundings(pixels, inside, (row, column))
