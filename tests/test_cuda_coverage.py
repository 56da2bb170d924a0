"""The reference kernels that csrc/ has no kernel for, each with its reason: a new one is entered here, or written."""

from tinymed import dispatch
from tinymed.cuda import families  # noqa: F401  declares the kernels
from tinymed.dispatch import REFERENCE

WITHOUT = {
    "sorting, a dynamic programme, a singular value decomposition: CuPy's or a library's work": """
        argsort_forward searchsorted_forward ctc_forward ctc_backward nuclear_norm_forward nuclear_norm_backward""",
    "copies between views, and integer arithmetic: CuPy's strided kernels, no sums whose order could differ": """
        getitem_backward setitem setitem_backward diagonal_backward triangle_forward flip_forward roll_forward
        repeat_forward repeat_backward unfold_forward unfold_backward windows_forward windows_backward
        resample_wide_forward resample_wide_backward tap_to_flat""",
    "integers and bool, in which no kernel of csrc/ computes": """
        bitwise_forward bitwise_not_forward truth_forward along_forward""",
    "element-wise, in no registered network: a few passes of CuPy's": """
        alpha_dropout_forward alpha_dropout_backward analytic_forward analytic_backward atan2_forward atan2_backward
        clamp_between_forward clamp_between_backward div_rounded_forward erfinv_forward erfinv_backward fmax_forward
        fmax_backward hypot_forward logit_forward logit_backward modulo_forward modulo_backward_divisor pow_forward
        pow_backward_base pow_backward_exponent ratio rounded_forward""",
    "losses whose usual forms have kernels": """
        bce_with_logits_backward_target binary_cross_entropy_backward_target multilabel_margin_forward
        multilabel_margin_backward nll_loss_forward nll_loss_backward""",
    "optimisers that no recipe uses: a few passes of CuPy's over the parameters": """
        amsgrad_step adamax_rates adamax_step nadam_advance nadam_rates nadam_step radam_rates radam_step adadelta_rates
        adadelta_step asgd_rates asgd_advance asgd_step rprop_rates rprop_step""",
    "image processing, where CuPy's passes over one picture serve": """
        luma rgb_to_hsv hsv_to_rgb rgb_to_cmyk cmyk_to_rgb rgb_to_lab lab_to_rgb map_densities mean_filter
        sobel_magnitude linear_map power_map count_bins count_tiles blend_tables interpolate_line""",
    "reductions and gathers that are still to be written": """
        norm_forward norm_backward prod_backward var_backward pick_backward unpool_forward unpool_backward
        adaptive_max_pool_forward instance_norm_update""",
}


def test_every_reference_kernel_has_one_in_csrc_or_a_reason():
    listed = [name for names in WITHOUT.values() for name in names.split()]
    assert len(listed) == len(set(listed))
    own = {name for home, name in dispatch.implementations if home == "csrc"}
    # Those of the package: tests and users declare kernels of their own.
    references = {
        name
        for (home, name), kernel in dispatch.implementations.items()
        if home == REFERENCE and kernel.fn.__module__.startswith("tinymed.")
    }
    missing = references - own
    assert missing - set(listed) == set(), "without a kernel of csrc/, and without a reason"
    assert set(listed) - missing == set(), "listed, but csrc/ has a kernel"
