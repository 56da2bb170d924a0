"""Modules whose names have changed: imports of the old names work, and say the new ones."""

import importlib

import pytest

from tinymed import moved


@pytest.mark.filterwarnings("ignore:.*has moved:DeprecationWarning")
@pytest.mark.parametrize("old", moved.MOVED)
def test_an_old_module_hands_on_what_the_new_ones_have(old):
    """Each of the new modules exists and serves a name that no earlier one has."""
    module = importlib.import_module(f"tinymed.{old}")
    taken = set()
    for home in moved.MOVED[old]:
        found = importlib.import_module(f"tinymed.{home}")
        own = {name for name in {*dir(found), *getattr(found, "__all__", ())} if not name.startswith("_")} - taken
        assert own, f"{home} serves nothing"
        assert all(getattr(module, name) is getattr(found, name) for name in own)
        taken |= own


def test_the_import_warns_and_names_the_new_module(monkeypatch):
    monkeypatch.delitem(importlib.sys.modules, "tinymed.train.segmentation_metrics", raising=False)
    with pytest.warns(DeprecationWarning, match=r"segmentation_metrics has moved: .* tinymed\.metrics\.segmentation"):
        from tinymed.train.segmentation_metrics import dice
    assert dice([True], [True]) == 1


@pytest.mark.filterwarnings("ignore:.*has moved:DeprecationWarning")
def test_what_was_never_there_is_an_error_that_names_the_new_module():
    with pytest.raises(ImportError, match="no_such_measure"):
        from tinymed.train.segmentation_metrics import no_such_measure  # noqa: F401
    module = importlib.import_module("tinymed.train.segmentation_metrics")
    with pytest.raises(AttributeError, match=r"import from tinymed\.metrics\.segmentation; they have no 'nothing'"):
        module.nothing  # noqa: B018


def test_other_absent_modules_stay_absent():
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("tinymed.train.never")
