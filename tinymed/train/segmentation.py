"""Segmentation runs: from pairs of images and masks to a trained network, its measures and its masks.

A network sees whole pictures resized to one size, or patches at the images' own resolution (always of volumes); images
are then predicted tile by tile, see `data/tiles.py`.  Either way the scores are brought back to the image's own size
before a pixel is given its class, and that is what is measured.
"""

import contextlib
import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np

from ..data.augment import Augment
from ..data.labels import Labels
from ..data.mask_loader import MaskLoader, fitted
from ..data.mask_trees import open_segmentation
from ..data.masks import MaskDataset, read_case
from ..data.patches import Cases, PatchLoader
from ..data.splits import leak_check, split_dataset
from ..data.tiles import slide
from ..data.transform import to_float
from ..data.volumes import is_volume, read_volume, volume_bytes
from ..data.voxels import VoxelLoader
from ..data.weight_map import BorderWeights
from ..errors import UserError
from ..nn import functional as F
from ..program import capture
from ..tape import no_grad
from ..tensor import Tensor
from .build import assemble, fingerprint, make_model
from .config import AugmentConfig, RunConfig
from .everywhere import patch_network
from .feed import as_array, as_tensors, device_of
from .files import write_atomic
from .mask_head import MaskHead
from .mask_measures import Row, averages, measure_case, summarise
from .run import Run
from .trainer import Callback, Trainer, forward_pass

Sets = dict[str, MaskDataset]
MANY = 20  # images, from which on recording the network's program costs less than it saves


def open_pairs(config: RunConfig) -> Sets:
    """The pairs as {"train": ..., "val": ..., perhaps "test": ...}; what the data do not divide is cut by patient, or
    else at random.  Raises UserError."""
    data, values = config.data, dict(config.mask.values) or None
    if data.path is None:
        raise UserError("segmentation needs --data: a folder with images and masks")
    sets = open_segmentation(data.path, values=values, ignore=config.mask.ignore, leaks=data.leaks)
    shares = {"train": 1 - data.val_fraction, "val": data.val_fraction}
    whole = "train"
    if "all" in sets:
        shares["train"], shares["test"], whole = shares["train"] - data.test_fraction, data.test_fraction, "all"
    elif "train" not in sets:
        raise UserError(f"{data.path}: has {', '.join(sets)} but no train images to learn from")
    elif "val" in sets:
        return sets
    if shares["train"] <= 0:
        raise UserError(
            f"parts of {data.val_fraction} for val and {data.test_fraction} for test leave nothing to train on"
        )
    rule = "grouped" if sets[whole].groups is not None and data.split == "auto" else data.split
    wanted = {k: v for k, v in shares.items() if v > 0}
    cut = cast(Sets, split_dataset(sets[whole], wanted, config.seed, "stratified" if rule == "auto" else rule))
    leak_check(cut, rule=data.leaks)
    return cut | {name: part for name, part in sets.items() if name != whole}


def mask_fingerprint(sets: Sets, root: str | None) -> str:
    """SHA-256, in hex, of every image's name and of the content of every mask."""
    sha = hashlib.sha256(fingerprint(dict(sets), root).encode())
    for part in sets.values():
        for path in part.masks:
            sha.update(hashlib.sha256(path.read_bytes()).digest())
    return sha.hexdigest()


def output_space(model: Any, channels: int, patch: Sequence[int]) -> tuple[int, ...]:
    """The space of the scores of a patch, from its shape alone; () of a network that classifies a patch as a whole.

    Raises UserError where the network does not take it.
    """
    from ..models.shapes import blank, shapes_only

    mode, place = model.training, device_of(model)
    try:
        with no_grad(), shapes_only() if place == "cpu" else contextlib.nullcontext():
            found = model.eval()(as_tensors(blank((1, channels, *patch)), place))
    except ValueError as error:
        raise UserError(f"--patch or --size {', '.join(map(str, patch))}: {error}") from None
    finally:
        model.train(mode)
    if len(found.shape) not in (2, 2 + len(patch)):
        raise UserError(
            f"{type(model).__name__} gives {list(found.shape)} for images of {list(patch)}: it is no network for "
            "segmentation; see `tinymed models`"
        )
    return tuple(found.shape[2:])


