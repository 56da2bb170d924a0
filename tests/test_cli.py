"""The command line: a run from end to end, its interruption, and the other commands."""

import io
import json
import re
import resource
import signal
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from commands import NETWORK, QUICK, command, invoke, write_images
from PIL import Image

import tinymed
from tinymed import models
from tinymed.cli import COMMANDS, main
from tinymed.cli.app import debugging, describe
from tinymed.cli.options import all_options
from tinymed.debug import NaNFound
from tinymed.tasks.base.options import listed
from tinymed.tasks.classification import make_loader
from tinymed.train.checkpoint import BEST, NEWEST, digest, load_checkpoint
from tinymed.train.run import Run


class TestTrain:
    def test_it_leaves_a_whole_run_folder(self, finished_run):
        names = {str(path.relative_to(finished_run)) for path in finished_run.rglob("*") if path.is_file()}
        checkpoints = {f"checkpoints/{name}" for name in (NEWEST, BEST, "previous.safetensors")}
        assert names == checkpoints | {
            "config.json",
            "environment.json",
            "log.jsonl",
            "metrics.json",
            "curves.png",
            "roc.png",
            "confusion.png",
            "predictions.csv",
            "predictions-val.csv",
        }
        for picture in ("curves.png", "roc.png", "confusion.png"):
            with Image.open(finished_run / picture) as image:
                assert image.size[0] > 100

    def test_the_configuration_leaves_nothing_open(self, finished_run, cells):
        config = json.loads((finished_run / "config.json").read_text())
        assert config["positive"] == "parasite"
        assert config["data"]["classes"] == ["clear", "parasite"]
        assert config["data"]["path"] == str(cells)
        assert (config["batch"], config["epochs"], config["optimizer"], config["lr"]) == (8, 2, "adam", 1e-3)
        assert config["augment"]["horizontal_flip"] is True

    def test_the_log_has_a_line_an_epoch(self, finished_run):
        rows = [json.loads(line) for line in (finished_run / "log.jsonl").read_text().splitlines()]
        epochs = [row for row in rows if row["event"] == "epoch"]
        assert [row["epoch"] for row in epochs] == [1, 2]
        assert {"loss", "accuracy", "val_loss", "val_accuracy", "val_auc", "lr", "step", "seconds"} <= epochs[0].keys()

    def test_metrics_hold_val_and_test_with_the_positive_class(self, finished_run):
        metrics = json.loads((finished_run / "metrics.json").read_text())
        for part in ("val", "test"):
            assert metrics[part]["positive"] == "parasite"
            assert metrics[part]["n"] == 6
            assert np.sum(metrics[part]["confusion"]) == 6

    def test_an_occupied_folder_is_refused(self, finished_run, capsys):
        code, _, err = invoke(capsys, "train", "--out", finished_run, *QUICK)
        assert code == 2
        assert "--resume" in err

    def test_a_finished_run_can_be_lengthened(self, finished_run, cells, tmp_path, capsys):
        out, recipe = tmp_path / "longer", ["--recipe", "paper", "--flip"]
        assert main(["train", "--data", str(cells), "--out", str(out), *recipe, *QUICK, "--epochs", "1"]) == 0
        assert main(["train", "--resume", str(out), "--epochs", "2"]) == 0
        capsys.readouterr()
        a, b = (load_checkpoint(folder / "checkpoints" / NEWEST) for folder in (finished_run, out))
        assert digest(a["model"]) == digest(b["model"])

    def test_what_decides_the_result_cannot_be_changed_on_resume(self, finished_run, capsys):
        code, _, err = invoke(capsys, "train", "--resume", finished_run, "--lr", "0.1")
        assert code == 2
        assert "--lr" in err

    def test_changed_data_are_noticed_on_resume(self, tmp_path, capsys):
        data, out = write_images(tmp_path / "data", ["a", "b"], 10), tmp_path / "run"
        assert main(["train", "--data", str(data), "--out", str(out), *QUICK, "--epochs", "1"]) == 0
        (data / "a" / "000.png").rename(data / "a" / "renamed.png")
        code, _, err = invoke(capsys, "train", "--resume", out, "--epochs", "2")
        assert code == 2
        assert "not those" in err

    def test_softmax_steps_weights_and_early_stopping(self, cells, tmp_path, capsys):
        out = tmp_path / "run"
        code, stdout, err = invoke(
            capsys,
            "train",
            "--data",
            cells,
            "--out",
            out,
            *QUICK,
            "--epochs",
            9,
            "--head",
            "softmax",
            "--class-weights",
            "balanced",
            "--early-stop",
            1,
            "--lr",
            "1e-9",
            "--normalise",
            "--schedule",
            "plateau",
        )
        assert code == 0, err
        config = json.loads((out / "config.json").read_text())
        assert config["keep"] == "best"
        assert config["class_weights"] == [1.0, 1.0]
        assert len(config["data"]["mean"]) == 1
        assert "positive class: parasite" in stdout

    def test_steps_end_within_an_epoch(self, cells, tmp_path, capsys):
        out = tmp_path / "run"
        code, _, err = invoke(capsys, "train", "--data", cells, "--out", out, *NETWORK, "--steps", 3)
        assert code == 0, err
        progress = load_checkpoint(out / "checkpoints" / NEWEST)["progress"]
        assert (progress["step"], progress["epoch"], progress["history"][-1]["epoch"]) == (3, 0, 0.75)


