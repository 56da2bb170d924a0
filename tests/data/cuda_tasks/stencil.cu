// A sum over neighbours with a halo in shared memory.  Output: 7 7 7 ... 7
#include <cstdio>
#define RADIUS 3
#define BLOCK 32

__global__ void stencil(const int *in, int *out) {
    __shared__ int temp[BLOCK + 2 * RADIUS];
    int global = threadIdx.x + blockIdx.x * blockDim.x + RADIUS, local = threadIdx.x + RADIUS;
    temp[local] = in[global];
    if (threadIdx.x < RADIUS) {
        temp[local - RADIUS] = in[global - RADIUS];
        temp[local + BLOCK] = in[global + BLOCK];
    }
    __syncthreads();
    int sum = 0;
    for (int k = -RADIUS; k <= RADIUS; ++k) sum += temp[local + k];
    out[global - RADIUS] = sum;
}

int main() {
    const int n = 128;
    int h[n + 2 * RADIUS], *in, *out;
    for (int &v : h) v = 1;
    cudaMalloc(&in, sizeof h);
    cudaMalloc(&out, n * sizeof(int));
    cudaMemcpy(in, h, sizeof h, cudaMemcpyHostToDevice);
    stencil<<<n / BLOCK, BLOCK>>>(in, out);
    cudaMemcpy(h, out, n * sizeof(int), cudaMemcpyDeviceToHost);
    printf("%d %d %d ... %d\n", h[0], h[1], h[2], h[n - 1]);
    cudaFree(in), cudaFree(out);
}
