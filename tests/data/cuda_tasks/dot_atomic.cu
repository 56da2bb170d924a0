// A dot product with one atomic addition of floats a block.  Output: 338350
#include <cstdio>

__global__ void dot(const float *a, const float *b, float *out, int n) {
    __shared__ float sum;
    if (threadIdx.x == 0) sum = 0;
    __syncthreads();
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) atomicAdd(&sum, a[i] * b[i]);
    __syncthreads();
    if (threadIdx.x == 0) atomicAdd(out, sum);
}

int main() {
    const int n = 100;
    float h[n], *a, *out, total;
    for (int i = 0; i < n; ++i) h[i] = i + 1;
    cudaMalloc(&a, sizeof h);
    cudaMalloc(&out, sizeof(float));
    cudaMemset(out, 0, sizeof(float));
    cudaMemcpy(a, h, sizeof h, cudaMemcpyHostToDevice);
    dot<<<4, 32>>>(a, a, out, n);
    cudaMemcpy(&total, out, sizeof total, cudaMemcpyDeviceToHost);
    printf("%.0f\n", total);
    cudaFree(a), cudaFree(out);
}
