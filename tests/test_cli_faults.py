"""The command line where something is out of the ordinary: lone images, long schedules, encodings, full disks."""

import errno
import json
import os
import shutil
import subprocess
import sys
import time

import numpy as np
import pytest
from commands import NETWORK, invoke, write_images
from masks import mask_tree, volume_tree

import tinymed
from tinymed import models, nn, optim, tasks
from tinymed.cli.app import slow_note
from tinymed.cli.start_run import config_from_options
from tinymed.data import Loader, synthetic_smear
from tinymed.errors import UserError
from tinymed.runs.slow import SlowStart
from tinymed.tasks.base.lone_image import WithoutLast, without_lone_image
from tinymed.tasks.heads.class_heads import SigmoidHead
from tinymed.train.checkpoint import NEWEST, load_checkpoint
from tinymed.train.trainer import Trainer

TINY = ["resnet20", "--option", "depth=8", "--option", "width=0.125", "--size", "32", "--backend", "numpy"]


def rates(run):
    """The learning rate after each epoch."""
    rows = map(json.loads, (run / "log.jsonl").read_text().splitlines())
    return [row["lr"] for row in rows if row["event"] == "epoch"]


class TestLoneImage:
    """A last batch of one image, of which batch norm takes no statistics."""

    def test_it_is_left_out_before_the_first_step_and_said(self, tmp_path, capsys):
        for part, count in (("train", 5), ("val", 3)):
            write_images(tmp_path / "d" / part, ["a", "b"], count, seed=count)
        next((tmp_path / "d" / "train" / "a").iterdir()).unlink()  # 9 images
        arguments = ["--data", tmp_path / "d", "--batch", 4, "--epochs", 2, "--out", tmp_path / "run"]
        code, _, err = invoke(capsys, "train", *TINY, *arguments)
        assert code == 0, err
        said = [line for line in err.splitlines() if "9 images in batches of 4" in line]
        assert len(said) == 1
        assert err.index(said[0]) < err.index("epoch 1")
        assert load_checkpoint(tmp_path / "run" / "checkpoints" / NEWEST)["progress"]["step"] == 4

    def test_every_loader_of_one_lone_image(self):
        """All epochs have the other batches, to the bit, from any batch on."""
        loader = Loader(synthetic_smear(9, 16, seed=0), 4, 16, shuffle=True, seed=3)
        model = nn.Sequential(nn.Conv2d(3, 2, 3), nn.BatchNorm2d(2))
        kept, note = without_lone_image(loader, model)
        assert isinstance(kept, WithoutLast)
        assert "9 images" in note
        assert len(kept) == 2
        for start in (0, 1, 2):
            for (a, la, ia), (b, lb, ib) in zip(kept.epoch(1, start), list(loader.epoch(1, start))[:-1], strict=True):
                assert np.array_equal(a, b)
                assert np.array_equal(la, lb)
                assert np.array_equal(ia, ib)

    @pytest.mark.parametrize(("images", "batch"), [(8, 4), (10, 4), (1, 4), (5, 1), (3, 4)])
    def test_nothing_else_is_left_out(self, images, batch):
        loader = Loader(synthetic_smear(max(images, 2), 16, seed=0).subset(range(images)), batch, 16)
        assert without_lone_image(loader, nn.Sequential(nn.BatchNorm2d(3)))[0] is loader

    def test_a_network_without_batch_norm_sees_every_image(self):
        loader = Loader(synthetic_smear(9, 16, seed=0), 4, 16)
        assert without_lone_image(loader, nn.Sequential(nn.Conv2d(3, 2, 3), nn.GroupNorm(1, 2)))[0] is loader


