"""Whole regions of nnU-Net's dataset.json: the classes inside one are measured together, with intervals."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from commands import invoke
from datasets import write_image
from masks import blob

from tinymed.data import open_segmentation
from tinymed.data.dataset_json import whole_regions
from tinymed.metrics.mask_cases import measure_case, summarise
from tinymed.metrics.segmentation import dice, hausdorff

LABELS = {"background": 0, "whole": [1, 2, 3], "core": [2, 3], "enhancing": 3}
REGIONS = {"whole": ["whole", "core", "enhancing"], "core": ["core", "enhancing"]}
NUMBERS = {"whole": [1, 2, 3], "core": [2, 3]}


def tree(root: Path, count: int = 6, labels: object = None) -> Path:
    """nnU-Net's folders of pictures, whose masks hold 0 to 3."""
    for i in range(count):
        image, mask = blob(i, (24, 26), 4)
        write_image(root / "imagesTr" / f"c{i}_0000.png", image)
        write_image(root / "labelsTr" / f"c{i}.png", mask)
    text = json.dumps({"labels": labels or LABELS, "regions_class_order": [1, 2, 3]})
    (root / "dataset.json").write_text(text)
    return root


@pytest.mark.parametrize(
    ("labels", "order", "found"),
    [
        (LABELS, [1, 2, 3], REGIONS),
        ({"background": 0, "whole": [1, 2], "core": 2, "ignore": 3}, [1, 2], {"whole": ["whole", "core"]}),
        ({"background": 0, "all": [1, 2]}, [1], {}),  # a region that is a class
        ({"background": 0, "a": 1, "b": 2}, None, {}),
        ({"background": 0, "all": [1, 2], "a": 1, "b": 2}, [1, 2, 3], {"all": ["a", "b"]}),  # has no class of its own
    ],
)
def test_regions_are_the_classes_inside_them(tmp_path, labels, order, found):
    (tmp_path / "dataset.json").write_text(json.dumps({"labels": labels, "regions_class_order": order}))
    assert whole_regions(tmp_path) == found


def test_a_region_is_measured_as_one_class_and_ignored_pixels_do_not_count():
    random = np.random.default_rng(0)
    truth, found = (random.integers(0, 4, (9, 11)).astype(np.uint8) for _ in range(2))
    truth[:2] = 255
    row = measure_case("a", 0.0, truth, found, 4, (2.0, 0.5), NUMBERS)
    counted = truth != 255
    for name, inside in NUMBERS.items():
        a, b = np.isin(truth, inside) & counted, np.isin(found, inside) & counted
        assert row["regions"][name]["dice"] == pytest.approx(dice(a, b))
        assert row["regions"][name]["hd95"] == pytest.approx(hausdorff(a, b, (2.0, 0.5), 95))
    assert "regions" not in measure_case("a", 0.0, truth, found, 4)


def test_regions_have_intervals_over_cases():
    rows = []
    for number in range(20):
        random = np.random.default_rng(number)
        truth = random.integers(0, 4, (8, 8)).astype(np.uint8)
        found = np.where(random.random((8, 8)) < 0.7, truth, random.integers(0, 4, (8, 8))).astype(np.uint8)
        rows.append(measure_case(str(number), 0.0, truth, found, 4, regions=NUMBERS))
    result = summarise(rows, ["background", "whole", "core", "enhancing"])
    whole = result["per_region"]["whole"]
    assert whole["dice"] == pytest.approx(np.mean([row["regions"]["whole"]["dice"] for row in rows]))
    low, high = whole["dice_interval"]
    assert low < whole["dice"] < high
    assert whole["dice"] > result["per_class"]["whole"]["dice"]  # classes inside it that are mistaken do not matter


@pytest.mark.filterwarnings("ignore")
def test_whole_regions_reach_table_lists_report_and_comparison(tmp_path, capsys):
    data = tree(tmp_path / "data")
    assert open_segmentation(data)["all"].meaning.regions == REGIONS
    network = ["unet_small", "--option", "base=4", "--size", 16, "--backend", "numpy", "--workers", 0, "--batch", 2]
    run = tmp_path / "run"
    code, told, err = invoke(
        capsys, "train", *network, "--task", "segmentation", "--data", data, "--epochs", 1, "--out", run
    )
    assert code == 0, err
    assert all(f"whole region {name}" in told for name in REGIONS)
    assert set(json.loads((run / "metrics.json").read_text())["test"]["per_region"]) == set(REGIONS)
    columns = next(csv.reader((run / "cases.csv").open()))
    assert {"dice whole region whole", "hd95 whole region core"} <= set(columns)
    code, told, err = invoke(capsys, "evaluate", run, "--postprocess", "fill")
    assert code == 0, err
    assert "whole region core" in told
    code, told, err = invoke(capsys, "evaluate", run, "--predictions", tmp_path / "all.csv")
    assert code == 0, err
    assert "dice whole region core" in next(csv.reader((tmp_path / "all.csv").open()))
    code, _, err = invoke(capsys, "report", run, "--out", tmp_path / "run.html")
    assert code == 0, err
    assert "each whole region" in (tmp_path / "run.html").read_text()
    code, told, err = invoke(capsys, "compare", run, run)
    assert (code, "dice whole region whole" in told) == (0, True), err
