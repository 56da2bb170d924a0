"""Networks with a recurrent part beside the same written in PyTorch: outputs, statistics, all gradients in float64."""

import pytest

from tinymed import models

torch = pytest.importorskip("torch", reason="PyTorch is the oracle: pip install '.[test]'")
import torch_segmentation as theirs  # noqa: E402
from beside_torch import beside_torch  # noqa: E402


class CNNBiGRU(torch.nn.Module):
    """Convolutions of slices and a bidirectional GRU along them."""

    def __init__(self, hidden, widths, per_slice):
        super().__init__()
        layers, channels = [], 1
        for w in widths:
            layers += [torch.nn.Conv2d(channels, w, 3, padding=1), torch.nn.BatchNorm2d(w)]
            layers += [torch.nn.ReLU(), torch.nn.MaxPool2d(2)]
            channels = w
        self.features = torch.nn.Sequential(*layers, torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten())
        self.along = torch.nn.GRU(channels, hidden, batch_first=True, bidirectional=True)
        self.classifier = torch.nn.Linear(2 * hidden, 2)
        self.per_slice = per_slice

    def forward(self, x):
        outputs, last = self.along(torch.stack([self.features(volume.transpose(0, 1)) for volume in x]))
        return self.classifier(outputs).transpose(1, 2) if self.per_slice else self.classifier(torch.cat([*last], 1))


class ConvLSTM(torch.nn.Module):
    """Both directions of a convolutional LSTM over (N, T, C, H, W)."""

    def __init__(self, channels, hidden):
        super().__init__()
        for end in ("", "_reverse"):
            for kind, wide in (("ih", channels), ("hh", hidden)):
                weight = torch.nn.Parameter(0.1 * torch.randn(4 * hidden, wide, 3, 3))
                setattr(self, f"weight_{kind}{end}", weight)
            setattr(self, f"bias{end}", torch.nn.Parameter(torch.zeros(4 * hidden)))
        self.hidden = hidden

    def walk(self, x, end):
        conv = torch.nn.functional.conv2d
        h = c = x.new_zeros(len(x), self.hidden, *x.shape[3:])
        for t in range(x.shape[1]):
            sums = conv(x[:, t], getattr(self, f"weight_ih{end}"), getattr(self, f"bias{end}"), padding=1)
            i, f, g, o = (sums + conv(h, getattr(self, f"weight_hh{end}"), padding=1)).chunk(4, 1)
            c = f.sigmoid() * c + i.sigmoid() * g.tanh()
            h = o.sigmoid() * c.tanh()
            yield h

    def forward(self, x):
        forward, back = torch.stack([*self.walk(x, "")], 1), torch.stack([*self.walk(x.flip(1), "_reverse")], 1)
        return torch.cat([forward, back.flip(1)], 2)


class UNetConvLSTM(torch.nn.Module):
    """A U-Net of slices and a ConvLSTM along z."""

    def __init__(self, classes, base, hidden):
        super().__init__()
        self.slices = theirs.UNet(base, 1, base, True, False)
        self.along = ConvLSTM(base, hidden)
        self.head = torch.nn.Conv2d(2 * hidden, classes, 1)

    def forward(self, x):
        features = torch.stack([self.slices(volume.transpose(0, 1)).relu() for volume in x])
        return torch.stack([self.head(slices) for slices in self.along(features)]).transpose(1, 2)


@pytest.mark.parametrize("per_slice", [False, True])
def test_cnn_bigru(per_slice):
    """Batch statistics are over all slices of all volumes: one volume, so that PyTorch's loop has the same."""
    model = models.create("cnn_bigru", hidden=5, width=1 / 4, per_slice=per_slice)
    beside_torch(model, CNNBiGRU(5, (4, 8, 16), per_slice), [(1, 4, 11, 9)], batch=1)


def test_unet_convlstm():
    model = models.create("unet_convlstm", num_classes=3, base=2, depth=4, hidden=3)
    beside_torch(model, UNetConvLSTM(3, 2, 3), [(1, 3, 16, 16)])


def test_parameters_by_the_formulas():
    """SYSTEMS section 23: 4 (h (d + h) + h) with one bias, 132,096 with PyTorch's two at 128 and 128."""
    from tinymed import nn

    assert models.count_parameters(nn.LSTM(128, 128)) == 132_096
    assert models.count_parameters(nn.LSTM(128, 128)) - 4 * 128 == 131_584
    assert models.describe("cnn_bigru")["parameters"] == 73_698
    assert models.describe("unet_convlstm")["parameters"] == 519_058
