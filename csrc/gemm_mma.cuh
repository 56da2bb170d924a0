// gemm.cuh's product on tensor cores, sums in float32: operands of float32 rounded to tf32, or of bfloat16 (bf16.cuh).
// A warp owns 32 x 32 or 64 x 32 sums as tiles of 16 x 8; three stages of operands are in shared memory or on their way
// there by cp.async.  Compute capability 8.0.
//
// A tile lies as its operand does, so a copy moves 16 bytes: [row][k] if contiguous along the depth, then ldmatrix
// brings a fragment in one instruction, else [k][row]; bfloat16 is transposed by ldmatrix on its way from there.  A
// stage is 64 bytes of depth, and the layouts are the same for both, word by word.  Rows are padded: no two lanes of a
// fragment share a bank.
#pragma once
#include "gemm_pool.cuh"
#include "ptx.cuh"

namespace gemm {
constexpr int STAGES = 3;
template <class T>
constexpr int STEP = 64 / int(sizeof(T));  // depth of a stage: two products,
template <class T>
constexpr int DEPTH = STEP<T> / 2;  // of depth 8 or 16

template <class T, int SIZE, bool deep>
struct Tile {
    static constexpr int STEP = gemm::STEP<T>, WIDE = gemm::WIDE<T>;
    static constexpr int PITCH = deep ? STEP + WIDE : SIZE + 8;
    static constexpr bool FLOAT = sizeof(T) == 4;
    alignas(16) T number[deep ? SIZE * PITCH : STEP * PITCH];

    __device__ T* at(int row, int k) { return number + (deep ? row * PITCH + k : k * PITCH + row); }
    __device__ const T* at(int row, int k) const { return number + (deep ? row * PITCH + k : k * PITCH + row); }

    // The rows whose numbers a thread copies are the same at every step, if it copies along the depth: it looks them up
    // once.
    template <int THREADS>
    struct Held {
        static constexpr int COUNT = deep ? SIZE * STEP / WIDE / THREADS : 1;
        Spot spot[COUNT];
        __device__ void look_up(const Spot* rows) {
#pragma unroll
            for (int n = 0; n < COUNT; ++n) {
                int i = n * THREADS + threadIdx.x;
                spot[n] = rows[deep ? i / (STEP / WIDE) : i % (SIZE / WIDE) * WIDE];
            }
        }
    };

    // Start copying this step's numbers, neighbouring lanes along the direction in which they are contiguous.
    template <int THREADS, class O>
    __device__ void fetch(const O& operand, const Held<THREADS>& held, const Spot* rows, const Spot* depths) {
        constexpr int LINE = deep ? STEP : SIZE;
        if (!FLOAT || operand.wide) {  // bfloat16 always is: it was packed so
            Spot depth = depths[deep ? threadIdx.x % (LINE / WIDE) * WIDE : 0];
#pragma unroll
            for (int n = 0; n < SIZE * STEP / WIDE / THREADS; ++n) {
                int i = n * THREADS + threadIdx.x, along = i % (LINE / WIDE) * WIDE, line = i / (LINE / WIDE);
                int row = deep ? line : along, k = deep ? along : line;
                if (!deep) depth = depths[k];
                const T* p = operand.find(held.spot[deep ? n : 0], depth);
                cp_async16(at(row, k), p ? p : operand.data, p);
            }
        } else {
#pragma unroll 4
            for (int n = 0; n < SIZE * STEP / THREADS; ++n) {
                int i = n * THREADS + threadIdx.x, along = i % LINE, line = i / LINE;
                int row = deep ? line : along, k = deep ? along : line;
                const T* p = operand.find(rows[row], depths[k]);
                cp_async4(at(row, k), p ? p : operand.data, p);
            }
        }
    }

    static __device__ void round(float (&v)[4]) {
        if (!FLOAT) return;
#pragma unroll
        for (float& one : v) one = to_tf32(one);
    }

    // The 16 x DEPTH fragment of rows row0.. and depths k..: what ptx.cuh calls a.
    __device__ void fragment(float (&a)[4], int row0, int k) const {
        int lane = threadIdx.x % 32;
        if constexpr (deep) {
            ldmatrix_x4(a, at(row0 + lane % 16, k + lane / 16 * WIDE));
        } else if constexpr (FLOAT) {
#pragma unroll
            for (int r = 0; r < 4; ++r) a[r] = *at(row0 + lane / 4 + r % 2 * 8, k + lane % 4 + r / 2 * 4);
        } else {
            ldmatrix_x4_trans(a, at(row0 + lane / 8 % 2 * 8, k + lane % 8 + lane / 16 * 8));
        }
        round(a);
    }

