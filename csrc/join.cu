// Joining arrays: each is copied once to its place.
#include "elementwise.cuh"

namespace {
struct Place {  // a row of x into a wider row of y
    float* __restrict__ y;
    const float* __restrict__ x;
    int length;
    int64_t width, start;
    __device__ void operator()(int64_t at) const {
        int64_t row = quotient(at, length);
        y[row * width + start + (at - row * length)] = x[at];
    }
};
}  // namespace

// y is Work, not Out: the rest of its rows is for concat_next.
void concat_first(Work<float> y, In<float> x, int64_t, cudaStream_t stream) {
    each(Place{y.data, x.data, x.length(1), y.shape[1], 0}, x.size(), stream);
}
BIND(concat_first, "y x width");

void concat_next(InOut<float> y, In<float> x, int64_t start, cudaStream_t stream) {
    require(start + x.shape[1] <= y.shape[1], "concat: ", x.shape, " at column ", start, " of ", y.shape);
    each(Place{y.data, x.data, x.length(1), y.shape[1], start}, x.size(), stream);
}
BIND(concat_next, "y x start");
