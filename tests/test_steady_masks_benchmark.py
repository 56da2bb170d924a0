"""The benchmark of the steady segmentation recipe: lists without test parts, looks that are taken once, the table."""

import csv
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "benchmarks"))

import steady
import steady_masks as bench


def measured(dice, low, high):
    """Measures of a class, as an evaluation has them."""
    return {"dice": dice, "dice_interval": [low, high], "dice_median": dice, "dice_n": 9, "pixels": 5}


def test_the_list_holds_nothing_of_the_test_part(tmp_path):
    folder = tmp_path / "set"
    folder.mkdir()
    rows = [("images/a.png", "masks/a.png", "train"), ("images/b.png", "masks/b.png", "test")]
    with (folder / "splits.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("path", "mask", "split"), *rows])
    text = bench.without_test(folder, tmp_path / "runs").read_text()
    assert f"{folder / 'images/a.png'},{folder / 'masks/a.png'},train" in text
    assert "b.png" not in text


def test_a_look_is_noted_and_taken_once(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(bench, "tinymed", lambda *given: asked.append(given) or json.dumps({"n": 3}))
    monkeypatch.setattr(steady, "LOOKS", tmp_path / "looks.csv")
    run = tmp_path / "em_membranes_isbi2012"
    run.mkdir()
    config = {"model": "unet_bn", "data": {"size": 128}, "mask": {"patch": [128, 128]}, "epochs": 47, "batch": 8}
    (run / "config.json").write_text(json.dumps(config))
    (run / "metrics.json").write_text("{}")
    for _ in range(2):
        assert bench.look(tmp_path / "data", tmp_path, run.name)["n"] == 3
    assert len(asked) == 1
    assert asked[0][-3:] == ("--split", "test", "--json")
    noted = (tmp_path / "looks.csv").read_text().splitlines()
    assert len(noted) == 2
    assert "unet_bn, patches of 128x128, 47 epochs of 8" in noted[1]


def test_the_table_says_where_a_floor_is_not_beaten():
    found = {"per_class": {"background": measured(0.99, 0.9, 1), "foreground": measured(0.5, 0.32, 0.6)}}
    kept = bench.classes_of(found, {"tumour": 0.33})
    assert kept["tumour"]["dice_interval"] == [0.32, 0.6]
    assert "pixels" not in kept["tumour"]
    row = {"val": kept, "test": kept, "n": 115, "former": {"network": "U-Net", "test": kept}}
    line = bench.as_markdown({"busi_ultrasound": row}).splitlines()[-1]
    assert line.startswith("| busi_ultrasound, tumour | .330 | .500 (.320 to .600) | .500")
    assert "**no**" in line
