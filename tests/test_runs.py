"""Run folders as a table, a picture, a list and TensorBoard's events; the live display; completion; doctor's hints."""

import csv
import io
import json
import os
import shutil
import subprocess
import sys
from types import SimpleNamespace

import pytest
from commands import NETWORK, invoke
from PIL import Image
from rich.console import Console

from tinymed.cli import COMMANDS
from tinymed.errors import UserError
from tinymed.runs.dashboard import Dashboard, best_text, curve_text, small_curve
from tinymed.runs.events import EventFile, scalars
from tinymed.runs.listing import find_runs, matches, ordered, read_run


@pytest.fixture(scope="module")
def folder(tmp_path_factory, finished_run):
    """Three runs: finished, another copy with other scores, and one that was killed in its second epoch."""
    root = tmp_path_factory.mktemp("runs")
    for name in ("one", "two", "killed"):
        shutil.copytree(finished_run, root / name)
    metrics = json.loads((root / "two" / "metrics.json").read_text())
    metrics["test"] |= {"accuracy": 0.9999, "auc": 0.25}
    (root / "two" / "metrics.json").write_text(json.dumps(metrics))
    (root / "killed" / "metrics.json").unlink()
    log = (root / "killed" / "log.jsonl").read_text().splitlines()
    first = next(i for i, line in enumerate(log) if '"event": "epoch"' in line)
    (root / "killed" / "log.jsonl").write_text("\n".join([*log[: first + 1], '{"event": "ep']))
    (root / "notes").mkdir()
    return root


