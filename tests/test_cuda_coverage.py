"""The reference kernels that csrc/ has no kernel for, each with its reason: a new one is entered here, or written."""

from tinymed import dispatch
from tinymed.cuda import families  # noqa: F401  declares the kernels
from tinymed.dispatch import REFERENCE

WITHOUT = {
    "sorting and searching: CuPy's, by radix and merge sorts that would fill a family of their own": """
        argsort_forward argsort_part_forward searchsorted_forward""",
    "a dynamic programme over time, whose steps wait for each other: a launch a step is what CuPy does, too": """
        ctc_forward ctc_backward""",
    "a singular value decomposition: cuSOLVER's, through CuPy": """
        nuclear_norm_forward nuclear_norm_backward""",
    "axial attention in one op: on a GPU its layer is composed of products, batch norm and softmax, which csrc has": """
        axial_statistics axial_running_statistics axial_attention_forward axial_attention_backward""",
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
