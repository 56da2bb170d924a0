"""Classifiers, FCNs and patch networks: counts and shapes of the papers, torchvision's names, PyTorch's numbers."""

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tinymed
from tinymed import Tensor, models, nn
from tinymed.errors import UserError
from tinymed.models.fcn import BilinearUpsampling, convolutional
from tinymed.models.mtann import MixtureOfMTANNs, gaussian
from tinymed.models.shapes import blank
from tinymed.models.sizes import scale_channels
from tinymed.nn.blocks import max_pool_same
from tinymed.nn.init import no_weights

torch = pytest.importorskip("torch", reason="PyTorch is the oracle: pip install '.[test]'")
import torch_classification as theirs  # noqa: E402
from beside_torch import beside_torch, seeded  # noqa: E402


def made(name: str, **options: Any) -> Any:
    """A network of no memory."""
    with no_weights():
        return models.create(name, **options)


def output_shape(model: nn.Module, *inputs: tuple[int, ...]) -> tuple[int, ...]:
    """Of a batch of one."""
    with models.shapes_only(), tinymed.no_grad():
        return tuple(model.eval()(*(Tensor(blank((1, *s))) for s in inputs)).shape[1:])


class TestCounts:
    """The table of SYSTEMS section 0, and the counts of sections 2 to 9, at full size and without memory."""

    @pytest.mark.parametrize(
        ("name", "options", "parameters"),
        [
            ("dcnn_vgg16", {}, 21_178_754),
            ("dcnn_vgg16", {"size": 50}, 14_714_688 + 172_610),
            ("dcnn_vgg16", {"size": 64}, 14_714_688 + 565_826),
            ("dcnn_vgg16", {"size": 150}, 14_714_688 + 2_138_690),
            ("vgg16", {}, 138_357_544),
            ("vgg19", {}, 143_667_240),
            ("vgg16_bn", {}, 138_365_992),
            ("vgg19_bn", {}, 143_678_248),
            ("resnet50", {}, 25_557_032),
            ("resnet50", {"stride_on": "1x1"}, 25_557_032),
            ("resnet50", {"num_classes": 2}, 23_508_032 + 4_098),
            ("resnet20", {}, 269_722),
            ("xception", {}, 22_855_952),
            ("xception", {"num_classes": 1}, 20_809_001),
            ("densenet121", {}, 7_978_856),
            ("densenet121", {"num_classes": 1}, 6_954_881),
            ("densenet121", {"num_classes": 2}, 6_955_906),
            ("alexnet", {}, 61_100_840),
            ("alexnet", {"variant": "2012"}, 60_965_224),
            ("alexnet", {"variant": "ungrouped"}, 62_378_344),
            ("fcn32s", {}, 134_346_581),
            ("fcn16s", {}, 134_357_354),
            ("fcn8s", {}, 134_362_751),
            ("fcrn50", {}, 23_515_206),
            ("zhang2015", {}, 5_332_995),
            ("triplanar", {}, 162_434),
            ("mtann", {}, 1_661),
            ("ciresan_n4", {}, 219_290),
            ("kumar_cnn3", {}, 1_967_584),
            ("bonet", {}, 2_747_879),
            ("bonet", {"deform": False}, 2_747_879 - 262_374),
        ],
    )
    def test_parameters(self, name: str, options: dict[str, Any], parameters: int) -> None:
        assert models.count_parameters(made(name, **options)) == parameters

    @pytest.mark.parametrize(("name", "fixed"), [("fcn32s", 1_806_336), ("fcn16s", 458_640), ("fcn8s", 127_008)])
    def test_fixed_bilinear_kernels(self, name: str, fixed: int) -> None:
        model = made(name)
        assert models.count_parameters(model, trainable=False) - models.count_parameters(model) == fixed
        assert models.count_parameters(made(name, learned_upsampling=True)) - models.count_parameters(model) == fixed

    @pytest.mark.parametrize(("name", "statistics"), [("xception", 54_528), ("densenet121", 83_648)])
    def test_statistics_of_batch_norm(self, name: str, statistics: int) -> None:
        assert sum(b.array.size for n, b in made(name).named_buffers() if "running" in n) == statistics

    @pytest.mark.parametrize(
        ("name", "macs", "digits"),
        [
            ("dcnn_vgg16", 15.4, 1),
            ("vgg16", 15.470, 3),
            ("vgg19", 19.632, 3),
            ("resnet50", 4.089, 3),
            ("xception", 8.4, 1),
            ("densenet121", 2.834, 3),
            ("alexnet", 0.714, 3),
            ("zhang2015", 0.0155, 4),
        ],
    )
    def test_multiply_accumulates(self, name: str, macs: float, digits: int) -> None:
        assert round(models.describe(name)["macs"] / 1e9, digits) == macs

    def test_depth_is_weighted_layers(self) -> None:
        """50: 49 convolutions and a dense layer, with the four projections beside them 53 convolutions."""
        kinds = [r.kind for r in models.summary(made("resnet50"), (3, 64, 64))]
        assert (kinds.count("Conv2d"), kinds.count("Linear")) == (53, 1)
        separable = [m for m in made("xception").modules() if isinstance(m, nn.SeparableConv2d)]
        assert len(separable) + 2 == 36


