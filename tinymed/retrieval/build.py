"""From a trained run to an index, and from a picture to its embedding."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..data.dataset import Dataset
from ..data.decoded import pixel_hash
from ..data.dicom.privacy import is_hidden
from ..data.image import prepare
from ..data.loader import Loader
from ..data.transform import normalise, to_float, to_nchw
from ..errors import UserError
from ..report.paths import below
from ..tasks.base.network import output_shapes
from ..tasks.inference.embedding import Layer, as_rows, embed, find_layer, last_features, layer_outputs, unit_rows
from ..tasks.inference.views import read_file
from .index import Entry, Index, model_digest

SPATIAL = ("mean", "max", "flatten")
Arrays = tuple[np.ndarray, str]  # the pixels of a query, and their hash


def check_run(run: Any, model: Any) -> None:
    """Raise UserError unless a run's network gives one row for each picture."""
    sees = run.task.sees(run.config)
    if len(sees) != 3:
        raise UserError(f"{run.folder}: its network sees volumes, and an index is of pictures; give a run on pictures")
    outputs = output_shapes(model, sees[0], sees[1:])
    if len(outputs) != 1 or len(outputs[0]) != 2:
        raise UserError(
            f"{run.folder}: a run of {run.task.name} gives no row for each picture; an index takes one that does, such "
            "as of classification or retrieval"
        )


def choose_layer(run: Any, model: Any, name: str | None) -> Layer:
    """Return the layer of the embedding: the one named, else the output where that is one, else the last features."""
    if name is not None:
        layer = Layer(name)
        find_layer(model, layer)
        return layer
    return Layer("") if run.task.embeds else last_features(model)


def build_index(
    run: Any, model: Any, sets: Sequence[Dataset], *, layer: Layer, spatial: str, weights: str, root: str | None
) -> Index:
    """Return the index of the pictures of some sets.

    Args:
        run: The trained run.
        model: Its network.
        sets: Parts of a data set, one after the other.
        layer: Where the embedding is taken.
        spatial: What becomes of maps, see `embed`.
        weights: Which weights of the run these are.
        root: Folder of the data, below which names are written.

    Raises:
        UserError: The layer gives no embedding.
    """
    data, rows, entries = run.config.data, [], []
    for part in sets:
        loader = Loader(
            part,
            run.config.batch,
            data.size,
            data.channels,
            workers=run.config.workers,
            mean=data.mean,
            std=data.std,
            cache_bytes=0,
        )
        rows.append(embed(model, loader, layer, normalise=True, spatial=spatial))
        entries += [entry(part, i, root) for i in range(len(part))]
    base = Path(root or ".")
    about = {
        "run": str(run.folder.absolute()),
        "weights": weights,
        "model": model_digest(model),
        "layer": layer.name,
        "before": layer.before,
        "spatial": spatial,
        "root": str(base if base.is_dir() else base.parent),
    }
    return Index(np.concatenate(rows), entries, about)


def entry(part: Dataset, index: int, root: str | None) -> Entry:
    """Return what is known of a picture of a set."""
    sample = part.samples[index]
    name = part.name(index) if isinstance(sample, np.ndarray) or is_hidden(sample) else str(sample)
    key = part.hashes[index] if part.hashes is not None and not part.is_pending else pixel_hash(part.image(index))
    label = part.label_text(index) if part.tells_classes and len(part.classes) > 1 else ""
    patient = "" if part.groups is None else str(part.groups[index])
    return Entry(below(name, root), label, patient, part.split, key.hex())


def read_query(path: Path, data: Any) -> Arrays:
    """Return the pixels of a picture and their hash.  Raises UserError for one that cannot be read."""
    pixels = read_file(path, data)
    return pixels, pixel_hash(pixels).hex()


def embed_query(model: Any, pixels: np.ndarray, data: Any, about: dict[str, Any]) -> np.ndarray:
    """Return the embedding [d] of decoded pixels, as the index was made."""
    picture = to_float(prepare(pixels, data.size, data.channels))[None]
    if data.mean is not None or data.std is not None:
        picture = normalise(picture, data.mean or 0.0, data.std or 1.0)
    layer = Layer(str(about["layer"]), bool(about["before"]))
    found = layer_outputs(model, to_nchw(picture), [layer])[str(layer)]
    row: np.ndarray = unit_rows(as_rows(found, str(layer), 1, str(about["spatial"])))[0]
    return row
