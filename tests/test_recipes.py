"""Recipes: what trains where nothing is said, what the data decide of it, and what is said before and after."""

import csv
import json

import numpy as np
import pytest
from commands import NETWORK, QUICK, invoke, write_images
from hypothesis import given
from hypothesis import strategies as st
from masks import mask_tree
from PIL import Image

import tinymed
from tinymed.cli.start_run import config_from_options, open_sets, with_data_fields
from tinymed.data import Dataset
from tinymed.data.remarks import patients_of, split_text
from tinymed.errors import UserError
from tinymed.metrics.classification import evaluate_scores
from tinymed.metrics.patients import evaluate_patients, patient_scores
from tinymed.runs.advice import advice
from tinymed.tasks.base.config import AugmentConfig, parse_config
from tinymed.tasks.base.recipes import FEWEST, MOST, RECIPES, SHOWN, mirrored, planned_epochs, unequal
from tinymed.tasks.base.steady import FEW, steady_values
from tinymed.tasks.classification import ClassificationConfig
from tinymed.tasks.inference.mirrors import averaged, mirrors_of
from tinymed.tasks.results.rows import read_cases


def configured(data, **options):
    """The configuration of a run on these data, and the lines that are said of it."""
    given = {"model": "dcnn", "size": 46, "backend": "numpy", "workers": 0, "data": str(data)} | options
    config = config_from_options(given)
    return with_data_fields(config, open_sets(config, given), given)


def listed(folder, rows, header=("path", "label", "patient")):
    """A list beside images."""
    with (folder / "list.csv").open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    return folder / "list.csv"


class TestSteady:
    def test_is_what_trains_images_of_your_own(self, cells):
        config, lines = configured(cells)
        assert (config.recipe, config.optimizer, config.schedule, config.keep) == ("steady", "adamw", "cosine", "best")
        assert (config.head, config.batch, config.warmup) == ("softmax", 32, 0.05)
        assert config.model_options == {"dropout": [0.0, 0.5], "bn_momentum": 0.1}
        assert config.augment.settings() is not None
        assert config.data.mean is not None
        assert any(line.startswith(f"recipe steady: {config.epochs} epochs") for line in lines)

    def test_the_papers_recipe_is_what_was_the_default(self, cells):
        config, _ = configured(cells, recipe="paper")
        assert (config.optimizer, config.lr, config.epochs, config.batch) == ("adam", 1e-3, 20, 128)
        assert (config.schedule, config.warmup, config.keep, config.head) == ("constant", 0, "last", "sigmoid")
        assert (config.model_options, config.augment.settings(), config.data.mean) == ({}, None, None)
        assert config.sampling is None

    def test_without_data_the_quick_one_trains(self):
        config = config_from_options({"backend": "numpy"})
        assert (config.recipe, config.epochs, config.batch, config.optimizer) == ("quick", 12, 32, "adam")
        assert config.augment.horizontal_flip

    @pytest.mark.parametrize(
        ("option", "value"),
        [
            ("epochs", 7),
            ("batch", 5),
            ("optimizer", "sgd"),
            ("lr", 0.01),
            ("schedule", "constant"),
            ("keep", "last"),
            ("head", "sigmoid"),
            ("warmup", 0.0),
            ("weight_decay", 0.0),
            ("sampling", "over"),
            ("seed", 4),
        ],
    )
    def test_an_option_outranks_the_recipe(self, option, value, cells):
        config, _ = configured(cells, **{option: value})
        assert getattr(config, option) == value

    def test_what_it_does_can_be_left_out(self, cells):
        config, _ = configured(cells, augment=False, normalise=False)
        assert config.augment.settings() is None
        assert config.data.mean is None
        flips, _ = configured(cells, flip=False)
        assert not flips.augment.horizontal_flip
        assert flips.augment.rotate == 15

    def test_an_unknown_recipe_is_refused(self, cells):
        with pytest.raises(UserError, match=r"--recipe 'best': choose steady, paper, quick"):
            configured(cells, recipe="best")

    @given(st.integers(1, 10**7))
    def test_epochs_follow_the_number_of_images(self, images):
        epochs = planned_epochs(images)
        assert FEWEST <= epochs <= MOST
        if FEWEST < epochs < MOST:
            assert abs(epochs * images - SHOWN) <= images

    def test_rare_classes_are_shown_more_often_and_named(self, tmp_path):
        cells = write_images(tmp_path, ["clear", "ill"], 40)
        for path in sorted((cells / "ill").glob("*.png"))[5:]:
            path.unlink()
        config, lines = configured(cells)
        assert config.sampling == "balanced"
        assert any("rare in the training set: ill" in line and "--sampling balanced" in line for line in lines)
        paper, lines = configured(cells, recipe="paper")
        assert paper.sampling is None
        assert any("rare in the training set: ill" in line and "try --sampling balanced" in line for line in lines)
        weighted, _ = configured(cells, class_weights="balanced")
        assert weighted.sampling is None

    def test_no_flip_exchanges_left_and_right(self, tmp_path):
        config, lines = configured(write_images(tmp_path, ["left_lung", "right_lung"], 20))
        assert not config.augment.horizontal_flip
        assert config.augment.vertical_flip
        assert any("no horizontal flip" in line for line in lines)
        asked, _ = configured(tmp_path, flip=True)
        assert asked.augment.horizontal_flip

    @given(st.lists(st.integers(1, 1000), min_size=2, max_size=6))
    def test_unequal_is_a_ratio_of_three(self, counts):
        assert unequal({str(i): n for i, n in enumerate(counts)}) == (max(counts) >= 3 * min(counts))

    def test_names_that_only_contain_a_side_flip(self):
        assert mirrored(["bright", "leftover"]) == {}
        assert set(mirrored(["upper left", "lower right"])) == {"horizontal_flip", "vertical_flip"}

    @pytest.mark.parametrize("recipe", RECIPES)
    def test_a_networks_own_loss_and_inputs_stay(self, recipe, cells):
        config = config_from_options({"model": "lenet5", "grey": True, "data": str(cells), "recipe": recipe})
        assert config.head == "own"
        assert config.data.mean == [pytest.approx(0.1 / 1.275)]


