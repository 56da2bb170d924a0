"""Rewrite a CUDA file so that a C++ compiler takes it: launches, __shared__ variables, a few PTX instructions.

The text keeps its lines: a message about the translated file is about the same line of the user's.  Comments and
strings are never touched.  What has no twin in the emulator becomes an error that the compiler reports only where the
code is used, so a file may keep it behind `#ifdef`.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from .source_text import CLOSING, OPENING, Code, segments, split

DROPPED = re.compile(  # what the runtime's own header brings
    r"(cuda|cuda_runtime|cuda_runtime_api|device_launch_parameters|vector_types|vector_functions|math_functions"
    r"|device_functions|device_atomic_functions|driver_types|builtin_types|host_defines|cuda_profiler_api"
    r"|sm_\d+_\w+|crt/\w+|cuda_device_runtime_api|channel_descriptor|cooperative_groups/(reduce|scan))\.h"
)
LIBRARIES = re.compile(
    r"(omp\.h|thrust|cub/|cutlass|cute|cuda/|nvtx3|nv/|GL|curand|cublas(?!_v2\.h$)|cufft|cusparse|cusolver|cudnn|nvrtc"
    r"|npp|nccl|nvml|nvToolsExt|mma\.h|texture_|surface_|cudaGL|cuda_gl|cuda_texture|cuda_pipeline|cooperative_groups/(?!reduce|scan))"
)
SPECIFIERS = {"static", "extern", "const", "volatile", "inline", "constexpr", "typename", "unsigned", "signed"}


HOST_OR_DEVICE = re.compile(
    r"#\s*(?:ifn?def\s+__CUDA_ARCH__|(?:el)?if\s+!?\s*defined\s*\(?\s*__CUDA_ARCH__\s*\)?)\s*(?://.*|/\*.*)?"
)


NAME_OF_KERNEL = re.compile(r"__global__\b[^;{}()]*?(?:__launch_bounds__\s*\([^)]*\)[^;{}()]*?)?\b(\w+)\s*\(")


class Refused(Exception):
    """A file uses what the emulator does not support: where, and what."""

    def __init__(self, path: Path, line: int, what: str) -> None:
        super().__init__(f"{path.name}:{line}: not supported: {what}")


class Kernel(NamedTuple):
    """A kernel that a file defines: its name, its parameters as they are written, and whether it is a template."""

    name: str
    parameters: tuple[str, ...]
    template: bool
    line: int


class Translation(NamedTuple):
    """A translated file: its text, its kernels, and whether it says `volatile`."""

    text: str
    kernels: tuple[Kernel, ...]
    volatile: bool
    included: tuple[Path, ...]


# ------------------------------------------------------------------------------------------------------ launches


def launch_head(code: Code, at: int) -> int:
    """Return where the expression before `<<<` begins: a name, with template arguments, scopes, members, brackets."""
    i = at - 1
    while i >= 0:
        if code[i] in (")", "]"):
            i = code.open(i)
            if code[i] == "[":
                i -= 1
                continue
            if code.kind(i - 1) == "name" and code[i - 1] not in ("return", "do", "else"):
                i -= 1
            else:
                return i
        elif code[i] == ">":
            i = template_start(code, i) - 1
            continue
        if code[i - 1] in ("::", "."):
            i -= 2
            if code.kind(i) not in ("name",) and code[i] not in (")", "]", ">"):
                return i + 1
            continue
        return i
    return 0


def template_start(code: Code, at: int) -> int:
    """Return the place of the `<` that the `>` at `at` closes."""
    depth = 0
    i = at
    while i >= 0:
        if code[i] in CLOSING:
            i = code.open(i)
        elif code[i] == ">":
            depth += 1
        elif code[i] == "<":
            depth -= 1
            if not depth:
                return i
        i -= 1
    return 0


def launch_end(code: Code, at: int) -> int:
    """Return the place of the first `>` of the `>>>` that ends a launch's configuration; -1 if there is none."""
    i = at
    while i < len(code):
        if code[i] in OPENING:
            i = code.close(i)
        elif all(code[i + k] == ">" for k in range(3)) and code[i + 3] == "(":
            return i
        i += 1
    return -1


def argument(code: Code, first: int, last: int) -> str:
    """Return an argument of a launch; a literal null pointer must not become a number."""
    text = code.between(first, last)
    if last - first == 1 and code[first] in ("0", "NULL"):
        return "::emu::Zero{}"
    return text


