// Matrix product, rung 2: neighbouring threads take neighbours in a row of y.
//
// A warp now reads 32 neighbours of b and one number of a, and writes 32 neighbours: 4 sectors a request where rung 1
// has 32.  Still every multiplication asks global memory for two numbers.
#include "launch.h"

namespace {
__global__ void coalesced_kernel(float* y, const float* a, const float* b, int rows, int columns, int depth) {
    int t = blockIdx.x * blockDim.x + threadIdx.x, i = t / columns, j = t % columns;
    if (i >= rows) return;
    float sum = 0;
    for (int k = 0; k < depth; ++k) sum += a[size_t(i) * depth + k] * b[size_t(k) * columns + j];
    y[t] = sum;
}
}  // namespace

void matmul_2_coalesced(Out<float> y, In<float> a, In<float> b, cudaStream_t stream) {
    if (!y.size()) return;
    LAUNCH(coalesced_kernel, blocks(y.size(), 256), 256, 0, stream, y.data, a.data, b.data, a.length(0), b.length(1),
           a.length(1));
}
BIND(matmul_2_coalesced, "y a b");
