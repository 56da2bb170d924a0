// The last block to finish adds the partial sums of all: __threadfence and a counter.  Output: 2096128 2096128
#include <cstdio>

__device__ unsigned finished = 0;

__global__ void sum(const float *x, float *partial, float *out, int n) {
    __shared__ float s[128];
    __shared__ bool last;
    int t = threadIdx.x, i = blockIdx.x * blockDim.x + t;
    s[t] = i < n ? x[i] : 0;
    __syncthreads();
    for (int d = 64; d > 0; d /= 2) {
        if (t < d) s[t] += s[t + d];
        __syncthreads();
    }
    if (t == 0) {
        partial[blockIdx.x] = s[0];
        __threadfence();
        last = atomicInc(&finished, gridDim.x) == gridDim.x - 1;
    }
    __syncthreads();
    if (last && t == 0) {
        float total = 0;
        for (int b = 0; b < gridDim.x; ++b) total += partial[b];
        *out = total;
        finished = 0;
    }
}

int main() {
    const int n = 2048;
    static float h[n];
    float *x, *partial, *out, total[2];
    for (int i = 0; i < n; ++i) h[i] = i;
    cudaMalloc(&x, sizeof h);
    cudaMalloc(&partial, 16 * sizeof(float));
    cudaMalloc(&out, sizeof(float));
    cudaMemcpy(x, h, sizeof h, cudaMemcpyHostToDevice);
    for (int k = 0; k < 2; ++k) {
        sum<<<16, 128>>>(x, partial, out, n);
        cudaMemcpy(total + k, out, sizeof(float), cudaMemcpyDeviceToHost);
    }
    printf("%.0f %.0f\n", total[0], total[1]);
    cudaFree(x), cudaFree(partial), cudaFree(out);
}
