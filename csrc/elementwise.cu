// Arithmetic of two arrays of one shape, or of an array and a number; filling and copying arrays.
// Broadcast inputs arrive as copies of full shape, so an element needs no strides.
#include "elementwise.cuh"

namespace {
struct Add {
    __device__ float operator()(float a, float b) const { return a + b; }
};
struct AddRelu {
    __device__ float operator()(float a, float b) const {
        float v = a + b;
        return v < 0 ? 0.0f : v;  // a NaN stays
    }
};
struct Sub {
    __device__ float operator()(float a, float b) const { return a - b; }
};
struct Mul {
    __device__ float operator()(float a, float b) const { return a * b; }
};
struct Div {
    __device__ float operator()(float a, float b) const { return a / b; }
};
struct Neg {
    __device__ float operator()(float x) const { return -x; }
};
template <class F>
struct WithNumber {  // f(a, number)
    float number;
    __device__ float operator()(float a) const { return F{}(a, number); }
};
template <class F>
struct FromNumber {  // f(number, b)
    float number;
    __device__ float operator()(float b) const { return F{}(number, b); }
};
struct Same {
    __device__ float operator()(float x) const { return x; }
};
struct Fill {
    float* y;
    float value;
    __device__ void operator()(int64_t i) const { y[i] = value; }
};
struct Clamp {
    float low, high;
    __device__ float operator()(float dy, float x) const { return low <= x && x <= high ? dy : 0.0f; }
};
}  // namespace

void add_arrays(Out<float> y, In<float> a, In<float> b, cudaStream_t stream) { map(Add{}, "add", stream, y, a, b); }
BIND(add_arrays, "y a b");
void add_relu(Out<float> y, In<float> a, In<float> b, cudaStream_t stream) {
    map(AddRelu{}, "add_relu", stream, y, a, b);
}
BIND(add_relu, "y a b");
void add_number(Out<float> y, In<float> a, float number, cudaStream_t stream) {
    map(WithNumber<Add>{number}, "add", stream, y, a);
}
BIND(add_number, "y a number");

void sub_arrays(Out<float> y, In<float> a, In<float> b, cudaStream_t stream) { map(Sub{}, "sub", stream, y, a, b); }
BIND(sub_arrays, "y a b");
void sub_from_number(Out<float> y, In<float> b, float number, cudaStream_t stream) {
    map(FromNumber<Sub>{number}, "sub", stream, y, b);
}
BIND(sub_from_number, "y b number");

void mul_arrays(Out<float> y, In<float> a, In<float> b, cudaStream_t stream) { map(Mul{}, "mul", stream, y, a, b); }
BIND(mul_arrays, "y a b");
void mul_number(Out<float> y, In<float> a, float number, cudaStream_t stream) {
    map(WithNumber<Mul>{number}, "mul", stream, y, a);
}
BIND(mul_number, "y a number");

void div_arrays(Out<float> y, In<float> a, In<float> b, cudaStream_t stream) { map(Div{}, "div", stream, y, a, b); }
BIND(div_arrays, "y a b");
void div_number(Out<float> y, In<float> a, float number, cudaStream_t stream) {
    map(WithNumber<Div>{number}, "div", stream, y, a);
}
BIND(div_number, "y a number");
void div_from_number(Out<float> y, In<float> b, float number, cudaStream_t stream) {
    map(FromNumber<Div>{number}, "div", stream, y, b);
}
BIND(div_from_number, "y b number");

void neg(Out<float> y, In<float> x, cudaStream_t stream) { map(Neg{}, "neg", stream, y, x); }
BIND(neg, "y x");

void copy(Out<float> y, In<float> x, cudaStream_t stream) { map(Same{}, "copy", stream, y, x); }
BIND(copy, "y x");

void clamp_gradient(Out<float> dx, In<float> dy, In<float> x, float low, float high, cudaStream_t stream) {
    map(Clamp{low, high}, "clamp_backward", stream, dx, dy, x);
}
BIND(clamp_gradient, "dx dy x low high");

void fill(Out<float> y, Lengths, float value, cudaStream_t stream) { each(Fill{y.data, value}, y.size(), stream); }
BIND(fill, "y shape value");
