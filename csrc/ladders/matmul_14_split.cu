// Matrix product, rung 14: the depth in parts, split_tile.cuh.
//
// A block for each tile and part, and a second launch that adds the parts: more blocks where tiles are few, for the
// traffic of the workspace.
#include "split_tile.cuh"

#include "matrices.cuh"

void matmul_14_split(Out<float> y, Work<float> partial, In<float> a, In<float> b, cudaStream_t stream) {
    ladder::split_tile(ladder::matrices(y, a, b), partial, stream);
}
BIND(matmul_14_split, "y partial a b");
