"""Batches on their way to a GPU, and training there: on the stand-in for CuPy, whose copies are done late."""

import json
import sys

import numpy as np
import pytest
from commands import QUICK
from conftest import absence
from datasets import picture, write_image
from fake_cupy import reading_allowed
from fake_streams import Unordered, graphs
from masks import mask_tree
from test_detection import box_tree

import tinymed
from tinymed import dispatch, nn, optim
from tinymed.cli import main
from tinymed.cuda import gpu
from tinymed.data import Loader, device_prefetch, split_dataset, synthetic_smear, upload_batches
from tinymed.data.device_batches import as_array, as_arrays, device_of
from tinymed.data.device_prefetch import Lane
from tinymed.tasks.heads.class_heads import SigmoidHead, SoftmaxHead
from tinymed.tasks.heads.mask_head import MaskHead
from tinymed.tasks.inference.class_scores import predict_scores
from tinymed.train.trainer import Trainer


def batches(count, shape=(2, 3, 4, 5)):
    """Channels-last images and labels, different in each."""
    for i in range(count):
        rng = np.random.default_rng(i)
        images = rng.normal(size=(shape[0], *shape[2:], shape[1])).astype(np.float32).transpose(0, 3, 1, 2)
        yield (images, (rng.integers(0, 9, shape[0]), np.full((), i, np.float32))), i


def arrays(t):
    with reading_allowed():
        return tuple(map(arrays, t)) if isinstance(t, tuple) else as_array(t)


class TestUpload:
    @pytest.mark.parametrize("count", [0, 1, 2, 7])
    def test_every_batch_arrives_whole_and_in_order(self, cuda, count):
        found = []
        for (images, (labels, number)), rest in upload_batches(batches(count), "cuda"):
            assert {images.device, labels.device, number.device} == {"cuda"}
            found.append((images.array.strides, arrays((images, labels, number)), rest))
        expected = [((a.strides, (a, b, c)), rest) for (a, (b, c)), rest in batches(count)]
        assert len(found) == count
        for (strides, values, rest), ((wanted, same), number) in zip(found, expected, strict=True):
            assert strides == wanted  # images stay channels-last
            assert rest == number
            for a, b in zip(values, same, strict=True):
                assert np.array_equal(a, b)

    def test_one_batch_is_ahead_and_the_host_waits_for_nothing(self, cuda):
        asked = []

        def source():
            for batch in batches(4):
                asked.append(batch[1])
                yield batch

        for (images, _), number in upload_batches(source(), "cuda"):  # HostSync if anything waited
            assert asked[-1] == min(number + 1, 3)
            tinymed.relu(images)  # Unordered if the step did not wait for the copy

    def test_on_the_cpu_memory_is_shared(self):
        (sent, _), *_ = [b for b, _ in upload_batches(batches(1), "cpu")]
        assert sent.device == "cpu"
        a = np.zeros((2, 2), np.float32)
        ((t, _),) = upload_batches([(a, None)], "cpu")
        assert t.array is a

    def test_pinned_memory_lives_until_its_copy_is_done(self, cuda):
        lane = Lane()
        for i in range(3):
            lane.send(np.full(4, i, np.float32))
        del lane
        assert len(device_prefetch.flying) == 3
        with reading_allowed():
            sys.modules["cupy"].cuda.Device().synchronize()
        Lane().send(np.zeros(4, np.float32))
        assert len(device_prefetch.flying) == 1

    @pytest.mark.parametrize("taken", [3, 2])
    def test_an_epoch_may_end_before_its_copies(self, cuda, taken):
        """Whole or broken off; the next epoch takes pinned blocks while the device has not come to the last one."""
        seen = []
        for epoch in range(3):
            numbers = (((np.full(4, 10 * epoch + i, np.float32)), i) for i in range(3))
            for t, i in upload_batches(numbers, "cuda"):
                seen.append((10 * epoch + i, tinymed.relu(t)))
                if i + 1 == taken:
                    break
        assert [arrays(t).tolist() for _, t in seen] == [[n] * 4 for n, _ in seen]

    def test_a_step_that_does_not_wait_is_found(self, cuda):
        tensors, _ = Lane().send(np.zeros(4, np.float32))
        with pytest.raises(Unordered):
            tinymed.relu(tensors)

    def test_without_a_gpu_the_error_says_what_is_missing(self, monkeypatch):
        monkeypatch.setattr(
            dispatch.tables, "opened", {k: t for k, t in dispatch.tables.opened.items() if t.device == "cpu"}
        )
        monkeypatch.setattr(gpu, "why_not", lambda: "CuPy is not installed: pip install 'tinymed[cuda13]'")
        with pytest.raises(dispatch.BackendError, match="CuPy is not installed"):
            list(upload_batches(batches(1), "cuda"))


