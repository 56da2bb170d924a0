r"""CNN + VGG-16: the transfer network of Senthil Kumar, Khan & Jayachandran 2022, used there for breast cancer.

The paper gives no wiring.  Ours: VGG-16's thirteen convolutions (14,714,688 parameters), then the dense layers of the
paper's own network (256, 128, 64, dropout, one sigmoid a class).  The names of `features` are VGG-16's, so its weights
load by name.  Recipe: the base frozen while the head learns, then its last stage freed at a tenth of the rate:

    tinymed train vgg16 --data A                        or weights from elsewhere, as safetensors
    tinymed train dcnn_vgg16 --data B --init RUN-OF-VGG --freeze features
    tinymed train dcnn_vgg16 --data B --init RUN-BEFORE --lr-for features=1e-4 \
        --freeze "features.?" --freeze "features.1?" --freeze "features.2[0-3]"
"""

from collections.abc import Sequence

from .. import nn
from ..errors import UserError
from .dcnn import DenseTailed, dense_tail, glorot
from .registry import register
from .sizes import scale_channels
from .vgg import WIDTHS, he_normal, vgg_features


class DCNNVGG16(DenseTailed):
    """VGG-16's convolutions with the dense layers of the paper's own network, for transfer.

    Args:
        num_classes: Number of classes, hence of outputs per image.
        in_channels: Channels of the image, such as 1 (grey) or 3 (RGB).
        size: Side of the image in pixels, at least 32.
        width: Multiplier of the base's channels.
        dropout: Probability before the outputs, in a sequence of one.
        head: "sigmoid" (independent probabilities) or "softmax", used by `predict`.
        dense_activation: Name of the dense layers' activation.

    Shape:
        Images (N, in_channels, size, size) to logits (N, num_classes).

    Raises:
        UserError: The image is too small, or an option is unknown.

    Example:
        >>> DCNNVGG16(size=32, width=1 / 32)(tinymed.zeros(1, 3, 32, 32)).shape
        (1, 2)

    Reference:
        Senthil Kumar, Khan & Jayachandran 2022; the wiring is ours.
    """

    def __init__(
        self,
        num_classes: int = 2,
        in_channels: int = 3,
        size: int = 224,
        width: float = 1.0,
        dropout: Sequence[float] = (0.5,),
        head: str = "sigmoid",
        dense_activation: str = "relu",
    ):
        super().__init__("dcnn_vgg16", (in_channels, size, size), head)
        if size < 32:
            raise UserError(f"dcnn_vgg16: an image of side {size} is too small for five poolings; the smallest is 32")
        self.features = nn.Sequential(*vgg_features(16, in_channels, width), nn.Flatten())
        self.features.apply(he_normal)
        units = scale_channels(WIDTHS[-1], width) * (size // 32) ** 2
        self.classifier = dense_tail(units, num_classes, dropout[0], dense_activation)
        self.classifier.apply(glorot)


register(
    "dcnn_vgg16",
    "Senthil Kumar, Khan & Jayachandran 2022, VGG-16 and the dense layers of theirs",
    (3, 224, 224),
    "scores",
)(DCNNVGG16)
