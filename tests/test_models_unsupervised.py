"""Dense stacks and auto-encoders: exact counts, outputs and gradients beside PyTorch, learning, saving."""

import numpy as np
import pytest

import tinymed
from tinymed import Tensor, models, nn, optim
from tinymed.errors import UserError
from tinymed.nn.init import no_weights

torch = pytest.importorskip("torch", reason="PyTorch is the oracle: pip install '.[test]'")
from beside_torch import beside_torch  # noqa: E402

t = torch.nn


class Net(t.Module):
    """Named parts, and what is computed with them."""

    def __init__(self, compute, **parts):
        super().__init__()
        self.compute = compute
        for name, part in parts.items():
            self.add_module(name, part)

    def forward(self, x):
        return self.compute(self, x)


class Gated(t.Module):
    """A highway layer, from the equations."""

    def __init__(self, units, squash):
        super().__init__()
        self.transform, self.gate, self.squash = t.Linear(units, units), t.Linear(units, units), squash

    def forward(self, x):
        share = torch.sigmoid(self.gate(x))
        return share * self.squash(self.transform(x)) + (1 - share) * x


def mlp(activation):
    features = t.Sequential(t.Flatten(), t.Linear(32, 6), activation(), t.Linear(6, 5), activation())
    return Net(lambda n, x: n.classifier(n.features(x)), features=features, classifier=t.Linear(5, 3))


def highway_mlp():
    features = t.Sequential(t.Flatten(), t.Linear(16, 6), t.Tanh(), Gated(6, torch.tanh), Gated(6, torch.tanh))
    return Net(lambda n, x: n.classifier(n.features(x)), features=features, classifier=t.Linear(6, 3))


def sae(codes, code):
    last = t.Sequential(t.Linear(6, 3), *([t.Sigmoid()] if code == "same" else []))
    encoder = t.ModuleList([t.Sequential(t.Linear(16, 6), t.Sigmoid()), last])
    decoder = t.Sequential(t.Sequential(t.Linear(3, 6), t.Sigmoid()), t.Sequential(t.Linear(6, 16)))

    def compute(n, x):
        one = n.encoder[0](x.flatten(1))
        two = n.encoder[1](one)
        y = n.decoder(two).reshape(x.shape)
        return (y, one, two) if codes else y

    return Net(compute, encoder=encoder, decoder=decoder)


def sae_shin(codes):
    """Loops over times and over visual units, where ours has products of matrices."""

    def compute(n, x):
        seen = torch.stack([n.visual_encoder(x[:, i].flatten(1)).sigmoid() for i in range(x.shape[1])], 1)
        code = torch.stack([n.temporal_encoder(seen[:, :, j]).sigmoid() for j in range(seen.shape[2])], 1)
        back = torch.stack([n.temporal_decoder(code[:, j]).sigmoid() for j in range(code.shape[1])], 2)
        y = torch.stack([n.visual_decoder(back[:, i]) for i in range(x.shape[1])], 1).reshape(x.shape)
        return (y, seen.flatten(1), code.flatten(1)) if codes else y

    parts = {"visual_encoder": t.Linear(16, 5), "visual_decoder": t.Linear(5, 16)}
    return Net(compute, **parts, temporal_encoder=t.Linear(3, 2), temporal_decoder=t.Linear(2, 3))


def avendi_localiser(full_size):
    def compute(n, x):
        y = n.mask(torch.nn.functional.avg_pool2d(n.conv(x).sigmoid(), 6).flatten(1)).reshape(-1, 2, 11, 11)
        return y.repeat_interleave(2, 2).repeat_interleave(2, 3) if full_size else y

    return Net(compute, conv=t.Conv2d(1, 3, 11), mask=t.Linear(3 * 4, 2 * 121))


def avendi_sae(codes):
    def compute(n, x):
        one = n.first(x)
        two = n.second(one)
        y = n.output(two)
        return (y, one, two) if codes else y

    first, second = t.Sequential(t.Flatten(), t.Linear(36, 4), t.Sigmoid()), t.Sequential(t.Linear(4, 4), t.Sigmoid())
    return Net(compute, first=first, second=second, output=t.Sequential(t.Linear(4, 36), t.Unflatten(1, (1, 6, 6))))