class TestShapes:
    @pytest.mark.parametrize(
        ("name", "options", "image", "output"),
        [
            ("dcnn_vgg16", {"size": 50}, (3, 50, 50), (2,)),
            ("vgg16", {}, (3, 224, 224), (1000,)),
            ("vgg19", {"num_classes": 3}, (3, 32, 47), (3,)),
            ("alexnet", {}, (3, 224, 224), (1000,)),
            ("alexnet", {"variant": "2012"}, (3, 227, 227), (1000,)),
            ("resnet50", {}, (3, 224, 224), (1000,)),
            ("resnet50", {"in_channels": 1}, (1, 33, 65), (1000,)),
            ("resnet20", {}, (3, 32, 32), (10,)),
            ("xception", {}, (3, 299, 299), (1000,)),
            ("densenet121", {}, (3, 224, 224), (1000,)),
            ("fcn32s", {}, (3, 500, 375), (21, 500, 375)),
            ("fcn16s", {}, (3, 1, 1), (21, 1, 1)),
            ("fcn8s", {"encoder": "vgg19"}, (3, 65, 130), (21, 65, 130)),
            ("fcrn50", {}, (3, 480, 480), (2, 480, 480)),
            ("fcrn50", {}, (3, 101, 67), (2, 101, 67)),
            ("zhang2015", {"size": 17}, (3, 17, 17), (3,)),
            ("triplanar", {"in_channels": 6}, (6, 28, 28), (2,)),
            ("mtann", {}, (1, 31, 40), (1, 23, 32)),
            ("ciresan_n4", {}, (1, 95, 95), (2,)),
            ("kumar_cnn3", {}, (3, 51, 51), (3,)),
            ("bonet", {"size": 50, "in_channels": 3}, (3, 50, 50), (1,)),
        ],
    )
    def test_of_outputs(self, name: str, options: dict[str, Any], image: tuple[int, ...], output: Any) -> None:
        assert output_shape(made(name, **options), image) == output

    @pytest.mark.parametrize(
        ("name", "image", "maps"),
        [
            ("resnet50", (3, 224, 224), [112, 56, 28, 14, 7]),
            ("densenet121", (3, 224, 224), [112, 56, 28, 14, 7]),
            ("xception", (3, 299, 299), [149, 147, 74, 37, 19, 10]),
            ("alexnet", (3, 224, 224), [55, 27, 13, 6]),
            ("ciresan_n4", (1, 95, 95), [92, 46, 42, 21, 18, 9, 6, 3]),
            ("kumar_cnn3", (3, 51, 51), [48, 24, 20, 10, 5, 3]),
            ("resnet20", (3, 32, 32), [32, 16, 8]),
        ],
    )
    def test_of_maps(self, name: str, image: tuple[int, ...], maps: list[int]) -> None:
        sides = [r.output[1] for r in models.summary(made(name), image) if len(r.output) == 3 and r.output[1] > 1]
        assert list(dict.fromkeys(sides)) == maps

    @pytest.mark.parametrize("name", ["vgg16", "alexnet", "resnet50", "xception", "densenet121", "fcn8s", "fcrn50"])
    def test_half_the_width_is_about_a_quarter_of_the_parameters(self, name: str) -> None:
        whole, half = (models.count_parameters(made(name, width=w, num_classes=2)) for w in (1.0, 0.5))
        assert 0.23 < half / whole < 0.27

    def test_width(self) -> None:
        assert [scale_channels(c, 0.25) for c in (64, 728, 25, 3)] == [16, 182, 6, 2]
        assert scale_channels(25, 1) == 25
        with pytest.raises(UserError, match="positive, got 0"):
            made("vgg16", width=0)

    @pytest.mark.parametrize(
        ("name", "options", "message"),
        [
            ("zhang2015", {"size": 9}, "smallest is 13"),
            ("ciresan_n4", {"size": 62}, "smallest is 63"),
            ("kumar_cnn3", {"size": 34}, "smallest is 35"),
            ("triplanar", {"size": 15}, "smallest is 16"),
            ("triplanar", {"in_channels": 1}, "multiple of 3"),
            ("dcnn_vgg16", {"size": 31}, "smallest is 32"),
            ("bonet", {"size": 15}, "smallest is 16"),
            ("mtann", {"window": 8}, "odd side"),
            ("alexnet", {"variant": "1998"}, "torch, ungrouped"),
            ("resnet20", {"depth": 18}, "6n \\+ 2"),
            ("resnet50", {"stride_on": "2x2"}, "3x3, 1x1"),
            ("fcn8s", {"encoder": "vgg11"}, "vgg16, vgg19"),
            ("dcnn_vgg16", {"head": "relu"}, "'sigmoid' or 'softmax'"),
            ("vgg16", {"depth": 3}, "does not take depth"),
        ],
    )
    def test_wrong_options(self, name: str, options: dict[str, Any], message: str) -> None:
        with pytest.raises(UserError, match=message):
            made(name, **options)

    def test_smallest_sides_are_the_smallest(self) -> None:
        for name, side in (("zhang2015", 13), ("ciresan_n4", 63), ("kumar_cnn3", 35), ("triplanar", 16)):
            model = made(name, size=side)
            assert output_shape(model, model.input_shape)

    def test_wrong_inputs(self) -> None:
        with pytest.raises(ValueError, match=r"dcnn_vgg16: takes images \(N, 3, 50, 50\), got \[1, 3, 64, 64\]"):
            output_shape(made("dcnn_vgg16", size=50), (3, 64, 64))
        with pytest.raises(ValueError, match="3 planes of 1 channels"):
            output_shape(made("triplanar"), (2, 28, 28))
        with pytest.raises(ValueError, match="or 3 of one each, got 2"):
            output_shape(made("triplanar"), (1, 28, 28), (1, 28, 28))