class TestTheNetwork:
    def test_is_the_recipes_where_none_is_named(self, cells):
        config = config_from_options({"data": str(cells), "backend": "numpy"})
        assert (config.model, config.data.size, config.model_options["width"]) == ("resnet18", 96, 0.25)
        paper = config_from_options({"data": str(cells), "backend": "numpy", "recipe": "paper"})
        assert (paper.model, paper.data.size, paper.model_options) == ("dcnn", 50, {})
        assert config_from_options({"backend": "numpy"}).model == "dcnn"

    @pytest.mark.parametrize(
        ("options", "model"),
        [
            ({}, "dcnn"),
            ({"model": "resnet18"}, "resnet18"),
            ({"size": 48}, "resnet18"),
            ({"option": ["width=0.5"]}, "resnet18"),
        ],
    )
    def test_few_images_have_a_shallower_one(self, options, model, cells):
        given = {"data": str(cells), "backend": "numpy", "workers": 0} | options
        config, lines = with_data_fields(
            config_from_options(given), open_sets(config_from_options(given), given), given
        )
        assert config.model == model
        assert any(line.startswith(f"{model}, train") for line in lines)
        if not options:
            assert (config.data.size, config.model_options) == (96, {"dropout": [0.0, 0.5], "bn_momentum": 0.1})

    def test_a_cross_validation_names_the_network_that_was_trained(self, cells, tmp_path, capsys):
        few = ["--folds", 2, "--steps", 1, "--workers", 0, "--backend", "numba"]
        assert invoke(capsys, "cv", cells, "--out", tmp_path / "cv", *few)[0] == 0
        assert json.loads((tmp_path / "cv" / "cv.json").read_text())["model"] == "dcnn"

    def test_many_images_have_the_residual_one(self):
        config = config_from_options({"data": "DIR", "backend": "numpy"})
        many = Dataset(
            np.random.default_rng(0).integers(0, 255, (FEW, 8, 8, 3), np.uint8), [0, 1] * (FEW // 2), ["a", "b"]
        )
        assert "model" not in steady_values(config, many, {})
        assert steady_values(config, many.subset(list(range(FEW - 1))), {})["model"] == "dcnn"

    def test_a_named_one_keeps_its_own_side_and_width(self, cells):
        config = config_from_options({"data": str(cells), "backend": "numpy", "model": "resnet18"})
        assert (config.data.size, "width" in config.model_options) == (224, False)

    def test_the_weights_of_a_run_bring_their_network(self, cells, tmp_path, capsys):
        first, second = tmp_path / "first", tmp_path / "second"
        small = ["--workers", 0, "--epochs", 1, "--backend", "numba"]
        options = ["--size", 47, "--option", "dropout=[0.1, 0.2]"]
        assert invoke(capsys, "train", "dcnn", "--data", cells, "--out", first, *small, *options)[0] == 0
        code, _, err = invoke(capsys, "train", "--data", cells, "--init", first, "--out", second, *small)
        assert code == 0, err
        config = json.loads((second / "config.json").read_text())
        assert (config["model"], config["data"]["size"], config["model_options"]["dropout"]) == ("dcnn", 47, [0.1, 0.2])
        assert "all" in err or "taken" in err

    def test_options_outrank_the_recipe(self, cells):
        given = {"data": str(cells), "backend": "numpy", "size": 48, "option": ["width=0.5"]}
        config = config_from_options(given)
        assert (config.model, config.data.size, config.model_options["width"]) == ("resnet18", 48, 0.5)


def written(folder, draw, count=12):
    """Class folders of pictures [48, 48] that draw(i) gives."""
    for i in range(count):
        path = folder / "ab"[i % 2] / f"{i:02}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(draw(i).astype(np.uint8)).save(path)
    return folder


class TestUpAndDown:
    def test_upright_images_have_no_vertical_flip(self, tmp_path, rng):
        sky = np.linspace(0, 200, 48)[:, None] + np.zeros((1, 48))
        data = written(tmp_path, lambda i: sky + rng.integers(0, 50, (48, 48)))
        config, lines = configured(data)
        assert (config.augment.horizontal_flip, config.augment.vertical_flip, config.augment.turns) == (
            True,
            False,
            False,
        )
        assert any("an up and a down: no vertical flip" in line for line in lines)
        asked, lines = configured(data, vertical_flip=True)
        assert asked.augment.vertical_flip
        assert not any("an up and a down" in line for line in lines)
        assert configured(data, flip=True)[0].augment.vertical_flip

    def test_what_lies_any_way_round_is_turned(self, tmp_path, rng):
        config, lines = configured(written(tmp_path, lambda i: rng.integers(0, 255, (48, 48)), 60))
        assert (config.augment.vertical_flip, config.augment.turns) == (True, True)
        assert not any("an up and a down" in line for line in lines)
        assert not configured(tmp_path, turns=False)[0].augment.turns
        assert not configured(tmp_path, recipe="paper")[0].augment.turns

    def test_what_has_a_side_is_flipped_and_not_turned(self, tmp_path, rng):
        """Stripes across are the same upside down, but not after a quarter of a turn."""
        stripes = 200 * (np.arange(48)[:, None] // 8 % 2 == np.array([0, 1, 1, 0, 0, 1]).repeat(8)[:, None]) + np.zeros(
            (1, 48)
        )
        stripes = (stripes + stripes[::-1]) / 2
        config, _ = configured(written(tmp_path, lambda i: stripes + rng.integers(0, 50, (48, 48)), 60))
        assert (config.augment.vertical_flip, config.augment.turns) == (True, False)


class TestAveragedFlips:
    def test_the_answer_is_the_mean_of_an_image_and_its_mirrors(self, rng):
        images = tinymed.Tensor(rng.random((3, 2, 4, 5)).astype(np.float32))
        weights = rng.random((2, 4, 5)).astype(np.float32)

        def forward(x):
            return tinymed.Tensor((x.array * weights).sum(axis=(2, 3)))

        x, mirrors = images.array, mirrors_of(AugmentConfig(horizontal_flip=True, vertical_flip=True))
        views = [x, x[..., ::-1], x[:, :, ::-1], x[:, :, ::-1, ::-1]]
        expected = np.mean([(view * weights).sum(axis=(2, 3)) for view in views], axis=0)
        assert np.allclose(averaged(forward, mirrors)(images).array, expected, atol=1e-5)
        assert averaged(forward, mirrors_of(AugmentConfig())) is forward

    def test_train_evaluate_and_predict_say_the_same(self, cells, tmp_path, capsys):
        """The mirror of an image gets its answer, which a network alone does not give it."""
        run = tmp_path / "run"
        small = ["--workers", 0, "--size", 46, "--epochs", 1, "--no-vertical-flip", "--no-turns"]
        assert invoke(capsys, "train", "dcnn", "--data", cells, "--out", run, *small)[0] == 0
        with (run / "predictions.csv").open(newline="") as file:
            row = next(csv.DictReader(file))
        picture = next(cells.rglob(row["path"].rpartition("/")[2]))
        with Image.open(picture) as image:
            image.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(tmp_path / "mirror.png")
        answers = []
        for file in (picture, tmp_path / "mirror.png"):
            found = json.loads(invoke(capsys, "predict", run, file, "--json")[1])
            answers.append(next(iter(found[0]["scores"].values())))
        listed = next(float(value) for name, value in row.items() if name.startswith("score "))
        assert answers[0] == pytest.approx(listed, abs=1e-5)
        assert answers[1] == pytest.approx(answers[0], abs=1e-5)
        self.check_file(run, picture, answers[0], tmp_path, capsys)

    def check_file(self, run, picture, answer, tmp_path, capsys):
        """An exported file answers as `predict` does, as it is and mirrored; without the mean it does not."""
        onnx = pytest.importorskip("onnx", reason="onnx is not installed: pip install '.[test]'")
        ort = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed: pip install '.[test]'")
        found = {}
        for name in ("--average-flips", "--no-average-flips"):
            path = tmp_path / f"{name}.onnx"
            assert invoke(capsys, "export", run, "--out", path, name)[0] == 0
            kept = {p.key: p.value for p in onnx.load(path).metadata_props}
            steps = json.loads(kept["tinymed.preparation"])
            with Image.open(picture) as image:
                pixels = np.asarray(image.convert("RGB").resize(steps["size"], Image.Resampling.BILINEAR), np.float32)
            x = ((pixels / 255 - steps["mean"]) / steps["std"]).transpose(2, 0, 1)[None].astype(np.float32)
            session = ort.InferenceSession(path)
            inputs = session.get_inputs()[0].name
            (logits,) = session.run(None, {inputs: np.concatenate([x, x[..., ::-1]])})
            each = np.exp(logits - logits.max(axis=1, keepdims=True))
            found[name] = kept["tinymed.mirrors"], inputs, (each / each.sum(axis=1, keepdims=True))[:, 0]
        told, inputs, scores = found["--average-flips"]
        assert (told, inputs) == ("averaged in the graph: the image, left-right", "input")
        assert np.allclose(scores, answer, atol=1e-5)
        told, inputs, scores = found["--no-average-flips"]
        assert (told.partition(",")[0], inputs) == ("not averaged", "input")
        assert abs(scores[0] - scores[1]) > 1e-5

    def test_it_is_the_steady_recipes_alone_and_older_runs_go_on_without(self, cells):
        assert configured(cells)[0].average_flips
        assert not configured(cells, recipe="paper")[0].average_flips
        assert not configured(cells, average_flips=False)[0].average_flips
        content = configured(cells)[0].model_dump(mode="json")
        del content["average_flips"]
        assert not parse_config(ClassificationConfig, content).average_flips

    def test_is_refused_where_training_shows_no_mirrors(self, cells):
        with pytest.raises(UserError, match=r"--average-flips: has no effect here: .*--flip"):
            configured(cells, average_flips=True, flip=False)


class TestTheSplitIsSaid:
    @pytest.mark.parametrize(
        "column", ["patient", "patient_id", "PatientID", "Subject ID", "case", "MRN", "participant"]
    )
    def test_by_patient_for_each_usual_name(self, column, cells, tmp_path):
        files = sorted(cells.glob("*/*.png"))
        rows = [[path, path.parent.name, f"p{i // 2}"] for i, path in enumerate(files)]
        given = {"data": str(listed(tmp_path, rows, ("path", "label", column))), "backend": "numpy"}
        said = split_text(open_sets(config_from_options(given), given))
        assert said.startswith("split by patient (")
        counts = [int(n) for n in said.partition("(")[2].partition(")")[0].split("/")]
        assert sum(counts) == len(files) // 2
        assert f"column {column!r}" in said

    def test_by_image_where_nothing_says_who(self, cells, tmp_path, capsys):
        code, _, err = invoke(capsys, "train", "--data", cells, "--out", tmp_path / "run", *NETWORK, "--steps", 1)
        assert code == 0
        assert "no patient column: split by image" in err.splitlines()


class TestPatients:
    def test_scores_are_means_of_images_and_mixed_patients_are_counted(self, rng):
        scores, patients = rng.random((30, 3)), rng.integers(0, 8, 30)
        labels = patients % 3
        means, truth, mixed = patient_scores(scores, labels, patients)
        for row, label, who in zip(means, truth, np.unique(patients), strict=True):
            assert np.allclose(row, scores[patients == who].mean(axis=0))
            assert label == who % 3
        assert mixed == 0
        labels[np.flatnonzero(patients == patients[0])[0]] = (patients[0] + 1) % 3
        several = (np.bincount(patients)[patients[0]] > 1).astype(int)
        assert patient_scores(scores, labels, patients)[2] == several

    def test_one_image_a_patient_is_the_measure_of_images(self, rng):
        scores, labels = rng.random((40, 2)), rng.integers(0, 2, 40)
        found = evaluate_patients(scores, labels, np.arange(40), ["a", "b"], "b", seed=1)
        whole = evaluate_scores(scores, labels, ["a", "b"], "b", seed=1)
        assert {k: found[k] for k in ("accuracy", "auc", "auc_interval")} == {
            k: whole[k] for k in ("accuracy", "auc", "auc_interval")
        }

    def test_a_run_says_them_and_lists_every_measured_image(self, tmp_path, cells, capsys):
        files = sorted(cells.glob("*/*.png"))
        path = listed(tmp_path, [[f, f.parent.name, f"{f.parent.name}{i // 2}"] for i, f in enumerate(files)])
        out = tmp_path / "run"
        code, shown, _ = invoke(capsys, "train", "--data", path, "--out", out, *QUICK)
        assert code == 0
        assert "by patient, the mean score of a patient's images: n =" in shown
        metrics = json.loads((out / "metrics.json").read_text())
        assert metrics["test"]["patients"]["n"] < metrics["test"]["n"]
        for part, name in (("test", "predictions.csv"), ("val", "predictions-val.csv")):
            assert len(read_cases(out / name)["path"]) == metrics[part]["n"]

    def test_groups_that_are_no_patients_have_no_scores(self, tmp_path, cells, capsys):
        files = sorted(cells.glob("*/*.png"))
        rows = [[f, f.parent.name, f"{f.parent.name}{i // 2}"] for i, f in enumerate(files)]
        path = listed(tmp_path, rows, ("path", "label", "near_duplicate_group"))
        code, shown, _ = invoke(capsys, "train", "--data", path, "--out", tmp_path / "run", *NETWORK, "--steps", 1)
        assert code == 0
        assert "by patient" not in shown


class Settings:
    """What advice reads of a configuration."""

    def __init__(self, keep="best", schedule="cosine"):
        self.monitor, self.keep, self.schedule = "val_loss", keep, schedule


def epochs(*losses):
    return [{"epoch": i, "step": 10 * i, "loss": v, "val_loss": v} for i, v in enumerate(losses, 1)]


class TestAdvice:
    def test_nothing_where_nothing_stands_out(self):
        assert advice("run", Settings(), epochs(1, 0.8, 0.6, 0.5, 0.45, 0.44, 0.441, 0.442), {}) == []

    def test_a_better_epoch_than_the_last_is_named_with_its_command(self):
        (line,) = advice("runs/a", Settings(keep="last"), epochs(1, 0.5, 0.4, 0.6, 0.7, 0.8), {})
        assert "epoch 3 was better than the last" in line
        assert "tinymed evaluate runs/a --weights best" in line

    def test_the_last_epoch_is_not_better_than_itself(self):
        assert advice("run", Settings(keep="last"), epochs(1, 0.8, 0.6, 0.5, 0.45, 0.44, 0.438, 0.437), {}) == []

    def test_what_never_changes_is_not_learnt_by_heart(self):
        (line,) = advice("runs/a", Settings(), epochs(0.0, 0.0, 0.0, 0.0, 0.0), {})
        assert "in every epoch" in line
        assert "by heart" not in line

    def test_the_first_of_equal_epochs_says_nothing(self):
        assert advice("run", Settings(), epochs(1, 0.5, 0.6, 0.5, 0.6, 0.5), {}) == []

    def test_learning_by_heart(self):
        (line,) = advice("runs/a", Settings(), epochs(1, 0.5, 0.6, 0.7, 0.8, 0.9), {})
        assert "epoch 2 of 6" in line
        assert "--weight-decay" in line

    @pytest.mark.parametrize(
        ("schedule", "told"), [("cosine", "train longer"), ("constant", "--resume runs/a --epochs 12")]
    )
    def test_still_improving(self, schedule, told):
        (line,) = advice("runs/a", Settings(schedule=schedule), epochs(1, 0.9, 0.8, 0.7, 0.6, 0.5), {})
        assert "still improving" in line
        assert told in line

    def test_an_interval_that_contains_the_majority(self):
        result = evaluate_scores([[0.6, 0.4]] * 30, [0] * 20 + [1] * 10, ["clear", "ill"], "ill", resamples=0)
        lines = advice("run", Settings(), [], result | {"auc_interval": [0.4, 0.7]})
        assert any(
            "always answering clear scores 0.667" in line and "AUC's interval begins at 0.400" in line for line in lines
        )
        assert any("no image of ill is found" in line for line in lines)
        assert any("ill (10)" in line for line in lines)

    @pytest.mark.parametrize(
        "result", [{}, {"per_class": {"cell": {"ap": 0.5}}}, {"confusion": [[1]], "accuracy": 1.0}]
    )
    def test_results_of_other_tasks_are_left_alone(self, result):
        assert advice("run", Settings(), [], result) == []

    def test_a_good_result_needs_none(self):
        labels = np.arange(200) % 2
        result = evaluate_scores(np.eye(2)[labels], labels, ["clear", "ill"], "ill")
        assert advice("run", Settings(), [], result) == []


def test_patients_of_other_columns_are_none():
    images = np.zeros((2, 8, 8), np.uint8)
    assert patients_of(Dataset(images, [0, 1], ["a", "b"])) is None
    assert patients_of(Dataset(images, [0, 1], ["a", "b"], np.array(["x", "y"]), group_column="lesion")) is None


@pytest.mark.full
@pytest.mark.parametrize("seed", range(2))
def test_the_steady_recipe_learns(tmp_path, seed, capsys):
    """From 200 easy smears, in 12 epochs, what separates them."""
    data = write_images(tmp_path / "cells", ["clear", "parasite"], 100, seed=seed)
    code, _, _ = invoke(
        capsys, "train", "dcnn", "--data", data, "--size", 46, "--epochs", 12, "--workers", 0, "--out", tmp_path / "run"
    )
    assert code == 0
    assert json.loads((tmp_path / "run" / "metrics.json").read_text())["val"]["auc"] > 0.8


class TestDataOfAnotherTask:
    @pytest.mark.parametrize(("kind", "task"), [("masks", "segmentation"), ("boxes", "detection")])
    def test_the_task_is_named(self, kind, task, tmp_path, capsys):
        if kind == "masks":
            data = listed(tmp_path, [["a.png", "b.png"]], ("path", "mask"))
        else:
            data = tmp_path
            listed(tmp_path, [["a.png", 3]], ("path", "n_boxes")).rename(tmp_path / "splits.csv")
            (tmp_path / "boxes.csv").write_text("path,label,xmin,ymin,xmax,ymax\n")
        code, out, err = invoke(capsys, "train", "--data", data, "--out", tmp_path / "run")
        assert (code, out, len(err.splitlines())) == (2, "", 1)
        assert f"these data look like those of another task: --task {task}" in err

    def test_tasks_that_look_at_the_data_first_name_it_too(self, tmp_path, capsys):
        pairs = mask_tree(tmp_path / "pairs", 2)
        code, out, err = invoke(capsys, "train", "--task", "detection", "--data", pairs)
        assert (code, out, len(err.splitlines())) == (2, "", 1)
        assert "these data look like those of another task: --task segmentation" in err
        code, _, err = invoke(capsys, "train", "--task", "segmentation", "--data", pairs, "--size", 0)
        assert (code, "another task" in err) == (2, False)

    def test_nothing_is_said_where_nothing_speaks_for_one(self, tmp_path, capsys):
        data = listed(tmp_path, [["a.png", "x"]], ("path", "what"))
        code, _, err = invoke(capsys, "train", "--data", data, "--out", tmp_path / "run")
        assert code == 2
        assert "another task" not in err


def test_a_steady_run_that_has_ended_goes_on_at_its_last_rate(cells, tmp_path, capsys):
    """A thousandth of the first one, and says so; of so few steps none was left to rise in, and no rate rises."""
    out = tmp_path / "run"
    assert invoke(capsys, "train", "--data", cells, *NETWORK, "--epochs", 1, "--out", out)[0] == 0
    code, shown, err = invoke(capsys, "train", "--resume", out, "--epochs", 3)
    assert code == 0, err
    assert "the schedule has ended; its last rate, " in shown + err
    rates = [
        row["lr"] for row in map(json.loads, (out / "log.jsonl").read_text().splitlines()) if row["event"] == "epoch"
    ]
    assert len(rates) == 3
    assert all(rate == pytest.approx(rates[0]) for rate in rates)
    assert rates[0] > 0
