"""Explanations against PyTorch on the same weights, and the properties that their papers prove."""

import numpy as np
import pytest

import tinymed
from tinymed import Tensor, models, nn, tasks
from tinymed.errors import UserError
from tinymed.explain import (
    METHODS,
    Settings,
    choose_layer,
    explain,
    feature_grid,
    filter_grid,
    grad_cam,
    guided_backprop,
    hires_cam,
    integrated_gradients,
    occlusion,
    overlay,
    panel,
    randomisation,
    rank_correlation,
    serving,
    spatial_layers,
)
from tinymed.models.summary import input_shapes
from tinymed.nn.init import no_weights

torch = pytest.importorskip("torch", reason="PyTorch is the oracle: pip install '.[test]'")
from beside_torch import seeded  # noqa: E402
from test_models_classification import CASES  # noqa: E402

CLASSIFIERS = [
    name for name, case in CASES.items() if not case[0].startswith("fc") and case[0] not in ("triplanar", "mtann")
]
QUICK = ("resnet20", "zhang2015", "kumar_cnn3")
CASES_HERE = [case if case in QUICK else pytest.param(case, marks=pytest.mark.full) for case in CLASSIFIERS]
STEPS = Settings(steps=5, batch=3)


@pytest.fixture(autouse=True)
def reference_backend():
    """Float64 on the reference kernels."""
    with tinymed.use_backend("numpy"):
        yield


def doubled(model):
    """The model in float64 and evaluation mode."""
    return model.to(np.float64).eval()


# ----------------------------------------------------------------------------------------------- beside PyTorch


class GuidedReLU(torch.autograd.Function):
    """max(0, x), whose backward passes only positive gradients of positive inputs."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x.clamp(min=0)

    @staticmethod
    def backward(ctx, dy):
        (x,) = ctx.saved_tensors
        return dy.clamp(min=0) * (x > 0)


def torch_cams(net, layer, x, target):
    """The three maps of one layer, by a hook."""
    kept = {}
    handle = dict(net.named_modules())[layer].register_forward_hook(lambda m, a, out: kept.update(a=out))
    score = net(x)[:, target].sum()
    handle.remove()
    (g,) = torch.autograd.grad(score, kept["a"])
    a, axes = kept["a"].detach(), tuple(range(2, g.ndim))
    below = 2 * g**2 + g**3 * a.sum(axes, keepdim=True)
    share = torch.where(below == 0, 0.0, g**2 / torch.where(below == 0, 1.0, below))
    weights = {
        "grad_cam": g.mean(axes, keepdim=True),
        "grad_cam_plus_plus": (share * g.clamp(min=0)).sum(axes, keepdim=True),
        "hires_cam": g,
    }
    mode = "bilinear" if x.ndim == 4 else "trilinear"

    def drawn(w):
        heat = (w * a).sum(1, keepdim=True).clamp(min=0)
        return torch.nn.functional.interpolate(heat, size=x.shape[2:], mode=mode, align_corners=False)[:, 0]

    return {name: drawn(w).numpy() for name, w in weights.items()}


def torch_gradient(net, x, target):
    x = x.clone().requires_grad_()
    return torch.autograd.grad(net(x)[:, target].sum(), x)[0]


def torch_integrated(net, x, target, steps):
    points, weights = np.polynomial.legendre.leggauss(steps)
    parts = [w / 2 * torch_gradient(net, (p + 1) / 2 * x, target) for p, w in zip(points, weights, strict=True)]
    return (x * sum(parts)).numpy()


@pytest.mark.parametrize("case", CASES_HERE)
def test_maps_of_the_networks_are_torchs(case, monkeypatch, rng):
    name, options, twin, image = CASES[case]
    model = doubled(seeded(lambda: models.create(name, **options)))
    net = twin().double().eval()
    net.load_state_dict({n: torch.tensor(t.numpy()) for n, t in model.state_dict().items()}, strict=False)
    shared = dict(net.named_modules())
    layer = [found.name for found in spatial_layers(model, image) if found.name in shared][-1]
    x = rng.uniform(size=(2, *image))
    theirs = torch.tensor(x)
    for method, heat in torch_cams(net, layer, theirs, 1).items():
        ours, _ = METHODS[method].compute(model, Tensor(x), 1, Settings(layer=layer))
        np.testing.assert_allclose(ours, heat, rtol=1e-8, atol=1e-10 * max(1, heat.max()), err_msg=method)
    found, _ = integrated_gradients(model, x, 1, Settings(steps=3))
    wanted = torch_integrated(net, theirs, 1, 3)
    np.testing.assert_allclose(found, wanted, rtol=1e-8, atol=1e-9 * max(1e-3, abs(wanted).max()))

    monkeypatch.setattr(torch.nn.functional, "relu", lambda v, inplace=False: GuidedReLU.apply(v))
    monkeypatch.setattr(torch, "relu", GuidedReLU.apply)
    guided = torch_gradient(net, theirs, 1).numpy()
    np.testing.assert_allclose(guided_backprop(model, x, 1), guided, rtol=1e-8, atol=1e-12)


def volumes(xp, sequential, conv, relu, flatten, linear, pool):
    """A small network of volumes, by either library's layers."""
    return sequential(conv(2, 4, 3, padding=1), relu(), pool(2), conv(4, 5, 3), relu(), flatten(), linear(5 * 4, 3))