def conv_autoencoder(codes):
    squash = t.Sigmoid() if codes else t.Identity()
    encoder = t.Sequential(
        *(t.Conv2d(2, 4, 3, padding=1), t.ReLU(), t.MaxPool2d(2), t.Conv2d(4, 8, 3, padding=1), t.ReLU()),
        *(t.MaxPool2d(2), t.Conv2d(8, 3, 3, padding=1), squash),
    )
    decoder = t.Sequential(
        *(t.Conv2d(3, 8, 3, padding=1), t.ReLU(), t.ConvTranspose2d(8, 8, 2, 2), t.ReLU()),
        *(t.ConvTranspose2d(8, 4, 2, 2), t.ReLU(), t.Conv2d(4, 2, 3, padding=1)),
    )

    def compute(n, x):
        code = n.encoder(x)
        return (n.decoder(code), code.flatten(1)) if codes else n.decoder(code)

    return Net(compute, encoder=encoder, decoder=decoder)


CASES = {
    "mlp": (
        "mlp",
        {"num_classes": 3, "in_channels": 2, "size": 4, "hidden": [6, 5]},
        lambda: mlp(t.Sigmoid),
        (2, 4, 4),
    ),
    "mlp_relu": (
        "mlp",
        {"num_classes": 3, "in_channels": 2, "size": 4, "hidden": "6,5", "activation": "relu"},
        lambda: mlp(t.ReLU),
        (2, 4, 4),
    ),
    "mlp_highway": (
        "mlp",
        {"num_classes": 3, "size": 4, "hidden": "6,6,6", "activation": "tanh", "highway": True},
        highway_mlp,
        (1, 4, 4),
    ),
    "sae": ("sae", {"size": 4, "hidden": "6,3"}, lambda: sae(False, "linear"), (1, 4, 4)),
    "sae_codes": (
        "sae",
        {"size": 4, "hidden": "6,3", "code": "same", "codes": True},
        lambda: sae(True, "same"),
        (1, 4, 4),
    ),
    **{
        f"sae_shin_{codes}": (
            "sae_shin",
            {"in_channels": 3, "size": 4, "visual": 5, "temporal": 2, "codes": codes},
            lambda codes=codes: sae_shin(codes),
            (3, 4, 4),
        )
        for codes in (False, True)
    },
    **{
        f"avendi_localiser_{full}": (
            "avendi_localiser",
            {"num_classes": 2, "size": 22, "filters": 3, "full_size": full},
            lambda full=full: avendi_localiser(full),
            (1, 22, 22),
        )
        for full in (False, True)
    },
    **{
        f"avendi_sae_{codes}": (
            "avendi_sae",
            {"size": 6, "hidden": 4, "codes": codes},
            lambda codes=codes: avendi_sae(codes),
            (1, 6, 6),
        )
        for codes in (False, True)
    },
    **{
        f"conv_autoencoder_{codes}": (
            "conv_autoencoder",
            {"in_channels": 2, "size": 8, "channels": 3, "width": 0.25, "codes": codes},
            lambda codes=codes: conv_autoencoder(codes),
            (2, 8, 8),
        )
        for codes in (False, True)
    },
}


@pytest.mark.parametrize("case", CASES)
def test_outputs_and_gradients_are_pytorchs(case):
    name, options, twin, shape = CASES[case]
    beside_torch(models.create(name, **options), twin(), [shape], batch=3)


def count(name, **options):
    with no_weights():
        return models.count_parameters(models.create(name, **options))


def test_counts_are_exact():
    """SYSTEMS section 25 for Avendi's; the others by their formulas."""
    assert count("avendi_localiser") == 8_307_624
    assert count("avendi_sae") == 833_496
    assert count("sae_shin") == (256 * 64 + 64) + (8 * 4 + 4) + (4 * 8 + 8) + (64 * 256 + 256) == 33_164
    assert count("mlp") == 785 * 500 + 501 * 500 + 501 * 10
    assert count("mlp", hidden="50,50,50", highway=True) == 785 * 50 + 2 * 2 * 51 * 50 + 51 * 10
    assert count("sae", hidden="50,3") == (784 * 50 + 50) + (50 * 3 + 3) + (3 * 50 + 50) + (50 * 784 + 784)
    assert count("conv_autoencoder") == 160 + 4_640 + 1_156 + 1_184 + 4_128 + 2_064 + 145


