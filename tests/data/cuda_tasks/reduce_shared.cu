// A sum by a tree in shared memory, its blocks joined on the host.  Output: 499500
#include <cstdio>
#define THREADS 128

__global__ void sum(const int *in, int *out, int n) {
    __shared__ int part[THREADS];
    int i = blockIdx.x * THREADS + threadIdx.x;
    part[threadIdx.x] = i < n ? in[i] : 0;
    __syncthreads();
    for (int stride = THREADS / 2; stride > 0; stride >>= 1) {
        if (threadIdx.x < stride) part[threadIdx.x] += part[threadIdx.x + stride];
        __syncthreads();
    }
    if (threadIdx.x == 0) out[blockIdx.x] = part[0];
}

int main() {
    const int n = 1000, blocks = (n + THREADS - 1) / THREADS;
    int h[n], partial[blocks], *in, *out, total = 0;
    for (int i = 0; i < n; ++i) h[i] = i;
    cudaMalloc(&in, n * sizeof(int));
    cudaMalloc(&out, blocks * sizeof(int));
    cudaMemcpy(in, h, n * sizeof(int), cudaMemcpyHostToDevice);
    sum<<<blocks, THREADS>>>(in, out, n);
    cudaMemcpy(partial, out, blocks * sizeof(int), cudaMemcpyDeviceToHost);
    for (int i = 0; i < blocks; ++i) total += partial[i];
    printf("%d\n", total);
    cudaFree(in);
    cudaFree(out);
}
