"""`tinymed features`: what the file holds, sources beside each other, codes, and mistakes in one line."""

import csv
import json
import re

import numpy as np
import pytest
from commands import invoke

from tinymed.tasks.base.picture import picture_loader
from tinymed.tasks.inference.embedding import embed
from tinymed.train.run import Run


def written(capsys, tmp_path, *arguments, name="rows.npz"):
    """The arrays of the file that the command writes, and what it prints as JSON."""
    out = tmp_path / name
    code, text, err = invoke(capsys, "features", *arguments, "--backend", "numpy", "--out", out, "--json")
    assert code == 0, err
    with np.load(out, allow_pickle=False) as file:
        return dict(file), json.loads(text)


def test_rows_names_labels_and_parts_are_the_runs(finished_run, tmp_path, capsys):
    found, told = written(capsys, tmp_path, finished_run)
    run = Run.open(finished_run)
    sets, model = run.splits(), run.load_model()
    expected = np.concatenate([embed(model, picture_loader(s, run.config)) for s in sets.values()])
    np.testing.assert_allclose(found["features"], expected, rtol=1e-6)
    assert found["splits"].tolist() == [name for name, s in sets.items() for _ in range(len(s))]
    assert found["labels"].tolist() == [s.classes[label] for s in sets.values() for label in s.labels]
    assert all(name.startswith(label) for name, label in zip(found["names"], found["labels"], strict=True))
    assert (told["images"], told["columns"]) == found["features"].shape


def test_layers_descriptors_and_further_runs_stand_beside_each_other(finished_run, tmp_path, capsys):
    both, told = written(
        capsys,
        tmp_path,
        finished_run,
        "--layer",
        "features.3",
        "--layer",
        "",
        "--concat",
        "hog",
        "--concat",
        finished_run,
        "--split",
        "test",
    )
    alone = [
        written(capsys, tmp_path, finished_run, *arguments, "--split", "test")[0]["features"]
        for arguments in (["--layer", "features.3"], ["--layer", ""], ["--layer", "", "--concat", "hog"], [])
    ]
    alone[2] = alone[2][:, alone[1].shape[1] :]
    np.testing.assert_allclose(both["features"], np.concatenate(alone, axis=1), rtol=1e-6)
    assert told["sources"] == f"{finished_run}:features.3+{finished_run}:+hog+{finished_run}"


def test_l2_makes_each_sources_rows_unit(finished_run, tmp_path, capsys):
    rows = written(capsys, tmp_path, finished_run, "--concat", "histogram", "--l2")[0]["features"]
    np.testing.assert_allclose(np.linalg.norm(rows[:, :-32], axis=1), 1, rtol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(rows[:, -32:], axis=1), 1, rtol=1e-5)


def test_a_list_holds_the_same_numbers(finished_run, tmp_path, capsys):
    rows = written(capsys, tmp_path, finished_run, "--split", "val")[0]
    out = tmp_path / "rows.csv"
    code, _, err = invoke(capsys, "features", finished_run, "--split", "val", "--backend", "numpy", "--out", out)
    assert code == 0, err
    with out.open(newline="") as file:
        lines = list(csv.reader(file))
    assert lines[0][:4] == ["name", "split", "label", "f0"]
    np.testing.assert_array_equal(np.array([line[3:] for line in lines[1:]], np.float32), rows["features"])
    assert [line[0] for line in lines[1:]] == rows["names"].tolist()


def test_codes_are_bits_learned_on_the_training_part(finished_run, cells, tmp_path, capsys):
    found, told = written(capsys, tmp_path, finished_run, "--codes", 12)
    assert found["codes"].shape[1] == 12
    assert found["codes"].dtype == np.uint8
    assert set(np.unique(found["codes"])) == {0, 1}
    assert told["learned_on"] == "the train part"
    assert told["energies"][-1] < told["energies"][0]
    again, told = written(capsys, tmp_path, finished_run, cells, "--codes", 12)  # a folder that is not divided
    assert told["learned_on"] == "the train part of the run's own images"
    order = dict(zip(found["names"], found["codes"].tolist(), strict=True))
    assert [order[name] for name in again["names"]] == again["codes"].tolist()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--layer", "nix"], "layer 'nix': .* has none of this name"),
        (["--concat", "nix"], "neither a descriptor"),
        (["--spatial", "sum"], "spatial is mean, max or flatten"),
        (["--out", "rows.txt"], "ends in .npz or .csv"),
        (["--out", "nowhere/rows.npz"], "there is no folder nowhere"),
        (["--split", "nix"], "has no part 'nix'"),
        (["--codes", "0"], "bits is from 1 to 4096"),
        (["--seed", "1"], "only --codes and words draw"),
    ],
)
def test_mistakes_are_one_line(finished_run, capsys, arguments, message):
    code, out, err = invoke(capsys, "features", finished_run, "--backend", "numpy", *arguments)
    assert code == 2
    assert not out
    assert len(err.splitlines()) == 1
    assert re.search(message, err)


def test_a_folder_that_is_no_run(tmp_path, capsys):
    code, _, err = invoke(capsys, "features", tmp_path)
    assert code == 2
    assert "no run" in err
