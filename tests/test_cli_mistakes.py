"""The command line: every kind of mistake is answered by one line."""

import json
import re
import shutil

import numpy as np
import pytest
from commands import QUICK, invoke, write_images
from masks import mask_tree
from safetensors.numpy import save_file

from tinymed import tasks
from tinymed.train.checkpoint import NEWEST


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

    def test_damaged_and_foreign_checkpoints(self, finished_run, tmp_path, cells, capsys):
        shutil.copytree(finished_run, tmp_path / "run")
        newest = tmp_path / "run" / "checkpoints" / NEWEST
        content = bytearray(newest.read_bytes())
        content[len(content) // 2] ^= 255
        newest.write_bytes(content)
        self.wrong(capsys, "evaluate", tmp_path / "run", "--data", cells, says="damaged")
        save_file({"weight": np.ones(3, np.float32)}, newest)
        self.wrong(capsys, "evaluate", tmp_path / "run", "--data", cells, says="no training state of tinymed")
        code, _, err = invoke(capsys, "train", "--resume", tmp_path / "run")
        assert code == 0
        assert "went back" in err

    def test_a_damaged_configuration(self, finished_run, tmp_path, capsys):
        shutil.copytree(finished_run, tmp_path / "run")
        config = tmp_path / "run" / "config.json"
        content = json.loads(config.read_text())
        config.write_text(json.dumps(content | {"learning_speed": 3}))
        self.wrong(capsys, "evaluate", tmp_path / "run", says="learning_speed")
        config.write_text(json.dumps(content | {"lr": "fast"}))
        self.wrong(capsys, "evaluate", tmp_path / "run", says="lr")
        config.write_text("{")
        self.wrong(capsys, "evaluate", tmp_path / "run", says="config.json")

    def test_divergence_says_so(self, cells, tmp_path, capsys):
        code, _, err = invoke(
            capsys, "train", "--data", cells, "--out", tmp_path / "run", *QUICK, "--lr", "1e38", "--optimizer", "sgd"
        )
        assert code == 1
        assert "diverged" in err

    @pytest.mark.parametrize("task", tasks.available())
    def test_a_remedy_is_an_option_of_the_task(self, task, tmp_path, capsys):
        """A file of 0 bytes is called empty; that it can be left out is said where the task has an option for it."""
        root = mask_tree(tmp_path / "data", 4)
        (root / "boxes.csv").write_text("path,label,xmin,ymin,xmax,ymax\nimages/01.png,cell,1,2,9,8\n")
        (root / "list.csv").write_text(
            "path,label,value,edema\n" + "".join(f"images/{i:02}.png,{i},{i},1\n" for i in range(4))
        )
        (root / "images" / "01.png").write_bytes(b"")
        masked = "mask_column" in tasks.find(task).options or tasks.find(task).marks
        data = root if masked else root / "list.csv"
        code, _, err = invoke(capsys, "train", "--task", task, "--data", data, "--out", tmp_path / "run")
        assert (code, "01.png: is empty, 0 bytes" in err) == (2, True), err
        advised = {flag.replace("-", "_") for flag in re.findall(r"--([a-z-]+)", err)}
        assert advised - {"task"} == {"skip_bad"} & set(tasks.find(task).options)
