// Attention, rung 4: 4 x 4 scores a thread, and 4 x 4 numbers of y (attention_tile.cuh).
//
// Eight reads of shared memory for sixteen multiplications, of queries with keys and of weights with values, where rung
// 3 has two for each score.  Values take the place of the keys in shared memory once the scores are known.
#include "attention_tile.cuh"

namespace {
using namespace ladder;

__global__ void __launch_bounds__(ATTENTION_THREADS) registers_kernel(Head h) {
    __shared__ AttentionTile s;
    int tx = threadIdx.x % SIDE, ty = threadIdx.x / SIDE, q0 = blockIdx.x * QUERIES;
    float y[4][4] = {};
    attend(s, y, h, q0, 0, h.keys);
#pragma unroll
    for (int i = 0; i < 4; ++i)
#pragma unroll
        for (int c = 0; c < 4; ++c) {
            int query = ty + 8 * i, e = tx + SIDE * c;
            if (q0 + query < h.queries && e < h.size) h.y[(q0 + query) * h.size + e] = y[i][c] / s.total[query];
        }
}
}  // namespace

void attention_4_registers(Out<float> y, In<float> q, In<float> k, In<float> v, cudaStream_t stream) {
    Head h("attention_4_registers", y, q, k, v);
    LAUNCH(registers_kernel, blocks(h.queries, QUERIES), ATTENTION_THREADS, 0, stream, h);
}
BIND(attention_4_registers, "y q k v");
