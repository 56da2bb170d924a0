"""GridSample, AffineGrid, RoiAlign and NonMaxSuppression beside ONNX Runtime and PyTorch, with gradients."""

import itertools

import numpy as np
import pytest
from onnx_models import LONG, agree, beside, loaded, model_of, node, ours, runtime

import tinymed
import tinymed.onnx
from tinymed.errors import UserError

MODES = ("linear", "nearest", "cubic")
PADDINGS = ("zeros", "border", "reflection")
RNG = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def reference():
    """The mapping is tested, not the kernels."""
    with tinymed.use_backend("numpy"):
        yield


def picture(rank, seed=0):
    """(N, C, *space) and places far beyond the image."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(2, 3, *(5, 4, 6)[:rank])).astype(np.float32)
    return x, rng.uniform(-2.5, 2.5, (2, *(3, 4, 2)[:rank], rank)).astype(np.float32)


@pytest.mark.parametrize("align", [0, 1])
@pytest.mark.parametrize("padding", PADDINGS)
@pytest.mark.parametrize("mode", MODES)
def test_grid_sample_as_pytorch(mode, padding, align, tmp_path):
    """Values and both gradients in float64, over two and three axes (cubic: two)."""
    torch = pytest.importorskip("torch")
    theirs = {"linear": "bilinear", "cubic": "bicubic"}.get(mode, mode)
    for rank in (2, 3) if mode != "cubic" else (2,):
        x, grid = (a.astype(np.float64) for a in picture(rank))
        one = node("GridSample", "x", "g", mode=mode, padding_mode=padding, align_corners=align)
        module = loaded(tmp_path, model_of([one], {"x": x, "g": grid}, opset=20, kind=11))
        mine = [tinymed.tensor(a, requires_grad=True) for a in (x, grid)]
        others = [torch.tensor(a, requires_grad=True) for a in (x, grid)]
        got = module(*mine)
        want = torch.nn.functional.grid_sample(*others, theirs, padding, bool(align))
        np.testing.assert_allclose(got.numpy(), want.detach().numpy(), rtol=0, atol=1e-12)
        weight = np.random.default_rng(1).normal(size=want.shape)
        (got * tinymed.tensor(weight)).sum().backward()
        (want * torch.tensor(weight)).sum().backward()
        np.testing.assert_allclose(mine[0].grad.numpy(), others[0].grad.numpy(), rtol=0, atol=1e-12)
        if mode != "nearest":
            np.testing.assert_allclose(mine[1].grad.numpy(), others[1].grad.numpy(), rtol=0, atol=1e-10)


@pytest.mark.parametrize("opset", [16, 20])
def test_grid_sample_as_onnx_runtime(opset, tmp_path):
    names = MODES if opset == 20 else ("bilinear", "nearest", "bicubic")
    x, grid = picture(2)
    for mode, padding, align in itertools.product(names, PADDINGS, (0, 1)):
        one = node("GridSample", "x", "g", mode=mode, padding_mode=padding, align_corners=align)
        beside(tmp_path, model_of([one], {"x": x, "g": grid}, opset=opset), x, grid)


def test_places_that_are_no_numbers(tmp_path):
    """NaN and infinite places read nothing outside the memory."""
    x, grid = picture(2)
    grid[0, 0] = np.nan
    grid[1, 0] = np.inf
    for mode, padding in itertools.product(MODES, PADDINGS):
        one = node("GridSample", "x", "g", mode=mode, padding_mode=padding)
        got = ours(loaded(tmp_path, model_of([one], {"x": x, "g": grid}, opset=20)), x, grid)[0]
        assert np.isfinite(got[:, :, 1:]).all()


@pytest.mark.parametrize("align", [0, 1])
@pytest.mark.parametrize("rank", [2, 3])
def test_affine_grid_as_pytorch(rank, align, tmp_path):
    torch = pytest.importorskip("torch")
    theta = RNG.normal(size=(2, rank, rank + 1)).astype(np.float32)
    size = np.array([2, 3, 4, 5, 6][: rank + 2], LONG)
    one = node("AffineGrid", "t", "s", align_corners=align)
    module = loaded(tmp_path, model_of([one], {"t": theta}, initialisers={"s": size}, opset=20))
    want = torch.nn.functional.affine_grid(torch.tensor(theta), size.tolist(), bool(align)).numpy()
    agree(ours(module, theta), [want])
    turned = tinymed.tensor(theta, requires_grad=True)
    module(turned).sum().backward()
    assert np.abs(turned.grad.numpy()).max() > 0


@pytest.mark.parametrize("mode", ["avg", "max"])
@pytest.mark.parametrize("ratio", [0, 1, 2])
@pytest.mark.parametrize("opset", [10, 16])
def test_roi_align(mode, ratio, opset, tmp_path):
    x = RNG.normal(size=(2, 3, 9, 11)).astype(np.float32)
    rois = np.array([[1, 2, 9, 14], [-3, -2, 6, 5], [10, 10, 30, 30], [4, 4, 4, 4]], np.float32)
    arrays = {"r": rois, "b": np.array([1, 0, 1, 0], LONG)}
    settings = {"mode": mode, "sampling_ratio": ratio, "output_height": 3, "output_width": 2, "spatial_scale": 0.6}
    named = [{}] if opset == 10 else [{}, {"coordinate_transformation_mode": "output_half_pixel"}]
    for more in named:
        one = node("RoiAlign", "x", "r", "b", **settings, **more)
        module = beside(tmp_path, model_of([one], {"x": x}, initialisers=arrays, opset=opset), x)
        leaf = tinymed.tensor(x, requires_grad=True)
        module(leaf).sum().backward()
        if mode == "avg":  # a share of each pixel: the gradient is the same whatever the values
            again = tinymed.tensor(2 * x, requires_grad=True)
            module(again).sum().backward()
            np.testing.assert_array_equal(leaf.grad.numpy(), again.grad.numpy())


@pytest.mark.parametrize("centred", [0, 1])
@pytest.mark.parametrize("seed", range(4))
def test_non_max_suppression(seed, centred, tmp_path):
    rng = np.random.default_rng(seed)
    boxes = rng.uniform(0, 1, (2, 40, 4)).astype(np.float32)
    scores = rng.uniform(0, 1, (2, 3, 40)).astype(np.float32)
    scores[:, :, ::5] = 0.5  # ties: the first box comes first
    settings = [("m", np.array([7], LONG)), ("o", np.float32([0.3])), ("s", np.float32([0.2]))]
    for count in range(1, 4):
        names = [n for n, _ in settings[:count]]
        one = node("NonMaxSuppression", "b", "c", *names, center_point_box=centred)
        model = model_of([one], {"b": boxes, "c": scores}, initialisers=dict(settings[:count]), opset=11, kind=7)
        agree(ours(loaded(tmp_path, model), boxes, scores), runtime(model, boxes, scores))


def test_no_boxes_unless_asked_for(tmp_path):
    boxes, scores = np.ones((1, 3, 4), np.float32), np.ones((1, 1, 3), np.float32)
    model = model_of([node("NonMaxSuppression", "b", "c")], {"b": boxes, "c": scores}, opset=11, kind=7)
    assert ours(loaded(tmp_path, model), boxes, scores)[0].shape == (0, 3)


def test_refusals(tmp_path):
    x, grid = picture(2)
    for one, words in (
        (node("GridSample", "x", "g", mode="spline"), "mode 'spline'"),
        (node("GridSample", "x", "g", padding_mode="mirror"), "padding_mode 'mirror'"),
    ):
        with pytest.raises(UserError, match=words):
            loaded(tmp_path, model_of([one], {"x": x, "g": grid}, opset=20))(x, grid)
    with pytest.raises(UserError, match="it takes"):
        loaded(tmp_path, model_of([node("GridSample", "x", "g")], {"x": x, "g": grid[:1]}, opset=20))(x, grid[:1])
