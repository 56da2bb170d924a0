"""Networks with a recurrent part beside the same written in PyTorch: outputs, statistics, all gradients in float64."""

import numpy as np
import pytest

from tinymed import models
from tinymed.errors import UserError
from tinymed.nn.init import no_weights
from tinymed.unsupervised.kmeans import fit_filters

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


class CNNRecursive(torch.nn.Module):
    """A convolution, then trees one after the other, each a loop over levels and blocks of 3 x 3 vectors."""

    def __init__(self, filters, trees):
        super().__init__()
        self.conv = torch.nn.Conv2d(1, filters, 9)
        self.register_buffer("merge", torch.randn(trees * filters, filters, 3, 3) / 6)
        self.classifier = torch.nn.Linear(trees * filters, 2)
        self.trees = trees

    def forward(self, x):
        first = torch.nn.functional.avg_pool2d(self.conv(x).abs(), 10, 5)
        vectors = []
        for weight in self.merge.chunk(self.trees):
            nodes = first
            while nodes.shape[2] > 1:
                rows = [[(r, c) for c in range(0, nodes.shape[3], 3)] for r in range(0, nodes.shape[2], 3)]
                merged = [
                    [torch.einsum("oikl,nikl->no", weight, nodes[:, :, r : r + 3, c : c + 3]).tanh() for r, c in row]
                    for row in rows
                ]
                nodes = torch.stack([torch.stack(row, 2) for row in merged], 2)
            vectors.append(nodes.flatten(1))
        return self.classifier(torch.cat(vectors, 1))


def test_cnn_recursive():
    model = models.create("cnn_recursive", in_channels=1, size=58, filters=4, trees=3)
    beside_torch(model, CNNRecursive(4, 3), [(1, 58, 58)])


def test_cnn_recursive_has_the_papers_features():
    """SYSTEMS section 22: 27 -> 9 -> 3 -> 1, 64 nets of 128 filters, 8,192 features."""
    with no_weights():
        model = models.create("cnn_recursive")
    assert model.classifier.in_features == 8_192
    assert (model.levels, model.trees, model.filters) == (3, 64, 128)
    with pytest.raises(UserError, match="a power of 3"):
        models.create("cnn_recursive", size=100)


def test_filters_are_centres_of_patches():
    """All patches of a ramp are one patch when normalised: of two ramps the two filters are the two ramps."""
    model = models.create("cnn_recursive", in_channels=1, size=58, filters=2, trees=1)
    ramp = np.tile(np.arange(58.0), (58, 1))
    fit_filters(model.conv, np.stack([ramp, ramp.T])[:, None].astype(np.float32), patches=400)
    filters = sorted(model.conv.weight.numpy()[:, 0], key=lambda f: f.std(0).mean())
    wanted = np.tile(np.arange(9.0) - 4, (9, 1))
    wanted /= np.linalg.norm(wanted)
    np.testing.assert_allclose(filters, [wanted, wanted.T], atol=1e-4)
    assert not model.conv.bias.numpy().any()


def test_parameters_by_the_formulas():
    """SYSTEMS section 23: 4 (h (d + h) + h) with one bias, 132,096 with PyTorch's two at 128 and 128."""
    from tinymed import nn

    assert models.count_parameters(nn.LSTM(128, 128)) == 132_096
    assert models.count_parameters(nn.LSTM(128, 128)) - 4 * 128 == 131_584
    assert models.describe("cnn_bigru")["parameters"] == 73_698
    assert models.describe("unet_convlstm")["parameters"] == 519_058
