// Blocks in a chain: each waits for a volatile flag of the one before.  Output: 1 3 6 10 15 21 28 36
#include <cstdio>
#define BLOCKS 8

__global__ void chain(int *sums, volatile int *flags) {
    if (threadIdx.x == 0) {
        int before = 0;
        if (blockIdx.x > 0) {
            while (flags[blockIdx.x - 1] == 0) {
            }
            __threadfence();
            before = sums[blockIdx.x - 1];
        }
        sums[blockIdx.x] = before + blockIdx.x + 1;
        __threadfence();
        flags[blockIdx.x] = 1;
    }
}

int main() {
    int h[BLOCKS], *sums, *flags;
    cudaMalloc(&sums, sizeof h);
    cudaMalloc(&flags, sizeof h);
    cudaMemset(flags, 0, sizeof h);
    chain<<<BLOCKS, 32>>>(sums, flags);
    cudaMemcpy(h, sums, sizeof h, cudaMemcpyDeviceToHost);
    for (int i = 0; i < BLOCKS; ++i) printf("%d%s", h[i], i + 1 < BLOCKS ? " " : "\n");
    cudaFree(sums), cudaFree(flags);
}
