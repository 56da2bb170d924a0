"""Registration: finding the map that brings one image onto another.

    fixed, moving = read_image("fixed.nii.gz"), read_image("moving.nii.gz")
    found = register(fixed, moving, RegisterConfig(transform="dense"))
    found.transform.base.world(), found.moved, found.folded

What is named here is imported when it is first used, so that the command line can read the schema alone.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .config import RegisterConfig
    from .optimise import Registration, register
    from .similarity import local_ncc_loss, mutual_information_loss, ncc_loss, ssd_loss
    from .spaces import Image, Space, read_image
    from .transforms import Affine, Dense, Rigid, jacobian_determinant, roughness, warp

FILES = ("config", "optimise", "similarity", "spaces", "transforms")
__all__ = [
    "Affine",
    "Dense",
    "Image",
    "RegisterConfig",
    "Registration",
    "Rigid",
    "Space",
    "jacobian_determinant",
    "local_ncc_loss",
    "mutual_information_loss",
    "ncc_loss",
    "read_image",
    "register",
    "roughness",
    "ssd_loss",
    "warp",
]


def __getattr__(name: str) -> Any:
    if name in __all__:
        for file in FILES:
            module = import_module(f"{__name__}.{file}")
            if hasattr(module, name):
                return getattr(module, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
