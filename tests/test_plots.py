"""The pictures of a run: written whole, at a readable size, showing what they claim to show."""

import math
import os
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from tinymed.errors import UserError
from tinymed.metrics.classification import evaluate_scores
from tinymed.report import plots

EPOCHS = [
    {"epoch": 1, "loss": 0.7, "val_loss": 0.6, "accuracy": 0.6, "val_accuracy": 0.7},
    {"epoch": 2, "loss": 0.5, "val_loss": 0.4, "accuracy": 0.8, "val_accuracy": None},
    {"epoch": 3, "loss": 0.3, "val_loss": 0.5, "accuracy": 0.9, "val_accuracy": 0.8},
]


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """The figures that were written."""
    figures: list[Figure] = []
    write = plots.write_png

    def record(figure: Figure, path: str | Path) -> Path:
        figures.append(figure)
        return write(figure, path)

    monkeypatch.setattr(plots, "write_png", record)
    return figures


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        assert image.format == "PNG"
        return np.asarray(image.convert("L"))


def scores_of(n: int, k: int) -> tuple[np.ndarray, np.ndarray, list[str]]:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, k, n)
    scores = rng.random((n, k)) + np.eye(k)[labels]
    return scores / scores.sum(axis=1, keepdims=True), labels, [f"class {i}" for i in range(k)]


def legend(figure: Figure, i: int = 0) -> list[str]:
    return [text.get_text() for text in figure.axes[i].get_legend().get_texts()]


@pytest.mark.parametrize("form", ["rows", "columns"])
def test_curves(tmp_path: Path, drawn: list[Figure], form: str) -> None:
    history = EPOCHS if form == "rows" else {key: [row[key] for row in EPOCHS] for key in EPOCHS[0]}
    path = plots.save_curves(history, tmp_path / "new" / "curves.png", "title")
    assert pixels(path).shape[0] > 300
    assert pixels(path).std() > 10
    (figure,) = drawn
    loss, accuracy = figure.axes
    assert (loss.get_ylabel(), accuracy.get_ylabel()) == ("loss", "accuracy")
    assert legend(figure) == ["train", "validation", "best epoch (2)"]
    np.testing.assert_array_equal(loss.lines[1].get_xydata(), [[1, 0.6], [2, 0.4], [3, 0.5]])
    np.testing.assert_array_equal(accuracy.lines[1].get_xydata(), [[1, 0.7], [3, 0.8]])  # the gap is left out


def test_curves_of_one_epoch_without_validation(tmp_path: Path, drawn: list[Figure]) -> None:
    plots.save_curves({"train_loss": [0.5], "val_loss": [math.nan]}, tmp_path / "c.png")
    assert len(drawn[0].axes) == 1
    assert legend(drawn[0]) == ["train"]
    assert drawn[0].axes[0].lines[0].get_marker() == "o"  # a line of one point would be invisible


def test_runs(tmp_path: Path, drawn: list[Figure]) -> None:
    path = plots.save_runs({"lr 0.1": EPOCHS, "lr 0.01": EPOCHS, "empty": []}, tmp_path / "r.png", "val_loss")
    assert pixels(path).std() > 5
    assert legend(drawn[0]) == ["lr 0.1", "lr 0.01"]
    assert drawn[0].axes[0].get_ylabel() == "val loss"


def test_roc_of_two_classes(tmp_path: Path, drawn: list[Figure]) -> None:
    scores, labels, classes = scores_of(100, 2)
    evaluation = evaluate_scores(scores, labels, classes, "class 1")
    path = plots.save_roc(scores, labels, classes, "class 1", tmp_path / "roc.png", evaluation)
    assert pixels(path).shape[0] > 500
    axes = drawn[0].axes[0]
    chance, curve, point = axes.lines
    np.testing.assert_array_equal(chance.get_xydata(), [[0, 0], [1, 1]])
    assert np.trapezoid(curve.get_ydata(), curve.get_xdata()) == pytest.approx(evaluation["auc"])
    assert point.get_xydata()[0] == pytest.approx([1 - evaluation["specificity"], evaluation["sensitivity"]])
    low, high = evaluation["auc_interval"]
    assert f"class 1: AUC {evaluation['auc']:.3f} [{low:.3f}, {high:.3f}]" in legend(drawn[0])
    assert any("chance" in text for text in legend(drawn[0]))


