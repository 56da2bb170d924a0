"""What the class of one place of an image rests on: networks that see patches, asked with --at.

Each map is that of a plain PyTorch network with the same weights, on a window that the test cuts out by itself.
"""

import json

import nibabel
import numpy as np
import pytest
from commands import invoke
from masks import mask_tree, volume_tree
from PIL import Image

from tinymed import Tensor, nn, tasks
from tinymed.cli.start_run import config_from_options, open_sets, with_data_fields
from tinymed.data.masks import read_case
from tinymed.dispatch import use_backend
from tinymed.errors import UserError
from tinymed.explain import METHODS, OnePlace, Settings, choose_layer, explain
from tinymed.models import create

torch = pytest.importorskip("torch", reason="PyTorch is the oracle: pip install '.[test]'")
import torch_segmentation as theirs  # noqa: E402
from test_explain import GuidedReLU, torch_cams, torch_gradient, torch_integrated  # noqa: E402

SEGMENTATION = tasks.find("segmentation")
STEPS = Settings(steps=3)


@pytest.fixture(autouse=True)
def reference():
    """Nothing is compiled."""
    with use_backend("numpy"):
        yield


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    return mask_tree(tmp_path_factory.mktemp("pictures"), 8, (70, 81))


@pytest.fixture(scope="module")
def volumes(tmp_path_factory):
    """Volumes whose files lie in different orders: every second is stored from right to left."""
    return volume_tree(tmp_path_factory.mktemp("volumes"), 8)


def untrained(data, model, options=(), **more):
    """(configuration of a run that segments, its network)."""
    given = {"task": "segmentation", "data": str(data), "model": model, "option": list(options), "batch": 2}
    given |= {"backend": "numpy", "workers": 0, **more}
    config = config_from_options(given)
    config, _ = with_data_fields(config, open_sets(config, given), given)
    return config, SEGMENTATION.make_model(config).eval()


def with_weights_of(twin, network):
    """The PyTorch network with our weights; both are in float64 from then on."""
    network.double()
    twin = twin.double().eval()
    state = {name: torch.tensor(t.numpy()) for name, t in network.state_dict().items()}
    missing, unexpected = twin.load_state_dict(state, strict=False)
    assert not missing
    assert all("num_batches" in name for name in unexpected)
    return twin


def assert_maps_are_torchs(view, twin, layer_prefix, monkeypatch, target=1):
    """Every map of a view, but occlusion's, is that of a PyTorch network of one row of outputs."""
    image = view.image.astype(np.float64)
    theirs_image = torch.tensor(image)
    layer = choose_layer(view.model, image.shape[1:])
    for method, heat in torch_cams(twin, layer_prefix + layer, theirs_image, target).items():
        ours, _ = METHODS[method].compute(view.model, image, target, Settings(layer=layer))
        np.testing.assert_allclose(ours, heat, rtol=1e-7, atol=1e-9 * max(1e-3, heat.max()), err_msg=method)
        assert explain(view.model, image, method, target, Settings(layer=layer)).heat.shape == image.shape[2:]
    ours, _ = METHODS["integrated_gradients"].compute(view.model, image, target, STEPS)
    wanted = torch_integrated(twin, theirs_image, target, 3).sum(axis=1)
    np.testing.assert_allclose(ours, wanted, rtol=1e-7, atol=1e-9 * max(1e-3, abs(wanted).max()))
    with monkeypatch.context() as patched:
        patched.setattr(torch.nn.functional, "relu", lambda v, inplace=False: GuidedReLU.apply(v))
        patched.setattr(torch, "relu", GuidedReLU.apply)
        wanted = torch_gradient(twin, theirs_image, target).abs().amax(1).numpy()
    ours, _ = METHODS["guided_backprop"].compute(view.model, image, target, STEPS)
    np.testing.assert_allclose(ours, wanted, rtol=1e-7, atol=1e-12)


def about(values, place, side):
    """The square of side `side` about a place of an array [channels, rows, columns], mirrored beyond its borders."""
    before, after = (side - 1) // 2, side // 2
    padded = np.pad(values, ((0, 0), (before, after), (before, after)), mode="reflect")
    return padded[:, place[0] : place[0] + side, place[1] : place[1] + side]


# ------------------------------------------------------------------------------------------- the middle of a patch


