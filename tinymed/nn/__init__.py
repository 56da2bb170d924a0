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
from .blocks import (
    BasicBlock,
    Bottleneck,
    ConvBNReLU,
    DenseLayer,
    PadShortcut,
    PreActBlock,
    SeparableResidual,
    Transition,
)
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
from .loss_segmentation import (
    DeepSupervision,
    DiceLoss,
    FocalLoss,
    FocalTverskyLoss,
    JaccardLoss,
    PixelCrossEntropyLoss,
    SumLoss,
    TanimotoLoss,
    TverskyLoss,
    dice_cross_entropy,
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
    LocalResponseNorm,
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
from .transfer import Features, describe_load, load_matching, parameter_groups

__all__ = [
    "AdaptiveAvgPool1d", "AdaptiveAvgPool2d", "AdaptiveAvgPool3d", "AdaptiveMaxPool1d", "AdaptiveMaxPool2d",
    "AdaptiveMaxPool3d", "AlphaDropout", "AvgPool1d", "AvgPool2d", "AvgPool3d", "BCELoss", "BCEWithLogitsLoss",
    "BasicBlock", "BatchNorm1d", "BatchNorm2d", "BatchNorm3d", "Bottleneck", "CELU", "ConstantPad2d", "Conv1d",
    "Conv2d", "Conv3d", "ConvBNReLU", "ConvTranspose1d", "ConvTranspose2d", "ConvTranspose3d", "CrossEntropyLoss",
    "DeepSupervision", "DenseLayer", "DiceLoss", "Dropout", "Dropout1d", "Dropout2d", "Dropout3d", "ELU",
    "Features", "Flatten", "FocalLoss", "FocalTverskyLoss", "GELU", "GroupNorm", "Hardsigmoid", "Hardswish",
    "Hardtanh", "HingeEmbeddingLoss", "HingeLoss", "HuberLoss", "Identity", "InstanceNorm1d", "InstanceNorm2d",
    "InstanceNorm3d", "JaccardLoss", "KERAS", "KLDivLoss", "L1Loss", "LayerNorm", "LeakyReLU", "Linear",
    "LocalResponseNorm", "LogSigmoid", "LogSoftmax", "MSELoss", "MaxPool1d", "MaxPool2d", "MaxPool3d", "Mish",
    "Module", "ModuleDict", "ModuleList", "NLLLoss", "PReLU", "PadShortcut", "Parameter", "PixelCrossEntropyLoss",
    "PixelShuffle", "PixelUnshuffle", "PreActBlock", "RReLU", "ReLU", "ReLU6", "ReflectionPad2d",
    "ReplicationPad2d", "SELU", "ScaledTanh", "SeparableConv2d", "SeparableResidual", "Sequential", "SiLU",
    "Sigmoid", "SmoothL1Loss", "Softmax", "Softplus", "Softsign", "Softtanh", "SquaredHingeLoss",
    "StatisticsWarning", "SumLoss", "TORCH", "Tanh", "TanimotoLoss", "Transition", "TverskyLoss", "Unflatten",
    "Unfold", "Upsample", "ZeroPad2d", "describe_load", "dice_cross_entropy", "functional", "init", "load_matching",
    "parameter_groups",
]  # fmt: skip