class TestLongerCosine:
    def test_the_rest_is_planned_anew_and_said(self, cells, tmp_path, capsys):
        out = tmp_path / "run"
        arguments = [
            "--data",
            cells,
            *NETWORK,
            "--recipe",
            "paper",
            "--schedule",
            "cosine",
            "--checkpoint-every",
            0,
            "--out",
            out,
        ]
        assert invoke(capsys, "train", *arguments, "--epochs", 4)[0] == 0
        whole = rates(out)
        shutil.rmtree(out)
        assert invoke(capsys, "train", *arguments, "--epochs", 4, "--steps", 8)[0] == 0  # stops half way, by its steps
        shutil.rmtree(out)
        config = [
            "--data",
            cells,
            *NETWORK,
            "--recipe",
            "paper",
            "--schedule",
            "cosine",
            "--checkpoint-every",
            0,
            "--out",
            out,
        ]
        assert invoke(capsys, "train", *config, "--epochs", 4)[0] == 0
        assert rates(out) == whole
        assert whole == sorted(whole, reverse=True)

    def test_an_interrupted_run_falls_until_its_new_end(self, cells, tmp_path, capsys):
        run, trainer = self.half_way(cells, tmp_path, capsys)
        run.update(epochs=6)
        trainer, _ = run.trainer(run.splits())
        note = run.restore(trainer)
        assert "planned anew over the 16 steps that remain" in note
        before = trainer.learning_rate
        trainer.fit(6)
        after = rates(run.folder)[2:]
        assert len(after) == 4
        assert all(a >= b for a, b in zip([before, *after], after, strict=False))
        assert after[-1] == pytest.approx(before / 1000)

    def test_resumed_again_it_is_not_planned_again(self, cells, tmp_path, capsys):
        run, _ = self.half_way(cells, tmp_path, capsys)
        run.update(epochs=6)
        trainer, _ = run.trainer(run.splits())
        run.restore(trainer)
        before = trainer.learning_rate
        trainer.fit(4)
        run = type(run).open(run.folder)
        again, _ = run.trainer(run.splits())
        assert run.restore(again) == ""
        again.fit(6)
        assert rates(run.folder)[-1] == pytest.approx(before / 1000)

    def test_a_finished_one_is_refused_with_advice(self, cells, tmp_path, capsys):
        out = tmp_path / "run"
        arguments = ["--data", cells, *NETWORK, "--recipe", "paper", "--schedule", "cosine", "--out", out]
        assert invoke(capsys, "train", *arguments, "--epochs", 1)[0] == 0
        code, _, err = invoke(capsys, "train", "--resume", out, "--epochs", 3)
        assert code == 2
        assert "--init" in err
        assert len(err.splitlines()) == 1

    def half_way(self, cells, tmp_path, capsys):
        """A run of four epochs that was stopped after two."""
        from tinymed.train.run import Run

        given = {"model": NETWORK[0], "grey": True, "size": 32, "backend": "numpy", "workers": 0, "batch": 8}
        given |= {"data": str(cells), "schedule": "cosine", "epochs": 4}
        from tinymed.cli.start_run import open_sets, with_data_fields

        config = config_from_options(given)
        sets = open_sets(config, given)
        run = Run.create(tmp_path / "run", with_data_fields(config, sets, given)[0])
        trainer, _ = run.trainer(sets)
        trainer.fit(2)
        return run, trainer


OTHERS = "cp1252", "ascii", "latin-1"


class TestEncodings:
    @pytest.mark.parametrize("encoding", ["cp437", *(pytest.param(e, marks=pytest.mark.full) for e in OTHERS)])
    def test_names_that_the_terminal_lacks(self, encoding, tmp_path):
        for part in ("train", "val"):
            write_images(tmp_path / "d" / part, ["正常", "腫瘍"], 4, seed=len(part))
        environment = os.environ | {"PYTHONIOENCODING": encoding, "PYTHONPATH": os.pathsep.join(sys.path)}

        def run(*arguments):
            code = "import sys; from tinymed.cli import main; sys.exit(main())"
            command = [sys.executable, "-c", code, *map(str, arguments)]
            return subprocess.run(command, env=environment, capture_output=True, check=False)

        out = tmp_path / "run"
        done = run("train", "--data", tmp_path / "d", "--positive", "腫瘍", *NETWORK, "--epochs", 1, "--out", out)
        assert done.returncode == 0, done.stderr
        assert b"\\u6b63" in done.stdout
        done = run("predict", out, next((tmp_path / "d" / "val" / "腫瘍").iterdir()))
        assert done.returncode == 0, done.stderr


