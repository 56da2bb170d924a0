"""A TOML file describes any command: it means what the same words on the command line mean, or is refused by name."""

import json
import tomllib
from pathlib import Path

import pytest
from commands import NETWORK, invoke
from hypothesis import given, settings
from hypothesis import strategies as st
from test_options import CHANGED_NOTHING_BUT, NEEDS, OWN, REFUSED, SMALL, VALUES, WALK
from test_options import data as sets_of_tasks  # noqa: F401  (a fixture)

from tinymed import tasks
from tinymed.cli import COMMANDS, load_commands
from tinymed.cli.config_file import expand, read_arguments, read_config_file, table_text, toml_text, typed
from tinymed.cli.config_schema import command_keys, json_schema
from tinymed.cli.run_as_config import run_table
from tinymed.cli.start_run import config_from_options, open_sets, with_data_fields
from tinymed.errors import UserError
from tinymed.tasks import read_config
from tinymed.train.run import Run

DOCS = Path(__file__).parents[1] / "docs"


# Every option that a task honours, of `test_options.WALK`: one in eight here, all in the full tests.
OFTEN = {"labels", "preprocess", "patch", "recipe", "class_weights"}
REPEATED = [
    pytest.param(task, name, id=f"{task}-{name}", marks=[pytest.mark.full] if i % 8 and name not in OFTEN else [])
    for i, (task, name) in enumerate(WALK)
    if (task, name) not in REFUSED and name not in {"task", "data", "init"} | CHANGED_NOTHING_BUT - {"labels"}
]


@pytest.fixture(scope="module", autouse=True)
def _commands():
    load_commands()


def written(folder, text):
    path = folder / "experiment.toml"
    path.write_text(text, encoding="utf-8")
    return path


def expanded(folder, text, *more):
    """The command line of `train --config FILE` with more words."""
    return expand(["train", "--config", str(written(folder, text)), *more])


class TestWhatItMeans:
    def test_values_become_the_words_of_a_command_line(self, tmp_path):
        text = (
            '[train]\nnetwork = "dcnn"\ndata = "a b"\nlr = 3e-4\nflip = true\ngrey = false\noption = ["x=1", "y=2"]\n'
        )
        assert expanded(tmp_path, text) == [
            *("train", "--data=a b", "--lr=0.0003", "--flip", "--rgb", "--option=x=1", "--option=y=2", "dcnn"),
        ]

    def test_the_command_line_outranks_the_file(self, tmp_path):
        text = '[train]\nnetwork = "dcnn"\nlr = 0.1\nflip = true\noption = ["x=1"]\nbatch = 7\n'
        line = expanded(tmp_path, text, "resnet20", "--lr", "0.2", "--no-flip", "--option=z=3")
        assert line == ["train", "--batch=7", "resnet20", "--lr", "0.2", "--no-flip", "--option=z=3"]

    def test_names_may_have_dashes_and_other_commands_have_their_tables(self, tmp_path):
        text = '[train]\nval-fraction = 0.2\n[evaluate]\nrun = "runs/a"\nthreshold = "youden"\n'
        assert expanded(tmp_path, text) == ["train", "--val-fraction=0.2"]
        path = str(written(tmp_path, text))
        assert expand(["evaluate", f"--config={path}"]) == ["evaluate", "--threshold=youden", "runs/a"]

    def test_a_run_by_a_file_is_the_run_by_the_options(self, cells, tmp_path, capsys):
        options = ["--data", cells, *NETWORK, "--steps", 2, "--seed", 3]
        path = tmp_path / "experiment.toml"
        assert invoke(capsys, "train", *options, "--save-config", path)[0] == 0
        assert not (tmp_path / "one").exists()
        assert invoke(capsys, "train", *options, "--out", tmp_path / "one")[0] == 0
        assert invoke(capsys, "train", "--config", path, "--out", tmp_path / "two")[0] == 0
        assert read_config(tmp_path / "one" / "config.json") == read_config(tmp_path / "two" / "config.json")
        one, two = ((tmp_path / name / "metrics.json").read_text() for name in ("one", "two"))
        assert {**json.loads(one), "training_seconds": 0} == {**json.loads(two), "training_seconds": 0}

    def test_a_value_may_follow_a_short_option(self, tmp_path, capsys):
        """A macro written as compilers take it is kept, not dropped."""
        (tmp_path / "k.cu").write_text("int main() { return 0; }")
        path = tmp_path / "kept.toml"
        words = ["-DN=4", "-D", "M=2", "-DK", f"-I{tmp_path}"]
        assert invoke(capsys, "emulate", tmp_path / "k.cu", *words, "--save-config", path)[0] == 0
        kept = read_config_file(path)["emulate"]
        assert (kept["define"], kept["include"]) == (["N=4", "M=2", "K"], [str(tmp_path)])

    @given(st.data())
    @settings(max_examples=80, deadline=None)
    def test_what_is_saved_is_what_was_given(self, tmp_path_factory, drawn):
        """Any values within kind, limits and choices: saved, read again and written out they are the same words."""
        command = drawn.draw(st.sampled_from(COMMANDS))
        keys = command_keys()[command]
        chosen = drawn.draw(st.lists(st.sampled_from(sorted(keys)), unique=True, max_size=6))
        values = {name: drawn.draw(value_of(keys[name])) for name in chosen}
        path = tmp_path_factory.mktemp("saved") / "x.toml"
        path.write_text(table_text(command, values), encoding="utf-8")
        assert read_config_file(path) == {command: values}
        line = expand([command, "--config", str(path)])
        places = [key for key in keys.values() if key.argument]
        leading = [key.name for key in places[: len([k for k in places if k.name in values])]]
        if leading == [name for name in values if keys[name].argument] and not any(keys[n].several for n in leading):
            found = typed(read_arguments(line[1:], keys), keys)  # an argument without the one before takes its place
            kept = {n: v for n, v in values.items() if v != [] and (keys[n].kind is not bool or v or keys[n].off)}
            assert {name: found.get(name) for name in kept} == kept


