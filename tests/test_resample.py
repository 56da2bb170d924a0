"""interpolate: the arguments it takes, PyTorch's places of pixels, what it refuses."""

import numpy as np
import pytest

import tinymed
from tinymed.ops.resample import interpolate, upsample

torch = pytest.importorskip("torch", reason="PyTorch is the oracle: pip install '.[test]'")

ALIGNED = [
    ("bilinear", True),
    ("bilinear", False),
    ("bilinear", None),
    ("nearest", None),
    ("nearest-exact", None),
    ("area", None),
]


@pytest.mark.parametrize(("mode", "align_corners"), ALIGNED)
@pytest.mark.parametrize(
    "how",
    [
        {"size": 7},
        {"size": (3, 11)},
        {"size": (1, 1)},
        {"scale_factor": 2},
        {"scale_factor": (0.5, 1.7)},
        {"scale_factor": 2.6, "recompute_scale_factor": True},
        {"scale_factor": 2.6, "recompute_scale_factor": False},
    ],
    ids=str,
)
def test_as_in_torch(rng, backend_name, mode, align_corners, how):
    x = rng.standard_normal((2, 17, 6, 5), dtype=np.float32)
    theirs_x = torch.from_numpy(x).requires_grad_()
    expected = torch.nn.functional.interpolate(theirs_x, mode=mode, align_corners=align_corners, **how)
    ours_x = tinymed.tensor(x, requires_grad=True)
    ours = interpolate(ours_x, mode=mode, align_corners=align_corners, **how)
    np.testing.assert_allclose(ours.numpy(), expected.detach().numpy(), rtol=1e-4, atol=1e-5)
    weight = rng.standard_normal(ours.shape, dtype=np.float32)
    expected.backward(torch.from_numpy(weight))
    ours.backward(tinymed.tensor(weight))
    np.testing.assert_allclose(ours_x.grad.numpy(), theirs_x.grad.numpy(), rtol=1e-4, atol=1e-4)


def test_nearest_chooses_torchs_pixels(backend_name):
    """Where i n / m is whole, float32 rounding decides which pixel it is: 14 -> 46 and 2 -> 82 are such."""
    for n in (1, 2, 3, 7, 9, 14, 24, 33):
        x = np.arange(n, dtype=np.float32).reshape(1, 1, 1, n)
        for m in range(1, 120, 1 if backend_name == "numba" else 7):
            expected = torch.nn.functional.interpolate(torch.from_numpy(x), size=(1, m)).numpy()
            np.testing.assert_array_equal(
                interpolate(tinymed.tensor(x), (1, m)).numpy(), expected, err_msg=f"{n} -> {m}"
            )


@pytest.mark.parametrize(
    ("mode", "space"), [("linear", (5,)), ("nearest", (5,)), ("trilinear", (3, 4, 2)), ("nearest", (3, 4, 2))]
)
def test_other_numbers_of_axes(rng, backend_name, mode, space):
    x = rng.standard_normal((2, 3, *space), dtype=np.float32)
    expected = torch.nn.functional.interpolate(torch.from_numpy(x), scale_factor=1.5, mode=mode).numpy()
    np.testing.assert_allclose(
        upsample(tinymed.tensor(x), scale_factor=1.5, mode=mode).numpy(), expected, rtol=1e-4, atol=1e-5
    )


X = np.zeros((1, 2, 4, 4), np.float32)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "give one of them"),
        ({"size": 3, "scale_factor": 2}, "give one of them"),
        ({"size": 0}, "size is 0"),
        ({"size": (1, 2, 3)}, "a tuple of 2"),
        ({"size": 3, "recompute_scale_factor": True}, "needs scale_factor"),
        ({"scale_factor": -1.0}, "scale_factor is -1.0"),
        ({"scale_factor": 0.1}, "leaves no pixel"),
        ({"size": 3, "mode": "trilinear"}, "mode is 'trilinear'; with 2 axes of space it takes 'nearest'"),
        ({"size": 3, "mode": "nearest", "antialias": True}, "antialias=True is for 'bilinear' and 'bicubic'"),
        ({"size": 3, "mode": "linear"}, "mode is 'linear'"),
        ({"size": 3, "align_corners": True}, "align_corners is for linear modes"),
    ],
    ids=str,
)
def test_refused(options, message):
    with pytest.raises(ValueError, match=message):
        interpolate(tinymed.tensor(X), **options)
    with pytest.raises(ValueError, match="one to three axes"):
        interpolate(tinymed.tensor(X[0, 0]), **{"size": 3, **options})