class TestNetworksOfATask:
    @pytest.mark.parametrize("model", ["unet_small", "mtann", "unet", "unet3d", "deepmedic", "fcn8s"])
    def test_one_that_does_not_classify_is_refused_before_a_folder_is_made(self, model, cells, tmp_path, capsys):
        code, out, err = invoke(
            capsys, "train", model, "--data", cells, "--out", tmp_path / "run", "--backend", "numpy"
        )
        assert (code, out) == (2, "")
        assert len(err.splitlines()) == 1
        assert "choose one of" in err
        assert "dcnn" in err.partition("choose one of")[2]
        assert not (tmp_path / "run").exists()

    def test_a_size_too_small_is_refused_before_images_are_read(self, tmp_path, capsys):
        code, _, err = invoke(capsys, "train", "vgg16", "--size", 16, "--data", tmp_path / "none", "--backend", "numpy")
        assert code == 2
        assert "vgg16" in err
        assert "16" in err

    def test_every_network_serves_a_task_or_takes_several_images(self):
        found = {name for task in tasks.available() for axes in (3, 4) for name in tasks.find(task).networks(axes)}
        assert set(models.available()) - found == {"multistream", "mtann"} - found


class TestVolumes:
    @pytest.mark.parametrize("shape", [(12, 14, 10), (40, 50, 44), (70, 80, 66)])
    def test_the_default_patch_and_network_fit(self, shape, tmp_path):
        data = volume_tree(tmp_path, 3, shape)
        config = config_from_options({"task": "segmentation", "data": str(data), "backend": "numpy"})
        assert (config.model, config.model_options) == ("unet3d", {"padding": "same", "base": 8})
        assert all(side % 16 == 0 and side <= 64 for side in config.mask.patch)

    @pytest.mark.parametrize("model", ["vnet", "voxresnet"])
    def test_other_networks_of_volumes(self, model, tmp_path):
        data = volume_tree(tmp_path, 3, (40, 50, 44))
        config = config_from_options({"task": "segmentation", "data": str(data), "backend": "numpy", "model": model})
        assert config.mask.patch == [48, 64, 48]

    def test_what_was_asked_for_is_kept(self, tmp_path):
        data = volume_tree(tmp_path, 3, (20, 20, 20))
        given = {"task": "segmentation", "data": str(data), "backend": "numpy", "padding": "valid"}
        with pytest.raises(UserError, match=r"the next side that fits is 92; .*--option padding=same"):
            config_from_options(given)

    def test_a_patch_larger_than_every_image(self, tmp_path, capsys):
        data = mask_tree(tmp_path / "d", 6, (32, 40))
        arguments = ["--task", "segmentation", "--data", data, "--backend", "numpy", "--out", tmp_path / "run"]
        code, _, err = invoke(capsys, "train", *arguments, "--patch", 4096)
        assert code == 2
        assert "larger than every image; the largest are 32 x 40" in err
        assert not (tmp_path / "run").exists()

    def test_the_margin_that_a_network_loses_may_lie_outside(self, tmp_path):
        data = volume_tree(tmp_path, 3, (20, 20, 20))
        given = {"task": "segmentation", "data": str(data), "backend": "numpy", "model": "deepmedic"}
        assert config_from_options(given | {"patch": "57"}).mask.patch == [57, 57, 57]
        with pytest.raises(UserError, match=r"the network scores 33 x 33 x 33 of it, larger than every image"):
            config_from_options(given | {"patch": "81"})


