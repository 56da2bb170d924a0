"""A network that registers: the field's meaning, PyTorch's composition, pairs, and a run from folder to one pass."""

import json
import shutil

import numpy as np
import pytest
from commands import invoke
from datasets import write_image
from masks import mask_tree, volume_tree

import tinymed
from tinymed.cli import main
from tinymed.data.segmentation_layouts import open_segmentation
from tinymed.errors import UserError
from tinymed.models import create
from tinymed.registration import Affine, Space, read_image, warp
from tinymed.registration.beginning import Beginning
from tinymed.registration.fields import dense, move
from tinymed.registration.pairs import Pairs
from tinymed.tasks.heads.field_head import FieldHead
from tinymed.tasks.results.registered_results import evaluate_pairs

pytestmark = pytest.mark.usefixtures("quick")
TRAIN = ["train", "--task", "registration", "--backend", "numpy", "--workers", "0", "--option", "base=4"]


@pytest.fixture
def quick():
    """No kernel is compiled for these small arrays."""
    with tinymed.use_backend("numpy"):
        yield


@pytest.mark.parametrize("space", [(6, 9), (5, 6, 7)])
def test_a_field_moves_pixels_along_the_arrays_axes(space):
    """Whole displacements pick the pixel that lies so far along each axis, in their order."""
    rng, rank = np.random.default_rng(0), len(space)
    x = rng.normal(size=(2, 1, *space)).astype(np.float32)
    by = np.array([1, -2, 1][:rank])
    field = np.broadcast_to(by.reshape(1, rank, *[1] * rank), (2, rank, *space)).astype(np.float32)
    places = [np.clip(np.arange(n) + b, 0, n - 1) for n, b in zip(space, by, strict=True)]
    expected = x[np.ix_(range(2), range(1), *places)]
    np.testing.assert_allclose(move(tinymed.tensor(x), tinymed.tensor(field)).numpy(), expected, atol=1e-5)


def test_a_field_of_pixels_is_a_map_of_the_world():
    """What `register` writes of a network's field moves labels as the network moved images, on pixels of any size."""
    affine = np.array([[0.0, 2.0, 0.0, 5.0], [-1.5, 0.0, 0.0, 1.0], [0.0, 0.0, 1.0, 0.0], [0.0, 0.0, 0.0, 1.0]])
    space, rng = Space((8, 9, 7), affine), np.random.default_rng(1)
    field = rng.normal(size=(3, *space.size)).astype(np.float32)
    image = rng.normal(size=space.size).astype(np.float32)
    moved = move(tinymed.tensor(image[None, None]), tinymed.tensor(field[None])).numpy()[0, 0]
    mapped = warp(image[..., None], dense(Affine(space, space, np.zeros(3)), field), space.size)[..., 0]
    inner = (slice(3, -3),) * 3  # at the border one goes on as the image ends, the other is 0
    np.testing.assert_allclose(mapped[inner], moved[inner], atol=1e-4)


def test_a_field_is_followed_by_the_affine_map_before_it():
    """A displacement on the aligned image is a turned and stretched one in the moving image's world."""
    space = Space((8, 9), np.array([[2.0, 0.0, 5.0], [0.0, 1.5, 1.0], [0.0, 0.0, 1.0]]))
    start, rng = Affine(space, space, np.array([0.5, -1.0])), np.random.default_rng(2)
    start.change.array[...] = [[0.1, -0.4], [0.3, 0.2]]
    field = rng.normal(size=(2, *space.size)).astype(np.float32)
    ramp = space.points().astype(np.float32)[None].transpose(0, 3, 1, 2)  # each pixel's value is its place
    to = start.world()
    expected = (space.points() + np.einsum("ij,j...->...i", space.affine[:-1, :-1], field)) @ to[:-1, :-1].T + to[
        :-1, 2
    ]
    grid = dense(start, field)(space.size)
    found = tinymed.nn.functional.grid_sample(tinymed.tensor(ramp), grid, align_corners=False).numpy()[0]
    inside = (np.abs(grid.detach().numpy()[0]) < 0.8).all(-1)
    assert inside.sum() > 10
    np.testing.assert_allclose(found.transpose(1, 2, 0)[inside], expected[inside], atol=1e-4)


