// Padding with a constant, along all axes at once.
#include "elementwise.cuh"

namespace {
struct Pad {
    float* __restrict__ y;
    const float* __restrict__ x;
    Lengths to, from, before;  // shapes, and how many elements lie before x along each axis (negative: cropped)
    float value;
    __device__ void operator()(int64_t at) const {
        int64_t place = 0, step = 1, rest = at;
        bool inside = true;
        for (int a = to.count - 1; a >= 0; --a) {
            int64_t n = to.length[a], outer = rest / n, i = rest - outer * n - before.length[a];
            inside &= 0 <= i && i < from.length[a];
            place += i * step;
            step *= from.length[a];
            rest = outer;
        }
        y[at] = inside ? x[place] : value;
    }
};
}  // namespace

void pad_box(Out<float> y, In<float> x, Lengths before, Lengths, float value, cudaStream_t stream) {
    require(y.shape.count == x.shape.count, "pad: x has shape ", x.shape, ", y ", y.shape);
    each(Pad{y.data, x.data, y.shape, x.shape, before, value}, y.size(), stream);
}
BIND(pad_box, "y x before after value");