@pytest.fixture
def volume_pair():
    """(ours, PyTorch's) with the same weights, in float64."""
    ours, theirs = (
        volumes(p, m.Sequential, m.Conv3d, m.ReLU, m.Flatten, m.Linear, m.MaxPool3d)
        for p, m in ((tinymed, nn), (torch, torch.nn))
    )
    ours = doubled(ours)
    theirs.double().load_state_dict({n: torch.tensor(t.numpy()) for n, t in ours.state_dict().items()})
    return ours, theirs.eval()


def test_maps_of_volumes_are_torchs(volume_pair, rng):
    ours, theirs = volume_pair
    x = rng.normal(size=(2, 2, 6, 8, 8))
    for method, heat in torch_cams(theirs, "4", torch.tensor(x), 2).items():
        found, _ = METHODS[method].compute(ours, x, 2, Settings(layer="4"))
        np.testing.assert_allclose(found, heat, rtol=1e-8, atol=1e-12, err_msg=method)
    found, gap = integrated_gradients(ours, x, 2, STEPS)
    np.testing.assert_allclose(found, torch_integrated(theirs, torch.tensor(x), 2, 5), rtol=1e-8, atol=1e-12)
    assert gap.shape == (2,)


def test_occlusion_is_the_fall_that_torch_sees(volume_pair, rng):
    ours, theirs = volume_pair
    x = rng.normal(size=(1, 2, 6, 8, 8))
    found = occlusion(ours, x, 1, Settings(window=3, stride=2, baseline=0.5, batch=7))[0]
    total, count = np.zeros(x.shape[2:]), np.zeros(x.shape[2:])
    with torch.no_grad():
        whole = theirs(torch.tensor(x))[0, 1]
        for d in (0, 2, 3):
            for h in (0, 2, 4, 5):
                for w in (0, 2, 4, 5):
                    place = np.s_[d : d + 3, h : h + 3, w : w + 3]
                    covered = x.copy()
                    covered[(0, slice(None), *place)] = 0.5
                    total[place] += (whole - theirs(torch.tensor(covered))[0, 1]).item()
                    count[place] += 1
    np.testing.assert_allclose(found, total / count, rtol=1e-8, atol=1e-12)


# ----------------------------------------------------------------------------------------------------- properties


def test_integrated_gradients_add_up_to_the_difference(rng):
    model = doubled(seeded(lambda: models.create("lenet5_modern", activation="tanh")))
    x, start = rng.uniform(size=(2, 1, 32, 32)), rng.uniform(size=(1, 32, 32))
    found, gap = integrated_gradients(model, x, 4, Settings(baseline=start, steps=48))
    difference = model(Tensor(x)).numpy()[:, 4] - model(Tensor(start[None])).numpy()[0, 4]
    np.testing.assert_allclose(found.sum(axis=(1, 2, 3)), difference, atol=1e-9)
    assert np.abs(gap).max() < 1e-9


