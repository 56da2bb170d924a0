// Image processing: windows over images [plane, row, column, channel] of bytes or float32, a thread for each number of
// the result.  A window comes as positions: at[i + t] is what tap t of pixel i's window covers, whatever the border
// rule.  Sums run tap by tap and unfused, as in the reference, so that whole numbers are rounded alike.
#pragma once
#include "elementwise.cuh"

namespace pictures {
struct Size {  // of an image
    int d, h, w, c;
    explicit Size(const Lengths& l) : d(int(l[0])), h(int(l[1])), w(int(l[2])), c(int(l[3])) {}
    __device__ int64_t at(int64_t p, int64_t i, int64_t j, int k) const { return ((p * h + i) * w + j) * c + k; }
};
struct Spot {  // where a thread stands
    int p, i, j, k;
    __device__ Spot(int64_t at, const Size& s) {
        k = modulo(at, s.c);
        at = quotient(at, s.c);
        j = modulo(at, s.w);
        at = quotient(at, s.w);
        i = modulo(at, s.h);
        p = int(quotient(at, s.h));
    }
};

// The nearest whole number, of two the even one, from 0 to white; a float as it is.
__device__ __forceinline__ void store(uint8_t* y, float v) { *y = uint8_t(fminf(fmaxf(rintf(v), 0.0f), 255.0f)); }
__device__ __forceinline__ void store(float* y, float v) { *y = v; }

// sum + weight x, not fused.
__device__ __forceinline__ float plus(float sum, float weight, float x) {
    return __fadd_rn(sum, __fmul_rn(weight, x));
}
}  // namespace pictures
