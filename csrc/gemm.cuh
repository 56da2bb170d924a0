// A matrix product as matmul and convolution share it: y[m][n] = sum over k of a(m, k) b(k, n), where an operand need
// not lie in memory as a matrix.  An element's place is the sum of two `Spot`s, one of its row, one of its depth k:
//
//     matrix        offset = row * stride + k
//     convolution   offset and pixel of a place of the window + those of a tap: outside of the image the element is 0
//
// A block looks its rows up once and a few depths ahead at each step, so the loops over k neither divide nor know what
// they multiply.  gemm_exact.cuh multiplies in float32, gemm_mma.cuh on tensor cores: float32 rounded to tf32, or
// numbers of bfloat16, which mixed.cu has packed (bf16.cuh).
//
// A problem P holds the operands `a` and `b` and says
//     rows, columns, begin, end    the size of the product; the depths that are summed
//     part(z)                      itself, narrowed to what blockIdx.z stands for: a group, a phase, some depths
//     out(m)                       where row m of the result begins, null if zeros of a packed operand made it; `wide`
//                                  if it may be written in fours
//     finish(v, n)                 what becomes of a sum: a bias, ReLU; finish(v, m, n), and PLACED, where the row
//                                  matters
#pragma once
#include "bf16.cuh"

namespace gemm {
constexpr int blocks_for(int rows, int columns) { return rows * columns <= 4096 ? 4 : 2; }  // of a multiprocessor
constexpr int OUTSIDE = -(1 << 30);  // a pixel that no other spot brings back into an image

// The tile of a block: rows fastest, or columns fastest if `across`, so that the blocks that read a panel of `a` run
// together and it comes from memory once (tinymed/cuda/tiles.py says where that pays).
__device__ __forceinline__ int row_tile(bool across) { return across ? blockIdx.y : blockIdx.x; }
__device__ __forceinline__ int column_tile(bool across) { return across ? blockIdx.x : blockIdx.y; }

struct alignas(16) Spot {
    int offset, y, x, z;  // z: of volumes alone
};

template <class T>
constexpr int WIDE = 16 / int(sizeof(T));  // numbers of one access

template <class T>
struct Operand {
    using Number = T;  // float, or bfloat16 as bits
    const T* data;
    int height, width;  // of the image; 1 and 1 for a matrix
    bool wide;          // WIDE neighbours along the direction that is contiguous are one aligned access, or all outside
    __device__ __forceinline__ const T* find(Spot row, Spot depth) const {  // copies: one 16-byte access each
        bool inside = unsigned(row.y + depth.y) < unsigned(height) && unsigned(row.x + depth.x) < unsigned(width);
        return inside ? data + (row.offset + depth.offset) : nullptr;
    }
};

// A matrix, contiguous along the depth (deep) or along its rows; `stride` numbers from one line to the next.
template <class T, bool deep>
struct Matrix : Operand<T> {
    static constexpr bool DEEP = deep;
    int stride;
    __device__ __forceinline__ Spot row(int i) const { return {deep ? i * stride : i, 0, 0, 0}; }
    __device__ __forceinline__ Spot depth(int k) const { return {deep ? k : k * stride, 0, 0, 0}; }
};

template <class T>
bool wide(const T* data, int stride, int contiguous) {
    return reinterpret_cast<uintptr_t>(data) % 16 == 0 && stride % WIDE<T> == 0 && contiguous % WIDE<T> == 0;
}

template <bool deep, class T>
Matrix<T, deep> matrix(const T* data, int stride, int contiguous) {
    return {{data, 1, 1, wide(data, stride, contiguous)}, stride};
}

template <class O>
__device__ __forceinline__ Spot row_spot(const O& operand, int i, int rows) {
    return i < rows ? operand.row(i) : Spot{0, OUTSIDE, OUTSIDE, 0};
}
template <class O>
__device__ __forceinline__ Spot depth_spot(const O& operand, int k, int end) {
    return k < end ? operand.depth(k) : Spot{0, OUTSIDE, OUTSIDE, 0};
}

template <class P, class = void>
constexpr bool PLACES = false;
template <class P>
constexpr bool PLACES<P, std::void_t<decltype(P::PLACED)>> = true;

template <class P>
__device__ __forceinline__ float finished(const P& p, float v, int m, int n) {
    if constexpr (PLACES<P>)
        return p.finish(v, m, n);
    else
        return p.finish(v, n);
}

// The spots of a block's tile.  Depths are looked up two steps ahead: those of step s lie in slot s % 2.
template <int ROWS, int COLUMNS, int DEPTH>
struct Spots {
    Spot a_row[ROWS], b_row[COLUMNS], a_depth[2][DEPTH], b_depth[2][DEPTH];

    template <class P>
    __device__ void look_up_rows(const P& p, int m0, int n0, int threads) {
        for (int i = threadIdx.x; i < ROWS; i += threads) a_row[i] = row_spot(p.a, m0 + i, p.rows);
        for (int i = threadIdx.x; i < COLUMNS; i += threads) b_row[i] = row_spot(p.b, n0 + i, p.columns);
    }
    template <class P>
    __device__ void look_up_depth(const P& p, int step) {
        int t = threadIdx.x, k = p.begin + step * DEPTH + t % 32;
        if (t % 32 >= DEPTH) return;
        if (t < 32)
            a_depth[step % 2][t] = depth_spot(p.a, k, p.end);  // by one warp,
        else if (t < 64)
            b_depth[step % 2][t - 32] = depth_spot(p.b, k, p.end);  // and by another
    }
};
}  // namespace gemm
