"""The "cuda" device: moving, choosing kernels, mixed devices, no hidden waiting; on a stand-in for CuPy whose kernels
are csrc's own, emulated."""

from types import SimpleNamespace
from typing import Any

import fake_streams
import numpy as np
import pytest
from fake_cupy import HostSync, reading_allowed
from fake_streams import Stream

import tinymed
from tinymed import devices, dispatch, models, nn, optim
from tinymed.cuda import build, gpu
from tinymed.dispatch import BackendError


def normal(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


def host(t: Any) -> np.ndarray:
    with reading_allowed():
        return t.cpu().numpy()


# -------------------------------------------------------------------------------------------------------- moving


def test_there_and_back(cuda):
    x = normal(2, 3, 4, 5).transpose(0, 3, 1, 2)
    there = tinymed.from_numpy(x).to("cuda")
    assert there.device == "cuda"
    assert there.array.strides == x.strides  # images stay channels-last
    assert there.to("cuda") is there
    assert there.to("cuda:0") is there
    assert np.array_equal(host(there), x)
    with pytest.raises(HostSync, match="get\\(\\) of an array on the device"):
        there.numpy()


def test_a_gradient_crosses_devices(cuda):
    x = tinymed.tensor(normal(3, 4), requires_grad=True)
    y = tinymed.relu(x.cuda())
    with reading_allowed():
        y.sum().backward()
    assert x.grad.device == "cpu"
    assert np.array_equal(x.grad.numpy(), (x.numpy() > 0).astype(np.float32))


def test_kernels_are_chosen_by_where_the_tensors_are(cuda):
    x = tinymed.tensor(normal(3, 4), device="cuda")
    y = tinymed.relu(x)  # the backend in use is numba
    assert (y.device, dispatch.table().name) == ("cuda", "numba")
    assert cuda.launched == [("relu_forward", current_stream())]
    with tinymed.use_backend("cupy"):
        assert tinymed.relu(x).device == "cuda"
    assert len(cuda.launched) == 1
    with tinymed.use_backend("cuda"):
        assert tinymed.relu(tinymed.tensor(normal(3, 4), device="cpu")).device == "cpu"


def current_stream() -> int:
    return Stream.null.ptr


def test_new_tensors_are_made_where_the_backend_works(cuda):
    with tinymed.use_backend("cuda"):
        made = [
            tinymed.zeros(2),
            tinymed.ones(2),
            tinymed.full((2,), 3),
            tinymed.arange(3),
            tinymed.randn(2),
            tinymed.rand(2),
            tinymed.tensor([1.0]),
        ]
        assert {t.device for t in made} == {"cuda"}
        assert tinymed.zeros(2, device="cpu").device == "cpu"
    assert tinymed.zeros(2).device == "cpu"
    assert tinymed.zeros_like(made[0]).device == "cuda"
    assert tinymed.tensor(made[0]).device == "cuda"
    with reading_allowed():
        assert tinymed.tensor(made[2], device="cpu", dtype=np.float64).tolist() == [3, 3]


@pytest.mark.parametrize("call", [lambda a, b: a + b, tinymed.matmul, lambda a, b: tinymed.cat([a, b])])
def test_mixed_devices_are_refused(cuda, call):
    a = tinymed.tensor(normal(3, 3))
    with pytest.raises(RuntimeError, match=r"on several devices, cpu and cuda; bring them together with \.to"):
        call(a, a.to("cuda"))


def test_an_unknown_device_is_named(cuda):
    for device in ("tpu", "cuda:1", "cpu:3"):
        with pytest.raises(ValueError, match=f"device '{device}' is unknown; choose cpu or cuda"):
            tinymed.zeros(2, device=device)


def test_without_a_gpu_the_error_says_what_is_missing(monkeypatch):
    monkeypatch.setattr(
        dispatch.tables, "opened", {k: t for k, t in dispatch.tables.opened.items() if t.device == "cpu"}
    )
    monkeypatch.setattr(gpu, "why_not", lambda: "CuPy is not installed: pip install 'tinymed[cuda13]'")
    for attempt in (
        lambda: tinymed.zeros(2).to("cuda"),
        lambda: tinymed.zeros(2, device="cuda"),
        lambda: tinymed.use_backend("cuda"),
        lambda: tinymed.use_backend("cupy"),
        lambda: nn.Linear(2, 2).to("cuda"),
    ):
        with pytest.raises(BackendError, match="CuPy is not installed"):
            attempt()
    monkeypatch.setattr(gpu, "why_not", lambda: "")
    monkeypatch.setattr(gpu, "module", None)
    monkeypatch.setattr(gpu.modules, "why_not_built", lambda module: f"tinymed.{module} was not built: no nvcc")
    with pytest.raises(BackendError, match=r"tinymed\._cuda was not built: no nvcc"):
        tinymed.use_backend("cuda")
    monkeypatch.setattr(gpu.modules, "why_not_built", lambda module: "")
    monkeypatch.setattr(gpu, "extension", lambda: SimpleNamespace(device_count=0, why_no_device="driver too old"))
    with pytest.raises(BackendError, match=r"_cuda cannot use the GPU: driver too old"):
        tinymed.use_backend("cuda")


def built(**changes: Any) -> SimpleNamespace:
    """A module of kernels as it was compiled."""
    return SimpleNamespace(**({"device_count": 1, "cuda_version": 13000, "fill": lambda *args: None} | changes))


def refuse_to_launch(*args: Any) -> None:
    raise RuntimeError("fill: no kernel image is available for execution on the device")


def test_a_module_without_the_ladders_says_how_to_build_them(monkeypatch):
    monkeypatch.setenv("TINYMED_LADDERS", "0")
    assert build.of_a_gpu(build.CSRC) == build.kernels(build.CSRC)
    monkeypatch.delenv("TINYMED_LADDERS")
    assert build.of_a_gpu(build.CSRC) == [*build.kernels(build.CSRC), *build.rungs(build.CSRC)]
    monkeypatch.setattr(gpu, "module", built())
    with pytest.raises(BackendError, match=r"matmul_1_naive: .* `tinymed build cuda` without TINYMED_LADDERS=0"):
        gpu.launch("matmul_1_naive", ())


def test_a_module_that_suits_is_used(cuda):
    assert gpu.unusable(built()) == ""


@pytest.mark.parametrize(
    ("module", "runtime", "said"),
    [
        (
            built(fill=refuse_to_launch),
            {},
            r"no code for this GPU \(sm_90\): fill: no kernel image.*TINYMED_CUDA_ARCH=90",
        ),
        (built(), {"driverGetVersion": lambda: 12040}, "built for CUDA 13, the driver knows CUDA 12"),
        (built(), {"getDevice": lambda: 1}, "current device is GPU 1; tinymed uses GPU 0 alone"),
    ],
    ids=["other machine code", "older driver", "second GPU"],
)
def test_a_module_that_does_not_suit_the_gpu_says_why(cuda, monkeypatch, module, runtime, said):
    import cupy

    for name, value in runtime.items():
        monkeypatch.setattr(cupy.cuda.runtime, name, value)
    monkeypatch.setattr(gpu, "module", None)
    monkeypatch.setattr(gpu.modules, "why_not_built", lambda name: "")
    monkeypatch.setattr(gpu, "extension", lambda: module)
    with pytest.raises(BackendError, match=said):
        tinymed.use_backend("cuda")


def test_two_versions_of_cuda_are_told(cuda):
    with pytest.warns(RuntimeWarning, match="built for CUDA 12, CuPy for CUDA 13"):
        assert gpu.unusable(built(cuda_version=12040)) == ""


def test_a_gpu_without_kernels_of_its_own_is_told_once(cuda, monkeypatch):
    """The device works, by CuPy alone; the warning says why, and is not repeated."""
    monkeypatch.setattr(gpu, "module", None)
    monkeypatch.setattr(gpu.modules, "why_not_built", lambda name: "tinymed._cuda was not built: no nvcc")
    devices.tell_of_fallback.cache_clear()
    with pytest.warns(RuntimeWarning, match="backend 'cupy', without kernels.*not built: no nvcc") as told:
        [tinymed.zeros(n, device="cuda") for n in (1, 2)]
    assert len(told) == 1


def test_what_the_doctor_says_of_a_gpu(cuda, monkeypatch):
    with reading_allowed():
        found = gpu.describe()
    assert found["GPU"] == "Fake GPU, sm_90, 2 GiB"
    assert found["CuPy"] == "14.0 (a stand-in), CUDA 13000"
    assert (found["pinned memory"], found["graphs"]) == ("available", "available")
    with reading_allowed():
        monkeypatch.setattr(fake_streams.Stream, "begin_capture", refused)
        assert gpu.describe()["graphs"] == "absent: the driver is too old"
    monkeypatch.setattr(gpu, "why_not", lambda: "CuPy sees no GPU")
    assert gpu.describe()["GPU"] == "none: CuPy sees no GPU"


def refused(*_: Any) -> None:
    raise RuntimeError("the driver is too old")


# ------------------------------------------------------------------------------------------------- steps of training


def train(device: str, steps: int, optimizer: Any) -> tuple[list[Any], dict[str, Any]]:
    """Losses and final parameters of a small network with everything that keeps state."""
    tinymed.manual_seed(3)
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1, bias=False),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Dropout(0.25),
        nn.Flatten(),
        nn.Linear(8 * 16, 16),
        nn.LeakyReLU(),
        nn.Linear(16, 2),
    )
    model.to(device)
    rule = optimizer(model.parameters())
    x = tinymed.tensor(normal(6, 3, 8, 8), device=device)
    target = tinymed.tensor(np.array([0, 1, 1, 0, 1, 0]), device=device)
    losses = []
    for _ in range(steps):
        rule.zero_grad()
        loss = nn.functional.cross_entropy(model(x), target)
        loss.backward()
        optim.clip_grad_norm_(model.parameters(), 1.0)
        rule.step()
        losses.append(loss)
    return losses, model.state_dict()


