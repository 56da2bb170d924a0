"""Every command on a run of every task: it does its work, or says in one line why there is none."""

import re
from pathlib import Path

import pytest
from commands import invoke
from test_options import SMALL
from test_options import data as sets_of_tasks  # noqa: F401  (a fixture)

from tinymed import tasks
from tinymed.cli import COMMANDS

# Words of a command after its name; {image} and {other} are images of the set, {set} is the set.
WORDS = {
    "evaluate": ["run", "--json"],
    "predict": ["run", "{image}"],
    "explain": ["run", "{image}"],
    "report": ["run"],
    "features": ["run"],
    "export": ["run"],
    "index": ["run"],
    "search": ["run", "{image}"],
    "register": ["{image}", "{other}", "--network", "run", "--out", "registered"],
    "generate": ["run", "--count", "2"],
    "runs": ["."],
    "compare": ["run", "run"],
    "config": ["of", "run"],
}
# Commands that take no run, or that other tests run to their ends: a server waits for its stop.
WITHOUT_RUN = {
    "train",
    "cv",
    "sweep",
    "lr-find",
    "pretrain",
    "data",
    "image",
    "models",
    "show",
    "check",
    "bench",
    "ladder",
}
WITHOUT_RUN |= {"puzzle", "emulate", "audit", "warmup", "build", "doctor", "serve"}
PICTURES = {"denoising", "generation", "reconstruction", "registration"}
# Where there is nothing to do, and a word of the reason.
NOTHING = {
    ("denoising", "predict"): "--out",
    ("segmentation", "predict"): "--out",
    ("generation", "predict"): "tinymed generate",
    ("registration", "predict"): "tinymed register",
    **{(task, "explain"): "has no maps" for task in (*PICTURES, "retrieval")},
    **{
        (task, "features"): "--layer"
        for task in ("denoising", "detection", "generation", "registration", "segmentation")
    },
    **{(task, "index"): "gives no row" for task in (*PICTURES, "detection", "segmentation")},
    **{(task, "search"): "tinymed index" for task in (*PICTURES, "detection", "segmentation")},
    **{(task, "register"): "--task registration" for task in set(tasks.available()) - {"registration"}},
    **{(task, "generate"): "--task generation" for task in set(tasks.available()) - {"generation"}},
}


def trained(task, data, out, capsys):
    """A run of two steps, and images of its set."""
    given = [f"--{name.replace('_', '-')}={v}" for name, value in SMALL[task].items() for v in as_list(value)]
    if "labels" in tasks.find(task).options:
        given.append("--labels=0=ground,255=blob")
    quick = ["--backend", "numpy", "--workers", 0, "--steps", 2, "--batch", 4]
    code, _, err = invoke(capsys, "train", "--task", task, "--data", data, *quick, *given, "--out", out)
    assert code == 0, err
    root = data.parent if data.is_file() else data
    return sorted(p for p in root.rglob("*.png") if p.parent.name != "masks")


def as_list(value):
    return value if isinstance(value, list) else [value]


def test_no_command_is_passed_by():
    assert {*WORDS} | WITHOUT_RUN == set(COMMANDS)


@pytest.mark.parametrize(
    "task",
    [
        pytest.param(t, marks=() if t in ("registration", "reconstruction") else pytest.mark.full)
        for t in tasks.available()
    ],
)
def test_every_command(task, sets_of_tasks, tmp_path, monkeypatch, capsys):  # noqa: F811
    monkeypatch.chdir(tmp_path)
    data = Path(sets_of_tasks[task])
    image, other, *_ = trained(task, data, "run", capsys)
    for name, words in WORDS.items():
        filled = [word.format(image=image, other=other) for word in words]
        code, out, err = invoke(capsys, name, *filled)
        said = f"{name} of {task}: {code}\n{out[-500:]}{err[-500:]}"
        if (task, name) in NOTHING:
            assert (code, out) == (2, ""), said
            assert NOTHING[task, name] in err, said
            assert len(err.splitlines()) == 1, said
            check_options(err)
        else:
            assert code == 0, said
            assert out or err, said
        assert "Traceback" not in err
        assert " None" not in out + err, said


def check_options(err):
    """Each command that a message names exists."""
    for name in re.findall(r"`?tinymed ([a-z-]+)", err):
        assert name in COMMANDS, err