class TestListing:
    def test_of_all_networks_is_quick(self) -> None:
        """`tinymed models` runs every network at full size by shapes alone."""
        start = time.process_time()
        rows = {name: models.describe(name) for name in models.available()}
        assert time.process_time() - start < 10  # 0.7 s on an idle machine
        assert all(row["macs"] > 0 and row["activation_bytes"] > 0 for row in rows.values())

    @pytest.mark.parametrize("name", ["resnet50", "dcnn"])
    def test_activation_memory_is_what_the_tape_holds(self, name: str) -> None:
        """Counted by shapes, and by a real forward pass of 2 images less one of 1... of the arrays that ops save."""
        from tinymed import tape
        from tinymed.models.summary import Held

        options: dict[str, Any] = {"width": 1 / 8} if name == "resnet50" else {"size": 64}
        model = models.create(name, **options)
        held, own = Held(), {p.array.ctypes.data for p in (*model.parameters(), *model.buffers())}
        with tape.observers.watching(held), tinymed.use_backend("numpy"):
            kept = model.train()(tinymed.zeros(2, 3, 64, 64))
        real = sum(a.nbytes for where, a in held.arrays.items() if where not in own) // 2
        assert kept.shape[0] == 2
        assert models.activation_bytes(model, (3, 64, 64)) == real

    def test_shapes_only_computes_nothing(self) -> None:
        model = models.create("resnet20", width=0.25)
        x = tinymed.randn(2, 3, 32, 32, seed=1)
        with models.shapes_only():
            y = model.train()(x)
        assert y.shape == (2, 10)
        assert y.array.strides == (0, 0)
        assert model.bn1.num_batches_tracked.array == 0
        assert model(x).array.any()


