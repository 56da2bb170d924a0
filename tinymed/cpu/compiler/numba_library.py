"""Numba's classes, changed so that helpers are optimised once, in the kernel that they are inlined into.

A helper, and each of the three functions that Numba makes of a prange loop (its body and two wrappers), is a library of
its own to Numba: optimised, compiled to machine code, and then linked as LLVM code into the next, where all of that is
done again.  Helpers are only linked and inlined into kernels, so compiling them on their own is wasted work: a
`BitcodeLibrary` keeps them as LLVM code that is not yet optimised.  That halves what LLVM has to do, and the kernels
are as fast.

Numba tells functions of one name apart by a number, counted in each process from 1.  Two processes so gave two helpers
(sweeps by different tiles) one name, and a third one that loaded a kernel of each from the cache called the helper of
one from the other.  Here each process counts from a number of its own.

This subclasses parts of Numba that it does not document; tests/test_warmup.py is where a new Numba shows first.
"""

import functools
import gc
import hashlib
import itertools
import os
import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import numba
from numba import types
from numba.core import config as numba_config
from numba.core.bytecode import FunctionIdentity
from numba.core.caching import FunctionCache, IndexDataCacheFile
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import Compiler
from numba.core.compiler_lock import global_compiler_lock
from numba.core.registry import CPUDispatcher, cpu_target

from . import llvm_functions, pool, threads
from .cache import read_sealed, warn_uncached, write_sealed

LOOP = "__numba_parfor_gufunc", "GufuncWrapper", "parallelgufuncwrapper"  # in the names of what prange loops become


def count_from_a_number_of_its_own() -> None:
    """Let this process name functions as no other does."""
    identity: Any = FunctionIdentity
    identity._unique_ids = itertools.count(secrets.randbits(60))


count_from_a_number_of_its_own()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=count_from_a_number_of_its_own)


class BitcodeLibrary(JITCodeLibrary):
    """LLVM code to be linked into a kernel, where it is optimised."""

    @property
    def codegen(self) -> Any:
        """Return a code generator that stores no environments: there is no code yet that could find them."""
        return NoEnvironment(self._codegen)

    def _optimize_final_module(self) -> None:
        pass

    def _finalize_final_module(self) -> None:
        self._finalize_dynamic_globals()
        self._verify_declare_only_symbols()
        self._finalized = True

    def get_pointer_to_function(self, name: str) -> int:
        """Return no address."""
        self._ensure_finalized()
        return 0


class KernelLibrary(JITCodeLibrary):
    """A kernel's code, which calls the package's pool of threads by its own names instead of Numba's."""

    def _optimize_final_module(self) -> None:
        for function in self._final_module.functions:
            if function.is_declaration and function.name in pool.RENAMED:
                function.name = pool.RENAMED[function.name]
        with whole_vectors(self._codegen):
            super()._optimize_final_module()


@contextmanager
def whole_vectors(codegen: Any) -> Iterator[None]:
    """Let LLVM make loops of vectors as long as `llvm_functions.processor` says, where Numba would take its own."""
    before = codegen._tm
    codegen._tm = llvm_functions.machine()
    try:
        yield
    finally:
        codegen._tm = before


class NoEnvironment:
    """Numba's code generator without environments, which only code that handles Python objects reads."""

    def __init__(self, codegen: Any):
        self.inner = codegen

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def set_env(self, name: str, environment: Any) -> None:
        """Do nothing."""


class BitcodeCompiler(Compiler):
    """Compiles a helper into a BitcodeLibrary."""

    def __init__(self, *args: Any):
        super().__init__(*args)
        self.state.library = BitcodeLibrary(self.state.targetctx.codegen(), "part")


class Helper(CPUDispatcher):
    """A helper of kernels; called from Python it is the Python function that it was."""

    def __init__(self, py_func: Any, options: dict[str, Any]):
        self.given = options
        options = {"nopython": True, "boundscheck": None, "no_cpython_wrapper": True} | options
        super().__init__(py_func, {}, options, BitcodeCompiler)

    def again(self, fn: Any) -> "Helper":
        """Return the helper that another function makes with the same options."""
        return Helper(fn, self.given)

    def __call__(self, *args: Any) -> Any:
        return self.py_func(*args)

    def get_call_template(self, args: Any, kws: Any) -> Any:
        """Resolve a call: all numbers known when compiling share one signature."""
        return super().get_call_template(tuple(map(unliteral, args)), kws)


def unliteral(kind: Any) -> Any:
    """Return Numba's type of an argument, whatever its value."""
    if isinstance(kind, types.Tuple | types.UniTuple):
        return types.Tuple.from_types([unliteral(k) for k in kind])
    return types.unliteral(kind)


