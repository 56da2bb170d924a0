// Matrix product, rung 5: 4 x 4 sums a thread, register_tile.cuh.
//
// Half a number from shared memory for each multiplication, read 16 bytes at a time, where rung 4 needs more than one.
// What is left: loads of 4 bytes from global memory, each with an address of its own.
#include "register_tile.cuh"

#include "matrices.cuh"

void matmul_5_registers(Out<float> y, In<float> a, In<float> b, cudaStream_t stream) {
    ladder::register_tile(ladder::matrices(y, a, b), stream);
}
BIND(matmul_5_registers, "y a b");
