// Two streams, pinned memory, asynchronous copies.  Output: 10 11 12 ... 137 wrong 0
#include <cstdio>

__global__ void add_ten(int *x, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) x[i] += 10;
}

int main() {
    const int n = 128, half = n / 2;
    int *h, *d;
    cudaMallocHost(&h, n * sizeof(int));
    cudaMalloc(&d, n * sizeof(int));
    for (int i = 0; i < n; ++i) h[i] = i;
    cudaStream_t streams[2];
    for (auto &s : streams) cudaStreamCreate(&s);
    for (int k = 0; k < 2; ++k) {
        int at = k * half;
        cudaMemcpyAsync(d + at, h + at, half * sizeof(int), cudaMemcpyHostToDevice, streams[k]);
        add_ten<<<2, 32, 0, streams[k]>>>(d + at, half);
        cudaMemcpyAsync(h + at, d + at, half * sizeof(int), cudaMemcpyDeviceToHost, streams[k]);
    }
    for (auto &s : streams) cudaStreamSynchronize(s);
    int wrong = 0;
    for (int i = 0; i < n; ++i) wrong += h[i] != i + 10;
    printf("%d %d %d ... %d wrong %d\n", h[0], h[1], h[2], h[n - 1], wrong);
    for (auto &s : streams) cudaStreamDestroy(s);
    cudaFreeHost(h);
    cudaFree(d);
}
