"""What a kernel is for a GPU's processors: its instructions in basic blocks, read from nvcc's machine code.

nvcc and nvdisasm need no GPU.  A block knows how many instructions of each class it has, how many bytes its accesses
move on each line of the source, and how long a warp that runs alone takes to pass it.
"""

import re
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from .build import Absent, find_nvcc, run
from .ptxas import Usage, usage

# Cycles until a result can be used, of a warp alone.  After Jia et al. 2018 (arXiv:1804.06826, Volta), Abdelkhalik et
# al. 2022 (arXiv:2208.11174, Ampere) and Luo et al. 2024 (arXiv:2402.13499, Hopper), rounded: 4 for arithmetic on all.
LATENCY = {"fp32": 4, "int": 4, "move": 4, "mufu": 18, "fp64": 16, "tensor": 18, "shared": 23, "shuffle": 23}
LATENCY |= {"convert": 14, "special": 20, "barrier": 20, "branch": 8, "constant": 30, "atomic": 60, "store": 4}
LATENCY |= {"local": 33}
CLASSES = (  # of instructions by how their names begin, the first that fits
    ("tensor", ("HMMA", "IMMA", "BMMA", "DMMA", "HGMMA")),
    ("mufu", ("MUFU",)),
    ("fp64", ("DADD", "DMUL", "DFMA", "DSETP", "DMNMX")),
    ("convert", ("F2F", "F2I", "I2F", "FRND", "I2I", "F2FP")),
    ("fp32", ("FFMA", "FADD", "FMUL", "FSETP", "FMNMX", "FSEL", "FCHK", "HFMA2", "HADD2", "HMUL2")),
    ("barrier", ("BAR", "MEMBAR", "DEPBAR", "LDGDEPBAR", "WARPSYNC", "NANOSLEEP", "ERRBAR")),
    ("global", ("LDG", "LD.", "LDGSTS")),
    ("store", ("STG", "ST.", "STL")),
    ("shared", ("LDS", "STS", "LDSM")),
    ("atomic", ("ATOM", "RED")),
    ("shuffle", ("SHFL", "VOTE", "MATCH", "REDUX")),
    ("branch", ("BRA", "EXIT", "RET", "CALL", "BSSY", "BSYNC", "BREAK", "BRX", "JMP", "YIELD", "BMOV")),
    ("constant", ("LDC", "ULDC")),
    ("local", ("LDL",)),
    ("special", ("S2R", "S2UR", "CS2R", "R2UR", "P2R", "R2P")),
    ("move", ("MOV", "UMOV", "SEL", "NOP", "PRMT")),
)
LINE = re.compile(r'//## File "([^"]+)", line (\d+)')
CODE = re.compile(r"/\*[0-9a-f]{4,}\*/\s+(@!?U?P\w+\s+)?([A-Z][\w.]*)\s*([^;]*);")
REGISTER = re.compile(r"\b(U?R\d+|U?P\d)\b")
INTRINSICS = re.compile(r"ptx\.cuh$|/(include|crt)/|\.hpp$")  # lines of what a kernel calls, not its own


@dataclass
class BasicBlock:
    """Instructions that run one after another.

    count: instructions by class.  bytes: what one lane moves by line, (file, line, shared, write).  places: how often a
    collective stands on a line, (file, line, barrier).  alone: cycles of a warp that runs alone, if loads from global
    memory took none.  slacks: for each wait for such loads the cycles of other work since they were issued, wherever
    they are waited for.  loops: the loops around it, innermost last.  follows: the blocks that a warp can go on to, not
    kept in the tables that ship.
    """

    count: dict[str, int] = field(default_factory=dict)
    bytes: dict[tuple[str, int, bool, bool], int] = field(default_factory=dict)
    places: dict[tuple[str, int, bool], int] = field(default_factory=dict)
    alone: float = 0.0
    slacks: list[float] = field(default_factory=list)
    loops: tuple[int, ...] = ()
    follows: tuple[int, ...] = ()


@dataclass
class Kernel:
    """A kernel's machine code for one GPU generation."""

    name: str
    usage: Usage
    blocks: list[BasicBlock]


