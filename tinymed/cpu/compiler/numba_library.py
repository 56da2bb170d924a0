"""Compiling less: what Numba makes on the way to a kernel is optimised and turned into machine code only in the kernel.

A helper, and each of the three functions that Numba makes of a prange loop (its body, and two wrappers), is a library
of its own to Numba: optimised, compiled to machine code, and then linked as LLVM code into the next, where all that is
done again.  Nobody calls the machine code of what is only ever linked, and what is inlined is optimised where it comes
to lie: a `Part` is left as it is.  That halves what LLVM has to do, and the kernels are as fast.
"""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

from numba import types
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import Compiler
from numba.core.compiler_lock import global_compiler_lock
from numba.core.registry import CPUDispatcher, cpu_target

from . import llvm_functions

LOOP = "__numba_parfor_gufunc", "GufuncWrapper", "parallelgufuncwrapper"  # in the names of what prange loops become


class BitcodeLibrary(JITCodeLibrary):
    """LLVM code to be linked into a kernel, which is where it is optimised."""

    @property
    def codegen(self) -> Any:
        """Where Numba stores a function's environment: nowhere, as there is no code to find it."""
        return NoEnvironment(self._codegen)

    def _optimize_final_module(self) -> None:
        pass

    def _finalize_final_module(self) -> None:
        self._finalize_dynamic_globals()
        self._verify_declare_only_symbols()
        self._finalized = True

    def get_pointer_to_function(self, name: str) -> int:
        """No address."""
        self._ensure_finalized()
        return 0


class NoEnvironment:
    """Numba's code generator, but for environments, which only code that handles Python objects reads."""

    def __init__(self, codegen: Any):
        self.inner = codegen

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def set_env(self, name: str, environment: Any) -> None:
        """Nothing."""


class BitcodeCompiler(Compiler):
    """Compiles a helper into a Part."""

    def __init__(self, *args: Any):
        super().__init__(*args)
        self.state.library = BitcodeLibrary(self.state.targetctx.codegen(), "part")


class Helper(CPUDispatcher):
    """A helper of kernels; called from Python it is the Python function that it was."""

    def __init__(self, py_func: Any, options: dict[str, Any]):
        options = {"nopython": True, "boundscheck": None, "no_cpython_wrapper": True} | options
        super().__init__(py_func, {}, options, BitcodeCompiler)

    def __call__(self, *args: Any) -> Any:
        return self.py_func(*args)

    def get_call_template(self, args: Any, kws: Any) -> Any:
        """What a call of these types resolves to: one signature for all numbers known when compiled."""
        return super().get_call_template(tuple(map(unliteral, args)), kws)


def unliteral(kind: Any) -> Any:
    """Numba's type of an argument, whatever its value."""
    if isinstance(kind, types.Tuple | types.UniTuple):
        return types.Tuple.from_types([unliteral(k) for k in kind])
    return types.unliteral(kind)


class KernelCode(CPUDispatcher):
    """A kernel's machine code, for each signature."""

    def __init__(self, py_func: Any, options: dict[str, Any]):
        super().__init__(py_func, {}, {"nopython": True, "boundscheck": None} | options)
        self.enable_caching()

    def compile(self, signature: Any) -> Any:
        """Compile for a signature, or load from the cache."""
        llvm_functions.load(llvm_functions.required(self.py_func))
        with global_compiler_lock, loops_as_bitcode(), no_collection():
            return super().compile(signature)

    def known(self, signature: Any) -> bool:
        """Whether it is compiled for a signature, here or in the cache."""
        cache, context = cast(Any, self)._cache, cast(Any, self.targetctx)
        if signature in self.overloads:
            return True
        return cache._index_key(signature, context.codegen()) in cache._cache_file._load_index()


@contextmanager
def no_collection() -> Iterator[None]:
    """Without garbage collection, which would go through the millions of objects of a compilation again and again."""
    before = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if before:
            gc.enable()


@contextmanager
def loops_as_bitcode() -> Iterator[None]:
    """Let what Numba makes of prange loops be Parts."""
    codegen = cpu_target.target_context.codegen()
    before = codegen.create_library

    def create(name: str, **options: Any) -> Any:
        return BitcodeLibrary(codegen, name) if any(part in name for part in LOOP) else before(name, **options)

    codegen.create_library = create
    try:
        yield
    finally:
        codegen.create_library = before
