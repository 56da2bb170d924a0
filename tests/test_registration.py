"""Registration: known maps are found again, metrics against their definitions, folding, the command, its mistakes."""

import json

import numpy as np
import pytest
from commands import invoke

import tinymed
from tinymed import check
from tinymed.errors import UserError
from tinymed.registration import (
    Affine,
    Image,
    RegisterConfig,
    Rigid,
    Space,
    jacobian_determinant,
    local_ncc_loss,
    mutual_information_loss,
    ncc_loss,
    read_image,
    register,
    roughness,
    ssd_loss,
    warp,
)

WORLD = np.array([[0.0, 1.5, 0.0, 7.0], [2.0, 0.0, 0.0, -3.0], [0.0, 0.0, 1.0, 1.0], [0.0, 0.0, 0.0, 1.0]])


@pytest.fixture(autouse=True)
def quick():
    with tinymed.use_backend("numpy"):
        yield


def blobs(points, corners):
    """Bumps of several sizes at places of the world [*size, axes]: an image without symmetry."""
    rng = np.random.default_rng(3)
    low, high = corners.reshape(-1, corners.shape[-1]).min(0), corners.reshape(-1, corners.shape[-1]).max(0)
    total = np.zeros(points.shape[:-1])
    for _ in range(9):
        centre = low + (high - low) * rng.uniform(0.25, 0.75, len(low))
        total += rng.uniform(0.4, 1) * np.exp(-(((points - centre) / (0.12 * (high - low).max())) ** 2).sum(-1) / 2)
    return (total / 1.5).astype(np.float32)


def image(space, points=None):
    from pathlib import Path

    grey = blobs(space.points() if points is None else points, space.points())
    return Image(grey[..., None], grey, space, None, Path("image.png"))


def mapped(space, matrix):
    """A moving image on `space` that the map `matrix` of the world brings onto the fixed one of the same space."""
    back = np.linalg.inv(matrix)
    return image(space, space.points() @ back[:-1, :-1].T + back[:-1, -1])