def test_sizes_follow_the_paper():
    """64 x 64 pixels become 54 x 54, 9 x 9 x 100 = 8,100 and a mask of 32 x 32; 4,096 - 100 - 100 - 4,096."""
    with no_weights():
        localiser, shape = models.create("avendi_localiser"), models.create("avendi_sae")
    assert (localiser.mask.in_features, localiser.mask.out_features) == (8_100, 1_024)
    assert [tuple(p.shape) for n, p in shape.named_parameters() if n.endswith("weight")] == [
        (100, 4_096),
        (100, 100),
        (4_096, 100),
    ]
    assert models.create("mlp", size=4, hidden=[3, 3], highway=True).features[3].gate.bias.numpy().tolist() == [-2] * 3


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("mlp", {"hidden": "12,x"}, "such as 500,250"),
        ("mlp", {"hidden": 0}, "such as 500,250"),
        ("mlp", {"hidden": [3.5]}, "such as 500,250"),
        ("mlp", {"hidden": "30,20", "highway": True}, "equally wide"),
        ("mlp", {"activation": "elu"}, "sigmoid, tanh, relu"),
        ("sae", {"code": "binary"}, "linear, same"),
        ("conv_autoencoder", {"size": 30}, "multiple of 4"),
        ("avendi_localiser", {"size": 12}, "smallest is 16"),
    ],
)
def test_what_cannot_be_built_is_refused(name, options, message):
    with pytest.raises(UserError, match=message):
        models.create(name, **options)


@pytest.mark.parametrize(
    ("name", "options", "lr"),
    [
        ("mlp", {"num_classes": 2, "size": 22, "hidden": "20"}, 1e-2),
        ("sae", {"size": 22, "hidden": "30,10", "activation": "relu"}, 5e-3),
        ("sae_shin", {"in_channels": 1, "size": 22, "visual": 60, "temporal": 4}, 3e-2),
        ("avendi_localiser", {"size": 22, "filters": 4, "full_size": True}, 3e-2),
        ("avendi_sae", {"size": 22, "hidden": 20}, 3e-2),
        ("conv_autoencoder", {"size": 24, "width": 0.5}, 1e-2),
    ],
)
def test_learns_8_samples_and_reloads(name, options, lr, tmp_path):
    """Bright halves: of which side, their mask, or the images themselves."""
    tinymed.manual_seed(1)
    model = models.create(name, **options)
    side = options["size"]
    label = np.arange(8) % 2
    bright = np.broadcast_to(np.arange(side) * 2 // side == label[:, None, None], (8, side, side))[:, None]
    noise = np.random.default_rng(0).normal(0, 0.1, bright.shape)
    x, mask = Tensor((bright + noise).astype(np.float32)), Tensor(bright.astype(np.float32))
    loss = nn.CrossEntropyLoss() if name == "mlp" else nn.MSELoss()
    wanted = Tensor(label.astype(np.int64)) if name == "mlp" else mask
    optimizer, losses = optim.Adam(model.parameters(), lr=lr), []
    with tinymed.use_backend("numpy"):
        for _ in range(150):
            optimizer.zero_grad()
            value = loss(model(x), wanted)
            value.backward()
            optimizer.step()
            losses.append(value.item())
            if losses[-1] < 0.25 * losses[0]:
                break
        assert losses[-1] < 0.25 * losses[0]
        tinymed.save(model, tmp_path / "m.safetensors")
        again = models.create(name, **options)
        again.load_state_dict(tinymed.load(tmp_path / "m.safetensors"))
        with tinymed.no_grad():
            np.testing.assert_array_equal(again.eval()(x).numpy(), model.eval()(x).numpy())


def test_gradients_reach_the_bottom_of_a_highway_only():
    """20 layers of sigmoids: a plain stack passes next to nothing down, a highway does."""
    norms = {}
    for highway in (False, True):
        tinymed.manual_seed(0)
        model = models.create("mlp", size=4, hidden=[8] * 20, highway=highway)
        with tinymed.use_backend("numpy"):
            model(tinymed.rand(4, 1, 4, 4, seed=1)).sum().backward()
        norms[highway] = float(np.abs(model.stack[0].weight.grad.numpy()).max())
    assert norms[False] < 1e-8
    assert norms[True] > 1e-4
