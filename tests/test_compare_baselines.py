"""`tinymed compare` with classical classifiers: beside networks, alone, repeated, on features of runs, mistakes."""

import json
import re

import numpy as np
import pytest
from commands import invoke
from test_compare import SMALL

from tinymed import baselines
from tinymed.cli import compare
from tinymed.cli.comparing_baselines import SCORES, evaluated
from tinymed.cli.comparison_rows import METRICS
from tinymed.cli.features import features
from tinymed.features import available
from tinymed.features.registry import to_be_learnt
from tinymed.metrics.paired_differences import paired_differences
from tinymed.train.run import Run

ALONE = ["--size", 32, "--positive", "parasite", "--workers", 0]


def compared(capsys, out, *arguments):
    """What the command prints as JSON."""
    code, text, err = invoke(capsys, "compare", *arguments, "--out", out, "--json")
    assert code == 0, err
    return json.loads(text)


def test_beside_a_network_on_the_same_images(cells, tmp_path, capsys):
    out = tmp_path / "out"
    names = ["majority", "lenet5_modern", "svm_linear@hog+lbp", "pnn"]
    arguments = ["--models", *names, "--data", cells, "--positive", "parasite", "--head", "softmax", *SMALL]
    found = compared(capsys, out, *arguments)
    assert [row["model"] for row in found["rows"]] == names
    assert {(row["part"], row["n"], row["average"]) for row in found["rows"]} == {("test", 6, "positive: parasite")}
    run = Run.open(out / "lenet5_modern")
    test = run.splits()["test"]
    scores = {"lenet5_modern": run.measure(run.load_model(), test)[1]}
    for name, folder in (("majority", "majority"), ("svm_linear@hog+lbp", "svm_linear@hog+lbp"), ("pnn", "pnn")):
        with np.load(out / folder / SCORES) as file:
            scores[name] = file["scores"]
    for row in found["rows"]:
        metrics = evaluated(scores[row["model"]], test, run.config)
        for name in METRICS:
            assert row[name] == metrics[name]
            assert row[f"{name}_interval"] == metrics[f"{name}_interval"]
    for name, difference in zip(names[1:], found["differences"], strict=True):
        wanted = paired_differences(scores[name], scores["majority"], test.labels, seed=run.config.seed)
        assert difference == {"model": name, "less": "majority", **json.loads(json.dumps(wanted))}
    text = (out / "compare.md").read_text()
    assert text.count("\n| ") == 4 + 3 + 1
    assert "chosen on val from" in text
    assert (out / "compare.csv").read_text().count("\n") == 5
    assert (out / "compare.png").stat().st_size > 10_000


def test_alone_repeated_and_with_other_settings(cells, tmp_path, capsys):
    arguments = ["--models", "knn,elm", "--data", cells, "--features", "histogram", *ALONE]
    found = compared(capsys, tmp_path / "a", *arguments)
    assert [len(row["tried"]) for row in found["rows"]] == [6, 10]
    code, out, err = invoke(capsys, "compare", *arguments, "--out", tmp_path / "a")
    assert code == 0
    assert err.count("fitted already") == 2
    assert out.startswith(f"{cells.name}, test part, n = 6")
    assert "less knn, paired over the images" in out
    code, _, err = invoke(capsys, "compare", *arguments[:-4], *ALONE, "--l2", "--out", tmp_path / "a")
    assert code == 2
    assert "holds a result with another features" in err


def test_layers_of_a_run(cells, finished_run, tmp_path, capsys):
    found = compared(
        capsys,
        tmp_path / "out",
        "--models",
        f"svm_linear@{finished_run}",
        f"svm_linear@{finished_run}:features.3+lbp",
        "--data",
        cells,
        "--l2",
        "--backend",
        "numpy",
        *ALONE,
    )
    assert [row["columns"] for row in found["rows"]] == [84, 16 + 448]
    assert [row["features"] for row in found["rows"]] == [str(finished_run), f"{finished_run}:features.3+lbp"]


def test_a_run_that_learned_from_the_test_images_is_refused(cells, finished_run, tmp_path, capsys):
    """The same images, divided by another seed: its layers would know what they are judged by."""
    arguments = ["--models", "pnn", f"pnn@{finished_run}", "--data", cells, *ALONE, "--seed", 3]
    code, _, err = invoke(capsys, "compare", *arguments, "--out", tmp_path / "out")
    assert code == 2
    assert re.search(r"learned from \d of the 6 images of the test part", err)
    assert not (tmp_path / "out").exists()


def test_inner_folds_choose_where_val_is_reported_of(cells, tmp_path, capsys):
    names = ["--models", "pnn", "pnn@lbp"]
    found = compared(capsys, tmp_path / "out", *names, "--data", cells, "--test-fraction", 0, *ALONE)
    assert {row["part"] for row in found["rows"]} == {"val"}
    assert all("chosen on 5 folds of train" in row["notes"][0] for row in found["rows"])
    assert all(len(row["tried"]) > 1 for row in found["rows"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--models", "pnn"], "two methods or more, got pnn"),
        (["--models", "pnn", "nix"], "'nix' is unknown"),
        (["--models", "pnn", "pnn"], "named twice"),
        (["--models", "pnn", "lenet5_modern@hog"], "networks see images"),
        (["--models", "pnn", "knn@nix"], "neither a descriptor"),
        (["--models", "pnn", "knn@"], "one on each side"),
        (["--models", "pnn", "knn", "--lr", "0.1"], "--lr: has no effect here: no network is compared"),
        (["--models", "pnn", "knn", "--width", "0.5"], "--width: has no effect here: no network is compared"),
        (["--models", "lenet5_modern", "resnet20", "--l2"], "--l2: has no effect here: nothing is compared that uses"),
        (["--models", "pnn", "knn", "--inner-folds", "1"], "2 or more, or 0"),
        (["--models", "pnn", "knn", "--test-fraction", "0", "--inner-folds", "0"], "may not choose"),
        (["--models", "pnn", "knn", "--spatial", "sum"], "spatial is mean, max or flatten"),
    ],
)
def test_mistakes_are_one_line(cells, tmp_path, capsys, arguments, message):
    code, _, err = invoke(capsys, "compare", *arguments, "--data", cells, *ALONE, "--out", tmp_path / "r")
    assert code == 2
    assert message in err
    assert err.strip().count("\n") == 0
    assert not (tmp_path / "r").exists()


def test_the_help_names_every_classifier_and_descriptor():
    """Help is written without importing them, so a new file of either room must be named there."""
    told = {name: (module.__doc__ or "") for name, module in (("compare", compare.compare), ("features", features))}
    listed = re.search(r"stand\s+among them: (.*?), on", told["compare"], re.DOTALL)
    assert listed
    assert re.findall(r"\w+", listed[1].replace(" and ", " ")) == baselines.available()
    listed = re.search(r"Descriptors are (.*?), of images", told["features"])
    assert listed
    assert re.findall(r"\w+", listed[1].replace(" and ", " ")) == sorted([*available(), *to_be_learnt()])
    help_text = compare.BEFORE["features"].__metadata__[0].help
    assert {*available(), *to_be_learnt()} <= set(re.findall(r"\w+", help_text))
