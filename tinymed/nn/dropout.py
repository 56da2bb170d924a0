"""Dropout layers: active in training mode only."""

from typing import Any, ClassVar

from ..tensor import Tensor
from . import functional as F
from .module import Module


class DropoutBase(Module):
    """p is the probability with which an element, or a channel, is dropped."""

    function: ClassVar[str]

    def __init__(self, p: float = 0.5, inplace: bool = False):
        super().__init__()
        if not 0 <= p <= 1:
            raise ValueError(f"{type(self).__name__}: p is a probability from 0 to 1, got {p}")
        self.p, self.inplace = p, inplace

    def forward(self, input: Tensor) -> Any:
        return getattr(F, self.function)(input, self.p, True, self.inplace) if self.training else input

    def extra_repr(self) -> str:
        return f"p={self.p}, inplace={self.inplace}"


class Dropout(DropoutBase):
    """Elements are zeroed with probability p, the rest divided by 1 - p.  Srivastava et al. 2014."""

    function = "dropout"


class Dropout1d(DropoutBase):
    """Whole channels of (N, C, L) are zeroed."""

    function = "dropout1d"


class Dropout2d(DropoutBase):
    """Whole channels of (N, C, H, W) are zeroed.  Tompson et al. 2015."""

    function = "dropout2d"


class Dropout3d(DropoutBase):
    """Whole channels of (N, C, D, H, W) are zeroed."""

    function = "dropout3d"


class AlphaDropout(DropoutBase):
    """Dropout that keeps the mean and variance SELU maintains.  Klambauer et al. 2017, section 2.4."""

    function = "alpha_dropout"


class FeatureAlphaDropout(DropoutBase):
    """AlphaDropout of whole channels of (N, C, ...)."""

    function = "feature_alpha_dropout"
