// A matrix product by tiles in shared memory.  Output: wrong 0 of 2400
#include <cstdio>
#include <vector>
constexpr int TILE = 16;

__global__ void matmul(float *c, const float *a, const float *b, int m, int n, int k) {
    __shared__ float as[TILE][TILE], bs[TILE][TILE];
    int row = blockIdx.y * TILE + threadIdx.y, column = blockIdx.x * TILE + threadIdx.x;
    float sum = 0;
    for (int t = 0; t < (k + TILE - 1) / TILE; ++t) {
        int ka = t * TILE + threadIdx.x, kb = t * TILE + threadIdx.y;
        as[threadIdx.y][threadIdx.x] = row < m && ka < k ? a[row * k + ka] : 0;
        bs[threadIdx.y][threadIdx.x] = kb < k && column < n ? b[kb * n + column] : 0;
        __syncthreads();
        for (int i = 0; i < TILE; ++i) sum += as[threadIdx.y][i] * bs[i][threadIdx.x];
        __syncthreads();
    }
    if (row < m && column < n) c[row * n + column] = sum;
}

int main() {
    int m = 40, n = 60, k = 50;
    std::vector<float> a(m * k), b(k * n), c(m * n);
    for (int i = 0; i < m * k; ++i) a[i] = i % 7 - 3;
    for (int i = 0; i < k * n; ++i) b[i] = i % 5 - 2;
    float *da, *db, *dc;
    cudaMalloc(&da, sizeof(float) * m * k);
    cudaMalloc(&db, sizeof(float) * k * n);
    cudaMalloc(&dc, sizeof(float) * m * n);
    cudaMemcpy(da, a.data(), sizeof(float) * m * k, cudaMemcpyHostToDevice);
    cudaMemcpy(db, b.data(), sizeof(float) * k * n, cudaMemcpyHostToDevice);
    dim3 grid((n + TILE - 1) / TILE, (m + TILE - 1) / TILE), block(TILE, TILE);
    matmul<<<grid, block>>>(dc, da, db, m, n, k);
    cudaMemcpy(c.data(), dc, sizeof(float) * m * n, cudaMemcpyDeviceToHost);
    int wrong = 0;
    for (int i = 0; i < m; ++i)
        for (int j = 0; j < n; ++j) {
            float sum = 0;
            for (int q = 0; q < k; ++q) sum += a[i * k + q] * b[q * n + j];
            wrong += sum != c[i * n + j];
        }
    printf("wrong %d of %d\n", wrong, m * n);
    cudaFree(da), cudaFree(db), cudaFree(dc);
}
