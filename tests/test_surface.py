"""The public vocabulary: every name the engine promises is where PyTorch has it, so that an omission fails."""

import inspect

import pytest

import tinymed
from tinymed import nn
from tinymed.nn import functional as F
from tinymed.optim import lr_scheduler

torch = pytest.importorskip("torch", reason="PyTorch is the oracle: pip install '.[test]'")


def words(text: str) -> list[str]:
    """A table of names, as they are read."""
    return text.split()


ELEMENTWISE = (
    "add sub mul div pow neg exp log sqrt abs clip clamp sign maximum minimum where eq ne lt le gt ge erf "
    "relu prelu sigmoid tanh"
)
REDUCTIONS = "sum mean var std max min argmax argmin amax amin logsumexp norm cumsum prod any all"
SHAPE = (
    "reshape flatten transpose permute squeeze unsqueeze split chunk unbind narrow select index_select gather "
    "scatter_add take_along_dim flip roll tile movedim swapaxes t"
)
ALGEBRA = "matmul bmm softmax log_softmax"
EVERYWHERE = words(f"{ELEMENTWISE} {REDUCTIONS} {SHAPE} {ALGEBRA}")  # tinymed.X and Tensor.X

TOP_LEVEL = words(
    "tensor from_numpy zeros ones full zeros_like ones_like full_like arange rand randn manual_seed no_grad "
    "enable_grad set_grad_enabled is_grad_enabled result_type cat concatenate stack broadcast_to pixel_shuffle "
    "pixel_unshuffle conv1d conv2d conv3d conv_transpose1d conv_transpose2d conv_transpose3d max_pool1d max_pool2d "
    "max_pool3d avg_pool1d adaptive_avg_pool1d celu selu rrelu dropout layer_norm group_norm "
    "float32 float64 int32 int64 uint8 bool"
)
METHODS = words(
    "backward detach requires_grad_ register_hook retain_grad numpy item tolist to type_as float double long int bool "
    "contiguous size numel dim expand expand_as repeat view view_as reshape_as clone copy_ fill_ zero_"
)

ACTIVATIONS = (
    "relu relu6 leaky_relu rrelu prelu elu selu celu sigmoid logsigmoid tanh hardtanh softsign softplus softmax "
    "log_softmax gelu silu mish hardswish hardsigmoid hardshrink softshrink tanhshrink threshold glu softmin"
)
LOSSES = (
    "binary_cross_entropy binary_cross_entropy_with_logits cross_entropy nll_loss mse_loss l1_loss huber_loss "
    "smooth_l1_loss kl_div hinge_embedding_loss margin_ranking_loss cosine_embedding_loss soft_margin_loss "
    "multilabel_soft_margin_loss multi_margin_loss multilabel_margin_loss triplet_margin_loss "
    "triplet_margin_with_distance_loss poisson_nll_loss gaussian_nll_loss ctc_loss"
)
LAYERS = (
    "conv1d conv2d conv3d conv_transpose1d conv_transpose2d conv_transpose3d linear max_pool1d max_pool2d max_pool3d "
    "avg_pool1d avg_pool2d avg_pool3d adaptive_avg_pool1d adaptive_avg_pool2d adaptive_avg_pool3d adaptive_max_pool1d "
    "adaptive_max_pool2d adaptive_max_pool3d interpolate batch_norm layer_norm group_norm instance_norm dropout "
    "local_response_norm "
    "dropout1d dropout2d dropout3d alpha_dropout feature_alpha_dropout pad unfold one_hot pixel_shuffle pixel_unshuffle"
)
FUNCTIONS = words(f"{ACTIVATIONS} {LOSSES} {LAYERS}")
OURS = words("softtanh scaled_tanh hinge_loss squared_hinge_loss sigmoid_focal_loss softmax_focal_loss same_padding")

