// Matrix product, rung 7: no two lanes in one bank, swizzle_tile.cuh.
//
// The stores of rung 6 that collided take one pass.  What is left: the block loads, then multiplies, then loads again.
#include "swizzle_tile.cuh"

#include "matrices.cuh"

void matmul_7_swizzle(Out<float> y, In<float> a, In<float> b, cudaStream_t stream) {
    ladder::swizzle_tile(ladder::matrices(y, a, b), stream);
}
BIND(matmul_7_swizzle, "y a b");
