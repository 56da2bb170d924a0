// Adds matrices with a two-dimensional grid.  Output: 0 11 22 ... 8099 sum 53900550
#include <cstdio>
#include <vector>
#define ROWS 90
#define COLUMNS 110

__global__ void add(int *c, const int *a, const int *b) {
    int x = threadIdx.x + blockIdx.x * blockDim.x, y = threadIdx.y + blockIdx.y * blockDim.y;
    if (x < COLUMNS && y < ROWS) {
        int i = y * COLUMNS + x;
        c[i] = a[i] + b[i];
    }
}

int main() {
    std::vector<int> a(ROWS * COLUMNS), b(a.size()), c(a.size());
    for (size_t i = 0; i < a.size(); ++i) a[i] = int(i), b[i] = int(i % 100) * 10;
    int *d[3];
    for (int k = 0; k < 3; ++k) cudaMalloc(&d[k], a.size() * sizeof(int));
    cudaMemcpy(d[0], a.data(), a.size() * sizeof(int), cudaMemcpyHostToDevice);
    cudaMemcpy(d[1], b.data(), a.size() * sizeof(int), cudaMemcpyHostToDevice);
    dim3 block(16, 8), grid((COLUMNS + block.x - 1) / block.x, (ROWS + block.y - 1) / block.y);
    add<<<grid, block>>>(d[2], d[0], d[1]);
    cudaMemcpy(c.data(), d[2], a.size() * sizeof(int), cudaMemcpyDeviceToHost);
    long sum = 0;
    for (int v : c) sum += v;
    printf("%d %d %d ... %d sum %ld\n", c[0], c[1], c[2], c[8899 - 890], sum);
    for (int k = 0; k < 3; ++k) cudaFree(d[k]);
}
