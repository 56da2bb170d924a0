"""Filters from k-means, and recursive networks that merge a map to one vector (Gao, Lin & Wong, 2015).

Not recurrent but recursive: a tree.  A convolution's filters are the centres of patches of training images; then each
of many trees takes 3 x 3 neighbouring vectors of the map to one, p = tanh(W stack), with the same random W at
every level, until one vector is left.  The trees' vectors together are the features, for support vector regression.

    filters    128 of 9x9, |.|, mean-pool 10 every 5                  148 -> 27
    64 trees   27 -> 9 -> 3 -> 1 vectors of 128, W random and fixed   8,192 features

The tree and its sizes are those of Socher et al. 2012, whose recursive part the paper takes.
`tinymed.unsupervised.kmeans.fit_filters` replaces the random filters that a new network has; without a regression the
network ends in a linear layer.
"""

import math
from typing import Any

from .. import nn
from ..errors import UserError
from ..nn import functional as F
from ..nn.init import uniform_
from ..tensor import Tensor
from .registry import register

FILTER, POOL, STRIDE, MERGED = 9, 10, 5, 3


class CNNRecursive(nn.Module):
    """One convolution, and random trees that merge its map to features.

    Args:
        num_classes: Number of classes, hence of outputs.
        in_channels: Channels of the images.
        size: Side of the images in pixels; the map it leaves must be a power of 3.
        filters: Filters of the convolution, and numbers of a vector.
        trees: Recursive networks, each with a W of its own.

    Shape:
        Images (N, in_channels, size, size) to (N, num_classes).

    Raises:
        UserError: The size leaves a map whose side is no power of 3.

    Example:
        >>> CNNRecursive(in_channels=1, size=58, filters=4, trees=2)(tinymed.zeros(1, 1, 58, 58)).shape
        (1, 2)

    Reference:
        Gao, Lin & Wong, "Automatic feature learning to grade nuclear cataracts based on deep learning", 2015.
        Socher et al., "Convolutional-recursive deep learning for 3D object classification", 2012.
    """

    def __init__(
        self,
        num_classes: int = 2,
        in_channels: int = 3,
        size: int = 148,
        filters: int = 128,
        trees: int = 64,
    ):
        super().__init__()
        side = (size - FILTER + 1 - POOL) // STRIDE + 1
        self.levels = round(math.log(side, MERGED)) if side > 1 else 0
        if side < MERGED or MERGED**self.levels != side:
            raise UserError(
                f"cnn_recursive: {size} pixels leave a map of side {side}, which is to be a power of {MERGED}; "
                "take 28, 58 or 148"
            )
        self.input_shape, self.filters, self.trees = (in_channels, size, size), filters, trees
        self.conv = nn.Conv2d(in_channels, filters, FILTER)
        fan = MERGED**2 * filters
        merge = nn.Conv2d(filters, trees * filters, MERGED, stride=MERGED, bias=False)
        uniform_(merge.weight, -math.sqrt(3 / fan), math.sqrt(3 / fan))
        self.register_buffer("merge", merge.weight.detach())
        self.classifier = nn.Linear(trees * filters, num_classes)

    def features(self, input: Tensor) -> Any:
        """Return the trees' vectors, (N, trees * filters)."""
        x = F.avg_pool2d(F.abs(self.conv(input)), POOL, STRIDE)
        for level in range(self.levels):
            groups = self.trees if level else 1  # from the second level on each tree has vectors of its own
            x = F.tanh(F.conv2d(x, self.merge, None, stride=MERGED, groups=groups))
        return F.flatten(x, 1)

    def forward(self, input: Tensor) -> Any:
        """Compute the output; the class names the shapes."""
        return self.classifier(self.features(input))


register("cnn_recursive", "Gao, Lin & Wong 2015", (3, 148, 148), "scores")(CNNRecursive)
