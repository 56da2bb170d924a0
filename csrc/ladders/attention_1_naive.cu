// Attention, rung 1: three kernels, and the square of all scores in memory between them.
//
// A thread for each score, then a block for each row of the softmax, then a thread for each number of y.  The square
// is written, read three times and written again, and read once more for every 32 numbers of a value.  And each score
// reads its query and its key anew, neighbouring threads a key apart: 32 sectors a request.
#include "heads.cuh"

namespace {
using ladder::Head;
constexpr int THREADS = 128;

__global__ void __launch_bounds__(THREADS) scores_kernel(float* scores, Head h) {
    int key = blockIdx.x * THREADS + threadIdx.x, query = blockIdx.y;
    if (key >= h.keys) return;
    float sum = 0;
    for (int e = 0; e < h.size; ++e) sum += h.q[query * h.size + e] * h.k[key * h.size + e];
    scores[int64_t(query) * h.keys + key] = sum * h.scale;
}

__global__ void __launch_bounds__(THREADS) softmax_kernel(float* scores, Head h) {
    __shared__ float s[THREADS];
    int t = threadIdx.x;
    float *row = scores + int64_t(blockIdx.x) * h.keys, top = -INFINITY, sum = 0;
    for (int j = t; j < h.keys; j += THREADS) top = row[j] > top ? row[j] : top;
    s[t] = top;
    __syncthreads();
    for (int d = THREADS / 2; d; d /= 2) {
        if (t < d && s[t + d] > s[t]) s[t] = s[t + d];
        __syncthreads();
    }
    top = s[0];
    __syncthreads();
    for (int j = t; j < h.keys; j += THREADS) sum += expf(row[j] - top);
    s[t] = sum;
    __syncthreads();
    for (int d = THREADS / 2; d; d /= 2) {
        if (t < d) s[t] += s[t + d];
        __syncthreads();
    }
    for (int j = t; j < h.keys; j += THREADS) row[j] = expf(row[j] - top) / s[0];
}

__global__ void __launch_bounds__(THREADS) output_kernel(const float* weights, Head h) {
    int n = blockIdx.x * THREADS + threadIdx.x, query = n / h.size, e = n % h.size;
    if (query >= h.queries) return;
    float sum = 0;
    for (int j = 0; j < h.keys; ++j) sum += weights[int64_t(query) * h.keys + j] * h.v[j * h.size + e];
    h.y[n] = sum;
}
}  // namespace

void attention_1_naive(Out<float> y, Work<float> scores, In<float> q, In<float> k, In<float> v, cudaStream_t stream) {
    Head h("attention_1_naive", y, q, k, v);
    LAUNCH(scores_kernel, dim3(blocks(h.keys, THREADS), h.queries), THREADS, 0, stream, scores.data, h);
    LAUNCH(softmax_kernel, h.queries, THREADS, 0, stream, scores.data, h);
    LAUNCH(output_kernel, blocks(y.size(), THREADS), THREADS, 0, stream, scores.data, h);
}
BIND(attention_1_naive, "y scores q k v");
