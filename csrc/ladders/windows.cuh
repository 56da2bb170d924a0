// A convolution as the product of the matrix of windows, which is never stored, and the filters: "implicit GEMM", for
// the kernels of the *_tile.cuh beside it.
#pragma once
#include "conv.cuh"

namespace ladder {
struct Windows {
    static constexpr bool A_DEEP = true, B_DEEP = false;
    const float *left, *right;  // x and the weight
    float* out;
    Conv s;
    int rows, columns, depth;
    bool wide;  // four neighbours can be moved at once: channels of a pixel, filters of a tap
    __device__ float a(int p, int k) const { return s.window(left, p, k); }
    __device__ float b(int k, int o) const { return right[k * columns + o]; }
    __device__ float& y(int p, int o) const { return out[p * columns + o]; }
    __device__ const float* a_at(int p, int k) const { return s.seen(left, p, k); }
    __device__ const float* b_at(int k, int o) const { return right + k * columns + o; }
};
inline Windows windows(const Out<float>& y, const In<float>& x, const In<float>& weight, const Conv& s) {
    bool wide =
        s.channels % 4 == 0 && s.filters % 4 == 0 && x.aligned(16) && weight.aligned(16) && y.aligned(16);
    return {x.data, weight.data, y.data, s, s.places(), s.filters, s.taps(), wide};
}
}  // namespace ladder
