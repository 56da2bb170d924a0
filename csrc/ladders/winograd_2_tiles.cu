// Winograd's convolution of 3 x 3, rung 2: the products by tiles in shared memory (product_tile.cuh).
//
// A number of v or u is read once for 32 sums, and two reads of shared memory serve four multiplications: rungs 3 and 5
// of the matrix product, for 16 products in one launch.
#include "product_tile.cuh"

void winograd_2_tiles(Out<float> y, Work<float> u, Work<float> v, Work<float> m, In<float> x, In<float> weight,
                      In<float> bias, cudaStream_t stream) {
    ladder::Tiles tiles("winograd_2_tiles", y.shape, x.shape, bias.shape);
    ladder::transform_filters(u.data, weight, stream);
    ladder::transform_input(v.data, x, tiles, stream);
    ladder::multiply(m.data, v.data, u.data, tiles, stream);
    ladder::transform_output(y, m.data, bias, tiles, stream);
}
BIND(winograd_2_tiles, "y u v m x weight bias");
