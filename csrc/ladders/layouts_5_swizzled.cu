// NCHW to NHWC and back, rung 5: four neighbours stay together in the tile, too (layout_tile.cuh).
//
// One request of shared memory where rung 4 has four, on the way in; and no word is lost to padding.
#include "layout_tile.cuh"

void layouts_5_swizzled(Out<float> y, In<float> x, cudaStream_t stream) {
    ladder::swizzled(ladder::Batch("layouts_5_swizzled", x.shape), y, x, stream);
}
BIND(layouts_5_swizzled, "y x");
