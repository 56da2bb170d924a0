// What a transposed convolution adds to the kernels of the convolution: a bias on a finished image.
#include "elementwise.cuh"

namespace {
struct AddBias {
    const float* __restrict__ bias;
    __device__ float operator()(int channel, float x) const { return x + bias[channel]; }
};
}  // namespace

void add_channels(Out<float> y, In<float> x, In<float> bias, cudaStream_t stream) {
    int channels = y.length(1);
    require(bias.size() == channels, "add_channels: bias of shape ", bias.shape, " for ", channels, " channels");
    map_channels(AddBias{bias.data}, "add_channels", stream, channels, y, x);
}
BIND(add_channels, "y x bias");
