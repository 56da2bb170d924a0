// Adds two vectors whose length is no multiple of a block.  Output: 999 errors 0
#include <cstdio>
#include <cstdlib>

__global__ void add(float *c, const float *a, const float *b, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) c[i] = a[i] + b[i];
}

int main() {
    const int n = 1000;
    size_t bytes = n * sizeof(float);
    float *a = (float *)malloc(bytes), *b = (float *)malloc(bytes), *c = (float *)malloc(bytes);
    for (int i = 0; i < n; ++i) a[i] = i, b[i] = 2 * i;
    float *d_a, *d_b, *d_c;
    cudaMalloc((void **)&d_a, bytes);
    cudaMalloc((void **)&d_b, bytes);
    cudaMalloc((void **)&d_c, bytes);
    cudaMemcpy(d_a, a, bytes, cudaMemcpyHostToDevice);
    cudaMemcpy(d_b, b, bytes, cudaMemcpyHostToDevice);
    add<<<(n + 255) / 256, 256>>>(d_c, d_a, d_b, n);
    cudaMemcpy(c, d_c, bytes, cudaMemcpyDeviceToHost);
    int errors = 0;
    for (int i = 0; i < n; ++i) errors += c[i] != 3 * i;
    printf("%g errors %d\n", c[333], errors);
    cudaFree(d_a);
    cudaFree(d_b);
    cudaFree(d_c);
    free(a), free(b), free(c);
}
