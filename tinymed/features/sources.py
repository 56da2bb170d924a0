"""Rows of a set of images from several sources side by side: descriptors, and layers of trained runs.

    hog                        a descriptor
    runs/dcnn-001              a run: what the last linear layer of its network is given
    runs/dcnn-001:classifier.0      a run at a layer
    runs/a:features+hog+lbp    several, joined by +

A network sees images as its run prepared them; descriptors see them at the size and channels that are asked for.
Visual words are learnt before, on a training part: `Sources.learn`.
"""

import hashlib
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from ..data.dataset import Dataset
from ..data.loader import Loader
from ..errors import UserError
from ..tasks.base.picture import picture_loader
from ..tasks.inference.embedding import Layer, embed_layers, last_features, unit_rows
from ..train.checkpoint import BEST, NEWEST
from ..train.run import Run
from .registry import available, check_side, describe, learners, to_be_learnt

Spatial = Literal["mean", "max", "flatten"]
JOIN, AT = "+", ":"
BATCH = 64


class Piece(NamedTuple):
    """One source: a descriptor, or a run with a layer (None: the default)."""

    name: str
    run: Path | None = None
    layer: str | None = None


def read_piece(text: str) -> Piece:
    """Return the source that a text names.  Raises UserError."""
    if text in described():
        return Piece(text)
    folder, at, layer = text.rpartition(AT)
    if at and not Path(text).is_dir() and Path(folder).is_dir():
        return Piece(text, Path(folder), layer)
    if Path(text).is_dir():
        return Piece(text, Path(text))
    raise UserError(
        f"features {text!r}: neither a descriptor ({', '.join(described())}) nor the folder of a run, which may be "
        "followed by :LAYER"
    )


def described() -> list[str]:
    """Return the names of all descriptors, sorted, those that are learnt first among them."""
    return sorted([*available(), *to_be_learnt()])