class TestList:
    def test_a_table_of_all_runs_below(self, folder, capsys):
        code, out, _ = invoke(capsys, "runs", folder)
        lines = out.splitlines()
        assert code == 0
        assert lines[0].split()[:3] == ["run", "model", "data"]
        assert [line.split()[0].rpartition("/")[2] for line in lines[1:]] == ["killed", "one", "two"]
        assert "unfinished, 1 of 2 epochs" in lines[1]
        assert "finished" in lines[2]

    def test_figures_are_those_of_the_run(self, folder, capsys):
        rows = json.loads(invoke(capsys, "runs", folder / "one", "--json")[1])
        metrics = json.loads((folder / "one" / "metrics.json").read_text())
        (row,) = rows
        assert (row["val"], row["test"]) == (metrics["val"]["accuracy"], metrics["test"]["accuracy"])
        assert row["test_interval"] == metrics["test"]["accuracy_interval"]
        assert row["keys"]["test.auc"] == metrics["test"]["auc"]
        assert row["keys"]["data.size"] == 32
        history = read_run(folder / "one").history
        assert row["best_epoch"] == min(history, key=lambda epoch: epoch["val_loss"])["epoch"]
        assert len(history) == row["epochs"] == 2

    def test_sorted_filtered_and_with_further_columns(self, folder, capsys):
        given = ["--sort", "test.auc", "--columns", "lr,test.auc", "--filter", "state=finished"]
        _, out, _ = invoke(capsys, "runs", folder, *given)
        assert [line.split()[0].rpartition("/")[2] for line in out.splitlines()[1:]] == ["two", "one"]
        assert out.splitlines()[0].split()[-3:-1] == ["lr", "test"] or "test.auc" in out.splitlines()[0]
        _, out, _ = invoke(capsys, "runs", folder, *given, "--descending")
        assert [line.split()[0].rpartition("/")[2] for line in out.splitlines()[1:]] == ["one", "two"]

    @pytest.mark.parametrize(
        ("condition", "names"),
        [
            ("test.accuracy>0.999", {"two"}),
            ("test.accuracy<=0.999", {"one"}),
            ("test.accuracy!=0.9999", {"one", "killed"}),
            ("state~unfinished", {"killed"}),
            ("state = finished", {"one", "two"}),
            ("lr=1e-3", {"one", "two", "killed"}),
            ("augment.horizontal_flip=true", {"one", "two", "killed"}),
            ("model!=lenet5_modern", set()),
        ],
    )
    def test_conditions(self, condition, names, folder):
        runs = [read_run(path) for path in find_runs([folder])]
        assert {run.folder.name for run in runs if matches(run, condition)} == names

    def test_what_is_missing_comes_last_either_way(self, folder):
        runs = [read_run(path) for path in find_runs([folder])]
        for descending in (False, True):
            assert ordered(runs, "test.auc", descending)[-1].folder.name == "killed"

    @pytest.mark.parametrize(
        ("words", "message"),
        [
            (["--sort", "test.auv"], r"--sort test.auv: no run has it; did you mean test.auc"),
            (["--columns", "rate"], r"--columns rate: no run has it"),
            (["--filter", "test.auc"], r"write KEY=VALUE"),
            (["--filter", "model>3"], r"are not both numbers"),
            (["--filter", "model=none"], r"none of 3 runs is left"),
            (["--curves", "x.pdf"], r"x.pdf: is drawn as .png or listed as .csv"),
        ],
    )
    def test_mistakes_are_named(self, words, message, folder, capsys):
        code, out, err = invoke(capsys, "runs", folder, *words)
        assert (code, out, len(err.splitlines())) == (2, "", 1)
        assert message in err

    def test_folders_without_runs_and_runs_that_cannot_be_read(self, folder, tmp_path, capsys):
        assert "holds no run" in invoke(capsys, "runs", folder / "notes")[2]
        assert "is no folder" in invoke(capsys, "runs", tmp_path / "absent")[2]
        for name in ("good", "bad"):
            shutil.copytree(folder / "one", tmp_path / name)
        (tmp_path / "bad" / "config.json").write_text("{")
        code, out, err = invoke(capsys, "runs", tmp_path)
        assert (code, len(out.splitlines())) == (0, 2)
        assert "left out" in err
        assert "bad" in err

    def test_curves_and_table_as_files(self, folder, tmp_path, capsys):
        picture, epochs, rows = tmp_path / "c.png", tmp_path / "c.csv", tmp_path / "t.csv"
        assert invoke(capsys, "runs", folder, "--curves", picture, "--quantity", "val_loss", "--csv", rows)[0] == 0
        with Image.open(picture) as image:
            assert min(image.size) > 300
        assert invoke(capsys, "runs", folder, "--curves", epochs)[0] == 0
        with epochs.open() as file:
            listed = list(csv.DictReader(file))
        assert [row["run"].rpartition("/")[2] for row in listed] == ["killed", "one", "one", "two", "two"]
        with rows.open() as file:
            assert len(list(csv.DictReader(file))) == 3


def read_events(folder):
    """{name: [(step, value)]} of TensorBoard's own reader."""
    loader = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    read = loader.EventAccumulator(str(folder))
    read.Reload()
    return {name: [(e.step, e.value) for e in read.Scalars(name)] for name in read.Tags()["scalars"]}


