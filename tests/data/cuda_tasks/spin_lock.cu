// A lock of atomicCAS around an addition that is no atomic.  Output: 64
#include <cstdio>

__device__ int lock_word = 0;

__global__ void count(int *total) {
    bool done = false;
    while (!done) {
        if (atomicCAS(&lock_word, 0, 1) == 0) {
            __threadfence();
            *total = *total + 1;
            __threadfence();
            atomicExch(&lock_word, 0);
            done = true;
        }
    }
}

int main() {
    int *total, h = 0;
    cudaMalloc(&total, sizeof(int));
    cudaMemcpy(total, &h, sizeof h, cudaMemcpyHostToDevice);
    count<<<4, 16>>>(total);
    cudaMemcpy(&h, total, sizeof h, cudaMemcpyDeviceToHost);
    printf("%d\n", h);
    cudaFree(total);
}
