// An inclusive scan of one block, two buffers in shared memory.  Output: 1 3 6 10 ... 32896
#include <cstdio>

__global__ void scan(int *out, const int *in, int n) {
    extern __shared__ int buffer[];
    int t = threadIdx.x, from = 0, to = 1;
    buffer[t] = in[t];
    __syncthreads();
    for (int d = 1; d < n; d *= 2) {
        buffer[to * n + t] = buffer[from * n + t] + (t >= d ? buffer[from * n + t - d] : 0);
        __syncthreads();
        from = to, to = 1 - to;
    }
    out[t] = buffer[from * n + t];
}

int main() {
    const int n = 256;
    int h[n], *in, *out;
    for (int i = 0; i < n; ++i) h[i] = i + 1;
    cudaMalloc(&in, sizeof h);
    cudaMalloc(&out, sizeof h);
    cudaMemcpy(in, h, sizeof h, cudaMemcpyHostToDevice);
    scan<<<1, n, 2 * n * sizeof(int)>>>(out, in, n);
    cudaMemcpy(h, out, sizeof h, cudaMemcpyDeviceToHost);
    printf("%d %d %d %d ... %d\n", h[0], h[1], h[2], h[3], h[n - 1]);
    cudaFree(in), cudaFree(out);
}
