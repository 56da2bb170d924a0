// Which kernel multiplies: the number that tinymed/cuda/tiles.py chooses by shape and precision.
#pragma once
#include "gemm_exact.cuh"
#include "gemm_mma.cuh"

namespace gemm {
enum Choice { EXACT_64, EXACT_128, TF32, BF16 = TF32 + 4 };  // TF32 and BF16: the first of their four

template <int ROWS, int COLUMNS, int DEPTH, class P>
void run_exact(const P& p, int rows, int parts, cudaStream_t stream) {
    LAUNCH((exact_kernel<ROWS, COLUMNS, DEPTH, P>), dim3(blocks(rows, ROWS), blocks(p.columns, COLUMNS), parts),
           EXACT_THREADS, 0, stream, p);
}

template <int ROWS, int COLUMNS, int WARP_ROWS, class P>
void run_mma(const P& p, int rows, int parts, cudaStream_t stream) {
    dim3 grid(blocks(rows, ROWS), blocks(p.columns, COLUMNS), parts);
    int threads = THREADS_OF<ROWS, WARP_ROWS, COLUMNS>;
    size_t bytes = STAGES * sizeof(Stage<P, ROWS, COLUMNS>);
    if constexpr (sizeof(Number<P>) == 4)
        LAUNCH((tf32_kernel<ROWS, COLUMNS, WARP_ROWS, P>), grid, threads, bytes, stream, p);
    else
        LAUNCH((bf16_kernel<ROWS, COLUMNS, WARP_ROWS, P>), grid, threads, bytes, stream, p);
}

// rows: of the largest part.  parts: how many blockIdx.z stands for.
template <class P>
void run(const char* op, int choice, const P& p, int64_t rows, int64_t parts, cudaStream_t stream) {
    require(parts <= 65535, op, ": ", parts, " groups, phases and parts of a sum; a grid takes 65535");
    require(rows < 1 << 30, op, ": ", rows, " rows; it takes fewer than 2^30");
    int m = int(rows), z = int(parts);
    constexpr bool FLOAT = sizeof(Number<P>) == 4;
    if constexpr (FLOAT) {
        if (choice == EXACT_64) return run_exact<64, 64, 16>(p, m, z, stream);
        if (choice == EXACT_128) return run_exact<128, 128, 8>(p, m, z, stream);
    } else {
        require(p.a.wide && p.b.wide, op, ": packed operands begin at a multiple of 16 bytes");
    }
    switch (choice - (FLOAT ? TF32 : BF16)) {
        case 0: return run_mma<64, 64, 32>(p, m, z, stream);
        case 1: return run_mma<128, 32, 32>(p, m, z, stream);
        case 2: return run_mma<128, 64, 64>(p, m, z, stream);
        case 3: return run_mma<128, 128, 64>(p, m, z, stream);
    }
    require(false, op, ": no kernel has the number ", choice);
}
}  // namespace gemm
