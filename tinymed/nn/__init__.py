"""Modules: layers, blocks and initial values under PyTorch's names."""

from . import functional, init
from .activation import (
    CELU,
    ELU,
    GELU,
    SELU,
    Hardsigmoid,
    Hardswish,
    Hardtanh,
    LeakyReLU,
    LogSigmoid,
    LogSoftmax,
    Mish,
    PReLU,
    ReLU,
    ReLU6,
    RReLU,
    ScaledTanh,
    Sigmoid,
    SiLU,
    Softmax,
    Softplus,
    Softsign,
    Softtanh,
    Tanh,  # fmt: skip
)
from .blocks import BasicBlock, Bottleneck, ConvBNReLU, DenseLayer, PadShortcut, PreActBlock, Transition
from .container import ModuleDict, ModuleList, Sequential
from .conv import (
    Conv1d,
    Conv2d,
    Conv3d,
    ConvTranspose1d,
    ConvTranspose2d,
    ConvTranspose3d,
    SeparableConv2d,  # fmt: skip
)
from .dropout import AlphaDropout, Dropout, Dropout1d, Dropout2d, Dropout3d
from .linear import (
    ConstantPad2d,
    Flatten,
    Identity,
    Linear,
    PixelShuffle,
    PixelUnshuffle,
    ReflectionPad2d,
    ReplicationPad2d,
    Unflatten,
    Unfold,
    Upsample,
    ZeroPad2d,  # fmt: skip
)
from .loss import (
    BCELoss,
    BCEWithLogitsLoss,
    CrossEntropyLoss,
    HingeEmbeddingLoss,
    HingeLoss,
    HuberLoss,
    KLDivLoss,
    L1Loss,
    MSELoss,
    NLLLoss,  # fmt: skip
    SmoothL1Loss,
    SquaredHingeLoss,
)
from .module import Module, Parameter
from .norm import (
    KERAS,
    TORCH,
    BatchNorm1d,
    BatchNorm2d,
    BatchNorm3d,
    GroupNorm,
    InstanceNorm1d,
    InstanceNorm2d,
    InstanceNorm3d,  # fmt: skip
    LayerNorm,
    StatisticsWarning,
)
from .pool import (
    AdaptiveAvgPool1d,
    AdaptiveAvgPool2d,
    AdaptiveAvgPool3d,
    AdaptiveMaxPool1d,
    AdaptiveMaxPool2d,
    AdaptiveMaxPool3d,  # fmt: skip
    AvgPool1d,
    AvgPool2d,
    AvgPool3d,
    MaxPool1d,
    MaxPool2d,
    MaxPool3d,
)

__all__ = [
    "AdaptiveAvgPool1d", "AdaptiveAvgPool2d", "AdaptiveAvgPool3d", "AdaptiveMaxPool1d", "AdaptiveMaxPool2d",
    "AdaptiveMaxPool3d", "AlphaDropout", "AvgPool1d", "AvgPool2d", "AvgPool3d", "BCELoss", "BCEWithLogitsLoss",
    "BasicBlock", "BatchNorm1d", "BatchNorm2d", "BatchNorm3d", "Bottleneck", "CELU", "ConstantPad2d", "Conv1d",
    "Conv2d", "Conv3d", "ConvBNReLU", "ConvTranspose1d", "ConvTranspose2d", "ConvTranspose3d", "CrossEntropyLoss",
    "DenseLayer", "Dropout", "Dropout1d", "Dropout2d", "Dropout3d", "ELU", "Flatten", "GELU", "GroupNorm",
    "Hardsigmoid", "Hardswish", "Hardtanh", "HingeEmbeddingLoss", "HingeLoss", "HuberLoss", "Identity",
    "InstanceNorm1d", "InstanceNorm2d", "InstanceNorm3d", "KERAS", "KLDivLoss", "L1Loss", "LayerNorm", "LeakyReLU",
    "Linear", "LogSigmoid", "LogSoftmax", "MSELoss", "MaxPool1d", "MaxPool2d", "MaxPool3d", "Mish", "Module",
    "ModuleDict", "ModuleList", "NLLLoss", "PReLU", "PadShortcut", "Parameter", "PixelShuffle", "PixelUnshuffle",
    "PreActBlock", "RReLU", "ReLU", "ReLU6", "ReflectionPad2d", "ReplicationPad2d", "SELU", "ScaledTanh",
    "SeparableConv2d", "Sequential", "SiLU", "Sigmoid", "SmoothL1Loss", "Softmax", "Softplus", "Softsign",
    "Softtanh", "SquaredHingeLoss", "StatisticsWarning", "TORCH", "Tanh", "Transition", "Unflatten", "Unfold",
    "Upsample", "ZeroPad2d", "functional", "init",
]  # fmt: skip
