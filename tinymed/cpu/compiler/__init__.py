"""From Python and LLVM IR to machine code, and the folder where it is kept.

isa              which instructions multiply numbers of bfloat16 here, and the system's permission for tiles
cache            the folder, and files that are whole or not there
elements         float32's code instantiated again for float64
llvm_functions   functions written as LLVM IR, each compiled once and called by name
threads          what must not run on several threads, and does not
numba_library    Numba's classes, changed so that helpers are optimised only where they are inlined
jit              compile_kernel for kernels, serial and inline for the helpers that they call
precompile       kernels that a step will need, compiled before it in several processes
"""

from .elements import doubled
from .jit import compile_kernel, inline, ready, serial
from .llvm_functions import assembly, assembly_of

__all__ = ["assembly", "assembly_of", "compile_kernel", "doubled", "inline", "ready", "serial"]
