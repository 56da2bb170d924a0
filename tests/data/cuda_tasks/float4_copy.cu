// Copies by 16 bytes, the rest one by one.  Output: wrong 0 of 1003
#include <cstdio>
#include <cstring>

__global__ void copy(float *to, const float *from, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x, whole = n / 4;
    if (i < whole) reinterpret_cast<float4 *>(to)[i] = reinterpret_cast<const float4 *>(from)[i];
    if (i < n % 4) to[4 * whole + i] = from[4 * whole + i];
}

int main() {
    const int n = 1003;
    float h[n], back[n], *a, *b;
    for (int i = 0; i < n; ++i) h[i] = 0.5f * i;
    cudaMalloc(&a, sizeof h);
    cudaMalloc(&b, sizeof h);
    cudaMemcpy(a, h, sizeof h, cudaMemcpyHostToDevice);
    copy<<<4, 64>>>(b, a, n);
    cudaMemcpy(back, b, sizeof h, cudaMemcpyDeviceToHost);
    int wrong = 0;
    for (int i = 0; i < n; ++i) wrong += h[i] != back[i];
    printf("wrong %d of %d\n", wrong, n);
    cudaFree(a), cudaFree(b);
}
