// Winograd's convolution of 3 x 3, rung 3: filters come transformed.
//
// Weights that do not change between calls, those of a network that is trained, are transformed once.  What was read
// and written for it, 25 numbers for each channel of each filter, is gone.
#include "product_tile.cuh"

void winograd_3_once(Out<float> y, Work<float> v, Work<float> m, In<float> x, In<float> u, In<float> bias,
                     cudaStream_t stream) {
    ladder::Tiles tiles("winograd_3_once", y.shape, x.shape, bias.shape);
    ladder::transform_input(v.data, x, tiles, stream);
    ladder::multiply(m.data, v.data, u.data, tiles, stream);
    ladder::transform_output(y, m.data, bias, tiles, stream);
}
BIND(winograd_3_once, "y v m x u bias");