class Ciresan(torch.nn.Module):
    """Network N4 of an eighth of the width."""

    def __init__(self):
        super().__init__()
        convolutions = [torch.nn.Conv2d(6 if i else 1, 6, k) for i, k in enumerate((4, 5, 4, 4))]
        parts = [part for c in convolutions for part in (c, torch.nn.ReLU(), torch.nn.MaxPool2d(2))]
        self.features = torch.nn.Sequential(*parts)
        self.classifier = torch.nn.Sequential(
            torch.nn.Flatten(), torch.nn.Linear(6, 24), torch.nn.ReLU(), torch.nn.Linear(24, 2)
        )

    def forward(self, x):
        return self.classifier(self.features(x))


@pytest.mark.parametrize("place", [(0, 0), (33, 40), (69, 80)])
def test_the_middle_of_a_patch_of_a_picture(pictures, place, monkeypatch):
    config, network = untrained(pictures, "ciresan_n4", ["width=0.125"], size=63)
    path = pictures / "images" / "03.png"
    (view,) = SEGMENTATION.views(config, network, path, place)
    pixels = np.asarray(Image.open(path), np.float64)[None]
    data = config.data
    normal = (pixels / 255 - np.array(data.mean or 0.0)) / np.array(data.std or 1.0)
    np.testing.assert_allclose(view.image[0], about(normal, place, 63), atol=1e-5)
    np.testing.assert_array_equal(view.pixels[..., 0], about(pixels, place, 63)[0])
    assert view.around.at == place
    assert view.around.inside[place]
    scores = SEGMENTATION.predictor(config, network)(read_case([path]), "a")[:, place[0], place[1]]
    output = network(Tensor(view.image)).array[0]
    np.testing.assert_allclose(scores, np.exp(output) / np.exp(output).sum(), rtol=1e-4)
    assert_maps_are_torchs(view, with_weights_of(Ciresan(), network), "", monkeypatch)


class Triplanar(torch.nn.Module):
    """The network of three planes of a quarter of the width."""

    def __init__(self):
        super().__init__()
        t = torch.nn
        self.planes = t.ModuleList(
            t.Sequential(
                *(t.Conv2d(1, 8, 5), t.ReLU(), t.AvgPool2d(2)),
                *(t.Conv2d(8, 16, 5), t.ReLU(), t.AvgPool2d(2), t.Flatten()),
            )
            for _ in range(3)
        )
        self.classifier = t.Linear(3 * 16 * 16, 3)

    def forward(self, x):
        return self.classifier(torch.cat([see(x[:, i : i + 1]) for i, see in enumerate(self.planes)], 1))


class OnePlane(torch.nn.Module):
    """A network of three planes as a function of one."""

    def __init__(self, net, image, plane):
        super().__init__()
        self.net, self.image, self.plane = net, image, plane

    def forward(self, x):
        parts = list(self.image.expand(len(x), -1, -1, -1).split(1, 1))
        parts[self.plane] = x
        return self.net(torch.cat(parts, 1))


def in_ras(path):
    """The voxels of a file from left to right, back to front, foot to head."""
    return np.asarray(nibabel.as_closest_canonical(nibabel.load(path)).dataobj, np.float64)


@pytest.mark.parametrize("case", [2, 3])
def test_the_middle_of_three_planes(volumes, case, monkeypatch):
    """The place is the voxel of the file, whichever way it is stored; each plane has a map of its own."""
    config, network = untrained(volumes, "triplanar", ["width=0.25"])
    path, place = volumes / "images" / f"case{case}.nii.gz", (1, 9, 3)
    views = SEGMENTATION.views(config, network, path, place)
    voxels = in_ras(path)
    x, y, z = (voxels.shape[0] - 1 - place[0] if case % 2 else place[0]), *place[1:]
    assert voxels[x, y, z] == np.asarray(nibabel.load(path).dataobj)[place]
    normal = ((voxels - voxels.mean()) / voxels.std())[None]
    squares = [about(normal[..., z], (x, y), 28), about(normal[:, x], (y, z), 28)]
    squares.append(about(normal[:, :, y].transpose(0, 2, 1), (z, x), 28))
    scores = SEGMENTATION.predictor(config, network)(voxels[..., None].astype(np.float32), "a")[:, x, y, z]
    output = network(Tensor(np.stack(squares, 1).astype(np.float32))).array[0]
    np.testing.assert_allclose(scores, np.exp(output) / np.exp(output).sum(), rtol=1e-4)
    twin = with_weights_of(Triplanar(), network)
    assert [view.plane for view in views] == ["xy", "yz", "zx"]
    for number, view in enumerate(views):
        np.testing.assert_allclose(view.image[0], squares[number], atol=1e-4)
        row, column = view.around.at
        assert view.around.pixels[row, column, 0] == voxels[x, y, z]
        assert choose_layer(view.model, view.image.shape[1:]) == f"planes.{number}.5"
        seen = torch.tensor(np.concatenate([v.image for v in views], 1).astype(np.float64))
        assert_maps_are_torchs(view, OnePlane(twin, seen, number), "net.", monkeypatch, target=2)


