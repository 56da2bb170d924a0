// A convolution as the product of the matrix of windows, which is never stored, and the filters: "implicit GEMM", for
// the kernels of shared_tile.cuh and register_tile.cuh.
#pragma once
#include "conv.cuh"

namespace ladder {
struct Windows {
    static constexpr bool A_DEEP = true, B_DEEP = false;
    const float *x, *weight;
    float* out;
    Conv s;
    int rows, columns, depth;
    __device__ float a(int p, int k) const { return s.window(x, p, k); }
    __device__ float b(int k, int o) const { return weight[k * columns + o]; }
    __device__ float& y(int p, int o) const { return out[p * columns + o]; }
};
inline Windows windows(const Out<float>& y, const In<float>& x, const In<float>& weight, const Conv& s) {
    return {x.data, weight.data, y.data, s, s.places(), s.filters, s.taps()};
}
}  // namespace ladder
