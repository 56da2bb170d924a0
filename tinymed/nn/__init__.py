"""Modules: layers, blocks and initial values under PyTorch's names."""

from . import functional, init
from .activation import (CELU, ELU, GELU, SELU, Hardsigmoid, Hardswish, Hardtanh, LeakyReLU, LogSigmoid, LogSoftmax, Mish,
                         PReLU, ReLU, ReLU6, RReLU, ScaledTanh, Sigmoid, SiLU, Softmax, Softplus, Softsign, Softtanh,
                         Tanh)  # fmt: skip
from .blocks import BasicBlock, Bottleneck, ConvBNReLU, DenseLayer, PadShortcut, PreActBlock, Transition
from .container import ModuleDict, ModuleList, Sequential
from .conv import (Conv1d, Conv2d, Conv3d, ConvTranspose1d, ConvTranspose2d, ConvTranspose3d,
                   SeparableConv2d)  # fmt: skip
from .dropout import AlphaDropout, Dropout, Dropout1d, Dropout2d, Dropout3d
from .linear import (ConstantPad2d, Flatten, Identity, Linear, ReflectionPad2d, ReplicationPad2d, Unflatten, Upsample,
                     ZeroPad2d)  # fmt: skip
from .loss import (BCELoss, BCEWithLogitsLoss, CrossEntropyLoss, HingeEmbeddingLoss, HuberLoss, KLDivLoss, L1Loss, MSELoss,
                   NLLLoss, SmoothL1Loss)  # fmt: skip
from .module import Module, Parameter
from .norm import (KERAS, TORCH, BatchNorm1d, BatchNorm2d, BatchNorm3d, GroupNorm, InstanceNorm1d, InstanceNorm2d,
                   InstanceNorm3d, LayerNorm, StatisticsWarning)  # fmt: skip
from .pool import (AdaptiveAvgPool1d, AdaptiveAvgPool2d, AdaptiveAvgPool3d, AdaptiveMaxPool1d, AdaptiveMaxPool2d,
                   AdaptiveMaxPool3d, AvgPool1d, AvgPool2d, AvgPool3d, MaxPool1d, MaxPool2d, MaxPool3d)  # fmt: skip
