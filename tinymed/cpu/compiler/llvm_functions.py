"""Functions written as LLVM IR: each compiled once, when a kernel first needs it, and called by name from kernels.

Code that is inlined into a Numba kernel is optimised three times for each kernel it is in (loop body, its wrapper, the
whole).  These functions are the heavy part of every convolution and matrix product, so they are compiled on their own:
cached kernels hold their names, and `load` gives the names addresses before a kernel is compiled or read from the
cache.
"""

import difflib
import functools
import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from types import FunctionType
from typing import Any

from llvmlite import binding, ir
from numba import types
from numba.core import config as numba_config

from . import elements
from .cache import cache_directory, read_sealed, write_sealed

I64 = ir.IntType(64)
Emit = Callable[[ir.IRBuilder, dict[str, ir.Value]], None]
Functions = dict[str, tuple[Sequence[str], Emit]]  # name -> parameters and what writes the body
functions: Functions = {}
engines: list[Any] = []  # they own the machine code
loaded: set[str] = set()  # functions whose addresses Numba's code knows


def function(name: str, parameters: Sequence[str], emit: Emit, double: Emit | None = None) -> Any:
    """Declare a function of 64-bit integers and return what Numba code calls; emit(builder, arguments) writes it.

    double: what writes its form for float64, if there is one; `emit` itself where numbers play no part.
    """
    if len(set(parameters)) < len(parameters):
        raise ValueError(f"LLVM function {name!r}: two parameters have one name: {', '.join(parameters)}")
    functions[f"tinymed_{name}"] = parameters, emit
    made = types.ExternalFunction(f"tinymed_{name}", types.void(*[types.int64] * len(parameters)))
    if double is emit:
        elements.declare_twin(made, lambda: made)
    elif double is not None:
        again = function(f"{name}_float64", parameters, double)
        elements.declare_twin(made, lambda: again)
    return made


def source(functions: Functions) -> str:
    """Return functions as the text of an LLVM module."""
    module = ir.Module("tinymed")
    for symbol, (parameters, emit) in functions.items():
        made = ir.Function(module, ir.FunctionType(ir.VoidType(), [I64] * len(parameters)), symbol)
        builder = ir.IRBuilder(made.append_basic_block())
        emit(builder, dict(zip(parameters, made.args, strict=True)))
        builder.ret_void()
    return str(module)


def processor() -> tuple[str, str]:
    """Return name and features of the processor to compile for: the one that Numba compiles for.

    Where LLVM would make loops of half vectors, because the first processors with 512 bits slowed down for whole ones,
    it is told not to: exponentials take half the time.
    """
    config: Any = numba_config
    name, features = config.CPU_NAME or binding.get_host_cpu_name(), config.CPU_FEATURES
    features = binding.get_host_cpu_features().flatten() if features is None else features
    return name, f"{features},-prefer-256-bit" if "+avx512f" in features else features


@functools.cache
def machine() -> Any:
    """Return LLVM's description of that processor, for writing code."""
    return new_machine()


def new_machine() -> Any:
    """Return a description of that processor for one engine, which owns it from then on."""
    binding.initialize_native_target()
    binding.initialize_native_asmprinter()
    target = binding.Target.from_default_triple()
    name, features = processor()
    return target.create_target_machine(cpu=name, features=features, opt=3, jit=True, codemodel="jitdefault")


def optimise(text: str) -> Any:
    """Return an LLVM module, given as text, after optimisation."""
    module = binding.parse_assembly(text)
    module.verify()
    passes = binding.create_pass_builder(machine(), binding.create_pipeline_tuning_options(speed_level=3))
    passes.getModulePassManager().run(module, passes)
    return module


def assembly() -> str:
    """Return the machine code of all functions, as the processor's assembly language."""
    return str(machine().emit_assembly(optimise(source(functions))))


def assembly_of(name: str) -> str:
    """Return the machine code of one function, as assembly language.

    Args:
        name: as it was declared, "tile", or its symbol, "tinymed_tile".

    Raises:
        KeyError: no function has this name; the message names those that are near it.
    """
    symbol = name if name in functions else f"tinymed_{name}"
    if symbol not in functions:
        known = [declared.removeprefix("tinymed_") for declared in functions]
        near = difflib.get_close_matches(name, known, cutoff=0.3) or sorted(known)[:3]
        raise KeyError(f"no LLVM function is called {name!r}; there are {len(known)}, among them {', '.join(near)}")
    return str(machine().emit_assembly(optimise(source({symbol: functions[symbol]}))))


def compile_object(text: str) -> bytes:
    """Return an LLVM module, given as text, as an object file."""
    return bytes(machine().emit_object(optimise(text)))


def link(codes: Iterable[bytes], names: Iterable[str]) -> dict[str, int]:
    """Bring object files into memory; return the addresses of functions and variables of theirs by name."""
    engine = binding.create_mcjit_compiler(binding.parse_assembly(""), new_machine())
    for code in codes:
        engine.add_object_file(binding.ObjectFileRef.from_data(code))
    engine.finalize_object()
    engines.append(engine)
    return {name: engine.get_global_value_address(name) for name in names}


@functools.cache
def object_directory() -> Path | None:
    """Return where the object files of this processor's functions lie, in the kernels' cache, if there is one."""
    root, mark = cache_directory(), hashlib.sha256(" ".join(processor()).encode()).hexdigest()[:16]
    return root and root / f"llvm-{mark}"


def object_code(symbol: str) -> bytes:
    """Return a function's object file: the cache's, or a new one, which goes there."""
    return kept_object(symbol, lambda: source({symbol: functions[symbol]}))


def kept_object(name: str, text: Callable[[], str]) -> bytes:
    """Return the object file of a name from the cache, or a new one of an LLVM module's text, which goes there."""
    folder = object_directory()
    if folder is None:
        return compile_object(text())
    path = folder / f"{name}.o"
    code = read_sealed(path)
    if code is None:
        code = compile_object(text())
        write_sealed(path, code)
    return code


def load(symbols: Iterable[str]) -> None:
    """Tell Numba's code the addresses of some functions, and with them of all that the cache holds."""
    missing = sorted(set(symbols) - loaded)
    if not missing:
        return
    codes, folder = {symbol: object_code(symbol) for symbol in missing}, object_directory()
    for path in folder.glob("*.o") if folder else ():
        if path.stem in functions and path.stem not in loaded and path.stem not in codes:
            code = read_sealed(path)
            if code is not None:
                codes[path.stem] = code
    for symbol, address in link(codes.values(), codes).items():
        binding.add_symbol(symbol, address)
    loaded.update(codes)


@functools.cache
def required(fn: Callable[..., Any]) -> frozenset[str]:
    """Return the LLVM functions that a kernel or helper calls, itself or through other helpers."""
    found: set[str] = set()
    for value in referenced(fn):
        if isinstance(value, types.ExternalFunction):
            found.add(value.symbol)
        elif hasattr(value, "py_func"):
            found |= required(value.py_func)
        elif isinstance(value, FunctionType) and value.__module__ == fn.__module__:  # overloaded for Numba
            found |= required(value)
    return frozenset(found)


def referenced(fn: Callable[..., Any]) -> Iterator[Any]:
    """Yield what a function's global and closure variables hold."""
    yield from (cell.cell_contents for cell in fn.__closure__ or ())
    yield from (fn.__globals__[name] for name in fn.__code__.co_names if name in fn.__globals__)