class CacheFiles(IndexDataCacheFile):
    """One sealed file for each signature, named by a hash of it.

    Numba keeps an index of numbered files beside them.  Of two processes that add to one index at once, one loses its
    entry, and both may have written file number 1: here no name is shared.
    """

    def path(self, key: Any) -> Path:
        """Return the file of a signature (and of the processor and the bytecode, which are in the key)."""
        named = f"{self._version} {self._source_stamp!r} {key}"
        return Path(self._data_path(f"{self._index_name[:-4]}.{hashlib.sha256(named.encode()).hexdigest()[:16]}.nbc"))

    def save(self, key: Any, data: Any) -> None:
        """Write the file of a signature."""
        write_sealed(self.path(key), self._dump(data))

    def load(self, key: Any) -> Any:
        """Return what the file of a signature holds, or None if there is none that is whole."""
        path = self.path(key)
        return None if read_sealed(path) is None else self._load_data(path.name)

    def flush(self) -> None:
        """Do nothing: Numba empties its index here."""


class KernelCache(FunctionCache):
    """Numba's cache of one kernel, in our files."""

    def __init__(self, py_func: Any):
        super().__init__(py_func)
        self._cache_file: Any = CacheFiles(
            self._cache_path, self._impl.filename_base, self._impl.locator.get_source_stamp()
        )

    def save_overload(self, sig: Any, data: Any) -> None:
        """Save the code for a signature, unless the folder has become unwritable."""
        try:
            super().save_overload(sig, data)
        except OSError as error:
            warn_uncached(str(error))


class KernelCode(CPUDispatcher):
    """A kernel's machine code, for each signature."""

    def __init__(self, py_func: Any, options: dict[str, Any], folder: Path | None):
        super().__init__(py_func, {}, {"nopython": True, "boundscheck": None} | options)
        self.kernel_cache: KernelCache | None = None
        if folder is not None:
            self.cache_in(folder)

    def cache_in(self, folder: Path) -> None:
        """Keep the machine code in a folder, which Numba reads from a global setting: one thread at a time."""
        config: Any = numba_config
        with global_compiler_lock:
            before, config.CACHE_DIR = config.CACHE_DIR, str(folder)
            try:
                self._cache = self.kernel_cache = KernelCache(self.py_func)
            except RuntimeError as error:  # Numba's word for a folder that cannot be written, and for a missing source
                warn_uncached(str(error))
            finally:
                config.CACHE_DIR = before

    def compile(self, signature: Any) -> Any:
        """Compile for a signature, or load from the cache."""
        pool.start()  # before that what kernels call it by has no address
        with global_compiler_lock, loops_as_bitcode(), no_collection():
            llvm_functions.load(llvm_functions.required(self.py_func))
            return super().compile(signature)

    def known(self, signature: Any) -> bool:
        """Return whether it is compiled for a signature, here or in the cache."""
        if signature in self.overloads or self.kernel_cache is None:
            return signature in self.overloads
        key = self.kernel_cache._index_key(signature, cast(Any, self.targetctx).codegen())
        return bool(self.kernel_cache._cache_file.path(key).is_file())

    def ready(self, arguments: Sequence[Any]) -> Callable[..., Any]:
        """Return the machine code for arguments of these types, after a call with them.

        Numba's dispatcher looks for it by the type of each argument at every call, for a tuple of sizes in half a
        microsecond; arguments of one plan always have the same types.
        """
        found = self.overloads.get(tuple([self.typeof_pyval(a) for a in arguments]))
        return self if found is None else cast(Any, found).entry_point


class ParallelCode(KernelCode):
    """A kernel's machine code on several threads; see threads.py for when it must not run so."""

    def __init__(self, py_func: Any, options: dict[str, Any], folder: Path | None, serial: Callable[[], KernelCode]):
        super().__init__(py_func, options, folder)
        self.serial = functools.cache(serial)  # the same kernel on one thread

    def __call__(self, *args: Any) -> Any:
        if threads.forked:
            threads.warn_forked()
            return self.serial()(*args)
        numba.get_num_threads()  # starts the threads, which decides for a layer
        if threads.one_at_a_time():
            return threads.taking_turns(super().__call__, *args)
        return super().__call__(*args)

    def ready(self, arguments: Sequence[Any]) -> Callable[..., Any]:
        """Return the machine code for arguments of these types, after a call with them, guarded."""
        if threads.forked:
            return self.serial().ready(arguments)
        found = super().ready(arguments)
        return found if found is self else threads.guarded(found, self.serial)


@contextmanager
def no_collection() -> Iterator[None]:
    """Suspend garbage collection, which would go through the millions of objects of a compilation again and again."""
    before = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if before:
            gc.enable()


@contextmanager
def loops_as_bitcode() -> Iterator[None]:
    """Let what Numba makes of prange loops be BitcodeLibraries, and of kernels KernelLibraries."""
    codegen = cpu_target.target_context.codegen()
    before = codegen.create_library

    def create(name: str, **options: Any) -> Any:
        return (BitcodeLibrary if any(part in name for part in LOOP) else KernelLibrary)(codegen, name, **options)

    codegen.create_library = create
    try:
        yield
    finally:
        codegen.create_library = before
