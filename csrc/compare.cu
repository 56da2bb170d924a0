// Element-wise choices: comparing, choosing by a condition, larger and smaller, changing the type of numbers; bits.
#include "elementwise.cuh"

namespace {
enum Relation { EQUAL, NOT_EQUAL, LESS, LESS_EQUAL, GREATER, GREATER_EQUAL, AND, OR, XOR };

__device__ __forceinline__ bool holds(int relation, float a, float b) {
    switch (relation) {
        case EQUAL: return a == b;
        case NOT_EQUAL: return a != b;
        case LESS: return a < b;
        case LESS_EQUAL: return a <= b;
        case GREATER: return a > b;
        case GREATER_EQUAL: return a >= b;
        case AND: return a != 0 && b != 0;
        case OR: return a != 0 || b != 0;
    }
    return (a != 0) != (b != 0);
}
struct Compare {
    bool* __restrict__ y;
    const float* __restrict__ a;
    const float* __restrict__ b;  // null: the number
    float number;
    int relation;
    __device__ void operator()(int64_t i) const { y[i] = holds(relation, a[i], b ? b[i] : number); }
};

enum Property { ISNAN, ISINF, ISFINITE, NOT };
struct Has {
    bool* __restrict__ y;
    const float* __restrict__ x;
    int property;
    __device__ void operator()(int64_t i) const {
        float v = x[i];
        switch (property) {
            case ISNAN: y[i] = v != v; break;
            case ISINF: y[i] = fabsf(v) == INFINITY; break;
            case ISFINITE: y[i] = fabsf(v) < INFINITY; break;
            default: y[i] = v == 0;
        }
    }
};

struct Choose {
    float* __restrict__ y;
    const bool* __restrict__ condition;
    const float* __restrict__ a;  // null: the number
    const float* __restrict__ b;
    float number;
    __device__ void operator()(int64_t i) const {
        y[i] = condition[i] ? (a ? a[i] : number) : (b ? b[i] : number);
    }
};

struct Larger {  // NaN where one is NaN
    __device__ float operator()(float a, float b) const { return a != a || a > b ? a : b; }
};
struct Smaller {
    __device__ float operator()(float a, float b) const { return a != a || a < b ? a : b; }
};
template <class F>
struct With {
    float number;
    __device__ float operator()(float a) const { return F{}(a, number); }
};
struct LargerBackward {  // half to each of equals
    float* __restrict__ da;
    float* __restrict__ db;
    const float* __restrict__ dy;
    const float* __restrict__ a;
    const float* __restrict__ b;
    __device__ void operator()(int64_t i) const {
        float share = a[i] == b[i] ? dy[i] / 2 : dy[i];
        da[i] = a[i] < b[i] ? 0.0f : share;
        db[i] = a[i] > b[i] ? 0.0f : share;
    }
};

template <class To, class From>
struct Cast {
    To* __restrict__ y;
    const From* __restrict__ x;
    __device__ void operator()(int64_t i) const { y[i] = To(x[i]); }
};
template <class To, class From>
void cast(const Out<To>& y, const In<From>& x, cudaStream_t stream) {
    require(y.size() == x.size(), "cast: x has shape ", x.shape, ", y ", y.shape);
    each(Cast<To, From>{y.data, x.data}, y.size(), stream);
}

// ---------------------------------------------------------------------------------------------------------------- bits

enum Operation { BITS_AND, BITS_OR, BITS_XOR, LEFT, RIGHT };

template <class T>
__device__ __forceinline__ T combined(int operation, T a, T b) {
    switch (operation) {
        case BITS_AND: return T(a & b);
        case BITS_OR: return T(a | b);
        case BITS_XOR: return T(a ^ b);
    }
    constexpr int BITS = 8 * sizeof(T);
    bool off = b < 0 || b >= BITS;  // then nothing is left but the sign
    if (operation == LEFT) return off ? T(0) : T(std::make_unsigned_t<T>(a) << b);
    return T(a >> (off ? T(BITS - 1) : b));
}
template <>
__device__ __forceinline__ bool combined(int operation, bool a, bool b) {
    return operation == BITS_AND ? a && b : operation == BITS_OR ? a || b : a != b;
}
template <class T>
struct Combine {
    T* __restrict__ y;
    const T* __restrict__ a;
    const T* __restrict__ b;  // null: the number
    T number;
    int operation;
    __device__ void operator()(int64_t i) const { y[i] = combined<T>(operation, a[i], b ? b[i] : number); }
};
template <class T>
void combine(const Out<T>& y, const In<T>& a, const Maybe<T>& b, T number, int operation, cudaStream_t stream) {
    require(y.size() == a.size() && (!b || b.size() == a.size()), "bitwise: ", a.shape, " and ", b.shape);
    each(Combine<T>{y.data, a.data, b.data, number, operation}, a.size(), stream);
}
}  // namespace

