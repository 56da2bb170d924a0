// A long sum cut into parts whose number depends on the shape alone: one launch writes the sum of each part to a
// workspace, this one adds them in order.  No atomics: the same input gives the same bits.
#pragma once
#include "bf16.cuh"

namespace split {
constexpr int WIDTH = 32, LANES = 8;

// y[i] = bias[i % columns] + sum over parts of partial[part][i], rounded to bfloat16 if asked: lane l adds parts l,
// l + 8, ...; then the eight in order.
template <int = 0>
__global__ void __launch_bounds__(WIDTH* LANES)
    add_parts_kernel(float* __restrict__ y, const float* __restrict__ partial, int size, int parts,
                     const float* __restrict__ bias, int columns, bool rounds) {
    __shared__ float sums[LANES][WIDTH];
    int tx = threadIdx.x, lane = threadIdx.y, i = blockIdx.x * WIDTH + tx;
    float sum = 0;
    if (i < size)
#pragma unroll 4
        for (int part = lane; part < parts; part += LANES) sum += partial[size_t(part) * size + i];
    sums[lane][tx] = sum;
    __syncthreads();
    if (lane || i >= size) return;
    for (int l = 1; l < LANES; ++l) sum += sums[l][tx];
    float made = sum + (bias ? bias[i % columns] : 0);
    y[i] = rounds ? bf16::rounded(made) : made;
}

inline void add_parts(const Out<float>& y, const Work<float>& partial, const float* bias, int columns,
                      cudaStream_t stream, bool rounds = false) {
    LAUNCH((add_parts_kernel<0>), blocks(y.size(), WIDTH), dim3(WIDTH, LANES), 0, stream, y.data, partial.data,
           int(y.size()), partial.length(0), bias, columns, rounds);
}

// The depths [begin, end) of a part; lengths are multiples of `grain`, so that parts keep the alignment of the whole.
struct Range {
    int begin, end;
};
__host__ __device__ inline Range range(int part, int parts, int depth, int grain) {
    int each = ((depth + parts - 1) / parts + grain - 1) / grain * grain;
    int begin = part * each < depth ? part * each : depth, end = depth - begin < each ? depth : begin + each;
    return {begin, end};
}
}  // namespace split
