// Asks what the GPU is, and gets an error from a launch that is too large.  Output: 1 device, warp 32, 1024 threads; invalid configuration argument; no error
#include <cstdio>

__global__ void nothing() {}

int main() {
    int devices = 0;
    cudaGetDeviceCount(&devices);
    cudaDeviceProp p;
    cudaGetDeviceProperties(&p, 0);
    printf("%d device, warp %d, %d threads\n", devices, p.warpSize, p.maxThreadsPerBlock);
    nothing<<<1, 2 * p.maxThreadsPerBlock>>>();
    printf("%s\n", cudaGetErrorString(cudaGetLastError()));
    nothing<<<1, p.maxThreadsPerBlock>>>();
    cudaDeviceSynchronize();
    printf("%s\n", cudaGetErrorString(cudaGetLastError()));
}