# --------------------------------------------------------------------------------------------------------- patches


class AtOnePlace(torch.nn.Module):
    """A network of scores in space as one of the scores at one place."""

    def __init__(self, net, index):
        super().__init__()
        self.net, self.index = net, index

    def forward(self, x):
        return self.net(x)[(slice(None), slice(None), *self.index)]


def test_a_patch_of_a_volume(volumes, monkeypatch):
    """Volumes of 12 x 14 x 10 voxels lie in the middle of a patch of 16, mirrored about them."""
    config, network = untrained(volumes, "unet3d", ["base=2", "padding=same"], patch="16")
    path, place = volumes / "images" / "case3.nii.gz", (1, 9, 3)
    (view,) = SEGMENTATION.views(config, network, path, place)
    voxels = in_ras(path)
    x, y, z = 10, 9, 3  # the file is stored from right to left
    padded = np.pad(voxels, ((2, 2), (1, 1), (3, 3)), mode="reflect")
    np.testing.assert_allclose(view.image[0, 0], (padded - voxels.mean()) / voxels.std(), atol=1e-4)
    np.testing.assert_array_equal(view.pixels[..., 0], padded[:, :, z + 3].T[::-1])
    np.testing.assert_array_equal(view.around.pixels[..., 0], voxels[:, :, z].T[::-1])
    assert view.around.at == (13 - y, x)
    assert view.around.inside.all()
    twin = AtOnePlace(with_weights_of(theirs.UNet3d(3, 1, 2, True), network), (x + 2, y + 1, z + 3))
    assert_maps_are_torchs(view, twin, "net.", monkeypatch)


def test_a_patch_of_a_picture_stays_inside(pictures):
    config, network = untrained(pictures, "unet_small", ["base=4", "depth=2"], patch="32")
    path = pictures / "images" / "03.png"
    pixels = np.asarray(Image.open(path))
    for place, corner in (((2, 3), (0, 0)), ((35, 40), (19, 24)), ((69, 80), (38, 49))):
        (view,) = SEGMENTATION.views(config, network, path, place)
        (row, column), (top, left) = place, corner
        np.testing.assert_array_equal(view.pixels[..., 0], pixels[top : top + 32, left : left + 32])
        assert list(view.model.index) == [row - top, column - left]
        assert np.argwhere(view.around.inside)[[0, -1]].tolist() == [[top, left], [top + 31, left + 31]]


def test_the_pixel_of_a_whole_picture(pictures):
    config, network = untrained(pictures, "unet_small", ["base=4", "depth=2"], size=32)
    (view,) = SEGMENTATION.views(config, network, pictures / "images" / "03.png", (35, 79))
    assert view.image.shape == (1, 1, 32, 32)
    scores = network(Tensor(view.image)).array[0]
    np.testing.assert_array_equal(view.model(view.image).array[0], scores[:, 16, 31])


@pytest.mark.filterwarnings("ignore::tinymed.nn.norm.StatisticsWarning")
def test_the_slice_of_a_volume(volumes):
    """A network that answers for slices across the first axis is asked about the slice of the voxel."""
    config, network = untrained(volumes, "cnn_bigru", labels="0=none,1=ball,2=ball")
    (view,) = SEGMENTATION.views(config, network, volumes / "images" / "case2.nii.gz", (4, 9, 3))
    scores = network(Tensor(view.image)).array[0]
    (index,) = view.model.index
    np.testing.assert_array_equal(view.model(view.image).array[0], scores[:, index])


def test_a_linear_network_rests_on_the_place_alone():
    image = np.random.default_rng(0).random((1, 2, 6, 7)).astype(np.float32)
    model = nn.Sequential(nn.Conv2d(2, 2, 1, bias=False))
    model[0].weight.array[:] = np.eye(2, dtype=np.float32).reshape(model[0].weight.array.shape)
    heat = explain(OnePlace(model, (2, 5)), image, "hires_cam", target=1).heat
    wanted = np.zeros((6, 7))
    wanted[2, 5] = image[0, 1, 2, 5]
    np.testing.assert_allclose(heat, wanted, atol=1e-6)