@pytest.mark.skipif(bool(absence("cuda")), reason=f"backend cuda: {absence('cuda')}")
def test_batches_reach_a_true_gpu_by_cuda():
    shape = (64, 3, 128, 128)  # long enough under way to be overtaken
    expected = [np.maximum(images, 0).sum((0, 2, 3)) for (images, _), _ in batches(5, shape)]
    found = [tinymed.relu(images).sum((0, 2, 3)) for (images, _), _ in upload_batches(batches(5, shape), "cuda")]
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a.cpu().numpy(), b, rtol=1e-3)


# --------------------------------------------------------------------------------------------------------- training


def trainer(place, head, weights=None):
    """A small network on cells of 16 px: 4 steps an epoch."""
    parts = split_dataset(synthetic_smear(40, 16, seed=1), {"train": 0.7, "val": 0.3})
    tinymed.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(3, 4, 3, bias=False),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Dropout(0.2),
        nn.Flatten(),
        nn.Linear(4 * 7 * 7, 2),
    ).to(place)
    train = Loader(parts["train"], 7, 16, shuffle=True, seed=1, workers=0)
    val = Loader(parts["val"], 5, 16, workers=0)
    rule = optim.Adam(model.parameters(), lr=0.01)
    return Trainer(model, rule, head(2, weights), train, val)


@pytest.mark.parametrize(("head", "weights"), [(SigmoidHead, None), (SigmoidHead, [1, 3]), (SoftmaxHead, [1, 3])])
def test_a_network_trains_where_its_weights_are(cuda, head, weights):
    """On the GPU: a graph for the step, uploads beside it, the same history and checkpoint as on the CPU."""
    here, there = trainer("cpu", head, weights), trainer("cuda", head, weights)
    tinymed.random.default_generator.manual_seed(5)
    here.fit(epochs=2)
    tinymed.random.default_generator.manual_seed(5)
    with reading_allowed():  # losses and scores are read
        there.fit(epochs=2)
        state = there.state()
    assert device_of(there.model) == "cuda"
    assert not there.step.refused
    assert not there.step.ungraphed
    assert max(g.launches for g in graphs) >= 7
    for own, other in zip(here.progress.history, there.progress.history, strict=True):
        for name in ("loss", "accuracy", "val_loss", "val_accuracy"):
            assert own[name] == pytest.approx(other[name], rel=1e-3), name
    for name, value in as_arrays(here.model.state_dict()).items():
        assert isinstance(state["model"][name], np.ndarray)
        np.testing.assert_allclose(state["model"][name], value, rtol=1e-2, atol=2e-3, err_msg=name)
    again = trainer("cuda", head, weights)
    with reading_allowed():
        again.restore(state)
        scores, *_ = predict_scores(again.model, again.val_loader, again.loss)
        expected, *_ = predict_scores(there.model, there.val_loader, there.loss)
    np.testing.assert_allclose(scores, expected, rtol=1e-6)


def test_the_loss_of_masks_follows_the_outputs(cuda):
    head = MaskHead(3, "dice_cross_entropy", [1, 2, 3], auxiliary=0.3)
    rng = np.random.default_rng(0)
    outputs, labels = rng.normal(size=(2, 3, 4, 4)).astype(np.float32), rng.integers(0, 3, (2, 4, 4))
    found = {}
    for place in ("cpu", "cuda", "cpu"):
        y = tinymed.tensor(outputs, device=place)
        with reading_allowed():
            found[place] = head(y, tinymed.tensor(labels, device=place)).item(), head.correct(y, labels)
    assert found["cuda"] == pytest.approx(found["cpu"], rel=1e-5)


# ------------------------------------------------------------------------------------------------------ the command


@pytest.mark.skipif(bool(absence("emulated")), reason=f"backend emulated: {absence('emulated')}")
def counts():
    """Kernel calls on the emulator so far: native, and fallen back."""
    return [sum(column) for column in zip(*dispatch.record("emulated").values(), strict=True)] or [0, 0]


