"""Every registered network's training step can be a CUDA graph on the backend `cuda`: on the stand-in for CuPy."""

import numpy as np
import pytest
from fake_cupy import reading_allowed
from fake_streams import graphs
from test_onnx_export import IMAGES, LARGE, MOST, NARROW, OPTIONS

import tinymed
from tinymed import models
from tinymed.models.summary import input_shapes
from tinymed.program import capture

SMALLER = {"vnet": (1, 16, 16, 16), "voxresnet": (1, 16, 16, 16)}
QUICK = ("dcnn", "resnet20", "unet_small", "voxresnet", "cnn_bigru")  # a kind each; transunet_tiny takes 9 s
VARIANTS = {"alexnet with response normalisation": ("alexnet", {"variant": "2012", "width": 0.125, "num_classes": 3})}
EVERY = (*models.available(), *VARIANTS)


def network(name):
    """(a small network on the GPU, the shape of its image)."""
    found, (name, given) = models.entry(VARIANTS.get(name, (name,))[0]), VARIANTS.get(name, (name, None))
    options = OPTIONS.get(name, {k: v for k, v in NARROW.items() if k in found.options}) if given is None else given
    tinymed.manual_seed(0)
    model = models.create(name, **options)
    shape = input_shapes(getattr(model, "input_shape", None) or found.input)[0]
    if not hasattr(model, "input_shape"):
        shape = (IMAGES | SMALLER).get(name, (shape[0], *(min(n, MOST) for n in shape[1:])))
    return model.to("cuda").train(), shape


@pytest.mark.filterwarnings("ignore::tinymed.nn.StatisticsWarning")
@pytest.mark.parametrize(
    ("name", "precision"),
    [
        *((n, "tf32") if n in QUICK else pytest.param(n, "tf32", marks=pytest.mark.full) for n in EVERY),
        *((n, "bf16") for n in QUICK),
    ],
)
def test_a_training_step_is_a_graph(cuda, name, precision):
    """Forward and backward, in training: no call needs the host, cuBLAS or memory of another pool."""
    with tinymed.use_backend("cuda"), tinymed.use_precision(precision), reading_allowed():
        model, shape = network(name)

        def step(images):
            model.zero_grad()
            outputs = model(images)
            loss = sum((y * y).mean() for y in (outputs if isinstance(outputs, tuple | list) else [outputs]))
            loss.backward()
            return loss

        x = tinymed.tensor(np.random.default_rng(0).normal(size=(2, *shape)).astype(np.float32))
        captured = capture(step)
        captured.find((x,))
    assert not captured.ungraphed
    assert len(graphs) == 1
    assert name in LARGE or len(graphs[0].work) > 5
