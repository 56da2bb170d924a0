// Which kernel multiplies: the number that tinymed/cuda/tiles.py chooses by shape and precision.
#pragma once
#include "gemm_exact.cuh"
#include "gemm_mma.cuh"

namespace gemm {
enum Choice { EXACT_64, EXACT_128, TF32, BF16 = TF32 + 4 };  // TF32 and BF16: the first of their four

// A flag beside the number: blocks go across the columns first.
constexpr int ACROSS = 16;

struct Blocks {  // of a launch: rows of the largest part, and what blockIdx.z stands for
    int rows, parts;
    bool across;
    dim3 grid(int height, int columns, int width) const {
        unsigned down = blocks(rows, height), wide = blocks(columns, width);
        return across ? dim3(wide, down, parts) : dim3(down, wide, parts);
    }
};

template <int ROWS, int COLUMNS, int DEPTH, class P>
void run_exact(const P& p, const Blocks& all, cudaStream_t stream) {
    LAUNCH((exact_kernel<ROWS, COLUMNS, DEPTH, P>), all.grid(ROWS, p.columns, COLUMNS), EXACT_THREADS, 0, stream, p,
           all.across);
}

template <int ROWS, int COLUMNS, int WARP_ROWS, class P>
void run_mma(const P& p, const Blocks& all, cudaStream_t stream) {
    dim3 grid = all.grid(ROWS, p.columns, COLUMNS);
    int threads = THREADS_OF<ROWS, WARP_ROWS, COLUMNS>;
    size_t bytes = STAGES * sizeof(Stage<P, ROWS, COLUMNS>);
    if constexpr (sizeof(Number<P>) == 4)
        LAUNCH((tf32_kernel<ROWS, COLUMNS, WARP_ROWS, P>), grid, threads, bytes, stream, p, all.across);
    else
        LAUNCH((bf16_kernel<ROWS, COLUMNS, WARP_ROWS, P>), grid, threads, bytes, stream, p, all.across);
}

// rows: of the largest part.  parts: how many blockIdx.z stands for.
template <class P>
void run(const char* op, int choice, const P& p, int64_t rows, int64_t parts, cudaStream_t stream) {
    require(parts <= 65535, op, ": ", parts, " groups, phases and parts of a sum; a grid takes 65535");
    require(rows < 1 << 30, op, ": ", rows, " rows; it takes fewer than 2^30");
    Blocks all{int(rows), int(parts), (choice & ACROSS) != 0};
    choice &= ~ACROSS;
    require(!all.across || rows <= 65535 * 64, op, ": ", rows, " rows across the columns; a grid takes 65535 tiles");
    constexpr bool FLOAT = sizeof(Number<P>) == 4;
    if constexpr (FLOAT) {
        if (choice == EXACT_64) return run_exact<64, 64, 16>(p, all, stream);
        if (choice == EXACT_128) return run_exact<128, 128, 8>(p, all, stream);
    } else {
        require(p.a.wide && p.b.wide, op, ": packed operands begin at a multiple of 16 bytes");
    }
    switch (choice - (FLOAT ? TF32 : BF16)) {
        case 0: return run_mma<64, 64, 32>(p, all, stream);
        case 1: return run_mma<128, 32, 32>(p, all, stream);
        case 2: return run_mma<128, 64, 64>(p, all, stream);
        case 3: return run_mma<128, 128, 64>(p, all, stream);
    }
    require(false, op, ": no kernel has the number ", choice);
}
}  // namespace gemm
