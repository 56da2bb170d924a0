// Which kernel multiplies: the number that tinymed/cuda/tiles.py chooses by shape and precision.
#pragma once
#include "gemm_exact.cuh"
#include "gemm_tf32.cuh"

namespace gemm {
enum Choice { EXACT_64, EXACT_128, TF32_64, TF32_128x32, TF32_128x64, TF32_128 };

template <int ROWS, int COLUMNS, int DEPTH, class P>
void run_exact(const P& p, int rows, int parts, cudaStream_t stream) {
    LAUNCH((exact_kernel<ROWS, COLUMNS, DEPTH, P>), dim3(blocks(rows, ROWS), blocks(p.columns, COLUMNS), parts),
           EXACT_THREADS, 0, stream, p);
}

template <int ROWS, int COLUMNS, int WARP_ROWS, class P>
void run_tf32(const P& p, int rows, int parts, cudaStream_t stream) {
    LAUNCH((tf32_kernel<ROWS, COLUMNS, WARP_ROWS, P>), dim3(blocks(rows, ROWS), blocks(p.columns, COLUMNS), parts),
           ROWS / WARP_ROWS * COLUMNS, STAGES * sizeof(Stage<P, ROWS, COLUMNS>), stream, p);
}

// rows: of the largest part.  parts: how many blockIdx.z stands for.
template <class P>
void run(const char* op, int choice, const P& p, int64_t rows, int64_t parts, cudaStream_t stream) {
    require(parts <= 65535, op, ": ", parts, " groups, phases and parts of a sum; a grid takes 65535");
    require(rows < 1 << 30, op, ": ", rows, " rows; it takes fewer than 2^30");
    int m = int(rows), z = int(parts);
    switch (choice) {
        case EXACT_64: return run_exact<64, 64, 16>(p, m, z, stream);
        case EXACT_128: return run_exact<128, 128, 8>(p, m, z, stream);
        case TF32_64: return run_tf32<64, 64, 32>(p, m, z, stream);
        case TF32_128x32: return run_tf32<128, 32, 32>(p, m, z, stream);
        case TF32_128x64: return run_tf32<128, 64, 64>(p, m, z, stream);
        case TF32_128: return run_tf32<128, 128, 64>(p, m, z, stream);
    }
    require(false, op, ": no kernel has the number ", choice);
}
}  // namespace gemm
