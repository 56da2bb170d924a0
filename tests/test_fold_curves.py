"""The curves of a cross-validation: a line a fold, their mean as far as all go, the best epochs marked."""

import json
import re
import shutil

import numpy as np
import pytest
from PIL import Image

from tinymed.cli.reports.folds import curve_section
from tinymed.errors import UserError
from tinymed.report.document import Missing, Picture
from tinymed.report.fold_curves import panels_of, save_fold_curves
from tinymed.train.run import Run

SHORT = {"epoch": [1, 2], "loss": [1.0, 0.5], "val_loss": [1.2, 0.8], "val_auc": [0.5, 0.6]}
LONG = {"epoch": [1, 2, 3], "loss": [0.8, 0.5, 0.2], "val_loss": [1.0, 0.6, 0.7], "val_auc": [0.4, 0.7, 0.9]}


def drawn(monkeypatch, histories, monitor="val_loss"):
    """The figure that is drawn, instead of a file."""
    kept = []
    monkeypatch.setattr("tinymed.report.fold_curves.write_png", lambda figure, path: kept.append(figure))
    save_fold_curves(histories, "curves.png", "two folds", monitor)
    return kept[0]


def test_each_fold_has_a_line_and_the_mean_ends_where_the_first_fold_does(monkeypatch):
    loss = drawn(monkeypatch, {"fold-1": SHORT, "fold-2": LONG}).axes[0]
    lines = {line.get_label(): line for line in loss.lines}
    assert lines["validation, mean of 2 folds"].get_ydata().tolist() == pytest.approx([1.1, 0.7])
    assert lines["train, mean of 2 folds"].get_ydata().tolist() == pytest.approx([0.9, 0.5])
    thin = [line.get_ydata().tolist() for line in loss.lines if line.get_alpha()]
    assert thin == [SHORT["loss"], LONG["loss"], SHORT["val_loss"], LONG["val_loss"]]
    marked = [(*line.get_xdata(), *line.get_ydata()) for line in loss.lines if line.get_color() == "black"]
    assert marked == [(2, 0.8), (2, 0.6)]


def test_what_is_monitored_has_a_panel_of_its_own(monkeypatch):
    axes = drawn(monkeypatch, {"fold-1": SHORT, "fold-2": LONG}, "val_auc").axes
    assert [each.get_ylabel() for each in axes] == ["loss", "auc"]
    assert not [line for line in axes[0].lines if line.get_color() == "black"]
    assert [(*line.get_xdata(), *line.get_ydata()) for line in axes[1].lines if line.get_color() == "black"] == [
        (2, 0.6),
        (3, 0.9),
    ]


def test_a_fold_without_a_quantity_and_none_at_all():
    assert len(panels_of({"a": SHORT, "b": {"loss": [1.0]}}, "val_loss")["loss"]["validation"]) == 1
    with pytest.raises(UserError, match=r"x\.png: no fold has a history"):
        save_fold_curves({"a": {}, "b": {}}, "x.png")


def test_the_report_draws_them_and_names_a_fold_without_a_log(finished_run, tmp_path):
    for name in ("fold-1", "fold-2"):
        shutil.copytree(finished_run, tmp_path / name)
    (tmp_path / "fold-2" / "log.jsonl").unlink()
    found = curve_section(tmp_path, ["fold-1", "fold-2"], Run.open(finished_run)).blocks
    assert isinstance(found[0], Missing)
    assert "fold-2: no log.jsonl" in found[0].reason
    assert isinstance(found[1], Picture)
    (tmp_path / "seen.png").write_bytes(found[1].draw())
    with Image.open(tmp_path / "seen.png") as picture:
        assert len(np.unique(np.asarray(picture.convert("RGB")).reshape(-1, 3), axis=0)) > 10
    last = [json.loads(line) for line in (finished_run / "log.jsonl").read_text().splitlines()]
    value = [row for row in last if row.get("event") == "epoch"][-1]["val_loss"]
    assert re.search(rf"fold-1 {value:.4g}", found[1].alt)


def test_a_report_says_so_where_no_fold_has_one(finished_run, tmp_path):
    (tmp_path / "fold-1").mkdir()
    (found,) = curve_section(tmp_path, ["fold-1"], Run.open(finished_run)).blocks
    assert isinstance(found, Missing)
