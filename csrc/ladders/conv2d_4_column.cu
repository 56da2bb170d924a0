// Convolution, rung 4: eight sums of a column a thread, column_tile.cuh.
//
// Nine reads of shared memory for eight multiplications where rung 3 needs sixteen, and a quarter of its global reads:
// a block owns 64 x 64 sums, not 16 x 16.
#include "column_tile.cuh"

#include "windows.cuh"

void conv2d_4_column(Out<float> y, In<float> x, In<float> weight, Lengths, Lengths stride, Lengths before,
                     cudaStream_t stream) {
    ladder::Conv s("conv2d_4_column", x.shape, weight.shape, y.shape, stride, before);
    ladder::column_tile(ladder::windows(y, x, weight, s), stream);
}
BIND(conv2d_4_column, "y x weight size stride before");