@dataclass
class Instruction:
    """One line of nvdisasm, with the line of the source that it comes from."""

    name: str
    operands: str
    file: str
    line: int
    guard: str = ""

    @cached_property
    def kind(self) -> str:
        """Its class, "int" if it is none of the others."""
        return next((kind for kind, names in CLASSES if self.name.startswith(names)), "int")

    @property
    def width(self) -> int:
        """Return the bytes that a lane moves."""
        if self.name.startswith("LDSM"):
            return 4 * int(self.name[-1]) if self.name[-1].isdigit() else 4
        for suffix, width in ((".128", 16), (".64", 8), (".U8", 1), (".S8", 1), (".U16", 2), (".S16", 2)):
            if suffix in self.name:
                return width
        return 4

    @cached_property
    def registers(self) -> tuple[set[str], set[str]]:
        """Return (those it writes, those it reads), a wide operand as the registers that it covers."""
        parts = [p.strip() for p in self.operands.split(",")]
        stores = self.kind in ("store", "branch", "barrier") or self.name.startswith(("STS", "RED"))
        written = set() if stores or not parts else covered(parts[0], self.wide_result())
        read: set[str] = set(REGISTER.findall(self.guard))
        for part in parts if stores else parts[1:]:
            wide = 2 if ".64" in part else self.width // 4 if stores and "[" not in part else 1
            if self.kind == "tensor":
                wide = 4
            read |= covered(part, wide)
        return written, read

    def wide_result(self) -> int:
        """Return the registers that its result takes."""
        if self.kind in ("global", "shared", "local"):
            return max(1, self.width // 4)
        if self.kind == "tensor":
            return 4
        return 2 if "WIDE" in self.name or self.kind == "fp64" or ".64" in self.name else 1


def covered(operand: str, wide: int) -> set[str]:
    """Return the registers of an operand, each as many as it is wide."""
    found = set()
    for register in REGISTER.findall(operand):
        name, number = re.sub(r"\d+", "", register), int(re.sub(r"\D+", "", register))
        found |= {f"{name}{number + i}" for i in range(wide if name.endswith("R") else 1)}
    return found


def find_nvdisasm() -> str:
    """Return the path of nvdisasm: beside nvcc, in PATH, or in NVIDIA's wheels.  Absent with what brings it."""
    wheels = [Path(p, "nvidia", w, "bin", "nvdisasm") for p in sys.path for w in ("cu13", "cuda_nvdisasm")]
    tried = [shutil.which("nvdisasm"), Path(find_nvcc()).with_name("nvdisasm"), *wheels]
    found = next((str(t) for t in tried if t and Path(t).exists()), None)
    if found is None:
        raise Absent("no nvdisasm beside nvcc or in PATH; pip install nvidia-cuda-nvdisasm brings it")
    return found


def compiled(source: Path, arch: str, options: Sequence[str] = (), entries: Sequence[str] = ("",)) -> list[Kernel]:
    """Return the kernels of a file as machine code of sm_<arch>, those whose names one of the patterns is found in.

    Absent without nvcc or nvdisasm.
    """
    with tempfile.TemporaryDirectory() as folder:
        cubin = f"{folder}/code.cubin"
        flags = ["-std=c++17", "-O3", "-lineinfo", f"-arch=sm_{arch}", "-Xptxas", "-v", "-cubin", *options]
        log = run([find_nvcc(), *flags, "-o", cubin, str(source)], f"{source.name} does not compile")
        listing = run([find_nvdisasm(), "-gi", "-c", cubin])
    used = {name: u for name, u in usage(log).items() if any(re.search(entry, name) for entry in entries)}
    return [Kernel(name, used[name], blocks_of(lines)) for name, lines in functions(listing) if name in used]


def functions(listing: str) -> Iterable[tuple[str, list[str]]]:
    """Yield the name and the lines of each function of nvdisasm's output."""
    parts = re.split(r"^\.text\.(\w+):\s*$", listing, flags=re.MULTILINE)
    for name, text in zip(parts[1::2], parts[2::2], strict=True):
        yield name, text.partition("\n\t.section")[0].splitlines()


def blocks_of(lines: Sequence[str]) -> list[BasicBlock]:
    """Return the basic blocks of a function: they begin at labels and end at branches."""
    groups: list[list[Instruction]] = [[]]
    labels: dict[str, int] = {}
    chain: list[tuple[str, int]] = []  # the place of an instruction, then of the calls that it was inlined by
    complete = False
    for text in lines:
        if match := re.match(r"^(\.L_\w+):", text):
            if groups[-1]:
                groups.append([])
            labels[match[1]] = len(groups) - 1
        elif match := LINE.search(text):
            chain = [*([] if complete else chain), (match[1], int(match[2]))]
            complete = False
        elif (match := CODE.search(text)) and not (match[1] or "").startswith("@!PT"):
            complete = True
            file, line = next((p for p in chain if not INTRINSICS.search(p[0])), ("", 0))
            one = Instruction(match[2], match[3], Path(file).name, line, match[1] or "")
            groups[-1].append(one)
            if one.name.split(".")[0] in ("BRA", "EXIT", "RET", "BRX"):
                groups.append([])
    loops = [(labels[m[1]], i) for i, g in enumerate(groups) for m in targets(g) if labels.get(m[1], i + 1) <= i]
    found = []
    for i, group in enumerate(groups):
        block = summary(group)
        block.loops = tuple(sorted({first for first, last in loops if first <= i <= last}))
        block.follows = tuple(labels[m[1]] for m in targets(group) if m[1] in labels)
        if falls_through(group) and i + 1 < len(groups):
            block.follows += (i + 1,)
        found.append(block)
    for i in range(len(groups)):
        found[i].slacks += later_waits(groups, found, i)
    return [b for b in found if b.count]


def targets(group: Sequence[Instruction]) -> Iterable["re.Match[str]"]:
    """Yield the labels that a block's branches go to."""
    for one in group:
        if one.name.startswith("BRA") and (match := re.search(r"\((\.L_\w+)\)", one.operands)):
            yield match


def falls_through(group: Sequence[Instruction]) -> bool:
    """Return whether the block after this one can follow it: unless it ends by a branch that every lane takes."""
    return not group or bool(group[-1].guard) or group[-1].name.split(".")[0] not in ("BRA", "EXIT", "RET", "BRX")


def summary(group: Sequence[Instruction]) -> BasicBlock:
    """Return what is known of a block's instructions."""
    block = BasicBlock(dict(Counter(one.kind for one in group)))
    for one in group:
        base = one.name.split(".")[0]
        if base == "LDGSTS":
            for shared in (False, True):
                add(block.bytes, (one.file, one.line, shared, shared), one.width)
        elif one.kind in ("global", "store", "shared", "atomic") and base not in ("LDL", "STL"):
            shared = base in ("LDS", "STS", "LDSM", "ATOMS")
            write = base in ("STG", "ST", "STS") or one.kind == "atomic"
            add(block.bytes, (one.file, one.line, shared, write), one.width)
        elif base in ("BAR", "SHFL", "WARPSYNC"):
            add(block.places, (one.file, one.line, base == "BAR"), 1)
    block.alone, block.slacks, _ = scoreboard(group)
    return block


def add(counts: dict[Any, int], key: Any, n: int) -> None:
    """Add to a count."""
    counts[key] = counts.get(key, 0) + n


def scoreboard(group: Sequence[Instruction]) -> tuple[float, list[float], dict[str, float]]:
    """Return what a warp alone does with a basic block, its instructions in order, one a cycle.

    An instruction is issued when what it reads is there.  Loads from global memory take no time here; the first use of
    one is a wait, to which all belong that were issued before it.

    Returns:
        The cycles; for each wait, the fewest cycles from the issue of one of its loads to its use; the cycle in which
        each register was loaded for which no instruction waits here.
    """
    now, ready = 0.0, dict[str, float]()
    flying: dict[str, tuple[float, int]] = {}  # register: when its load was issued, which wait it belongs to
    slacks: list[float] = []
    for one in group:
        written, read = one.registers
        now = max([now + 1, *(ready.get(r, 0.0) for r in read)])
        for register in read & flying.keys():
            issued, wait = flying.pop(register)
            if wait < 0:
                wait = len(slacks)
                slacks.append(now - issued)
                flying = {r: (at, wait if w < 0 else w) for r, (at, w) in flying.items()}
            slacks[wait] = min(slacks[wait], now - issued)
        if one.kind == "global" and not one.name.startswith("LDGSTS"):
            flying |= dict.fromkeys(written, (now, -1))
            continue
        for register in written:
            flying.pop(register, None)
            ready[register] = now + LATENCY.get(one.kind, 4)
        if one.kind in ("barrier", "branch"):
            now += LATENCY[one.kind]
    return now, slacks, {r: at for r, (at, wait) in flying.items() if wait < 0}


def later_waits(groups: Sequence[Sequence[Instruction]], blocks: Sequence[BasicBlock], i: int) -> list[float]:
    """Return the slacks of a block's loads that other blocks wait for, and of the copies that it waits for itself.

    The blocks that follow are searched for the first that reads what was loaded, from the end of the innermost loop on
    at its beginning.  A wait for all but n groups of cp.async has the time of n + 1 rounds of the loop.
    """
    total, _, flying = scoreboard(groups[i])
    inside = [j for j, b in enumerate(blocks) if b.loops[: len(blocks[i].loops)] == blocks[i].loops]
    after = [j for j in inside if j > i] + ([j for j in inside if j <= i] if blocks[i].loops else [])
    slacks, gone = [], total
    for j in after:
        if not flying:
            break
        for position, one in enumerate(groups[j]):
            for register in one.registers[1] & flying.keys():
                slacks.append(gone - flying.pop(register) + position)
        gone += blocks[j].alone
    slacks = [min(slacks)] if slacks else []  # one wait for all of them
    if any(one.name.startswith("LDGSTS") for group in groups for one in group):
        for one in groups[i]:
            if one.name.startswith("DEPBAR.LE") and (match := re.search(r",\s*(0x[0-9a-f]+|\d+)", one.operands)):
                slacks.append((int(match[1], 0) + 1) * sum(blocks[j].alone for j in inside))
    return slacks
