"""Exporting modules: every registered network at reduced width beside ONNX Runtime, and what surrounds it."""

import json
from typing import Any

import numpy as np
import pytest
from commands import invoke

import tinymed
import tinymed.onnx
from tinymed import models, nn
from tinymed.errors import UserError
from tinymed.models.summary import input_shapes
from tinymed.nn import functional as F

onnx = pytest.importorskip("onnx", reason="onnx is not installed: pip install '.[test]'")
ort = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed: pip install '.[test]'")


@pytest.fixture(autouse=True)
def reference():
    """The mapping is tested, not the kernels."""
    with tinymed.use_backend("numpy"):
        yield


# What makes a network small, where it has the option; and the image of those whose own is large.
NARROW = {"width": 0.125, "base": 4, "filters": 4, "hidden": 8, "num_classes": 3}
IMAGES = {
    "deepmedic": (4, 57, 57, 57),
    "unet": (1, 188, 188),
    "unet3d": (3, 44, 44, 44),
    "vnet": (1, 32, 32, 32),
    "voxresnet": (1, 32, 32, 32),
    "multistream": (3, 227, 227),
}
FCN = {"width": 1 / 32, "num_classes": 3}
OPTIONS: dict[str, dict[str, Any]] = {
    "lenet5": {},
    "fcn32s": FCN,
    "fcn16s": FCN,
    "fcn8s": FCN,
    "deepmedic": {"widths": [4] * 8, "hidden": 6},
    "unet3d": {"base": 2, "depth": 2},
    "vnet": {"base": 2},
    "axial_unet": {"size": 32},
    "gated_axial_unet": {"size": 32},
    "medt": {},
    "logo": {},
}
LARGE = ("medt", "logo", "transunet")  # have no small form
MOST = 64  # pixels along an axis of other networks
VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    "alexnet with response normalisation": ("alexnet", {"variant": "2012", "width": 0.125, "num_classes": 3}),
    "resnet20 with projections": ("resnet20", {"shortcut": "projection", "width": 0.5}),
    "unet, resized": ("unet_bn", {"upsample": "bilinear", "base": 4}),
    "dcnn, same": ("dcnn", {"padding": "same", "size": 40}),
}


def network(name: str, options: dict[str, Any] | None = None) -> tuple[Any, tuple[int, ...]]:
    """(a small network without special values in its weights, the shape of its image)."""
    found = models.entry(name)
    if options is None:
        options = OPTIONS.get(name, {k: v for k, v in NARROW.items() if k in found.options})
    tinymed.manual_seed(0)
    model = models.create(name, **options)
    rng = np.random.default_rng(0)
    for p in model.parameters():
        if p.array.size and np.ptp(p.array) == 0:  # zeros and ones, which would hide a mistake
            p.array += rng.uniform(-0.3, 0.3, p.shape).astype(np.float32)
    for key, b in model.named_buffers():
        if key.endswith(("running_mean", "running_var")):
            b.array += rng.uniform(0, 0.3, b.shape).astype(np.float32)
    shape = input_shapes(getattr(model, "input_shape", None) or found.input)[0]
    if not hasattr(model, "input_shape"):
        shape = IMAGES.get(name, (shape[0], *(min(n, MOST) for n in shape[1:])))
    return model.eval(), shape


def runtime(path, *inputs):
    """ONNX Runtime's outputs."""
    options = ort.SessionOptions()
    options.log_severity_level, options.intra_op_num_threads = 3, 1
    session = ort.InferenceSession(path.read_bytes(), options)
    return session.run(None, {i.name: x.numpy() for i, x in zip(session.get_inputs(), inputs, strict=True)})


def outputs_of(model, *inputs):
    """The module's outputs as a list of arrays."""
    with tinymed.no_grad():
        y = model(*inputs)
    return [t.numpy() for t in (y if isinstance(y, tuple | list) else [y])]


def compare(got, want, rtol=1e-4):
    for a, b in zip(got, want, strict=True):
        assert a.shape == b.shape
        assert np.ptp(b) > 0, "a constant output would hide a mistake"
        np.testing.assert_allclose(a, b, rtol=rtol, atol=rtol * np.abs(b).max())


