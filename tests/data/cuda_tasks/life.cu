// The game of life on a torus: a glider after four generations.  Output: alive 5, at 1,2 2,3 3,1 3,2 3,3
#include <cstdio>
#include <utility>
#define SIZE 8

__global__ void generation(int *next, const int *now) {
    int x = threadIdx.x, y = threadIdx.y, alive = 0;
    for (int dy = SIZE - 1; dy <= SIZE + 1; ++dy)
        for (int dx = SIZE - 1; dx <= SIZE + 1; ++dx)
            if (dx != SIZE || dy != SIZE) alive += now[(y + dy) % SIZE * SIZE + (x + dx) % SIZE];
    next[y * SIZE + x] = alive == 3 || (alive == 2 && now[y * SIZE + x]);
}

int main() {
    int h[SIZE * SIZE] = {0}, *a, *b, alive = 0;
    h[1] = h[SIZE + 2] = h[2 * SIZE] = h[2 * SIZE + 1] = h[2 * SIZE + 2] = 1;
    cudaMalloc(&a, sizeof h);
    cudaMalloc(&b, sizeof h);
    cudaMemcpy(a, h, sizeof h, cudaMemcpyHostToDevice);
    for (int i = 0; i < 4; ++i) {
        generation<<<1, dim3(SIZE, SIZE)>>>(b, a);
        std::swap(a, b);
    }
    cudaMemcpy(h, a, sizeof h, cudaMemcpyDeviceToHost);
    for (int v : h) alive += v;
    printf("alive %d, at", alive);
    for (int i = 0; i < SIZE * SIZE; ++i)
        if (h[i]) printf(" %d,%d", i / SIZE, i % SIZE);
    printf("\n");
    cudaFree(a), cudaFree(b);
}
