// Convolution, rung 13: copies two steps ahead, async_tile.cuh.
//
// Two copies are under way at any time, each with two steps' time to come; for half as much shared memory more.
#include "async_tile.cuh"

#include "windows.cuh"

void conv2d_13_three_stages(Out<float> y, In<float> x, In<float> weight, Lengths, Lengths stride, Lengths before,
                            cudaStream_t stream) {
    ladder::Conv s("conv2d_13_three_stages", x.shape, weight.shape, y.shape, stride, before);
    ladder::async_tile<3>(ladder::windows(y, x, weight, s), stream);
}
BIND(conv2d_13_three_stages, "y x weight size stride before");
