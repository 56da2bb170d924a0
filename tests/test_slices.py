"""Networks that answer for every slice of a volume: is the structure in it?"""

import json

import numpy as np
import pytest
from commands import invoke
from masks import mask_tree, volume_tree

from tinymed.data.labels import IGNORED
from tinymed.data.slices import fill_slices, slice_numbers
from tinymed.data.volumes import read_values
from tinymed.nn import functional as F
from tinymed.tasks.heads.slice_head import SliceHead
from tinymed.tensor import Tensor
from tinymed.train.run import Run

LABELS = ["--labels", "0=background,1=organ,2=organ"]
SMALL = ["--option", "hidden=4", "--option", "width=0.25", "--batch", 2, "--backend", "numpy", "--workers", 0]


def volume(*filled):
    """Return class numbers [4, 3, 2] with one voxel of class 1 in each of these slices."""
    numbers = np.zeros((4, 3, 2), np.uint8)
    for index in filled:
        numbers[index, index % 3, index % 2] = 1
    return numbers


class TestNumbers:
    def test_a_slice_with_one_voxel_holds_the_structure(self):
        assert slice_numbers(volume(1, 2)).tolist() == [0, 1, 1, 0]

    def test_what_does_not_count_decides_nothing(self):
        numbers = volume(1)
        numbers[0, 0, 0], numbers[1, 2, 1], numbers[3] = IGNORED, IGNORED, IGNORED
        assert slice_numbers(numbers).tolist() == [0, 1, 0, IGNORED]

    def test_every_voxel_takes_the_class_of_its_slice(self):
        filled = fill_slices(volume(0, 3))
        assert filled.dtype == np.uint8
        assert filled.reshape(4, -1).tolist() == [[1] * 6, [0] * 6, [0] * 6, [1] * 6]
        assert np.array_equal(fill_slices(filled), filled)


class TestHead:
    outputs = np.random.default_rng(3).normal(size=(2, 2, 4)).astype(np.float32)
    labels = np.stack([volume(0, 1), volume(2)]).astype(np.int64)

    def test_the_loss_is_that_of_slices(self):
        head = SliceHead((4, 3, 2))
        answers = np.array([[1, 1, 0, 0], [0, 0, 1, 0]])
        assert np.array_equal(head.targets(self.labels), answers)
        wanted = F.cross_entropy(Tensor(self.outputs), Tensor(answers)).item()
        assert head(Tensor(self.outputs), Tensor(head.targets(self.labels))).item() == pytest.approx(wanted, rel=1e-6)
        right = (self.outputs.argmax(1) == answers).mean(1).sum()
        assert head.correct(Tensor(self.outputs), self.labels) == pytest.approx(right)

    def test_the_loss_of_what_is_measured_is_the_same(self):
        """Measured are the scores of voxels against masks whose voxels have the class of their slice."""
        head = SliceHead((4, 3, 2))
        trained = head(Tensor(self.outputs), Tensor(head.targets(self.labels))).item()
        spread = head.logits(head.read(Tensor(self.outputs)))
        masks = np.stack([fill_slices(numbers) for numbers in self.labels])
        assert head(Tensor(spread), Tensor(masks)).item() == pytest.approx(trained, rel=1e-5)

    @pytest.mark.parametrize("sigmoid", [False, True])
    def test_voxels_have_the_score_of_their_slice(self, sigmoid):
        outputs = self.outputs[:, :1] if sigmoid else self.outputs
        scores = SliceHead((4, 3, 2), sigmoid=sigmoid).read(Tensor(outputs))
        assert scores.shape == (2, 2, 4, 3, 2)
        assert (scores == scores[..., :1, :1]).all()
        np.testing.assert_allclose(scores.sum(1), 1, rtol=1e-6)
        one = 1 / (1 + np.exp(-(outputs[:, 0] if sigmoid else outputs[:, 1] - outputs[:, 0])))
        np.testing.assert_allclose(scores[:, 1, :, 0, 0], one, rtol=1e-5)


class TestCommand:
    def train(self, capsys, data, out, *more):
        options = ["--task", "segmentation", "--data", data, "--out", out, *SMALL]
        return invoke(capsys, "train", "cnn_bigru", *options, *more)

    def test_a_run(self, tmp_path, capsys):
        data, out = volume_tree(tmp_path / "data", 10), tmp_path / "run"
        code, _, err = self.train(capsys, data, out, *LABELS, "--epochs", 12, "--lr", "0.02", "--rotate", 5)
        assert code == 0, err
        found = json.loads((out / "metrics.json").read_text())["test"]
        cases = [read_values(path)[0] > 0 for path in sorted((data / "labels").iterdir())]
        held = np.mean([numbers.any((1, 2)) for numbers in cases])
        assert 0.2 < held < 0.8
        assert found["accuracy"] > max(held, 1 - held)
        code, text, err = invoke(capsys, "evaluate", out)
        assert code == 0, err
        assert "slice accuracy" in text
        picture = sorted((data / "images").iterdir())[0]
        code, _, err = invoke(capsys, "predict", out, picture, "--out", tmp_path / "masks")
        assert code == 0, err
        mask = read_values(next((tmp_path / "masks").glob("*.nii.gz")))[0]
        assert np.array_equal(mask > 0, np.broadcast_to((mask > 0).all((1, 2))[:, None, None], mask.shape))
        code, _, err = invoke(capsys, "export", out)
        assert code == 0, err
        assert b"one number for each slice" in (out / "model.onnx").read_bytes()
        run = Run.open(out)
        batches = run.task.training_batches(run.config, run.splits()["train"], run.load_model())
        masks = next(iter(batches.epoch()))[1]
        filled = masks.reshape(*masks.shape[:2], -1).mean(2)  # a turned patch has other slices: the head finds theirs
        assert ((filled > 0) & (filled < 1)).any()

    @pytest.mark.parametrize(
        ("options", "words"),
        [
            (["--labels", "0=background,1=head,2=tail"], "holds one structure, and there are 3 classes"),
            ([*LABELS, "--patch", "16,8,16"], "slices across the first axis are seen whole"),
            ([*LABELS, "--option", "per_slice=false"], "no answer for each slice"),
            ([*LABELS, "--boundary", 1], "--boundary: has no effect here: cnn_bigru answers for whole slices"),
            ([*LABELS, "--inside", "organs"], "--inside: has no effect here"),
            ([*LABELS, "--border-weight", 5], "--border-weight: has no effect here"),
        ],
    )
    def test_what_does_not_fit_is_refused(self, tmp_path, capsys, options, words):
        code, _, err = self.train(capsys, volume_tree(tmp_path / "data", 4), tmp_path / "run", *options)
        assert code == 2
        assert words in err

    def test_pictures_have_no_slices(self, tmp_path, capsys):
        code, _, err = self.train(capsys, mask_tree(tmp_path / "data", 4), tmp_path / "run", "--size", 32)
        assert code == 2
        assert "cnn_bigru: is no network for segmentation" in err