def test_roc_of_several_classes_leads_with_the_positive(tmp_path: Path, drawn: list[Figure]) -> None:
    scores, labels, classes = scores_of(200, 4)
    labels[labels == 3] = 0  # class 3 has no curve
    plots.save_roc(scores, labels, classes, "class 2", tmp_path / "roc.png")
    assert [text.split(":")[0] for text in legend(drawn[0])][1:4] == ["class 2", "class 0", "class 1"]


def test_confusion_shows_counts_and_row_percentages(tmp_path: Path, drawn: list[Figure]) -> None:
    path = plots.save_confusion([[90, 10, 0], [1, 2, 1], [0, 0, 0]], ["a", "b", "c"], tmp_path / "c.png")
    assert pixels(path).std() > 10
    texts = [text.get_text() for text in drawn[0].axes[0].texts]
    assert texts == [
        "90\n90.0 %",
        "10\n10.0 %",
        "0\n0.0 %",
        "1\n25.0 %",
        "2\n50.0 %",
        "1\n25.0 %",
        "0",
        "0",
        "0",
    ]
    with pytest.raises(ValueError, match="2 class names"):
        plots.save_confusion(np.eye(3), ["a", "b"], tmp_path / "c.png")


@pytest.mark.parametrize("k", [2, 4, 12])
def test_nothing_is_cut_off(tmp_path: Path, k: int) -> None:
    """A white margin all round means that no label runs over the edge."""
    names = [f"a rather long class name, $_{i}$ {{" for i in range(k)]
    scores, labels, _ = scores_of(300, k)
    paths = [
        plots.save_confusion(
            np.eye(k) * 1234, names, tmp_path / "c.png", "a title that is longer than the matrix is wide"
        ),
        plots.save_roc(scores, labels, names, names[0], tmp_path / "r.png"),
        plots.save_comparison_bars({name: {"accuracy": 0.9} for name in names}, tmp_path / "b.png", title="title"),
    ]
    for path in paths:
        image = pixels(path)
        border = np.concatenate([image[0], image[-1], image[:, 0], image[:, -1]])
        assert border.min() == 255, path.name


def test_comparison_bars(tmp_path: Path, drawn: list[Figure]) -> None:
    models = {"CNN": {"auc": (0.9, 0.85, 0.93), "accuracy": 0.8}, "ResNet": {"auc": (0.7, 0.6, 0.8)}}
    path = plots.save_comparison_bars(models, tmp_path / "b.png", title="t")
    assert pixels(path).std() > 10
    axes = drawn[0].axes[0]
    assert [text.get_text() for text in axes.texts] == ["0.900", "0.800", "0.700"]
    assert axes.get_ylim()[0] == 0
    assert legend(drawn[0]) == ["CNN", "ResNet"]
    assert [bar.get_height() for bar in axes.containers[1]] == pytest.approx([0.9, 0.8])
    ends = axes.containers[0].lines[2][0].get_segments()[0]
    assert ends[:, 1] == pytest.approx([0.85, 0.93])


def test_nothing_to_draw_is_refused(tmp_path: Path) -> None:
    for history in ([], {}, [{"epoch": 1}], [{"loss": None}]):
        with pytest.raises(UserError, match="neither loss nor accuracy"):
            plots.save_curves(history, tmp_path / "c.png")
    with pytest.raises(UserError, match="no history has values"):
        plots.save_runs({"a": EPOCHS}, tmp_path / "r.png", "dice")
    with pytest.raises(UserError, match="nothing to compare"):
        plots.save_comparison_bars({}, tmp_path / "b.png")
    assert list(tmp_path.iterdir()) == []


def test_a_failed_write_leaves_the_old_picture_and_no_rubbish(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = plots.save_curves(EPOCHS, tmp_path / "c.png")
    before = path.read_bytes()

    def fail(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="disk full"):
        plots.save_curves(EPOCHS[:1], path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
