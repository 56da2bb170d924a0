// 32 queries of one head against keys 64 at a time, 4 x 4 scores and then 4 x 4 numbers of y a thread: what rungs 4 and
// 5 of attention share.
#pragma once
#include "heads.cuh"

namespace ladder {
constexpr int QUERIES = 32, KEYS = 64, SIDE = 16, ATTENTION_THREADS = QUERIES / 4 * SIDE;
constexpr int LANES = ATTENTION_THREADS / QUERIES;  // threads that share a row of the softmax

struct AttentionTile {
    float q[QUERIES][MOST_SIZE + 1], kv[KEYS][MOST_SIZE + 1];  // keys, then values in their place
    float weights[QUERIES][KEYS + 4];  // four words more: eight rows by four lanes of the softmax lie in 32 banks
    float top[QUERIES], total[QUERIES], shrink[QUERIES];
};

// Rows from `first` on, zeros from row `rows` and beyond a row's size.
template <int count>
__device__ void load_rows(float (*to)[MOST_SIZE + 1], const float* from, int first, int rows, int size) {
    for (int i = threadIdx.x; i < count * MOST_SIZE; i += ATTENTION_THREADS) {
        int row = i / MOST_SIZE, e = i % MOST_SIZE;
        to[row][e] = first + row < rows && e < size ? from[(first + row) * size + e] : 0;
    }
}

// Turn a tile of scores into weights e^(score - top): LANES neighbouring threads a row.
__device__ inline void soften(AttentionTile& s) {
    int row = threadIdx.x / LANES, lane = threadIdx.x % LANES;
    float before = s.top[row], top = before, sum = 0;
    for (int j = lane; j < KEYS; j += LANES) top = s.weights[row][j] > top ? s.weights[row][j] : top;
    for (int d = LANES / 2; d; d /= 2) {
        float other = __shfl_xor_sync(~0u, top, d);
        top = other > top ? other : top;
    }
    for (int j = lane; j < KEYS; j += LANES) {
        float weight = expf(s.weights[row][j] - top);
        sum += weight;
        s.weights[row][j] = weight;
    }
    for (int d = LANES / 2; d; d /= 2) sum += __shfl_xor_sync(~0u, sum, d);
    __syncwarp();  // all lanes of the row have read its top
    if (lane) return;
    s.shrink[row] = expf(before - top);
    s.total[row] = s.total[row] * s.shrink[row] + sum;
    s.top[row] = top;
}

// y[i][c] becomes the weighted sum of the values of keys `first` to `last`, not yet divided by s.total: of query
// threadIdx.x / SIDE + 8 i, number threadIdx.x % SIDE + SIDE c.
__device__ inline void attend(AttentionTile& s, float (&y)[4][4], const Head& h, int q0, int first, int last) {
    int t = threadIdx.x, tx = t % SIDE, ty = t / SIDE;
    load_rows<QUERIES>(s.q, h.q, q0, h.queries, h.size);
    if (t < QUERIES) s.top[t] = -INFINITY, s.total[t] = 0;
    for (int k0 = first; k0 < last; k0 += KEYS) {
        float score[4][4] = {};
        __syncthreads();
        load_rows<KEYS>(s.kv, h.k, k0, last, h.size);
        __syncthreads();
        for (int e = 0; e < h.size; ++e) {
            float query[4], key[4];
#pragma unroll
            for (int i = 0; i < 4; ++i) query[i] = s.q[ty + 8 * i][e], key[i] = s.kv[tx + SIDE * i][e];
#pragma unroll
            for (int i = 0; i < 4; ++i)
#pragma unroll
                for (int j = 0; j < 4; ++j) score[i][j] += query[i] * key[j];
        }
#pragma unroll
        for (int i = 0; i < 4; ++i)
#pragma unroll
            for (int j = 0; j < 4; ++j)
                s.weights[ty + 8 * i][tx + SIDE * j] = k0 + tx + SIDE * j < last ? score[i][j] * h.scale : -INFINITY;
        __syncthreads();
        load_rows<KEYS>(s.kv, h.v, k0, last, h.size);
        soften(s);
        __syncthreads();
#pragma unroll
        for (int i = 0; i < 4; ++i) {
            float shrink = s.shrink[ty + 8 * i];
#pragma unroll
            for (int c = 0; c < 4; ++c) y[i][c] *= shrink;
        }
        for (int j = 0; j < KEYS; ++j) {
            float weight[4], value[4];
#pragma unroll
            for (int i = 0; i < 4; ++i) weight[i] = s.weights[ty + 8 * i][j], value[i] = s.kv[j][tx + SIDE * i];
#pragma unroll
            for (int i = 0; i < 4; ++i)
#pragma unroll
                for (int c = 0; c < 4; ++c) y[i][c] += weight[i] * value[c];
        }
    }
    __syncthreads();
}
}  // namespace ladder
