// NCHW to NHWC and back, rung 6: of few channels a block takes all, and as many pixels as it has threads.
//
// The pixels of all channels are one run of the side that is NHWC, and a run in each channel of the other: whole
// requests on both sides, where a tile of 32 x 32 has three rows of use.  The run goes on from one image to the next,
// so that small images leave no tile half empty.  More than 8 channels go by the tiles of rung 5.
#include "layout_tile.cuh"

namespace {
constexpr int MOST = 8, PIXELS = 256;

// Where number k of a run lies.  Threads ask for every channels-th number: of an odd count those lie in different
// banks; of an even one a word after each 32 parts them.
__device__ int place(int k, int channels) { return channels % 2 ? k : k + k / 32; }

// to_pixels: x is NCHW and y is NHWC; else the other way.
template <bool to_pixels>
__global__ void __launch_bounds__(PIXELS)
    few_kernel(float* y, const float* x, int channels, int size, int pixels) {
    __shared__ float run[PIXELS * MOST + PIXELS * MOST / 32];
    int t = threadIdx.x, first = blockIdx.x * PIXELS, pixel = first + t;
    int numbers = (pixels - first < PIXELS ? pixels - first : PIXELS) * channels;
    int of_image = pixel / size * channels * size + pixel % size;  // of the pixel's first channel, in NCHW
    if (to_pixels) {
        for (int c = 0; c < channels; ++c)
            if (pixel < pixels) run[place(t * channels + c, channels)] = x[of_image + c * size];
    } else {
        for (int k = t; k < numbers; k += PIXELS) run[place(k, channels)] = x[first * channels + k];
    }
    __syncthreads();
    if (to_pixels) {
        for (int k = t; k < numbers; k += PIXELS) y[first * channels + k] = run[place(k, channels)];
    } else {
        for (int c = 0; c < channels; ++c)
            if (pixel < pixels) y[of_image + c * size] = run[place(t * channels + c, channels)];
    }
}
}  // namespace

void layouts_6_few(Out<float> y, In<float> x, cudaStream_t stream) {
    ladder::Batch b("layouts_6_few", x.shape);
    bool to_pixels = b.rows <= b.columns;
    int channels = to_pixels ? b.rows : b.columns, size = to_pixels ? b.columns : b.rows, pixels = int(b.count) * size;
    if (channels > MOST) return ladder::swizzled(b, y, x, stream);
    if (channels == 0) return;
    LAUNCH((to_pixels ? few_kernel<true> : few_kernel<false>), blocks(pixels, PIXELS), PIXELS, 0, stream, y.data,
           x.data, channels, size, pixels);
}
BIND(layouts_6_few, "y x");
