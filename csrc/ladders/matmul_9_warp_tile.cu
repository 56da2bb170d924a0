// Matrix product, rung 9: 64 sums a thread, in the shape of its warp, warp_tile.cuh.
//
// A quarter of rung 8's reads of shared memory for each multiplication.  The price is registers: two blocks of 256
// threads fill a multiprocessor, and a small y has few tiles of 128 x 128.
#include "warp_tile.cuh"

#include "matrices.cuh"

void matmul_9_warp_tile(Out<float> y, In<float> a, In<float> b, cudaStream_t stream) {
    ladder::warp_tile(ladder::matrices(y, a, b), stream);
}
BIND(matmul_9_warp_tile, "y a b");
