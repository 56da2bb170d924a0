// Four neighbouring numbers of an operand at once, and the product of four by four: what the rungs from float4 on
// share.
//
// Operands as in matrices.cuh and windows.cuh: a lies along the depth, b along the columns.
#pragma once
#include "launch.h"

namespace ladder {
__device__ __forceinline__ float4 read_four(const float* from) {
    return from ? *reinterpret_cast<const float4*>(from) : make_float4(0, 0, 0, 0);
}

// Row m of a at depths k, k + 1, k + 2, k + 3; zeros beyond the ends.
template <class P>
__device__ __forceinline__ float4 four_of_a(const P& p, int m, int k) {
    if (m >= p.rows || k >= p.depth) return make_float4(0, 0, 0, 0);
    if (p.wide) return read_four(p.a_at(m, k));
    return make_float4(p.a(m, k), k + 1 < p.depth ? p.a(m, k + 1) : 0, k + 2 < p.depth ? p.a(m, k + 2) : 0,
                       k + 3 < p.depth ? p.a(m, k + 3) : 0);
}

// Depth k of b in columns n, n + 1, n + 2, n + 3.
template <class P>
__device__ __forceinline__ float4 four_of_b(const P& p, int k, int n) {
    if (n >= p.columns || k >= p.depth) return make_float4(0, 0, 0, 0);
    if (p.wide) return read_four(p.b_at(k, n));
    return make_float4(p.b(k, n), n + 1 < p.columns ? p.b(k, n + 1) : 0, n + 2 < p.columns ? p.b(k, n + 2) : 0,
                       n + 3 < p.columns ? p.b(k, n + 3) : 0);
}

// sum[i][j] += a[i] b[j]
__device__ __forceinline__ void multiply_four(float (*sum)[4], float4 a, float4 b) {
    const float x[4] = {a.x, a.y, a.z, a.w}, w[4] = {b.x, b.y, b.z, b.w};
#pragma unroll
    for (int i = 0; i < 4; ++i)
#pragma unroll
        for (int j = 0; j < 4; ++j) sum[i][j] += x[i] * w[j];
}

template <class P>
__device__ __forceinline__ void write_four(const P& p, int m, int n, const float (*sum)[4]) {
#pragma unroll
    for (int i = 0; i < 4; ++i) {
        if (m + i >= p.rows || n >= p.columns) return;
        if (p.wide) {
            *reinterpret_cast<float4*>(&p.y(m + i, n)) = make_float4(sum[i][0], sum[i][1], sum[i][2], sum[i][3]);
        } else {
#pragma unroll
            for (int j = 0; j < 4; ++j)
                if (n + j < p.columns) p.y(m + i, n + j) = sum[i][j];
        }
    }
}
}  // namespace ladder