@pytest.mark.parametrize(
    "rule", [lambda p: optim.SGD(p, lr=0.1, momentum=0.9), lambda p: optim.Adam(p, lr=0.01)], ids=["SGD", "Adam"]
)
def test_a_step_never_waits_for_the_device(cuda, rule):
    """Forward, backward, clipping and update, with dropout: the host reads nothing, and the result is the CPU's."""
    losses, state = train("cuda", 3, rule)  # HostSync if anything was read
    assert {name for name, _ in cuda.launched} >= {"matrix_product", "leaky_relu_backward"}
    assert {stream for _, stream in cuda.launched} == {current_stream()}
    with tinymed.use_backend("numpy"):
        expected, expected_state = train("cpu", 3, rule)
    np.testing.assert_allclose([host(v) for v in losses], [v.numpy() for v in expected], rtol=1e-4)
    for name, value in expected_state.items():
        np.testing.assert_allclose(host(state[name]), value.numpy(), rtol=1e-3, atol=1e-5, err_msg=name)


def test_the_papers_network(cuda):
    model = models.create("dcnn", size=50).to("cuda").train()
    y = model(tinymed.tensor(normal(2, 3, 50, 50), device="cuda"))
    y.sum().backward()
    assert all(p.grad is not None and p.grad.device == "cuda" for p in model.parameters())