class TestEvents:
    def test_a_finished_run_is_read_by_tensorboard(self, folder, tmp_path, capsys):
        pytest.importorskip("tensorboard")
        assert invoke(capsys, "runs", folder / "one", "--tensorboard", tmp_path / "events")[0] == 0
        found = read_events(tmp_path / "events" / "one")
        for name, key in (("train/loss", "loss"), ("val/auc", "val_auc"), ("rate", "lr")):
            expected = [(row["step"], row[key]) for row in read_run(folder / "one").history]
            assert [s for s, _ in found[name]] == [s for s, _ in expected]
            assert [v for _, v in found[name]] == pytest.approx([v for _, v in expected])
        code, _, err = invoke(capsys, "runs", folder / "one", "--tensorboard", tmp_path / "events")
        assert code == 2
        assert "has events already" in err

    def test_a_run_writes_them_while_it_trains_and_a_resumed_one_voids_what_it_repeats(self, cells, tmp_path, capsys):
        pytest.importorskip("tensorboard")
        out, events = tmp_path / "run", tmp_path / "events"
        given = ["--data", cells, *NETWORK, "--recipe", "paper", "--tensorboard", events]
        assert invoke(capsys, "train", *given, "--epochs", 1, "--out", out)[0] == 0
        first = read_events(events)
        assert [step for step, _ in first["train/loss"]] == [4]
        assert invoke(capsys, "train", "--resume", out, "--epochs", 3, "--tensorboard", events)[0] == 0
        found = read_events(events)
        assert [step for step, _ in found["val/loss"]] == [4, 8, 12]
        assert [step for step, _ in found["train/step_loss"]] == [10]

    def test_events_after_the_step_of_a_restart_are_void(self, tmp_path):
        pytest.importorskip("tensorboard")
        for step, steps in ((0, range(1, 9)), (5, range(5, 8))):
            file = EventFile(tmp_path, step)
            for each in steps:
                file.add(each, {"x": float(step), "none": None, "flag": True})
            file.close()
        found = read_events(tmp_path)
        assert found == {"x": [(1, 0), (2, 0), (3, 0), (4, 0), (5, 5), (6, 5), (7, 5)]}

    def test_without_the_package_the_extra_is_named(self, tmp_path, monkeypatch):
        monkeypatch.setitem(sys.modules, "tensorboard.compat.proto", None)
        with pytest.raises(UserError, match=r"pip install 'tinymed\[tensorboard\]'"):
            EventFile(tmp_path)

    def test_names(self):
        row = {"epoch": 1, "step": 9, "lr": 0.1, "loss": 2.0, "accuracy": 0.5, "val_loss": 1.0, "seconds": 3.0}
        assert scalars(row) == {"rate": 0.1, "train/loss": 2.0, "train/accuracy": 0.5, "val/loss": 1.0}


class TestDashboard:
    def test_it_shows_epochs_curves_and_the_best(self):
        text = io.StringIO()
        console = Console(file=text, force_terminal=True, width=100, height=30)
        history = []
        progress = SimpleNamespace(
            step=0, epoch=0, batch=0, images=0, seen=1, loss_sum=0.5, correct=0, seconds=0.0, history=history
        )
        trainer = SimpleNamespace(
            progress=progress, epochs=3, steps=float("inf"), steps_per_epoch=2, counted="accuracy", learning_rate=1e-3
        )
        shown = Dashboard(console, "val_loss")
        shown.on_start(trainer)
        for epoch, loss in enumerate((0.9, 0.5, 0.7), 1):
            for _ in range(2):
                progress.step, progress.images, progress.seconds = progress.step + 1, progress.images + 8, progress.step
                shown.on_step(trainer, loss)
            row = {"epoch": epoch, "step": progress.step, "loss": loss, "accuracy": 0.5, "val_loss": loss}
            history.append(row)
            shown.on_epoch(trainer, row)
        shown.close()
        written = text.getvalue()
        assert written.count("val loss 0.9000") >= 1
        assert "best: val loss 0.5000, epoch 2" in written
        assert "epoch 3/3" in written

    def test_curves(self):
        history = [{"epoch": i, "loss": v, "val_loss": None} for i, v in enumerate((3.0, 2.0, 1.0))]
        assert curve_text(history, 0.01) == f"train loss {small_curve([3, 2, 1])} 1.000    rate 1.0e-02"
        assert small_curve(range(100)).startswith("▁")
        assert len(small_curve(range(100))) == 24
        assert "not over" in best_text([], "val_loss")
        assert best_text([{"epoch": 1, "val_auc": 0.5}, {"epoch": 2, "val_auc": 0.7}], "val_auc").endswith("epoch 2")


