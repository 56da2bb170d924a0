// gemm.cuh's product in float32 on the ordinary cores of any GPU.  256 threads own a tile of 64 x 64 or 128 x 128 sums,
// 4 x 4 or 8 x 8 each.  While a step is multiplied from one buffer of shared memory, the next one's operands are on
// their way to registers; a float4 brings four numbers where they lie together.
#pragma once
#include "gemm_pool.cuh"

namespace gemm {
constexpr int EXACT_THREADS = 256;

// What one thread brings of a tile: four numbers along the direction in which the operand is contiguous.
template <int SIZE, int DEPTH, bool deep>
struct Piece {
    static_assert(SIZE * DEPTH == 4 * EXACT_THREADS, "each thread brings one piece");
    int row, k;
    __device__ Piece()
        : row(deep ? threadIdx.x / (DEPTH / 4) : threadIdx.x % (SIZE / 4) * 4),
          k(deep ? threadIdx.x % (DEPTH / 4) * 4 : threadIdx.x / (SIZE / 4)) {}

    // The rows of four depths are exchanged by this: a warp that stores along the depth then meets every bank once.
    static __device__ int swizzle(int k) { return k / 4 * (128 / DEPTH); }

    template <class O>
    __device__ float4 load(const O& operand, const Spot* rows, const Spot* depths) const {
        if (operand.wide) {
            const float* p = operand.find(rows[row], depths[k]);
            return p ? *reinterpret_cast<const float4*>(p) : make_float4(0, 0, 0, 0);
        }
        auto one = [&](int i) {
            const float* p = operand.find(rows[row + (deep ? 0 : i)], depths[k + (deep ? i : 0)]);
            return p ? *p : 0.0f;
        };
        return make_float4(one(0), one(1), one(2), one(3));
    }
    __device__ void store(float (*tile)[SIZE], float4 v) const {
        int at = row ^ swizzle(k);
        if (deep)
            tile[k][at] = v.x, tile[k + 1][at] = v.y, tile[k + 2][at] = v.z, tile[k + 3][at] = v.w;
        else
            *reinterpret_cast<float4*>(&tile[k][at]) = v;
    }
};

// Tile a thread's quads of four rows: quad q lies at 64 q + 4 * (its number among 16).
template <int SIZE, int DEPTH>
__device__ void quads(float (&v)[SIZE / 16], const float (*tile)[SIZE], int k, int number) {
#pragma unroll
    for (int q = 0; q < SIZE / 64; ++q) {
        int at = (64 * q + 4 * number) ^ Piece<SIZE, DEPTH, true>::swizzle(k);
        float4 f = *reinterpret_cast<const float4*>(&tile[k][at]);
        v[4 * q] = f.x, v[4 * q + 1] = f.y, v[4 * q + 2] = f.z, v[4 * q + 3] = f.w;
    }
}

template <int ROWS, int COLUMNS, class P>
__device__ void write_exact(const P& p, const float (&sum)[ROWS / 16][COLUMNS / 16], int m0, int n0) {
    int ty = threadIdx.x / 16, tx = threadIdx.x % 16;
#pragma unroll
    for (int i = 0; i < ROWS / 16; ++i) {
        int m = m0 + i / 4 * 64 + ty * 4 + i % 4;
        if (m >= p.rows) continue;
        float* y = p.out(m);
#pragma unroll
        for (int j = 0; j < COLUMNS / 16; j += 4) {
            int n = n0 + j * 16 + tx * 4;
            if (p.wide && n < p.columns) {
                float four[4];
#pragma unroll
                for (int e = 0; e < 4; ++e) four[e] = finished(p, sum[i][j + e], m, n + e);
                *reinterpret_cast<float4*>(y + n) = make_float4(four[0], four[1], four[2], four[3]);
            } else {
#pragma unroll
                for (int e = 0; e < 4; ++e)
                    if (n + e < p.columns) y[n + e] = finished(p, sum[i][j + e], m, n + e);
            }
        }
    }
}

template <int ROWS, int COLUMNS, int DEPTH, class P>
__global__ void __launch_bounds__(EXACT_THREADS, blocks_for(ROWS, COLUMNS)) exact_kernel(P all, bool across) {
    __shared__ Spots<ROWS, COLUMNS, DEPTH> spots;
    __shared__ __align__(16) float as[2][DEPTH][ROWS], bs[2][DEPTH][COLUMNS];
    const P p = all.part(blockIdx.z);
    int m0 = row_tile(across) * ROWS, n0 = column_tile(across) * COLUMNS, steps = (p.end - p.begin + DEPTH - 1) / DEPTH;
    if (m0 >= p.rows) return;  // a part smaller than the largest
    Piece<ROWS, DEPTH, decltype(p.a)::DEEP> a;
    Piece<COLUMNS, DEPTH, decltype(p.b)::DEEP> b;
    float sum[ROWS / 16][COLUMNS / 16] = {};

    spots.look_up_rows(p, m0, n0, EXACT_THREADS);
    spots.look_up_depth(p, 0);
    spots.look_up_depth(p, 1);
    __syncthreads();
    a.store(as[0], a.load(p.a, spots.a_row, spots.a_depth[0]));
    b.store(bs[0], b.load(p.b, spots.b_row, spots.b_depth[0]));
    __syncthreads();
    for (int step = 0; step < steps; ++step) {
        int now = step % 2, next = 1 - now;
        float4 va, vb;
        if (step + 1 < steps) {  // on their way while this step is multiplied
            va = a.load(p.a, spots.a_row, spots.a_depth[next]);
            vb = b.load(p.b, spots.b_row, spots.b_depth[next]);
            spots.look_up_depth(p, step + 2);
        }
#pragma unroll
        for (int k = 0; k < DEPTH; ++k) {
            float x[ROWS / 16], w[COLUMNS / 16];
            quads<ROWS, DEPTH>(x, as[now], k, threadIdx.x / 16);
            quads<COLUMNS, DEPTH>(w, bs[now], k, threadIdx.x % 16);
#pragma unroll
            for (int i = 0; i < ROWS / 16; ++i)
#pragma unroll
                for (int j = 0; j < COLUMNS / 16; ++j) sum[i][j] += x[i] * w[j];
        }
        if (step + 1 < steps) a.store(as[next], va), b.store(bs[next], vb);
        __syncthreads();
    }
    if constexpr (POOLS<P>)
        pool_exact<ROWS, COLUMNS>(p, sum, m0, n0);
    else
        write_exact<ROWS, COLUMNS>(p, sum, m0, n0);
}
}  // namespace gemm
