// Transposes by a padded tile.  Output: wrong 0
#include <cstdio>
#include <vector>

template <typename T, int TILE>
__global__ void transpose(T *out, const T *in, int width, int height) {
    __shared__ T tile[TILE][TILE + 1];
    int x = blockIdx.x * TILE + threadIdx.x, y = blockIdx.y * TILE + threadIdx.y;
    if (x < width && y < height) tile[threadIdx.y][threadIdx.x] = in[y * width + x];
    __syncthreads();
    x = blockIdx.y * TILE + threadIdx.x, y = blockIdx.x * TILE + threadIdx.y;
    if (x < height && y < width) out[y * height + x] = tile[threadIdx.x][threadIdx.y];
}

int main() {
    const int width = 50, height = 33;
    std::vector<double> in(width * height), out(in.size());
    for (size_t i = 0; i < in.size(); ++i) in[i] = double(i);
    double *a, *b;
    cudaMalloc(&a, in.size() * sizeof(double));
    cudaMalloc(&b, in.size() * sizeof(double));
    cudaMemcpy(a, in.data(), in.size() * sizeof(double), cudaMemcpyHostToDevice);
    dim3 block(16, 16), grid((width + 15) / 16, (height + 15) / 16);
    transpose<double, 16><<<grid, block>>>(b, a, width, height);
    cudaMemcpy(out.data(), b, in.size() * sizeof(double), cudaMemcpyDeviceToHost);
    int wrong = 0;
    for (int y = 0; y < height; ++y)
        for (int x = 0; x < width; ++x) wrong += out[x * height + y] != in[y * width + x];
    printf("wrong %d\n", wrong);
    cudaFree(a), cudaFree(b);
}
