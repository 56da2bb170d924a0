// y = a x + y in managed memory.  Output: largest error 0
#include <cmath>
#include <cstdio>

__global__ void saxpy(int n, float a, const float *x, float *y) {
    int step = blockDim.x * gridDim.x;
    for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += step) y[i] = a * x[i] + y[i];
}

int main() {
    int n = 5000;
    float *x, *y;
    cudaMallocManaged(&x, n * sizeof(float));
    cudaMallocManaged(&y, n * sizeof(float));
    for (int i = 0; i < n; ++i) x[i] = 1.0f, y[i] = 2.0f;
    saxpy<<<4, 128>>>(n, 3.0f, x, y);
    cudaDeviceSynchronize();
    float worst = 0;
    for (int i = 0; i < n; ++i) worst = fmaxf(worst, fabsf(y[i] - 5.0f));
    printf("largest error %g\n", worst);
    cudaFree(x);
    cudaFree(y);
}
