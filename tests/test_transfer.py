"""Transfer learning: partial loads, freezing, rates by pattern, features, weights in files, the command line."""

import json
import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import QUICK, invoke

import tinymed
from tinymed import Tensor, models, nn, optim
from tinymed.errors import UserError
from tinymed.tasks.base.config import parse_rates
from tinymed.train.transfer import read_weights


def network(classes: int = 2) -> nn.Sequential:
    body = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 4, 3, bias=False), nn.ReLU())
    return nn.Sequential({"body": body, "flat": nn.Flatten(), "head": nn.Linear(64, classes)})


def arrays(model: Any) -> dict[str, np.ndarray]:
    return {n: np.array(t.array) for n, t in model.state_dict().items()}


class TestPartialLoads:
    def test_a_head_of_other_classes_keeps_its_values(self) -> None:
        source, target = network(3), network(2)
        before = arrays(target)
        result = nn.load_matching(target, source.state_dict(), required=["body"])
        after = arrays(target)
        for name in after:
            np.testing.assert_array_equal(after[name], before[name] if "head" in name else arrays(source)[name])
        assert len(result.loaded) == 8
        assert result.mismatched == [
            "head.weight: the module has [2, 64], the state [3, 64]",
            "head.bias: the module has [2], the state [3]",
        ]
        assert nn.describe_load(result, 10).startswith(
            "8 of 10 tensors taken; of another shape: head.weight: the module"
        )

    def test_a_layer_is_taken_whole_or_not_at_all(self) -> None:
        """A bias that happens to fit is no use beside a weight that does not, or is not there."""
        target, state = network(), network().state_dict()
        state["head.weight"] = np.ones((2, 65), np.float32)
        del state["body.0.weight"]
        before = arrays(target)
        result = nn.load_matching(target, state)
        assert not [n for n in result.loaded if n.startswith(("head", "body.0"))]
        np.testing.assert_array_equal(before["head.bias"], target.head.bias.array)
        assert result.missing == ["body.0.weight"]

    def test_batch_norm_from_a_writer_without_counter(self) -> None:
        target, state = network(), network().state_dict()
        del state["body.1.num_batches_tracked"]
        state["body.1.running_mean"] = np.full(4, 7.0)
        result = nn.load_matching(target, state, required=["body"])
        assert "body.1.running_mean" in result.loaded
        assert target.body[1].running_mean.array.tolist() == [7.0] * 4

    @pytest.mark.parametrize("counter", [None, 0])
    @pytest.mark.parametrize("load", ["load_state_dict", "load_matching"])
    @pytest.mark.parametrize("momentum", [0.1, 1e-4])
    def test_foreign_statistics_count_as_measured(self, counter: int | None, load: str, momentum: float) -> None:
        """One batch moves them by momentum, and does not take their place."""
        model = nn.Sequential(nn.BatchNorm2d(2, momentum=momentum))
        state = model.state_dict() | {"0.running_mean": np.full(2, 100.0), "0.running_var": np.full(2, 25.0)}
        if counter is None:
            del state["0.num_batches_tracked"]
        else:
            state["0.num_batches_tracked"] = np.array(counter)
        model.load_state_dict(state) if load == "load_state_dict" else nn.load_matching(model, state)
        x = np.random.default_rng(0).normal(size=(8, 2, 4, 4)).astype(np.float32)
        model.train()(Tensor(x))
        own = x.mean((0, 2, 3))
        np.testing.assert_allclose(model[0].running_mean.array, (1 - momentum) * 100 + momentum * own, rtol=1e-5)

    def test_a_fresh_models_statistics_do_not(self) -> None:
        model = nn.BatchNorm2d(2)
        model.load_state_dict(nn.BatchNorm2d(2).state_dict())
        assert model.num_batches_tracked.item() == 0
        model.load_state_dict({**nn.BatchNorm2d(2).state_dict(), "num_batches_tracked": np.array([7])})
        assert model.num_batches_tracked.item() == 7

    def test_what_is_required_must_be_there(self) -> None:
        target, state = network(), network(3).state_dict()
        before = arrays(target)
        with pytest.raises(ValueError, match=r"must be loaded but cannot: head.weight, head.bias. 8 of 10"):
            nn.load_matching(target, state, required=["body.*", "head"])
        with pytest.raises(ValueError, match="nothing fits by name and shape"):
            nn.load_matching(target, {"other.weight": np.ones(3)})
        for name, value in arrays(target).items():
            np.testing.assert_array_equal(value, before[name])