@pytest.mark.parametrize("shape", [(2, 7, 9), (1, 4, 5, 6)])
def test_occlusion_of_a_linear_model_is_exact(shape, rng):
    model = doubled(nn.Sequential(nn.Flatten(), nn.Linear(int(np.prod(shape)), 3)))
    weight = model[1].weight.numpy()[1].reshape(shape)
    x, start = rng.normal(size=(2, *shape)), rng.normal(size=shape)
    found = occlusion(model, x, 1, Settings(window=1, baseline=start))
    np.testing.assert_allclose(found, (weight * (x - start)).sum(axis=1), atol=1e-12)
    attributed, gap = integrated_gradients(model, x, 1, Settings(baseline=start, steps=1))
    np.testing.assert_allclose(attributed, weight * (x - start), atol=1e-12)
    assert np.abs(gap).max() < 1e-10


def test_hires_cam_is_grad_cam_where_gradients_are_constant(rng):
    """Global average pooling and one linear layer after the maps: then it is also the class activation map."""
    tail = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 4)]
    model = doubled(nn.Sequential(nn.Conv2d(3, 6, 3, padding=1), nn.ReLU(), *tail))
    x = rng.normal(size=(2, 3, 8, 10))
    np.testing.assert_allclose(hires_cam(model, x, 2, "1"), grad_cam(model, x, 2, "1"), atol=1e-12)
    maps, weight = model[1](model[0](Tensor(x))).numpy(), model[4].weight.numpy()[2]
    plain = np.maximum(np.einsum("nchw,c->nhw", maps, weight) / 80, 0)
    np.testing.assert_allclose(grad_cam(model, x, 2, "1"), plain, atol=1e-12)


