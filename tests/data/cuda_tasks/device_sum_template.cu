// A kernel template whose type is deduced, another that takes a function object.  Output: 45 45.5 3628800
#include <cstdio>

struct Plus {
    template <class T>
    __device__ T operator()(T a, T b) const { return a + b; }
};
struct Times {
    template <class T>
    __device__ T operator()(T a, T b) const { return a * b; }
};

template <int N, class T, class Op>
__global__ void fold(T *out, const T *in, T start, Op op) {
    T sum = start;
#pragma unroll
    for (int i = 0; i < N; ++i) sum = op(sum, in[i]);
    *out = sum;
}

template <class T, class Op>
T on_gpu(const T *h, T start, Op op) {
    T *in, *out, result;
    cudaMalloc(&in, 10 * sizeof(T));
    cudaMalloc(&out, sizeof(T));
    cudaMemcpy(in, h, 10 * sizeof(T), cudaMemcpyHostToDevice);
    fold<10><<<1, 1>>>(out, in, start, op);
    cudaMemcpy(&result, out, sizeof(T), cudaMemcpyDeviceToHost);
    cudaFree(in);
    cudaFree(out);
    return result;
}

int main() {
    int ints[10], ones[10];
    float floats[10];
    for (int i = 0; i < 10; ++i) ints[i] = i, floats[i] = i, ones[i] = i + 1;
    printf("%d %g %d\n", on_gpu(ints, 0, Plus{}), on_gpu(floats, 0.5f, Plus{}), on_gpu(ones, 1, Times{}));
}
