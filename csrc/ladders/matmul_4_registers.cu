// Matrix product, rung 4: 4 x 4 sums a thread, register_tile.cuh.
//
// Half a number from shared memory for each multiplication where rung 3 needs two, and a quarter of its global reads.
// What is left: loads of 4 bytes, and waiting for them, since a block loads, then multiplies, then loads again.  The
// shipped kernel (gemm_exact.cuh, the next rung) loads 16 bytes at once, one step ahead.
#include "register_tile.cuh"

#include "matrices.cuh"

void matmul_4_registers(Out<float> y, In<float> a, In<float> b, cudaStream_t stream) {
    ladder::register_tile(ladder::matrices(y, a, b), stream);
}
BIND(matmul_4_registers, "y a b");
