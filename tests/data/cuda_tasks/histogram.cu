// A histogram in shared memory, added to global memory.  Output: 79 79 79 79 79 79 79 79 79 79 79 79 13 13 13 13 of 1000
#include <cstdio>
#define BINS 16

__global__ void histogram(unsigned *bins, const unsigned char *data, int n) {
    __shared__ unsigned mine[BINS];
    if (threadIdx.x < BINS) mine[threadIdx.x] = 0;
    __syncthreads();
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x)
        atomicAdd(&mine[data[i] % BINS], 1);
    __syncthreads();
    if (threadIdx.x < BINS) atomicAdd(&bins[threadIdx.x], mine[threadIdx.x]);
}

int main() {
    const int n = 1000;
    unsigned char h[n], *data;
    unsigned bins[BINS], *d_bins, total = 0;
    for (int i = 0; i < n; ++i) h[i] = i % 76 < 72 ? i % 76 % 12 : 12 + i % 76 - 72;
    cudaMalloc(&data, n);
    cudaMalloc(&d_bins, sizeof bins);
    cudaMemset(d_bins, 0, sizeof bins);
    cudaMemcpy(data, h, n, cudaMemcpyHostToDevice);
    histogram<<<3, 64>>>(d_bins, data, n);
    cudaMemcpy(bins, d_bins, sizeof bins, cudaMemcpyDeviceToHost);
    for (int i = 0; i < BINS; ++i) printf("%u ", bins[i]), total += bins[i];
    printf("of %u\n", total);
    cudaFree(data), cudaFree(d_bins);
}
