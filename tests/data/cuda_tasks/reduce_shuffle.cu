// A sum by shuffles inside warps, then one warp.  Output: 523776
#include <cstdio>

__device__ int warp_sum(int v) {
    for (int d = 16; d > 0; d /= 2) v += __shfl_down_sync(0xffffffff, v, d);
    return v;
}

__global__ void sum(const int *in, int *out) {
    __shared__ int parts[32];
    int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
    int v = warp_sum(in[threadIdx.x]);
    if (lane == 0) parts[warp] = v;
    __syncthreads();
    if (warp == 0) {
        v = lane < blockDim.x / 32 ? parts[lane] : 0;
        v = warp_sum(v);
        if (lane == 0) *out = v;
    }
}

int main() {
    int h[1024], *in, *out, total;
    for (int i = 0; i < 1024; ++i) h[i] = i;
    cudaMalloc(&in, sizeof h);
    cudaMalloc(&out, sizeof(int));
    cudaMemcpy(in, h, sizeof h, cudaMemcpyHostToDevice);
    sum<<<1, 1024>>>(in, out);
    cudaMemcpy(&total, out, sizeof total, cudaMemcpyDeviceToHost);
    printf("%d\n", total);
    cudaFree(in);
    cudaFree(out);
}
