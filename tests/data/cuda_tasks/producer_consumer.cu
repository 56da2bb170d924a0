// One warp fills a mailbox in shared memory, another empties it: volatile flags inside a block.  Output: 0 1 4 9 16 25
#include <cstdio>

__global__ void mailbox(int *out) {
    __shared__ volatile int full;
    __shared__ int letter;
    if (threadIdx.x == 0) full = 0;
    __syncthreads();
    if (threadIdx.x == 0) {
        for (int i = 0; i < 6; ++i) {
            while (full) {
            }
            letter = i * i;
            __threadfence_block();
            full = 1;
        }
    } else if (threadIdx.x == 32) {
        for (int i = 0; i < 6; ++i) {
            while (!full) {
            }
            __threadfence_block();
            out[i] = letter;
            __threadfence_block();
            full = 0;
        }
    }
}

int main() {
    int h[6], *out;
    cudaMalloc(&out, sizeof h);
    mailbox<<<1, 64>>>(out);
    cudaMemcpy(h, out, sizeof h, cudaMemcpyDeviceToHost);
    for (int i = 0; i < 6; ++i) printf("%d%s", h[i], i < 5 ? " " : "\n");
    cudaFree(out);
}
