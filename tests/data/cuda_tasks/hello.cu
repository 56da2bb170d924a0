// Greets from every thread.  Output: hello from 0 of 2; hello from 1 of 2; done
#include <cstdio>

__global__ void hello() { printf("hello from %d of %d\n", blockIdx.x, gridDim.x); }

int main() {
    hello<<<2, 1>>>();
    cudaDeviceSynchronize();
    printf("done\n");
}
