"""GPUs that the timing model knows: numbers of NVIDIA's white papers and of the programming guide's table of limits."""

from dataclasses import dataclass


@dataclass(frozen=True)
class GPU:
    """One GPU.

    Args:
        arch: Its machine code, "86" for sm_86.
        sms: Multiprocessors.
        clock: Cycles a second when it is busy.
        dram: Bytes a second of its memory.
        l2: Bytes of its second-level cache.
        l1: Bytes of a multiprocessor's first-level cache and shared memory together.
        shared: Of these, at most for shared memory.
        threads, blocks: That a multiprocessor can hold.
        fp32, fp64, mufu, tensor: Cycles of one of the four parts of a multiprocessor for an instruction of a warp;
            tensor: for an mma.m16n8k8 in tf32.
    """

    name: str
    arch: str
    sms: int
    clock: float
    dram: float
    l2: int
    l1: int
    shared: int
    threads: int
    blocks: int
    fp32: float
    fp64: float
    tensor: float
    mufu: float = 8.0
    registers: int = 65536


KIB, MIB = 1 << 10, 1 << 20
GPUS = {
    "a100": GPU("A100 SXM 40 GB", "80", 108, 1.41e9, 1555e9, 40 * MIB, 192 * KIB, 164 * KIB, 2048, 32, 2, 4, 8),
    "h100": GPU("H100 SXM", "90", 132, 1.755e9, 3352e9, 50 * MIB, 256 * KIB, 228 * KIB, 2048, 32, 1, 2, 4),
    "h200": GPU("H200 SXM", "90", 132, 1.755e9, 4800e9, 50 * MIB, 256 * KIB, 228 * KIB, 2048, 32, 1, 2, 4),
    "a6000": GPU("RTX A6000", "86", 84, 1.80e9, 768e9, 6 * MIB, 128 * KIB, 100 * KIB, 1536, 16, 1, 64, 16),
    "rtx3090": GPU("GeForce RTX 3090", "86", 82, 1.695e9, 936e9, 6 * MIB, 128 * KIB, 100 * KIB, 1536, 16, 1, 64, 32),
    "rtx3050-laptop": GPU(
        "GeForce RTX 3050 Laptop", "86", 16, 1.5e9, 192e9, 3 * MIB // 2, 128 * KIB, 100 * KIB, 1536, 16, 1, 64, 32
    ),
}
