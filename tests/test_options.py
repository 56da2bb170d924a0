"""An option that is accepted is honoured or refused: every option of every command is walked through.

Of `train` and `compare` each is given to a small data set of each task, and must change the configuration that decides
the run, or be refused by its name.  What only changes what is shown, or where, is listed.
"""

import csv
import importlib
import shutil

import numpy as np
import options_of_reports
import pytest
import typer
from commands import invoke, write_images
from masks import mask_tree
from option_values import NEEDS, OWN, REFUSED, SMALL, VALUES
from PIL import Image
from slices import one_in
from test_detection import box_tree

import tinymed
from tinymed import tasks
from tinymed.cli import COMMANDS, load_commands
from tinymed.cli.app import OF_FILES, app
from tinymed.cli.compare import ABSENT, OPTIONS
from tinymed.cli.pretrain import OF_DATA
from tinymed.cli.start_run import config_from_options, open_sets, with_data_fields
from tinymed.cli.train import PATHS
from tinymed.errors import UserError
from tinymed.registration.config import RegisterConfig
from tinymed.unsupervised.config import PretrainConfig

CHANGED_NOTHING_BUT = {"labels", "leaks"}  # the first names what was guessed; the second is a rule for what may happen


# Columns of the lists of tasks whose network sees a whole picture: a field of each by the number of the image.
LABELS = {
    "regression": {"value": lambda i: i, "mass": lambda i: 40 + i % 7},
    "ordinal": {"label": lambda i: f"grade{i % 2}", "kind": lambda i: f"stage {i % 2 + 1}"},
    "retrieval": {"label": lambda i: "ab"[i % 2], "kind": lambda i: f"kind {i % 2 + 1}"},
    "multilabel": {
        "edema": lambda i: int(i % 3 == 0),
        "mass": lambda i: (1, 0, -1, "", 1, 0, 0)[i % 7],
        "listed": lambda i: ("Edema", "Mass|Edema", "Mass", "No Finding")[i % 4],
    },
}