    // Two DEPTH x 8 fragments of columns column0.. and column0 + 8..: what ptx.cuh calls b.
    __device__ void fragments(float (&b)[2][2], int column0, int k) const {
        int lane = threadIdx.x % 32;
        float v[4];
        if constexpr (deep) {
            ldmatrix_x4(v, at(column0 + lane % 8 + lane / 16 * 8, k + lane / 8 % 2 * WIDE));
        } else if constexpr (FLOAT) {
#pragma unroll
            for (int r = 0; r < 4; ++r) v[r] = *at(column0 + lane / 4 + r / 2 * 8, k + lane % 4 + r % 2 * 4);
        } else {
            ldmatrix_x4_trans(v, at(column0 + lane / 16 * 8, k + lane % 8 + lane / 8 % 2 * 8));
        }
        round(v);
#pragma unroll
        for (int r = 0; r < 4; ++r) b[r / 2][r % 2] = v[r];
    }
};

// Two neighbouring sums of a row.
template <class P>
__device__ void write_pair(const P& p, int m, int n, float left, float right) {
    if (m >= p.rows || n >= p.columns) return;
    float* y = p.out(m);
    if (!y) return;
    y += n;
    if (p.wide) {
        *reinterpret_cast<float2*>(y) = make_float2(finished(p, left, m, n), finished(p, right, m, n + 1));
    } else {
        y[0] = finished(p, left, m, n);
        if (n + 1 < p.columns) y[1] = finished(p, right, m, n + 1);
    }
}

template <class P>
using Number = typename decltype(P::a)::Number;

template <class P, int ROWS, int COLUMNS>
struct Stage {
    Tile<Number<P>, ROWS, decltype(P::a)::DEEP> a;
    Tile<Number<P>, COLUMNS, decltype(P::b)::DEEP> b;
};

// The sums of a warp's WARP_ROWS x 32 tile over one stage.
template <class T, class S, int TILES>
__device__ void multiply(float (&sum)[TILES][4][4], const S& stage, int row0, int column0) {
#pragma unroll
    for (int k = 0; k < STEP<T>; k += DEPTH<T>) {
        float a[TILES][4], b[2][2][2];
#pragma unroll
        for (int i = 0; i < TILES; ++i) stage.a.fragment(a[i], row0 + 16 * i, k);
#pragma unroll
        for (int j = 0; j < 2; ++j) stage.b.fragments(b[j], column0 + 16 * j, k);
#pragma unroll
        for (int i = 0; i < TILES; ++i)
#pragma unroll
            for (int j = 0; j < 4; ++j) {
                if constexpr (sizeof(T) == 4)
                    mma_m16n8k8_tf32(sum[i][j], a[i], b[j / 2][j % 2]);
                else
                    mma_m16n8k16_bf16(sum[i][j], a[i], b[j / 2][j % 2]);
            }
    }
}

template <int ROWS, int WARP_ROWS, int COLUMNS>
constexpr int THREADS_OF = ROWS / WARP_ROWS * COLUMNS;  // a warp for every 32 columns

template <int ROWS, int COLUMNS, int WARP_ROWS, class P>
__device__ __forceinline__ void multiply_block(const P& all, bool across) {
    using T = Number<P>;
    constexpr int THREADS = THREADS_OF<ROWS, WARP_ROWS, COLUMNS>, TILES = WARP_ROWS / 16, STEP = gemm::STEP<T>;
    using S = Stage<P, ROWS, COLUMNS>;
    __shared__ Spots<ROWS, COLUMNS, STEP> spots;
    DYNAMIC_SHARED(S, stages);
    const P p = all.part(blockIdx.z);
    int m0 = row_tile(across) * ROWS, n0 = column_tile(across) * COLUMNS, steps = (p.end - p.begin + STEP - 1) / STEP;
    if (m0 >= p.rows) return;  // a part smaller than the largest
    typename decltype(S::a)::template Held<THREADS> a_rows;
    typename decltype(S::b)::template Held<THREADS> b_rows;
    auto fetch = [&](int step) {
        if (step < steps) {
            S& stage = stages[step % STAGES];
            stage.a.template fetch<THREADS>(p.a, a_rows, spots.a_row, spots.a_depth[step % 2]);
            stage.b.template fetch<THREADS>(p.b, b_rows, spots.b_row, spots.b_depth[step % 2]);
        }
        cp_async_commit();  // one group a step, even an empty one, so that waiting can count them
    };
    spots.look_up_rows(p, m0, n0, THREADS);
    spots.look_up_depth(p, 0);
    spots.look_up_depth(p, 1);
    __syncthreads();
    a_rows.look_up(spots.a_row), b_rows.look_up(spots.b_row);
    fetch(0);
    fetch(1);
    __syncthreads();
    spots.look_up_depth(p, 2);

    float sum[TILES][4][4] = {};
    int warp = threadIdx.x / 32, row0 = warp % (ROWS / WARP_ROWS) * WARP_ROWS, column0 = warp / (ROWS / WARP_ROWS) * 32;
    for (int step = 0; step < steps; ++step) {
        cp_async_wait<STAGES - 2>();  // this thread's copies of this step have landed,
        __syncthreads();              // everyone's have, and everyone is done with the oldest stage
        fetch(step + 2);
        spots.look_up_depth(p, step + 3);
        multiply<T>(sum, stages[step % STAGES], row0, column0);
    }
    int lane = threadIdx.x % 32;
#pragma unroll
    for (int i = 0; i < TILES; ++i)
#pragma unroll
        for (int j = 0; j < 4; ++j) {
            int m = m0 + row0 + 16 * i + lane / 4, n = n0 + column0 + 8 * j + lane % 4 * 2;
            if constexpr (POOLS<P>) {
                pool_pair(p, m, n, sum[i][j][0], sum[i][j][1]);
                pool_pair(p, m + 8, n, sum[i][j][2], sum[i][j][3]);
            } else {
                write_pair(p, m, n, sum[i][j][0], sum[i][j][1]);
                write_pair(p, m + 8, n, sum[i][j][2], sum[i][j][3]);
            }
        }
}

// The two have names of their own: in a profile, in ptxas' output.
#define GEMM_MMA(name)                                                                                 \
    template <int ROWS, int COLUMNS, int WARP_ROWS, class P>                                           \
    __global__ void __launch_bounds__(THREADS_OF<ROWS, WARP_ROWS, COLUMNS>, blocks_for(ROWS, COLUMNS)) \
        name(P all, bool across) {                                                                     \
        multiply_block<ROWS, COLUMNS, WARP_ROWS>(all, across);                                         \
    }
GEMM_MMA(tf32_kernel)
GEMM_MMA(bf16_kernel)
#undef GEMM_MMA
}  // namespace gemm