class TestFiles:
    def test_a_full_disk_names_the_file_and_the_way_on(self, cells, tmp_path, capsys, monkeypatch):
        out, calls = tmp_path / "run", []

        def full(handle):
            calls.append(handle)
            if len(calls) > 4:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        monkeypatch.setattr(os, "fsync", full)
        code, _, err = invoke(capsys, "train", "--data", cells, *NETWORK, "--epochs", 3, "--out", out)
        assert code == 2
        last = err.splitlines()[-1]
        assert "No space left" in last
        assert "safetensors" in last
        assert f"--resume {out}" in last

    def test_a_folder_that_cannot_be_written_is_refused_before_images_are_read(self, tmp_path, capsys, monkeypatch):
        monkeypatch.setattr(os, "access", lambda *_: False)
        code, _, err = invoke(capsys, "train", "--data", tmp_path / "none", *NETWORK, "--out", tmp_path / "a" / "b")
        assert code == 2
        assert "cannot be written" in err

    def test_paths_in_lists_are_below_the_data(self, tmp_path, capsys):
        data = mask_tree(tmp_path / "d", 6, (16, 16))
        arguments = ["--task", "segmentation", "--data", data, "--backend", "numpy", "--out", tmp_path / "run"]
        small = ["--option", "base=2", "--option", "depth=1", "--size", 16, "--epochs", 1, "--workers", 0]
        assert invoke(capsys, "train", *arguments, *small)[0] == 0
        rows = (tmp_path / "run" / "cases.csv").read_text().splitlines()[1:]
        assert rows
        assert all(row.startswith("images/") for row in rows)


class TestWords:
    @pytest.mark.parametrize(
        ("name", "value"),
        [("TINYMED_DEBUG", "verbose"), ("TINYMED_PRECISION", "fp16"), ("TINYMED_VALIDATE", "always")],
    )
    def test_a_wrong_setting_is_one_line(self, name, value):
        environment = os.environ | {name: value, "PYTHONPATH": os.pathsep.join(sys.path)}
        done = subprocess.run(
            [sys.executable, "-m", "tinymed", "models"], env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 2
        assert len(done.stderr.splitlines()) == 1
        assert value in done.stderr

    def test_two_networks_are_refused(self, capsys):
        code, _, err = invoke(capsys, "train", "lenet5", "--model", "dcnn")
        assert code == 2
        assert "two networks" in err

    def test_size_0_is_refused(self, capsys):
        code, _, err = invoke(capsys, "train", "--size", 0)
        assert code == 2
        assert "--size" in err

    def test_switches_are_shown_without_a_value(self, capsys):
        code, out, _ = invoke(capsys, "train", "--help")
        assert code == 0
        assert "bool" not in out
        assert "--flip" in out

    def test_a_slow_block_says_what_goes_on_and_a_quick_one_nothing(self, capsys):
        with slow_note("reading", seconds=0.01):
            time.sleep(0.1)
        with slow_note("writing", seconds=5):
            pass
        assert capsys.readouterr().err == "reading\n"

    def test_compiling_is_said_once_if_the_first_step_is_slow(self):
        said = []
        model = nn.Sequential(nn.Flatten(), nn.Linear(3 * 16 * 16, 2))
        loader = Loader(synthetic_smear(8, 16, seed=0), 4, 16, workers=0)
        slow, quick = SlowStart(said.append, seconds=0.0), SlowStart(said.append, seconds=60)
        with tinymed.dispatch.use_backend("numpy"):
            trainer = Trainer(model, optim.SGD(model.parameters(), lr=0.1), SigmoidHead(2), loader)
            slow.on_start(trainer)
            time.sleep(0.2)
            trainer.callbacks = [quick]
            trainer.fit(1)
        assert len(said) == 1
        assert "compiling kernels" in said[0]
        assert "step 2" in repr(trainer)

    def test_a_pickled_network_comes_with_advice(self, cells, tmp_path, capsys):
        torch = pytest.importorskip("torch")
        torch.save(torch.nn.Linear(2, 2), tmp_path / "w.pth")
        arguments = ["--data", cells, *NETWORK, "--init", tmp_path / "w.pth", "--out", tmp_path / "run"]
        code, _, err = invoke(capsys, "train", *arguments)
        assert code == 2
        assert "torch.nn.modules.linear.Linear" in err
        assert "Read are state dictionaries" in err

    def test_the_layers_of_a_network(self, capsys):
        code, out, _ = invoke(capsys, "models", "dcnn")
        assert code == 0
        assert "495,938" in out.splitlines()[-1]
        rows = json.loads(invoke(capsys, "models", "resnet20", "--size", 64, "--json")[1])
        assert sum(row["parameters"] for row in rows) == 269722
        assert rows[0]["output"][1:] == [64, 64]
