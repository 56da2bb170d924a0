"""The public op functions under PyTorch's names: what `torch.nn.functional`, and `torch`, call them."""

# ruff: noqa: F403, F405
from typing import Any

from ..absent import missing
from ..ops.activations import *
from ..ops.adaptive_pool import *
from ..ops.affine_grid import *
from ..ops.attention import *
from ..ops.bitwise import *
from ..ops.cast import *
from ..ops.clamp import *
from ..ops.compare import *
from ..ops.conv import *
from ..ops.conv_transpose import *
from ..ops.cross_entropy import *
from ..ops.ctc import *
from ..ops.cumulative import *
from ..ops.distance import *
from ..ops.dropout import *
from ..ops.elementwise import *
from ..ops.embedding import *
from ..ops.erf import *
from ..ops.extremes import *
from ..ops.fold import *
from ..ops.gated import *
from ..ops.gather import *
from ..ops.grid_sample import *
from ..ops.indexing import *
from ..ops.join import *
from ..ops.layer_functions import *
from ..ops.likelihood_loss import *
from ..ops.loss import *
from ..ops.loss_functions import *
from ..ops.margin_loss import *
from ..ops.matmul import *
from ..ops.maximum import *
from ..ops.moments import *
from ..ops.norm import *
from ..ops.overlap_loss import *
from ..ops.overwrite import always
from ..ops.pad import *
from ..ops.pool import *
from ..ops.properties import *
from ..ops.reduce import *
from ..ops.resample import *
from ..ops.response_norm import *
from ..ops.shape import *
from ..ops.shrink import *
from ..ops.sine import *
from ..ops.smooth import *
from ..ops.softmax import *
from ..ops.unary import *
from ..ops.unpool import *

relu_, leaky_relu_, rrelu_, hardtanh_ = always(relu), always(leaky_relu), always(rrelu), always(hardtanh)
elu_, celu_, selu_, threshold_ = always(elu), always(celu), always(selu), always(threshold)


def __getattr__(name: str) -> Any:
    raise missing(__name__, name)
