// Convolution, rung 7: no two lanes in one bank, swizzle_tile.cuh.
//
// The stores of rung 6 that collided take one pass.  What is left: the block loads, then multiplies, then loads again.
#include "swizzle_tile.cuh"

#include "windows.cuh"

void conv2d_7_swizzle(Out<float> y, In<float> x, In<float> weight, Lengths, Lengths stride, Lengths before,
                      cudaStream_t stream) {
    ladder::Conv s("conv2d_7_swizzle", x.shape, weight.shape, y.shape, stride, before);
    ladder::swizzle_tile(ladder::windows(y, x, weight, s), stream);
}
BIND(conv2d_7_swizzle, "y x weight size stride before");