def value_of(key):
    """Values that an option accepts."""
    if key.choices:
        one = st.sampled_from(key.choices)
    elif key.kind is bool:
        one = st.booleans()
    elif key.kind is int:
        low, high = (int(key.limits.get(end, default)) for end, default in (("minimum", -9), ("maximum", 99)))
        one = st.integers(max(low, int(key.limits.get("exclusiveMinimum", low - 1)) + 1), min(high, 2**31))
    elif key.kind is float:
        low, high = key.limits.get("exclusiveMinimum", key.limits.get("minimum", -1e6)), 1e6
        high = key.limits.get("exclusiveMaximum", key.limits.get("maximum", high))
        one = st.floats(
            low, high, exclude_min="exclusiveMinimum" in key.limits, exclude_max="exclusiveMaximum" in key.limits
        )
    else:
        one = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"], exclude_characters="\x00"), min_size=1)
        one = one.filter(lambda text: not text.startswith("-"))
    return st.lists(one, max_size=3) if key.several else one


REFUSED = [
    ("[train]\nlerning_rate = 0.1\n", r"\[train\] lerning_rate: is no option of train"),
    ("[train]\nbatchs = 3\n", r"\[train\] batchs: .*did you mean batch\?"),
    ('[train]\nlr = "fast"\n', r'\[train\] lr = "fast": takes a number above 0'),
    ("[train]\nlr = 0\n", r"\[train\] lr = 0: takes a number above 0"),
    ("[train]\nlr = nan\n", r"\[train\] lr = nan: takes a number above 0"),
    ("[train]\nlr = true\n", r"\[train\] lr = true: takes a number"),
    ("[train]\nbatch = 2.5\n", r"\[train\] batch = 2.5: takes a whole number at least 1"),
    ("[train]\nval_fraction = 1.5\n", r"val_fraction = 1.5: takes a number above 0 and below 1"),
    ('[train]\noptimizer = "adamx"\n', r'optimizer = "adamx": takes adam, .*did you mean adam'),
    ("[train]\nflip = 1\n", r"flip = 1: takes true or false"),
    ('[train]\noption = "a=1"\n', r'option = "a=1": takes a list, each a text'),
    ("[train]\noption = [1]\n", r"option = \[1\]: takes a list, each a text"),
    ("[train]\ndata = {a = 1}\n", r"\[train\] data = .*: takes a text"),
    ("[train]\nval_fraction = 0.1\nval-fraction = 0.2\n", r"val-fraction: is there twice"),
    ("[trian]\nlr = 0.1\n", r"trian: is no command's table \(did you mean train\?\)"),
    ("lr = 0.1\n", r"lr: is no command's key outside a table"),
    ("train = 3\n", r"train = 3: is a command: write its values below \[train\]"),
    ("[train\n", r"is no TOML: "),
    ('[evaluate]\nrun = "a"\n', r"has no table \[train\]; it has \[evaluate\]"),
]


