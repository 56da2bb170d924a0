"""Detection runs: a network slides over an image and scores, at every pixel, which object has its middle there.

Any network for segmentation serves: it gives one score for the background and one a class (a softmax), and the
logarithm of the box's width and height, over those of its class's usual box.  Peaks of the scores become boxes, and
non-maximum suppression keeps the best of those that overlap (`detect.py`).
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np

from ..data.augment import Augment
from ..data.box_loader import BoxLoader
from ..data.boxes import BoxDataset, open_boxes
from ..data.image import decode, prepare
from ..data.splits import leak_check, split_dataset
from ..data.transform import normalise, to_float, to_nchw
from ..errors import UserError
from ..nn import functional as F
from ..tape import no_grad
from ..tensor import Tensor
from .build import assemble, fingerprint, make_model
from .config import AugmentConfig, RunConfig
from .detect import Detections, detect
from .detection_metrics import evaluate_detections
from .feed import Constant, as_array, as_tensors, device_of, feed
from .mask_head import MaskHead
from .run import Run
from .segmentation import output_space
from .trainer import Callback, Trainer

Sets = dict[str, BoxDataset]
LIMIT = 3.0  # a box is at most e^3 times its class's usual box
PRIOR = 4.0  # as if one pixel in 50 were an object's


def open_detection(config: RunConfig) -> Sets:
    """The images with boxes, divided; what the data do not divide is cut by patient, or else at random."""
    data = config.data
    if data.path is None:
        raise UserError("detection needs --data: a folder with boxes.csv")
    sets = open_boxes(data.path, classes=data.classes or None, leaks=data.leaks)
    if "train" in sets and "val" in sets:
        return sets
    whole = "train" if "train" in sets else "all"
    if whole not in sets:
        raise UserError(f"{data.path}: has {', '.join(sets)} but no train images to learn from")
    shares = {"val": data.val_fraction} | ({"test": data.test_fraction} if whole == "all" else {})
    shares = {"train": 1 - sum(shares.values())} | {name: share for name, share in shares.items() if share > 0}
    cut = cast(Sets, split_dataset(sets[whole], shares, config.seed, data.split))
    leak_check(cut, rule=data.leaks)
    return cut | {name: part for name, part in sets.items() if name != whole}


class BoxHead:
    """Loss, scores and accuracy of outputs (N, 1 + classes + 2, H, W) against maps of classes and sizes.

    loss = cross-entropy of the classes at every pixel + 1 - Dice of the discs + size_weight * mean |log size - truth|
    on the discs.  Dice makes rare, small objects count as much as frequent ones.  PRIOR is added to the background's
    score, so that training does not begin by unlearning objects everywhere (Lin et al., ICCV 2017, section 4.1).
    """

    def __init__(self, classes: int, size_weight: float = 0.2, class_weights: Sequence[float] | None = None):
        self.classes, self.size_weight = classes, size_weight
        self.map = MaskHead(classes + 1, "dice_cross_entropy", class_weights)
        self.outputs = classes + 3
        self.prior = np.array([PRIOR, *[0.0] * classes], np.float32).reshape(1, -1, 1, 1)
        self.shift = Constant(self.prior)

    def targets(self, labels: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(class numbers, log sizes, weights of the sizes that add up to 1) of a loader's maps."""
        classes, sizes = labels
        known = np.isfinite(sizes)
        share = known / max(int(known.sum()), 1)
        return classes, np.where(known, sizes, 0).astype(np.float32), share.astype(np.float32)

    def __call__(self, outputs: Any, targets: Any) -> Tensor:
        """The loss, a scalar tensor."""
        main = outputs[0] if isinstance(outputs, tuple | list) else outputs
        classes, sizes, share = targets
        loss = self.map(F.narrow(main, 1, 0, self.classes + 1) + self.shift.beside(main), classes)
        wrong = F.abs(F.narrow(main, 1, self.classes + 1, 2) - sizes)
        total: Tensor = loss + self.size_weight * F.sum(wrong * share)
        return total

    def scores(self, outputs: np.ndarray) -> np.ndarray:
        """[n, classes + 2, h, w]: the probability of each class, then width and height over the usual ones."""
        maps = Tensor(outputs[:, : self.classes + 1])
        found = F.softmax(maps + self.shift.beside(maps), 1).array[:, 1:]
        return np.concatenate([found, np.exp(np.clip(outputs[:, self.classes + 1 :], -LIMIT, LIMIT))], axis=1)

    def correct(self, outputs: Any, labels: Any) -> float:
        """The share of pixels whose class is found, summed over the images of a batch."""
        main = outputs[0] if isinstance(outputs, tuple | list) else outputs
        found = as_array((main.array[:, : self.classes + 1] + self.shift.beside(main).array).argmax(axis=1))
        return float((found == labels[0]).mean(axis=(1, 2)).sum())

    def unweighted(self) -> "BoxHead":
        """The same without class weights, for validation."""
        return BoxHead(self.classes, self.size_weight)


