// Convolution, rung 3: an implicit matrix product by tiles of 16 x 16 in shared memory, shared_tile.cuh.
//
// A row is a place, a column a filter, a depth a tap and a channel.  A pixel is used by 16 filters and a weight by 16
// places: a sixteenth of rung 2's requests.  But each element of the matrix of windows costs two divisions to find.
#include "shared_tile.cuh"

#include "windows.cuh"

void conv2d_3_shared(Out<float> y, In<float> x, In<float> weight, Lengths, Lengths stride, Lengths before,
                     cudaStream_t stream) {
    ladder::Conv s("conv2d_3_shared", x.shape, weight.shape, y.shape, stride, before);
    ladder::shared_tile(ladder::windows(y, x, weight, s), stream);
}
BIND(conv2d_3_shared, "y x weight size stride before");