@pytest.mark.parametrize("rank", [2, 3])
def test_as_a_composition_of_pytorch(rank):
    """Outputs and all gradients in float64, with sides that no stride divides."""
    torch = pytest.importorskip("torch")
    tinymed.manual_seed(0)
    space, depth = (13, 10, 9)[:rank], 2
    ours = create("field_unet", rank=rank, base=3, depth=depth).double()
    tinymed.nn.init.normal_(ours.field.weight, 0.0, 0.3)
    weights = {n: torch.tensor(p.detach().numpy(), requires_grad=True) for n, p in ours.named_parameters()}
    conv = getattr(torch.nn.functional, f"conv{rank}d")

    def block(x, name, stride=1):
        y = conv(x, weights[f"{name}.0.weight"], weights[f"{name}.0.bias"], stride, 1)
        return torch.nn.functional.leaky_relu(y, 0.2)

    a = np.random.default_rng(0).normal(size=(2, 2, *space))
    x, y = tinymed.tensor(a), torch.tensor(a, requires_grad=True)
    x.requires_grad = True
    lack = [end for side in reversed(space) for end in (0, -side % 4)]
    maps = [block(torch.nn.functional.pad(y, lack), "first")]
    for i in range(depth):
        maps.append(block(maps[-1], f"down.{i}", 2))
    z = maps.pop()
    for i in range(depth):
        z = block(torch.cat([torch.nn.functional.interpolate(z, scale_factor=2), maps.pop()], 1), f"up.{i}")
    theirs = conv(z, weights["field.weight"], weights["field.bias"], 1, 1)[(..., *map(slice, space))]
    mine = ours(x)
    np.testing.assert_allclose(mine.numpy(), theirs.detach().numpy(), atol=1e-10)
    dy = np.random.default_rng(1).normal(size=mine.shape)
    mine.backward(tinymed.tensor(dy))
    theirs.backward(torch.tensor(dy))
    np.testing.assert_allclose(x.grad.numpy(), y.grad.numpy(), atol=1e-10)
    for name, parameter in ours.named_parameters():
        np.testing.assert_allclose(parameter.grad.numpy(), weights[name].grad.numpy(), atol=1e-8, err_msg=name)


def test_a_new_network_leaves_images_where_they_are():
    with tinymed.no_grad():
        field = create("field_unet", rank=2, base=4)(tinymed.rand(2, 2, 20, 24)).numpy()
    assert 0 < np.abs(field).max() < 0.01


def test_the_loss_falls_where_the_image_moves_home():
    """The right displacement has less loss than none; a rough one costs what the weight says."""
    y, x = np.mgrid[:24, :24]
    still, other = (np.exp(-((y - row) ** 2 + (x - 12) ** 2) / 20).astype(np.float32) for row in (10, 13))
    pair = tinymed.tensor(np.stack([still, other])[None])
    field = np.zeros((1, 2, 24, 24), np.float32)
    right = field.copy()
    right[:, 0] = 3
    for loss in ("ncc", "local-ncc", "mi", "ssd"):
        head = FieldHead(loss, 5, 1.0)
        assert head(tinymed.tensor(right), pair).item() < head(tinymed.tensor(field), pair).item() - 0.01, loss
    rough = right + np.random.default_rng(0).normal(0, 0.1, right.shape).astype(np.float32)
    one, five = (FieldHead("ssd", 9, w)(tinymed.tensor(rough), pair).item() for w in (1.0, 5.0))
    assert five - one == pytest.approx(
        4 * sum(np.diff(rough, axis=k).astype(float).__pow__(2).mean() for k in (2, 3)), rel=1e-4
    )
    assert head.correct(right, None) == pytest.approx(3)


