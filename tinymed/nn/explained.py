"""Names of PyTorch that exist for `isinstance`, and whose construction says what to do instead."""

from typing import Any, NoReturn

from .module import Module


class Explained(Module):
    """Refuse to make a layer that does not exist here; `advice` says what to use."""

    advice: str

    def __init__(self, *args: Any, **kwargs: Any):
        raise NotImplementedError(f"nn.{type(self).__name__}: {self.advice}")


class DataParallel(Explained):
    """Refuse to spread a module over devices: one process uses one device.

    The name exists for `isinstance` in code that was written for PyTorch.

    Raises:
        NotImplementedError: always; the message says what to use.

    Example:
        >>> from tinymed import nn
        >>> isinstance(nn.ReLU(), nn.DataParallel)
        False
    """

    advice = (
        "tinymed uses one GPU, or all cores of the CPU by itself; use the module as it is. A state_dict saved from a "
        "DataParallel has names that begin with 'module.': take that off"
    )


class SyncBatchNorm(Explained):
    """Refuse to share statistics: there are no other processes.

    The name exists for `isinstance` in code that was written for PyTorch.

    Raises:
        NotImplementedError: always; the message says what to use.

    Example:
        >>> from tinymed import nn
        >>> isinstance(nn.ReLU(), nn.SyncBatchNorm)
        False
    """

    advice = "there is one process, whose batch norm sees the whole batch; use BatchNorm1d, 2d or 3d"

    @classmethod
    def convert_sync_batchnorm(cls, module: Module, process_group: Any = None) -> NoReturn:
        """Raise NotImplementedError: there is nothing to convert to."""
        raise NotImplementedError(f"nn.SyncBatchNorm.convert_sync_batchnorm: {cls.advice}")


class Lazy(Explained):
    """Refuse to make a layer without its number of inputs."""

    advice = (
        "a layer is made with its number of input channels or features; print(tinymed.models.summary(...)) or one "
        "forward pass up to the layer tells it"
    )


class LazyLinear(Lazy):
    """Refuse to make a Linear layer without in_features.

    The name exists for `isinstance` in code that was written for PyTorch.

    Raises:
        NotImplementedError: always; the message says what to use.

    Example:
        >>> from tinymed import nn
        >>> isinstance(nn.ReLU(), nn.LazyLinear)
        False
    """


class LazyConv1d(Lazy):
    """Refuse to make a Conv1d layer without in_channels.

    The name exists for `isinstance` in code that was written for PyTorch.

    Raises:
        NotImplementedError: always; the message says what to use.

    Example:
        >>> from tinymed import nn
        >>> isinstance(nn.ReLU(), nn.LazyConv1d)
        False
    """


class LazyConv2d(Lazy):
    """Refuse to make a Conv2d layer without in_channels.

    The name exists for `isinstance` in code that was written for PyTorch.

    Raises:
        NotImplementedError: always; the message says what to use.

    Example:
        >>> from tinymed import nn
        >>> isinstance(nn.ReLU(), nn.LazyConv2d)
        False
    """


class LazyConv3d(Lazy):
    """Refuse to make a Conv3d layer without in_channels.

    The name exists for `isinstance` in code that was written for PyTorch.

    Raises:
        NotImplementedError: always; the message says what to use.

    Example:
        >>> from tinymed import nn
        >>> isinstance(nn.ReLU(), nn.LazyConv3d)
        False
    """


class LazyBatchNorm2d(Lazy):
    """Refuse to make a BatchNorm2d layer without num_features.

    The name exists for `isinstance` in code that was written for PyTorch.

    Raises:
        NotImplementedError: always; the message says what to use.

    Example:
        >>> from tinymed import nn
        >>> isinstance(nn.ReLU(), nn.LazyBatchNorm2d)
        False
    """