def test_hires_cam_is_what_each_place_adds_before_a_linear_layer(rng):
    model = doubled(nn.Sequential(nn.Conv2d(2, 3, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(3 * 5 * 6, 2)))
    x = rng.normal(size=(1, 2, 5, 6))
    maps, weight = model[1](model[0](Tensor(x))).numpy()[0], model[3].weight.numpy()[1].reshape(3, 5, 6)
    np.testing.assert_allclose(hires_cam(model, x, 1, "1")[0], np.maximum((maps * weight).sum(0), 0), atol=1e-12)


def test_rank_correlation_is_scipys(rng):
    scipy_stats = pytest.importorskip("scipy.stats")
    a, b = rng.integers(0, 5, (2, 40))
    assert rank_correlation(a, b) == pytest.approx(scipy_stats.spearmanr(a, b).statistic, abs=1e-12)
    assert rank_correlation(np.ones(4), np.arange(4)) is None


# -------------------------------------------------------------------------------------------- networks and layers


def networks_of_rows():
    """The registry's networks of one input that give one row of outputs for each image."""
    from tinymed.tasks.base.network import default_networks

    return [name for name, _, outputs in default_networks() if len(outputs) == 1 and len(outputs[0]) == 2]


@pytest.mark.full
def test_every_classifier_of_the_registry_has_a_layer_or_says_so():
    found = networks_of_rows()
    assert set(tasks.find("classification").networks(3)) <= set(found)
    without = []
    for name in found:
        with no_weights():
            model = models.create(name)
        (shape,) = input_shapes(models.entry(name).input)
        layers = {layer.name: layer for layer in spatial_layers(model, shape)}
        if not layers:
            without.append(name)
            continue
        chosen = layers[choose_layer(model, shape)]
        assert min(chosen.space) >= 4, f"{name}: {chosen}"
    assert without == ["mlp"]


@pytest.mark.parametrize("name", ["lenet5", "zhang2015", "cnn_bigru", "kumar_cnn3", "triplanar"])
@pytest.mark.parametrize("method", METHODS)
def test_every_method_serves_small_networks(name, method, rng):
    options = {"width": 0.125} if "width" in models.entry(name).options else {}
    model = seeded(lambda: models.create(name, **options))
    (shape,) = input_shapes(models.entry(name).input)
    if method == "guided_backprop" and name == "lenet5":
        with pytest.raises(UserError, match="has none"):
            explain(model, rng.uniform(size=(1, *shape)), method)
        return
    settings = Settings(steps=3, window=min(shape[1:]) // 2)
    found = explain(model, rng.uniform(size=(1, *shape)), method, 1, settings)
    assert found.heat.shape == shape[1:]
    assert np.isfinite(found.heat).all()
    assert bool(found.layer) == METHODS[method].of_layer


def test_what_serves_a_network_is_told_from_its_shapes():
    assert serving(models.create("dcnn"), (3, 50, 50)) == list(METHODS)
    assert serving(models.create("lenet5"), (1, 32, 32)) == [name for name in METHODS if name != "guided_backprop"]


def test_the_network_is_left_as_it_was(rng):
    model = seeded(lambda: models.create("dcnn", size=46))
    before = {name: t.numpy().copy() for name, t in model.state_dict().items()}
    x = rng.uniform(size=(1, 3, 46, 46))
    for method in METHODS:
        explain(model, x, method, 0, Settings(steps=2, window=23))
    randomisation(model, x, "grad_cam", 0)
    assert model.training
    assert all(p.grad is None for p in model.parameters())
    for name, t in model.state_dict().items():
        np.testing.assert_array_equal(t.numpy(), before[name], err_msg=name)


def test_frozen_weights_and_an_inplace_relu_change_nothing(rng):
    layers = [nn.Conv2d(1, 3, 3), nn.ReLU(), nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 16, 2)]
    model = doubled(nn.Sequential(*layers))
    x = rng.normal(size=(1, 1, 8, 8))
    before = {m: explain(model, x, m, 1, Settings(layer="3" if METHODS[m].of_layer else None)).heat for m in METHODS}
    for p in model.parameters():
        p.requires_grad = False
    model[1].inplace = model[3].inplace = True
    for m in METHODS:
        again = explain(model, x, m, 1, Settings(layer="3" if METHODS[m].of_layer else None)).heat
        np.testing.assert_allclose(again, before[m], atol=1e-12, err_msg=m)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m, x: explain(m, x, "saliency"), "choose one of grad_cam"),
        (lambda m, x: explain(m, x, "grad_cam", 9), "has 2 outputs, 0 to 1"),
        (lambda m, x: explain(m, x, "occlusion", -1), "has 2 outputs"),
        (lambda m, x: explain(m, x, "grad_cam", 0, Settings(layer="feature.13")), "did you mean features.13.*of feat"),
        (lambda m, x: explain(m, x, "occlusion", 0, Settings(layer="features.0")), "has no layer"),
        (lambda m, x: explain(m, x, "occlusion", 0, Settings(window=99)), "covers 1 to 46"),
        (lambda m, x: explain(m, x, "occlusion", 0, Settings(window=4, stride=5)), "gaps remain"),
        (lambda m, x: explain(m, x, "integrated_gradients", 0, Settings(steps=0)), "at least 1"),
        (lambda m, x: explain(m, x, "integrated_gradients", 0, Settings(baseline=np.ones(7))), "does not fit"),
        (lambda m, x: explain(m, x[0]), "one image"),
        (lambda m, x: explain(models.create("conv_autoencoder"), x[:, :1, :32, :32]), "not one of pictures"),
        (lambda m, x: explain(models.create("mlp"), x[:, :1, :28, :28]), "no layer of this network"),
        (lambda m, x: filter_grid(m, "classifier.0"), "no such convolution"),
        (lambda m, x: filter_grid(nn.Sequential(nn.Linear(12, 2))), "it has none"),
        (lambda m, x: feature_grid(m, x, "nothing"), "there is no such layer"),
    ],
)
def test_what_cannot_be_explained_is_said(call, message, rng):
    model = models.create("dcnn", size=46)
    with pytest.raises(UserError, match=message):
        call(model, rng.uniform(size=(1, 3, 46, 46)))


# ------------------------------------------------------------------------------------------- sanity and pictures