@pytest.mark.filterwarnings("ignore::tinymed.nn.StatisticsWarning")
@pytest.mark.parametrize(
    "name",
    [
        *(pytest.param(n, marks=pytest.mark.full) if n in LARGE else n for n in models.available()),
        *VARIANTS,
    ],
)
def test_every_network(name, tmp_path):
    """ONNX Runtime's outputs on another batch size, the checker, the names of the state, and the way back."""
    model, shape = network(*VARIANTS.get(name, (name,)))
    path = tmp_path / "model.onnx"
    tinymed.onnx.export(model, tinymed.randn(1, *shape, seed=1), path)
    onnx.checker.check_model(onnx.load(path), full_check=True)
    x = tinymed.randn(2, *shape, seed=2)
    expected = outputs_of(model, x)
    compare(runtime(path, x), expected)
    loaded = tinymed.onnx.load(path)
    compare(outputs_of(loaded, x), expected, rtol=1e-5)
    state, learned = model.state_dict(), dict(model.named_parameters())
    assert set(dict(loaded.named_parameters())) == {
        n for n in learned if "unused" not in n and not n.startswith("discriminator")
    }
    for key, value in loaded.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), state[key].numpy())


class Small(nn.Module):
    """A network with batch norm, a branch and a dense layer."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 6, 3, padding=1, bias=False), nn.BatchNorm2d(6), nn.ReLU())
        self.branch = nn.Conv2d(6, 6, 3, padding=1, groups=2)
        self.head = nn.Sequential(nn.AdaptiveAvgPool2d(3), nn.Flatten(), nn.Linear(54, 4))

    def forward(self, image):
        x = self.stem(image)
        return self.head(x + F.elu(self.branch(x)))


def small() -> Small:
    tinymed.manual_seed(3)
    return Small().eval()


X = tinymed.randn(2, 3, 8, 10, seed=5)


class TestFile:
    def test_names_shapes_and_origin(self, tmp_path):
        path = tmp_path / "model.onnx"
        tinymed.onnx.export(small(), X, path, metadata={"classes": ["a", "b"], "note": "text"})
        model = onnx.load(path)
        (taken,), (returned,) = model.graph.input, model.graph.output
        assert taken.name == "image"
        assert [d.dim_param or d.dim_value for d in taken.type.tensor_type.shape.dim] == ["batch", 3, 8, 10]
        assert [d.dim_param or d.dim_value for d in returned.type.tensor_type.shape.dim] == ["batch", 4]
        assert model.producer_name == "tinymed"
        assert model.opset_import[0].version == 18
        kept = {p.key: p.value for p in model.metadata_props}
        assert json.loads(kept["classes"]) == ["a", "b"]
        assert kept["note"] == "text"
        assert {t.name for t in model.graph.initializer} == {k for k in small().state_dict() if "num_batches" not in k}
        assert any(n.name.startswith("/stem/0/") for n in model.graph.node)

    @pytest.mark.parametrize("opset", range(17, 26))
    def test_every_opset(self, opset, tmp_path):
        tinymed.onnx.export(small(), X, tmp_path / "model.onnx", opset=opset)
        compare(runtime(tmp_path / "model.onnx", X), outputs_of(small(), X))

    def test_it_is_whole_or_not_there(self, tmp_path):
        path = tmp_path / "model.onnx"
        path.write_bytes(b"older")
        with pytest.raises(UserError):
            tinymed.onnx.export(nn.Sequential(nn.BatchNorm2d(3, track_running_stats=False)), X, path)
        assert path.read_bytes() == b"older"
        tinymed.onnx.export(small(), X, path)
        assert [p.name for p in tmp_path.iterdir()] == ["model.onnx"]

    def test_the_mode_stays(self, tmp_path):
        model = small().train()
        model.branch.eval()
        before = model.state_dict()["stem.1.running_mean"].numpy().copy()
        tinymed.onnx.export(model, X, tmp_path / "model.onnx")
        assert model.training
        assert not model.branch.training
        np.testing.assert_array_equal(model.state_dict()["stem.1.running_mean"].numpy(), before)

    def test_a_loaded_module_is_exported_again(self, tmp_path):
        tinymed.onnx.export(small(), X, tmp_path / "a.onnx")
        again = tinymed.onnx.load(tmp_path / "a.onnx")
        tinymed.onnx.export(again, X, tmp_path / "b.onnx")
        compare(runtime(tmp_path / "b.onnx", X), outputs_of(small(), X))
        assert set(tinymed.onnx.load(tmp_path / "b.onnx").state_dict()) == set(again.state_dict())


def test_a_loaded_network_trains_like_the_original(tmp_path):
    """The gradients of every parameter, in training mode."""
    tinymed.onnx.export(small(), X, tmp_path / "model.onnx")
    gradients = []
    for model in (small().train(), tinymed.onnx.load(tmp_path / "model.onnx").train()):
        F.cross_entropy(model(X), tinymed.tensor([1, 3])).backward()
        gradients.append({name: p.grad.numpy() for name, p in model.named_parameters()})
    ours, theirs = gradients
    assert ours.keys() == theirs.keys()
    for name, g in ours.items():
        np.testing.assert_allclose(theirs[name], g, rtol=1e-4, atol=1e-6)


class Function(nn.Module):
    """A function of the input as a module."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


