// Cooperative groups: sums of tiles of eight threads.  Output: 28 92 156 220 284 348 412 476
#include <cooperative_groups.h>
#include <cstdio>
namespace cg = cooperative_groups;

__global__ void tile_sums(int *out, const int *in) {
    cg::thread_block block = cg::this_thread_block();
    __shared__ int copy[64];
    copy[block.thread_rank()] = in[block.thread_rank()];
    block.sync();
    cg::thread_block_tile<8> tile = cg::tiled_partition<8>(block);
    int v = copy[63 - block.thread_rank()];
    for (int d = tile.size() / 2; d > 0; d /= 2) v += tile.shfl_down(v, d);
    if (tile.thread_rank() == 0) out[tile.meta_group_size() - 1 - tile.meta_group_rank()] = v;
}

int main() {
    int h[64], *in, *out;
    for (int i = 0; i < 64; ++i) h[i] = i;
    cudaMalloc(&in, sizeof h);
    cudaMalloc(&out, 8 * sizeof(int));
    cudaMemcpy(in, h, sizeof h, cudaMemcpyHostToDevice);
    tile_sums<<<1, 64>>>(out, in);
    cudaMemcpy(h, out, 8 * sizeof(int), cudaMemcpyDeviceToHost);
    for (int i = 0; i < 8; ++i) printf("%d%s", h[i], i < 7 ? " " : "\n");
    cudaFree(in), cudaFree(out);
}