def test_randomisation_tells_a_map_of_what_was_learnt_from_one_that_is_not(rng):
    """A linear model's attribution is its weights; where every weight is drawn anew nothing is left of it."""
    model = doubled(nn.Sequential(nn.Flatten(), nn.Linear(400, 2)))
    x = rng.uniform(0.5, 1, size=(1, 1, 20, 20))
    (row,) = randomisation(model, x, "integrated_gradients", 1)
    assert row.layer == "1"
    assert abs(row.correlation) < 0.3
    assert row.similarity < 0.5
    with tinymed.no_grad():  # all alike: drawn anew from a normal distribution of no width
        model[1].weight.copy_(Tensor(np.ones((2, 400))))
    (row,) = randomisation(model, x, "integrated_gradients", 1)
    assert row.correlation == pytest.approx(1)
    assert row.similarity == pytest.approx(1)


def test_layers_are_randomised_from_the_output_down(rng):
    model = seeded(lambda: models.create("resnet20", width=0.25, depth=8))
    rows = randomisation(model, rng.uniform(size=(1, 3, 16, 16)), "hires_cam", 2)
    assert rows[0].layer == "fc"
    assert rows[-1].layer == "conv1"
    assert len(rows) == sum(1 for m in model.modules() if any(p is not None for p in m._parameters.values()))


def test_an_overlay_covers_where_the_map_is_large():
    pixels = np.full((6, 6, 3), 100, np.uint8)
    heat = np.zeros((6, 6))
    heat[2, 3] = 4
    shown = overlay(pixels, heat)
    assert (shown[heat == 0] == 100).all()
    assert (shown[2, 3] != 100).any()
    signed = overlay(pixels, heat - 4 * np.eye(6))
    assert signed[2, 3, 0] > signed[2, 3, 2]  # red speaks for
    assert signed[0, 0, 0] < signed[0, 0, 2]  # blue against
    with pytest.raises(ValueError, match="does not lie over"):
        overlay(pixels, heat[:3])


def test_a_volume_shows_the_slice_that_holds_the_most():
    pixels = np.zeros((4, 5, 6, 1), np.uint8)
    pixels[2] = 200
    heat = np.zeros((4, 5, 6))
    heat[2, 1, 1] = 1
    assert (overlay(pixels, heat)[3] == 200).all()
    assert panel(pixels, [heat], side=10).shape == (10, 12 + 6 + 12, 3)


def test_filters_are_stretched_one_by_one():
    model = nn.Sequential(nn.Conv2d(3, 4, 5), nn.ReLU(), nn.Conv2d(4, 2, 3))
    assert filter_grid(model).shape == (2 * 25 + 2, 2 * 25 + 2, 3)
    assert {int(filter_grid(model, "2").min()), int(filter_grid(model, "2").max())} == {0, 255}
    shown = feature_grid(model, np.random.default_rng(0).normal(size=(1, 3, 12, 12)), "2")
    assert shown.shape == (24, 24 * 2 + 2, 3)


def test_weights_of_a_dense_layer_that_sees_the_image_are_drawn_as_images():
    model = models.create("sae", size=6, hidden="9,3")
    first = next(m for m in model.modules() if isinstance(m, nn.Linear))
    with tinymed.no_grad():
        first.weight.copy_(tinymed.tensor(np.tile(np.arange(36, dtype=np.float32), (9, 1))))
    drawn = filter_grid(model)
    small = drawn[:24, :24, 0]  # enlarged four times
    np.testing.assert_array_equal(small[::4, ::4], np.round(np.arange(36).reshape(6, 6) / 35 * 255))
    assert drawn.shape == (3 * 26 - 2, 3 * 26 - 2, 3)
    behind = nn.Sequential(nn.Conv2d(1, 1, 1), nn.Flatten(), nn.Linear(36, 5))
    assert filter_grid(behind, None, (1, 6, 6)).shape[:2] == (24, 24)  # the convolution's
    with pytest.raises(UserError, match="there are 0"):
        filter_grid(behind, "2", (1, 6, 6))
