"""Networks of installed packages, unmodified, with tinymed answering for PyTorch: equal to what PyTorch computes.

The list is tests/package_networks.py, the comparison benchmarks/networks_of_packages.py; both engines run in processes
of their own, so that the import hook never meets the true PyTorch.
"""

import importlib.util
import subprocess
import sys
import textwrap
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch_answered
from package_networks import PACKAGES, listed

PATH = Path(__file__).parents[1] / "benchmarks" / "networks_of_packages.py"
SPEC = importlib.util.spec_from_file_location("networks_of_packages", PATH)
compared = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(compared)

# What is not equal, by package and name: the outcome and words of why.  Nothing else may be unequal.
HARD_SIGMOID = "by its formula"  # PyTorch's gradient of hardsigmoid in float64 has a 1/6 of float32, 3e-8 off
KNOWN = {
    **{
        ("timm", name): ("formula", HARD_SIGMOID)
        for name in ("mobilenetv3_small_050", "lcnet_050", "ese_vovnet19b_slim")
    },
    ("segmentation_models_pytorch", "Unet tu-mobilenetv3_small_050"): ("formula", HARD_SIGMOID),
    **{
        ("torchvision", name): ("formula", HARD_SIGMOID) for name in ("mobilenet_v3_small", "lraspp_mobilenet_v3_large")
    },
    # Its sines of positions are float32 whatever the network is: those of NumPy and PyTorch differ in the last bit.
    ("timm", "edgenext_xx_small"): ("wrong", "pos_embd"),
    # Drawn weights make these grow to 1e8, or a batch norm sees two values a channel: PyTorch cannot repeat itself.
    **{("timm", name): ("unsteady", "") for name in ("inception_v3", "inception_v4", "ghostnet_050", "levit_128s")},
    **{("timm", name): ("unsteady", "") for name in ("rexnet_100", "repghostnet_050")},
    **{("torchvision", name): ("unsteady", "") for name in ("inception_v3", "deeplabv3_resnet50")},
}


def answered(code: str) -> str:
    """What a program prints whose torch is tinymed."""
    head = f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})\nimport torch_answered\n"
    program = head + "torch_answered.install()\n" + textwrap.dedent(code)
    return subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout


def test_the_list_is_long_enough_and_names_each_network_once():
    names = Counter((n.package, n.name) for n in listed())
    assert max(names.values()) == 1
    assert len(names) >= 60
    assert min(Counter(package for package, _ in names).values()) >= 10
    assert {package for package, _ in names} == PACKAGES.keys()


def test_a_definition_is_answered_by_tinymed():
    """Annotations, decorators and base classes pass; layers and functions are tinymed's."""
    code = """
        import torch, tinymed
        import torch.nn.functional as F
        from torch import Tensor, nn
        from torch.nn.modules.batchnorm import _BatchNorm
        from torch.utils.checkpoint import checkpoint

        class Net(nn.Module):
            size: torch.jit.Final[int]

            def __init__(self):
                super().__init__()
                self.conv, self.norm = nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2)

            @torch.jit.ignore
            def forward(self, x: Tensor) -> torch.FloatTensor:
                return checkpoint(lambda y: F.relu(self.norm(self.conv(y))), x, use_reentrant=False)

        net = Net()
        assert isinstance(net.norm, _BatchNorm) and Tensor is tinymed.Tensor
        print(tuple(net(torch.ones(1, 1, 5, 5)).shape))
    """
    assert answered(code) == "(1, 2, 3, 3)\n"


@pytest.mark.parametrize(
    ("call", "error"),
    [
        ("torch.linalg.svd(torch.ones(2, 2))", "NotImplementedError"),  # machinery: a name, never a result
        ("torch.autograd.Function.apply(1)", "NotImplementedError"),
        ("torch.fft_of_nothing", "AttributeError"),  # what computes is tinymed's own or is not there
        ("torch.nn.functional.conv9d", "AttributeError"),
        ("exec('from torch import fft_of_nothing')", "ImportError"),
        ("exec('import torch.fft_of_nothing')", "ModuleNotFoundError"),
    ],
)
def test_what_is_not_there_is_never_computed(call, error):
    code = f"""
        import torch
        try:
            {call}
        except Exception as e:
            print(type(e).__name__)
    """
    assert answered(code) == f"{error}\n"


def test_the_hook_refuses_to_meet_the_true_torch(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", np)
    with pytest.raises(RuntimeError, match="imported already"):
        torch_answered.install()


class TestComparison:
    """The comparison itself can fail."""

    TRUE = {"eval output 0": np.ones(3), "eval gradient a": np.ones(3), "eval gradient b": np.full(3, 1e-9)}

    def test_equal_arrays_differ_by_nothing(self):
        assert compared.difference(self.TRUE, self.TRUE) == (0.0, "")

    def test_an_error_is_measured_by_its_own_array(self):
        error, where = compared.difference(self.TRUE | {"eval gradient a": np.array([1, 1, 1.5])}, self.TRUE)
        assert (error, where) == (0.5, "eval gradient a")

    def test_a_vanishing_gradient_is_measured_by_its_peers(self):
        error, _ = compared.difference(self.TRUE | {"eval gradient b": np.full(3, 2e-9)}, self.TRUE)
        assert error == pytest.approx(1e-6)

    @pytest.mark.parametrize("wrong", [{}, {"eval gradient a": np.ones(4)}, {"eval output 1": np.ones(1)}])
    def test_missing_added_or_misshapen_arrays_are_wrong(self, wrong):
        ours = self.TRUE | wrong if wrong else {}
        assert compared.difference(ours, self.TRUE)[0] == np.inf

    def test_nan_is_never_equal(self):
        ours = self.TRUE | {"eval gradient a": np.full(3, np.nan)}
        assert not compared.difference(ours, self.TRUE)[0] <= compared.TOLERANCE


@pytest.mark.full
@pytest.mark.parametrize("package", PACKAGES)
def test_networks_of_a_package_equal_pytorch(package, tmp_path):
    for needed in ("torch", "torchvision", package):
        if importlib.util.find_spec(needed) is None:
            pytest.skip(f"{PACKAGES.get(needed, needed)} is not installed: pip install '.[networks]'")
    for engine in ("torch", "tinymed"):
        compared.run(engine, tmp_path, [package])
    chosen = [n for n in listed() if n.package == package]
    rows = [compared.explained(compared.row(n, tmp_path), n, tmp_path) for n in chosen]
    failed = {(r["package"], r["name"]): (r["outcome"], r["why"]) for r in rows if r["outcome"] != "equal"}
    for name, (outcome, why) in failed.items():
        known, words = KNOWN.get(name, ("equal", ""))
        assert outcome == known, f"{name}: {outcome}: {why}"
        assert words in why, f"{name}: {why}"
    assert len(rows) - len(failed) >= 10
