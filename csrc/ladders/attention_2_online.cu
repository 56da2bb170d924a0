// Attention, rung 2: a warp for each query, which meets the keys one after the other; no square is stored.
//
// A sum of e^(score - top) times values is corrected by e^(old top - new top) when a larger score comes, as in rung 3
// of the softmax: nothing has to be known before the walk begins.  A lane holds two numbers of the query and two of y
// in registers; the products of a key are added up by shuffles.  What is left: every query reads all keys and values.
#include "heads.cuh"

namespace {
using ladder::Head;
constexpr int THREADS = 128;

__global__ void __launch_bounds__(THREADS) online_kernel(Head h) {
    int query = blockIdx.x * (THREADS / 32) + threadIdx.x / 32, e = threadIdx.x % 32, f = e + 32;
    if (query >= h.queries) return;  // a whole warp
    bool first = e < h.size, second = f < h.size;
    float q0 = first ? h.q[query * h.size + e] : 0, q1 = second ? h.q[query * h.size + f] : 0;
    float top = -INFINITY, total = 0, y0 = 0, y1 = 0;
    for (int j = 0; j < h.keys; ++j) {
        const float *k = h.k + j * h.size, *v = h.v + j * h.size;
        float score = (first ? q0 * k[e] : 0) + (second ? q1 * k[f] : 0);
        for (int d = 16; d; d /= 2) score += __shfl_xor_sync(~0u, score, d);
        score *= h.scale;
        float above = score > top ? score : top, shrink = expf(top - above), weight = expf(score - above);
        top = above;
        total = total * shrink + weight;
        if (first) y0 = y0 * shrink + weight * v[e];
        if (second) y1 = y1 * shrink + weight * v[f];
    }
    if (first) h.y[query * h.size + e] = y0 / total;
    if (second) h.y[query * h.size + f] = y1 / total;
}
}  // namespace

void attention_2_online(Out<float> y, In<float> q, In<float> k, In<float> v, cudaStream_t stream) {
    Head h("attention_2_online", y, q, k, v);
    LAUNCH(online_kernel, blocks(h.queries, THREADS / 32), THREADS, 0, stream, h);
}
BIND(attention_2_online, "y q k v");
