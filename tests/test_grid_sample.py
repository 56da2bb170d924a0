"""grid_sample and affine_grid beside PyTorch: every mode, padding and corner rule, places on every edge, and errors."""

import itertools

import numpy as np
import pytest

import tinymed
from tinymed import check, nn
from tinymed.nn import functional as F

RULES = list(itertools.product(("bilinear", "nearest", "bicubic"), ("zeros", "border", "reflection"), (False, True)))


def places(rank, n, seed=0):
    """Places on whole and half pixels, on the edges, far outside, and anywhere."""
    edges = np.float32([-1, 1, 0, -1.5, 1.5, -3, 7.25, 0.5, -0.5, 1 / 3])
    rng = np.random.default_rng(seed)
    exact = rng.choice(edges, (2, n, *(5, 3)[: rank - 1], rank))
    return np.where(rng.random(exact.shape) < 0.5, exact, rng.uniform(-2.5, 2.5, exact.shape)).astype(np.float32)


@pytest.mark.parametrize(("mode", "padding", "align"), RULES)
def test_as_pytorch_on_every_edge(mode, padding, align, backend_name):
    """Forward at places where rounding decides, in float32: the same pixels as PyTorch's."""
    torch = pytest.importorskip("torch", reason="PyTorch is the oracle: pip install '.[test]'")
    volumes = [] if mode == "bicubic" else [(4, 6, 8), (1, 1, 1), (3, 1, 2)]  # which PyTorch has not
    for shape in [(6, 8), (1, 1), (1, 2), *volumes]:
        rank = len(shape)
        x = np.random.default_rng(1).normal(size=(2, 3, *shape)).astype(np.float32)
        grid = places(rank, 40)
        ours = F.grid_sample(tinymed.tensor(x), tinymed.tensor(grid), mode, padding, align).numpy()
        want = torch.nn.functional.grid_sample(torch.tensor(x), torch.tensor(grid), mode, padding, align).numpy()
        np.testing.assert_allclose(ours, want, rtol=0, atol=2e-5, err_msg=f"{shape}")


@pytest.mark.parametrize("name", ["numba", "emulated"])
def test_bicubic_weights_are_rounded_as_pytorchs(name):
    """Values of hundreds show the weights' last digits: rounded otherwise they lie 3e-4 from PyTorch's."""
    torch = pytest.importorskip("torch", reason="PyTorch is the oracle: pip install '.[test]'")
    rng = np.random.default_rng(3)
    x = rng.uniform(-256, 256, (1, 2, 60, 70)).astype(np.float32)
    grid = rng.uniform(-1.02, 1.02, (1, 90, 80, 2)).astype(np.float32)
    true = torch.nn.functional.grid_sample(torch.tensor(x), torch.tensor(grid), "bicubic", align_corners=False)
    with tinymed.dispatch.use_backend(name):
        y = F.grid_sample(tinymed.tensor(x), tinymed.tensor(grid), "bicubic", align_corners=False)
    np.testing.assert_allclose(y.numpy(), true.numpy(), rtol=0, atol=1e-4)


def test_a_place_that_is_not_a_number_gives_nan(backend_name):
    """And no other place does; nothing outside the memory is read."""
    x = tinymed.ones(1, 2, 4, 4)
    grid = np.zeros((1, 3, 20, 2), np.float32)
    grid[0, 1, 5] = np.nan
    for mode, padding, align in RULES:
        y = F.grid_sample(x, tinymed.tensor(grid), mode, padding, align).numpy()
        wanted = np.zeros(y.shape, bool)
        wanted[:, :, 1, 5] = True
        assert np.array_equal(np.isnan(y), wanted), (mode, padding, align)


