// Attention, rung 5: a block for each 32 queries and part of the keys, then a merge.
//
// A few queries, those of one image's tokens or of a text that is being written, are too few blocks for a GPU.  Each
// part leaves its sums with its own top and total; the merge shrinks them to the largest top and adds them up, in the
// order of the parts.  More memory moves than in rung 4, the workspace, for as many times the blocks.
#include "attention_tile.cuh"

namespace {
using namespace ladder;

// partial: [part][query][size sums, top, total]
__global__ void __launch_bounds__(ATTENTION_THREADS) part_kernel(float* partial, Head h, int each) {
    __shared__ AttentionTile s;
    int t = threadIdx.x, tx = t % SIDE, ty = t / SIDE, q0 = blockIdx.x * QUERIES, row = h.size + 2;
    int first = blockIdx.y * each, last = first + each < h.keys ? first + each : h.keys;
    float y[4][4] = {};
    attend(s, y, h, q0, first, last);
    partial += (int64_t(blockIdx.y) * h.queries + q0) * row;
#pragma unroll
    for (int i = 0; i < 4; ++i)
#pragma unroll
        for (int c = 0; c < 4; ++c) {
            int query = ty + 8 * i, e = tx + SIDE * c;
            if (q0 + query < h.queries && e < h.size) partial[query * row + e] = y[i][c];
        }
    if (t < QUERIES && q0 + t < h.queries) {
        partial[t * row + h.size] = s.top[t];
        partial[t * row + h.size + 1] = s.total[t];
    }
}

__global__ void __launch_bounds__(ATTENTION_THREADS) merge_kernel(const float* partial, Head h, int parts) {
    int n = blockIdx.x * ATTENTION_THREADS + threadIdx.x, query = n / h.size, e = n % h.size, row = h.size + 2;
    if (query >= h.queries) return;
    float top = -INFINITY, total = 0, sum = 0;
    for (int p = 0; p < parts; ++p) {
        float other = partial[(int64_t(p) * h.queries + query) * row + h.size];
        top = other > top ? other : top;
    }
    for (int p = 0; p < parts; ++p) {
        const float* from = partial + (int64_t(p) * h.queries + query) * row;
        float shrink = expf(from[h.size] - top);
        sum += shrink * from[e];
        total += shrink * from[h.size + 1];
    }
    h.y[n] = sum / total;
}
}  // namespace

void attention_5_split(Out<float> y, Work<float> partial, In<float> q, In<float> k, In<float> v, cudaStream_t stream) {
    Head h("attention_5_split", y, q, k, v);
    int parts = partial.length(0), each = int(blocks(blocks(h.keys, parts), KEYS)) * KEYS;
    LAUNCH(part_kernel, dim3(blocks(h.queries, QUERIES), parts), ATTENTION_THREADS, 0, stream, partial.data, h, each);
    LAUNCH(merge_kernel, blocks(y.size(), ATTENTION_THREADS), ATTENTION_THREADS, 0, stream, partial.data, h, parts);
}
BIND(attention_5_split, "y partial q k v");