def label_list(folder, files, name, columns):
    """A list of images with these columns, patients and parts."""
    with (folder / f"{name}.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["path", *columns, "patient", "file", "piece"])
        for i, path in enumerate(files):
            at, part = path.relative_to(folder), ("train", "val", "test", "train")[i // 2 % 4]
            writer.writerow([at, *(field(i) for field in columns.values()), f"p{i // 2}", at, part])
    return folder / f"{name}.csv"


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A small data set of each task: a list of cells with two label columns and patients, masks, boxes."""
    root = tmp_path_factory.mktemp("options")
    cells = write_images(root / "cells", ["clear", "parasite"], 12)
    files = sorted(cells.glob("*/*.png"))
    with (cells / "list.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "label", "kind", "patient", "file", "piece"])
        parts = ["train", "val", "test", "train"]
        for i, path in enumerate(files):
            writer.writerow(
                [
                    path.relative_to(cells),
                    path.parent.name,
                    "ab"[i % 2],
                    f"p{i // 2}",
                    path.relative_to(cells),
                    parts[i // 2 % 4],
                ]
            )
    return {
        "folder": root,
        "classification": cells / "list.csv",
        "denoising": cells / "list.csv",
        "generation": cells / "list.csv",
        **{task: label_list(cells, files, task, columns) for task, columns in LABELS.items()},
        "reconstruction": cells / "list.csv",
        "segmentation": mask_tree(root / "masks", 10, (32, 32)),
        "registration": mask_tree(root / "pairs", 20, (32, 32)),
        "detection": box_tree(root / "boxes", 10, split=False),
    }


def configuration(task, data, given):
    """What decides a run with these options."""
    options = {"task": task, "data": str(data[task]), "backend": "numpy", **SMALL[task], **given}
    config = config_from_options(options)
    config, _ = with_data_fields(config, open_sets(config, options), options)
    return config.model_dump()


@pytest.fixture(scope="module")
def deep(data, tmp_path_factory):
    """The same data with pictures of 16 bits."""
    root = tmp_path_factory.mktemp("deep") / "options"
    shutil.copytree(data["folder"], root)
    for path in root.rglob("*.png"):
        if "masks" not in path.relative_to(root).parts[1:]:
            Image.fromarray(np.asarray(Image.open(path).convert("L")).astype(np.uint16) * 200).save(path)
    return {name: root / path.relative_to(data["folder"]) for name, path in data.items()}


@pytest.mark.parametrize("task", [name for name in tasks.available() if "window" in tasks.find(name).options])
def test_a_window_reaches_what_the_network_sees(task, deep):
    """An option of reading changes more than the configuration: the first batch is another one."""
    batches = []
    for given in ({}, {"window": "30000,40000"}):
        options = {"task": task, "data": str(deep[task]), "backend": "numpy", "workers": 0, **SMALL[task], **given}
        config = config_from_options(options)
        sets = open_sets(config, options)
        config, _ = with_data_fields(config, sets, options)
        room = tasks.find(task)
        with tinymed.use_backend("numpy"):
            batch = next(iter(room.training_batches(config, sets["train"], room.make_model(config)).epoch(0)))
        batches.append(np.concatenate([np.ravel(part) for part in batch[:2] if isinstance(part, np.ndarray)]))
    assert batches[0].shape == batches[1].shape
    assert not np.array_equal(*batches)


WALK = [(task, name) for task in tasks.available() for name in tasks.find(task).options]


@pytest.mark.parametrize(("task", "name"), one_in(2, WALK, "-".join))
def test_an_option_of_train_is_honoured_or_refused(task, name, data):
    if name in ("task", "data"):
        return
    value = OWN.get((task, name), VALUES.get(name))
    if name == "init":
        config = config_from_options({"task": task, "data": str(data[task]), "backend": "numpy", **SMALL[task]})
        value = str(data["folder"] / f"{task}.safetensors")
        tinymed.save(tasks.find(task).make_model(config), value)
    assert value is not None, f"--{name}: give a value to try it with"
    needed = NEEDS.get((task, name), NEEDS.get(name, {}))
    more = {"option": [*SMALL[task].get("option", []), *value]} if name == "option" else {name: value}
    if name == "model":
        more["option"] = []
    if (task, name) in REFUSED:
        with pytest.raises(UserError, match=REFUSED[task, name]):
            configuration(task, data, needed | more)
        return
    before = configuration(task, data, needed)
    if name == "backend":
        before["backend"] = "numba"
    if name in CHANGED_NOTHING_BUT:
        configuration(task, data, more)
        return
    assert configuration(task, data, needed | more) != before


@pytest.mark.parametrize("task", tasks.available())
def test_an_option_of_another_task_is_refused_by_name(task, data):
    mine = tasks.find(task).options
    foreign = {n: o for t in tasks.available() for n, o in tasks.find(t).options.items() if n not in mine}
    assert foreign
    for name, option in foreign.items():
        with pytest.raises(UserError, match=f"{option.flag}.*not an option of {task}"):
            configuration(task, data, {name: OWN.get((task, name), VALUES.get(name, "x"))})


def test_a_column_of_patients_is_honoured_for_masks_and_boxes(data, tmp_path):
    """No patient is on two sides, and a column that is not there is refused."""
    masks = mask_tree(tmp_path / "m", 12, (32, 32))
    rows = [["file", "mask", "who"]]
    rows += [[f"images/{i:02}.png", f"masks/{i:02}.png", f"p{i // 3}"] for i in range(12)]
    boxes = box_tree(tmp_path / "b", 12, split=False)
    listed = [row.split(",") for row in (boxes / "boxes.csv").read_text().splitlines()]
    owned = [[*listed[0], "who"], *([*row, f"p{int(row[0][7:9]) // 3}"] for row in listed[1:])]
    for path, table in ((masks / "list.csv", rows), (boxes / "boxes.csv", owned)):
        with path.open("w", newline="") as file:
            csv.writer(file).writerows(table)
    for task, path in (("segmentation", masks / "list.csv"), ("detection", boxes)):
        options = {"task": task, "data": str(path), "backend": "numpy", **SMALL[task], "group_column": "who"}
        sets = open_sets(config_from_options(options), options)
        patients = [{int(part.name(i)[-6:-4]) // 3 for i in range(len(part))} for part in sets.values()]
        assert len(patients) > 1
        assert sum(map(len, patients)) == len(set.union(*patients)) == 4
        with pytest.raises(UserError, match="NoSuch"):
            config_from_options(options | {"group_column": "NoSuch"})


def test_a_division_that_the_data_have_is_not_asked_for_again(tmp_path):
    for part in ("train", "val"):
        write_images(tmp_path / part, ["clear", "parasite"], 4, seed=len(part))
    for name in ("split", "val_fraction", "test_fraction"):
        with pytest.raises(UserError, match=f"--{name.replace('_', '-')}.*divided already"):
            configuration("classification", {"classification": tmp_path}, {name: VALUES[name], "backend": "numpy"})


OF_TRAINING = ("cv", "sweep", "lr-find")


def commands():
    load_commands()
    found = typer.main.get_command(app).commands
    for command in found.values():
        command.params = [p for p in command.params if p.name not in OF_FILES]
    return found


def test_train_and_compare_have_the_options_of_the_schema():
    shared = {name for task in tasks.available() for name in tasks.find(task).options}
    assert {p.name for p in commands()["train"].params} == shared | set(PATHS) | {"network"}
    own = {"more", "models", "width", "features", "l2", "spatial", "inner_folds", "out", "as_json"}
    assert {p.name for p in commands()["compare"].params} == set(OPTIONS) | own
    assert set(OPTIONS) == set(tasks.find(tasks.DEFAULT).options) - ABSENT


@pytest.mark.parametrize("name", OF_TRAINING)
def test_commands_that_train_have_the_options_of_the_schema(name):
    module = importlib.import_module(f"tinymed.cli.{name.replace('-', '_')}")
    shared = {option for task in tasks.available() for option in tasks.find(task).options}
    assert set(module.OPTIONS) <= shared
    assert {p.name for p in commands()[name].params} == set(module.OPTIONS) | set(module.BEFORE)


def test_help_comes_from_the_schema():
    """The help is a field's description: nothing is written down twice."""
    params = {p.name: p for p in commands()["train"].params}
    for task in tasks.available():
        for name, option in tasks.find(task).options.items():
            if name not in ("task", "monitor", "head", "keep", "loss"):
                first = next(
                    tasks.find(t).options[name] for t in ("classification", task) if name in tasks.find(t).options
                )
                assert params[name].help == first.help
            assert option.flag in params[name].opts


# The options of the other commands, each proved by the tests of its command (test_cli, test_segmentation_run, ...).
ELSEWHERE = {
    "evaluate": {
        *("run", "data", "split", "weights", "backend", "postprocess", "crf", "skip_bad", "as_json"),
        *("predictions", "calibrate", "calibrated", "threshold", "subgroup", "pictures"),
    },
    "predict": {
        *("run", "images", "weights", "backend", "out", "overlays", "postprocess", "crf", "as_json"),
        *("calibrated", "threshold", "masks", "listing"),
    },
    "features": {
        *("run", "data", "layer", "concat", "l2", "spatial", "codes", "split", "out", "seed", "backend", "as_json"),
    },
    "export": {"run", "out", "opset", "weights", "average_flips", "backend", "as_json"},
    "generate": {"run", "count", "seed", "out", "weights", "backend", "as_json"},
    "models": {"network", "size", "as_json"},
    "data": {"action", "path", "kind", "out", "among", "as_json"},
    "audit": {"file", "one_test_set", "decimals", "strict", "as_json"},
    "check": {"op", "samples", "seed"},
    "index": {
        *("run", "data", "out", "layer", "spatial", "split"),
        *("unlabelled", "weights", "backend", "skip_bad", "as_json"),
    },
    "search": {
        *("where", "images", "index", "run", "count", "patient"),
        *("same_patient", "backend", "out", "as_json"),
    },
    "register": {"network", "fixed", "moving", "out", "json", *RegisterConfig.model_fields},
    "runs": {*("folders", "sort", "descending", "choose", "columns", "curves", "quantity", "listing", "as_json")}
    | {"tensorboard"},
    "pretrain": {"network", "data", "out", "resume", *OF_DATA, *PretrainConfig.model_fields},
    **options_of_reports.OPTIONS,
}


@pytest.mark.parametrize("name", ELSEWHERE)
def test_no_option_is_added_without_a_word_here(name):
    assert {p.name for p in commands()[name].params} == ELSEWHERE[name]


def test_every_command_is_walked_or_works_on_kernels():
    kernels = "show image emulate bench ladder puzzle warmup build doctor config"
    assert set(COMMANDS) - {"train", "compare", *OF_TRAINING, *ELSEWHERE} == set(kernels.split())


@pytest.mark.parametrize(
    ("arguments", "flag"),
    [
        (["predict", "--out", "x"], "--out"),
        (["predict", "--overlays"], "--overlays"),
        (["evaluate", "--skip-bad"], "--skip-bad"),
        (["predict", "--weights", "middling"], "--weights"),
        (["evaluate", "--weights", "middling"], "--weights"),
        (["export", "--weights", "middling"], "--weights"),
    ],
)
def test_what_a_run_has_no_use_for_is_refused(arguments, flag, finished_run, cells, capsys):
    command, *more = arguments
    images = [next(cells.glob("*/*.png"))] if command == "predict" else []
    code, out, err = invoke(capsys, command, finished_run, *images, *more)
    assert (code, out) == (2, "")
    assert flag in err
