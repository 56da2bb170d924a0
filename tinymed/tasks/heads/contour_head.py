"""What the outputs of a network with a head for objects and one for contours mean (DCAN, Chen et al. 2016).

loss      L(objects) + L(contours), and auxiliary times the same of each further map, each against its own target
target    contours: pixels within a radius of a border between two classes
fusion    an object's pixel where p_object >= 1/2 and p_contour < 1/2: argmax of (1 - q, q), q = min(p_o, 1 - p_c)
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ... import nn
from ...data.contours import contours
from ...data.device_batches import as_array
from ...errors import UserError
from ...tensor import Tensor
from .mask_head import MaskHead


class ContourHead(MaskHead):
    """Loss and scores of (N, classes + 2, *space), objects and then contours, against class numbers (N, *space).

    Further outputs of the same form are auxiliary maps.  radius: of the contours, in pixels.  The other arguments are
    MaskHead's; both heads have the same kind of loss, and class weights are of the objects.
    """

    def __init__(
        self,
        classes: int,
        loss: str = "cross_entropy",
        class_weights: Sequence[float] | None = None,
        sigmoid: bool = False,
        auxiliary: float = 0.0,
        radius: int = 2,
        background: bool = False,
    ):
        if classes != 2 or sigmoid:
            raise UserError(
                f"a contour head tells objects of one class from the background, there are {classes} classes; name two "
                "with --labels, and leave --head out"
            )
        super().__init__(classes, loss, class_weights, sigmoid, auxiliary, background)
        self.radius = radius
        self.outline = MaskHead(2, loss, background=background)

    def targets(self, labels: Any) -> Any:
        """Return (class numbers, contours), int64 [n, *space] each."""
        return labels, np.stack([contours(numbers, self.radius) for numbers in labels])

    def __call__(self, outputs: Any, targets: Any) -> Tensor:
        """Return the loss, a scalar tensor; of fused scores, which have no contours, that of the objects alone."""
        scores, *more = outputs if isinstance(outputs, tuple | list) else (outputs,)
        if scores.shape[1] == self.classes:
            return super().__call__(scores, targets)
        total: Any = self.both(scores, targets)
        for auxiliary in more:
            total = total + self.both(auxiliary, targets) * self.auxiliary
        result: Tensor = total
        return result

    def both(self, scores: Any, targets: Any) -> Any:
        """Return the loss of one map of objects and contours, against the targets of each."""
        numbers, lines = targets
        return super().__call__(scores[:, : self.classes], numbers) + self.outline(scores[:, self.classes :], lines)

    def read(self, outputs: Any) -> np.ndarray:
        """Return fused probabilities float32 [n, 2, *space] of what the network gave."""
        scores = outputs[0] if isinstance(outputs, tuple | list) else outputs
        parts = scores[:, : self.classes], scores[:, self.classes :]
        objects, lines = (nn.functional.softmax(part, 1) for part in parts)
        inside = np.minimum(as_array(objects)[:, 1], as_array(lines)[:, 0])
        return np.stack([1 - inside, inside], axis=1)

    def unweighted(self) -> "ContourHead":
        """Return the same without class weights, for validation."""
        return ContourHead(self.classes, self.loss, None, self.sigmoid, self.auxiliary, self.radius, self.background)
