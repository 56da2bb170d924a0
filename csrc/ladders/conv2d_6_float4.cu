// Convolution, rung 6: 16 bytes at once, float4_tile.cuh.
//
// A quarter of rung 5's loads and stores, for the same bytes.  Lengths that are no multiples of 4, and arrays that do
// not begin at 16 bytes, are read number by number.  What is left: stores to the tile of a collide in a bank.
#include "float4_tile.cuh"

#include "windows.cuh"

void conv2d_6_float4(Out<float> y, In<float> x, In<float> weight, Lengths, Lengths stride, Lengths before,
                     cudaStream_t stream) {
    ladder::Conv s("conv2d_6_float4", x.shape, weight.shape, y.shape, stride, before);
    ladder::float4_tile(ladder::windows(y, x, weight, s), stream);
}
BIND(conv2d_6_float4, "y x weight size stride before");
