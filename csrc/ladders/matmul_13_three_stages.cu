// Matrix product, rung 13: copies two steps ahead, async_tile.cuh.
//
// Two copies are under way at any time, each with two steps' time to come; for half as much shared memory more.
#include "async_tile.cuh"

#include "matrices.cuh"

void matmul_13_three_stages(Out<float> y, In<float> a, In<float> b, cudaStream_t stream) {
    ladder::async_tile<3>(ladder::matrices(y, a, b), stream);
}
BIND(matmul_13_three_stages, "y a b");