class TestFreezing:
    def test_frozen_layers_stay_and_the_rest_learns(self) -> None:
        model = network().freeze("body.*", statistics=True)
        before = arrays(model)
        optimizer = optim.Adam(model.parameters(), lr=0.1, weight_decay=0.1)
        nn.CrossEntropyLoss()(
            model.train()(tinymed.randn(4, 1, 8, 8, seed=3)), Tensor(np.array([0, 1, 0, 1]))
        ).backward()
        optimizer.step()
        after = arrays(model)
        same = {n for n in after if np.array_equal(after[n], before[n])}
        assert same == {n for n in after if n.startswith("body")}

    def test_statistics_of_frozen_batch_norm(self) -> None:
        """Held: training mode gives evaluation's outputs.  Not held: the batch's, and the running ones move on."""
        x = tinymed.randn(4, 1, 8, 8, seed=3)
        model = network().freeze("body", statistics=True)
        np.testing.assert_array_equal(model.train()(x).array, model.eval()(x).array)
        assert model.body[1].num_batches_tracked.array == 0
        model.unfreeze("body").freeze("body")
        assert not np.array_equal(model.train()(x).array, model.eval()(x).array)
        assert model.body[1].num_batches_tracked.array == 1

    def test_rates_by_pattern(self) -> None:
        model = network()
        groups = nn.parameter_groups(model, 1e-2, {"body": 1e-3, "body.3": 0.5})
        assert {g["lr"]: len(g["params"]) for g in groups} == {1e-3: 4, 0.5: 1, 1e-2: 2}
        optimizer = optim.SGD(groups, lr=1e-2)
        before = arrays(model)
        for p in model.parameters():
            p.grad = tinymed.ones(*p.shape)
        optimizer.step()
        after = arrays(model)
        for name, rate in (("body.0.weight", 1e-3), ("body.3.weight", 0.5), ("head.bias", 1e-2)):
            np.testing.assert_allclose(before[name] - after[name], rate, rtol=1e-3)
        with pytest.raises(ValueError, match=r"'hed', 'tail.\*'; names begin with body, head"):
            nn.parameter_groups(model, 1e-2, {"body": 1.0, "hed": 1.0, "tail.*": 1.0})


class TestFeatures:
    def test_are_the_outputs_of_named_layers(self) -> None:
        model, x = models.create("resnet20", width=0.25).eval(), tinymed.randn(2, 3, 16, 16, seed=3)
        one, three = nn.Features(model, "layer1")(x), nn.Features(model, "layer3", "layer1", "avgpool")(x)
        stages = model.stages(x)
        np.testing.assert_array_equal(one.array, stages[0].array)
        assert [f.shape for f in three] == [(2, 16, 4, 4), (2, 4, 16, 16), (2, 16, 1, 1)]
        np.testing.assert_array_equal(three[0].array, stages[2].array)
        assert not any(m._hooks for m in model.modules())

    def test_stop_at_the_last_layer_and_carry_gradients(self) -> None:
        model = models.create("alexnet", width=1 / 16)
        taken = []
        model.classifier.register_forward_hook(lambda *_: taken.append(1))
        tap = nn.Features(model, "features.9")
        tap(tinymed.randn(1, 3, 63, 63, seed=3)).sum().backward()
        assert not taken
        assert model.features[8].weight.grad is not None
        assert model.features[10].weight.grad is None
        assert not tinymed.tape.thread.scope

    def test_errors(self) -> None:
        with pytest.raises(ValueError, match="has no module 'layer9'"):
            nn.Features(models.create("resnet20", width=0.25), "layer9")
        with pytest.raises(ValueError, match="at least one layer"):
            nn.Features(network())


