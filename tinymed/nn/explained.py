"""Names of PyTorch that exist for `isinstance`, and whose construction says what to do instead."""

from typing import Any, NoReturn

from .module import Module


class Explained(Module):
    """A layer that cannot be made here; `advice` says what to use."""

    advice: str

    def __init__(self, *args: Any, **kwargs: Any):
        raise NotImplementedError(f"nn.{type(self).__name__}: {self.advice}")


class DataParallel(Explained):
    """Not made here: one process uses one device."""

    advice = (
        "tinymed uses one GPU, or all cores of the CPU by itself; use the module as it is. A state_dict saved from a "
        "DataParallel has names that begin with 'module.': take that off"
    )


class SyncBatchNorm(Explained):
    """Not made here: there are no other processes to share statistics with."""

    advice = "there is one process, whose batch norm sees the whole batch; use BatchNorm1d, 2d or 3d"

    @classmethod
    def convert_sync_batchnorm(cls, module: Module, process_group: Any = None) -> NoReturn:
        """Raise: there is nothing to convert to."""
        raise NotImplementedError(f"nn.SyncBatchNorm.convert_sync_batchnorm: {cls.advice}")


class Lazy(Explained):
    """Not made here: a layer is made with its number of inputs."""

    advice = (
        "a layer is made with its number of input channels or features; print(tinymed.models.summary(...)) or one "
        "forward pass up to the layer tells it"
    )


class LazyLinear(Lazy):
    """Not made here; see Lazy."""


class LazyConv1d(Lazy):
    """Not made here; see Lazy."""


class LazyConv2d(Lazy):
    """Not made here; see Lazy."""


class LazyConv3d(Lazy):
    """Not made here; see Lazy."""


class LazyBatchNorm2d(Lazy):
    """Not made here; see Lazy."""