def test_an_optimizer_follows_its_model(cuda):
    layer = nn.Linear(3, 2)
    rule = optim.Adam(layer.parameters())
    for device in ("cpu", "cuda", "cuda", "cpu"):
        with reading_allowed():
            layer.to(device)
        layer(tinymed.tensor(normal(4, 3), device=device)).sum().backward()
        with reading_allowed():
            rule.step()
            assert [int(s) for s in rule.state_dict()["state.0.step"]]
        rule.zero_grad()
    assert rule.state_dict()["state.0.step"].tolist() == [4]


def test_dropout_on_the_gpu_can_be_resumed(cuda):
    x = tinymed.ones(4, 8, device="cuda")
    generator = tinymed.random.default_generator
    tinymed.manual_seed(5)
    nn.functional.dropout(x)
    with reading_allowed():
        state = generator.get_state()
    first = host(nn.functional.dropout(x))
    generator.set_state(state)
    assert np.array_equal(host(nn.functional.dropout(x)), first)
    tinymed.manual_seed(5)
    nn.functional.dropout(tinymed.ones(4, 8))
    assert np.array_equal(nn.functional.dropout(tinymed.ones(4, 8)).numpy(), first)  # the CPU drops the same


# --------------------------------------------------------------------------------------------------------- DLPack


def test_dlpack_with_torch():
    torch = pytest.importorskip("torch", reason="PyTorch is the oracle: pip install '.[test]'")
    x = tinymed.tensor(normal(2, 3, 4))
    there = torch.from_dlpack(x)
    there[0, 0, 0] = 77
    assert x.numpy()[0, 0, 0] == 77  # one memory
    back = tinymed.from_dlpack(torch.arange(6).reshape(2, 3).t())
    assert (back.shape, back.dtype, back.tolist()) == ((3, 2), np.int64, [[0, 3], [1, 4], [2, 5]])
    assert x.__dlpack_device__() == (1, 0)
    with pytest.raises(BufferError, match=r"requires a gradient.*export tensor\.detach\(\)"):
        torch.from_dlpack(x.requires_grad_())
    with pytest.raises(TypeError, match="from_dlpack: takes an array with __dlpack__"):
        tinymed.from_dlpack([1, 2])


def test_dlpack_on_the_gpu(cuda):
    x = tinymed.tensor(normal(2, 3), device="cuda")
    assert x.__dlpack_device__() == (2, 0)
    y = tinymed.from_dlpack(x)
    assert y.device == "cuda"
    assert y.array.data.ptr == x.array.data.ptr
