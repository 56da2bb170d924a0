// Convolution, rung 12: copies by cp.async, one step ahead, async_tile.cuh.
//
// No number passes through a register on its way to shared memory, and no thread waits to store one.  With two stages
// the copy of the next step begins when this one's has landed: each has one step's time.
#include "async_tile.cuh"

#include "windows.cuh"

void conv2d_12_two_stages(Out<float> y, In<float> x, In<float> weight, Lengths, Lengths stride, Lengths before,
                          cudaStream_t stream) {
    ladder::Conv s("conv2d_12_two_stages", x.shape, weight.shape, y.shape, stride, before);
    ladder::async_tile<2>(ladder::windows(y, x, weight, s), stream);
}
BIND(conv2d_12_two_stages, "y x weight size stride before");
