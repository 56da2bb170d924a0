"""Embeddings at a named layer: equal to PyTorch's hooks in form, one row an image, clear errors."""

import numpy as np
import pytest

from tinymed import models, nn
from tinymed.data import Dataset, Loader
from tinymed.errors import UserError
from tinymed.tasks.inference.embedding import Layer, embed, embed_layers, last_features, unit_rows, usable_layers
from tinymed.tensor import Tensor

rng = np.random.default_rng(0)
IMAGES = Dataset(rng.integers(0, 256, (7, 46, 46, 3), np.uint8), np.arange(7) % 2, ["a", "b"])


class Twice(nn.Module):
    """A layer that is called twice, one that is never called, one that gives two tensors."""

    def __init__(self):
        super().__init__()
        self.relu, self.unused, self.rnn = nn.ReLU(), nn.Linear(2, 2), nn.GRU(3, 4, batch_first=True)

    def forward(self, input):
        y = self.relu(self.relu(input)).mean(3).transpose(1, 2)
        return self.rnn(y)[0]


def loader(**more):
    return Loader(IMAGES, 3, 46, workers=0, **more)


class TestValues:
    def test_a_layer_gives_what_the_network_up_to_it_gives(self):
        model = models.create("dcnn", size=46).eval()
        images = next(iter(Loader(IMAGES, 7, 46, workers=0)))[0]
        features = model.features(Tensor(images)).array
        maps = model.features[:11](Tensor(images)).array
        found = embed_layers(model, loader(), ["features", "features.10", Layer("classifier.0", before=True), ""])
        assert list(found) == ["features", "features.10", "the input of classifier.0", "the output"]
        assert np.allclose(found["features"], features, atol=1e-5)
        assert np.array_equal(found["features"], found["the input of classifier.0"])
        assert np.allclose(found["features.10"], maps.mean(axis=(2, 3)), atol=1e-5)
        assert np.allclose(found["the output"], model(Tensor(images)).array, atol=1e-5)
        flat = embed(model, loader(), "features.10", spatial="flatten")
        assert np.allclose(flat, maps.reshape(7, -1), atol=1e-5)
        assert np.allclose(embed(model, loader(), "features.10", spatial="max"), maps.max(axis=(2, 3)), atol=1e-5)

    def test_the_default_is_what_the_last_linear_layer_is_given(self):
        model = models.create("dcnn", size=46)
        before = embed(model, loader(), "classifier.6")
        assert np.array_equal(embed(model, loader()), before)  # dropout of an evaluated network changes nothing
        assert str(last_features(model)) == "the input of classifier.7"

    def test_rows_are_at_their_places_whatever_the_order(self):
        model = models.create("dcnn", size=46)
        kept, mixed = embed(model, loader()), embed(model, loader(shuffle=True, seed=4))
        assert np.allclose(kept, mixed, atol=1e-6)

    def test_unit_rows(self):
        model = models.create("dcnn", size=46)
        rows = embed(model, loader(), "features", normalise=True)
        assert np.allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-6)
        assert unit_rows(np.zeros((2, 3), np.float32)).tolist() == [[0, 0, 0], [0, 0, 0]]

    def test_tokens_are_averaged(self):
        found = embed_layers(Tokens(), Loader(IMAGES, 3, 6, workers=0), ["dense"])["dense"]
        assert found.shape == (7, 5)

    def test_no_hook_stays(self):
        model = models.create("dcnn", size=46)
        embed(model, loader())
        assert not any(m._hooks or m._pre_hooks for m in model.modules())


class Tokens(nn.Module):
    """Three channels as three tokens."""

    def __init__(self):
        super().__init__()
        self.dense = nn.Linear(36, 5)

    def forward(self, input):
        return self.dense(input.flatten(2)).mean(1)


class TestErrors:
    def test_an_unknown_layer_lists_the_names(self):
        model = models.create("dcnn", size=46)
        with pytest.raises(UserError, match=r"'clasifier'.*did you mean 'classifier'.*features\.0"):
            embed(model, loader(), "clasifier")

    @pytest.mark.parametrize(("layer", "says"), [("relu", "called 2 times"), ("unused", "no part"), ("rnn", "tuple")])
    def test_a_layer_without_one_tensor(self, layer, says):
        with pytest.raises(UserError, match=says):
            embed(Twice(), loader(), layer)

    def test_a_network_without_linear_layers(self):
        with pytest.raises(UserError, match="no linear layer"):
            last_features(models.create("unet_small"))

    def test_a_hook_is_taken_off_when_the_network_fails(self):
        model = models.create("dcnn", size=46)
        with pytest.raises((ValueError, TypeError)):
            embed(model, Loader(IMAGES, 3, 20, workers=0), "features")
        assert not any(m._hooks for m in model.modules())


def test_usable_layers_are_those_that_are_called_once():
    shapes = usable_layers(Twice(), (3, 8, 3))
    assert "relu" not in shapes
    assert "unused" not in shapes
    shapes = usable_layers(models.create("resnet20"), (3, 32, 32))
    assert shapes["avgpool"] == (64, 1, 1)
    assert shapes["fc"] == (10,)
