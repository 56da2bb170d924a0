"""TINYMED_BACKEND on the command line: every command that computes refuses what is no backend here, in one line."""

import json

import pytest
import typer
from commands import invoke

from tinymed import dispatch
from tinymed.cli import load_commands
from tinymed.cli.app import Computing, app
from tinymed.dispatch.declare import REFERENCE, Backend

load_commands()
COMMANDS = {
    name: command for name, command in typer.main.get_command(app).commands.items() if isinstance(command, Computing)
}
OUTRANKED = [n for n, c in COMMANDS.items() if any("--backend" in p.opts for p in c.params)]


def least(command):
    """The words without which a command is not read: one for each required argument."""
    return ["word" for parameter in command.params if parameter.required]


def refused(capsys, *arguments, says):
    """Run a command, which must end before it begins."""
    code, out, err = invoke(capsys, *arguments)
    assert (code, out) == (2, ""), err
    assert len(err.splitlines()) == 1, err
    for text in says:
        assert text in err


def test_there_are_such_commands():
    assert {"train", "predict", "evaluate", "check", "serve"} <= set(COMMANDS)
    assert {"train", "predict", "bench"} <= set(OUTRANKED)


@pytest.mark.parametrize("name", COMMANDS)
def test_a_name_that_is_no_backend(name, monkeypatch, capsys):
    monkeypatch.setenv("TINYMED_BACKEND", "nix")
    refused(capsys, name, *least(COMMANDS[name]), says=["TINYMED_BACKEND=nix", *dispatch.BACKENDS])


@pytest.mark.parametrize("name", COMMANDS)
def test_a_backend_that_cannot_work_here(name, monkeypatch, capsys):
    monkeypatch.setitem(dispatch.BACKENDS, "absent", Backend("cpu", "no_array_module_of_this_name", (REFERENCE,)))
    monkeypatch.setenv("TINYMED_BACKEND", "absent")
    says = ["TINYMED_BACKEND=absent", "no_array_module_of_this_name", "the backends that work here are numpy, loops"]
    refused(capsys, name, *least(COMMANDS[name]), says=says)


@pytest.mark.parametrize("name", OUTRANKED)
def test_the_option_outranks_the_variable(name, monkeypatch, capsys):
    """What is wrong is then something else."""
    monkeypatch.setenv("TINYMED_BACKEND", "nix")
    code, _, err = invoke(capsys, name, *least(COMMANDS[name]), "--backend", "no-backend")
    assert code == 2
    assert err
    assert "TINYMED_BACKEND" not in err


def test_the_doctor_tells_how_to_mend_it(monkeypatch, capsys):
    monkeypatch.setenv("TINYMED_BACKEND", "nix")
    first = json.loads(invoke(capsys, "doctor", "--fix-hints", "--json")[1])[0]
    assert first["seen"].startswith("TINYMED_BACKEND=nix: there is no such backend")
    assert first["mend"] == "unset TINYMED_BACKEND"


def test_in_python_the_variable_is_named(monkeypatch):
    monkeypatch.setenv("TINYMED_BACKEND", "nix")
    with pytest.raises(ValueError, match="TINYMED_BACKEND=nix: there is no such backend; choose one of numpy, loops"):
        dispatch.table()
