// Convolution, rung 5: 4 x 4 sums a thread, register_tile.cuh.
//
// Half a number from shared memory for each multiplication, read 16 bytes at a time, where rung 4 needs more than one.
// What is left: loads of 4 bytes from global memory, each with two divisions to find it.
#include "register_tile.cuh"

#include "windows.cuh"

void conv2d_5_registers(Out<float> y, In<float> x, In<float> weight, Lengths, Lengths stride, Lengths before,
                        cudaStream_t stream) {
    ladder::Conv s("conv2d_5_registers", x.shape, weight.shape, y.shape, stride, before);
    ladder::register_tile(ladder::windows(y, x, weight, s), stream);
}
BIND(conv2d_5_registers, "y x weight size stride before");
