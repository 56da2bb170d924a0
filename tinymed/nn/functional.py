"""The public op functions under PyTorch's names: what `torch.nn.functional` and `torch` call them."""

from ..ops.activations import *  # noqa: F403
