"""`tinymed explain`: each option is honoured or refused, and its pictures are there."""

import json

import numpy as np
import pytest
from commands import invoke
from PIL import Image

from tinymed.cli import main
from tinymed.cli.explaining import picture_name


@pytest.fixture
def image(cells):
    return sorted(cells.glob("parasite/*.png"))[0]


def rows_of(capsys, *arguments):
    """What `tinymed explain --json` prints."""
    code, out, err = invoke(capsys, "explain", *arguments, "--json")
    assert code == 0, err
    return json.loads(out)


def pixels(path):
    return np.asarray(Image.open(path))


def test_every_method_draws_one_overlay_beside_the_image(finished_run, image, tmp_path, capsys):
    """Of a network of tanh: guided back-propagation is left out, and that is said."""
    given = ["--method", "all", "--out", tmp_path, "--steps", "4", "--window", "16", "--json"]
    code, out, err = invoke(capsys, "explain", finished_run, image, *given)
    assert code == 0
    assert "do not serve this network: guided_backprop" in err
    rows = json.loads(out)
    assert [row["method"] for row in rows][:2] == ["grad_cam", "grad_cam_plus_plus"]
    assert len(rows) == 5
    assert {row["class"] for row in rows} <= {"clear", "parasite"}
    assert len({row["picture"] for row in rows}) == 1
    height, width, _ = pixels(rows[0]["picture"]).shape
    assert (height, width) == (224, 6 * 224 + 5 * 6)
    assert [row["layer"] != "" for row in rows] == [True] * 3 + [False] * 2
    assert abs(next(row["gap"] for row in rows if row["method"] == "integrated_gradients")) < 1


def test_the_class_layer_and_baseline_change_what_is_drawn(finished_run, image, tmp_path, capsys):
    """The last weights may be those that are kept; everything else gives another picture."""
    base = [finished_run, image, "--method", "occlusion", "--class", "parasite", "--stride", "4"]
    seen = {}
    for name, more in {
        "base": [],
        "class": ["--class", "clear"],
        "baseline": ["--baseline", "white"],
        "window": ["--window", "8"],
        "layer": ["--method", "grad_cam", "--layer", "features.0"],
        "last": ["--weights", "last"],
    }.items():
        (row, *_) = rows_of(capsys, *base, *more, "--out", tmp_path / name)
        seen[name] = pixels(row["picture"]).tobytes()
    assert len(set(seen.values())) >= len(seen) - 1


def test_the_sanity_check_is_printed_layer_by_layer(finished_run, image, tmp_path, capsys):
    code, out, _ = invoke(capsys, "explain", finished_run, image, "--sanity", "--out", tmp_path)
    assert code == 0
    lines = out.splitlines()
    assert lines[1].split() == ["drawn", "anew,", "with", "all", "after", "it", "rank", "correlation", "SSIM"]
    assert [line.split()[0] for line in lines[2:4]] == ["classifier.4", "classifier.2"]
    (row,) = rows_of(capsys, finished_run, image, "--sanity", "--out", tmp_path)
    assert row["sanity"][-1]["layer"] == "features.0"


def test_filters_and_maps_are_drawn(finished_run, image, tmp_path, capsys):
    rows = rows_of(capsys, finished_run, image, "--filters", "--features", "features.3", "--out", tmp_path)
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"filters.png", f"001-{image.stem}.png", f"001-{image.stem}-features-features.3.png"}
    assert all(pixels(row["picture"]).ndim == 3 for row in rows)
    assert main(["explain", str(finished_run), "--filters", "--layer", "features.3", "--out", str(tmp_path / "b")]) == 0


def test_no_question_overwrites_the_picture_of_another(finished_run, image, tmp_path, capsys):
    questions = (
        [],
        ["--class", "clear"],
        ["--class", "parasite"],
        ["--method", "occlusion"],
        ["--method", "occlusion", "--window", "4"],
        ["--method", "occlusion", "--baseline", "white"],
        ["--method", "grad_cam", "--layer", "features.0"],
        ["--weights", "last"],
        ["--features", "features.0"],
        ["--features", "features.3"],
        ["--filters", "--layer", "features.3"],
        ["--filters"],
    )
    pictures = [
        {row["picture"] for row in rows_of(capsys, finished_run, image, *asked, "--out", tmp_path)}
        for asked in questions
    ]
    assert len(set().union(*pictures[:8])) == 8  # each its own; the other four draw one more, two of them the first
    assert [len(drawn - pictures[0]) for drawn in pictures[8:]] == [1, 1, 2, 1]
    assert {str(path) for path in tmp_path.iterdir()} == set().union(*pictures)
    assert len(set().union(*pictures)) == 13
    assert picture_name("001-a", "../b c/d") == "001-a-.._b_c_d.png"


def test_an_unreadable_image_is_named_and_the_others_are_explained(finished_run, image, tmp_path, capsys):
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"no picture")
    code, out, err = invoke(capsys, "explain", finished_run, bad, image, "--out", tmp_path / "out")
    assert code == 2
    assert "bad.png" in err
    assert "Grad-CAM" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "name at least one image"),
        (["IMAGE", "--method", "saliency"], "choose all or one of grad_cam"),
        (["IMAGE", "--class", "other"], "choose one of clear, parasite"),
        (["IMAGE", "--layer", "nothing"], "there is no such layer"),
        (["IMAGE", "--features", "classifier.0"], "there is no such layer"),
        (["IMAGE", "--method", "occlusion", "--baseline", "pink"], "choose one of black, white, mean"),
        (["IMAGE", "--steps", "9"], "--steps: has no effect here"),
        (["IMAGE", "--window", "9"], "--window: has no effect here"),
        (["IMAGE", "--stride", "9"], "--stride: has no effect here"),
        (["IMAGE", "--baseline", "white"], "--baseline: has no effect here"),
        (["IMAGE", "--method", "occlusion", "--layer", "features.0"], "--layer: has no effect here"),
        (["--filters", "--sanity"], "--sanity: has no effect here"),
        (["--filters", "--layer", "classifier.0"], "no such convolution"),
        (["IMAGE", "--weights", "middling"], "--weights is best or last"),
    ],
)
def test_what_has_no_effect_is_refused(arguments, message, finished_run, image, capsys):
    given = [str(image) if word == "IMAGE" else word for word in arguments]
    code, out, err = invoke(capsys, "explain", finished_run, *given)
    assert (code, out) == (2, "")
    assert message in err
