"""Functions written as LLVM IR: compiled once into one object file, and called by name from Numba's kernels.

Code inlined into a Numba kernel is optimised three times for each kernel it is in (loop body, its wrapper, the whole).
These functions are the heavy part of every convolution and matrix product, so they are compiled apart: cached kernels
hold their names, and `load` gives the names addresses before a kernel is compiled or read from the cache.
"""

import functools
import hashlib
import os
import tempfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numba
from llvmlite import binding, ir
from numba import types
from numba.core import config as numba_config

from . import jit

I64 = ir.IntType(64)
Emit = Callable[[ir.IRBuilder, dict[str, ir.Value]], None]
Functions = dict[str, tuple[Sequence[str], Emit]]  # name -> parameters and what writes the body
functions: Functions = {}
engines: list[Any] = []  # own the machine code


def function(name: str, parameters: Sequence[str], emit: Emit) -> Any:
    """Declare a function of 64-bit integers; returns what Numba code calls.  emit(builder, arguments) writes it."""
    functions[f"tinymed_{name}"] = parameters, emit
    return types.ExternalFunction(f"tinymed_{name}", types.void(*[types.int64] * len(parameters)))


def source(functions: Functions) -> str:
    """Functions as LLVM IR."""
    module = ir.Module("tinymed")
    for symbol, (parameters, emit) in functions.items():
        made = ir.Function(module, ir.FunctionType(ir.VoidType(), [I64] * len(parameters)), symbol)
        builder = ir.IRBuilder(made.append_basic_block())
        emit(builder, dict(zip(parameters, made.args, strict=True)))
        builder.ret_void()
    return str(module)


def processor() -> tuple[str, str]:
    """Name and features of the processor to compile for, the one Numba compiles for."""
    config: Any = numba_config
    name = config.CPU_NAME or binding.get_host_cpu_name()
    return name, config.CPU_FEATURES if config.CPU_FEATURES is not None else binding.get_host_cpu_features().flatten()


@functools.cache
def machine() -> Any:
    """LLVM's description of that processor."""
    binding.initialize_native_target()
    binding.initialize_native_asmprinter()
    target = binding.Target.from_default_triple()
    name, features = processor()
    return target.create_target_machine(cpu=name, features=features, opt=3, jit=True, codemodel="jitdefault")


def optimised(functions: Functions) -> Any:
    """Functions as optimised LLVM IR."""
    module = binding.parse_assembly(source(functions))
    module.verify()
    passes = binding.create_pass_builder(machine(), binding.create_pipeline_tuning_options(speed_level=3))
    passes.getModulePassManager().run(module, passes)
    return module


def assembly() -> str:
    """All functions as the processor sees them."""
    return str(machine().emit_assembly(optimised(functions)))


def compiled(functions: Functions) -> bytes:
    """Functions as an object file."""
    return bytes(machine().emit_object(optimised(functions)))


def linked(code: bytes, names: Iterable[str]) -> dict[str, int]:
    """{name: address} of functions of an object file, in memory from here on."""
    engine = binding.create_mcjit_compiler(binding.parse_assembly(""), machine())
    engine.add_object_file(binding.ObjectFileRef.from_data(code))
    engine.finalize_object()
    engines.append(engine)
    return {name: engine.get_function_address(name) for name in names}


@functools.cache
def load() -> None:
    """Compile the functions, or read them from the kernels' cache, and tell Numba's code their addresses."""
    numba.get_num_threads()  # starts the threads: before that get_thread_id, in a kernel, has the address 0
    mark = hashlib.sha256(" ".join(processor()).encode()).hexdigest()[:16]
    path: Path = jit.cache_directory() / f"generated-{mark}.o"
    if path.is_file():
        code = path.read_bytes()
    else:
        code = compiled(functions)
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent)
        with os.fdopen(handle, "wb") as file:
            file.write(code)
        os.replace(name, path)  # whole or not at all: another process may be reading
    for symbol, address in linked(code, functions).items():
        binding.add_symbol(symbol, address)
