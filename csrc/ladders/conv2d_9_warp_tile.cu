// Convolution, rung 9: 64 sums a thread, in the shape of its warp, warp_tile.cuh.
//
// A quarter of rung 8's reads of shared memory for each multiplication.  The price is registers: two blocks of 256
// threads fill a multiprocessor, and a small y has few tiles of 128 x 128.
#include "warp_tile.cuh"

#include "windows.cuh"

void conv2d_9_warp_tile(Out<float> y, In<float> x, In<float> weight, Lengths, Lengths stride, Lengths before,
                        cudaStream_t stream) {
    ladder::Conv s("conv2d_9_warp_tile", x.shape, weight.shape, y.shape, stride, before);
    ladder::warp_tile(ladder::windows(y, x, weight, s), stream);
}
BIND(conv2d_9_warp_tile, "y x weight size stride before");
