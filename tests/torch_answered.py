"""A test-only import hook: `import torch` is answered by tinymed, so that network definitions of others run unmodified.

    import torch_answered
    torch_answered.install()
    from torchvision.models import resnet18     # torchvision's own file; its `torch` is tinymed

What computes is tinymed's own or is not there: a name of torch, torch.nn, torch.nn.functional or torch.Tensor that
tinymed lacks is an AttributeError here too.  Beside them stand:

- inert names, for what definitions import and do not compute with (annotations, base classes, machinery): an `Inert`
  can be subclassed, subscripted and asked for attributes, and raises when it is called;
- NOTHING_DONE: decorators, switches and questions about a machinery that is not there, answered as without it.

Packages whose own __init__ imports far more than networks are entered without it: their files are found as installed.
"""

import builtins
import contextlib
import importlib.abc
import importlib.machinery
import importlib.metadata
import importlib.util
import logging
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any, TypeVar

import numpy as np

import tinymed
from tinymed import nn

VERSION = "2.14.1"  # what code that asks for PyTorch's version is told
T = TypeVar("T")


class InertName(type):
    """The class of inert names: what may be written about a name that computes nothing."""

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError(f"{cls.__qualname__} is only a name here: tinymed answers for PyTorch and lacks it")

    def __getattr__(cls, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return inert(f"{cls.__qualname__}.{name}")

    def __getitem__(cls, item: Any) -> Any:
        return cls


def inert(qualname: str) -> InertName:
    """A name that can be written in annotations and as a base class, and not be called."""
    return InertName(qualname.rpartition(".")[2], (), {"__qualname__": qualname, "__module__": "torch"})


class InertModule(ModuleType):
    """A module of PyTorch's machinery: every name in it is inert, or one of NOTHING_DONE."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        full = f"{self.__name__}.{name}"
        return STANDING[full] if full in STANDING else importlib.import_module(full) if full in PLACES else inert(full)


class Answered(ModuleType):
    """A module of PyTorch that tinymed answers for: its names are those of `source`, and a few inert ones."""

    source: Any
    inert_names: frozenset[str] = frozenset()

    def __getattr__(self, name: str) -> Any:
        full = f"{self.__name__}.{name}"
        if full in STANDING or full in PLACES:
            return STANDING[full] if full in STANDING else importlib.import_module(full)
        return inert(full) if name in self.inert_names else getattr(self.source, name)

    def __dir__(self) -> list[str]:
        return dir(self.source)  # "silu" in dir(torch.nn.functional)


# ------------------------------------------------------------------------------------- what is answered by what

# What PyTorch keeps in private modules or under another name: base classes for isinstance, and a few functions.
ELSEWHERE: dict[str, Any] = {
    "torch.nn.modules.batchnorm._BatchNorm": nn.norm.BatchNorm,
    "torch.nn.modules.batchnorm._NormBase": nn.norm.BatchNorm,
    "torch.nn.modules.instancenorm._InstanceNorm": nn.norm_sample.InstanceNorm,
    "torch.nn.modules.conv._ConvNd": nn.conv.Convolution,
    "torch.nn.modules.conv._ConvTransposeNd": nn.conv.ConvTranspose,
    "torch.nn.modules.conv._ConvTransposeMixin": nn.conv.ConvTranspose,
    "torch.nn.modules.dropout._DropoutNd": nn.dropout.DropoutBase,
    "torch.nn.modules.loss._Loss": nn.Module,
    "torch.nn.parameter.Parameter": nn.Parameter,
    "torch.nn.init._calculate_fan_in_and_fan_out": nn.init.calculate_fans,
    "torch.dtype": np.dtype,
    "torch.device": str,
    "torch.Size": tuple,
    "torch.Tensor": tinymed.Tensor,
}
TENSOR_TYPES = {f"{kind}Tensor" for kind in ("Float", "Double", "Half", "Long", "Int", "Short", "Bool", "Byte")}
# Names of torch itself that appear in annotations, defaults and base classes.
INERT_OF_TORCH = frozenset(
    {*TENSOR_TYPES, "bfloat16", "memory_format", "contiguous_format", "channels_last", "channels_last_3d", "Generator"}
    | {"preserve_format", "layout", "strided", "ScriptModule", "complex64", "complex128", "cfloat", "SymInt", "SymBool"}
    | {"Stream", "uint16", "uint32", "uint64", "qint8", "quint8", "qint32", "vmap", "OutOfMemoryError"}
)


def counted(n: int) -> Callable[[Any], tuple[Any, ...]]:
    """torch.nn.modules.utils._ntuple: one value for every axis."""
    return lambda x: tuple(x) if isinstance(x, list | tuple) else (x,) * n


def returned(fn: T | None = None, *args: Any, **kwargs: Any) -> Any:
    """A decorator that leaves what it decorates as it is, also with arguments."""
    return fn if callable(fn) else returned


def nothing(*args: Any, **kwargs: Any) -> None:
    """Do nothing."""


def no(*args: Any, **kwargs: Any) -> bool:
    """Whether a machinery that is not there is in use."""
    return False


def called(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """torch.utils.checkpoint: memory saved by computing twice; here once, with the same result."""
    kwargs.pop("use_reentrant", None)
    return function(*args, **kwargs)


def asserted(condition: Any, message: str = "") -> None:
    """torch._assert."""
    if not condition:
        raise AssertionError(message)


class Unchanged(contextlib.ContextDecorator):
    """A context and decorator for a switch that tinymed has not: nothing is switched."""

    def __init__(self, *args: Any, **kwargs: Any):
        pass

    def __enter__(self) -> "Unchanged":
        return self

    def __exit__(self, *error: object) -> None:
        pass


NOTHING_DONE: dict[str, Any] = {
    **{
        f"torch.jit.{name}": returned
        for name in ("script", "ignore", "unused", "export", "interface", "_script_if_tracing")
    },
    **{f"torch.jit.{name}": no for name in ("is_scripting", "is_tracing")},
    "torch.jit.annotate": lambda kind, value: value,
    "torch.jit._overload_method": returned,
    "torch.jit.isinstance": builtins.isinstance,
    "torch._jit_internal._overload_method": returned,
    "torch._jit_internal._copy_to_script_wrapper": returned,
    "torch.fx.wrap": returned,
    "torchvision.ops._register_onnx_ops._register_custom_op": nothing,
    "torchvision.utils._log_api_usage_once": nothing,
    "monai.apps.utils.get_logger": lambda module_name, *args, **kwargs: logging.getLogger(module_name),
    "torch.hub._get_torch_home": lambda: "",
    "torch.hub.get_dir": lambda: "",
    "torch.overrides.has_torch_function": no,
    "torch.compiler.disable": returned,
    "torch.compiler.is_compiling": no,
    "torch.compiler.is_exporting": no,
    "torch.compiler.is_dynamo_compiling": no,
    "torch._dynamo.is_compiling": no,
    "torch._dynamo.disable": returned,
    "torch._dynamo.allow_in_graph": returned,
    "torch.compile": returned,
    "torch.onnx.is_in_onnx_export": no,
    "torch.library.custom_op": lambda *args, **kwargs: returned,
    "torch.library.register_fake": lambda *args, **kwargs: returned,
    "torch.library.impl": lambda *args, **kwargs: returned,
    "torch.cuda.is_available": no,
    "torch.cuda.device_count": lambda: 0,
    "torch.cuda.amp.autocast": Unchanged,
    "torch.cuda.amp.custom_fwd": returned,
    "torch.cuda.amp.custom_bwd": returned,
    "torch.backends.cuda.is_built": no,
    "torch.backends.mps.is_available": no,
    "torch.amp.autocast": Unchanged,
    "torch.autocast": Unchanged,
    "torch.is_autocast_enabled": no,
    "torch.is_complex": no,
    "torch.is_grad_enabled": tinymed.is_grad_enabled,
    "torch.distributed.is_available": no,
    "torch.distributed.is_initialized": no,
    "torch.distributed.get_world_size": lambda *args: 1,
    "torch.distributed.get_rank": lambda *args: 0,
    "torch._C._log_api_usage_once": nothing,
    "torch._C._get_tracing_state": nothing,
    "torch._assert": asserted,
    "torch.utils.checkpoint.checkpoint": called,
    "torch.utils.checkpoint.checkpoint_sequential": lambda functions, segments, input, **kwargs: functions(input),
    "torch.nn.modules.utils._ntuple": counted,
    "torch.nn.modules.utils._single": counted(1),
    "torch.nn.modules.utils._pair": counted(2),
    "torch.nn.modules.utils._triple": counted(3),
    "torch.__version__": VERSION,
    "torch.version.__version__": VERSION,
    "torch.version.cuda": None,
    "torch.version.hip": None,
    "torch.torch_version.__version__": VERSION,
}
STANDING = NOTHING_DONE | ELSEWHERE
# Modules that tinymed answers for; of torch.nn.modules the names are tinymed.nn's, elsewhere they are inert.
SOURCES: dict[str, Any] = {
    "torch": tinymed,
    "torch.nn": nn,
    "torch.nn.functional": nn.functional,
    "torch.nn.init": nn.init,
    "torch.nn.utils": nn.utils,
    "torch.nn.modules": nn,
    "torch.optim": tinymed.optim,
    "torch.optim.lr_scheduler": tinymed.optim.lr_scheduler,
}
NN_FILES = "activation batchnorm container conv dropout instancenorm linear loss module normalization padding pooling"
for file in f"{NN_FILES} utils upsampling sparse pixelshuffle flatten transformer rnn distance".split():
    SOURCES[f"torch.nn.modules.{file}"] = nn
# PyTorch's machinery: inert.
MACHINERY = (
    "_C _dynamo _jit_internal _utils amp ao autograd backends compiler cuda distributed distributions export fft fx "
    "hub jit library linalg mps multiprocessing onnx ops overrides profiler quantization serialization sparse special "
    "testing torch_version types utils version xpu nested _inductor _prims _subclasses _tensor _utils_internal func "
    "_vmap_internals cpu futures package storage random _higher_order_ops _library _export _functorch"
)
PLACES = {*SOURCES, *(f"torch.{name}" for name in MACHINERY.split())}
PLACES |= {f"torch.nn.{name}" for name in ("parallel", "parameter", "common_types", "attention")}
PLACES |= {f"torch.nn.utils.{name}" for name in ("fusion", "rnn", "parametrizations", "parametrize")}
PLACES |= {"torch.utils", *(f"torch.utils.{name}" for name in ("checkpoint", "model_zoo", "data"))}
# Entered without their own __init__, which imports transforms, data sets and readers of images.
ENTERED = {"torchvision", "monai"}
# Parts of packages that are not networks: inert as a whole.
BESIDE = (
    *(f"torchvision.{part}" for part in ("transforms", "datasets", "io", "extension", "utils", "models.quantization")),
    *(f"monai.{part}" for part in ("transforms", "data", "apps", "inferers", "losses", "metrics", "_extensions")),
    "torchvision.ops._register_onnx_ops",
    "safetensors.torch",
)


def below(name: str, tops: Any) -> bool:
    """Whether a module is one of these, or below one."""
    return any(name == top or name.startswith(f"{top}.") for top in tops)


class Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Find and make the modules that are answered."""

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> Any:
        if fullname in PLACES or below(fullname, [*PLACES - SOURCES.keys(), *BESIDE]):
            return importlib.machinery.ModuleSpec(fullname, self, is_package=True)
        if fullname in ENTERED:
            found = importlib.machinery.PathFinder.find_spec(fullname)
            if found is not None:
                spec = importlib.machinery.ModuleSpec(fullname, self, origin=found.origin, is_package=True)
                spec.submodule_search_locations = found.submodule_search_locations
                return spec
        return None

    def create_module(self, spec: Any) -> ModuleType:
        if spec.name in ENTERED:
            return ModuleType(spec.name)
        if spec.name in SOURCES:
            module = Answered(spec.name)
            module.source = SOURCES[spec.name]
            module.inert_names = INERT_OF_TORCH if spec.name == "torch" else frozenset()
            if spec.name == "torch":
                module.__version__ = VERSION
            return module
        return InertModule(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        if module.__name__ in ENTERED:
            module.__version__ = importlib.metadata.version(module.__name__)


def install() -> None:
    """Answer for PyTorch from here on; refuse where the true one was imported already."""
    if "torch" in sys.modules:
        raise RuntimeError("torch_answered: the true torch is imported already; answer in a process of its own")
    sys.meta_path.insert(0, Finder())