class TestWhatIsRefused:
    @pytest.mark.parametrize(("text", "message"), REFUSED, ids=[t[:30] for t, _ in REFUSED])
    def test_file_key_value_and_what_is_accepted_are_named(self, text, message, tmp_path, capsys):
        path = written(tmp_path, text)
        code, out, err = invoke(capsys, "train", "--config", path)
        assert (code, out) == (2, "")
        (line,) = err.splitlines()
        assert line.startswith(f"tinymed: {path}: ")
        with pytest.raises(UserError, match=message):
            expand(["train", "--config", str(path)])

    @pytest.mark.parametrize(
        ("words", "message"),
        [
            (["--config"], "--config: needs a file"),
            (["--config", "a.toml", "--config", "b.toml"], "--config: is given twice"),
            (["--config", "absent.toml"], "absent.toml: is not there"),
            (["--save-config", "x.toml", "--lr", "quick"], "--lr: takes a number above 0"),
        ],
    )
    def test_on_the_command_line(self, words, message, tmp_path, capsys, monkeypatch):
        monkeypatch.chdir(tmp_path)
        code, out, err = invoke(capsys, "train", *words)
        assert (code, out) == (2, "")
        assert message in err
        assert not list(tmp_path.iterdir())

    def test_a_file_that_is_no_text_and_one_that_is_there(self, tmp_path, capsys):
        binary = tmp_path / "x.toml"
        binary.write_bytes(b"\xff\xfe\x00")
        assert "is no text in UTF-8" in invoke(capsys, "train", "--config", binary)[2]
        assert "is there already" in invoke(capsys, "train", "--lr", 1, "--save-config", binary)[2]

    def test_before_a_command(self, capsys):
        code, _, err = invoke(capsys, "--config", "x.toml", "train")
        assert code == 2
        assert "come after the command" in err


class TestSchema:
    def test_the_published_one_is_the_commands(self):
        published = json.loads((DOCS / "config.schema.json").read_text("utf-8"))
        assert published == json_schema(), "tinymed config schema > docs/config.schema.json"
        assert set(published["properties"]) == set(COMMANDS)

    def test_it_says_what_the_reader_says(self, tmp_path):
        validator = pytest.importorskip("jsonschema").Draft202012Validator
        validator.check_schema(json_schema())
        checks = validator(json_schema())
        for text, _ in REFUSED:
            try:
                content = tomllib.loads(text)
            except tomllib.TOMLDecodeError:
                continue
            table = content.get("train", {})
            if isinstance(table, dict) and ("val-fraction" in table or table.get("lr") != table.get("lr")):
                continue  # dashes and nan: the schema has one name for each, and JSON has no nan
            assert checks.is_valid(content) == ("evaluate" in content), text
        assert checks.is_valid({"train": {"lr": 0.1, "option": ["a=1"], "grey": False, "optimizer": "adam"}})

    def test_every_option_of_training_has_its_limits(self):
        keys = command_keys()["train"]
        assert keys["lr"].limits == {"exclusiveMinimum": 0.0}
        assert keys["val_fraction"].limits == {"exclusiveMinimum": 0.0, "exclusiveMaximum": 1.0}
        assert keys["recipe"].choices == ("steady", "paper", "quick")
        assert keys["grey"].off == ("--rgb",)

    def test_config_prints_and_checks(self, tmp_path, capsys):
        code, out, _ = invoke(capsys, "config", "schema")
        assert (code, json.loads(out)) == (0, json_schema())
        path = written(tmp_path, "[train]\nlr = 0.1\n")
        assert invoke(capsys, "config", "check", path)[:2] == (0, f"{path}: is well formed: [train] 1\n")
        assert invoke(capsys, "config", "check")[0] == 2
        assert invoke(capsys, "config", "schema", path)[0] == 2


