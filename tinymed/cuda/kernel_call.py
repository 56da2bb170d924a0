"""One kernel of a CUDA file on NumPy's arrays: no main, no copies, no GPU."""

import re
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import UserError
from .emulate import FAULT, HUNG, INTERRUPTED, Options, Report, compiled, execute
from .emulated import KernelError
from .translate import Kernel

WRONG_CALL = 73  # as in csrc/emulate/process.h
Shape = int | Sequence[int]


class Out:
    """An array that a kernel only writes: reading an element before it is written is a fault.

    Args:
        array: What is filled, of any shape, in C order.

    Example:
        >>> import numpy as np
        >>> Out(np.zeros(3)).array.shape
        (3,)
    """

    def __init__(self, array: np.ndarray) -> None:
        self.array = array


def emulate(
    file: str | Path,
    kernel: str,
    grid: Shape,
    block: Shape,
    *arguments: Any,
    shared: int = 0,
    options: Options | None = None,
) -> Report:
    """Run one kernel of a CUDA file on this processor, under the checker.

    Arrays are changed in place, as the kernel changes them.

    Args:
        file: The CUDA file; its main, if it has one, does not run.
        kernel: The kernel's name; of a template with its arguments: ``"add<float>"``.
        grid: Blocks, a number or up to three.
        block: Threads of a block, a number or up to three.
        *arguments: NumPy arrays (in C order) for pointers, `Out(array)` for one that is only written, numbers.
        shared: Bytes of dynamic shared memory.
        options: How it is compiled and run; by default it is checked.

    Returns:
        The report: notes, and the counters by line if `options.profile` asks for them.

    Raises:
        KernelError: The kernel does what is wrong on a GPU; its kind, file and line are attributes.
        UserError: The call does not fit the kernel.
        Refused, Failed, Absent: The file needs what is not supported, is no C++, or there is no compiler.
    """
    path, chosen = Path(file), options or Options(check=True)
    expression = kernel_expression(kernel)
    names = parameter_names(path, kernel, chosen)
    entry = (
        '#include "entry.h"\n'
        f'int main() {{ return emu::call_from_files("{expression}", {expression}, "{" ".join(names)}"); }}\n'
    )
    program, _ = compiled(path, chosen, entry)
    with tempfile.TemporaryDirectory(prefix="tinymed-") as folder:
        arrays = write_call(Path(folder), (*three(grid, "grid"), *three(block, "block"), shared), arguments)
        report = execute(program, chosen, call=Path(folder))
        if report.code == WRONG_CALL:
            raise UserError(f"{kernel}: {report.what}")
        if report.code in (FAULT, HUNG, INTERRUPTED):
            raise KernelError(report.what)
        if report.code:
            raise KernelError(report.what or f"the kernel ended its process with code {report.code}")
        for i, array in arrays.items():
            array[...] = np.fromfile(Path(folder, f"{i}.bin"), array.dtype).reshape(array.shape)
    return report


def kernel_expression(kernel: str) -> str:
    """Return a kernel's name as C++, refused if it is anything else."""
    if not re.fullmatch(r"[A-Za-z_][\w:]*\s*(<[\w\s,:*<>]*>)?", kernel):
        raise UserError(f"{kernel!r} is not the name of a kernel; a template's has its arguments: add<float>")
    return kernel


def parameter_names(path: Path, kernel: str, options: Options) -> list[str]:
    """Return the names of a kernel's parameters, for messages; UserError with those that exist if it does not."""
    kernels = kernels_of(path, options)
    wanted = kernel.partition("<")[0].strip().rpartition("::")[2]
    found = next((k for k in kernels if k.name == wanted), None)
    if found is None:
        known = ", ".join(sorted({k.name for k in kernels})) or "none"
        raise UserError(f"{path.name} has no kernel {wanted!r}; its kernels: {known}")
    if found.template and "<" not in kernel:
        raise UserError(f"{wanted} is a template; give its arguments, as in {wanted}<float>")
    return [re.sub(r"\[.*", "", p).rpartition(" ")[2].lstrip("*&") or "argument" for p in found.parameters]


def kernels_of(path: Path, options: Options) -> tuple[Kernel, ...]:
    """Return the kernels that a file defines."""
    from .emulate import translated

    if not path.is_file():
        raise UserError(f"{path}: no such file; give a CUDA file")
    with tempfile.TemporaryDirectory() as folder:
        return translated(path, replace(options).folders, Path(folder)).kernels


def three(shape: Shape, what: str) -> tuple[int, int, int]:
    """Return a shape as three numbers."""
    numbers = (shape,) if isinstance(shape, int | np.integer) else tuple(shape)
    if not 1 <= len(numbers) <= 3 or not all(isinstance(n, int | np.integer) and n > 0 for n in numbers):
        raise UserError(f"{what} is one to three positive integers, got {shape!r}")
    x, y, z = (*map(int, numbers), 1, 1)[:3]
    return x, y, z


def write_call(folder: Path, launch: Sequence[int], arguments: Sequence[Any]) -> dict[int, np.ndarray]:
    """Write what entry.h reads; return the arrays by position."""
    said, arrays = [" ".join(map(str, launch))], {}
    for i, given in enumerate(arguments):
        array = given.array if isinstance(given, Out) else given
        if isinstance(array, np.ndarray):
            if not array.flags.c_contiguous or array.dtype.kind not in "fiub":
                raise UserError(f"argument {i + 1} must be an array of numbers in C order, got {array.dtype}")
            if not array.flags.writeable:
                raise UserError(f"argument {i + 1} is read-only; give a copy")
            arrays[i] = array
            written = int(not isinstance(given, Out))
            said.append(f"array {array.dtype.kind} {array.itemsize} {array.size} {written}")
            array.tofile(folder / f"{i}.bin")
        elif isinstance(given, bool | int | float | np.number | np.bool_):
            number = given.item() if isinstance(given, np.generic) else given
            said.append(f"number {int(number) if isinstance(number, bool) else repr(number)}")
        else:
            raise UserError(f"argument {i + 1} must be an array or a number, got {type(given).__name__}")
    (folder / "call").write_text("\n".join(said) + "\n")
    return arrays
