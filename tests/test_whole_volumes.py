"""Networks that classify whole volumes: beside PyTorch, the images of volumes, and a run from end to end."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import invoke
from dicom_files import save_series
from masks import write_nifti
from test_planes import SHAPE, archive, volume

import tinymed
from tinymed import models
from tinymed.data import Augment, Loader, open_dataset
from tinymed.data.augment import Mixing, Parameters
from tinymed.data.augment3d import augment_volume, augment_whole
from tinymed.data.image import resize
from tinymed.data.inspection import inspect
from tinymed.data.resize_volume import fit_volume
from tinymed.errors import UserError
from tinymed.tasks.base.recipes import mirrored

pytest.importorskip("nibabel", reason='volumes need nibabel: pip install ".[medical]"')

QUICK = ["resnet8_3d", "--option", "width=0.125", "--size", "6", "--backend", "numpy", "--workers", "0", "--batch", "4"]


def write_folder(root: Path) -> Path:
    """Class folders of 16 NIfTI volumes, half of them stored from right to left."""
    for i in range(16):
        affine = np.diag([-1.0 if i % 3 else 1.0, 1.0, 2.0, 1.0])
        values = volume(i)[::-1] if i % 3 else volume(i)
        write_nifti(root / ("dark", "bright")[i % 2] / f"{i:02}.nii.gz", values, affine)
    return root


def seen(number: int) -> np.ndarray:
    """The image of volume(number): from foot to head, from front to back, from left to right."""
    values = volume(number).astype(np.float32)
    low, high = np.percentile(values, (0.5, 99.5))
    scaled: np.ndarray = np.clip((values - low) / (high - low), 0, 1) * 255
    return np.stack([np.rot90(scaled[:, :, z]) for z in range(SHAPE[2])])[..., None]


class TestNetworks:
    @pytest.mark.parametrize(
        ("name", "options", "parameters"),
        [
            ("resnet18_3d", {}, 33_140_802),
            ("resnet18_3d", {"in_channels": 3, "num_classes": 11}, 33_140_802 + 2 * 64 * 27 + 9 * 513),
            ("resnet8_3d", {}, 224_978),
        ],
    )
    def test_parameters(self, name: str, options: dict[str, Any], parameters: int) -> None:
        assert models.describe(name, **options)["parameters"] == parameters

    @pytest.mark.parametrize("name", ["resnet18_3d", "resnet8_3d"])
    def test_outputs_and_gradients_are_torchs(self, name: str) -> None:
        torch = pytest.importorskip("torch", reason="PyTorch is the oracle: pip install '.[test]'")
        from beside_torch import beside_torch, seeded
        from torch import nn
        from torch.nn import functional as F

        class Block(nn.Module):
            def __init__(self, a: int, b: int, stride: int) -> None:
                super().__init__()
                self.conv1, self.bn1 = nn.Conv3d(a, b, 3, stride, 1, bias=False), nn.BatchNorm3d(b)
                self.conv2, self.bn2 = nn.Conv3d(b, b, 3, 1, 1, bias=False), nn.BatchNorm3d(b)
                self.downsample = None
                if stride != 1 or a != b:
                    self.downsample = nn.Sequential(nn.Conv3d(a, b, 1, stride, bias=False), nn.BatchNorm3d(b))

            def forward(self, x: Any) -> Any:
                y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
                return F.relu(y + (x if self.downsample is None else self.downsample(x)))

        class Twin(nn.Module):
            def __init__(self, widths: list[int], blocks: int, channels: int, classes: int) -> None:
                super().__init__()
                self.conv1 = nn.Conv3d(channels, widths[0], 3, 1, 1, bias=False)
                self.bn1, self.fc, a = nn.BatchNorm3d(widths[0]), nn.Linear(widths[-1], classes), widths[0]
                self.names = [f"layer{i + 1}" for i in range(len(widths))]
                for i, b in enumerate(widths):
                    stage = [Block(a if not j else b, b, 2 if i and not j else 1) for j in range(blocks)]
                    self.add_module(self.names[i], nn.Sequential(*stage))
                    a = b

            def forward(self, x: Any) -> Any:
                x = F.relu(self.bn1(self.conv1(x)))
                for each in self.names:
                    x = self.get_submodule(each)(x)
                return self.fc(x.mean((2, 3, 4)))

        assert torch.get_default_dtype() == torch.float32
        if name == "resnet18_3d":
            model = seeded(lambda: models.create(name, width=1 / 16, num_classes=3))
            beside_torch(model, Twin([4, 8, 16, 32], 2, 1, 3), [(1, 5, 4, 6)])
        else:
            model = seeded(lambda: models.create(name, width=0.25, in_channels=2))
            beside_torch(model, Twin([4, 8, 16], 1, 2, 2), [(2, 6, 5, 7)])

    @pytest.mark.full  # every network is made
    def test_they_are_advised_for_volumes_alone(self) -> None:
        from tinymed.tasks.classification import TASK

        assert {"resnet18_3d", "resnet8_3d"} <= set(TASK.networks(4))
        assert not {"resnet18_3d", "resnet8_3d", "unet3d"} & set(TASK.networks(3))


class TestImages:
    def test_a_volume_lies_as_its_planes_do(self, tmp_path: Path) -> None:
        data = open_dataset(write_folder(tmp_path), whole=True)["all"]
        for index in (0, 9):
            assert np.allclose(data.image(index), seen(int(Path(data.samples[index]).name[:2])), atol=1e-3)
        assert data.sides(6) == (6, 6, 6)

    def test_a_window_says_what_is_black_and_white(self, tmp_path: Path) -> None:
        data = open_dataset(write_folder(tmp_path), whole=True, window=(100, 50))["all"]
        values = volume(int(Path(data.samples[0]).name[:2]))
        assert np.allclose(data.image(0)[3, ..., 0], np.rot90(np.clip((values[:, :, 3] - 75) / 50, 0, 1) * 255))

    @pytest.mark.parametrize("shape", [(8, 8, 8), (8, 8, 8, 1), (6, 8, 5)])
    def test_archives_of_medmnist_keep_their_values(self, tmp_path: Path, shape: tuple[int, ...]) -> None:
        path = archive(tmp_path / "a.npz", shape)
        with pytest.raises(UserError, match="or all of them with whole=True"):
            open_dataset(path)
        sets = open_dataset(path, whole=True)
        assert np.array_equal(sets["test"].image(1)[..., 0], np.load(path)["test_images"][1].reshape(shape[:3]))
        batch = next(iter(Loader(sets["train"], 4, 8, 1, workers=0).epoch()))
        assert np.asarray(batch[0]).shape == (4, 1, 8, 8, 8)
        assert inspect(path)["sizes"] == {f"{' x '.join(map(str, shape[:3]))}, grey": 16}

    @pytest.mark.parametrize(
        ("shape", "dtype"), [((8, 8, 3), "u1"), ((8, 8), "u1"), ((8, 8, 8), "f4"), ((8, 8, 8, 3), "u1")]
    )
    def test_what_is_no_volume_is_refused(self, tmp_path: Path, shape: tuple[int, ...], dtype: str) -> None:
        with pytest.raises(UserError, match=r"a\.npz \[train\]: (pictures|images) of shape"):
            open_dataset(archive(tmp_path / "a.npz", shape, dtype), whole=True)

    def test_series_and_pages_are_volumes(self, tmp_path: Path) -> None:
        tifffile = pytest.importorskip("tifffile", reason="the test writes TIFF by another library")
        for i in range(4):
            place = tmp_path / ("a", "b")[i % 2]
            if i < 2:
                save_series(place / f"case{i}", volume(i).T.astype(int), PatientID=f"ID{i}")
            else:
                place.mkdir(exist_ok=True)
                tifffile.imwrite(place / f"case{i}.tif", volume(i).T.astype(np.uint8), photometric="minisblack")
        data = open_dataset(tmp_path, whole=True)["all"]
        assert {data.image(i).shape for i in range(4)} == {(*SHAPE[::-1], 1)}
        assert data.counts() == {"a": 2, "b": 2}


class TestSizes:
    @pytest.mark.parametrize("sides", [(4, 5, 6), (16, 12, 7), (9, 3, 14)])
    def test_planes_are_resized_as_pictures(self, sides: tuple[int, int, int], rng: np.random.Generator) -> None:
        """A volume whose planes are alike, along each axis in turn, is a picture."""
        picture = rng.random((9, 12, 1)).astype(np.float32)
        for axis in range(3):
            rows, columns = (side for i, side in enumerate(sides) if i != axis)
            found = fit_volume(np.repeat(np.expand_dims(picture, axis), 7, axis), sides)
            wanted = resize(picture, (rows, columns))
            assert np.allclose(found, np.repeat(np.expand_dims(wanted, axis), sides[axis], axis), atol=1e-5)

    def test_enlarging_is_torchs(self, rng: np.random.Generator) -> None:
        torch = pytest.importorskip("torch", reason="PyTorch is the oracle: pip install '.[test]'")
        voxels = rng.random((4, 5, 6, 2)).astype(np.float32)
        wanted = torch.nn.functional.interpolate(
            torch.tensor(voxels.transpose(3, 0, 1, 2))[None], (7, 9, 8), mode="trilinear"
        )
        assert np.allclose(fit_volume(voxels, (7, 9, 8)), wanted[0].numpy().transpose(1, 2, 3, 0), atol=1e-6)

    def test_bytes_stay_bytes_and_what_fits_stays_itself(self) -> None:
        voxels = np.full((4, 4, 4, 1), 201, np.uint8)
        assert fit_volume(voxels, (4, 4, 4)) is voxels
        found = fit_volume(voxels, (3, 5, 2))
        assert (found.dtype, set(found.ravel().tolist())) == (np.uint8, {201})


class TestAugmentation:
    @pytest.mark.parametrize(
        "drawn",
        [
            Parameters(flip_x=True),
            Parameters(flip_y=True, turns=1),
            Parameters(angle=0.3, scale=1.2, shift_x=0.1),
            Parameters(elastic=1.0, ticket=(1, 2)),
        ],
        ids=["mirror", "quarter", "turn", "bend"],
    )
    def test_space_is_that_of_volumes_with_masks(self, drawn: Parameters, rng: np.random.Generator) -> None:
        """Columns are x, rows y, the depth z, about which a volume turns."""
        image = rng.random((6, 5, 5, 1)).astype(np.float32)
        alone = augment_whole(image, drawn)
        xyz = image.transpose(2, 1, 0, 3)
        both, _ = augment_volume(xyz, np.zeros(xyz.shape[:3], np.uint8), drawn, reference=True)
        assert np.allclose(alone, both.transpose(2, 1, 0, 3), atol=1e-5)

    def test_values_are_changed_and_held_between_0_and_1(self, rng: np.random.Generator) -> None:
        image = rng.random((3, 4, 5, 1)).astype(np.float32)
        assert np.allclose(augment_whole(image, Parameters(brightness=0.4)), np.clip(image + np.float32(0.4), 0, 1))
        cut = augment_whole(image, Parameters(cutout=1.0, cutout_at=(0.5, 0.5, 0.5)))
        assert np.allclose(cut, image.mean(), atol=1e-6)
        assert np.array_equal(augment_whole(image, Parameters(flip_x=True)), image[:, :, ::-1])
        assert np.array_equal(augment_whole(image, Parameters(flip_y=True)), image[:, ::-1])

    def test_batches_do_not_depend_on_workers_and_mix_by_the_share_of_voxels(self, tmp_path: Path) -> None:
        data = open_dataset(archive(tmp_path / "a.npz"), whole=True)["train"]
        how: dict[str, Any] = {"shuffle": True, "augment": Augment(rotate=20, noise=0.1), "seed": 3}
        one, two = (list(Loader(data, 3, 6, 1, workers=n, **how).epoch(1)) for n in (0, 2))
        assert all(np.array_equal(a[0], b[0]) for a, b in zip(one, two, strict=True))
        for part in (0, 1):  # a bright volume in a dark one: the mean of the voxels is the share of the label
            data.samples[part::2] = 255 * part
        mixed, shares, _ = next(iter(Loader(data, 8, 8, 1, shuffle=True, workers=0, mixing=Mixing(cutmix=1.0)).epoch()))
        assert np.allclose(np.asarray(mixed).mean(axis=(1, 2, 3, 4)), np.asarray(shares)[:, 1], atol=1e-6)
        assert len(np.unique(shares)) > 2

    def test_front_and_back_are_not_exchanged(self) -> None:
        assert mirrored(["anterior", "posterior"]) == {"vertical_flip": ("anterior", "posterior")}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """(the data, a run on them of two steps)."""
    from tinymed.cli import main

    root = tmp_path_factory.mktemp("whole")
    folder, run = write_folder(root / "volumes"), root / "run"
    options = ("--data", str(folder), "--out", str(run), "--positive", "bright", "--steps", "2")
    assert main(["train", *QUICK, *options]) == 0
    return folder, run


@pytest.mark.filterwarnings("ignore")
def test_a_run_on_volumes_answers_and_explains(trained, tmp_path, capsys):
    folder, run = trained
    config = json.loads((run / "config.json").read_text())["data"]
    assert (config["whole"], config["planes"], config["channels"]) == (True, False, 1)
    code, _, err = invoke(capsys, "evaluate", run)
    assert code == 0, err
    image = next((folder / "bright").iterdir())
    code, told, err = invoke(capsys, "predict", run, image, "--json")
    assert (code, set(json.loads(told)[0]["scores"])) == (0, {"bright", "dark"}), err
    maps = ("--method", "grad_cam", "--method", "occlusion", "--baseline", "mean", "--out", tmp_path / "maps")
    code, told, err = invoke(capsys, "explain", run, image, *maps)
    assert code == 0, err
    assert list((tmp_path / "maps").glob("001-*.png"))
    for command in (["index", run, "--out", tmp_path / "i"], ["features", folder, "--features", run]):
        code, _, err = invoke(capsys, *command)
        assert (code, "Traceback" in err, err.count("\n")) == (2, False, 1), (command, err)


@pytest.mark.full
@pytest.mark.filterwarnings("ignore")
def test_the_report_says_in_which_plane_a_map_is_largest(trained, tmp_path, capsys):
    code, _, err = invoke(capsys, "report", trained[1], "--out", tmp_path / "report.html")
    assert code == 0, err
    assert "the map is largest at plane" in (tmp_path / "report.html").read_text()


@pytest.mark.filterwarnings("ignore")
def test_the_page_takes_a_volume_and_refuses_a_picture(trained):
    from tinymed.cli.serving import open_answers
    from tinymed.serve.limits import Limits

    folder, run = trained
    answers = open_answers(run, None, "numpy", Limits())
    file = next((folder / "dark").iterdir())
    found = answers.answer(file.read_bytes(), file.name)
    assert set(found["scores"]) == {"bright", "dark"}
    assert found["picture"].startswith("data:image/png")
    assert found["explanation"]["picture"].startswith("data:image/png")
    from tinymed.report.samples import png_bytes

    with pytest.raises(UserError, match="the image: is a picture, and volumes are wanted"):
        answers.answer(png_bytes(np.zeros((8, 8, 3), np.uint8)), "a.png")


@pytest.mark.filterwarnings("ignore")
def test_the_exported_network_says_how_a_volume_is_prepared(trained, capsys):
    runtime = pytest.importorskip("onnxruntime", reason='the oracle of exported networks: pip install ".[onnx,test]"')
    from tinymed.tasks.inference.views import read_picture
    from tinymed.train.run import Run

    folder, run = trained
    code, told, err = invoke(capsys, "export", run, "--json")
    assert code == 0, err
    said = json.loads(told)["metadata"]["tinymed.preparation"]
    assert (said["size"], said["layout"]) == ([6, 6, 6], "N, channels, depth, height, width")
    opened = Run.open(run)
    image = read_picture(next((folder / "dark").iterdir()), opened.config.data)
    model = opened.load_model().eval()
    with tinymed.no_grad():
        ours = model(tinymed.Tensor(image)).array
    session = runtime.InferenceSession(str(run / "model.onnx"))
    theirs = session.run(None, {session.get_inputs()[0].name: image})[0]
    assert np.allclose(ours, theirs, atol=1e-4)


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (["--grey"], "--grey: has no effect here: a volume has the one channel"),
        (["--page", "1"], "--page: has no effect here"),
        (["--hue", "0.1"], "--hue: has no effect here: volumes have no colours"),
        (["--planes"], "--planes: has no effect here: resnet8_3d sees whole volumes"),
        (["--size", "0"], "--size"),
    ],
)
def test_options_of_pictures_are_refused(tmp_path, capsys, options, why):
    code, _, err = invoke(capsys, "train", *QUICK[:1], "--data", tmp_path, *options)
    assert (code, why in err) == (2, True), err


def test_networks_and_data_that_do_not_fit_are_told_apart(tmp_path, capsys):
    code, _, err = invoke(capsys, "train", "resnet8_3d")
    assert (code, "give volumes with --data" in err) == (2, True), err
    folder = write_folder(tmp_path / "volumes")
    for network in ("dcnn", "lenet5_modern"):
        code, _, err = invoke(capsys, "train", network, "--data", folder)
        assert (code, "--planes" in err, "--model resnet8_3d" in err) == (2, True, True), err
    table = tmp_path / "list.csv"
    table.write_text("path,label\n" + "".join(f"{f},{f.parent.name}\n" for f in folder.rglob("*.nii.gz")))
    code, _, err = invoke(capsys, "train", "lenet5_modern", "--data", table)
    assert (code, "is a volume, and pictures are wanted" in err, "--planes" in err) == (2, True, True), err
    from PIL import Image

    for name in ("dark", "bright"):
        (tmp_path / "pictures" / name).mkdir(parents=True)
        Image.new("L", (8, 8)).save(tmp_path / "pictures" / name / "a.png")
    code, _, err = invoke(capsys, "train", "resnet8_3d", "--data", tmp_path / "pictures")
    assert (code, "has no images (volumes:" in err) == (2, True), err
    notes = inspect(folder)["notes"]
    assert any("--model resnet8_3d" in note for note in notes)


@pytest.mark.parametrize(
    ("name", "given", "chosen"),
    [("resnet8_3d", {}, False), ("resnet18_3d", {}, False), ("dcnn", {}, True), ("dcnn", {"planes": True}, False)],
)
def test_a_comparison_asks_for_colours_of_pictures_alone(name, given, chosen):
    from tinymed.cli.comparing import options_for

    assert ("grey" in options_for(name, [name], given)) == chosen