def test_gradient_of_the_input_is_exact_for_any_scale(backend_name):
    """Sums of many places on one pixel, of small and of large numbers, and of what is not finite."""
    grid = tinymed.tensor(np.random.default_rng(0).uniform(-1, 1, (1, 30, 30, 2)).astype(np.float32))
    for scale in (1e-30, 1.0, 1e25):
        grads = []
        for dtype in (np.float32, np.float64):
            x = tinymed.tensor(np.zeros((1, 1, 2, 2), dtype), requires_grad=True)
            y = F.grid_sample(x, grid.to(dtype), padding_mode="border")
            weight = np.random.default_rng(1).normal(size=y.shape) * scale
            (y * tinymed.tensor(weight.astype(dtype))).sum().backward()
            grads.append(x.grad.numpy())
        assert check.relative_error(grads[0] / scale, grads[1] / scale) < 2e-5
    x = tinymed.tensor(np.zeros((1, 1, 2, 2), np.float32), requires_grad=True)
    corners = tinymed.tensor(np.float32([[[[-1, -1], [1, -1], [-1, 1], [1, 1], [1, 1]]]]))
    y = F.grid_sample(x, corners, "nearest", "border", True)
    y.backward(tinymed.tensor(np.float32([[[[np.nan, np.inf, 2, np.inf, -np.inf]]]])))
    np.testing.assert_array_equal(x.grad.numpy()[0, 0], np.float32([[np.nan, np.inf], [2, np.nan]]))


@pytest.mark.filterwarnings("ignore:Since version 1.3.0, affine_grid")
@pytest.mark.parametrize("align", [False, True])
@pytest.mark.parametrize("size", [(1, 1, 3, 5), (3, 2, 1, 4), (2, 1, 2, 3, 4)])
def test_affine_grid_as_pytorch(size, align, backend_name):
    """Places and the gradient of the maps."""
    torch = pytest.importorskip("torch", reason="PyTorch is the oracle: pip install '.[test]'")
    rank = len(size) - 2
    theta = np.random.default_rng(0).normal(size=(size[0], rank, rank + 1)).astype(np.float32)
    mine, theirs = tinymed.tensor(theta, requires_grad=True), torch.tensor(theta, requires_grad=True)
    ours, want = F.affine_grid(mine, size, align), torch.nn.functional.affine_grid(theirs, size, align)
    np.testing.assert_allclose(ours.numpy(), want.detach().numpy(), rtol=0, atol=1e-6)
    weight = np.random.default_rng(1).normal(size=want.shape).astype(np.float32)
    (ours * tinymed.tensor(weight)).sum().backward()
    (want * torch.tensor(weight)).sum().backward()
    np.testing.assert_allclose(mine.grad.numpy(), theirs.grad.numpy(), rtol=0, atol=1e-5)


def test_captured_as_eager():
    """A captured step through both gives the same numbers."""
    x = tinymed.tensor(np.random.default_rng(0).normal(size=(2, 1, 6, 7)).astype(np.float32))
    theta = nn.Parameter(tinymed.tensor(np.float32([[[1, 0.1, 0], [0, 0.9, 0.1]]] * 2)))

    def step():
        theta.grad = None
        loss = F.grid_sample(x, F.affine_grid(theta, (2, 1, 6, 7))).square().sum()
        loss.backward()
        return loss

    eager = step().item(), theta.grad.numpy().copy()
    captured = tinymed.capture(step)
    for _ in range(3):
        loss = captured().item()
    assert loss == pytest.approx(eager[0], rel=1e-6)
    np.testing.assert_allclose(theta.grad.numpy(), eager[1], rtol=1e-5)