class TestFiles:
    def test_save_and_load(self, tmp_path: Path) -> None:
        from safetensors.numpy import load_file

        model = network().double()
        tinymed.save(model, tmp_path / "a.safetensors")
        loaded = tinymed.load(tmp_path / "a.safetensors")
        for name, value in arrays(model).items():
            np.testing.assert_array_equal(loaded[name].array, value)
            assert loaded[name].dtype == value.dtype
            assert loaded[name].shape == value.shape
        assert load_file(tmp_path / "a.safetensors").keys() == loaded.keys()

    def test_pytorchs_file_is_read(self, tmp_path: Path) -> None:
        torch = pytest.importorskip("torch", reason="PyTorch is the oracle: pip install '.[test]'")
        save_file = pytest.importorskip("safetensors.torch").save_file
        layer = torch.nn.Conv2d(3, 4, 3)
        save_file(dict(layer.state_dict()), tmp_path / "t.safetensors")
        ours = nn.Conv2d(3, 4, 3)
        ours.load_state_dict(tinymed.load(tmp_path / "t.safetensors"))
        np.testing.assert_array_equal(ours.weight.array, layer.weight.detach().numpy())

    @pytest.mark.parametrize("content", [b"", b"not safetensors", b"\x10" + bytes(7) + b"{}"])
    def test_other_files_are_refused(self, content: bytes, tmp_path: Path) -> None:
        (tmp_path / "x.safetensors").write_bytes(content)
        with pytest.raises(UserError, match=r"x.safetensors: not a safetensors file, or damaged"):
            read_weights(tmp_path / "x.safetensors")

    def test_missing(self, tmp_path: Path) -> None:
        with pytest.raises(UserError, match=r"nothing.safetensors: no such file"):
            tinymed.load(tmp_path / "nothing.safetensors")
        with pytest.raises(UserError, match="no run"):
            read_weights(tmp_path)
        with pytest.raises(UserError, match="cannot be written"):
            tinymed.save(network(), tmp_path / "no" / "such.safetensors")

    def test_a_runs_weights(self, finished_run: Path) -> None:
        from tinymed.train.run import Run

        model = Run.open(finished_run).load_model()
        folder, file = read_weights(finished_run), read_weights(finished_run / "checkpoints" / "last.safetensors")
        for name, value in arrays(model).items():
            np.testing.assert_array_equal(folder[name], value)
            np.testing.assert_array_equal(file[name], value)


