// Matrix product, rung 10: on tensor cores, mma_tile.cuh.
//
// Operands are rounded to tf32.  An mma.sync takes the place of 32 multiplications of every lane, and the pace is now
// set by reading its operands: a fragment of a is four reads.
#include "mma_tile.cuh"

#include "matrices.cuh"

void matmul_10_mma(Out<float> y, In<float> a, In<float> b, cudaStream_t stream) {
    ladder::mma_tile<ladder::ByWords>(ladder::matrices(y, a, b), stream);
}
BIND(matmul_10_mma, "y a b");
