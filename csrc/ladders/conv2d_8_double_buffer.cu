// Convolution, rung 8: the next tiles under way, buffer_tile.cuh.
//
// The same requests as rung 7; but a step waits once for the others, and for its loads only when they had a step's time
// to come.  What is left: a read of shared memory for every four multiplications.
#include "buffer_tile.cuh"

#include "windows.cuh"

void conv2d_8_double_buffer(Out<float> y, In<float> x, In<float> weight, Lengths, Lengths stride, Lengths before,
                            cudaStream_t stream) {
    ladder::Conv s("conv2d_8_double_buffer", x.shape, weight.shape, y.shape, stride, before);
    ladder::buffer_tile(ladder::windows(y, x, weight, s), stream);
}
BIND(conv2d_8_double_buffer, "y x weight size stride before");
