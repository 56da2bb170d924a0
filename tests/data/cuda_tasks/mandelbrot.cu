// Which points stay in the Mandelbrot set.  Output: inside 108 of 576
#include <cstdio>
#define SIZE 24

__global__ void mandelbrot(unsigned char *image) {
    int x = blockIdx.x * blockDim.x + threadIdx.x, y = blockIdx.y * blockDim.y + threadIdx.y;
    float cx = -2.0f + 3.0f * x / SIZE, cy = -1.5f + 3.0f * y / SIZE, zx = 0, zy = 0;
    int steps = 0;
    while (steps < 50 && zx * zx + zy * zy < 4.0f) {
        float next = zx * zx - zy * zy + cx;
        zy = 2 * zx * zy + cy, zx = next;
        ++steps;
    }
    image[y * SIZE + x] = steps == 50;
}

int main() {
    unsigned char h[SIZE * SIZE], *d;
    cudaMalloc(&d, sizeof h);
    mandelbrot<<<dim3(3, 3), dim3(8, 8)>>>(d);
    cudaMemcpy(h, d, sizeof h, cudaMemcpyDeviceToHost);
    int inside = 0;
    for (int i = 0; i < SIZE * SIZE; ++i) inside += h[i];
    printf("inside %d of %d\n", inside, SIZE * SIZE);
    cudaFree(d);
}