def rewrite_launches(code: Code) -> None:
    """Write each `kernel<<<grid, block>>>(a, b)` as a call of the runtime, innermost and last first."""
    for at in reversed([i for i in range(len(code)) if code.kind(i) == "mark_of_launch"]):
        end, head = launch_end(code, at + 1), launch_head(code, at)
        if end < 0:
            continue
        last = code.close(end + 3)
        kernel, config = code.between(head, at), code.between(at + 1, end)
        flat = " ".join(kernel.split())
        name = flat.replace("\\", "\\\\").replace('"', '\\"')
        given = "".join(f", {argument(code, a, b)}" for a, b in split(code, end + 4, last))
        code.replace(
            head,
            last + 1,
            f'::emu::call("{name}", ::emu::Site{{__FILE__, __LINE__}}, ::emu::config({config}), '
            f"[=](auto... emu_given) {{ {flat}(emu_given...); }}{given})",
        )


# ----------------------------------------------------------------------------------------------------- variables


def statement(code: Code, at: int) -> tuple[int, int]:
    """Return where the declaration around `at` begins, and where its semicolon is."""
    first = at
    while first > 0 and (code.kind(first - 1) == "name" or code[first - 1] in (")", ">", "*", "::", "<")):
        if code[first - 1] == ")":
            begin = code.open(first - 1)
            if code[begin - 1] not in ("__align__", "alignas", "__launch_bounds__"):
                break
            first = begin
            continue
        first -= 1
    last = at
    while last < len(code) and code[last] != ";":
        last = code.close(last) + 1 if code[last] in OPENING else last + 1
    return first, last


def take_alignment(code: Code, first: int, last: int) -> tuple[list[int], str]:
    """Return the tokens of a declaration without __shared__ and alignments, and the alignment or 0."""
    kept, alignment, i = [], "0", first
    while i < last:
        if code[i] in ("__align__", "alignas") and code[i + 1] == "(":
            end = code.close(i + 1)
            inside = code.between(i + 2, end)
            alignment = f"alignof({inside})" if code.kind(i + 2) == "name" and code[i] == "alignas" else inside
            i = end
        elif code[i] not in ("__shared__", "static", "extern"):
            kept.append(i)
        i += 1
    return kept, alignment


def rewrite_shared(code: Code) -> None:
    """Write each `__shared__ T a[N];` as a reference to memory that the runtime keeps for the block."""
    for at in reversed([i for i in range(len(code)) if code[i] == "__shared__"]):
        first, last = statement(code, at)
        if last >= len(code):
            continue
        dynamic = any(code[i] == "extern" for i in range(first, last))
        kept, alignment = take_alignment(code, first, last)
        made: list[str] = []
        base = ""
        for part in parts_of(code, kept):
            name_at = declared_name(code, part)
            if name_at < 0:
                break
            type_text = " ".join(code[i] for i in part[:name_at])
            if not made:
                base = type_text.rstrip("*& ")
            else:
                type_text = f"{base} {type_text}"
            made.append(one_shared(code, part, name_at, type_text, alignment, dynamic))
        else:
            code.replace(first, last + 1, " ".join(made))


def parts_of(code: Code, kept: Sequence[int]) -> list[list[int]]:
    """Return the tokens of each declarator: split at commas that no bracket or template encloses."""
    parts: list[list[int]] = [[]]
    depth = 0
    for i in kept:
        depth += code[i] in OPENING or code[i] == "<"
        depth -= code[i] in CLOSING or code[i] == ">"
        if code[i] == "," and not depth:
            parts.append([])
        else:
            parts[-1].append(i)
    return parts


def declared_name(code: Code, part: Sequence[int]) -> int:
    """Return which token of a declarator is the name: the last one before its brackets."""
    depth = 0
    for k, i in enumerate(part):
        depth += code[i] == "<"
        depth -= code[i] == ">"
        following = code[part[k + 1]] if k + 1 < len(part) else "["
        if not depth and code.kind(i) == "name" and following in ("[", "=", "{") and (k or len(part) == 1):
            return k
        if not depth and code.kind(i) == "name" and following == "[":
            return k
    return -1


def one_shared(code: Code, part: Sequence[int], name_at: int, type_text: str, alignment: str, dynamic: bool) -> str:
    """Return the declaration of one __shared__ variable as a reference."""
    name, extents = code[part[name_at]], "".join(code[i] for i in part[name_at + 1 :])
    if dynamic:
        return f"{type_text} (&{name}){extents} = reinterpret_cast<{type_text} (&){extents}>(::emu::dynamic_memory);"
    site = "::emu::Site{__FILE__, __LINE__}"
    return (
        f"{type_text} (&{name}){extents} = "
        f'::emu::shared_storage<{type_text}{extents}>([] {{}}, "{name}", {alignment}, {site});'
    )


