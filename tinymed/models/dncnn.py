"""DnCNN (Zhang, Zuo, Chen, Meng & Zhang, IEEE TIP 26(7), 2017): a picture less the noise that a network finds in it.

    conv 3x3, ReLU                        from the picture to `base` channels
    conv 3x3, batch norm, ReLU            depth - 2 times
    conv 3x3                              back to the picture's channels: the noise

The output is the input less the noise: what is learnt is the residual.  Everything is padded, so that pictures of any
size pass.  Grey, with 64 channels and 17 layers: 640 + 15 (36,864 + 128) + 577 = 556,097 learned values.  The last
convolution begins at 0, so that training begins with the noisy picture itself; that is our choice.
"""

from .. import nn
from ..errors import UserError
from ..nn import init
from ..tensor import Tensor
from .registry import register
from .vgg import he_normal


class DnCNN(nn.Module):
    """DnCNN: convolutions that find the noise of a picture, which is taken off it.

    Args:
        in_channels: Channels of the picture, 1 (grey) or 3 (RGB).
        base: Channels between the first and the last convolution.
        depth: Number of convolutions, at least 3; 17 in the paper for one level of noise.
        bn_momentum: Share of the new batch in batch norm's running statistics.
        statistics: Which running variance batch norm keeps, see `nn.BatchNorm2d`.

    Shape:
        Pictures (N, in_channels, H, W) to the same.

    Raises:
        UserError: depth is below 3, or base below 1.

    Example:
        >>> DnCNN(base=8, depth=5)(tinymed.zeros(2, 1, 20, 30)).shape
        (2, 1, 20, 30)

    Reference:
        Zhang, Zuo, Chen, Meng & Zhang, IEEE TIP 26(7), 2017.
    """

    def __init__(
        self,
        in_channels: int = 1,
        base: int = 64,
        depth: int = 17,
        bn_momentum: float = nn.TORCH["momentum"],
        statistics: str = "corrected",
    ):
        super().__init__()
        if depth < 3 or base < 1:
            raise UserError(f"dncnn: depth is at least 3 and base at least 1, got {depth} and {base}")
        layers: list[nn.Module] = [nn.Conv2d(in_channels, base, 3, padding=1), nn.ReLU()]
        for _ in range(depth - 2):
            norm = nn.BatchNorm2d(base, momentum=bn_momentum, statistics=statistics)
            layers += [nn.Conv2d(base, base, 3, padding=1, bias=False), norm, nn.ReLU()]
        self.noise = nn.Sequential(*layers, nn.Conv2d(base, in_channels, 3, padding=1))
        self.apply(he_normal)
        for parameter in self.noise[-1].parameters():
            init.zeros_(parameter)

    def forward(self, input: Tensor) -> Tensor:
        """Compute the output; the class names the shapes."""
        restored: Tensor = input - self.noise(input)
        return restored


register("dncnn", "Zhang, Zuo, Chen, Meng & Zhang 2017", (1, 40, 40), "picture")(DnCNN)
