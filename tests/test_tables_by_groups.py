"""Tables of an evaluation, such as that of each class: their intervals count patients where the averages' do."""

import json
import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from masks import mask_tree

from tinymed import tasks
from tinymed.cli import main
from tinymed.metrics.classification import evaluate_scores
from tinymed.metrics.findings import evaluate_findings
from tinymed.metrics.mask_cases import measure_case, summarise
from tinymed.metrics.measures import intervals_by_groups, tables_by_groups
from tinymed.metrics.retrieval import evaluate_ranking, query_measures
from tinymed.tasks.results.class_results import class_rows
from tinymed.tasks.results.finding_results import finding_rows
from tinymed.tasks.results.mask_results import mask_figures, mask_rows
from tinymed.tasks.results.retrieval_results import query_rows
from tinymed.tasks.results.rows import as_cases
from tinymed.train.run import Run

CLASSES = ["healthy", "benign", "malignant"]
NAMES = [f"{i}.png" for i in range(40)]
RNG = np.random.default_rng(3)
LABELS = np.arange(40) % 3


def of_classes():
    scores = RNG.dirichlet([1, 1, 1], 40)
    config = SimpleNamespace(data=SimpleNamespace(classes=CLASSES), positive="malignant", seed=0)
    found = evaluate_scores(scores, LABELS, CLASSES, "malignant", resamples=50)
    return config, found, class_rows(NAMES, LABELS, scores, CLASSES)


def of_findings():
    scores, truth = RNG.random((40, 3)), (RNG.random((40, 3)) < 0.4).astype(float)
    truth[::7, 1] = np.nan  # not known
    config = SimpleNamespace(data=SimpleNamespace(classes=CLASSES), seed=0)
    found = evaluate_findings(scores, truth, CLASSES, resamples=50)
    return config, found, finding_rows(NAMES, truth, scores, CLASSES)


def of_masks():
    whole = {"tumour": [1, 2]}
    pairs = RNG.integers(0, 3, (40, 2, 6, 6))
    pairs[5] = np.minimum(pairs[5], 1)  # a class that is not there
    cases = [measure_case(n, 0.5, t, p, 3, (1, 1), whole) for n, (t, p) in zip(NAMES, pairs, strict=True)]
    mask = SimpleNamespace(boundary=0, regions={"tumour": ["benign", "malignant"]})
    config = SimpleNamespace(data=SimpleNamespace(classes=CLASSES, path=None), mask=mask)
    return config, summarise(cases, CLASSES), mask_rows(None, config, None, cases)


def of_queries():
    rows = RNG.normal(size=(40, 4))
    similarity, itself = rows @ rows.T, np.eye(40, dtype=bool)
    config = SimpleNamespace(data=SimpleNamespace(classes=CLASSES))
    found = evaluate_ranking(similarity, LABELS, CLASSES, resamples=50)
    measures = query_measures(similarity, (LABELS[:, None] == LABELS) & ~itself, itself)
    return config, found, query_rows(NAMES, [CLASSES[i] for i in LABELS], measures)


MADE = {"classification": of_classes, "multilabel": of_findings, "segmentation": of_masks, "retrieval": of_queries}


@pytest.mark.parametrize("task", MADE)
def test_every_interval_of_a_table_can_count_patients(task):
    """Of each row and measure: the value is the table's, and no interval is left that counts images."""
    config, result, rows = MADE[task]()
    tables = tasks.find(task).tables(config, as_cases(rows))
    assert set(tables) == {name for name in result if name in ("per_class", "per_region", "per_finding")}
    anew = tables_by_groups(result, tables, np.arange(40) // 4)
    for table, measures in tables.items():
        assert set(measures) == set(result[table])
        for row, found in result[table].items():
            shown = {key for key, value in found.items() if key.endswith("_interval") and value is not None}
            assert shown
            assert shown <= {f"{name}_interval" for name in measures[row]}
            for key in shown:
                measure, ends = measures[row][key.removesuffix("_interval")], anew[table][row][key]
                assert measure.value() == pytest.approx(found[key.removesuffix("_interval")], abs=1e-12)
                assert ends != found[key]
                assert ends is None or not any(map(math.isnan, ends))


def test_copies_of_an_image_say_nothing_new():
    config, _, rows = of_masks()
    said: list[str] = []

    def width(rows, groups=None):
        dice = tasks.find("segmentation").tables(config, as_cases(rows))["per_class"]["malignant"]["dice"]
        return np.ptp(dice.figure(groups, warn=said.append).interval)

    copies, once = [row for row in rows for _ in range(5)], width(rows)
    assert width(copies) < 0.6 * once
    assert width(copies, np.repeat(np.arange(40), 5)) == pytest.approx(once, rel=0.05)


def test_a_run_counts_patients_in_both(tmp_path):
    """Of two classes the mean without the background is that of the other: one number, one interval."""
    network = ["--model", "unet_bn", "--option", "base=4", "--option", "depth=1", "--backend", "numpy"]
    options = ["--size", "16", "--batch", "4", "--workers", "0", "--epochs", "1", "--labels", "0=ground,255=blob"]
    data = mask_tree(tmp_path / "data", 24)
    where = ["--data", str(data), "--out", str(tmp_path / "run")]
    assert main(["train", "--task", "segmentation", *network, *options, *where]) == 0
    run = Run.open(tmp_path / "run")
    images = run.splits()["train"]
    alone, _ = run.measure(run.load_model(), images)
    numbers = np.array([f"p{i // 3}" for i in range(len(images))])
    found, _ = run.measure(run.load_model(), replace(images, groups=numbers))
    assert found["groups"] == len(set(numbers))
    assert found["per_class"]["blob"]["dice_interval"] == found["dice_interval"] != alone["dice_interval"]


def test_compare_shows_the_intervals_that_the_run_has(tmp_path, capsys):
    """Of a segmentation without patients: metrics.json and the comparison of runs say the same of every measure."""
    network = ["--model", "unet_bn", "--option", "base=4", "--option", "depth=1", "--backend", "numpy"]
    options = ["--size", "16", "--batch", "4", "--workers", "0", "--epochs", "1", "--labels", "0=ground,255=blob"]
    run = str(tmp_path / "run")
    data = ["--data", str(mask_tree(tmp_path / "data", 24)), "--out", run]
    assert main(["train", "--task", "segmentation", *network, *options, *data]) == 0
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    part = metrics.get("test", metrics["val"])
    capsys.readouterr()
    assert main(["compare", run, run, "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)["measures"]
    assert {"dice", "accuracy"} <= set(shown)
    for name, row in shown.items():
        assert row["first"]["interval"] == pytest.approx(part[f"{name}_interval"], abs=1e-9), name


def test_a_classification_without_patients_has_one_interval_of_each_measure():
    config, result, rows = of_classes()
    task, cases = tasks.find("classification"), as_cases(rows)
    figures, said = task.figures(config, cases), []
    result |= intervals_by_groups(result, figures, None)
    for name in ("accuracy", "balanced_accuracy", "sensitivity", "auc", "precision", "npv", "f1"):
        assert list(figures[name].figure(None, warn=said.append).interval) == pytest.approx(
            list(result[f"{name}_interval"])
        ), name


def test_an_error_of_volume_is_signed():
    rows = [{"path": str(i), "accuracy": 1.0, "mean volume_error": -0.5 + 0.01 * i} for i in range(8)]
    said: list[str] = []
    low, high = mask_figures(None, as_cases(rows))["volume_error"].figure(None, warn=said.append).interval
    assert -0.5 < low < high < -0.4
