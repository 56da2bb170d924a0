"""Networks that answer for every place of an image, as networks with one row of outputs: what a mask or a box rests on.

    Places      output k = mean over the places where class k is the answer of the network's score of class k
    OnePlace    output k = the network's score of class k at one place

Where class k is the answer nowhere, all places count.  The places are those of the image as it is, whatever a method
does to it, so that the same question is asked of every covered or faded image.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..data.device_batches import as_array, as_tensors, device_of
from ..errors import UserError
from ..nn.functional import cat
from ..nn.module import Module
from ..tape import no_grad
from ..tensor import Tensor
from .layers import evaluating


class Asked:
    """A network that is asked a question of its own, in all else the network itself.

    Args:
        model: The network; of several outputs the first is taken.
    """

    in_space = False  # whether it answers for places, see `choose_layer`
    within = ""  # what the names of the layers begin with that may be chosen

    def __init__(self, model: Module):
        self.model = model

    def maps(self, images: Any) -> Any:
        """Return the network's scores [n, channels, *space]."""
        outputs = self.model(images if isinstance(images, Tensor) else as_tensors(images, device_of(self.model)))
        return outputs[0] if isinstance(outputs, tuple | list) else outputs

    def __getattr__(self, name: str) -> Any:
        """Return what the network has: its modules, parameters, mode."""
        return getattr(self.__dict__["model"], name)


class Places(Asked):
    """A network of masks or boxes with one row of outputs: the mean score of each class where it is the answer.

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

    in_space = True

    def __init__(self, model: Module, image: np.ndarray, first: int = 0, classes: int | None = None):
        super().__init__(model)
        self.first = first
        with evaluating(model), no_grad():
            scores = as_array(self.maps(as_tensors(np.asarray(image, np.float32), device_of(model))))[0]
        if scores.ndim < 2 or len(scores) <= first:
            raise UserError("only scores for places of an image have places to be explained")
        last = len(scores) if classes is None else first + classes
        scores = scores[:last]  # channels behind say something else, such as where contours are
        answer = scores.argmax(axis=0) if len(scores) > 1 else np.where(scores[0] > 0, 0, -1)
        where = np.stack([answer == k for k in range(first, last)])
        where[~where.reshape(len(where), -1).any(axis=1)] = True
        share = where / where.reshape(len(where), -1).sum(axis=1).reshape(-1, *[1] * answer.ndim)
        self.share, self.last = as_tensors(share[None].astype(np.float32), device_of(model)), last

    def __call__(self, images: Any) -> Tensor:
        """Return [n, classes]."""
        scores = self.maps(images)
        counted = scores[:, self.first : self.last] * self.share
        found: Tensor = counted.sum(tuple(range(2, counted.ndim)))
        return found


class OnePlace(Asked):
    """A network of masks with one row of outputs: its scores at one place.

    Args:
        model: The network.
        index: Of the place among the scores of an image, one number for each axis.
        classes: How many channels of the scores are classes; None: all.

    Raises:
        UserError: When called: the network gives no scores in space.

    Example:
        >>> from tinymed.models import create
        >>> asked = OnePlace(create("unet_small", num_classes=3), (20, 31))
        >>> asked(np.ones((1, 1, 64, 64), np.float32)).shape
        (1, 3)
    """

    in_space = True

    def __init__(self, model: Module, index: Sequence[int], classes: int | None = None):
        super().__init__(model)
        self.index, self.classes = index, classes

    def __call__(self, images: Any) -> Tensor:
        """Return [n, classes]."""
        scores = self.maps(images)
        if scores.ndim < 3:
            raise UserError("only scores for places of an image have places to be explained")
        found: Tensor = scores[(slice(None), slice(0, self.classes), *self.index)]
        return found


class OnePlane(Asked):
    """A network of several planes through a voxel, asked about one of them: the others stay as they are.

    Args:
        model: The network; it sees the planes as channels, one plane after the other.
        image: [1, planes * channels, *space], as the network sees it.
        plane: Which of them, from 0.
        channels: Of each plane.
        within: What the names of the layers begin with that see this plane alone.

    Example:
        >>> from tinymed.models import create
        >>> image = np.ones((1, 3, 28, 28), np.float32)
        >>> OnePlane(create("triplanar", width=1 / 8), image, 1, 1, "planes.1.")(image[:, 1:2]).shape
        (1, 2)
    """

    def __init__(self, model: Module, image: np.ndarray, plane: int, channels: int, within: str):
        super().__init__(model)
        first = plane * channels
        self.before, self.after, self.within = image[:, :first], image[:, first + channels :], within

    def __call__(self, images: Any) -> Tensor:
        """Return [n, classes] of images of one plane [n, channels, *space]."""
        place = device_of(self.model)
        seen = images if isinstance(images, Tensor) else as_tensors(images, place)
        others = (np.repeat(part, seen.shape[0], axis=0).astype(seen.dtype) for part in (self.before, self.after))
        before, after = (as_tensors(part, place) for part in others)
        found: Tensor = self.maps(cat([part for part in (before, seen, after) if part.shape[1]], 1))
        return found
