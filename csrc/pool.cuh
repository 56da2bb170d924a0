// What the kernels of pooling share: where a thread stands, the windows along an axis, sums over boxes.
#pragma once
#include "elementwise.cuh"

namespace pool {
// Element `at` of an array [., h, w, c].
struct Place {
    int b, i, j, k;
    __device__ Place(int64_t at, int h, int w, int c) {
        int64_t pixel = quotient(at, c), row = quotient(pixel, w);
        k = int(at - pixel * c), j = int(pixel - row * w), b = int(quotient(row, h)), i = int(row - int64_t(b) * h);
    }
};

struct Axis {  // of n pixels
    int n, kernel, stride, before, dilation;
    // The first of m windows that reaches as far as a pixel, and how far the pixel lies behind the start of window i.
    __device__ int first(int pixel, int m) const {
        int beyond = pixel + before - (kernel - 1) * dilation;
        return beyond > 0 ? min((beyond + stride - 1) / stride, m) : 0;
    }
    __device__ int reach(int pixel, int i) const { return pixel + before - i * stride; }
};

// Whether a value replaces the best so far: the first of equals stays, a NaN replaces any number.
__device__ __forceinline__ bool exceeds(float value, float best) { return value > best || value != value; }

// The sum over a box of an image's rows of c numbers, of V channels, row by row, to lose fewer digits.
template <int V>
__device__ __forceinline__ Neighbours<V> box_sums(const float* __restrict__ image, int top, int bottom, int left,
                                               int right, int width, int c) {
    Neighbours<V> total{};
    for (int i = top; i < bottom; ++i) {
        Neighbours<V> line{};
        for (int j = left; j < right; ++j) {
            auto v = Neighbours<V>::load(image + (int64_t(i) * width + j) * c);
#pragma unroll
            for (int k = 0; k < V; ++k) line[k] += v[k];
        }
#pragma unroll
        for (int k = 0; k < V; ++k) total[k] += line[k];
    }
    return total;
}
}  // namespace pool
