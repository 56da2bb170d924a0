// Reverses each block's part in dynamic shared memory.  Output: 63 62 61 ... 64
#include <cstdio>

__global__ void reverse(int *data) {
    extern __shared__ int s[];
    int t = threadIdx.x, i = blockIdx.x * blockDim.x + t;
    s[t] = data[i];
    __syncthreads();
    data[i] = s[blockDim.x - 1 - t];
}

int main() {
    const int n = 128;
    int h[n], *d;
    for (int i = 0; i < n; ++i) h[i] = i;
    cudaMalloc(&d, sizeof h);
    cudaMemcpy(d, h, sizeof h, cudaMemcpyHostToDevice);
    reverse<<<2, 64, 64 * sizeof(int)>>>(d);
    cudaMemcpy(h, d, sizeof h, cudaMemcpyDeviceToHost);
    printf("%d %d %d ... %d\n", h[0], h[1], h[2], h[n - 1]);
    cudaFree(d);
}