class TestCompletion:
    def complete(self, words, place, shell="bash"):
        """What a shell is answered for a line of words with the cursor at one of them."""
        environment = os.environ | {
            "PYTHONPATH": os.pathsep.join(sys.path),
            "_TINYMED_COMPLETE": f"complete_{shell}",
            "COMP_WORDS": words,
            "COMP_CWORD": str(place),
        }
        code = "import sys; from tinymed.cli import main; sys.exit(main())"
        done = subprocess.run(
            [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False, timeout=120
        )
        return done.stdout.split()

    def test_commands_options_choices_and_networks(self):
        assert set(self.complete("tinymed ", 1)) == set(COMMANDS)
        assert "--optimizer" in self.complete("tinymed train --opt", 2)
        assert self.complete("tinymed train --optimizer a", 3) == ["adam", "adamw", "adagrad"]
        assert self.complete("tinymed train resnet", 2) == [
            "resnet101",
            "resnet152",
            "resnet18",
            "resnet18_3d",
            "resnet20",
            "resnet34",
            "resnet50",
            "resnet8_3d",
        ]

    def test_bash_itself_completes_after_the_script_is_read(self, tmp_path):
        bash = shutil.which("bash")
        if bash is None:
            pytest.skip("no bash here")
        starter = tmp_path / "tinymed"
        code = "import sys; from tinymed.cli import main; sys.exit(main())"
        starter.write_text(f"#!{sys.executable}\n{code}\n")
        starter.chmod(0o755)
        script = (
            "source <(tinymed --show-completion bash); COMP_WORDS=(tinymed eval); COMP_CWORD=1; "
            '_tinymed_completion tinymed; echo "${COMPREPLY[@]}"; complete -p tinymed'
        )
        path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
        environment = os.environ | {"PATH": path, "PYTHONPATH": os.pathsep.join(sys.path)}
        done = subprocess.run(
            [bash, "-c", script], env=environment, capture_output=True, text=True, check=False, timeout=120
        )
        assert done.stdout.splitlines() == ["evaluate", "complete -o default -F _tinymed_completion tinymed"], done


class TestHints:
    def test_what_is_missing_has_its_command(self, capsys, monkeypatch, tmp_path):
        from tinymed.cli import fix_hints

        monkeypatch.setattr("tinymed.cpu.compiler.cache.cache_directory", lambda: tmp_path / "empty")
        monkeypatch.setenv("TINYMED_DEBUG", "1")
        monkeypatch.setitem(fix_hints.EXTRAS, "onnx", ("no-such-package", "nothing"))
        code, out, _ = invoke(capsys, "doctor", "--fix-hints", "--json")
        rows = {row["seen"].partition(":")[0]: row["mend"] for row in json.loads(out)}
        assert code == 0
        assert "tinymed warmup" in rows.values()
        assert rows["no-such-package is not installed"] == "pip install 'tinymed[onnx]'"
        assert "unset TINYMED_DEBUG" in rows.values()

    def test_every_extra_is_one_of_the_project(self):
        import tomllib
        from pathlib import Path

        from tinymed.cli.fix_hints import EXTRAS

        project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text("utf-8"))["project"]
        for extra, (package, _) in EXTRAS.items():
            assert any(need.startswith(package) for need in project["optional-dependencies"][extra])


def test_a_folder_is_predicted_and_listed(finished_run, cells, tmp_path, capsys):
    listing = tmp_path / "answers.csv"
    code, out, _ = invoke(capsys, "predict", finished_run, cells, "--csv", listing)
    files = sorted(cells.rglob("*.png"))
    assert code == 0
    assert len(out.splitlines()) == len(files)
    with listing.open() as file:
        rows = list(csv.DictReader(file))
    assert [row["image"] for row in rows] == list(map(str, files))
    assert {"label", "score clear", "score parasite"} <= rows[0].keys()
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "notes.txt").write_text("x")
    code, out, err = invoke(capsys, "predict", finished_run, tmp_path / "empty")
    assert (code, out) == (2, "")
    assert "holds no image" in err