class TestCommandLine:
    def begin(self, capsys: Any, cells: Path, folder: Path, *more: Any) -> tuple[int, str, str]:
        return invoke(capsys, "train", "--data", cells, "--out", folder, *QUICK, *more)

    def test_begins_with_a_runs_weights(self, capsys: Any, cells: Path, finished_run: Path, tmp_path: Path) -> None:
        folder = tmp_path / "run"
        code, _, err = self.begin(
            capsys, cells, folder, "--init", finished_run, "--freeze", "features", "--lr-for", "classifier.0=0.01"
        )
        assert code == 0
        assert f"initial weights from {finished_run}: 10 of 10 tensors taken" in err
        config = json.loads((folder / "config.json").read_text())
        assert config["init"] == str(finished_run)
        assert config["freeze"] == ["features"]
        assert config["lr_for"] == {"classifier.0": 0.01}
        before, after = read_weights(finished_run), read_weights(folder)
        same = {n for n in after if np.array_equal(after[n], before[n])}
        assert same == {n for n in after if n.startswith("features")}

    def test_from_a_file_with_other_classes(self, capsys: Any, cells: Path, tmp_path: Path) -> None:
        source = models.create("lenet5_modern", num_classes=5)
        tinymed.save(source, tmp_path / "five.safetensors")
        code, _, err = self.begin(
            capsys, cells, tmp_path / "run", "--init", tmp_path / "five.safetensors", "--freeze", "features.?"
        )
        assert code == 0
        assert (
            "8 of 10 tensors taken; of another shape: classifier.4.weight: the module has [2, 84], the state [5, 84]"
            in err
        )
        weights = read_weights(tmp_path / "run")
        np.testing.assert_array_equal(weights["features.0.weight"], source.features[0].weight.array)

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            (["--freeze", "feature"], "--freeze feature: LeNet5Modern: no parameter matches 'feature'"),
            (["--freeze", "*"], "leaves nothing to learn"),
            (["--lr-for", "head=0.1"], "--lr-for: no parameter matches 'head'; names begin with classifier, features"),
            (["--lr-for", "features"], "write PATTERN=RATE"),
            (["--lr-for", "features=-1"], "--lr-for 'features=-1': a learning rate is positive"),
            (["--init", "no/such/file"], "no/such/file: no such file"),
        ],
    )
    def test_mistakes_are_refused_before_a_run_begins(
        self, capsys: Any, cells: Path, tmp_path: Path, options: list[str], message: str
    ) -> None:
        code, _, err = self.begin(capsys, cells, tmp_path / "run", *options)
        assert code != 0
        assert message in err
        assert not (tmp_path / "run").exists()

    def test_frozen_layers_must_be_loaded(self, capsys: Any, cells: Path, tmp_path: Path) -> None:
        source = models.create("lenet5_modern", num_classes=5)
        tinymed.save(source, tmp_path / "five.safetensors")
        code, _, err = self.begin(
            capsys, cells, tmp_path / "run", "--init", tmp_path / "five.safetensors", "--freeze", "classifier"
        )
        assert code != 0
        assert "must be loaded but cannot: classifier.4.weight, classifier.4.bias" in err
        assert not (tmp_path / "run").exists()

    def test_an_interrupted_run_goes_on_to_the_same_bits(
        self, capsys: Any, cells: Path, finished_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Stopped before there is a checkpoint: the initial weights are loaded again."""
        options = ("--init", finished_run, "--freeze", "features.0", "--lr-for", "classifier=0.01")
        assert self.begin(capsys, cells, tmp_path / "whole", *options)[0] == 0
        part = tmp_path / "part"
        stopper = nn.Linear.forward
        calls = []

        def forward(self: Any, input: Any) -> Any:
            calls.append(1)
            if len(calls) == 10:
                os.kill(os.getpid(), signal.SIGINT)
            return stopper(self, input)

        with monkeypatch.context() as m:
            m.setattr(nn.Linear, "forward", forward)
            assert self.begin(capsys, cells, part, *options)[0] == 128 + signal.SIGINT
        for path in (part / "checkpoints").iterdir():  # as if it had been killed before the first
            path.unlink()
        assert invoke(capsys, "train", "--resume", part)[0] == 0
        whole, resumed = read_weights(tmp_path / "whole"), read_weights(part)
        for name in whole:
            np.testing.assert_array_equal(whole[name], resumed[name])

    def test_weights_of_another_network_name_it(
        self, capsys: Any, finished_run: Path, cells: Path, tmp_path: Path
    ) -> None:
        """Of a run's folder the network is known; of a file alone it is asked for."""
        alone = tmp_path / "alone.safetensors"
        tinymed.save(nn.Sequential(nn.Linear(2, 3)).state_dict(), alone)
        for file, said in (
            (
                finished_run / "checkpoints" / "last.safetensors",
                "They are of lenet5_modern, and the network is resnet20:",
            ),
            (alone, "The network is resnet20: name the one that the weights are of, tinymed train NETWORK"),
        ):
            given = ["--data", cells, "--size", 32, "--backend", "numpy", "--init", file, "--out", tmp_path / "run"]
            code, _, err = invoke(capsys, "train", "resnet20", *given, "--positive", "parasite")
            assert code == 2
            assert said in err

    def test_other_initial_weights_are_noticed(self, capsys: Any, cells: Path, tmp_path: Path) -> None:
        file = tmp_path / "w.safetensors"
        tinymed.save(models.create("lenet5_modern", num_classes=2), file)
        assert self.begin(capsys, cells, tmp_path / "run", "--init", file)[0] == 0
        for path in (tmp_path / "run" / "checkpoints").iterdir():
            path.unlink()
        tinymed.manual_seed(5)
        tinymed.save(models.create("lenet5_modern", num_classes=2), file)
        code, _, err = invoke(capsys, "train", "--resume", tmp_path / "run")
        assert code != 0
        assert "holds other weights than those the run began with" in err


def test_rates_on_the_command_line() -> None:
    assert parse_rates(["features.*=1e-4", "head=0.5"]) == {"features.*": 1e-4, "head": 0.5}
    for wrong in ("=1", "head", "head=", "head=fast"):
        with pytest.raises(UserError, match="write PATTERN=RATE"):
            parse_rates([wrong])


class TestPublicWeights:
    """--init with a file of PyTorch, and the preprocessing that public weights expect."""

    def train(self, capsys: Any, cells: Path, folder: Path, file: Path, *more: str) -> tuple[int, str, dict[str, Any]]:
        network = ["--model", "resnet18", "--size", "32", "--option", "width=0.0625", "--steps", "1", "--batch", "4"]
        given = ["--data", str(cells), "--init", str(file), "--out", str(folder), "--positive", "parasite"]
        code, _, err = invoke(capsys, "train", *network, *given, "--backend", "numpy", *more)
        config = folder / "config.json"
        return code, err, json.loads(config.read_text())["data"] if config.exists() else {}

    @pytest.fixture
    def file(self, tmp_path: Path) -> Path:
        """A checkpoint of a classifier of 1,000 classes, inside another module, as a program for many GPUs saves it."""
        torch = pytest.importorskip("torch", reason="PyTorch is the oracle: pip install '.[test]'")
        state = models.create("resnet18", width=0.0625).state_dict()
        named = {f"module.backbone.{name}": torch.tensor(np.array(t.array)) for name, t in state.items()}
        torch.save({"epoch": 1, "state_dict": named}, tmp_path / "public.pth")
        return tmp_path / "public.pth"

    def test_what_was_done_is_said(self, capsys: Any, cells: Path, tmp_path: Path, file: Path) -> None:
        code, err, data = self.train(capsys, cells, tmp_path / "run", file)
        assert code == 0
        assert "120 of 122 tensors taken; of another shape: fc.weight: the module has [2, 32]" in err
        assert "weights found under 'state_dict', beside epoch" in err
        assert "'module.' taken off every name" in err
        assert "'backbone.' taken off 122 names" in err
        assert "preprocess: imagenet" in err
        assert data["mean"] == [0.485, 0.456, 0.406]
        assert data["std"] == [0.229, 0.224, 0.225]

    def test_another_preprocessing_may_be_chosen(self, capsys: Any, cells: Path, tmp_path: Path, file: Path) -> None:
        code, err, data = self.train(capsys, cells, tmp_path / "run", file, "--preprocess", "half")
        assert code == 0
        assert data["mean"] == [0.5, 0.5, 0.5]
        assert "preprocess: imagenet" not in err
        code, err, _ = self.train(capsys, cells, tmp_path / "b", file, "--preprocess", "half", "--normalise")
        assert code == 2
        assert "--normalise: takes the training set's statistics, --preprocess others; leave one out" in err

    def test_grey_images_are_not_imagenets(self, capsys: Any, cells: Path, tmp_path: Path, file: Path) -> None:
        code, err, _ = self.train(capsys, cells, tmp_path / "run", file, "--preprocess", "imagenet", "--grey")
        assert code == 2
        assert "--preprocess imagenet: is of images in RGB, and these have 1 channel; give --rgb" in err
