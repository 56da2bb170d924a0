// Convolution, rung 11: fragments by one instruction, mma_tile.cuh.
//
// One ldmatrix for each fragment of a, where rung 10 reads four words.
#include "mma_tile.cuh"

#include "windows.cuh"

void conv2d_11_ldmatrix(Out<float> y, In<float> x, In<float> weight, Lengths, Lengths stride, Lengths before,
                        cudaStream_t stream) {
    ladder::Conv s("conv2d_11_ldmatrix", x.shape, weight.shape, y.shape, stride, before);
    ladder::mma_tile<ladder::ByMatrix>(ladder::windows(y, x, weight, s), stream);
}
BIND(conv2d_11_ldmatrix, "y x weight size stride before");
