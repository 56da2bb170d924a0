"""Networks that answer for every place of an image, as networks with one row of outputs: what a mask or a box rests on.

    output k = mean over the places where class k is the answer of the network's score of class k

Where class k is the answer nowhere, all places count.  The places are those of the image as it is, whatever a method
does to it, so that the same question is asked of every covered or faded image.
"""

from typing import Any

import numpy as np

from ..data.device_batches import as_array, as_tensors, device_of
from ..errors import UserError
from ..nn.module import Module
from ..tape import no_grad
from ..tensor import Tensor
from .layers import evaluating


class Places:
    """A network of masks or boxes with one row of outputs, in all else the network itself.

    Args:
        model: The network; of several outputs the first is taken.
        image: [1, channels, *space], as the network sees it, whose answer says where each class is.
        first: Number of the channel of the first class that has an output; those before it are a background.
        classes: How many have one; None: all that follow.

    Raises:
        UserError: The network gives no scores in space.

    Example:
        >>> from tinymed.models import create
        >>> image = np.ones((1, 1, 64, 64), np.float32)
        >>> asked = Places(create("unet_small", num_classes=3), image, first=1)
        >>> asked(image).shape
        (1, 2)

    Reference:
        Vinogradova, Dibrov & Myers, "Towards interpretable semantic segmentation via gradient-weighted class activation
        mapping", 2020.
    """

    in_space = True  # see `choose_layer`

    def __init__(self, model: Module, image: np.ndarray, first: int = 0, classes: int | None = None):
        self.model, self.first = model, first
        with evaluating(model), no_grad():
            scores = as_array(self.maps(as_tensors(np.asarray(image, np.float32), device_of(model))))[0]
        if scores.ndim < 2 or len(scores) <= first:
            raise UserError("only scores for places of an image have places to be explained")
        last = len(scores) if classes is None else first + classes
        answer = scores.argmax(axis=0) if len(scores) > 1 else np.where(scores[0] > 0, 0, -1)
        where = np.stack([answer == k for k in range(first, last)])
        where[~where.reshape(len(where), -1).any(axis=1)] = True
        share = where / where.reshape(len(where), -1).sum(axis=1).reshape(-1, *[1] * answer.ndim)
        self.share, self.last = as_tensors(share[None].astype(np.float32), device_of(model)), last

    def maps(self, images: Any) -> Any:
        """Return the network's scores [n, channels, *space]."""
        outputs = self.model(images)
        return outputs[0] if isinstance(outputs, tuple | list) else outputs

    def __call__(self, images: Any) -> Tensor:
        """Return [n, classes]."""
        scores = self.maps(images if isinstance(images, Tensor) else as_tensors(images, device_of(self.model)))
        counted = scores[:, self.first : self.last] * self.share
        found: Tensor = counted.sum(tuple(range(2, counted.ndim)))
        return found

    def __getattr__(self, name: str) -> Any:
        """Return what the network has: its modules, parameters, mode."""
        return getattr(self.__dict__["model"], name)
