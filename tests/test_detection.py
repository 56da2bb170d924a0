"""Detection: boxes from a list, maps of discs, peaks and non-maximum suppression, average precision, and a run."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from commands import invoke
from datasets import shared_data, write_image
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import tinymed
from tinymed.data.augment import Augment, parameters
from tinymed.data.box_loader import BoxLoader, disc_map
from tinymed.data.boxes import open_boxes
from tinymed.errors import UserError
from tinymed.metrics.boxes import Detections, overlaps
from tinymed.metrics.detection import average_precisions, best_f1, evaluate_detections, froc, match_detections
from tinymed.tasks.detection import TASK
from tinymed.tasks.heads.box_head import BoxHead
from tinymed.tasks.inference.box_peaks import detect, peaks, smooth, suppress
from tinymed.train.run import Run


def picture(number: int) -> tuple[np.ndarray, list[tuple[str, int, int, int, int]]]:
    """A 40 x 60 grey image with one bright square and one dark, wide rectangle, and their boxes."""
    random = np.random.default_rng(number)
    image = random.normal(120, 6, (40, 60))
    rows = []
    for label, height, width, value, left in (("square", 14, 14, 220, 2), ("wide", 12, 20, 30, 34)):
        y, x = int(random.integers(2, 38 - height)), int(random.integers(left, left + 25 - width))
        image[y : y + height, x : x + width] = value
        rows.append((label, x, y, x + width, y + height))
    return np.clip(image, 0, 255).astype(np.uint8), rows


def box_tree(root: Path, count: int = 24, split: bool = True) -> Path:
    """root/boxes.csv, root/splits.csv and root/images; returns root."""
    lines = [["path", "label", "xmin", "ymin", "xmax", "ymax"]]
    parts = [["path", "split"]]
    for i in range(count):
        image, rows = picture(i)
        write_image(root / "images" / f"{i:02}.png", image)
        lines += [[f"images/{i:02}.png", *map(str, row)] for row in rows]
        parts.append([f"images/{i:02}.png", ("val", "test", "train", "train")[i % 4]])
    for name, content in (("boxes.csv", lines), ("splits.csv", parts))[: 2 if split else 1]:
        with (root / name).open("w", newline="") as file:
            csv.writer(file).writerows(content)
    return root


class TestLists:
    def test_images_and_boxes(self, tmp_path):
        sets = open_boxes(box_tree(tmp_path))
        assert {name: len(part) for name, part in sets.items()} == {"train": 12, "val": 6, "test": 6}
        assert sets["val"].classes == ["square", "wide"]
        assert sets["val"].boxes[1].tolist() == [list(map(float, row[1:])) for row in picture(4)[1]]
        assert sets["train"].box_counts() == {"square": 12, "wide": 12}
        assert sets["train"].subset([3]).kinds[0].tolist() == [0, 1]
        assert len(open_boxes(box_tree(tmp_path / "whole", 4, split=False))["all"]) == 4

    def test_an_image_without_a_box_counts(self, tmp_path):
        box_tree(tmp_path, 4)
        write_image(tmp_path / "images" / "empty.png", picture(99)[0])
        with (tmp_path / "splits.csv").open("a") as file:
            file.write("images/empty.png,train\n")
        train = open_boxes(tmp_path)["train"]
        assert [len(boxes) for boxes in train.boxes] == [2, 2, 0]

    @pytest.mark.parametrize(
        ("row", "message"),
        [
            ("images/00.png,square,5,5,5,9", "is no box"),
            ("images/00.png,square,a,5,7,9", "'xmin' is 'a', no finite number; correct"),
            ("images/00.png,square,500,5,510,9", "lies outside the image, which is 60 wide and 40 high"),
            ("images/none.png,square,1,1,2,2", "no such file"),
        ],
    )
    def test_mistakes_are_named(self, tmp_path, row, message):
        box_tree(tmp_path, 4, split=False)
        with (tmp_path / "boxes.csv").open("a") as file:
            file.write(row + "\n")
        with pytest.raises(UserError, match=message):
            open_boxes(tmp_path)

    def test_another_layout(self, tmp_path):
        with pytest.raises(UserError, match=r"no boxes\.csv"):
            open_boxes(tmp_path)
        (tmp_path / "boxes.csv").write_text("path,label\na,b\n")
        with pytest.raises(UserError, match="no column 'xmin'"):
            open_boxes(tmp_path)

    def test_the_real_set(self):
        sets = open_boxes(shared_data("bccd_detection"), verify=False)
        assert {name: len(part) for name, part in sets.items()} == {"train": 205, "val": 87, "test": 72}
        assert sets["test"].box_counts() == {"Platelets": 69, "RBC": 805, "WBC": 71}


class TestMaps:
    def test_discs_lie_in_the_middle_of_their_boxes(self):
        numbers = disc_map(np.array([[2, 3, 12, 9], [10.0, 10, 20, 20]]), 24, 0.3)
        assert numbers[6, 7] == 1
        assert numbers[15, 15] == 2
        y, x = np.nonzero(numbers == 1)
        assert (y.mean() + 0.5, x.mean() + 0.5) == (6, 7)
        assert np.ptp(x) + 1 == pytest.approx(0.6 * 10, abs=1)
        assert np.ptp(y) + 1 == pytest.approx(0.6 * 6, abs=1)

    def test_small_boxes_lie_above_large_ones_and_edges_are_cut(self):
        numbers = disc_map(np.array([[9.0, 9, 11, 11], [0, 0, 20, 20], [-9, -9, 3, 3], [19, 19, 40, 40]]), 20, 0.5)
        assert numbers[10, 10] == 1
        assert numbers[4, 10] == 2
        assert disc_map(np.zeros((0, 4)), 5, 0.3).sum() == 0

    def test_the_loader_gives_classes_and_sizes(self, tmp_path):
        dataset = open_boxes(box_tree(tmp_path))["train"]
        flips = Augment(horizontal_flip=True, vertical_flip=True)
        how = {"reference": [(0.5, 0.5), (0.2, 0.25)], "shuffle": True, "augment": flips}
        images, (classes, sizes), indices = next(iter(BoxLoader(dataset, 4, 40, 1, workers=0, **how).epoch(1)))
        assert (images.shape, classes.shape, sizes.shape) == ((4, 1, 40, 40), (4, 40, 40), (4, 2, 40, 40))
        assert np.array_equal(np.isfinite(sizes).all(axis=1), classes > 0)
        wide = sizes.transpose(0, 2, 3, 1)[classes == 2]
        assert np.allclose(np.exp(wide), [20 / 60 / 0.2, 12 / 40 / 0.25])
        assert images[:, 0][classes == 1].mean() > 0.8
        assert images[:, 0][classes == 2].mean() < 0.2
        again = next(iter(BoxLoader(dataset, 4, 40, 1, workers=2, **how).epoch(1)))
        assert np.array_equal(again[0], images)
        assert np.array_equal(again[2], indices)

    def test_sizes_follow_crops_and_quarter_turns(self, tmp_path):
        dataset = open_boxes(box_tree(tmp_path))["train"]
        augment = Augment(turns=True, crop=0.6)
        batches = BoxLoader(dataset, 4, 40, 1, augment=augment, seed=3, workers=0).epoch(2)
        seen = set()
        for _, (classes, sizes), indices in batches:
            for kinds, shares, index in zip(classes, sizes, indices.tolist(), strict=True):
                drawn = parameters(augment, 3, 2, index)
                sides = np.array([20 / 60, 12 / 40]) / drawn.crop
                wanted = sides[::-1] if drawn.turns % 2 else sides
                found = np.exp(shares.transpose(1, 2, 0)[kinds == 2])
                assert np.allclose(found, wanted, rtol=1e-5)
                seen.add((drawn.turns, len(found) > 0))
        assert len(seen) > 3

    def test_boxes_are_not_turned(self, tmp_path):
        dataset = open_boxes(box_tree(tmp_path, 4))["train"]
        for name in ("rotate", "shear"):
            with pytest.raises(UserError, match=f"--{name}"):
                BoxLoader(dataset, 4, 40, 1, augment=Augment(**{name: 10}))


class TestHead:
    def test_the_loss_is_its_formula_and_sizes_count_on_discs_only(self):
        random = np.random.default_rng(0)
        head = BoxHead(2, size_weight=0.5)
        classes, sizes = random.integers(0, 3, (2, 4, 5)), random.normal(size=(2, 2, 4, 5)).astype(np.float32)
        sizes[np.broadcast_to((classes == 0)[:, None], sizes.shape)] = np.nan
        outputs = random.normal(size=(2, 5, 4, 5)).astype(np.float32)
        with tinymed.use_backend("numpy"):
            loss = head(tinymed.Tensor(outputs), tuple(map(tinymed.Tensor, head.targets((classes, sizes))))).item()
            shifted = outputs[:, :3] + head.prior
            logs = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
            entropy = -np.take_along_axis(logs, classes[:, None], 1).mean()
            p, g = np.exp(logs[:, 1:]), np.stack([classes == 1, classes == 2], axis=1)
            t, total = (p * g).sum(axis=(0, 2, 3)), (p + g).sum(axis=(0, 2, 3))
            entropy += 1 - ((2 * t + 1) / (total + 1)).mean()
            assert loss == pytest.approx(entropy + 0.5 * np.nanmean(np.abs(outputs[:, 3:] - sizes)), rel=1e-5)
            scores = head.scores(outputs)
        assert scores.shape == (2, 4, 4, 5)
        assert np.allclose(scores[:, :2], np.exp(logs[:, 1:]), atol=1e-6)
        assert head.correct(tinymed.Tensor(outputs), (classes, sizes)) == pytest.approx(
            (shifted.argmax(axis=1) == classes).mean() * 2
        )


class TestDetect:
    def test_overlaps(self):
        a = np.array([[0, 0, 2, 2], [0, 0, 4, 4.0]])
        assert overlaps(a, np.array([[1, 1, 3, 3], [5, 5, 6, 6], [0, 0, 2, 2.0]])).tolist() == [
            [1 / 7, 0, 1],
            [4 / 16, 0, 4 / 16],
        ]

    @given(st.integers(0, 2**32), st.integers(0, 12), st.sampled_from([0.2, 0.5, 1.0]))
    def test_suppression_keeps_the_best_of_those_that_overlap(self, seed, count, threshold):
        random = np.random.default_rng(seed)
        low = random.uniform(0, 8, (count, 2))
        boxes, scores = np.concatenate([low, low + random.uniform(1, 6, (count, 2))], axis=1), random.random(count)
        kept = suppress(boxes, scores, threshold)
        share = overlaps(boxes, boxes)
        assert list(kept) == sorted(kept, key=lambda i: -scores[i])
        for i in range(count):
            rivals = [j for j in kept if scores[j] > scores[i] and share[i, j] > threshold]
            assert (i in kept) == (not rivals)

    def test_peaks_and_plateaus(self):
        field = np.zeros((5, 6))
        field[1, 1], field[3, 3:5], field[0, 5] = 0.9, 0.5, 0.04
        assert peaks(field, 0.05).tolist() == [[1, 1], [3, 3]]

    def test_smoothing_is_a_mean(self):
        field = np.random.default_rng(0).random((2, 9, 7))
        padded = np.pad(field, ((0, 0), (1, 1), (1, 1)), constant_values=np.nan)
        windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), (1, 2))
        assert np.allclose(smooth(np.ones((1, 4, 4)), 2), 1)
        assert smooth(field, 0) is field
        once = np.nanmean(windows, axis=(3, 4))
        padded = np.pad(once, ((0, 0), (1, 1), (1, 1)), constant_values=np.nan)
        twice = np.nanmean(np.lib.stride_tricks.sliding_window_view(padded, (3, 3), (1, 2)), axis=(3, 4))
        assert np.allclose(smooth(field, 1), twice)

    def test_a_perfect_map_gives_the_boxes_back(self):
        boxes = np.array([[4, 6, 16, 14], [20, 22, 30, 36.0], [15, 5, 27, 15]])
        kinds = np.array([0, 1, 0])
        numbers = disc_map(boxes, 40, 0.3)
        scores = np.stack([np.isin(numbers, 1 + np.flatnonzero(kinds == k)) for k in (0, 1)]).astype(float)
        sides = np.concatenate([np.ones((1, 2)), boxes[:, 2:] - boxes[:, :2]])
        found = detect(scores, np.stack([sides[numbers].transpose(2, 0, 1)] * 2), radius=1, least=0.5)
        order = np.argsort(found.boxes[:, 0])
        assert found.kinds[order].tolist() == [0, 0, 1]
        assert np.abs(found.boxes[order] - boxes[[0, 2, 1]]).max() <= 1


class TestMetrics:
    def found(self) -> Detections:
        boxes = np.array([[0, 0, 10, 10], [1, 0, 11, 10], [20, 20, 30, 30], [0, 0, 3, 3.0]])
        return Detections(boxes, np.array([0.9, 0.8, 0.7, 0.6]), np.array([0, 0, 0, 1]))

    def test_a_box_is_taken_once_by_the_best(self):
        truth, kinds = np.array([[0, 0, 10, 10], [24, 24, 34, 34], [0, 0, 4, 4.0]]), np.array([0, 0, 1])
        assert match_detections(self.found(), truth, kinds).tolist() == [True, False, False, True]
        assert match_detections(self.found(), truth, kinds, "centre").tolist() == [True, False, True, True]
        assert not match_detections(self.found(), np.zeros((0, 4)), np.zeros(0, int)).any()

    @given(st.integers(0, 2**32), st.integers(1, 40))
    def test_average_precision_is_the_area_under_falling_precision(self, seed, count):
        random = np.random.default_rng(seed)
        right, scores = random.random(count) < 0.5, random.permutation(count) / count
        truths = int(right.sum()) + int(random.integers(0, 4))
        order = np.argsort(-scores)
        hits = np.cumsum(right[order])
        area = sum(max(hits[j] / (j + 1) for j in range(i, count)) for i in range(count) if right[order][i])
        ours = average_precisions(right, scores, np.ones((1, count)), np.array([truths]))[0]
        assert np.isnan(ours) if truths == 0 else ours == pytest.approx(area / truths)
        doubled = average_precisions(right, scores, np.full((1, count), 2), np.array([2 * truths]))[0]
        assert doubled == pytest.approx(ours, nan_ok=True)

    def test_froc_and_best_f1(self):
        right, scores = np.array([True, False, True, False]), np.array([0.9, 0.8, 0.7, 0.1])
        curve = froc(right, scores, images=2, truths=4)
        assert (curve["0.125"], curve["0.5"], curve["8"]) == (0.25, 0.5, 0.5)
        assert best_f1(right, scores, 4) == {"f1": pytest.approx(4 / 7), "threshold": 0.7}
        assert best_f1(right[:0], scores[:0], 0)["f1"] is None

    def test_an_evaluation_has_intervals_by_class(self):
        found, truth = [self.found()] * 6, [np.array([[0, 0, 10, 10], [0, 0, 4, 4.0]])] * 6
        found = [f if i else f._replace(scores=f.scores[::-1].copy()) for i, f in enumerate(found)]
        result = evaluate_detections(found, truth, [np.array([0, 1])] * 6, ["a", "b"], resamples=200)
        assert result["per_class"]["b"]["ap"] == 1
        low, high = result["per_class"]["a"]["ap_interval"]
        assert 0 < low <= result["per_class"]["a"]["ap"] <= high <= 1
        json.dumps(result, allow_nan=False)

    def test_a_class_without_boxes_is_undefined_and_left_out(self):
        result = evaluate_detections([self.found()], [np.array([[0, 0, 10, 10.0]])], [np.array([0])], ["a", "b"])
        assert result["per_class"]["b"]["ap"] is None
        assert result["ap"] == result["per_class"]["a"]["ap"] == 1


@pytest.fixture(scope="module")
def detector(tmp_path_factory) -> tuple[Path, Path]:
    """(data, run) of a small detector.  Not to be changed."""
    from tinymed.cli import main

    root = tmp_path_factory.mktemp("detector")
    box_tree(root / "data", 40)
    arguments = ["train", "--task", "detection", "--data", root / "data", "--out", root / "run", "--backend", "numpy"]
    arguments += ["--model", "unet_bn", "--option", "base=4", "--option", "depth=2", "--size", "32", "--epochs", "30"]
    arguments += ["--batch", "4", "--lr", "0.01", "--workers", "0", "--horizontal-flip"]
    assert main([str(a) for a in arguments]) == 0
    return root / "data", root / "run"


class TestDefaults:
    """The network that nobody named is narrow enough for a processor; one that was named is the published one."""

    @pytest.mark.parametrize(
        ("given", "options"),
        [
            ({}, {"base": 16}),
            ({"option": ["base=8"]}, {"base": 8}),
            ({"option": ["depth=3"]}, {"base": 16, "depth": 3}),
            ({"model": "unet_bn"}, {}),
            ({"model": "unet_small"}, {}),
        ],
    )
    def test_the_network(self, given, options, tmp_path):
        data = str(box_tree(tmp_path, 3))
        config = TASK.config_from_options({"data": data, "backend": "numpy", **given})
        assert config.model == given.get("model", "unet_bn")
        assert config.model_options == options


class TestRun:
    def test_it_finds_the_objects(self, detector):
        metrics = json.loads((detector[1] / "metrics.json").read_text())
        assert metrics["test"]["ap_centre"] > 0.8
        assert metrics["test"]["ap"] > 0.4
        names = {path.name for path in detector[1].iterdir()}
        assert {"metrics.json", "overlays.png", "curves.png", "boxes.csv"} <= names

    def test_evaluate_and_predict(self, detector, tmp_path, capsys):
        data, run = detector
        code, out, err = invoke(capsys, "evaluate", run, "--split", "val")
        assert code == 0, err
        assert "AP, overlap 1/2" in out
        code, out, err = invoke(capsys, "evaluate", run, "--data", data, "--split", "test", "--json")
        assert json.loads(out)["n"] == 10
        images = [data / "images" / f"{i:02}.png" for i in (1, 5)]
        code, out, err = invoke(capsys, "predict", run, *images, "--out", tmp_path / "o", "--overlays", "--json")
        assert code == 0, err
        rows = json.loads(out)
        assert {row["label"] for row in rows} <= {"square", "wide"}
        assert all(0 <= row["xmin"] < row["xmax"] <= 60 for row in rows)
        assert len((tmp_path / "o" / "boxes.csv").read_text().splitlines()) == len(rows) + 1
        with Image.open(tmp_path / "o" / "01-overlay.png") as picture:
            assert min(picture.size) > 200
        code, out, err = invoke(capsys, "predict", run, images[0], tmp_path / "none.png")
        assert code == 2
        assert "square" in out

    def test_an_exported_detector_is_told_apart_by_its_metadata(self, detector, tmp_path, capsys):
        """Scores and sizes worked out from the file and its metadata alone are those of the run."""
        onnxruntime = pytest.importorskip("onnxruntime", reason="runs the exported file: pip install '.[test]'")
        code, out, err = invoke(capsys, "export", detector[1], "--out", tmp_path / "m.onnx", "--json")
        assert code == 0, err
        told = json.loads(out)["metadata"]
        x = np.random.default_rng(0).random((2, 1, 32, 32)).astype(np.float32)
        session = onnxruntime.InferenceSession(tmp_path / "m.onnx", providers=["CPUExecutionProvider"])
        (outputs,) = session.run(None, {session.get_inputs()[0].name: x})
        logits = outputs[:, : 1 + len(told["tinymed.classes"])].astype(np.float64)
        logits[:, 0] += told["tinymed.boxes"]["background_prior"]
        share = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        run = Run.open(detector[1])
        with tinymed.no_grad():
            true = run.task.head(run.config, None).scores(run.load_model()(tinymed.Tensor(x)).array)
        np.testing.assert_allclose(share[:, 1:], true[:, :2], atol=1e-4)
        limit = told["tinymed.boxes"]["log_limit"]
        np.testing.assert_allclose(np.exp(outputs[:, -2:].clip(-limit, limit)), true[:, 2:], rtol=1e-3)
        assert told["tinymed.boxes"]["reference"] == [list(sides) for sides in run.config.boxes.reference]

    def test_changed_boxes_are_noticed(self, tmp_path, capsys):
        data = box_tree(tmp_path / "data", 8)
        arguments = ["train", "--task", "detection", "--data", data, "--out", tmp_path / "r", "--backend", "numpy"]
        arguments += ["--option", "base=2", "--option", "depth=1", "--size", 16, "--epochs", 1, "--workers", 0]
        code, _, err = invoke(capsys, *arguments)
        assert code == 0, err
        table = data / "boxes.csv"
        table.write_text(table.read_text().replace("square", "wide", 1))
        code, _, err = invoke(capsys, "train", "--resume", tmp_path / "r", "--epochs", 2)
        assert code == 2
        assert "not those" in err

    def test_mistakes(self, tmp_path, capsys):
        assert "needs --data" in invoke(capsys, "train", "--task", "detection")[2]
        data = box_tree(tmp_path / "data", 8)
        arguments = ["train", "--task", "detection", "--data", data, "--out", tmp_path / "r", "--backend", "numpy"]
        small = ["--option", "base=2", "--option", "depth=1", "--size", 16]
        refusal = invoke(capsys, *arguments, "--model", "dcnn", "--size", 48)[2]
        assert "choose one of " in refusal
        assert " dcunet, " in refusal
        assert "a turned box" in invoke(capsys, *arguments, *small, "--rotate", 5, "--out", tmp_path / "s")[2]
