// Cooperative groups whose size is known only when the kernel runs.  Output: 496 1520 92 28; banks of 4 bytes
#include <cooperative_groups.h>
#include <cstdio>
using namespace cooperative_groups;

__device__ int sum(thread_group group, int *scratch, int v) {
    int rank = group.thread_rank();
    for (int half = group.size() / 2; half > 0; half /= 2) {
        scratch[rank] = v;
        group.sync();
        if (rank < half) v += scratch[rank + half];
        group.sync();
    }
    return v;
}

__global__ void sums(int *out, int width) {
    __shared__ int scratch[64];
    thread_block block = this_thread_block();
    thread_group tile = tiled_partition(block, 32);
    thread_group part = tiled_partition(tile, width);
    int t = threadIdx.x, of_tile = sum(tile, scratch + t / 32 * 32, t);
    if (tile.thread_rank() == 0) out[t / 32] = of_tile;
    int of_part = sum(part, scratch + t / width * width, t);
    if (t < 16 && part.thread_rank() == 0) out[3 - t / width] = of_part;
}

int main() {
    int h[4], *out;
    cudaSharedMemConfig config;
    cudaMalloc(&out, sizeof h);
    sums<<<1, 64>>>(out, 8);
    cudaMemcpy(h, out, sizeof h, cudaMemcpyDeviceToHost);
    printf("%d %d %d %d\n", h[0], h[1], h[2], h[3]);
    cudaDeviceGetSharedMemConfig(&config);
    printf("banks of %d bytes\n", config == cudaSharedMemBankSizeFourByte ? 4 : 8);
    cudaFree(out);
}
