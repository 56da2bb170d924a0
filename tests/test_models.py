"""The papers' networks: exact parameter counts, forward and gradients against PyTorch, losses, registry and summary."""

import math
from typing import Any

import numpy as np
import pytest
import torch

import tinymed
from tinymed import Tensor, models, nn, optim
from tinymed.cli.start_run import config_from_options
from tinymed.errors import UserError
from tinymed.models.bitmaps import DIGITS
from tinymed.models.lenet5 import CONNECTIONS, PartialConv2d, Subsampling
from tinymed.models.registry import GIVES
from tinymed.nn.init import no_weights
from tinymed.tasks.base.network import default_shapes, made_shapes


def count(name: str, **options: Any) -> int:
    with no_weights():
        return models.count_parameters(models.create(name, **options))


class TestCounts:
    """SYSTEMS sections 0 and 1."""

    @pytest.mark.parametrize(
        ("size", "padding", "parameters"),
        [
            (50, "valid", 495_938),
            (64, "valid", 692_546),
            (128, "valid", 2_789_698),
            (224, "valid", 9_867_586),
            (50, "same", 1_020_226),
            (128, "same", 4_624_706),
            (224, "same", 13_275_458),
        ],
    )
    def test_dcnn(self, size: int, padding: str, parameters: int) -> None:
        assert count("dcnn", size=size, padding=padding) == parameters
        assert count("dcnn", size=size, padding=padding, in_channels=1) == parameters - 576

    def test_dcnn_by_its_formula_at_every_side(self) -> None:
        for size in range(46, 120, 7):
            side = size
            for _ in range(4):
                side = (side - 2) // 2
            assert count("dcnn", size=size) == 388_864 + 256 * 256 * side**2 + 41_538

    def test_dcnn_layers_and_statistics(self) -> None:
        model = models.create("dcnn")
        own = [sum(p.array.size for p in m.parameters()) for m in model.modules() if m._parameters]
        assert own == [896, 64, 18_496, 128, 73_856, 256, 295_168, 65_792, 32_896, 8_256, 130]
        assert sum(b.array.size for n, b in model.named_buffers() if "running" in n) == 448

    def test_lenet5(self) -> None:
        model = models.create("lenet5")
        own = {n: sum(p.array.size for p in m.parameters()) for n, m in model.named_children() if m._parameters}
        assert own == {"c1": 156, "s2": 12, "c3": 1_516, "s4": 32, "c5": 48_120, "f6": 10_164}
        assert models.count_parameters(model) == 60_000
        assert count("lenet5_modern") == 61_706

    def test_no_weights_takes_no_memory(self) -> None:
        with no_weights():
            model = models.create("dcnn", size=224)
        assert max(p.array.strides for p in model.parameters()) == (0, 0, 0, 0)
        assert models.create("dcnn").classifier[0].weight.array.flags.writeable

    def test_nor_do_copies_of_a_layer_without_weights(self) -> None:
        with no_weights():
            model = models.create("transunet_tiny")
        assert {stride for p in model.parameters() for stride in p.array.strides} == {0}


class TestMultiplyAccumulates:
    def test_published_figures(self) -> None:
        macs = {n: models.describe(n)["macs"] for n in ("dcnn", "lenet5", "lenet5_modern")}
        assert round(macs["dcnn"] / 1e9, 4) == 0.0182
        assert round(models.describe("dcnn", padding="same")["macs"] / 1e9, 4) == 0.0355
        assert round(macs["lenet5_modern"] / 1e9, 4) == 0.0004
        # connections of the published net (paper, section II.B) less biases; sub-sampling adds before it multiplies
        assert macs["lenet5"] == 122_304 - 4_704 + 1_176 + 151_600 - 1_600 + 400 + 48_120 - 120 + 10_164 - 84 + 840

    def test_rows(self) -> None:
        model = models.create("dcnn", size=46).train()
        rows = models.summary(model, (3, 46, 46))
        assert [r.kind for r in rows[:5]] == ["Conv2d", "ReLU", "MaxPool2d", "BatchNorm2d", "Dropout"]
        assert rows[0] == ("features.0", "Conv2d", (32, 44, 44), 896, 44 * 44 * 27 * 32)
        assert sum(r.parameters for r in rows) == models.count_parameters(model)
        assert rows[-1].output == (2,)
        assert model.training
        assert not model.features[0]._hooks
        assert model.features[3].num_batches_tracked.array == 0