class DetectionRun(Run):
    """A run whose task is detection."""

    def open_data(self) -> Any:
        return open_detection(self.config)

    def fingerprint(self, sets: Any) -> str:
        import hashlib

        sha = hashlib.sha256(fingerprint(sets, self.config.data.path).encode())
        for part in sets.values():
            for boxes, kinds in zip(part.boxes, part.kinds, strict=True):
                sha.update(boxes.astype("<f8").tobytes() + kinds.astype("<i8").tobytes())
        return sha.hexdigest()

    def head(self, class_weights: bool = True) -> BoxHead:
        """Loss and scores."""
        c = self.config
        return BoxHead(len(c.data.classes), c.boxes.size_weight, c.class_weights if class_weights else None)

    def loader(self, dataset: BoxDataset, training: bool = False) -> BoxLoader:
        """Batches; shuffled and augmented for training."""
        c = self.config
        augment = Augment(**c.augment.model_dump()) if training and c.augment != AugmentConfig() else None
        return BoxLoader(
            dataset,
            c.batch,
            c.data.size,
            c.data.channels,
            radius=c.boxes.radius,
            reference=c.boxes.reference,
            shuffle=training,
            augment=augment,
            seed=c.seed,
            workers=c.workers,
            mean=c.data.mean,
            std=c.data.std,
        )

    def make_trainer(self, sets: Any, callbacks: list[Callback]) -> Trainer:
        model, side = make_model(self.config), self.config.data.size
        if output_space(model, self.config.data.channels, [side, side]) != (side, side):
            raise UserError(
                f"{self.config.model} gives no score for every pixel of {side} x {side}; use a network for "
                "segmentation that pads, such as unet_bn"
            )
        train = self.loader(sets["train"], training=True)
        return assemble(
            self.config,
            model,
            self.head(),
            train,
            None,
            callbacks,
            measure=lambda trainer: self.validate(trainer, sets["val"]),
        )

    def validate(self, trainer: Trainer, dataset: BoxDataset) -> dict[str, Any]:
        """Loss, accuracy of the pixels and mean average precision."""
        head, total, right = self.head(class_weights=False), 0.0, 0.0
        trainer.model.eval()
        found: list[Detections] = []
        batches, place = self.loader(dataset).epoch(), device_of(trainer.model)
        for images, targets, labels, indices in feed(batches, head.targets, place):
            with no_grad():
                outputs = trainer.forward(images)
                total += head(outputs, targets).item() * len(indices)
            right += head.correct(outputs, labels)
            sizes = [dataset.image(int(i)).shape for i in indices]
            found += [
                self.boxes(score, shape) for score, shape in zip(head.scores(as_array(outputs)), sizes, strict=True)
            ]
            if trainer.stop:
                return {}
        result = evaluate_detections(found, dataset.boxes, dataset.kinds, dataset.classes, resamples=0)
        return {"loss": total / len(dataset), "accuracy": right / len(dataset), "ap": result["ap"]}

    def boxes(self, scores: np.ndarray, shape: Sequence[int]) -> Detections:
        """Boxes in pixels of an image of this shape (height, width, ...) from its maps of scores."""
        c = self.config.boxes
        side, kinds = scores.shape[1], len(self.config.data.classes)
        sizes = scores[None, kinds:] * (np.array(c.reference) * side)[:, :, None, None]
        found = detect(scores[:kinds], sizes, c.smooth, c.least, c.suppress)
        stretch = np.array([shape[1], shape[0]] * 2) / side
        return found._replace(boxes=np.clip(found.boxes * stretch, 0, np.array([shape[1], shape[0]] * 2)))

    def find(self, model: Any, image: np.ndarray) -> Detections:
        """The boxes of a decoded image [height, width, channels]."""
        data = self.config.data
        small = to_float(prepare(image, data.size, data.channels))[None]
        if data.mean is not None or data.std is not None:
            small = normalise(small, data.mean or 0.0, data.std or 1.0)
        with no_grad():
            outputs = model.eval()(as_tensors(to_nchw(small), device_of(model)))
        return self.boxes(self.head().scores(as_array(outputs))[0], image.shape)

    def measure(self, model: Any, dataset: Any) -> tuple[dict[str, Any], Any]:
        """(average precisions with intervals, the boxes found in each image) of a model on a whole set."""
        found = [self.find(model, dataset.image(index)) for index in range(len(dataset))]
        return evaluate_detections(found, dataset.boxes, dataset.kinds, dataset.classes, self.config.seed), found

    def images(self, path: str | None = None, split: str | None = None, skip_bad: bool = False) -> Any:
        """One set of images with boxes to measure the run on.  See `Run.images`."""
        sets: Any = (
            self.splits() if path is None else open_boxes(path, classes=self.config.data.classes, leaks="ignore")
        )
        name = split or next(n for n in ("all", "test", "val", *sets) if n in sets)
        if name not in sets:
            raise UserError(
                f"{path or self.config.data.path}: has no part {name!r}; choose --split {' or '.join(sets)}"
            )
        return sets[name]

    def predict(self, model: Any, images: Sequence[str | Path]) -> Any:
        """(pixels, boxes) of each image file."""
        pixels = [decode(path) for path in images]
        return [(image, self.find(model, image)) for image in pixels]