def turned(rank, angle, shift, centre):
    """A turn about a centre in the first two axes, then a shift."""
    result = np.eye(rank + 1)
    result[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    result[:-1, -1] = centre - result[:-1, :-1] @ centre + shift
    return result


SPACES = [Space((32, 40), np.diag([1.0, 1.0, 1.0])), Space((20, 16, 18), WORLD)]


@pytest.mark.parametrize("space", SPACES, ids=["picture", "volume"])
@pytest.mark.parametrize("metric", ["ncc", "ssd", "mi"])
def test_a_turn_and_a_shift_are_found(space, metric):
    """In the world's unit, on an oblique affine with unequal spacing: points move where they should."""
    true = turned(space.rank, 0.12, np.linspace(1.5, -1.0, space.rank), space.centre)
    found = register(
        image(space), mapped(space, true), RegisterConfig(transform="rigid", metric=metric, levels=2, steps=80)
    )
    matrix = found.transform.world()
    points = space.points().reshape(-1, space.rank)
    error = points @ (matrix - true)[:-1, :-1].T + (matrix - true)[:-1, -1]
    assert np.abs(error).mean() < 0.5
    assert found.after < found.before
    np.testing.assert_allclose(matrix[:-1, :-1] @ matrix[:-1, :-1].T, np.eye(space.rank), atol=1e-5)
    np.testing.assert_allclose(found.jacobian, 1, atol=1e-4)


def test_dense_finds_what_affine_cannot():
    space = SPACES[0]
    points = space.points()
    bent = points + np.stack([1.5 * np.sin(points[..., 1] / 5), 0 * points[..., 0]], -1)
    fixed, moving = image(space), image(space, bent)
    results = {
        kind: register(fixed, moving, RegisterConfig(transform=kind, metric="ssd", levels=2, smoothness=0.02))
        for kind in ("affine", "dense")
    }
    assert results["dense"].after < 0.4 * results["affine"].after
    assert results["dense"].folded == 0
    error = np.abs(results["dense"].moved[..., 0] - fixed.grey)[4:-4, 4:-4].mean()
    assert error < np.abs(results["affine"].moved[..., 0] - fixed.grey)[4:-4, 4:-4].mean()


def test_nothing_to_do_is_left_alone():
    """Equal images: the identity, and labels that stay to the bit."""
    fixed = image(SPACES[1])
    found = register(fixed, fixed, RegisterConfig(levels=1, steps=20))
    assert found.after <= found.before + 1e-6
    labels = (fixed.grey > 0.3).astype(np.float32)[..., None]
    identity = Rigid(fixed.space, fixed.space, np.zeros(3))
    np.testing.assert_array_equal(warp(labels, identity, fixed.space.size, "nearest"), labels)


def test_images_of_different_resolution_meet_in_the_world():
    """The same scene at two spacings needs no transform at all."""
    fine, coarse = Space((40, 40), np.eye(3)), Space((20, 20), np.array([[2, 0, 0.5], [0, 2, 0.5], [0, 0, 1.0]]))
    scene = lambda s: np.sin(s.points()[..., 0] / 6) + np.cos(s.points()[..., 1] / 8)  # noqa: E731
    moved = warp(scene(fine)[..., None], Affine(coarse, fine, np.zeros(2)), (20, 20))[..., 0]
    np.testing.assert_allclose(moved[1:-1, 1:-1], scene(coarse)[1:-1, 1:-1], atol=0.01)


def test_metrics_are_what_they_say():
    rng = np.random.default_rng(0)
    a, b = (rng.uniform(0, 1, (1, 1, 12, 10)) for _ in range(2))
    ours = [tinymed.tensor(v) for v in (a, b)]
    assert ssd_loss(*ours).item() == pytest.approx(((a - b) ** 2).mean())
    assert ncc_loss(*ours).item() == pytest.approx(1 - np.corrcoef(a.ravel(), b.ravel())[0, 1], abs=1e-6)
    r = np.corrcoef([v[0, 0, :3, :3].ravel() for v in (a, b)])[0, 1]
    small = [tinymed.tensor(v[:, :, :3, :3]) for v in (a, b)]
    assert local_ncc_loss(*small, window=5).item() == pytest.approx(1 - r**2, abs=1e-3)  # every window is the image
    same, other = mutual_information_loss(ours[0], ours[0]).item(), mutual_information_loss(*ours).item()
    assert same < other < 0
    assert mutual_information_loss(ours[0], 1 - ours[0]).item() == pytest.approx(same, abs=1e-5)
    volume = tinymed.tensor(rng.uniform(0, 1, (1, 1, 5, 6, 7)))
    assert local_ncc_loss(volume, 3 * volume - 1, window=3).item() < 1e-3


@pytest.mark.parametrize("loss", [ssd_loss, ncc_loss, lambda a, b: local_ncc_loss(a, b, 3), mutual_information_loss])
def test_metrics_have_the_gradient_of_their_values(loss):
    rng = np.random.default_rng(0)
    for shape in ((1, 1, 5, 4), (1, 1, 3, 4, 3)):
        check.gradcheck(loss, [rng.uniform(0.1, 0.9, shape) for _ in range(2)])


def test_volume_change_and_folds():
    space = SPACES[1]
    points = space.points()
    np.testing.assert_allclose(jacobian_determinant(0 * points, space), 1)
    np.testing.assert_allclose(jacobian_determinant(0.5 * points, space), 1.5**3)
    assert (jacobian_determinant(-2 * points[..., :1] * [1, 0, 0], space) < 0).all()
    flat = Space((6, 1), np.eye(3))
    np.testing.assert_allclose(jacobian_determinant(flat.points(), flat)[1:-1], 2)
    slope = np.stack([SPACES[0].points()[..., 0], 0 * SPACES[0].points()[..., 0]])[None]
    assert roughness(tinymed.tensor(slope), [1.0, 1.0]).item() == pytest.approx(0.5)


def test_against_simple_itk():
    """Our matrix brings points where SimpleITK's affine registration does, on the same pair."""
    sitk = pytest.importorskip("SimpleITK", reason="SimpleITK is the oracle: pip install SimpleITK")
    space = Space((24, 20, 22), np.diag([1.0, 1.5, 1.0, 1.0]))
    true = turned(3, 0.1, np.array([1.0, -1.0, 0.5]), space.centre)
    fixed, moving = image(space), mapped(space, true)

    def theirs(grey):
        result = sitk.GetImageFromArray(np.ascontiguousarray(grey.T))
        result.SetSpacing(space.spacing.tolist())
        return result

    method = sitk.ImageRegistrationMethod()
    method.SetMetricAsCorrelation()
    method.SetOptimizerAsGradientDescentLineSearch(1.0, 100)
    method.SetOptimizerScalesFromPhysicalShift()
    pair = theirs(fixed.grey), theirs(moving.grey)
    method.SetInitialTransform(sitk.CenteredTransformInitializer(*pair, sitk.AffineTransform(3)), inPlace=False)
    want = method.Execute(*pair)
    matrix = register(fixed, moving, RegisterConfig(levels=2)).transform.world()
    inner = space.points()[6:-6, 6:-6, 6:-6].reshape(-1, 3)
    ours = inner @ matrix[:-1, :-1].T + matrix[:-1, -1]
    assert np.abs(ours - [want.TransformPoint(p.tolist()) for p in inner]).mean() < 0.3


class TestCommand:
    """`tinymed register`."""

    def pictures(self, tmp_path):
        from PIL import Image as Pictures

        space = SPACES[0]
        true = turned(2, 0.1, np.array([2.0, -1.0]), space.centre)
        for name, made in (("fixed", image(space)), ("moving", mapped(space, true))):
            Pictures.fromarray((200 * made.grey / made.grey.max()).astype(np.uint8)).save(tmp_path / f"{name}.png")
        return [tmp_path / "fixed.png", tmp_path / "moving.png"], true

    def test_pictures(self, tmp_path, capsys):
        pair, true = self.pictures(tmp_path)
        out = tmp_path / "out"
        code, text, err = invoke(
            capsys, "register", *pair, "--transform", "rigid", "--backend", "numpy", "--out", out, "--json"
        )
        assert (code, err) == (0, "")
        report, transform = json.loads(text), json.loads((out / "transform.json").read_text())
        np.testing.assert_allclose(transform["matrix"], true, atol=0.4)
        assert report["loss_after"] < 0.1 * report["loss_before"]
        assert {p.name for p in out.iterdir()} == {*report["files"].values(), "registration.json"}
        before = np.abs(read_image(pair[0]).grey - read_image(pair[1]).grey).mean()
        assert np.abs(read_image(out / "warped.png").grey - read_image(pair[0]).grey)[4:-4, 4:-4].mean() < before / 3

    def test_volumes_keep_their_place(self, tmp_path, capsys):
        nib = pytest.importorskip("nibabel")
        affine = np.diag([-1.0, 1.0, 2.0, 1.0])  # from right to left: turned to RAS+ when it is read
        affine[:3, 3] = 10, -5, 3
        points = Space((14, 12, 8), np.eye(4)).points()
        grey = blobs(points, points)
        for name, values in (("f", grey), ("m", np.roll(grey, 2, 0))):
            nib.save(nib.Nifti1Image(values, affine), tmp_path / f"{name}.nii.gz")
        out = tmp_path / "out"
        options = ["--transform", "dense", "--steps", "40", "--levels", "1", "--backend", "numpy", "--out", out]
        code, _, err = invoke(capsys, "register", tmp_path / "f.nii.gz", tmp_path / "m.nii.gz", *options)
        assert (code, err) == (0, "")
        transform = json.loads((out / "transform.json").read_text())
        assert transform["matrix"][0][3] + 10 * transform["matrix"][0][0] - 10 == pytest.approx(-2, abs=1.5)
        warped, field = nib.load(out / "warped.nii.gz"), nib.load(out / transform["field"])
        np.testing.assert_allclose(warped.affine, affine)
        assert field.shape == (14, 12, 8, 1, 3)
        assert field.header.get_intent()[0] == "vector"
        moved = np.asarray(field.dataobj)[4:-4, 3:-3, 2:-2, 0]
        assert np.abs(moved[..., 0].mean() + 2) < 0.7
        assert np.abs(moved[..., 1:]).mean() < 0.7

    @pytest.mark.parametrize(
        ("option", "needs"),
        [
            (["--bins", 16], "--metric mi"),
            (["--window", 5], "--metric local-ncc"),
            (["--smoothness", 2], "--transform dense"),
            (["--field-lr", 0.1], "--transform dense"),
        ],
    )
    def test_an_option_without_effect_is_refused(self, option, needs, tmp_path, capsys):
        pair, _ = self.pictures(tmp_path)
        code, text, err = invoke(capsys, "register", *pair, *option, "--out", tmp_path / "out")
        assert (code, text) == (2, "")
        assert option[0] in err
        assert needs in err
        assert not (tmp_path / "out").exists()

    def test_mistakes_are_one_line(self, tmp_path, capsys):
        from PIL import Image as Pictures

        (fixed, moving), _ = self.pictures(tmp_path)
        Pictures.new("L", (8, 8), 7).save(tmp_path / "flat.png")
        (tmp_path / "notes.txt").write_text("x")
        (tmp_path / "full").mkdir()
        (tmp_path / "full" / "kept").write_text("x")
        for arguments, says in (
            ([fixed], "MOVING"),
            ([fixed, tmp_path / "none.png"], "none.png: no such file"),
            ([fixed, tmp_path / "flat.png"], "every pixel is 7"),
            ([fixed, tmp_path / "notes.txt"], "neither a picture nor a volume"),
            ([fixed, moving, "--transform", "cubic"], "--transform"),
            ([fixed, moving, "--smoothness", "-1"], "--smoothness"),
            ([fixed, moving, "--window", "4"], "give an odd number"),
            ([fixed, moving, "--backend", "abacus"], "--backend abacus"),
            ([fixed, moving, "--out", tmp_path / "full"], "not an empty folder"),
        ):
            code, out, err = invoke(capsys, "register", *arguments)
            assert (code, out, len(err.splitlines())) == (2, "", 1), err
            assert says.lower() in err.lower()

    def test_a_picture_and_a_volume_do_not_go_together(self):
        with pytest.raises(UserError, match="same number of axes"):
            register(image(SPACES[0]), image(SPACES[1]))
