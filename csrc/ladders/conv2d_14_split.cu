// Convolution, rung 14: the depth in parts, split_tile.cuh.
//
// A block for each tile and part, and a second launch that adds the parts: more blocks where tiles are few, for the
// traffic of the workspace.
#include "split_tile.cuh"

#include "windows.cuh"

void conv2d_14_split(Out<float> y, Work<float> partial, In<float> x, In<float> weight, Lengths, Lengths stride,
                     Lengths before, cudaStream_t stream) {
    ladder::Conv s("conv2d_14_split", x.shape, weight.shape, y.shape, stride, before);
    ladder::split_tile(ladder::windows(y, x, weight, s), partial, stream);
}
BIND(conv2d_14_split, "y partial x weight size stride before");