def torch_dcnn(size: int, padding: str) -> torch.nn.Module:
    """The same network in PyTorch, written from the table of SYSTEMS section 1."""
    t = torch.nn
    layers: list[Any] = []
    for i, (a, b) in enumerate(zip((3, 32, 64, 128), (32, 64, 128, 256), strict=True)):
        layers += [t.Conv2d(a, b, 3, padding=padding), t.ReLU(), t.MaxPool2d(2)]
        layers += [t.BatchNorm2d(b, 1e-3, 0.01), t.Dropout(0.0)] if i < 3 else []
    features = t.Sequential(*layers, t.Flatten())
    width = features.eval()(torch.zeros(1, 3, size, size)).shape[1]
    classifier = t.Sequential(
        t.Linear(width, 256),
        t.ReLU(),
        t.Linear(256, 128),
        t.ReLU(),
        t.Linear(128, 64),
        t.ReLU(),
        t.Dropout(0.0),
        t.Linear(64, 2),
    )
    model = t.Module()
    model.features, model.classifier = features, classifier
    model.forward = lambda x: classifier(features(x))  # type: ignore[method-assign]
    return model.double().train()


class TestDCNN:
    @pytest.mark.parametrize(("size", "padding"), [(50, "valid"), (46, "valid"), (33, "same")])
    def test_forward_and_gradients_are_torchs(self, size: int, padding: str, rng: np.random.Generator) -> None:
        theirs = torch_dcnn(size, padding)
        ours = models.create("dcnn", size=size, padding=padding, dropout=(0, 0), statistics="torch").double()
        ours.load_state_dict(theirs.state_dict())
        x, t = rng.normal(size=(4, 3, size, size)), np.eye(2)[[0, 1, 1, 0]]
        loss = nn.BCEWithLogitsLoss()(ours(Tensor(x)), Tensor(t))
        true = torch.nn.functional.binary_cross_entropy_with_logits(theirs.forward(torch.tensor(x)), torch.tensor(t))
        assert loss.item() == pytest.approx(true.item(), rel=1e-11)
        loss.backward()
        true.backward()
        mine = dict(ours.named_parameters())
        for name, q in theirs.named_parameters():
            error = np.abs(mine[name].grad.array - q.grad.numpy()).max()
            assert error <= 1e-10 * max(float(q.grad.abs().max()), 1e-3), name
        for name, b in theirs.named_buffers():
            np.testing.assert_allclose(ours.state_dict()[name].array, b.numpy(), rtol=1e-10, atol=1e-12)

    @pytest.mark.parametrize("head", ["sigmoid", "softmax"])
    def test_predict_gives_probabilities(self, head: str) -> None:
        model = models.create("dcnn", size=46, head=head)
        x = tinymed.rand(3, 3, 46, 46, seed=1)
        p, logits = model.predict(x), model.eval()(x).array
        true = 1 / (1 + np.exp(-logits)) if head == "sigmoid" else np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
        np.testing.assert_allclose(p.array, true, rtol=1e-5)
        assert not p.requires_grad
        assert not model.training

    def test_predict_leaves_the_mode(self) -> None:
        model = models.create("dcnn", size=46)
        x = tinymed.rand(1, 3, 46, 46, seed=1)
        np.testing.assert_array_equal(model.predict(x).array, model.predict(x).array)  # no dropout
        assert model.training

    def test_initial_values(self) -> None:
        model = models.create("dcnn")
        w = model.features[5].weight.array
        bound = math.sqrt(6 / (9 * (32 + 64)))
        assert 0.99 * bound < np.abs(w).max() <= bound
        assert not model.features[5].bias.array.any()

    def test_overfits_a_tiny_batch(self, rng: np.random.Generator) -> None:
        tinymed.manual_seed(0)
        model = models.create("dcnn", size=46, dropout=(0, 0))
        o = optim.Adam(model.parameters(), eps=1e-7)
        x, t = tinymed.rand(8, 3, 46, 46, seed=2), np.eye(2, dtype=np.float32)[rng.integers(0, 2, 8)]
        loss = nn.BCEWithLogitsLoss()
        first = last = 0.0
        for step in range(12):
            o.zero_grad()
            y = loss(model(x), Tensor(t))
            y.backward()
            o.step()
            first, last = (y.item() if step == 0 else first), y.item()
        assert last < 0.1 * first

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({"size": 45}, "too small.* 46 with 'valid'"),
            ({"size": 15, "padding": "same"}, "16 with 'same'"),
            ({"padding": "full"}, "'valid' or 'same'"),
            ({"head": "tanh"}, "'sigmoid' or 'softmax'"),
            ({"dense_activation": "reluu"}, "choose one of relu"),
            ({"sizes": 3}, "does not take sizes; its options are num_classes"),
        ],
    )
    def test_wrong_options(self, options: dict[str, Any], message: str) -> None:
        with pytest.raises(UserError, match=message):
            models.create("dcnn", **options)

    def test_wrong_input(self) -> None:
        with pytest.raises(ValueError, match=r"takes images \(N, 3, 46, 46\), got \[2, 3, 50, 50\]"):
            models.create("dcnn", size=46)(tinymed.zeros(2, 3, 50, 50))