def test_what_is_not_accepted_is_named():
    image, grid = tinymed.ones(1, 1, 3, 3), tinymed.ones(1, 2, 2, 2)
    volume, places = tinymed.ones(1, 1, 2, 2, 2), tinymed.ones(1, 1, 1, 1, 3)
    for arguments, words in (
        ((image, places), "it takes"),
        ((image, tinymed.ones(2, 2, 2, 2)), "it takes"),
        ((volume, places, "bicubic"), "with 3 axes of space it takes 'bilinear', 'nearest'"),
        ((image, grid, "cubic"), "mode is 'cubic'"),
        ((image, grid, "nearest", "mirror"), "padding_mode is 'mirror'"),
        ((tinymed.ones(1, 1, 0, 3), grid), "only the batch axis may be empty"),
    ):
        with pytest.raises(ValueError, match="grid_sample: ") as error:
            F.grid_sample(*arguments)
        assert words in str(error.value)
    with pytest.raises(TypeError, match="one dtype"):
        F.grid_sample(image, grid.to("float64"))
    for theta, size in (
        (tinymed.ones(1, 2, 3), (1, 1, 4)),
        (tinymed.ones(2, 2, 3), (1, 1, 4, 4)),
        (tinymed.ones(1, 2, 3), (1, 1, 0, 4)),
    ):
        with pytest.raises(ValueError, match="affine_grid: "):
            F.affine_grid(theta, size)


class Warp(nn.Module):
    """A network that samples an image at places made of a second input."""

    def __init__(self, mode, padding):
        super().__init__()
        self.how = mode, padding

    def forward(self, x, theta):
        return F.grid_sample(x, F.affine_grid(theta, (2, 1, 4, 5)), *self.how)


@pytest.mark.parametrize(("mode", "padding", "_"), [r for r in RULES if r[2]])
def test_written_as_onnx(mode, padding, _, tmp_path):
    """ONNX Runtime computes the same."""
    runtime = pytest.importorskip("onnxruntime")
    x = np.random.default_rng(0).normal(size=(2, 1, 6, 7)).astype(np.float32)
    theta = np.float32([[[1.3, 0.1, 0.05], [0.2, 0.9, 0.1]]] * 2)
    path = tmp_path / "warp.onnx"
    export = lambda: tinymed.onnx.export(Warp(mode, padding), (x, theta), path, opset=20, dynamic_batch=False)  # noqa: E731
    if (mode, padding) == ("nearest", "reflection"):
        with pytest.raises(tinymed.errors.UserError, match="rounds before it reflects"):
            export()
        return
    export()
    session = runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    feeds = {i.name: a for i, a in zip(session.get_inputs(), (x, theta), strict=True)}
    want = Warp(mode, padding)(tinymed.tensor(x), tinymed.tensor(theta)).numpy()
    np.testing.assert_allclose(session.run(None, feeds)[0], want, rtol=0, atol=1e-5)


@pytest.mark.parametrize("channels", [1, 2, 3, 7, 8, 17, 33])
@pytest.mark.parametrize("rank", [2, 3])
def test_few_and_many_channels_are_those_of_the_reference(channels, rank):
    """Side by side, by gathers, and place after place: which of them serves depends on the number of channels."""
    rng = np.random.default_rng(channels)
    space, places = ((5, 7), (3, 19)) if rank == 2 else ((4, 5, 3), (2, 3, 7))
    x = rng.standard_normal((2, channels, *space)).astype(np.float32)
    grid = rng.uniform(-1.6, 1.6, (2, *places, rank)).astype(np.float32)
    grid[0, 0, 0] = np.nan
    for mode in ("bilinear", "nearest", "bicubic")[: 5 - rank]:
        for padding in ("zeros", "border", "reflection"):
            found = []
            for backend in ("numpy", "numba"):
                with tinymed.use_backend(backend):
                    image = tinymed.tensor(x, requires_grad=True)
                    y = F.grid_sample(image, tinymed.tensor(grid), mode, padding, False)
                    y.backward(tinymed.tensor(np.nan_to_num(y.numpy())))
                    found.append((y.numpy(), image.grad.numpy()))
            for ours, exact in zip(found[1], found[0], strict=True):
                np.testing.assert_allclose(ours, exact, rtol=1e-5, atol=1e-5, err_msg=f"{mode} {padding}")
