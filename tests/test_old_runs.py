"""Run folders of the layout before tasks had rooms of their own: they open, measure the same, go on.

`tests/data/runs` was made by that version: three tiny networks, two epochs each, and what `evaluate --json` said then.
"""

import json
import shutil
from pathlib import Path

import pytest
from commands import invoke

from tinymed import tasks
from tinymed.errors import UserError
from tinymed.train.checkpoint import NEWEST, load_checkpoint
from tinymed.train.run import Run
from tinymed.train.transfer import read_weights

OLD = Path(__file__).parent / "data" / "runs"
DATA = {"classification": "cells", "segmentation": "masks", "detection": "boxes"}


@pytest.fixture(params=sorted(DATA))
def old_run(request, tmp_path):
    """A copy of an old run, whose data were moved: the path in its configuration is no longer that of its
    checkpoints."""
    folder = tmp_path / "run"
    shutil.copytree(OLD / request.param, folder)
    path = folder / "config.json"
    config = json.loads(path.read_text())
    assert config["schema_version"] == 1
    config["data"]["path"] = str(OLD / "data" / DATA[request.param])
    path.write_text(json.dumps(config))
    return folder


def numbers(value):
    """The numbers of a result, in order; intervals are made by the rules of today."""
    if isinstance(value, dict):
        return [x for name, item in value.items() if not name.endswith("_interval") for x in numbers(item)]
    if isinstance(value, list):
        return [x for item in value for x in numbers(item)]
    return [value] if isinstance(value, int | float) else []


def without(value, start):
    """A result without what is named so, in tables too."""
    if isinstance(value, dict):
        return {name: without(item, start) for name, item in value.items() if not name.startswith(start)}
    return [without(item, start) for item in value] if isinstance(value, list) else value


def test_it_measures_what_it_measured(old_run, capsys):
    code, out, err = invoke(capsys, "evaluate", old_run, "--json")
    assert code == 0, err
    now, then = json.loads(out), json.loads((OLD / Run.open(old_run).config.task / "evaluated.json").read_text())
    later = {name for name in now if name.startswith("conformity")}  # a measure that is younger than the run
    assert now.keys() - later == then.keys()
    kept = {name: now[name] for name in then}
    assert numbers(without(kept, "conformity")) == pytest.approx(numbers(then), rel=1e-4, abs=1e-5)


def test_it_goes_on(old_run, capsys):
    run = Run.open(old_run)
    code, _, err = invoke(capsys, "train", "--resume", old_run, "--epochs", 3)
    if run.config.schedule == "cosine":  # it has come to its end
        assert code == 2
        assert "--init" in err
        return
    assert code == 0, err
    progress = load_checkpoint(old_run / "checkpoints" / NEWEST)["progress"]
    assert (progress["epoch"], len(progress["history"])) == (3, 3)
    assert json.loads((old_run / "config.json").read_text())["schema_version"] == 2


def test_resuming_a_finished_one_changes_nothing(old_run, capsys):
    before = load_checkpoint(old_run / "checkpoints" / NEWEST)
    code, _, err = invoke(capsys, "train", "--resume", old_run)
    assert code == 0, err
    assert load_checkpoint(old_run / "checkpoints" / NEWEST)["progress"] == before["progress"]


def test_its_weights_begin_a_new_run(old_run):
    run = Run.open(old_run)
    state = read_weights(old_run)
    assert state.keys() == run.load_model().state_dict().keys()


def test_what_no_version_knew_is_refused():
    content = json.loads((OLD / "segmentation" / "config.json").read_text())
    for change in ({"learning_speed": 3}, {"mask": content["mask"] | {"pach": 3}}, {"task": "prophecy"}):
        with pytest.raises(UserError, match=r"learning_speed|pach|prophecy"):
            tasks.config_from_json(content | change, Path("config.json"))