def test_a_network_without_places_is_refused():
    asked = OnePlace(create("lenet5_modern"), (0, 0))
    with pytest.raises(UserError, match="only scores for places"):
        asked(np.ones((1, 1, 32, 32), np.float32))


@pytest.mark.filterwarnings("ignore::tinymed.nn.norm.StatisticsWarning")
def test_a_network_of_contours_is_asked_about_its_objects(pictures):
    """DCAN has channels of contours beside those of objects: there is one output for each name."""
    config, network = untrained(pictures, "dcan", ["width=0.125"], size=64)
    (whole,) = SEGMENTATION.views(config, network, pictures / "images" / "03.png")
    (place,) = SEGMENTATION.views(config, network, pictures / "images" / "03.png", (3, 4))
    assert whole.model(whole.image).shape[1] == len(SEGMENTATION.map_names(config)) == 1
    names = SEGMENTATION.place_names(config)
    assert place.model(place.image).shape[1] == len(names) == 2


# ---------------------------------------------------------------------------------------------------- command line


@pytest.fixture(scope="module")
def patch_run(pictures, tmp_path_factory):
    """A short run of patches."""
    from tinymed.cli import main

    run = tmp_path_factory.mktemp("runs") / "patches"
    options = ["--patch", 32, "--option", "base=4", "--option", "depth=1", "--steps", 1, "--batch", 2, "--overlap", 0]
    arguments = ["train", "unet_small", "--task", "segmentation", "--data", pictures, "--out", run, *options]
    assert main([str(a) for a in [*arguments, "--backend", "numpy", "--workers", 0]]) == 0
    return run


@pytest.mark.filterwarnings("ignore")
def test_the_command_explains_a_place(patch_run, pictures, tmp_path, capsys):
    image = pictures / "images" / "00.png"
    code, out, err = invoke(
        capsys,
        *("explain", patch_run, image, "--at", "5,70", "--out", tmp_path, "--method", "grad_cam"),
        *("--method", "integrated_gradients", "--class", "background", "--baseline", "white", "--json"),
    )
    assert code == 0, err
    rows = json.loads(out)
    assert [row["class"] for row in rows] == ["background"] * 2
    assert [row["at"] for row in rows] == [[5, 70]] * 2
    height, width, _ = np.asarray(Image.open(rows[0]["picture"])).shape
    assert (height, width) == (224, round(81 * 224 / 70) + 3 * 224 + 3 * 6)
    code, out, err = invoke(capsys, "explain", patch_run, image, "--at", "5,70", "--out", tmp_path, "--sanity")
    assert code == 0, err
    assert f"{image} at 5,70: Grad-CAM" in out
    assert "rank correlation" in out


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["IMAGE"], "--at ROW,COLUMN draws"),
        (["IMAGE", "--at", "5"], "write ROW,COLUMN, whole numbers from 0, such as 120,85"),
        (["IMAGE", "--at", "5,6,7"], "write ROW,COLUMN"),
        (["IMAGE", "--at", "5,-6"], "write ROW,COLUMN"),
        (["IMAGE", "--at", "here"], "write ROW,COLUMN"),
        (["IMAGE", "--at", "70,1"], "00.png: --at 70,1 lies outside its 70 x 81 rows and columns, from 0"),
        (["IMAGE", "--at", "1,1", "--class", "tumour"], "choose one of background, foreground"),
        (["IMAGE", "--at", "1,1", "--layer", "nothing"], "there is no such layer"),
        (["--filters", "--at", "1,1"], "--at: has no effect here: no image is named"),
        (["VOLUME", "--at", "1,1"], "12 x 14 x 10 pixels, and the run takes pictures"),
    ],
)
def test_what_is_no_place_is_refused(arguments, message, patch_run, pictures, volumes, capsys):
    places = {"IMAGE": pictures / "images" / "00.png", "VOLUME": volumes / "images" / "case0.nii.gz"}
    code, out, err = invoke(capsys, "explain", patch_run, *(places.get(word, word) for word in arguments))
    assert (code, out.strip()) == (2, "")
    assert message in err


def test_other_runs_have_no_places(finished_run, cells, capsys):
    image = sorted(cells.glob("parasite/*.png"))[0]
    code, _, err = invoke(capsys, "explain", finished_run, image, "--at", "1,1")
    assert (code, "--at: has no effect here: it is of segmentations" in err) == (2, True), err