class TestPairs:
    def test_every_image_stays_once_beside_another(self, tmp_path):
        data = open_segmentation(mask_tree(tmp_path, 7))["all"]
        loader = Pairs(data, 3, (32, 40), shuffle=True, seed=5)
        seen = [loader.partners(epoch) for epoch in range(4)]
        assert all((partner != np.arange(7)).all() for partner in seen)
        assert len({tuple(partner) for partner in seen}) > 1
        batches = list(loader.epoch(2))
        assert sorted(np.concatenate([b[2] for b in batches]).tolist()) == list(range(7))
        pair = dict(zip(batches[0][2].tolist(), batches[0][0], strict=True))
        for index, (still, other) in pair.items():
            np.testing.assert_allclose(still, read_image(data.samples[index]).grey)
            np.testing.assert_allclose(other, read_image(data.samples[seen[2][index]]).grey, atol=1e-4)

    def test_workers_and_a_later_start_change_nothing(self, tmp_path):
        data = open_segmentation(mask_tree(tmp_path, 6))["all"]
        one, two = (Pairs(data, 2, (34, 40), shuffle=True, workers=w) for w in (0, 2))
        for a, b in zip(list(one.epoch(3))[1:], two.epoch(3, 1), strict=True):
            np.testing.assert_array_equal(a[0], b[0])

    def test_mistakes(self, tmp_path):
        data = open_segmentation(mask_tree(tmp_path, 2))["all"]
        with pytest.raises(UserError, match=r"32 x 40, larger than .* 16 x 16"):
            next(Pairs(data, 2, (16, 16), workers=0).epoch())
        with pytest.raises(UserError, match=r"1 image\(s\); a pair needs two"):
            Pairs(data.subset(np.array([0])), 2, (32, 40))


