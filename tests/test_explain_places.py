"""What masks and boxes rest on: explained as a mean over places, from the command line, in a report and on the page."""

import json

import numpy as np
import pytest
from commands import invoke
from masks import mask_tree

from tinymed import Tensor, nn, no_grad
from tinymed.dispatch import use_backend
from tinymed.errors import UserError
from tinymed.explain import Places, choose_layer, explain, serving
from tinymed.models import create

SHAPE = (3, 32, 32)


@pytest.fixture(autouse=True)
def reference():
    """Nothing is compiled."""
    with use_backend("numpy"):
        yield


@pytest.fixture(scope="module")
def network():
    return create("unet_small", in_channels=3, num_classes=3, base=4, depth=2)


@pytest.fixture(scope="module")
def image():
    return np.random.default_rng(0).random((1, *SHAPE)).astype(np.float32)


def test_an_output_is_the_mean_score_of_a_class_where_it_is_the_answer(network, image):
    with no_grad():
        scores = network.eval()(Tensor(image)).array[0]
    answer = scores.argmax(axis=0)
    found = Places(network, image, first=1)(image).array[0]
    for k in (1, 2):
        where = answer == k if (answer == k).any() else np.ones_like(answer, bool)
        assert found[k - 1] == pytest.approx(scores[k][where].mean(), rel=1e-4)


def test_one_channel_is_the_foreground(image):
    network = create("unet_small", in_channels=3, num_classes=1, base=4, depth=2)
    with no_grad():
        scores = network.eval()(Tensor(image)).array[0, 0]
    where = scores > 0 if (scores > 0).any() else np.ones_like(scores, bool)
    assert Places(network, image)(image).array[0] == pytest.approx([scores[where].mean()], rel=1e-4)


def test_every_method_serves_and_the_coarsest_layer_is_chosen(network, image):
    asked = Places(network, image, first=1)
    methods = serving(asked, SHAPE)
    assert {"grad_cam", "hires_cam", "integrated_gradients", "occlusion"} <= set(methods)
    assert choose_layer(asked, SHAPE) != choose_layer(network, SHAPE)  # the last layer is the answer itself
    for method in methods:
        found = explain(asked, image, method, target=1)
        assert found.heat.shape == SHAPE[1:]
        assert np.isfinite(found.heat).all()
    assert explain(asked, image, "integrated_gradients", target=1).gap == pytest.approx(0, abs=0.05)


def test_hires_cam_of_a_linear_layer_is_where_the_answer_is():
    """The output is a mean of one channel over the places of its class: its gradient lies there and is equal."""
    image = np.zeros((1, 2, 8, 8), np.float32)
    image[0, 0], image[0, 1, 2:5, 3:6] = 0.5, 1.0
    model = nn.Sequential(nn.Conv2d(2, 2, 1, bias=False))
    model[0].weight.array[:] = np.eye(2, dtype=np.float32).reshape(model[0].weight.array.shape)
    heat = explain(Places(model, image, first=1), image, "hires_cam", target=0).heat
    assert np.allclose(heat, image[0, 1] / 9, atol=1e-6)


def test_what_has_no_places_is_refused(image):
    with pytest.raises(UserError, match="only scores for places"):
        Places(create("lenet5_modern", in_channels=3), image)


@pytest.fixture(scope="module")
def mask_run(tmp_path_factory):
    """A short run of whole pictures with masks."""
    root = tmp_path_factory.mktemp("masks")
    data, run = mask_tree(root / "data", 10), root / "run"
    options = ["--size", 32, "--option", "base=4", "--option", "depth=2", "--epochs", 1, "--batch", 4]
    from tinymed.cli import main

    arguments = ["train", "unet_small", "--task", "segmentation", "--data", data, "--out", run, *options]
    assert main([str(a) for a in [*arguments, "--backend", "numpy", "--workers", 0]]) == 0
    return data, run


def test_masks_are_explained_from_the_command_line(mask_run, tmp_path, capsys):
    data, run = mask_run
    code, told, err = invoke(
        capsys, "explain", run, data / "images" / "00.png", "--out", tmp_path, "--sanity", "--json"
    )
    assert code == 0, err
    row = json.loads(told)[0]
    assert row["class"] == "foreground"
    assert row["sanity"]
    assert (tmp_path / "001-00.png").is_file()
    code, _, err = invoke(capsys, "explain", run, data / "images" / "00.png", "--class", "background")
    assert (code, "choose one of foreground" in err) == (2, True)


def test_the_report_shows_maps_of_masks(mask_run, tmp_path, capsys):
    _, run = mask_run
    code, _, err = invoke(capsys, "report", run, "--out", tmp_path / "run.html", "--cases", 1)
    assert code == 0, err
    page = (tmp_path / "run.html").read_text()
    assert "map for foreground" in page
    assert "mean score of a class where it is the answer" in page


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"dimensions": 3, "patch": [16, 16, 16]}, "patches of 16 x 16 x 16"),
        ({"patch": [16, 16]}, "patches of 16 x 16"),
        ({"modalities": 2}, "2 files each"),
        ({"model": "ciresan_n4"}, "answers for the middle of a patch"),
    ],
)
def test_every_other_kind_of_segmentation_says_how_to_ask(mask_run, change, why):
    from tinymed.train.run import Run

    opened = Run.open(mask_run[1])
    config = opened.config.model_copy(update={"model": change.get("model", opened.config.model)})
    mask = {name: value for name, value in change.items() if name != "model"}
    config = config.model_copy(update={"mask": config.mask.model_copy(update=mask)})
    assert opened.task.map_names(config) == []
    told = opened.task.without_maps(config)
    assert why in told
    assert f"--at {'I,J,K' if 'dimensions' in change else 'ROW,COLUMN'} draws" in told
