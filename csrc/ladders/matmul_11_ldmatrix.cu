// Matrix product, rung 11: fragments by one instruction, mma_tile.cuh.
//
// One ldmatrix for each fragment of a, where rung 10 reads four words.
#include "mma_tile.cuh"

#include "matrices.cuh"

void matmul_11_ldmatrix(Out<float> y, In<float> a, In<float> b, cudaStream_t stream) {
    ladder::mma_tile<ladder::ByMatrix>(ladder::matrices(y, a, b), stream);
}
BIND(matmul_11_ldmatrix, "y a b");
