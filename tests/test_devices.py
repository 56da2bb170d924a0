"""Devices as PyTorch's code writes them."""

import copy
import re
from pathlib import Path

import pytest

import tinymed


def test_a_device_is_written_as_pytorch_writes_it():
    torch = pytest.importorskip("torch")
    for arguments in (("cpu",), ("cuda",), ("cuda:0",), ("cuda", 0), ("cpu", 0)):
        a, b = tinymed.device(*arguments), torch.device(*arguments)
        assert (a.type, a.index, str(a), repr(a)) == (b.type, b.index, str(b), repr(b))
    place = tinymed.device("cpu")
    x = tinymed.zeros(2, device=place).to(place)
    assert isinstance(x.device, tinymed.device)
    assert x.device == place == "cpu"
    assert tinymed.nn.Linear(2, 2).to(place).weight.device.type == "cpu"
    assert copy.deepcopy(tinymed.device("cuda:0")).index == 0
    with pytest.raises(ValueError, match="unknown"):
        tinymed.device("tpu")
    with pytest.raises(ValueError, match="number 1"):
        tinymed.device("cuda", 1)


def test_nothing_of_the_package_takes_the_class_for_the_module():
    """`tinymed.device` is a class: what serves arrays by place is the module tinymed.devices."""
    root = Path(tinymed.__file__).parent
    pattern = re.compile(r"^\s*from \.+ import (.*, )?device\b", re.M)
    assert not [str(path) for path in root.rglob("*.py") if pattern.search(path.read_text())]


def test_the_adjoint_of_real_numbers_is_the_transpose():
    x = tinymed.arange(6).reshape(1, 2, 3)
    assert x.mH.shape == x.adjoint().shape == (1, 3, 2)
    assert x[0].H.tolist() == x[0].T.tolist()
    with pytest.raises(ValueError, match="use mH"):
        _ = x.H