class TestLeNet5:
    def test_connection_table(self) -> None:
        """Table I: how many maps each sees, and how often each input is used."""
        assert [len(c) for c in CONNECTIONS] == [3] * 6 + [4] * 9 + [6]
        assert len(set(CONNECTIONS)) == 16
        assert [sum(i in c for c in CONNECTIONS) for i in range(6)] == [10] * 6

        def contiguous(c: tuple[int, ...]) -> bool:
            return any(sorted((s + j) % 6 for j in range(len(c))) == sorted(c) for s in range(6))

        assert [contiguous(c) for c in CONNECTIONS] == [True] * 12 + [False] * 3 + [True]

    def test_partial_convolution_is_a_masked_one(self, rng: np.random.Generator) -> None:
        layer = PartialConv2d(6, CONNECTIONS, 5).double()
        dense = np.zeros((16, 6, 5, 5))
        at = 0
        for o, seen in enumerate(CONNECTIONS):
            for i in seen:
                dense[o, i] = layer.weight.array[at]
                at += 1
        x = rng.normal(size=(2, 6, 14, 14))
        w = torch.tensor(dense, requires_grad=True)
        z = torch.nn.functional.conv2d(torch.tensor(x), w, torch.tensor(layer.bias.array))
        y = layer(Tensor(x))
        np.testing.assert_allclose(y.array, z.detach().numpy(), rtol=0, atol=1e-12)
        dy = rng.normal(size=y.shape)
        y.backward(Tensor(dy))
        z.backward(torch.tensor(dy))
        true = [w.grad.numpy()[o, i] for o, seen in enumerate(CONNECTIONS) for i in seen]
        np.testing.assert_allclose(layer.weight.grad.array, true, rtol=0, atol=1e-10)

    def test_subsampling(self, rng: np.random.Generator) -> None:
        layer = Subsampling(3).double()
        x = rng.normal(size=(2, 3, 4, 6))
        layer.bias.array[...] = rng.normal(size=(3, 1, 1))
        sums = x.reshape(2, 3, 2, 2, 3, 2).sum((3, 5))
        np.testing.assert_allclose(layer(Tensor(x)).array, sums * layer.weight.array + layer.bias.array, rtol=1e-12)

    def test_bitmaps(self) -> None:
        assert DIGITS.shape == (10, 84)
        assert set(np.unique(DIGITS)) == {-1.0, 1.0}
        distances = ((DIGITS[:, None] - DIGITS[None]) ** 2).sum(-1)
        assert distances[~np.eye(10, dtype=bool)].min() >= 4 * 4  # at least 4 pixels apart

    def test_output_is_minus_the_squared_distance(self) -> None:
        model = models.create("lenet5")
        y = model.output(Tensor(DIGITS[[3, 8]])).array
        assert y.argmax(1).tolist() == [3, 8]
        assert y[0, 3] == 0
        assert y[0, 8] == -4 * (DIGITS[3] != DIGITS[8]).sum()

    def test_loss_is_equation_9(self, rng: np.random.Generator) -> None:
        model = models.create("lenet5", competing=2.5)
        z, target = -rng.uniform(0, 6, (5, 10)), np.array([0, 3, 9, 3, 1])
        true = np.mean(-z[range(5), target] + np.log(np.exp(-2.5) + np.exp(z).sum(1)))
        assert model.loss(Tensor(z), Tensor(target)).item() == pytest.approx(true, rel=1e-12)

    @pytest.mark.parametrize(
        ("name", "options"),
        [
            ("lenet5", {}),
            ("lenet5_modern", {}),
            ("lenet5_modern", {"pool": "max", "activation": "relu"}),
        ],
    )
    def test_learns_a_tiny_batch(self, name: str, options: dict[str, Any]) -> None:
        tinymed.manual_seed(0)
        model = models.create(name, **options)
        o = optim.Adam(model.parameters(), lr=3e-3)
        x, t = tinymed.randn(10, 1, 32, 32, seed=4), tinymed.arange(10)
        loss = model.loss if name == "lenet5" else nn.CrossEntropyLoss()
        for _ in range(40):
            o.zero_grad()
            loss(model(x), t).backward()
            o.step()
        assert (model(x).array.argmax(1) == np.arange(10)).mean() >= 0.9

    def test_state_round_trip(self) -> None:
        a, b = models.create("lenet5"), models.create("lenet5")
        b.load_state_dict(a.state_dict())
        x = tinymed.randn(2, 1, 32, 32, seed=4)
        np.testing.assert_array_equal(a(x).array, b(x).array)
        assert "output.targets" in a.state_dict()
        assert "c3.place" not in a.state_dict()

    def test_published_net_takes_digits_only(self) -> None:
        with pytest.raises(UserError, match="lenet5_modern takes any"):
            models.create("lenet5", num_classes=2)
        assert models.create("lenet5_modern", num_classes=2, in_channels=3, size=28)(
            tinymed.zeros(1, 3, 28, 28)
        ).shape == (1, 2)
        with pytest.raises(UserError, match="smallest is 16"):
            models.create("lenet5_modern", size=15)


