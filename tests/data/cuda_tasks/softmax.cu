// Rows of a softmax, a warp each.  Output: sums 1 1 1, largest 0.0356 at 63
#include <cstdio>
#define COLUMNS 64

__global__ void __launch_bounds__(96) softmax(float *y, const float *x) {
    int row = threadIdx.x / 32, lane = threadIdx.x % 32;
    const float *in = x + row * COLUMNS;
    float most = -INFINITY, sum = 0;
    for (int i = lane; i < COLUMNS; i += 32) most = fmaxf(most, in[i]);
    for (int d = 16; d; d /= 2) most = fmaxf(most, __shfl_xor_sync(~0u, most, d));
    for (int i = lane; i < COLUMNS; i += 32) sum += expf(in[i] - most);
    for (int d = 16; d; d /= 2) sum += __shfl_xor_sync(~0u, sum, d);
    for (int i = lane; i < COLUMNS; i += 32) y[row * COLUMNS + i] = expf(in[i] - most) / sum;
}

int main() {
    float h[3 * COLUMNS], *x, *y;
    for (int i = 0; i < 3 * COLUMNS; ++i) h[i] = 0.03125f * (i % COLUMNS);
    cudaMalloc(&x, sizeof h);
    cudaMalloc(&y, sizeof h);
    cudaMemcpy(x, h, sizeof h, cudaMemcpyHostToDevice);
    softmax<<<1, 96>>>(y, x);
    cudaMemcpy(h, y, sizeof h, cudaMemcpyDeviceToHost);
    printf("sums");
    int at = 0;
    for (int r = 0; r < 3; ++r) {
        float sum = 0;
        for (int i = 0; i < COLUMNS; ++i) sum += h[r * COLUMNS + i], at = h[i] > h[at] ? i : at;
        printf(" %.3g", sum);
    }
    printf(", largest %.3g at %d\n", h[at], at);
    cudaFree(x), cudaFree(y);
}
