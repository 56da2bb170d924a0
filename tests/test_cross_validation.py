"""`tinymed cv`, `sweep`, `lr-find`, `compare RUN RUN`, and what `evaluate` and `predict` do after training."""

import csv
import json

import numpy as np
import pytest
from commands import NETWORK, invoke
from datasets import write_image
from PIL import Image

from tinymed import tasks
from tinymed.cli import cross_validation, evaluating
from tinymed.data.folds import cut_fold, fold_indices, join
from tinymed.data.readers import open_dataset
from tinymed.errors import UserError
from tinymed.tasks.base import steady
from tinymed.tasks.results.rows import Cases, read_cases, write_rows
from tinymed.train.run import Run

QUICK = ["--model", *NETWORK, "--recipe", "paper", "--epochs", "1", "--positive", "sick"]


@pytest.fixture(scope="module")
def listed(tmp_path_factory):
    """48 pictures of 12 patients as a list; the sick are brighter, mostly."""
    folder, draw = tmp_path_factory.mktemp("cells"), np.random.default_rng(2)
    for i in range(48):
        level = draw.normal(90 + 45 * (i % 2), 30)
        pixels = np.clip(draw.normal(level, 10, (32, 32)), 0, 255).astype(np.uint8)
        write_image(folder / ("clear", "sick")[i % 2] / f"{i:03}.png", pixels)
    files = sorted(folder.rglob("*.png"))
    lines = [f"{f.relative_to(folder)},{f.parent.name},p{i % 12},{20 + i % 50}" for i, f in enumerate(files)]
    (folder / "list.csv").write_text("\n".join(["path,label,patient,age", *lines]) + "\n")
    return folder / "list.csv"


@pytest.fixture(scope="module")
def folded(listed, tmp_path_factory):
    """The folder of a cross-validation with three folds."""
    from tinymed.cli import main

    out = tmp_path_factory.mktemp("cv") / "out"
    assert main(["cv", str(listed), "--folds", "3", "--out", str(out), *QUICK, "--normalise"]) == 0
    return out


def of(given):
    """Each fold of a cross-validation, with its plan."""
    plan = cross_validation.plan_folds(dict(given))
    return [(plan, place) for place in cross_validation.places(plan)]


