"""Features of pictures that are compared as sets: of a trained classifier, or of a network with drawn weights."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from ... import devices, models, random
from ...data.dataset import Dataset
from ...data.loader import Loader
from ...errors import UserError
from ...weights.reading import read_arrays
from ..base.config import parse_config, read_run_config
from ..base.picture import picture_loader
from ..classification import TASK as CLASSIFIER
from .embedding import embed

UNTRAINED = "lenet5_modern"
BATCH = 64
LEAST = 16  # pixels a side that the untrained network sees
PREFIX = "model."  # of the network's weights in a checkpoint


class PictureFeatures:
    """Rows of numbers of pictures: what goes into the last linear layer of a classifier.

    Args:
        run: Folder of a trained classifier, which sees the pictures as it saw its own; None: a small network whose
            weights are drawn by seed 0, which knows nothing of them.

    Raises:
        UserError: The folder is no run of a classifier, or its weights are missing.
    """

    def __init__(self, run: str | None):
        self.config: Any = None
        self.model: Any = None
        if run is not None:
            self.config, self.model = load_classifier(Path(run))

    def __call__(self, pictures: np.ndarray) -> np.ndarray:
        """Return the features float32 [n, d] of pictures [n, channels, size, size] from 0 to 1, as 8-bit images."""
        images = np.rint(255 * pictures).astype(np.uint8).transpose(0, 2, 3, 1)
        dataset = Dataset(images, np.zeros(len(images), np.int64), ["picture"])
        if self.config is not None:
            return embed(self.model, picture_loader(dataset, self.config))
        enlarged = images.repeat(-(-LEAST // images.shape[1]), 1).repeat(-(-LEAST // images.shape[2]), 2)
        dataset = Dataset(enlarged, dataset.labels, dataset.classes)
        channels, size = pictures.shape[1], enlarged.shape[1]
        if self.model is None:
            with own_draws():
                random.manual_seed(0)
                self.model = models.create(UNTRAINED, in_channels=channels, size=size).to(devices.default())
        return embed(self.model, Loader(dataset, BATCH, size, channels, workers=0))


@contextmanager
def own_draws() -> Iterator[None]:
    """Let a network be made in the middle of a training without moving what the training draws."""
    generators = random.default_generator, random.init_generator
    states = [g.get_state() for g in generators]
    try:
        yield
    finally:
        for generator, state in zip(generators, states, strict=True):
            generator.set_state(state)


def load_classifier(folder: Path) -> tuple[Any, Any]:
    """Return (configuration, network) of a classifier's run.  Raises UserError naming the file."""
    path = folder / "config.json"
    content = read_run_config(path)
    if content.get("task", CLASSIFIER.name) != CLASSIFIER.name:
        raise UserError(f"--features {folder}: is a run of {content['task']}; give one of a classifier")
    config = parse_config(CLASSIFIER.Config, content, path)
    found = folder / "checkpoints" / f"{config.keep}.safetensors"
    if not found.is_file():
        raise UserError(f"--features {folder}: has no weights yet; train it first")
    with own_draws():
        model = CLASSIFIER.make_model(config)
    arrays = read_arrays(found)
    weights = {name.removeprefix(PREFIX): a for name, a in arrays.items() if name.startswith(PREFIX)}
    try:
        model.load_state_dict(weights)
    except (ValueError, KeyError) as error:
        raise UserError(f"--features {found}: holds other weights than its network has: {error}") from None
    return config, model
