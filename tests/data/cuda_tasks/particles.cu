// Structures on the GPU, a member function for host and device.  Output: 10 steps: x 5 y 10
#include <cstdio>
#include <vector>

struct Particle {
    float x, y, vx, vy;
    __host__ __device__ void move(float dt) { x += dt * vx, y += dt * vy; }
};

__global__ void step(Particle *all, int n, float dt) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) all[i].move(dt);
}

int main() {
    std::vector<Particle> h(70, Particle{0, 0, 1, 2});
    Particle *d;
    cudaMalloc(&d, h.size() * sizeof(Particle));
    cudaMemcpy(d, h.data(), h.size() * sizeof(Particle), cudaMemcpyHostToDevice);
    for (int k = 0; k < 10; ++k) step<<<3, 32>>>(d, int(h.size()), 0.5f);
    cudaMemcpy(h.data(), d, h.size() * sizeof(Particle), cudaMemcpyDeviceToHost);
    printf("10 steps: x %g y %g\n", h[69].x, h[69].y);
    cudaFree(d);
}
