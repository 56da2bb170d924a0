"""Budgets that need nvcc but no GPU: registers, spills, and the instructions that a kernel is there for."""

import re

import pytest

from tinymed.cuda import ptxas
from tinymed.cuda.build import CSRC, Absent, find_nvcc

try:
    find_nvcc()
except Absent as reason:
    pytest.skip(f"nvcc: {reason}", allow_module_level=True)

# Registers a thread, by tile: 65536 of a multiprocessor, shared among as many blocks as ought to fit.
BUDGET = {
    "exact_kernelILi64ELi64E": 64,
    "exact_kernelILi128ELi128E": 168,
    "tf32_kernelILi64ELi64E": 128,
    "tf32_kernelILi128ELi32E": 128,
    "tf32_kernelILi128ELi64E": 168,
    "tf32_kernelILi128ELi128E": 128,
    "bf16_kernelILi64ELi64E": 128,
    "bf16_kernelILi128ELi32E": 128,
    "bf16_kernelILi128ELi64E": 168,
    "bf16_kernelILi128ELi128E": 128,
}
MMA = {
    "tf32_kernelILi64ELi64E": 16,
    "tf32_kernelILi128ELi32E": 16,
    "tf32_kernelILi128ELi64E": 32,
    "tf32_kernelILi128ELi128E": 32,
}
MMA |= {name.replace("tf32", "bf16"): count for name, count in MMA.items()}
INSTRUCTION = {"tf32": "m16n8k8.row.col.f32.tf32.tf32.f32", "bf16": "m16n8k16.row.col.f32.bf16.bf16.f32"}


@pytest.fixture(scope="module", params=["conv.cu", "conv_input.cu", "conv_weight.cu"])
def used(request):
    """{kernel: Usage} of one file."""
    return ptxas.compiled(CSRC / request.param)


@pytest.fixture(scope="module")
def instructions():
    """{kernel: PTX} of conv.cu."""
    return ptxas.ptx(CSRC / "conv.cu")


def both(kernels, name):
    """The values of the kernels with this in their names, by whether they are those of volumes."""
    found = {"Lb1EEE" in entry: v for entry, v in kernels.items() if name in entry}
    assert set(found) == {False, True}
    return found


@pytest.mark.parametrize("kernel", BUDGET)
def test_registers(used, kernel):
    for usage in both(used, kernel).values():
        assert usage.spilled == 0
        assert usage.registers <= BUDGET[kernel]


@pytest.mark.parametrize("kernel", MMA)
def test_tensor_cores_and_asynchronous_copies(instructions, kernel):
    """A step is two products for each tile of 16 x 8, of depth 8 or 16; one barrier a step, none waits for all."""
    text = both(instructions, kernel)[False]
    assert text.count(f"mma.sync.aligned.{INSTRUCTION[kernel[:4]]}") == text.count("mma.sync") == MMA[kernel]
    assert "cp.async.cg.shared.global" in text
    assert re.findall(r"cp\.async\.wait_group (\d+)", text) == ["1"]
    assert len(re.findall(r"\bbar\.sync", text)) == 3


@pytest.mark.parametrize("kernel", [name for name in MMA if name.startswith("bf16")])
def test_bfloat16_is_neither_converted_nor_read_number_by_number(instructions, kernel):
    """A fragment is one ldmatrix, transposed where the operand lies along its rows; a copy moves 16 bytes."""
    text = both(instructions, kernel)[False]
    tiles = MMA[kernel] // 16  # of 16 rows
    assert text.count("ldmatrix.sync.aligned.m8n8.x4.shared") == 2 * 2 * tiles
    assert text.count("ldmatrix.sync.aligned.m8n8.x4.trans") == 2 * 2
    assert "cvt.rna" not in text
    assert "cp.async.ca" not in text


@pytest.mark.parametrize("kernel", ["exact_kernelILi64ELi64E", "exact_kernelILi128ELi128E"])
def test_exact_multiplies_in_float32_by_wide_loads(instructions, kernel):
    text = both(instructions, kernel)[False]
    assert "tf32" not in text.partition("{")[2]
    assert "ld.global.v4" in text
    assert "ld.shared.v4" in text
    assert "cp.async" not in text  # it also runs on Turing


def test_a_row_of_layer_norm_stays_in_registers():
    """Forward and backward, rows of up to 256 and of up to 1024 numbers: none spills, two blocks fit at least."""
    compiled = ptxas.compiled(CSRC / "group_norm.cu")
    used = {name: usage for name, usage in compiled.items() if re.search("normalise_row|row_gradient", name)}
    assert len(used) == 4
    assert all(usage.spilled == 0 and usage.registers <= 168 for usage in used.values())


@pytest.mark.parametrize("source", ["pool.cu", "norm.cu"])
def test_places_below_2_31_are_divided_in_32_bits(source):
    """Of each pass over places there are two: of unsigned ones without a 64-bit division, and of int64_t."""
    passes = {n: t for n, t in ptxas.ptx(CSRC / source).items() if re.search("each_kernel|channels4?_kernel", n)}
    short = {n for n in passes if re.search(r"each_kernel.*jEEv|channels4?_kernel.*jJP", n)}
    divides = {n for n, text in passes.items() if re.search(r"\b(div|rem)\.[su]64", text)}
    assert len(passes) == 2 * len(short) > 0
    assert not short & divides
    assert divides  # the others do


def test_no_kernel_adds_floats_atomically(instructions):
    assert not [name for name, text in instructions.items() if re.search(r"\b(red|atom)\.\S*add\.f32", text)]


def test_the_log_of_ptxas_is_understood():
    log = """ptxas info    : Compiling entry function '_Z1fPf' for 'sm_80'
ptxas info    : Function properties for _Z1fPf
    8 bytes stack frame, 12 bytes spill stores, 16 bytes spill loads
ptxas info    : Used 40 registers, used 1 barriers, 2176 bytes smem, 392 bytes cmem[0]
ptxas info    : Compiling entry function '_Z1gPf' for 'sm_80'
ptxas info    : Used 20 registers, 372 bytes cmem[0]"""
    assert ptxas.usage(log) == {"_Z1fPf": ptxas.Usage(40, 12, 2176), "_Z1gPf": ptxas.Usage(20, 0, 0)}
