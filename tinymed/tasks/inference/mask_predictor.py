"""A segmenting network with what surrounds it: an image of any size in, probabilities of that size out."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ...data.device_batches import as_tensors, device_of
from ...data.mask_loader import fit_image
from ...data.masks import MaskDataset, by
from ...data.patches import Cases
from ...data.tiles import slide
from ...data.transform import to_float
from ...errors import UserError
from ...nn import functional as F
from ...tape import no_grad
from ...tensor import Tensor
from ..base.config import DataConfig
from ..base.network import output_shapes
from ..heads.mask_head import MaskHead
from .dense_inference import patch_network

EMPTY = MaskDataset([], np.zeros(0, np.int64), ["background", "foreground"])


class MaskPredictor:
    """A network as a function of whole images.

    Whole images are resized, or patches are predicted tile by tile at the images' own resolution.  A network that
    classifies the middle of a patch is run fully convolutionally, or slid where it cannot be.

    Args:
        model: the network; it is put into evaluation mode.
        head: what its outputs mean.
        data: how images are prepared.
        patch: sides of the patches that it sees; None where it sees whole images of data.size.
        planes: planes through a voxel that it sees at once.
        overlap: share of neighbouring tiles that overlap.
        blend: how overlapping tiles are put together, gaussian or uniform.
        forward: the model, captured, where there are many images to pay for the recording.
    """

    def __init__(
        self,
        model: Any,
        head: MaskHead,
        data: DataConfig,
        *,
        patch: Sequence[int] | None = None,
        planes: int = 1,
        overlap: float = 0.5,
        blend: str = "gaussian",
        forward: Any = None,
    ):
        self.model, self.head, self.data, self.patch = model.eval(), head, data, patch
        self.overlap, self.blend = overlap, blend
        self.forward = forward or model
        self.output = head.space(output_shapes(model, data.channels * planes, patch or [data.size] * 2)[0][2:])
        self.dense = None if self.output else patch_network(model, data.size, data.channels, planes)

    def scores(self, images: np.ndarray) -> np.ndarray:
        """Return probabilities [n, classes, *space] of prepared images [n, channels, *space]."""
        with no_grad():
            return self.head.read(self.forward(as_tensors(images, device_of(self.model))))

    def __call__(self, image: np.ndarray, name: str) -> np.ndarray:
        """Return probabilities float32 [classes, *space] of a decoded image [*space, channels]."""
        return self.begin(image, name)()

    def begin(self, image: np.ndarray, name: str) -> Callable[[], np.ndarray]:
        """Return a function that reads an image's probabilities; its network is on its way where it is one picture.

        Then a GPU works on the next picture while this one's are read and measured.
        """
        data = self.data
        cases = Cases(EMPTY, data.channels, data.mean, data.std)
        if self.patch is not None or self.dense is not None:
            ready = np.ascontiguousarray(np.moveaxis(cases.normal(cases.prepare(image, name)), -1, 0))
            if self.dense is not None:
                found = np.asarray(self.head.scores(self.dense(ready)[None])[0])
            else:
                found = slide(self.scores, ready, self.patch or (), self.output, overlap=self.overlap, blend=self.blend)
            return lambda: found
        if image.ndim != 3:
            raise UserError(
                f"{name}: a volume of {by(image.shape[:-1])} voxels, where the run takes pictures; give a slice as PNG"
            )
        small = to_float(fit_image(image, (data.size, data.size), data.channels))
        prepared = np.moveaxis(cases.normal(small), -1, 0)[None]
        with no_grad():
            outputs = self.forward(as_tensors(prepared, device_of(self.model)))
        return lambda: self.of_size(self.head.read(outputs), image.shape[:2])

    def of_size(self, scores: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
        """Return the probabilities of one picture, resized to its own size."""
        if scores.shape[2:] == size:
            same: np.ndarray = scores[0]
            return same
        with no_grad():
            resized: np.ndarray = F.interpolate(Tensor(scores), size, mode="bilinear").array[0]
        return resized