def discs(root, count):
    """Discs a few pixels apart, with the masks that no training sees."""
    rng = np.random.default_rng(0)
    for i in range(count):
        y, x = rng.uniform(9, 15, 2)
        inside = np.hypot(*(np.mgrid[:24, :24] - np.array([y, x]).reshape(2, 1, 1))) < 6
        noisy = 60 + 120 * inside + rng.normal(0, 6, inside.shape)
        write_image(root / "images" / f"{i:02}.png", noisy.clip(0, 255).astype(np.uint8))
        write_image(root / "masks" / f"{i:02}.png", inside * np.uint8(255))
    return root


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A trained run beside its data."""
    root = tmp_path_factory.mktemp("registering")
    given = ["--data", str(discs(root / "data", 40)), "--epochs", "12", "--lr", "0.01", "--smoothness", "0.02"]
    assert main([*TRAIN, *given, "--loss", "ssd", "--out", str(root / "run")]) == 0
    return root


class TestCommand:
    def test_it_learns_without_labels_what_labels_show(self, run, capsys):
        code, text, err = invoke(capsys, "evaluate", run / "run", "--json")
        assert (code, err) == (0, "")
        found = json.loads(text)
        assert found["floors"]["before"]["dice_gain_interval"][0] > 0, found
        assert {"registered.png", "metrics.json", "predictions.csv"} <= {p.name for p in (run / "run").iterdir()}

    def test_a_pair_is_registered_in_one_pass(self, run, tmp_path, capsys):
        pair = [run / "data" / "images" / f"{i:02}.png" for i in (28, 29)]
        options = [
            "--network",
            run / "run",
            "--metric",
            "ssd",
            "--backend",
            "numpy",
            "--out",
            tmp_path / "out",
            "--json",
        ]
        code, text, err = invoke(capsys, "register", *pair, *options)
        assert (code, err) == (0, "")
        report = json.loads(text)
        assert report["loss_after"] < 0.8 * report["loss_before"]
        assert report["stages"] == []
        assert set(report["files"]) == {"transform", "warped", "picture", "field"}

    def test_mistakes_are_one_line(self, run, tmp_path, capsys):
        pair = [run / "data" / "images" / f"{i:02}.png" for i in (0, 1)]
        volumes = sorted((volume_tree(tmp_path / "v", 2) / "images").iterdir())
        for command, says in (
            (["predict", run / "run", pair[0]], "tinymed register FIXED MOVING --network"),
            (["serve", run / "run"], "tinymed register FIXED MOVING --network"),
            (["register", *pair, "--network", run / "run", "--smoothness", "2"], "--smoothness: has no effect here"),
            (["register", *pair, "--network", tmp_path], "no run"),
            (["register", *volumes, "--network", run / "run"], "registers pictures"),
            ([*TRAIN, "--data", run / "data", "--rotate", "5"], "--rotate: not an option of registration"),
            ([*TRAIN, "--data", run / "data", "--model", "unet_bn"], "is no network for registration"),
        ):
            code, out, err = invoke(capsys, *command)
            assert (code, out, len(err.splitlines())) == (2, "", 1), err
            assert says in err

    def test_images_without_masks_are_measured_by_what_they_show(self, run, tmp_path, capsys):
        """There is no Dice then; a run on images alone is measured on masks where there are some."""
        data, few = tmp_path / "alone", discs(tmp_path / "few", 6)
        shutil.copytree(few / "images", data / "images")
        more = ["--steps", "1", "--align", "affine", "--loss", "ssd", "--val-fraction", "0.3", "--test-fraction", "0.3"]
        code, _, err = invoke(capsys, *TRAIN, "--data", data, *more, "--out", tmp_path / "run")
        assert (code, "without Dice" in err, "aligned affinely before" in err) == (0, True, True), err
        found = json.loads((tmp_path / "run" / "metrics.json").read_text())["test"]
        assert "dice" not in found
        assert found["floors"]["before"]["unlike"] > found["unlike"] > 0
        assert "no Dice" in " ".join(found["warnings"])
        code, text, err = invoke(capsys, "evaluate", tmp_path / "run", "--data", few, "--json")
        assert code == 0, err
        assert json.loads(text)["dice"] > 0.9  # discs of one size: the affine map alone lays one on the other
        pair = [data / "images" / f"{i:02}.png" for i in (0, 1)]
        given = ["--network", tmp_path / "run", "--backend", "numpy", "--json", "--out", tmp_path / "out"]
        code, text, _ = invoke(capsys, "register", *pair, *given)
        assert (code, json.loads(text)["loss_after"] < json.loads(text)["loss_before"]) == (0, True)
        matrix = json.loads((tmp_path / "out" / "transform.json").read_text())["matrix"]
        np.testing.assert_allclose(matrix, Beginning(align="affine", metric="ssd")(*map(read_image, pair)).world())
        code, text, _ = invoke(capsys, "evaluate", run / "run", "--data", data, "--json")
        assert (code, "dice" in json.loads(text)) == (0, False)

    def test_masks_under_another_name_are_not_taken_for_images(self, run, tmp_path, capsys):
        shutil.copytree(run / "data" / "images", tmp_path / "data" / "images")
        shutil.copytree(run / "data" / "masks", tmp_path / "data" / "maskz")
        code, _, err = invoke(capsys, *TRAIN, "--data", tmp_path / "data", "--out", tmp_path / "run")
        assert (code, "images lie in maskz too" in err) == (2, True)

    def test_what_cannot_be_measured_is_said_before_a_step(self, tmp_path, capsys):
        """A part of one image, and a mask of another size, are refused while nothing is lost."""
        few = mask_tree(tmp_path / "few", 5)
        code, _, err = invoke(capsys, *TRAIN, "--data", few, "--val-fraction", "0.4", "--out", tmp_path / "a")
        assert code == 2
        assert "[test]: 1 image; a pair needs two" in err.splitlines()[-1]
        other = mask_tree(tmp_path / "other", 12)
        write_image(other / "masks" / "03.png", np.zeros((20, 20), np.uint8))
        code, _, err = invoke(capsys, *TRAIN, "--data", other, "--labels", "0=none,255=disc", "--out", tmp_path / "b")
        assert code == 2
        assert "03.png: the mask has 20 x 20 pixels" in err.splitlines()[-1]
        assert "step" not in err

    def test_a_pair_without_structures_is_left_out(self):
        row = {"loss": 0.1, "folded": 0.0, "displacement": 1.0, "unlike": 0.1, "unlike before": 0.2}
        rows = [row | {"dice a": d, "before a": b} for d, b in ((0.8, 0.5), (0.9, 0.7), (np.nan, np.nan))]
        found = evaluate_pairs(rows, ["a"], seed=0)
        assert (found["n"], round(found["dice"], 6), round(found["classes"]["a"], 6)) == (3, 0.85, 0.85)
        assert "1 of 3 pairs have none of the structures" in found["warnings"][0]

    def test_volumes(self, tmp_path, capsys):
        data = volume_tree(tmp_path / "data", 8)
        options = ["--epochs", "1", "--batch", "2", "--val-fraction", "0.3", "--test-fraction", "0.3"]
        code, _, err = invoke(capsys, *TRAIN, "--data", data, *options, "--out", tmp_path / "run")
        assert code == 0, err
        report = json.loads((tmp_path / "run" / "metrics.json").read_text())
        assert report["test"]["folded"] == 0
