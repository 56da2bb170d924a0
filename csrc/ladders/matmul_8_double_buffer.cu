// Matrix product, rung 8: the next tiles under way, buffer_tile.cuh.
//
// The same requests as rung 7; but a step waits once for the others, and for its loads only when they had a step's time
// to come.  What is left: a read of shared memory for every four multiplications.
#include "buffer_tile.cuh"

#include "matrices.cuh"

void matmul_8_double_buffer(Out<float> y, In<float> a, In<float> b, cudaStream_t stream) {
    ladder::buffer_tile(ladder::matrices(y, a, b), stream);
}
BIND(matmul_8_double_buffer, "y a b");
