// Sorts in shared memory.  Output: sorted yes, 0 to 255
#include <cstdio>
#define N 256

__global__ void sort(int *data) {
    __shared__ int s[N];
    int t = threadIdx.x;
    s[t] = data[t];
    __syncthreads();
    for (int size = 2; size <= N; size *= 2)
        for (int stride = size / 2; stride > 0; stride /= 2) {
            int other = t ^ stride;
            if (other > t) {
                bool up = (t & size) == 0;
                int a = s[t], b = s[other];
                if ((a > b) == up) s[t] = b, s[other] = a;
            }
            __syncthreads();
        }
    data[t] = s[t];
}

int main() {
    int h[N], *d;
    for (int i = 0; i < N; ++i) h[i] = (i * 77 + 13) % N;
    cudaMalloc(&d, sizeof h);
    cudaMemcpy(d, h, sizeof h, cudaMemcpyHostToDevice);
    sort<<<1, N>>>(d);
    cudaMemcpy(h, d, sizeof h, cudaMemcpyDeviceToHost);
    bool sorted = true;
    for (int i = 1; i < N; ++i) sorted &= h[i - 1] <= h[i];
    printf("sorted %s, %d to %d\n", sorted ? "yes" : "no", h[0], h[N - 1]);
    cudaFree(d);
}