class TestInputsAndOutputs:
    def test_several_of_each(self, tmp_path):
        class Two(nn.Module):
            def forward(self, left, right):
                return {"sum": left + right, "left": left}

        path, a, b = tmp_path / "model.onnx", X, tinymed.randn(2, 3, 8, 1, seed=6)
        tinymed.onnx.export(Two(), (a, b), path)
        graph = onnx.load(path).graph
        assert [v.name for v in graph.input] == ["left", "right"]
        assert [v.name for v in graph.output] == ["sum", "left_1"]
        total, left = runtime(path, a, b)
        np.testing.assert_allclose(total, a.numpy() + b.numpy(), rtol=1e-6)
        np.testing.assert_array_equal(left, a.numpy())

    def test_starred_inputs(self, tmp_path):
        model, shape = network("triplanar", {"width": 0.25})
        planes = tuple(tinymed.randn(2, 1, *shape[1:], seed=i) for i in range(3))
        tinymed.onnx.export(model, planes, tmp_path / "model.onnx")
        assert [v.name for v in onnx.load(tmp_path / "model.onnx").graph.input] == ["inputs_0", "inputs_1", "inputs_2"]
        compare(runtime(tmp_path / "model.onnx", *planes), outputs_of(model, *planes))

    @pytest.mark.parametrize(
        "function",
        [
            lambda x: x,
            lambda x: (x, x),
            lambda x: x[:, 1:, ::-1, None, 2],
            lambda x: x.reshape(x.shape[0], -1).mean(1),
            lambda x: x[1:] if False else x.reshape(-1, 10),
            lambda x: F.expand(x[:, :1, :1], (x.shape[0], 4, 5, 10)),
            lambda x: F.softmax(x.permute(0, 2, 3, 1), -1),
            lambda x: x.max(1)[0] + x.argmax(1),
            lambda x: (x > 0.5) & (x < 1.0),
            lambda x: F.where(x > 0, x, 2.0) ** 2 + 3,
            lambda x: F.group_norm(x, 3) + F.instance_norm(x),
            lambda x: F.pad(x, (1, 2, 0, 1), "replicate").std((1, 2)),
            lambda x: F.interpolate(x, scale_factor=1.3, mode="bilinear"),
            lambda x: F.layer_norm(x, (8, 10)) @ x.transpose(-1, -2),
        ],
    )
    def test_functions(self, function, tmp_path):
        module, path = Function(function), tmp_path / "model.onnx"
        tinymed.onnx.export(module, X[:1] * 1.0, path)
        for x in (X, tinymed.randn(5, 3, 8, 10, seed=9)):
            for a, b in zip(runtime(path, x), outputs_of(module, x), strict=True):
                assert a.dtype == b.dtype
                np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)

    def test_one_batch_size_alone(self, tmp_path):
        module, path = Function(lambda x: x - x.mean(0) * x.shape[0]), tmp_path / "model.onnx"
        with pytest.raises(UserError, match=r"op Mul.*dynamic_batch=False"):
            tinymed.onnx.export(module, X, path)
        tinymed.onnx.export(module, X, path, dynamic_batch=False)
        compare(runtime(path, X), outputs_of(module, X))


class Stubborn(nn.Module):
    """Does part of its work outside the tape."""

    def forward(self, x):
        return x * tinymed.tensor(x.array.mean(dtype=np.float32))


