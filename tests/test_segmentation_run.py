"""`tinymed train --task segmentation` and what follows it, on small networks and images."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from commands import command, invoke
from datasets import write_image
from masks import blob, mask_tree
from PIL import Image

import tinymed
from tinymed import Tensor, tasks
from tinymed.cli import main
from tinymed.cli.start_run import config_from_options
from tinymed.nn import functional as F
from tinymed.tasks.base.config import parse_config
from tinymed.tasks.inference.class_scores import forward_pass
from tinymed.tasks.segmentation import SegmentationConfig
from tinymed.train.checkpoint import NEWEST, digest, load_checkpoint
from tinymed.train.run import Run

NETWORK = ["--model", "unet_bn", "--option", "base=4", "--option", "depth=2", "--backend", "numpy", "--workers", "0"]
SMALL = ["--task", "segmentation", *NETWORK, "--size", "16", "--batch", "4"]


@pytest.fixture(scope="module")
def blobs(tmp_path_factory) -> Path:
    """24 images with masks, not divided.  Not to be changed."""
    return mask_tree(tmp_path_factory.mktemp("blobs"), 24)


@pytest.fixture(scope="module")
def finished(tmp_path_factory, blobs) -> Path:
    """A finished run on `blobs`.  Not to be changed."""
    out = tmp_path_factory.mktemp("runs") / "run"
    labels = ["--labels", "0=ground,255=blob", "--lr", "0.01"]
    assert main(["train", *SMALL, "--data", str(blobs), "--out", str(out), "--epochs", "6", "--flip", *labels]) == 0
    return out


class TestTheBackground:
    @pytest.mark.parametrize(
        ("options", "counted"),
        [
            ({}, False),
            ({"loss": "dice"}, True),
            ({"loss": "jaccard"}, True),
            ({"loss": "tversky"}, True),
            ({"loss": "dice", "head": "sigmoid"}, False),
            ({"loss": "dice", "include_background": False}, False),
            ({"loss": "dice_cross_entropy", "include_background": True}, True),
        ],
    )
    def test_counts_where_an_overlap_is_all_that_is_minimised(self, options, counted, blobs):
        given = {"task": "segmentation", "model": "unet_bn", "size": 16, "data": str(blobs), "backend": "numpy"}
        config = config_from_options(given | options)
        assert config.mask.include_background is counted
        known = config.model_copy(update={"data": config.data.model_copy(update={"classes": ["ground", "blob"]})})
        assert tasks.find("segmentation").head(known, None).background is counted

    def test_an_older_run_goes_on_without_it(self, finished):
        content = json.loads((finished / "config.json").read_text())
        content["mask"] |= {"loss": "dice"}
        del content["mask"]["include_background"]
        assert not parse_config(SegmentationConfig, content).mask.include_background

    @pytest.mark.parametrize(
        ("options", "said"),
        [
            (["--loss", "focal"], "--loss focal takes no overlap of classes"),
            (["--loss", "dice", "--head", "sigmoid"], "--head sigmoid has no score of the background"),
        ],
    )
    def test_is_refused_where_it_means_nothing(self, options, said, blobs, tmp_path, capsys):
        where = ["--data", blobs, "--out", tmp_path / "run"]
        code, _, err = invoke(capsys, "train", *SMALL, *where, *options, "--include-background")
        assert code == 2
        assert "--include-background: has no effect here: " + said in " ".join(err.split())


class TestTrain:
    def test_it_leaves_a_whole_run_folder_and_learns(self, finished):
        names = {path.name for path in finished.iterdir()}
        assert names == {
            "config.json",
            "environment.json",
            "log.jsonl",
            "checkpoints",
            "metrics.json",
            "curves.png",
            "overlays.png",
            "cases.csv",
            "predictions.csv",
            "predictions-val.csv",
        }
        metrics = json.loads((finished / "metrics.json").read_text())
        assert metrics["test"]["per_class"]["blob"]["dice"] > 0.6
        assert (metrics["val"]["n"], metrics["test"]["n"]) == (4, 3)
        lines = (finished / "cases.csv").read_text().splitlines()
        assert lines[0].startswith("name,loss,accuracy,pixels ground,pixels blob,dice ground,dice blob,")
        assert len(lines) == 1 + 3
        with Image.open(finished / "overlays.png") as picture:
            assert min(picture.size) > 400

    def test_the_configuration_leaves_nothing_open(self, finished):
        config = json.loads((finished / "config.json").read_text())
        assert (config["task"], config["head"], config["data"]["channels"]) == ("segmentation", "softmax", 1)
        assert config["mask"]["values"] == [[0, "ground"], [255, "blob"]]
        assert (config["mask"]["loss"], config["monitor"], config["keep"]) == ("dice_cross_entropy", "val_dice", "best")

    @pytest.mark.parametrize(
        "options",
        [
            ["--head", "sigmoid", "--loss", "focal_tversky", "--class-weights", "none"],
            ["--patch", "16", "--per-image", "2", "--border-weight", "10", "--elastic", "2", "--normalise"],
            ["--loss", "cross_entropy", "--class-weights", "balanced", "--rgb", "--augment"],
        ],
        ids=["sigmoid", "patches", "weights"],
    )
    def test_other_ways_to_train(self, blobs, tmp_path, capsys, options):
        code, _, err = invoke(
            capsys, "train", *SMALL, "--data", blobs, "--out", tmp_path / "r", "--epochs", 1, *options
        )
        assert code == 0, err
        code, out, err = invoke(capsys, "evaluate", tmp_path / "r", "--json")
        assert code == 0, err
        assert 0 <= json.loads(out)["accuracy"] <= 1

    def test_a_network_without_padding_sees_tiles(self, blobs, tmp_path, capsys):
        arguments = ["--task", "segmentation", "--data", blobs, "--model", "unet", "--option", "base=2", "--option"]
        arguments += ["depth=1", "--backend", "numpy", "--batch", 8, "--workers", 0, "--epochs", 1]
        code, _, err = invoke(capsys, "train", *arguments, "--out", tmp_path / "a", "--size", 32)
        assert code == 2
        assert "--patch" in err
        code, _, err = invoke(
            capsys, "train", *arguments, "--out", tmp_path / "b", "--patch", 32, "--overlap", 0, "--blend", "uniform"
        )
        assert code == 0, err

    def test_an_interrupted_run_goes_on_to_the_same_bits(self, finished, blobs, tmp_path, capsys):
        labels = ["--labels", "0=ground,255=blob", "--lr", "0.01", "--flip"]
        out = tmp_path / "r"
        process = command(
            "train", *SMALL, "--data", blobs, "--out", out, "--epochs", 6, *labels, "--checkpoint-every", 1
        )
        while process.poll() is None and not (out / "checkpoints" / NEWEST).exists():
            os.sched_yield()
        process.terminate()
        process.communicate()
        code, _, err = invoke(capsys, "train", "--resume", out)
        assert code == 0, err
        a, b = (load_checkpoint(folder / "checkpoints" / NEWEST)["model"] for folder in (finished, out))
        assert digest(a) == digest(b)

    def test_changed_masks_are_noticed(self, tmp_path, capsys):
        data = mask_tree(tmp_path / "data", 10)
        arguments = ["train", *SMALL, "--data", data, "--out", tmp_path / "r", "--epochs", 1]
        assert invoke(capsys, *arguments)[0] == 0
        write_image(data / "masks" / "00.png", blob(99)[1] * np.uint8(255))
        code, _, err = invoke(capsys, "train", "--resume", tmp_path / "r", "--epochs", 2)
        assert code == 2
        assert "not those" in err


class TestMistakes:
    @pytest.mark.parametrize(
        ("options", "message"),
        [
            (["--labels", "0=a"], "needs 2 to 254 classes"),
            (["--labels", "0=a,254=b"], "unknown label value 255"),
            (["--patch", "16,16,16"], "write a side, or one an axis"),
            (["--model", "voxresnet"], "is no network for segmentation"),
            (["--head", "sigmoid", "--labels", "0=a,255=b,7=c"], "sigmoid is for two classes"),
            (["--border-class", "nix"], "is none of"),
            (["--loss", "nix"], "--loss"),
        ],
    )
    def test_they_are_one_line(self, blobs, tmp_path, capsys, options, message):
        arguments = ["--task", "segmentation", "--data", blobs, "--out", tmp_path / "r", "--backend", "numpy"]
        code, _, err = invoke(capsys, "train", *arguments, *options)
        assert code == 2
        assert message in err
        assert err.strip().count("\n") <= 3

    def test_data_are_needed(self, capsys):
        assert "needs --data" in invoke(capsys, "train", "--task", "segmentation")[2]
        assert "--task 'nix' is unknown" in invoke(capsys, "train", "--task", "nix")[2]


class TestAfterwards:
    def test_evaluate_on_other_images(self, finished, tmp_path, capsys):
        other = mask_tree(tmp_path, 5, (20, 50), first=300)
        code, out, err = invoke(capsys, "evaluate", finished, "--data", other, "--json")
        assert code == 0, err
        result = json.loads(out)
        assert (result["n"], result["classes"]) == (5, ["ground", "blob"])
        code, out, _ = invoke(capsys, "evaluate", finished, "--split", "train")
        assert "hd95 px" in out

    def test_predict_writes_masks_with_the_values_of_the_data(self, finished, blobs, tmp_path, capsys):
        images = [blobs / "images" / "03.png", tmp_path / "absent.png", blobs / "images" / "04.png"]
        code, out, err = invoke(capsys, "predict", finished, *images, "--out", tmp_path / "masks", "--overlays")
        assert code == 2
        assert "absent.png" in err
        assert out.count("blob") == 2
        assert sorted(p.name for p in (tmp_path / "masks").iterdir()) == [
            "03-overlay.png",
            "03.png",
            "04-overlay.png",
            "04.png",
        ]
        found = np.asarray(Image.open(tmp_path / "masks" / "03.png"))
        truth = np.asarray(Image.open(blobs / "masks" / "03.png"))
        assert found.shape == truth.shape
        assert set(np.unique(found)) == {0, 255}
        assert (found == truth).mean() > 0.8

    def test_a_captured_network_measures_the_same(self, finished):
        run = Run.open(finished)
        model, images = run.load_model(), run.splits()["train"]
        forward = tinymed.capture(forward_pass(model))
        eager, captured = (list(run.task.cases(run.config, model, images, forward=f)) for f in (None, forward))
        assert forward.program is not None
        for a, b in zip(eager, captured, strict=True):
            assert (a["name"], a["pixels"], a["dice"]) == (b["name"], b["pixels"], b["dice"])
            assert abs(a["loss"] - b["loss"]) < 1e-6

    def test_an_exported_run_gives_the_masks_of_predict(self, finished, blobs, tmp_path, capsys):
        """From the file and its metadata alone: prepare, run, softmax, enlarge, the largest."""
        onnxruntime = pytest.importorskip("onnxruntime", reason="runs the exported file: pip install '.[test]'")
        path, image = tmp_path / "m.onnx", blobs / "images" / "03.png"
        code, out, err = invoke(capsys, "export", finished, "--out", path, "--json")
        assert code == 0, err
        told = json.loads(out)["metadata"]
        assert (told["tinymed.task"], told["tinymed.classes"]) == ("segmentation", ["ground", "blob"])
        assert told["tinymed.scores"].startswith("softmax over axis 1")
        steps = told["tinymed.preparation"]
        grey = Image.open(image).convert("L")
        small = np.asarray(grey.resize(steps["size"], Image.Resampling.BILINEAR), np.float32)
        x = ((small / 255 - steps["mean"]) / steps["std"])[None, None].astype(np.float32)
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        feed = {session.get_inputs()[0].name: np.concatenate([x, 1 - x])}  # N is free
        scores = F.softmax(Tensor(session.run(None, feed)[0][:1]), 1)
        found = F.interpolate(scores, grey.size[::-1], mode="bilinear").array[0].argmax(axis=0)
        assert invoke(capsys, "predict", finished, image, "--out", tmp_path)[0] == 0
        assert 0 < found.mean() < 1
        np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "03.png")), found * 255)

    def test_predict_needs_a_place_and_different_names(self, finished, blobs, tmp_path, capsys):
        image = blobs / "images" / "03.png"
        assert "--out DIR" in invoke(capsys, "predict", finished, image)[2]
        assert "both would become" in invoke(capsys, "predict", finished, image, image, "--out", tmp_path)[2]

    def test_modalities_are_given_together(self, tmp_path, capsys):
        for i in range(12):
            image, mask = blob(i)
            for m in range(2):
                write_image(tmp_path / "data" / "images" / f"c{i:02}_000{m}.png", image // (m + 1))
            write_image(tmp_path / "data" / "labels" / f"c{i:02}.png", mask)
        arguments = ["train", *SMALL, "--data", tmp_path / "data", "--out", tmp_path / "r", "--epochs", 1]
        code, _, err = invoke(capsys, *arguments)
        assert code == 0, err
        assert Run.open(tmp_path / "r").config.data.channels == 2
        one, two = (tmp_path / "data" / "images" / f"c00_000{m}.png" for m in range(2))
        assert "takes 2 files" in invoke(capsys, "predict", tmp_path / "r", one, "--out", tmp_path / "m")[2]
        assert invoke(capsys, "predict", tmp_path / "r", f"{one},{two}", "--out", tmp_path / "m")[0] == 0
        assert (tmp_path / "m" / "c00_0000.png").is_file()