class TestRegistry:
    def test_available(self) -> None:
        assert {"dcnn", "lenet5", "lenet5_modern"} <= set(models.available())
        assert models.default_size("dcnn") == 50
        about = models.describe("dcnn", size=64, in_channels=1)
        assert about["input"] == [1, 64, 64]
        assert about["parameters"] == 692_546 - 576

    def test_unknown_name(self) -> None:
        with pytest.raises(UserError, match=r"'vgg' is unknown; did you mean vgg1\d\? choose one of .*dcnn, .*lenet5"):
            models.create("vgg")

    @pytest.mark.parametrize("name", models.available())
    def test_gives_what_it_declares(self, name: str) -> None:
        """What needs no network to be made is what a made one shows; it declares it wherever there is a word for it."""
        known = models.entry(name)
        made = made_shapes(known)
        assert default_shapes(known) == made
        if made is not None:
            words = [word for word in GIVES[1:] if default_shapes(known._replace(gives=word)) == made]
            assert known.gives in words or not words

    def test_advice_makes_few_networks(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A network that does not serve a task is refused in a moment: those that do are not all made."""
        asked = []
        monkeypatch.setattr("tinymed.tasks.base.network.made_shapes", lambda known: asked.append(known.name))
        with pytest.raises(UserError, match=r"is no network for classification .* choose one of alexnet, "):
            config_from_options({"model": "unet_small"})
        assert 0 < len(set(asked)) < len(models.available()) / 5

    def test_a_users_own(self) -> None:
        models.register("test-own", "a test", (1, 4, 4))(lambda num_classes=2: nn.Linear(4, num_classes))
        try:
            assert models.create("test-own", num_classes=5).out_features == 5
            with pytest.raises(ValueError, match="is taken"):
                models.register("dcnn", "a test", (1, 4, 4))(lambda: nn.Identity())
        finally:
            models.registry.registry.pop("test-own")
