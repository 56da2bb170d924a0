// The product of two matrices that lie row by row, for the kernels of the *_tile.cuh beside it.
#pragma once
#include "launch.h"

namespace ladder {
struct Matrices {
    static constexpr bool A_DEEP = true, B_DEEP = false;
    const float *left, *right;
    float* product;
    int rows, columns, depth;
    bool wide;  // four neighbours can be moved at once
    __device__ float a(int m, int k) const { return left[size_t(m) * depth + k]; }
    __device__ float b(int k, int n) const { return right[size_t(k) * columns + n]; }
    __device__ float& y(int m, int n) const { return product[size_t(m) * columns + n]; }
    __device__ const float* a_at(int m, int k) const { return left + size_t(m) * depth + k; }
    __device__ const float* b_at(int k, int n) const { return right + size_t(k) * columns + n; }
};
inline Matrices matrices(const Out<float>& y, const In<float>& a, const In<float>& b) {
    bool wide = a.length(1) % 4 == 0 && b.length(1) % 4 == 0 && a.aligned(16) && b.aligned(16) && y.aligned(16);
    return {a.data, b.data, y.data, a.length(0), b.length(1), a.length(1), wide};
}
}  // namespace ladder
