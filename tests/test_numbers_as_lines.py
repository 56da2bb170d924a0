"""Indexing ops of one number, which has no axis, and averages with any divisor: beside PyTorch, on every backend."""

import numpy as np
import pytest

pytest.importorskip("torch", reason="PyTorch is the oracle: pip install '.[test]'")

import torch

import tinymed
from tinymed.nn import functional as F


def equal(ours, theirs):
    assert ours.shape == tuple(theirs.shape)
    np.testing.assert_allclose(ours.numpy(), theirs.detach().numpy(), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("place", [0, [0]], ids=["a number", "a line"])
@pytest.mark.parametrize("name", ["gather", "scatter", "scatter_add", "index_select", "index_add"])
def test_one_number_is_a_line_of_one(name, place, backend_name):
    if name == "index_add" and place:
        pytest.skip("PyTorch refuses a line of sources here")
    sides = []
    for library in (tinymed, torch):
        number = library.tensor(3.0)
        number.requires_grad = True
        source = [] if name in ("gather", "index_select") else [library.tensor(5.0 if place == 0 else [5.0])]
        y = getattr(library, name)(number, 0, library.tensor(place), *source)
        y.sum().backward()
        sides.append((y, number.grad))
    for ours, theirs in zip(*sides, strict=True):
        equal(ours, theirs)


def test_a_number_has_no_axis_to_take_along(backend_name):
    with pytest.raises(ValueError, match="has no axis 0"):
        tinymed.take_along_dim(tinymed.tensor(3.0), tinymed.tensor(0), 0)


@pytest.mark.parametrize("divisor", [-2, 1, 3, 1000])
@pytest.mark.parametrize("axes", [2, 3])
def test_an_average_may_have_any_divisor_but_0(axes, divisor, backend_name):
    x = np.random.default_rng(0).normal(size=(2, 3, 5, 6, 7)[: axes + 2]).astype(np.float32)
    ours, theirs = tinymed.tensor(x), torch.tensor(x, requires_grad=True)
    ours.requires_grad = True
    arguments = (2, 1, 1, False, True, divisor)
    y = getattr(F, f"avg_pool{axes}d")(ours, *arguments)
    true = getattr(torch.nn.functional, f"avg_pool{axes}d")(theirs, *arguments)
    equal(y, true)
    (y * y).sum().backward()
    (true * true).sum().backward()
    equal(ours.grad, theirs.grad)
