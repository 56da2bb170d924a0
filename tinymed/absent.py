"""What of PyTorch's vocabulary tinymed leaves out, and what to use instead: the only list of it.

    ABSENT["tinymed.nn"]["Bilinear"]        why
    missing("tinymed.nn", "Bilinear")       the AttributeError that says so

A module ends its `__getattr__` with `raise missing(__name__, name)`; `page()` is docs/vocabulary.md, which a test holds
to this list.  A table is written {sentence: "names that it answers for"}, so that a reason is said once.
"""

ABSENT: dict[str, dict[str, str]] = {}  # place (as tinymed names it) -> name -> sentence


def absent(place: str, table: dict[str, str]) -> None:
    """Enter names that a place leaves out.

    table: {sentence: names, separated by spaces}; the sentence says why, or what to use instead.
    """
    names = ABSENT.setdefault(place, {})
    for sentence, words in table.items():
        names |= dict.fromkeys(words.split(), sentence)


def missing(place: str, name: str) -> AttributeError:
    """Return the error for a name that a module or class lacks; of a listed one, with the sentence that is listed."""
    known = ABSENT.get(place, {}).get(name)
    return AttributeError(f"{place} has no {name!r}" + (f": {known}" if known else ""), name=name)


def page() -> str:
    """docs/vocabulary.md: every name that is left out, by place, with its sentence."""
    import textwrap

    lines = [
        "# What of PyTorch's vocabulary is left out",
        "",
        "Names that PyTorch has and tinymed has not, and what to use instead. Asking for one raises an",
        "`AttributeError` with the same sentence. The list is `tinymed/absent.py`, from which this page is written.",
    ]
    for place, names in ABSENT.items():
        lines += ["", f"## {place}", ""]
        for sentence in dict.fromkeys(names.values()):
            words = ", ".join(f"`{n}`" for n in sorted(names) if names[n] == sentence)
            entry = f"- {words}: {sentence}"
            lines += textwrap.wrap(entry, 120, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)
    return "\n".join(lines) + "\n"


FREQUENCY = "transforms to frequencies are not part of it; use numpy.fft on .numpy()"
ALGEBRA = "decompositions and solvers are not part of it; use numpy.linalg on .numpy()"
SPECIAL = "special functions are not part of it; use scipy.special on .numpy()"
COMPLEX = "there are no complex tensors; keep real and imaginary parts as two channels"
SPARSE = "there are no sparse tensors"
QUANTISED = "there are no quantised tensors"
HALF = "NumPy has no such numbers; float16 can be stored, float32 and float64 computed in"
SECOND = "the tape gives first derivatives only"

absent(
    "tinymed",
    {
        FREQUENCY: "fft stft istft hann_window hamming_window bartlett_window blackman_window kaiser_window",
        ALGEBRA: "linalg svd svd_lowrank pca_lowrank qr cholesky cholesky_inverse cholesky_solve det logdet slogdet "
        "inverse pinverse lu lu_solve lu_unpack solve triangular_solve lstsq matrix_exp matrix_power ormqr geqrf "
        "orgqr lobpcg",
        SPECIAL: "special lgamma mvlgamma digamma polygamma i0 igamma igammac sinc erfc xlogy logaddexp logaddexp2",
        COMPLEX: "complex complex64 complex128 cfloat cdouble polar view_as_complex view_as_real real imag conj angle "
        "is_complex resolve_conj",
        SPARSE: "sparse sparse_coo_tensor sparse_csr_tensor sspaddmm hspmm",
        QUANTISED: "quantize_per_tensor quantize_per_channel quint8 qint8 qint32 dequantize ao quantization",
        HALF: "bfloat16",
        SECOND: "func vmap hessian jacobian",
        "steps are recorded by tinymed.capture(step)": "compile jit fx export",
        "there is one process; see tinymed.data.Loader for threads": "distributed multiprocessing",
        "a run uses one precision: tinymed.use_precision": "amp autocast is_autocast_enabled "
        "set_float32_matmul_precision get_float32_matmul_precision",
        "tensors are made as float32; ask for another with dtype=": "set_default_dtype set_default_tensor_type",
        "tensors are made where the backend in use works; choose it with tinymed.use_backend": "set_default_device "
        "get_default_device",
        "seed everything with tinymed.manual_seed(n); there are no generator objects": "Generator default_generator "
        "get_rng_state set_rng_state seed initial_seed",
        "the number of threads is Numba's: set NUMBA_NUM_THREADS": "set_num_threads get_num_threads "
        "set_num_interop_threads get_num_interop_threads",
        "algorithms are chosen by tinymed, and each is deterministic": "use_deterministic_algorithms "
        "are_deterministic_algorithms_enabled backends",
        "weights are downloaded by nobody; tinymed.load reads a file": "hub",
        "gradients are checked by tinymed.check.gradcheck": "autograd",
        "profile with `tinymed bench` and tinymed.debug": "profiler",
    },
)
absent(
    "tinymed.Tensor",
    {
        ALGEBRA: "svd qr cholesky det logdet slogdet inverse pinverse lu lu_solve solve matrix_exp matrix_power",
        SPECIAL: "lgamma digamma polygamma mvlgamma i0 sinc erfc xlogy logaddexp lgamma_ digamma_",
        COMPLEX: "real imag conj angle is_complex cfloat cdouble",
        SPARSE: "to_sparse to_dense coalesce indices values is_sparse",
        QUANTISED: "dequantize int_repr q_scale q_zero_point is_quantized",
        HALF: "bfloat16",
        "memory is given back when the last tensor on it goes": "storage untyped_storage resize_ set_ share_memory_ "
        "is_shared",
        "addresses belong to NumPy: tensor.numpy().ctypes.data": "data_ptr storage_offset as_strided",
        "pinned memory is the upload's affair": "pin_memory is_pinned",
    },
)