def test_commands_run_on_a_named_backend(cells, tmp_path, capsys):
    """csrc's kernels train, evaluate and predict, on this processor."""
    counted = counts()
    run = tmp_path / "run"
    options = ["--data", str(cells), "--out", str(run), *QUICK, "--backend", "emulated"]
    assert main(["train", *options]) == 0
    image = next(cells.rglob("*.png"))
    assert main(["evaluate", str(run), "--json"]) == 0
    assert main(["predict", str(run), str(image), "--backend", "emulated"]) == 0
    assert dispatch.table().name == "emulated"
    native, fallback = (after - before for before, after in zip(counted, counts(), strict=True))
    assert native > 20  # of what is recorded; replays are not counted
    assert fallback == 0
    capsys.readouterr()


@pytest.mark.parametrize("name", ["cuda", "cupy"])
def test_commands_run_on_a_gpu(cuda, name, cells, tmp_path, capsys):
    """A run on the stand-in: trained, resumed, measured, exported there; its files serve the CPU."""
    pytest.importorskip("onnx", reason="tinymed export needs onnx: pip install 'tinymed[onnx]'")
    run, image = tmp_path / "run", str(next(cells.rglob("*.png")))
    with reading_allowed():
        assert main(["train", "--data", str(cells), "--out", str(run), *QUICK, "--backend", name]) == 0
        assert dispatch.table().name == name
        assert main(["evaluate", str(run), "--json"]) == 0
        assert main(["predict", str(run), image, "--json"]) == 0
        assert main(["export", str(run), "--json"]) == 0
    there = capsys.readouterr().out
    assert main(["predict", str(run), image, "--json", "--backend", "numba"]) == 0
    here = json.loads(capsys.readouterr().out)[0]["scores"]
    found = next(row for row in map(json.loads, there.splitlines()[-3:]) if isinstance(row, list))[0]["scores"]
    assert found == pytest.approx(here, rel=1e-3)
    assert graphs


@pytest.mark.parametrize("task", ["segmentation", "detection"])
def test_other_tasks_train_on_a_gpu(cuda, task, tmp_path, capsys):
    """Masks and boxes: losses, validation and pictures meet no array of the wrong device."""
    data = mask_tree(tmp_path / "data") if task == "segmentation" else box_tree(tmp_path / "data", 12)
    run = tmp_path / "run"
    network = ["--model", "unet_bn", "--option", "base=2", "--option", "depth=1", "--size", "16", "--workers", "0"]
    options = ["--task", task, "--data", str(data), "--out", str(run), "--epochs", "1", "--batch", "4", *network]
    with reading_allowed():
        assert main(["train", *options, "--backend", "cuda"]) == 0
        assert main(["evaluate", str(run), "--json"]) == 0
    assert graphs
    capsys.readouterr()


@pytest.mark.parametrize(
    "own",
    [
        pytest.param(["regression", "--label-column", "size"], marks=pytest.mark.full),
        pytest.param(["ordinal", "--class-weights", "balanced"], marks=pytest.mark.full),
        ["multilabel"],
    ],
)
def test_numbers_grades_and_findings_train_on_a_gpu(cuda, own, tmp_path, capsys):
    """Targets that are several arrays, weights of the loss and a network's own constants are on the device."""
    rows = ["path,size,split,label" if own[0] != "multilabel" else "path,size,split,left,right"]
    for i in range(12):
        write_image(tmp_path / f"{i}.png", picture(i, 16, 16, 1))
        split = ("train", "train", "val")[i % 3]
        rows.append(f"{i}.png,{i},{split},{f'grade{i % 2}' if own[0] != 'multilabel' else f'{i % 2},{i // 2 % 2}'}")
    (tmp_path / "list.csv").write_text("\n".join(rows) + "\n")
    task, *more = own
    network = ["bonet", "--option", "width=0.125", "--size", "16", "--workers", "0", "--epochs", "1", "--batch", "4"]
    run = tmp_path / "run"
    with reading_allowed():
        options = ["--data", str(tmp_path / "list.csv"), "--out", str(run), *network, "--backend", "cuda"]
        assert main(["train", "--task", task, *options, *more]) == 0
        assert main(["predict", str(run), str(tmp_path / "0.png")]) == 0
    assert graphs
    capsys.readouterr()


@pytest.mark.skipif("cupy" in sys.modules, reason="a real CuPy")
@pytest.mark.parametrize("name", ["cuda", "cupy"])
def test_a_backend_without_a_gpu_is_one_line(name, cells, tmp_path, capsys):
    if not absence(name):
        pytest.skip(f"backend {name} works here")
    assert main(["train", "--data", str(cells), "--out", str(tmp_path / "run"), *QUICK, "--backend", name]) == 2
    said = capsys.readouterr().err.strip()
    assert said.startswith(f"tinymed: --backend {name}: CuPy")
    assert "\n" not in said