def rows_of(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


class TestFolds:
    def test_every_image_is_tested_once_and_patients_stay_whole(self, listed):
        data = open_dataset(str(listed))["all"]
        folds = fold_indices(data, 4, seed=3)
        assert sorted(np.concatenate(folds).tolist()) == list(range(len(data)))
        groups = [set(data.groups[f].tolist()) for f in folds]
        assert sum(map(len, groups)) == len(set.union(*groups)) == 12

    @pytest.mark.parametrize("folds", [1, 13])
    def test_too_few_or_many(self, listed, folds):
        with pytest.raises(UserError):
            fold_indices(open_dataset(str(listed))["all"], folds)

    def test_parts_are_joined_again(self, listed):
        data = open_dataset(str(listed))["all"]
        again = join([data.subset(range(20)), data.subset(range(20, 48))])
        assert again.samples == list(data.samples)
        np.testing.assert_array_equal(again.groups, data.groups)
        train, test, rows = cut_fold(again, 3, 2)
        assert len(train) + len(test) == 48
        assert [again.samples[i] for i in rows] == test.samples


class TestCv:
    def test_the_results_are_there_and_agree(self, folded):
        report = json.loads((folded / "cv.json").read_text())
        assert report["division"].startswith("48 images in 3 folds: split by patient (4/4/4), column 'patient'")
        cases = read_cases(folded / "predictions.csv")
        assert len(set(cases["path"].tolist())) == len(cases["path"]) == 48
        right = np.mean(cases["true"] == cases["predicted"])
        assert report["figures"]["accuracy"]["value"] == pytest.approx(right)
        assert set(report["figures"]["auc"]["folds"]) == {"fold-1", "fold-2", "fold-3"}
        pooled = next(r for r in rows_of(folded / "cv.csv") if (r["measure"], r["fold"]) == ("accuracy", "pooled"))
        assert float(pooled["value"]) == pytest.approx(right)
        with Image.open(folded / "cv.png") as picture:
            assert min(picture.size) > 300

    def test_no_patient_is_in_two_folds(self, folded):
        folds = {}
        for row in rows_of(folded / "folds.csv"):
            folds.setdefault(row["group"], set()).add(row["fold"])
        assert len(folds) == 12
        assert all(len(each) == 1 for each in folds.values())

    def test_statistics_are_of_each_folds_train_part(self, folded):
        means = set()
        for k in (1, 2, 3):
            run = Run.open(folded / f"fold-{k}")
            sets = run.splits()
            assert run.config.data.fold.fold == k
            groups = [set(part.groups.tolist()) for part in sets.values()]
            assert sum(map(len, groups)) == len(set.union(*groups))
            pixels = np.concatenate([sets["train"].image(i).ravel() for i in range(len(sets["train"]))])
            assert run.config.data.mean[0] == pytest.approx(pixels.mean() / 255, abs=0.02)
            means.add(run.config.data.mean[0])
        assert len(means) == 3

    def test_a_fold_is_a_run_of_its_own(self, folded, capsys):
        code, out, _ = invoke(capsys, "evaluate", folded / "fold-1", "--json")
        assert code == 0
        again = json.loads(out)
        assert again["accuracy"] == json.loads((folded / "fold-1" / "metrics.json").read_text())["test"]["accuracy"]
        assert any("4 in 16 images" in note for note in again["warnings"])

    def test_it_goes_on_where_it_was(self, folded, listed, capsys):
        before = (folded / "cv.json").read_bytes()
        (folded / "fold-2" / "metrics.json").unlink()
        kept = (folded / "fold-1" / "log.jsonl").stat().st_mtime_ns
        code, _, err = invoke(capsys, "cv", listed, "--folds", 3, "--out", folded, *QUICK, "--normalise")
        assert code == 0
        assert "fold-2" in err
        assert "fold-1:" not in err
        assert (folded / "fold-1" / "log.jsonl").stat().st_mtime_ns == kept
        assert (folded / "cv.json").read_bytes() == before

    def test_all_folds_train_one_network(self, listed, tmp_path, monkeypatch):
        """The recipe chooses by the number of training images, which differs from fold to fold."""
        given = {"data": str(listed), "folds": 5, "out": tmp_path / "cv", "positive": "sick", "backend": "numpy"}
        counts = [
            len(cross_validation.fold_run(plan, place, {}, tmp_path / "no")[1]["train"]) for plan, place in of(given)
        ]
        assert len(set(counts)) > 1
        monkeypatch.setattr(steady, "FEW", max(counts))
        models = {
            cross_validation.fold_run(plan, place, {}, tmp_path / "no")[0].config.model for plan, place in of(given)
        }
        assert len(models) == 1

    def test_other_settings_are_refused(self, folded, listed, capsys):
        code, _, err = invoke(capsys, "cv", listed, "--folds", 3, "--out", folded, *QUICK, "--batch", 4)
        assert code == 2
        assert "another" in err

    @pytest.mark.parametrize(
        ("options", "said"),
        [
            (["--folds", "1"], "at least 2 folds"),
            (["--split", "last"], "makes no folds"),
            (["--inner", "3"], "no effect"),
            (["--with-test"], "no test part"),
            (["--grid", "lr"], "write OPTION=VALUE"),
            (["--grid", "nix=1"], "not an option"),
            (["--grid", "lr=a"], "not a value"),
            (["--grid", "weight-decay=-1"], "greater than"),
            (["--lr", "0.01", "--grid", "lr=1e-3,1e-4"], "given twice"),
            (["--grid", "seed=1,2"], "decides no setting"),
        ],
    )
    def test_mistakes(self, listed, tmp_path, capsys, options, said):
        code, out, err = invoke(capsys, "cv", listed, *QUICK, "--out", tmp_path / "no", *options)
        assert (code, out) == (2, "")
        assert said in err
        assert not (tmp_path / "no").exists()

    def test_nested_choice_never_sees_the_fold(self, listed, tmp_path, capsys):
        options = ["--folds", 2, "--grid", "optimizer=adam,sgd", "--inner", 2, "--out", tmp_path / "n", *QUICK]
        assert invoke(capsys, "cv", listed, *options)[0] == 0
        outer = Run.open(tmp_path / "n" / "fold-1")
        tested = set(map(str, outer.splits()["test"].samples))
        inner = list((tmp_path / "n" / "inner" / "fold-1").glob("*/fold-*"))
        assert len(inner) == 4
        for folder in inner:
            for part in Run.open(folder).splits().values():
                assert not tested & set(map(str, part.samples))
        chosen = json.loads((tmp_path / "n" / "inner" / "fold-1" / "chosen.json").read_text())
        assert outer.config.optimizer == chosen["chosen"]["optimizer"]
        assert chosen["means"][f"optimizer={outer.config.optimizer}"] == min(chosen["means"].values())


class TestAfterTraining:
    @pytest.fixture
    def run(self, folded, monkeypatch):
        """A run whose network, seen on val, is mostly right and too sure: three epochs would teach it too little."""
        draw = np.random.default_rng(4)
        sick = draw.random(60) < 0.5
        p = 1 / (1 + np.exp(-4 * draw.normal(np.where(sick, 0.6, -0.6), 1)))
        columns = {"path": range(60), "true": np.where(sick, "sick", "clear"), "score clear": 1 - p, "score sick": p}
        monkeypatch.setattr(evaluating, "validation_cases", lambda run, model: Cases(columns))
        return folded / "fold-1"

    def test_choices_are_made_on_val(self, folded):
        run = Run.open(folded / "fold-1")
        cases = evaluating.validation_cases(run, run.load_model())
        val = run.splits()["val"]
        assert cases["path"].tolist() == [str(p.relative_to(p.parents[1])) for p in val.samples]

    def test_temperature_and_threshold_come_from_val(self, run, capsys, tmp_path):
        options = ["--calibrate", "--threshold", "sensitivity>=0.9", "--subgroup", "age", "--pictures", tmp_path]
        code, out, err = invoke(capsys, "evaluate", run, *options, "--json")
        assert code == 0, err
        found = json.loads(out)
        kept = json.loads((run / "decision.json").read_text())
        assert kept["threshold"]["part"] == kept["temperature"]["part"] == "val"
        assert kept["threshold"]["sensitivity"] >= 0.9
        assert kept["temperature"]["temperature"] > 1.5
        assert found["decision"]["threshold"] == kept["threshold"]["threshold"]
        assert set(found["calibration"]) == {"as trained", f"temperature {kept['temperature']['temperature']:.3f}"}
        assert sum(part["n"] for part in found["subgroups"]["age"].values()) == found["n"]
        assert {"reliability.png", "precision_recall.png", "net_benefit.png"} <= {p.name for p in tmp_path.iterdir()}

    def test_predict_says_what_it_decides_by(self, run, listed, capsys):
        invoke(capsys, "evaluate", run, "--calibrate", "--threshold", "youden")
        image = listed.parent / "sick" / "001.png"
        plain = json.loads(invoke(capsys, "predict", run, image, "--json")[1])[0]
        row = json.loads(invoke(capsys, "predict", run, image, "--calibrated", "--threshold", "--json")[1])[0]
        assert "temperature" in row["decided_by"][0]
        assert "by youden" in row["decided_by"][1]
        assert row["scores"] != plain["scores"]
        assert sum(row["scores"].values()) == pytest.approx(1)

    def test_what_was_fitted_to_other_weights_is_refused(self, run, listed, capsys):
        invoke(capsys, "evaluate", run, "--calibrate")
        path = run / "decision.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | {"weights": "0" * 64}))
        code, _, err = invoke(capsys, "predict", run, listed.parent / "sick" / "001.png", "--calibrated")
        assert code == 2
        assert "other weights" in err

    @pytest.mark.parametrize(
        ("options", "said"),
        [
            (["--threshold", "best"], "write youden"),
            (["--subgroup", "nix"], "no such column"),
            (["--calibrate", "--calibrated"], "not needed"),
            (["--skip-bad"], "no effect"),
        ],
    )
    def test_mistakes(self, run, capsys, options, said):
        code, _, err = invoke(capsys, "evaluate", run, *options)
        assert code == 2
        assert said in err

    def test_two_runs_image_by_image(self, folded, run, capsys, tmp_path):
        code, out, _ = invoke(capsys, "compare", folded, folded, "--json", "--out", tmp_path / "pair")
        assert code == 0
        report = json.loads(out)
        assert report["n"] == 48
        assert report["groups"] == 12
        assert report["measures"]["accuracy"]["difference"]["value"] == 0
        assert report["tests"]["mcnemar"]["p"] == 1
        assert (tmp_path / "pair" / "paired.csv").exists()
        code, out, _ = invoke(capsys, "compare", run, run)
        assert "DeLong's test of the AUCs: z = 0.000, p = 1.0000" in out
        code, _, err = invoke(capsys, "compare", run, folded / "fold-2")
        assert code == 2
        assert "no image was measured in both" in err


def test_a_list_of_predictions_is_harmless_to_spreadsheets(tmp_path):
    names = ["=cmd|' /C calc'!A0", "+1", "-x.png", "@a", 'a,b\n"c".png', "'quoted", "plain.png"]
    write_rows(tmp_path / "p.csv", [{"path": name, "score": -0.5} for name in names])
    text = (tmp_path / "p.csv").read_text()
    assert not any(line.startswith(("=", "+", "-", "@")) for line in text.splitlines())
    cases = read_cases(tmp_path / "p.csv")
    assert cases["path"].tolist() == names
    assert cases.numbers("score").tolist() == [-0.5] * len(names)
    (tmp_path / "bad.csv").write_text("a,b\n1,2\n")
    with pytest.raises(UserError, match="no list of predictions"):
        read_cases(tmp_path / "bad.csv")


def test_sweep_chooses_on_val_and_goes_on(listed, tmp_path, capsys):
    options = ["sweep", listed, *QUICK, "--grid", "optimizer=adam,sgd", "--seeds", 2, "--out", tmp_path / "s"]
    code, out, err = invoke(capsys, *options, "--json")
    assert code == 0, err
    report = json.loads(out)
    means = [row["mean"] for row in report["rows"]]
    assert means == sorted(means)
    metrics = [json.loads(p.read_text()) for p in (tmp_path / "s").rglob("metrics.json")]
    assert len(metrics) == 4
    assert all("test" not in m for m in metrics)
    with Image.open(tmp_path / "s" / "sweep.png") as picture:
        assert min(picture.size) > 300
    logs = {p: p.stat().st_mtime_ns for p in (tmp_path / "s").rglob("log.jsonl")}
    assert invoke(capsys, *options)[0] == 0
    assert {p: p.stat().st_mtime_ns for p in logs} == logs
    assert "--range" in invoke(capsys, "sweep", listed, *QUICK, "--range", "lr=1e-3:1e-2")[2]
    assert "say what to try" in invoke(capsys, "sweep", listed, *QUICK)[2]


def test_random_settings_differ_and_stay_in_range():
    from tinymed.cli.grids import draw_settings

    found = draw_settings(20, {"optimizer": ["adam", "sgd"]}, {"lr": (1e-5, 1e-1), "batch": (4, 64)}, seed=1)
    assert len({tuple(s.values()) for s in found}) == 20
    assert all(1e-5 <= s["lr"] <= 1e-1 and isinstance(s["batch"], int) for s in found)
    assert min(s["lr"] for s in found) < 1e-3
    with pytest.raises(UserError, match="only 2 different"):
        draw_settings(3, {"optimizer": ["adam", "sgd"]}, {}, seed=1)


def test_lr_find_is_not_led_by_the_noise_of_the_first_steps():
    """Losses of single batches about a fall at 10^-3: the mean of the first few falls by chance more steeply."""
    from tinymed.cli.lr_range import smoothed, suggest

    rates = np.logspace(-6, 0, 150)
    fall = 1.7 - 0.5 / (1 + np.exp(-3 * (np.log10(rates) + 3)))
    for seed in range(20):
        noise = np.random.default_rng(seed).normal(0, 0.06, 150)
        assert 1e-4 < suggest(rates, smoothed((fall + noise).tolist())) < 1e-2


def test_lr_find_suggests_where_the_loss_falls(tmp_path, capsys):
    from tinymed.cli.lr_range import smoothed, suggest

    rates = np.geomspace(1e-5, 1, 100)
    losses = 1 - 0.8 / (1 + np.exp(-3 * (np.log10(rates) + 2.5))) + np.where(rates > 0.2, (rates - 0.2) * 5, 0)
    assert 1e-3 < suggest(rates, losses) < 1e-2  # the middle of the fall is at 10^-2.5
    assert smoothed([2.0, 2.0, 2.0]).tolist() == pytest.approx([2, 2, 2])
    with pytest.raises(UserError, match="does not fall"):
        suggest(rates, np.linspace(0, 1, 100))


def test_every_task_lists_and_measures_its_predictions():
    for name in tasks.available():
        task = tasks.find(name)
        for method in ("case_rows", "figures"):
            assert getattr(type(task), method) is not getattr(tasks.base.task.Task, method), f"{name}: {method}"
