// Times a kernel with events; one stream waits for another.  Output: took time yes, value 4
#include <cstdio>

__global__ void twice(int *x) { *x *= 2; }

int main() {
    int h = 1, *d;
    cudaMalloc(&d, sizeof(int));
    cudaStream_t first, second;
    cudaStreamCreateWithFlags(&first, cudaStreamNonBlocking);
    cudaStreamCreateWithFlags(&second, cudaStreamNonBlocking);
    cudaEvent_t start, stop;
    cudaEventCreate(&start);
    cudaEventCreate(&stop);
    cudaMemcpyAsync(d, &h, sizeof h, cudaMemcpyHostToDevice, first);
    cudaEventRecord(start, first);
    twice<<<1, 1, 0, first>>>(d);
    cudaEventRecord(stop, first);
    cudaStreamWaitEvent(second, stop, 0);
    twice<<<1, 1, 0, second>>>(d);
    cudaStreamSynchronize(second);
    float ms = 0;
    cudaEventElapsedTime(&ms, start, stop);
    cudaMemcpy(&h, d, sizeof h, cudaMemcpyDeviceToHost);
    printf("took time %s, value %d\n", ms > 0 ? "yes" : "no", h);
    cudaEventDestroy(start);
    cudaEventDestroy(stop);
    cudaStreamDestroy(first);
    cudaStreamDestroy(second);
    cudaFree(d);
}
