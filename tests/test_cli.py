"""The command line: a run from end to end, and every kind of mistake answered by one line."""

import io
import json
import os
import re
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import tinymed
from tinymed.cli import COMMANDS, main
from tinymed.data import synthetic_smear
from tinymed.train.build import make_loader
from tinymed.train.checkpoint import BEST, NEWEST, digest, load_checkpoint
from tinymed.train.run import Run

# A quick training, without a compiler.
NETWORK = ["lenet5_modern", "--grey", "--size", "32", "--backend", "numpy", "--workers", "0", "--batch", "8"]
QUICK = [*NETWORK, "--epochs", "2"]


def invoke(capsys, *arguments):
    """(exit code, stdout, stderr) of a command, run in this process."""
    code = main([str(a) for a in arguments])
    out, err = capsys.readouterr()
    return code, out, err


def command(*arguments, **more):
    """A command in a process of its own."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "OPENBLAS_NUM_THREADS": "1", "TERM": "dumb"}
    code = "import sys; from tinymed.cli import main; sys.exit(main())"
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)], env=environment, text=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **more,
    )  # fmt: skip


def write_images(folder: Path, classes: list[str], count: int, seed: int = 0) -> Path:
    """`count` synthetic cells a class, as PNG files in class folders."""
    smear = synthetic_smear(2 * count, 36, seed=seed, difficulty=0)
    for i, (pixels, label) in enumerate(zip(smear.samples, smear.labels, strict=True)):
        (folder / classes[label]).mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(folder / classes[label] / f"{i:03}.png")
    return folder


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """Images in class folders without splits; the class that sorts second is the finding."""
    return write_images(tmp_path_factory.mktemp("data"), ["clear", "parasite"], 20)


@pytest.fixture(scope="module")
def run(tmp_path_factory, data) -> Path:
    """A finished run on those images."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    assert main(["train", "--data", str(data), "--out", str(folder), "--flip", *QUICK]) == 0
    return folder