def rewrite_device_variables(code: Code) -> None:
    """Let each `__device__ T x;` announce itself to the checker, behind its declaration."""
    places = [i for i in range(len(code)) if code[i] in ("__device__", "__constant__", "__managed__")]
    for at in reversed(places):
        first, last = statement(code, at)
        if last >= len(code) or any(code[i] == "extern" for i in range(first, last)):
            continue
        kept, _ = take_alignment(code, at + 1, last)
        kept = kept[: next((k for k, i in enumerate(kept) if code[i] == "="), len(kept))]
        if not kept or any(code[i] in ("(", ")", "operator", "<<<", "__global__") for i in kept):
            continue
        part = parts_of(code, kept)[0]
        name_at = declared_name(code, part)
        if name_at < 1 or code[at] == "__constant__":
            continue
        name = code[part[name_at]]
        code.replace(last, last + 1, f'; static ::emu::Watch emu_watch_{name}("{name}", &{name}, sizeof {name});')


# ------------------------------------------------------------------------------------------------- kernels, PTX


def rewrite_addresses(code: Code, kernels: set[str]) -> None:
    """Write each `(void*)kernel` so that the runtime learns how the kernel at that address is called."""
    for at in reversed([i for i in range(len(code)) if code[i] in kernels]):
        first = at - 1 if code[at - 1] == "&" else at
        cast = [code[k] for k in range(first - 5, first)]
        if cast[1:] != ["(", "void", "*", ")"] and cast != ["(", "const", "void", "*", ")"]:
            continue
        first -= 5 if cast[1] == "const" else 4
        last = at + 1
        if code[last] == "(":
            continue  # what a call returns
        if code[last] == "<":
            depth = 0
            while last < len(code):
                depth += (code[last] == "<") - (code[last] == ">")
                last += 1
                if not depth:
                    break
        kernel = " ".join(code.between(at, last).split())
        said = kernel.replace('"', "'")
        code.replace(first, last, f'::emu::kernel_address("{said}", {kernel})')


def find_kernels(code: Code) -> list[Kernel]:
    """Return the kernels that a segment defines, and let those with __launch_bounds__ ask for it."""
    found = []
    for at in reversed([i for i in range(len(code)) if code[i] == "__global__"]):
        opens, bounds = at + 1, ""
        while opens < len(code) and (code[opens] != "(" or code[opens - 1] == "__launch_bounds__"):
            if code[opens] == "__launch_bounds__":
                a, b = split(code, opens + 2, code.close(opens + 1))[0]
                bounds = code.between(a, b)
                opens = code.close(opens + 1)
            opens += 1
        closes = code.close(opens)
        if opens >= len(code) or code[closes + 1] != "{":
            continue
        names = tuple(" ".join(code.between(a, b).split()) for a, b in split(code, opens + 1, closes, angles=True))
        template = code[at - 1] == ">" or (code[at - 1] in SPECIFIERS and code[at - 2] == ">")
        found.append(Kernel(code[opens - 1], names, template, code.line_of(at)))
        if bounds:
            check = f"{{ ::emu::launch_bounds(unsigned({bounds}), ::emu::Site{{__FILE__, __LINE__}});"
            code.replace(closes + 1, closes + 2, check)
    return found[::-1]


PTX = (  # an instruction, and what it is here; {} is its output
    (r"mov\.u32\s+%0\s*,\s*%+laneid", "({}) = ::emu::lane_id()"),
    (r"mov\.u32\s+%0\s*,\s*%+warpid", "({}) = ::emu::warp_id()"),
    (r"mov\.u32\s+%0\s*,\s*%+smid", "({}) = 0"),
    (r"mov\.u64\s+%0\s*,\s*%+(globaltimer|clock64)", "({}) = ::emu::ticks()"),
    (r"mov\.u32\s+%0\s*,\s*%+clock", "({}) = unsigned(::emu::ticks())"),
    (r"membar\.(gl|sys)", "__threadfence()"),
    (r"membar\.cta", "__threadfence_block()"),
    (r"bar\.sync\s+0", "__syncthreads()"),
)


