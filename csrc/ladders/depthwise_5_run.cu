// Depthwise convolution of 3 x 3, rung 5: a block takes a run of 1024 numbers, whatever maps they are of.
//
// A map of 7 x 7 fills 49 places of a tile of 8 x 32, and its rows of 28 bytes begin anywhere.  But the maps lie one
// behind the other: a block brings a run of them, with a row and a number more on each side, by whole requests, and
// each thread finds for itself which of its neighbours are still of its map.  On maps larger than a tile rung 4 is
// ahead: here a number of x is read from shared memory nine times again.
#include "maps.cuh"

namespace {
constexpr int THREADS = 256, RUN = 4 * THREADS;

__global__ void __launch_bounds__(THREADS)
    run_kernel(float* y, const float* x, const float* weight, ladder::Maps maps, int numbers) {
    DYNAMIC_SHARED(float, run);
    int halo = maps.width + 1, first = blockIdx.x * RUN, size = maps.height * maps.width;
    for (int k = threadIdx.x; k < RUN + 2 * halo; k += THREADS) {
        int n = first + k - halo;
        run[k] = n >= 0 && n < numbers ? x[n] : 0;
    }
    __syncthreads();
    for (int k = threadIdx.x; k < RUN && first + k < numbers; k += THREADS) {
        int n = first + k, map = n / size, i = n % size / maps.width, j = n % maps.width;
        const float* filter = weight + map % maps.channels * 9;
        float sum = 0;
#pragma unroll
        for (int r = -1; r <= 1; ++r)
#pragma unroll
            for (int s = -1; s <= 1; ++s) {
                float product = run[k + halo + r * maps.width + s] * filter[(r + 1) * 3 + s + 1];
                if (unsigned(i + r) < unsigned(maps.height) && unsigned(j + s) < unsigned(maps.width)) sum += product;
            }
        y[n] = sum;
    }
}
}  // namespace

void depthwise_5_run(Out<float> y, In<float> x, In<float> weight, cudaStream_t stream) {
    ladder::Maps maps("depthwise_5_run", x.shape, weight.shape);
    size_t bytes = (RUN + 2 * (size_t(maps.width) + 1)) * sizeof(float);
    require(bytes <= 48 << 10, "depthwise_5_run: takes rows of at most 5631 numbers, got ", maps.width);
    LAUNCH(run_kernel, blocks(y.size(), RUN), THREADS, bytes, stream, y.data, x.data, weight.data, maps, int(y.size()));
}
BIND(depthwise_5_run, "y x weight");