class TestTrain:
    def test_it_leaves_a_whole_run_folder(self, run):
        names = {str(path.relative_to(run)) for path in run.rglob("*") if path.is_file()}
        checkpoints = {f"checkpoints/{name}" for name in (NEWEST, BEST, "previous.safetensors")}
        assert names == checkpoints | {
            "config.json", "log.jsonl", "metrics.json", "curves.png", "roc.png", "confusion.png"
        }  # fmt: skip
        for picture in ("curves.png", "roc.png", "confusion.png"):
            with Image.open(run / picture) as image:
                assert image.size[0] > 100

    def test_the_configuration_leaves_nothing_open(self, run, data):
        config = json.loads((run / "config.json").read_text())
        assert config["positive"] == "parasite"
        assert config["data"]["classes"] == ["clear", "parasite"]
        assert config["data"]["path"] == str(data)
        assert (config["batch"], config["epochs"], config["optimizer"], config["lr"]) == (8, 2, "adam", 1e-3)
        assert config["augment"]["horizontal_flip"] is True

    def test_the_log_has_a_line_an_epoch(self, run):
        rows = [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]
        epochs = [row for row in rows if row["event"] == "epoch"]
        assert [row["epoch"] for row in epochs] == [1, 2]
        assert {"loss", "accuracy", "val_loss", "val_accuracy", "val_auc", "lr", "step", "seconds"} <= epochs[0].keys()

    def test_metrics_hold_val_and_test_with_the_positive_class(self, run):
        metrics = json.loads((run / "metrics.json").read_text())
        for part in ("val", "test"):
            assert metrics[part]["positive"] == "parasite"
            assert metrics[part]["n"] == 6
            assert np.sum(metrics[part]["confusion"]) == 6

    def test_an_occupied_folder_is_refused(self, run, capsys):
        code, _, err = invoke(capsys, "train", "--out", run, *QUICK)
        assert code == 2
        assert "--resume" in err

    def test_a_finished_run_can_be_lengthened(self, run, data, tmp_path, capsys):
        out = tmp_path / "longer"
        assert main(["train", "--data", str(data), "--out", str(out), "--flip", *QUICK, "--epochs", "1"]) == 0
        assert main(["train", "--resume", str(out), "--epochs", "2"]) == 0
        capsys.readouterr()
        a, b = (load_checkpoint(folder / "checkpoints" / NEWEST) for folder in (run, out))
        assert digest(a["model"]) == digest(b["model"])

    def test_what_decides_the_result_cannot_be_changed_on_resume(self, run, capsys):
        code, _, err = invoke(capsys, "train", "--resume", run, "--lr", "0.1")
        assert code == 2
        assert "--lr" in err

    def test_changed_data_are_noticed_on_resume(self, tmp_path, capsys):
        data, out = write_images(tmp_path / "data", ["a", "b"], 10), tmp_path / "run"
        assert main(["train", "--data", str(data), "--out", str(out), *QUICK, "--epochs", "1"]) == 0
        (data / "a" / "000.png").rename(data / "a" / "renamed.png")
        code, _, err = invoke(capsys, "train", "--resume", out, "--epochs", "2")
        assert code == 2
        assert "not those" in err

    def test_softmax_steps_weights_and_early_stopping(self, data, tmp_path, capsys):
        out = tmp_path / "run"
        code, stdout, err = invoke(
            capsys, "train", "--data", data, "--out", out, *QUICK, "--epochs", 9, "--head", "softmax",
            "--class-weights", "balanced", "--early-stop", 1, "--lr", "1e-9", "--normalise", "--schedule", "plateau",
        )  # fmt: skip
        assert code == 0, err
        config = json.loads((out / "config.json").read_text())
        assert config["keep"] == "best"
        assert config["class_weights"] == [1.0, 1.0]
        assert len(config["data"]["mean"]) == 1
        assert "positive class: parasite" in stdout

    def test_steps_end_within_an_epoch(self, data, tmp_path, capsys):
        out = tmp_path / "run"
        code, _, err = invoke(capsys, "train", "--data", data, "--out", out, *NETWORK, "--steps", 3)
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
    def test_json_is_all_that_is_printed(self, run, data, capsys):
        code, out, _ = invoke(capsys, "evaluate", run, "--data", data, "--json")
        assert code == 0
        result = json.loads(out)
        wanted = "n positive accuracy auc sensitivity specificity precision f1 per_class confusion accuracy_interval"
        assert set(wanted.split()) <= result.keys()
        assert result["n"] == 40
        assert result["split"] == "all"
        assert result["positive"] == "parasite"
        assert np.trace(result["confusion"]) == pytest.approx(result["accuracy"] * 40)

    def test_its_own_test_part_gives_the_numbers_of_the_run(self, run, capsys):
        _, out, _ = invoke(capsys, "evaluate", run, "--json")
        measured, kept = json.loads(out), json.loads((run / "metrics.json").read_text())["test"]
        assert {k: measured[k] for k in kept} == kept

    def test_a_part_can_be_named(self, run, tmp_path, capsys):
        for part, count in (("train", 4), ("test", 3)):
            write_images(tmp_path / part, ["clear", "parasite"], count, seed=count)
        for arguments, n in ((["--split", "train"], 8), ([], 6)):
            _, out, _ = invoke(capsys, "evaluate", run, "--data", tmp_path, "--json", *arguments)
            assert json.loads(out)["n"] == n
        code, _, err = invoke(capsys, "evaluate", run, "--data", tmp_path, "--split", "val")
        assert code == 2
        assert "train or test" in err

    def test_text_names_the_positive_class(self, run, data, capsys):
        code, out, _ = invoke(capsys, "evaluate", run, "--data", data)
        assert code == 0
        assert "positive class: parasite" in out
        assert re.search(r"sensitivity +\d\.\d{4} +\[", out)

    def test_an_unknown_class_is_refused(self, run, tmp_path, capsys):
        data = write_images(tmp_path, ["clear", "worm"], 2)
        code, _, err = invoke(capsys, "evaluate", run, "--data", data)
        assert code == 2
        assert "worm" in err


class TestPredict:
    def test_label_and_percentage_are_the_networks(self, run, data, capsys):
        images = [data / "clear" / "000.png", data / "parasite" / "001.png"]
        code, out, _ = invoke(capsys, "predict", run, *images, "--json")
        rows = json.loads(out)
        assert code == 0
        assert [row["image"] for row in rows] == [str(image) for image in images]
        for row in rows:
            assert row["percentage"] == pytest.approx(100 * row["scores"][row["label"]], abs=1e-3)
            assert row["scores"][row["label"]] == max(row["scores"].values())
        code, out, _ = invoke(capsys, "predict", run, *images)
        assert out.splitlines()[0] == f"{images[0]}: {rows[0]['label']} {rows[0]['percentage']:.2f} %"

    def test_a_bad_image_is_named_and_the_others_are_classified(self, run, data, tmp_path, capsys):
        bad = tmp_path / "bad.png"
        bad.write_bytes(b"\x89PNG\r\n\x1a\n broken")
        code, out, err = invoke(capsys, "predict", run, bad, data / "clear" / "000.png", "--json")
        assert code == 2
        assert str(bad) in err
        assert len(json.loads(out)) == 1


