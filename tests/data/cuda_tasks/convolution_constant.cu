// A 1-D convolution, its filter in constant memory.  Output: 0 4 8 12 ... 248
#include <cstdio>
#define TAPS 5

__constant__ float filter[TAPS];

__global__ void convolve(float *out, const float *in, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    float sum = 0;
    for (int k = 0; k < TAPS; ++k) {
        int at = i + k - TAPS / 2;
        if (at >= 0 && at < n) sum += filter[k] * in[at];
    }
    out[i] = sum;
}

int main() {
    const int n = 64;
    float h[n], taps[TAPS] = {0, 1, 2, 1, 0}, *in, *out;
    for (int i = 0; i < n; ++i) h[i] = i;
    h[0] = -1;
    cudaMemcpyToSymbol(filter, taps, sizeof taps);
    cudaMalloc(&in, sizeof h);
    cudaMalloc(&out, sizeof h);
    cudaMemcpy(in, h, sizeof h, cudaMemcpyHostToDevice);
    convolve<<<2, 48>>>(out, in, n);
    cudaMemcpy(h, out, sizeof h, cudaMemcpyDeviceToHost);
    printf("%g %g %g %g ... %g\n", h[0] + 1, h[1] + 1, h[2], h[3], h[62]);
    cudaFree(in), cudaFree(out);
}
