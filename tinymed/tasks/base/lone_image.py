"""The last batch of an epoch, where it would hold a single image.

Batch norm cannot take its statistics from one value, as of 1 x 1 pixels or a dense layer, and those of one image say
little.  A network with batch norm therefore trains without such a batch (the image is seen in the other epochs, where
the order is another).
"""

from collections.abc import Iterator
from itertools import islice
from typing import Any

from .task import Batches


class WithoutLast:
    """The batches of a loader but the last one of each epoch."""

    def __init__(self, loader: Batches):
        self.loader, self.dataset = loader, loader.dataset

    def __len__(self) -> int:
        """Return the batches of one epoch."""
        return len(self.loader) - 1

    def epoch(self, epoch: int = 0, start_batch: int = 0) -> Iterator[Any]:
        """Yield the batches of an epoch from number `start_batch` on."""
        batches = iter(self.loader.epoch(epoch, start_batch))
        try:
            yield from islice(batches, max(len(self) - start_batch, 0))
        finally:
            if hasattr(batches, "close"):
                batches.close()


def without_lone_image(loader: Batches, model: Any) -> tuple[Batches, str]:
    """Return (the loader without a last batch of one, a line that says so), or the loader itself and ""."""
    from ...nn import BatchNorm1d, BatchNorm2d, BatchNorm3d

    images = len(loader.dataset) * getattr(loader, "per_image", 1) if hasattr(loader.dataset, "__len__") else 0
    images = getattr(loader, "samples", images)  # a sampling shows some images more often, or not at all
    size = getattr(loader, "batch_size", 0)
    lone = size > 1 and images > size and images % size == 1 and len(loader) == images // size + 1
    if not lone or not any(isinstance(m, BatchNorm1d | BatchNorm2d | BatchNorm3d) for m in model.modules()):
        return loader, ""
    return WithoutLast(loader), (
        f"note: {images} images in batches of {size} leave one alone, of which batch norm takes no statistics: each "
        "epoch trains without its last image, another one each time"
    )
