"""One switch for arithmetic that trades accuracy for speed: `exact`, `tf32` (the default), or `bf16`.

`tf32` allows Winograd F(4x4) for convolutions on the CPU and tensor cores in tf32 on the GPU, as PyTorch does for
convolutions.  `exact` allows neither: every product is a float32 product.

`bf16` is mixed precision: products take numbers of bfloat16, sum in float32 and give bfloat16.  The table below says of
each op what it does, on every device; what it does not name computes in float32 on what it is given.
"""

import os
import threading

from .errors import one_line_for_commands

CHOICES = ("exact", "tf32", "bf16")
FLOAT32 = CHOICES[:2]  # those in which every result is of float32
SIXTEEN = {"float16", "fp16", "f16", "half", "16"}

# Mixed precision, by the names of the ops.  An array "of bfloat16" lies in float32 and holds numbers of bfloat16.
PRODUCTS = frozenset(["Conv", "ConvTranspose", "Linear", "MatMul"])  # take and give bfloat16, sum in float32
# Compute in float32 and give bfloat16 where the first input, or each that does not learn, is of bfloat16.
ROUNDED_AS_FIRST = frozenset(
    [
        "AdaptiveAvgPool",
        "AlphaDropout",
        "AvgPool",
        "BatchNorm",
        "Dropout",
        "DropoutChannels",
        "ELU",
        "GELU",
        "GELUTanh",
        "GroupNorm",
        "Hardsigmoid",
        "Hardswish",
        "LayerNorm",
        "LeakyReLU",
        "LocalResponseNorm",
        "Mish",
        "PReLU",
        "RReLU",
        "SiLU",
        "Softshrink",
        "Softsign",
        "Softtanh",
        "Tanh",
        "UpsampleLinear",
    ]
)
ROUNDED_AS_ALL = frozenset(["Add", "Mul", "Sub"])
# Choose or move numbers: what they give is of bfloat16 as it is.  The second ones add up gradients, which are rounded.
MOVED = frozenset(
    [
        "Cat",
        "Clone",
        "Diagonal",
        "Flip",
        "Hardtanh",
        "Maximum",
        "Minimum",
        "Neg",
        "PadBorder",
        "PadConstant",
        "Permute",
        "ReLU",
        "Reshape",
        "Roll",
        "Split",
        "Threshold",
    ]
)
MOVED_AND_ADDED = frozenset(
    ["AdaptiveMaxPool", "Expand", "GetItem", "MaxPool", "MaxUnpool", "Repeat", "UpsampleNearest", "Windows"]
)


def checked(name: str) -> str:
    """Return the name of a precision; raise ValueError for any other."""
    if name.lower() in SIXTEEN:
        raise ValueError(
            f"precision {name!r} is refused: float16 is for storage, and training in it would need a loss scaler; "
            "bf16 has float32's range and needs none (TINYMED_PRECISION or use_precision)"
        )
    if name not in CHOICES:
        raise ValueError(
            f"precision {name!r} is unknown; choose one of {', '.join(CHOICES)} (TINYMED_PRECISION or use_precision)"
        )
    return name


with one_line_for_commands():
    INITIAL = checked(os.environ.get("TINYMED_PRECISION") or "tf32")
default = INITIAL  # of threads that have chosen none


class Chosen(threading.local):
    """The precision that a thread has chosen, if it has."""

    name: str | None = None


chosen = Chosen()


def default_name() -> str:
    """Return the precision of a run that names none, whatever was chosen since: TINYMED_PRECISION, or tf32."""
    return INITIAL


def in_use() -> str:
    """Return the precision of this thread."""
    return chosen.name or default


class use_precision:
    """Choose the precision of products: from the call on, or for the block of a `with`.

    A block is its thread's alone; from the call on means this thread, and all that choose none.

    As `torch.set_float32_matmul_precision`, of convolutions too.

    Args:
        name: "exact", "tf32" or "bf16".

    Raises:
        ValueError: The name is unknown.

    Example:
        >>> with use_precision("exact") as name:
        ...     name
        'exact'
    """

    def __init__(self, name: str):
        global default
        self.before, self.default = chosen.name, default
        chosen.name = default = checked(name)

    def __enter__(self) -> str:
        global default
        default = self.default
        return in_use()

    def __exit__(self, *_: object) -> None:
        chosen.name = self.before