class Predictor:
    """A network with what surrounds it: an image of any size in, scores of that size out.

    A network that classifies the middle of a patch is run fully convolutionally, or slid where it cannot be.  forward:
    the model, captured, where there are many images to pay for the recording.
    """

    def __init__(self, model: Any, head: MaskHead, config: RunConfig, forward: Any = None):
        self.model, self.head, self.config, self.patch = model.eval(), head, config, config.mask.patch
        self.forward = forward or forward_pass(model)
        size, channels = config.data.size, config.data.channels
        space = self.patch or [size, size]
        self.output = output_space(model, channels * config.mask.planes, space)
        self.everywhere = None if self.output else patch_network(model, size, channels, config.mask.planes)
        if self.patch is None and self.output not in ((), tuple(space)):
            raise UserError(
                f"{config.model} gives scores of {self.output} for {tuple(space)} pixels, so it cannot see whole "
                "images; let it see patches with --patch"
            )

    def scores(self, images: np.ndarray) -> np.ndarray:
        """Probabilities [n, classes, *space] of prepared images [n, channels, *space]."""
        with no_grad():
            outputs = self.forward(as_tensors(images, device_of(self.model)))
            return self.head.scores(as_array(outputs[0] if isinstance(outputs, tuple) else outputs))

    def __call__(self, image: np.ndarray, name: str) -> np.ndarray:
        """Probabilities float32 [classes, *space] of a decoded image [*space, channels]."""
        config, mask = self.config, self.config.mask
        cases = Cases(EMPTY, config.data.channels, config.data.mean, config.data.std)
        if self.patch is not None or self.everywhere is not None:
            ready = np.ascontiguousarray(np.moveaxis(cases.normal(cases.prepare(image, name)), -1, 0))
            if self.everywhere is not None:
                outputs = self.everywhere(ready)[None]
                return np.asarray(self.head.scores(outputs)[0])
            return slide(self.scores, ready, self.patch or (), self.output, overlap=mask.overlap, blend=mask.blend)
        small = to_float(fitted(image, (config.data.size, config.data.size), config.data.channels))
        scores = self.scores(np.moveaxis(cases.normal(small), -1, 0)[None])
        with no_grad():
            same = scores.shape[2:] == image.shape[:2]
            found: Any = scores if same else F.interpolate(Tensor(scores), image.shape[:2], mode="bilinear").array
        result: np.ndarray = found[0]
        return result


EMPTY = MaskDataset([], np.zeros(0, np.int64), ["background", "foreground"])