class TestMistakes:
    """One line on stderr, nothing on stdout, exit code 2; never a traceback."""

    def wrong(self, capsys, *arguments, says):
        code, out, err = invoke(capsys, *arguments)
        assert code == 2, err
        assert out == ""
        assert len(err.splitlines()) == 1, err
        assert "Traceback" not in err
        assert says in err

    @pytest.mark.parametrize(
        ("arguments", "says"),
        [
            (["train", "--data", "no/such/folder"], "no/such/folder"),
            (["train", "nonsense"], "nonsense"),
            (["train", "--backend", "abacus"], "numpy"),
            (["train", "--head", "conical"], "softmax"),
            (["train", "--optimizer", "magic"], "adam"),
            (["train", "--lr", "-1"], "lr"),
            (["train", "--lr", "fast"], "--lr"),
            (["train", "--batch", "0"], "batch"),
            (["train", "--split", "sideways"], "split"),
            (["train", "--scale", "big"], "--scale"),
            (["train", "--option", "bn_momentum=slow"], "is a number such as"),
            (["train", "--leaks", "some"], "--leaks"),
            (["train", "--difficulty", "2"], "--difficulty"),
            (["train", "--option", "nonsense"], "--option"),
            (["train", "--padding", "soft", *QUICK], "padding"),
            (["train", "--size", "20"], "too small"),
            (["train", "--class-weights", "heavy", *QUICK], "--class-weights"),
            (["train", "--positive", "nothing", *QUICK], "nothing"),
            (["train", "--merge", "a", "--data", "."], "NEW=OLD"),
            (["train", "--no-such-option"], "--no-such-option"),
            (["train", "--resume", "no/such/run"], "no/such/run"),
            (["evaluate", "no/such/run"], "no/such/run"),
            (["predict", "no/such/run", "x.png"], "no/such/run"),
            (["predict"], "argument"),
            (["audit", "no/such/table.csv"], "no/such/table.csv"),
            (["nonsense"], "nonsense"),
        ],
    )
    def test_wrong_words(self, arguments, says, tmp_path, monkeypatch, capsys):
        monkeypatch.chdir(tmp_path)
        self.wrong(capsys, *arguments, says=says)
        assert not list(tmp_path.rglob("config.json"))

    def test_one_class(self, tmp_path, capsys):
        data = write_images(tmp_path / "data", ["a", "a"], 3)
        self.wrong(capsys, "train", "--data", data, "--out", tmp_path / "run", says="one class")

    def test_an_empty_class(self, tmp_path, capsys):
        data = write_images(tmp_path / "data", ["a", "b"], 3)
        (data / "c").mkdir()
        self.wrong(capsys, "train", "--data", data, "--out", tmp_path / "run", says="c")

    def test_an_unreadable_image_and_skipping_it(self, tmp_path, capsys):
        data = write_images(tmp_path / "data", ["a", "b"], 10)
        (data / "a" / "bad.png").write_text("no image")
        self.wrong(capsys, "train", "--data", data, "--out", tmp_path / "run", *QUICK, says="bad.png")
        code, _, err = invoke(
            capsys, "train", "--data", data, "--out", tmp_path / "run", *QUICK, "--epochs", 1, "--skip-bad"
        )
        assert code == 0
        assert "skipped" in err
        assert "bad.png" in err

    def test_damaged_and_foreign_checkpoints(self, run, tmp_path, data, capsys):
        import shutil

        from safetensors.numpy import save_file

        shutil.copytree(run, tmp_path / "run")
        newest = tmp_path / "run" / "checkpoints" / NEWEST
        content = bytearray(newest.read_bytes())
        content[len(content) // 2] ^= 255
        newest.write_bytes(content)
        self.wrong(capsys, "evaluate", tmp_path / "run", "--data", data, says="damaged")
        save_file({"weight": np.ones(3, np.float32)}, newest)
        self.wrong(capsys, "evaluate", tmp_path / "run", "--data", data, says="no training state of tinymed")
        code, _, err = invoke(capsys, "train", "--resume", tmp_path / "run")
        assert code == 0
        assert "went back" in err

    def test_a_damaged_configuration(self, run, tmp_path, capsys):
        import shutil

        shutil.copytree(run, tmp_path / "run")
        config = tmp_path / "run" / "config.json"
        content = json.loads(config.read_text())
        config.write_text(json.dumps(content | {"learning_speed": 3}))
        self.wrong(capsys, "evaluate", tmp_path / "run", says="learning_speed")
        config.write_text(json.dumps(content | {"lr": "fast"}))
        self.wrong(capsys, "evaluate", tmp_path / "run", says="lr")
        config.write_text("{")
        self.wrong(capsys, "evaluate", tmp_path / "run", says="config.json")

    def test_divergence_says_so(self, data, tmp_path, capsys):
        code, _, err = invoke(
            capsys, "train", "--data", data, "--out", tmp_path / "run", *QUICK, "--lr", "1e38", "--optimizer", "sgd"
        )
        assert code == 1
        assert "diverged" in err


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

    def test_signals_lose_nothing(self, data, tmp_path, capsys):
        assert main(["train", "--data", str(data), "--out", str(tmp_path / "calm"), *self.ARGUMENTS]) == 0
        out = tmp_path / "run"
        for number, code in ((signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -9)):
            process = self.begin(data, out) if not out.exists() else command("train", "--resume", out)
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
    def test_models_lists_the_papers_networks(self, capsys):
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
        assert all(section in out for section in found)

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

    def test_tinymed_debug_shows_the_traceback(self, monkeypatch):
        monkeypatch.setenv("TINYMED_DEBUG", "1")
        with pytest.raises(ValueError, match="no run"):
            main(["evaluate", "no/such/run"])
