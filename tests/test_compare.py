"""`tinymed compare`: two tiny networks on one split, what is written, repeated and refused."""

import csv
import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import command, invoke, write_images
from PIL import Image

from tinymed.cli import main
from tinymed.cli.comparison_rows import METRICS
from tinymed.train.checkpoint import NEWEST, digest, load_checkpoint

SMALL = ["--size", 32, "--batch", 8, "--epochs", 1, "--backend", "numpy", "--workers", 0]
TWO = ["--models", "lenet5_modern", "resnet20", "--width", 0.25, "--head", "softmax"]


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """24 cells of each of two classes, not divided.  Not to be changed."""
    return write_images(tmp_path_factory.mktemp("cells"), ["sick", "well"], 24)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, images: Path) -> tuple[Path, list[Any]]:
    """(folder, the command) of a finished comparison.  Not to be changed."""
    out = tmp_path_factory.mktemp("compare") / "two"
    arguments = ["compare", *TWO, "--data", images, "--positive", "sick", *SMALL, "--out", out]
    assert main([str(a) for a in arguments]) == 0
    return out, arguments


def rows(out: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((out / "compare.json").read_text())["rows"]
    return found


class TestResults:
    def test_the_rows_are_the_runs(self, finished: tuple[Path, list[Any]]) -> None:
        out = finished[0]
        assert [r["model"] for r in rows(out)] == ["lenet5_modern", "resnet20"]
        for row in rows(out):
            metrics = json.loads((out / row["model"] / "metrics.json").read_text())["test"]
            assert [row[name] for name in METRICS] == [metrics[name] for name in METRICS]
            assert all(row[f"{name}_interval"] == metrics[f"{name}_interval"] for name in METRICS)
            assert (row["n"], row["part"], row["average"]) == (7, "test", "positive: sick")
            assert row["peak_bytes"] > 20 << 20
            assert row["cpu_seconds"] > 0
        configs = [json.loads((out / r["model"] / "config.json").read_text()) for r in rows(out)]
        assert configs[0]["data"] == configs[1]["data"]
        assert configs[1]["model_options"] == {"width": 0.25}

    def test_table_csv_and_picture(self, finished: tuple[Path, list[Any]]) -> None:
        out = finished[0]
        text = (out / "compare.md").read_text()
        assert text.count("\n| ") == 2 + 2  # the networks; the heading of the differences, and one of them
        assert "lenet5_modern has no width multiplier" in text
        with (out / "compare.csv").open() as file:
            lines = list(csv.DictReader(file))
        low, high = rows(out)[1]["accuracy_interval"]
        assert (float(lines[1]["accuracy_low"]), float(lines[1]["accuracy_high"])) == (low, high)
        with Image.open(out / "compare.png") as picture:
            assert min(picture.size) > 300

    def test_what_is_trained_is_not_trained_again(self, finished: tuple[Path, list[Any]], capsys: Any) -> None:
        out, arguments = finished
        before = [(out / name / "metrics.json").stat().st_mtime_ns for name in ("lenet5_modern", "resnet20")]
        code, text, err = invoke(capsys, *arguments)
        assert code == 0, err
        assert err.count("trained already") == 2
        assert text.startswith(f"{Path(arguments[arguments.index('--data') + 1]).name}, test part, n = 7")
        assert before == [(out / name / "metrics.json").stat().st_mtime_ns for name in ("lenet5_modern", "resnet20")]

    def test_other_settings_are_not_mixed(self, finished: tuple[Path, list[Any]], capsys: Any) -> None:
        code, _, err = invoke(capsys, *finished[1], "--lr", 0.01)
        assert code == 2
        assert "holds a run with another lr 0.001 (now 0.01)" in err

    def test_a_comparison_trains_what_train_trains(
        self, finished: tuple[Path, list[Any]], images: Path, tmp_path: Path, capsys: Any
    ) -> None:
        alone = [
            "train",
            "resnet20",
            "--recipe",
            "paper",
            "--option",
            "width=0.25",
            "--head",
            "softmax",
            "--rgb",
            "--data",
            images,
        ]
        code, _, err = invoke(capsys, *alone, "--positive", "sick", *SMALL, "--out", tmp_path / "r")
        assert code == 0, err
        here, there = (
            load_checkpoint(f / "checkpoints" / NEWEST)["model"] for f in (finished[0] / "resnet20", tmp_path / "r")
        )
        assert digest(here) == digest(there)


def test_three_classes_are_macro_averages(tmp_path: Path, capsys: Any) -> None:
    data = write_images(tmp_path / "cells", ["a", "b"], 20)
    (data / "c").mkdir()
    for i in range(20):
        noise = np.random.default_rng(i).integers(0, 256, (36, 36, 3)).astype(np.uint8)
        Image.fromarray(noise).save(data / "c" / f"{i}.png")
    out = tmp_path / "out"
    code, text, err = invoke(capsys, "compare", *TWO, "--data", data, *SMALL, "--positive", "a", "--out", out)
    assert code == 0, err
    assert "(macro)" in text
    for row in rows(out):
        metrics = json.loads((out / row["model"] / "metrics.json").read_text())["test"]
        confusion = np.array(metrics["confusion"])
        inside, negatives = np.diag(confusion), confusion.sum() - confusion.sum(axis=1)
        rejected = negatives - confusion.sum(axis=0) + inside
        assert row["sensitivity"] == pytest.approx((inside / confusion.sum(axis=1)).mean())
        assert row["specificity"] == pytest.approx((rejected / negatives).mean())
        assert row["auc"] == metrics["macro"]["auc"]
        low, high = row["specificity_interval"]
        assert low <= row["specificity"] <= high


@pytest.mark.parametrize("number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.full)])
def test_an_interrupted_comparison_goes_on(images: Path, tmp_path: Path, capsys: Any, number: int) -> None:
    """A signal to the group, as from a terminal, or to the first process alone, as from a scheduler."""
    out = tmp_path / "out"
    arguments = ["compare", *TWO, "--data", images, "--positive", "sick", *SMALL[:-6], "--epochs", 5, *SMALL[-4:]]
    process = command(*arguments, "--out", out, start_new_session=True)
    while process.poll() is None and not (out / "lenet5_modern" / "checkpoints" / NEWEST).exists():
        time.sleep(0.05)
    os.killpg(process.pid, number) if number == signal.SIGINT else process.send_signal(number)
    assert "repeat the command to go on" in process.communicate()[1]
    assert process.returncode == 128 + number
    assert not (out / "compare.json").exists()
    code, _, err = invoke(capsys, *arguments, "--out", out)
    assert code == 0, err
    assert [r["epochs"] for r in rows(out)] == [5, 5]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--models", "dcnn"], "two methods or more, got dcnn"),
        (["--models", "dcnn", "nix"], "model 'nix' is unknown; choose one of"),
        (["--models", "dcnn", "dcnn"], "dcnn is named twice"),
        (["--models", "dcnn", "unet_bn"], "unet_bn: is no network for classification"),
        (["--models", "dcnn,resnet20", "--size", "20"], "smallest is 46"),
        (["--models", "resnet50,vgg16", "--width", "0"], "--width: a multiplier of the layers' channels is positive"),
        (["--models", "dcnn,resnet20", "--option", "nix=1"], "none of dcnn, resnet20 takes the option nix"),
    ],
)
def test_mistakes_are_one_line(images: Path, tmp_path: Path, capsys: Any, arguments: list[str], message: str) -> None:
    code, _, err = invoke(
        capsys, "compare", *arguments, "--data", images, "--backend", "numpy", "--out", tmp_path / "r"
    )
    assert code == 2
    assert message in err
    assert err.strip().count("\n") == 0
    assert not (tmp_path / "r").exists()


def test_data_are_needed(tmp_path: Path, capsys: Any) -> None:
    assert "needs --data" in invoke(capsys, "compare", *TWO)[2]
    code, _, err = invoke(capsys, "compare", *TWO, "--data", tmp_path / "nix", "--out", tmp_path / "r")
    assert code == 2
    assert "nix" in err