class SegmentationRun(Run):
    """A run whose task is segmentation."""

    @property
    def meaning(self) -> Labels:
        """What the values in the masks mean."""
        return Labels(dict(self.config.mask.values), self.config.mask.ignore)

    def open_data(self) -> Any:
        return open_pairs(self.config)

    def fingerprint(self, sets: Any) -> str:
        return mask_fingerprint(sets, self.config.data.path)

    def head(self, class_weights: bool = True) -> MaskHead:
        """Loss and scores; with a map of border weights the class weights are in the map."""
        c = self.config
        weights = c.class_weights if class_weights and not c.mask.border_weight else None
        return MaskHead(len(c.data.classes), c.mask.loss, weights, c.head == "sigmoid", c.mask.auxiliary)

    def training_loader(self, dataset: MaskDataset, model: Any) -> MaskLoader | PatchLoader | VoxelLoader:
        """Shuffled and augmented batches."""
        c, m = self.config, self.config.mask
        augment = Augment(**c.augment.model_dump()) if c.augment != AugmentConfig() else None
        borders = None
        if m.border_weight:
            cell = None if m.border_class is None else c.data.classes.index(m.border_class)
            borders = BorderWeights(m.border_weight, m.border_sigma, cell, c.class_weights)
        cases = Cases(dataset, c.data.channels, c.data.mean, c.data.std)
        if not output_space(model, c.data.channels * m.planes, m.patch or [c.data.size] * 2):
            return VoxelLoader(
                cases,
                c.batch,
                c.data.size,
                triplanar=m.planes > 1,
                per_image=m.per_image,
                foreground=m.foreground,
                augment=augment,
                seed=c.seed,
                workers=c.workers,
            )
        if m.patch is None:
            return MaskLoader(
                dataset,
                c.batch,
                c.data.size,
                c.data.channels,
                shuffle=True,
                augment=augment,
                borders=borders,
                seed=c.seed,
                workers=c.workers,
                mean=c.data.mean,
                std=c.data.std,
            )
        return PatchLoader(
            cases,
            c.batch,
            m.patch,
            output_space(model, c.data.channels, m.patch),
            per_image=m.per_image,
            foreground=m.foreground,
            augment=augment,
            borders=borders,
            seed=c.seed,
            workers=c.workers,
        )

    def make_trainer(self, sets: Any, callbacks: list[Callback]) -> Trainer:
        model, head = make_model(self.config), self.head()
        Predictor(model, head, self.config)  # refuses a size that the network does not take
        train = self.training_loader(sets["train"], model)
        return assemble(
            self.config,
            model,
            head,
            train,
            None,
            callbacks,
            measure=lambda trainer: self.validate(trainer, sets["val"]),
        )

    # ------------------------------------------------------------------------------------------ measuring

    def validate(self, trainer: Trainer, dataset: MaskDataset) -> dict[str, Any]:
        """Loss, pixel accuracy, and Dice averaged over images and classes but the background."""
        rows = []
        for row in self.cases(trainer.model, dataset, forward=trainer.forward):
            if trainer.stop:
                return {}
            rows.append(row)
        return averages(rows)

    def cases(self, model: Any, dataset: MaskDataset, distances: bool = False, forward: Any = None) -> Iterator[Row]:
        """The measures of each case; distances: those of surfaces too, in millimetres, or pixels of a picture."""
        head = self.head(class_weights=False)
        predict = Predictor(model, head, self.config, forward)
        for index in range(len(dataset)):
            image, mask = dataset.pair(index)
            scores = predict(image, dataset.name(index))
            with no_grad():
                loss = head(Tensor(head.logits(scores[None])), Tensor(mask[None].astype(np.int64))).item()
            found = scores.argmax(axis=0).astype(np.uint8)
            spacing = dataset.spacing(index) if distances else None
            yield measure_case(dataset.name(index), loss, mask, found, head.classes, spacing)

    def measure(self, model: Any, dataset: Any) -> tuple[dict[str, Any], Any]:
        """(averages over cases with intervals, the cases' rows) of a model on a whole set."""
        forward = capture(forward_pass(model), fallback=True) if len(dataset) >= MANY else None
        rows = list(self.cases(model, dataset, distances=True, forward=forward))
        return summarise(rows, self.config.data.classes, self.config.seed), rows

    # ----------------------------------------------------------------------------------------- predicting

    def images(self, path: str | None = None, split: str | None = None, skip_bad: bool = False) -> Any:
        """One set of pairs to measure the run on: of a path, or of the run's own data.  See `Run.images`."""
        if path is None:
            sets: Any = self.splits()
            where, default = self.config.data.path, "test"
        else:
            meaning = self.meaning
            sets = open_segmentation(path, values=meaning.values, ignore=meaning.ignore, leaks="ignore")
            where, default = path, "all" if "all" in sets else "test"
        name = split or (default if default in sets else "val")
        if name not in sets:
            raise UserError(f"{where}: has no part {name!r}; choose --split {' or '.join(sets)}")
        return sets[name]

    def segment(self, predict: Predictor, files: Sequence[Path]) -> tuple[np.ndarray, np.ndarray]:
        """(the image [*space, channels], class numbers uint8 [*space]) of the image files of a case."""
        image = read_case(list(files))
        return image, predict(image, str(files[0])).argmax(axis=0).astype(np.uint8)

    def write_mask(self, path: Path, found: np.ndarray, image: Path) -> Path:
        """Write class numbers as the masks have them: PNG, or NIfTI with the affine and spacing of its image.

        path: without a suffix.  Returns the file, which is whole or not there.
        """
        values = self.meaning.written(found)
        if is_volume(image):
            compressed = image.name.lower().endswith(".gz")
            file = path.with_name(path.name + (".nii.gz" if compressed else ".nii"))
            write_atomic(file, [volume_bytes(values, read_volume(image), compressed)])
            return file
        file = path.with_name(path.name + ".png")
        write_atomic(file, [png(values)])
        return file


def png(values: np.ndarray) -> bytes:
    """An 8-bit grey PNG, or a 16-bit one where a value is above 255."""
    import io

    from PIL import Image

    if values.min(initial=0) < 0:
        raise UserError("a PNG holds no negative label values; name others with --labels")
    buffer = io.BytesIO()
    Image.fromarray(values if values.dtype == np.uint8 else values.astype(np.uint16)).save(buffer, "PNG")
    return buffer.getvalue()
