"""Dropout layers: active in training mode only."""

from typing import Any, ClassVar

from ..tensor import Tensor
from . import functional as F
from .module import Module


class DropoutBase(Module):
    """Drop elements, or channels, with probability p in training mode; return the input in evaluation."""

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
    """Zero elements with probability p in training, and divide the others by 1 - p.

    In evaluation mode the input is returned.

    Args:
        p: probability with which an element is dropped, from 0 to 1.  Default: 0.5.
        inplace: whether the result is written over the input.  Default: False.

    Shape:
        Input of any shape; output the same shape.

    Raises:
        ValueError: p lies outside [0, 1].

    Example:
        >>> from tinymed import nn, ones
        >>> layer = nn.Dropout(0.5)
        >>> sorted(set(layer(ones(1000)).flatten().tolist()))
        [0.0, 2.0]
        >>> layer.eval()(ones(1000)).min().item()
        1.0

    Reference:
        Srivastava et al., "Dropout: a simple way to prevent neural networks from overfitting", 2014.

    As `torch.nn.Dropout`; the random numbers are tinymed's own.
    """

    function = "dropout"


class Dropout1d(DropoutBase):
    """Zero whole channels of sequences with probability p in training, and divide the others by 1 - p.

    In evaluation mode the input is returned.

    Args:
        p: probability with which a channel is dropped, from 0 to 1.  Default: 0.5.
        inplace: whether the result is written over the input.  Default: False.

    Shape:
        Input (N, C, L) or (C, L); output the same shape.

    Raises:
        ValueError: p lies outside [0, 1].

    Example:
        >>> from tinymed import nn, ones
        >>> layer = nn.Dropout1d(0.5)
        >>> sorted(set(layer(ones(2, 4, 8)).flatten().tolist()))
        [0.0, 2.0]
        >>> layer.eval()(ones(2, 4, 8)).min().item()
        1.0

    As `torch.nn.Dropout1d`; the random numbers are tinymed's own.
    """

    function = "dropout1d"


class Dropout2d(DropoutBase):
    """Zero whole channels of images with probability p in training, and divide the others by 1 - p.

    In evaluation mode the input is returned.

    Args:
        p: probability with which a channel is dropped, from 0 to 1.  Default: 0.5.
        inplace: whether the result is written over the input.  Default: False.

    Shape:
        Input (N, C, H, W); output the same shape.

    Raises:
        ValueError: p lies outside [0, 1].

    Example:
        >>> from tinymed import nn, ones
        >>> layer = nn.Dropout2d(0.5)
        >>> sorted(set(layer(ones(2, 4, 3, 3)).flatten().tolist()))
        [0.0, 2.0]
        >>> layer.eval()(ones(2, 4, 3, 3)).min().item()
        1.0

    Reference:
        Tompson et al., "Efficient object localization using convolutional networks", 2015.

    As `torch.nn.Dropout2d`; the random numbers are tinymed's own.
    """

    function = "dropout2d"


class Dropout3d(DropoutBase):
    """Zero whole channels of volumes with probability p in training, and divide the others by 1 - p.

    In evaluation mode the input is returned.

    Args:
        p: probability with which a channel is dropped, from 0 to 1.  Default: 0.5.
        inplace: whether the result is written over the input.  Default: False.

    Shape:
        Input (N, C, D, H, W); output the same shape.

    Raises:
        ValueError: p lies outside [0, 1].

    Example:
        >>> from tinymed import nn, ones
        >>> layer = nn.Dropout3d(0.5)
        >>> sorted(set(layer(ones(2, 4, 3, 3, 3)).flatten().tolist()))
        [0.0, 2.0]
        >>> layer.eval()(ones(2, 4, 3, 3, 3)).min().item()
        1.0

    As `torch.nn.Dropout3d`; the random numbers are tinymed's own.
    """

    function = "dropout3d"


class AlphaDropout(DropoutBase):
    """Set elements to SELU's lower limit with probability p in training; mean and variance stay.

    In evaluation mode the input is returned.

    Args:
        p: probability with which an element is dropped, from 0 to 1.  Default: 0.5.
        inplace: whether the result is written over the input.  Default: False.

    Shape:
        Input of any shape; output the same shape.

    Raises:
        ValueError: p lies outside [0, 1].

    Example:
        >>> from tinymed import nn, ones
        >>> nn.AlphaDropout(0.2)(ones(2, 8)).shape
        (2, 8)

    Reference:
        Klambauer et al., "Self-normalizing neural networks", 2017, section 2.4.

    As `torch.nn.AlphaDropout`; the random numbers are tinymed's own.
    """

    function = "alpha_dropout"


class FeatureAlphaDropout(DropoutBase):
    """Set whole channels to SELU's lower limit with probability p in training; mean and variance stay.

    In evaluation mode the input is returned.

    Args:
        p: probability with which a channel is dropped, from 0 to 1.  Default: 0.5.
        inplace: whether the result is written over the input.  Default: False.

    Shape:
        Input (N, C, *space); output the same shape.

    Raises:
        ValueError: p lies outside [0, 1].

    Example:
        >>> from tinymed import nn, ones
        >>> nn.FeatureAlphaDropout(0.2)(ones(2, 4, 3, 3)).shape
        (2, 4, 3, 3)

    Reference:
        Klambauer et al., "Self-normalizing neural networks", 2017, section 2.4.

    As `torch.nn.FeatureAlphaDropout`; the random numbers are tinymed's own.
    """

    function = "feature_alpha_dropout"