@pytest.fixture(scope="module")
def digits(tmp_path_factory) -> Path:
    """40 images of 32 x 32 in ten classes, bars of ten lengths, as an NPZ."""
    path = tmp_path_factory.mktemp("digits") / "digits.npz"
    labels = np.arange(40) % 10
    images = np.zeros((40, 32, 32), np.uint8)
    for image, label in zip(images, labels, strict=True):
        image[4 : 6 + 2 * label, 4:28] = 255
    np.savez(path, train_images=images, train_labels=labels, val_images=images[:20] // 2, val_labels=labels[:20])
    return path


class TestCopies:
    """The same image under two names in a folder that is not divided."""

    def test_they_stay_on_one_side(self, tmp_path, capsys):
        data = write_images(tmp_path / "data", ["clear", "parasite"], 15)
        for path in sorted(data.glob("*/*.png"))[:20]:
            path.with_name(f"copy{path.name}").write_bytes(path.read_bytes())
        code, _, err = invoke(capsys, "train", "--data", data, "--out", tmp_path / "run", *NETWORK, "--steps", 1)
        assert code == 0, err
        assert "20 images are copies" in err

    def test_between_parts_that_are_given(self, tmp_path, capsys):
        for part in ("train", "val"):
            write_images(tmp_path / "data" / part, ["clear", "parasite"], 4)
        arguments = ["--data", tmp_path / "data", "--out", tmp_path / "run", *NETWORK, "--steps", 1]
        code, _, err = invoke(capsys, "train", *arguments)
        assert code == 2
        assert re.search(r"the splits leak: .* are the same image \(and 7 more\); .*--leaks warn", err)
        process = command("train", *arguments, "--leaks", "warn")
        _, err = process.communicate()
        assert process.returncode == 0, err
        assert len(re.findall("^warning: the splits leak: ", err, re.MULTILINE)) == 1


class TestOwnLoss:
    """LeNet-5 of 1998: outputs are negated distances, with a loss of their own."""

    def test_it_trains_with_it_and_takes_the_nearest_target(self, digits, tmp_path, capsys):
        out = tmp_path / "run"
        arguments = ("--data", digits, "--positive", 1, "--backend", "numpy", "--batch", 10, "--epochs", 6)
        code, _, err = invoke(capsys, "train", "lenet5", *arguments, "--out", out, "--leaks", "ignore")
        assert code == 0, err
        config = json.loads((out / "config.json").read_text())
        assert (config["head"], config["data"]["channels"]) == ("own", 1)
        run = Run.open(out)
        model, images = run.load_model(), next(iter(make_loader(run.images(split="val"), run.config)))[0]
        assert images.min() == pytest.approx(-0.1)
        with tinymed.no_grad():
            distances = -model(tinymed.tensor(images)).numpy()
        assert (distances >= 0).all()
        _, scores = run.measure(model, run.images(split="val"))
        assert (scores[:10].argmax(axis=1) == distances.argmin(axis=1)).all()
        losses = [json.loads(line)["loss"] for line in (out / "log.jsonl").read_text().splitlines() if "epoch" in line]
        assert losses[-1] < losses[0]

    @pytest.mark.parametrize(("head", "says"), [("sigmoid", "loss of its own"), ("hinge", "--head")])
    def test_a_head_that_does_not_fit(self, head, says, digits, capsys):
        code, _, err = invoke(capsys, "train", "lenet5", "--data", digits, "--head", head)
        assert code == 2
        assert says in err


class TestPositive:
    def test_a_negative_default_is_refused_when_nobody_can_be_asked(self, tmp_path, capsys, monkeypatch):
        data = write_images(tmp_path / "data", ["parasitized", "uninfected"], 10)
        monkeypatch.setattr(sys, "stdin", io.StringIO("parasitized\n"))
        code, out, err = invoke(capsys, "train", "--data", data, "--out", tmp_path / "run", *QUICK)
        assert code == 2
        assert out == ""
        assert "--positive" in err
        assert not (tmp_path / "run").exists()
        code, out, _ = invoke(
            capsys,
            "train",
            "--data",
            data,
            "--out",
            tmp_path / "run",
            *QUICK,
            "--epochs",
            1,
            "--positive",
            "parasitized",
        )
        assert code == 0
        assert "positive class: parasitized" in out
        assert json.loads((tmp_path / "run" / "config.json").read_text())["positive"] == "parasitized"

    def test_on_a_terminal_the_command_asks(self, tmp_path, capsys, monkeypatch):
        data = write_images(tmp_path / "data", ["ill", "normal"], 10)
        monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
        monkeypatch.setattr("builtins.input", lambda question: "ill")
        code, _, err = invoke(capsys, "train", "--data", data, "--out", tmp_path / "run", *QUICK, "--epochs", 1)
        assert code == 0, err


class TestEvaluate:
    def test_json_is_all_that_is_printed(self, finished_run, cells, capsys):
        code, out, _ = invoke(capsys, "evaluate", finished_run, "--data", cells, "--json")
        assert code == 0
        result = json.loads(out)
        wanted = "n positive accuracy auc sensitivity specificity precision f1 per_class confusion accuracy_interval"
        assert set(wanted.split()) <= result.keys()
        assert result["n"] == 40
        assert result["split"] == "all"
        assert result["positive"] == "parasite"
        assert np.trace(result["confusion"]) == pytest.approx(result["accuracy"] * 40)

    def test_its_own_test_part_gives_the_numbers_of_the_run(self, finished_run, capsys):
        _, out, _ = invoke(capsys, "evaluate", finished_run, "--json")
        measured, kept = json.loads(out), json.loads((finished_run / "metrics.json").read_text())["test"]
        assert {k: measured[k] for k in kept} == kept

    def test_a_part_can_be_named(self, finished_run, tmp_path, capsys):
        for part, count in (("train", 4), ("test", 3)):
            write_images(tmp_path / part, ["clear", "parasite"], count, seed=count)
        for arguments, n in ((["--split", "train"], 8), ([], 6)):
            _, out, _ = invoke(capsys, "evaluate", finished_run, "--data", tmp_path, "--json", *arguments)
            assert json.loads(out)["n"] == n
        code, _, err = invoke(capsys, "evaluate", finished_run, "--data", tmp_path, "--split", "val")
        assert code == 2
        assert "train or test" in err

    def test_text_names_the_positive_class(self, finished_run, cells, capsys):
        code, out, _ = invoke(capsys, "evaluate", finished_run, "--data", cells)
        assert code == 0
        assert "positive class: parasite" in out
        assert re.search(r"sensitivity +\d\.\d{4} +\[", out)

    def test_an_unknown_class_is_refused(self, finished_run, tmp_path, capsys):
        data = write_images(tmp_path, ["clear", "worm"], 2)
        code, _, err = invoke(capsys, "evaluate", finished_run, "--data", data)
        assert code == 2
        assert "worm" in err


class TestPredict:
    def test_label_and_percentage_are_the_networks(self, finished_run, cells, capsys):
        images = [cells / "clear" / "000.png", cells / "parasite" / "001.png"]
        code, out, _ = invoke(capsys, "predict", finished_run, *images, "--json")
        rows = json.loads(out)
        assert code == 0
        assert [row["image"] for row in rows] == [str(image) for image in images]
        for row in rows:
            assert row["percentage"] == pytest.approx(100 * row["scores"][row["label"]], abs=1e-3)
            assert row["scores"][row["label"]] == max(row["scores"].values())
        code, out, _ = invoke(capsys, "predict", finished_run, *images)
        assert out.splitlines()[0] == f"{images[0]}: {rows[0]['label']} {rows[0]['percentage']:.2f} %"

    def test_a_bad_image_is_named_and_the_others_are_classified(self, finished_run, cells, tmp_path, capsys):
        bad = tmp_path / "bad.png"
        bad.write_bytes(b"\x89PNG\r\n\x1a\n broken")
        code, out, err = invoke(capsys, "predict", finished_run, bad, cells / "clear" / "000.png", "--json")
        assert code == 2
        assert str(bad) in err
        assert len(json.loads(out)) == 1


class TestInterruption:
    ARGUMENTS = (*NETWORK[:-1], "4", "--epochs", "8", "--workers", "2", "--checkpoint-every", "1")

    def begin(self, data, out):
        """Start a training and wait for its first checkpoint."""
        process = command("train", "--data", data, "--out", out, *self.ARGUMENTS)
        deadline = time.monotonic() + 60
        while not (out / "checkpoints" / NEWEST).exists():
            assert process.poll() is None, process.communicate()
            assert time.monotonic() < deadline
            time.sleep(0.01)
        return process

    def weights(self, out):
        return digest(load_checkpoint(out / "checkpoints" / NEWEST)["model"])

    def test_signals_lose_nothing(self, cells, tmp_path, capsys):
        assert main(["train", "--data", str(cells), "--out", str(tmp_path / "calm"), *self.ARGUMENTS]) == 0
        out = tmp_path / "run"
        for number, code in ((signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -9)):
            process = self.begin(cells, out) if not out.exists() else command("train", "--resume", out)
            before = (out / "checkpoints" / NEWEST).stat().st_mtime_ns
            while (out / "checkpoints" / NEWEST).stat().st_mtime_ns == before and process.poll() is None:
                time.sleep(0.005)
            process.send_signal(number)
            _, err = process.communicate(timeout=60)
            assert process.returncode == code, err
            assert "Traceback" not in err
            if number != signal.SIGKILL:
                assert f"tinymed train --resume {out}" in err
        assert main(["train", "--resume", str(out)]) == 0
        capsys.readouterr()
        assert self.weights(out) == self.weights(tmp_path / "calm")


class TestOtherCommands:
    def test_help_names_the_choices_of_an_option_once(self):
        for option in all_options().values():
            if option.choices:
                assert f": {listed(option.choices)}" in option.help
                assert option.help.count(listed(option.choices)) == 1

    def test_models_lists_the_papers_networks(self, capsys, monkeypatch):
        assert "unet3d" in models.available()
        monkeypatch.setattr(models, "available", lambda: ["dcnn", "lenet5", "lenet5_modern"])  # all take seconds
        code, out, _ = invoke(capsys, "models")
        assert code == 0
        assert "dcnn" in out
        rows = {row["name"]: row for row in json.loads(invoke(capsys, "models", "--json")[1])}
        assert rows["lenet5"]["parameters"] == 60_000
        assert rows["lenet5_modern"]["parameters"] == 61_706

    def test_audit_finds_the_published_contradictions(self, capsys, tmp_path):
        code, out, _ = invoke(capsys, "audit")
        assert code == 0
        assert "94.47" in out
        assert "identical counts" in out
        assert invoke(capsys, "audit", "--strict")[0] == 1
        report = json.loads(invoke(capsys, "audit", "--json")[1])
        assert report["consistent"] is False
        table = tmp_path / "table.csv"
        table.write_text("name,tp,fn,tn,fp,accuracy\nfine,8,2,9,1,0.85\n")
        code, out, _ = invoke(capsys, "audit", table, "--strict")
        assert code == 0
        assert "no contradiction" in out

    def test_doctor_names_backends_and_cache(self, capsys):
        code, out, _ = invoke(capsys, "doctor")
        assert code == 0
        found = json.loads(invoke(capsys, "doctor", "--json")[1])
        assert found["backends"]["numpy"].startswith("present")
        assert found["versions"]["numpy"] == np.__version__
        assert "path" in found["kernel cache"]
        assert {"driver", "CuPy"} <= set(found["GPU"])
        assert set(found["CUDA build"]) == {"_cuda", "_cuda_emulated", "_cuda_checked"}
        assert all(section in out for section in found)

    def test_build_names_a_compiler_that_is_missing_or_refuses(self, capsys, monkeypatch, tmp_path):
        monkeypatch.setattr("tinymed.cuda.modules.own_folder", lambda: tmp_path / "modules")
        monkeypatch.setenv("CXX", str(tmp_path / "none"))
        code, _, err = invoke(capsys, "build", "emulated")
        assert code == 2
        assert "build emulated: no g++ (CXX, PATH)" in err
        broken = tmp_path / "broken"
        broken.write_text("#!/bin/sh\necho 'no space left' >&2\nexit 1\n")
        broken.chmod(0o755)
        monkeypatch.setenv("CXX", str(broken))
        code, _, err = invoke(capsys, "build", "emulated")
        assert code == 1
        assert "does not compile" in err
        assert "no space left" in err
        assert not list((tmp_path / "modules").glob("*.so"))

    @pytest.mark.parametrize("name", COMMANDS)
    def test_every_command_has_help_with_examples(self, name, capsys):
        code, out, _ = invoke(capsys, name, "--help")
        assert code == 0
        assert "Examples" in out
        assert f"tinymed {name}" in out

    def test_version(self, capsys):
        import tinymed

        assert invoke(capsys, "--version") == (0, f"tinymed {tinymed.__version__}\n", "")

    def test_help_is_quick(self):
        """Processor time of `tinymed --help`, the interpreter and NumPy included: the best of three."""
        spent = []
        for _ in range(3):
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            process = command("--help")
            out, _ = process.communicate()
            assert "train" in out
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            spent.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
        assert min(spent) < 0.8  # 0.3 s on an idle machine; the margin is for a busy one

    @pytest.mark.parametrize("arguments", [[], ["-h"], ["--help"]])
    def test_the_list_that_is_read_from_files_is_that_of_the_commands(self, arguments, capsys, monkeypatch):
        """In a process of its own no command is imported; the text is the same."""
        monkeypatch.setenv("TERM", "dumb")
        monkeypatch.setenv("COLUMNS", "80")
        process = command(*arguments)
        out, err = process.communicate()
        code, ours, _ = invoke(capsys, *arguments)
        assert (process.returncode, out, err) == (code, ours, "")

    @pytest.mark.parametrize(
        ("value", "shown"), [("", False), ("0", False), ("nan", False), ("1", True), ("2", True), ("nan,1", True)]
    )
    def test_the_first_nan_is_a_line_and_no_traceback(self, value, shown, monkeypatch):
        """Its message names op and layer: TINYMED_DEBUG=nan asks for no more."""
        monkeypatch.setenv("TINYMED_DEBUG", value)
        assert debugging() is shown
        assert describe(NaNFound("ReLU in layer a, forward"))[0].startswith("ReLU in layer a, forward")

    def test_tinymed_debug_shows_the_traceback(self, monkeypatch):
        monkeypatch.setenv("TINYMED_DEBUG", "1")
        with pytest.raises(ValueError, match="no run"):
            main(["evaluate", "no/such/run"])