class Sources:
    """Sources that are read once and give rows of any set of images.

    Args:
        texts: Each names one source, or several joined by +.
        spatial: Of layers that give maps: "mean" or "max" over places, or "flatten".
        unit_length: Divide each source's rows by their Euclidean length before they are joined, so that sources of
            many columns do not drown others.

    Raises:
        UserError: A source does not exist, or a run's network has no such layer.

    Example:
        >>> images = Dataset(np.zeros((3, 32, 32, 1), np.uint8), [0, 1, 1], ["a", "b"])
        >>> Sources(["histogram+lbp"]).rows(images, 32, 1, workers=0).shape
        (3, 480)
    """

    def __init__(self, texts: Sequence[str], spatial: Spatial = "mean", unit_length: bool = False):
        names = [name.strip() for text in texts for name in text.split(JOIN)]
        if not names or not all(names):
            raise UserError("features: name at least one source, and one on each side of every +")
        if spatial not in ("mean", "max", "flatten"):
            raise UserError(f"features: spatial is mean, max or flatten, got {spatial!r}")
        if twice := next((name for name in names if names.count(name) > 1), None):
            raise UserError(f"features: {twice} is named twice")
        self.pieces = [read_piece(name) for name in names]
        self.spatial, self.unit_length = spatial, unit_length
        self.runs = {piece.run: Run.open(piece.run) for piece in self.pieces if piece.run}
        self.models: dict[Path, Any] = {}
        self.learnt: dict[str, Any] = {}

    @property
    def learns(self) -> list[str]:
        """Return which of the sources are learnt from images before they give rows."""
        return [piece.name for piece in self.pieces if piece.run is None and piece.name in learners]

    def learn(self, dataset: Dataset, size: int, channels: int, seed: int = 0, workers: int = 2) -> "Sources":
        """Learn what is to be learnt from the images of a training part; return itself.

        Args:
            dataset: The images; their labels are not looked at.
            size, channels: As of `rows`.
            seed: Of what is drawn.
            workers: Threads that decode.

        Raises:
            UserError: Images are too small.
        """
        for name in self.learns:
            check_side(learners[name], (size, size))
            self.learnt[name] = learners[name].make(seed=seed).learn(dataset, size, channels, workers)
        return self

    def __str__(self) -> str:
        return JOIN.join(piece.name for piece in self.pieces)

    def identity(self) -> dict[str, Any]:
        """Return what decides the rows of an image, for JSON: the sources, and digests of the runs' weights."""
        digests = {str(folder): weights_digest(run) for folder, run in self.runs.items()}
        return {"sources": str(self), "weights": digests, "spatial": self.spatial, "unit_length": self.unit_length}

    def rows(self, dataset: Dataset, size: int, channels: int, workers: int = 2) -> np.ndarray:
        """Return a row for each image of a set, in its order.

        Args:
            dataset: The images.
            size: Side in pixels at which descriptors see them.
            channels: 1 or 3, likewise.
            workers: Threads that decode.

        Returns:
            float32 [n, d], the sources' columns in the order in which they were named.

        Raises:
            UserError: An image is unreadable or too small for a descriptor, a run does not take such images, or
                `learn` was not called where something is to be learnt.
        """
        if missing := [name for name in self.learns if name not in self.learnt]:
            raise UserError(f"{', '.join(missing)}: learnt on a training part first; call Sources.learn(dataset, ...)")
        found: dict[Piece, np.ndarray] = self.descriptor_rows(dataset, size, channels, workers)
        for folder in self.runs:
            found |= self.layer_rows(folder, dataset)
        columns = [found[piece] for piece in self.pieces]
        return np.concatenate([unit_rows(c) for c in columns] if self.unit_length else columns, axis=1)

    def descriptor_rows(self, dataset: Dataset, size: int, channels: int, workers: int) -> dict[Piece, np.ndarray]:
        """Return the rows of each descriptor, in one pass over the images."""
        wanted = [piece for piece in self.pieces if piece.run is None]
        parts: dict[Piece, list[np.ndarray]] = {piece: [] for piece in wanted}
        if wanted:
            for images, _, _ in Loader(dataset, BATCH, size, channels, workers=workers):
                for piece, rows in parts.items():
                    by = self.learnt.get(piece.name, partial(describe, piece.name))
                    rows.append(by(images.transpose(0, 2, 3, 1)).astype(np.float32))
        return {piece: np.concatenate(rows) for piece, rows in parts.items()}

    def layer_rows(self, folder: Path, dataset: Dataset) -> dict[Piece, np.ndarray]:
        """Return the rows of each layer of a run, in one pass over the images."""
        run = self.runs[folder]
        if len(run.task.sees(run.config)) != 3:
            raise UserError(f"{folder}: its network sees volumes, not pictures; choose a run on pictures")
        if folder not in self.models:
            self.models[folder] = run.load_model()
        model = self.models[folder]
        layers = {
            piece: last_features(model) if piece.layer is None else Layer(piece.layer)
            for piece in self.pieces
            if piece.run == folder
        }
        found = embed_layers(
            model, picture_loader(dataset, run.config), list(dict.fromkeys(layers.values())), spatial=self.spatial
        )
        return {piece: found[str(layer)] for piece, layer in layers.items()}


def weights_digest(run: Run) -> str:
    """Return the SHA-256 of the weights that a run keeps, or of its last ones."""
    kept = run.checkpoints / (BEST if run.config.keep == "best" else NEWEST)
    if not kept.exists():
        raise UserError(f"{run.folder}: has no weights yet; train it first")
    return hashlib.sha256(kept.read_bytes()).hexdigest()


def extract(
    sources: str | Sequence[str],
    dataset: Dataset,
    size: int = 64,
    channels: int = 1,
    *,
    spatial: Spatial = "mean",
    unit_length: bool = False,
    workers: int = 2,
) -> np.ndarray:
    """Return a row of numbers for each image of a set: `Sources(...).rows(...)` in one call.

    Args:
        sources: One text or several, see the module.
        dataset: The images.
        size: Side in pixels at which descriptors see them.
        channels: 1 or 3, likewise.
        spatial: See `Sources`.
        unit_length: See `Sources`.
        workers: Threads that decode.

    Returns:
        float32 [n, d].

    Raises:
        UserError: As `Sources`.

    Example:
        >>> images = Dataset(np.zeros((2, 32, 32, 3), np.uint8), [0, 1], ["a", "b"])
        >>> extract("pixels", images, size=16, channels=3, workers=0).shape
        (2, 768)
    """
    names = [sources] if isinstance(sources, str) else sources
    found = Sources(names, spatial, unit_length)
    if found.learns:
        raise UserError(f"{', '.join(found.learns)}: learnt on a training part first; use Sources(...).learn(...).rows")
    return found.rows(dataset, size, channels, workers)