class TestRefusals:
    def refused(self, model, example, path, match, **more):
        with pytest.raises(UserError, match=match):
            tinymed.onnx.export(model, example, path, **more)
        assert not path.exists()

    def test_an_op_without_a_form(self, tmp_path):
        module = nn.Sequential(Function(lambda x: F.scatter_add(x, 1, tinymed.zeros(1, 1, 1, 1, dtype=np.int64), x)))
        self.refused(module, X, tmp_path / "m.onnx", r"op ScatterAdd in 0 has no ONNX form here; it takes AMax")

    def test_a_form_that_onnx_has_not(self, tmp_path):
        module = Function(lambda x: F.max_pool2d(x, 2, return_indices=True)[0])
        self.refused(module, X, tmp_path / "m.onnx", "op MaxPool.*return_indices=True has no ONNX form at opset 18")

    def test_training_statistics(self, tmp_path):
        module = nn.BatchNorm2d(3, track_running_stats=False)
        self.refused(module, X, tmp_path / "m.onnx", "op BatchNorm in BatchNorm2d: batch norm by the batch's own")

    def test_work_outside_the_tape(self, tmp_path):
        self.refused(Stubborn(), X, tmp_path / "m.onnx", "output 'output' .* computed outside the ops of the tape")

    def test_a_path_that_depends_on_the_batch(self, tmp_path):
        module = Function(lambda x: x if x.shape[0] == 2 else x * 2)
        self.refused(module, X, tmp_path / "m.onnx", "runs 0 ops on the example, 1 on a batch of one sample more")

    @pytest.mark.parametrize("example", [None, (), 3.0, tinymed.tensor(1.0), tinymed.zeros(0, 3)])
    def test_examples(self, example, tmp_path):
        self.refused(small(), example, tmp_path / "m.onnx", "example_input")

    @pytest.mark.parametrize("opset", [16, 26])
    def test_opsets(self, opset, tmp_path):
        self.refused(small(), X, tmp_path / "m.onnx", f"opset is {opset}; it takes 17 to 25", opset=opset)

    def test_folders(self, tmp_path):
        self.refused(small(), X, tmp_path / "no" / "m.onnx", "folder .* does not exist")

    @pytest.mark.parametrize("returned", [None, [], 3.0, "text"])
    def test_outputs(self, returned, tmp_path):
        self.refused(Function(lambda x: returned), X, tmp_path / "m.onnx", "the model returned .*; it takes")

    def test_the_written_model_is_run(self, tmp_path, monkeypatch):
        """A wrong mapping is noticed before a file is there."""
        from tinymed.onnx import emit  # noqa: F401  fills the table
        from tinymed.onnx.writer import EMITS

        monkeypatch.setitem(EMITS, "ReLU", lambda w, call: w.result(call, "Sigmoid", call.x))
        self.refused(small(), X, tmp_path / "m.onnx", "output 'output' of the written model differs")


class TestCommand:
    def test_a_run(self, finished_run, cells, tmp_path, capsys):
        """The file's scores on an image, prepared as the metadata say, are those of `tinymed predict`."""
        path = tmp_path / "cells.onnx"
        code, out, err = invoke(capsys, "export", finished_run, "--out", path)
        assert (code, err) == (0, "")
        assert str(path) in out
        kept = {p.key: p.value for p in onnx.load(path).metadata_props}
        assert json.loads(kept["tinymed.classes"]) == ["clear", "parasite"]
        steps = json.loads(kept["tinymed.preparation"])
        assert steps["size"] == [32, 32]
        image = next(iter(sorted((cells / "parasite").glob("*.png"))))
        predicted = json.loads(invoke(capsys, "predict", finished_run, image, "--json")[1])[0]
        from PIL import Image

        grey = Image.open(image).convert("L").resize(steps["size"], Image.Resampling.BILINEAR)
        x = (np.asarray(grey, np.float32)[None, None] / 255 - steps["mean"]) / steps["std"]
        (logits,) = runtime(path, tinymed.tensor(x.astype(np.float32)))
        assert kept["tinymed.scores"].startswith("sigmoid")
        np.testing.assert_allclose(1 / (1 + np.exp(-logits[0])), list(predicted["scores"].values()), atol=2e-3)

    def test_into_the_run(self, finished_run, capsys):
        code, out, _ = invoke(capsys, "export", finished_run, "--opset", "21", "--json")
        assert code == 0
        found = json.loads(out)
        assert found["opset"] == 21
        assert found["file"] == str(finished_run / "model.onnx")
        assert tinymed.onnx.load(found["file"]).metadata["tinymed.model"] == "lenet5_modern"
        (finished_run / "model.onnx").unlink()

    def test_mistakes(self, finished_run, tmp_path, capsys):
        for arguments, word in (
            ((tmp_path / "none",), "no run"),
            ((finished_run, "--opset", "3"), "17 to 25"),
            ((finished_run, "--weights", "middle"), "best or last"),
            ((finished_run, "--average-flips"), "the run answers for an image as it is"),
            ((finished_run, "--out", tmp_path / "no" / "m.onnx"), "does not exist"),
        ):
            code, out, err = invoke(capsys, "export", *arguments)
            assert (code, out) == (2, "")
            assert word in err
            assert err.count("\n") == 1