# Names and shapes of a few tensors in the state of torchvision 0.20's networks.
TORCHVISION = {
    "alexnet": {
        "features.0.weight": (64, 3, 11, 11),
        "features.3.bias": (192,),
        "features.10.weight": (256, 256, 3, 3),
        "classifier.1.weight": (4096, 9216),
        "classifier.6.bias": (1000,),
    },
    "vgg16": {
        "features.0.weight": (64, 3, 3, 3),
        "features.28.weight": (512, 512, 3, 3),
        "classifier.0.weight": (4096, 25088),
        "classifier.3.weight": (4096, 4096),
        "classifier.6.bias": (1000,),
    },
    "vgg16_bn": {
        "features.1.running_mean": (64,),
        "features.40.weight": (512, 512, 3, 3),
        "features.41.bias": (512,),
        "features.41.num_batches_tracked": (),
        "classifier.6.weight": (1000, 4096),
    },
    "vgg19": {"features.34.weight": (512, 512, 3, 3), "classifier.6.weight": (1000, 4096)},
    "vgg19_bn": {"features.49.weight": (512, 512, 3, 3), "features.50.running_var": (512,)},
    "resnet50": {
        "conv1.weight": (64, 3, 7, 7),
        "bn1.running_var": (64,),
        "layer1.0.downsample.1.weight": (256,),
        "layer1.0.downsample.0.weight": (256, 64, 1, 1),
        "layer2.3.conv2.weight": (128, 128, 3, 3),
        "layer3.5.bn3.bias": (1024,),
        "layer4.2.conv3.weight": (2048, 512, 1, 1),
        "fc.weight": (1000, 2048),
    },
    "densenet121": {
        "features.conv0.weight": (64, 3, 7, 7),
        "features.norm0.running_mean": (64,),
        "features.denseblock1.denselayer1.norm1.weight": (64,),
        "features.denseblock3.denselayer24.conv2.weight": (32, 128, 3, 3),
        "features.transition2.norm.bias": (512,),
        "features.transition3.conv.weight": (512, 1024, 1, 1),
        "features.norm5.weight": (1024,),
        "classifier.weight": (1000, 1024),
    },
}
TENSORS = {
    "alexnet": 16,
    "vgg16": 32,
    "vgg16_bn": 97,
    "vgg19": 38,
    "vgg19_bn": 118,
    "resnet50": 320,
    "densenet121": 727,
}


@pytest.mark.parametrize("name", TORCHVISION)
def test_names_of_the_state_are_torchvisions(name: str) -> None:
    state = {n: t.shape for n, t in made(name).state_dict().items()}
    assert {n: state.get(n) for n in TORCHVISION[name]} == TORCHVISION[name]
    assert len(state) == TENSORS[name]


# ---------------------------------------------------------------------------------------------- beside PyTorch


