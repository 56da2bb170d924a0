// Matrix product, rung 12: copies by cp.async, one step ahead, async_tile.cuh.
//
// No number passes through a register on its way to shared memory, and no thread waits to store one.  With two stages
// the copy of the next step begins when this one's has landed: each has one step's time.
#include "async_tile.cuh"

#include "matrices.cuh"

void matmul_12_two_stages(Out<float> y, In<float> a, In<float> b, cudaStream_t stream) {
    ladder::async_tile<2>(ladder::matrices(y, a, b), stream);
}
BIND(matmul_12_two_stages, "y a b");
