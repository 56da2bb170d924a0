// Keeps the odd numbers: a ballot tells each lane its place.  Output: 50 kept, sum 2500
#include <cstdio>

__global__ void compact(int *out, int *count, const int *in, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x, lane = threadIdx.x & 31;
    bool keep = i < n && in[i] % 2 == 1;
    unsigned kept = __ballot_sync(0xffffffffu, keep);
    int base = 0;
    if (lane == 0) base = atomicAdd(count, __popc(kept));
    base = __shfl_sync(0xffffffffu, base, 0);
    if (keep) out[base + __popc(kept & ((1u << lane) - 1))] = in[i];
}

int main() {
    const int n = 100;
    int h[n], *in, *out, *count, kept, sum = 0;
    for (int i = 0; i < n; ++i) h[i] = i;
    cudaMalloc(&in, sizeof h);
    cudaMalloc(&out, sizeof h);
    cudaMalloc(&count, sizeof(int));
    cudaMemset(count, 0, sizeof(int));
    cudaMemcpy(in, h, sizeof h, cudaMemcpyHostToDevice);
    compact<<<2, 64>>>(out, count, in, n);
    cudaMemcpy(&kept, count, sizeof kept, cudaMemcpyDeviceToHost);
    cudaMemcpy(h, out, kept * sizeof(int), cudaMemcpyDeviceToHost);
    for (int i = 0; i < kept; ++i) sum += h[i];
    printf("%d kept, sum %d\n", kept, sum);
    cudaFree(in), cudaFree(out), cudaFree(count);
}
