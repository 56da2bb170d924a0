"""Hostile files of weights: each is refused in one line that names it, and none makes the reader import or call."""

import json
import subprocess
import sys
from pathlib import Path

import hostile_pickles
import numpy as np
import pytest

import tinymed
from tinymed.errors import UserError
from tinymed.weights import read_file

# Reads every file of a folder in a process whose audit hook notes all that Python tells of: imports, code, files,
# processes, sockets.  One good file is read before, so that what the reader itself imports is there.
WATCHER = """
import json, resource, sys, time
from pathlib import Path
from tinymed.weights import read_file
from tinymed.errors import UserError
good, *files = map(Path, sys.argv[1:])
for each in good.parent.glob("good*"):
    read_file(each)
resource.setrlimit(resource.RLIMIT_AS, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 + (80 << 30),) * 2)
seen, result, watching = [], {}, False
def note(event, arguments):
    if watching:
        seen.append([event, str(arguments[0])[:200] if arguments else ""])
sys.addaudithook(note)
for file in files:
    seen.clear()
    start, watching, answer = time.process_time(), True, ""
    try:
        read_file(file)
    except UserError as error:
        answer = str(error)
    except BaseException as error:
        answer = f"ESCAPED {type(error).__name__}: {error}"
    watching = False
    others = [e for e in seen if not (e[0] == "open" and e[1] == str(file))]
    result[file.name] = [answer, others, time.process_time() - start]
print(json.dumps(result))
"""


@pytest.fixture(scope="module")
def answers(tmp_path_factory):
    """{file: [message, events other than opening it, seconds]} of all hostile files."""
    folder = tmp_path_factory.mktemp("hostile")
    files = hostile_pickles.write_all(folder)
    good = folder / "good.pth"
    good.write_bytes(hostile_pickles.archive(hostile_pickles.GOOD))
    (folder / "good.stream.pth").write_bytes(
        hostile_pickles.stream(hostile_pickles.GOOD, content=b"\x04" + bytes(7) + hostile_pickles.VALUES)
    )
    command = [sys.executable, "-c", WATCHER, str(good), *map(str, files)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


def test_the_files_they_are_made_from_are_read(tmp_path):
    """A file is refused for its fault, not for how the tests write files."""
    made = {"a.pth": hostile_pickles.archive(hostile_pickles.GOOD)}
    content = b"\x04" + bytes(7) + hostile_pickles.VALUES
    made["b.pth"] = hostile_pickles.stream(hostile_pickles.GOOD, content=content)
    for name, written in made.items():
        (tmp_path / name).write_bytes(written)
        weight = tinymed.load(tmp_path / name)["weight"].numpy()
        np.testing.assert_array_equal(weight, np.array([1, 2, 3, 4], np.float32))


def test_there_are_many(answers):
    assert len(hostile_pickles.PICKLES) >= 50
    assert len(answers) > 200


def test_each_is_refused_in_one_line_that_names_it(answers):
    for name, (message, _, _) in answers.items():
        assert message, f"{name}: was read"
        assert not message.startswith("ESCAPED"), f"{name}: {message}"
        assert name in message, message
        assert "\n" not in message
        assert len(message) < 900


def test_none_makes_the_reader_import_run_or_open(answers):
    assert not {name: events for name, (_, events, _) in answers.items() if events}


def test_none_takes_long(answers):
    slow = {name: seconds for name, (_, _, seconds) in answers.items() if seconds > 2}
    assert not slow


def test_the_watcher_sees(tmp_path):
    """The hook notes what an Unpickler would do, so that an empty list means something."""
    code = WATCHER.replace("read_file(file)", "import colorsys; compile('1', 'x', 'eval'); open('/dev/null').close()")
    good = tmp_path / "good.pth"
    good.write_bytes(hostile_pickles.archive(hostile_pickles.GOOD))
    done = subprocess.run([sys.executable, "-c", code, str(good), "x"], capture_output=True, text=True, check=True)
    events = {event for event, _ in json.loads(done.stdout)["x"][1]}
    assert {"import", "compile", "open"} <= events


@pytest.mark.parametrize("each", hostile_pickles.CALLS)
def test_the_name_is_told(each, tmp_path):
    path = tmp_path / "weights.pth"
    path.write_bytes(hostile_pickles.archive(hostile_pickles.called(*each.rsplit(".", 1))))
    with pytest.raises(UserError) as refused:
        read_file(path)
    assert str(path) in str(refused.value)
    assert each in str(refused.value)


@pytest.mark.parametrize("form", ["archive", "stream"])
def test_mutated_files_are_read_or_refused(form, tmp_path):
    """A seeded slice; a read one holds one tensor of four numbers or fewer, whatever was changed."""
    rng = np.random.default_rng(7)
    whole = hostile_pickles.archive(hostile_pickles.GOOD)
    if form == "stream":
        content = b"\x04" + bytes(7) + hostile_pickles.VALUES
        whole = hostile_pickles.stream(hostile_pickles.GOOD, content=content)
    path: Path = tmp_path / "weights.pth"
    refused = read = 0
    for _ in range(300):
        changed = bytearray(whole)
        for place in rng.integers(0, len(whole), rng.integers(1, 4)):
            changed[place] = rng.integers(0, 256)
        path.write_bytes(bytes(changed[: rng.integers(1, len(whole))] if rng.random() < 0.1 else changed))
        try:
            read_file(path)
        except UserError as error:
            refused += str(path) in str(error)
        else:
            read += 1
    assert refused + read == 300
    assert refused > 100
