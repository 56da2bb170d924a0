// Matrix product, rung 3: tiles of 16 x 16 in shared memory, shared_tile.cuh.
//
// Each number is read from global memory by one thread and used by 16: a sixteenth of rung 2's requests.
#include "shared_tile.cuh"

#include "matrices.cuh"

void matmul_3_shared(Out<float> y, In<float> a, In<float> b, cudaStream_t stream) {
    ladder::shared_tile(ladder::matrices(y, a, b), stream);
}
BIND(matmul_3_shared, "y a b");