def rewrite_ptx(code: Code) -> None:
    """Write the few instructions that are known here as calls; any other is an error where it is compiled."""
    for at in reversed([i for i in range(len(code)) if code[i] in ("asm", "__asm__", "__asm")]):
        opens = at + 1
        while code[opens] in ("volatile", "__volatile__", "__volatile"):
            opens += 1
        if code[opens] != "(":
            continue
        closes = code.close(opens)
        said = "".join(code[i].strip('"') for i in range(opens + 1, closes) if code.kind(i) == "string")
        instruction = code[opens + 1].strip('"')
        if not instruction.strip():
            continue  # a barrier for the compiler alone
        twin = next((made for form, made in PTX if re.match(form, instruction.strip(" ;{"))), None)
        outputs = [i for i in range(opens, closes) if code[i] == "(" and i > opens and code.kind(i - 1) == "string"]
        if twin is None:
            said = " ".join(said.replace("\\n", " ").replace("\\t", " ").split())[:60].replace('"', "'")
            text = f'EMU_NOT_SUPPORTED("inline PTX: {said}")'.replace("\\", "/")
        elif "{}" in twin:
            text = twin.format(code.between(outputs[0] + 1, code.close(outputs[0])))
        else:
            text = twin
        code.replace(at, closes + 1, text)


# --------------------------------------------------------------------------------------------------------- files


class Translator:
    """Translates a file and, where it includes them, the user's own headers.

    folders: of -I, where headers are searched after the folder of the file that includes them.
    target: where translated headers are written.
    """

    def __init__(self, folders: Sequence[Path], target: Path) -> None:
        self.folders = folders
        self.target = target
        self.headers: dict[Path, Path] = {}
        self.kernels: list[Kernel] = []
        self.volatile = False
        self.names: set[str] = set()  # of kernels, those that are only declared among them

    def translate(self, path: Path) -> Translation:
        """Return a translated file; the headers that it includes are written."""
        text = self.text_of(path)
        return Translation(text, tuple(self.kernels), self.volatile, tuple(self.headers))

    def text_of(self, path: Path) -> str:
        """Return the translated text of one file."""
        source = path.read_text("utf-8", errors="surrogateescape").replace("\r\n", "\n").removeprefix("\ufeff")
        self.names |= set(NAME_OF_KERNEL.findall(source))
        made, line = [f'#line 1 "{str(path).replace(chr(34), "")}"\n'], 1
        for directive, text in segments(source):
            made.append(self.directive(text, path, line) if directive else self.code(text, line))
            line += text.count("\n")
        return "".join(made)

    def code(self, text: str, line: int, whole: bool = True) -> str:
        """Return the translation of a piece of code."""
        code = Code(text, line)
        rewrite_addresses(code, self.names)
        self.volatile |= any(code[i] == "volatile" and code[i - 1] not in ("asm", "__asm__") for i in range(len(code)))
        rewrite_ptx(code)
        self.kernels += find_kernels(code)
        if whole:
            rewrite_device_variables(code)
        rewrite_shared(code)
        rewrite_launches(code)
        return code.text()

    def directive(self, text: str, path: Path, line: int) -> str:
        """Return the translation of a preprocessor's line."""
        lines = "\n" * text.count("\n")
        include = re.match(r'#\s*include\s*(?:<([^>]+)>|"([^"]+)")', text)
        if include is None:
            if HOST_OR_DEVICE.fullmatch(text):
                raise Refused(path, line, "code that differs between host and device (#ifdef __CUDA_ARCH__)")
            return self.code(text, line, whole=False) if re.match(r"#\s*define", text) else text
        name = include[1] or include[2]
        header = self.find(name, path, quoted=include[1] is None)
        if header is not None:
            return f'#include "{self.header(header)}"{lines}'
        if DROPPED.fullmatch(name):
            return lines
        if LIBRARIES.match(name):
            return f"#error tinymed: not supported: {name}{lines}"
        return text

    def find(self, name: str, path: Path, quoted: bool) -> Path | None:
        """Return the user's own header of this name, or None."""
        folders = [path.parent, *self.folders] if quoted else list(self.folders)
        return next((f / name for f in folders if (f / name).is_file()), None)

    def header(self, path: Path) -> Path:
        """Return where the translation of a header lies; it is made once."""
        path = path.resolve()
        if path not in self.headers:
            self.headers[path] = self.target / f"{len(self.headers)}-{path.name}"
            self.headers[path].write_text(self.text_of(path), "utf-8", errors="surrogateescape")
        return self.headers[path]
