"""The public op functions under PyTorch's names: what `torch.nn.functional`, and `torch`, call them."""

# ruff: noqa: F403
from ..ops.activations import *
from ..ops.adaptive_pool import *
from ..ops.cast import *
from ..ops.compare import *
from ..ops.conv import *
from ..ops.conv_transpose import *
from ..ops.dropout import *
from ..ops.elementwise import *
from ..ops.extremes import *
from ..ops.gated import *
from ..ops.indexing import *
from ..ops.loss import *
from ..ops.loss_functions import *
from ..ops.matmul import *
from ..ops.norm import *
from ..ops.pad import *
from ..ops.pool import *
from ..ops.reduce import *
from ..ops.resample import *
from ..ops.shape import *
from ..ops.smooth import *
from ..ops.softmax import *
from ..ops.unary import *