class TestOfARun:
    def test_it_trains_the_same_run_again(self, finished_run, tmp_path, capsys):
        path = tmp_path / "again.toml"
        code, out, _ = invoke(capsys, "config", "of", finished_run)
        assert code == 0
        path.write_text(out, encoding="utf-8")
        assert invoke(capsys, "train", "--config", path, "--out", tmp_path / "again")[0] == 0
        before, after = (read_config(folder / "config.json") for folder in (finished_run, tmp_path / "again"))
        assert after.model_copy(update={"recipe": before.recipe}) == before
        log = [json.loads((folder / "metrics.json").read_text()) for folder in (finished_run, tmp_path / "again")]
        assert log[0]["val"] == log[1]["val"]

    @pytest.mark.parametrize("task", tasks.available())
    def test_of_every_task(self, task, sets_of_tasks, tmp_path):  # noqa: F811
        """Written as a file, read again and made a configuration it is the run's own."""
        given = {
            "task": task,
            "data": str(sets_of_tasks[task]),
            "backend": "numpy",
            **SMALL[task],
            "seed": 3,
            "lr": 0.5,
            **({"labels": VALUES["labels"]} if "labels" in tasks.find(task).options else {}),
        }
        config = config_from_options(given)
        config, _ = with_data_fields(config, open_sets(config, given), given)
        Run.create(tmp_path / "run", config)
        path = written(tmp_path, run_table(tmp_path / "run"))
        again = read_config_file(path)["train"]
        found = config_from_options(again)
        found, _ = with_data_fields(found, open_sets(found, again), again)
        assert found == config

    @pytest.mark.parametrize(("task", "name"), REPEATED)
    def test_of_every_option(self, task, name, sets_of_tasks, tmp_path):  # noqa: F811
        """An option that a run was given is in the file that repeats it, as the command takes it."""
        value, needed = OWN.get((task, name), VALUES.get(name)), NEEDS.get((task, name), NEEDS.get(name, {}))
        more = {name: value} if name != "option" else {"option": [*SMALL[task].get("option", []), *value]}
        if name == "model":
            more["option"] = []
        given = {"task": task, "data": str(sets_of_tasks[task]), "backend": "numpy", **SMALL[task], **needed, **more}
        config = config_from_options(given)
        config, _ = with_data_fields(config, open_sets(config, given), given)
        Run.create(tmp_path / "run", config)
        again = read_config_file(written(tmp_path, run_table(tmp_path / "run")))["train"]
        found = config_from_options(again)
        found, _ = with_data_fields(found, open_sets(found, again), again)
        named = {"recipe": config.recipe} if name == "recipe" else {}  # "paper" is written: its values are the defaults
        assert found.model_copy(update=named) == config

    def test_what_is_not_a_number_is_written_as_the_option_takes_it(self, tmp_path, cells, capsys):
        out = tmp_path / "run"
        rich = ["--scale", "0.9,1.2", "--rotate", 5, "--lr-for", "features.*=1e-4", "--class-weights", "1,2.5"]
        merged = ["--merge", "one=clear", "--merge", "two=parasite", "--normalise", "--recipe", "paper"]
        given = ["--data", cells, *NETWORK, "--steps", 1, *rich, *merged]
        assert invoke(capsys, "train", *given, "--out", out)[0] == 0
        table = tomllib.loads(run_table(out))["train"]
        assert table["scale"] == "0.9,1.2"
        assert table["lr_for"] == ["features.*=0.0001"]
        assert table["class_weights"] == "1.0,2.5"
        assert table["merge"] == ["one=clear", "two=parasite"]
        assert table["normalise"] is True
        path = written(tmp_path, run_table(out))
        assert invoke(capsys, "train", "--config", path, "--out", tmp_path / "again")[0] == 0
        assert read_config(tmp_path / "again" / "config.json") == read_config(out / "config.json")


@given(st.one_of(st.text(), st.integers(), st.booleans(), st.floats(allow_nan=False), st.lists(st.text())))
def test_toml_text_is_read_back(value):
    if isinstance(value, str | list) and any(0xD800 <= ord(c) <= 0xDFFF for c in "".join(value)):
        return
    assert tomllib.loads(f"x = {toml_text(value)}")["x"] == value
