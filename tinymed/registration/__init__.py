"""Registration: finding the map that brings one image onto another.

fixed, moving = read_image("fixed.nii.gz"), read_image("moving.nii.gz")
found = register(fixed, moving, RegisterConfig(transform="dense"))
found.transform.base.world(), found.moved, found.folded
"""

from .config import RegisterConfig
from .optimise import Registration, register
from .similarity import local_ncc_loss, mutual_information_loss, ncc_loss, ssd_loss
from .spaces import Image, Space, read_image
from .transforms import Affine, Dense, Rigid, jacobian_determinant, roughness, warp

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
