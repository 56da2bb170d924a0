// Attention, rung 3: tiles of 32 keys and values in shared memory, for 32 queries.
//
// A block brings a key once for 32 queries, where rung 2 brings it for each.  A warp has eight queries, one after the
// other; a lane has one key of the tile, so that a score needs no shuffles, and a warp learns the largest of 32 scores
// at once: one correction for 32 keys.  A row of keys has a word more, since lanes read down a column.  What is left:
// two reads of shared memory for each product.
#include "heads.cuh"

namespace {
using ladder::Head;
using ladder::MOST_SIZE;
constexpr int KEYS = 32, QUERIES = 32, THREADS = 128, EACH = QUERIES * 32 / THREADS;  // EACH: queries of a warp

__global__ void __launch_bounds__(THREADS) tiles_kernel(Head h) {
    __shared__ float q[QUERIES][MOST_SIZE], k[KEYS][MOST_SIZE + 1], v[KEYS][MOST_SIZE], weights[THREADS / 32][KEYS];
    int t = threadIdx.x, warp = t / 32, lane = t % 32, q0 = blockIdx.x * QUERIES;
    for (int i = t; i < QUERIES * MOST_SIZE; i += THREADS) {
        int row = i / MOST_SIZE, e = i % MOST_SIZE;
        q[row][e] = q0 + row < h.queries && e < h.size ? h.q[(q0 + row) * h.size + e] : 0;
    }
    float top[EACH], total[EACH] = {}, y[EACH][2] = {};
    for (float& one : top) one = -INFINITY;
    for (int k0 = 0; k0 < h.keys; k0 += KEYS) {
        __syncthreads();
        for (int i = t; i < KEYS * MOST_SIZE; i += THREADS) {
            int row = i / MOST_SIZE, e = i % MOST_SIZE;
            bool inside = k0 + row < h.keys && e < h.size;
            k[row][e] = inside ? h.k[(k0 + row) * h.size + e] : 0;
            v[row][e] = inside ? h.v[(k0 + row) * h.size + e] : 0;
        }
        __syncthreads();
#pragma unroll
        for (int i = 0; i < EACH; ++i) {
            const float* query = q[warp * EACH + i];
            float score = 0;
            for (int e = 0; e < h.size; ++e) score += query[e] * k[lane][e];
            score = k0 + lane < h.keys ? score * h.scale : -INFINITY;
            float above = score > top[i] ? score : top[i];
            for (int d = 16; d; d /= 2) {
                float other = __shfl_xor_sync(~0u, above, d);
                above = other > above ? other : above;
            }
            float weight = expf(score - above), sum = weight, shrink = expf(top[i] - above);
            for (int d = 16; d; d /= 2) sum += __shfl_xor_sync(~0u, sum, d);
            top[i] = above, total[i] = total[i] * shrink + sum;
            __syncwarp();  // all have read the weights of the query before
            weights[warp][lane] = weight;
            __syncwarp();
            y[i][0] *= shrink, y[i][1] *= shrink;
            for (int j = 0; j < KEYS; ++j) {
                y[i][0] += weights[warp][j] * v[j][lane];
                y[i][1] += weights[warp][j] * v[j][lane + 32];
            }
        }
    }
#pragma unroll
    for (int i = 0; i < EACH; ++i) {
        int query = q0 + warp * EACH + i;
        if (query >= h.queries) continue;
        if (lane < h.size) h.y[query * h.size + lane] = y[i][0] / total[i];
        if (lane + 32 < h.size) h.y[query * h.size + lane + 32] = y[i][1] / total[i];
    }
}
}  // namespace

void attention_3_tiles(Out<float> y, In<float> q, In<float> k, In<float> v, cudaStream_t stream) {
    Head h("attention_3_tiles", y, q, k, v);
    LAUNCH(tiles_kernel, blocks(h.queries, QUERIES), THREADS, 0, stream, h);
}
BIND(attention_3_tiles, "y q k v");
