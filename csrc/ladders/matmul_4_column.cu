// Matrix product, rung 4: eight sums of a column a thread, column_tile.cuh.
//
// Nine reads of shared memory for eight multiplications where rung 3 needs sixteen, and a quarter of its global reads:
// a block owns 64 x 64 sums, not 16 x 16.
#include "column_tile.cuh"

#include "matrices.cuh"

void matmul_4_column(Out<float> y, In<float> a, In<float> b, cudaStream_t stream) {
    ladder::column_tile(ladder::matrices(y, a, b), stream);
}
BIND(matmul_4_column, "y a b");
