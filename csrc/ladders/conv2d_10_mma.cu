// Convolution, rung 10: on tensor cores, mma_tile.cuh.
//
// Operands are rounded to tf32.  An mma.sync takes the place of 32 multiplications of every lane, and the pace is now
// set by reading its operands: a fragment of a is four reads.
#include "mma_tile.cuh"

#include "windows.cuh"

void conv2d_10_mma(Out<float> y, In<float> x, In<float> weight, Lengths, Lengths stride, Lengths before,
                   cudaStream_t stream) {
    ladder::Conv s("conv2d_10_mma", x.shape, weight.shape, y.shape, stride, before);
    ladder::mma_tile<ladder::ByWords>(ladder::windows(y, x, weight, s), stream);
}
BIND(conv2d_10_mma, "y x weight size stride before");