def wide(width: float) -> Callable[[int], int]:
    """Channels at a width, by a rule of its own: to the nearest even number."""
    return lambda c: max(2, int(2 * np.round(c * width / 2)))


def widths(width: float, *channels: int) -> list[int]:
    return [wide(width)(c) for c in channels]


RES, CIFAR = (64, 128, 256, 512), (16, 32, 64)
SMALL = {"num_classes": 3, "dropout": 0.0}
S, T = 1 / 16, 1 / 32
Case = tuple[str, dict[str, Any], Callable[[], Any], tuple[int, ...]]
CASES: dict[str, Case] = {
    "vgg16": ("vgg16", SMALL | {"width": T}, lambda: theirs.vgg(theirs.D, wide(T), 3, False), (3, 37, 64)),
    "vgg19": ("vgg19", SMALL | {"width": T}, lambda: theirs.vgg(theirs.E, wide(T), 3, False), (3, 32, 32)),
    "vgg16_bn": ("vgg16_bn", SMALL | {"width": T}, lambda: theirs.vgg(theirs.D, wide(T), 3, True), (3, 64, 64)),
    "vgg19_bn": ("vgg19_bn", SMALL | {"width": T}, lambda: theirs.vgg(theirs.E, wide(T), 3, True), (3, 64, 64)),
    "dcnn_vgg16": (
        "dcnn_vgg16",
        {"width": T, "size": 64, "dropout": [0.0]},
        lambda: theirs.dcnn_vgg16(wide(T), 2, 64),
        (3, 64, 64),
    ),
    "alexnet": ("alexnet", SMALL | {"width": T}, lambda: theirs.alexnet_tower(wide(T), 3), (3, 70, 95)),
    "alexnet_2012": (
        "alexnet",
        SMALL | {"width": S, "variant": "2012"},
        lambda: theirs.alexnet_2012(wide(S), 3, 2),
        (3, 99, 75),
    ),
    "alexnet_ungrouped": (
        "alexnet",
        SMALL | {"width": T, "variant": "ungrouped"},
        lambda: theirs.alexnet_2012(wide(T), 3, 1),
        (3, 75, 75),
    ),
    "resnet50": (
        "resnet50",
        {"num_classes": 3, "width": S},
        lambda: theirs.resnet50(widths(S, *RES), 3, False),
        (3, 64, 71),
    ),
    "resnet50_v1": (
        "resnet50",
        {"num_classes": 3, "width": S, "stride_on": "1x1"},
        lambda: theirs.resnet50(widths(S, *RES), 3, True),
        (3, 71, 64),
    ),
    "resnet20": ("resnet20", {"width": 0.25}, lambda: theirs.resnet20(widths(0.25, *CIFAR), 10, 3, "pad"), (3, 17, 16)),
    "resnet14_projection": (
        "resnet20",
        {"width": 0.25, "depth": 14, "shortcut": "projection"},
        lambda: theirs.resnet20(widths(0.25, *CIFAR), 10, 2, "projection"),
        (3, 16, 16),
    ),
    "plain8": (
        "resnet20",
        {"width": 0.25, "depth": 8, "residual": False},
        lambda: theirs.resnet20(widths(0.25, *CIFAR), 10, 1, "none"),
        (3, 16, 16),
    ),
    "xception": ("xception", SMALL | {"width": S}, lambda: theirs.xception(wide(S), 3), (3, 71, 66)),
    "densenet121": ("densenet121", SMALL | {"width": S}, lambda: theirs.densenet121(2, 3), (3, 64, 70)),
    "fcn32s": ("fcn32s", SMALL | {"width": 1 / 64}, lambda: theirs.fcn(32, wide(1 / 64), 3), (3, 20, 33)),
    "fcn16s": ("fcn16s", SMALL | {"width": 1 / 64}, lambda: theirs.fcn(16, wide(1 / 64), 3), (3, 33, 20)),
    "fcn8s": (
        "fcn8s",
        SMALL | {"width": 1 / 64, "encoder": "vgg19"},
        lambda: theirs.fcn(8, wide(1 / 64), 3, theirs.E),
        (3, 40, 21),
    ),
    "fcrn50": ("fcrn50", {"width": S}, lambda: theirs.fcrn50(widths(S, *RES), 2), (3, 65, 94)),
    "zhang2015": ("zhang2015", SMALL | {"width": S}, lambda: theirs.zhang2015(wide(S), 3), (3, 13, 13)),
    "triplanar": ("triplanar", {"width": 0.25}, lambda: theirs.triplanar(wide(0.25), 2), (3, 28, 28)),
    "mtann": ("mtann", {"window": 5, "hidden": 7}, lambda: theirs.mtann(5, 7), (1, 12, 17)),
    "ciresan_n4": ("ciresan_n4", {"width": 0.125}, lambda: theirs.ciresan_n4(wide(0.125), 2), (1, 95, 95)),
    "kumar_cnn3": ("kumar_cnn3", SMALL | {"width": 0.125}, lambda: theirs.kumar_cnn3(wide(0.125), 3), (3, 51, 51)),
    "bonet": (
        "bonet",
        SMALL | {"width": 0.125, "size": 48, "in_channels": 3},
        lambda: theirs.bonet(wide(0.125), 3, 48),
        (3, 48, 48),
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_outputs_and_gradients_are_torchs(case: str) -> None:
    name, options, twin, image = CASES[case]
    model = seeded(lambda: models.create(name, **options))
    fixed = "upscore" if name.startswith("fc") else ""
    beside_torch(model, twin(), [image], fixed=fixed)


FULL: dict[str, Case] = {
    "resnet50": ("resnet50", {}, lambda: theirs.resnet50(RES, 1000, False), (3, 224, 224)),
    "densenet121": ("densenet121", {}, lambda: theirs.densenet121(32, 1000), (3, 224, 224)),
    "vgg16": ("vgg16", {"dropout": 0.0}, lambda: theirs.vgg(theirs.D, wide(1), 1000, False), (3, 224, 224)),
    "xception": ("xception", {"dropout": 0.0}, lambda: theirs.xception(wide(1), 1000), (3, 299, 299)),
}


@pytest.mark.full
@pytest.mark.parametrize("case", FULL)
def test_outputs_and_gradients_are_torchs_at_full_size(case: str) -> None:
    name, options, twin, image = FULL[case]
    beside_torch(seeded(lambda: models.create(name, **options)), twin(), [image])


class TestParts:
    @pytest.mark.parametrize("shape", [(7, 9), (8, 6), (9, 8), (4, 5), (1, 2), (3, 3)])
    def test_max_pool_same(self, shape: tuple[int, int], rng: np.random.Generator) -> None:
        x = rng.normal(size=(2, 3, *shape))
        edges = []
        for side in reversed(shape):
            total = max(0, (-(-side // 2) - 1) * 2 + 3 - side)
            edges += [total // 2, total - total // 2]
        padded = torch.nn.functional.pad(torch.tensor(x), edges, value=float("-inf"))
        true = torch.nn.functional.max_pool2d(padded, 3, 2).numpy()
        np.testing.assert_array_equal(max_pool_same(Tensor(x)).array, true)

    @pytest.mark.parametrize("factor", [2, 8])
    def test_bilinear_upsampling_is_interpolation(self, factor: int, rng: np.random.Generator) -> None:
        """Away from the border, where the transposed convolution fades out."""
        layer = BilinearUpsampling(3, factor, factor // 2).double()
        x = rng.normal(size=(1, 3, 6, 5))
        true = torch.nn.functional.interpolate(torch.tensor(x), scale_factor=factor, mode="bilinear").numpy()
        inside = slice(factor // 2, -(factor // 2))
        y = layer(Tensor(x)).array
        assert y.shape == true.shape
        np.testing.assert_allclose(y[..., inside, inside], true[..., inside, inside], rtol=0, atol=1e-12)
        assert not layer.weight.requires_grad

    def test_a_vggs_weights_fit_an_fcn(self) -> None:
        """fc6 and fc7 of the FCN on the map that VGG flattens give its hidden dense units."""
        vgg = models.create("vgg16", width=T, num_classes=3).eval()
        fcn = models.create("fcn32s", width=T).eval()
        missing, unexpected = fcn.load_state_dict(convolutional(vgg.state_dict()), strict=False)
        assert not unexpected
        assert {n.split(".")[0] for n in missing} == {"score", "upscore"}
        map = tinymed.randn(2, 16, 7, 7, seed=3)
        dense = vgg.classifier[:4](map.flatten(1)).array
        conv = fcn.fc7(fcn.relu(fcn.fc6(map))).array
        np.testing.assert_allclose(conv[:, :, 0, 0], dense, rtol=1e-4, atol=1e-6)

    def test_residual_of_separable_convolutions(self) -> None:
        same, half = nn.SeparableResidual(4, (4, 4)), nn.SeparableResidual(4, (4, 6), 2, activated=False)
        assert same.downsample is None
        assert next(type(m).__name__ for m in half.body) == "SeparableConv2d"
        assert half(tinymed.randn(2, 4, 9, 8, seed=3)).shape == (2, 6, 5, 4)
        with pytest.raises(ValueError, match="stride is 1 or 2, got 3"):
            nn.SeparableResidual(4, (4,), 3)

    def test_dropout_of_a_dense_layer_leaves_the_input(self) -> None:
        layer, x = nn.DenseLayer(4, 2, dropout=1.0).train(), tinymed.randn(2, 4, 5, 5, seed=3)
        y = layer(x).array
        np.testing.assert_array_equal(y[:, :4], x.array)
        assert not y[:, 4:].any()
        assert nn.DenseLayer(4, 2).state_dict().keys() == layer.state_dict().keys()

    def test_alexnets_published_values(self) -> None:
        model = models.create("alexnet", variant="2012", width=0.25)
        layers = [m for m in model.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
        assert [float(m.bias.array[0]) for m in layers] == [0, 1, 0, 1, 1, 1, 1, 0]
        assert 0.019 < layers[5].weight.array.std() < 0.021

    def test_triplanar_takes_planes_apart(self) -> None:
        model = models.create("triplanar", width=0.25).eval()
        x = tinymed.randn(2, 3, 28, 28, seed=3)
        apart = model(*(x[:, i : i + 1] for i in range(3)))
        np.testing.assert_array_equal(model(x).array, apart.array)

    def test_mtann_score_and_mixture(self) -> None:
        model = models.create("mtann")
        map = tinymed.randn(2, 1, 11, 13, seed=3)
        weights = np.exp(-((np.arange(11) - 5.0)[:, None] ** 2 + (np.arange(13) - 6.0) ** 2) / 8)
        np.testing.assert_allclose(model.score(map, 2.0).array, (map.array[:, 0] * weights).sum((1, 2)), rtol=1e-5)
        assert np.unravel_index(gaussian(9, 7, 2.0, (2, 5)).argmax(), (9, 7)) == (2, 5)
        mixture = MixtureOfMTANNs(experts=3)
        assert mixture(tinymed.randn(2, 1, 15, 15, seed=3)).shape == (2, 1)
        assert models.count_parameters(mixture) == 3 * 1_661 + 3 * 10 + 10 + 10 + 1

    def test_dcnn_vgg16_predicts_probabilities(self) -> None:
        model = models.create("dcnn_vgg16", width=T, size=32)
        x = tinymed.randn(2, 3, 32, 32, seed=3)
        p = model.predict(x).array
        np.testing.assert_allclose(p, 1 / (1 + np.exp(-model.eval()(x).array)), rtol=1e-5)