void compare_arrays(Out<bool> y, In<float> a, In<float> b, int relation, cudaStream_t stream) {
    require(a.size() == b.size() && y.size() == a.size(), "compare: ", a.shape, " and ", b.shape);
    each(Compare{y.data, a.data, b.data, 0, relation}, y.size(), stream);
}
BIND(compare_arrays, "y a b relation");

void compare_number(Out<bool> y, In<float> a, float number, int relation, cudaStream_t stream) {
    each(Compare{y.data, a.data, nullptr, number, relation}, y.size(), stream);
}
BIND(compare_number, "y a number relation");

void has_property(Out<bool> y, In<float> x, int property, cudaStream_t stream) {
    each(Has{y.data, x.data, property}, y.size(), stream);
}
BIND(has_property, "y x property");

void choose_arrays(Out<float> y, In<bool> condition, In<float> a, In<float> b, cudaStream_t stream) {
    require(condition.size() == y.size() && a.size() == b.size() && y.size() == a.size(), "where: ", condition.shape,
            ", ", a.shape, " and ", b.shape);
    each(Choose{y.data, condition.data, a.data, b.data, 0}, y.size(), stream);
}
BIND(choose_arrays, "y condition a b");

void choose_or_number(Out<float> y, In<bool> condition, In<float> a, float number, bool first, cudaStream_t stream) {
    require(condition.size() == y.size() && y.size() == a.size(), "where: ", condition.shape, " and ", a.shape);
    each(Choose{y.data, condition.data, first ? a.data : nullptr, first ? nullptr : a.data, number}, y.size(), stream);
}
BIND(choose_or_number, "y condition a number first");

void larger_arrays(Out<float> y, In<float> a, In<float> b, cudaStream_t stream) {
    map(Larger{}, "maximum", stream, y, a, b);
}
BIND(larger_arrays, "y a b");
void larger_number(Out<float> y, In<float> a, float number, cudaStream_t stream) {
    map(With<Larger>{number}, "maximum", stream, y, a);
}
BIND(larger_number, "y a number");
void smaller_arrays(Out<float> y, In<float> a, In<float> b, cudaStream_t stream) {
    map(Smaller{}, "minimum", stream, y, a, b);
}
BIND(smaller_arrays, "y a b");
void smaller_number(Out<float> y, In<float> a, float number, cudaStream_t stream) {
    map(With<Smaller>{number}, "minimum", stream, y, a);
}
BIND(smaller_number, "y a number");

void larger_backward_arrays(Out<float> da, Out<float> db, In<float> dy, In<float> a, In<float> b, cudaStream_t stream) {
    require(a.size() == dy.size() && b.size() == dy.size(), "larger_backward: ", a.shape, " and ", b.shape);
    each(LargerBackward{da.data, db.data, dy.data, a.data, b.data}, dy.size(), stream);
}
BIND(larger_backward_arrays, "da db dy a b");

void cast_to_bool(Out<bool> y, In<float> x, cudaStream_t stream) { cast(y, x, stream); }
BIND(cast_to_bool, "y x");
void cast_to_int(Out<int> y, In<float> x, cudaStream_t stream) { cast(y, x, stream); }
BIND(cast_to_int, "y x");
void cast_to_long(Out<int64_t> y, In<float> x, cudaStream_t stream) { cast(y, x, stream); }
BIND(cast_to_long, "y x");
void cast_from_bool(Out<float> y, In<bool> x, cudaStream_t stream) { cast(y, x, stream); }
BIND(cast_from_bool, "y x");
void cast_from_byte(Out<float> y, In<uint8_t> x, cudaStream_t stream) { cast(y, x, stream); }
BIND(cast_from_byte, "y x");
void cast_from_int(Out<float> y, In<int> x, cudaStream_t stream) { cast(y, x, stream); }
BIND(cast_from_int, "y x");
void cast_from_long(Out<float> y, In<int64_t> x, cudaStream_t stream) { cast(y, x, stream); }
BIND(cast_from_long, "y x");

void bitwise_bools(Out<bool> y, In<bool> a, Maybe<bool> b, bool number, int operation, cudaStream_t stream) {
    combine(y, a, b, number, operation, stream);
}
BIND(bitwise_bools, "y a b number operation");

void bitwise_longs(Out<int64_t> y, In<int64_t> a, Maybe<int64_t> b, int64_t number, int operation,
                   cudaStream_t stream) {
    combine(y, a, b, number, operation, stream);
}
BIND(bitwise_longs, "y a b number operation");
