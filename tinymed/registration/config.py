"""What decides a registration: the schema from which `tinymed register` takes its options."""

from typing import ClassVar, Literal

from pydantic import field_validator

from ..errors import UserError
from ..schema import PositiveRate, Strict, setting

Kind = Literal["rigid", "affine", "dense"]


class RegisterConfig(Strict):
    """How one image is brought onto another.

    Example:
        >>> RegisterConfig(transform="dense", smoothness=2).metric
        'ncc'
    """

    panel: ClassVar[str] = "Registration"
    transform: Kind = setting("affine", "What the moving image may do; dense follows an affine registration.")
    metric: Literal["ncc", "local-ncc", "mi", "ssd"] = setting(
        "ncc", "What is made small; mi for images of different kinds."
    )
    init: Literal["centre", "mass", "none"] = setting(
        "centre", "Begin with the images' centres, their centres of mass, or their headers' places together."
    )
    levels: int = setting(3, "Resolutions, each half of the next.", ge=1, le=8)
    steps: int = setting(100, "Most steps at each resolution, of each transform.", ge=1, le=100_000)
    lr: PositiveRate = setting(0.01, "Learning rate of a rigid or affine transform, in radians and radii of the image.")
    field_lr: PositiveRate = setting(0.2, "Learning rate of a dense one, in pixels of the resolution.")
    smoothness: float = setting(
        1.0, "Weight of the displacement field's mean squared derivative.", ge=0, allow_inf_nan=False
    )
    window: int = setting(9, "Side of the window of local-ncc, in pixels, odd.", ge=3, le=101)
    bins: int = setting(32, "Bins of mi.", ge=4, le=512)
    backend: str | None = setting(None, "numba, loops, numpy, cuda, cupy or emulated (numba).")

    @field_validator("window")
    @classmethod
    def check_window(cls, value: int) -> int:
        if value % 2 == 0:
            raise UserError(f"--window {value}: its middle must be a pixel; give an odd number such as {value + 1}")
        return value
