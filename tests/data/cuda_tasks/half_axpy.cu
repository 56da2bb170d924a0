// y = a x + y in half precision, two at a time.  Output: 2.5 4.5 6.5 ... 128.5
#include <cuda_fp16.h>
#include <cstdio>

__global__ void axpy(half2 *y, const half2 *x, float a, int pairs) {
    int i = threadIdx.x;
    if (i < pairs) y[i] = __hfma2(__float2half2_rn(a), x[i], y[i]);
}
__global__ void fill(half *x, half *y, int n) {
    int i = threadIdx.x;
    if (i < n) x[i] = __float2half(float(i + 1)), y[i] = __float2half(0.5f);
}

int main() {
    const int n = 64;
    half h[n], *x, *y;
    cudaMalloc(&x, sizeof h);
    cudaMalloc(&y, sizeof h);
    fill<<<1, n>>>(x, y, n);
    axpy<<<1, n / 2>>>((half2 *)y, (const half2 *)x, 2.0f, n / 2);
    cudaMemcpy(h, y, sizeof h, cudaMemcpyDeviceToHost);
    printf("%g %g %g ... %g\n", __half2float(h[0]), __half2float(h[1]), __half2float(h[2]), __half2float(h[n - 1]));
    cudaFree(x), cudaFree(y);
}