absent(
    "tinymed.nn",
    {
        "use TransformerEncoder and TransformerDecoder": "Transformer",
        "the kernel of attention is chosen by tinymed; use functional.scaled_dot_product_attention": "attention",
        "use Linear and CrossEntropyLoss": "LinearCrossEntropyLoss LinearCrossEntropyOptions",
        "use NLLLoss, Sequential or Module": "NLLLoss2d Container",
        "a recurrent layer or cell is RNN, LSTM, GRU, RNNCell, LSTMCell or GRUCell": "RNNBase RNNCellBase",
        "use Embedding and mean or sum over the axis of the bag": "EmbeddingBag",
        "a softmax over many classes is not approximated; use CrossEntropyLoss": "AdaptiveLogSoftmaxWithLoss",
        "its windows are random; use MaxPool2d or AdaptiveMaxPool2d": "FractionalMaxPool2d FractionalMaxPool3d",
        "use LocalResponseNorm": "CrossMapLRN2d",
        "there is one process; use the module as it is": "parallel",
        "a layer is made with its number of inputs": "LazyConvTranspose1d LazyConvTranspose2d LazyConvTranspose3d "
        "LazyBatchNorm1d LazyBatchNorm3d LazyInstanceNorm1d LazyInstanceNorm2d LazyInstanceNorm3d "
        "UninitializedParameter UninitializedBuffer",
        "modules are in tinymed.nn itself": "modules common_types parameter grad",
        "register a tensor with register_buffer": "Buffer",
        "there are no quantised tensors": "quantized quantizable intrinsic qat",
    },
)
absent(
    "tinymed.nn.functional",
    {
        "use nn.MultiheadAttention": "multi_head_attention_forward",
        "use embedding and mean or sum over the axis of the bag": "embedding_bag",
        "its windows are random; use max_pool2d": "fractional_max_pool2d fractional_max_pool3d "
        "fractional_max_pool2d_with_indices fractional_max_pool3d_with_indices",
        "ask the function of the same name for return_indices=True": "max_pool1d_with_indices max_pool2d_with_indices "
        "max_pool3d_with_indices adaptive_max_pool1d_with_indices adaptive_max_pool2d_with_indices "
        "adaptive_max_pool3d_with_indices",
        "draw noise with tinymed.rand and take softmax": "gumbel_softmax",
        "use pairwise_distance of pairs": "pdist",
        "use linear and cross_entropy": "linear_cross_entropy",
        "use conv1d with axes permuted": "conv_tbc",
        "use channel_shuffle": "native_channel_shuffle",
        "use matmul": "grouped_mm scaled_mm scaled_grouped_mm",
        "use interpolate": "upsample_nearest upsample_bilinear",
    },
)
absent(
    "tinymed.optim",
    {
        "there are no sparse gradients; use Adam": "SparseAdam",
        "use Adam or AdamW": "Adafactor Muon",
    },
)
absent(
    "tinymed.optim.lr_scheduler",
    {
        "every schedule is an LRScheduler": "_LRScheduler EPOCH_DEPRECATION_WARNING",
    },
)
absent(
    "tinymed.nn.utils",
    {
        "use weight_norm, which is a hook; a spectral norm would need the step's own random vectors": "spectral_norm "
        "remove_spectral_norm parametrize parametrizations",
        "fuse and fold by capture: tinymed.capture(step)": "fuse_conv_bn_eval fuse_conv_bn_weights "
        "fuse_linear_bn_eval fuse_linear_bn_weights fusion",
        "the order in memory is the engine's affair": "convert_conv2d_weight_memory_format "
        "convert_conv3d_weight_memory_format memory_format",
        "a module is made with weights; see nn.init.no_weights for counting alone": "skip_init init",
        "call torch.func is not possible: first derivatives only": "stateless",
        "use clip_grad_norm_, which does both": "get_total_norm clip_grads_with_norm_ clip_grad_norm",
    },
)
