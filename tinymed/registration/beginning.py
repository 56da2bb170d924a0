"""Where a network that registers begins: a shift, or an affine map that is searched quickly for each pair."""

from dataclasses import dataclass

from ..dispatch import use_backend
from ..grad_mode import enable_grad
from .config import RegisterConfig
from .optimise import descend, first_offset, loss_of, tensor_of
from .spaces import Image
from .transforms import Affine, Rigid

SIDE = 32  # pixels of the longest side at which an affine map is searched, at most; before it at half of that
STEPS = 30  # at each of the two resolutions


@dataclass(frozen=True)
class Beginning:
    """What lies together before a field is predicted.

    Args:
        init: "centre", "mass" or "none", as of `register`.
        align: "affine" to search an affine map behind that shift, at two coarse resolutions; "none": the shift alone.
        metric: What that search makes small.
        window: Side of the window of local-ncc, in pixels.

    Example:
        >>> import numpy as np
        >>> from pathlib import Path
        >>> from tinymed.registration.spaces import Space
        >>> y, x = np.mgrid[:32, :32]
        >>> blob = lambda wide: np.exp(-((y - 16) ** 2) / 40 - (x - 16) ** 2 / wide).astype(np.float32)
        >>> images = [Image(b[..., None], b, Space(b.shape, np.eye(3)), None, Path()) for b in (blob(40), blob(90))]
        >>> bool(Beginning(align="affine")(*images).world()[1, 1] > 1.2)  # columns are stretched
        True
    """

    init: str = "centre"
    align: str = "none"
    metric: str = "ncc"
    window: int = 9

    def __call__(self, fixed: Image, moving: Image) -> Rigid:
        """Return the map from the fixed image to the moving one, the same whatever the backend in use."""
        with use_backend("numpy"):
            offset = first_offset(fixed, moving, self.init)
            if self.align == "none":
                return Rigid(fixed.space, moving.space, offset)
            config = RegisterConfig.model_validate({"metric": self.metric, "window": self.window, "steps": STEPS})
            pair, result = [tensor_of(image) for image in (fixed, moving)], Affine(fixed.space, moving.space, offset)
            with enable_grad():
                for factor in coarse_factors(max(fixed.space.size)):
                    descend(result, "affine", loss_of(config), pair, factor, config)
            return result


def coarse_factors(side: int) -> list[int]:
    """Return by how much the two resolutions are coarser than an image of this side, the coarsest first.

    Example:
        >>> coarse_factors(51), coarse_factors(20)
        ([4, 2], [2, 1])
    """
    factor = 1
    while side > SIDE * factor:
        factor *= 2
    return [2 * factor, factor]
