"""Regression, ordinal grading and several findings by the command line: trained, measured, predicted, exported."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from commands import invoke
from datasets import write_image

from tinymed.metrics.agreement import evaluate_values
from tinymed.train.run import Run

GRADES = ("small", "middling", "large")
NETWORK = ["--backend", "numpy", "--workers", "0", "--batch", "8", "--lr", "5e-3", "--epochs", "14"]
SMALL = ["--model", "bonet", "--size", "16", "--option", "width=0.25", "--option", "dropout=0"]
OPTIONS = {
    "regression": ["--label-column", "size", "--unit", "px"],
    "ordinal": ["--label-column", "grade", "--grades", ",".join(GRADES)],
    "multilabel": ["--label-column", "findings"],
}


def disc(number: int) -> tuple[np.ndarray, float]:
    """A 24 x 24 picture with a disc of some radius, with haze or grain or both; and its radius."""
    rng = np.random.default_rng(number)
    radius = 3 + 6 * (37 * number % 64) / 64
    y, x = np.mgrid[:24, :24] - 11.5
    haze, grain = number % 2, number // 2 % 2
    image = 30 + 150 * (x**2 + y**2 < radius**2) + 40 * haze + rng.normal(0, 30 if grain else 3, (24, 24))
    return np.clip(image, 0, 255).astype(np.uint8), radius


@pytest.fixture(scope="module")
def listed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One list with a number, a grade, a field of findings, and a column a finding."""
    root = tmp_path_factory.mktemp("labels")
    rows = [["file", "size", "grade", "findings", "haze", "grain", "constant", "part"]]
    for i in range(64):
        image, radius = disc(i)
        write_image(root / "images" / f"{i:02}.png", image)
        there = [name for name, bit in (("haze", i % 2), ("grain", i // 2 % 2)) if bit]
        grade = GRADES[int(radius > 5) + int(radius > 7)]
        split = ("train", "train", "test", "val", "train", "test", "train", "test")[i // 4 % 8]
        fields = "|".join(there) or "No Finding"
        rows.append([f"images/{i:02}.png", f"{10 * radius:.2f}", grade, fields, i % 2, i // 2 % 2, 7, split])
    with (root / "list.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    return root / "list.csv"


@pytest.fixture(scope="module")
def runs(listed: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A finished run of each task."""
    from tinymed.cli import main

    folder = tmp_path_factory.mktemp("runs")
    for task, own in OPTIONS.items():
        common = ["--data", str(listed), "--split-column", "part", "--out", str(folder / task)]
        assert main(["train", "--task", task, *common, *own, *SMALL, *NETWORK]) == 0
    return {task: folder / task for task in OPTIONS}


def listed_rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


PICTURES = {
    "regression": ("scatter.png", "bland_altman.png"),
    "ordinal": ("confusion.png", "roc.png"),
    "multilabel": ("roc.png",),
}


class TestRuns:
    def test_each_is_above_its_floor(self, runs):
        found = {task: json.loads((run / "metrics.json").read_text())["test"] for task, run in runs.items()}
        for floor in found["regression"]["floors"].values():
            assert floor["gain_interval"][0] > 0
        assert found["ordinal"]["quadratic_kappa_interval"][0] > 0
        assert found["ordinal"]["accuracy"] > found["ordinal"]["floors"]["most frequent"]["accuracy"]
        averages, floor = found["multilabel"], found["multilabel"]["floors"]["prevalence"]
        assert averages["macro_auc_interval"][0] > floor["macro_auc"]
        assert averages["micro_auc_interval"][0] > floor["micro_auc"]

    @pytest.mark.parametrize("task", OPTIONS)
    def test_what_a_run_leaves(self, task, runs):
        names = {file.name for file in runs[task].iterdir()}
        assert {"config.json", "metrics.json", "predictions.csv", "curves.png", "log.jsonl", *PICTURES[task]} <= names
        rows = listed_rows(runs[task] / "predictions.csv")
        assert len(rows) == json.loads((runs[task] / "metrics.json").read_text())["test"]["n"]
        assert rows[0]["path"].startswith("images/")

    def test_the_log_of_a_regression_is_in_its_unit(self, runs):
        lines = map(json.loads, (runs["regression"] / "log.jsonl").read_text().splitlines())
        epochs = [line for line in lines if line["event"] == "epoch"]
        assert {"mae", "val_mae", "val_rmse", "val_r2"} <= set(epochs[0])
        assert "accuracy" not in epochs[0]
        assert epochs[0]["mae"] > 5  # the radii are 30 to 90: standardised errors would be below 2

    def test_predictions_are_measured_as_they_are_listed(self, runs):
        rows = listed_rows(runs["regression"] / "predictions.csv")
        predicted, true = (np.array([float(row[name]) for row in rows]) for name in ("predicted", "true"))
        measured = json.loads((runs["regression"] / "metrics.json").read_text())["test"]
        assert evaluate_values(predicted, true, resamples=0)["mae"] == pytest.approx(measured["mae"])
        assert 30 < true.min() < true.max() < 90

    @pytest.mark.parametrize("task", OPTIONS)
    def test_evaluate_again(self, task, runs, listed, capsys):
        code, out, _ = invoke(capsys, "evaluate", runs[task], "--json")
        found, before = json.loads(out), json.loads((runs[task] / "metrics.json").read_text())["test"]
        assert code == 0
        assert {key: found[key] for key in before} == before
        code, out, _ = invoke(capsys, "evaluate", runs[task], "--data", listed, "--split", "val")
        assert code == 0
        assert "floor" in out

    @pytest.mark.parametrize("task", OPTIONS)
    def test_predict_and_export_agree(self, task, runs, listed, tmp_path, capsys):
        """The exported network, used as its metadata say, gives what `tinymed predict` says."""
        onnxruntime = pytest.importorskip("onnxruntime", reason="ONNX Runtime is the oracle: pip install '.[test]'")
        image = listed.parent / "images" / "05.png"
        code, out, _ = invoke(capsys, "predict", runs[task], image, "--json")
        row = json.loads(out)[0]
        assert code == 0
        code, _, err = invoke(capsys, "export", runs[task], "--out", tmp_path / "m.onnx")
        assert code == 0, err
        session = onnxruntime.InferenceSession(str(tmp_path / "m.onnx"), providers=["CPUExecutionProvider"])
        told = {
            key.removeprefix("tinymed."): value for key, value in session.get_modelmeta().custom_metadata_map.items()
        }
        from tinymed.tasks.inference.views import read_picture

        picture = np.ascontiguousarray(read_picture(image, Run.open(runs[task]).config.data))
        z = session.run(None, {session.get_inputs()[0].name: picture})[0][0].astype(np.float64)
        if task == "regression":
            target = json.loads(told["target"])
            assert target["unit"] == row["unit"] == "px"
            assert target["mean"] + target["std"] * z[0] == pytest.approx(row["value"], rel=1e-4)
        elif task == "ordinal":
            above = np.cumprod(1 / (1 + np.exp(-z)))
            assert json.loads(told["classes"]) == list(GRADES)
            assert above.sum() == pytest.approx(row["expected"], rel=1e-3)
            assert sum(row["probabilities"].values()) == pytest.approx(1)
        else:
            assert 1 / (1 + np.exp(-z)) == pytest.approx(list(row["scores"].values()), rel=1e-3)

    def test_text_of_predict(self, runs, listed, tmp_path, capsys):
        image = listed.parent / "images" / "05.png"
        for task, word in (("regression", " px\n"), ("ordinal", "expected number"), ("multilabel", ".png: ")):
            code, out, _ = invoke(capsys, "predict", runs[task], image)
            assert code == 0
            assert word in out
        (tmp_path / "no.png").write_text("none")
        code, _, err = invoke(capsys, "predict", runs["regression"], tmp_path / "no.png")
        assert code == 2
        assert "no.png" in err

    @pytest.mark.full
    def test_a_resumed_run_ends_with_the_same_weights(self, listed, tmp_path, capsys):
        begin = ["train", "--task", "ordinal", "--data", listed, "--split-column", "part", *OPTIONS["ordinal"]]
        begin += [*SMALL, *NETWORK[:-2], "--schedule", "constant", "--flip", "--head", "softmax"]
        assert invoke(capsys, *begin, "--epochs", 2, "--out", tmp_path / "whole")[0] == 0
        assert invoke(capsys, *begin, "--epochs", 1, "--out", tmp_path / "parts")[0] == 0
        assert invoke(capsys, "train", "--resume", tmp_path / "parts", "--epochs", 2)[0] == 0
        one, two = (Run.open(tmp_path / name).load_model("last").state_dict() for name in ("whole", "parts"))
        for key, value in one.items():
            np.testing.assert_array_equal(value.array, two[key].array)

    def test_columns_of_findings_are_as_good_as_a_field(self, listed, tmp_path, capsys):
        more = ["--data", listed, "--split-column", "part", *SMALL, *NETWORK[:-2], "--epochs", 1]
        code, _, err = invoke(
            capsys, "train", "--task", "multilabel", *more, "--findings", "haze,grain", "--out", tmp_path / "run"
        )
        assert code == 0, err
        assert "haze 16 of 32, grain 16 of 32" in err
        assert json.loads((tmp_path / "run" / "config.json").read_text())["class_weights"] == [1, 1]


MISTAKES = [
    (
        ["regression", "--label-column", "grade"],
        "no finite number; size, haze, grain, constant hold numbers; name the column",
    ),
    (["regression", "--label-column", "weight"], "no column 'weight'"),
    (
        ["regression"],
        "no finite number; size, haze, grain, constant hold numbers; name the column of the number with --l",
    ),
    (["regression", "--label-column", "constant"], "'constant' is 7 in all 32 images of train"),
    (["regression", "--label-column", "size", "--class-weights", "balanced"], "--class-weights: has no effect here"),
    (["regression", "--label-column", "size", "--model", "unet_small"], "unet_small: is no network for regression"),
    (
        ["regression", "--label-column", "size", "--model", "lenet5", "--size", "32"],
        "lenet5: the published network takes 10 classes",
    ),
    (["regression", "--label-column", "size", "--positive", "x"], "--positive: not an option of regression"),
    (
        ["ordinal", "--label-column", "grade"],
        "order of the grades large, middling, small cannot be told",
    ),
    (["ordinal", "--label-column", "grade", "--grades", "small,large"], "class middling is unknown"),
    (
        ["ordinal", "--label-column", "grade", "--grades", "small,middling,large,huge"],
        "no image of train has the grade huge",
    ),
    (["ordinal", "--label-column", "constant"], "only one class (7)"),
    (
        ["ordinal", "--label-column", "size"],
        "numbers are predicted with --task regression",
    ),
    (["multilabel", "--findings", "haze,up"], "no column 'up'"),
    (["multilabel", "--label-column", "findings", "--findings", "up"], "no image has the finding 'up'"),
    (["multilabel", "--label-column", "findings", "--separator", "x"], "divided by '|', not by 'x'"),
    (["multilabel", "--findings", "haze", "--class-weights", "1,2"], "1 numbers in the order of the findings (haze)"),
    (["multilabel", "--findings", "constant"], "'constant' is '7'; a column of a finding holds 1, 0"),
    (["multilabel", "--findings", "haze", "--model", "unet_small"], "unet_small: is no network for several labels"),
    (["classification", "--label-column", "findings"], "each is learnt with --task multilabel"),
]


@pytest.mark.parametrize(("given", "words"), MISTAKES, ids=[" ".join(given) for given, _ in MISTAKES])
def test_a_mistake_is_one_line(given, words, listed, tmp_path, capsys):
    task, *more = given
    arguments = ["--task", task, "--data", listed, "--split-column", "part", "--backend", "numpy", "--epochs", 1, *more]
    size = [] if "--model" in more else ["--size", 48, "--workers", 0]
    code, out, err = invoke(capsys, "train", *arguments, *size, "--out", tmp_path / "run")
    lines = [line for line in err.splitlines() if not line.startswith("reading")]
    assert (code, out) == (2, ""), err
    assert len(lines) == 1, err
    assert words in err
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("task", OPTIONS)
def test_data_are_needed(task, capsys):
    code, out, err = invoke(capsys, "train", "--task", task, "--backend", "numpy")
    assert (code, out) == (2, "")
    assert f"--task {task} needs --data" in err


def test_a_network_of_a_fixed_number_of_outputs_is_refused(listed, tmp_path, capsys, monkeypatch):
    from tinymed import nn
    from tinymed.models import register, registry

    @register("fixed_outputs", "this test", (1, 16, 16))
    def fixed(in_channels: int = 1, size: int = 16) -> nn.Module:
        return nn.Sequential(nn.Flatten(), nn.Linear(in_channels * size**2, 5))

    try:
        code, _, err = invoke(
            capsys,
            *["train", "fixed_outputs", "--task", "regression", "--data", listed, "--label-column", "size"],
            *["--split-column", "part", "--backend", "numpy", "--out", tmp_path / "run"],
        )
    finally:
        del registry.registry["fixed_outputs"]
    assert code == 2
    assert "fixed_outputs: gives 5 outputs an image, and regression needs 1 here" in err


def test_a_network_of_one_output_learns_classes_too(cells, tmp_path, capsys):
    code, _, err = invoke(
        capsys, "train", "--data", cells, "--out", tmp_path / "run", *SMALL, *NETWORK[:-2], "--epochs", 1
    )
    assert code == 0, err