MODULES = words(
    "ReLU ReLU6 LeakyReLU RReLU PReLU ELU SELU CELU Sigmoid LogSigmoid Tanh Hardtanh Softsign Softplus Softmax "
    "LogSoftmax GELU SiLU Mish Hardswish Hardsigmoid Conv1d Conv2d Conv3d ConvTranspose1d ConvTranspose2d "
    "ConvTranspose3d Linear MaxPool1d MaxPool2d MaxPool3d AvgPool1d AvgPool2d AvgPool3d AdaptiveAvgPool1d "
    "AdaptiveAvgPool2d AdaptiveAvgPool3d AdaptiveMaxPool1d AdaptiveMaxPool2d AdaptiveMaxPool3d Upsample BatchNorm1d "
    "BatchNorm2d BatchNorm3d LayerNorm LocalResponseNorm GroupNorm InstanceNorm1d InstanceNorm2d InstanceNorm3d "
    "Dropout Dropout1d "
    "Dropout2d Dropout3d AlphaDropout BCELoss BCEWithLogitsLoss CrossEntropyLoss NLLLoss MSELoss L1Loss HuberLoss "
    "SmoothL1Loss KLDivLoss HingeEmbeddingLoss MarginRankingLoss CosineEmbeddingLoss SoftMarginLoss "
    "MultiLabelSoftMarginLoss MultiMarginLoss MultiLabelMarginLoss TripletMarginLoss TripletMarginWithDistanceLoss "
    "PoissonNLLLoss GaussianNLLLoss CTCLoss Hardshrink Softshrink Tanhshrink Threshold GLU Softmin Softmax2d "
    "ParameterList ParameterDict Flatten Unflatten Identity ZeroPad2d ConstantPad2d ReflectionPad2d "
    "ReplicationPad2d PixelShuffle PixelUnshuffle Unfold Module Parameter Sequential ModuleList ModuleDict"
)
INITIALISERS = words(
    "uniform_ normal_ trunc_normal_ constant_ zeros_ ones_ kaiming_uniform_ kaiming_normal_ xavier_uniform_ "
    "xavier_normal_ orthogonal_ calculate_gain"
)
OPTIMIZERS = words("Optimizer SGD Adam AdamW RMSprop Adagrad Adadelta Adamax NAdam RAdam ASGD Rprop")
SCHEDULES = words(
    "LRScheduler LambdaLR StepLR MultiStepLR ConstantLR LinearLR ExponentialLR PolynomialLR CosineAnnealingLR "
    "SequentialLR OneCycleLR ReduceLROnPlateau MultiplicativeLR CosineAnnealingWarmRestarts CyclicLR ChainedScheduler"
)

PLACES = [
    (tinymed, torch, EVERYWHERE + TOP_LEVEL),
    (tinymed.Tensor, torch.Tensor, [n for n in EVERYWHERE if hasattr(torch.Tensor, n)] + METHODS),
    (F, torch.nn.functional, FUNCTIONS),
    (nn, torch.nn, MODULES),
    (nn.init, torch.nn.init, INITIALISERS),
    (tinymed.optim, torch.optim, OPTIMIZERS),
    (lr_scheduler, torch.optim.lr_scheduler, SCHEDULES),
]


@pytest.mark.parametrize(("ours", "theirs", "names"), PLACES, ids=[t.__name__ for _, t, _ in PLACES])
def test_the_names_are_where_pytorch_has_them(ours, theirs, names):
    assert not [n for n in names if not hasattr(theirs, n)], "the table names what PyTorch does not have"
    assert not [n for n in names if not hasattr(ours, n)]


@pytest.mark.parametrize("name", OURS)
def test_what_pytorch_lacks(name):
    assert callable(getattr(F, name))


def parameters(f):
    """{argument: default} of a Python function, in order; None where PyTorch's is written in C."""
    try:
        return {n: p.default for n, p in inspect.signature(f).parameters.items()}
    except (TypeError, ValueError):
        return None


# Arguments of PyTorch that are deprecated, that pick an implementation, or that no network here needs yet.
OWN = {"RMSprop": ("nesterov",)}  # arguments that PyTorch's has not, by keyword alone
LEFT_OUT = {"_stacklevel", "antialias", "recompute_scale_factor"}


@pytest.mark.parametrize(
    "ours",
    [getattr(place, n) for place, names in ((tinymed.optim, OPTIMIZERS), (lr_scheduler, SCHEDULES)) for n in names[1:]],
    ids=lambda c: c.__name__,
)
def test_optimizers_and_schedules_take_pytorchs_arguments(ours):
    home = torch.optim if issubclass(ours, tinymed.optim.Optimizer) else torch.optim.lr_scheduler
    theirs = {n: d for n, d in parameters(getattr(home, ours.__name__)).items() if n != "verbose"}
    mine = {n: d for n, d in parameters(ours).items() if n not in OWN.get(ours.__name__, ())}
    assert list(mine) == list(theirs)
    for n, default in theirs.items():
        assert mine[n] == default or (default == 0 and mine[n] in (0, None)), f"{n}: {mine[n]!r}, PyTorch {default!r}"


@pytest.mark.parametrize("name", FUNCTIONS)
def test_arguments_have_pytorchs_names_order_and_defaults(name):
    theirs, ours = parameters(getattr(torch.nn.functional, name)), parameters(getattr(F, name))
    if theirs is None or "args" in theirs:  # written in C, or dispatched on return_indices
        pytest.skip("PyTorch does not tell this function's signature")
    wanted = {n: d for n, d in theirs.items() if n not in LEFT_OUT}
    shared = [n for n in ours if n in wanted]
    assert shared == list(wanted), f"{name} takes {list(ours)}, PyTorch {list(wanted)}"
    for n, default in wanted.items():
        assert ours[n] == default, f"{name}: {n} is {ours[n]!r} by default, in PyTorch {default!r}"
